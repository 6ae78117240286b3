/* config.h - one YAML file, the environment, and flags: settings with their place, defaults and limits in one table.
 *
 * Order     built-in default < file < environment < flag. Every key `section.key` is TICKLAKE_SECTION__KEY in the
 *           environment and `--set section.key=value` on the command line; a venue's key is TICKLAKE_VENUES__NAME__KEY.
 * Errors    ALL at once in config_errors, one line each: file:line:column: key: what was expected, the nearest right key.
 * Secrets   `token` values come from ${NAME}, the environment or token_file; they are never printed or logged.
 *           ${NAME} and ${NAME:-default} are expanded in text values after parsing, so a value cannot inject YAML.
 * Calls     config_new -> config_load(file or NULL) -> config_set for each --set -> config_finish -> use -> config_free.
 * Table     config_keys() is also what `ticklake validate --keys` prints; docs/settings.md is that text.
 */
#ifndef TICKLAKE_CONFIG_CONFIG_H
#define TICKLAKE_CONFIG_CONFIG_H

#include "base/buf.h"
#include "base/log.h"

enum {
    CONFIG_VERSION = 1,
    CONFIG_VENUES_MAX = 64,
    CONFIG_LIST_MAX = 20000,
    CONFIG_FILE_MAX = 4 << 20
};

struct config_list {
    struct str *items;
    size_t count, cap;
};

struct config_venue {
    char *name;
    struct config_list symbols; /* normalised, or "*" */
    struct config_list streams; /* trade, agg_trade, quote; empty: the venue's tape and quotes */
    char *ws_url, *rest_url;    /* NULL: the venue's own */
    char *archive_url;          /* of daily files; NULL: the venue's own */
    int64_t requests_per_hour, requests_per_day; /* -1: the venue's own; 0: not counted */
    char *token, *token_file;
    int line;
};

struct config {
    int64_t version;
    char *data;
    struct config_venue venues[CONFIG_VENUES_MAX];
    size_t venue_count;
    struct {
        bool enabled;
        int64_t segment_mb, segment_minutes, retention_hours;
    } record;
    struct {
        int64_t batch_ms, batch_events, batches, gap_grace_ms, future_limit_ms;
        int64_t reconnect_min_ms, reconnect_max_ms, connect_timeout_ms;
        bool tls_verify;
        char *ca_file;
    } source;
    struct {
        char *url, *writer, *slot, *publication; /* url NULL: SQLite in the data folder */
        int64_t retention_hours, max_mb, partitions_ahead;
    } store;
    struct {
        char *brokers; /* NULL: no bus, the tail goes straight to process */
        char *prefix, *name, *group;
        int64_t partitions, replication, min_insync, retention_hours, transaction_ms, buffer_mb;
        struct config_list properties; /* "producer.linger.ms=5" */
    } bus;
    struct {
        int64_t kind; /* enum registry_kind */
        char *url, *name, *region, *user, *password, *password_file, *token, *token_file, *ca_file;
        int64_t compatibility;
    } registry;
    struct {
        int64_t lateness_ms, quiet_ms, tapes_max, revise_ms;
    } process;
    struct {
        int64_t commit_ms, commit_rows, snapshots_keep, metadata_keep, grace_minutes;
        int64_t target_file_mb, compact_files;
        bool compact;
        char *
            catalog; /* NULL: catalog.db in the data folder; PostgreSQL; http(s)://: Iceberg REST */
        char *state_url; /* REST: positions, queue, proofs; NULL: store.url */
        char *rest_warehouse, *rest_token, *rest_token_file, *rest_credential,
            *rest_credential_file;
        char *rest_token_uri, *rest_scope, *rest_signing_name, *rest_region, *rest_ca_file;
        bool rest_vended_credentials;
        char *warehouse; /* NULL: lake/ in the data folder; s3://bucket/prefix */
        int64_t mirror_mb;
    } lake;
    struct {
        char *endpoint, *region, *access_key, *secret_key, *secret_key_file, *profile, *ca_file;
        int64_t addressing; /* 0 path, 1 virtual_host */
        int64_t part_mb, tries;
    } s3;
    struct {
        bool enabled;
        char *bind, *token, *token_file;
    } serve;
    struct {
        int64_t level, format; /* enum log_level, enum log_format */
    } log;
    struct buf errors; /* one line each */
    size_t error_count;
    char *path; /* of the file; NULL */
};

enum config_type { CONFIG_BOOL, CONFIG_INT, CONFIG_TEXT, CONFIG_CHOICE, CONFIG_LIST };
struct config_key {
    const char *section, *key; /* section "" for the top level */
    enum config_type type;
    size_t offset;
    const char *standard; /* default, as text */
    int64_t least, most;  /* CONFIG_INT */
    const char *choices;  /* CONFIG_CHOICE: "debug info warn error" */
    bool secret;
    const char *help;
};
const struct config_key *config_keys(size_t *ret_count);
void config_markdown(struct buf *out); /* docs/settings.md */

struct config *config_new(void); /* with the defaults */
struct config *config_free(struct config *c);
/* path NULL: ticklake.yaml of the working folder if it is there, else nothing. Errors are collected; the returned code
 * is ERR_CONFIG only when the file cannot be read at all (a named one that is absent). */
enum err_code config_load(struct config *c, const char *path, struct err *e) MUST_USE;
void config_set(struct config *c, const char *assignment,
                const char *where); /* "lake.commit_ms=500" */
void config_environment(struct config *c, char **environment);
/* Reads token files, checks what needs several keys; ERR_CONFIG with all errors in e when there are any (e->text holds
 * the first and the count; c->errors all of them). */
enum err_code config_finish(struct config *c, struct err *e) MUST_USE;
/* Whether lake.catalog is the address of an Iceberg REST catalog, and where the lake's own state then is (else lake.catalog, or
 * NULL: catalog.db). */
bool config_rest_catalog(const struct config *c);
const char *config_lake_state(const struct config *c);
/* "store.db" in the data folder and so on. */
void config_path(const struct config *c, const char *name, char *out, size_t out_size);

#endif
