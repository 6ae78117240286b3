/* pgoutput as a hostile server might send it: messages (each behind its length in two bytes) through the filter of two sessions,
 * the decoder and a small batch. */
#include "store/changes_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t touch(const struct batch *b)
{
    uint64_t sum = (uint64_t)b->last_sequence;
    for (size_t i = 0; i < b->dead_count; i++)
        sum +=
            b->deads[i].payload.n ? (uint8_t)b->deads[i].payload.p[b->deads[i].payload.n - 1] : 0;
    for (size_t i = 0; i < b->trade_count; i++) {
        CHECK(b->trades[i].price.scale >= 0 && b->trades[i].price.scale <= DEC_SCALE_MAX);
        sum += b->trades[i].id_text.n ? (uint8_t)b->trades[i].id_text.p[0] : 0;
    }
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct batch_pool *pool;
    if (!pool) pool = batch_pool_new(1, 8, 4096);
    struct batch *b = batch_get(pool, 0);
    struct changes_decoder d = {.series = series_new()};
    struct changes_filter f = {0};
    struct err e;
    uint64_t sum = 0;
    while (size >= 2) {
        size_t n = (size_t)data[0] << 8 | data[1];
        data += 2;
        size -= 2;
        if (n == 0xffff) { /* the connection is made again */
            changes_filter_session(&f);
            continue;
        }
        if (n > size) n = size;
        struct str m = {(const char *)data, n};
        bool keep = false, row;
        enum err_code code = changes_filter_message(&f, m, &keep, &e);
        struct changes_position before = d.mark.position;
        if (code == ERR_OK && keep) code = changes_decode(&d, m, b, &row, &e);
        if (code == ERR_FULL && b->event_count > 0) {
            sum += touch(b);
            batch_clear(b);
            code = changes_decode(&d, m, b, &row, &e);
        }
        if (code != ERR_OK) break;
        const struct changes_position *after = &d.mark.position;
        CHECK(after->lsn > before.lsn || (after->lsn == before.lsn && after->row >= before.row));
        data += n;
        size -= n;
    }
    sum += touch(b);
    __asm__ volatile("" : : "r"(sum)); /* the reads must happen */
    changes_decoder_free(&d);
    series_free(d.series);
    batch_put(b);
    return 0;
}
