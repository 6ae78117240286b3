"""Whatever is altered or lost behind the program's back is found and named; what cannot be read is refused and left alone."""
import gzip
import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import conftest
from conftest import Ticklake

SETTINGS = [a for s in ('lake.commit_rows=3000', 'source.batch_events=256', 'lake.compact=false') for a in ('--set', s)]
FLIPS = 12  # a table


@pytest.fixture(scope='module')
def kept(worse, tmp_path_factory):
    """A data folder with everything in it but venue candles, and a copy to go back to: a lake knows its own path."""
    folder = tmp_path_factory.mktemp('damage')
    lake = Ticklake(folder / 'data')
    lake.run('replay', worse.path, *SETTINGS)
    lake.verify()
    close_wal(lake)
    shutil.copytree(lake.data, folder / 'whole')
    return lake


@pytest.fixture
def whole(kept):
    """The folder as it was."""
    shutil.rmtree(kept.data)
    shutil.copytree(kept.data.parent / 'whole', kept.data)
    return kept


def close_wal(lake):
    for name in ('store.db', 'catalog.db'):
        con = sqlite3.connect(lake.data / name)
        con.execute('pragma wal_checkpoint(truncate)')
        con.close()


def change(lake, name, *statement):
    con = sqlite3.connect(lake.data / name)
    with con:
        assert con.execute(*statement).rowcount == 1
    con.close()


def ask(lake, name, sql):
    con = sqlite3.connect(lake.data / name)
    row = con.execute(sql).fetchone()
    con.close()
    return row


def places(lake, check):
    found = [f"{d['place']}: {d['what']}" for d in lake.differences() if d['check'] == check]
    assert found, f'{check} found nothing'
    return '\n'.join(found)


def largest(lake, table):
    return max(lake.json('files', table), key=lambda f: f['rows'])['path']


def rewrite(path, alter):
    """The same file by another writer, with its table altered."""
    rows = alter(pq.read_table(path))
    pq.write_table(rows, path, compression='zstd')


def without_row(rows):
    return pa.concat_tables([rows.slice(0, 3), rows.slice(4)])


def with_value(name, value):
    def alter(rows):
        i = rows.column_names.index(name)
        values = rows[name].to_pylist()
        assert values[5] != value
        values[5] = value
        return rows.set_column(i, rows.schema.field(i), pa.array(values, rows.schema.field(i).type))
    return alter


# --- the store ---

def a_row(lake, table):
    return ask(lake, 'store.db', f'select sequence from {table} order by sequence limit 1 offset 77')[0]


@pytest.mark.parametrize('column', ('price', 'size', 'venue_time', 'received', 'id'))
def test_one_digit_of_a_trade_in_the_store(column, whole):
    sequence = a_row(whole, 'trade_rows')
    change(whole, 'store.db', f'update trade_rows set {column} = {column} + 10 where sequence = ?', (sequence,))
    first, last, batch = ask(whole, 'store.db', 'select first_sequence, last_sequence, batch from batch_rows '
                             f'where {sequence} between first_sequence and last_sequence')
    told = places(whole, 'store_rows')
    assert f'batch {batch} sequences {first} to {last}' in told and 'store.db' in told


@pytest.mark.parametrize('table', ('trade_rows', 'quote_rows', 'gap_rows', 'dead_rows'))
def test_one_row_removed_from_the_store(table, whole):
    sequence = a_row(whole, table)
    change(whole, 'store.db', f'delete from {table} where sequence = ?', (sequence,))
    assert f'row {sequence}' in places(whole, 'store_rows')


def test_one_digit_of_a_quote_in_the_store(whole):
    sequence = a_row(whole, 'quote_rows')
    change(whole, 'store.db', 'update quote_rows set bid_price = bid_price + 1 where sequence = ?', (sequence,))
    assert 'batch' in places(whole, 'store_rows')


def test_a_batch_removed_from_the_store(whole):
    change(whole, 'store.db', 'delete from batch_rows where batch = 5')
    assert whole.differences()


def test_a_gap_removed_from_the_ledger(whole):
    gap, low, high = ask(whole, 'store.db', "select gap_id, from_id, to_id from gaps where state = 'open' limit 1")
    change(whole, 'store.db', 'delete from gap_ledger where gap_id = ?', (gap,))
    told = places(whole, 'ledger')
    assert f'gap {gap} of binance BTC-USDT' in told and f'ids {low} to {high}' in told


def test_a_store_from_before(whole, worse, tmp_path):
    """A copy of the store from earlier than the lake's position: a hole, never a silent gap."""
    close_wal(whole)
    con = sqlite3.connect(whole.data / 'store.db')
    with con:
        last, = con.execute('select first_sequence - 1 from batch_rows order by last_sequence desc limit 1').fetchone()
        for table in ('trade_rows', 'quote_rows', 'gap_rows', 'dead_rows'):
            con.execute(f'delete from {table} where sequence > ?', (last,))
        con.execute('delete from batch_rows where last_sequence > ?', (last,))
    con.close()
    assert 'hole' in places(whole, 'store_lake')
    done = whole.run('replay', worse.path, check=79)
    assert str(last) in done.stderr


# --- the lake ---

@pytest.mark.parametrize('table', ('trades', 'quotes', 'candles', 'gaps', 'dead_letters'))
def test_one_row_removed_from_a_data_file(table, whole):
    path = largest(whole, table)
    rewrite(path, without_row)
    assert path in places(whole, 'lake_files')


@pytest.mark.parametrize('table', ('trades', 'quotes', 'candles', 'gaps', 'dead_letters'))
def test_one_file_deleted(table, whole):
    path = largest(whole, table)
    os.remove(path)
    told = places(whole, 'lake_files')
    assert path in told and ('missing' in told or 'gone' in told)


@pytest.mark.parametrize('table', ('candles', 'gaps'))
def test_a_delete_file_deleted(table, whole):
    path = next(f['path'] for f in whole.json('files', table, '--deletes') if f['delete'])
    os.remove(path)
    assert path in places(whole, 'lake_files')


@pytest.mark.parametrize('table, column, value', [('trades', 'price', '1.5'), ('trades', 'size', '7'), ('trades', 'trade_id', '5'),
                                                  ('quotes', 'bid_size', '9.5'), ('candles', 'high', '99999')])
def test_one_altered_value_in_a_data_file(table, column, value, whole):
    path = largest(whole, table)
    as_type = str if column == 'trade_id' else conftest.decimal.Decimal
    rewrite(path, with_value(column, as_type(value)))
    told = places(whole, 'lake_files')
    assert path in told
    other = told if table != 'candles' else places(whole, 'candles')
    assert re.search(r'binance BTC-USDT (trade|quote|1[sm]) 2024-08-0[89]T', other)


def chunks_of(path):
    """The offsets of all bytes that belong to a column chunk."""
    metadata = pq.read_metadata(path)
    out = []
    for g in range(metadata.num_row_groups):
        for c in range(metadata.num_columns):
            column = metadata.row_group(g).column(c)
            start = column.dictionary_page_offset or column.data_page_offset
            out += range(start, start + column.total_compressed_size)
    return out


def read_or_refused(lake):
    """All rows as PyIceberg reads them; None where it refuses a file aloud."""
    try:
        return lake.everything()
    except (pa.ArrowException, OSError):
        return None


@pytest.mark.parametrize('table', ('trades', 'quotes', 'candles', 'gaps', 'dead_letters'))
def test_one_flipped_bit_in_a_data_file(table, whole):
    """Either it is found and the file named, or no reader gives other rows for it.

    Flipped are bits of the column chunks, which hold the values. What this does not promise: a flip in a field of a page's
    header that ticklake has no use for may pass it and make another reader refuse the file aloud.
    """
    rng = random.Random(table)
    before = whole.everything()
    files = [f['path'] for f in whole.json('files', table, '--deletes')]
    found = 0
    for _ in range(FLIPS):
        path = rng.choice(files)
        data = open(path, 'rb').read()
        at = rng.choice(chunks_of(path))
        with open(path, 'wb') as out:
            out.write(data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1:])
        done = whole.run('verify', '--json', check=None)
        if done.returncode != 0:
            assert done.returncode == 1 and path in done.stdout, done.stdout + done.stderr
            found += 1
        elif rows := read_or_refused(whole):
            conftest.assert_same_rows(rows, before)
        with open(path, 'wb') as out:
            out.write(data)
    assert found
    whole.verify()


@pytest.mark.parametrize('what', ('metadata', 'manifest list', 'manifest'))
def test_lost_metadata(what, whole):
    table = whole.table('trades')
    snapshot = table.current_snapshot()
    path = {'metadata': table.metadata_location, 'manifest list': snapshot.manifest_list,
            'manifest': snapshot.manifests(table.io)[0].manifest_path}[what].removeprefix('file://')
    os.remove(path)
    before = whole.hashes()
    done = whole.run('verify', check=65)
    assert path in done.stderr
    assert whole.hashes() == before


def test_a_gap_deleted_by_another_writer(whole):
    """The ledger of the lake is the ledger of the store, to the row."""
    gap = ask(whole, 'store.db', "select gap_id from gaps where state = 'open' limit 1")[0]
    whole.table('gaps').delete(f'gap_id == {gap}')
    assert f'gap {gap}' in places(whole, 'ledger')


# --- what cannot be opened ---

def overwrite(path, at, data):
    with open(path, 'r+b') as out:
        out.seek(at)
        out.write(data)


@pytest.mark.parametrize('command', ('verify', 'status', 'replay'))
@pytest.mark.parametrize('at', (0, 16, 40))
@pytest.mark.parametrize('name', ('store.db', 'catalog.db'))
def test_damaged_header(name, at, command, whole, worse):
    overwrite(whole.data / name, at, b'\xffDAMAGE\xff')
    before = whole.hashes()
    done = whole.run(command, *([worse.path] if command == 'replay' else []), check=65)
    assert str(whole.data / name) in done.stderr
    assert whole.hashes() == before


@pytest.mark.parametrize('name', ('store.db', 'catalog.db'))
def test_cut_database(name, whole, worse):
    os.truncate(whole.data / name, 6000)
    before = whole.hashes()
    for command in (['verify'], ['status'], ['replay', worse.path]):
        assert str(whole.data / name) in whole.run(*command, check=65).stderr
    assert whole.hashes() == before


@pytest.mark.parametrize('name', ('store.db', 'catalog.db'))
def test_newer_format(name, whole, worse):
    con = sqlite3.connect(whole.data / name)
    con.execute('pragma user_version = 99')
    con.close()
    close_wal(whole)
    before = whole.hashes()
    for command in (['verify'], ['status'], ['replay', worse.path]):
        done = whole.run(*command, check=78)
        assert str(whole.data / name) in done.stderr and '99' in done.stderr
    assert whole.hashes() == before


def test_a_copied_folder_never_writes_into_the_original(whole, worse, tmp_path):
    """The tables of a copy still lie where they lay, so a writer on the copy would write there."""
    copy = Ticklake(tmp_path / 'copy')
    shutil.copytree(whole.data, copy.data)
    before = whole.hashes()
    for command in (['replay', worse.path], ['compact']):
        done = copy.run(*command, check=78)
        assert str(whole.data) in done.stderr and str(copy.data) in done.stderr
    assert whole.hashes() == before


def test_data_folder_in_use(worse, ticklake):
    """The holder replays in real time, which would take minutes; readers are let in."""
    holder = ticklake.start('replay', worse.path, '--speed', '1', stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        while not (ticklake.data / 'store.db').exists() or not (ticklake.data / 'catalog.db').exists():
            assert holder.poll() is None
        for command in (['replay', worse.path], ['compact']):
            done = ticklake.run(*command, check=75)
            assert f'process {holder.pid} (ticklake replay)' in done.stderr
        assert ticklake.json('status')['running']
        assert str(holder.pid) in ticklake.json('status')['holder']
        ticklake.verify()
    finally:
        holder.send_signal(signal.SIGINT)
        _, told = holder.communicate(timeout=60)
    assert holder.returncode == 130 and 'run the same command again' in told
    ticklake.verify()
    assert not ticklake.json('status')['running']


# --- wrong settings ---

WRONG = '''version: 1
lake:
  comit_ms: 5
  commit_rows: many
  compact_files: 1
sorce:
  batch_ms: 5
log:
  level: loud
venues:
  - name: binence
    symbols: [BTC-USDT]
  - name: tiingo
    symbls: ["*"]
    token: ${NO_SUCH_VARIABLE_OF_THIS_TEST}
'''


def test_wrong_settings_all_at_once(ticklake, tmp_path):
    path = tmp_path / 'wrong.yaml'
    path.write_text(WRONG)
    done = ticklake.run('validate', '--config', path, '--set', 'lake.gone=1', '--set', 'source.batch_ms=soon', check=78,
                        env={'TICKLAKE_STORE__MAX_MB': '-1', 'TICKLAKE_LAKE__COMPAKT': 'true'})
    for words in (f'{path}:3:3: unknown key lake.comit_ms; did you mean lake.commit_ms?',
                  f'{path}:4:16: lake.commit_rows: expected a whole number from 1000 to 50000000, got "many"',
                  f'{path}:5:18: lake.compact_files: expected 2 to 1000, got 1',
                  f'{path}:7:3: unknown key sorce.batch_ms; did you mean source.batch_ms?',
                  f'{path}:9:10: log.level: expected one of: debug info warn error; got "loud"',
                  f'{path}:14:', 'symbols', 'NO_SUCH_VARIABLE_OF_THIS_TEST',
                  '--set: unknown key lake.gone', '--set: source.batch_ms: expected a whole number',
                  'TICKLAKE_STORE__MAX_MB: store.max_mb: expected 0 to', 'TICKLAKE_LAKE__COMPAKT: unknown key lake.compakt',
                  'did you mean lake.compact?'):
        assert words in done.stderr
    assert not ticklake.data.exists()


def test_an_unknown_venue(ticklake, tmp_path):
    path = tmp_path / 'venue.yaml'
    path.write_text('venues:\n  - name: binence\n    symbols: [BTC-USDT]\n')
    assert 'binence' in ticklake.run('validate', '--offline', '--config', path, check=78).stdout
    assert 'binence' in ticklake.run('run', '--config', path, check=78).stderr


@pytest.mark.parametrize('text, words', [('version: 99\n', 'newer'), ('a: [', 'not YAML'), ('- a\n', 'expected'),
                                         ('\x00\x01', 'not YAML'), ('lake: {commit_ms: {a: 1}}\n', 'commit_ms')])
def test_settings_that_are_none(text, words, ticklake, tmp_path):
    path = tmp_path / 'odd.yaml'
    path.write_text(text)
    done = ticklake.run('status', '--config', path, check=78)
    assert words in done.stderr and str(path) in done.stderr


def test_no_settings_file(ticklake, tmp_path):
    assert 'no such file' in ticklake.run('status', '--config', tmp_path / 'none.yaml', check=78).stderr


# --- recordings ---

@pytest.mark.parametrize('content', (b'hello world\n', bytes(range(256)) * 20, b'', b'{}', b'[]', b'\x1f\x8b\x08', b'PK\x03\x04'))
def test_unknown_recording(content, ticklake, tmp_path):
    path = tmp_path / 'unknown'
    path.write_bytes(content)
    done = ticklake.run('replay', path, check=65)
    assert str(path) in done.stderr


def lines_of(recordings, count):
    with gzip.open(recordings / 'hftbacktest/binance-spot/btcusdt_20240808.gz', 'rb') as file:
        return [file.readline() for _ in range(count)]


def trades_in(lines):
    return sum(b'"e":"trade"' in line for line in lines)


def test_recording_cut_in_mid_line(recordings, ticklake, tmp_path):
    lines = lines_of(recordings, 3000)
    path = tmp_path / 'cut.txt'
    path.write_bytes(b''.join(lines)[:-60])
    done = ticklake.run('replay', path, '--json', check=65)
    assert f'{path}: line 3000: the file ends in mid-line' in done.stderr
    rows = ticklake.rows('trades', ('trade_id',))
    assert len(rows) == trades_in(lines[:-1]) > 0
    assert [bytes(d['payload']) for d in ticklake.rows('dead_letters')] == [lines[-1][:-60]]
    ticklake.verify()
    # And when the whole file is there, what was missing comes in, and nothing twice.
    whole = tmp_path / 'whole.txt'
    whole.write_bytes(b''.join(lines))
    ticklake.run('replay', whole)
    assert len(ticklake.rows('trades', ('trade_id',))) == trades_in(lines)
    ticklake.verify()


@pytest.mark.parametrize('suffix', ('gz', 'zst'))
def test_cut_packed_recording(suffix, recordings, ticklake, tmp_path):
    import zstandard
    lines = lines_of(recordings, 3000)
    data = b''.join(lines)
    packed = gzip.compress(data) if suffix == 'gz' else zstandard.compress(data)
    path = tmp_path / f'cut.txt.{suffix}'
    path.write_bytes(packed[:len(packed) * 2 // 3])
    done = ticklake.run('replay', path, check=65)
    assert str(path) in done.stderr and 'cut' in done.stderr
    count = len(ticklake.rows('trades', ('trade_id',)))
    assert trades_in(lines[:1000]) < count < trades_in(lines)
    ticklake.verify()


def test_damaged_lines_lose_nothing_else(recordings, ticklake, tmp_path):
    lines = lines_of(recordings, 3000)
    bad = [b'\x00' * 70, b'nonsense', b'1723161253937085768', b'99999999999999999999 {"data":{}}', b'1723161253937085768 {"a":',
           b'\xff\xfe\xfd', b'1723161253937085768 ' + b'[' * 5000, b'{' * 300, b'x' * 300_000]
    mixed = list(lines)
    for i, line in enumerate(bad):
        mixed.insert(300 * (i + 1), line + b'\n')
    path = tmp_path / 'mixed.txt'
    path.write_bytes(b''.join(mixed))
    done = ticklake.run('replay', path, '--json', check=None)
    assert done.returncode in (0, 65), done.stderr
    assert len(ticklake.rows('trades', ('trade_id',))) == trades_in(lines)
    dead = ticklake.rows('dead_letters')
    assert len(dead) == len(bad)
    ticklake.verify()
