#include "event/event.h"

#define TEXT_FUNCTION(name, type, LIST, MAX)                                                       \
    const char *name(enum type v)                                                                  \
    {                                                                                              \
        static const char *const texts[] = {LIST(TEXT_ROW)};                                       \
        CHECK((int)v >= 0 && v < MAX);                                                             \
        return texts[v];                                                                           \
    }
#define TEXT_ROW(n, t) t,

TEXT_FUNCTION(stream_text, stream, STREAM_LIST, STREAM_MAX)
TEXT_FUNCTION(side_text, side, SIDE_LIST, SIDE_MAX)
TEXT_FUNCTION(origin_text, origin, ORIGIN_LIST, ORIGIN_MAX)
TEXT_FUNCTION(kind_text, kind, KIND_LIST, KIND_MAX)
TEXT_FUNCTION(gap_kind_text, gap_kind, GAP_KIND_LIST, GAP_KIND_MAX)
TEXT_FUNCTION(gap_state_text, gap_state, GAP_STATE_LIST, GAP_STATE_MAX)
TEXT_FUNCTION(dead_reason_text, dead_reason, DEAD_REASON_LIST, DEAD_REASON_MAX)

static const struct {
    const char *text;
    int64_t seconds;
} timeframes[TIMEFRAME_MAX] = {
#define X(n, t, s) [TIMEFRAME_##n] = {t, s},
    TIMEFRAME_LIST(X)
#undef X
};

const char *timeframe_text(enum timeframe v)
{
    CHECK((int)v >= 0 && v < TIMEFRAME_MAX);
    return timeframes[v].text;
}

int64_t timeframe_ns(enum timeframe v)
{
    CHECK((int)v >= 0 && v < TIMEFRAME_MAX);
    return timeframes[v].seconds * NS_PER_S;
}

int stream_of_text(struct str text)
{
    for (int i = 0; i < STREAM_MAX; i++)
        if (str_is(text, stream_text((enum stream)i))) return i;
    return -1;
}

int side_of_text(struct str text)
{
    for (int i = 0; i < SIDE_MAX; i++)
        if (str_is(text, side_text((enum side)i))) return i;
    return -1;
}

int timeframe_of_text(struct str text)
{
    for (int i = 0; i < TIMEFRAME_MAX; i++)
        if (str_is(text, timeframes[i].text)) return i;
    return -1;
}
