#include "io/s3_internal.h"

#include "base/time.h"
#include "io/aws_internal.h"
#include "io/aws_xml.h"

#include <stdio.h>
#include <stdlib.h>

enum { PAGE_LIMIT = 16 << 20, PAGES_MAX = 1000000, TOKEN_MAX = 4096, QUERY_LIMIT = 16384 };

static enum err_code no_list(struct str bucket, const char *what, struct err *e)
{
    return ERR(e, ERR_PARSE, "S3 bucket %.*s: a listing %s", STR_ARG(bucket), what);
}

static struct str text_of(struct str in, const char *name, struct buf *to)
{
    buf_reset(to);
    xml_text(xml_first(in, name), to);
    return str_trim(buf_str(to));
}

static enum err_code one(struct str entry, struct str bucket, s3_each each, void *ctx,
                         struct err *e)
{
    struct buf address, text;
    int64_t size = -1, modified_ns = TIME_ABSENT;
    buf_init(&address, S3_BUCKET_MAX + S3_KEY_MAX + 8);
    buf_init(&text, 64);
    buf_addf(&address, "s3://%.*s/", STR_ARG(bucket));
    size_t base = address.len;
    xml_text(xml_first(entry, "Key"), &address);
    bool whole = str_to_i64(text_of(entry, "Size", &text), &size) == ERR_OK && size >= 0 &&
                 time_parse_iso(text_of(entry, "LastModified", &text), &modified_ns) == ERR_OK &&
                 address.len > base && !address.failed;
    enum err_code code = whole ? each(ctx, buf_str(&address), size, modified_ns, e)
                               : no_list(bucket, "has an object without key, size or time", e);
    buf_free(&address);
    buf_free(&text);
    return code;
}

enum err_code s3_list_parse(struct str body, struct str bucket, s3_each each, void *ctx,
                            struct buf *token, struct err *e)
{
    struct str rest = xml_first(body, "ListBucketResult"), entry;
    if (!str_is(xml_root(body), "ListBucketResult"))
        return no_list(bucket, "was answered by something else: is this an S3 server?", e);
    buf_reset(token);
    if (str_is(str_trim(xml_first(rest, "IsTruncated")), "true")) {
        xml_text(xml_first(rest, "NextContinuationToken"), token);
        if (token->len == 0 || token->failed)
            return no_list(bucket, "goes on without saying where", e);
    }
    while (xml_next(&rest, "Contents", &entry)) TRY(one(entry, bucket, each, ctx, e));
    return ERR_OK;
}

static void add_query(struct buf *query, struct str prefix, struct str token)
{
    if (token.n) {
        buf_add_cstr(query, "continuation-token=");
        aws_encode(query, token, false);
        buf_add_byte(query, '&');
    }
    buf_add_cstr(query, "list-type=2&prefix=");
    aws_encode(query, prefix, false);
}

static enum err_code page(struct s3 *s, struct str bucket, const char *query, s3_each each,
                          void *ctx, struct buf *token, struct err *e)
{
    struct http_reply r;
    struct s3_request q = {.method = "GET", .bucket = bucket, .query = query, .limit = PAGE_LIMIT};
    TRY(s3_send(s, &q, &r, e));
    if (!s3_is_good(&r)) return s3_refused(s, &q, &r, e);
    enum err_code code = s3_list_parse(buf_str(&r.body), bucket, each, ctx, token, e);
    http_reply_free(&r);
    return code;
}

enum err_code s3_list(struct s3 *s, struct str prefix,
                      enum err_code (*each)(void *ctx, struct str address, int64_t size,
                                            int64_t modified_ns, struct err *e),
                      void *ctx, struct err *e)
{
    struct s3_request q;
    struct buf query, token;
    TRY(s3_request_init(&q, "GET", prefix, e));
    buf_init(&query, QUERY_LIMIT);
    buf_init(&token, TOKEN_MAX);
    enum err_code code = ERR_OK;
    int pages = 0;
    do {
        if (++pages > PAGES_MAX) code = no_list(q.bucket, "has no end", e);
        buf_reset(&query);
        add_query(&query, q.key, buf_str(&token));
        if (query.failed) code = no_list(q.bucket, "goes on at a place with a name too long", e);
        if (code == ERR_OK) code = page(s, q.bucket, buf_cstr(&query), each, ctx, &token, e);
    } while (code == ERR_OK && token.len);
    buf_free(&query);
    buf_free(&token);
    return code;
}
