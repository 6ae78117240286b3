#include "bus/publisher_internal.h"
#include "io/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { CLOSE_MS = 3000 };

/* --- delivery reports --- */

static void note_failure(struct bus_publisher *p, const char *text)
{
    if (!p->failed) snprintf(p->failed_text, sizeof p->failed_text, "%s", text);
    p->failed = true;
}

static void note_offset(struct bus_publisher *p, struct lane *lane, int64_t offset)
{
    int64_t index = lane->reported++, base = offset - index;
    /* A broker that no longer knows a repeated request by its number says "written", and not where. */
    if (offset < 0)
        note_failure(p, "a record was acknowledged without its offset");
    else {
        bool moved = lane->base >= 0 && lane->base != base;
        p->mixed |= moved;
        if (moved && index < lane->relied)
            note_failure(p, "records of somebody else stand between ours");
        lane->base = base;
        lane->newest = offset;
    }
}

static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque)
{
    (void)rk;
    struct bus_publisher *p = ((struct bus_client *)opaque)->owner;
    if (m->err) {
        note_failure(p, rd_kafka_err2str(m->err));
        return;
    }
    bus_client_moved(&p->client);
    if (m->_private) note_offset(p, m->_private, m->offset);
}

static void set_delivery(rd_kafka_conf_t *conf) { rd_kafka_conf_set_dr_msg_cb(conf, on_delivery); }

/* --- the client --- */

static enum err_code open_client(struct bus_publisher *p, struct err *e)
{
    /* transaction.timeout.ms also bounds how long a record may wait for its broker. A longer outage only costs publishing the
     * open transaction again; but so long what a killed publisher left open hides the records of others. */
    const char *const settings[][2] = {
        {"transactional.id", p->id},
        {"transaction.timeout.ms", "300000"},
        {"compression.codec", "lz4"},
        {"linger.ms", "5"},
        {"queue.buffering.max.kbytes", "65536"},
        {"queue.buffering.max.messages", "200000"},
    };
    const struct bus_client_setup setup = {
        .kind = BUS_CLIENT_PRODUCER,
        .role = "publisher",
        .owner = p,
        .settings = settings,
        .setting_count = sizeof settings / sizeof settings[0],
        .prepare = set_delivery,
    };
    TRY(bus_client_open(&p->options, &setup, &p->client, e));
    char text[32];
    size_t n = sizeof text;
    int64_t timeout_ms = 0;
    CHECK(rd_kafka_conf_get(rd_kafka_conf(p->client.rk), "transaction.timeout.ms", text, &n) ==
          RD_KAFKA_CONF_OK);
    CHECK(str_to_i64(str_of(text), &timeout_ms) == ERR_OK);
    p->transaction_ns = timeout_ms * NS_PER_MS;
    for (int t = 0; t <= BUS_TOPICS; t++) {
        p->topics[t] = rd_kafka_topic_new(p->client.rk, p->topic_names[t], NULL);
        CHECK(p->topics[t] != NULL);
    }
    return ERR_OK;
}

void publisher_disconnect(struct bus_publisher *p)
{
    for (int t = 0; t <= BUS_TOPICS; t++) {
        if (p->topics[t]) rd_kafka_topic_destroy(p->topics[t]);
        p->topics[t] = NULL;
    }
    bus_client_close(&p->client);
}

/* Why a call on a transaction failed, and whether to call it again. Takes the error over. */
struct outcome {
    bool again, abort, fatal;
    rd_kafka_resp_err_t code;
    char text[200];
};
static struct outcome outcome_of(rd_kafka_error_t *error)
{
    struct outcome o = {0};
    if (!error) return o;
    o.code = rd_kafka_error_code(error);
    o.fatal = rd_kafka_error_is_fatal(error);
    o.abort = rd_kafka_error_txn_requires_abort(error);
    o.again = rd_kafka_error_is_retriable(error) && !o.fatal && !o.abort;
    snprintf(o.text, sizeof o.text, "%s", rd_kafka_error_string(error));
    rd_kafka_error_destroy(error);
    return o;
}

/* limit_ms 0: for ever. */
static enum err_code init_transactions(struct bus_publisher *p, int32_t limit_ms, struct err *e)
{
    const int64_t began_ns = clock_mono_ns();
    for (;;) {
        struct outcome o = outcome_of(rd_kafka_init_transactions(p->client.rk, STEP_MS));
        rd_kafka_poll(p->client.rk, 0);
        if (!o.code) return ERR_OK;
        if (!o.again) return bus_error(&p->client, o.code, "taking over as the publisher", e);
        TRY(bus_client_wait(&p->client, "taking over as the publisher", e));
        if (limit_ms && clock_mono_ns() - began_ns > limit_ms * NS_PER_MS)
            return ERR(
                e, ERR_UNAVAILABLE,
                "Kafka brokers %s: no coordinator for the transactional id %s in %d s: %s%s%s",
                p->options.brokers, p->id, limit_ms / 1000, o.text,
                p->client.error_text[0] ? "; " : "", p->client.error_text);
    }
}

enum err_code publisher_connect(struct bus_publisher *p, int32_t limit_ms, struct err *e)
{
    TRY(open_client(p, e));
    enum err_code code = limit_ms ? bus_client_reach(&p->client, limit_ms, e) : ERR_OK;
    if (code == ERR_OK) code = init_transactions(p, limit_ms, e);
    if (code == ERR_OK)
        bus_client_moved(&p->client);
    else
        publisher_disconnect(p);
    return code;
}

/* --- beginning and ending --- */

static void set_lanes(struct bus_publisher *p, bool commit)
{
    for (int32_t i = 0; i < p->options.partitions; i++) {
        struct lane *both[] = {&p->trades[i], &p->gaps[i]};
        for (int k = 0; k < 2; k++) {
            struct lane *l = both[k];
            if (commit)
                l->committed = l->newest;
            else
                l->newest = l->committed;
            l->told = l->base = l->finishes = -1;
            l->sent = l->reported = l->relied = 0;
        }
    }
}

static void end_transaction(struct bus_publisher *p, bool committed)
{
    set_lanes(p, committed);
    if (committed) {
        p->number++;
        p->total_records += p->records;
        p->total_bytes += p->bytes;
        p->transactions++;
    } else
        p->aborts++;
    p->open = p->failed = false;
    p->records = p->bytes = 0;
}

enum err_code publisher_begin(struct bus_publisher *p, struct err *e)
{
    if (p->fenced)
        return ERR(e, ERR_FENCED, "another publisher with the transactional id %s took over",
                   p->id);
    if (!p->client.rk) TRY(publisher_connect(p, 0, e));
    if (p->open) return ERR_OK;
    struct outcome o = outcome_of(rd_kafka_begin_transaction(p->client.rk));
    p->opened_ns = clock_mono_ns();
    if (o.code) return publisher_give_up(p, false, o.text, e);
    p->open = true;
    p->failed = false;
    return ERR_OK;
}

/* Not rd_kafka_flush: while a broker does not answer, the client's threads poll without a pause under it (seen: 172 % of a core
 * for minutes). linger.ms sends the rest as soon. */
enum err_code publisher_drain(struct bus_publisher *p, bool *ret_good, struct err *e)
{
    while (rd_kafka_outq_len(p->client.rk) > 0)
        if (rd_kafka_poll(p->client.rk, STEP_MS) == 0)
            TRY(bus_client_wait(&p->client, "waiting for acknowledgements", e));
    *ret_good = !p->failed;
    return ERR_OK;
}

/* --- when it goes wrong --- */

/* Where the brokers have us: the number of the newest position record says whether a commit was done. Somebody who published
 * under our name in between shows as a number that we never gave. */
static enum err_code was_committed(struct bus_publisher *p, bool attempted, bool *ret,
                                   struct err *e)
{
    struct bus_position_record r;
    TRY(bus_position_fetch(&p->options, p->name, &r, e));
    *ret = attempted && r.number == p->number + 1;
    if (*ret || r.number == p->number) return ERR_OK;
    p->fenced = true;
    return ERR(e, ERR_FENCED,
               "the position of publisher %s is of transaction %" PRId64 ", ours is %" PRId64
               ": another one published under this name",
               p->name, r.number, p->number);
}

static enum err_code abort_transaction(struct bus_publisher *p, bool *ret_done, struct err *e)
{
    bool good;
    *ret_done = false;
    /* Aborting with records still queued ends in a fatal INVALID_TXN_STATE (seen with 2.0.2 to 2.15.1): they go first. */
    TRY(publisher_drain(p, &good, e));
    for (;;) {
        struct outcome o = outcome_of(rd_kafka_abort_transaction(p->client.rk, STEP_MS));
        rd_kafka_poll(p->client.rk, 0);
        if (!o.code) {
            *ret_done = true;
            return ERR_OK;
        }
        if (!o.again) return ERR_OK;
        TRY(bus_client_wait(&p->client, "aborting a transaction", e));
    }
}

static bool is_fenced(struct bus_publisher *p)
{
    char text[200];
    rd_kafka_resp_err_t code = rd_kafka_fatal_error(p->client.rk, text, sizeof text);
    /* A coordinator that ends a transaction past its time fences its publisher too. */
    return code && bus_error_code(code) == ERR_FENCED &&
           clock_mono_ns() - p->opened_ns < p->transaction_ns;
}

enum err_code publisher_give_up(struct bus_publisher *p, bool attempted, const char *why,
                                struct err *e)
{
    char text[256];
    bool aborted = false, committed = false;
    snprintf(text, sizeof text, "%s%s%s", why, p->failed ? ": " : "",
             p->failed ? p->failed_text : "");
    char fatal[200];
    if (!rd_kafka_fatal_error(p->client.rk, fatal, sizeof fatal))
        TRY(abort_transaction(p, &aborted, e));
    if (!aborted) {
        p->fenced = is_fenced(p);
        publisher_disconnect(p);
        if (p->fenced) {
            end_transaction(p, false);
            return ERR(e, ERR_FENCED,
                       "another publisher with the transactional id %s took over (%s)", p->id,
                       text);
        }
        TRY(publisher_connect(p, 0, e));
    }
    if (attempted || !aborted) TRY(was_committed(p, attempted, &committed, e));
    end_transaction(p, committed);
    if (committed) return ERR_OK;
    return ERR(e, ERR_CONFLICT, "the Kafka transaction was given up, publish it again: %s", text);
}

/* --- commit --- */

static void fill_record(const struct bus_publisher *p, const struct bus_position *position,
                        struct bus_position_record *r)
{
    r->position = *position;
    r->number = p->number + 1;
    r->partitions = p->options.partitions;
    for (int32_t i = 0; i < r->partitions; i++) {
        r->trades_end[i] = p->trades[i].newest + 1;
        r->gaps_end[i] = p->gaps[i].newest + 1;
    }
}

static enum err_code send_position(struct bus_publisher *p, const struct bus_position *position,
                                   struct err *e)
{
    struct bus_position_record record;
    char key[BUS_NAME_MAX + sizeof BUS_PUBLISHER_PREFIX];
    fill_record(p, position, &record);
    buf_reset(&p->value);
    bus_position_write(&record, &p->value);
    CHECK(!p->value.failed && p->value.len <= BUS_POSITION_RECORD_MAX);
    snprintf(key, sizeof key, BUS_PUBLISHER_PREFIX "%s", p->name);
    const struct outgoing out = {
        .topic = BUS_TOPICS,
        .key = str_of(key),
        .value = buf_str(&p->value),
        .after = -1,
    };
    return publisher_send(p, &out, e);
}

static enum err_code commit_transaction(struct bus_publisher *p, struct err *e)
{
    for (;;) {
        struct outcome o = outcome_of(rd_kafka_commit_transaction(p->client.rk, STEP_MS));
        if (!o.code) return ERR_OK;
        if (!o.again) return publisher_give_up(p, true, o.text, e);
        /* Called again with nothing in between: it goes on where it was. */
        TRY(bus_client_wait(&p->client, "committing a transaction", e));
    }
}

static void note_time(struct bus_publisher *p, int64_t ns)
{
    p->commit_ns += ns;
    if (ns > p->commit_ns_max) p->commit_ns_max = ns;
}

enum err_code bus_publisher_commit(struct bus_publisher *p, const struct bus_position *position,
                                   struct err *e)
{
    const int64_t began_ns = clock_mono_ns(), number = p->number;
    bool good = false;
    TRY(publisher_begin(p, e));
    TRY(publisher_drain(p, &good, e));
    if (!good) return publisher_give_up(p, false, "records were not delivered", e);
    TRY(send_position(p, position, e));
    TRY(publisher_drain(p, &good, e));
    if (!good) return publisher_give_up(p, false, "the position was not delivered", e);
    TRY(commit_transaction(p, e));
    bus_client_moved(&p->client);
    if (p->number == number) end_transaction(p, true); /* else found done after an error */
    note_time(p, clock_mono_ns() - began_ns);
    return ERR_OK;
}

/* An open transaction would hide what others publish until its time is over. */
struct bus_publisher *bus_publisher_close(struct bus_publisher *p)
{
    if (!p) return NULL;
    if (p->client.rk && p->open) {
        (void)rd_kafka_flush(p->client.rk, CLOSE_MS);
        (void)outcome_of(rd_kafka_abort_transaction(p->client.rk, CLOSE_MS));
    }
    publisher_disconnect(p);
    buf_free(&p->value);
    free(p);
    return NULL;
}
