/* Daily partitions. CREATE ... PARTITION OF would lock the parent against every reader and writer; a table of its own that is
 * attached then takes a lock that inserts pass. */
#include "store/store_pg.h"

#include "base/array.h"

#include <stdio.h>

static const char *const tables[] = {"trade_rows", "quote_rows", "dead_rows"};
enum { TABLES = sizeof tables / sizeof tables[0] };

/* Days before the venues existed and days past all sense share one partition each: that bounds their number. */
static int32_t bounded(int32_t day)
{
    if (day < PG_FIRST_DAY) return PG_FIRST_DAY - 1;
    return day < PG_END_DAY ? day : PG_END_DAY;
}

void store_pg_day_text(int32_t day, char text[16])
{
    char iso[TIME_TEXT_MAX];
    (void)time_format((int64_t)day * NS_PER_DAY, iso);
    CHECK(str_copy(text, 16, (struct str){iso, 10}));
}

static size_t place_of(const struct store_pg_days *d, int32_t day)
{
    size_t low = 0, high = d->count;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (d->days[mid] < day)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static bool has(const struct store_pg_days *d, int32_t day)
{
    size_t at = place_of(d, day);
    return at < d->count && d->days[at] == day;
}

static void add(struct store_pg_days *d, int32_t day)
{
    size_t at = place_of(d, day);
    if (at < d->count && d->days[at] == day) return;
    d->days = array_grown(d->days, d->count, &d->cap, sizeof *d->days);
    memmove(d->days + at + 1, d->days + at, (d->count - at) * sizeof *d->days);
    d->days[at] = day;
    d->count++;
}

/* "20190601", "before" or "after". */
static int32_t day_of_name(struct str name)
{
    int64_t v;
    if (str_is(name, "before")) return PG_FIRST_DAY - 1;
    if (str_is(name, "after")) return PG_END_DAY;
    if (name.n != 8 || str_to_i64(name, &v) != ERR_OK) return INT32_MIN;
    char iso[32];
    (void)snprintf(iso, sizeof iso, "%.4s-%.2s-%.2sT00:00:00Z", name.p, name.p + 4, name.p + 6);
    int64_t ns;
    return time_parse_iso(str_of(iso), &ns) == ERR_OK ? time_day(ns) : INT32_MIN;
}

enum err_code store_pg_days_load(struct store_pg_link *l, struct store_pg_days *d, struct err *e)
{
    PGresult *r;
    d->count = d->foreign = 0;
    TRY(store_pg_run(l, PG_read_partitions, NULL, &r, e));
    for (int i = 0; i < PQntuples(r); i++) {
        int32_t day = day_of_name(store_pg_get_bytes(r, i, 0));
        if (day != INT32_MIN && store_pg_get(r, i, 1, 0) == TABLES)
            add(d, day);
        else
            d->foreign++;
    }
    PQclear(r);
    return ERR_OK;
}

/* Only numbers and our own names go into these statements: DDL takes no parameters. */
static void sql_of(int32_t day, const char *table, struct buf *sql)
{
    char from[24], to[24], name[24], text[16];
    store_pg_day_text(day, text);
    (void)snprintf(from, sizeof from, "'%s'", text);
    (void)snprintf(name, sizeof name, "%.4s%.2s%.2s", text, text + 5, text + 8);
    store_pg_day_text(day + 1, text);
    (void)snprintf(to, sizeof to, "'%s'", text);
    if (day < PG_FIRST_DAY) {
        (void)snprintf(from, sizeof from, "MINVALUE");
        (void)snprintf(name, sizeof name, "before");
    } else if (day >= PG_END_DAY) {
        (void)snprintf(to, sizeof to, "MAXVALUE");
        (void)snprintf(name, sizeof name, "after");
    }
    buf_addf(
        sql,
        "DO $do$ BEGIN IF to_regclass('ticklake.%s_%s') IS NULL THEN "
        "CREATE TABLE ticklake.%s_%s (LIKE ticklake.%s INCLUDING ALL); "
        "ALTER TABLE ticklake.%s ATTACH PARTITION ticklake.%s_%s FOR VALUES FROM (%s) TO (%s); "
        "END IF; END $do$;",
        table, name, table, name, table, table, table, name, from, to);
}

static enum err_code make(struct store_pg_link *l, int32_t day, struct err *e)
{
    struct buf sql;
    buf_init(&sql, 8192);
    /* One at a time: of two that make the same day at once, the second finds it. */
    buf_addf(&sql, "BEGIN; SELECT pg_advisory_xact_lock(%d, 1);", 0x746b6c6b);
    for (int i = 0; i < TABLES; i++) sql_of(day, tables[i], &sql);
    buf_addf(&sql, "COMMIT");
    CHECK(!sql.failed);
    enum err_code code = store_pg_do(l, buf_cstr(&sql), e);
    if (code != ERR_OK) {
        store_pg_rollback(l);
        char text[16];
        store_pg_day_text(day, text);
        err_prefix(e, "making the partitions of %s: ", text);
    }
    buf_free(&sql);
    return code;
}

enum err_code store_pg_days_make(struct store_pg_link *l, struct store_pg_days *d, int32_t first,
                                 int32_t count, struct err *e)
{
    for (int32_t i = 0; i < count; i++) {
        int32_t day = bounded(first + i);
        if (has(d, day)) continue;
        TRY(make(l, day, e));
        add(d, day);
    }
    return ERR_OK;
}

enum err_code store_pg_days_of_batch(struct store_pg_link *l, struct store_pg_days *d,
                                     const struct batch *b, struct err *e)
{
    static const enum store_pg_kind kinds[] = {PG_TRADES, PG_QUOTES, PG_DEADS};
    int32_t last = INT32_MIN;
    for (int k = 0; k < 3; k++) {
        for (size_t i = 0; i < store_pg_row_count(b, kinds[k]); i++) {
            int32_t day = store_pg_row_day(b, kinds[k], i);
            if (day == last) continue;
            last = day;
            TRY(store_pg_days_make(l, d, day, 1, e));
        }
    }
    return ERR_OK;
}
