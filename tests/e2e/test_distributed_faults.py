"""Faults of a distributed deployment with 2,000 trades a second flowing: after each, verify over every hop finds nothing, and lake and
ledger are to the trade what the venues say they sent. The longer list is in test_stack_faults.py (`make test-faults`)."""
import pytest

from distributed import Flow, running_stack  # noqa: F401  (a fixture)
from distributed_faults import Replicas


@pytest.fixture
def flow(tmp_path, running_stack):  # noqa: F811
    made = []

    def make(**kw):
        made.append(Flow(tmp_path / f'flow{len(made)}', running_stack, **kw))
        return made[-1]

    yield make
    for f in made:
        f.close()


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
    f.workers[0].kill()
    f.flowing()
    f.add_worker()
    f.flowing()
    f.end()
