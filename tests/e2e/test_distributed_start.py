"""Processes of a deployment that start at the same moment on nothing: each waits for, or makes, what is missing."""
import pytest

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
    from conftest import SAMPLES
    deployment.run('replay', SAMPLES)
    assert all(p.alive() for p in deployment.processes), [p.words() for p in deployment.processes]
    told = deployment.verify(wait=90)
    assert told['trades'] > 0
    wait_for(lambda: all(p.alive() for p in deployment.processes), 1, 'all run')
