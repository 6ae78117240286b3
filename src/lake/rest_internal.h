/* rest_internal.h - tables in an Iceberg REST catalog: its client, what we ask of it, and how a change becomes a commit there.
 *
 * Split      the server keeps the tables and writes their metadata JSON; positions, queue, proofs, states and garbage are in
 *            PostgreSQL as ever. No transaction spans the two: a fold is recorded in PostgreSQL before the first table is
 *            committed, and each table carries the fold's id (summary and property "ticklake.fold"), so that whoever comes
 *            after a crash or a lost answer knows which tables have it. docs/decisions/0008.
 * Commit     requirements: the table's uuid, and the snapshot that `main` was seen at. 409: somebody else was first. An answer
 *            that never came, or 5xx: nobody knows; the table is loaded again and looked at, nothing is sent blindly.
 * Threads    the lake's.
 */
#ifndef TICKLAKE_LAKE_REST_INTERNAL_H
#define TICKLAKE_LAKE_REST_INTERNAL_H

#include "io/http.h"
#include "lake/lake_internal.h"

#include <yyjson.h>

enum { REST_URI_MAX = 1000, REST_ETAG_MAX = 256, REST_TRIES = 5 };
#define REST_ANSWER_MAX ((size_t)80 << 20)
#define REST_FOLD       "ticklake.fold" /* property of the table and word of the snapshot's summary */

struct rest_table {
    char *location; /* of the metadata as last loaded, or NULL */
    char *uuid;     /* never changes while the lake is open */
    char etag[REST_ETAG_MAX];
    struct buf metadata;
    int64_t vended_ns; /* when credentials for its files were given last; 0: never */
};
struct lake_rest {
    struct lake_rest_options o;
    char uri[REST_URI_MAX];     /* without a slash at the end */
    char address[REST_URI_MAX]; /* for errors: without user, password and query */
    char prefix[REST_URI_MAX];  /* "" or "/encoded" */
    struct http_client *http;
    struct aws *aws;      /* NULL: not signed */
    struct buf token;     /* empty: not known yet, or none is used */
    int64_t token_end_ns; /* of one that was given for a time; 0: none */
    bool configured;
    struct err lost; /* why the last commit was not made, or may not have been */
    int lost_status;
    struct rest_table tables[TABLE_MAX];
};

/* ---- rest.c: one question and its answer. */
struct rest_question {
    const char *method, *path; /* path behind /v1/PREFIX */
    const char *asked;         /* in words: "load table market.trades" */
    struct str body;           /* JSON */
    const char *etag;          /* NULL: none */
    bool once;                 /* a commit: an answer that does not come is not asked for again */
    bool bare;                 /* before the prefix is known: /v1PATH */
};
struct rest_answer {
    int status;
    bool unknown; /* the server may have done it */
    char etag[REST_ETAG_MAX];
    yyjson_doc *doc; /* of 2xx; NULL: no content */
    struct http_reply reply;
};
/* ERR_OK: 2xx or 304. ERR_NOT_FOUND 404, ERR_CONFLICT 409, ERR_REFUSED 401 403 419, ERR_CONFIG any other 4xx, ERR_UNAVAILABLE,
 * ERR_TIMEOUT, ERR_NETWORK. rest_answer_done in any case. */
enum err_code rest_ask(struct lake_rest *r, const struct rest_question *q, struct rest_answer *ret,
                       struct err *e) MUST_USE;
void rest_answer_done(struct rest_answer *a);

/* ---- rest_auth.c: the Authorization header. */
enum err_code rest_authorize(struct lake_rest *r, struct http_call *call, struct err *e) MUST_USE;
/* After 401 or 419; *ret: there is a new token, ask again. */
enum err_code rest_renew(struct lake_rest *r, bool *ret, struct err *e) MUST_USE;
void rest_forget_token(struct lake_rest *r);

/* ---- rest_json.c: pure. */
struct rest_config {
    struct str prefix, uri; /* empty: none told */
    bool
        can_commit; /* false: the server lists its endpoints, and committing to a table is not one */
};
void rest_parse_config(yyjson_val *root, struct rest_config *ret);
/* type and message of the error model; empty where it is none. */
void rest_parse_error(yyjson_val *root, struct str *ret_type, struct str *ret_message);
struct rest_loaded {
    struct str location, uuid;
    yyjson_val *metadata;
};
/* Credentials for the files of the table at `location`; an empty access key: none are given. */
void rest_parse_vended(yyjson_val *root, struct str location, struct lake_vended_text *ret);
/* ERR_PARSE: not an answer to a load, a create or a commit. */
enum err_code rest_parse_loaded(yyjson_val *root, struct rest_loaded *ret, struct err *e) MUST_USE;
/* Whether a snapshot of this fold, or the one with this id (-1: none), is below the current one, or the table's property says
 * that the fold was the last one. Walks parents: others may have added theirs on top. */
bool rest_has_commit(struct str metadata, const char *fold, int64_t snapshot_id);
/* The id of the last fold in this table by its property; false: none ever. */
bool rest_last_fold(struct str metadata, char out[LAKE_UUID_TEXT]);
/* The request that makes a table like this metadata JSON. */
enum err_code rest_create_body(const char *name, struct str metadata, struct buf *out,
                               struct err *e) MUST_USE;
/* The request that makes `after` of `before`: what differs, whatever it is. fold NULL: none. `positions` goes into the new
 * snapshot's summary. */
struct rest_commit {
    struct str before, after;
    const char *fold;
    struct str positions;
};
enum err_code rest_commit_body(const struct rest_commit *c, struct buf *out,
                               struct err *e) MUST_USE;

/* ---- catalog_rest.c: parts of the catalog. */
enum err_code rest_open(struct lake *l, struct err *e) MUST_USE;
/* Reachable, lets us in, and what tables are there are ours. */
enum err_code rest_probe(struct lake *l, struct err *e) MUST_USE;
void rest_close(struct lake *l);
/* As lake_catalog_pointer: the metadata's location, after asking the server whether it is still the one. */
enum err_code rest_pointer(struct lake *l, const struct table *t, char **ret,
                           struct err *e) MUST_USE;
/* As the server gave it with that pointer. */
enum err_code rest_metadata(struct lake *l, const struct table *t, struct buf *ret,
                            struct err *e) MUST_USE;
/* Before files are written: credentials that were given a while ago are asked for again. */
enum err_code rest_refresh_vended(struct lake *l, enum table_id id, struct err *e) MUST_USE;
enum err_code rest_create(struct lake *l, const struct table *t, struct str metadata,
                          struct err *e) MUST_USE;
/* Once. *ret_won false: 409, or nobody knows: to be looked at (r->lost says what came). */
enum err_code rest_send(struct lake *l, const struct lake_table *t, const struct rest_commit *c,
                        bool *ret_won, struct err *e) MUST_USE;
/* The same; won: the change's next state is what the server made of it. */
enum err_code rest_send_change(struct lake *l, struct lake_change *c, struct str positions,
                               bool *ret_won, struct err *e) MUST_USE;
/* ---- rest_state.c: whether state and tables belong together. bind: from the first start on, the state has their uuids. */
enum err_code rest_bind(struct lake *l, struct err *e) MUST_USE;
/* That the last fold of each of these tables, as just loaded, is the one that the state knows, or `fold`: a state that was
 * restored from a backup, or lost its last transactions to a failover, would make everything since then again. With every fold
 * the state gets rest_fold_state. */
enum err_code rest_check_folds(struct lake *l, const bool which[TABLE_MAX], const char *fold,
                               struct err *e) MUST_USE;
void rest_fold_state(enum table_id id, char out[64]);
/* Where the tables are to be in PostgreSQL itself: that its positions are not of tables elsewhere. */
enum err_code rest_refuse_bound(struct lake *l, struct err *e) MUST_USE;

#endif
