/* What goes wrong with a trade on its way out, by seed. Pure. */
#include "simulate/simulate_internal.h"

#include <stdlib.h>

void faults_init(struct sim_faults *f, const struct simulate_faults *script, uint64_t seed)
{
    *f = (struct sim_faults){.script = *script, .random = seed ^ UINT64_C(0xfa017)};
    f->held = calloc(SIM_HELD_MAX, sizeof *f->held);
    CHECK(f->held != NULL);
}

void faults_done(struct sim_faults *f)
{
    free(f->held);
    f->held = NULL;
}

static bool hold(struct sim_faults *f, int market, const struct sim_trade *t, int64_t due_ns)
{
    if (f->held_count == SIM_HELD_MAX) return false;
    f->held[f->held_count++] = (struct sim_held){market, *t, due_ns};
    return true;
}

static struct sim_held take_held(struct sim_faults *f, int at)
{
    struct sim_held h = f->held[at];
    for (int i = at + 1; i < f->held_count; i++)
        f->held[i - 1] = f->held[i]; /* keeps their order */
    f->held_count--;
    return h;
}

/* The trade that waits to go behind the next one of its symbol. */
static int find_reordered(const struct sim_faults *f, int market, int symbol)
{
    for (int i = 0; i < f->held_count; i++)
        if (f->held[i].due_ns == INT64_MAX && f->held[i].market == market &&
            f->held[i].trade.symbol == symbol)
            return i;
    return -1;
}

void faults_pass(struct sim_faults *f, int market, bool ids, const struct sim_trade *t,
                 int64_t now_ns, void (*send)(void *ctx, int market, const struct sim_trade *t),
                 void *ctx)
{
    int waiting = find_reordered(f, market, t->symbol);
    if (waiting < 0 && sim_one_in(&f->random, f->script.reorder) && hold(f, market, t, INT64_MAX)) {
        f->reordered++;
        return;
    }
    if (waiting < 0 && sim_one_in(&f->random, f->script.late) &&
        hold(f, market, t, now_ns + f->script.late_ms * NS_PER_MS)) {
        f->late++;
        return;
    }
    send(ctx, market, t);
    /* Without ids the same print again is another trade, not a duplicate: nobody could tell. */
    if (ids && sim_one_in(&f->random, f->script.duplicate)) {
        f->duplicates++;
        send(ctx, market, t);
    }
    if (waiting >= 0) {
        struct sim_held h = take_held(f, waiting);
        send(ctx, h.market, &h.trade);
    }
}

void faults_release(struct sim_faults *f, int64_t now_ns, bool all,
                    void (*send)(void *ctx, int market, const struct sim_trade *t), void *ctx)
{
    for (int i = 0; i < f->held_count;) {
        if (!all && f->held[i].due_ns > now_ns) {
            i++;
            continue;
        }
        struct sim_held h = take_held(f, i);
        send(ctx, h.market, &h.trade);
    }
}

const char *faults_garbage(struct sim_faults *f)
{
    static const char *const frames[] = {
        "this is not JSON",
        "{\"e\":\"trade\",\"E\":17",
        "[[[[[[[[",
        "{}",
        "null",
        "{\"e\":\"trade\",\"s\":5,\"p\":[],\"q\":{}}",
        "{\"type\":\"match\",\"price\":\"1e400\",\"product_id\":\"BTC-USD\"}",
        "{\"channel\":\"trade\",\"data\":[{\"symbol\":\"BTC/USD\",\"price\":\"x\"}]}",
        "{\"messageType\":\"A\",\"service\":\"crypto_data\",\"data\":[\"T\",\"btcusd\"]}",
    };
    f->garbage++;
    return frames[sim_random(&f->random) % (sizeof frames / sizeof frames[0])];
}
