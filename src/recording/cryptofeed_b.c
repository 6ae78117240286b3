/* cryptofeed's raw data, generation B: JSON lines {"t":"header|http|connect|send|recv", "conn":,
 * "ts":, "url"|"addr":, "data": the bytes as a JSON string}. The venue is told by a connection's
 * address, since the header's name ("COINBASE") stands for several protocols.
 */
#include "recording/json.h"
#include "recording/reader.h"

#include <stdlib.h>

enum { CONNECTIONS_MAX = 1024, NAME_SIZE = 96 };

struct known_connection {
    char name[NAME_SIZE];
    char url[512];
    struct str venue;
};

struct cryptofeed_b {
    struct known_connection *connections;
    size_t count;
    struct buf bytes; /* of the item: the JSON string without its escapes, padded */
    char url[4096];
};

static bool probe(const struct probe *p)
{
    return str_starts(p->head, "{\"t\":\"header\"") || str_starts(p->head, "{\"t\":\"http\"") ||
           str_starts(p->head, "{\"t\":\"connect\"") || str_starts(p->head, "{\"t\":\"recv\"");
}

static enum err_code open_file(struct recording *r, struct err *e)
{
    (void)e;
    struct cryptofeed_b *c = calloc(1, sizeof *c);
    CHECK(c != NULL);
    c->connections = calloc(CONNECTIONS_MAX, sizeof *c->connections);
    CHECK(c->connections != NULL);
    buf_init(&c->bytes, RECORDING_LINE_MAX + VENUE_PADDING);
    r->state = c;
    return ERR_OK;
}

static void close_file(struct recording *r)
{
    struct cryptofeed_b *c = r->state;
    if (!c) return;
    buf_free(&c->bytes);
    free(c->connections);
    free(c);
}

/* Finds or adds; past the limit the last one is used anew. */
static struct known_connection *connection(struct cryptofeed_b *c, struct str name)
{
    for (size_t i = 0; i < c->count; i++)
        if (str_is(name, c->connections[i].name)) return &c->connections[i];
    struct known_connection *k =
        &c->connections[c->count < CONNECTIONS_MAX ? c->count++ : c->count - 1];
    memset(k, 0, sizeof *k);
    str_copy(k->name, sizeof k->name, name);
    return k;
}

static int kind_of(struct str t)
{
    if (str_is(t, "recv")) return RECORDING_FRAME;
    if (str_is(t, "send")) return RECORDING_SENT;
    if (str_is(t, "connect")) return RECORDING_CONNECT;
    if (str_is(t, "disconnect") || str_is(t, "close")) return RECORDING_CLOSED;
    if (str_is(t, "http")) return RECORDING_REST;
    return -1;
}

static void set_bytes(struct cryptofeed_b *c, struct str data, struct recording_item *ret)
{
    static const char zeros[VENUE_PADDING];
    buf_reset(&c->bytes);
    buf_add_str(&c->bytes, data);
    buf_add(&c->bytes, zeros, sizeof zeros);
    ret->bytes = (char *)c->bytes.data;
    ret->len = data.n;
}

static bool fill(struct cryptofeed_b *c, yyjson_val *root, struct recording_item *ret)
{
    struct str conn = json_token(yyjson_obj_get(root, "conn"));
    if (time_parse_decimal(json_token(yyjson_obj_get(root, "ts")), NS_PER_S, &ret->received_ns) !=
        ERR_OK)
        return false;
    struct known_connection *k = connection(c, conn);
    struct str url = json_token(yyjson_obj_get(root, ret->kind == RECORDING_REST ? "url" : "addr"));
    const struct venue *v = url.n ? venue_by_url(url) : NULL;
    if (ret->kind == RECORDING_CONNECT) {
        str_copy(k->url, sizeof k->url, url);
        k->venue = v ? str_of(v->name) : STR("");
    }
    ret->venue = ret->kind == RECORDING_REST ? (v ? str_of(v->name) : STR("")) : k->venue;
    ret->connection = str_of(k->name);
    str_copy(c->url, sizeof c->url, url);
    ret->url = ret->kind == RECORDING_REST ? str_of(c->url) : str_of(k->url);
    set_bytes(c, json_token(yyjson_obj_get(root, "data")), ret);
    return true;
}

static enum err_code next_item(struct recording *r, struct recording_item *ret, struct err *e)
{
    for (;;) {
        struct input_line line;
        enum err_code code = input_line(r->in, RECORDING_LINE_MAX, &line, e);
        item_bytes(ret, &line);
        if (code != ERR_OK) return code;
        if (line.n == 0) continue;
        /* Not in situ: where the line is damaged its bytes must be whole for the dead letter. */
        yyjson_doc *doc = yyjson_read(line.p, line.n, YYJSON_READ_NUMBER_AS_RAW);
        yyjson_val *root = yyjson_doc_get_root(doc);
        struct str t = json_token(yyjson_obj_get(root, "t"));
        if (str_is(t, "header")) {
            yyjson_doc_free(doc);
            continue;
        }
        int kind = kind_of(t);
        ret->kind = (enum recording_kind)(kind < 0 ? 0 : kind);
        bool good = kind >= 0 && fill(r->state, root, ret);
        yyjson_doc_free(doc);
        if (good) return ERR_OK;
        return damaged_line(r, e, line.cut ? ERR_CORRUPT : ERR_PARSE, line.number, "%s",
                            line.cut
                                ? "the file ends in mid-line"
                                : "expected {\"t\":..., \"conn\":..., \"ts\":..., \"data\":...}");
    }
}

const struct format format_cryptofeed_b = {
    .name = "cryptofeed v3",
    .probe = probe,
    .open = open_file,
    .next = next_item,
    .close = close_file,
};
