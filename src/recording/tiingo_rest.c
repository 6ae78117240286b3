/* Tiingo's REST answers as files: the array of /tiingo/crypto (metadata), /tiingo/crypto/top or
 * /tiingo/crypto/prices, told apart by the members of the first ticker. One REST item; the bars'
 * frequency is their smallest distance.
 */
#include "recording/json.h"
#include "recording/reader.h"

#include <stdio.h>
#include <stdlib.h>

struct tiingo_rest {
    bool done;
    char url[256];
};

static bool probe(const struct probe *p)
{
    struct str head = str_trim(p->head);
    if (head.n < 2 || head.p[0] != '[') return false;
    struct str rest = str_trim((struct str){head.p + 1, head.n - 1});
    return str_starts(rest, "{") && str_contains(rest, "\"ticker\"") &&
           str_contains(rest, "\"baseCurrency\"");
}

/* Seconds between the nearest two bars of the answer, 0 when there are not two. */
static int64_t frequency(yyjson_val *bars)
{
    int64_t least = 0, before = TIME_ABSENT;
    size_t i, max;
    yyjson_val *bar;
    yyjson_arr_foreach(bars, i, max, bar)
    {
        int64_t ns;
        if (time_parse_iso(json_member(bar, "date"), &ns) != ERR_OK) continue;
        if (before != TIME_ABSENT && ns > before &&
            (least == 0 || (ns - before) / NS_PER_S < least))
            least = (ns - before) / NS_PER_S;
        before = ns;
    }
    return least;
}

static void find_url(struct tiingo_rest *t, yyjson_val *first)
{
    const char *base = "https://api.tiingo.com/tiingo/crypto";
    struct str ticker = json_member(first, "ticker");
    if (ticker.n > 64) ticker.n = 64;
    yyjson_val *bars = yyjson_obj_get(first, "priceData");
    int64_t every = frequency(bars);
    if (bars && every > 0 && every % 86400 == 0)
        snprintf(t->url, sizeof t->url, "%s/prices?tickers=%.*s&resampleFreq=%lldday", base,
                 STR_ARG(ticker), (long long)(every / 86400));
    else if (bars && every > 0 && every % 3600 == 0)
        snprintf(t->url, sizeof t->url, "%s/prices?tickers=%.*s&resampleFreq=%lldhour", base,
                 STR_ARG(ticker), (long long)(every / 3600));
    else if (bars)
        snprintf(t->url, sizeof t->url, "%s/prices?tickers=%.*s&resampleFreq=%lldmin", base,
                 STR_ARG(ticker), (long long)(every >= 60 ? every / 60 : 5));
    else if (yyjson_obj_get(first, "topOfBookData"))
        snprintf(t->url, sizeof t->url, "%s/top?tickers=%.*s", base, STR_ARG(ticker));
    else
        snprintf(t->url, sizeof t->url, "%s", base);
}

static enum err_code open_file(struct recording *r, struct err *e)
{
    (void)e;
    r->state = calloc(1, sizeof(struct tiingo_rest));
    CHECK(r->state != NULL);
    r->venue = STR("tiingo");
    return ERR_OK;
}

static void close_file(struct recording *r) { free(r->state); }

static enum err_code next_item(struct recording *r, struct recording_item *ret, struct err *e)
{
    struct tiingo_rest *t = r->state;
    if (t->done) return ERR_NOT_FOUND;
    t->done = true;
    struct input_line text;
    enum err_code code = input_rest(r->in, RECORDING_DOCUMENT_MAX, &text, e);
    item_bytes(ret, &text);
    if (code != ERR_OK) return code;
    yyjson_read_err why;
    yyjson_doc *doc = yyjson_read_opts(text.p, text.n, YYJSON_READ_NUMBER_AS_RAW, NULL, &why);
    if (!doc) return ERR(e, ERR_CORRUPT, "%s: byte %zu: no JSON: %s", r->path, why.pos, why.msg);
    find_url(t, yyjson_arr_get_first(yyjson_doc_get_root(doc)));
    yyjson_doc_free(doc);
    ret->kind = RECORDING_REST;
    ret->url = str_of(t->url);
    return ERR_OK;
}

const struct format format_tiingo_rest = {
    .name = "tiingo rest",
    .probe = probe,
    .open = open_file,
    .next = next_item,
    .close = close_file,
};
