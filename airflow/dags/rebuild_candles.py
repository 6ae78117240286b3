"""The candles of a day, or of the params' range, made anew by Spark from the lake's trades into market.candles_spark."""
from datetime import timedelta

import pendulum
from airflow.sdk import DAG, CronDataIntervalTimetable, Param, get_current_context, task

from ticklake_verbs import LakeIsFresh, SparkJobOperator, window

with DAG(
    dag_id='rebuild_candles',
    doc_md=__doc__,
    schedule=CronDataIntervalTimetable('0 3 * * *', timezone='UTC'),
    start_date=pendulum.datetime(2026, 1, 1, tz='UTC'),
    catchup=False,
    max_active_runs=1,
    default_args={'retries': 3, 'retry_delay': timedelta(minutes=1), 'retry_exponential_backoff': True},
    params={
        'from': Param('', type='string', description='instead of the interval; widened to whole days'),
        'to': Param('', type='string'),
        'venue': Param('', type='string'),
        'symbols': Param([], type='array', items={'type': 'string'}),
        'max_age_s': Param(900, type='integer', description='of the newest commit of the lake'),
    },
    tags=['ticklake'],
):
    @task
    def arguments():
        context = get_current_context()
        start, end = window(context)
        params = context['params']
        out = ['--from', start, '--to', end]
        if params.get('venue'):
            out += ['--venue', params['venue']]
        for symbol in params.get('symbols') or []:
            out += ['--symbol', symbol]
        return out

    LakeIsFresh(task_id='lake_is_fresh') >> SparkJobOperator(task_id='rebuild', job='rebuild_candles.py', arguments=arguments())
