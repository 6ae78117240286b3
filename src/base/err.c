#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name, *words;
    enum err_action action;
    int exit_code;
} rows[ERR_MAX] = {
#define X(name, action, code, words) [ERR_##name] = {#name, words, ACT_##action, code},
    ERR_LIST(X)
#undef X
};

const char *err_name(enum err_code code)
{
    CHECK(code >= 0 && code < ERR_MAX);
    return rows[code].name;
}

const char *err_words(enum err_code code)
{
    CHECK(code >= 0 && code < ERR_MAX);
    return rows[code].words;
}

enum err_action err_action(enum err_code code)
{
    CHECK(code >= 0 && code < ERR_MAX);
    return rows[code].action;
}

int err_exit_code(enum err_code code)
{
    CHECK(code >= 0 && code < ERR_MAX);
    return rows[code].exit_code;
}

enum err_code err_set(struct err *e, enum err_code code, const char *file, int line,
                      const char *format, ...)
{
    if (!e) return code;
    /* Formatted aside first: the arguments may point into e->text. */
    char text[sizeof e->text];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    *e = (struct err){.code = code, .line = line, .file = file};
    memcpy(e->text, text, sizeof text);
    return code;
}

enum err_code err_prefix(struct err *e, const char *format, ...)
{
    if (!e) return ERR_INTERNAL;
    char text[sizeof e->text];
    va_list ap;
    va_start(ap, format);
    int n = vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    size_t used = n < 0 ? 0 : (size_t)n < sizeof text ? (size_t)n : sizeof text - 1;
    snprintf(text + used, sizeof text - used, "%s", e->text);
    memcpy(e->text, text, sizeof text);
    return e->code;
}

void check_failed(const char *file, int line, const char *cond)
{
    fprintf(stderr,
            "ticklake: a bug: %s:%d: %s does not hold; stopping before anything is harmed\n", file,
            line, cond);
    abort();
}
