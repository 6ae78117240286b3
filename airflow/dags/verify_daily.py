"""Every hop against the next, and the lake against itself: fails loudly, with each difference in the log."""
from datetime import timedelta

import pendulum
from airflow.sdk import DAG, Param

from ticklake_verbs import LakeIsFresh, TicklakeOperator

with DAG(
    dag_id='verify_daily',
    doc_md=__doc__,
    schedule='0 4 * * *',
    start_date=pendulum.datetime(2026, 1, 1, tz='UTC'),
    catchup=False,
    max_active_runs=1,
    default_args={'retries': 4, 'retry_delay': timedelta(minutes=1), 'retry_exponential_backoff': True,
                  'max_retry_delay': timedelta(minutes=15)},
    params={'max_age_s': Param(900, type='integer', description='of the newest commit of the lake')},
    tags=['ticklake'],
):
    LakeIsFresh(task_id='lake_is_fresh') >> TicklakeOperator(task_id='verify', verb='verify', arguments=['--wait', '60'])
