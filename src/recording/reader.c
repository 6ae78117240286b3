#include "recording/reader.h"

#include <stdio.h>

void item_bytes(struct recording_item *item, const struct input_line *line)
{
    item->bytes = line->p;
    item->len = line->n;
}

bool json_is_whole(struct str s)
{
    int depth = 0;
    bool text = false;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (text && c == '\\')
            i++;
        else if (c == '"')
            text = !text;
        else if (!text && (c == '{' || c == '['))
            depth++;
        else if (!text && (c == '}' || c == ']'))
            depth--;
    }
    return depth == 0 && !text && s.n > 0;
}

struct str venue_of_folders(const char *path)
{
    const char *slash = strrchr(path, '/');
    struct str folders = {path, slash ? (size_t)(slash - path) : 0};
    struct str found = {NULL, 0};
    while (folders.n) {
        struct str part = str_cut(&folders, '/');
        const struct venue *v = venue_by_name(part);
        if (v) found = str_of(v->name);
    }
    return found;
}

bool venue_symbol_of_pair(struct str venue, struct str base, struct str quote, char *to,
                          size_t size)
{
    if (base.n == 0 || quote.n == 0 || base.n > 32 || quote.n > 32) return false;
    const struct venue *v = venue_by_name(venue);
    const char *separator = v && v->pair_separator ? v->pair_separator : "";
    int n = snprintf(to, size, "%.*s%s%.*s", STR_ARG(base), separator, STR_ARG(quote));
    if (n <= 0 || (size_t)n >= size) return false;
    bool lower = v && v->pair_lower_case;
    for (char *c = to; *c; c++) {
        if (lower && *c >= 'A' && *c <= 'Z') *c = (char)(*c + 32);
        if (!lower && *c >= 'a' && *c <= 'z') *c = (char)(*c - 32);
    }
    return true;
}

int timeframe_of_ns(int64_t ns)
{
    for (int i = 0; i < TIMEFRAME_MAX; i++)
        if (timeframe_ns((enum timeframe)i) == ns) return i;
    return -1;
}

enum err_code time_of_digits(struct str digits, int64_t *ret_ns)
{
    int64_t value;
    TRY(str_to_i64(digits, &value));
    switch (digits.n) {
    case 10: return time_from_unit(value, NS_PER_S, ret_ns);
    case 13: return time_from_unit(value, NS_PER_MS, ret_ns);
    case 16: return time_from_unit(value, NS_PER_US, ret_ns);
    case 19: return time_from_unit(value, 1, ret_ns);
    default: return ERR_PARSE;
    }
}

void candle_start(struct recording_item *item, int timeframe, int64_t open_time_ns,
                  const char *source)
{
    item->kind = RECORDING_CANDLE;
    memset(&item->candle, 0, sizeof item->candle);
    struct candle *c = &item->candle.c;
    c->timeframe = (uint8_t)timeframe;
    c->open_time_ns = open_time_ns;
    c->trade_count = -1;
    c->complete = true;
    item->candle.source = str_of(source);
    item->candle.fetched_ns = open_time_ns + timeframe_ns((enum timeframe)timeframe);
}

enum err_code candle_prices(struct recording_item *item, const struct str text[5])
{
    struct candle *c = &item->candle.c;
    TRY(dec_parse_lake(text[0], &c->open));
    TRY(dec_parse_lake(text[1], &c->high));
    TRY(dec_parse_lake(text[2], &c->low));
    TRY(dec_parse_lake(text[3], &c->close));
    c->has_base_volume = text[4].n > 0;
    if (c->has_base_volume) TRY(dec_parse_lake(text[4], &c->base_volume));
    return ERR_OK;
}

enum err_code line_of_text(const struct recording *r, const struct input_line *line,
                           struct recording_item *item, struct err *e)
{
    if (!line->cut || json_is_whole((struct str){item->bytes, item->len})) return ERR_OK;
    item_bytes(item, line);
    return damaged_line(r, e, ERR_CORRUPT, line->number,
                        "the file ends in mid-line: %zu bytes without an end", line->n);
}
