"""One lake with everything in it, read by PyIceberg, DuckDB and Spark: equal in every value of every table.

Exactly: decimals as decimals, times as microseconds. The lines that `ticklake connect` prints are run as they stand.
"""
import collections
import contextlib
import io
import os
import pathlib
import re
import shlex
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import conftest
from conftest import TABLES

SETTINGS = [a for s in ('lake.commit_rows=4000', 'source.batch_events=512', 'lake.compact=false') for a in ('--set', s)]
ROWS_FOR_PAGES = 40_000  # so many that they stand in several pages


@pytest.fixture(scope='module')
def lake(worse, recordings, new_ticklake):
    lake = new_ticklake('readers')
    lake.run('replay', worse.path, *SETTINGS)
    lake.run('replay', *(recordings / p for p in (
        'cryptofeed/BINANCE', 'cryptofeed/BINANCE_FUTURES', 'cryptofeed/COINBASE', 'cryptofeed/KRAKEN', 'tiingo',
        'binance-official-klines/usdm-ETHUSDT-1m')), *SETTINGS)
    lake.verify()
    return lake


@pytest.fixture(scope='module')
def by_pyiceberg(lake):
    return {t: rows_of_arrow(lake.table(t).scan().to_arrow()) for t in TABLES}


def in_order(rows):
    return sorted(rows, key=lambda row: [(v is not None, v) for v in row])


def rows_of_arrow(table):
    columns = [(c.cast(pa.int64()) if pa.types.is_timestamp(c.type) else c).to_pylist() for c in table.columns]
    return in_order(zip(*columns))


def columns_of(lake, table, micros):
    """The select list, with times as microseconds."""
    return ', '.join(f'{micros}({f.name})' if str(f.field_type) == 'timestamptz' else f.name
                     for f in lake.table(table).schema().fields)


def test_everything_is_in_it(lake, by_pyiceberg):
    for table in TABLES:
        assert by_pyiceberg[table], f'{table} is empty: the comparisons below would show nothing'
    assert len(lake.table('trades').metadata.snapshots) > 5
    candles = lake.rows('candles')
    assert any(c['revision'] > 0 for c in candles) and any(not c['complete'] for c in candles)
    assert any(f['delete'] for f in lake.json('files', 'candles', '--deletes')), 'no row was replaced by a position delete'
    assert {g['state'] for g in lake.rows('gaps')} >= {'open', 'repaired'}
    venues = {t['venue'] for t in lake.rows('trades', ('venue',))}
    assert venues == {'binance', 'binance_futures', 'coinbase', 'kraken', 'tiingo'}


@pytest.mark.parametrize('table, key', [('candles', ('venue', 'symbol', 'timeframe', 'open_time')), ('gaps', ('gap_id',)),
                                        ('venue_candles', ('venue', 'symbol', 'timeframe', 'open_time')),
                                        ('instruments', ('venue', 'symbol', 'venue_symbol')), ('trades', ('sequence',)),
                                        ('quotes', ('sequence',)), ('dead_letters', ('sequence',))])
def test_each_key_once(table, key, lake):
    counts = collections.Counter(tuple(r[k] for k in key) for r in lake.rows(table, key))
    assert [k for k, n in counts.items() if n > 1] == []
    assert lake.duckdb(f'select {", ".join(key)} from {{{table}}} group by all having count(*) > 1') == []


@pytest.mark.parametrize('table', TABLES)
def test_duckdb_reads_the_same(table, lake, by_pyiceberg):
    rows = lake.duckdb(f'select {columns_of(lake, table, "epoch_us")} from {{{table}}}')
    assert in_order(rows) == by_pyiceberg[table]


# --- Spark, as `connect spark` says ---

def printed_settings(lake):
    """The --conf pairs of the printed line, and the Python lines below it."""
    text = lake.run('connect', 'spark').stdout
    command, python = [], []
    for line in text.splitlines():
        if line.startswith('>>> '):
            python.append(line[4:])
        elif not line.startswith('#'):
            command.append(line.removesuffix('\\'))
    words = shlex.split(' '.join(command))
    assert words[0] == 'pyspark' and set(words[1::2]) == {'--conf'}
    return dict(w.split('=', 1) for w in words[2::2]), python


@pytest.fixture(scope='module')
def spark(lake):
    sql = pytest.importorskip('pyspark.sql')
    jars = os.environ.get('TICKLAKE_JARS')
    if not jars or not pathlib.Path(jars).is_dir():
        pytest.skip('no jars for Spark: set TICKLAKE_JARS, see scripts/setup')
    settings, python = printed_settings(lake)
    here = {'spark.driver.extraClassPath': f'{jars}/*', 'spark.driver.host': '127.0.0.1',
            'spark.driver.bindAddress': '127.0.0.1', 'spark.driver.memory': '1g', 'spark.ui.enabled': 'false',
            'spark.ui.showConsoleProgress': 'false', 'spark.sql.shuffle.partitions': '2',
            'spark.log.level': 'ERROR'}
    assert not set(here) & set(settings)
    builder = sql.SparkSession.builder.master('local[2]').appName('ticklake')
    for key, value in {**here, **settings}.items():
        builder = builder.config(key, value)
    session = builder.getOrCreate()
    yield session, python
    session.stop()


@pytest.mark.parametrize('table', TABLES)
def test_spark_reads_the_same(table, lake, by_pyiceberg, spark):
    data = spark[0].sql(f'select {columns_of(lake, table, "unix_micros")} from ticklake.market.{table}').collect()
    rows = [tuple(bytes(v) if isinstance(v, bytearray) else v for v in row) for row in data]
    assert in_order(rows) == by_pyiceberg[table]


def test_the_printed_lines_of_spark(lake, spark):
    session, python = spark
    assert python
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        for line in python:
            exec(line, {'spark': session})
    counts = collections.Counter(r['symbol'] for r in lake.rows('trades', ('symbol',)))
    shown = dict(re.findall(r'\|\s*([A-Z0-9-]+)\s*\|\s*(\d+)\s*\|', out.getvalue()))
    assert shown and all(counts[symbol] == int(count) for symbol, count in shown.items())


def test_the_printed_lines_of_pyiceberg(lake):
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(lake.run('connect', 'pyiceberg').stdout, {})
    assert 'timeframe' in out.getvalue()


def test_the_printed_lines_of_duckdb(lake):
    """With the extension of the Python package instead of the one from the internet."""
    lines = [line for line in lake.run('connect', 'duckdb').stdout.splitlines() if not line.startswith('--')]
    assert lines[0] == 'INSTALL iceberg; LOAD iceberg;'
    rows = conftest.duckdb_connection().execute('\n'.join(lines[1:])).fetchall()
    expected = {}
    for t in lake.rows('trades', ('symbol', 'size')):
        count, size = expected.get(t['symbol'], (0, Decimal(0)))
        expected[t['symbol']] = (count + 1, size + t['size'])
    assert {symbol: (count, Decimal(size)) for symbol, count, size in rows} == expected


def test_the_printed_lines_of_trino(lake):
    """No Trino here: that it names the table's place is all that is shown."""
    assert lake.table('trades').location() in lake.run('connect', 'trino').stdout


# --- what need not be read is not read ---

def test_bounds_prune_files(lake):
    table = lake.table('trades')
    everything = [t.file.file_path for t in table.scan().plan_files()]
    rows = lake.rows('trades', ('symbol', 'venue_time', 'sequence'))
    middle = sorted(r['venue_time'] for r in rows if r['symbol'] == 'BTC-USDT')[5000].isoformat()
    for condition, check in ((f"symbol == 'BTC-USDT' and venue_time < '{middle}'",
                              lambda r: r['symbol'] == 'BTC-USDT' and r['venue_time'].isoformat() < middle),
                             ("venue == 'coinbase'", None), ("symbol == 'ZZZ'", None)):
        scan = table.scan(row_filter=condition)
        files = [t.file.file_path for t in scan.plan_files()]
        assert len(files) < len(everything), condition
        if check:
            assert files and scan.to_arrow().num_rows == sum(map(check, rows))
    assert files == []  # a symbol past all bounds: no file at all


@pytest.fixture(scope='module')
def large_file(recordings, new_ticklake):
    lake = new_ticklake('pages')
    lake.run('replay', recordings / 'hftbacktest/binance-usdm')
    path = max(lake.json('files', 'quotes'), key=lambda f: f['rows'])
    assert path['rows'] > ROWS_FOR_PAGES
    return path['path']


def test_files_have_page_indexes_and_statistics(lake, large_file):
    for path in (large_file, *(lake.json('files', t)[0]['path'] for t in TABLES)):
        metadata = pq.read_metadata(path)
        for g in range(metadata.num_row_groups):
            assert metadata.row_group(g).sorting_columns or 'gaps' in path or 'instruments' in path or metadata.num_rows < 2
            for c in range(metadata.num_columns):
                column = metadata.row_group(g).column(c)
                assert column.has_offset_index and column.has_column_index and column.statistics is not None
                assert column.compression == 'ZSTD'


def test_the_page_index_prunes(large_file):
    """DataFusion tells how many rows it did not even unpack."""
    datafusion = pytest.importorskip('datafusion')
    context = datafusion.SessionContext()
    context.register_parquet('quotes', large_file)
    times = pq.read_table(large_file, columns=['received_time_ns'])['received_time_ns'].to_pylist()
    limit = sorted(times)[len(times) // 20]
    query = f'select count(*) from quotes where received_time_ns <= {limit}'
    assert context.sql(query).collect()[0].column(0)[0].as_py() == sum(t <= limit for t in times)
    plan = str(context.sql('explain analyze ' + query).collect()[0].to_pydict())
    told = re.search(r'page_index_rows_pruned=(\S+)', plan)
    assert told and not told.group(1).startswith('0'), plan
