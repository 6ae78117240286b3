/* The one table of settings. */
#include "config/config.h"

#define AT(member) offsetof(struct config, member)
#define INT(s, k, standard, least, most, help)                                                     \
    {                                                                                              \
#s, #k, CONFIG_INT, AT(s.k), standard, least, most, NULL, false, help                      \
    }
#define BOOL(s, k, standard, help)                                                                 \
    {                                                                                              \
#s, #k, CONFIG_BOOL, AT(s.k), standard, 0, 0, NULL, false, help                            \
    }
#define TEXT(s, k, standard, secret, help)                                                         \
    {                                                                                              \
#s, #k, CONFIG_TEXT, AT(s.k), standard, 0, 0, NULL, secret, help                           \
    }
#define CHOICE(s, k, standard, choices, help)                                                      \
    {                                                                                              \
#s, #k, CONFIG_CHOICE, AT(s.k), standard, 0, 0, choices, false, help                       \
    }

#define LIST(s, k, help)                                                                           \
    {                                                                                              \
#s, #k, CONFIG_LIST, AT(s.k), NULL, 0, 0, NULL, false, help                                \
    }

static const struct config_key keys[] = {
    {"", "version", CONFIG_INT, AT(version), "1", 1, CONFIG_VERSION, NULL, false,
     "format version of this file"},
    {"", "data", CONFIG_TEXT, AT(data), "./data", 0, 0, NULL, false,
     "data folder: store.db, catalog.db, lake/, frames/"},
    BOOL(record, enabled, "false", "keep every received frame as it came, in frames/"),
    INT(record, segment_mb, "64", 1, 4096, "start a new segment at this size"),
    INT(record, segment_minutes, "60", 1, 1440, "and at this age"),
    INT(record, retention_hours, "168", 0, 87600, "remove older segments; 0 keeps all"),
    INT(source, batch_ms, "5", 1, 10000, "a group commit at least this often while events come"),
    INT(source, batch_events, "16384", 64, 1048576, "events in a batch at most"),
    INT(source, batches, "12", 4, 1024, "batches in flight: with batch_events the memory's bound"),
    INT(source, gap_grace_ms, "2000", 0, 3600000, "missing ids become a gap after this time"),
    INT(source, future_limit_ms, "60000", 1000, 86400000,
        "venue time further ahead of the receipt is refused"),
    INT(source, reconnect_min_ms, "200", 10, 60000, "first pause before connecting again"),
    INT(source, reconnect_max_ms, "30000", 100, 3600000, "longest pause; it never gives up"),
    INT(source, connect_timeout_ms, "10000", 100, 300000, "a connection must stand by then"),
    BOOL(source, tls_verify, "true", "check the venues' certificates"),
    TEXT(source, ca_file, NULL, false, "certificates to trust; the system's by default"),
    TEXT(
        store, url, NULL, true,
        "PostgreSQL as libpq takes it, postgresql://host/db; without it SQLite in the data folder"),
    TEXT(store, writer, "main", false, "name of this source in PostgreSQL: one process each"),
    TEXT(store, slot, "ticklake", false, "logical replication slot that feeds the bus"),
    TEXT(store, publication, "ticklake", false, "publication of that slot"),
    INT(store, partitions_ahead, "3", 1, 60, "daily partitions of PostgreSQL made ahead"),
    INT(store, retention_hours, "72", 0, 87600,
        "rows below the lake's position are removed after this; 0 keeps all"),
    INT(store, max_mb, "0", 0, 100000000, "stop taking events past this size; 0: no limit"),
    INT(process, lateness_ms, "2000", 0, 3600000, "a window closes this long after its end"),
    INT(process, quiet_ms, "5000", 100, 3600000,
        "a symbol without trades: the clock closes its windows after this"),
    INT(process, tapes_max, "100000", 1, 1000000, "venue and symbol pairs at most"),
    INT(process, revise_ms, "2000", 0, 3600000, "late trades revise candles at least this often"),
    TEXT(bus, brokers, NULL, false,
         "Kafka, host:port,host:port; without it the store's tail goes straight to process"),
    TEXT(bus, prefix, NULL, false, "put before every topic's name"),
    TEXT(bus, name, "ticklake", false, "name of this publisher: its transactional id and position"),
    TEXT(bus, group, "ticklake", false, "consumer group of the workers"),
    INT(bus, partitions, "6", 1, 256, "of each topic: the most workers that share the work"),
    INT(bus, replication, "3", 1, 15, "replicas of topics that are made here"),
    INT(bus, min_insync, "2", 1, 15, "least in-sync replicas that acknowledge a record"),
    INT(bus, retention_hours, "168", 0, 87600, "of topics that are made here; 0 keeps all"),
    INT(bus, transaction_ms, "100", 10, 60000,
        "a Kafka transaction at least this often: each costs about as much"),
    INT(bus, buffer_mb, "64", 1, 4096, "of changes received and not yet published"),
    LIST(bus, properties,
         "of librdkafka, as client.NAME=VALUE, producer.NAME=VALUE or consumer.NAME=VALUE"),
    CHOICE(registry, kind, "none", "none confluent glue", "schema registry"),
    TEXT(registry, url, NULL, false,
         "Confluent API: with its base path; Glue: another endpoint than AWS's"),
    TEXT(registry, name, "ticklake", false, "Glue: the registry's name"),
    TEXT(registry, region, NULL, false, "Glue: AWS_REGION by default"),
    TEXT(registry, user, NULL, false, "Confluent API: basic authentication"),
    TEXT(registry, password, NULL, true, "and its password"),
    TEXT(registry, password_file, NULL, false, "file that holds the password"),
    TEXT(registry, token, NULL, true, "Confluent API: bearer token"),
    TEXT(registry, token_file, NULL, false, "file that holds the token"),
    TEXT(registry, ca_file, NULL, false, "certificates to trust; the system's by default"),
    CHOICE(registry, compatibility, "backward",
           "backward backward_transitive forward forward_transitive full full_transitive",
           "rule for subjects made here"),
    TEXT(
        lake, catalog, NULL, true,
        "PostgreSQL as libpq takes it, or https://host/path of an Iceberg REST catalog; without it "
        "catalog.db in the data folder"),
    TEXT(lake, state_url, NULL, true,
         "REST: PostgreSQL for positions, queue, proofs and states; store.url by default"),
    TEXT(lake, rest_warehouse, NULL, false,
         "REST: the warehouse to ask for, where there are several"),
    TEXT(lake, rest_token, NULL, true, "REST: bearer token"),
    TEXT(lake, rest_token_file, NULL, false,
         "file that holds the token; read again when the token is refused"),
    TEXT(lake, rest_credential, NULL, true, "REST: CLIENT_ID:SECRET, for a token by OAuth 2"),
    TEXT(lake, rest_credential_file, NULL, false, "file that holds them"),
    TEXT(lake, rest_token_uri, NULL, false,
         "where that token is asked for; the catalog's /v1/oauth/tokens by default"),
    TEXT(lake, rest_scope, NULL, false, "scope of that token; catalog by default"),
    TEXT(lake, rest_signing_name, NULL, false,
         "REST: requests signed for this AWS service (SigV4): glue, s3tables, execute-api"),
    TEXT(lake, rest_region, NULL, false, "and for this region; AWS_REGION by default"),
    TEXT(lake, rest_ca_file, NULL, false, "certificates to trust; the system's by default"),
    BOOL(lake, rest_vended_credentials, "false",
         "REST: ask for credentials of the files, and use what the catalog gives"),
    TEXT(lake, warehouse, NULL, false, "s3://bucket/prefix; without it lake/ in the data folder"),
    INT(lake, mirror_mb, "2048", 64, 10000000, "local copies of S3 objects, in mirror/"),
    INT(lake, commit_ms, "500", 10, 3600000, "a commit at least this often while events come"),
    INT(lake, commit_rows, "2000000", 1000, 50000000, "and whenever so many rows wait"),
    INT(lake, snapshots_keep, "60", 1, 10000, "snapshots kept in each table"),
    INT(lake, metadata_keep, "20", 1, 1000, "metadata files kept in each table"),
    INT(lake, grace_minutes, "15", 0, 100000, "removed files stay this long for running readers"),
    INT(lake, target_file_mb, "128", 1, 4096, "compaction joins files up to this size"),
    INT(lake, compact_files, "16", 2, 1000, "this many small neighbours are joined"),
    BOOL(lake, compact, "true", "compact while running"),
    TEXT(s3, endpoint, NULL, false, "another than AWS's, http://host:port"),
    TEXT(s3, region, NULL, false, "AWS_REGION by default"),
    CHOICE(s3, addressing, "path", "path virtual_host", "bucket in the path or in the host name"),
    TEXT(s3, access_key, NULL, false, "by default found as AWS's own tools do"),
    TEXT(s3, secret_key, NULL, true, "and its secret"),
    TEXT(s3, secret_key_file, NULL, false, "file that holds the secret"),
    TEXT(s3, profile, NULL, false, "of the shared credentials file"),
    TEXT(s3, ca_file, NULL, false, "certificates to trust; the system's by default"),
    INT(s3, part_mb, "8", 5, 1024, "parts of a multipart upload"),
    INT(s3, tries, "6", 1, 100, "of a request, by class of error"),
    BOOL(serve, enabled, "true",
         "HTTP port: the console, /metrics, /livez, /readyz, /api/v1, /live"),
    TEXT(serve, bind, "127.0.0.1:7070", false,
         "address and port; others than loopback need a token"),
    TEXT(serve, token, NULL, true,
         "bearer token of every request; not of /livez, /readyz and the page itself"),
    TEXT(serve, token_file, NULL, false, "file that holds the token"),
    CHOICE(log, level, "info", "debug info warn error", "least level"),
    CHOICE(log, format, "logfmt", "logfmt json", "form of a line"),
};

const struct config_key *config_keys(size_t *ret_count)
{
    *ret_count = sizeof keys / sizeof keys[0];
    return keys;
}
