/* http_internal.h - what http.c and http_send.c share. */
#ifndef TICKLAKE_IO_HTTP_INTERNAL_H
#define TICKLAKE_IO_HTTP_INTERNAL_H

#include "io/http.h"

#include <curl/curl.h>

enum { HTTP_PLACE_MAX = 200, HTTP_RETRY_AFTER_MAX_S = 86400 };
#define HTTP_USER_AGENT "ticklake/1 (market data recorder)"

void http_set_up(void); /* curl's globals, once a process */
/* Address without user, query and fragment: what may stand in an error. */
void http_place(const char *url, char place[HTTP_PLACE_MAX]);
size_t http_on_body(char *data, size_t size, size_t count, void *body);
int http_on_progress(void *cancel, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d);
enum err_code http_code_of(CURLcode code, const struct buf *body);
int64_t http_retry_after_ms(CURL *c);

#endif
