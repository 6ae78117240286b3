/* What goes to an Iceberg REST catalog and comes from it. Commits are judged by a server in a few lines, which does what the
 * specification says of each update: what it makes of the old metadata must be the new one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "lake/rest_internal.h"

static uint64_t draw(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* ---- random metadata: what it has is told by bits, so that before and after differ anywhere */

static void add_snapshots(struct buf *b, uint64_t bits)
{
    buf_add_cstr(b, "\"snapshots\":[");
    for (int i = 0, n = 0; i < 16; i++)
        if (bits >> i & 1)
            buf_addf(b,
                     "%s{\"snapshot-id\":%d,\"sequence-number\":%d,\"timestamp-ms\":1,"
                     "\"manifest-list\":\"l%d\",\"summary\":{\"operation\":\"append\"}}",
                     n++ ? "," : "", 1000 + i, i, i);
    buf_add_cstr(b, "],\"refs\":{");
    int main_at = -1, tag_at = -1;
    for (int i = 0; i < 16; i++)
        if (bits >> i & 1) main_at = i;
    for (int i = 0; i < 16 && bits >> 20 & 1; i++)
        if (tag_at < 0 && bits >> i & 1) tag_at = i;
    if (main_at >= 0)
        buf_addf(b, "\"main\":{\"snapshot-id\":%d,\"type\":\"branch\"}", 1000 + main_at);
    if (tag_at >= 0)
        buf_addf(b, ",\"old\":{\"snapshot-id\":%d,\"type\":\"tag\",\"max-ref-age-ms\":9}",
                 1000 + tag_at);
    buf_add_cstr(b, "}");
}

static void make_metadata(struct buf *b, uint64_t bits)
{
    buf_init(b, 1 << 20);
    buf_addf(b,
             "{\"format-version\":2,\"table-uuid\":\"u-1\",\"last-column-id\":%d,"
             "\"current-schema-id\":%d,\"schemas\":[{\"schema-id\":0,\"fields\":[]}%s],",
             bits >> 21 & 1 ? 9 : 8, bits >> 21 & 1 ? 1 : 0,
             bits >> 21 & 1 ? ",{\"schema-id\":1,\"fields\":[{\"id\":9}]}" : "");
    buf_add_cstr(b, "\"properties\":{\"always\":\"x\"");
    for (int i = 24; i < 30; i++)
        if (bits >> i & 1) buf_addf(b, ",\"p%d\":\"%d\"", i, (int)(bits >> (i + 8) & 1));
    buf_add_cstr(b, "},");
    add_snapshots(b, bits);
    buf_add_cstr(b, "}");
}

/* ---- the server */

static yyjson_mut_val *get(yyjson_mut_val *o, const char *key)
{
    return yyjson_mut_obj_get(o, key);
}

static yyjson_mut_val *take(yyjson_mut_doc *d, yyjson_val *v) { return yyjson_val_mut_copy(d, v); }

static void remove_snapshots(yyjson_mut_val *root, yyjson_val *ids)
{
    yyjson_mut_val *snapshots = get(root, "snapshots"), *refs = get(root, "refs"), *name, *ref;
    size_t i, max, k, count;
    yyjson_val *id;
    yyjson_arr_foreach(ids, i, max, id)
    {
        yyjson_mut_obj_foreach(refs, k, count, name, ref)
        {
            assert_false(yyjson_mut_get_sint(get(ref, "snapshot-id")) == yyjson_get_sint(id));
        }
        size_t at = yyjson_mut_arr_size(snapshots);
        for (size_t n = 0; n < yyjson_mut_arr_size(snapshots); n++)
            if (yyjson_mut_get_sint(get(yyjson_mut_arr_get(snapshots, n), "snapshot-id")) ==
                yyjson_get_sint(id))
                at = n;
        assert_true(at < yyjson_mut_arr_size(snapshots));
        yyjson_mut_arr_remove(snapshots, at);
    }
}

static void set_ref(yyjson_mut_doc *d, yyjson_mut_val *root, yyjson_val *u)
{
    yyjson_mut_val *ref = take(d, u), *snapshots = get(root, "snapshots");
    bool there = false;
    size_t i, max;
    yyjson_mut_val *s;
    yyjson_mut_arr_foreach(snapshots, i, max, s)
    {
        there |= yyjson_mut_equals(get(s, "snapshot-id"), get(ref, "snapshot-id"));
    }
    assert_true(there);
    yyjson_mut_obj_remove_key(ref, "action");
    yyjson_mut_obj_remove_key(ref, "ref-name");
    assert_true(yyjson_mut_obj_put(get(root, "refs"), take(d, yyjson_obj_get(u, "ref-name")), ref));
}

static void set_properties(yyjson_mut_doc *d, yyjson_mut_val *root, yyjson_val *updates)
{
    size_t i, max;
    yyjson_val *k, *v;
    yyjson_obj_foreach(updates, i, max, k, v)
    {
        assert_true(yyjson_mut_obj_put(get(root, "properties"), take(d, k), take(d, v)));
    }
}

static void set_current_schema(yyjson_mut_doc *d, yyjson_mut_val *root, yyjson_val *u)
{
    int64_t id = yyjson_get_sint(yyjson_obj_get(u, "schema-id"));
    yyjson_mut_val *last = yyjson_mut_arr_get_last(get(root, "schemas"));
    if (id < 0) id = yyjson_mut_get_sint(get(last, "schema-id"));
    yyjson_mut_obj_put(root, yyjson_mut_str(d, "current-schema-id"), yyjson_mut_sint(d, id));
}

static void apply(yyjson_mut_doc *d, yyjson_mut_val *root, yyjson_val *u)
{
    const char *action = yyjson_get_str(yyjson_obj_get(u, "action"));
    assert_non_null(action);
    size_t i, max;
    yyjson_val *v;
    if (strcmp(action, "add-snapshot") == 0) {
        yyjson_mut_arr_append(get(root, "snapshots"), take(d, yyjson_obj_get(u, "snapshot")));
    } else if (strcmp(action, "remove-snapshots") == 0) {
        remove_snapshots(root, yyjson_obj_get(u, "snapshot-ids"));
    } else if (strcmp(action, "set-snapshot-ref") == 0) {
        set_ref(d, root, u);
    } else if (strcmp(action, "remove-snapshot-ref") == 0) {
        const char *name = yyjson_get_str(yyjson_obj_get(u, "ref-name"));
        assert_non_null(yyjson_mut_obj_remove_key(get(root, "refs"), name));
    } else if (strcmp(action, "set-properties") == 0) {
        set_properties(d, root, yyjson_obj_get(u, "updates"));
    } else if (strcmp(action, "remove-properties") == 0) {
        yyjson_arr_foreach(yyjson_obj_get(u, "removals"), i, max, v)
        {
            assert_non_null(yyjson_mut_obj_remove_key(get(root, "properties"), yyjson_get_str(v)));
        }
    } else if (strcmp(action, "add-schema") == 0) {
        yyjson_mut_arr_append(get(root, "schemas"), take(d, yyjson_obj_get(u, "schema")));
        yyjson_mut_obj_put(root, yyjson_mut_str(d, "last-column-id"),
                           take(d, yyjson_obj_get(u, "last-column-id")));
    } else if (strcmp(action, "set-current-schema") == 0) {
        set_current_schema(d, root, u);
    } else {
        fail_msg("an action that nobody knows: %s", action);
    }
}

static int64_t required(yyjson_val *body, const char *type, const char *key)
{
    size_t i, max;
    yyjson_val *r;
    yyjson_arr_foreach(yyjson_obj_get(body, "requirements"), i, max, r)
    {
        if (!yyjson_equals_str(yyjson_obj_get(r, "type"), type)) continue;
        yyjson_val *v = yyjson_obj_get(r, key);
        return yyjson_is_null(v) ? -1 : yyjson_get_sint(v);
    }
    return -2;
}

static struct str made_of(const struct buf *before, const struct buf *body, yyjson_mut_doc **ret)
{
    yyjson_doc *old = yyjson_read((const char *)before->data, before->len, 0);
    yyjson_doc *request = yyjson_read((const char *)body->data, body->len, 0);
    assert_non_null(old);
    assert_non_null(request);
    *ret = yyjson_doc_mut_copy(old, NULL);
    yyjson_mut_val *root = yyjson_mut_doc_get_root(*ret);
    yyjson_val *main_ref = yyjson_obj_get(yyjson_obj_get(yyjson_doc_get_root(old), "refs"), "main");
    yyjson_val *was = yyjson_obj_get(main_ref, "snapshot-id");
    assert_int_equal(
        required(yyjson_doc_get_root(request), "assert-ref-snapshot-id", "snapshot-id"),
        was ? yyjson_get_sint(was) : -1);
    size_t i, max;
    yyjson_val *u;
    yyjson_arr_foreach(yyjson_obj_get(yyjson_doc_get_root(request), "updates"), i, max, u)
    {
        apply(*ret, root, u);
    }
    yyjson_doc_free(old);
    yyjson_doc_free(request);
    size_t len;
    char *text = yyjson_mut_write(*ret, 0, &len);
    return (struct str){text, len};
}

/* Equal but for the order of an object's keys, and of snapshots. */
static void assert_same(struct str made, const struct buf *after)
{
    yyjson_doc *x = yyjson_read(made.p, made.n, 0);
    yyjson_doc *y = yyjson_read((const char *)after->data, after->len, 0);
    yyjson_val *a = yyjson_doc_get_root(x), *b = yyjson_doc_get_root(y), *s, *t;
    static const char *const keys[] = {"properties", "refs", "schemas", "current-schema-id",
                                       "last-column-id"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (!yyjson_equals(yyjson_obj_get(a, keys[i]), yyjson_obj_get(b, keys[i])))
            fail_msg("%s: %.*s\nexpected %.*s", keys[i], STR_ARG(made), STR_ARG(buf_str(after)));
    yyjson_val *one = yyjson_obj_get(a, "snapshots"), *two = yyjson_obj_get(b, "snapshots");
    assert_int_equal(yyjson_arr_size(one), yyjson_arr_size(two));
    size_t i, k, n, m, found = 0;
    yyjson_arr_foreach(one, i, n, s)
    {
        yyjson_arr_foreach(two, k, m, t) { found += yyjson_equals(s, t); }
    }
    assert_int_equal(found, yyjson_arr_size(one));
    yyjson_doc_free(x);
    yyjson_doc_free(y);
}

static void test_a_commit_is_the_difference(void **state)
{
    (void)state;
    uint64_t r = 88172645463325252u;
    struct err e;
    for (int round = 0; round < 3000; round++) {
        struct buf before, after, body;
        uint64_t bits = draw(&r), mask = round % 3 ? draw(&r) & draw(&r) : UINT64_MAX;
        make_metadata(&before, bits);
        /* Schemas are only ever added. */
        make_metadata(&after, (bits ^ (draw(&r) & mask)) | (bits & (UINT64_C(1) << 21)));
        buf_init(&body, 1 << 20);
        const struct rest_commit c = {.before = buf_str(&before), .after = buf_str(&after)};
        assert_int_equal(rest_commit_body(&c, &body, &e), ERR_OK);
        yyjson_mut_doc *d;
        struct str made = made_of(&before, &body, &d);
        assert_same(made, &after);
        free((char *)(uintptr_t)made.p);
        yyjson_mut_doc_free(d);
        buf_free(&before);
        buf_free(&after);
        buf_free(&body);
    }
}

static void test_a_fold_is_found_again(void **state)
{
    (void)state;
    struct err e;
    struct buf before, after, body;
    make_metadata(&before, 0x0f);
    make_metadata(&after, 0x1e);
    buf_init(&body, 1 << 20);
    const struct rest_commit c = {buf_str(&before), buf_str(&after), "fold-7",
                                  STR("market.trades/0=9")};
    assert_int_equal(rest_commit_body(&c, &body, &e), ERR_OK);
    assert_true(str_contains(buf_str(&body), "\"ticklake.positions\":\"market.trades/0=9\""));
    yyjson_mut_doc *d;
    struct str made = made_of(&before, &body, &d);
    assert_false(rest_has_commit(buf_str(&before), "fold-7", 1004));
    char fold[LAKE_UUID_TEXT];
    assert_false(rest_last_fold(buf_str(&before), fold));
    assert_true(rest_has_commit(made, "fold-7", -1));
    assert_true(rest_has_commit(made, NULL, 1004));
    assert_true(rest_last_fold(made, fold) && strcmp(fold, "fold-7") == 0);
    assert_false(rest_has_commit(made, "fold-8", -1));
    assert_false(rest_has_commit(made, NULL, -1));
    /* Another writer expired the snapshot: the property still says so. */
    yyjson_mut_arr_clear(get(yyjson_mut_doc_get_root(d), "snapshots"));
    char *bare = yyjson_mut_write(d, 0, NULL);
    assert_true(rest_has_commit(str_of(bare), "fold-7", -1));
    /* And one that removes our property leaves the summary. */
    yyjson_mut_doc *again;
    struct str whole = made_of(&before, &body, &again);
    yyjson_mut_obj_remove_key(get(yyjson_mut_doc_get_root(again), "properties"), REST_FOLD);
    char *lean = yyjson_mut_write(again, 0, NULL);
    assert_true(rest_has_commit(str_of(lean), "fold-7", -1));
    free((char *)(uintptr_t)made.p);
    free((char *)(uintptr_t)whole.p);
    free(bare);
    free(lean);
    yyjson_mut_doc_free(d);
    yyjson_mut_doc_free(again);
    buf_free(&before);
    buf_free(&after);
    buf_free(&body);
}

static yyjson_doc *parsed(const char *text)
{
    yyjson_doc *d = yyjson_read(text, strlen(text), 0);
    assert_non_null(d);
    return d;
}

static void test_deep_answers(void **state)
{
    (void)state;
    char deep[200];
    memset(deep, '[', sizeof deep);
    assert_true(lake_json_is_shallow((struct str){deep, LAKE_JSON_DEPTH}));
    assert_false(lake_json_is_shallow((struct str){deep, LAKE_JSON_DEPTH + 1}));
    assert_true(lake_json_is_shallow(STR("{\"a\":[{\"b\":\"[[[[\"}]}")));
    deep[0] = '"'; /* in a text, behind an escaped quote, they count for nothing */
    deep[1] = '\\';
    deep[2] = '"';
    assert_true(lake_json_is_shallow((struct str){deep, sizeof deep}));
}

static void test_answers(void **state)
{
    (void)state;
    struct err e;
    struct rest_config c;
    struct str type, message;
    struct rest_loaded loaded;
    yyjson_doc *d = parsed("{\"defaults\":{\"prefix\":\"a\",\"uri\":\"http://x\"},\"overrides\":"
                           "{\"prefix\":\"b\"},\"endpoints\":[\"GET /v1/config\"]}");
    rest_parse_config(yyjson_doc_get_root(d), &c);
    assert_true(str_is(c.prefix, "b") && str_is(c.uri, "http://x") && !c.can_commit);
    yyjson_doc_free(d);
    d = parsed("{\"error\":{\"message\":\"m\",\"type\":\"t\",\"code\":409}}");
    rest_parse_error(yyjson_doc_get_root(d), &type, &message);
    assert_true(str_is(type, "t") && str_is(message, "m"));
    yyjson_doc_free(d);
    d = parsed("{\"error\":\"invalid_client\",\"error_description\":\"no\"}");
    rest_parse_error(yyjson_doc_get_root(d), &type, &message);
    assert_true(str_is(type, "invalid_client") && str_is(message, "no"));
    yyjson_doc_free(d);
    static const char *const bad[] = {
        "{}", "[]", "{\"metadata-location\":\"\",\"metadata\":{}}",
        "{\"metadata-location\":\"s3://x\",\"metadata\":{}}",
        "{\"metadata-location\":5,\"metadata\":{\"table-uuid\":\"u\"}}"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        d = parsed(bad[i]);
        assert_int_equal(rest_parse_loaded(yyjson_doc_get_root(d), &loaded, &e), ERR_PARSE);
        yyjson_doc_free(d);
    }
    d = parsed("{\"metadata-location\":\"s3://x\",\"metadata\":{\"table-uuid\":\"u\"}}");
    assert_int_equal(rest_parse_loaded(yyjson_doc_get_root(d), &loaded, &e), ERR_OK);
    assert_true(str_is(loaded.location, "s3://x") && str_is(loaded.uuid, "u"));
    yyjson_doc_free(d);
}

static void test_credentials(void **state)
{
    (void)state;
    struct lake_vended_text v;
    yyjson_doc *d = parsed(
        "{\"config\":{\"s3.access-key-id\":\"a\",\"s3.secret-access-key\":\"b\"},\"storage-"
        "credentials\":["
        "{\"prefix\":\"s3://x/lake/"
        "t\",\"config\":{\"s3.access-key-id\":\"c\",\"s3.secret-access-key\":\"d\","
        "\"s3.session-token\":\"e\",\"client.region\":\"r\",\"s3.path-style-access\":\"true\"}},"
        "{\"prefix\":\"s3://x\",\"config\":{\"s3.access-key-id\":\"no\"}}]}");
    rest_parse_vended(yyjson_doc_get_root(d), STR("s3://x/lake/trades"), &v);
    assert_true(str_is(v.access_key, "c") && str_is(v.secret_key, "d") && str_is(v.region, "r"));
    assert_true(str_is(v.session_token, "e") && str_is(v.prefix, "s3://x/lake/t") &&
                !v.virtual_host);
    /* The prefix that fits has only half of a pair: that is none. */
    rest_parse_vended(yyjson_doc_get_root(d), STR("s3://x/other"), &v);
    assert_int_equal(v.access_key.n, 0);
    rest_parse_vended(yyjson_doc_get_root(d), STR("s3://y/other"), &v);
    assert_true(str_is(v.access_key, "a") && str_is(v.prefix, "s3://y/other") && v.virtual_host);
    yyjson_doc_free(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_commit_is_the_difference),
        cmocka_unit_test(test_a_fold_is_found_again), cmocka_unit_test(test_deep_answers),
        cmocka_unit_test(test_answers), cmocka_unit_test(test_credentials)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
