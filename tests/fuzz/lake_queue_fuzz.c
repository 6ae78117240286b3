/* Payloads of the queue: whatever the bytes are, they are refused or come out as they went in. */
#include "lake/queue_internal.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct queue_commit q, again;
    struct arena a;
    struct err e = {0};
    struct buf out, twice;
    arena_init(&a, (size_t)64 << 20);
    buf_init(&out, (size_t)16 << 20);
    buf_init(&twice, (size_t)16 << 20);
    if (queue_decode((struct str){(const char *)data, size}, &a, &q, &e) == ERR_OK) {
        queue_encode(&q, &out);
        CHECK(queue_decode(buf_str(&out), &a, &again, &e) == ERR_OK);
        queue_encode(&again, &twice);
        CHECK(str_eq(buf_str(&out), buf_str(&twice)));
    }
    buf_free(&out);
    buf_free(&twice);
    arena_free(&a);
    return 0;
}
