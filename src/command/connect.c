/* connect: working lines that open this lake elsewhere. */
#include "command/local.h"

#include <stdlib.h>

static const struct option no_options[] = {{NULL, NULL, NULL}};

struct place {
    const struct config *config;
    char catalog[1100], warehouse[1024], user[128];
    char postgres[LOCAL_ADDRESS_MAX]; /* "" where the catalog is catalog.db */
    bool s3, rest;                    /* rest: the catalog is an Iceberg REST server */
    char region[64], rest_region[64];
    struct lake_table_info trades;
};

/* Without the scheme: "host:port". */
static const char *bare_endpoint(const struct place *p)
{
    const char *at = p->config->s3.endpoint ? strstr(p->config->s3.endpoint, "://") : NULL;
    return at ? at + 3 : p->config->s3.endpoint;
}

static bool path_style(const struct place *p)
{
    return p->config->s3.endpoint && p->config->s3.addressing == 0;
}

/* What stands before the lines: secrets are never printed, and never in a process list. */
static void secrets(const struct place *p, const char *comment, const char *database,
                    struct buf *out)
{
    if (p->s3)
        buf_addf(out, "%s S3 credentials: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY\n", comment);
    if (*p->postgres && *database)
        buf_addf(out, "%s the password of %s: %s\n", comment, p->user, database);
    const struct config *c = p->config;
    if (p->rest && c->lake.rest_signing_name)
        buf_addf(out, "%s AWS credentials of the catalog: as AWS's tools find them\n", comment);
    else if (p->rest)
        buf_addf(out, "%s the catalog's bearer token: TICKLAKE_LAKE__REST_TOKEN\n", comment);
}

static void trino_s3(const struct place *p, struct buf *out)
{
    if (p->s3)
        buf_addf(out,
                 "fs.native-s3.enabled=true\ns3.region=%s\n"
                 "s3.aws-access-key=${ENV:AWS_ACCESS_KEY_ID}\n"
                 "s3.aws-secret-key=${ENV:AWS_SECRET_ACCESS_KEY}\n",
                 p->region);
    if (p->s3 && p->config->s3.endpoint)
        buf_addf(out, "s3.endpoint=%s\ns3.path-style-access=%s\n", p->config->s3.endpoint,
                 path_style(p) ? "true" : "false");
}

static void pyiceberg_rest(const struct place *p, struct buf *out)
{
    const struct config *c = p->config;
    buf_add_cstr(out, "# pip install 'pyiceberg[pyarrow]'\n");
    secrets(p, "#", "", out);
    buf_addf(out,
             "import os\nfrom pyiceberg.catalog import load_catalog\n"
             "catalog = load_catalog('ticklake', **{'type': 'rest', 'uri': '%s'",
             c->lake.catalog);
    if (c->lake.rest_warehouse) buf_addf(out, ",\n    'warehouse': '%s'", c->lake.rest_warehouse);
    if (c->lake.rest_signing_name)
        buf_addf(out,
                 ",\n    'rest.sigv4-enabled': 'true', 'rest.signing-name': '%s', "
                 "'rest.signing-region': '%s'",
                 c->lake.rest_signing_name, p->rest_region);
    else
        buf_add_cstr(out, ",\n    'token': os.environ.get('TICKLAKE_LAKE__REST_TOKEN', '')");
    if (p->s3) buf_addf(out, ",\n    's3.region': '%s'", p->region);
    if (p->s3 && c->s3.endpoint) buf_addf(out, ", 's3.endpoint': '%s'", c->s3.endpoint);
    if (p->s3 && !path_style(p)) buf_add_cstr(out, ", 's3.force-virtual-addressing': 'true'");
    buf_add_cstr(out, "})\nprint(catalog.load_table('market.candles').scan().to_arrow())\n");
}

static void spark_rest(const struct place *p, struct buf *out)
{
    const struct config *c = p->config;
    static const char conf[] = "  --conf spark.sql.catalog.ticklake";
    if (!c->lake.rest_signing_name) /* on the command line it would stand in the process list */
        buf_add_cstr(out,
                     "# token: spark.sql.catalog.ticklake.token in conf/spark-defaults.conf\n");
    buf_addf(out, "# PySpark 4.1 with iceberg-spark-runtime-4.1_2.13%s on the class path\n",
             p->s3 || c->lake.rest_signing_name ? " and iceberg-aws-bundle" : "");
    secrets(p, "#", "", out);
    buf_addf(out,
             "pyspark --conf spark.sql.extensions=org.apache.iceberg.spark.extensions."
             "IcebergSparkSessionExtensions \\\n"
             "%s=org.apache.iceberg.spark.SparkCatalog \\\n%s.type=rest \\\n%s.uri=%s \\\n",
             conf, conf, conf, c->lake.catalog);
    if (c->lake.rest_warehouse) buf_addf(out, "%s.warehouse=%s \\\n", conf, c->lake.rest_warehouse);
    if (c->lake.rest_signing_name)
        buf_addf(out,
                 "%s.rest.sigv4-enabled=true %s.rest.signing-name=%s %s.rest.signing-region=%s "
                 "\\\n",
                 conf, conf + 2, c->lake.rest_signing_name, conf + 2, p->rest_region);
    if (p->s3)
        buf_addf(out, "%s.io-impl=org.apache.iceberg.aws.s3.S3FileIO %s.client.region=%s \\\n",
                 conf, conf + 2, p->region);
    if (p->s3 && c->s3.endpoint)
        buf_addf(out, "%s.s3.endpoint=%s %s.s3.path-style-access=%s \\\n", conf, c->s3.endpoint,
                 conf + 2, path_style(p) ? "true" : "false");
    buf_add_cstr(out,
                 "  --conf spark.sql.session.timeZone=UTC\n"
                 ">>> spark.table('ticklake.market.trades').groupBy('symbol').count().show()\n");
}

static void trino_rest(const struct place *p, struct buf *out)
{
    const struct config *c = p->config;
    buf_add_cstr(out,
                 "# etc/catalog/ticklake.properties; then SELECT * FROM ticklake.market.trades\n");
    secrets(p, "#", "", out);
    buf_addf(out,
             "connector.name=iceberg\niceberg.catalog.type=rest\niceberg.rest-catalog.uri=%s\n",
             c->lake.catalog);
    if (c->lake.rest_warehouse)
        buf_addf(out, "iceberg.rest-catalog.warehouse=%s\n", c->lake.rest_warehouse);
    if (c->lake.rest_signing_name)
        buf_addf(out, "iceberg.rest-catalog.security=SIGV4\niceberg.rest-catalog.signing-name=%s\n",
                 c->lake.rest_signing_name);
    else
        buf_add_cstr(out, "iceberg.rest-catalog.security=OAUTH2\n"
                          "iceberg.rest-catalog.oauth2.token=${ENV:TICKLAKE_LAKE__REST_TOKEN}\n");
    trino_s3(p, out);
}

static void duckdb(const struct place *p, struct buf *out)
{
    if (!p->s3) {
        buf_addf(
            out,
            "-- duckdb, with its iceberg extension; the folder is read at its newest commit\n"
            "INSTALL iceberg; LOAD iceberg;\n"
            "SELECT symbol, count(*), sum(size) FROM iceberg_scan('%s/market/trades') GROUP BY "
            "ALL;\n",
            p->warehouse);
        return;
    }
    buf_add_cstr(out, "-- duckdb, with its extensions iceberg and httpfs; the commit of just now: "
                      "ask again for a newer one\n");
    secrets(p, "--", "", out);
    buf_addf(out,
             "INSTALL iceberg; LOAD iceberg; INSTALL httpfs; LOAD httpfs;\n"
             "SET s3_region='%s';\n",
             p->region);
    if (p->config->s3.endpoint)
        buf_addf(out, "SET s3_endpoint='%s'; SET s3_use_ssl=%s; SET s3_url_style='%s';\n",
                 bare_endpoint(p),
                 str_starts(str_of(p->config->s3.endpoint), "https") ? "true" : "false",
                 path_style(p) ? "path" : "vhost");
    buf_addf(out, "SELECT symbol, count(*), sum(size) FROM iceberg_scan('%s') GROUP BY ALL;\n",
             p->trades.metadata_location);
}

static void pyiceberg(const struct place *p, struct buf *out)
{
    bool postgres = *p->postgres != 0;
    if (p->rest) {
        pyiceberg_rest(p, out);
        return;
    }
    buf_addf(out, "# pip install 'pyiceberg[%s,pyarrow]'\n",
             postgres ? "sql-postgres" : "sql-sqlite");
    secrets(p, "#", "PGPASSWORD or ~/.pgpass", out);
    buf_add_cstr(out, "from pyiceberg.catalog import load_catalog\n");
    if (postgres)
        buf_addf(out,
                 "catalog = load_catalog('ticklake', type='sql', init_catalog_tables='false',\n"
                 "    uri='postgresql+psycopg2://%s@%s?options=-csearch_path%%3Dticklake',\n"
                 "    warehouse='%s%s'",
                 p->user, p->postgres, p->s3 ? "" : "file://", p->warehouse);
    else
        buf_addf(out,
                 "catalog = load_catalog('ticklake', type='sql', uri='sqlite:///%s',\n"
                 "                       warehouse='%s%s', init_catalog_tables='false'",
                 p->catalog, p->s3 ? "" : "file://", p->warehouse);
    if (p->s3) buf_addf(out, ",\n    **{'s3.region': '%s'", p->region);
    if (p->s3 && p->config->s3.endpoint)
        buf_addf(out, ", 's3.endpoint': '%s'", p->config->s3.endpoint);
    if (p->s3 && !path_style(p)) buf_add_cstr(out, ", 's3.force-virtual-addressing': 'true'");
    buf_addf(out, "%s)\nprint(catalog.load_table('market.candles').scan().to_arrow())\n",
             p->s3 ? "}" : "");
}

static void spark(const struct place *p, struct buf *out)
{
    bool postgres = *p->postgres != 0;
    if (p->rest) {
        spark_rest(p, out);
        return;
    }
    buf_addf(out, "# PySpark 4.1 with iceberg-spark-runtime-4.1_2.13%s and %s on the class path\n",
             p->s3 ? ", iceberg-aws-bundle" : "", postgres ? "postgresql" : "sqlite-jdbc");
    secrets(p, "#", "~/.pgpass", out);
    buf_add_cstr(out,
                 "pyspark --conf spark.sql.extensions=org.apache.iceberg.spark.extensions."
                 "IcebergSparkSessionExtensions \\\n"
                 "  --conf spark.sql.catalog.ticklake=org.apache.iceberg.spark.SparkCatalog \\\n"
                 "  --conf spark.sql.catalog.ticklake.type=jdbc \\\n");
    if (postgres)
        buf_addf(out,
                 "  --conf 'spark.sql.catalog.ticklake.uri=jdbc:postgresql://%s?currentSchema="
                 "ticklake&user=%s' \\\n",
                 p->postgres, p->user);
    else
        buf_addf(out, "  --conf spark.sql.catalog.ticklake.uri=jdbc:sqlite:%s \\\n", p->catalog);
    buf_addf(out, "  --conf spark.sql.catalog.ticklake.warehouse=%s%s \\\n", p->s3 ? "" : "file://",
             p->warehouse);
    if (p->s3)
        buf_addf(out,
                 "  --conf spark.sql.catalog.ticklake.io-impl=org.apache.iceberg.aws.s3.S3FileIO "
                 "\\\n"
                 "  --conf spark.sql.catalog.ticklake.client.region=%s \\\n",
                 p->region);
    if (p->s3 && p->config->s3.endpoint)
        buf_addf(out,
                 "  --conf spark.sql.catalog.ticklake.s3.endpoint=%s \\\n"
                 "  --conf spark.sql.catalog.ticklake.s3.path-style-access=%s \\\n",
                 p->config->s3.endpoint, path_style(p) ? "true" : "false");
    buf_add_cstr(out,
                 "  --conf spark.sql.catalog.ticklake.jdbc.schema-version=V1 \\\n"
                 "  --conf spark.sql.catalog.ticklake.jdbc.init-catalog-tables=false \\\n"
                 "  --conf spark.sql.session.timeZone=UTC\n"
                 ">>> spark.table('ticklake.market.trades').groupBy('symbol').count().show()\n");
}

static void trino(const struct place *p, struct buf *out)
{
    if (p->rest) {
        trino_rest(p, out);
        return;
    }
    if (!*p->postgres) {
        buf_addf(
            out,
            "-- Trino's JDBC catalog has no SQLite driver: register the table in any catalog of "
            "yours instead\n"
            "CALL iceberg.system.register_table(schema_name => 'market', table_name => 'trades',\n"
            "  table_location => '%s');\n",
            p->trades.location);
        return;
    }
    buf_add_cstr(out,
                 "# etc/catalog/ticklake.properties; then SELECT * FROM ticklake.market.trades\n");
    secrets(p, "#", "PGPASSWORD", out);
    buf_addf(out,
             "connector.name=iceberg\n"
             "iceberg.catalog.type=jdbc\n"
             "iceberg.jdbc-catalog.driver-class=org.postgresql.Driver\n"
             "iceberg.jdbc-catalog.connection-url=jdbc:postgresql://%s?currentSchema=ticklake\n"
             "iceberg.jdbc-catalog.connection-user=%s\n"
             "iceberg.jdbc-catalog.connection-password=${ENV:PGPASSWORD}\n"
             "iceberg.jdbc-catalog.catalog-name=ticklake\n"
             "iceberg.jdbc-catalog.schema-version=V1\n"
             "iceberg.jdbc-catalog.default-warehouse-dir=%s%s\n",
             p->postgres, p->user, p->s3 ? "" : "file://", p->warehouse);
    trino_s3(p, out);
}

static const struct {
    const char *name;
    void (*print)(const struct place *p, struct buf *out);
} engines[] = {{"duckdb", duckdb}, {"pyiceberg", pyiceberg}, {"spark", spark}, {"trino", trino}};

static void print_lines(const struct invocation *inv, struct buf *lines)
{
    if (inv->json) {
        struct buf out;
        buf_init(&out, 1 << 17);
        buf_addf(&out, "{\"engine\":\"%s\",\"lines\":", inv->arguments[0]);
        buf_add_json(&out, buf_str(lines));
        buf_add_cstr(&out, "}\n");
        buf_free(lines);
        *lines = out;
    }
    print_out(lines);
}

/* The lake must be there, and its newest metadata is what duckdb is given. */
static enum err_code find_place(struct invocation *inv, struct place *p, struct err *e)
{
    struct local local;
    const struct config *c = inv->config;
    TRY(local_open(c, false, true, &local, e));
    *p = (struct place){.config = c};
    str_copy(p->warehouse, sizeof p->warehouse, str_of(local.parts.warehouse));
    p->s3 = str_starts(str_of(p->warehouse), "s3");
    if (p->s3) {
        struct aws *aws = aws_new(&local.parts.s3.aws);
        str_copy(p->region, sizeof p->region, str_of(aws_region(aws)));
        aws_free(aws);
    }
    p->rest = config_rest_catalog(c);
    if (p->rest) {
        struct aws *aws = aws_new(&local.parts.rest.aws);
        str_copy(p->rest_region, sizeof p->rest_region, str_of(aws_region(aws)));
        aws_free(aws);
    } else if (c->lake.catalog) {
        local_postgres_address(c->lake.catalog, p->postgres);
        local_postgres_user(c->lake.catalog, p->user, sizeof p->user);
    }
    char *path = realpath(local.parts.catalog_path, NULL);
    str_copy(p->catalog, sizeof p->catalog, str_of(path ? path : local.parts.catalog_path));
    free(path);
    enum err_code code = lake_table_info(local.lake, TABLE_TRADES, &p->trades, e);
    local_close(&local);
    return code;
}

static int connect_to(struct invocation *inv)
{
    struct err e = {0};
    struct place p;
    const char *name = inv->arguments[0];
    size_t at = 0, count = sizeof engines / sizeof engines[0];
    while (at < count && !str_is(str_of(name), engines[at].name)) at++;
    enum err_code code = ERR_OK;
    if (at == count)
        code = ERR(&e, ERR_USAGE, "\"%s\": expected duckdb, pyiceberg, spark or trino", name);
    if (code == ERR_OK) code = find_place(inv, &p, &e);
    if (code != ERR_OK) return command_fail(inv, &e);
    struct buf out;
    buf_init(&out, 1 << 16);
    engines[at].print(&p, &out);
    print_lines(inv, &out);
    return 0;
}

const struct command command_connect = {
    .name = "connect",
    .brief = "lines that open this lake in duckdb, pyiceberg, spark or trino",
    .summary = "Prints working lines that open this lake in duckdb, pyiceberg, spark or trino.",
    .arguments = "duckdb|pyiceberg|spark|trino",
    .example = "  ticklake connect duckdb --data ./data\n  ticklake connect pyiceberg --data "
               "./data > look.py",
    .options = no_options,
    .arguments_least = 1,
    .arguments_most = 1,
    .needs_config = true,
    .run = connect_to,
};
