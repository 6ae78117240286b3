#include "bus/bus_internal.h"
#include "io/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <yyjson.h>

enum { REACH_MS = 30000 };
#define LOOK_NS (30 * NS_PER_S)

/* --- the record's text --- */

static void write_ends(struct buf *out, const char *name, const int64_t *ends, int32_t n)
{
    buf_addf(out, "\"%s\":[", name);
    for (int32_t i = 0; i < n; i++) buf_addf(out, "%s%" PRId64, i ? "," : "", ends[i]);
    buf_add_cstr(out, "]");
}

void bus_position_write(const struct bus_position_record *r, struct buf *out)
{
    const struct bus_position *p = &r->position;
    buf_addf(out, "{\"version\":%d,\"number\":%" PRId64, BUS_POSITION_VERSION, r->number);
    buf_addf(out, ",\"system\":\"%" PRIu64 "\"", p->system);
    buf_addf(out, ",\"lsn\":\"%" PRIX32 "/%" PRIX32 "\"", (uint32_t)(p->lsn >> 32),
             (uint32_t)p->lsn);
    buf_addf(out, ",\"row\":%" PRId64, p->row);
    if (p->clock_ns == TIME_ABSENT)
        buf_add_cstr(out, ",\"clock_ns\":null");
    else
        buf_addf(out, ",\"clock_ns\":%" PRId64, p->clock_ns);
    buf_addf(out, ",\"finishes\":%" PRId64 ",\"ends\":{", p->finishes);
    write_ends(out, "trades", r->trades_end, r->partitions);
    buf_add_cstr(out, ",");
    write_ends(out, "gaps", r->gaps_end, r->partitions);
    buf_add_cstr(out, "}}");
}

static bool get_i64(yyjson_val *object, const char *name, int64_t least, int64_t *ret)
{
    yyjson_val *v = yyjson_obj_get(object, name);
    if (!yyjson_is_int(v)) return false;
    if (yyjson_is_uint(v) && yyjson_get_uint(v) > INT64_MAX) return false;
    *ret = yyjson_get_sint(v);
    return *ret >= least;
}

/* Digits of one base, all of them, at most so many; no sign, no blank: strtoull takes both. */
static bool digits(struct str s, unsigned base, size_t most, uint64_t *ret)
{
    uint64_t n = 0;
    if (s.n == 0 || s.n > most) return false;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        unsigned d = c >= '0' && c <= '9'   ? (unsigned)(c - '0')
                     : c >= 'A' && c <= 'F' ? (unsigned)(c - 'A') + 10
                     : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10
                                            : 16;
        if (d >= base || n > (UINT64_MAX - d) / base) return false;
        n = n * base + d;
    }
    *ret = n;
    return true;
}

static struct str get_text(yyjson_val *object, const char *name)
{
    yyjson_val *v = yyjson_obj_get(object, name);
    return (struct str){yyjson_get_str(v), yyjson_get_len(v)};
}

static bool get_lsn(yyjson_val *object, uint64_t *ret)
{
    struct str text = get_text(object, "lsn");
    if (!text.p) return false;
    uint64_t high, low;
    struct str first = str_cut(&text, '/');
    if (!digits(first, 16, 8, &high) || !digits(text, 16, 8, &low)) return false;
    *ret = high << 32 | low;
    return true;
}

static bool get_ends(yyjson_val *ends, const char *name, int64_t *ret, int32_t *ret_count)
{
    yyjson_val *list = yyjson_obj_get(ends, name), *v;
    size_t i, n;
    if (!yyjson_is_arr(list) || yyjson_arr_size(list) > BUS_PARTITIONS_MAX) return false;
    yyjson_arr_foreach(list, i, n, v)
    {
        if (!yyjson_is_int(v) || yyjson_get_sint(v) < 0) return false;
        ret[i] = yyjson_get_sint(v);
    }
    *ret_count = (int32_t)n;
    return true;
}

static const char *read_object(yyjson_val *o, struct bus_position_record *r)
{
    struct bus_position *p = &r->position;
    yyjson_val *clock = yyjson_obj_get(o, "clock_ns"), *ends = yyjson_obj_get(o, "ends");
    int32_t gaps = 0;
    if (!get_i64(o, "number", 0, &r->number)) return "number";
    struct str system = get_text(o, "system");
    if (!system.p || !digits(system, 10, 20, &p->system)) return "system";
    if (!get_lsn(o, &p->lsn)) return "lsn";
    if (!get_i64(o, "row", 0, &p->row)) return "row";
    p->clock_ns = TIME_ABSENT;
    if (!yyjson_is_null(clock) && !get_i64(o, "clock_ns", INT64_MIN, &p->clock_ns))
        return "clock_ns";
    if (!get_i64(o, "finishes", 0, &p->finishes)) return "finishes";
    if (!get_ends(ends, "trades", r->trades_end, &r->partitions)) return "ends.trades";
    if (!get_ends(ends, "gaps", r->gaps_end, &gaps) || gaps != r->partitions) return "ends.gaps";
    return NULL;
}

enum err_code bus_position_parse(struct str value, struct bus_position_record *ret, struct err *e)
{
    *ret = (struct bus_position_record){.position.clock_ns = TIME_ABSENT};
    if (value.n > BUS_POSITION_RECORD_MAX)
        return ERR(e, ERR_CORRUPT, "a position record of %zu bytes; the most is %d", value.n,
                   BUS_POSITION_RECORD_MAX);
    yyjson_doc *doc = value.n ? yyjson_read(value.p, value.n, 0) : NULL;
    yyjson_val *o = yyjson_doc_get_root(doc);
    int64_t version = 0;
    enum err_code code = ERR_OK;
    const char *bad = NULL;
    if (!yyjson_is_obj(o) || !get_i64(o, "version", 1, &version))
        code = ERR(e, ERR_CORRUPT, "a position record is not of our JSON: \"%.*s\"",
                   (int)(value.n < 80 ? value.n : 80), value.p);
    else if (version > BUS_POSITION_VERSION)
        code = ERR(e, ERR_VERSION,
                   "a position record has version %" PRId64 ", this program knows %d: use the "
                   "newer ticklake that wrote it",
                   version, BUS_POSITION_VERSION);
    else if ((bad = read_object(o, ret)))
        code = ERR(e, ERR_CORRUPT, "a position record has no usable \"%s\"", bad);
    yyjson_doc_free(doc);
    return code;
}

/* --- reading it back --- */

/* A topic that another process has just made is known to the brokers one after the other. */
static bool may_still_come(rd_kafka_resp_err_t code, int64_t since_ns)
{
    const int64_t spreading_ns = 30 * NS_PER_S;
    return (code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART ||
            code == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION ||
            code == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC) &&
           clock_mono_ns() - since_ns < spreading_ns;
}

/* librdkafka keeps for minutes that a topic has no partitions, and answers from that. All topics are asked for, since asking for
 * one by its name would make it where brokers do that. */
static void ask_anew(struct bus_client *c)
{
    const struct rd_kafka_metadata *m;
    if (rd_kafka_metadata(c->rk, 1, NULL, &m, 2000) == RD_KAFKA_RESP_ERR_NO_ERROR)
        rd_kafka_metadata_destroy(m);
}

enum err_code bus_ends(struct bus_client *c, const char *topic, int32_t n, int64_t *ret,
                       struct err *e)
{
    int64_t since_ns = clock_mono_ns();
    for (int32_t i = 0; i < n; i++) {
        int64_t low = 0, high = 0;
        for (;;) {
            rd_kafka_resp_err_t code =
                rd_kafka_query_watermark_offsets(c->rk, topic, i, &low, &high, 1000);
            if (code == RD_KAFKA_RESP_ERR_NO_ERROR) break;
            enum err_code ours = bus_error_code(code);
            bool soon = may_still_come(code, since_ns);
            if (ours == ERR_REFUSED || (ours == ERR_CONFIG && !soon)) {
                char what[BUS_NAME_MAX + 32];
                snprintf(what, sizeof what, "end of topic %s", topic);
                return bus_error(c, code, what, e);
            }
            rd_kafka_poll(c->rk, 0);
            TRY(bus_client_wait(c, "looking for the ends of topics", e));
            if (soon) ask_anew(c);
            if (ours != ERR_TIMEOUT) clock_sleep_ns(200 * NS_PER_MS);
        }
        bus_client_moved(c);
        ret[i] = high;
    }
    return ERR_OK;
}

struct position_reader {
    struct bus_client client;
    const char *topic, *key;
    int64_t end, deadline_ns; /* deadline 0: none; end 0: as far as read_committed sees */
    int64_t at;
    struct bus_position_record *ret;
};

static enum err_code take_message(struct position_reader *r, const rd_kafka_message_t *m,
                                  bool *ret_done, struct err *e)
{
    if (m->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        r->at = m->offset + 1;
        struct str key = {m->key, m->key_len};
        if (!str_is(key, r->key)) return ERR_OK;
        struct str value = {m->payload, m->len};
        if (!m->payload) { /* deleted by hand: as if it had never been */
            *r->ret = (struct bus_position_record){.position.clock_ns = TIME_ABSENT};
            return ERR_OK;
        }
        enum err_code code = bus_position_parse(value, r->ret, e);
        if (code != ERR_OK)
            return err_prefix(e, "topic %s, offset %" PRId64 ", key %s", r->topic, m->offset,
                              r->key);
        return ERR_OK;
    }
    if (m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        /* The end that read_committed sees is short of the topic's while a transaction is open: the newest position may stand
         * behind it, committed, and taking an older one would double records. */
        if (m->offset > r->at) r->at = m->offset;
        *ret_done = r->at >= r->end; /* always so without an end */
        return ERR_OK;
    }
    enum err_code ours = bus_error_code(m->err);
    if (err_action(ours) == ACT_RETRY) return ERR_OK;
    return ERR(e, ours, "topic %s: %s", r->topic, rd_kafka_err2str(m->err));
}

static enum err_code read_to_end(struct position_reader *r, rd_kafka_topic_t *rkt, struct err *e)
{
    bool done = false;
    int64_t before = -1;
    while (!done) {
        rd_kafka_poll(r->client.rk, 0);
        rd_kafka_message_t *m = rd_kafka_consume(rkt, 0, 500);
        if (m) {
            enum err_code code = take_message(r, m, &done, e);
            rd_kafka_message_destroy(m);
            TRY(code);
        }
        if (r->at > before) bus_client_moved(&r->client);
        if (!m || r->at <= before)
            TRY(bus_client_wait(&r->client, "reading the publisher's position", e));
        before = r->at;
        if (!done && r->deadline_ns && clock_mono_ns() > r->deadline_ns)
            return ERR(e, ERR_TIMEOUT,
                       "topic %s: read up to offset %" PRId64
                       ", and not to its end, in time; are Kafka brokers gone?",
                       r->topic, r->at);
    }
    return ERR_OK;
}

static enum err_code end_of_positions(const struct bus_options *o, const char *topic, int64_t *ret,
                                      struct err *e)
{
    static const char *const settings[][2] = {{"isolation.level", "read_uncommitted"}};
    const struct bus_client_setup setup = {
        .kind = BUS_CLIENT_CONSUMER,
        .role = "ends",
        .settings = settings,
        .setting_count = 1,
    };
    struct bus_client c;
    TRY(bus_client_open(o, &setup, &c, e));
    enum err_code code = bus_client_reach(&c, REACH_MS, e);
    if (code == ERR_OK) code = bus_ends(&c, topic, 1, ret, e);
    bus_client_close(&c);
    return code;
}

static enum err_code fetch(const struct bus_options *o, const char *name, struct position_reader *r,
                           struct err *e)
{
    static const char *const settings[][2] = {
        {"isolation.level", "read_committed"},
        {"enable.partition.eof", "true"},
        {"auto.offset.reset", "earliest"}, /* compaction moves the beginning while it is read */
    };
    const struct bus_client_setup setup = {
        .kind = BUS_CLIENT_CONSUMER,
        .role = "position",
        .settings = settings,
        .setting_count = sizeof settings / sizeof settings[0],
    };
    char topic[BUS_NAME_MAX], key[BUS_NAME_MAX + sizeof BUS_PUBLISHER_PREFIX];
    bus_positions_name(o, topic);
    snprintf(key, sizeof key, BUS_PUBLISHER_PREFIX "%s", name);
    r->topic = topic;
    r->key = key;
    *r->ret = (struct bus_position_record){.position.clock_ns = TIME_ABSENT};
    TRY(bus_client_open(o, &setup, &r->client, e));
    enum err_code code = bus_client_reach(&r->client, REACH_MS, e);
    rd_kafka_topic_t *rkt = rd_kafka_topic_new(r->client.rk, topic, NULL);
    CHECK(rkt != NULL);
    if (code == ERR_OK && rd_kafka_consume_start(rkt, 0, RD_KAFKA_OFFSET_BEGINNING) != 0)
        code = bus_error(&r->client, rd_kafka_last_error(), topic, e);
    else if (code == ERR_OK) {
        code = read_to_end(r, rkt, e);
        rd_kafka_consume_stop(rkt, 0);
    }
    rd_kafka_topic_destroy(rkt);
    bus_client_close(&r->client);
    return code;
}

enum err_code bus_position_fetch(const struct bus_options *o, const char *name,
                                 struct bus_position_record *ret, struct err *e)
{
    char topic[BUS_NAME_MAX];
    struct position_reader r = {.ret = ret};
    *ret = (struct bus_position_record){.position.clock_ns = TIME_ABSENT};
    bus_positions_name(o, topic);
    TRY(end_of_positions(o, topic, &r.end, e));
    return r.end ? fetch(o, name, &r, e) : ERR_OK;
}

enum err_code bus_position_read(const struct bus_options *o, const char *name,
                                struct bus_position *ret, struct err *e)
{
    struct bus_position_record record;
    struct position_reader r = {.ret = &record, .deadline_ns = clock_mono_ns() + LOOK_NS};
    TRY(fetch(o, name, &r, e));
    *ret = record.position;
    return ERR_OK;
}
