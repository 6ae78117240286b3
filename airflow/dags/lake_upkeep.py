"""The lake's upkeep: small files are joined, old snapshots expire, files that no snapshot knows are removed. Workers may run
meanwhile; they do the same in small steps."""
from datetime import timedelta

import pendulum
from airflow.sdk import DAG, task

from ticklake_verbs import TicklakeOperator, has_verb

with DAG(
    dag_id='lake_upkeep',
    doc_md=__doc__,
    schedule='30 2 * * *',
    start_date=pendulum.datetime(2026, 1, 1, tz='UTC'),
    catchup=False,
    max_active_runs=1,
    default_args={'retries': 4, 'retry_delay': timedelta(minutes=1), 'retry_exponential_backoff': True,
                  'max_retry_delay': timedelta(minutes=15)},
    tags=['ticklake'],
):
    last = None
    for verb in ('compact', 'expire-snapshots', 'remove-orphans'):
        name = verb.replace('-', '_')
        run = TicklakeOperator(task_id=name, verb=verb)
        if verb != 'compact':
            # Older programs have only the first: then the rest is skipped.
            known = task.short_circuit(task_id=f'has_{name}', ignore_downstream_trigger_rules=True)(has_verb)(verb)
            last >> known >> run
        last = run
