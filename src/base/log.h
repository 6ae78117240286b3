/* log.h - one line a fact, logfmt or JSON, to standard error; only run/, command/ and main.c log.
 *
 * Usage     LOG(INFO, "lake", "committed", LOG_I64("rows", n), LOG_STR("table", name));
 * Line      time=2026-11-25T12:00:00.123Z level=info stage=lake msg=committed rows=12 table=trades
 * Secrets   never pass one; the settings table marks which keys are secret and prints them as ***.
 * Threads   any; a line is one write.
 */
#ifndef TICKLAKE_BASE_LOG_H
#define TICKLAKE_BASE_LOG_H

#include "base/str.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR, LOG_NONE };
enum log_format { LOG_LOGFMT, LOG_JSON };

struct log_field {
    const char *key;
    const char *text; /* NULL: the number */
    int64_t number;
};
#define LOG_STR(k, v) ((struct log_field){(k), (v), 0})
#define LOG_I64(k, v) ((struct log_field){(k), NULL, (int64_t)(v)})

void log_setup(enum log_level least, enum log_format format);
/* Called before a line goes out, so that a progress line on the terminal can be cleared; may be NULL. */
void log_before_line(void (*hook)(void));
bool log_wants(enum log_level level);
void log_line(enum log_level level, const char *stage, const char *message,
              const struct log_field *fields, size_t count);
void log_error(const char *stage, const char *message, const struct err *e);

#define LOG(level, stage, message, ...)                                                            \
    do {                                                                                           \
        if (log_wants(LOG_##level)) {                                                              \
            const struct log_field log_fields_[] = {{0}, ##__VA_ARGS__};                           \
            log_line(LOG_##level, (stage), (message), log_fields_ + 1,                             \
                     sizeof(log_fields_) / sizeof(log_fields_[0]) - 1);                            \
        }                                                                                          \
    } while (0)

#endif
