#include "base/log.h"

#include "base/buf.h"
#include "base/time.h"

#include <pthread.h>
#include <time.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 16 << 10 };

static struct {
    enum log_level least;
    enum log_format format;
    void (*before)(void);
} settings = {LOG_INFO, LOG_LOGFMT, NULL};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void log_setup(enum log_level least, enum log_format format)
{
    settings.least = least;
    settings.format = format;
}

void log_before_line(void (*hook)(void)) { settings.before = hook; }

bool log_wants(enum log_level level) { return level >= settings.least; }

static bool is_plain(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] <= ' ' || s.p[i] == '"' || s.p[i] == '=' || s.p[i] >= 0x7f) return false;
    return s.n > 0;
}

static void add_text(struct buf *b, const char *key, const char *text)
{
    struct str value = str_of(text);
    bool json = settings.format == LOG_JSON;
    if (b->len) buf_add_cstr(b, json ? "," : " ");
    if (json)
        buf_add_json(b, str_of(key));
    else
        buf_add_cstr(b, key);
    buf_add_cstr(b, json ? ":" : "=");
    if (json || !is_plain(value))
        buf_add_json(b, value);
    else
        buf_add_str(b, value);
}

static void add_number(struct buf *b, const char *key, int64_t number)
{
    buf_addf(b, settings.format == LOG_JSON ? ",\"%s\":%lld" : " %s=%lld", key, (long long)number);
}

static void write_line(struct buf *b)
{
    buf_add_cstr(b, settings.format == LOG_JSON ? "}\n" : "\n");
    pthread_mutex_lock(&lock);
    if (settings.before) settings.before();
    for (size_t done = 0; done < b->len;) {
        ssize_t n = write(STDERR_FILENO, b->data + done, b->len - done);
        if (n <= 0) break; /* nowhere left to tell it */
        done += (size_t)n;
    }
    pthread_mutex_unlock(&lock);
}

void log_line(enum log_level level, const char *stage, const char *message,
              const struct log_field *fields, size_t count)
{
    static const char *const names[] = {"debug", "info", "warn", "error"};
    if (level < settings.least || level >= LOG_NONE) return;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    char time[TIME_TEXT_MAX];
    time_format((now.tv_sec * 1000 + now.tv_nsec / 1000000) * NS_PER_MS, time);

    struct buf b;
    buf_init(&b, LINE_MAX_BYTES);
    add_text(&b, "time", time);
    add_text(&b, "level", names[level]);
    add_text(&b, "stage", stage);
    add_text(&b, "msg", message);
    for (size_t i = 0; i < count; i++) {
        if (fields[i].text)
            add_text(&b, fields[i].key, fields[i].text);
        else
            add_number(&b, fields[i].key, fields[i].number);
    }
    b.failed = false; /* a line too long is cut, but still ends */
    if (settings.format == LOG_JSON) {
        struct buf whole;
        buf_init(&whole, LINE_MAX_BYTES + 16);
        buf_add_byte(&whole, '{');
        buf_add(&whole, b.data, b.len);
        write_line(&whole);
        buf_free(&whole);
    } else {
        write_line(&b);
    }
    buf_free(&b);
}

void log_error(const char *stage, const char *message, const struct err *e)
{
    LOG(ERROR, stage, message, LOG_STR("error", err_name(e->code)), LOG_STR("what", e->text));
    LOG(DEBUG, stage, "raised", LOG_STR("file", e->file ? e->file : ""), LOG_I64("line", e->line));
}
