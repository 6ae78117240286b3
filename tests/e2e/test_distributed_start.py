"""Processes of a deployment that start at the same moment on nothing: each waits for, or makes, what is missing."""
import pytest

from conftest import SAMPLES
from distributed import Deployment, running_stack  # noqa: F401  (a fixture)
from test_live import wait_for


@pytest.fixture
def deployment(tmp_path, running_stack):  # noqa: F811
    d = Deployment(tmp_path, running_stack)
    yield d
    d.close()


def test_all_at_one_moment(deployment):
    """Schema of store and catalog, slot, topics, subjects: whoever comes second finds them."""
    for _ in range(3):
        deployment.start('process,lake')
    deployment.start('bus')
    deployment.run('replay', SAMPLES)
    assert all(p.alive() for p in deployment.processes), [p.words() for p in deployment.processes]
    told = deployment.verify(wait=90)
    assert told['trades'] > 0
    wait_for(lambda: all(p.alive() for p in deployment.processes), 1, 'all run')


def test_stopped_while_joining(deployment):
    """A member that leaves before the group gave it anything: librdkafka before 2.3 ends the process there."""
    deployment.run('replay', SAMPLES / 'tiingo')
    first = deployment.start('bus')
    wait_for(lambda: 'msg=publishing' in first.words(), 60, 'the topics are there')
    steady = deployment.start('process,lake')
    wait_for(lambda: 'partition gained' in steady.words(), 60, 'a worker has the partitions')
    for n in range(6):
        worker = deployment.start('process,lake')
        wait_for(lambda: 'msg=started' in worker.words(), 60, 'it joins')
        worker.stop()
    deployment.verify(wait=90)
