/* What a person sees: progress, tables, signals. */
#include "command/command.h"

#include "io/clock.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

static struct {
    int64_t shown_ns;
    bool standing; /* a progress line is on the terminal */
    char text[512];
} progress;

static bool is_terminal(void) { return isatty(STDERR_FILENO) == 1; }

static int terminal_width(void)
{
    struct winsize size;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 20) return size.ws_col;
    return 80;
}

void progress_clear(void)
{
    if (!progress.standing) return;
    fprintf(stderr, "\r\033[2K");
    progress.standing = false;
}

void progress_show(const char *format, ...)
{
    bool terminal = is_terminal();
    int64_t now = clock_mono_ns(), least = terminal ? 100 * NS_PER_MS : 10 * NS_PER_S;
    if (progress.shown_ns && now - progress.shown_ns < least) return;
    progress.shown_ns = now;
    va_list ap;
    va_start(ap, format);
    vsnprintf(progress.text, sizeof progress.text, format, ap);
    va_end(ap);
    if (terminal) {
        fprintf(stderr, "\r\033[2K%.*s", terminal_width() - 1, progress.text);
        progress.standing = true;
    } else {
        fprintf(stderr, "%s\n", progress.text);
    }
}

void progress_end(void)
{
    if (progress.standing) fprintf(stderr, "\n");
    progress.standing = false;
}

/* --- signals --- */

static struct {
    void (*stop)(void *ctx);
    void *ctx;
    pthread_t thread;
} signals;

static void signal_set(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGTERM);
}

void command_signals_block(void)
{
    sigset_t set;
    signal_set(&set);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
}

static void *wait_for_signals(void *unused)
{
    sigset_t set;
    int number;
    (void)unused;
    signal_set(&set);
    sigwait(&set, &number);
    LOG(INFO, "run", "stopping: what was received is written first; again to stop at once");
    signals.stop(signals.ctx);
    sigwait(&set, &number);
    _exit(128 + number);
}

enum err_code command_signals_start(void (*stop)(void *ctx), void *ctx, struct err *e)
{
    signals.stop = stop;
    signals.ctx = ctx;
    if (pthread_create(&signals.thread, NULL, wait_for_signals, NULL) != 0)
        return ERR(e, ERR_INTERNAL, "cannot start a thread; is the process limit reached?");
    pthread_detach(signals.thread);
    return ERR_OK;
}

/* --- tables --- */

void table_begin(struct table_out *t, size_t columns)
{
    *t = (struct table_out){.columns = columns};
    buf_init(&t->cells, 64 << 20);
}

void table_cell(struct table_out *t, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    buf_vaddf(&t->cells, format, ap);
    va_end(ap);
    buf_add_byte(&t->cells, 0);
    t->count++;
}

static bool is_number(const char *s)
{
    size_t n = strspn(s, "0123456789.,-+%");
    return n > 0 && s[n] == 0 && strspn(s, "-") != n && n < 20;
}

void table_print(struct table_out *t, struct buf *out)
{
    size_t *widths = calloc(t->columns, sizeof *widths);
    CHECK(widths != NULL);
    const char *p = (const char *)t->cells.data;
    for (size_t i = 0; i < t->count; i++, p += strlen(p) + 1)
        if (strlen(p) > widths[i % t->columns]) widths[i % t->columns] = strlen(p);
    p = (const char *)t->cells.data;
    for (size_t i = 0; i < t->count; i++, p += strlen(p) + 1) {
        bool last = i % t->columns == t->columns - 1;
        int width = (int)widths[i % t->columns];
        if (is_number(p))
            buf_addf(out, "%*s", width, p);
        else
            buf_addf(out, "%-*s", last ? 0 : width, p);
        buf_add_cstr(out, last ? "\n" : "  ");
    }
    free(widths);
    buf_free(&t->cells);
}

void print_out(struct buf *out)
{
    if (out->len) fwrite(out->data, 1, out->len, stdout);
    fflush(stdout);
    buf_free(out);
}
