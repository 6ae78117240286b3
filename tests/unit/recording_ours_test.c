/* Our own segments: what is written is read, however it was torn or damaged afterwards. */
#include "recording_help.h"

#include "base/hash.h"
#include "recording/segment.h"

#include <ftw.h>
#include <zstd.h>

enum { ITEMS = 3000 };

struct made {
    struct recording_item item;
    char name[32], url[64];
};

/* The same items for the same seed; bytes of the item live in *bytes until the next call. */
static void make_item(uint64_t seed, int64_t n, struct made *m, struct buf *bytes)
{
    uint64_t s = seed * 1000003 + (uint64_t)n + 1;
    for (int i = 0; i < 5; i++) random_next(&s);
    static const char *const venues[] = {"binance", "kraken", "tiingo"};
    snprintf(m->name, sizeof m->name, "c/%llu", (unsigned long long)(s % 3));
    snprintf(m->url, sizeof m->url, "wss://host/%llu", (unsigned long long)(s % 5));
    size_t len = random_next(&s) % 400;
    if (s % 499 == 0) len = 2 << 20; /* larger than a block */
    if (s % 89 == 0) len = 0;
    buf_reset(bytes);
    uint8_t *to = buf_room(bytes, len);
    if (len > 1000)
        memset(to, 'y', len);
    else
        for (size_t i = 0; i < len; i++) to[i] = (uint8_t)random_next(&s);
    bytes->len += len;
    m->item = (struct recording_item){
        .kind = (enum recording_kind)(s % 5),
        .received_ns = INT64_C(1700000000000000000) + n * 1000,
        .venue = str_of(venues[s % 3]),
        .connection = str_of(m->name),
        .url = s % 4 ? str_of(m->url) : (struct str){"", 0},
        .bytes = (char *)bytes->data,
        .len = bytes->len,
    };
}

static int remove_entry(const char *path, const struct stat *st, int flag, struct FTW *f)
{
    (void)st, (void)flag, (void)f;
    return remove(path);
}

static void remove_folder(const char *path) { nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS); }

static void write_items(const char *folder, uint64_t seed, int64_t count, uint64_t segment_bytes)
{
    struct recording_writer_options o = {.folder = folder, .segment_bytes = segment_bytes};
    struct recording_writer *w;
    struct err e = {0};
    struct buf bytes;
    struct made m;
    buf_init(&bytes, 4 << 20);
    assert_ok(recording_writer_open(&o, &w, &e), &e);
    for (int64_t i = 0; i < count; i++) {
        make_item(seed, i, &m, &bytes);
        assert_ok(recording_writer_add(w, &m.item, &e), &e);
        if (i % 700 == 0) assert_ok(recording_writer_flush(w, m.item.received_ns, &e), &e);
    }
    assert_ok(recording_writer_close(w, &e), &e);
    buf_free(&bytes);
}

static void assert_item(const struct recording_item *got, const struct recording_item *wanted)
{
    assert_int_equal(got->kind, wanted->kind);
    assert_int_equal(got->received_ns, wanted->received_ns);
    assert_true(str_eq(got->venue, wanted->venue));
    assert_true(str_eq(got->connection, wanted->connection));
    assert_true(str_eq(got->url, wanted->url));
    assert_true(
        str_eq((struct str){got->bytes, got->len}, (struct str){wanted->bytes, wanted->len}));
    for (int i = 0; i < VENUE_PADDING; i++) assert_int_equal(got->bytes[got->len + (size_t)i], 0);
}

static void test_round_trip(void **state)
{
    (void)state;
    const char *folder = temporary("ours");
    remove_folder(folder);
    write_items(folder, 1, ITEMS, 100 << 10);
    struct recording_set *s;
    struct err e = {0};
    struct recording_item item;
    struct buf bytes;
    struct made m;
    size_t member;
    buf_init(&bytes, 4 << 20);
    assert_ok(recording_set_open(&folder, 1, STR(""), NULL, NULL, &s, &e), &e);
    assert_true(recording_set_count(s) > 1); /* it was rotated */
    assert_string_equal(recording_format(recording_set_member(s, 0)), "ticklake frames");
    assert_true(recording_connections_span(recording_set_member(s, 0)));
    for (int64_t i = 0; i < ITEMS; i++) {
        assert_ok(recording_set_next(s, &item, &member, &e), &e);
        make_item(1, i, &m, &bytes);
        assert_item(&item, &m.item);
    }
    assert_int_equal(recording_set_next(s, &item, &member, &e), ERR_NOT_FOUND);
    recording_set_close(s);
    buf_free(&bytes);
    remove_folder(folder);
}

static enum err_code first_name(void *ctx, const char *name, bool is_folder, struct err *e)
{
    (void)is_folder, (void)e;
    if (!((char *)ctx)[0]) snprintf(ctx, 256, "%s", name);
    return ERR_OK;
}

/* One segment in memory. */
static struct buf one_segment(int64_t count)
{
    const char *folder = temporary("segment");
    char name[256] = "", path[PATH_LIMIT];
    struct err e = {0};
    struct buf b;
    remove_folder(folder);
    write_items(folder, 2, count, 0);
    assert_ok(file_list(folder, first_name, name, &e), &e);
    path_join(path, folder, name);
    buf_init(&b, 64 << 20);
    assert_ok(file_read(path, 64 << 20, &b, &e), &e);
    remove_folder(folder);
    return b;
}

/* It is what docs/formats.md says: zstd alone unpacks it to the records. */
static void test_plain_zstd(void **state)
{
    (void)state;
    struct buf b = one_segment(2000);
    char *raw = malloc(64 << 20);
    size_t n = ZSTD_decompress(raw, 64 << 20, b.data, b.len);
    assert_false(ZSTD_isError(n));
    size_t at = 0, records = 0;
    while (at < n) {
        at += SEGMENT_RECORD_HEADER + segment_get(raw + at + 9, 2) + segment_get(raw + at + 11, 2) +
              segment_get(raw + at + 13, 4) + segment_get(raw + at + 17, 4);
        records++;
    }
    assert_int_equal(at, n);
    assert_int_equal(records, 2000);
    free(raw);
    buf_free(&b);
}

/* Items read, damaged places met; every item read must be one of those written, in order. */
static int64_t read_damaged(struct str bytes, int64_t *ret_damaged, char *text, size_t size)
{
    struct recording *r;
    struct err e = {0};
    struct recording_item item;
    struct buf b;
    struct made m;
    int64_t next = 0, count = 0;
    *ret_damaged = 0;
    buf_init(&b, 4 << 20);
    assert_ok(recording_open_bytes("x.tlf.zst", bytes, STR(""), &r, &e), &e);
    for (;;) {
        enum err_code code = recording_next(r, &item, &e);
        if (code == ERR_NOT_FOUND) break;
        if (code != ERR_OK) {
            ++*ret_damaged;
            snprintf(text, size, "%s", e.text);
            continue;
        }
        int64_t n = (item.received_ns - INT64_C(1700000000000000000)) / 1000;
        assert_true(n >= next);
        make_item(2, n, &m, &b);
        assert_item(&item, &m.item);
        next = n + 1;
        count++;
    }
    recording_close(r);
    buf_free(&b);
    return count;
}

static void test_torn_and_damaged(void **state)
{
    (void)state;
    struct buf b = one_segment(2000);
    char text[600] = "";
    int64_t damaged;
    assert_int_equal(read_damaged(buf_str(&b), &damaged, text, sizeof text), 2000);
    assert_int_equal(damaged, 0);
    int64_t before = 0;
    size_t step = b.len / 60 + 1;
    for (size_t cut = SEGMENT_HEADER; cut < b.len; cut += step) {
        int64_t got = read_damaged((struct str){(char *)b.data, cut}, &damaged, text, sizeof text);
        assert_true(got >= before && damaged <= 1);
        if (damaged) assert_non_null(strstr(text, "torn tail"));
        before = got;
    }
    uint64_t seed = 5;
    for (int i = 0; i < 60; i++) {
        size_t at = SEGMENT_HEADER + random_next(&seed) % (b.len - SEGMENT_HEADER);
        b.data[at] ^= 0x10;
        int64_t got = read_damaged(buf_str(&b), &damaged, text, sizeof text);
        b.data[at] ^= 0x10;
        assert_int_equal(damaged, 1);
        assert_true(got < 2000); /* one block is lost, no more */
        assert_true(got >= 2000 - 700 - 700);
    }
    b.data[10] ^= 1;
    struct recording *r;
    struct err e = {0};
    assert_int_equal(recording_open_bytes("x", buf_str(&b), STR(""), &r, &e), ERR_PARSE);
    b.data[10] ^= 1;
    b.data[SEGMENT_SKIPPABLE + 8] = 99; /* a newer version, with a right checksum */
    segment_put(b.data + SEGMENT_SKIPPABLE + 24,
                hash64((struct str){(char *)b.data + SEGMENT_SKIPPABLE, 24}), 8);
    assert_int_equal(recording_open_bytes("x", buf_str(&b), STR(""), &r, &e), ERR_VERSION);
    buf_free(&b);
}

static enum err_code count_name(void *ctx, const char *name, bool is_folder, struct err *e)
{
    (void)name, (void)is_folder, (void)e;
    ++*(int *)ctx;
    return ERR_OK;
}

static void test_rotation_by_age(void **state)
{
    (void)state;
    const char *folder = temporary("age");
    remove_folder(folder);
    struct recording_writer_options o = {
        .folder = folder, .segment_ns = NS_PER_MINUTE, .retention_ns = 5 * NS_PER_MINUTE};
    struct recording_writer *w;
    struct err e = {0};
    assert_ok(recording_writer_open(&o, &w, &e), &e);
    char bytes[16] = "{}";
    for (int64_t s = 0; s < 1800; s += 20) {
        int64_t now = INT64_C(1700000000000000000) + s * NS_PER_S;
        struct recording_item item = {.kind = RECORDING_FRAME,
                                      .received_ns = now,
                                      .venue = STR("kraken"),
                                      .connection = STR("c"),
                                      .bytes = bytes,
                                      .len = 2};
        assert_ok(recording_writer_add(w, &item, &e), &e);
        assert_ok(recording_writer_flush(w, now, &e), &e);
    }
    assert_ok(recording_writer_close(w, &e), &e);
    int count = 0;
    assert_ok(file_list(folder, count_name, &count, &e), &e);
    assert_true(count >= 5 && count <= 8);
    struct tally t;
    tally_path(folder, "", &t);
    assert_true(t.kind[RECORDING_FRAME] >= 15); /* five minutes of them are still there */
    remove_folder(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_plain_zstd),
        cmocka_unit_test(test_torn_and_damaged),
        cmocka_unit_test(test_rotation_by_age),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
