"""What the DAGs share: a task that runs one verb of `ticklake`, and a sensor on the age of the lake's newest commit.

A task runs the same binary as a person would, without a shell, logs what it says line by line and gives its JSON result to
XCom. Its exit code decides: a service away (69), a disk's error (74) or a folder in use (75) is tried again; wrong usage,
data, credentials or settings (64, 65, 77, 78), a difference (1) or a hole (79) fails at once.

Settings come from the environment of Airflow, then from the Variable `ticklake_environment` (JSON, no secrets), then from
Connections, where they exist: `ticklake_store` and `ticklake_catalog` (PostgreSQL), `ticklake_s3` (login and password: the
key and its secret), `ticklake_tiingo` (password: the token). TICKLAKE_BINARY names another binary than the first
`ticklake` in PATH.
"""
import json
import logging
import os
import pathlib
import signal
import subprocess
import threading

from airflow.exceptions import AirflowException, AirflowFailException, AirflowNotFoundException
from airflow.sdk import BaseOperator, BaseSensorOperator, Variable
from airflow.sdk.bases.hook import BaseHook

EX_DIFFERENCE, EX_USAGE, EX_DATA, EX_UNAVAILABLE, EX_BUG, EX_DISK, EX_IN_USE = 1, 64, 65, 69, 70, 74, 75
EX_CREDENTIALS, EX_CONFIG, EX_HOLE = 77, 78, 79
TRY_AGAIN = {EX_UNAVAILABLE: 'a needed service is not there', EX_DISK: 'an error of the disk', EX_IN_USE: 'the data folder is in use'}
FINAL = {EX_DIFFERENCE: 'a check found a difference', EX_USAGE: 'wrong usage', EX_DATA: 'damaged data', EX_BUG: 'a bug',
         EX_CREDENTIALS: 'credentials refused', EX_CONFIG: 'wrong settings', EX_HOLE: 'a hole between positions'}
LINE_MAX = 4000
RESULT_MAX = 1 << 20
STOP_S = 30  # after a request to stop


def uri(connection):
    """As libpq takes it."""
    return connection.get_uri().replace('postgres://', 'postgresql://', 1)


CONNECTIONS = {
    'ticklake_store': {'TICKLAKE_STORE__URL': uri},
    'ticklake_catalog': {'TICKLAKE_LAKE__CATALOG': uri},
    'ticklake_s3': {'TICKLAKE_S3__ACCESS_KEY': lambda c: c.login, 'TICKLAKE_S3__SECRET_KEY': lambda c: c.password},
    'ticklake_tiingo': {'TICKLAKE_VENUES__TIINGO__TOKEN': lambda c: c.password},
}


def environment():
    """Of the process; Airflow's own secrets stay out of it."""
    env = {k: v for k, v in os.environ.items() if not k.startswith('AIRFLOW__')}
    env.update({k: str(v) for k, v in Variable.get('ticklake_environment', default={}, deserialize_json=True).items()})
    for name, keys in CONNECTIONS.items():
        try:
            connection = BaseHook.get_connection(name)
        except AirflowNotFoundException:
            continue
        env.update({key: value for key, take in keys.items() if (value := take(connection))})
    return env


def result_of(text):
    """The last line that is JSON, else the text."""
    for line in reversed(text.splitlines()):
        try:
            return json.loads(line)
        except ValueError:
            continue
    return text[-LINE_MAX:]


def raise_by_code(what, code, result, final=FINAL):
    """Nothing where the code is 0."""
    if code == 0:
        return
    if code in final:
        if isinstance(result, dict) and result.get('differences'):
            for difference in result['differences']:
                logging.getLogger(__name__).error('difference: %s', json.dumps(difference)[:LINE_MAX])
        raise AirflowFailException(f'{what}: exit {code}: {final[code]}')
    if code < 0:
        raise AirflowException(f'{what}: ended by {signal.Signals(-code).name}')
    raise AirflowException(f'{what}: exit {code}: {TRY_AGAIN.get(code, "unknown")}')


class ProcessOperator(BaseOperator):
    """Runs a command, streams what it says on stderr into the log, keeps the end of stdout for XCom; merged: logs both."""

    process = None

    def run_line(self, line, env, merged=False):
        self.log.info('running: %s', ' '.join(line))
        try:
            self.process = subprocess.Popen(line, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                            stderr=subprocess.STDOUT if merged else subprocess.PIPE, text=True, errors='replace',
                                            start_new_session=True)
        except FileNotFoundError:
            raise AirflowFailException(f'{line[0]} is not there: set TICKLAKE_BINARY or PATH') from None
        out = []
        reader = threading.Thread(target=self.read_out, args=(out,), daemon=True)
        if not merged:
            reader.start()
        for text in self.process.stdout if merged else self.process.stderr:
            self.log.info('%s', text.rstrip()[:LINE_MAX])
        code = self.process.wait()
        if not merged:
            reader.join()
        return code, ''.join(out)

    def read_out(self, out):
        held = 0
        for text in self.process.stdout:
            out.append(text)
            held += len(text)
            while held > RESULT_MAX and len(out) > 1:
                held -= len(out.pop(0))

    def on_kill(self):
        if self.process is None or self.process.poll() is not None:
            return
        os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)


class TicklakeOperator(ProcessOperator):
    """ticklake VERB ARGUMENTS --json; arguments may be mapped over, or come from another task."""

    template_fields = ('arguments',)

    def __init__(self, *, verb, arguments=(), environment=None, **kw):
        super().__init__(**kw)
        self.verb, self.arguments, self.extra = verb, arguments, environment or {}

    def execute(self, context):
        env = {**environment(), **self.extra}
        binary = env.get('TICKLAKE_BINARY', 'ticklake')
        code, out = self.run_line([binary, self.verb, *map(str, self.arguments), '--json'], env)
        result = result_of(out)
        self.log.info('result: %s', json.dumps(result)[:LINE_MAX])
        raise_by_code(f'ticklake {self.verb}', code, result)
        return result


def has_verb(verb):
    """Whether this binary knows it."""
    env = environment()
    done = subprocess.run([env.get('TICKLAKE_BINARY', 'ticklake'), 'help'], env=env, stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=60)
    return any(line.split()[:1] == [verb] for line in (done.stdout + done.stderr).splitlines())


class SparkJobOperator(ProcessOperator):
    """spark-submit of a job of spark/, in client mode, with ticklake's settings in its environment. TICKLAKE_SPARK_JOBS is
    the folder of the jobs; master, memory and class path are spark-defaults.conf's. Ends with the exit code of the job; what
    is not one of ticklake's own is tried again: a lost master and a lost commit look alike."""

    template_fields = ('arguments',)

    def __init__(self, *, job, arguments=(), **kw):
        super().__init__(**kw)
        self.job, self.arguments = job, arguments

    def execute(self, context):
        env = environment()
        home = env.get('SPARK_HOME')
        submit = str(pathlib.Path(home, 'bin', 'spark-submit')) if home else 'spark-submit'
        folder = env.get('TICKLAKE_SPARK_JOBS') or str(pathlib.Path(__file__).resolve().parents[2] / 'spark')
        options = env.get('TICKLAKE_SPARK_OPTIONS', '').split()
        # spark-submit gives what the job says on stderr out on stdout.
        code, _ = self.run_line([submit, *options, str(pathlib.Path(folder, self.job)), *map(str, self.arguments)], env, merged=True)
        raise_by_code(self.job, code, None, {EX_USAGE: FINAL[EX_USAGE], EX_CONFIG: FINAL[EX_CONFIG], 2: FINAL[EX_USAGE]})


def is_fresh(status, max_age_s, log):
    """By what `ticklake status --json` tells: the age of the newest commit of rows, upkeep left out."""
    age_ms = status['lake'].get('newest_commit_age_ms')
    if age_ms is None:
        log.info('the lake has no commit yet; %s', json.dumps(status['lake'].get('sources'))[:LINE_MAX])
        return False
    log.info('newest commit: %d s old, at most %d s', age_ms // 1000, max_age_s)
    return age_ms <= max_age_s * 1000


class LakeIsFresh(BaseSensorOperator):
    """Waits until the newest commit of the lake is at most max_age_s old. Between looks it holds no worker."""

    def __init__(self, *, max_age_s=900, **kw):
        kw.setdefault('poke_interval', 30)
        kw.setdefault('timeout', 3600)
        super().__init__(mode='reschedule', **kw)
        self.max_age_s = max_age_s

    def poke(self, context):
        max_age_s = (context.get('params') or {}).get('max_age_s') or self.max_age_s
        env = environment()
        line = [env.get('TICKLAKE_BINARY', 'ticklake'), 'status', '--json']
        try:
            done = subprocess.run(line, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors='replace', timeout=120)
        except FileNotFoundError:
            raise AirflowFailException(f'{line[0]} is not there: set TICKLAKE_BINARY or PATH') from None
        except subprocess.TimeoutExpired:
            self.log.warning('ticklake status has not answered')
            return False
        for text in done.stderr.splitlines():
            self.log.info('%s', text[:LINE_MAX])
        if done.returncode in TRY_AGAIN:
            self.log.warning('ticklake status: exit %d: %s', done.returncode, TRY_AGAIN[done.returncode])
            return False
        raise_by_code('ticklake status', done.returncode, None)
        return is_fresh(result_of(done.stdout), max_age_s, self.log)


def instant(at):
    return at.strftime('%Y-%m-%dT%H:%M:%SZ')


def window(context):
    """(from, to) of the run: of its params, else its data interval."""
    params = context['params']
    if params.get('from') and params.get('to'):
        return params['from'], params['to']
    start, end = context.get('data_interval_start'), context.get('data_interval_end')
    if start is None or end is None or start == end:
        raise AirflowFailException('this run has no interval: give the params "from" and "to"')
    return instant(start), instant(end)
