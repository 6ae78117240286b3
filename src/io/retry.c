#include "io/retry.h"

void retry_init(struct retry *r, const struct retry_policy *p, uint64_t seed)
{
    *r = (struct retry){.policy = *p, .random = seed * UINT64_C(0x9E3779B97F4A7C15) | 1};
    if (r->policy.first_ms < 1) r->policy.first_ms = 1;
    if (r->policy.cap_ms < r->policy.first_ms) r->policy.cap_ms = r->policy.first_ms;
}

static uint64_t draw(struct retry *r)
{
    r->random ^= r->random << 13;
    r->random ^= r->random >> 7;
    r->random ^= r->random << 17;
    return r->random;
}

int32_t retry_next_ms(struct retry *r)
{
    int64_t ms = r->policy.first_ms;
    for (int32_t i = r->policy.free_tries; i < r->tries && ms < r->policy.cap_ms; i++) ms *= 2;
    if (ms > r->policy.cap_ms) ms = r->policy.cap_ms;
    if (r->tries < INT32_MAX) r->tries++;
    int64_t spread = ms / 2 + 1;
    ms = ms - ms / 4 + (int64_t)(draw(r) % (uint64_t)spread);
    return ms > INT32_MAX ? INT32_MAX : ms < 1 ? 1 : (int32_t)ms;
}

void retry_reset(struct retry *r) { r->tries = 0; }
