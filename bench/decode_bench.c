/* decode_bench - venue frames to events per CPU second on one core, next to yyjson alone building its tree of the same
 * frames (in situ, numbers raw, its pool): what any decoder on top of it must pay. Interleaved, repeated; the median.
 *
 * decode_bench [--json] [--only SET] [ROUNDS]    real frames of the recordings (TICKLAKE_RECORDINGS, else ../shared/recordings)
 *
 * Both sides pay for the copy of the frame into a fresh buffer, as a socket would leave it. Coinbase, Kraken and Tiingo have
 * few different frames here, which flatters every parser alike: hence the ratio.
 */
#include "base/buf.h"
#include "io/clock.h"
#include "venue/json.h"
#include "venue/venue.h"

#include <stdio.h>
#include <stdlib.h>
#include <zlib.h>

enum { FRAMES_A_ROUND = 200000, ROUNDS_MAX = 99, SETS_MAX = 9, FRAME_MAX = 64 << 10 };

struct frame {
    struct venue_session *session;
    struct str bytes;
};
struct set {
    const char *name;
    struct frame *frames;
    size_t count, cap, events;
    int64_t ours_ns[ROUNDS_MAX], tree_ns[ROUNDS_MAX];
};

static void fail(const char *what, const char *name)
{
    fprintf(stderr, "decode_bench: %s: %s\n", name, what);
    exit(69);
}

static void read_file(const char *name, struct buf *ret)
{
    const char *root = getenv("TICKLAKE_RECORDINGS");
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", root && root[0] ? root : "../shared/recordings", name);
    gzFile f = gzopen(path, "rb");
    if (!f) fail("cannot be opened; set TICKLAKE_RECORDINGS", path);
    buf_init(ret, 256 << 20);
    for (int n = 1; n > 0;) {
        enum { CHUNK = 1 << 20 };
        uint8_t *room = buf_room(ret, CHUNK);
        if (!room) fail("larger than 256 MB", path);
        n = gzread(f, room, CHUNK);
        if (n < 0) fail("cannot be read", path);
        ret->len += (size_t)n;
    }
    gzclose(f);
}

static void add(struct set *s, struct venue_session *session, struct str frame)
{
    if (s->count == s->cap) {
        s->cap = s->cap ? s->cap * 2 : 1024;
        s->frames = reallocarray(s->frames, s->cap, sizeof *s->frames);
        CHECK(s->frames != NULL);
    }
    s->frames[s->count++] = (struct frame){session, frame};
}

/* The frames of a recording in which `part` or `other` (if not NULL) occurs; the file's text stays for good. */
static void load_two(struct set *s, struct venue_session *session, const char *name, char separator,
                     const char *part, const char *other)
{
    struct buf file;
    read_file(name, &file);
    for (struct str rest = buf_str(&file); rest.n;) {
        struct str line = str_cut(&rest, '\n');
        bool wanted = str_contains(line, part) || (other && str_contains(line, other));
        if (str_starts(line, "wss://") || !wanted) continue;
        if (separator) str_cut(&line, separator);
        add(s, session, str_trim(line));
    }
    if (s->count == 0) fail("no such frames", name);
}

static void load(struct set *s, struct venue_session *session, const char *name, char separator,
                 const char *part)
{
    load_two(s, session, name, separator, part, NULL);
}

static struct venue_session *open_session(const char *venue, struct series_table *series)
{
    const struct venue *v = venue_by_name(str_of(venue));
    CHECK(v != NULL);
    return venue_session_new(v, venue_names_new(v, series));
}

static char *copy_frame(const struct frame *f)
{
    static char buffer[FRAME_MAX + VENUE_PADDING];
    CHECK(f->bytes.n <= FRAME_MAX);
    memcpy(buffer, f->bytes.p, f->bytes.n);
    return buffer;
}

static int64_t run_ours(const struct set *s, struct decoded *out, size_t *ret_events)
{
    size_t events = 0;
    int64_t start = clock_cpu_ns();
    for (size_t i = 0, at = 0; i < FRAMES_A_ROUND; i++, at = at + 1 < s->count ? at + 1 : 0) {
        const struct frame *f = &s->frames[at];
        venue_decode(f->session, copy_frame(f), f->bytes.n, start, out);
        events += out->trade_count + out->quote_count;
    }
    *ret_events = events;
    return clock_cpu_ns() - start;
}

static int64_t run_tree(const struct set *s)
{
    static char pool[JSON_POOL_BYTES];
    size_t values = 0;
    int64_t start = clock_cpu_ns();
    for (size_t i = 0, at = 0; i < FRAMES_A_ROUND; i++, at = at + 1 < s->count ? at + 1 : 0) {
        const struct frame *f = &s->frames[at];
        char *text = copy_frame(f);
        memset(text + f->bytes.n, 0, VENUE_PADDING);
        yyjson_alc alc;
        yyjson_alc_pool_init(&alc, pool, sizeof pool);
        yyjson_doc *doc = yyjson_read_opts(
            text, f->bytes.n, YYJSON_READ_INSITU | YYJSON_READ_NUMBER_AS_RAW, &alc, NULL);
        CHECK(doc != NULL);
        values += yyjson_doc_get_val_count(doc);
    }
    CHECK(values > 0);
    return clock_cpu_ns() - start;
}

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static int64_t median(int64_t *values, int count)
{
    qsort(values, (size_t)count, sizeof *values, by_value);
    return values[count / 2];
}

static void report(struct set *s, int rounds, bool json, bool first)
{
    int64_t ours = median(s->ours_ns, rounds), tree = median(s->tree_ns, rounds);
    long long per_second = (long long)((i128)s->events * NS_PER_S / ours);
    long long ratio_percent = (long long)(tree * 100 / ours);
    long long ours_ps = (long long)(ours * 1000 / FRAMES_A_ROUND);
    long long tree_ps = (long long)(tree * 1000 / FRAMES_A_ROUND);
    if (json)
        printf(
            "%s{\"set\":\"%s\",\"frames\":%zu,\"events_per_cpu_second\":%lld,\"ps_per_frame\":%lld,"
            "\"yyjson_tree_ps_per_frame\":%lld,\"tree_to_ours_percent\":%lld}",
            first ? "[" : ",\n ", s->name, s->count, per_second, ours_ps, tree_ps, ratio_percent);
    else
        printf("%-20s %6zu frames  %7.2f M events/s  %4lld ns a frame  yyjson tree %4lld ns  ratio "
               "%lld.%02lld\n",
               s->name, s->count, (double)per_second / 1e6, ours_ps / 1000, tree_ps / 1000,
               ratio_percent / 100, ratio_percent % 100);
}

/* As many frames of each set, one after the other. */
static void mix(struct set *mixed, const struct set *sets, size_t count)
{
    for (size_t i = 0; i < FRAMES_A_ROUND / count; i++)
        for (size_t k = 0; k < count; k++) {
            const struct frame *f = &sets[k].frames[i % sets[k].count];
            add(mixed, f->session, f->bytes);
        }
}

int main(int argc, char **argv)
{
    bool json = false;
    const char *only = NULL;
    int64_t rounds = 9;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0)
            json = true;
        else if (strcmp(argv[i], "--only") == 0 && i + 1 < argc)
            only = argv[++i];
        else if (str_to_i64(str_of(argv[i]), &rounds))
            fail("no number", "ROUNDS");
    }
    if (rounds < 1 || rounds > ROUNDS_MAX) fail("give 1 to 99", "ROUNDS");
    struct series_table *series = series_new();
    struct venue_session *binance = open_session("binance", series);
    struct venue_session *futures = open_session("binance_futures", series);
    struct venue_session *coinbase = open_session("coinbase", series);
    struct venue_session *kraken = open_session("kraken", series);
    struct venue_session *tiingo = open_session("tiingo", series);
    static struct set sets[SETS_MAX] = {{.name = "binance trade"},  {.name = "binance bookTicker"},
                                        {.name = "futures trade"},  {.name = "futures bookTicker"},
                                        {.name = "coinbase match"}, {.name = "kraken v1"},
                                        {.name = "tiingo"},         {.name = "mixed"},
                                        {.name = "binance spot"}};
    load(&sets[0], binance, "hftbacktest/binance-spot/btcusdt_20240808.gz", ' ', "@trade");
    load(&sets[1], binance, "hftbacktest/binance-spot/btcusdt_20240808.gz", ' ', "@bookTicker");
    load(&sets[2], futures, "hftbacktest/binance-usdm/ethusdt_20240808.gz", ' ', "@trade");
    load(&sets[3], futures, "hftbacktest/binance-usdm/ethusdt_20240808.gz", ' ', "@bookTicker");
    load(&sets[4], coinbase, "cryptofeed/COINBASE/COINBASE.ws.28.0", ':', "match\"");
    load(&sets[5], kraken, "cryptofeed/KRAKEN/KRAKEN.ws.48.0", ':', ",\"trade\",\"");
    load(&sets[5], kraken, "cryptofeed/KRAKEN/KRAKEN.ws.49.0", ':', ",\"ticker\",\"");
    load(&sets[6], tiingo, "tiingo/tiingo-go/crypto_live.jsonl", 0, "crypto_data");
    mix(&sets[7], sets, 7);
    /* As recorded, both kinds in their order: the set that bench/cryptofeed_bench.py decodes as well. */
    for (int day = 8; day <= 9; day++) {
        char name[64];
        snprintf(name, sizeof name, "hftbacktest/binance-spot/btcusdt_2024080%d.gz", day);
        load_two(&sets[8], binance, name, ' ', "@trade", "@bookTicker");
    }
    struct decoded out;
    decoded_init(&out);
    for (int r = 0; r < rounds; r++)
        for (size_t i = 0; i < SETS_MAX; i++) {
            if (only && strcmp(only, sets[i].name) != 0) continue;
            sets[i].tree_ns[r] = run_tree(&sets[i]);
            sets[i].ours_ns[r] = run_ours(&sets[i], &out, &sets[i].events);
        }
    bool first = true;
    for (size_t i = 0; i < SETS_MAX; i++) {
        if (only && strcmp(only, sets[i].name) != 0) continue;
        report(&sets[i], (int)rounds, json, first);
        first = false;
    }
    if (first) fail("no such set", only);
    if (json) printf("]\n");
    return 0;
}
