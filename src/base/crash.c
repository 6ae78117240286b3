#include "base/crash.h"

#include "base/str.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char *const names[CRASH_MAX] = {
#define X(name, text) [CRASH_##name] = text,
    CRASH_LIST(X)
#undef X
};

bool crash_armed;
static enum crash_point wanted;
static atomic_int left;

const char *crash_point_name(enum crash_point p)
{
    CHECK(p >= 0 && p < CRASH_MAX);
    return names[p];
}

void crash_setup(const char *spec)
{
    if (!spec || !*spec) return;
    struct str rest = str_of(spec), name = str_cut(&rest, ':');
    int64_t times = 1;
    if (rest.n && (str_to_i64(rest, &times) != ERR_OK || times < 1 || times > INT32_MAX)) times = 0;
    for (int p = 0; p < CRASH_MAX && times; p++) {
        if (!str_is(name, names[p])) continue;
        wanted = (enum crash_point)p;
        atomic_store(&left, (int)times);
        crash_armed = true;
        return;
    }
    fprintf(stderr, "ticklake: TICKLAKE_CRASH=%s: expected POINT[:N] with a point of:", spec);
    for (int p = 0; p < CRASH_MAX; p++) fprintf(stderr, " %s", names[p]);
    fprintf(stderr, "\n");
    exit(64);
}

void crash_reached(enum crash_point p)
{
    if (p != wanted || atomic_fetch_sub(&left, 1) != 1) return;
    kill(getpid(), SIGKILL);
    for (;;) pause(); /* the signal is on its way; nothing more may happen */
}
