/* ws.h - WebSocket connections to servers, on libwebsockets; another library could stand behind this header.
 *
 * Calls     loop = ws_loop_new(...); ws_open(loop, &options) ...; ws_loop_run(loop, ms) again and again; the callbacks
 *           come out of ws_loop_run alone, never out of another call. on_close is the last one of a connection, however it
 *           ended, also when it was never open: after it the handle is gone.
 * Frames    text and binary alike, put together from their pieces and inflated (permessage-deflate). One longer than
 *           frame_max is handed out cut, with its whole length; what follows of it is counted and thrown away.
 * Answers   pings are answered by the library, as soon as the loop runs. Where a callback blocks, nothing is read: the
 *           peer feels it by its full socket.
 * Names     are resolved in a helper thread (the system's resolver blocks); attempt n takes the n-th address in turn.
 * Proxies   none; http_proxy of the environment is not looked at.
 * TLS       wss://: certificate and host name verified (unless switched off), SNI sent, http/1.1 asked for by ALPN.
 * Threads   a loop and its connections belong to one thread; only ws_loop_wake may be called from others.
 * Limits    WS_SEND_MAX frames and bytes waiting to be sent; frame_max; connections by the process' open files.
 */
#ifndef TICKLAKE_IO_WS_H
#define TICKLAKE_IO_WS_H

#include "base/time.h"

enum {
    WS_SEND_FRAMES_MAX = 4096,
    WS_SEND_BYTES_MAX = 4 << 20,
    WS_URL_MAX = 512,
    WS_REASON_MAX = 192
};

struct ws_loop;
struct ws;

struct ws_loop_options {
    bool tls_verify;
    const char *ca_file; /* NULL: the system's */
};
enum err_code ws_loop_new(const struct ws_loop_options *o, struct ws_loop **ret,
                          struct err *e) MUST_USE;
/* Ends its connections without their on_close. */
struct ws_loop *ws_loop_free(struct ws_loop *l);
/* Waits up to timeout_ms for something to happen and lets it happen. */
void ws_loop_run(struct ws_loop *l, int32_t timeout_ms);
void ws_loop_wake(struct ws_loop *l); /* any thread: ends the wait */

enum ws_end {
    WS_END_CLOSED,      /* it was open */
    WS_END_UNREACHABLE, /* name, address, TLS, time */
    WS_END_REFUSED,     /* the server answered with another status than 101 */
};
struct ws_closed {
    enum ws_end end;
    int status;                 /* REFUSED: HTTP status, 0 unknown */
    bool deflate_failed;        /* open the next one with no_deflate */
    int code;                   /* CLOSED: close code of the peer; 1006 where it sent none */
    char reason[WS_REASON_MAX]; /* the peer's or the system's words */
};
struct ws_options {
    const char *url; /* ws://host[:port]/path or wss:// */
    int32_t connect_timeout_ms;
    size_t frame_max;
    bool no_deflate;  /* else permessage-deflate is offered */
    uint32_t attempt; /* which of the host's addresses, in turn */
    void *ctx;
    void (*on_open)(void *ctx, struct ws *w);
    /* bytes[0..len) of a message of whole_len; valid during the call. */
    void (*on_frame)(void *ctx, struct ws *w, const char *bytes, size_t len, size_t whole_len,
                     int64_t received_ns);
    void (*on_pong)(void *ctx, struct ws *w); /* may be NULL */
    void (*on_close)(void *ctx, struct ws *w, const struct ws_closed *c);
};
/* ERR_CONFIG for an address that is none; anything else that goes wrong comes as on_close. */
enum err_code ws_open(struct ws_loop *l, const struct ws_options *o, struct ws **ret,
                      struct err *e) MUST_USE;
/* Queues a text frame. ERR_FULL past the limits, ERR_NETWORK when the connection is not open (any more). */
enum err_code ws_send(struct ws *w, struct str text, struct err *e) MUST_USE;
enum err_code ws_ping(struct ws *w, struct err *e) MUST_USE;
/* Says goodbye with this code, and cuts the connection where the peer does not answer in two seconds. */
void ws_close(struct ws *w, int code, const char *reason);
/* Cuts it, at once: for peers that are silent. on_close follows. */
void ws_abort(struct ws *w);

/* Splits an address; ERR_CONFIG says what is wrong with it. host is without brackets; path begins with '/'. */
struct ws_address {
    bool tls;
    char host[256];
    int port;
    char path[WS_URL_MAX];
};
enum err_code ws_parse_url(const char *url, struct ws_address *ret, struct err *e) MUST_USE;

#endif
