/* What a REST catalog may answer: its configuration, errors, tables. The first byte says which; whatever follows, nothing may
 * crash, and a table that can be read must take a commit of ours that is well-formed JSON. */
#include <stdlib.h>

#include "lake/rest_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t sum; /* so that nothing is left out */

static void try_commit(struct str before, struct str after)
{
    struct err e;
    struct buf body;
    const struct rest_commit c = {before, after, "fold", STR("market.trades/0=1")};
    buf_init(&body, 16 << 20);
    if (rest_commit_body(&c, &body, &e) == ERR_OK) {
        yyjson_doc *d = yyjson_read((const char *)body.data, body.len, 0);
        CHECK(d != NULL);
        yyjson_doc_free(d);
    }
    buf_free(&body);
}

static void try_table(yyjson_val *root, struct str json)
{
    struct err e;
    struct rest_loaded loaded;
    if (rest_parse_loaded(root, &loaded, &e) == ERR_OK) sum += loaded.uuid.n + loaded.location.n;
    char fold[LAKE_UUID_TEXT];
    struct lake_vended_text given;
    rest_parse_vended(root, STR("s3://a/b/c"), &given);
    sum += given.prefix.n + given.access_key.n + given.endpoint.n;
    sum += rest_has_commit(json, "fold", 7) + rest_last_fold(json, fold);
    static const char plain[] =
        "{\"table-uuid\":\"u\",\"snapshots\":[{\"snapshot-id\":7,\"summary\":{}}],"
        "\"refs\":{\"main\":{\"snapshot-id\":7,\"type\":\"branch\"}}}";
    try_commit(json, str_of(plain));
    try_commit(str_of(plain), json);
    try_commit(json, json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) return 0;
    struct str json = {(const char *)data + 1, size - 1}, type, message;
    yyjson_doc *doc = yyjson_read(json.p, json.n, 0);
    yyjson_val *root = yyjson_doc_get_root(doc);
    struct rest_config config;
    switch (data[0] % 3) {
    case 0:
        rest_parse_config(root, &config);
        sum += config.prefix.n + config.uri.n;
        break;
    case 1:
        rest_parse_error(root, &type, &message);
        sum += type.n + message.n;
        break;
    default: try_table(root, json); break;
    }
    yyjson_doc_free(doc);
    return 0;
}
