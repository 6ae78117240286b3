/* hftbacktest's collector: "<receive time> <raw JSON>" a line. 19 digits are nanoseconds, 16 are
 * microseconds.
 *
 * The file does not name its venue; content tells. Binance's frames have "stream" and "data".
 * Futures differ from spot: bookTicker has an "e" (and T, E), trades have "X" instead of "M", depth
 * updates have "pu". COIN-M streams are named "..._perp@..." or end in a date. What is still
 * undecided is --venue's. A line without "stream" among such frames is the REST snapshot of the
 * book.
 */
#include "recording/reader.h"

static size_t digits_of(struct str s)
{
    size_t n = 0;
    while (n < s.n && s.p[n] >= '0' && s.p[n] <= '9') n++;
    return n;
}

static bool probe(const struct probe *p)
{
    size_t n = digits_of(p->head);
    return (n == 19 || n == 16 || n == 13) && p->head.n > n + 1 && p->head.p[n] == ' ' &&
           p->head.p[n + 1] == '{';
}

/* What one line says of the venue: NULL nothing. */
static const char *venue_of_line(struct str line)
{
    if (!str_contains(line, "\"stream\":\"")) return NULL;
    if (str_contains(line, "usd_perp@")) return "binance_delivery";
    if (str_contains(line, "@bookTicker\""))
        return str_contains(line, "\"e\":\"bookTicker\"") ? "binance_futures" : "binance";
    if (str_contains(line, "@trade\""))
        return str_contains(line, "\"X\":") ? "binance_futures" : "binance";
    if (str_contains(line, "@depth"))
        return str_contains(line, "\"pu\":") ? "binance_futures" : "binance";
    return NULL;
}

static enum err_code open_file(struct recording *r, struct err *e)
{
    (void)e;
    struct str head = input_peek(r->in, RECORDING_PROBE_BYTES);
    const char *name = NULL;
    bool streams = false;
    while (head.n && !name) {
        struct str line = str_cut(&head, '\n');
        streams = streams || str_contains(line, "\"stream\":\"");
        if (head.n || !streams) name = venue_of_line(line);
    }
    r->venue = name ? str_of(name) : r->hint;
    return ERR_OK;
}

static enum err_code next_item(struct recording *r, struct recording_item *ret, struct err *e)
{
    struct input_line line;
    do {
        enum err_code code = input_line(r->in, VENUE_FRAME_MAX + 64, &line, e);
        item_bytes(ret, &line);
        if (code != ERR_OK) return code;
    } while (line.n == 0);
    struct str digits = {line.p, 0};
    digits.n = digits_of((struct str){line.p, line.n});
    if (digits.n + 1 >= line.n || line.p[digits.n] != ' ' ||
        time_of_digits(digits, &ret->received_ns) != ERR_OK)
        return damaged_line(r, e, line.cut ? ERR_CORRUPT : ERR_PARSE, line.number,
                            "expected \"<19 or 16 digits> {frame}\"");
    ret->kind = RECORDING_FRAME;
    ret->venue = r->venue;
    ret->bytes = line.p + digits.n + 1;
    ret->len = line.n - digits.n - 1;
    if (str_starts((struct str){ret->bytes, ret->len}, "{\"lastUpdateId\"")) {
        ret->kind = RECORDING_REST;
        ret->url = str_is(r->venue, "binance") ? STR("https://api.binance.com/api/v3/depth")
                                               : STR("https://fapi.binance.com/fapi/v1/depth");
    }
    return line_of_text(r, &line, ret, e);
}

const struct format format_hftbacktest = {
    .name = "hftbacktest",
    .probe = probe,
    .open = open_file,
    .next = next_item,
};
