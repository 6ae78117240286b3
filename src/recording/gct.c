/* gocryptotrader's recorded REST answers: {"/api/v3/klines": [{"queryString": "...", "data":
 * ANSWER}, ...], ...}, sometimes one method deeper ({"/path": {"GET": [...]}}). Each answer becomes
 * a REST item, its numbers as they are written.
 *
 * The venue is told by the file's name ("binance.public.json") together with the route (/fapi/ is
 * USD-M), or by --venue.
 */
#include "recording/json.h"
#include "recording/reader.h"

#include <stdio.h>
#include <stdlib.h>

struct gct {
    yyjson_doc *doc;
    yyjson_obj_iter routes, methods;
    yyjson_arr_iter answers;
    struct str route;
    bool in_route;   /* methods is begun */
    bool in_answers; /* answers is begun */
    struct buf bytes;
    char url[4096];
};

static bool probe(const struct probe *p)
{
    struct str head = str_trim(p->head);
    if (head.n < 3 || head.p[0] != '{') return false;
    head = str_trim((struct str){head.p + 1, head.n - 1});
    return str_starts(head, "\"/") &&
           (str_contains(head, "\"queryString\"") || str_contains(head, "\"data\""));
}

struct route_rule {
    const char *file, *route, *venue, *base;
};
static const struct route_rule rules[] = {
    {"binance.", "/fapi/", "binance_futures", "https://fapi.binance.com"},
    {"binance.", "/dapi/", "binance_delivery", "https://dapi.binance.com"},
    {"binance.", "/api/", "binance", "https://api.binance.com"},
    {"kraken.", "/0/", "kraken", "https://api.kraken.com"},
    {"coinbasepro.", "/", "coinbase", "https://api.exchange.coinbase.com"},
    {"coinbase.", "/products", "coinbase", "https://api.exchange.coinbase.com"},
};

static const struct route_rule *rule_of(const struct recording *r, struct str route)
{
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        bool file = r->hint.n ? str_is(r->hint, rules[i].venue)
                              : str_starts(str_of(r->name), rules[i].file);
        if (file && str_starts(route, rules[i].route)) return &rules[i];
    }
    return NULL;
}

static enum err_code open_file(struct recording *r, struct err *e)
{
    struct gct *g = calloc(1, sizeof *g);
    CHECK(g != NULL);
    r->state = g;
    buf_init(&g->bytes, RECORDING_DOCUMENT_MAX + VENUE_PADDING);
    struct input_line text;
    TRY(input_rest(r->in, RECORDING_DOCUMENT_MAX, &text, e));
    yyjson_read_err why;
    g->doc = yyjson_read_opts(text.p, text.n, YYJSON_READ_NUMBER_AS_RAW, NULL, &why);
    if (!g->doc) return ERR(e, ERR_CORRUPT, "%s: byte %zu: no JSON: %s", r->path, why.pos, why.msg);
    yyjson_obj_iter_init(yyjson_doc_get_root(g->doc), &g->routes);
    return ERR_OK;
}

static void close_file(struct recording *r)
{
    struct gct *g = r->state;
    if (!g) return;
    yyjson_doc_free(g->doc);
    buf_free(&g->bytes);
    free(g);
}

/* The next {queryString, data} of the document, whose route is then g->route; NULL at the end. */
static yyjson_val *next_answer(struct gct *g)
{
    for (;;) {
        if (g->in_answers) {
            yyjson_val *answer = yyjson_arr_iter_next(&g->answers);
            if (answer) return answer;
            g->in_answers = false;
        }
        yyjson_val *list = NULL;
        if (g->in_route) {
            yyjson_val *key = yyjson_obj_iter_next(&g->methods);
            list = key ? yyjson_obj_iter_get_val(key) : NULL;
            g->in_route = key != NULL;
            if (!key) continue;
        } else {
            yyjson_val *key = yyjson_obj_iter_next(&g->routes);
            if (!key) return NULL;
            g->route = json_token(key);
            list = yyjson_obj_iter_get_val(key);
            g->in_route = yyjson_obj_iter_init(list, &g->methods);
        }
        g->in_answers = yyjson_arr_iter_init(list, &g->answers);
    }
}

static bool set_bytes(struct gct *g, yyjson_val *data, struct recording_item *ret)
{
    static const char zeros[VENUE_PADDING];
    size_t n = 0;
    char *text = yyjson_val_write(data, YYJSON_WRITE_NOFLAG, &n);
    if (!text) return false;
    buf_reset(&g->bytes);
    buf_add(&g->bytes, text, n);
    buf_add(&g->bytes, zeros, sizeof zeros);
    free(text);
    ret->bytes = (char *)g->bytes.data;
    ret->len = n;
    return !g->bytes.failed;
}

static enum err_code next_item(struct recording *r, struct recording_item *ret, struct err *e)
{
    struct gct *g = r->state;
    yyjson_val *answer = next_answer(g);
    if (!answer) return ERR_NOT_FOUND;
    const struct route_rule *rule = rule_of(r, g->route);
    struct str query = json_member(answer, "queryString");
    int n = snprintf(g->url, sizeof g->url, "%s%.*s%s%.*s", rule ? rule->base : "",
                     STR_ARG(g->route), query.n ? "?" : "", STR_ARG(query));
    ret->kind = RECORDING_REST;
    ret->venue = rule ? str_of(rule->venue) : STR("");
    if (n < 0 || (size_t)n >= sizeof g->url || !set_bytes(g, yyjson_obj_get(answer, "data"), ret))
        return ERR(e, ERR_PARSE, "%s: %.100s: an object with queryString and data expected",
                   r->path, g->url);
    ret->url = str_of(g->url);
    return ERR_OK;
}

const struct format format_gct = {
    .name = "gocryptotrader",
    .probe = probe,
    .open = open_file,
    .next = next_item,
    .close = close_file,
};
