/* Schemas as registries give them: two texts with a zero byte between them, resolved and compared; and the frames of records. */
#include "registry/registry.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void count(void *ctx, const struct registry_difference *d)
{
    *(size_t *)ctx += d->field.n + strlen(d->ours) + strlen(d->theirs);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str rest = {(const char *)data, size}, first = str_cut(&rest, 0);
    struct err e;
    size_t texts = 0, differences = 0;
    enum err_code code = registry_compatible(first, rest, &e);
    CHECK(code == ERR_OK || code == ERR_INCOMPATIBLE);
    if (registry_compatible(first, first, &e) == ERR_OK) {
        CHECK(registry_compare(first, first, count, &texts, &differences, &e) == ERR_OK);
        CHECK(differences == 0);
    }
    code = registry_compare(first, rest, count, &texts, &differences, &e);
    CHECK(code == ERR_OK || code == ERR_CORRUPT);

    struct str record = {(const char *)data, size};
    struct buf scratch;
    struct registry_id id;
    buf_init(&scratch, 65537);
    code = registry_unframe(&record, &scratch, 65536, &id, &e);
    CHECK(code == ERR_OK || code == ERR_PARSE);
    buf_free(&scratch);
    return 0;
}
