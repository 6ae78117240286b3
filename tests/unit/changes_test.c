/* The pure parts of change data capture: messages, numbers, what is left out when sessions overlap, the queue. */
/* clang-format off: cmocka wants these first */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "store/changes_internal.h"

#include <stdio.h>
#include <stdlib.h>

static uint64_t random_state = 1;
static int64_t below(int64_t n)
{
    uint64_t z = (random_state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return (int64_t)((z ^ z >> 31) % (uint64_t)n);
}

static void put(struct buf *b, uint64_t v, int bytes)
{
    for (int i = bytes - 1; i >= 0; i--) buf_add_byte(b, (uint8_t)(i < 8 ? v >> (8 * i) : 0));
}

/* ---- numbers */

/* PostgreSQL's binary form of a plain decimal text, digit by digit: the stupid way. */
static void numeric_of_text(struct buf *to, const char *text)
{
    char digits[400] = {0};
    const int point = 200; /* digits[point] is worth 10^-1 */
    bool negative = *text == '-';
    if (negative) text++;
    const char *dot = strchr(text, '.');
    int whole = (int)(dot ? dot - text : (long)strlen(text)), scale = 0;
    for (int i = 0; i < whole; i++) digits[point - whole + i] = (char)(text[i] - '0');
    for (const char *p = dot ? dot + 1 : ""; *p; p++) digits[point + scale++] = (char)(*p - '0');
    int first = 0, last = 396;
    while (first < 400 && !memcmp(digits + first, "\0\0\0\0", 4)) first += 4;
    while (last >= 0 && !memcmp(digits + last, "\0\0\0\0", 4)) last -= 4;
    int count = first >= 400 ? 0 : (last - first) / 4 + 1;
    put(to, (uint64_t)count, 2);
    put(to, (uint64_t)(count ? (point - first) / 4 - 1 : 0), 2);
    put(to, negative && count ? 0x4000 : 0, 2);
    put(to, (uint64_t)scale, 2);
    for (int i = 0; i < count; i++) {
        const char *d = digits + first + 4 * i;
        put(to, (uint64_t)(d[0] * 1000 + d[1] * 100 + d[2] * 10 + d[3]), 2);
    }
}

static void random_decimal(char *text, int whole_max, int scale_max)
{
    int n = 0, whole = (int)below(whole_max) + 1, scale = (int)below(scale_max + 1);
    if (below(3) == 0) text[n++] = '-';
    for (int i = 0; i < whole; i++)
        text[n++] = (char)('0' + (i == 0 && whole > 1 ? 1 + below(9) : below(10)));
    if (scale) text[n++] = '.';
    bool sparse = below(2);
    for (int i = 0; i < scale; i++) text[n++] = (char)('0' + (sparse && below(4) ? 0 : below(10)));
    text[n] = 0;
}

static void numbers_are_exact(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 1000);
    for (int i = 0; i < 200000; i++) {
        char text[100];
        random_decimal(text, i % 2 ? 9 : 22, i % 3 ? 9 : 20);
        buf_reset(&b);
        numeric_of_text(&b, text);
        struct dec wanted, got;
        enum err_code parse = dec_parse(str_of(text), &wanted);
        enum err_code code = changes_numeric(buf_str(&b), &got);
        if (parse != code) fail_msg("%s: %s, wanted %s", text, err_name(code), err_name(parse));
        if (code == ERR_OK && !dec_eq(wanted, got))
            fail_msg("%s: %lld scale %d", text, (long long)got.digits, got.scale);
        i128 lake, wanted_lake;
        parse = dec_parse_lake(str_of(text), &wanted_lake);
        code = changes_numeric_lake(buf_str(&b), &lake);
        /* dec_parse_lake counts digits as printed; trailing zeros past the 18th are no loss here. */
        if (parse == ERR_OK && (code != ERR_OK || lake != wanted_lake)) fail_msg("%s: lake", text);
        if (code == ERR_OK && parse != ERR_OK && strlen(text) < 38 && !strchr(text, '.'))
            fail_msg("%s: lake took it", text);
    }
    buf_free(&b);
}

static void numbers_that_are_none(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t n;
    } bad[] = {{"", 0},
               {"\0\0\0\0\xc0\0\0\0", 8},         /* NaN */
               {"\0\0\0\0\xd0\0\0\0", 8},         /* infinity */
               {"\0\1\0\0\0\0\0\0", 8},           /* a digit is missing */
               {"\0\1\0\0\0\0\0\0\x27\x10", 10},  /* digit 10000 */
               {"\0\1\0\0\0\0\0\0\0\1\0", 11},    /* a byte too many */
               {"\0\1\x7f\xff\0\0\0\0\0\1", 10},  /* 10000^32767 */
               {"\0\1\x80\0\0\0\0\0\0\1", 10},    /* 10000^-32768 */
               {"\0\1\xff\xfb\0\0\0\0\0\1", 10}}; /* 10^-20 */
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct dec d;
        assert_int_equal(changes_numeric((struct str){bad[i].bytes, bad[i].n}, &d), ERR_INEXACT);
    }
}

/* ---- sessions that overlap */

enum { TRANSACTIONS = 12 };
struct world {
    uint64_t begin[TRANSACTIONS], end[TRANSACTIONS];
    int rows[TRANSACTIONS];
};

static struct str message(struct buf *b, char type, uint64_t lsn, int row)
{
    buf_reset(b);
    buf_add_byte(b, (uint8_t)type);
    if (type == 'B') {
        put(b, lsn, 8);
        put(b, 0, 12);
    } else if (type == 'C') {
        put(b, 0, 9);
        put(b, lsn, 8);
        put(b, 0, 8);
    } else {
        put(b, (uint64_t)row, 8);
    }
    return buf_str(b);
}

struct taken {
    int transaction, row; /* the last one that was kept */
    int count;
};

/* Gives messages as a server does from `start`, until a random moment or the end; checks that what is kept goes on. */
static bool give(const struct world *w, struct changes_filter *f, uint64_t start, struct taken *t,
                 int64_t messages)
{
    struct buf b;
    struct err e;
    bool keep;
    buf_init(&b, 100);
    changes_filter_session(f);
    for (int i = 0; i < TRANSACTIONS && messages > 0; i++) {
        if (w->begin[i] < start) continue;
        assert_int_equal(changes_filter_message(f, message(&b, 'B', w->begin[i], 0), &keep, &e), 0);
        for (int r = 0; r < w->rows[i] && --messages > 0; r++) {
            assert_int_equal(changes_filter_message(f, message(&b, 'I', 0, r), &keep, &e), ERR_OK);
            if (!keep) continue;
            bool next = i == t->transaction ? r == t->row + 1 : i > t->transaction && r == 0;
            assert_true(next);
            *t = (struct taken){i, r, t->count + 1};
        }
        if (--messages <= 0) break;
        assert_int_equal(changes_filter_message(f, message(&b, 'C', w->end[i], 0), &keep, &e), 0);
    }
    buf_free(&b);
    return messages > 0;
}

static void sessions_overlap(void **state)
{
    (void)state;
    for (int round = 0; round < 3000; round++) {
        struct world w;
        uint64_t lsn = 1000;
        int total = 0;
        for (int i = 0; i < TRANSACTIONS; i++) {
            w.begin[i] = lsn + (uint64_t)(below(2) ? 0 : below(50)); /* adjacent commits too */
            w.end[i] = lsn = w.begin[i] + 48;
            w.rows[i] = (int)below(6);
            total += w.rows[i];
        }
        struct changes_filter f = {.lsn = 1000};
        struct taken t = {-1, -1, 0};
        for (bool end = false; !end;) {
            /* A stream begins at our position; a bulk read at any confirmed one before it. */
            uint64_t start = below(2) ? f.lsn : w.begin[below(TRANSACTIONS)];
            if (start > f.lsn) start = 0;
            end = give(&w, &f, start, &t, 1 + below(80));
        }
        assert_int_equal(t.count, total);
    }
}

static void a_rest_that_does_not_come(void **state)
{
    (void)state;
    struct changes_filter f = {.lsn = 500, .row = 3, .open = true};
    struct buf b;
    struct err e;
    bool keep;
    buf_init(&b, 100);
    assert_int_equal(changes_filter_message(&f, message(&b, 'B', 600, 0), &keep, &e), ERR_HOLE);
    f = (struct changes_filter){.lsn = 500, .row = 3, .open = true};
    assert_int_equal(changes_filter_message(&f, message(&b, 'B', 500, 0), &keep, &e), ERR_OK);
    assert_int_equal(changes_filter_message(&f, message(&b, 'I', 0, 0), &keep, &e), ERR_OK);
    assert_int_equal(changes_filter_message(&f, message(&b, 'C', 548, 0), &keep, &e), ERR_HOLE);
    buf_free(&b);
}

/* ---- the queue */

enum { MESSAGES = 300000 };

static size_t length_of(uint32_t i) { return 4 + (i % 1000 == 999 ? 300000 : i * 7 % 300); }

static void *putter(void *queue)
{
    struct changes_queue *q = queue;
    static char bytes[400000];
    for (uint32_t i = 0; i < MESSAGES; i++) {
        memcpy(bytes, &i, sizeof i);
        memset(bytes + 4, (int)i, 64);
        while (!changes_queue_put(q, (struct str){bytes, length_of(i)})) {
            changes_queue_flush(q, 0);
            (void)changes_queue_wait(q, i % 2 ? q->limit / 4 : q->limit / 2, 1000);
        }
        if (i % 37 == 0) changes_queue_flush(q, i + 1);
    }
    changes_queue_flush(q, MESSAGES);
    changes_queue_close(q);
    return NULL;
}

static void queue_keeps_order_and_limit(void **state)
{
    (void)state;
    struct changes_queue q;
    changes_queue_init(&q, 1 << 20);
    pthread_t thread;
    pthread_create(&thread, NULL, putter, &q);
    struct str m;
    uint64_t idle = 0;
    for (uint32_t i = 0; i < MESSAGES;) {
        uint32_t got;
        if (!changes_queue_peek(&q, 1000, &m, &idle)) {
            assert_false(changes_queue_is_over(&q));
            assert_true(idle <= i); /* progress is told behind what it covers */
            continue;
        }
        memcpy(&got, m.p, sizeof got);
        assert_int_equal(got, i);
        assert_int_equal(m.n, length_of(i));
        if (m.n > 4) assert_int_equal((uint8_t)m.p[4], (uint8_t)i);
        assert_true(changes_queue_bytes(&q) <= q.limit);
        changes_queue_drop(&q);
        i++;
    }
    assert_false(changes_queue_peek(&q, 1000, &m, &idle));
    assert_true(changes_queue_is_over(&q));
    assert_int_equal(idle, MESSAGES);
    pthread_join(thread, NULL);
    changes_queue_free(&q);
}

static void a_message_above_the_limit_passes_alone(void **state)
{
    (void)state;
    struct changes_queue q;
    changes_queue_init(&q, 0);
    size_t n = q.limit * 2;
    char *bytes = calloc(1, n);
    assert_non_null(bytes);
    struct str m;
    uint64_t idle = 0;
    assert_true(changes_queue_put(&q, (struct str){bytes, 10}));
    assert_false(changes_queue_put(&q, (struct str){bytes, n}));
    assert_false(changes_queue_wait(&q, 0, 0));
    assert_true(changes_queue_peek(&q, 0, &m, &idle));
    changes_queue_drop(&q);
    assert_false(changes_queue_peek(&q, 0, &m, &idle));
    assert_true(changes_queue_wait(&q, 0, 0));
    assert_true(changes_queue_put(&q, (struct str){bytes, n}));
    assert_false(changes_queue_put(&q, (struct str){bytes, 10}));
    assert_false(changes_queue_wait(&q, q.limit / 4, 0)); /* seals it, or it would stay for ever */
    assert_true(changes_queue_peek(&q, 0, &m, &idle));
    assert_int_equal(m.n, n);
    changes_queue_drop(&q);
    assert_false(changes_queue_peek(&q, 0, &m, &idle));
    assert_int_equal(changes_queue_bytes(&q), 0);
    assert_true(changes_queue_put(&q, (struct str){bytes, 10}));
    free(bytes);
    changes_queue_free(&q);
}

/* ---- names and versions */

static struct str relation(struct buf *b, const char *schema, const char *table, const char *drop)
{
    static const char *const columns[][2] = {{"writer", "25"}, {"number", "20"}, {"clock", "20"},
                                             {"live", "16"},   {"finish", "16"}, {"later", "3802"}};
    buf_reset(b);
    buf_add_byte(b, 'R');
    put(b, 77, 4);
    buf_add(b, schema, strlen(schema) + 1);
    buf_add(b, table, strlen(table) + 1);
    buf_add_byte(b, 'd');
    put(b, drop ? 5 : 6, 2);
    for (int i = 0; i < 6; i++) {
        if (drop && strcmp(columns[i][0], drop) == 0) continue;
        buf_add_byte(b, 0);
        buf_add(b, columns[i][0], strlen(columns[i][0]) + 1);
        put(b, (uint64_t)strtol(columns[i][1], NULL, 10), 4);
        put(b, UINT32_MAX, 4);
    }
    return buf_str(b);
}

static void columns_by_name(void **state)
{
    (void)state;
    struct batch_pool *pool = batch_pool_new(1, 100, 1 << 16);
    struct batch *batch = batch_get(pool, 0);
    struct changes_decoder d = {.series = series_new()};
    d.mark.clock_ns = TIME_ABSENT;
    struct err e;
    struct buf b;
    bool row;
    buf_init(&b, 1000);
    assert_int_equal(
        changes_decode(&d, relation(&b, "ticklake", "batches", "clock"), batch, &row, &e),
        ERR_VERSION);
    assert_non_null(strstr(e.text, "clock"));
    assert_int_equal(
        changes_decode(&d, relation(&b, "ticklake", "batches_p1", NULL), batch, &row, &e), 0);
    assert_int_equal(changes_decode(&d, message(&b, 'B', 100, 0), batch, &row, &e), ERR_OK);
    static const char values[] =
        "I\0\0\0\x4dN\0\6b\0\0\0\1wb\0\0\0\x8\0\0\0\0\0\0\0\1b\0\0\0\x8\0\0\0\0\0\0\0\7"
        "b\0\0\0\1\1b\0\0\0\1\1n";
    struct str insert = {values, sizeof values - 1};
    assert_int_equal(changes_decode(&d, insert, batch, &row, &e), ERR_VERSION);
    assert_int_equal(changes_decode(&d, relation(&b, "ticklake", "batches", NULL), batch, &row, &e),
                     0);
    assert_int_equal(changes_decode(&d, insert, batch, &row, &e), ERR_OK);
    assert_true(row && batch->finish && d.mark.clock_ns == 7 && d.mark.finishes == 1);
    assert_true(d.mark.position.lsn == 100 && d.mark.position.row == 1);
    assert_int_equal(changes_decode(&d, relation(&b, "public", "batches", NULL), batch, &row, &e),
                     0);
    assert_int_equal(changes_decode(&d, insert, batch, &row, &e),
                     ERR_OK); /* somebody else's table */
    assert_true(d.mark.finishes == 1 && d.mark.position.row == 2);
    assert_int_equal(changes_decode(&d, message(&b, 'C', 148, 0), batch, &row, &e), ERR_OK);
    assert_true(d.mark.position.lsn == 148 && d.mark.position.row == 0);
    buf_free(&b);
    series_free(d.series);
    changes_decoder_free(&d);
    batch_put(batch);
    batch_pool_free(pool);
}

static void series_are_dense(void **state)
{
    (void)state;
    struct series_table *t = series_new();
    struct err e;
    const struct str a[4] = {STR("v"), STR("v"), STR("A"), STR("a")};
    const struct str b[4] = {STR("v"), STR("v"), STR("B"), STR("b")};
    assert_int_equal(changes_series_add(t, 1, a, &e), ERR_CORRUPT);
    assert_int_equal(changes_series_add(t, 0, a, &e), ERR_OK);
    assert_int_equal(changes_series_add(t, 0, a, &e),
                     ERR_OK); /* the stream repeats what was loaded */
    assert_int_equal(changes_series_add(t, 0, b, &e), ERR_CORRUPT);
    assert_int_equal(changes_series_add(t, -1, a, &e), ERR_CORRUPT);
    series_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_exact),
        cmocka_unit_test(numbers_that_are_none),
        cmocka_unit_test(sessions_overlap),
        cmocka_unit_test(a_rest_that_does_not_come),
        cmocka_unit_test(queue_keeps_order_and_limit),
        cmocka_unit_test(a_message_above_the_limit_passes_alone),
        cmocka_unit_test(columns_by_name),
        cmocka_unit_test(series_are_dense),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
