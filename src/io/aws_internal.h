/* aws_internal.h - what the files of aws.h share. */
#ifndef TICKLAKE_IO_AWS_INTERNAL_H
#define TICKLAKE_IO_AWS_INTERNAL_H

#include "io/aws.h"

enum { AWS_KEY_MAX = 256, AWS_TOKEN_MAX = 8000, AWS_SOURCE_MAX = 256, AWS_ANSWER_LIMIT = 65536 };

struct aws_credentials {
    char access_key[AWS_KEY_MAX], secret_key[AWS_KEY_MAX];
    char token[AWS_TOKEN_MAX]; /* empty: none */
    int64_t expires_ns;        /* INT64_MAX: never */
    char source[AWS_SOURCE_MAX];
};

/* ---- aws_credentials.c: each place that credentials may be in. */
struct aws_finder {
    const char *profile; /* never NULL */
    bool profile_wanted; /* somebody named it */
    const char *region, *ca_file;
    int32_t timeout_ms;
    struct http_client *client;
    int64_t now_ns;
    struct buf *looked; /* what was looked at and why it held none, for the error */
};
/* ERR_NOT_FOUND where this place holds none (told in f->looked); other errors where it should and does not work. */
typedef enum err_code (*aws_place)(struct aws_finder *f, struct aws_credentials *ret,
                                   struct err *e);
enum err_code aws_from_environment(struct aws_finder *f, struct aws_credentials *ret,
                                   struct err *e) MUST_USE;
enum err_code aws_from_web_identity(struct aws_finder *f, struct aws_credentials *ret,
                                    struct err *e) MUST_USE;
enum err_code aws_from_files(struct aws_finder *f, struct aws_credentials *ret,
                             struct err *e) MUST_USE;
enum err_code aws_from_container(struct aws_finder *f, struct aws_credentials *ret,
                                 struct err *e) MUST_USE;
enum err_code aws_from_instance(struct aws_finder *f, struct aws_credentials *ret,
                                struct err *e) MUST_USE;
/* An environment variable with something in it, or NULL. */
const char *aws_env(const char *name);
/* `key` of [section] in an INI text; false where it is not there. */
bool aws_ini(struct str text, const char *section, const char *key, struct str *ret);
/* "$HOME" and `below`, or what the variable says. */
bool aws_file_path(const char *variable, const char *below, char out[1024]);

/* ---- aws_sign.c */
/* Percent-encoding as AWS wants it: all but A-Z a-z 0-9 - . _ ~ (and '/' where it is kept). */
void aws_encode(struct buf *b, struct str s, bool keep_slash);
void aws_decode(struct buf *b, struct str s);
enum err_code aws_sign_with(const struct aws_credentials *c, const char *region,
                            const char *service, struct http_call *call, const char *payload_sha256,
                            int64_t now_ns, struct err *e) MUST_USE;

#endif
