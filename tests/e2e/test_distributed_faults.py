"""Faults of a distributed deployment with 2,000 trades a second flowing: after each, verify over every hop finds nothing, and lake and
ledger are to the trade what the venues say they sent. The longer list is in test_stack_faults.py (`make test-faults`)."""
import re
import signal

import pytest

from distributed import flow, running_stack  # noqa: F401  (fixtures)
from distributed_faults import Cut, Replicas
from test_live import wait_for


def test_nothing_happens(flow):
    f = flow()
    assert f.end()['trades'] > 4000


def test_broker_killed_and_restarted(flow, stack):
    f = flow()
    replicas = Replicas(stack, f)
    stack.kill('kafka', 2)
    try:
        replicas.wait_in_sync(2)
        f.flowing()
    finally:
        stack.start('kafka', 2)
    replicas.wait_in_sync(3)
    f.flowing()
    f.end()
    assert replicas.assert_equal() > 10000


def test_postgres_stopped_at_once(flow, stack):
    f = flow()
    stack.kill('postgres')
    stack.start('postgres')
    f.flowing()
    f.end()


def test_worker_killed(flow):
    f = flow()
    f.shared()
    f.workers[0].kill()
    f.add_worker()
    f.flowing()
    f.shared()
    f.flowing()
    f.end()


@pytest.fixture
def cut():
    made = []

    def make(address):
        made.append(Cut(re.sub(r'^\w+://', '', address)))
        return made[-1]

    yield make
    for c in made:
        c.stop()


def put_of(part):
    return lambda data: data.startswith(b'PUT ') and part in data.split(b'\r\n', 1)[0]


def test_s3_cut_off(flow, cut, running_stack):  # noqa: F811
    """After it applied an upload of data, of a manifest, of metadata; and for some seconds altogether."""
    s3 = cut(running_stack['TICKLAKE_S3__ENDPOINT'])
    f = flow(worker_env={'TICKLAKE_S3__ENDPOINT': f'http://{s3.address}'})
    s3.swallow_next(3, put_of(b'/data/'))
    s3.swallow_next(2, put_of(b'-m0.avro'))
    s3.swallow_next(2, put_of(b'.metadata.json'))
    s3.swallow_next(3, lambda data: data.startswith(b'GET '))
    with s3.down():
        f.flowing_upto('lake', 'trying again')
    f.flowing()
    f.end()


def test_catalog_cut_off_after_its_commit(flow, cut, running_stack):  # noqa: F811
    """The commit is there, its answer is lost: it is found, and nothing is written twice."""
    catalog = cut(running_stack['TICKLAKE_STACK_POSTGRES'])
    f = flow(worker_env=lambda d: {'TICKLAKE_LAKE__CATALOG': d.url.replace(running_stack['TICKLAKE_STACK_POSTGRES'], catalog.address)})
    catalog.swallow_next(4, lambda data: b'COMMIT\0' in data)
    catalog.swallow_next(3, lambda data: b'INSERT INTO ticklake.ticklake_queue' in data)
    f.flowing()
    f.end()


def test_worker_frozen_past_its_session(flow):
    f = flow()
    f.shared()
    frozen, other = f.workers
    gained = other.words().count('partition gained')
    frozen.signal(signal.SIGSTOP)
    wait_for(lambda: other.words().count('partition gained') > gained, 60, 'the other worker takes over')
    f.flowing()
    frozen.signal(signal.SIGCONT)
    wait_for(lambda: 'partition lost' in frozen.words() or 'taken over' in frozen.words(), 60, 'the frozen one sees that it is late')
    f.flowing()
    f.end()


def test_workers_one_three_one(flow):
    f = flow(workers=1)
    f.add_worker()
    f.add_worker()
    f.shared()
    f.flowing()
    for w in f.workers[:2]:
        w.stop()
    f.shared()
    f.flowing()
    f.end()
