"""History of Tiingo into PostgreSQL, interval by interval: one task a symbol, instruments once a run.

From there it flows to Kafka and the lake as live events do. A task may be cleared and run again: what is there already is
not added again. The Variable `ticklake_tiingo` (JSON) has its settings: `symbols`, `timeframe`, `start` (how far back it
catches up), `cron` (the interval), `retry_delay_s`.
"""
from datetime import timedelta

import pendulum
from airflow.sdk import DAG, CronDataIntervalTimetable, Param, Variable, get_current_context, task

from ticklake_verbs import TicklakeOperator, window

SYMBOLS = ['BTC-USD', 'ETH-USD']
SETTINGS = Variable.get('ticklake_tiingo', default={}, deserialize_json=True)
# Tiingo's allowance is by the hour: with it used up the verb exits with 69, and the next hour is soon enough.
RETRIES = {'retries': 8, 'retry_delay': timedelta(seconds=SETTINGS.get('retry_delay_s', 60)), 'retry_exponential_backoff': True,
           'max_retry_delay': timedelta(minutes=30)}


def chosen(name, default):
    """Of the run's params, else of the Variable as it is now, else the default."""
    given = get_current_context()['params'].get(name)
    return given or Variable.get('ticklake_tiingo', default={}, deserialize_json=True).get(name, default)


with DAG(
    dag_id='tiingo_to_postgres',
    doc_md=__doc__,
    schedule=CronDataIntervalTimetable(SETTINGS.get('cron', '0 0 * * *'), timezone='UTC'),
    start_date=pendulum.parse(SETTINGS.get('start', '2026-01-01'), tz='UTC'),
    catchup=True,
    max_active_runs=2,
    default_args=RETRIES,
    params={
        'symbols': Param([], type='array', items={'type': 'string'}, description='instead of those of the Variable ticklake_tiingo'),
        'timeframe': Param('', type='string', description='of the bars, such as 1m'),
        'from': Param('', type='string', description='instead of the interval'),
        'to': Param('', type='string'),
    },
    tags=['ticklake'],
):
    @task
    def symbols():
        """The arguments of a task a symbol."""
        start, end = window(get_current_context())
        return [['--venue', 'tiingo', '--symbols', symbol, '--from', start, '--to', end, '--kind', 'candles', '--timeframe',
                 chosen('timeframe', '1m')] for symbol in chosen('symbols', SYMBOLS)]

    @task
    def of_all():
        start, end = window(get_current_context())
        return ['--venue', 'tiingo', '--symbols', ','.join(chosen('symbols', SYMBOLS)), '--from', start, '--to', end,
                '--kind', 'metadata']

    metadata = TicklakeOperator(task_id='metadata', verb='backfill', arguments=of_all())
    bars = TicklakeOperator.partial(task_id='bars', verb='backfill', map_index_template='{{ task.arguments[3] }}',
                                    max_active_tis_per_dag=2).expand(arguments=symbols())
    metadata >> bars
