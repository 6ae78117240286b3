"""The DAGs under a real Airflow scheduler, against a deployment on the stack."""
import datetime
import json
import time

import pytest

from airflow_tools import RUN_SECONDS, Airflow, in_airflow, wrapped_binary
from conftest import BINARY, SAMPLES
from distributed import Deployment, PARTS
from stack_tools import wait_until
from test_live import Simulator
from test_spark import SUBMIT_OPTIONS, assert_same_candles, candles_of_lake

pytestmark = pytest.mark.timeout(2000)
DAGS = {'tiingo_to_postgres', 'lake_upkeep', 'rebuild_candles', 'verify_daily'}
FAILING = 'BTC-USD'  # of the first interval
SECRET = 'tiingo-token-of-this-test'


def test_the_dags_are_read_without_errors(tmp_path):
    code = '''
import json
from airflow.dag_processing.dagbag import DagBag
from airflow.configuration import conf
bag = DagBag(conf.get('core', 'dags_folder'))
print(json.dumps({'errors': bag.import_errors, 'dags': {k: sorted(t.task_id for t in d.tasks) for k, d in bag.dags.items()}}))
'''
    told = json.loads(in_airflow(tmp_path, code).splitlines()[-1])
    assert told['errors'] == {}
    assert told['dags'].keys() == DAGS
    assert told['dags']['tiingo_to_postgres'] == ['bars', 'metadata', 'of_all', 'symbols']
    assert 'lake_is_fresh' in told['dags']['verify_daily']


def test_exit_codes_decide_whether_it_is_tried_again(tmp_path):
    code = '''
import json
from airflow.exceptions import AirflowException, AirflowFailException
import ticklake_verbs
told = {}
for code in (0, 1, 64, 65, 69, 70, 74, 75, 77, 78, 79, 130, -9):
    try:
        ticklake_verbs.raise_by_code('ticklake x', code, {'differences': ['d']})
        told[code] = 'good'
    except AirflowFailException:
        told[code] = 'final'
    except AirflowException:
        told[code] = 'again'
print(json.dumps([told, ticklake_verbs.result_of('words\\n{"rows": 3}\\n'), ticklake_verbs.result_of('words')]))
'''
    told, result, words = json.loads(in_airflow(tmp_path, code).splitlines()[-1])
    assert {int(k) for k, v in told.items() if v == 'again'} == {69, 74, 75, 130, -9}
    assert {int(k) for k, v in told.items() if v == 'final'} == {1, 64, 65, 70, 77, 78, 79}
    assert result == {'rows': 3} and words == 'words'


def test_freshness_is_the_age_of_the_newest_rows(tmp_path, ticklake):
    """The sensor by the program's own word, here on a folder: rows of now, older ones, files rewritten since, no lake, no program."""
    code = f'''
import json, os
import ticklake_verbs
from airflow.exceptions import AirflowFailException
env = dict(os.environ, TICKLAKE_BINARY={str(BINARY)!r}, TICKLAKE_DATA={str(ticklake.data)!r})
ticklake_verbs.environment = lambda: env
def poke(age_s, **more):
    env.update(more)
    try:
        return ticklake_verbs.LakeIsFresh(task_id='x').poke({{'params': {{'max_age_s': age_s}}}})
    except AirflowFailException as error:
        return str(error)
told = [poke(900), poke(1), poke(900, TICKLAKE_DATA='/nowhere'), poke(900, TICKLAKE_BINARY='/no/ticklake')]
print(json.dumps(told))
'''
    many = ('--set', 'source.batch_events=64', '--set', 'lake.commit_ms=10', '--set', 'lake.commit_rows=1000', '--set',
            'lake.compact=false')
    ticklake.run('replay', SAMPLES, *many)
    status = ticklake.json('status')['lake']
    assert 0 <= status['newest_commit_age_ms'] < 300_000
    committed = status['newest_commit_ms']
    wait_until(lambda: time.time() * 1000 > committed + 2000, 60, 'the rows are two seconds old')
    ticklake.run('compact', '--set', 'lake.compact_files=2')
    tables = ticklake.json('status')['lake']
    assert tables['newest_commit_ms'] == committed and max(t['committed_ms'] or 0 for t in tables['tables']) > committed
    fresh, old, nowhere, missing = json.loads(in_airflow(tmp_path, code).splitlines()[-1])
    assert fresh is True and old is False
    assert nowhere is False or 'exit' in nowhere
    assert '/no/ticklake' in missing


def interval(days_ago):
    today = datetime.datetime.now(datetime.timezone.utc).replace(hour=0, minute=0, second=0, microsecond=0)
    return today - datetime.timedelta(days=days_ago)


def time_text(at):
    return at.strftime('%Y-%m-%dT%H:%M:%SZ')


@pytest.fixture(scope='module')
def world(stack, tmp_path_factory):
    """A deployment with the samples in its lake, Tiingo as the simulator gives it, and an Airflow that knows of both."""
    folder = tmp_path_factory.mktemp('airflow')
    environment = stack.up(*PARTS, 'spark', 'airflow').env()
    deployment = Deployment(folder / 'deployment', environment)
    simulator = Simulator(folder / 'simulator', '--venues', 'tiingo', '--symbols', '2', '--rate', '1', '--token', SECRET, '--past', '2000',
                          '--past-from', time_text(interval(3)), '--past-to', time_text(interval(0)))
    try:
        deployment.run('replay', SAMPLES)
        bus = deployment.start('bus')
        deployment.start('process,lake')
        wait_until(lambda: 'msg=publishing' in bus.words(), 60, 'the topics are there')
        deployment.verify()
        airflow = Airflow(stack)
        binary = wrapped_binary(folder, f'{FAILING} --from {time_text(interval(3))}', 2)
        settings = {k: v for k, v in deployment.env.items() if k.startswith('TICKLAKE_') and 'URL' not in k.replace('REGISTRY__URL', '')
                    and 'STACK' not in k and 'CATALOG' not in k and 'SECRET' not in k}
        settings |= {'TICKLAKE_BINARY': str(binary), 'TICKLAKE_SPARK_OPTIONS': ' '.join(SUBMIT_OPTIONS),
                     'TICKLAKE_VENUES__TIINGO__REST_URL': f'http://127.0.0.1:{simulator.port}/tiingo'}
        airflow.variable('ticklake_environment', settings)
        airflow.postgres_connection('ticklake_store', deployment.url)
        airflow.postgres_connection('ticklake_catalog', deployment.url)
        airflow.secret_connection('ticklake_tiingo', SECRET)
        yield airflow, deployment, simulator
        for dag in DAGS:
            airflow.pause(dag, True)
    finally:
        simulator.stop()
        deployment.close()


def rows_of_store(deployment):
    """What a backfill of bars and instruments writes: how many rows, and what they say."""
    bars = deployment.psql("SELECT count(*), md5(string_agg(concat_ws(' ', series, timeframe, open_time, source, encode(digest, 'hex')), ','"
                           ' ORDER BY series, timeframe, open_time, digest)) FROM ticklake.candle_rows')
    return bars, *(deployment.psql(f'SELECT count(*) FROM ticklake.{name}') for name in ('trade_rows', 'instrument_rows'))


def test_three_intervals_are_caught_up_with_a_task_that_fails_twice(world):
    airflow, deployment, simulator = world
    dag, start = 'tiingo_to_postgres', interval(3)
    venue = {'TICKLAKE_VENUES__TIINGO__REST_URL': f'http://127.0.0.1:{simulator.port}/tiingo', 'TICKLAKE_VENUES__TIINGO__TOKEN': SECRET}
    symbols = [s['symbol'] for s in json.loads(deployment.run('symbols', '--venue', 'tiingo', '--json', env=venue).stdout)]
    airflow.forget_runs(dag)
    airflow.variable('ticklake_tiingo', {'symbols': symbols, 'timeframe': '1h', 'start': start.isoformat(), 'retry_delay_s': 1})
    wait_until(lambda: (airflow.ask('GET', f'dags/{dag}/details')['start_date'] or '').startswith(start.strftime('%Y-%m-%dT%H:%M')), 120,
               'the DAG is read with its new start', pause=0.5)
    airflow.pause(dag, False)
    runs = wait_until(lambda: (r := airflow.runs(dag)) and len(r) == 3 and r, RUN_SECONDS, 'three runs', pause=0.5)
    tries = []
    for i, run in enumerate(runs):
        assert run['data_interval_start'].startswith(interval(3 - i).strftime('%Y-%m-%dT00:00'))
        tasks = airflow.wait(dag, run['dag_run_id'])
        bars = [t for (name, _), t in tasks.items() if name == 'bars']
        assert len(bars) == 2 and {t['state'] for t in tasks.values()} == {'success'}
        tries.append(sorted(t['try_number'] for t in bars))
    assert FAILING in symbols and tries == [[1, 3], [1, 1], [1, 1]]
    assert len(airflow.runs(dag)) == 3

    before = rows_of_store(deployment)
    bars = int(before[0].split('|')[0])
    assert 2 * 60 <= bars <= 2 * 72  # of three days; hours without a trade have none
    lake = deployment.verify()
    assert lake['equal'] and deployment.count('venue_candles') == bars

    run = runs[1]['dag_run_id']
    airflow.clear(dag, run)
    wait_until(lambda: airflow.state(dag, run) in ('queued', 'running'), 60, 'the cleared run runs again', pause=0.2)
    tasks = airflow.wait(dag, run)
    assert {t['state'] for t in tasks.values()} == {'success'} and min(t['try_number'] for t in tasks.values()) >= 2
    assert rows_of_store(deployment) == before
    words = airflow.log(dag, run, 'metadata', 2)
    assert 'result' in words and SECRET not in words and deployment.url not in words


def test_the_lake_is_kept_up(world):
    airflow, deployment, _ = world
    _, tasks = airflow.run('lake_upkeep')
    assert tasks['compact', -1]['state'] == 'success'
    assert {t['state'] for t in tasks.values()} <= {'success', 'skipped'}
    deployment.verify()


def test_spark_rebuilds_the_candles_of_a_range(world):
    airflow, deployment, _ = world
    expected = candles_of_lake(deployment.rows('candles'))
    times = [k[3] // 10**9 for k in expected]
    ends = [time_text(datetime.datetime.fromtimestamp(t, datetime.timezone.utc)) for t in (min(times), max(times) + 1)]
    run, tasks = airflow.run('rebuild_candles', **{'from': ends[0], 'to': ends[1], 'max_age_s': 3600})
    assert tasks['rebuild', -1]['try_number'] == 1
    assert 'candles of' in airflow.log('rebuild_candles', run, 'rebuild')
    assert_same_candles(candles_of_lake(deployment.rows('candles_spark')), expected)


def test_a_difference_fails_loudly(world):
    airflow, deployment, _ = world
    run, tasks = airflow.run('verify_daily', max_age_s=3600)
    assert tasks['lake_is_fresh', -1]['state'] == tasks['verify', -1]['state'] == 'success'
    deployment.psql('DELETE FROM ticklake.trade_rows WHERE (series, stream, id, key, day) = '
                    '(SELECT series, stream, id, key, day FROM ticklake.trade_rows LIMIT 1)')
    run, tasks = airflow.run('verify_daily', 'failed', max_age_s=3600)
    assert tasks['verify', -1]['state'] == 'failed' and tasks['verify', -1]['try_number'] == 1
    assert 'difference' in airflow.log('verify_daily', run, 'verify')
