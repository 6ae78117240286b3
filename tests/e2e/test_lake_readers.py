"""The lake that lake_make writes, read and written beside us by PyIceberg, DuckDB and Spark.

What must be there comes from the tool as text; every reader must give the same rows, revised candles once.
"""

import datetime
import decimal
import os
import pathlib
import subprocess

import pytest

from parquet_tools import find_tool

EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
MICROSECOND = datetime.timedelta(microseconds=1)
COMMITS = 30


@pytest.fixture(autouse=True, scope="module")
def exact_decimals():
    before = decimal.getcontext().prec
    decimal.getcontext().prec = 60
    yield
    decimal.getcontext().prec = before


@pytest.fixture(scope="module")
def tool():
    return find_tool("lake_make")


def make(tool, folder, commits):
    expected = folder / "expected.csv"
    subprocess.run([tool, folder, str(commits), expected], check=True)
    return read_expected(expected)


def number(text):
    return decimal.Decimal(text).scaleb(18).to_integral_exact()


def read_expected(path):
    trades, candles = set(), set()
    for line in path.read_text().splitlines():
        kind, *f = line.split(",")
        if kind == "trade":
            trades.add((int(f[0]), f[1], f[2], f[3] or None, number(f[4]), number(f[5]), int(f[6]) if f[6] else None))
        else:
            candles.add((f[0], f[1], f[2], int(f[3]) // 1000, number(f[4]), int(f[5])))
    return trades, candles


@pytest.fixture(scope="module")
def lake(tool, tmp_path_factory):
    folder = tmp_path_factory.mktemp("lake")
    return folder, *make(tool, folder, COMMITS)


TRADE = ["sequence", "venue", "symbol", "trade_id", "price", "size", "venue_time_ns"]
CANDLE = ["venue", "symbol", "timeframe", "open_time", "close", "revision"]


def plain(value):
    if isinstance(value, decimal.Decimal):
        return value.scaleb(18).to_integral_exact()
    if isinstance(value, datetime.datetime):
        return (value.astimezone(datetime.timezone.utc) - EPOCH) // MICROSECOND
    return value


def same(rows, expected):
    """Each row once, and no other."""
    rows = [tuple(plain(v) for v in row) for row in rows]
    assert len(rows) == len(expected)
    assert set(rows) == expected


# ---- PyIceberg


def catalog(folder):
    pyiceberg = pytest.importorskip("pyiceberg.catalog")
    return pyiceberg.load_catalog(
        "ticklake", type="sql", uri=f"sqlite:///{folder}/catalog.db", warehouse=f"file://{folder}/lake"
    )


def by_pyiceberg(folder, table, columns, **scan):
    arrow = catalog(folder).load_table(f"market.{table}").scan(selected_fields=tuple(columns), **scan).to_arrow()
    return list(zip(*(arrow.column(c).to_pylist() for c in columns)))


def test_pyiceberg_reads_equal_rows(lake):
    folder, trades, candles = lake
    same(by_pyiceberg(folder, "trades", TRADE), trades)
    same(by_pyiceberg(folder, "candles", CANDLE), candles)
    gaps = by_pyiceberg(folder, "gaps", ["gap_id", "rows_recovered"])
    assert sorted(gaps) == [(i, 2 * i + 1) for i in range(COMMITS // 2)]


def test_pyiceberg_sees_all_tables(lake):
    names = {name for _, name in catalog(lake[0]).list_tables("market")}
    assert names == {"trades", "quotes", "candles", "venue_candles", "gaps", "instruments", "dead_letters"}


def test_bounds_prune(lake):
    folder, trades, _ = lake
    table = catalog(folder).load_table("market.trades")
    some = table.scan(row_filter="venue_time >= '2023-11-15T12:00:00+00:00' and venue_time < '2023-11-15T13:00:00+00:00'")
    none = table.scan(row_filter="symbol == 'ZZZ'")
    every = len(list(table.scan().plan_files()))
    assert 0 < len(list(some.plan_files())) < every
    assert len(list(none.plan_files())) == 0
    low = 1700049600 * 10**9
    assert some.to_arrow().num_rows == sum(1 for t in trades if t[6] and low <= t[6] < low + 3600 * 10**9)


def test_snapshots_carry_commit_and_position(lake):
    table = catalog(lake[0]).load_table("market.trades")
    assert len(table.metadata.snapshots) <= 10
    summary = table.current_snapshot().summary
    assert int(summary["ticklake.position"]) == COMMITS * 40
    assert summary["ticklake.commit"]
    assert int(summary["total-records"]) == COMMITS * 40


# ---- DuckDB


@pytest.fixture(scope="module")
def duck():
    duckdb = pytest.importorskip("duckdb")
    packages = pathlib.Path(duckdb.__file__).resolve().parents[1]
    connection = duckdb.connect()
    connection.execute("set autoinstall_known_extensions = false; set timezone = 'UTC'")
    for name in ("avro", "httpfs", "iceberg"):
        found = list((packages / f"duckdb_extension_{name}").rglob(f"{name}.duckdb_extension"))
        if not found:
            pytest.skip(f"skipped: no duckdb_extension_{name}")
        connection.execute(f"load '{found[0]}'")
    return connection


def by_duckdb(duck, folder, table, columns):
    return duck.execute(f"select {', '.join(columns)} from iceberg_scan('{folder}/lake/market/{table}')").fetchall()


def test_duckdb_reads_equal_rows_by_folder(lake, duck):
    folder, trades, candles = lake
    same(by_duckdb(duck, folder, "trades", TRADE), trades)
    same(by_duckdb(duck, folder, "candles", CANDLE), candles)


# ---- Spark


@pytest.fixture(scope="module")
def spark_of():
    sql = pytest.importorskip("pyspark.sql")
    jars = os.environ.get("TICKLAKE_JARS")
    if not jars or not pathlib.Path(jars).is_dir():
        pytest.skip("skipped: no Spark jars (scripts/setup test)")
    sessions = []

    def start(folder):
        cat = "spark.sql.catalog.ticklake"
        builder = sql.SparkSession.builder.master("local[1]").appName("ticklake-test")
        for key, value in {
            "spark.driver.extraClassPath": f"{jars}/*",
            "spark.driver.host": "127.0.0.1",
            "spark.driver.bindAddress": "127.0.0.1",
            "spark.driver.memory": "768m",
            "spark.ui.enabled": "false",
            "spark.ui.showConsoleProgress": "false",
            "spark.sql.session.timeZone": "UTC",
            "spark.sql.shuffle.partitions": "2",
            "spark.sql.extensions": "org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions",
            cat: "org.apache.iceberg.spark.SparkCatalog",
            f"{cat}.type": "jdbc",
            f"{cat}.cache-enabled": "false",  # else Spark does not look for what others commit
            f"{cat}.uri": f"jdbc:sqlite:{folder}/catalog.db",
            f"{cat}.jdbc.schema-version": "V1",
            f"{cat}.warehouse": f"file://{folder}/lake",
        }.items():
            builder = builder.config(key, value)
        sessions.append(builder.getOrCreate())
        return sessions[-1]

    yield start
    for session in sessions:
        session.stop()


def by_spark(session, table, columns):
    return [tuple(row) for row in session.sql(f"select {', '.join(columns)} from ticklake.market.{table}").collect()]


CANDLE_SPARK = [c if c != "open_time" else "unix_micros(open_time)" for c in CANDLE]


def test_spark_reads_equal_rows_and_writes_beside_us(tool, tmp_path_factory, spark_of):
    folder = tmp_path_factory.mktemp("spark")
    trades, candles = make(tool, folder, COMMITS)
    spark = spark_of(folder)
    same(by_spark(spark, "trades", TRADE), trades)
    same(by_spark(spark, "candles", CANDLE_SPARK), candles)
    # Spark rewrites, deletes by position and appends; we go on, and neither loses a row.
    spark.sql("call ticklake.system.rewrite_data_files(table => 'market.candles', options => map('min-input-files', '2'))")
    spark.sql("delete from ticklake.market.trades where sequence = 7")
    spark.sql("insert into ticklake.market.trades select * from ticklake.market.trades where sequence = 8")
    trades, candles = make(tool, folder, 5)
    rows = by_spark(spark, "trades", TRADE)
    eighth = [row for row in rows if row[0] == 8]
    assert len(eighth) == 2 and not [row for row in rows if row[0] == 7]
    same([row for row in rows if row[0] != 8] + eighth[:1], {t for t in trades if t[0] != 7})
    same(by_spark(spark, "candles", CANDLE_SPARK), candles)
    same(by_pyiceberg(folder, "candles", CANDLE), candles)


# ---- PyIceberg writes beside us


def foreign_row(table, sequence):
    pa = pytest.importorskip("pyarrow")
    arrow = table.scan(limit=1).to_arrow()
    at = arrow.schema.get_field_index("sequence")
    return arrow.set_column(at, arrow.schema.field(at), pa.array([sequence], pa.int64()))


def append_until_done(folder, sequence):
    from pyiceberg.exceptions import CommitFailedException, ValidationException

    while True:
        table = catalog(folder).load_table("market.trades")
        try:
            table.append(foreign_row(table, sequence))
            return
        except (CommitFailedException, ValidationException):
            continue  # lost the race, or its snapshot was trimmed meanwhile: with a fresh look again


def test_pyiceberg_appends_beside_us_and_neither_loses_a_row(tool, tmp_path):
    pytest.importorskip("pyiceberg_core", reason="skipped: PyIceberg writes partitions only with pyiceberg-core")
    make(tool, tmp_path, 5)
    writer = subprocess.Popen([tool, tmp_path, "60", tmp_path / "expected.csv"])
    appended = []
    while writer.poll() is None or len(appended) < 3:
        appended.append(1_000_000 + len(appended))
        append_until_done(tmp_path, appended[-1])
    assert writer.returncode == 0
    trades, candles = make(tool, tmp_path, 20)
    rows = by_pyiceberg(tmp_path, "trades", TRADE)
    assert sorted(row[0] for row in rows if row[0] >= 1_000_000) == appended
    same([row for row in rows if row[0] < 1_000_000], trades)
    same(by_pyiceberg(tmp_path, "candles", CANDLE), candles)
