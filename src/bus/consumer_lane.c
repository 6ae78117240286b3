#include "bus/consumer_internal.h"
#include "io/clock.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

enum { REACH_MS = 30000, ASK_MS = 2000, SPREADING_MS = 5000 };

/* --- waking --- */

void reader_wake(struct bus_reader *r)
{
    pthread_mutex_lock(&r->lock);
    r->woken = true;
    pthread_cond_signal(&r->filled);
    pthread_mutex_unlock(&r->lock);
}

static void on_ready(rd_kafka_t *rk, void *opaque)
{
    (void)rk;
    struct lane *l = opaque;
    atomic_store(&l->ready, true);
    reader_wake(l->reader);
}

void reader_wait(struct bus_reader *r, int64_t most_ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    int64_t ns = until.tv_nsec + most_ms * NS_PER_MS;
    until.tv_sec += ns / NS_PER_S;
    until.tv_nsec = (long)(ns % NS_PER_S);
    pthread_mutex_lock(&r->lock);
    while (!r->woken && pthread_cond_timedwait(&r->filled, &r->lock, &until) != ETIMEDOUT)
        ;
    r->woken = false;
    pthread_mutex_unlock(&r->lock);
}

/* --- the client --- */

static enum err_code open_client(struct bus_reader *r, const char *role, int32_t fetch_wait_ms,
                                 struct err *e)
{
    char kilobytes[16], fetch[16], wait[16];
    int32_t lanes = r->options.partitions * BUS_TOPICS;
    int32_t bytes = READY_BYTES_TOTAL / lanes;
    if (bytes < READY_BYTES_LANE) bytes = READY_BYTES_LANE;
    snprintf(kilobytes, sizeof kilobytes, "%d", bytes >> 10);
    snprintf(fetch, sizeof fetch, "%d", FETCH_BYTES);
    snprintf(wait, sizeof wait, "%d", fetch_wait_ms);
    const char *const settings[][2] = {
        {"isolation.level", "read_committed"},
        {"enable.partition.eof", "true"},
        {"auto.offset.reset", "error"},
        {"enable.auto.commit", "false"},
        {"enable.auto.offset.store", "false"},
        {"check.crcs", "true"},
        {"queued.min.messages", "1000000"}, /* the bytes are the limit */
        {"queued.max.messages.kbytes", kilobytes},
        {"fetch.max.bytes", fetch},
        {"fetch.error.backoff.ms", "100"},
        {"fetch.wait.max.ms", wait},
    };
    const struct bus_client_setup setup = {
        .kind = BUS_CLIENT_CONSUMER,
        .role = role,
        .owner = r,
        .settings = settings,
        .setting_count = sizeof settings / sizeof settings[0] - (fetch_wait_ms == 0),
    };
    return bus_client_open(&r->options, &setup, &r->client, e);
}

/* 0 where it is not there, and does not come either: a topic that another process has just made is known to the brokers one
 * after the other. */
static enum err_code count_partitions(struct bus_reader *r, int topic, int32_t *ret, struct err *e)
{
    const int64_t end_ns = clock_mono_ns() + SPREADING_MS * NS_PER_MS;
    for (;;) {
        const struct rd_kafka_metadata *m;
        rd_kafka_resp_err_t code =
            rd_kafka_metadata(r->client.rk, 0, r->topics[topic], &m, REACH_MS);
        if (code) return bus_error(&r->client, code, r->names[topic], e);
        CHECK(m->topic_cnt == 1);
        *ret = m->topics[0].partition_cnt;
        code = m->topics[0].err;
        rd_kafka_metadata_destroy(m);
        if (bus_error_code(code) == ERR_REFUSED)
            return bus_error(&r->client, code, r->names[topic], e);
        if (*ret > 0 || clock_mono_ns() > end_ns) return ERR_OK;
        TRY(bus_client_wait(&r->client, "waiting for the topics", e));
        clock_sleep_ns(50 * NS_PER_MS);
    }
}

static enum err_code look_at_topics(struct bus_reader *r, struct err *e)
{
    for (int t = 0; t <= BUS_TOPICS; t++) {
        int32_t wanted = t == BUS_TOPICS ? 1 : r->options.partitions, partitions = 0;
        TRY(count_partitions(r, t, &partitions, e));
        if (partitions == 0)
            return ERR(e, ERR_CONFIG,
                       "topic %s is not there at Kafka brokers %s: start the publisher "
                       "(`run --stages bus`) first, it makes the topics",
                       r->names[t], r->options.brokers);
        if (partitions != wanted)
            return ERR(e, ERR_CONFIG,
                       "topic %s has %d partitions, bus.partitions says %d: set it to what the "
                       "topics have",
                       r->names[t], partitions, wanted);
    }
    return ERR_OK;
}

enum err_code reader_open(struct bus_reader *r, const struct bus_options *o, const char *role,
                          int32_t fetch_wait_ms, struct err *e)
{
    *r = (struct bus_reader){.options = *o};
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->filled, &attr);
    pthread_condattr_destroy(&attr);
    for (int t = 0; t < BUS_TOPICS; t++) {
        bus_topic_name(o, (enum bus_topic)t, r->names[t]);
        r->decoders[t] = bus_decoder_new((enum bus_topic)t, o->registry, o->series);
        bus_decoder_tell(r->decoders[t], r->names[t], o->notice, o->ctx);
    }
    bus_positions_name(o, r->names[BUS_TOPICS]);
    enum err_code code = bus_client_check(o, e);
    if (code == ERR_OK) code = open_client(r, role, fetch_wait_ms, e);
    for (int t = 0; t <= BUS_TOPICS && code == ERR_OK; t++) {
        r->topics[t] = rd_kafka_topic_new(r->client.rk, r->names[t], NULL);
        CHECK(r->topics[t] != NULL);
    }
    if (code == ERR_OK) code = bus_client_reach(&r->client, REACH_MS, e);
    if (code == ERR_OK) code = look_at_topics(r, e);
    if (code == ERR_OK)
        bus_client_moved(&r->client);
    else
        reader_close(r);
    return code;
}

void reader_close(struct bus_reader *r)
{
    for (int t = 0; t <= BUS_TOPICS; t++) {
        if (r->topics[t]) rd_kafka_topic_destroy(r->topics[t]);
        r->topics[t] = NULL;
    }
    bus_client_close(&r->client);
    for (int t = 0; t < BUS_TOPICS; t++) r->decoders[t] = bus_decoder_free(r->decoders[t]);
    pthread_mutex_destroy(&r->lock);
    pthread_cond_destroy(&r->filled);
}

/* --- lanes --- */

enum err_code lane_start(struct lane *l, int64_t offset, struct err *e)
{
    struct bus_reader *r = l->reader;
    CHECK(!l->queue);
    l->queue = rd_kafka_queue_new(r->client.rk);
    l->next = offset >= 0 ? offset : -1;
    atomic_store(&l->ready, true);
    rd_kafka_queue_cb_event_enable(l->queue, on_ready, l);
    if (rd_kafka_consume_start_queue(r->topics[l->topic], l->partition, offset, l->queue) == 0)
        return ERR_OK;
    rd_kafka_resp_err_t code = rd_kafka_last_error();
    rd_kafka_queue_destroy(l->queue);
    l->queue = NULL;
    return bus_error(&r->client, code, r->names[l->topic], e);
}

void lane_stop(struct lane *l)
{
    for (; l->at < l->count; l->at++) rd_kafka_message_destroy(l->held[l->at]);
    l->at = l->count = 0;
    if (l->fault) l->reader->faults--;
    l->fault = RD_KAFKA_RESP_ERR_NO_ERROR;
    if (!l->queue) return;
    rd_kafka_consume_stop(l->reader->topics[l->topic], l->partition);
    rd_kafka_queue_cb_event_enable(l->queue, NULL, NULL);
    rd_kafka_queue_destroy(l->queue);
    l->queue = NULL;
}

static void moved(struct lane *l)
{
    l->reader->moved++;
    l->fault_since_ns = 0;
}

static void take_error(struct lane *l, const rd_kafka_message_t *m)
{
    if (m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        moved(l);
        if (m->offset > l->next) l->next = m->offset;
        return;
    }
    int64_t now_ns = clock_mono_ns();
    if (!l->fault) l->reader->faults++;
    if (!l->fault_since_ns) l->fault_since_ns = now_ns;
    l->fault = m->err;
    l->retry_ns = now_ns + FAULT_RETRY_MS * NS_PER_MS;
}

const rd_kafka_message_t *lane_peek(struct lane *l)
{
    for (;;) {
        for (; l->at < l->count && !l->fault; l->at++) {
            const rd_kafka_message_t *m = l->held[l->at];
            if (!m->err) {
                moved(l);
                if (m->offset > l->next) l->next = m->offset;
                return m->offset < l->end ? m : NULL;
            }
            take_error(l, m);
            rd_kafka_message_destroy(l->held[l->at]);
        }
        if (l->fault || !l->queue || !atomic_load(&l->ready)) return NULL;
        /* Before looking: what comes in between sets it again. */
        atomic_store(&l->ready, false);
        ssize_t n = rd_kafka_consume_batch_queue(l->queue, 0, l->held, LANE_HELD);
        l->at = 0;
        l->count = n > 0 ? (size_t)n : 0;
        if (n <= 0) return NULL;
        atomic_store(&l->ready, true);
    }
}

void lane_take(struct lane *l)
{
    CHECK(l->at < l->count);
    l->next = l->held[l->at]->offset + 1;
    rd_kafka_message_destroy(l->held[l->at++]);
}

/* --- what stands still --- */

enum err_code lane_watermarks(struct lane *l, int64_t *ret_oldest, int64_t *ret_end,
                              rd_kafka_resp_err_t *ret_code, struct err *e)
{
    struct bus_reader *r = l->reader;
    *ret_code = rd_kafka_query_watermark_offsets(r->client.rk, r->names[l->topic], l->partition,
                                                 ret_oldest, ret_end, ASK_MS);
    rd_kafka_poll(r->client.rk, 0);
    if (*ret_code) return bus_client_wait(&r->client, "looking for the ends of a topic", e);
    return ERR_OK;
}

static enum err_code look_for_hole(struct lane *l, struct err *e)
{
    int64_t oldest, end;
    rd_kafka_resp_err_t code;
    const char *topic = l->reader->names[l->topic];
    TRY(lane_watermarks(l, &oldest, &end, &code, e));
    if (code || l->next < 0) return ERR_OK;
    if (l->next < oldest)
        return ERR(e, ERR_HOLE,
                   "topic %s, partition %d: offset %" PRId64 " is wanted next, the oldest that is "
                   "kept is %" PRId64 ": retention removed %" PRId64 " records that were not read",
                   topic, l->partition, l->next, oldest, oldest - l->next);
    /* A new leader may not know of its end yet: that passes. */
    if (l->next > end && clock_mono_ns() - l->fault_since_ns > FAULT_PATIENCE_S * NS_PER_S)
        return ERR(e, ERR_HOLE,
                   "topic %s, partition %d: offset %" PRId64 " is wanted next, but the topic ends "
                   "at %" PRId64 " (oldest %" PRId64 "): it was made anew, or its log was cut",
                   topic, l->partition, l->next, end, oldest);
    return ERR_OK;
}

enum err_code lane_mend(struct lane *l, struct err *e)
{
    struct bus_reader *r = l->reader;
    int64_t now_ns = clock_mono_ns();
    if (!l->fault || now_ns < l->retry_ns) return ERR_OK;
    l->retry_ns = now_ns + FAULT_RETRY_MS * NS_PER_MS;
    rd_kafka_resp_err_t fault = l->fault;
    enum err_code ours = bus_error_code(fault);
    if (ours == ERR_HOLE && l->topic < BUS_TOPICS) TRY(look_for_hole(l, e));
    if (err_action(ours) != ACT_RETRY && ours != ERR_HOLE &&
        now_ns - l->fault_since_ns > FAULT_PATIENCE_S * NS_PER_S)
        return bus_error(&r->client, fault, r->names[l->topic], e);
    int64_t from = l->next >= 0 && (ours != ERR_HOLE || l->topic < BUS_TOPICS)
                       ? l->next
                       : RD_KAFKA_OFFSET_BEGINNING;
    int64_t since_ns = l->fault_since_ns;
    lane_stop(l);
    l->fault_since_ns = since_ns;
    return lane_start(l, from, e);
}
