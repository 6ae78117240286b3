#include "simulate/encode.h"

#include <stdio.h>

void put_dec(struct buf *out, struct dec d)
{
    char text[DEC_TEXT_MAX];
    buf_add(out, text, dec_format(d, text));
}

void put_iso(struct buf *out, int64_t ns, const char *zone)
{
    char text[TIME_TEXT_MAX];
    size_t n = time_format(time_floor(ns, NS_PER_S), text);
    buf_add(out, text, n - 1); /* without the Z */
    int64_t micros = time_micros(ns) - time_floor(ns, NS_PER_S) / NS_PER_US;
    buf_addf(out, ".%06d%s", (int)micros, zone);
}

yyjson_doc *parse_frame(struct str frame)
{
    if (frame.n > 1 << 20) return NULL;
    return yyjson_read(frame.p, frame.n, 0);
}

void reply_text(struct sim_client *c, struct buf *frame)
{
    sim_reply(c, buf_str(frame));
    buf_free(frame);
}

/* Length of the `"KEY":` at p, where KEY is one of keys; 0 otherwise. */
static size_t key_at(struct str rest, const char *const *keys)
{
    for (; *keys; keys++) {
        size_t n = strlen(*keys);
        if (rest.n > n + 3 && rest.p[0] == '"' && memcmp(rest.p + 1, *keys, n) == 0 &&
            rest.p[n + 1] == '"' && rest.p[n + 2] == ':')
            return n + 3;
    }
    return 0;
}

void retime_number(struct str frame, const char *const *keys, int64_t shift_ns, int64_t unit_ns,
                   struct buf *out)
{
    while (frame.n) {
        size_t key = key_at(frame, keys);
        if (key == 0) {
            buf_add_byte(out, (uint8_t)frame.p[0]);
            frame = (struct str){frame.p + 1, frame.n - 1};
            continue;
        }
        buf_add(out, frame.p, key);
        frame = (struct str){frame.p + key, frame.n - key};
        size_t digits = 0;
        while (digits < frame.n && frame.p[digits] >= '0' && frame.p[digits] <= '9') digits++;
        int64_t value;
        if (str_to_i64((struct str){frame.p, digits}, &value) == ERR_OK)
            buf_addf(out, "%lld", (long long)(value + shift_ns / unit_ns));
        else
            buf_add(out, frame.p, digits);
        frame = (struct str){frame.p + digits, frame.n - digits};
    }
}

const struct sim_venue *const sim_venue_all[] = {&sim_tiingo,   &sim_binance, &sim_binance_futures,
                                                 &sim_coinbase, &sim_kraken,  NULL};

const struct sim_venue *sim_venue_by_name(struct str name)
{
    for (size_t i = 0; sim_venue_all[i]; i++)
        if (str_is(name, sim_venue_all[i]->name)) return sim_venue_all[i];
    return NULL;
}
