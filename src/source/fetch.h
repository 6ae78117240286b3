/* fetch.h - one page of a venue's instrument list by REST. Internal to source/: live_fetch.c asks in a thread of its own,
 * source_fetch_instruments in the caller's.
 */
#ifndef TICKLAKE_SOURCE_FETCH_H
#define TICKLAKE_SOURCE_FETCH_H

#include "io/http.h"
#include "source/source.h"

enum { FETCH_PAGES_MAX = 64 };

struct fetch_page {
    struct http_answer answer; /* VENUE_PADDING zeros stand behind the body */
    char path[512];
    int64_t received_ns;
};

/* Blocks until the answer is there. *ret_there false: the list has no such page, and *ret is not touched; else *ret is to
 * be freed, after errors too. ERR_REFUSED, ERR_UNAVAILABLE: the venue answered, but not with the list. */
enum err_code fetch_page(const struct source_fetch *f, int page, struct fetch_page *ret,
                         bool *ret_there, struct err *e) MUST_USE;
void fetch_page_free(struct fetch_page *p);

#endif
