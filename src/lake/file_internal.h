/* file_internal.h - files of the lake: their names (name.c), and themselves by their location, on this machine or in the object
 * store behind a mirror (object.c).
 *
 * Folder    all of it is the plain file, synced as ever; l->objects is NULL.
 * Objects   s3://bucket/...: written to the mirror, and on their way up while the commit goes on; lake_objects_flush waits. Read
 *           from the mirror, which gets what it lacks. Which process wrote an object does not matter: none is ever changed.
 * Threads   the lake's own; the workers that carry files up are inside.
 */
#ifndef TICKLAKE_LAKE_FILE_INTERNAL_H
#define TICKLAKE_LAKE_FILE_INTERNAL_H

#include "io/file.h"
#include "lake/lake.h"

enum {
    LAKE_LOCATION_MAX = 1000, /* the catalog's column holds no more */
    LAKE_UUID_TEXT = 37,
};

/* ---- name.c: names of files. Ours carry a UUID that starts with "tick", by which we know them again. */
void lake_uuid(char out[LAKE_UUID_TEXT]);
int64_t lake_random_id(void); /* positive */
bool lake_is_ours(struct str location_or_name);
/* Of a location on this machine only; the files of a lake are found by lake_local and lake_fetch. */
enum err_code lake_path_of(struct str location, char out[PATH_LIMIT], struct err *e) MUST_USE;
const char *lake_base_name(const char *path);
/* "YYYY-MM-DD" of days since 1970. */
void lake_day_text(int32_t day, char out[16]);

/* ---- object.c */
bool lake_is_object(struct str location); /* s3://, s3a:// */
/* The store did not answer, or did not let us in: that says nothing about the file. */
bool lake_is_outage(enum err_code code);
enum err_code lake_objects_open(struct lake *l,
                                struct err *e) MUST_USE; /* when the warehouse is one */
void lake_objects_close(struct lake *l);
/* Object store of the options: each right tried; *grants gets the policy to grant. Nothing for a folder. */
enum err_code lake_objects_probe(const struct lake_options *o, struct buf *grants,
                                 struct err *e) MUST_USE;
/* From now on the files below this prefix are reached with these. Empty: none. */
struct lake_vended_text {
    struct str prefix, access_key, secret_key, session_token, endpoint, region;
    bool virtual_host;
};
void lake_objects_vended(struct lake *l, enum table_id id, const struct lake_vended_text *t);
/* Everything written (and removed) until now is in the store. To be called before anything points there: before the
 * transaction that moves pointers or queues files. */
enum err_code lake_objects_flush(struct lake *l, struct err *e) MUST_USE;
/* Where the file is on this machine, or its copy would be. */
enum err_code lake_local(struct lake *l, struct str location, char out[PATH_LIMIT],
                         struct err *e) MUST_USE;
/* The same, and a whole copy is there; size -1: unknown. To be opened before the next call. ERR_CORRUPT where the object is
 * missing or of another size. */
enum err_code lake_fetch(struct lake *l, struct str location, int64_t size, char out[PATH_LIMIT],
                         struct err *e) MUST_USE;
/* As the store has it now, not as an earlier run or the writer left it in the mirror: for verify. */
enum err_code lake_fetch_anew(struct lake *l, struct str location, char out[PATH_LIMIT],
                              struct err *e) MUST_USE;
/* A new file; noted as written. finish: synced (the folder is not), or on its way up. */
enum err_code lake_file_open(struct lake *l, const char *location, struct file_writer **ret,
                             struct err *e) MUST_USE;
enum err_code lake_file_finish(struct lake *l, const char *location, struct file_writer *w,
                               struct err *e) MUST_USE;
enum err_code lake_sync_folder(struct lake *l, const char *location /* of a file in it */,
                               struct err *e) MUST_USE;
enum err_code lake_make_folder(struct lake *l, const char *location, struct err *e) MUST_USE;
enum err_code lake_remove(struct lake *l, const char *location, struct err *e) MUST_USE;
enum err_code lake_objects_list(struct lake *l, const char *location,
                                enum err_code (*each)(void *ctx, struct str location,
                                                      int64_t modified_ns, struct err *e),
                                void *ctx, struct err *e) MUST_USE;

/* ---- name.c: what a commit writes, and what is left of one that failed. */
/* Files of this commit (paths, or locations of objects), to be removed when it fails for certain. */
void lake_note_written(struct lake *l, const char *location);
void lake_written_forget(struct lake *l);
void lake_written_keep(struct lake *l, size_t from);   /* forgets those behind the first `from` */
void lake_written_remove(struct lake *l, size_t from); /* those behind the first `from` */
/* Writes a new file with its content synced (the folder is synced later) and notes it. */
enum err_code lake_write_file(struct lake *l, const char *location, struct str bytes,
                              struct err *e) MUST_USE;

/* Files with names of ours that no snapshot knows, left by a crash or a lost race, become garbage. */
enum err_code lake_orphans_find(struct lake *l, struct err *e) MUST_USE;
void lake_note_orphan(struct lake *l); /* the next cleanup looks for them */

#endif
