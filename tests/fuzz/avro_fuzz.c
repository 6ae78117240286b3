/* The Avro reader on hostile files: every record, every value. */
#include "avro/avro.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t touch(const struct avro_value *v)
{
    uint64_t sum = (uint64_t)v->number + (v->bytes.n ? (uint8_t)v->bytes.p[v->bytes.n - 1] : 0);
    for (size_t i = 0; i < v->count; i++) sum += touch(&v->items[i]);
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct avro_reader *r = NULL;
    struct err e;
    if (avro_reader_open((struct str){(const char *)data, size}, &r, &e) != ERR_OK) return 0;
    const struct avro_value *v;
    uint64_t sum = 0;
    while (avro_reader_next(r, &v, &e) == ERR_OK) sum += touch(v);
    __asm__ volatile("" : : "r"(sum)); /* the reads must happen */
    avro_reader_close(r);
    return 0;
}
