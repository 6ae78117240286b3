/* connect: working lines that open this lake elsewhere. */
#include "command/local.h"

static const struct option no_options[] = {{NULL, NULL, NULL}};

struct place {
    char catalog[1100], warehouse[1024];
    struct lake_table_info trades;
};

static void duckdb(const struct place *p, struct buf *out)
{
    buf_addf(
        out,
        "-- duckdb, with its iceberg extension; the folder is read at its newest commit\n"
        "INSTALL iceberg; LOAD iceberg;\n"
        "SELECT symbol, count(*), sum(size) FROM iceberg_scan('%s/market/trades') GROUP BY ALL;\n",
        p->warehouse);
}

static void pyiceberg(const struct place *p, struct buf *out)
{
    buf_addf(out,
             "# pip install 'pyiceberg[sql-sqlite,pyarrow]'\n"
             "from pyiceberg.catalog import load_catalog\n"
             "catalog = load_catalog('ticklake', type='sql', uri='sqlite:///%s',\n"
             "                       warehouse='file://%s', init_catalog_tables='false')\n"
             "print(catalog.load_table('market.candles').scan().to_arrow())\n",
             p->catalog, p->warehouse);
}

static void spark(const struct place *p, struct buf *out)
{
    buf_addf(out,
             "# PySpark 4.1 with iceberg-spark-runtime-4.1_2.13 and sqlite-jdbc on the class path\n"
             "pyspark --conf spark.sql.extensions=org.apache.iceberg.spark.extensions."
             "IcebergSparkSessionExtensions \\\n"
             "  --conf spark.sql.catalog.ticklake=org.apache.iceberg.spark.SparkCatalog \\\n"
             "  --conf spark.sql.catalog.ticklake.type=jdbc \\\n"
             "  --conf spark.sql.catalog.ticklake.uri=jdbc:sqlite:%s \\\n"
             "  --conf spark.sql.catalog.ticklake.warehouse=file://%s \\\n"
             "  --conf spark.sql.catalog.ticklake.jdbc.schema-version=V1 \\\n"
             "  --conf spark.sql.session.timeZone=UTC\n"
             ">>> spark.table('ticklake.market.trades').groupBy('symbol').count().show()\n",
             p->catalog, p->warehouse);
}

static void trino(const struct place *p, struct buf *out)
{
    buf_addf(out,
             "-- Trino's JDBC catalog has no SQLite driver: register the table in any catalog of "
             "yours instead\n"
             "CALL iceberg.system.register_table(schema_name => 'market', table_name => 'trades',\n"
             "  table_location => '%s');\n",
             p->trades.location);
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

static int connect_to(struct invocation *inv)
{
    struct err e = {0};
    struct local local;
    struct place p;
    const char *name = inv->arguments[0];
    size_t at = 0, count = sizeof engines / sizeof engines[0];
    while (at < count && !str_is(str_of(name), engines[at].name)) at++;
    enum err_code code = ERR_OK;
    if (at == count)
        code = ERR(&e, ERR_USAGE, "\"%s\": expected duckdb, pyiceberg, spark or trino", name);
    if (code == ERR_OK) code = local_open(inv->config, false, true, &local, &e);
    if (code != ERR_OK) return command_fail(inv, &e);
    str_copy(p.warehouse, sizeof p.warehouse, str_of(local.parts.warehouse));
    /* The catalog lies beside the warehouse, whose path is absolute. */
    struct buf out;
    buf_init(&out, 1 << 16);
    size_t n = strlen(p.warehouse) - strlen("lake");
    str_copy(p.catalog, sizeof p.catalog, (struct str){p.warehouse, n});
    memcpy(p.catalog + n, "catalog.db", sizeof "catalog.db");
    code = lake_table_info(local.lake, TABLE_TRADES, &p.trades, &e);
    if (code == ERR_OK) engines[at].print(&p, &out);
    local_close(&local);
    if (code == ERR_OK)
        print_lines(inv, &out);
    else
        buf_free(&out);
    return code == ERR_OK ? 0 : command_fail(inv, &e);
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
