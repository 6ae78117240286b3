#include "lake/lake_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

/* A UUID of version 8 (RFC 9562: its content is the application's own). The first four bytes say "tick": no random
 * UUID of version 4 looks like it, so a file of ours is known by its name alone, whatever folder it is found in. */
static const char mark[] = "7469636b-";

static void random_bytes(uint8_t *to, size_t n)
{
    for (size_t done = 0; done < n;) {
        ssize_t got = getrandom(to + done, n - done, 0);
        if (got > 0) done += (size_t)got;
    }
}

void lake_uuid(char out[LAKE_UUID_TEXT])
{
    uint8_t b[16];
    random_bytes(b, sizeof b);
    memcpy(b, "tick", 4);
    b[6] = (uint8_t)((b[6] & 0x0f) | 0x80);
    b[8] = (uint8_t)((b[8] & 0x3f) | 0x80);
    static const char hex[] = "0123456789abcdef";
    size_t at = 0;
    for (size_t i = 0; i < sizeof b; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10) out[at++] = '-';
        out[at++] = hex[b[i] >> 4];
        out[at++] = hex[b[i] & 15];
    }
    out[at] = 0;
}

int64_t lake_random_id(void)
{
    uint64_t v = 0;
    while (v == 0) {
        random_bytes((uint8_t *)&v, sizeof v);
        v >>= 1;
    }
    return (int64_t)v;
}

const char *lake_base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static bool is_uuid_of_ours(const char *p, size_t n)
{
    if (n < LAKE_UUID_TEXT - 1) return false;
    if (memcmp(p, mark, sizeof mark - 1) != 0 || p[14] != '8') return false;
    return p[13] == '-' && p[18] == '-' && p[23] == '-';
}

bool lake_is_ours(struct str location)
{
    size_t from = location.n;
    while (from > 0 && location.p[from - 1] != '/') from--;
    for (size_t i = from; i < location.n; i++)
        if (is_uuid_of_ours(location.p + i, location.n - i)) return true;
    return false;
}

/* Spark writes file:/dir, others file:///dir, some only /dir; all mean the same file. */
enum err_code lake_path_of(struct str location, char out[PATH_LIMIT], struct err *e)
{
    struct str path = location;
    if (str_starts(path, "file://")) {
        path.p += 7;
        path.n -= 7;
    } else if (str_starts(path, "file:/")) {
        path.p += 5;
        path.n -= 5;
    }
    if (!str_starts(path, "/") || memchr(path.p, 0, path.n) || !str_copy(out, PATH_LIMIT, path))
        return ERR(e, ERR_CORRUPT,
                   "location \"%.*s\": expected a file on this machine (file:///...)",
                   (int)(path.n < 200 ? path.n : 200), path.p);
    return ERR_OK;
}

void lake_day_text(int32_t day, char out[16])
{
    char text[TIME_TEXT_MAX];
    time_format((int64_t)day * NS_PER_DAY, text);
    memcpy(out, text, 10);
    out[10] = 0;
}

void lake_note_written(struct lake *l, const char *location)
{
    l->written = array_grown(l->written, l->written_count, &l->written_cap, sizeof *l->written);
    l->written[l->written_count] = strdup(location);
    CHECK(l->written[l->written_count] != NULL);
    l->written_count++;
}

void lake_written_keep(struct lake *l, size_t from)
{
    while (l->written_count > from) free(l->written[--l->written_count]);
}

void lake_written_forget(struct lake *l) { lake_written_keep(l, 0); }

void lake_written_remove(struct lake *l, size_t from)
{
    enum err_code up =
        lake_objects_flush(l, NULL); /* first up, then removed, or it would come back */
    if (up != ERR_OK) lake_note_orphan(l);
    while (l->written_count > from) {
        char *location = l->written[--l->written_count];
        if (lake_remove(l, location, NULL) != ERR_OK) lake_note_orphan(l);
        free(location);
    }
    if (lake_objects_flush(l, NULL) != ERR_OK) lake_note_orphan(l);
}

enum err_code lake_write_file(struct lake *l, const char *location, struct str bytes, struct err *e)
{
    struct file_writer *w;
    TRY(lake_file_open(l, location, &w, e));
    enum err_code code = file_writer_add(w, bytes.p, bytes.n, e);
    if (code == ERR_OK) return lake_file_finish(l, location, w, e);
    file_writer_abort(w);
    return code;
}
