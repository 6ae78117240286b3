"""Change data capture against a real PostgreSQL of our own: changes_tail reads slots, other slots and the tables judge it.

A slot with PostgreSQL's own test_decoding is the witness of what was committed in which order.
"""
import contextlib
import glob
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import pytest

from parquet_tools import find_tool

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCHEMA = ROOT / 'sql' / 'postgres' / 'store_schema.sql'
TABLES = 'series trade_rows quote_rows gap_rows dead_rows candle_rows instrument_rows batches'.split()
SECRET = 'hunter2-not-to-be-seen'

# Writes transactions of random size, each with its batch row, as a writer of the store would.
WRITER = """
CREATE SEQUENCE public.numbers;
CREATE PROCEDURE public.write(w text, s int, transactions int, most int) LANGUAGE plpgsql AS $$
DECLARE rows int; base bigint; number bigint;
BEGIN
    SELECT coalesce(max(b.number), 0) INTO number FROM ticklake.batches b WHERE b.writer = w;
    FOR i IN 1..transactions LOOP
        rows := 1 + floor(random() * most);
        number := number + 1;
        SELECT nextval('public.numbers') * 10000000 INTO base;
        INSERT INTO ticklake.trade_rows (day, series, stream, id, key, has_id, side, origin, kind, ordinal, price, size,
            venue_time, received, sequence)
            SELECT '2026-09-01', s, 0, base + g, '', true, g % 3, 0, 0, 0, 61000.25 + g * 0.01, 0.00012 * g,
                1788220800000000000 + base + g, 1788220800500000000 + base + g, base + g FROM generate_series(1, rows) g;
        IF rows % 3 = 0 THEN
            INSERT INTO ticklake.quote_rows (day, series, origin, bid_price, bid_size, ask_price, ask_size, received, sequence)
                VALUES ('2026-09-01', s, 0, 61000.1, 2, NULL, NULL, 1788220800000000000 + base, base + rows + 1);
        END IF;
        INSERT INTO ticklake.batches (writer, number, first_sequence, last_sequence, trades, quotes, gaps, deads, candles,
            instruments, duplicates, received, clock, live, finish, sum, content, proofs)
            VALUES (w, number, base + 1, base + rows, rows, 0, 0, 0, 0, 0, 0, 1, base, true, false, '', '', '');
        COMMIT;
    END LOOP;
END $$;
"""


def find_programs():
    folders = sorted(glob.glob('/usr/lib/postgresql/*/bin'), reverse=True) + [os.path.dirname(shutil.which('initdb') or '/')]
    for folder in folders:
        if all(os.path.exists(f'{folder}/{p}') for p in ('initdb', 'postgres', 'pg_ctl', 'psql')):
            return folder
    pytest.skip('skipped: no PostgreSQL server programs (initdb, postgres)')


class Server:
    """A cluster in a folder of its own; initdb refuses root, so then it belongs to the user postgres."""

    def __init__(self, folder, port):
        self.bin, self.folder, self.port = find_programs(), folder, port
        self.prefix = []
        if os.geteuid() == 0:
            self.prefix = ['setpriv', '--reuid=postgres', '--regid=postgres', '--init-groups']
            shutil.chown(folder, 'postgres')
        self.data = f'{folder}/data'
        self.url = f'postgresql://postgres@127.0.0.1:{port}/postgres'
        self.ctl('initdb', '-D', self.data, '--auth=trust', '--locale=C.UTF-8', '-U', 'postgres', '--no-sync')
        with open(f'{self.data}/postgresql.conf', 'a', encoding='utf-8') as f:
            f.write(f"wal_level=logical\nport={port}\nlisten_addresses='127.0.0.1'\nunix_socket_directories='{folder}'\n"
                    "max_wal_senders=20\nmax_replication_slots=20\nshared_buffers=64MB\n")

    def ctl(self, program, *args, check=True):
        line = [*self.prefix, f'{self.bin}/{program}', *args]
        return subprocess.run(line, check=check, cwd=self.folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=120)

    def start(self):
        self.ctl('pg_ctl', '-D', self.data, '-w', '-l', f'{self.folder}/log', 'start')

    def stop(self, mode):
        self.ctl('pg_ctl', '-D', self.data, '-w', '-m', mode, 'stop', check=False)

    def sql(self, text, check=True, timeout=300, database='postgres'):
        line = [f'{self.bin}/psql', '-X', '-q', '-A', '-t', '-v', 'ON_ERROR_STOP=1', '-h', '127.0.0.1', '-p', str(self.port),
                '-U', 'postgres', '-d', database]
        done = subprocess.run(line, input=text, capture_output=True, text=True, timeout=timeout)
        assert done.returncode == 0 or not check, done.stderr
        return done.stdout.strip()

    def write(self, writer, series, transactions, most):
        line = [f'{self.bin}/psql', '-X', '-q', '-h', '127.0.0.1', '-p', str(self.port), '-U', 'postgres', '-d', 'postgres', '-c',
                f"CALL public.write('{writer}', {series}, {transactions}, {most})"]
        return subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def fresh(self):
        """The empty schema, its publication, no slots."""
        self.sql("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE active;")
        wait(lambda: self.sql("SELECT count(*) FROM pg_replication_slots WHERE active") == '0')
        self.sql("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots;")
        self.sql('DROP PUBLICATION IF EXISTS ticklake; DROP SCHEMA IF EXISTS ticklake CASCADE; '
                 'DROP SCHEMA public CASCADE; CREATE SCHEMA public;')
        schema = SCHEMA.read_text()
        if 'CREATE SCHEMA' not in schema:
            self.sql('CREATE SCHEMA ticklake')
        self.sql(schema)
        for table in ('trade_rows', 'quote_rows', 'dead_rows'):
            self.sql(f'CREATE TABLE ticklake.{table}_rest PARTITION OF ticklake.{table} DEFAULT')
        if 'CREATE PUBLICATION' not in schema:
            names = ', '.join(f'ticklake.{t}' for t in TABLES)
            self.sql(f"CREATE PUBLICATION ticklake FOR TABLE {names} WITH (publish = 'insert', publish_via_partition_root = true)")
        # The rows of these tests have only what is read of them.
        self.sql("""DO $$ DECLARE c record; BEGIN
            FOR c IN SELECT attrelid::regclass AS t, attname FROM pg_attribute JOIN pg_class k ON k.oid = attrelid
                WHERE relnamespace = 'ticklake'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition AND attnotnull
                AND attnum > 0 AND NOT EXISTS (SELECT FROM pg_index WHERE indrelid = attrelid AND indisprimary AND attnum = ANY (indkey))
            LOOP EXECUTE format('ALTER TABLE %s ALTER COLUMN %I DROP NOT NULL', c.t, c.attname); END LOOP;
        END $$""")
        self.sql(WRITER)
        self.sql("INSERT INTO ticklake.series (id, venue, exchange, symbol, venue_symbol) SELECT g, 'v', 'v', 'S' || g, 's' || g "
                 "FROM generate_series(0, 9) g")

    def slot(self, name='ticklake', plugin='pgoutput'):
        self.sql(f"SELECT pg_create_logical_replication_slot('{name}', '{plugin}')")

    def confirmed(self, name='ticklake'):
        return int(self.sql(f"SELECT confirmed_flush_lsn - '0/0' FROM pg_replication_slots WHERE slot_name = '{name}'") or 0)

    def witness(self, name='witness'):
        """(kind, sequence) of trades and quotes in the order of the commits, as PostgreSQL's own plugin prints them."""
        text = self.sql(f"SELECT data FROM pg_logical_slot_peek_changes('{name}', NULL, NULL)")
        found = re.findall(r'^table ticklake\.(trade|quote)_rows\w*: INSERT:.* sequence\[bigint\]:(\d+)', text, re.M)
        return [(kind, int(number)) for kind, number in found]


def wait(what, seconds=30):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if what():
            return
        time.sleep(0.05)
    raise AssertionError('did not come true in time')


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


@pytest.fixture(scope='module')
def cluster():
    folder = tempfile.mkdtemp(prefix='ticklake-pg-')
    os.chmod(folder, 0o755)
    server = Server(folder, free_port())
    server.start()
    yield server
    server.stop('immediate')
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def server(cluster):
    cluster.fresh()
    return cluster


class Tail:
    """A changes_tail at work, and what it printed."""

    def __init__(self, server, *args, url=None):
        self.folder = tempfile.TemporaryDirectory()
        self.out, self.err = (pathlib.Path(self.folder.name, name) for name in ('out', 'err'))
        line = [str(find_tool('changes_tail')), '--url', url or server.url, *map(str, args)]
        with open(self.out, 'wb') as out, open(self.err, 'wb') as err:
            self.process = subprocess.Popen(line, stdout=out, stderr=err)

    def text(self, path=None):
        return (path or self.out).read_text()

    def end(self, code=0, timeout=120):
        try:
            got = self.process.wait(timeout)
        finally:
            if self.process.poll() is None:
                self.process.kill()
        assert got == code, f'exit {got}\n{self.text()[-2000:]}\n{self.text(self.err)[-3000:]}'
        return self

    def stop(self):
        self.process.terminate()
        return self.end()

    @property
    def events(self):
        return [(kind, int(number)) for kind, number in re.findall(r'^(trade|quote) (\d+) ', self.text(), re.M)]

    @property
    def lines(self):
        return re.findall(r'^(?:trade|quote|gap|dead|candle) .*$', self.text(), re.M)

    @property
    def instruments(self):
        return re.findall(r'^instrument .*$', self.text(), re.M)

    @property
    def positions(self):
        return re.findall(r'^batch .* position=(\S+)', self.text(), re.M)

    @property
    def totals(self):
        line = re.findall(r'^totals (.*)$', self.text(), re.M)[-1]
        return {k: v if k == 'sum' else int(v) for k, v in (p.split('=') for p in line.split())}

    @property
    def error(self):
        return ''.join(re.findall(r'^error .*$', self.text(self.err), re.M))


def tail(server, *args, code=0, **kw):
    return Tail(server, *args, **kw).end(code)


def test_order_and_completeness(server):
    """Thousands of transactions of three writers at a time, read while they are written."""
    server.slot()
    server.slot('witness', 'test_decoding')
    reader = Tail(server, '--confirm', '--events', '--batch', 700)
    writers = [server.write(f'w{i}', i, 1200, 5 ** (i + 1)) for i in range(3)]
    for w in writers:
        assert w.wait(300) == 0
    end = int(server.sql("SELECT pg_current_wal_insert_lsn() - '0/0'"))
    wait(lambda: server.confirmed() >= end, 60)  # by idle progress, when all of it was read
    reader.stop()
    wanted = server.witness()
    assert len(wanted) > 70000
    assert reader.events == wanted
    clock = re.findall(r'clock=(\d+)', reader.text())
    assert max(map(int, clock)) == int(server.sql('SELECT max(clock) FROM ticklake.batches'))


def test_restart_at_every_row(server):
    """From each row of each transaction on, exactly the rest comes; and row by row, confirmed, nothing is lost or doubled."""
    server.slot()
    server.slot('witness', 'test_decoding')
    server.sql('CALL public.write(\'a\', 1, 6, 7)')
    server.sql("""BEGIN;
        INSERT INTO ticklake.series (id, venue, exchange, symbol, venue_symbol) VALUES (10, 'v', 'v', 'NEW', 'new');
        INSERT INTO ticklake.trade_rows (day, series, stream, id, key, has_id, side, origin, kind, ordinal, price, size, received,
            sequence) VALUES ('2026-09-01', 10, 0, 0, 'tx-1', true, 1, 0, 0, 0, 1e-18, 999999999999999999, 5, 1),
                             ('2026-09-01', 10, 2, 0, 'n5', false, 0, 0, 0, 2, -12.5, 0, 5, 2);
        INSERT INTO ticklake.gap_rows (sequence, gap_id, series, stream, kind, state, from_id, to_id, rows_recovered,
            candles_revised, cause) VALUES (3, 1, 10, 0, 0, 0, -5, 9, 0, 0, 'id_jump');
        INSERT INTO ticklake.dead_rows (day, stream, reason, position, received, venue, symbol, connection, detail, payload,
            sequence) VALUES ('2026-09-01', -1, 0, -1, 5, 'v', '', 'c', 'd', '\\x0001', 4);
        INSERT INTO ticklake.candle_rows (series, timeframe, open_time, source, digest, fetched, open, high, low, close,
            base_volume, sequence)
            VALUES (10, 1, 60000000000, 'rest', '', 5, 1, 2, 0.5, 1.25, 12345678901234567890.123456789012345678, 5);
        INSERT INTO ticklake.instrument_rows (sequence, venue, symbol, venue_symbol, base, quote, settle, status, inverse, listed)
            VALUES (6, 'v', 'NEW', 'new', 'N', 'E', 'W', 'on', true, 7);
        COMMIT;""")
    server.sql('CALL public.write(\'a\', 1, 3, 5)')
    whole = tail(server, '--events', '--batch', 1, '--quiet-ms', 600)
    lines, total = whole.lines, whole.totals['rows']
    assert 'trade 1 v NEW trade id=1:0:x-1 0.000000000000000001 x 999999999999999999' in whole.text()
    assert 'trade 2 v NEW block_trade id=0:0: -12.5 x 0' in whole.text()
    assert 'volume=12345678901234567890.123456789012345678 trades=-1 source=rest' in whole.text()
    assert 'instrument v NEW status=on contract_size=- listed=7' in whole.text()
    system, first = whole.positions[0].split(',')[0], server.confirmed()
    begins = sorted({int(p.split(',')[1]) for p in whole.positions if not p.endswith(',0')})
    text = server.sql("SELECT data FROM pg_logical_slot_peek_changes('witness', NULL, NULL)")
    sizes = [len(re.findall('^table ticklake', t, re.M)) for t in text.split('BEGIN')[1:]]
    assert sum(sizes) == total and len(sizes) == len(begins) == 10
    places = [(lsn, row) for lsn, size in zip(begins, sizes) for row in range(1, size + 1)]
    for done, (lsn, row) in enumerate(places[:-1], 1):
        rest = tail(server, '--events', '--from', f'{system},{lsn},{row}', '--stop-after', total - done)
        assert rest.totals['rows'] == total - done
        assert rest.lines == lines[len(lines) - len(rest.lines):]
    assert server.confirmed() == first
    got, instruments, position = [], 0, f'{system},{first},0'
    while True:
        part = tail(server, '--events', '--confirm', '--batch', 1, '--from', position, '--stop-after', 1, '--quiet-ms', 1500)
        if part.totals['rows'] == 0:
            break
        got += part.lines
        instruments += len(part.instruments)
        position = part.positions[-1]
    assert got == lines and instruments == 1


def test_server_killed(server):
    """Stopped immediately in mid-stream, twice, while writers write: what was committed came, once."""
    server.slot()
    reader = Tail(server, '--confirm', '--events', '--batch', 500, '--stall-each-ms', 5)
    for _ in range(2):
        seen = len(reader.events)
        writers = [server.write(f'w{i}', i, 3000, 60) for i in range(2)]
        wait(lambda n=seen: active(server) and len(reader.events) > n + 5000, 60)
        server.stop('immediate')
        for w in writers:
            w.wait(60)
        server.start()
        wait(lambda: active(server), 60)
    server.sql("CALL public.write('last', 3, 5, 5)")
    wanted = sorted(int(n) for n in server.sql(
        'SELECT sequence FROM ticklake.trade_rows UNION ALL SELECT sequence FROM ticklake.quote_rows').split())
    wait(lambda: len(reader.events) >= len(wanted), 90)
    reader.stop()
    assert sorted(n for _, n in reader.events) == wanted
    assert reader.totals['connects'] >= 3
    assert 'connection lost' in reader.text(reader.err)


def test_idle_slot_moves(server):
    """Only other tables are written: the slot lets go of their log all the same, and the next start takes that position."""
    server.slot()
    server.sql('CREATE TABLE public.other (t text)')
    reader = Tail(server, '--confirm')
    server.sql("INSERT INTO public.other SELECT repeat('x', 1000) FROM generate_series(1, 20000)")
    end = int(server.sql("SELECT pg_current_wal_insert_lsn() - '0/0'"))
    wait(lambda: server.confirmed() >= end, 40)
    reader.stop()
    again = Tail(server, '--confirm', '--from', reader.positions[-1], '--quiet-ms', 300).end()
    assert again.totals['rows'] == 0


@contextlib.contextmanager
def setting(server, name, value):
    server.sql(f"ALTER SYSTEM SET {name} = '{value}'")
    server.sql('SELECT pg_reload_conf()')
    try:
        yield
    finally:
        server.sql(f'ALTER SYSTEM RESET {name}')
        server.sql('SELECT pg_reload_conf()')


def active(server):
    return server.sql("SELECT active FROM pg_replication_slots WHERE slot_name = 'ticklake'") == 't'


def test_stalled_consumer(server):
    """A consumer that stands still holds up neither the server's checkpoints nor much memory, and loses nothing."""
    server.slot()
    reader = Tail(server, '--confirm', '--events', '--batch', 500, '--buffer', 4 << 20, '--stall-after', 1, '--stall-ms', 8000)
    server.sql("CALL public.write('w', 1, 10, 10)")
    wait(lambda: len(reader.events) > 0)
    server.sql("CALL public.write('w', 1, 30, 10000)")
    wait(lambda: 'buffer full' in reader.text(reader.err))
    wait(lambda: not active(server))
    server.sql('CHECKPOINT', timeout=20)
    wanted = int(server.sql('SELECT (SELECT count(*) FROM ticklake.trade_rows) + (SELECT count(*) FROM ticklake.quote_rows)'))
    assert wanted > 50000
    wait(lambda: len(reader.events) == wanted, 60)
    reader.stop()
    assert len(set(reader.events)) == wanted
    assert reader.totals['max_rss_kb'] < 96 << 10  # 4 MB of buffer; the program under a sanitizer takes 60 MB


def test_stopped_process_frees_the_checkpointer(server):
    """A process that is frozen as a whole: the server lets its walsender go soon, so that an invalidation does not hang."""
    server.slot()
    reader = Tail(server, '--confirm', '--batch', 500)
    wait(lambda: active(server))
    reader.process.send_signal(signal.SIGSTOP)
    try:
        with setting(server, 'max_slot_wal_keep_size', '16MB'):
            server.sql("CALL public.write('w', 1, 40, 10000); SELECT pg_switch_wal();")
            server.sql('CHECKPOINT', timeout=60)
            wait(lambda: not active(server), 60)
    finally:
        reader.process.send_signal(signal.SIGCONT)
    reader.end(79)
    assert 'wal_status lost' in reader.error and 'pg_drop_replication_slot' in reader.error


@pytest.mark.parametrize('size', [300, 30000])
def test_bulk_is_the_stream(server, size):
    """The same backlog in bulk, in several reads, and as a stream."""
    for name in ('ticklake', 'second', 'third'):
        server.slot(name)
    server.sql(f"CALL public.write('w', 1, {max(60000 // size, 6)}, {size * 2})")
    stream = tail(server, '--events', '--quiet-ms', 1500)
    assert stream.totals['bulk_reads'] == 0
    bulk = tail(server, '--slot', 'second', '--events', '--confirm', '--bulk', 20000, '--buffer', 1 << 20,
                '--stop-after', stream.totals['rows'])
    assert bulk.totals['bulk_reads'] >= (2 if size == 300 else 1)
    assert bulk.lines == stream.lines and len(bulk.lines) > 30000
    assert bulk.totals['sum'] == stream.totals['sum']
    # A consumer that confirms nothing gets further all the same, as a stream.
    unconfirmed = tail(server, '--slot', 'third', '--events', '--bulk', 20000, '--stop-after', stream.totals['rows'])
    assert unconfirmed.totals['bulk_reads'] == 1 and unconfirmed.lines == stream.lines
    # In the midst of a transaction, from a position that the slot has not confirmed.
    middle = tail(server, '--events', '--batch', 7777, '--stop-after', 7777)
    rest = tail(server, '--events', '--bulk', 20000, '--from', middle.positions[-1], '--confirm', '--quiet-ms', 1500)
    assert rest.totals['bulk_reads'] >= 1
    assert middle.lines + rest.lines == stream.lines


def test_a_transaction_of_a_million_rows(server):
    """Passes through 8 MB of buffer, cut into batches, with a restart in its midst."""
    server.slot()
    server.sql("""INSERT INTO ticklake.trade_rows (day, series, stream, id, key, has_id, side, origin, kind, ordinal, price, size,
        received, sequence) SELECT '2026-09-01', 1, 0, g, '', true, 1, 0, 0, 0, 5 + g * 0.01, 1, g, g
        FROM generate_series(1, 1000000) g""")
    part = tail(server, '--confirm', '--batch', 5000, '--buffer', 8 << 20, '--stop-after', 400000)
    rest = tail(server, '--confirm', '--batch', 5000, '--buffer', 8 << 20, '--from', part.positions[-1],
                '--stop-after', 1000000 - part.totals['rows'])
    assert part.totals['rows'] >= 400000 and part.totals['rows'] + rest.totals['rows'] == 1000000
    assert re.findall(r'sequences=(\d+)\.\.', rest.text())[0] == str(part.totals['rows'] + 1)
    assert max(part.totals['max_rss_kb'], rest.totals['max_rss_kb']) < 96 << 10


def started_position(server):
    server.slot()
    server.sql("CALL public.write('w', 1, 20, 5)")
    return tail(server, '--confirm', '--stop-after', 20, '--batch', 10).positions[-1]


def test_slot_absent(server):
    position = started_position(server)
    server.sql("SELECT pg_drop_replication_slot('ticklake')")
    done = tail(server, '--from', position, code=79)
    assert 'it is gone' in done.error and 'slot ticklake' in done.error and 'another bus.name' in done.error
    made = tail(server, '--quiet-ms', 300)  # nothing was ever published: it is made
    assert 'slot made' in made.text(made.err) and 'verify' in made.text(made.err)


def test_slot_moved_past(server):
    position = started_position(server)
    server.sql("SELECT pg_replication_slot_advance('ticklake', pg_current_wal_insert_lsn())")
    assert 'somebody else read from it' in tail(server, '--from', position, code=79).error


def test_slot_in_use(server):
    server.slot()
    other = Tail(server, '--confirm')
    wait(lambda: active(server))
    pid = server.sql('SELECT active_pid FROM pg_replication_slots')
    assert f'in use by the process {pid}' in tail(server, '--quiet-ms', 100, code=75).error
    state = tail(server, '--slot-state').text()
    assert f'exists=1 active=1 pid={pid} wal_status=reserved' in state
    other.stop()
    assert 'active=0' in tail(server, '--slot-state').text()
    assert 'exists=0' in tail(server, '--slot-state', '--slot', 'nobody').text()


def test_slot_lost(server):
    position = started_position(server)
    with setting(server, 'max_slot_wal_keep_size', '1MB'):
        server.sql('CALL public.write(\'w\', 1, 10, 20000); SELECT pg_switch_wal(); CHECKPOINT;')
        wait(lambda: server.sql('SELECT wal_status FROM pg_replication_slots') == 'lost')
        assert 'wal_status=lost' in tail(server, '--slot-state').text()
    assert 'max_slot_wal_keep_size' in tail(server, '--from', position, code=79).error


def test_another_cluster_or_an_older_state(server):
    position = started_position(server).split(',')
    other = [str(int(position[0]) + 1), *position[1:]]
    assert 'this is the cluster' in tail(server, '--from', ','.join(other), code=79).error
    ahead = [position[0], str(int(position[1]) + (1 << 40)), '0']
    assert 'older state' in tail(server, '--from', ','.join(ahead), code=79).error


def test_publication(server):
    server.slot()
    assert 'publication nothing' in tail(server, '--publication', 'nothing', code=78).error
    server.sql('ALTER PUBLICATION ticklake SET (publish_via_partition_root = false)')
    assert 'publish_via_partition_root' in tail(server, code=78).error
    server.sql('ALTER PUBLICATION ticklake SET (publish_via_partition_root = true)')
    server.sql('ALTER PUBLICATION ticklake DROP TABLE ticklake.gap_rows')
    assert 'gap_rows' in tail(server, code=78).error


def test_publication_later_than_the_slot(server):
    """PostgreSQL looks at the publication as of the time of each change."""
    server.sql('CREATE TABLE public.other (t int)')
    server.slot()
    server.sql("CALL public.write('w', 1, 1, 5)")
    names = ', '.join(f'ticklake.{t}' for t in TABLES)
    server.sql(f"CREATE PUBLICATION late FOR TABLE {names} WITH (publish = 'insert', publish_via_partition_root = true)")
    done = tail(server, '--publication', 'late', '--quiet-ms', 9000, code=78)
    assert 'made before the publication late' in done.error


def test_columns(server):
    """New columns are passed over, wherever they are; a missing one is another version's store."""
    server.slot()
    server.sql("ALTER TABLE ticklake.trade_rows ADD COLUMN later jsonb DEFAULT '{}'; CALL public.write('w', 1, 5, 5);")
    assert tail(server, '--confirm', '--quiet-ms', 300).totals['events'] >= 5
    server.sql('ALTER TABLE ticklake.trade_rows RENAME COLUMN side TO direction')
    server.sql("INSERT INTO ticklake.trade_rows (day, series, stream, id, key, has_id, direction, origin, kind, ordinal, price, size, "
               "received, sequence) VALUES ('2026-09-01', 1, 0, 1, '', true, 1, 0, 0, 0, 1, 1, 5, 1)")
    done = tail(server, '--quiet-ms', 5000, code=78)
    assert 'trade_rows' in done.error and 'side' in done.error


@pytest.mark.parametrize('change, words', [
    ("99, 0, 0, '', true, 1, 1, 1", 'a series that the store never named'),
    ("1, 3, 0, '', true, 1, 1, 1", 'a code that does not exist'),
    ("1, 0, 0, 'z', true, 1, 1, 1", 'a key that does not fit'),
    ("1, 0, 0, '', true, 1, 1e19, 1", 'more than 18 digits'),
    ("1, 0, 0, '', true, 1, 'NaN', 1", 'more than 18 digits'),
    ("1, 0, 0, '', true, 1, 1, 1e-19", 'more than 18 digits'),
])
def test_rows_that_no_writer_of_ours_wrote(server, change, words):
    server.slot()
    server.sql("INSERT INTO ticklake.trade_rows (series, stream, id, key, has_id, side, price, size, day, origin, kind, ordinal, "
               f"received, sequence) VALUES ({change}, '2026-09-01', 0, 0, 0, 5, 1)")
    done = tail(server, '--quiet-ms', 5000, code=65)
    assert words in done.error and 'behind row 0' in done.error and 'slot ticklake' in done.error


def test_no_server(server):
    url = f'postgresql://postgres:{SECRET}@127.0.0.1:{free_port()}/postgres'
    done = tail(server, '--quiet-ms', 100, url=url, code=69)
    assert '127.0.0.1' in done.error and SECRET not in done.text() + done.text(done.err)


def test_no_database_no_user_no_url(server):
    base = f'postgresql://postgres@127.0.0.1:{server.port}'
    assert 'nowhere' in tail(server, url=f'{base}/nowhere', code=78).error
    assert 'nobody' in tail(server, url=base.replace('postgres@', f'nobody:{SECRET}@') + '/postgres', code=77).error
    done = tail(server, url=f'postgresql://user:{SECRET}@[half/postgres', code=78)
    assert 'store.url' in done.error and SECRET not in done.text(done.err)


def test_least_rights(server):
    """REPLICATION and SELECT on the series and batches are enough; without the first the refusal says so."""
    server.slot()
    server.sql("DROP ROLE IF EXISTS reader; CREATE ROLE reader LOGIN; CALL public.write('w', 1, 5, 5);")
    url = server.url.replace('postgres@', 'reader@')
    refused = tail(server, '--quiet-ms', 300, url=url, code=77)
    assert 'connect as reader' in refused.error
    server.sql('ALTER ROLE reader REPLICATION; GRANT USAGE ON SCHEMA ticklake TO reader; '
               'GRANT SELECT ON ticklake.series, ticklake.batches TO reader')
    assert tail(server, '--quiet-ms', 600, '--confirm', '--bulk', 1, url=url).totals['events'] >= 5
    assert 'exists=1' in tail(server, '--slot-state', url=url).text()
    server.sql('DROP OWNED BY reader; DROP ROLE reader')
