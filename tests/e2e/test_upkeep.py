"""Hundreds of small commits: joined without a row changing, nothing left over on the disk, metadata bounded."""
import pathlib
import sqlite3

import pytest

import conftest
from conftest import TABLES

COMMITS_LEAST = 20
METADATA_KEEP = 5
SNAPSHOTS_KEEP = 8
MANY = [a for s in ('source.batch_events=128', 'lake.commit_ms=10', 'lake.commit_rows=1000', f'lake.snapshots_keep={SNAPSHOTS_KEEP}',
                    f'lake.metadata_keep={METADATA_KEEP}') for a in ('--set', s)]


def on_disk(lake):
    return {p for p in (lake.data / 'lake').rglob('*') if p.is_file() and p.name != 'version-hint.text'}


def local(location):
    assert location.startswith('file:///')
    return pathlib.Path(location.removeprefix('file://'))


def referenced(lake):
    """Every file that the newest metadata of a table leads to, through all of its snapshots, as PyIceberg reads it."""
    out = set()
    for name in TABLES:
        table = lake.table(name)
        out.add(local(table.metadata_location))
        out |= {local(entry.metadata_file) for entry in table.metadata.metadata_log}
        for snapshot in table.metadata.snapshots:
            out.add(local(snapshot.manifest_list))
            for manifest in snapshot.manifests(table.io):
                out.add(local(manifest.manifest_path))
                out |= {local(e.data_file.file_path) for e in manifest.fetch_manifest_entry(table.io, discard_deleted=True)}
    return out


def garbage(lake):
    con = sqlite3.connect(lake.data / 'catalog.db')
    rows = con.execute('select location from ticklake_garbage').fetchall()
    con.close()
    return {local(location) for location, in rows}


def no_orphans(lake):
    files, known, waiting = on_disk(lake), referenced(lake), garbage(lake)
    assert files - known - waiting == set(), 'on the disk, but nobody knows of it'
    assert known - files == set(), 'in the metadata, but not on the disk'


def duckdb_everything(lake):
    """Of each table the number of rows and the sum of their hashes, by DuckDB."""
    return lake.duckdb(' union all '.join(f"select '{t}', count(*), sum(hash(r)) from {{{t}}} as r" for t in TABLES))


@pytest.fixture
def many(worse, ticklake):
    """A lake of many small files, and deletes that are not applied yet."""
    told = ticklake.json('replay', worse.path, *MANY, '--set', 'lake.compact=false', '--set', 'process.revise_ms=0')
    assert told['commits'] >= COMMITS_LEAST
    return ticklake


def counts(lake, table):
    files = lake.json('files', table, '--deletes')
    return sum(not f['delete'] for f in files), sum(f['delete'] for f in files)


def test_compaction_changes_no_row(many):
    before, by_duckdb = many.everything(), duckdb_everything(many)
    files = before_files = {t: counts(many, t) for t in TABLES}
    assert files['trades'][0] >= COMMITS_LEAST and files['candles'][1] > 0
    listing = on_disk(many)
    many.run('compact', '--dry-run', '--set', 'lake.compact_files=2')
    assert on_disk(many) == listing, 'a dry run wrote something'
    for _ in range(20):
        many.run('compact', '--set', 'lake.compact_files=2')
        now = {t: counts(many, t) for t in TABLES}
        if now == files:
            break
        files = now
    else:
        pytest.fail('compaction never comes to rest')
    # Only neighbours of one size class are joined, so a few of different sizes stay; all deletes are applied.
    for table, (data, deletes) in files.items():
        assert data <= max(2, before_files[table][0] // 3) and deletes == 0, f'{table}: {data} data, {deletes} delete files'
    conftest.assert_same_rows(many.everything(), before)
    assert sorted(duckdb_everything(many)) == sorted(by_duckdb)
    many.verify()
    no_orphans(many)


def test_metadata_is_bounded(worse, ticklake):
    told = ticklake.json('replay', worse.path, *MANY, '--set', 'lake.grace_minutes=0')
    assert told['commits'] >= COMMITS_LEAST
    for name in TABLES:
        table = ticklake.table(name)
        assert len(table.metadata.snapshots) <= SNAPSHOTS_KEEP
        assert len(table.metadata.metadata_log) <= METADATA_KEEP
        folder = ticklake.data / 'lake/market' / name / 'metadata'
        assert len(list(folder.glob('*.metadata.json'))) <= METADATA_KEEP + 1
    no_orphans(ticklake)


def test_removed_files_wait_for_their_readers_and_then_go(many):
    """A reader of the old snapshot still finds its files until the grace is over; then they are gone from the disk."""
    old = many.table('trades')
    rows = old.scan().to_arrow().num_rows
    many.run('compact', '--set', 'lake.compact_files=2')
    assert old.scan().to_arrow().num_rows == rows
    assert garbage(many)
    short = ['--set', 'lake.compact_files=2', '--set', 'lake.grace_minutes=0', '--set', 'lake.snapshots_keep=1',
             '--set', 'lake.metadata_keep=1']
    before = len(on_disk(many))
    many.run('replay', conftest.SAMPLES / 'binance', *short)
    many.run('compact', *short)
    assert len(on_disk(many)) < before / 2
    no_orphans(many)
    many.verify()


def test_left_over_files_of_a_crash_are_removed(worse, ticklake):
    """A commit that never happened leaves files behind; the next start removes them."""
    done = ticklake.run('replay', worse.path, *MANY, check=None, env={'TICKLAKE_CRASH': 'lake.before_pointer:9'})
    assert done.returncode == -9
    assert on_disk(ticklake) - referenced(ticklake) - garbage(ticklake), 'the crash left nothing: this shows nothing'
    ticklake.run('replay', worse.path, *MANY)
    no_orphans(ticklake)
    ticklake.verify()


def test_one_revision_of_rows_in_many_files(tmp_path):
    """Position deletes over many data files in one delete file: PyIceberg once could not scan such a table at all."""
    import gzip

    import conftest
    lines = gzip.open(next((conftest.SAMPLES / 'binance').glob('*.gz')), 'rt').read().splitlines(True)
    trades = [i for i, line in enumerate(lines) if '@trade"' in line]
    moved = set(trades[200:-1200:60])  # forty of them come at the end, in one piece
    recording = tmp_path / 'late.txt'
    recording.write_text(''.join([line for i, line in enumerate(lines) if i not in moved] +
                                 [lines[-1][:19] + lines[i][19:] for i in sorted(moved)]))
    lake = conftest.Ticklake(tmp_path / 'data')
    told = lake.json('replay', recording, '--venue', 'binance', '--set', 'lake.commit_ms=10', '--set', 'source.batch_events=64',
                     '--set', 'process.revise_ms=3600000', '--set', 'lake.compact=false')
    assert told['revisions'] >= len(moved)
    deletes = [f for f in lake.json('files', 'candles', '--deletes') if f['delete']]
    assert max(f['rows'] for f in deletes) >= len(moved)
    rows = lake.rows('candles')
    keys = {(r['symbol'], r['timeframe'], r['open_time']) for r in rows}
    assert len(rows) == len(keys) and sum(r['revision'] for r in rows) >= len(moved)
    lake.verify()
