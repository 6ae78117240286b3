"""The PostgreSQL store on a real server of its own: killed, restarted, refused; read back row for row against SQLite's.

The writer and reader is tests/tools/store_pg: event n follows from n alone."""
import glob
import os
import pathlib
import pwd
import random
import shutil
import signal
import socket
import subprocess
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = pathlib.Path(os.environ.get('TICKLAKE', ROOT / 'build' / 'ticklake'))
TOOL = BINARY.parent / 'tests' / 'tools' / 'store_pg'
BINARIES = next(iter(sorted(glob.glob('/usr/lib/postgresql/*/bin/initdb'), reverse=True)), shutil.which('initdb'))
DEADLINE_S = 120
PLAIN = {'origin': 3}  # no texts that PostgreSQL cannot hold


class Server:
    """A cluster of its own; initdb refuses root, so it runs as postgres then."""

    def __init__(self, folder):
        self.bin = pathlib.Path(BINARIES).parent
        self.folder = folder
        self.data = folder / 'data'
        self.prefix = []
        if os.geteuid() == 0:
            user = pwd.getpwnam('postgres')
            self.prefix = ['setpriv', '--reuid=postgres', '--regid=postgres', '--init-groups']
            os.chown(folder, user.pw_uid, user.pw_gid)
            for parent in folder.parents:
                if parent.stat().st_uid == 0 and str(parent).startswith('/tmp/'):
                    parent.chmod(0o755)
        with socket.socket() as s:
            s.bind(('127.0.0.1', 0))
            self.port = s.getsockname()[1]
        self.do('initdb', '-D', self.data, '--auth=trust', '--locale=C.UTF-8', '-U', 'postgres')
        with (self.data / 'postgresql.conf').open('a') as conf:
            conf.write(f"port = {self.port}\nlisten_addresses = '127.0.0.1'\nunix_socket_directories = '{folder}'\n"
                       "wal_level = logical\nmax_wal_size = 1GB\nautovacuum_naptime = 5s\n")
        self.start()

    def do(self, program, *args):
        done = subprocess.run([*self.prefix, str(self.bin / program), *map(str, args)], capture_output=True, text=True,
                              timeout=DEADLINE_S, cwd='/')
        assert done.returncode == 0, f'{program} {args}: {done.stdout} {done.stderr}'
        return done.stdout

    def start(self):
        # Its standard streams stay open in the server: a pipe would never end.
        line = [*self.prefix, str(self.bin / 'pg_ctl'), '-D', str(self.data), '-w', '-l', str(self.folder / 'log'), 'start']
        subprocess.run(line, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True, timeout=DEADLINE_S, cwd='/')

    def stop(self, mode='fast'):
        self.do('pg_ctl', '-D', self.data, '-w', '-m', mode, 'stop')

    def psql(self, database, sql):
        return self.do('psql', '-X', '-A', '-t', '-q', '-v', 'ON_ERROR_STOP=1', '-h', self.folder, '-p', self.port, '-U',
                       'postgres', '-d', database, '-c', sql).strip()


@pytest.fixture(scope='module')
def server():
    if not BINARIES:
        pytest.skip('no PostgreSQL server here')
    import tempfile
    folder = pathlib.Path(tempfile.mkdtemp(prefix='tl-store-', dir='/tmp'))
    s = Server(folder)
    yield s
    s.stop('immediate')
    shutil.rmtree(folder)


class Store:
    def __init__(self, server, database):
        self.server, self.database = server, database
        self.url = f'host=127.0.0.1 port={server.port} user=postgres dbname={database}'

    def line(self, command, **options):
        if 'path' not in options:
            options = {'url': self.url, **options}
        return [str(TOOL), command, *[str(x) for pair in options.items() for x in pair]]

    def run(self, command, check=0, stdin=None, env=None, **options):
        done = subprocess.run(self.line(command, **options), capture_output=True, text=True, timeout=DEADLINE_S, input=stdin,
                              env={**os.environ, **(env or {})})
        assert check is None or done.returncode == check, f'{command}: exit {done.returncode}\n{done.stdout}\n{done.stderr}'
        return done.stdout if check is not None else done

    def start(self, command='append', env=None, **options):
        return subprocess.Popen(self.line(command, **options), stdout=subprocess.PIPE, text=True,
                                env={**os.environ, **(env or {})})

    def sql(self, text):
        return self.server.psql(self.database, text)

    def number(self, text):
        return int(self.sql(text))

    def good(self):
        """Every batch is what it claims, and the table of batches adds up."""
        assert ' bad 0\n' in self.run('verify')
        assert self.run('check', role='guest') == 'done\n'


@pytest.fixture
def store(server):
    name = f's{random.randrange(10**12)}'
    server.psql('postgres', f'CREATE DATABASE {name}')
    yield Store(server, name)
    server.psql('postgres', f'DROP DATABASE {name} WITH (FORCE)')


def last(text):
    words = text.splitlines()[-1].split()
    return {words[i]: int(words[i + 1]) for i in range(0, len(words), 2)}


def without_sequence(text):
    import json
    rows = []
    for line in text.splitlines():
        row = json.loads(line)
        row.pop('sequence', None)
        rows.append(json.dumps(row, sort_keys=True))
    return sorted(rows)


def wait_for(what, check, seconds=DEADLINE_S):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if check():
            return
        time.sleep(0.02)
    raise AssertionError(f'not within {seconds} s: {what}')


def test_same_rows_and_proofs_as_sqlite(store, tmp_path):
    path = tmp_path / 'store.db'
    for where in ({}, {'path': path}):
        out = store.run('append', mixed=1, to=30000, batch=997, finish=1, **PLAIN, **where)
        assert last(out)['stored'] == 30000 and last(out)['duplicates'] == 0
    assert without_sequence(store.run('dump')) == without_sequence(store.run('dump', path=path))
    assert sorted(store.run('proofs').splitlines()) == sorted(store.run('proofs', path=path).splitlines())
    assert store.run('gaps') == store.run('gaps', path=path)
    store.good()
    assert store.sql('SELECT string_agg(finish::text, \',\' ORDER BY number DESC) FROM ticklake.batches').startswith('true,false')
    assert store.number('SELECT count(*) FROM ticklake.trades') == store.number('SELECT sum(trades) FROM ticklake.batches')
    for view in ('quotes', 'gaps', 'dead_letters', 'venue_candles', 'instruments', 'batch_list', 'job_list'):
        store.sql(f'SELECT * FROM ticklake.{view}')


def test_texts_that_postgres_cannot_hold(store):
    store.run('append', mixed=1, to=3000)
    store.good()
    assert store.number("SELECT count(*) FROM ticklake.dead_letters WHERE detail = 'a zero ? and ? bytes'") > 50


def test_state_is_there_at_the_next_start(store):
    store.run('append', mixed=1, to=4000, **PLAIN)
    first = store.run('append', mixed=1, to=4000, **PLAIN).splitlines()[0].split()
    state = {first[i]: int(first[i + 1]) for i in range(0, len(first), 2)}
    assert state['next'] == 4000 and state['series'] == 40 and state['dedup'] == 1
    assert state['gaps'] == store.number('SELECT count(*) FROM ticklake.gap_ledger WHERE state = 0') > 0
    assert state['open'] == store.number('SELECT max(last_sequence) FROM ticklake.batches')


def test_batches_of_one_event_and_of_none(store):
    store.run('append', to=3, batch=1)
    store.run('append', to=3)
    assert store.number('SELECT min(first_sequence) FROM ticklake.batches') == 1
    assert store.sql('SELECT count(*), count(DISTINCT first_sequence) FROM ticklake.batches') == '3|3'
    store.good()


def test_guest_run_again_changes_nothing(store):
    store.run('append', to=5000, series=7)
    before = store.number('SELECT count(*) FROM ticklake.trade_rows')
    first = last(store.run('append', to=8000, mixed=0, role='guest', series=7, **PLAIN))
    assert (first['stored'], first['duplicates']) == (3000, 5000) and before == 5000
    rows = {t: store.number(f'SELECT count(*) FROM ticklake.{t}_rows') for t in ('trade', 'quote', 'dead', 'candle')}
    again = last(store.run('append', to=8000, role='guest', series=7, **PLAIN))
    assert (again['stored'], again['duplicates']) == (0, 8000)
    assert rows == {t: store.number(f'SELECT count(*) FROM ticklake.{t}_rows') for t in rows}
    store.good()


def test_all_kinds_of_a_guest_are_there_once(store):
    kinds = ('trade', 'quote', 'dead', 'candle')
    store.run('append', to=6000, mixed=1, role='guest', **PLAIN)
    rows = {t: store.number(f'SELECT count(*) FROM ticklake.{t}_rows') for t in kinds}
    store.run('append', to=6000, mixed=1, role='guest', batch=501, **PLAIN)
    assert rows == {t: store.number(f'SELECT count(*) FROM ticklake.{t}_rows') for t in kinds}
    store.good()


def test_a_gap_that_several_tell_only_gets_smaller(store):
    """The rule of src/store/store_pg_history.c, one word after the other."""
    opened, repaired, unrepairable = 0, 1, 2

    def tell(role, gap, first, end, state=opened):
        return last(store.run('tell', role=role, id=gap, state=state, **{'from': first}, to=end))['stored']

    def ledger(gap):
        return store.sql(f'SELECT state, from_id, to_id, missing_count FROM ticklake.gap_ledger WHERE gap_id = {gap}')

    assert tell('owner', 1, 10, 20) == 1
    store.run('append', role='guest', series=1, **{'from': 12}, to=15)  # ids 13 to 15
    assert tell('guest', 1, 10, 12) == 1 and ledger(1) == '0|10|12|3'
    assert tell('owner', 1, 10, 18) == 0 and ledger(1) == '0|10|12|3'  # older than what is known
    assert tell('owner', 1, 11, 18) == 1 and ledger(1) == '0|11|12|2'  # each knows of something that came
    assert tell('owner', 2, 13, 20) == 1 and ledger(2) == '0|16|20|5'  # a gap that splits off: without what was brought
    assert tell('guest', 2, 13, 20) == 0 and ledger(2) == '0|16|20|5'
    assert tell('owner', 3, 13, 14) == 1 and ledger(3) == '1|13|14|0'  # nothing of it is missing
    assert tell('owner', 4, 12, 16) == 1 and ledger(4) == '0|12|16|5'  # a row is one range
    assert tell('guest', 1, 11, 12, unrepairable) == 1 and ledger(1) == '2|11|12|2'
    assert tell('owner', 1, 11, 12) == 0 and ledger(1) == '2|11|12|2'
    assert tell('owner', 1, 11, 12, repaired) == 1 and ledger(1) == '1|11|12|0'  # it came late after all
    assert tell('guest', 1, 10, 20, unrepairable) == tell('guest', 1, 10, 20) == 0 and ledger(1) == '1|11|12|0'
    assert tell('guest', 2, 1, 15) == 1 and ledger(2) == '1|1|15|0'  # of two that share no id, nothing is missing
    assert tell('guest', 5, 14, 16) == tell('guest', 6, 12, 12, unrepairable) == 0  # as gap 4 says already
    assert tell('guest', 5, 16, 18) == 1 and ledger(5) == '0|16|18|3'
    assert store.number('SELECT count(*) FROM ticklake.gap_rows') == 10
    store.good()


def test_what_was_brought_once_is_not_stored_again(store):
    """Not after somebody deleted it either: it went on to the bus and the lake."""
    kinds = ('trade', 'quote', 'dead', 'candle')
    store.run('append', to=3000, mixed=1, role='guest', **PLAIN)
    for t in kinds:
        store.sql(f'DELETE FROM ticklake.{t}_rows WHERE sequence % 2 = 0')
    left = {t: store.number(f'SELECT count(*) FROM ticklake.{t}_rows') for t in kinds if t != 'trade'}
    again = last(store.run('append', to=3000, mixed=1, role='guest', **PLAIN))
    assert left == {t: store.number(f'SELECT count(*) FROM ticklake.{t}_rows') for t in left}  # trades: source/, by history_ids
    assert again['duplicates'] > 0
    store.sql('TRUNCATE ticklake.candle_rows')
    store.run('append', to=3000, mixed=1, role='guest', batch=501, **PLAIN)
    assert store.number('SELECT count(*) FROM ticklake.candle_rows') == 0


def test_same_id_with_other_content_is_a_dead_letter(store):
    store.run('append', to=2000, series=3)
    out = last(store.run('append', **{'from': 1500}, to=2500, price=1, series=3, role='guest', **PLAIN))
    assert (out['duplicates'], out['deads'], out['stored']) == (500, 500, 1000)  # 500 new, 500 dead letters
    assert store.number("SELECT count(*) FROM ticklake.dead_letters WHERE reason = 'conflict'") == 500
    detail = store.sql("SELECT detail FROM ticklake.dead_letters WHERE reason = 'conflict' LIMIT 1")
    assert 'stored with other content' in detail and 'sequence' in detail
    assert store.number("SELECT count(*) FROM ticklake.dead_rows WHERE convert_from(payload, 'UTF8')::json->>'trade_id' <> ''") == 500
    again = last(store.run('append', **{'from': 1500}, to=2500, price=1, series=3, role='guest', **PLAIN))
    assert (again['stored'], again['deads']) == (0, 0)
    store.good()


def test_writers_in_parallel_on_the_same_ids(store):
    """New series, new partitions and the same keys at one moment."""
    both = [store.start(**{'from': first, 'to': 40000, 'batch': 700, 'series': 300, 'span': 100000 * 8, 'role': 'guest', **PLAIN})
            for first in (0, 20000, 0)]
    outs = [p.communicate(timeout=DEADLINE_S)[0] for p in both]
    assert [p.returncode for p in both] == [0, 0, 0], outs
    assert sum(last(o)['stored'] for o in outs) == 40000
    assert store.number('SELECT count(*) FROM ticklake.trade_rows') == 40000
    assert store.sql('SELECT count(*), min(id), max(id) FROM ticklake.series') == '300|0|299'
    store.good()


def test_owner_is_alone(store):
    held = store.start(to=10**9, batch=100, writer='one')
    try:
        wait_for('it is open', lambda: held.stdout.readline().startswith('durable'))
        refused = store.run('append', check=None, to=10, writer='one')
        assert refused.returncode == 75 and 'writer "one" is in use by server process' in refused.stdout
        assert last(store.run('append', to=10, writer='two'))['stored'] == 0  # another name; the rows are there
    finally:
        held.kill()
        held.communicate()
    store.run('append', to=0, writer='one')


@pytest.mark.parametrize('point', ['store.in_transaction:3', 'store.before_commit:3', 'store.after_commit:3'])
def test_writer_killed(store, point):
    done = store.run('append', check=None, env={'TICKLAKE_CRASH': point}, to=10000, mixed=1, **PLAIN)
    assert done.returncode == -signal.SIGKILL
    out = store.run('append', to=10000, mixed=1, **PLAIN)
    assert last(out)['duplicates'] == 0 and out.splitlines()[0].split()[3] in ('0', '1000', '2000', '3000')
    assert store.number('SELECT sum(trades + quotes + gaps + deads + candles) FROM ticklake.batches') == 10000
    store.good()


def test_writer_killed_at_any_moment(store):
    rng = random.Random(5)
    for _ in range(6):
        p = store.start(to=10**9, batch=200)
        wait_for('it writes', lambda: p.stdout.readline().startswith('durable'))
        time.sleep(rng.random() / 4)
        p.send_signal(signal.SIGKILL)
        told = [x for x in p.communicate()[0].splitlines() if x.startswith('durable')]
        if told:
            assert store.number('SELECT sum(trades) FROM ticklake.batches') >= int(told[-1].split()[1])
    stored = store.number('SELECT count(*) FROM ticklake.trade_rows')
    assert stored == store.number('SELECT max(id) FROM ticklake.trade_rows') == store.number(
        'SELECT sum(trades) FROM ticklake.batches')
    assert store.number('SELECT sum(duplicates) FROM ticklake.batches') == 0
    store.good()


def test_server_stopped_at_once_in_mid_stream(store, server):
    p = store.start(to=150000, batch=500, wait=60000)
    told = []

    def reach(n):
        while not told or told[-1] < n:
            line = p.stdout.readline()
            assert line, 'the writer ended'
            if line.startswith('durable'):
                told.append(int(line.split()[1]))
    for stop_at in (10000, 40000, 80000):
        reach(stop_at)
        server.stop('immediate')
        server.start()
    out = p.communicate(timeout=DEADLINE_S)[0]
    assert p.returncode == 0, out
    assert last(out)['stored'] == 150000 and last(out)['duplicates'] == 0
    assert store.sql('SELECT count(*), min(id), max(id), count(DISTINCT id) FROM ticklake.trade_rows') == '150000|1|150000|150000'
    store.good()


def test_connection_cut_by_the_server(store):
    p = store.start(to=60000, batch=100, wait=60000)
    wait_for('it writes', lambda: p.stdout.readline().startswith('durable'))
    for _ in range(20):
        store.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'ticklake store%'")
        time.sleep(0.01)
    out = p.communicate(timeout=DEADLINE_S)[0]
    assert p.returncode == 0, out
    assert last(out)['duplicates'] == 0
    assert store.sql('SELECT count(*), max(id), count(DISTINCT id) FROM ticklake.trade_rows') == '60000|60000|60000'
    store.good()


def test_days_far_apart(store):
    for day in (18048, 0, -3000, 60000):  # 2019-06-01, 1970, 1961, 2134
        store.run('append', to=500, day=day, writer=f'day{day}')
    names = store.sql("SELECT string_agg(inhrelid::regclass::text, ' ' ORDER BY 1) FROM pg_inherits "
                      "WHERE inhparent = 'ticklake.trade_rows'::regclass")
    assert 'trade_rows_20190601' in names and 'trade_rows_before' in names and 'trade_rows_after' in names
    assert store.number('SELECT count(*) FROM ticklake.trade_rows') == 2000
    store.good()


def test_partitions_made_ahead(store):
    store.run('append', to=10, live=1)
    assert store.number("SELECT count(*) FROM pg_inherits WHERE inhparent = 'ticklake.quote_rows'::regclass "
                        "AND substr(inhrelid::regclass::text, 21) >= to_char(now() AT TIME ZONE 'UTC', 'YYYYMMDD')") == 4


def test_retention_waits_for_the_slot(store):
    far = str(2**62)
    store.run('append', to=3000, day=18000, mixed=1, **PLAIN)
    store.run('append', to=6000, day=18000, mixed=1, span=86400, **PLAIN)
    count = 'SELECT count(*) FROM ticklake.trade_rows'
    before = store.number(count)
    store.run('retain', before=far, writer='other')
    assert store.number(count) == before, 'without a slot nothing goes'
    slot = f'slot_{store.database}'
    store.sql(f"SELECT pg_create_logical_replication_slot('{slot}', 'pgoutput')")
    try:
        store.run('append', to=7000, day=18000, mixed=1, **PLAIN)
        later = store.number(count)
        store.sql(f"SELECT pg_replication_slot_advance('{slot}', pg_current_wal_lsn())")
        store.run('append', to=7100, day=18001, mixed=1, **PLAIN)
        store.run('retain', before=far, writer='other')
        assert store.number(count) > 0, 'what came behind the confirmed position stays'
        store.run('append', to=7200, day=18001, mixed=1, **PLAIN)
        store.sql(f"SELECT pg_replication_slot_advance('{slot}', pg_current_wal_lsn())")
        store.run('retain', before='1', writer='other')
        assert store.number(count) >= later, 'and what is too young'
        store.run('append', to=7201, day=18001, **PLAIN)
        store.sql(f"SELECT pg_replication_slot_advance('{slot}', pg_current_wal_lsn())")
        proofs = sorted(store.run('proofs').splitlines())
        store.run('retain', before=far, writer='other')
        assert store.number(count) < later
        assert sorted(store.run('proofs').splitlines()) == proofs, 'the proofs outlive the rows'
        store.good()
        out = store.run('append', to=9000, day=18000, mixed=1, **PLAIN)  # the owner goes on, the partition is made again
        assert last(out)['duplicates'] == 0
        store.good()
    finally:
        store.sql(f"SELECT pg_drop_replication_slot('{slot}')")


def test_newer_schema_is_refused(store):
    store.run('append', to=10)
    store.sql('UPDATE ticklake.meta SET version = 99')
    done = store.run('append', check=None, to=20)
    assert done.returncode == 78 and 'version 99' in done.stdout and store.database in done.stdout


def test_starts_at_one_moment(store):
    many = [store.start(to=50, batch=10, writer=f'w{i}', series=5 + i) for i in range(6)]
    outs = [p.communicate(timeout=DEADLINE_S)[0] for p in many]
    assert [p.returncode for p in many] == [0] * 6, outs
    assert store.number('SELECT count(*) FROM ticklake.meta') == 1
    store.good()


def test_credentials_and_absence(store, server):
    store.run('append', to=10)
    store.sql("CREATE ROLE clerk LOGIN PASSWORD 'right-horse'")
    hba = server.data / 'pg_hba.conf'
    old = hba.read_text()
    hba.write_text('host all clerk 127.0.0.1/32 scram-sha-256\n' + old)
    server.psql('postgres', 'SELECT pg_reload_conf()')
    try:
        base = f'host=127.0.0.1 port={server.port} dbname={store.database} user=clerk'
        env = {'PGPASSFILE': '/nonexistent', 'PGPASSWORD': ''}
        for url in (base + ' password=wrong-horse', f'postgresql://clerk:wrong-horse@127.0.0.1:{server.port}/{store.database}', base):
            done = store.run('append', check=None, env=env, url=url, to=20)
            assert done.returncode == 77, done.stdout
            assert 'horse' not in done.stdout + done.stderr
            assert f'127.0.0.1:{server.port}/{store.database}' in done.stdout and 'clerk' in done.stdout
        done = store.run('append', check=None, url=base + ' password=right-horse', to=20)
        assert done.returncode == 77 and '42501' in done.stdout and 'grant' in done.stdout
        probe = store.run('probe', check=None, url=base + ' password=right-horse')
        assert probe.returncode == 77 and 'GRANT' in probe.stdout
        store.sql(f'GRANT postgres TO clerk')
        passfile = server.folder / 'pgpass'
        passfile.write_text(f'127.0.0.1:{server.port}:*:clerk:right-horse\n')
        passfile.chmod(0o600)
        store.run('append', env={'PGPASSFILE': str(passfile)}, url=base, to=20)
        services = server.folder / 'services'
        services.write_text(f'[lake]\nhost=127.0.0.1\nport={server.port}\ndbname={store.database}\nuser=postgres\n')
        store.run('append', env={'PGSERVICEFILE': str(services)}, url='service=lake', to=30)
        assert 'wal_level' not in store.run('probe')
    finally:
        hba.write_text(old)
        server.psql('postgres', 'SELECT pg_reload_conf()')
        store.sql('DROP OWNED BY clerk; DROP ROLE clerk')
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        port = s.getsockname()[1]
    done = store.run('append', check=None, url=f'host=127.0.0.1 port={port} dbname=x user=y password=horse', to=20)
    assert done.returncode == 69 and f'127.0.0.1:{port}/x' in done.stdout and 'horse' not in done.stdout
    done = store.run('append', check=None, url=f'host=127.0.0.1 port={server.port} dbname=nowhere user=postgres', to=20)
    assert done.returncode == 78 and 'create the database' in done.stdout
    done = store.run('append', check=None, url='postgresql://u:horse@%zz/x', to=20)
    assert done.returncode == 78 and 'horse' not in done.stdout


def test_an_altered_digit_is_found(store):
    store.run('append', to=3000, mixed=1, **PLAIN)
    store.sql('UPDATE ticklake.trade_rows SET size = size + 0.01 WHERE sequence = (SELECT max(sequence) FROM ticklake.trade_rows)')
    done = store.run('verify', check=None)
    assert done.returncode == 1 and 'bad main 3' in done.stdout


def test_full(store):
    store.run('append', to=20000)
    store.server.psql(store.database, 'SELECT 1')
    done = store.run('append', check=None, to=90000, batch=100, max_mb=1, wait=0)
    assert done.returncode == 70 and 'store.max_mb' in done.stdout


def test_jobs(store, tmp_path):
    for where in ({}, {'path': tmp_path / 'store.db'}):
        first, second = int(store.run('job', **where)), int(store.run('job', **where))
        store.run('job', id=first, **where)
        assert store.run('jobs', **where).splitlines() == [
            f'{second} backfill --venue tiingo -1 running', f'{first} backfill --venue tiingo 0 finished']


def test_numeric_is_exact(store):
    rng = random.Random(11)
    lines = ['0', '-0', '1', '10000', '9999', '0.0001', '0.00010', '123456789012345678', '0.000000000000000001',
             '99999999999999999999.999999999999999999', '-99999999999999999999.999999999999999999', '100000000']
    for _ in range(4000):
        whole, part = rng.randrange(21), rng.randrange(19)
        text = str(rng.randrange(10**whole) if whole else 0)
        if part:
            text += '.' + ''.join(rng.choice('0000123456789') for _ in range(part))
        lines.append(('-' if rng.random() < 0.3 else '') + text)
    assert store.run('numeric', stdin='\n'.join(lines) + '\n') == f'decimals {len(lines)} bad 0\n'
