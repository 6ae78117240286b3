/* cryptofeed's raw data, generation A: VENUE.ws.N.0, VENUE.http.N.0 and VENUE.0, one text line
 * each.
 *
 *   wss://ws.kraken.com <-> 1618678132.368463                    a connection was opened
 *   wss://ws.kraken.com <- 1618678132.83097: {"event":...        sent by the client
 *   1618678132.831468: {"connectionID":...                       received
 *   https://api.kraken.com/0/public/AssetPairs -> 1618678132.358447: {"error":...     a REST answer
 *   configuration: {"trades":[...                                what was subscribed; no item
 */
#include "recording/reader.h"

#include <stdlib.h>

struct cryptofeed {
    struct str venue, url; /* of the connection that the file's received frames came over */
    char url_text[8192];
};

static struct str venue_name(struct str url)
{
    const struct venue *v = venue_by_url(url);
    return v ? str_of(v->name) : STR("");
}

/* "1618678132.83097: BODY" or, behind a connection, the time alone. */
static enum err_code cut_time(struct str *rest, int64_t *ret_ns)
{
    struct str text = str_cut(rest, ':');
    if (rest->n && rest->p[0] == ' ') {
        rest->p++;
        rest->n--;
    }
    return time_parse_decimal(text, NS_PER_S, ret_ns);
}

static bool probe(const struct probe *p)
{
    struct str rest = p->head;
    struct str line = {NULL, 0};
    while (rest.n && line.n == 0) line = str_trim(str_cut(&rest, '\n'));
    struct str url = str_cut(&line, ' ');
    struct str arrow = str_cut(&line, ' ');
    if (!str_contains(url, "://")) return false;
    int64_t ns;
    return (str_is(arrow, "->") || str_is(arrow, "<-") || str_is(arrow, "<->")) &&
           cut_time(&line, &ns) == ERR_OK;
}

static enum err_code open_file(struct recording *r, struct err *e)
{
    (void)e;
    r->state = calloc(1, sizeof(struct cryptofeed));
    CHECK(r->state != NULL);
    return ERR_OK;
}

static void close_file(struct recording *r) { free(r->state); }

static void connected(struct cryptofeed *c, struct str url)
{
    if (!str_copy(c->url_text, sizeof c->url_text, url)) url.n = 0;
    c->url = url.n ? str_of(c->url_text) : STR("");
    c->venue = venue_name(c->url);
}

/* A line with a URL in front: opened, sent, or REST. */
static enum err_code url_line(struct recording *r, const struct input_line *line,
                              struct recording_item *ret, struct err *e)
{
    struct cryptofeed *c = r->state;
    struct str rest = {line->p, line->n};
    ret->url = str_cut(&rest, ' ');
    struct str arrow = str_cut(&rest, ' ');
    enum err_code code = cut_time(&rest, &ret->received_ns);
    if (str_is(arrow, "<->")) {
        ret->kind = RECORDING_CONNECT;
        connected(c, ret->url);
    } else if (str_is(arrow, "<-")) {
        ret->kind = RECORDING_SENT;
    } else if (str_is(arrow, "->")) {
        ret->kind = RECORDING_REST;
    } else {
        code = ERR_PARSE;
    }
    if (code != ERR_OK)
        return damaged_line(r, e, line->cut ? ERR_CORRUPT : ERR_PARSE, line->number,
                            "expected \"URL -> time: body\", <- or <->");
    ret->venue = ret->kind == RECORDING_REST ? venue_name(ret->url) : c->venue;
    ret->bytes = line->p + (rest.p - line->p);
    ret->len = rest.n;
    if (ret->kind == RECORDING_CONNECT) return ERR_OK;
    return line_of_text(r, line, ret, e);
}

static enum err_code next_item(struct recording *r, struct recording_item *ret, struct err *e)
{
    struct cryptofeed *c = r->state;
    struct input_line line;
    for (;;) {
        enum err_code code = input_line(r->in, RECORDING_LINE_MAX, &line, e);
        item_bytes(ret, &line);
        if (code != ERR_OK) return code;
        if (line.n == 0 || str_starts((struct str){line.p, line.n}, "configuration: ")) continue;
        break;
    }
    if (line.p[0] < '0' || line.p[0] > '9') return url_line(r, &line, ret, e);
    struct str rest = {line.p, line.n};
    if (cut_time(&rest, &ret->received_ns) != ERR_OK)
        return damaged_line(r, e, line.cut ? ERR_CORRUPT : ERR_PARSE, line.number,
                            "expected \"seconds.fraction: frame\"");
    ret->kind = RECORDING_FRAME;
    ret->venue = c->venue;
    ret->url = c->url;
    ret->bytes = line.p + (rest.p - line.p);
    ret->len = rest.n;
    return line_of_text(r, &line, ret, e);
}

const struct format format_cryptofeed = {
    .name = "cryptofeed",
    .probe = probe,
    .open = open_file,
    .next = next_item,
    .close = close_file,
};
