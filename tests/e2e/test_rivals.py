"""PyIceberg appends to our table while we write to it: neither loses a row, and neither's rows pass for the other's."""
import subprocess
import threading
import time

import pyarrow as pa
import pyarrow.compute as pc
import pytest

import conftest

pytest.importorskip('pyiceberg_core', reason='PyIceberg writes into day partitions only with pyiceberg-core')
ROWS = 7  # in each append
APPENDS_LEAST = 5
DEADLINE_S = 120
BUSY = [a for s in ('source.batch_events=128', 'lake.commit_ms=10', 'lake.commit_rows=1000', 'lake.compact_files=2')
        for a in ('--set', s)]


def foreign_rows(template, first):
    """Rows of another venue, so that nothing of ours is meant; in one day of the recording, in the lake's own schema."""
    rows = pa.concat_tables([template.slice(0, 1)] * ROWS)

    def put(rows, name, values):
        i = rows.schema.get_field_index(name)
        return rows.set_column(i, rows.schema.field(i), pa.array(values, rows.schema.field(i).type))

    rows = put(rows, 'venue', ['elsewhere'] * ROWS)
    rows = put(rows, 'trade_id', [f'foreign-{first + i}' for i in range(ROWS)])
    return put(rows, 'sequence', [-1 - first - i for i in range(ROWS)])


class Rival(threading.Thread):
    """Appends again and again until told to end; a lost race is tried anew on a fresh table, as its users do."""

    def __init__(self, lake, template):
        super().__init__(daemon=True)
        self.lake, self.template = lake, template
        self.ended, self.appended, self.races_lost, self.failure = threading.Event(), 0, 0, None

    def append(self):
        from pyiceberg.exceptions import CommitFailedException, ValidationException
        rows = foreign_rows(self.template, self.appended * ROWS)
        deadline = time.monotonic() + DEADLINE_S
        while time.monotonic() < deadline:
            try:
                self.lake.table('trades').append(rows)
                self.appended += 1
                return
            except (CommitFailedException, ValidationException):
                self.races_lost += 1
        raise TimeoutError('the rival never got through')

    def run(self):
        try:
            while not self.ended.is_set() or self.appended < APPENDS_LEAST:
                self.append()
        except Exception as error:
            self.failure = error


@pytest.fixture(scope='module')
def expected(worse, new_ticklake):
    lake = new_ticklake('alone')
    lake.run('replay', worse.path, *BUSY)
    return lake.everything()


def ours_and_foreign(tables):
    """Everything without the other writer's rows, and those."""
    trades = tables['trades']
    mask = pc.equal(trades['venue'], 'elsewhere')
    return {**tables, 'trades': trades.filter(pc.invert(mask)).combine_chunks()}, trades.filter(mask)


def check(lake, expected, appends):
    ours, foreign = ours_and_foreign(lake.everything())
    conftest.assert_same_rows(ours, expected)
    assert sorted(foreign['sequence'].to_pylist()) == list(range(-appends * ROWS, 0))
    told = lake.verify()
    assert told['foreign_rows'] == appends * ROWS
    assert told['trades'] == ours['trades'].num_rows
    count, = lake.duckdb("select count(*) from {trades} where venue = 'elsewhere'")[0]
    assert count == appends * ROWS


def foreign_files(lake):
    return {f['path']: f['rows'] for f in lake.json('files', 'trades') if f['foreign']}


def test_appends_beside_a_running_replay(worse, expected, ticklake):
    ticklake.run('replay', conftest.SAMPLES / 'tiingo/crypto_live.jsonl')
    sample_trades = ticklake.table('trades').scan().to_arrow()
    replay = ticklake.start('replay', worse.path, *BUSY, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    rival = Rival(ticklake, sample_trades)
    rival.start()
    _, told = replay.communicate(timeout=300)
    rival.ended.set()
    rival.join(timeout=DEADLINE_S)
    assert rival.failure is None and not rival.is_alive()
    assert replay.returncode == 0, told
    lake_rows = ticklake.everything()
    ours, foreign = ours_and_foreign(lake_rows)
    assert foreign.num_rows == rival.appended * ROWS
    trades = ours['trades'].filter(pc.equal(ours['trades']['venue'], 'binance'))
    alone = expected['trades']
    for column in set(alone.column_names) - {'sequence'}:  # the sample before it took some numbers
        assert sorted(map(str, trades[column].to_pylist())) == sorted(map(str, alone[column].to_pylist())), column
    told = ticklake.verify()
    assert told['foreign_rows'] == rival.appended * ROWS


def test_foreign_rows_are_kept_apart(worse, expected, ticklake):
    """Between two replays of ours, and through a compaction: counted apart, never merged with ours."""
    ticklake.run('replay', worse.path, *BUSY, '--set', 'lake.compact=false')
    rival = Rival(ticklake, ticklake.table('trades').scan(limit=1).to_arrow())
    for _ in range(APPENDS_LEAST):
        rival.append()
    check(ticklake, expected, APPENDS_LEAST)
    before = foreign_files(ticklake)
    assert sum(before.values()) == APPENDS_LEAST * ROWS
    files = len(ticklake.json('files', 'trades'))
    ticklake.run('compact', '--set', 'lake.compact_files=2')
    assert len(ticklake.json('files', 'trades')) < files
    assert foreign_files(ticklake) == before
    check(ticklake, expected, APPENDS_LEAST)
    # And they stay through what is written after it.
    ticklake.run('replay', conftest.SAMPLES / 'tiingo/crypto_live.jsonl')
    assert foreign_files(ticklake) == before
    assert ticklake.verify()['foreign_rows'] == APPENDS_LEAST * ROWS
