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

#endif
