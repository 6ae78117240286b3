#include "recording/reader.h"

#include "base/array.h"
#include "base/map.h"

#include <stdlib.h>

/* Members beyond OPEN_MAX are parked (file and window released) until their first item's turn
 * comes: windows cost half a megabyte each, and a year of day files is read one after the other
 * anyway. */
enum { SET_MAX = 65536, OPEN_MAX = 64 };

struct member {
    struct recording *recording;
    struct recording_item item;
    enum err_code code; /* of the item: OK, or a damaged place that is handed on in its turn */
    struct err err;
    int64_t key; /* receive time of the item, or of the last one that had one; INT64_MIN before */
    bool parked; /* the item was read once, to know its time, and is read again */
    bool left_out;
};

struct recording_set {
    struct member *members;
    struct map known; /* identity -> index */
    size_t count, cap;
    size_t *heap; /* of members that have an item, least (key, index) first */
    size_t heap_count;
    size_t *ended; /* members whose end was met and not yet told */
    size_t ended_count;
    size_t current; /* member whose item was handed out and must be moved on first, or SIZE_MAX */
    bool started;
    uint64_t done, size; /* packed bytes of members that are at their end */
};

struct collect {
    struct recording_set *set;
    struct str hint;
    void (*skipped)(void *ctx, const char *path, const char *why);
    void *ctx;
    const char *folder;
    int depth;
};

static enum err_code add_path(struct collect *c, const char *path, bool named, struct err *e);

static enum err_code add_entry(void *ctx, const char *name, bool is_folder, struct err *e)
{
    struct collect *c = ctx;
    char path[PATH_LIMIT];
    if (strlen(c->folder) + strlen(name) + 2 >= PATH_LIMIT)
        return ERR(e, ERR_USAGE, "%.100s/.../%s: the path is too long", c->folder, name);
    path_join(path, c->folder, name);
    if (!is_folder) return add_path(c, path, false, e);
    if (c->depth >= 32) return ERR(e, ERR_USAGE, "%s: folders are nested too deep", path);
    struct collect inner = *c;
    inner.folder = path;
    inner.depth++;
    return file_list(path, add_entry, &inner, e);
}

static void skip(struct collect *c, const char *path, const char *why)
{
    size_t n = strlen(path);
    if (strncmp(why, path, n) == 0 && why[n] == ':' && why[n + 1] == ' ') why += n + 2;
    if (c->skipped) c->skipped(c->ctx, path, why);
}

static enum err_code add_file(struct collect *c, const char *path, bool named, struct err *e)
{
    struct recording_set *s = c->set;
    struct recording *r;
    struct err why = {0};
    enum err_code code = recording_open(path, c->hint, &r, &why);
    if (code != ERR_OK && (named || code == ERR_DISK || code == ERR_VERSION)) {
        if (e) *e = why;
        return code;
    }
    if (code != ERR_OK) {
        skip(c, path, why.text);
        return ERR_OK;
    }
    if (map_get(&s->known, str_of(recording_identity(r))) != MAP_NONE) {
        skip(c, path, "the same recording is there already, under another path");
        recording_close(r);
        return ERR_OK;
    }
    if (s->count == SET_MAX) {
        recording_close(r);
        return ERR(e, ERR_FULL, "%s: more than %d recordings in one set", path, SET_MAX);
    }
    s->members = array_grown(s->members, s->count, &s->cap, sizeof *s->members);
    map_put(&s->known, str_of(recording_identity(r)), (uint32_t)s->count);
    if (s->count >= OPEN_MAX) recording_rewind(r);
    s->size += r->packed_size;
    s->members[s->count++] = (struct member){.recording = r, .key = INT64_MIN};
    return ERR_OK;
}

static enum err_code ignore_entry(void *ctx, const char *name, bool is_folder, struct err *e)
{
    (void)ctx, (void)name, (void)is_folder, (void)e;
    return ERR_OK;
}

static enum err_code add_path(struct collect *c, const char *path, bool named, struct err *e)
{
    if (!named) return add_file(c, path, named, e);
    if (!file_exists(path)) return ERR(e, ERR_NOT_FOUND, "%s: no such file or folder", path);
    if (file_list(path, ignore_entry, NULL, NULL) != ERR_OK) return add_file(c, path, named, e);
    struct collect inner = *c;
    inner.folder = path;
    return file_list(path, add_entry, &inner, e);
}

enum err_code recording_set_open(const char *const *paths, size_t count, struct str venue_hint,
                                 void (*skipped)(void *ctx, const char *path, const char *why),
                                 void *ctx, struct recording_set **ret, struct err *e)
{
    struct recording_set *s = calloc(1, sizeof *s);
    CHECK(s != NULL);
    s->current = SIZE_MAX;
    map_init(&s->known, SET_MAX);
    struct collect c = {.set = s, .hint = venue_hint, .skipped = skipped, .ctx = ctx};
    enum err_code code = ERR_OK;
    for (size_t i = 0; i < count && code == ERR_OK; i++) code = add_path(&c, paths[i], true, e);
    if (code == ERR_OK && s->count == 0)
        code = ERR(e, ERR_NOT_FOUND, "%s: no recording of a known format there",
                   count ? paths[0] : "(nothing)");
    if (code != ERR_OK) {
        recording_set_close(s);
        return code;
    }
    s->heap = calloc(s->count, sizeof *s->heap);
    s->ended = calloc(s->count, sizeof *s->ended);
    CHECK(s->heap != NULL && s->ended != NULL);
    *ret = s;
    return ERR_OK;
}

struct recording_set *recording_set_close(struct recording_set *s)
{
    if (!s) return NULL;
    for (size_t i = 0; i < s->count; i++) recording_close(s->members[i].recording);
    map_free(&s->known);
    free(s->members);
    free(s->heap);
    free(s->ended);
    free(s);
    return NULL;
}

size_t recording_set_count(const struct recording_set *s) { return s->count; }

struct recording *recording_set_member(struct recording_set *s, size_t index)
{
    CHECK(index < s->count);
    return s->members[index].recording;
}

bool recording_set_ended(struct recording_set *s, size_t *ret_member)
{
    if (s->ended_count == 0) return false;
    *ret_member = s->ended[--s->ended_count];
    return true;
}

void recording_set_leave_out(struct recording_set *s, size_t index)
{
    CHECK(index < s->count && !s->started);
    s->members[index].left_out = true;
    s->done += s->members[index].recording->packed_size;
    recording_rewind(s->members[index].recording);
}

static bool before(const struct recording_set *s, size_t a, size_t b)
{
    int64_t x = s->members[a].key, y = s->members[b].key;
    return x != y ? x < y : a < b;
}

static void sift_down(struct recording_set *s, size_t i)
{
    for (;;) {
        size_t least = i;
        for (size_t child = 2 * i + 1; child <= 2 * i + 2 && child < s->heap_count; child++)
            if (before(s, s->heap[child], s->heap[least])) least = child;
        if (least == i) return;
        size_t swap = s->heap[i];
        s->heap[i] = s->heap[least];
        s->heap[least] = swap;
        i = least;
    }
}

/* Reads a member's next item; false at its end. */
static bool load(struct recording_set *s, struct member *m)
{
    m->code = recording_next(m->recording, &m->item, &m->err);
    if (m->code == ERR_NOT_FOUND) {
        s->done += m->recording->packed_size;
        s->ended[s->ended_count++] = (size_t)(m - s->members);
        recording_rewind(m->recording);
        return false;
    }
    if (m->item.received_ns != TIME_ABSENT) m->key = m->item.received_ns;
    return true;
}

static void start(struct recording_set *s)
{
    s->started = true;
    for (size_t i = 0; i < s->count; i++) {
        struct member *m = &s->members[i];
        if (m->left_out || !load(s, m)) continue;
        s->heap[s->heap_count++] = i;
        if (i < OPEN_MAX) continue;
        recording_rewind(m->recording);
        m->parked = true;
    }
    for (size_t i = s->heap_count / 2; i-- > 0;) sift_down(s, i);
}

/* The member on top moves on to its next item, or leaves. */
static void advance(struct recording_set *s)
{
    if (!load(s, &s->members[s->current])) s->heap[0] = s->heap[--s->heap_count];
    sift_down(s, 0);
    s->current = SIZE_MAX;
}

enum err_code recording_set_next(struct recording_set *s, struct recording_item *ret,
                                 size_t *ret_member, struct err *e)
{
    if (!s->started) start(s);
    if (s->current != SIZE_MAX) advance(s);
    if (s->heap_count == 0) return ERR_NOT_FOUND;
    size_t at = s->heap[0];
    struct member *m = &s->members[at];
    if (m->parked) {
        m->parked = false;
        if (!load(s, m)) { /* it vanished meanwhile */
            s->heap[0] = s->heap[--s->heap_count];
            sift_down(s, 0);
            return recording_set_next(s, ret, ret_member, e);
        }
    }
    s->current = at;
    memcpy(ret, &m->item, offsetof(struct recording_item, trade));
    if (ret->kind == RECORDING_TRADE) ret->trade = m->item.trade;
    if (ret->kind == RECORDING_CANDLE) ret->candle = m->item.candle;
    *ret_member = at;
    if (m->code != ERR_OK && e) *e = m->err;
    return m->code;
}

void recording_set_progress(const struct recording_set *s, uint64_t *ret_done, uint64_t *ret_size)
{
    *ret_done = s->done;
    *ret_size = s->size;
    for (size_t i = 0; i < s->heap_count; i++) {
        uint64_t done, size;
        recording_progress(s->members[s->heap[i]].recording, &done, &size);
        *ret_done += done;
    }
}
