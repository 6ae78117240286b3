/* distributed.h - settings as the options of the stages' outside parts: database, bus, registry, object store, catalog.
 *
 * Ownership  the options point into the config and into `struct distributed`, which must outlive them.
 */
#ifndef TICKLAKE_RUN_DISTRIBUTED_H
#define TICKLAKE_RUN_DISTRIBUTED_H

#include "bus/bus.h"
#include "config/config.h"
#include "lake/lake.h"
#include "store/changes.h"
#include "store/store.h"

enum { PROPERTIES_MAX = 256 };

struct distributed {
    const struct config *config;
    struct registry *registry; /* NULL where none is configured */
    struct bus_property properties[PROPERTIES_MAX];
    char *property_texts[PROPERTIES_MAX];
    size_t property_count;
    struct s3_options s3;
    struct lake_rest_options rest;
    char store_path[1024], catalog_path[1024], warehouse[1024], mirror[1024], worker[128];
};

/* ERR_CONFIG where a bus property is no NAME=VALUE. Touches nothing outside. */
enum err_code distributed_open(struct distributed *d, const struct config *c,
                               struct err *e) MUST_USE;
void distributed_close(struct distributed *d);

bool distributed_has_bus(const struct config *c);
struct store_options distributed_store(const struct distributed *d, struct series_table *series);
struct bus_options distributed_bus(const struct distributed *d, struct series_table *series);
/* make: the folders of an embedded lake are made; else ERR_NOT_FOUND where there is none. */
enum err_code distributed_lake(struct distributed *d, struct series_table *series, bool make,
                               struct lake_options *ret, struct err *e) MUST_USE;
/* Name of a partition's position in the lake's catalog: "market.trades/3". */
void distributed_move_name(const struct bus_options *bus, enum bus_topic t, int32_t partition,
                           char out[300]);

#endif
