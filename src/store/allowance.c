#include "store/allowance.h"

#include "gen/sql.h"
#include "io/file.h"
#include "store/store_pg.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- Windows ---- */

/* Days since 1970 of a date; the month from 1. */
static int64_t day_of(int64_t year, int month, int day)
{
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400, of_era = year - era * 400;
    int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

/* The n-th Sunday of a month; 1970-01-01 was a Thursday. */
static int64_t sunday_of(int64_t year, int month, int n)
{
    int64_t first = day_of(year, month, 1);
    return first + (3 - first % 7 + 7) % 7 + 7 * (n - 1);
}

static int64_t year_of(int64_t ns)
{
    char text[TIME_TEXT_MAX];
    int64_t year = 1970;
    time_format(ns, text);
    if (str_to_i64((struct str){text, 4}, &year) != ERR_OK) return 1970;
    return year;
}

/* Summer time from the second Sunday of March, 2:00 (7:00 UTC), to the first of November, 2:00 (6:00 UTC). */
static int64_t new_york(int64_t ns)
{
    int64_t year = year_of(ns);
    int64_t begin = sunday_of(year, 3, 2) * NS_PER_DAY + 7 * NS_PER_HOUR;
    int64_t end = sunday_of(year, 11, 1) * NS_PER_DAY + 6 * NS_PER_HOUR;
    return ns >= begin && ns < end ? -4 * NS_PER_HOUR : -5 * NS_PER_HOUR;
}

static int64_t midnight(int64_t local_ns)
{
    /* Clocks change at two in the night, so midnight has the offset of the noon before. */
    int64_t at = time_floor(local_ns, NS_PER_DAY);
    return at - new_york(at + 5 * NS_PER_HOUR - NS_PER_HOUR);
}

int64_t allowance_hour(int64_t now_ns) { return time_floor(now_ns, NS_PER_HOUR); }
int64_t allowance_day(int64_t now_ns) { return midnight(now_ns + new_york(now_ns)); }
int64_t allowance_next_day(int64_t now_ns)
{
    return midnight(now_ns + new_york(now_ns) + NS_PER_DAY);
}

static void roll(struct allowance_count *c, int64_t now_ns)
{
    int64_t hour_ns = allowance_hour(now_ns), day_ns = allowance_day(now_ns);
    /* A clock set back must not give new allowances. */
    if (hour_ns > c->hour_ns) {
        c->hour_ns = hour_ns;
        c->hour_count = 0;
    }
    if (day_ns > c->day_ns) {
        c->day_ns = day_ns;
        c->day_count = 0;
    }
}

int64_t allowance_take(struct allowance_count *c, int64_t now_ns, int64_t hour, int64_t day)
{
    roll(c, now_ns);
    if (day && c->day_count >= day) return allowance_next_day(c->day_ns);
    if (hour && c->hour_count >= hour) return c->hour_ns + NS_PER_HOUR;
    c->hour_count++;
    c->day_count++;
    return TIME_ABSENT;
}

int64_t allowance_used_up(struct allowance_count *c, int64_t now_ns, int64_t hour, int64_t day,
                          bool of_day)
{
    roll(c, now_ns);
    if (c->hour_count < hour) c->hour_count = hour;
    if (!of_day) return c->hour_ns + NS_PER_HOUR;
    if (c->day_count < day) c->day_count = day;
    return allowance_next_day(c->day_ns);
}

/* ---- Kept ---- */

struct change {
    int64_t now_ns, until_ns;
    bool used_up, of_day;
};

static void apply(const struct store_allowance *a, struct change *ch, struct allowance_count *c)
{
    ch->until_ns = ch->used_up ? allowance_used_up(c, ch->now_ns, a->hour, a->day, ch->of_day)
                               : allowance_take(c, ch->now_ns, a->hour, a->day);
}

/* One line a venue: "tiingo HOUR_NS HOUR_COUNT DAY_NS DAY_COUNT". */
static bool read_line(struct str line, const char *venue, struct allowance_count *ret)
{
    int64_t *const numbers[] = {&ret->hour_ns, &ret->hour_count, &ret->day_ns, &ret->day_count};
    if (!str_is(str_cut(&line, ' '), venue)) return false;
    for (int i = 0; i < 4; i++)
        if (str_to_i64(str_cut(&line, ' '), numbers[i]) != ERR_OK) return false;
    return true;
}

static void write_line(const char *venue, const struct allowance_count *c, struct buf *out)
{
    buf_addf(out, "%s %lld %lld %lld %lld\n", venue, (long long)c->hour_ns,
             (long long)c->hour_count, (long long)c->day_ns, (long long)c->day_count);
}

static const char head[] = "ticklake allowances 1\n";
enum { FILE_BYTES_MAX = 64 << 10 };

static enum err_code change_file(const struct store_allowance *a, struct change *ch, struct err *e)
{
    char path[PATH_LIMIT];
    struct buf in, out;
    struct err why = {0};
    struct allowance_count count = {0};
    buf_init(&in, FILE_BYTES_MAX);
    buf_init(&out, FILE_BYTES_MAX);
    path_join(path, a->folder, "allowances");
    enum err_code code = file_read(path, FILE_BYTES_MAX, &in, &why);
    struct str rest = buf_str(&in);
    if (code == ERR_OK && !str_starts(rest, head))
        code = ERR(&why, ERR_CORRUPT, "%s: not of this program; move it away to count anew", path);
    if (code == ERR_NOT_FOUND) code = ERR_OK;
    buf_add_cstr(&out, head);
    if (code == ERR_OK && rest.n) str_cut(&rest, '\n');
    while (code == ERR_OK && rest.n) {
        struct str line = str_cut(&rest, '\n');
        if (read_line(line, a->venue, &count)) continue;
        buf_add_str(&out, line);
        buf_add_byte(&out, '\n');
    }
    if (code == ERR_OK) {
        apply(a, ch, &count);
        write_line(a->venue, &count, &out);
        code = file_write_durable(path, buf_str(&out), &why);
    }
    buf_free(&in);
    buf_free(&out);
    if (code != ERR_OK && e) *e = why;
    return code;
}

static enum err_code read_row(struct store_pg_link *l, const char *venue,
                              struct allowance_count *ret, struct err *e)
{
    const char *values[] = {venue};
    PGresult *r =
        PQexecParams(l->conn, sql_postgres_history_read_allowance, 1, NULL, values, NULL, NULL, 0);
    enum err_code code = ERR_OK;
    if (PQresultStatus(r) != PGRES_TUPLES_OK) code = store_pg_error(l, r, "allowances", e);
    int64_t *const numbers[] = {&ret->hour_ns, &ret->hour_count, &ret->day_ns, &ret->day_count};
    for (int i = 0; code == ERR_OK && PQntuples(r) && i < 4; i++)
        if (str_to_i64(str_of(PQgetvalue(r, 0, i)), numbers[i]) != ERR_OK)
            code = ERR(e, ERR_CORRUPT, "%s: ticklake.allowances: no number", l->address);
    PQclear(r);
    return code;
}

static enum err_code write_row(struct store_pg_link *l, const char *venue,
                               const struct allowance_count *c, struct err *e)
{
    const int64_t numbers[] = {c->hour_ns, c->hour_count, c->day_ns, c->day_count};
    char texts[4][24];
    const char *values[5] = {venue};
    for (int i = 0; i < 4; i++) {
        (void)snprintf(texts[i], sizeof texts[i], "%lld", (long long)numbers[i]);
        values[1 + i] = texts[i];
    }
    PGresult *r =
        PQexecParams(l->conn, sql_postgres_history_put_allowance, 5, NULL, values, NULL, NULL, 0);
    enum err_code code = ERR_OK;
    if (PQresultStatus(r) != PGRES_COMMAND_OK) code = store_pg_error(l, r, "allowances", e);
    PQclear(r);
    return code;
}

/* The row's lock orders the processes; an advisory one stands in for a row that is not there yet. */
static enum err_code change_locked(struct store_pg_link *l, const struct store_allowance *a,
                                   struct change *ch, struct err *e)
{
    struct allowance_count count = {0};
    TRY(store_pg_do(l, "BEGIN", e));
    TRY(store_pg_do(l, sql_postgres_history_allowances, e));
    TRY(read_row(l, a->venue, &count, e));
    apply(a, ch, &count);
    TRY(write_row(l, a->venue, &count, e));
    return store_pg_do(l, "COMMIT", e);
}

static enum err_code change_pg(const struct store_allowance *a, struct change *ch, struct err *e)
{
    struct store_pg_link l;
    TRY(store_pg_connect(&l, a->url, "ticklake allowance", false, e));
    enum err_code code = store_pg_migrate(&l, false, e);
    if (code == ERR_OK) code = change_locked(&l, a, ch, e);
    store_pg_disconnect(&l);
    return code;
}

static enum err_code change(const struct store_allowance *a, struct change *ch, struct err *e)
{
    return a->url ? change_pg(a, ch, e) : change_file(a, ch, e);
}

enum err_code store_allowance_take(const struct store_allowance *a, int64_t now_ns,
                                   int64_t *ret_until_ns, struct err *e)
{
    struct change ch = {.now_ns = now_ns};
    TRY(change(a, &ch, e));
    *ret_until_ns = ch.until_ns;
    return ERR_OK;
}

enum err_code store_allowance_used_up(const struct store_allowance *a, bool of_day, int64_t now_ns,
                                      int64_t *ret_until_ns, struct err *e)
{
    struct change ch = {.now_ns = now_ns, .used_up = true, .of_day = of_day};
    TRY(change(a, &ch, e));
    *ret_until_ns = ch.until_ns;
    return ERR_OK;
}
