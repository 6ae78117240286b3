"""Venues to lake over PostgreSQL, Kafka and S3: the same rows as embedded, read back by other people's readers."""
import gzip
import json
import pathlib
import subprocess
import sys
import urllib.parse
from decimal import Decimal

import pytest

import independent
import test_replay
from conftest import LEFT_OUT, SAMPLES, TABLES, Ticklake, duckdb_connection
from distributed import Deployment, running_stack  # noqa: F401  (a fixture)

# The order inside one store is the store's own: a sequence in SQLite, an offset in a topic. When a row was written differs from run to
# run. Nothing else may: not the revisions of candles, not what the ledger counts.
DISTRIBUTED_LEFT_OUT = {**LEFT_OUT, 'instruments': {'updated_at'}, **{name: {'sequence'} for name in ('trades', 'quotes', 'dead_letters')}}


@pytest.fixture(scope='module')
def new_deployment(tmp_path_factory, running_stack):  # noqa: F811
    made = []

    def make(name, **kw):
        made.append(Deployment(tmp_path_factory.mktemp(name), running_stack, **kw))
        return made[-1]

    yield make
    for d in made:
        d.close()


@pytest.fixture
def deployment(new_deployment):
    return new_deployment('deployment')


def without_left_out(rows):
    for name, left_out in DISTRIBUTED_LEFT_OUT.items():
        rows[name] = rows[name].drop_columns([c for c in left_out if c in rows[name].column_names])
        rows[name] = rows[name].sort_by([(c, 'ascending') for c in rows[name].column_names]).combine_chunks()
    return rows


def embedded(folder, *replays):
    lake = Ticklake(folder)
    for paths in replays:
        lake.run('replay', paths)
    lake.verify()
    return without_left_out(lake.everything())


def assert_same(ours, expected):
    for name in TABLES:
        assert ours[name].column_names == expected[name].column_names
        assert ours[name].num_rows == expected[name].num_rows, f'{name}: number of rows'
        if not ours[name].equals(expected[name]):
            one, two = ours[name].to_pylist(), expected[name].to_pylist()
            raise AssertionError(f'{name}: ' + '\n'.join(f'{a}\n{b}' for a, b in [p for p in zip(one, two) if p[0] != p[1]][:3]))


def test_the_samples_give_the_same_lake_as_embedded(tmp_path, deployment):
    """In two halves, and all of it on the bus before a worker runs: what an input's end closes, it closes at its place."""
    lines, halves = gzip.open(SAMPLES / 'binance/btcusdt_20240808.gz').readlines(), []
    for n, half in enumerate((lines[:len(lines) // 2], lines[len(lines) // 2:])):
        halves.append(tmp_path / f'btcusdt_{n}.gz')
        halves[-1].write_bytes(gzip.compress(b''.join(half)))
    paths = [*halves, SAMPLES / 'tiingo']
    for path in paths:
        deployment.run('replay', path)
    deployment.start('bus')
    deployment.start('process,lake')
    told = deployment.settle()
    expected = embedded(tmp_path / 'embedded', *paths)
    assert told['trades'] == expected['trades'].num_rows > 2000
    assert_same(deployment.everything(DISTRIBUTED_LEFT_OUT), expected)


PATHS = sorted({p for paths, _, _ in test_replay.CASES.values() for p in paths})


@pytest.fixture(scope='module')
def replayed(new_deployment, recordings):
    """The recordings, one replay after the other, while publisher and two workers run."""
    d = new_deployment('replayed')
    d.start('bus')
    d.start('process,lake')
    d.start('process,lake')
    for path in PATHS:
        d.run('replay', recordings / path)
    d.settle()
    return d


def test_the_recordings_give_the_same_lake_as_embedded(tmp_path, replayed, recordings):
    expected = embedded(tmp_path / 'embedded', *(recordings / p for p in PATHS))
    assert_same(replayed.everything(DISTRIBUTED_LEFT_OUT), expected)


@pytest.fixture(scope='module')
def expected_sums(recordings):
    """What an independent reader of the recordings counts and sums."""
    return independent.summary(row for _, _, reader in test_replay.CASES.values() for row in reader(recordings))


def sums(rows):
    return independent.summary((v, s, t, None, None, Decimal(p), Decimal(z), ns) for v, s, t, p, z, ns in rows)


COLUMNS = ('venue', 'symbol', 'stream', 'price', 'size', 'venue_time_ns')


def test_sums_by_pyiceberg(replayed, expected_sums):
    assert sums([tuple(r[c] for c in COLUMNS) for r in replayed.rows('trades', COLUMNS)]) == expected_sums


def test_sums_by_duckdb(replayed, expected_sums):
    con, env = duckdb_connection(), replayed.base
    con.execute(f"create secret (type s3, key_id '{env['TICKLAKE_S3__ACCESS_KEY']}', secret '{env['TICKLAKE_S3__SECRET_KEY']}', "
                f"region '{env['TICKLAKE_S3__REGION']}', endpoint '{env['TICKLAKE_S3__ENDPOINT'].split('//')[1]}', url_style 'path', use_ssl false)")
    rows = con.execute(f"select {', '.join(COLUMNS)} from iceberg_scan('{replayed.table('trades').metadata_location}')").fetchall()
    assert sums(rows) == expected_sums
    counted = con.execute(f"select count(*) from iceberg_scan('{replayed.table('candles').metadata_location}')").fetchone()[0]
    assert counted == replayed.count('candles')


SPARK = """
import json, os, sys
from pyspark.sql import SparkSession
env, cat = os.environ, 'spark.sql.catalog.ticklake'
builder = SparkSession.builder.master('local[1]').appName('ticklake-test')
for key, value in json.loads(sys.argv[1]).items():
    builder = builder.config(key, value)
for key, name in (('s3.access-key-id', 'TICKLAKE_S3__ACCESS_KEY'), ('s3.secret-access-key', 'TICKLAKE_S3__SECRET_KEY'),
                  ('s3.endpoint', 'TICKLAKE_S3__ENDPOINT'), ('client.region', 'TICKLAKE_S3__REGION')):
    builder = builder.config(f'{cat}.{key}', env[name])
session = builder.getOrCreate()
rows = session.sql('select venue, symbol, stream, cast(price as string), cast(size as string), venue_time_ns from ticklake.market.trades')
json.dump([[tuple(r) for r in rows.collect()], session.table('ticklake.market.candles').count()], open(sys.argv[2], 'w'))
"""


def run_spark(deployment, out, text=SPARK):
    """Runs the script with the deployment's lake as catalog; it writes to `out`."""
    jars = pathlib.Path(deployment.base['TICKLAKE_STACK_SPARK_JARS'])
    if not jars.is_dir():
        pytest.skip('no Spark in the stack: scripts/setup stack')
    cat, url = 'spark.sql.catalog.ticklake', urllib.parse.urlsplit(deployment.url)
    conf = {'spark.driver.extraClassPath': f'{jars}/*', 'spark.driver.host': '127.0.0.1', 'spark.driver.bindAddress': '127.0.0.1',
            'spark.driver.memory': '768m', 'spark.ui.enabled': 'false', 'spark.ui.showConsoleProgress': 'false',
            'spark.sql.session.timeZone': 'UTC', 'spark.sql.shuffle.partitions': '2', cat: 'org.apache.iceberg.spark.SparkCatalog',
            'spark.sql.extensions': 'org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions', f'{cat}.type': 'jdbc',
            f'{cat}.uri': f'jdbc:postgresql://{url.hostname}:{url.port}{url.path}?currentSchema=ticklake', f'{cat}.jdbc.user': url.username,
            f'{cat}.jdbc.password': url.password, f'{cat}.jdbc.schema-version': 'V1', f'{cat}.warehouse': deployment.warehouse,
            f'{cat}.io-impl': 'org.apache.iceberg.aws.s3.S3FileIO', f'{cat}.s3.path-style-access': 'true'}
    env = {k: v for k, v in deployment.env.items() if not k.startswith('SPARK_CONF')}
    done = subprocess.run([sys.executable, '-c', text, json.dumps(conf), str(out)], env=env, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr[-4000:]


def test_sums_by_spark(tmp_path, replayed, expected_sums):
    out = tmp_path / 'rows.json'
    run_spark(replayed, out)
    rows, candles = json.loads(out.read_text())
    assert sums(rows) == expected_sums
    assert candles == replayed.count('candles')
