/* validate_internal.h - what the files of `ticklake validate` share: validate.c (what embedded needs, and the end),
 * validate_parts.c (what stands outside: PostgreSQL, Kafka, registry, catalog, S3), validate_rights.c (the least to grant). */
#ifndef TICKLAKE_COMMAND_VALIDATE_INTERNAL_H
#define TICKLAKE_COMMAND_VALIDATE_INTERNAL_H

#include "command/local.h"

struct finding {
    const struct invocation *inv;
    struct buf out, rights;
    int count, failed;
    enum err_code worst; /* of the first that failed */
};

/* One line. address: where, or "" where the place is clear. code ERR_OK: good. */
struct found {
    const char *check, *address;
    enum err_code code;
};
void validate_tell(struct finding *f, const struct found *found, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Every outside part that the settings name, one by one; nothing is changed but for a probe's own objects. */
void validate_parts(struct finding *f, struct local *l);
/* Fills f->rights with the names of the settings. grants: what PostgreSQL's probes told. */
void validate_rights(struct finding *f, const struct distributed *d, const struct buf *grants);

#endif
