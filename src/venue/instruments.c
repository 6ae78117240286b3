#include "venue/instruments.h"

enum err_code instruments_read(struct instruments *in, yyjson_val *list, const char *where,
                               bool (*one)(struct instruments *in, yyjson_val *entry),
                               struct err *e)
{
    size_t i, n = 0;
    yyjson_val *key, *entry;
    if (yyjson_is_arr(list)) {
        yyjson_arr_foreach(list, i, n, entry) in->given += one(in, entry);
    } else if (yyjson_is_obj(list)) {
        yyjson_obj_foreach(list, i, n, key, entry) in->given += one(in, entry);
    } else {
        return ERR(e, ERR_PARSE, "%s: %s: expected the list of instruments, found %s",
                   in->venue->name, where, list ? yyjson_get_type_desc(list) : "nothing");
    }
    if (n > 0 && in->given == 0)
        return ERR(e, ERR_PARSE, "%s: %s: none of the %zu entries is an instrument",
                   in->venue->name, where, n);
    return ERR_OK;
}

bool instruments_give(struct instruments *in, struct instrument *i,
                      const struct venue_symbol_parts *parts)
{
    char symbol[NAMES_TEXT_MAX], texts[3][NAMES_TEXT_MAX];
    const struct str given[3] = {parts->base, parts->quote, i->settle};
    struct str *upper[3] = {&i->base, &i->quote, &i->settle};
    if (i->venue_symbol.n == 0 || i->venue_symbol.n >= NAMES_TEXT_MAX) return false;
    if (!names_is_clean(i->venue_symbol)) return false;
    for (size_t k = 0; k < 3; k++) {
        if (given[k].n >= NAMES_TEXT_MAX || !names_is_clean(given[k])) return false;
        names_upper(given[k], texts[k]);
        *upper[k] = (struct str){texts[k], given[k].n};
    }
    struct venue_symbol_parts all = *parts;
    all.base = i->base;
    all.quote = i->quote;
    if (!names_compose(&all, i->settle, symbol, sizeof symbol)) return false;
    i->venue = str_of(in->venue->name);
    i->symbol = str_of(symbol);
    if (i->status.n > NAMES_TEXT_MAX || !names_is_clean(i->status)) i->status = STR("");
    in->each(in->ctx, i);
    return true;
}

int64_t instruments_time_ms(yyjson_val *v)
{
    int64_t ms, ns;
    if (json_i64(v, &ms) || ms <= 0 || time_from_unit(ms, NS_PER_MS, &ns)) return TIME_ABSENT;
    return ns;
}
