/* Hostile records on the bus: the first byte is the topic; then a record of our own schema, or, where its high bit is set, a
 * writer's schema, a zero byte and a record of it. What is decoded is encoded again and must come back the same. */
#include "bus/codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct registry_id id = {REGISTRY_CONFLUENT, 1, {0}},
                                again = {REGISTRY_CONFLUENT, 2, {0}};

static struct series_table *names;

static void encode_again(enum bus_topic t, struct bus_decoder *d, struct batch *b)
{
    struct buf one, two;
    struct err e = {0};
    uint8_t frame[REGISTRY_FRAME_MAX];
    buf_init(&one, 4 << 20);
    buf_init(&two, 4 << 20);
    buf_add(&one, frame, registry_frame(&again, frame));
    buf_add(&two, frame, registry_frame(&again, frame));
    CHECK(bus_encode(t, b, 0, names, &one) == ERR_OK);
    enum err_code code = bus_decode(d, buf_str(&one), b, &e);
    CHECK(code == ERR_OK);
    CHECK(bus_encode(t, b, 1, names, &two) == ERR_OK);
    CHECK(str_eq(buf_str(&one), buf_str(&two)));
    buf_free(&one);
    buf_free(&two);
}

/* What is the same for every input is made once: inputs a second count. */
static struct batch_pool *pool;
static struct registry *our_registry[BUS_TOPICS];
static struct bus_decoder *our_decoder[BUS_TOPICS];

static struct registry *registry_with(enum bus_topic t, struct str schema)
{
    struct registry *r = registry_new(&(struct registry_options){.kind = REGISTRY_CONFLUENT});
    CHECK(registry_keep(r, &id, schema, NULL) == ERR_OK);
    CHECK(registry_keep(r, &again, bus_schema(t), NULL) == ERR_OK);
    return r;
}

static void set_up(void)
{
    if (pool) return;
    names = series_new();
    pool = batch_pool_new(1, 10, 1 << 20);
    for (int t = 0; t < BUS_TOPICS; t++) {
        our_registry[t] = registry_with((enum bus_topic)t, bus_schema((enum bus_topic)t));
        our_decoder[t] = bus_decoder_new((enum bus_topic)t, our_registry[t], names);
    }
}

static void decode(enum bus_topic t, struct bus_decoder *d, struct str bytes)
{
    struct buf record;
    struct err e = {0};
    uint8_t frame[REGISTRY_FRAME_MAX];
    struct batch *b = batch_get(pool, 0);
    buf_init(&record, bytes.n + REGISTRY_FRAME_MAX);
    buf_add(&record, frame, registry_frame(&id, frame));
    buf_add_str(&record, bytes);
    enum err_code code = bus_decode(d, buf_str(&record), b, &e);
    CHECK(code == ERR_OK || code == ERR_PARSE || code == ERR_INEXACT || code == ERR_INCOMPATIBLE);
    CHECK(b->event_count + b->instrument_count == (code == ERR_OK));
    CHECK(code == ERR_OK || b->extra_count == 0);
    for (size_t i = 0; i < b->extra_count; i++) {
        const struct extra *x = &b->extras[i];
        CHECK(x->index == 0 && x->column < b->extra_column_count);
        if (b->extra_columns[x->column].type == COLUMN_STRING) CHECK(str_is_utf8(x->bytes));
    }
    if (code == ERR_OK) encode_again(t, d, b);
    buf_free(&record);
    batch_put(b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) return 0;
    set_up();
    enum bus_topic t = (enum bus_topic)(data[0] % BUS_TOPICS);
    struct str rest = {(const char *)data + 1, size - 1};
    if (!(data[0] & 0x80)) {
        decode(t, our_decoder[t], rest);
        return 0;
    }
    struct registry *r = registry_with(t, str_cut(&rest, 0));
    struct bus_decoder *d = bus_decoder_new(t, r, names);
    decode(t, d, rest);
    bus_decoder_free(d);
    registry_free(r);
    return 0;
}
