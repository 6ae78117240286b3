"""Killed at any instant, and run again: the lake is row for row the one of a run that nobody disturbed.

Left out of the comparison: candles.updated_at. Everything else is compared, sequence, received times and revisions included.
The instants are drawn from TICKLAKE_SEED (printed), else from the clock.
"""
import collections
import json
import os
import random
import signal
import subprocess
import time

import pytest

import conftest
import derived
import recompute

RANDOM_KILLS = 20
# Many small batches and commits, revisions at every turn, compaction and cleanup as soon as there is anything to do.
BUSY = [a for setting in ('source.batch_events=128', 'lake.commit_ms=10', 'lake.commit_rows=1000', 'process.revise_ms=0',
                          'lake.compact_files=2', 'lake.snapshots_keep=2', 'lake.metadata_keep=2', 'lake.grace_minutes=0')
        for a in ('--set', setting)]
OTHER_COUNT = {'source': 50, 'store': 50, 'process': 50, 'lake': 10, 'compact': 3}
SEED = int(os.environ.get('TICKLAKE_SEED') or time.time_ns() % 10**9)


def crash_points():
    done = subprocess.run([conftest.BINARY, 'version', '--json'], capture_output=True, text=True)
    points = json.loads(done.stdout)['crash_points']
    return [p for p in points if p.split('.')[0] in OTHER_COUNT]  # the others are of several processes: test_lake_postgres.py


def pytest_generate_tests(metafunc):
    if 'point' in metafunc.fixturenames:
        metafunc.parametrize('point', crash_points())


@pytest.fixture(scope='module')
def undisturbed(worse, new_ticklake):
    """(everything in the lake, what the replay told), after a busy run that nobody disturbed."""
    lake = new_ticklake('undisturbed')
    told = lake.json('replay', worse.path, *BUSY)
    lake.verify()
    return lake.everything(), told


def finish(lake, path):
    """The same replay again, until it is done."""
    lake.run('replay', path, *BUSY)


def check(lake, undisturbed):
    conftest.assert_same_rows(lake.everything(), undisturbed[0])
    told = lake.verify()
    assert told['durable'] == told['committed'] == undisturbed[1]['committed']


def test_the_undisturbed_run_is_right(worse, undisturbed, new_ticklake):
    """So that the runs below are not merely equally wrong."""
    tables, told = undisturbed
    trades = tables['trades'].to_pylist()
    assert len(trades) == len(worse.trades) == told['trades']
    assert {int(t['trade_id']): (t['price'], t['size'], t['side'], t['venue_time_ns'] // 10**6) for t in trades} == worse.trades
    gaps = tables['gaps'].to_pylist()
    still_open = [g for g in gaps if g['state'] == 'open']
    assert sorted((g['from_id'], g['to_id']) for g in still_open) == derived.missing_ranges(worse.missing)
    assert sum(g['missing_count'] for g in still_open) == len(worse.missing)
    assert any(g['state'] == 'repaired' for g in gaps)
    dead = collections.defaultdict(list)
    for d in sorted(tables['dead_letters'].to_pylist(), key=lambda d: d['sequence']):
        dead[d['reason']].append(d['payload'].decode())
    assert {k: sorted(v) for k, v in dead.items()} == {k: sorted(v) for k, v in worse.dead.items()}
    assert told['duplicates'] == worse.duplicates + len(worse.dead['conflict'])  # dropped both; these are also dead letters
    rows = tables['candles'].to_pylist()
    assert recompute.candles_of_lake(rows) == recompute.candles(trades, gaps)
    assert any(r['revision'] > 0 for r in rows) and any(not r['complete'] for r in rows) and any(r['complete'] for r in rows)
    # One batch and one commit, or hundreds: the same rows.
    plain = new_ticklake('plain')
    plain.run('replay', worse.path)
    conftest.assert_same_rows(plain.everything(), tables)
    plain.verify()


@pytest.mark.parametrize('trial', range(RANDOM_KILLS))
def test_killed_at_a_random_instant(trial, worse, undisturbed, tmp_path):
    rng = random.Random(f'{SEED} {trial}')
    print(f'TICKLAKE_SEED={SEED}')
    for attempt in range(20):
        lake = conftest.Ticklake(tmp_path / f'data{attempt}')
        run = lake.start('replay', worse.path, *BUSY, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            run.wait(timeout=rng.uniform(0, undisturbed[1]['milliseconds'] / 1000))
        except subprocess.TimeoutExpired:
            run.kill()
            if run.wait() == -signal.SIGKILL:
                break
    else:
        pytest.fail('it was always done before it could be killed')
    finish(lake, worse.path)
    check(lake, undisturbed)


def crash(lake, path, spec):
    return lake.run('replay', path, *BUSY, check=None, env={'TICKLAKE_CRASH': spec}).returncode


@pytest.mark.parametrize('time', ('first', 'later'))
def test_killed_at_each_point(point, time, worse, undisturbed, ticklake):
    count = 1 if time == 'first' else OTHER_COUNT[point.split('.')[0]]
    assert crash(ticklake, worse.path, f'{point}:{count}') == -signal.SIGKILL, f'{point} was not reached {count} times'
    if time == 'later':  # and once more on the way back
        assert crash(ticklake, worse.path, f'{point}:1') == -signal.SIGKILL, f'{point} was not reached again'
    finish(ticklake, worse.path)
    check(ticklake, undisturbed)


def test_killed_again_and_again(worse, undisturbed, ticklake):
    """Every point in turn on one data folder, each time a bit further."""
    killed = 0
    for point in crash_points() * 2:
        killed += crash(ticklake, worse.path, f'{point}:2') == -signal.SIGKILL
    assert killed >= len(crash_points())
    finish(ticklake, worse.path)
    check(ticklake, undisturbed)


def test_an_unknown_crash_point_is_refused(worse, ticklake):
    """A test must not pass by a slip of the pen."""
    done = ticklake.run('replay', worse.path, check=64, env={'TICKLAKE_CRASH': 'lake.no_such_point:1'})
    assert 'lake.before_pointer' in done.stderr
