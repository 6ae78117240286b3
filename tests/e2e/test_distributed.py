"""Venues to lake over PostgreSQL, Kafka and S3: the same rows as embedded, read back by other people's readers."""
import pytest

from conftest import LEFT_OUT, SAMPLES, TABLES, Ticklake
from distributed import Deployment, running_stack  # noqa: F401  (a fixture)

# The order inside one store is the store's own: a sequence in SQLite, an offset in a topic.
DISTRIBUTED_LEFT_OUT = {**LEFT_OUT, **{name: {'sequence'} for name in ('trades', 'quotes', 'dead_letters')}}


@pytest.fixture
def deployment(tmp_path, running_stack):  # noqa: F811
    d = Deployment(tmp_path, running_stack)
    yield d
    d.close()


def embedded(folder, *paths):
    lake = Ticklake(folder / 'embedded')
    lake.run('replay', *paths)
    lake.verify()
    return lake


def assert_same(ours, expected):
    for name in TABLES:
        assert ours[name].column_names == expected[name].column_names
        assert ours[name].num_rows == expected[name].num_rows, f'{name}: number of rows'
        for column in ours[name].column_names:
            assert ours[name][column].equals(expected[name][column]), f'{name}.{column}'


def test_the_samples_give_the_same_lake_as_embedded(tmp_path, deployment):
    lake = embedded(tmp_path, SAMPLES)
    deployment.run('replay', SAMPLES)
    deployment.start('bus')
    deployment.start('process,lake')
    told = deployment.verify()
    expected = lake.everything()
    for name, left_out in DISTRIBUTED_LEFT_OUT.items():
        expected[name] = expected[name].drop_columns([c for c in left_out if c in expected[name].column_names])
        expected[name] = expected[name].sort_by([(c, 'ascending') for c in expected[name].column_names]).combine_chunks()
    assert told['trades'] == expected['trades'].num_rows
    assert_same(deployment.everything(DISTRIBUTED_LEFT_OUT), expected)
