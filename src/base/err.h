/* err.h - one list of everything that can go wrong, and what to do about it.
 *
 * Purpose   every function that can fail returns `enum err_code`; one that crosses a folder also takes
 *           `struct err *e` last and fills it with the place and a sentence for a person.
 * Rule      a function either returns its cause or logs it, never both. Only run/, command/ and main.c
 *           log errors. Broken invariants are no errors: CHECK() prints and aborts, in release builds too.
 * Usage     if (fd < 0) return ERR(e, ERR_DISK, "open %s: %s", path, strerror(errno));
 *           TRY(store_append(s, batch, e));              pass up unchanged
 * Sentence  names the file, line, key or peer, what was expected, and what to do.
 * Threads   no shared state.
 */
#ifndef TICKLAKE_BASE_ERR_H
#define TICKLAKE_BASE_ERR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum err_action {
    ACT_NONE,  /* not an error */
    ACT_RETRY, /* an outage: try again for ever, with backoff, visibly */
    ACT_SKIP,  /* one bad record: dead letter with its raw bytes, the stream goes on */
    ACT_STOP,  /* stop loudly, with the exit code of the row */
};

/* name, action, exit code (documented in docs/operating.md), words */
#define ERR_LIST(X)                                                                                \
    X(OK, NONE, 0, "done")                                                                         \
    X(DIFFERENT, STOP, 1, "a check found a difference")                                            \
    X(USAGE, STOP, 64, "wrong use of the command line")                                            \
    X(CORRUPT, STOP, 65, "damaged data")                                                           \
    X(PARSE, SKIP, 65, "cannot be read")                                                           \
    X(INEXACT, SKIP, 65, "cannot be held exactly")                                                 \
    X(CONFLICT, RETRY, 69, "somebody else was faster")                                             \
    X(NOT_FOUND, STOP, 64, "not found")                                                            \
    X(UNAVAILABLE, RETRY, 69, "a needed service is not there")                                     \
    X(TIMEOUT, RETRY, 69, "no answer in time")                                                     \
    X(NETWORK, RETRY, 69, "connection lost")                                                       \
    X(REFUSED, STOP, 77, "credentials refused")                                                    \
    X(FENCED, RETRY, 69, "another worker has taken over")                                          \
    X(INCOMPATIBLE, STOP, 78, "a schema was refused")                                              \
    X(FULL, RETRY, 70, "a stated limit was reached")                                               \
    X(INTERNAL, STOP, 70, "a bug")                                                                 \
    X(DISK, STOP, 74, "disk")                                                                      \
    X(IN_USE, STOP, 75, "the data folder is in use")                                               \
    X(CONFIG, STOP, 78, "configuration")                                                           \
    X(VERSION, STOP, 78, "written by a newer version")                                             \
    X(HOLE, STOP, 79, "a hole between positions")                                                  \
    X(STOPPED, STOP, 0, "stopped on request")

enum err_code {
#define X(name, action, code, words) ERR_##name,
    ERR_LIST(X)
#undef X
        ERR_MAX
};

struct err {
    enum err_code code;
    int line;
    const char *file;
    char text[512];
};

const char *err_name(enum err_code code);  /* "DISK" */
const char *err_words(enum err_code code); /* "disk" */
enum err_action err_action(enum err_code code);
int err_exit_code(enum err_code code);

/* Fills *e (may be NULL) and returns the code, so that `return ERR(...)` is one line. */
enum err_code err_set(struct err *e, enum err_code code, const char *file, int line,
                      const char *format, ...) __attribute__((format(printf, 5, 6)));
/* Puts words in front of a text that is already there: "replay a.gz: line 7: ...". */
enum err_code err_prefix(struct err *e, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#define ERR(e, code, ...) err_set((e), (code), __FILE__, __LINE__, __VA_ARGS__)
#define TRY(call)                                                                                  \
    do {                                                                                           \
        enum err_code try_code_ = (call);                                                          \
        if (try_code_ != ERR_OK) return try_code_;                                                 \
    } while (0)

#define MUST_USE __attribute__((warn_unused_result))

/* Stays on in release builds; the condition must have no side effect. */
#define CHECK(cond)                                                                                \
    do {                                                                                           \
        if (__builtin_expect(!(cond), 0)) check_failed(__FILE__, __LINE__, #cond);                 \
    } while (0)
_Noreturn void check_failed(const char *file, int line, const char *cond);

#endif
