/* cells.h - values as the tests' CSV has them: strings and bytes as x and hex digits, decimals
 * as the integer behind decimal(38,18). */
#ifndef TICKLAKE_TESTS_CELLS_H
#define TICKLAKE_TESTS_CELLS_H

#include "base/dec.h"

#include <stdio.h>

static inline void put_i128(FILE *f, i128 v)
{
    char digits[48];
    size_t n = sizeof digits;
    u128 rest = v < 0 ? -(u128)v : (u128)v;
    do digits[--n] = (char)('0' + (int)(rest % 10));
    while (rest /= 10);
    fprintf(f, "%s%.*s", v < 0 ? "-" : "", (int)(sizeof digits - n), digits + n);
}

static inline void put_hex(FILE *f, struct str s)
{
    fputc('x', f);
    for (size_t i = 0; i < s.n; i++) fprintf(f, "%02x", (unsigned char)s.p[i]);
}

#endif
