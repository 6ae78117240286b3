/* What the Python tests drive of registry/ and the codec of bus/. The registry is told by the environment, so that no secret stands
 * in a process list: KIND (confluent, glue) URL NAME USER PASSWORD TOKEN RULE TIMEOUT_MS, each with REGISTRY_ in front; AWS_* as ever.
 *
 *   files DIR              writes schemas/market.*.avsc
 *   resolve                lines of [reader, writer] as JSON -> "ok" or why not, a line each
 *   compare                lines of [ours, theirs] -> a JSON list of [field, ours, theirs], a line each
 *   register SUBJECT       the schema on standard input -> its id; check SUBJECT: -> "ok"
 *   latest SUBJECT         -> [version, id, schema]
 *   each PREFIX            -> [subject, version, id, schema], a line each
 *   encode TABLE SUBJECT   registers our schema; some events, framed, as hex, a line each
 *   decode TABLE           lines of hex -> the event as JSON, or "error: CODE: why"
 *   speed                  events a second each way, on one core */
#include "bus/codec_internal.h"
#include "event/json.h"
#include "io/clock.h"
#include "io/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <yyjson.h>

static struct err e;

static int fail_with(enum err_code code)
{
    fprintf(stderr, "%s: %s\n", err_name(code), e.text);
    return err_exit_code(code);
}

static const char *env(const char *name)
{
    const char *v = getenv(name);
    return v && v[0] ? v : NULL;
}

static struct registry *connect(void)
{
    const char *kind = env("REGISTRY_KIND");
    struct registry_options o = {
        .kind = !kind                       ? REGISTRY_NONE
                : strcmp(kind, "glue") == 0 ? REGISTRY_GLUE
                                            : REGISTRY_CONFLUENT,
        .url = env("REGISTRY_URL"),
        .name = env("REGISTRY_NAME"),
        .user = env("REGISTRY_USER"),
        .password = env("REGISTRY_PASSWORD"),
        .token = env("REGISTRY_TOKEN"),
        .compatibility = env("REGISTRY_RULE"),
        .timeout_ms = env("REGISTRY_TIMEOUT_MS")
                          ? (int32_t)strtol(env("REGISTRY_TIMEOUT_MS"), NULL, 10)
                          : 5000,
    };
    return registry_new(&o);
}

static enum bus_topic topic_of(const char *table)
{
    for (int t = 0; t < BUS_TOPICS; t++)
        if (strcmp(table, bus_topic_table((enum bus_topic)t)) == 0) return (enum bus_topic)t;
    fprintf(stderr, "no table %s\n", table);
    exit(64);
}

/* A line of standard input without its end; false at the end. */
static bool read_line(struct buf *line)
{
    int c;
    buf_reset(line);
    while ((c = getchar()) != EOF && c != '\n') buf_add_byte(line, (uint8_t)c);
    return c != EOF || line->len;
}

static void print_hex(const void *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++) printf("%02x", ((const uint8_t *)bytes)[i]);
}

static void id_text(const struct registry_id *id, char out[40])
{
    if (id->kind == REGISTRY_CONFLUENT) {
        snprintf(out, 40, "%lu", (unsigned long)id->number);
        return;
    }
    for (int i = 0; i < 16; i++) snprintf(out + 2 * i, 3, "%02x", id->uuid[i]);
}

static int write_files(const char *folder)
{
    for (int t = 0; t < BUS_TOPICS; t++) {
        char path[1024];
        struct buf text;
        snprintf(path, sizeof path, "%s/market.%s.avsc", folder,
                 bus_topic_table((enum bus_topic)t));
        buf_init(&text, 1 << 20);
        bus_schema_file((enum bus_topic)t, &text);
        enum err_code code = file_write_durable(path, buf_str(&text), &e);
        buf_free(&text);
        if (code != ERR_OK) return fail_with(code);
    }
    return 0;
}

/* ---- pairs of schemas ---- */

static void print_difference(void *ctx, const struct registry_difference *d)
{
    struct buf b;
    buf_init(&b, 1 << 16);
    buf_add_cstr(&b, *(int *)ctx ? "," : "");
    buf_add_cstr(&b, "[");
    buf_add_json(&b, d->field);
    buf_add_cstr(&b, ",");
    buf_add_json(&b, str_of(d->ours));
    buf_add_cstr(&b, ",");
    buf_add_json(&b, str_of(d->theirs));
    buf_add_cstr(&b, "]");
    printf("%s", buf_cstr(&b));
    *(int *)ctx = 1;
    buf_free(&b);
}

static int pairs(bool resolve)
{
    struct buf line;
    buf_init(&line, 8 << 20);
    while (read_line(&line)) {
        yyjson_doc *doc = yyjson_read((char *)line.data, line.len, 0);
        yyjson_val *root = yyjson_doc_get_root(doc);
        struct str a = str_of(yyjson_get_str(yyjson_arr_get(root, 0)));
        struct str b = str_of(yyjson_get_str(yyjson_arr_get(root, 1)));
        if (resolve) {
            enum err_code code = registry_compatible(a, b, &e);
            printf("%s\n", code == ERR_OK ? "ok" : e.text);
        } else {
            size_t n;
            int some = 0;
            printf("[");
            if (registry_compare(a, b, print_difference, &some, &n, &e) != ERR_OK)
                return fail_with(e.code);
            printf("]\n");
        }
        yyjson_doc_free(doc);
    }
    buf_free(&line);
    return 0;
}

/* ---- subjects ---- */

static int put(struct registry *r, const char *subject, bool add)
{
    struct buf schema;
    struct registry_id id;
    char text[40];
    buf_init(&schema, 2 << 20);
    int c;
    while ((c = getchar()) != EOF) buf_add_byte(&schema, (uint8_t)c);
    enum err_code code = add ? registry_register(r, str_of(subject), buf_str(&schema), &id, &e)
                             : registry_check(r, str_of(subject), buf_str(&schema), &e);
    buf_free(&schema);
    if (code != ERR_OK) return fail_with(code);
    if (add) id_text(&id, text);
    printf("%s\n", add ? text : "ok");
    return 0;
}

static enum err_code print_version(void *ctx, struct str subject, int32_t version,
                                   const struct registry_id *id, struct str schema, struct err *er)
{
    (void)ctx;
    (void)er;
    char text[40];
    struct buf b;
    buf_init(&b, 4 << 20);
    id_text(id, text);
    buf_add_json(&b, subject);
    buf_addf(&b, ",%d,\"%s\",", (int)version, text);
    buf_add_json(&b, schema);
    printf("[%s]\n", buf_cstr(&b));
    buf_free(&b);
    return ERR_OK;
}

static int latest(struct registry *r, const char *subject)
{
    struct registry_id id;
    int32_t version;
    struct str schema;
    enum err_code code = registry_latest(r, str_of(subject), &id, &version, &schema, &e);
    if (code == ERR_OK) code = print_version(NULL, str_of(subject), version, &id, schema, &e);
    return code == ERR_OK ? 0 : fail_with(code);
}

/* ---- events ---- */

static void some_trades(struct batch *b, struct series_table *names)
{
    uint32_t btc =
        series_intern(names, STR("binance"), STR("binance"), STR("BTC-USDT"), STR("BTCUSDT"));
    uint32_t eth = series_intern(names, STR("tiingo"), STR("nyse"), STR("ETH-USD"), STR("ethusd"));
    *batch_add_trade(b) = (struct trade){.series = btc,
                                         .stream = STREAM_TRADE,
                                         .side = SIDE_BUY,
                                         .has_id = true,
                                         .id = 3216549870123,
                                         .price = dec_normal(6183763, 2),
                                         .size = dec_normal(-25, 5),
                                         .venue_time_ns = 1764086803123456789,
                                         .received_ns = 1764086803223456789,
                                         .sequence = 42};
    *batch_add_trade(b) = (struct trade){.series = eth,
                                         .stream = STREAM_AGG_TRADE,
                                         .side = SIDE_UNKNOWN,
                                         .origin = ORIGIN_REPAIRED,
                                         .kind = KIND_AUCTION,
                                         .has_range = true,
                                         .first_id = 7,
                                         .last_id = 9,
                                         .price = dec_normal(999999999999999999, 18),
                                         .size = dec_normal(999999999999999999, 0),
                                         .venue_time_ns = TIME_ABSENT,
                                         .received_ns = 1764086803223000001,
                                         .sequence = 43,
                                         .ordinal = 2};
}

static void some_quote(struct batch *b, struct series_table *names)
{
    uint32_t s =
        series_intern(names, STR("binance"), STR("binance"), STR("BTC-USDT"), STR("BTCUSDT"));
    *batch_add_quote(b) = (struct quote){.series = s,
                                         .bid_price = dec_normal(1, 0),
                                         .bid_size = dec_absent(),
                                         .ask_price = dec_normal(1001, 3),
                                         .ask_size = dec_normal(0, 0),
                                         .venue_time_ns = TIME_ABSENT,
                                         .received_ns = 1764086803223456789,
                                         .sequence = 5};
}

static int encode(struct registry *r, enum bus_topic t, const char *subject)
{
    struct registry_id id;
    enum err_code code = registry_register(r, str_of(subject), bus_schema(t), &id, &e);
    if (code != ERR_OK) return fail_with(code);
    struct batch_pool *pool = batch_pool_new(1, 100, 1 << 20);
    struct batch *b = batch_get(pool, 0);
    struct series_table *names = series_new();
    some_trades(b, names);
    some_quote(b, names);
    size_t count = t == BUS_TRADES ? b->trade_count : t == BUS_QUOTES ? b->quote_count : 0;
    struct buf out;
    buf_init(&out, 1 << 20);
    for (uint32_t i = 0; i < count; i++) {
        uint8_t frame[REGISTRY_FRAME_MAX];
        buf_reset(&out);
        buf_add(&out, frame, registry_frame(&id, frame));
        CHECK(bus_encode(t, b, i, names, &out) == ERR_OK);
        print_hex(out.data, out.len);
        printf("\n");
    }
    buf_free(&out);
    batch_put(b);
    batch_pool_free(pool);
    series_free(names);
    return 0;
}

static void unhex(const struct buf *line, struct buf *out)
{
    static const char digits[] = "0123456789abcdef";
    buf_reset(out);
    for (size_t i = 0; i + 1 < line->len; i += 2) {
        const char *a = strchr(digits, line->data[i]), *b = strchr(digits, line->data[i + 1]);
        CHECK(a && b);
        buf_add_byte(out, (uint8_t)((a - digits) << 4 | (b - digits)));
    }
}

static int decode(struct registry *r, enum bus_topic t)
{
    struct batch_pool *pool = batch_pool_new(1, 1000, 64 << 20);
    struct batch *b = batch_get(pool, 0);
    struct series_table *names = series_new();
    struct bus_decoder *d = bus_decoder_new(t, r, names);
    struct buf line, record, out;
    buf_init(&line, 16 << 20);
    buf_init(&record, 8 << 20);
    buf_init(&out, 8 << 20);
    while (read_line(&line)) {
        batch_clear(b);
        unhex(&line, &record);
        enum err_code code = bus_decode(d, buf_str(&record), b, &e);
        buf_reset(&out);
        if (code == ERR_OK) event_json(b, b->order[0], names, &out);
        if (code == ERR_OK)
            printf("%s\n", buf_cstr(&out));
        else
            printf("error: %s: %s\n", err_name(code), e.text);
    }
    buf_free(&line);
    buf_free(&record);
    buf_free(&out);
    bus_decoder_free(d);
    batch_put(b);
    batch_pool_free(pool);
    series_free(names);
    return 0;
}

/* ---- speed ---- */

static int speed(void)
{
    enum { EVENTS = 10000, ROUNDS = 200 };
    static const struct registry_id id = {REGISTRY_CONFLUENT, 1, {0}};
    struct registry *r =
        registry_new(&(struct registry_options){.kind = REGISTRY_CONFLUENT, .url = "http://x"});
    CHECK(registry_keep(r, &id, bus_schema(BUS_TRADES), &e) == ERR_OK);
    struct batch_pool *pool = batch_pool_new(2, EVENTS, 64 << 20);
    struct batch *b = batch_get(pool, 0), *back = batch_get(pool, 0);
    struct series_table *names = series_new();
    for (int i = 0; i < 50; i++) {
        char name[16];
        struct str s = {name, (size_t)snprintf(name, sizeof name, "S%d-USDT", i)};
        series_intern(names, STR("binance"), STR("binance"), s, s);
    }
    for (int i = 0; i < EVENTS; i++)
        *batch_add_trade(b) = (struct trade){.series = (uint32_t)(i * 7 % 50),
                                             .stream = STREAM_TRADE,
                                             .side = SIDE_SELL,
                                             .has_id = true,
                                             .id = 3216549870123 + i,
                                             .has_range = true,
                                             .first_id = 3216549870123 + i,
                                             .last_id = 3216549870123 + i,
                                             .price = dec_normal(6183763 + i, 2),
                                             .size = dec_normal(25 + i, 5),
                                             .venue_time_ns = 1764086803123456789 + i,
                                             .received_ns = 1764086803223456789 + i,
                                             .sequence = 42 + i};
    struct buf out;
    buf_init(&out, 64 << 20);
    size_t *ends = calloc(EVENTS + 1, sizeof *ends);
    CHECK(ends != NULL);
    int64_t from_ns = clock_cpu_ns();
    for (int round = 0; round < ROUNDS; round++) {
        buf_reset(&out);
        for (uint32_t i = 0; i < EVENTS; i++) {
            uint8_t frame[REGISTRY_FRAME_MAX];
            buf_add(&out, frame, registry_frame(&id, frame));
            CHECK(bus_encode(BUS_TRADES, b, i, names, &out) == ERR_OK);
            ends[i + 1] = out.len;
        }
    }
    int64_t encoded_ns = clock_cpu_ns() - from_ns;
    struct bus_decoder *d = bus_decoder_new(BUS_TRADES, r, names);
    from_ns = clock_cpu_ns();
    for (int round = 0; round < ROUNDS; round++) {
        batch_clear(back);
        for (uint32_t i = 0; i < EVENTS; i++)
            CHECK(bus_decode(d, (struct str){(char *)out.data + ends[i], ends[i + 1] - ends[i]},
                             back, &e) == ERR_OK);
    }
    int64_t decoded_ns = clock_cpu_ns() - from_ns;
    printf("{\"bytes\": %zu, \"encode_per_s\": %lld, \"decode_per_s\": %lld}\n", out.len / EVENTS,
           (long long)((int64_t)EVENTS * ROUNDS * 1000 / (encoded_ns / 1000000)),
           (long long)((int64_t)EVENTS * ROUNDS * 1000 / (decoded_ns / 1000000)));
    return 0;
}

int main(int argc, char **argv)
{
    const char *verb = argc > 1 ? argv[1] : "", *name = argc > 2 ? argv[2] : "";
    if (strcmp(verb, "files") == 0) return write_files(name);
    if (strcmp(verb, "resolve") == 0 || strcmp(verb, "compare") == 0) return pairs(verb[0] == 'r');
    if (strcmp(verb, "speed") == 0) return speed();
    struct registry *r = connect();
    int code = 64;
    if (strcmp(verb, "register") == 0 || strcmp(verb, "check") == 0)
        code = put(r, name, verb[0] == 'r');
    if (strcmp(verb, "latest") == 0) code = latest(r, name);
    if (strcmp(verb, "each") == 0) {
        enum err_code got = registry_each(r, str_of(name), print_version, NULL, &e);
        code = got == ERR_OK ? 0 : fail_with(got);
    }
    if (strcmp(verb, "encode") == 0 && argc > 3) code = encode(r, topic_of(name), argv[3]);
    if (strcmp(verb, "decode") == 0) code = decode(r, topic_of(name));
    registry_free(r);
    return code;
}
