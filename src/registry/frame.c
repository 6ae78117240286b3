/* The few bytes before every record that name its writer's schema. */
#include "registry/registry.h"

#include <stdio.h>
#include <zlib.h>

enum {
    MAGIC_CONFLUENT = 0x00,
    MAGIC_GLUE = 0x03,
    GLUE_PLAIN = 0x00,
    GLUE_ZLIB = 0x05,
    CONFLUENT_BYTES = 5,
    GLUE_BYTES = 18,
};

size_t registry_frame(const struct registry_id *id, uint8_t out[REGISTRY_FRAME_MAX])
{
    if (id->kind == REGISTRY_GLUE) {
        out[0] = MAGIC_GLUE;
        out[1] = GLUE_PLAIN; /* zlib makes records of this size bigger */
        memcpy(out + 2, id->uuid, sizeof id->uuid);
        return GLUE_BYTES;
    }
    CHECK(id->kind == REGISTRY_CONFLUENT);
    out[0] = MAGIC_CONFLUENT;
    for (int i = 0; i < 4; i++) out[1 + i] = (uint8_t)(id->number >> (24 - 8 * i));
    return CONFLUENT_BYTES;
}

void registry_id_text(const struct registry_id *id, char out[REGISTRY_ID_TEXT])
{
    static const char hex[] = "0123456789abcdef";
    if (id->kind != REGISTRY_GLUE) {
        snprintf(out, REGISTRY_ID_TEXT, "%lu", (unsigned long)id->number);
        return;
    }
    for (int i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10) *out++ = '-';
        *out++ = hex[id->uuid[i] >> 4];
        *out++ = hex[id->uuid[i] & 15];
    }
    *out = 0;
}

static enum err_code inflate_all(struct str packed, struct buf *to, size_t limit, struct err *e)
{
    z_stream z = {.next_in = (Bytef *)(uintptr_t)packed.p, .avail_in = (uInt)packed.n};
    if (packed.n > UINT32_MAX || inflateInit(&z) != Z_OK)
        return ERR(e, ERR_PARSE, "a zlib payload of %zu bytes", packed.n);
    buf_reset(to);
    int state = Z_OK;
    while (state == Z_OK && to->len <= limit) {
        size_t step = packed.n * 4 > 4096 ? packed.n * 4 : 4096;
        if (step > limit + 1 - to->len) step = limit + 1 - to->len;
        uint8_t *room = step ? buf_room(to, step) : NULL;
        if (!room) break;
        z.next_out = room;
        z.avail_out = (uInt)step;
        state = inflate(&z, Z_NO_FLUSH);
        to->len += step - z.avail_out;
        if (state == Z_BUF_ERROR || (state == Z_OK && z.avail_in == 0 && z.avail_out)) break;
    }
    bool left = z.avail_in > 0;
    inflateEnd(&z);
    if (to->failed || to->len > limit)
        return ERR(e, ERR_PARSE, "a zlib payload of more than %zu bytes", limit);
    if (state != Z_STREAM_END || left)
        return ERR(e, ERR_PARSE, "a zlib payload that is damaged or cut");
    return ERR_OK;
}

static enum err_code unframe_glue(struct str *record, struct buf *scratch, size_t limit,
                                  struct registry_id *ret, struct err *e)
{
    const uint8_t *p = (const uint8_t *)record->p;
    if (record->n < GLUE_BYTES)
        return ERR(e, ERR_PARSE,
                   "a record of %zu bytes begins as AWS Glue's (03), whose frame has %d", record->n,
                   GLUE_BYTES);
    if (p[1] != GLUE_PLAIN && p[1] != GLUE_ZLIB)
        return ERR(e, ERR_PARSE, "a record begins with 03 %02x: AWS Glue has 03 00 or 03 05", p[1]);
    ret->kind = REGISTRY_GLUE;
    memcpy(ret->uuid, p + 2, sizeof ret->uuid);
    struct str rest = {record->p + GLUE_BYTES, record->n - GLUE_BYTES};
    if (p[1] == GLUE_ZLIB) {
        TRY(inflate_all(rest, scratch, limit, e));
        rest = buf_str(scratch);
    }
    *record = rest;
    return ERR_OK;
}

enum err_code registry_unframe(struct str *record, struct buf *scratch, size_t limit,
                               struct registry_id *ret, struct err *e)
{
    const uint8_t *p = (const uint8_t *)record->p;
    *ret = (struct registry_id){REGISTRY_NONE, 0, {0}};
    if (record->n == 0) return ERR(e, ERR_PARSE, "an empty record: no registry's frame");
    if (p[0] == MAGIC_GLUE) return unframe_glue(record, scratch, limit, ret, e);
    if (p[0] != MAGIC_CONFLUENT)
        return ERR(
            e, ERR_PARSE,
            "a record begins with %02x: no registry's frame (Confluent's API 00, AWS Glue 03)",
            p[0]);
    if (record->n < CONFLUENT_BYTES)
        return ERR(e, ERR_PARSE,
                   "a record of %zu bytes begins as Confluent's (00), whose frame has %d",
                   record->n, CONFLUENT_BYTES);
    ret->kind = REGISTRY_CONFLUENT;
    ret->number = (uint32_t)p[1] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 8 | p[4];
    *record = (struct str){record->p + CONFLUENT_BYTES, record->n - CONFLUENT_BYTES};
    return ERR_OK;
}
