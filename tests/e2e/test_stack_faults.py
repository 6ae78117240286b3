"""The longer list of faults under 2,000 trades a second: `make test-faults` (some 30 minutes). `make test` runs test_distributed_faults.py.

Every process is killed at each of its crash points and at random, every server of the bus is killed or restarted in turn, and Kafka
without ZooKeeper has its turn. TICKLAKE_SEED gives the random ones again.
"""
import os
import random
import signal

import pytest

import stack_tools
from distributed import PARTS, Flow, flow, running_stack  # noqa: F401  (fixtures)
from distributed_faults import Replicas
from test_live import wait_for

if 'TICKLAKE_FAULTS' not in os.environ:
    pytest.skip('the longer list: make test-faults', allow_module_level=True)

SEED = os.environ.get('TICKLAKE_SEED', str(random.randrange(10**9)))
RANDOM_KILLS = int(os.environ.get('TICKLAKE_KILLS', '10'))
CRASH_SECONDS = 120


# --- our processes at their crash points ---

def crash(f, point, start, times=3):
    """Starts it with the point armed, and waits until it has killed itself there."""
    p = start(env={'TICKLAKE_CRASH': f'{point}:{times}'})
    wait_for(lambda: not p.alive(), CRASH_SECONDS, f'{point} is reached{f.tails()}')
    assert p.process.returncode == -signal.SIGKILL, p.words()[-3000:]


def test_source_killed_at_each_crash_point(flow):
    f = flow()
    for point in ('source.before_push', 'store.in_transaction', 'store.before_commit', 'store.after_commit'):
        f.source.kill()
        crash(f, point, f.start_source, times=20)
        f.start_source()
        f.flowing()
    f.end(conserved='counts')


def test_publisher_killed_at_each_crash_point(flow):
    f = flow()
    for point in ('bus.before_commit', 'bus.after_commit'):
        f.bus.kill()
        for times in (1, 5):
            crash(f, point, f.start_bus, times)
        f.start_bus()
        f.flowing()
    f.end()


@pytest.mark.parametrize('points', [('lake.after_data', 'queue.before_insert', 'queue.after_insert', 'fold.before_commit'),
                                    ('lake.after_manifest', 'lake.after_metadata', 'lake.in_cleanup'),
                                    ('compact.after_data', 'compact.before_pointer', 'compact.after_pointer')])
def test_worker_killed_at_each_crash_point(flow, points):
    f = flow(workers=1, lake={'compact_files': 4, 'grace_minutes': 0, 'snapshots_keep': 3, 'metadata_keep': 3})
    for point in points:
        f.workers[-1].kill()
        crash(f, point, f.add_worker, times=2)
        f.add_worker()
        f.flowing()
    f.end()


def test_killed_at_random(flow):
    print(f'TICKLAKE_SEED={SEED}')
    rng, f = random.Random(SEED), flow()
    for _ in range(RANDOM_KILLS):
        f.flowing(trades=rng.randrange(1, 6000))
        which = rng.choice(('source', 'bus', 'worker'))
        if which == 'source':
            f.source.kill()
            f.start_source()
        elif which == 'bus':
            f.bus.kill()
            f.start_bus()
        else:
            rng.choice([w for w in f.workers if w.alive()]).kill()
            f.add_worker()
    f.flowing()
    f.end(conserved='counts')


def test_publisher_stopped_and_killed_in_mid_transaction(flow):
    """Transactions of two seconds, so that a publisher nearly always has one open."""
    f = flow(bus={'transaction_ms': 2000})
    for how in ('kill', 'stop', 'kill'):
        getattr(f.bus, how)()
        f.start_bus()
        f.flowing()
    f.end()


def test_rolling_restart_of_workers(flow):
    f = flow(workers=3)
    f.shared()
    for w in list(f.workers):
        w.stop()
        f.add_worker()
        f.shared()
        f.flowing()
    f.end()


# --- servers ---

def test_two_brokers_killed(flow, stack):
    """Below min.insync.replicas nothing is acknowledged: the publisher waits and says so, and nothing is dropped meanwhile."""
    f = flow()
    replicas = Replicas(stack, f)
    stack.kill('kafka', 1)
    stack.kill('kafka', 2)
    try:
        wait_for(lambda: 'does not acknowledge' in f.bus.words() or 'trying again' in f.bus.words(), 90, 'the publisher says that it waits')
    finally:
        stack.start('kafka', 1)
        stack.start('kafka', 2)
    replicas.wait_in_sync(3)
    f.flowing(seconds=180)
    f.end()
    assert replicas.assert_equal() > 10000


def test_rolling_restart_of_brokers(flow, stack):
    f = flow()
    replicas = Replicas(stack, f)
    for n in (1, 2, 3):
        stack.stop('kafka', n)
        try:
            f.flowing(seconds=180)
        finally:
            stack.start('kafka', n)
        replicas.wait_in_sync(3)
    f.flowing()
    f.end()
    assert replicas.assert_equal() > 10000


@pytest.mark.parametrize('part', ['zookeeper', 'registry', 's3', 'postgres'])
def test_server_killed_and_restarted(flow, stack, part):
    f = flow()
    stack.kill(part)
    stack.start(part)
    f.flowing(seconds=180)
    f.end()


def test_server_frozen(flow, stack):
    """Not gone, but without an answer: each for longer than a request waits."""
    f = flow()
    for part in ('s3', 'postgres', 'registry'):
        with stack.frozen(part):
            f.simulator_ran(12)
        f.flowing(seconds=180)
    f.end()


# --- Kafka without ZooKeeper ---

def test_kraft_broker_killed(tmp_path):
    parts = tuple(p for p in PARTS if p != 'zookeeper')
    with stack_tools.Stack(kraft=True) as stack:
        f = Flow(tmp_path / 'flow', stack.up(*parts).env())
        try:
            replicas = Replicas(stack, f)
            stack.kill('kafka', 2)
            replicas.wait_in_sync(2)
            f.flowing()
            stack.start('kafka', 2)
            replicas.wait_in_sync(3)
            f.flowing()
            f.end()
            assert replicas.assert_equal() > 10000
        finally:
            f.close()
