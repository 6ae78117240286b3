#include "base/array.h"

#include "base/err.h"

#include <stdlib.h>

enum { FIRST_ITEMS = 16 };

void *array_grown(void *array, size_t count, size_t *cap, size_t size)
{
    if (count < *cap) return array;
    *cap = *cap ? *cap * 2 : FIRST_ITEMS;
    array = reallocarray(array, *cap, size);
    CHECK(array != NULL);
    return array;
}
