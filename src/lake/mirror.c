#include "lake/object_internal.h"

#include "base/hash.h"

#include <stdio.h>
#include <stdlib.h>

/* Copies of objects in a local folder. Objects of a lake are never changed, so a copy is never stale; it is not synced
 * either, because it can be had again: what an earlier boot of this machine left may be torn and is thrown away. */

enum { FOLDERS = 16, NAMES_MAX = 1 << 24, BOOT_ID = 36, SPARE_ITEMS = 4096, HANDLES_MAX = 64 };
#define BYTES_DEFAULT ((int64_t)1 << 30)
static const char boot_file[] = "/proc/sys/kernel/random/boot_id";

static void path_of(const struct lake_mirror *m, const char *name, char out[PATH_LIMIT])
{
    path_join(out, m->root, name);
}

/* Keys may hold anything: the file is named by their hash, with what a person knows it by behind. */
static void lake_mirror_name(struct str location, char out[LAKE_MIRROR_NAME])
{
    char hex[33];
    struct str bucket, key;
    if (s3_split(location, &bucket, &key))
        location.n -= (size_t)(bucket.p - location.p), location.p = bucket.p;
    hash_hex(hash128(location), hex);
    size_t from = location.n;
    while (from > 0 && location.p[from - 1] != '/' && location.n - from < 70) from--;
    int n = snprintf(out, LAKE_MIRROR_NAME, "%c/%s-", hex[0], hex);
    for (size_t i = from; i < location.n; i++) {
        char c = location.p[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     c == '.' || c == '-' || c == '_';
        out[n++] = plain ? c : '_';
    }
    out[n] = 0;
}

static struct lake_copy *find(const struct lake_mirror *m, const char *name)
{
    uint32_t at = map_get(&m->places, str_of(name));
    return at == MAP_NONE ? NULL : &m->items[at];
}

/* What went leaves its name behind: from time to time those are forgotten. */
static void forget_gone(struct lake_mirror *m)
{
    if (m->gone < SPARE_ITEMS || m->gone < m->count / 2) return;
    size_t kept = 0;
    map_clear(&m->places);
    for (size_t i = 0; i < m->count; i++) {
        if (!m->items[i].here && !m->items[i].pins) continue;
        m->items[kept] = m->items[i];
        CHECK(map_put(&m->places, str_of(m->items[kept].name), (uint32_t)kept) != MAP_FULL);
        kept++;
    }
    m->count = kept;
    m->gone = 0;
}

static struct lake_copy *add(struct lake_mirror *m, const char *name)
{
    struct lake_copy *c = find(m, name);
    if (c) return c;
    forget_gone(m);
    m->items = array_grown(m->items, m->count, &m->cap, sizeof *m->items);
    c = &m->items[m->count];
    *c = (struct lake_copy){0};
    CHECK(str_copy(c->name, sizeof c->name, str_of(name)));
    CHECK(map_put(&m->places, str_of(name), (uint32_t)m->count) != MAP_FULL);
    m->count++;
    m->gone++;
    return c;
}

static void set_here(struct lake_mirror *m, struct lake_copy *c, int64_t size, bool fetched)
{
    if (c->here) m->bytes -= c->size;
    if (!c->here) m->gone--;
    c->here = true;
    c->size = size;
    c->fetched = fetched;
    c->used = ++m->clock;
    m->bytes += size;
}

static void drop(struct lake_mirror *m, struct lake_copy *c)
{
    char path[PATH_LIMIT];
    if (!c->here) return;
    path_of(m, c->name, path);
    if (file_remove(path, NULL) != ERR_OK) return; /* it still takes room: it stays counted */
    c->here = false;
    m->bytes -= c->size;
    m->gone++;
}

/* ---- room */

static int by_use(const void *a, const void *b)
{
    const struct lake_copy *x = *(struct lake_copy *const *)a, *y = *(struct lake_copy *const *)b;
    return (x->used > y->used) - (x->used < y->used);
}

/* A reader that has its file open keeps it, whatever happens to the name: only files on the way up are in use here. */
static void make_room(struct lake_mirror *m, int64_t wanted)
{
    if (m->bytes + wanted <= m->bytes_max) return;
    struct lake_copy **old = malloc((m->count + 1) * sizeof *old);
    CHECK(old != NULL);
    size_t count = 0;
    for (size_t i = 0; i < m->count; i++)
        if (m->items[i].here && !m->items[i].pins) old[count++] = &m->items[i];
    qsort(old, count, sizeof *old, by_use);
    int64_t aim = m->bytes_max - m->bytes_max / 10 - wanted;
    for (size_t i = 0; i < count && m->bytes > aim; i++) drop(m, old[i]);
    free(old);
}

/* ---- for object.c */

void lake_mirror_path(struct lake_mirror *m, struct str location, char out[PATH_LIMIT])
{
    char name[LAKE_MIRROR_NAME];
    lake_mirror_name(location, name);
    path_of(m, name, out);
}

bool lake_mirror_has(struct lake_mirror *m, struct str location, int64_t size, bool fetched_only,
                     char out[PATH_LIMIT])
{
    char name[LAKE_MIRROR_NAME];
    lake_mirror_name(location, name);
    path_of(m, name, out);
    struct lake_copy *c = find(m, name);
    if (!c || !c->here) return false;
    if (c->pins) return true;
    int64_t found = file_size(out);
    if (found == c->size && (size < 0 || size == found) && (c->fetched || !fetched_only)) {
        c->used = ++m->clock;
        return true;
    }
    drop(m, c);
    return false;
}

void lake_mirror_room(struct lake_mirror *m, int64_t size) { make_room(m, size > 0 ? size : 0); }

void lake_mirror_put(struct lake_mirror *m, struct str location, int64_t size, bool fetched)
{
    char name[LAKE_MIRROR_NAME];
    lake_mirror_name(location, name);
    set_here(m, add(m, name), size, fetched);
}

void lake_mirror_pin(struct lake_mirror *m, struct str location, int by)
{
    char name[LAKE_MIRROR_NAME];
    lake_mirror_name(location, name);
    struct lake_copy *c = add(m, name);
    c->pins += by;
    CHECK(c->pins >= 0);
}

void lake_mirror_drop(struct lake_mirror *m, struct str location)
{
    char name[LAKE_MIRROR_NAME];
    lake_mirror_name(location, name);
    struct lake_copy *c = find(m, name);
    if (c) drop(m, c);
}

/* ---- opening */

struct walk {
    struct lake_mirror *m;
    bool keep;
    char folder[PATH_LIMIT];
    char letter;
};

static enum err_code see(void *ctx, const char *name, bool is_folder, struct err *e)
{
    struct walk *w = ctx;
    char path[PATH_LIMIT], inside[LAKE_MIRROR_NAME];
    if (is_folder) return ERR_OK;
    path_join(path, w->folder, name);
    int n = snprintf(inside, sizeof inside, "%c/%s", w->letter, name);
    bool ours = n > 0 && (size_t)n < sizeof inside && !str_ends(str_of(name), ".partial");
    if (!w->keep || !ours) return file_remove(path, e);
    set_here(w->m, add(w->m, inside), file_size(path), false);
    return ERR_OK;
}

static enum err_code boot_of(char out[BOOT_ID + 1], struct err *e)
{
    int fd;
    uint64_t size;
    TRY(file_open_read(boot_file, &fd, &size, e));
    enum err_code code = file_read_at(fd, boot_file, 0, out, BOOT_ID, e);
    out[BOOT_ID] = 0;
    file_close(fd);
    return code;
}

static enum err_code same_boot(const struct lake_mirror *m, bool *ret, struct err *e)
{
    char path[PATH_LIMIT], boot[BOOT_ID + 1];
    struct buf before;
    *ret = false;
    path_join(path, m->root, "boot");
    buf_init(&before, 100);
    if (boot_of(boot, NULL) != ERR_OK) str_copy(boot, sizeof boot, STR("unknown"));
    enum err_code code = file_read(path, 100, &before, NULL);
    *ret = code == ERR_OK && boot[0] != 'u' && str_is(buf_str(&before), boot);
    buf_free(&before);
    return *ret ? ERR_OK : file_write_durable(path, str_of(boot), e);
}

static enum err_code fill(struct lake_mirror *m, struct err *e)
{
    struct walk w = {.m = m};
    TRY(same_boot(m, &w.keep, e));
    for (int i = 0; i < FOLDERS; i++) {
        char name[2] = {"0123456789abcdef"[i], 0};
        w.letter = name[0];
        path_join(w.folder, m->root, name);
        TRY(file_make_folders(w.folder, e));
        TRY(file_list(w.folder, see, &w, e));
    }
    make_room(m, 0);
    return ERR_OK;
}

/* A second process (verify beside run) gets a folder of its own, which it empties when it ends. */
static enum err_code lock_one(struct lake_mirror *m, const char *folder, struct err *e)
{
    enum err_code code = ERR_IN_USE;
    for (int i = 0; i < HANDLES_MAX && code == ERR_IN_USE; i++) {
        char name[32];
        snprintf(name, sizeof name, "reader-%d", i);
        if (i == 0)
            str_copy(m->root, sizeof m->root, str_of(folder));
        else
            path_join(m->root, folder, name);
        m->own = i > 0;
        TRY(file_make_folders(m->root, e));
        code = file_lock(m->root, "mirror", &m->lock_fd, e);
    }
    return code;
}

enum err_code lake_mirror_open(struct lake_mirror *m, const char *folder, int64_t bytes_max,
                               struct err *e)
{
    *m =
        (struct lake_mirror){.lock_fd = -1, .bytes_max = bytes_max > 0 ? bytes_max : BYTES_DEFAULT};
    map_init(&m->places, NAMES_MAX);
    if (strlen(folder) > PATH_LIMIT - 200)
        return ERR(e, ERR_CONFIG, "mirror %s: the path is too long", folder);
    TRY(lock_one(m, folder, e));
    return fill(m, e);
}

void lake_mirror_close(struct lake_mirror *m)
{
    if (m->own)
        for (size_t i = 0; i < m->count; i++) drop(m, &m->items[i]);
    file_unlock(m->lock_fd);
    map_free(&m->places);
    free(m->items);
    *m = (struct lake_mirror){.lock_fd = -1};
}
