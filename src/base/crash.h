/* crash.h - named points at which a test kills the process, as a power cut would.
 *
 * TICKLAKE_CRASH=lake.before_pointer:3 in the environment: the third time that point is reached the
 * process kills itself with SIGKILL. Without it a point is one load and a branch that is never taken.
 * tests/e2e walks the list: crash_points() names all that exist, `ticklake version --json` prints it.
 */
#ifndef TICKLAKE_BASE_CRASH_H
#define TICKLAKE_BASE_CRASH_H

#include <stdbool.h>

#define CRASH_LIST(X)                                                                              \
    X(source_before_push, "source.before_push")                                                    \
    X(store_in_transaction, "store.in_transaction")                                                \
    X(store_before_commit, "store.before_commit")                                                  \
    X(store_after_commit, "store.after_commit")                                                    \
    X(bus_before_commit, "bus.before_commit")                                                      \
    X(bus_after_commit, "bus.after_commit")                                                        \
    X(process_after_push, "process.after_push")                                                    \
    X(lake_after_data, "lake.after_data")                                                          \
    X(lake_after_manifest, "lake.after_manifest")                                                  \
    X(lake_after_metadata, "lake.after_metadata")                                                  \
    X(lake_before_pointer, "lake.before_pointer")                                                  \
    X(lake_after_pointer, "lake.after_pointer")                                                    \
    X(lake_in_cleanup, "lake.in_cleanup")                                                          \
    X(queue_before_insert, "queue.before_insert")                                                  \
    X(queue_after_insert, "queue.after_insert")                                                    \
    X(fold_recorded, "fold.recorded")                                                              \
    X(rest_before_commit, "rest.before_commit")                                                    \
    X(rest_after_commit, "rest.after_commit")                                                      \
    X(fold_before_commit, "fold.before_commit")                                                    \
    X(evolve_before_pointer, "evolve.before_pointer")                                              \
    X(evolve_after_pointer, "evolve.after_pointer")                                                \
    X(compact_after_data, "compact.after_data")                                                    \
    X(compact_before_pointer, "compact.before_pointer")                                            \
    X(compact_after_pointer, "compact.after_pointer")

enum crash_point {
#define X(name, text) CRASH_##name,
    CRASH_LIST(X)
#undef X
        CRASH_MAX
};

extern bool crash_armed;
void crash_setup(
    const char *spec); /* NULL: none. Unknown names are fatal (a test must not pass by a typo) */
const char *crash_point_name(enum crash_point p);
void crash_reached(enum crash_point p);

#define CRASH_POINT(name)                                                                          \
    do {                                                                                           \
        if (__builtin_expect(crash_armed, 0)) crash_reached(CRASH_##name);                         \
    } while (0)

#endif
