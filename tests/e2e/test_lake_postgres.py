"""The lake's catalog in PostgreSQL: many workers, one fold; killed, frozen, fenced, cut off from their answers. Nothing is lost,
nothing doubled.

Workers are tests/tools/lake_worker: what they write follows from partition and number alone, so that `check` can tell from the
positions what must be there; PyIceberg reads the same through its own SQL catalog."""
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

import pytest

psycopg = pytest.importorskip('psycopg')
import conftest  # noqa: E402
from stack_tools import wait_until  # noqa: E402
from test_store_postgres import BINARIES, Server  # noqa: E402

TOOL = conftest.BINARY.parent / 'tests' / 'tools' / 'lake_worker'
UNIT = [conftest.BINARY.parent / 'tests' / 'unit' / name for name in ('lake_test', 'lake_evolve_test')]
DEADLINE_S = 240
ROWS = 25  # of a commit and partition
SEED = int(os.environ.get('TICKLAKE_SEED') or time.time_ns() % 10**9)
POINTS = ['lake.after_data', 'queue.before_insert', 'queue.after_insert', 'lake.after_manifest', 'lake.after_metadata',
          'lake.before_pointer', 'fold.before_commit', 'lake.after_pointer', 'compact.after_data', 'compact.before_pointer',
          'compact.after_pointer']


@pytest.fixture(scope='module')
def server():
    if not BINARIES:
        pytest.skip('no PostgreSQL server here')
    if not TOOL.exists():
        pytest.skip(f'{TOOL} is not built: make tools')
    folder = pathlib.Path(tempfile.mkdtemp(prefix='tl-lake-', dir='/tmp'))
    s = Server(folder)
    yield s
    s.stop('immediate')
    shutil.rmtree(folder)


class Lake:
    """A database and a warehouse of its own, and the workers on it."""

    def __init__(self, server, folder, name):
        self.server, self.warehouse, self.name = server, folder / 'lake', name
        server.psql('postgres', f'CREATE DATABASE {name}')
        self.url = self.url_of(server.port)
        self.started = []

    def url_of(self, port):
        return f'postgresql://postgres@127.0.0.1:{port}/{self.name}'

    def start(self, name, partitions, target, *more, url=None, crash=None):
        env = {**os.environ, **({'TICKLAKE_CRASH': crash} if crash else {})}
        line = [str(TOOL), 'work', url or self.url, str(self.warehouse), name, ','.join(map(str, partitions)), str(target), *more]
        worker = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)
        self.started.append(worker)
        return worker

    def finish(self, worker, check=0):
        out, told = worker.communicate(timeout=DEADLINE_S)
        assert worker.returncode == check, f'exit {worker.returncode}: {out}{told}'
        return json.loads(out) if check == 0 else told

    def check(self, partitions):
        done = subprocess.run([str(TOOL), 'check', self.url, str(self.warehouse), str(partitions)], capture_output=True, text=True,
                              timeout=DEADLINE_S)
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)

    def sql(self, text, *values):
        with psycopg.connect(self.url, autocommit=True) as c:
            cursor = c.execute(text, values)
            return cursor.fetchall() if cursor.description else None

    def positions(self):
        return {int(n.split('/')[1]): p for n, p in self.sql('SELECT name, position FROM ticklake.ticklake_position')}

    def total(self):
        """How far it is; 0 while there is nothing to ask yet."""
        try:
            return sum(self.positions().values())
        except psycopg.Error:
            return 0

    def catalog(self):
        from pyiceberg.catalog import load_catalog
        try:
            import psycopg2  # noqa: F401
            driver = 'psycopg2'
        except ImportError:
            driver = 'psycopg'
        uri = self.url.replace('postgresql:', f'postgresql+{driver}:') + '?options=-csearch_path%3Dticklake'
        return load_catalog('ticklake', type='sql', uri=uri, warehouse=f'file://{self.warehouse}', init_catalog_tables='false')

    def check_by_pyiceberg(self, partitions, target):
        trades = self.catalog().load_table('market.trades').scan(selected_fields=('symbol', 'trade_id')).to_arrow()
        rows = sorted(zip(trades['symbol'].to_pylist(), map(int, trades['trade_id'].to_pylist())))
        assert rows == sorted((f'P{p}', n) for p in range(partitions) for n in range(1, target + 1))
        candles = self.catalog().load_table('market.candles').scan(selected_fields=('symbol', 'open_time', 'revision')).to_arrow()
        keys = list(zip(candles['symbol'].to_pylist(), candles['open_time'].to_pylist()))
        assert len(keys) == len(set(keys))
        own = [(s, r) for s, r in zip(candles['symbol'].to_pylist(), candles['revision'].to_pylist()) if s != 'P64']
        assert len(own) == partitions * (target // ROWS)
        # All but the newest candle of each partition were revised.
        assert sum(r for _, r in own) == partitions * (target // ROWS - 1)
        gaps = self.catalog().load_table('market.gaps').scan(selected_fields=('gap_id', 'rows_recovered')).to_arrow()
        assert sorted(zip(gaps['gap_id'].to_pylist(), gaps['rows_recovered'].to_pylist())) == \
            [(p, target // ROWS) for p in range(partitions)]

    def close(self):
        for worker in self.started:
            if worker.poll() is None:
                worker.send_signal(signal.SIGCONT)
                worker.kill()
                worker.communicate()


@pytest.fixture
def lake(server, tmp_path, request):
    lake = Lake(server, tmp_path, f'lake{abs(hash(request.node.name)) % 10**12}')
    yield lake
    lake.close()


# --- many workers ---

def test_four_workers_write_each_row_once(lake):
    told = [lake.finish(w) for w in [lake.start(f'w{i}', [2 * i, 2 * i + 1], 1000, 'compact') for i in range(4)]]
    assert sum(t['fenced'] for t in told) == 0
    assert sum(t['folded'] for t in told) == sum(t['commits'] for t in told) == 4 * 1000 // ROWS
    assert sum(t['compactions'] for t in told) > 0
    assert lake.check(8)['rows'] == 8000
    lake.check_by_pyiceberg(8, 1000)
    assert lake.sql('SELECT state, count(*), count(payload) FROM ticklake.ticklake_queue GROUP BY state') == [(1, 160, 0)]


def test_eight_workers_share_their_folds(lake):
    workers = [lake.start(f'w{i}', [i], 1500) for i in range(8)]
    for w in workers:
        lake.finish(w)
    folds, folded = lake.sql('SELECT folds, folded FROM ticklake.ticklake_lake')[0]
    print(f'{folded} commits in {folds} folds: {folded / folds:.1f} a fold')
    assert folded == 8 * 1500 // ROWS and folds * 2 < folded
    # A snapshot is a fold's, not a worker's.
    table = lake.catalog().load_table('market.trades')
    assert table.metadata.last_sequence_number <= folds
    assert lake.check(8)['rows'] == 12000
    lake.check_by_pyiceberg(8, 1500)


def test_two_workers_on_the_same_partition_fence_each_other(lake):
    told = [lake.finish(w) for w in [lake.start(f'w{i}', [0, 1], 1000) for i in range(2)]]
    assert sum(t['fenced'] for t in told) > 0
    assert lake.check(2)['rows'] == 2000
    lake.check_by_pyiceberg(2, 1000)
    refused = lake.sql('SELECT count(*) FROM ticklake.ticklake_queue WHERE state = 2')[0][0]
    assert refused == sum(t['fenced'] for t in told)
    # What they wrote is garbage at once; nothing of it is in a table.
    garbage = {r[0] for r in lake.sql('SELECT location FROM ticklake.ticklake_garbage WHERE removed_at = 0')}
    files = {f.file.file_path for f in lake.catalog().load_table('market.trades').scan().plan_files()}
    assert len(garbage) >= refused and not garbage & files


def test_a_rival_appends_to_the_same_catalog(lake):
    from pyiceberg.exceptions import CommitFailedException, ValidationException
    pytest.importorskip('pyiceberg_core')
    workers = [lake.start(f'w{i}', [i], 1500, 'compact') for i in range(2)]
    wait_until(lambda: lake.total() > 200, DEADLINE_S, 'first rows')
    appended = lost = 0
    rows = lake.catalog().load_table('market.trades').scan(limit=1).to_arrow()
    i = rows.schema.get_field_index('venue')
    import pyarrow as pa
    rows = rows.set_column(i, rows.schema.field(i), pa.array(['elsewhere'], rows.schema.field(i).type))
    while any(w.poll() is None for w in workers) or appended < 3:
        try:
            lake.catalog().load_table('market.trades').append(rows)
            appended += 1
        except (CommitFailedException, ValidationException):
            lost += 1
    for w in workers:
        lake.finish(w)
    assert lake.check(2)['rows'] == 3000
    venues = lake.catalog().load_table('market.trades').scan(selected_fields=('venue',)).to_arrow()['venue'].to_pylist()
    assert venues.count('elsewhere') == appended and len(venues) == appended + 3000


# --- killed ---

@pytest.mark.parametrize('point', POINTS)
def test_killed_at(lake, point):
    others = [lake.start(f'w{i}', [i], 500, 'compact') for i in (1, 2)]
    for count in (1, 3):  # beside others, who may do its work before it gets there
        victim = lake.start('w0', [0], 300, 'compact', crash=f'{point}:{count}')
        victim.communicate(timeout=DEADLINE_S)
        assert victim.returncode in (0, -signal.SIGKILL)
    for w in others:
        lake.finish(w)
    for count in (1, 3):
        lake.finish(lake.start('w0', [0], 1000, 'compact', crash=f'{point}:{count}'), check=-signal.SIGKILL)
    told = [lake.finish(lake.start(f'w{i}', [i], 1000, 'compact')) for i in range(3)]
    assert sum(t['fenced'] for t in told) == 0
    assert lake.check(3)['rows'] == 3000
    lake.check_by_pyiceberg(3, 1000)


def test_killed_again_and_again(lake):
    print(f'TICKLAKE_SEED={SEED}')
    draw = random.Random(SEED)
    workers = {i: lake.start(f'w{i}', [i], 2000, 'compact') for i in range(4)}
    for _ in range(15):
        before = lake.total()
        wait_until(lambda: lake.total() > before + draw.randrange(600) or all(w.poll() is not None for w in workers.values()),
                   DEADLINE_S, 'progress', pause=0.01)
        i = draw.randrange(4)
        workers[i].kill()
        workers[i].communicate()
        workers[i] = lake.start(f'w{i}', [i], 2000, 'compact')
    for w in workers.values():
        lake.finish(w)
    assert lake.check(4)['rows'] == 8000
    lake.check_by_pyiceberg(4, 2000)


# --- frozen ---

def waiting(lake, worker):
    return lake.sql('SELECT count(*) FROM ticklake.ticklake_queue WHERE state = 0 AND worker = %s', worker)[0][0]


def test_frozen_between_its_row_and_the_fold(lake):
    lake.finish(lake.start('w1', [1], ROWS))
    with psycopg.connect(lake.url) as holder:
        holder.execute('SELECT 1 FROM ticklake.ticklake_lake FOR UPDATE')
        frozen = lake.start('w0', [0], 40 * ROWS)
        # It opens under that lock as well, so it is let in once.
        wait_until(lambda: lake.sql("SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND "
                                    "application_name LIKE '%%w0%%' AND wait_event_type = 'Lock'"), DEADLINE_S, 'the open')
        holder.commit()
        wait_until(lambda: lake.total() >= 3 * ROWS, DEADLINE_S, 'its first commits')
        holder.execute('SELECT 1 FROM ticklake.ticklake_lake FOR UPDATE')
        wait_until(lambda: waiting(lake, 'w0') == 1, DEADLINE_S, 'its row')
        frozen.send_signal(signal.SIGSTOP)
        # Its connection goes as that of a machine does that was cut off.
        lake.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND "
                 "application_name LIKE '%%w0%%'")
        at = lake.positions()[0]
        holder.commit()
    lake.finish(lake.start('w1', [1], 4 * ROWS))
    assert waiting(lake, 'w0') == 0 and lake.positions()[0] == at + ROWS  # folded by the other one
    # While it sleeps its partition goes to somebody else, who gets on.
    lake.finish(lake.start('w2', [0], at + 3 * ROWS))
    frozen.send_signal(signal.SIGCONT)
    told = lake.finish(frozen)
    assert told['fenced'] == 1
    assert lake.check(2)['rows'] == 44 * ROWS


def test_frozen_with_the_lock(lake):
    """The server ends the connection of one who holds the lock and says nothing; the others get on."""
    lake.finish(lake.start('w1', [1], ROWS))
    frozen = lake.start('w0', [0], 100000)
    holding = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE '%%w0%%' AND " \
              "state = 'idle in transaction'"

    def caught():
        frozen.send_signal(signal.SIGSTOP)
        if lake.sql(holding):
            return True
        frozen.send_signal(signal.SIGCONT)
        return False

    wait_until(caught, DEADLINE_S, 'the lock', pause=0.003)
    started = time.monotonic()
    lake.finish(lake.start('w1', [1], 5 * ROWS))
    took = time.monotonic() - started
    frozen.kill()
    frozen.communicate()
    print(f'{took:.1f} s')
    lake.check(2)


# --- cut off ---

def test_the_server_is_stopped_and_started_again(lake):
    workers = [lake.start(f'w{i}', [i], 2000, 'compact') for i in range(3)]
    for goal in (500, 2000):
        wait_until(lambda: lake.total() > goal, DEADLINE_S, 'progress')
        lake.server.stop('immediate')
        lake.server.start()
    told = [lake.finish(w) for w in workers]
    assert sum(t['fenced'] for t in told) == 0
    assert lake.check(3)['rows'] == 6000
    lake.check_by_pyiceberg(3, 2000)


class Proxy:
    """Between a worker and the server; when armed it swallows the answer to each fourth COMMIT, or each third COMMIT itself, and then
    closes or says nothing."""

    def __init__(self, port, then, arrives=True):
        self.port_of_server, self.then, self.arrives = port, then, arrives
        self.listener = socket.create_server(('127.0.0.1', 0))
        self.port = self.listener.getsockname()[1]
        self.armed, self.swallowed, self.seen = threading.Event(), 0, 0
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.create_connection(('127.0.0.1', self.port_of_server))
            deaf = threading.Event()
            threading.Thread(target=self.up, args=(client, server, deaf), daemon=True).start()
            threading.Thread(target=self.down, args=(client, server, deaf), daemon=True).start()

    def up(self, client, server, deaf):
        try:
            while data := client.recv(65536):
                if b'\0COMMIT\0' in data:
                    self.seen += 1
                    if self.armed.is_set() and self.seen % (4 if self.arrives else 3) == 0:
                        self.swallowed += 1
                        deaf.set()
                        if self.then == 'silence':  # each costs as long as an answer is waited for
                            self.armed.clear()
                        if not self.arrives:
                            break
                server.sendall(data)
        except OSError:
            pass
        server.shutdown(socket.SHUT_RDWR)
        server.close()

    def down(self, client, server, deaf):
        try:
            while data := server.recv(65536):
                if deaf.is_set() and self.then == 'close':
                    break
                if not deaf.is_set():
                    client.sendall(data)
        except OSError:
            pass
        if self.then == 'close' or not deaf.is_set():
            client.shutdown(socket.SHUT_RDWR)  # close alone would not reach the other thread's recv
            client.close()


@pytest.mark.parametrize('then', ['close', 'silence'])
def test_the_answer_to_a_commit_is_lost(lake, then):
    proxy = Proxy(lake.server.port, then)
    other = lake.start('w1', [1], 1000)
    worker = lake.start('w0', [0], 1000 if then == 'close' else 40 * ROWS, url=lake.url_of(proxy.port))
    proxy.armed.set()
    told = lake.finish(worker)
    lake.finish(other)
    proxy.listener.close()
    assert proxy.swallowed >= (3 if then == 'close' else 1) and told['fenced'] == 0
    lake.finish(lake.start('w0', [0], 1000))
    assert lake.check(2)['rows'] == 2000
    lake.check_by_pyiceberg(2, 1000)


def test_a_commit_does_not_arrive(lake):
    """Of a fold, of upkeep: nothing of it is there, and what others or the next try make of it stays whole."""
    proxy = Proxy(lake.server.port, 'close', arrives=False)
    other = lake.start('w1', [1], 1000, 'compact')
    worker = lake.start('w0', [0], 1000, 'compact', url=lake.url_of(proxy.port))
    proxy.armed.set()
    told = lake.finish(worker)
    lake.finish(other)
    proxy.listener.close()
    assert proxy.swallowed >= 3 and told['fenced'] == 0
    assert lake.check(2)['rows'] == 2000
    lake.check_by_pyiceberg(2, 1000)


# --- bad input ---

def test_damaged_rows_and_rows_of_a_newer_version(lake):
    lake.finish(lake.start('w0', [0], ROWS))
    for commit, payload in (('empty', b''), ('noise', os.urandom(300)[:0] + b'\x01' + os.urandom(300)), ('newer', b'\x09abc')):
        lake.sql('INSERT INTO ticklake.ticklake_queue (commit, worker, payload) VALUES (%s, %s, %s)', commit, 'evil', payload)
    lake.finish(lake.start('w0', [0], 3 * ROWS))
    states = dict(lake.sql("SELECT commit, state FROM ticklake.ticklake_queue WHERE worker = 'evil'"))
    assert states == {'empty': 3, 'noise': 3, 'newer': 0}
    assert lake.check(1)['rows'] == 3 * ROWS


def refused(lake, url, code, *words):
    told = subprocess.run([str(TOOL), 'check', url, str(lake.warehouse), '1'], capture_output=True, text=True, timeout=DEADLINE_S)
    assert told.returncode == code, told.stderr
    for word in words:
        assert word in told.stderr
    assert 'hunter2' not in told.stderr + told.stdout
    return told.stderr


def test_wrong_servers_and_databases_are_told(lake):
    port = lake.server.port
    where = f'127.0.0.1:{port}/{lake.name}'
    hba = lake.server.data / 'pg_hba.conf'
    before = hba.read_text()
    lake.sql(f"DO $$BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'strict') THEN "
             f"CREATE ROLE strict LOGIN PASSWORD 'right'; END IF; END$$")
    try:
        hba.write_text('host all strict 127.0.0.1/32 scram-sha-256\n' + before)
        lake.server.psql('postgres', 'SELECT pg_reload_conf()')
        wait_until(lambda: 'password' in subprocess.run(
            [str(TOOL), 'check', f'postgresql://strict:hunter2@{where}', str(lake.warehouse), '1'], capture_output=True,
            text=True).stderr, DEADLINE_S, 'new rules')
        refused(lake, f'postgresql://strict:hunter2@{where}', 77, where, 'strict', 'password')
    finally:
        hba.write_text(before)
        lake.server.psql('postgres', 'SELECT pg_reload_conf()')
    refused(lake, f'postgresql://postgres@127.0.0.1:{port}/nowhere', 78, 'nowhere')
    refused(lake, 'postgresql://postgres:hunter2@[', 78, 'lake.catalog')
    refused(lake, lake.url, 64, where, 'no lake yet')
    lake.finish(lake.start('w0', [0], ROWS))
    lake.sql('UPDATE ticklake.ticklake_lake SET version = 99')
    refused(lake, lake.url, 78, where, 'version 99')


def test_a_foreign_catalog_is_not_touched(lake):
    lake.sql('CREATE SCHEMA ticklake')
    lake.sql('CREATE TABLE ticklake.iceberg_tables (catalog_name text)')
    told = lake.finish(lake.start('w0', [0], ROWS), check=78)
    assert 'did not make' in told
    assert lake.sql("SELECT count(*) FROM pg_class WHERE relnamespace = 'ticklake'::regnamespace AND relkind = 'r'") == [(1,)]


# --- upkeep ---

def test_leftovers_of_a_crash_go_after_a_day(lake):
    lake.finish(lake.start('w0', [0], 4 * ROWS))
    lake.finish(lake.start('w0', [0], 8 * ROWS, crash='queue.before_insert:1'), check=-signal.SIGKILL)
    live = {f.file.file_path for f in lake.catalog().load_table('market.trades').scan().plan_files()}
    files = {p for p in (lake.warehouse / 'market/trades/data').rglob('*.parquet') if f'file://{p}' not in live}
    assert len(files) == 1
    left, = files
    lake.finish(lake.start('w0', [0], 12 * ROWS, 'compact'))
    assert left.exists()  # it could be of a commit that is being made
    old = time.time() - 2 * 86400
    os.utime(left, (old, old))
    lake.finish(lake.start('w0', [0], 22 * ROWS, 'compact'))  # the open notes it, the cleanup removes it
    assert not left.exists()
    assert lake.check(1)['rows'] == 22 * ROWS


@pytest.mark.parametrize('unit', UNIT, ids=lambda p: p.name)
def test_the_unit_tests_of_the_lake_hold_on_it(lake, unit):
    if not unit.exists():
        pytest.skip(f'{unit} is not built: make unit')
    done = subprocess.run([str(unit)], capture_output=True, text=True, timeout=600,
                          env={**os.environ, 'TICKLAKE_TEST_POSTGRES': lake.url})
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
