#include "io/clock.h"

#include <errno.h>
#include <time.h>

static int64_t read_clock(clockid_t id)
{
    struct timespec t;
    CHECK(clock_gettime(id, &t) == 0);
    return t.tv_sec * NS_PER_S + t.tv_nsec;
}

int64_t clock_wall_ns(void) { return read_clock(CLOCK_REALTIME); }
int64_t clock_mono_ns(void) { return read_clock(CLOCK_MONOTONIC); }
int64_t clock_cpu_ns(void) { return read_clock(CLOCK_PROCESS_CPUTIME_ID); }

void clock_sleep_ns(int64_t ns)
{
    if (ns <= 0) return;
    struct timespec t = {ns / NS_PER_S, (long)(ns % NS_PER_S)};
    while (nanosleep(&t, &t) != 0 && errno == EINTR) {
    }
}
