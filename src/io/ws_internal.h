/* ws_internal.h - inside the WebSocket client; nobody else includes it. */
#ifndef TICKLAKE_IO_WS_INTERNAL_H
#define TICKLAKE_IO_WS_INTERNAL_H

#include "base/buf.h"
#include "io/ws.h"

#include <libwebsockets.h>

enum { WS_ADDRESSES_MAX = 8, WS_ADDRESS_TEXT = 64 };

struct ws_outgoing {
    struct ws_outgoing *next;
    size_t len;
    bool ping;
    unsigned char data[]; /* LWS_PRE bytes that the library writes its header into, then the text */
};

struct ws {
    struct ws *next;
    struct ws_loop *loop;
    struct lws *wsi;
    struct ws_options options;
    struct ws_address address;
    uint64_t id;
    char name[272];
    bool is_open, closing, gone;
    int close_code, pongs;
    int64_t deadline_ns; /* monotonic: of connecting, then of the goodbye */
    struct ws_closed closed;
    struct buf incoming; /* of a message in several pieces */
    size_t whole_len;
    struct ws_outgoing *first, *last;
    size_t waiting_frames, waiting_bytes;
};

/* A name on its way to addresses, in a thread of its own. */
struct ws_resolver;
struct ws_lookup {
    struct ws_lookup *next;
    struct ws_resolver *resolver;
    uint64_t id;
    char host[256];
    char error[WS_REASON_MAX];
    int count;
    char addresses[WS_ADDRESSES_MAX][WS_ADDRESS_TEXT];
};
struct ws_resolver *ws_resolver_new(struct ws_loop *l);
/* Threads that still wait for the system go on alone and clean up behind themselves. */
struct ws_resolver *ws_resolver_free(struct ws_resolver *r);
void ws_resolver_ask(struct ws_resolver *r, uint64_t id, const char *host);
struct ws_lookup *ws_resolver_next(struct ws_resolver *r); /* NULL: none; the caller frees it */

struct ws_loop {
    struct lws_context *context;
    struct lws_vhost *plain, *deflating;
    struct ws *open;
    struct ws_resolver *resolver;
    uint64_t next_id;
    bool tls_verify;
    lws_sorted_usec_list_t timer;
};

#endif
