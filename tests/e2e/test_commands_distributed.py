"""The commands against PostgreSQL, Kafka, the registry and S3: what they try, what they print, and that it works elsewhere."""
import json
import os
import re
import subprocess
import sys

import pytest

from conftest import SAMPLES, duckdb_connection
from distributed import Deployment, running_stack  # noqa: F401  (a fixture)

SECRETS = ('ticklake-password', 'ticklake-secret', 'wrong-5f0c2a97')
PARTS = ('PostgreSQL store', 'replication slot', 'Kafka brokers', 'Kafka topics', 'schema registry', 'lake catalog', 'S3 warehouse')


@pytest.fixture(scope='module')
def filled(tmp_path_factory, running_stack):  # noqa: F811
    """A deployment with the samples in its lake, and its processes running."""
    d = Deployment(tmp_path_factory.mktemp('commands'), running_stack)
    d.run('replay', SAMPLES / 'binance')
    d.start('bus')
    d.start('process,lake', '--set', 'lake.commit_rows=3000')
    d.verify()
    yield d
    d.close()


@pytest.fixture
def empty(tmp_path, running_stack):  # noqa: F811
    d = Deployment(tmp_path, running_stack)
    yield d
    d.close()


def checks(deployment, *settings, check=0, env=None):
    """What validate says: {name: line}; and never a secret."""
    args = [a for s in settings for a in ('--set', s)]
    done = deployment.run('validate', '--json', *args, check=check, env=env)
    assert not any(s in done.stdout + done.stderr for s in SECRETS)
    lines = {}
    for line in json.loads(done.stdout):
        lines.setdefault(line['check'], line)
        if not line['good']:
            lines[line['check']] = line
    return lines


# --- validate ---

def test_validate_before_anything_runs(empty):
    told = checks(empty)
    assert all(told[part]['good'] for part in PARTS), told
    assert 'will be made' in told['Kafka topics']['detail'] and 'not there yet' in told['replication slot']['detail']
    assert empty.psql("select count(*) from pg_namespace where nspname = 'ticklake'") == '0'
    assert checks(empty) == {**told, 'data folder': checks(empty)['data folder']}


def test_validate_beside_running_processes(filled):
    told = checks(filled)
    assert all(told[part]['good'] for part in PARTS), told
    assert 'all 7 are there' in told['Kafka topics']['detail'] and 'running publisher' in told['replication slot']['detail']


def test_validate_prints_the_least_rights(filled):
    text = filled.run('validate').stdout
    for words in (f'GRANT CONNECT, CREATE, TEMPORARY ON DATABASE "{filled.name}"', 'REPLICATION',
                  f"--transactional-id '{filled.prefix}{filled.name}'", f"--group '{filled.name}'",
                  f"--resource-pattern-type prefixed --topic '{filled.prefix}market.'"):
        assert words in text, words
    policy = json.loads(next(line for line in text.splitlines() if line.startswith('{"Version"')))
    assert policy['Statement'][0]['Resource'] == filled.warehouse.replace('s3://', 'arn:aws:s3:::') + '/*'
    assert not any(s in text for s in SECRETS)


def test_the_least_rights_are_enough(filled, running_stack):  # noqa: F811
    """A role with what validate prints, and no more, makes and fills a store of its own."""
    role = filled.name + '_least'
    admin = filled.admin
    filled.psql(f"create role {role} login password 'wrong-5f0c2a97'", socket_of(running_stack))
    filled.psql(f'create database {role}', admin)
    url = re.sub(r'//[^@]*@', f'//{role}:wrong-5f0c2a97@', re.sub(r'/[^/]*$', f'/{role}', admin))
    try:
        settings = [f'store.url={url}', f'lake.catalog={url}', f'store.slot={role}', f'bus.name={role}']
        told = checks(filled, *settings, check=77)
        assert 'GRANT CREATE' in told['PostgreSQL store']['detail']
        done = filled.run('validate', *[a for s in settings for a in ('--set', s)], check=None)
        for line in done.stdout.splitlines():
            if line.startswith(('GRANT CONNECT', 'ALTER ROLE ')):
                filled.psql(line.split(' --')[0], socket_of(running_stack))
        told = checks(filled, *settings)
        assert told['PostgreSQL store']['good'] and told['replication slot']['good'], told
    finally:
        filled.psql(f'drop database {role}', admin)
        filled.psql(f'drop role {role}', socket_of(running_stack))


def socket_of(env):
    """As the superuser, through the Unix socket."""
    return f"host={env['TICKLAKE_STACK_POSTGRES_SOCKET']} port={env['TICKLAKE_STACK_POSTGRES'].split(':')[1]} user=postgres dbname=postgres"


def spoilt(url, password):
    return re.sub(r'//([^:@]*)(:[^@]*)?@', rf'//\1:{password}@', url)


@pytest.mark.parametrize('part, code, words, settings', [
    ('PostgreSQL store', 77, 'password authentication failed', lambda d: [f'store.url={spoilt(d.url, "wrong-5f0c2a97")}']),
    ('PostgreSQL store', 78, 'does not exist', lambda d: [f'store.url={d.url}_none']),
    ('PostgreSQL store', 69, 'refused', lambda d: ['store.url=postgresql://ticklake@127.0.0.1:1/x']),
    ('lake catalog', 77, 'password authentication failed', lambda d: [f'lake.catalog={spoilt(d.url, "wrong-5f0c2a97")}']),
    ('Kafka brokers', 69, 'no Kafka broker of 127.0.0.1:1 answers', lambda d: ['bus.brokers=127.0.0.1:1']),
    ('Kafka topics', 78, 'bus.partitions', lambda d: ['bus.partitions=5']),
    ('Kafka brokers', 78, 'bus.replication is 5', lambda d: ['bus.replication=5', 'bus.prefix=other.']),
    ('schema registry', 69, '127.0.0.1:1', lambda d: ['registry.url=http://127.0.0.1:1']),
    ('S3 warehouse', 78, 'no-such-bucket', lambda d: ['lake.warehouse=s3://no-such-bucket-here/x']),
    ('S3 warehouse', 77, 's3.access_key', lambda d: ['s3.access_key=nobody']),
    ('S3 warehouse', 69, '127.0.0.1:1', lambda d: ['s3.endpoint=http://127.0.0.1:1', 's3.tries=1'])])
def test_validate_names_what_is_wrong(part, code, words, settings, filled):
    args = settings(filled)
    told = checks(filled, *args, check=code)
    assert not told[part]['good'] and words in told[part]['detail'], told[part]
    # Only what the setting spoilt, and what hangs on it.
    others = {name for name, line in told.items() if not line['good']} - {part, 'lake catalog'}
    assert not others, others


def test_validate_finds_a_slot_that_is_gone(empty):
    empty.run('replay', SAMPLES / 'binance')
    bus = empty.start('bus')
    worker = empty.start('process,lake')
    empty.verify()
    bus.stop()
    worker.stop()
    empty.psql(f"select pg_drop_replication_slot('{empty.name}')")
    told = checks(empty, check=79)
    assert 'gone' in told['replication slot']['detail'] and empty.name in told['replication slot']['detail']


# --- positions and the commands that read ---

def test_positions(filled):
    told = json.loads(filled.run('positions', '--json').stdout)
    assert told['slot']['active'] and told['slot']['wal_status'] == 'reserved' and told['publisher']['finishes'] == 1
    assert len(told['partitions']) == 6 * 3 and all(p['in_sync'] == 3 for p in told['partitions'])
    trades = [p for p in told['partitions'] if p['topic'] == f'{filled.prefix}market.trades']
    assert sum(p['lake'] for p in trades) >= filled.count('trades') > 0
    # The marks of transactions take offsets: at rest a partition is at most those behind.
    assert told['lag'] <= len(told['partitions'])
    assert f'{filled.prefix}market.trades' in filled.run('positions').stdout


def test_positions_tell_what_does_not_answer(filled):
    done = filled.run('positions', '--json', '--set', 'bus.brokers=127.0.0.1:1', check=69)
    told = json.loads(done.stdout)
    assert told['slot']['active'] and told['bus'] is None and '127.0.0.1:1' in told['bus_error']


def test_commands_that_read(filled):
    assert json.loads(filled.run('gaps', '--all', '--json').stdout) is not None
    files = json.loads(filled.run('files', 'trades', '--json').stdout)
    assert files and all(f['path'].startswith(filled.warehouse) for f in files)
    assert sum(f['rows'] for f in files) == filled.count('trades')
    candles = json.loads(filled.run('candles', '--venue', 'binance', '--symbol', 'BTC-USDT', '--last', '2', '--json').stdout)
    assert len(candles) == 2
    lines = filled.run('tap', '--from', '0', '--count', '5').stdout.splitlines()
    assert [json.loads(line)['sequence'] for line in lines] == [1, 2, 3, 4, 5]


# --- upkeep beside running workers ---

def test_upkeep_beside_a_worker(filled):
    filled.run('replay', SAMPLES / 'tiingo')  # so that there are two commits at least
    filled.verify()
    before = filled.count('candles')
    json.loads(filled.run('compact', '--json').stdout)
    told = json.loads(filled.run('expire-snapshots', '--keep', '1', '--dry-run', '--json').stdout)
    assert told['dry_run'] and told['snapshots'] > 0
    assert json.loads(filled.run('expire-snapshots', '--keep', '1', '--json').stdout)['snapshots'] >= told['snapshots']
    assert len(filled.table('trades').snapshots()) == 1
    assert json.loads(filled.run('remove-orphans', '--json').stdout)['orphans'] == []
    assert filled.count('candles') == before
    filled.verify()


# --- connect ---

@pytest.fixture(scope='module')
def elsewhere(filled):
    """The environment of somebody who reads the lake: credentials, and none of our settings."""
    env = {k: v for k, v in os.environ.items() if not k.startswith('TICKLAKE_')}
    return {**env, 'PGPASSWORD': 'ticklake-password', 'AWS_ACCESS_KEY_ID': filled.base['TICKLAKE_S3__ACCESS_KEY'],
            'AWS_SECRET_ACCESS_KEY': filled.base['TICKLAKE_S3__SECRET_KEY']}


def lines_for(filled, engine):
    text = filled.run('connect', engine).stdout
    assert not any(s in text for s in SECRETS)
    return text


def test_connect_pyiceberg(filled, elsewhere):
    done = subprocess.run([sys.executable, '-c', lines_for(filled, 'pyiceberg') +
                           "\nprint('ROWS', catalog.load_table('market.trades').scan().to_arrow().num_rows)\n"],
                          env=elsewhere, capture_output=True, text=True, timeout=120)
    assert f'ROWS {filled.count("trades")}' in done.stdout, done.stderr


def test_connect_duckdb(filled, elsewhere, monkeypatch):
    """Its extensions come from packages here; the environment must be there when httpfs is loaded."""
    for name in ('AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY'):
        monkeypatch.setenv(name, elsewhere[name])
    con = duckdb_connection()
    rows = None
    for line in lines_for(filled, 'duckdb').splitlines():
        if not line.startswith(('--', 'INSTALL')):
            rows = con.execute(line).fetchall()
    assert sum(n for _, n, _ in rows) == filled.count('trades')


def test_connect_trino(filled):
    """No Trino runs here: its properties are at least well-formed, and name the catalog and the warehouse."""
    pairs = dict(line.split('=', 1) for line in lines_for(filled, 'trino').splitlines() if not line.startswith('#'))
    assert pairs['connector.name'] == 'iceberg' and pairs['iceberg.jdbc-catalog.default-warehouse-dir'] == filled.warehouse
    assert filled.name in pairs['iceberg.jdbc-catalog.connection-url']


# --- verify: the batches of each writer in PostgreSQL ---

def test_a_batch_that_is_gone_from_postgresql(empty):
    """Two writers, whose sequences interleave by blocks: a hole is only one between batches of the same."""
    empty.run('replay', SAMPLES / 'binance', '--set', 'source.batch_events=1024')
    empty.run('replay', SAMPLES / 'tiingo', '--set', 'store.writer=other')
    empty.start('bus')
    empty.start('process,lake')
    empty.verify()
    number = empty.psql("select max(number) - 1 from ticklake.batches where writer = 'main'")
    assert int(number) > 2
    empty.psql(f"delete from ticklake.batches where writer = 'main' and number = {number}")
    told = [d['what'] for d in empty.verify(check=1)['differences'] if d['check'] == 'store_rows']
    # Its rows are still there, and are told of as well.
    assert [w for w in told if 'missing' in w] == [f'before batch {int(number) + 1} of writer main, 1 of its batches are missing'], told
    # Below what retention removed a hole may be its own.
    empty.psql(f"update ticklake.meta set removed_sequence = (select max(last_sequence) from ticklake.batches where number = "
               f"{int(number) + 1} and writer = 'main')")
    assert not [d for d in empty.verify(check=1)['differences'] if 'are missing' in d['what']]
