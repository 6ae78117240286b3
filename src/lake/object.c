#include "lake/object_internal.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

/* Files of a lake that lie in an object store. They are written to the mirror and go up in the background while the commit
 * goes on making the others: only lake_objects_flush, before the pointers move, waits for them. */

enum { WORKERS = 6, QUEUE_MAX = 4096 };

struct job {
    struct job *next;
    bool removes;
    char *location, *path;
};

struct lake_objects {
    struct s3 *s3;
    struct lake_mirror mirror;
    pthread_mutex_t lock;
    pthread_cond_t more, fewer;
    struct lake_vended vended[TABLE_MAX]; /* of a REST catalog */
    struct lake_door doors[TABLE_MAX];    /* the lake thread's */
    struct s3_options options;
    struct worker {
        struct lake_objects *objects;
        struct s3 *s3;
        struct lake_door doors[TABLE_MAX];
        pthread_t thread;
    } workers[WORKERS];
    int worker_count;
    bool stop;
    struct job *first, **last; /* waiting */
    struct job *done;
    int waiting, running;
    enum err_code code; /* of the first job that failed */
    struct err why;
};

bool lake_is_object(struct str location)
{
    struct str bucket, key;
    return s3_split(location, &bucket, &key);
}

bool lake_is_outage(enum err_code code)
{
    return code == ERR_NETWORK || code == ERR_TIMEOUT || code == ERR_UNAVAILABLE ||
           code == ERR_REFUSED || code == ERR_STOPPED || code == ERR_CONFIG;
}

/* ---- workers */

static enum err_code work(struct s3 *s, const struct job *j, struct err *e)
{
    if (j->removes) return s3_delete(s, str_of(j->location), e);
    return s3_put_file(s, str_of(j->location), j->path, true, e);
}

static void *run(void *arg)
{
    struct worker *w = arg;
    struct lake_objects *o = w->objects;
    pthread_mutex_lock(&o->lock);
    for (;;) {
        while (!o->first && !o->stop) pthread_cond_wait(&o->more, &o->lock);
        struct job *j = o->first;
        if (!j) break;
        o->first = j->next;
        if (!o->first) o->last = &o->first;
        o->waiting--;
        o->running++;
        bool skip = o->code != ERR_OK; /* what they are for has failed already */
        struct s3 *s = lake_vended_door(o->vended, w->doors, &o->options, str_of(j->location));
        pthread_mutex_unlock(&o->lock);
        struct err e = {0};
        enum err_code code = skip ? ERR_OK : work(s ? s : w->s3, j, &e);
        pthread_mutex_lock(&o->lock);
        if (code != ERR_OK && o->code == ERR_OK) {
            o->code = code;
            o->why = e;
        }
        j->next = o->done;
        o->done = j;
        o->running--;
        pthread_cond_broadcast(&o->fewer);
    }
    pthread_mutex_unlock(&o->lock);
    return NULL;
}

/* With the lock held, in the lake's thread. */
static void start_worker(struct lake_objects *o)
{
    if (o->worker_count == WORKERS || o->waiting + o->running <= o->worker_count) return;
    struct worker *w = &o->workers[o->worker_count];
    *w = (struct worker){.objects = o, .s3 = s3_share(o->s3)};
    if (pthread_create(&w->thread, NULL, run, w) == 0)
        o->worker_count++;
    else
        s3_free(w->s3);
    CHECK(o->worker_count > 0);
}

static void enqueue(struct lake_objects *o, bool removes, struct str location, const char *path)
{
    struct job *j = calloc(1, sizeof *j);
    CHECK(j != NULL);
    j->removes = removes;
    j->location = strndup(location.p, location.n);
    j->path = path ? strdup(path) : NULL;
    CHECK(j->location != NULL && (!path || j->path != NULL));
    pthread_mutex_lock(&o->lock);
    while (o->waiting >= QUEUE_MAX) pthread_cond_wait(&o->fewer, &o->lock);
    *o->last = j;
    o->last = &j->next;
    o->waiting++;
    start_worker(o);
    pthread_cond_signal(&o->more);
    pthread_mutex_unlock(&o->lock);
}

/* In the lake's thread, which alone knows the mirror. */
static void put_away(struct lake_objects *o, struct job *j)
{
    while (j) {
        struct job *next = j->next;
        if (!j->removes) lake_mirror_pin(&o->mirror, str_of(j->location), -1);
        free(j->location);
        free(j->path);
        free(j);
        j = next;
    }
}

enum err_code lake_objects_flush(struct lake *l, struct err *e)
{
    struct lake_objects *o = l->objects;
    if (!o) return ERR_OK;
    pthread_mutex_lock(&o->lock);
    while (o->waiting + o->running > 0) pthread_cond_wait(&o->fewer, &o->lock);
    struct job *done = o->done;
    enum err_code code = o->code;
    if (code != ERR_OK && e) *e = o->why;
    o->done = NULL;
    o->code = ERR_OK;
    pthread_mutex_unlock(&o->lock);
    put_away(o, done);
    return code;
}

/* ---- opening */

static enum err_code open_objects(struct lake *l, struct lake_objects *o, struct err *e)
{
    bool conditional;
    if (!l->o.s3 || !l->o.mirror)
        return ERR(e, ERR_CONFIG, "warehouse %s: S3 settings and a mirror folder are needed",
                   l->o.warehouse);
    /* s3a:// is Hadoop's name for the same: what we write says s3://. */
    struct str bucket, key;
    char place[PATH_LIMIT];
    CHECK(s3_split(str_of(l->warehouse), &bucket, &key));
    int n = snprintf(place, sizeof place, "s3://%.*s%s%.*s", STR_ARG(bucket), key.n ? "/" : "",
                     STR_ARG(key));
    CHECK(n > 0 && (size_t)n < sizeof place &&
          str_copy(l->warehouse, sizeof l->warehouse, str_of(place)));
    o->s3 = s3_new(l->o.s3);
    o->options = *l->o.s3;
    TRY(lake_mirror_open(&o->mirror, l->o.mirror, l->o.mirror_bytes, e));
    /* With a catalog's credentials there may be no other; names are unique, so that nothing hangs on conditions. */
    if (l->o.read_only || (l->o.rest && l->o.rest->vended)) return ERR_OK;
    return s3_probe_conditional(o->s3, str_of(l->o.warehouse), &conditional, e);
}

enum err_code lake_objects_open(struct lake *l, struct err *e)
{
    if (!lake_is_object(str_of(l->o.warehouse))) return ERR_OK;
    struct lake_objects *o = calloc(1, sizeof *o);
    CHECK(o != NULL);
    o->mirror.lock_fd = -1;
    o->last = &o->first;
    CHECK(pthread_mutex_init(&o->lock, NULL) == 0 && pthread_cond_init(&o->more, NULL) == 0 &&
          pthread_cond_init(&o->fewer, NULL) == 0);
    l->objects = o;
    return open_objects(l, o, e);
}

void lake_objects_close(struct lake *l)
{
    struct lake_objects *o = l->objects;
    if (!o) return;
    pthread_mutex_lock(&o->lock);
    o->stop = true;
    pthread_cond_broadcast(&o->more);
    pthread_mutex_unlock(&o->lock);
    for (int i = 0; i < o->worker_count; i++) {
        pthread_join(o->workers[i].thread, NULL);
        s3_free(o->workers[i].s3);
        lake_vended_close(o->workers[i].doors);
    }
    lake_vended_close(o->doors);
    for (int i = 0; i < TABLE_MAX; i++) lake_vended_free(&o->vended[i]);
    put_away(o, o->done);
    lake_mirror_close(&o->mirror);
    s3_free(o->s3);
    pthread_cond_destroy(&o->more);
    pthread_cond_destroy(&o->fewer);
    pthread_mutex_destroy(&o->lock);
    free(o);
    l->objects = NULL;
}

void lake_objects_vended(struct lake *l, enum table_id id, const struct lake_vended_text *t)
{
    struct lake_objects *o = l->objects;
    if (!o) return;
    pthread_mutex_lock(&o->lock);
    lake_vended_put(&o->vended[id], t);
    pthread_mutex_unlock(&o->lock);
}

/* Only the lake's thread changes what the catalog gave. */
static struct s3 *store_of(struct lake_objects *o, struct str location)
{
    struct s3 *s = lake_vended_door(o->vended, o->doors, &o->options, location);
    return s ? s : o->s3;
}

static const char grants[] =
    "{\"Version\":\"2012-10-17\",\"Statement\":["
    "{\"Effect\":\"Allow\",\"Action\":[\"s3:ListBucket\",\"s3:ListBucketMultipartUploads\"],"
    "\"Resource\":\"arn:aws:s3:::%.*s\"},"
    "{\"Effect\":\"Allow\",\"Action\":[\"s3:GetObject\",\"s3:PutObject\",\"s3:DeleteObject\","
    "\"s3:AbortMultipartUpload\",\"s3:ListMultipartUploadParts\"],"
    "\"Resource\":\"arn:aws:s3:::%.*s/%.*s%s*\"}]}\n";

enum err_code lake_objects_probe(const struct lake_options *o, struct buf *out, struct err *e)
{
    struct str bucket, key;
    bool conditional;
    if (!s3_split(str_of(o->warehouse), &bucket, &key)) return ERR_OK;
    if (out)
        buf_addf(out, grants, STR_ARG(bucket), STR_ARG(bucket), STR_ARG(key), key.n ? "/" : "");
    if (!o->s3) return ERR(e, ERR_CONFIG, "warehouse %s: S3 settings are needed", o->warehouse);
    struct s3 *s = s3_new(o->s3);
    enum err_code code = s3_probe(s, str_of(o->warehouse), &conditional, e);
    s3_free(s);
    return code;
}

/* ---- one file */

static enum err_code need_objects(const struct lake *l, struct str location, struct err *e)
{
    if (l->objects) return ERR_OK;
    return ERR(e, ERR_CORRUPT, "location \"%.*s\": expected a file on this machine (file:///...)",
               (int)(location.n < 200 ? location.n : 200), location.p ? location.p : "");
}

enum err_code lake_local(struct lake *l, struct str location, char out[PATH_LIMIT], struct err *e)
{
    if (!lake_is_object(location)) return lake_path_of(location, out, e);
    TRY(need_objects(l, location, e));
    lake_mirror_path(&l->objects->mirror, location, out);
    return ERR_OK;
}

static enum err_code fetch(struct lake *l, struct str location, int64_t size, bool anew,
                           char out[PATH_LIMIT], struct err *e)
{
    if (!lake_is_object(location)) return lake_path_of(location, out, e);
    TRY(need_objects(l, location, e));
    struct lake_mirror *m = &l->objects->mirror;
    if (lake_mirror_has(m, location, size, anew, out)) return ERR_OK;
    lake_mirror_room(m, size);
    enum err_code code = s3_get_file(store_of(l->objects, location), location, out, e);
    if (code == ERR_NOT_FOUND) {
        if (e) e->code = ERR_CORRUPT;
        err_prefix(e, "the object is missing: ");
        return ERR_CORRUPT;
    }
    TRY(code);
    int64_t got = file_size(out);
    lake_mirror_put(m, location, got, true);
    lake_mirror_room(m, 0);
    if (size < 0 || got == size) return ERR_OK;
    lake_mirror_drop(m, location);
    return ERR(e, ERR_CORRUPT, "%.*s: %lld bytes in the store, the manifest says %lld",
               STR_ARG(location), (long long)got, (long long)size);
}

enum err_code lake_fetch(struct lake *l, struct str location, int64_t size, char out[PATH_LIMIT],
                         struct err *e)
{
    return fetch(l, location, size, false, out, e);
}

enum err_code lake_fetch_anew(struct lake *l, struct str location, char out[PATH_LIMIT],
                              struct err *e)
{
    return fetch(l, location, -1, true, out, e);
}

enum err_code lake_file_size(struct lake *l, const char *location, int64_t *ret, struct err *e)
{
    char path[PATH_LIMIT];
    if (lake_is_object(str_of(location))) {
        TRY(need_objects(l, str_of(location), e));
        return s3_head(store_of(l->objects, str_of(location)), str_of(location), ret, e);
    }
    TRY(lake_path_of(str_of(location), path, e));
    *ret = file_size(path);
    return ERR_OK;
}

enum err_code lake_file_open(struct lake *l, const char *location, struct file_writer **ret,
                             struct err *e)
{
    char path[PATH_LIMIT];
    TRY(lake_local(l, str_of(location), path, e));
    TRY(file_writer_open(path, ret, e));
    lake_note_written(l, lake_is_object(str_of(location)) ? location : path);
    return ERR_OK;
}

enum err_code lake_file_finish(struct lake *l, const char *location, struct file_writer *w,
                               struct err *e)
{
    char path[PATH_LIMIT];
    struct str s = str_of(location);
    if (!lake_is_object(s)) return file_writer_finish(w, false, e);
    int64_t size = (int64_t)file_writer_size(w);
    TRY(file_writer_finish_copy(w, e));
    TRY(lake_local(l, s, path, e));
    lake_mirror_put(&l->objects->mirror, s, size, false);
    lake_mirror_pin(&l->objects->mirror, s, 1);
    lake_mirror_room(&l->objects->mirror, 0);
    enqueue(l->objects, false, s, path);
    return ERR_OK;
}

enum err_code lake_sync_folder(struct lake *l, const char *location, struct err *e)
{
    char path[PATH_LIMIT];
    (void)l;
    if (lake_is_object(str_of(location))) return ERR_OK;
    TRY(lake_path_of(str_of(location), path, e));
    *strrchr(path, '/') = 0;
    return file_sync_folder(path, e);
}

enum err_code lake_make_folder(struct lake *l, const char *location, struct err *e)
{
    char path[PATH_LIMIT];
    (void)l;
    if (lake_is_object(str_of(location))) return ERR_OK;
    TRY(lake_path_of(str_of(location), path, e));
    return file_make_folders(path, e);
}

enum err_code lake_remove(struct lake *l, const char *location, struct err *e)
{
    char path[PATH_LIMIT];
    struct str s = str_of(location);
    if (!lake_is_object(s)) {
        TRY(lake_path_of(s, path, e));
        return file_remove(path, e);
    }
    TRY(need_objects(l, s, e));
    lake_mirror_drop(&l->objects->mirror, s);
    enqueue(l->objects, true, s, NULL);
    return ERR_OK;
}

struct listing {
    enum err_code (*each)(void *ctx, struct str location, int64_t modified_ns, struct err *e);
    void *ctx;
};
static enum err_code pass_on(void *ctx, struct str address, int64_t size, int64_t modified_ns,
                             struct err *e)
{
    (void)size;
    const struct listing *w = ctx;
    return w->each(w->ctx, address, modified_ns, e);
}

enum err_code lake_objects_list(struct lake *l, const char *location,
                                enum err_code (*each)(void *ctx, struct str location,
                                                      int64_t modified_ns, struct err *e),
                                void *ctx, struct err *e)
{
    char prefix[LAKE_LOCATION_MAX + 2];
    struct listing w = {each, ctx};
    TRY(need_objects(l, str_of(location), e));
    snprintf(prefix, sizeof prefix, "%s/", location);
    return s3_list(store_of(l->objects, str_of(prefix)), str_of(prefix), pass_on, &w, e);
}
