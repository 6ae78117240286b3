"""Airflow's REST API for tests, and a `ticklake` that fails on demand."""
import json
import os
import pathlib
import subprocess
import urllib.parse

from conftest import BINARY, ROOT
from stack_tools import wait_until

RUN_SECONDS = 900  # a deadline: on two busy cores the longest takes two minutes


class Airflow:
    def __init__(self, stack):
        self.session, self.url = stack.airflow()

    def ask(self, method, path, good=(200, 201, 204), **body):
        answer = self.session.request(method, f'{self.url}/{path}', json=body or None, timeout=60)
        assert answer.status_code in good, f'{method} {path}: {answer.status_code} {answer.text}'
        return answer.json() if answer.content and answer.status_code != 404 else None

    def variable(self, key, value):
        self.ask('DELETE', f'variables/{key}', good=(204, 404))
        self.ask('POST', 'variables', key=key, value=json.dumps(value))

    def postgres_connection(self, name, url):
        at = urllib.parse.urlsplit(url)
        self.ask('DELETE', f'connections/{name}', good=(204, 404))
        self.ask('POST', 'connections', connection_id=name, conn_type='postgres', host=at.hostname, port=at.port, login=at.username,
                 password=at.password, schema=at.path.lstrip('/'))

    def secret_connection(self, name, password):
        self.ask('DELETE', f'connections/{name}', good=(204, 404))
        self.ask('POST', 'connections', connection_id=name, conn_type='generic', password=password)

    def pause(self, dag, paused):
        self.ask('PATCH', f'dags/{dag}', is_paused=paused)

    def runs(self, dag):
        return self.ask('GET', f'dags/{dag}/dagRuns?limit=100&order_by=run_after')['dag_runs']

    def forget_runs(self, dag):
        """Of an earlier session on the same stack."""
        self.pause(dag, True)
        for run in self.runs(dag):
            path = f'dags/{dag}/dagRuns/{urllib.parse.quote(run["dag_run_id"])}'
            if run['state'] in ('queued', 'running'):
                self.ask('PATCH', path, state='failed')
            self.ask('DELETE', path)

    def state(self, dag, run):
        return self.ask('GET', f'dags/{dag}/dagRuns/{urllib.parse.quote(run)}')['state']

    def tasks(self, dag, run):
        found = self.ask('GET', f'dags/{dag}/dagRuns/{urllib.parse.quote(run)}/taskInstances?limit=100')['task_instances']
        return {(t['task_id'], t['map_index']): t for t in found}

    def log(self, dag, run, task, attempt=1, map_index=-1):
        path = f'dags/{dag}/dagRuns/{urllib.parse.quote(run)}/taskInstances/{task}/logs/{attempt}?map_index={map_index}&full_content=true'
        return json.dumps(self.ask('GET', path))

    def trigger(self, dag, **conf):
        return self.ask('POST', f'dags/{dag}/dagRuns', logical_date=None, conf=conf)['dag_run_id']

    def wait(self, dag, run, state='success', seconds=RUN_SECONDS):
        end = wait_until(lambda: (s := self.state(dag, run)) in ('success', 'failed') and s, seconds, f'{dag} {run} ends', pause=0.5)
        tasks = self.tasks(dag, run)
        if end != state:
            words = '\n'.join(f'--- {k}: {t["state"]}\n{self.log(dag, run, k[0], t["try_number"], k[1])[-3000:]}' for k, t in tasks.items()
                              if t['state'] not in ('success', 'skipped', None))
            raise AssertionError(f'{dag} {run}: {end}\n{words}')
        return tasks

    def run(self, dag, state='success', **conf):
        """One run to its end: (run, {(task, map index): task instance}). It waits before the DAG is let go, and so comes before
        the last interval's, which is not wanted."""
        self.forget_runs(dag)
        run = self.trigger(dag, **conf)
        self.pause(dag, False)
        try:
            return run, self.wait(dag, run, state)
        finally:
            self.pause(dag, True)

    def clear(self, dag, run):
        self.ask('POST', f'dags/{dag}/clearTaskInstances', dry_run=False, only_failed=False, dag_run_id=run)


def wrapped_binary(folder, words, times, code=69):
    """A `ticklake` that fails so often with that code, where these words stand on its command line, before it is the real one."""
    script, count = pathlib.Path(folder, 'ticklake'), pathlib.Path(folder, 'failures')
    count.write_text('')
    script.write_text(f'''#!/bin/bash
if [[ "$*" == *"{words}"* ]]; then
    exec 9>>{count}
    flock 9
    if [ "$(stat -c %s {count})" -lt {times} ]; then
        printf x >&9
        echo "the venue answered 503" >&2
        exit {code}
    fi
    exec 9>&-
fi
exec {BINARY} "$@"
''')
    script.chmod(0o755)
    return script


def python_of_airflow():
    """Of the environment that scripts/setup stack made."""
    line = '. stack/lib/paths.sh && component_folder airflow'
    folder = subprocess.run(['bash', '-c', line], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
    return pathlib.Path(folder, 'bin', 'python')


def in_airflow(folder, code):
    """Runs Python code with Airflow, without its servers."""
    dags = ROOT / 'airflow' / 'dags'
    env = {**os.environ, 'AIRFLOW_HOME': str(folder), 'AIRFLOW__CORE__DAGS_FOLDER': str(dags), 'AIRFLOW__CORE__LOAD_EXAMPLES': 'False',
           'AIRFLOW__DATABASE__SQL_ALCHEMY_CONN': f'sqlite:///{folder}/airflow.db', 'PYTHONPATH': str(dags), 'PYTHONWARNINGS': 'ignore',
           'AIRFLOW__LOGGING__LOGGING_LEVEL': 'ERROR', 'PYTHONDONTWRITEBYTECODE': '1'}
    done = subprocess.run([python_of_airflow(), '-c', code], env=env, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
