#include "run/distributed.h"

#include "io/clock.h"
#include "io/file.h"
#include "run/run_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

bool distributed_has_bus(const struct config *c) { return c->bus.brokers != NULL; }

static enum err_code read_properties(struct distributed *d, struct err *e)
{
    const struct config_list *l = &d->config->bus.properties;
    if (l->count > PROPERTIES_MAX)
        return ERR(e, ERR_CONFIG, "bus.properties: more than %d entries", PROPERTIES_MAX);
    for (size_t i = 0; i < l->count; i++) {
        char *text = strndup(l->items[i].p, l->items[i].n);
        CHECK(text != NULL);
        d->property_texts[i] = text;
        char *equals = strchr(text, '=');
        /* The value may be a password: only the name is told. */
        if (!equals)
            return ERR(e, ERR_CONFIG,
                       "bus.properties: entry %zu has no \"=\": expected "
                       "client.NAME=VALUE, producer.NAME=VALUE or consumer.NAME=VALUE",
                       i + 1);
        *equals = 0;
        d->properties[i] = (struct bus_property){text, equals + 1};
        d->property_count = i + 1;
    }
    return ERR_OK;
}

static void open_registry(struct distributed *d)
{
    static const char *const levels[] = {"BACKWARD", "BACKWARD_TRANSITIVE",
                                         "FORWARD",  "FORWARD_TRANSITIVE",
                                         "FULL",     "FULL_TRANSITIVE"};
    const struct config *c = d->config;
    if (c->registry.kind == REGISTRY_NONE) return;
    struct registry_options o = {
        .kind = (enum registry_kind)c->registry.kind,
        .url = c->registry.url,
        .user = c->registry.user,
        .password = c->registry.password,
        .token = c->registry.token,
        .name = c->registry.name,
        .aws = {.region = c->registry.region, .ca_file = c->registry.ca_file},
        .ca_file = c->registry.ca_file,
        .compatibility = levels[c->registry.compatibility],
    };
    d->registry = registry_new(&o);
}

enum err_code distributed_open(struct distributed *d, const struct config *c, struct err *e)
{
    *d = (struct distributed){.config = c};
    enum err_code code = read_properties(d, e);
    if (code != ERR_OK) {
        distributed_close(d);
        return code;
    }
    d->s3 = (struct s3_options){
        .endpoint = c->s3.endpoint,
        .virtual_host = c->s3.addressing == 1,
        .aws = {.region = c->s3.region,
                .access_key = c->s3.access_key,
                .secret_key = c->s3.secret_key,
                .profile = c->s3.profile,
                .ca_file = c->s3.ca_file},
        .part_bytes = c->s3.part_mb << 20,
        .tries = (int32_t)c->s3.tries,
    };
    d->rest = (struct lake_rest_options){
        .uri = c->lake.catalog,
        .warehouse = c->lake.rest_warehouse,
        .token = c->lake.rest_token,
        .token_file = c->lake.rest_token_file,
        .credential = c->lake.rest_credential,
        .credential_file = c->lake.rest_credential_file,
        .token_uri = c->lake.rest_token_uri,
        .scope = c->lake.rest_scope,
        .signing_name = c->lake.rest_signing_name,
        .aws = {.region = c->lake.rest_region, .ca_file = c->lake.rest_ca_file},
        .ca_file = c->lake.rest_ca_file,
        .vended = c->lake.rest_vended_credentials,
    };
    open_registry(d);
    char host[64] = "host";
    gethostname(host, sizeof host - 1);
    snprintf(d->worker, sizeof d->worker, "%s-%ld", host, (long)getpid());
    return ERR_OK;
}

void distributed_close(struct distributed *d)
{
    d->registry = registry_free(d->registry);
    for (size_t i = 0; i < PROPERTIES_MAX; i++) {
        free(d->property_texts[i]);
        d->property_texts[i] = NULL;
    }
}

struct store_options distributed_store(const struct distributed *d, struct series_table *series)
{
    const struct config *c = d->config;
    config_path(c, "store.db", ((struct distributed *)(uintptr_t)d)->store_path,
                sizeof d->store_path);
    return (struct store_options){
        .path = d->store_path,
        .url = c->store.url,
        .writer = c->store.writer,
        .series = series,
        .bytes_max = (uint64_t)c->store.max_mb << 20,
        .partitions_ahead = c->store.partitions_ahead,
    };
}

struct bus_options distributed_bus(const struct distributed *d, struct series_table *series)
{
    const struct config *c = d->config;
    return (struct bus_options){
        .brokers = c->bus.brokers,
        .prefix = c->bus.prefix ? c->bus.prefix : "",
        .partitions = (int32_t)c->bus.partitions,
        .replication = (int32_t)c->bus.replication,
        .min_insync = (int32_t)c->bus.min_insync,
        .retention_hours = (int32_t)c->bus.retention_hours,
        .properties = d->properties,
        .property_count = d->property_count,
        .registry = d->registry,
        .series = series,
    };
}

/* Rows that may wait for a commit: what a commit begins at, a batch above that, and every candle that can come at once: of
 * all windows that stand open, of a batch, and of a revision. A limit below that would stop a run for good. */
static int64_t buffer_rows_max(const struct config *c)
{
    enum { OPEN_WINDOWS = 256 }; /* of a tape, besides the seconds of the lateness */
    int64_t windows = c->process.lateness_ms / 1000 + OPEN_WINDOWS;
    return c->lake.commit_rows * 2 + c->source.batch_events * (1 + TIMEFRAME_MAX) +
           (int64_t)REVISE_MAX * 2 * TIMEFRAME_MAX + c->process.tapes_max * windows;
}

/* An embedded lake's folder as an absolute path: the metadata holds it. */
static enum err_code folder_warehouse(struct distributed *d, const char *path, bool make,
                                      struct err *e)
{
    if (make) TRY(file_make_folders(path, e));
    /* Into an array it wants PATH_MAX, and aborts otherwise. */
    char *resolved = realpath(path, NULL);
    if (!resolved && !make)
        return ERR(e, ERR_NOT_FOUND,
                   "%s: there is no lake yet; `ticklake run` or `ticklake replay` makes one", path);
    bool fits = resolved && str_copy(d->warehouse, sizeof d->warehouse, str_of(resolved));
    free(resolved);
    if (!fits) return ERR(e, ERR_DISK, "%s: cannot be resolved, or its path is too long", path);
    return ERR_OK;
}

enum err_code distributed_lake(struct distributed *d, struct series_table *series, bool make,
                               struct lake_options *ret, struct err *e)
{
    const struct config *c = d->config;
    config_path(c, "catalog.db", d->catalog_path, sizeof d->catalog_path);
    config_path(c, "mirror", d->mirror, sizeof d->mirror);
    bool s3 = c->lake.warehouse && str_starts(str_of(c->lake.warehouse), "s3");
    if (s3) {
        if (!str_copy(d->warehouse, sizeof d->warehouse, str_of(c->lake.warehouse)))
            return ERR(e, ERR_CONFIG, "lake.warehouse: longer than %zu bytes",
                       sizeof d->warehouse - 1);
        TRY(file_make_folders(d->mirror, e));
    } else {
        char folder[PATH_LIMIT];
        config_path(c, "lake", folder, sizeof folder);
        TRY(folder_warehouse(d, c->lake.warehouse ? c->lake.warehouse : folder, make, e));
    }
    if (!make && !c->lake.catalog && !file_exists(d->catalog_path))
        return ERR(e, ERR_NOT_FOUND,
                   "%s: there is no lake yet; `ticklake run` or `ticklake replay` makes one",
                   c->data);
    *ret = (struct lake_options){
        .catalog_path = d->catalog_path,
        .warehouse = d->warehouse,
        .series = series,
        .snapshots_keep = (int32_t)c->lake.snapshots_keep,
        .metadata_keep = (int32_t)c->lake.metadata_keep,
        .grace_ns = c->lake.grace_minutes * NS_PER_MINUTE,
        .target_file_bytes = c->lake.target_file_mb << 20,
        .compact_files = (int32_t)c->lake.compact_files,
        .buffer_rows_max = buffer_rows_max(c),
        .catalog_url = config_lake_state(c),
        .rest = config_rest_catalog(c) ? &d->rest : NULL,
        .s3 = s3 ? &d->s3 : NULL,
        .mirror = d->mirror,
        .mirror_bytes = c->lake.mirror_mb << 20,
        .worker = d->worker,
    };
    return ERR_OK;
}

void distributed_move_name(const struct bus_options *bus, enum bus_topic t, int32_t partition,
                           char out[300])
{
    char topic[BUS_NAME_MAX];
    bus_topic_name(bus, t, topic);
    int n = snprintf(out, 300, "%s/%d", topic, partition);
    CHECK(n > 0 && n < 300);
}
