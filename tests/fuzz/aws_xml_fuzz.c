/* What a server may answer: listings, errors, upload ids, credentials. Nothing crashes, hangs or reads outside. */
#include "io/aws_xml.h"
#include "io/s3_internal.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum err_code one(void *ctx, struct str address, int64_t bytes, int64_t modified_ns,
                         struct err *e)
{
    (void)e;
    struct str bucket, key;
    CHECK(bytes >= 0 && modified_ns != INT64_MIN);
    CHECK(!s3_split(address, &bucket, &key) || str_is(bucket, "bucket"));
    *(size_t *)ctx += address.n;
    return ERR_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* A copy without a zero behind, so that reading past the end is seen. */
    char *copy = malloc(size ? size : 1);
    CHECK(copy != NULL);
    if (size) memcpy(copy, data, size);
    struct str in = {copy, size}, rest = in, v;
    struct buf text;
    struct err e;
    size_t sum = 0;
    buf_init(&text, 4096);
    if (s3_list_parse(in, STR("bucket"), one, &sum, &text, &e) != ERR_OK) buf_reset(&text);
    while (xml_next(&rest, "Key", &v)) {
        CHECK(v.p >= in.p && v.p + v.n <= in.p + in.n);
        buf_reset(&text);
        xml_text(v, &text);
    }
    struct http_reply r = {.status = 500};
    struct s3_failure f;
    buf_init(&r.body, size + 1);
    buf_init(&r.headers, size + 1);
    buf_add(&r.body, copy, size);
    buf_add(&r.headers, copy, size);
    s3_failure_of(&r, &f);
    CHECK(strlen(f.code) < sizeof f.code && strlen(f.message) < sizeof f.message);
    http_reply_free(&r);
    buf_free(&text);
    free(copy);
    return 0;
}
