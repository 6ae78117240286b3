#include "io/s3_internal.h"

#include "io/aws_internal.h"
#include "io/aws_xml.h"

#include <stdio.h>
#include <stdlib.h>

enum { ID_MAX = 1024, BODY_LIMIT = 4 << 20 };

struct upload {
    struct s3 *s;
    struct str bucket, key;
    const struct s3_source *in;
    int64_t part_bytes;
    bool if_absent;
    char id[ID_MAX]; /* encoded */
    char (*etags)[S3_ETAG_MAX];
    struct s3_sum sum;
};

static struct s3_request request(const struct upload *u, const char *method, const char *query)
{
    return (struct s3_request){.method = method,
                               .bucket = u->bucket,
                               .key = u->key,
                               .query = query,
                               .limit = S3_ANSWER_LIMIT};
}

static enum err_code begin(struct upload *u, struct err *e)
{
    struct s3_request q = request(u, "POST", "uploads=");
    struct http_reply r;
    struct buf id, encoded;
    TRY(s3_send(u->s, &q, &r, e));
    if (!s3_is_good(&r)) return s3_refused(u->s, &q, &r, e);
    buf_init(&id, ID_MAX);
    buf_init(&encoded, ID_MAX - 1);
    xml_text(xml_first(buf_str(&r.body), "UploadId"), &id);
    aws_encode(&encoded, str_trim(buf_str(&id)), false);
    bool fits = encoded.len && !encoded.failed && !id.failed &&
                str_copy(u->id, sizeof u->id, buf_str(&encoded));
    buf_free(&id);
    buf_free(&encoded);
    http_reply_free(&r);
    if (fits) return ERR_OK;
    return ERR(e, ERR_PARSE, "S3 %.*s/%.*s: a multipart upload was begun without an UploadId",
               STR_ARG(u->bucket), STR_ARG(u->key));
}

static enum err_code send_part(struct upload *u, int number, struct str bytes, struct err *e)
{
    char query[ID_MAX + 64];
    struct http_reply r;
    snprintf(query, sizeof query, "partNumber=%d&uploadId=%s", number, u->id);
    struct s3_request q = request(u, "PUT", query);
    q.body = bytes;
    TRY(s3_send(u->s, &q, &r, e));
    if (!s3_is_good(&r)) return s3_refused(u->s, &q, &r, e);
    struct str etag = http_reply_header(&r, "ETag");
    bool fits = etag.n && !memchr(etag.p, '<', etag.n) && !memchr(etag.p, '&', etag.n) &&
                str_copy(u->etags[number - 1], S3_ETAG_MAX, etag);
    http_reply_free(&r);
    if (fits) return ERR_OK;
    return ERR(e, ERR_PARSE, "S3 %.*s/%.*s: part %d was answered without an ETag",
               STR_ARG(u->bucket), STR_ARG(u->key), number);
}

static enum err_code send_parts(struct upload *u, struct err *e)
{
    struct buf buffer;
    buf_init(&buffer, (size_t)u->part_bytes);
    enum err_code code = ERR_OK;
    int number = 1;
    for (int64_t at = 0; at < u->in->size && code == ERR_OK; number++) {
        int64_t left = u->in->size - at;
        size_t len = (size_t)(left < u->part_bytes ? left : u->part_bytes);
        struct str part;
        code = s3_source_read(u->in, at, len, &buffer, &part, e);
        if (code != ERR_OK) break;
        s3_sum_add(&u->sum, part);
        code = send_part(u, number, part, e);
        at += (int64_t)len;
    }
    buf_free(&buffer);
    return code;
}

static void add_parts(const struct upload *u, struct buf *body)
{
    buf_add_cstr(body,
                 "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
    for (int i = 0; i < u->sum.count; i++)
        buf_addf(body, "<Part><PartNumber>%d</PartNumber><ETag>%s</ETag></Part>", i + 1,
                 u->etags[i]);
    buf_add_cstr(body, "</CompleteMultipartUpload>");
}

/* A completion that was repeated finds no upload any more: the object itself tells whether the first one was applied. */
static enum err_code complete(struct upload *u, struct err *e)
{
    char query[ID_MAX + 64];
    struct http_reply r;
    struct s3_failure f;
    struct buf body;
    snprintf(query, sizeof query, "uploadId=%s", u->id);
    struct s3_request q = request(u, "POST", query);
    buf_init(&body, BODY_LIMIT);
    add_parts(u, &body);
    CHECK(!body.failed);
    q.body = buf_str(&body);
    q.headers[0][0] = u->if_absent && !u->s->unconditional ? "If-None-Match" : NULL;
    q.headers[0][1] = "*";
    enum err_code code = s3_send(u->s, &q, &r, e);
    buf_free(&body);
    q.body = (struct str){"", 0};
    if (code == ERR_OK) {
        s3_failure_of(&r, &f);
        if (s3_is_good(&r) && !f.code[0]) {
            http_reply_free(&r);
            return ERR_OK;
        }
        code = s3_refused(u->s, &q, &r, e);
    }
    if (!q.lost) return code;
    struct s3_facts facts;
    bool ours;
    if (s3_is_ours(u->s, u->bucket, u->key, u->in, &u->sum, &facts, &ours, NULL) == ERR_OK && ours)
        return ERR_OK;
    return code;
}

/* Parts of an upload that never ends are paid for and not seen in a listing. */
static void give_up(struct upload *u)
{
    char query[ID_MAX + 64];
    struct http_reply r;
    snprintf(query, sizeof query, "uploadId=%s", u->id);
    struct s3_request q = request(u, "DELETE", query);
    if (s3_send(u->s, &q, &r, NULL) == ERR_OK) http_reply_free(&r);
}

enum err_code s3_put_parts(struct s3 *s, struct str bucket, struct str key,
                           const struct s3_source *in, bool if_absent, struct err *e)
{
    struct upload *u = calloc(1, sizeof *u);
    CHECK(u != NULL);
    *u = (struct upload){.s = s, .bucket = bucket, .key = key, .in = in, .if_absent = if_absent};
    u->part_bytes = s->o.part_bytes;
    while (in->size / u->part_bytes >= S3_PARTS_MAX) u->part_bytes *= 2;
    u->sum.multipart = true;
    u->etags = calloc((size_t)(in->size / u->part_bytes + 1), sizeof *u->etags);
    CHECK(u->etags != NULL);
    struct s3_facts facts = {.size = -1};
    enum err_code code = ERR_OK;
    if (if_absent && s->unconditional) code = s3_facts_of(s, bucket, key, &facts, e);
    if (code == ERR_OK && facts.size >= 0)
        code = ERR(e, ERR_CONFLICT, "S3 %.*s/%.*s: the key exists already", STR_ARG(bucket),
                   STR_ARG(key));
    if (code == ERR_OK) {
        code = begin(u, e);
        if (code == ERR_OK) {
            code = send_parts(u, e);
            if (code == ERR_OK) code = complete(u, e);
            if (code != ERR_OK) give_up(u);
        }
    }
    free(u->etags);
    free(u);
    return code;
}
