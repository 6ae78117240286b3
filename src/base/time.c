#include "base/time.h"

#include "base/dec.h"

#include <stdio.h>

/* Days since 1970 of a proleptic Gregorian date (Howard Hinnant's days_from_civil). */
static int64_t days_from_civil(int64_t y, int m, int d)
{
    y -= m <= 2;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t yoe = y - era * 400;
    int64_t doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    int64_t doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    return era * 146097 + doe - 719468;
}

static void civil_from_days(int64_t z, int64_t *y, int *m, int *d)
{
    z += 719468;
    int64_t era = (z >= 0 ? z : z - 146096) / 146097;
    int64_t doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t mp = (5 * doy + 2) / 153;
    *d = (int)(doy - (153 * mp + 2) / 5 + 1);
    *m = (int)(mp < 10 ? mp + 3 : mp - 9);
    *y = yoe + era * 400 + (*m <= 2);
}

static bool take_digits(struct str *s, size_t count, int *ret)
{
    if (s->n < count) return false;
    int v = 0;
    for (size_t i = 0; i < count; i++) {
        unsigned digit = (unsigned)(unsigned char)s->p[i] - '0';
        if (digit > 9) return false;
        v = v * 10 + (int)digit;
    }
    s->p += count;
    s->n -= count;
    *ret = v;
    return true;
}

static bool take_char(struct str *s, char c)
{
    if (s->n == 0 || s->p[0] != c) return false;
    s->p++;
    s->n--;
    return true;
}

static bool take_fraction(struct str *s, int64_t *ret_ns)
{
    int64_t ns = 0, unit = NS_PER_S;
    while (s->n && s->p[0] >= '0' && s->p[0] <= '9') {
        unit /= 10;
        if (unit == 0) return false;
        ns += (s->p[0] - '0') * unit;
        s->p++;
        s->n--;
    }
    *ret_ns = ns;
    return unit != NS_PER_S;
}

static bool take_zone(struct str *s, int64_t *ret_offset_s)
{
    *ret_offset_s = 0;
    if (s->n == 0 || take_char(s, 'Z')) return s->n == 0;
    bool minus = s->p[0] == '-';
    int hours, minutes;
    if (!minus && s->p[0] != '+') return false;
    s->p++;
    s->n--;
    if (!take_digits(s, 2, &hours)) return false;
    take_char(s, ':');
    if (!take_digits(s, 2, &minutes) || s->n || hours > 23 || minutes > 59) return false;
    *ret_offset_s = (minus ? -1 : 1) * (hours * 3600 + minutes * 60);
    return true;
}

enum err_code time_parse_iso(struct str s, int64_t *ret_ns)
{
    int year, month, day, hour, minute, second;
    int64_t fraction = 0, offset;
    if (!take_digits(&s, 4, &year) || !take_char(&s, '-') || !take_digits(&s, 2, &month) ||
        !take_char(&s, '-') || !take_digits(&s, 2, &day))
        return ERR_PARSE;
    if (!take_char(&s, 'T') && !take_char(&s, ' ')) return ERR_PARSE;
    if (!take_digits(&s, 2, &hour) || !take_char(&s, ':') || !take_digits(&s, 2, &minute) ||
        !take_char(&s, ':') || !take_digits(&s, 2, &second))
        return ERR_PARSE;
    if (take_char(&s, '.') && !take_fraction(&s, &fraction)) return ERR_PARSE;
    if (!take_zone(&s, &offset)) return ERR_PARSE;
    static const int month_days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    if (month < 1 || month > 12 || hour > 23 || minute > 59 || second > 59) return ERR_PARSE;
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    if (day < 1 || day > month_days[month - 1] + (leap && month == 2)) return ERR_PARSE;
    if (year < 1678 || year > 2261) return ERR_INEXACT;
    int64_t seconds =
        days_from_civil(year, month, day) * 86400 + hour * 3600 + minute * 60 + second - offset;
    *ret_ns = seconds * NS_PER_S + fraction;
    return ERR_OK;
}

enum err_code time_from_unit(int64_t value, int64_t unit_ns, int64_t *ret_ns)
{
    int64_t ns;
    if (__builtin_mul_overflow(value, unit_ns, &ns) || ns == TIME_ABSENT) return ERR_INEXACT;
    *ret_ns = ns;
    return ERR_OK;
}

enum err_code time_parse_decimal(struct str s, int64_t unit_ns, int64_t *ret_ns)
{
    /* Leading digits of a time in seconds with 9 decimals are 19: one more than a struct dec takes. So the whole
     * and the fraction are read apart. */
    struct str whole = str_cut(&s, '.');
    bool negative = whole.n && whole.p[0] == '-';
    int64_t units, ns, fraction = 0, unit = unit_ns;
    TRY(str_to_i64(whole, &units));
    TRY(time_from_unit(units, unit_ns, &ns));
    for (size_t i = 0; i < s.n; i++) {
        unsigned digit = (unsigned)(unsigned char)s.p[i] - '0';
        if (digit > 9) return ERR_PARSE;
        if (unit % 10 && digit) return ERR_INEXACT;
        unit /= 10;
        fraction += digit * unit;
    }
    if (__builtin_add_overflow(ns, negative ? -fraction : fraction, ret_ns)) return ERR_INEXACT;
    return *ret_ns == TIME_ABSENT ? ERR_INEXACT : ERR_OK;
}

int64_t time_floor(int64_t ns, int64_t unit_ns)
{
    int64_t rest = ns % unit_ns;
    return ns - (rest < 0 ? rest + unit_ns : rest);
}

int32_t time_day(int64_t ns) { return (int32_t)(time_floor(ns, NS_PER_DAY) / NS_PER_DAY); }

int64_t time_micros(int64_t ns) { return time_floor(ns, NS_PER_US) / NS_PER_US; }

size_t time_format(int64_t ns, char *text)
{
    if (ns == TIME_ABSENT) {
        text[0] = 0;
        return 0;
    }
    int64_t day = time_floor(ns, NS_PER_DAY), rest = ns - day, year;
    int month, dom;
    civil_from_days(day / NS_PER_DAY, &year, &month, &dom);
    int64_t second = rest / NS_PER_S, fraction = rest % NS_PER_S;
    int n = snprintf(text, TIME_TEXT_MAX, "%04d-%02d-%02dT%02d:%02d:%02d", (int)year, month, dom,
                     (int)(second / 3600), (int)(second / 60 % 60), (int)(second % 60));
    int digits = fraction == 0               ? 0
                 : fraction % NS_PER_MS == 0 ? 3
                 : fraction % NS_PER_US == 0 ? 6
                                             : 9;
    if (digits) {
        int64_t shown = digits == 3   ? fraction / NS_PER_MS
                        : digits == 6 ? fraction / NS_PER_US
                                      : fraction;
        n += snprintf(text + n, TIME_TEXT_MAX - (size_t)n, ".%0*d", digits, (int)shown);
    }
    n += snprintf(text + n, TIME_TEXT_MAX - (size_t)n, "Z");
    return (size_t)n;
}
