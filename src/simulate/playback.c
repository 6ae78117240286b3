/* Recorded frames, sent again as they came: their distances in time divided by the speed. */
#include "simulate/simulate_internal.h"

#include <stdlib.h>

struct played {
    char venue[SIM_NAME_MAX];
    int64_t frames, bytes;
};

struct sim_playback {
    struct recording_set *set;
    struct recording_item item;
    bool pending, ended, retime;
    double speed; /* inexact: pacing only */
    int64_t first_ns, started_ns, shift_ns;
    struct played venues[SIM_VENUES_MAX];
    int venue_count;
    struct buf frame;
};

static struct played *venue_of(struct sim_playback *p, struct str name)
{
    for (int i = 0; i < p->venue_count; i++)
        if (str_is(name, p->venues[i].venue)) return &p->venues[i];
    if (p->venue_count == SIM_VENUES_MAX || !sim_venue_by_name(name)) return NULL;
    struct played *v = &p->venues[p->venue_count++];
    *v = (struct played){.frames = 0};
    str_copy(v->venue, sizeof v->venue, name);
    return v;
}

/* The next received frame of a venue that is simulated; false at the end. Damaged places are passed over: what a
 * simulator sends are the frames that are there. */
static bool advance(struct sim_playback *p, struct recording_set *set)
{
    size_t member;
    struct err e;
    for (;;) {
        enum err_code code = recording_set_next(set, &p->item, &member, &e);
        if (code == ERR_NOT_FOUND) return false;
        if (code == ERR_OK && p->item.kind == RECORDING_FRAME &&
            p->item.received_ns != TIME_ABSENT && venue_of(p, p->item.venue))
            return true;
    }
}

enum err_code playback_open(const struct simulate_options *o, struct sim_playback **ret,
                            struct err *e)
{
    struct sim_playback *p = calloc(1, sizeof *p);
    CHECK(p != NULL);
    p->speed = o->speed;
    p->retime = o->retime;
    buf_init(&p->frame, 32 << 20);
    enum err_code code =
        recording_set_open(o->recordings, o->recording_count, STR(""), NULL, NULL, &p->set, e);
    /* One pass to learn which venues there are, so that they can be served before their first frame is due. */
    while (code == ERR_OK && advance(p, p->set)) {
    }
    p->set = recording_set_close(p->set);
    if (code == ERR_OK && p->venue_count == 0)
        code =
            ERR(e, ERR_NOT_FOUND, "--recording: no frame of a simulated venue is in these files");
    if (code == ERR_OK)
        code =
            recording_set_open(o->recordings, o->recording_count, STR(""), NULL, NULL, &p->set, e);
    if (code != ERR_OK) {
        playback_close(p);
        return code;
    }
    *ret = p;
    return ERR_OK;
}

struct sim_playback *playback_close(struct sim_playback *p)
{
    if (!p) return NULL;
    recording_set_close(p->set);
    buf_free(&p->frame);
    free(p);
    return NULL;
}

bool playback_has(const struct sim_playback *p, const char *venue)
{
    for (int i = 0; p && i < p->venue_count; i++)
        if (str_is(str_of(venue), p->venues[i].venue)) return true;
    return false;
}

static struct str shifted(struct sim_playback *p, struct str frame)
{
    const struct sim_venue *v = sim_venue_by_name(p->item.venue);
    if (!p->retime || !v->retime) return frame;
    buf_reset(&p->frame);
    v->retime(frame, p->shift_ns, &p->frame);
    return buf_str(&p->frame);
}

bool playback_step(struct sim_playback *p, int64_t now_ns,
                   void (*send)(void *ctx, const char *venue, struct str frame), void *ctx)
{
    if (p->started_ns == 0) p->started_ns = now_ns;
    for (int budget = 0; budget < 10000; budget++) {
        if (!p->pending && !p->ended) {
            p->pending = advance(p, p->set);
            p->ended = !p->pending;
            if (p->pending && p->first_ns == 0) {
                p->first_ns = p->item.received_ns;
                p->shift_ns = p->started_ns - p->first_ns;
            }
        }
        if (!p->pending) return false;
        double due =
            (double)(p->item.received_ns - p->first_ns) / p->speed; /* inexact: pacing only */
        if ((double)(now_ns - p->started_ns) < due) return true;    /* inexact: pacing only */
        struct played *v = venue_of(p, p->item.venue);
        struct str frame = shifted(p, (struct str){p->item.bytes, p->item.len});
        send(ctx, v->venue, frame);
        v->frames++;
        v->bytes += (int64_t)frame.n;
        p->pending = false;
    }
    return true;
}

void playback_report(const struct sim_playback *p, struct buf *json)
{
    for (int i = 0; p && i < p->venue_count; i++)
        buf_addf(json, "%s{\"venue\":\"%s\",\"frames\":%lld,\"bytes\":%lld}", i ? "," : "",
                 p->venues[i].venue, (long long)p->venues[i].frames, (long long)p->venues[i].bytes);
}
