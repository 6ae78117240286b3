/* replay_bench - recordings through the whole pipeline to the committed lake, as `ticklake replay` does it, with or without
 * the store: the difference is what durability costs.
 *
 *   replay_bench [--without-store] [--set KEY=VALUE]... --data FOLDER PATH...
 *
 * Prints one line of JSON: events, wall and CPU time of everything from opening to the last commit, and the CPU time of each
 * thread, the slowest of which is the wall on enough cores.
 */
#include "base/crash.h"
#include "io/clock.h"
#include "run/run.h"

#include <dirent.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

enum { PATHS_MAX = 64, THREADS_MAX = 16, SAMPLE_MS = 10 };

struct bench {
    struct config *config;
    bool without_store;
    const char *paths[PATHS_MAX];
    size_t path_count;
    struct run *run;
    struct source_replay *source;
    atomic_bool over;
    /* Ticks of CPU by thread, newest look: a thread's own is gone with it. In the order in which they were started. */
    int64_t tids[THREADS_MAX], ticks[THREADS_MAX];
    size_t threads;
};

static int fail(const char *what, const struct err *e)
{
    fprintf(stderr, "replay_bench: %s: %s\n", what, e->text);
    exit(err_exit_code(e->code));
}

static void note(struct bench *b, int64_t tid)
{
    char path[64], text[1024];
    snprintf(path, sizeof path, "/proc/self/task/%lld/stat", (long long)tid);
    FILE *f = fopen(path, "r");
    if (!f) return;
    size_t n = fread(text, 1, sizeof text - 1, f);
    fclose(f);
    text[n] = 0;
    const char *p = strrchr(text, ')');
    long long user, kernel;
    if (!p ||
        sscanf(p, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lld %lld", &user, &kernel) != 2)
        return;
    size_t i = 0;
    while (i < b->threads && b->tids[i] != tid) i++;
    if (i == THREADS_MAX) return;
    if (i == b->threads) b->tids[b->threads++] = tid;
    b->ticks[i] = user + kernel;
}

static void *watch(void *ctx)
{
    struct bench *b = ctx;
    while (!atomic_load(&b->over)) {
        DIR *d = opendir("/proc/self/task");
        for (struct dirent *entry; d && (entry = readdir(d)) != NULL;) {
            int64_t tid;
            if (str_to_i64(str_of(entry->d_name), &tid) == ERR_OK) note(b, tid);
        }
        if (d) closedir(d);
        clock_sleep_ns(SAMPLE_MS * NS_PER_MS);
    }
    return NULL;
}

static void stop(void *ctx)
{
    struct bench *b = ctx;
    if (b->source) source_replay_stop(b->source);
}

static void drive(struct bench *b, struct err *e)
{
    const struct config *c = b->config;
    struct run_options run = {.config = c,
                              .command = "replay_bench",
                              .replaying = true,
                              .without_store = b->without_store,
                              .on_failure = stop,
                              .ctx = b};
    if (run_open(&run, &b->run, e) != ERR_OK) fail("open", e);
    struct source_options o = {
        .series = run_series(b->run),
        .pool = run_pool(b->run),
        .push = run_push,
        .push_ctx = b->run,
        .batch_ms = (int32_t)c->source.batch_ms,
        .gap_grace_ns = c->source.gap_grace_ms * NS_PER_MS,
        .future_limit_ns = c->source.future_limit_ms * NS_PER_MS,
        .origin = ORIGIN_REPLAYED,
    };
    struct source_replay_options r = {.paths = b->paths, .path_count = b->path_count};
    if (source_replay_open(&o, &r, run_past(b->run), &b->source, e) != ERR_OK) fail("source", e);
    if (run_start(b->run, e) != ERR_OK) fail("start", e);
    enum err_code code = source_replay_run(b->source, e);
    struct err drained = {0};
    if (run_drain(b->run, code == ERR_OK, &drained) != ERR_OK) fail("pipeline", &drained);
    if (code != ERR_OK) fail("replay", e);
}

static void report(struct bench *b, int64_t wall_ns, int64_t cpu_ns)
{
    struct run_status s;
    struct source_stats in;
    struct rusage usage;
    run_status(b->run, &s);
    source_replay_stats(b->source, &in);
    getrusage(RUSAGE_SELF, &usage);
    printf(
        "{\"bench\":\"replay\",\"without_store\":%s,\"frames\":%lld,\"trades\":%lld,\"quotes\":%"
        "lld,"
        "\"dead_letters\":%lld,\"duplicates\":%lld,\"late\":%lld,\"candles\":%lld,\"commits\":%lld,"
        "\"committed\":%lld,\"wall_ms\":%lld,\"cpu_ms\":%lld,\"peak_kb\":%lld,\"thread_cpu_ms\":[",
        b->without_store ? "true" : "false", (long long)in.frames, (long long)in.trades,
        (long long)in.quotes, (long long)in.dead, (long long)in.duplicates, (long long)s.late,
        (long long)s.candles, (long long)s.commits, (long long)s.marks.committed,
        (long long)(wall_ns / NS_PER_MS), (long long)(cpu_ns / NS_PER_MS),
        (long long)usage.ru_maxrss);
    int64_t tick_ms = 1000 / sysconf(_SC_CLK_TCK);
    for (size_t i = 0; i < b->threads; i++)
        printf("%s%lld", i ? "," : "", (long long)(b->ticks[i] * tick_ms));
    printf("]}\n");
}

static void options(int argc, char **argv, struct bench *b)
{
    struct err e = {0};
    b->config = config_new();
    config_set(b->config, "serve.enabled=false", "replay_bench");
    for (int i = 1; i < argc; i++) {
        bool more = i + 1 < argc;
        char text[4096];
        if (strcmp(argv[i], "--without-store") == 0) {
            b->without_store = true;
        } else if (strcmp(argv[i], "--set") == 0 && more) {
            config_set(b->config, argv[++i], "--set");
        } else if (strcmp(argv[i], "--data") == 0 && more) {
            snprintf(text, sizeof text, "data=%s", argv[++i]);
            config_set(b->config, text, "--data");
        } else if (b->path_count < PATHS_MAX) {
            b->paths[b->path_count++] = argv[i];
        }
    }
    if (config_finish(b->config, &e) != ERR_OK) fail("settings", &e);
    if (b->path_count) return;
    fprintf(stderr,
            "usage: replay_bench [--without-store] [--set KEY=VALUE]... --data FOLDER PATH...\n");
    exit(64);
}

int main(int argc, char **argv)
{
    struct bench b = {0};
    struct err e = {0};
    pthread_t watcher;
    options(argc, argv, &b);
    if (pthread_create(&watcher, NULL, watch, &b) != 0) return 70;
    int64_t wall = clock_mono_ns(), cpu = clock_cpu_ns();
    drive(&b, &e);
    wall = clock_mono_ns() - wall;
    cpu = clock_cpu_ns() - cpu;
    atomic_store(&b.over, true);
    pthread_join(watcher, NULL);
    report(&b, wall, cpu);
    source_replay_close(b.source);
    run_close(b.run);
    config_free(b.config);
    return 0;
}
