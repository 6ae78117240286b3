/* object_internal.h - what object.c and mirror.c share. */
#ifndef TICKLAKE_LAKE_OBJECT_INTERNAL_H
#define TICKLAKE_LAKE_OBJECT_INTERNAL_H

#include "lake/lake_internal.h"

enum { LAKE_MIRROR_NAME = 112 };
struct lake_copy {
    char name[LAKE_MIRROR_NAME]; /* below the root */
    int64_t size;
    uint64_t used;
    int pins;     /* on its way up: stays */
    bool here;    /* the file is there */
    bool fetched; /* by this process, from the store */
};
struct lake_mirror {
    char root[PATH_LIMIT];
    int lock_fd;
    bool own; /* emptied when closed */
    int64_t bytes, bytes_max;
    uint64_t clock;
    struct lake_copy *items;
    size_t count, cap, gone;
    struct map places; /* name -> item */
};
enum err_code lake_mirror_open(struct lake_mirror *m, const char *folder, int64_t bytes_max,
                               struct err *e) MUST_USE;
void lake_mirror_close(struct lake_mirror *m);
void lake_mirror_path(struct lake_mirror *m, struct str location, char out[PATH_LIMIT]);
/* Whether a whole copy is there; size -1: of any size. fetched_only: one that this process got from the store. */
bool lake_mirror_has(struct lake_mirror *m, struct str location, int64_t size, bool fetched_only,
                     char out[PATH_LIMIT]);
void lake_mirror_room(struct lake_mirror *m, int64_t size); /* least lately used copies go */
void lake_mirror_put(struct lake_mirror *m, struct str location, int64_t size, bool fetched);
void lake_mirror_pin(struct lake_mirror *m, struct str location, int by);
void lake_mirror_drop(struct lake_mirror *m, struct str location);

/* ---- vended.c: credentials of a REST catalog for the files of one table. */
struct lake_vended {
    char *prefix; /* locations they are for */
    char *access_key, *secret_key, *session_token, *endpoint, *region;
    bool virtual_host;
    uint32_t version; /* another one: made anew */
};
struct lake_door { /* somebody's own connections with them */
    struct s3 *s3;
    uint32_t version;
};
void lake_vended_put(struct lake_vended *v, const struct lake_vended_text *t);
void lake_vended_free(struct lake_vended *v);
/* NULL: none are for this location. `given` and `doors` have TABLE_MAX items; nobody may change `given` meanwhile. */
struct s3 *lake_vended_door(const struct lake_vended *given, struct lake_door *doors,
                            const struct s3_options *standard, struct str location);
void lake_vended_close(struct lake_door *doors);

#endif
