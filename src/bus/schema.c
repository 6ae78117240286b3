/* The Avro schemas of the topics, made from event/schema.h. */
#include "bus/codec_internal.h"

#include <pthread.h>
#include <stdio.h>

enum { SCHEMA_BYTES_MAX = 16 << 10 };

static const struct {
    const char *table, *record;
    enum table_id id;
} topics[BUS_TOPICS] = {
    [BUS_TRADES] = {"trades", "Trade", TABLE_TRADES},
    [BUS_QUOTES] = {"quotes", "Quote", TABLE_QUOTES},
    [BUS_GAPS] = {"gaps", "Gap", TABLE_GAPS},
    [BUS_DEAD_LETTERS] = {"dead_letters", "DeadLetter", TABLE_DEAD_LETTERS},
    [BUS_VENUE_CANDLES] = {"venue_candles", "VenueCandle", TABLE_VENUE_CANDLES},
    [BUS_INSTRUMENTS] = {"instruments", "Instrument", TABLE_INSTRUMENTS},
};

/* What the lake's columns do not hold. */
struct added {
    const char *name, *type, *standard, *doc;
};
static const struct added trade_extras[TRADE_FIELDS - (int)TRADES_MAX] = {
    {"ordinal", "\"int\"", "0", "n-th identical print on its connection, where there is no id"},
};
static const struct added gap_extras[GAP_FIELDS - (int)GAPS_MAX] = {
    {"from_time_ns", "[\"null\",\"long\"]", "null", "exact nanoseconds since 1970"},
    {"to_time_ns", "[\"null\",\"long\"]", "null", "exact nanoseconds since 1970"},
};
const char *bus_topic_table(enum bus_topic t)
{
    CHECK((int)t >= 0 && t < BUS_TOPICS);
    return topics[t].table;
}

enum table_id bus_topic_id(enum bus_topic t)
{
    CHECK((int)t >= 0 && t < BUS_TOPICS);
    return topics[t].id;
}

int bus_field_count(enum bus_topic t)
{
    if (t == BUS_TRADES) return TRADE_FIELDS;
    if (t == BUS_GAPS) return GAP_FIELDS;
    return table_of(bus_topic_id(t))->column_count;
}

static const char *type_of(enum column_type type)
{
    switch (type) {
    case COLUMN_STRING: return "\"string\"";
    case COLUMN_DECIMAL:
        return "{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":38,\"scale\":18}";
    case COLUMN_TIME: return "{\"type\":\"long\",\"logicalType\":\"timestamp-micros\"}";
    case COLUMN_LONG: return "\"long\"";
    case COLUMN_BOOLEAN: return "\"boolean\"";
    case COLUMN_BINARY: return "\"bytes\"";
    }
    CHECK(false);
}

/* Attributes in the order in which Java's Schema.toString() writes them: Glue compares texts, and so AWS's own library finds
 * our version instead of registering the same schema once more. `doc` stands in the files only: a better wording must not
 * be a new version. */
static void add_field(struct buf *b, bool pretty, bool first, const struct added *f)
{
    buf_add_cstr(b, first ? "" : ",");
    buf_add_cstr(b, pretty ? "\n    " : "");
    buf_addf(b, "{\"name\":\"%s\",\"type\":%s", f->name, f->type);
    if (pretty && f->doc[0]) {
        buf_add_cstr(b, ",\"doc\":");
        buf_add_json(b, str_of(f->doc));
    }
    if (f->standard) buf_addf(b, ",\"default\":%s", f->standard);
    buf_add_cstr(b, "}");
}

static void write_schema(enum bus_topic t, bool pretty, struct buf *b)
{
    const struct table *table = table_of(topics[t].id);
    const char *end = pretty ? "\n  " : "";
    buf_addf(b, "{%s\"type\":\"record\",%s\"name\":\"%s\",%s\"namespace\":\"io.ticklake.market\",",
             end, end, topics[t].record, end);
    buf_addf(b, "%s\"fields\":[", end);
    for (int i = 0; i < table->column_count; i++) {
        const struct column *c = &table->columns[i];
        char type[128];
        snprintf(type, sizeof type, "%s%s%s", c->required ? "" : "[\"null\",", type_of(c->type),
                 c->required ? "" : "]");
        struct added f = {c->name, type, c->required ? NULL : "null", c->doc};
        add_field(b, pretty, i == 0, &f);
    }
    for (int i = 0; t == BUS_TRADES && i < TRADE_FIELDS - (int)TRADES_MAX; i++)
        add_field(b, pretty, false, &trade_extras[i]);
    for (int i = 0; t == BUS_GAPS && i < GAP_FIELDS - (int)GAPS_MAX; i++)
        add_field(b, pretty, false, &gap_extras[i]);
    buf_addf(b, "%s]%s}", end, pretty ? "\n" : "");
}

void bus_schema_file(enum bus_topic t, struct buf *out)
{
    write_schema(t, true, out);
    buf_add_byte(out, '\n');
}

static struct buf texts[BUS_TOPICS];

static void make_all(void)
{
    for (int t = 0; t < BUS_TOPICS; t++) {
        buf_init(&texts[t], SCHEMA_BYTES_MAX);
        write_schema((enum bus_topic)t, false, &texts[t]);
        CHECK(!texts[t].failed && bus_field_count((enum bus_topic)t) <= FIELDS_MAX);
    }
}

struct str bus_schema(enum bus_topic t)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    CHECK((int)t >= 0 && t < BUS_TOPICS);
    pthread_once(&once, make_all);
    return buf_str(&texts[t]);
}
