/* What the tests of recording/ and source/ share: where the real recordings are, temporary files,
 * random bytes. */
#ifndef TICKLAKE_TESTS_RECORDING_HELP_H
#define TICKLAKE_TESTS_RECORDING_HELP_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "io/file.h"
#include "recording/reader.h"

#define assert_ok(code, e)                                                                         \
    do {                                                                                           \
        if ((code) != ERR_OK) fail_msg("%s", (e)->text);                                           \
    } while (0)

/* Path of a file of the catalogue; skips the test where the recordings are not there. */
static inline const char *recorded(const char *name)
{
    static char path[8][PATH_LIMIT];
    static int at;
    const char *root = getenv("TICKLAKE_RECORDINGS");
    char *to = path[at++ % 8];
    path_join(to, root && root[0] ? root : "../shared/recordings", name);
    if (!file_exists(to)) {
        print_message("skipped: no recordings (%s); set TICKLAKE_RECORDINGS\n", to);
        skip();
    }
    return to;
}

static inline const char *temporary(const char *name)
{
    static char path[8][PATH_LIMIT];
    static int at;
    const char *root = getenv("TMPDIR");
    char *to = path[at++ % 8];
    char own[300];
    snprintf(own, sizeof own, "ticklake-test-%ld-%s", (long)getpid(), name);
    path_join(to, root && root[0] ? root : "/tmp", own);
    return to;
}

static inline uint64_t random_next(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

struct tally {
    int64_t kind[RECORDING_CANDLE + 1];
    int64_t damaged;
    char venue[64], symbol[64], last_damage[512];
    size_t damaged_bytes;
};

/* Reads a set to its end. Every item's bytes must be followed by zeros. */
static inline void tally_set(struct recording_set *s, struct tally *t)
{
    struct recording_item item;
    struct err e = {0};
    size_t member;
    memset(t, 0, sizeof *t);
    for (;;) {
        enum err_code code = recording_set_next(s, &item, &member, &e);
        if (code == ERR_NOT_FOUND) return;
        if (code != ERR_OK) {
            assert_true(code == ERR_CORRUPT || code == ERR_PARSE || code == ERR_INEXACT);
            t->damaged++;
            t->damaged_bytes = item.len;
            str_copy(t->last_damage, sizeof t->last_damage, str_of(e.text));
            continue;
        }
        t->kind[item.kind]++;
        str_copy(t->venue, sizeof t->venue, item.venue);
        if (item.venue_symbol.n) str_copy(t->symbol, sizeof t->symbol, item.venue_symbol);
        if (item.kind >= RECORDING_TRADE || !item.bytes) continue;
        for (int i = 0; i < VENUE_PADDING; i++)
            assert_int_equal(item.bytes[item.len + (size_t)i], 0);
    }
}

static inline void tally_path(const char *path, const char *hint, struct tally *t)
{
    struct recording_set *s;
    struct err e = {0};
    assert_ok(recording_set_open(&path, 1, str_of(hint), NULL, NULL, &s, &e), &e);
    tally_set(s, t);
    recording_set_close(s);
}

static inline void tally_bytes(const char *name, struct str bytes, const char *hint,
                               struct tally *t)
{
    struct recording *r;
    struct err e = {0};
    struct recording_item item;
    memset(t, 0, sizeof *t);
    assert_ok(recording_open_bytes(name, bytes, str_of(hint), &r, &e), &e);
    enum err_code code;
    while ((code = recording_next(r, &item, &e)) != ERR_NOT_FOUND) {
        if (code == ERR_OK) {
            t->kind[item.kind]++;
            str_copy(t->venue, sizeof t->venue, item.venue);
            continue;
        }
        t->damaged++;
        t->damaged_bytes = item.len;
        str_copy(t->last_damage, sizeof t->last_damage, str_of(e.text));
    }
    recording_close(r);
}

#endif
