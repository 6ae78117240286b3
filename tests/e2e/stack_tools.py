"""The servers of stack/ for tests: one stack in a folder and on ports of its own, started part by part as tests ask for it.

    def test_x(stack):                      # one stack for the whole session, from conftest.py
        stack.up('kafka', 'registry')       # what runs already costs nothing
        stack.kill('kafka', 2)
        wait_until(lambda: ..., 30, 'broker 2 is missed')
        stack.start('kafka', 2)

With TICKLAKE_STACK_DIR (and TICKLAKE_STACK_PORT_BASE) in the environment the tests use that stack and leave it running.
"""
import contextlib
import fcntl
import json
import os
import pathlib
import shlex
import shutil
import socket
import subprocess
import tempfile
import time
import uuid

ROOT = pathlib.Path(__file__).resolve().parents[2]
SHARED_MEMORY = pathlib.Path('/dev/shm')
SHARED_MEMORY_LEAST = 4 << 30
# A stack takes ports of BASE to BASE + 999, below those that the system gives to clients.
BASES = range(20000, 32000, 1000)
UP_SECONDS = 400  # above the sum of the deadlines of a usual call: they are stack/up's to judge


def wait_until(condition, seconds, what, pause=0.05):
    """Waits until condition() is true and returns what it gave; errors of servers that are not there yet count as no."""
    end, last = time.monotonic() + seconds, None
    while time.monotonic() < end:
        try:
            if answer := condition():
                return answer
            last = answer
        except AssertionError:
            raise
        except Exception as error:  # noqa: BLE001: whatever a client library throws while a server is away
            last = error
        time.sleep(pause)
    raise AssertionError(f'not within {seconds} s: {what}; last: {last!r}')


def ports_in_use(base):
    """Of the ports that the stack may listen on there."""
    used = []
    for line in (ROOT / 'stack/versions.env').read_text().splitlines():
        name, _, value = line.partition('=')
        if not name.endswith('_PORT'):
            continue
        for n in range(4 if name.startswith('KAFKA') else 1):
            with socket.socket() as s:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    s.bind(('127.0.0.1', int(value) - 19000 + base + n))
                except OSError:
                    used.append(int(value) - 19000 + base + n)
    return used


def take_ports():
    """A base whose ports are free, and the open file that keeps others away from it."""
    for base in BASES:
        file = open(pathlib.Path(tempfile.gettempdir()) / f'ticklake-stack-{os.getuid()}-{base}.lock', 'w')
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.close()
            continue
        if not ports_in_use(base):
            return base, file
        file.close()
    raise AssertionError('no free ports for a stack')


def new_folder():
    """Not pytest's own, where the user postgres may not go."""
    roomy = SHARED_MEMORY.is_dir() and os.access(SHARED_MEMORY, os.W_OK) and shutil.disk_usage(SHARED_MEMORY).free >= SHARED_MEMORY_LEAST
    folder = pathlib.Path(tempfile.mkdtemp(prefix='ticklake-stack-', dir=SHARED_MEMORY if roomy else None))
    folder.chmod(0o755)
    return folder


class Stack:
    """The verbs of stack/ on one stack, and how to get at its servers."""

    def __init__(self, folder=None, base=None, kraft=False):
        self.ports_lock = None
        if base is None:
            base, self.ports_lock = take_ports()
        self.base, self.kraft = base, kraft
        self.folder = pathlib.Path(folder) if folder else new_folder()
        self.keep = False

    @classmethod
    def existing(cls):
        """The stack that the environment names, or None."""
        if 'TICKLAKE_STACK_DIR' not in os.environ:
            return None
        stack = cls(os.environ['TICKLAKE_STACK_DIR'], int(os.environ.get('TICKLAKE_STACK_PORT_BASE', 19000)))
        stack.keep = True
        return stack

    # --- the verbs ---

    def run(self, verb, *args, check=0, timeout=UP_SECONDS, **env):
        line = [str(ROOT / 'stack' / verb), *map(str, args)]
        whole = {**os.environ, 'TICKLAKE_STACK_DIR': str(self.folder), 'TICKLAKE_STACK_PORT_BASE': str(self.base), **env}
        done = subprocess.run(line, capture_output=True, text=True, timeout=timeout, env=whole)
        if check is not None:
            assert done.returncode == check, f'{line}\nexit {done.returncode}\n{done.stdout}\n{done.stderr}'
        return done

    def up(self, *parts):
        self.run('up', *parts, *(['--kraft'] if self.kraft else []))
        return self

    def down(self, *parts, remove=False):
        self.run('down', *parts, *(['--remove'] if remove else []))

    def start(self, part, n=None):
        self.run('start', part, *([n] if n else []))

    def stop(self, part, n=None):
        self.run('stop', part, *([n] if n else []))

    def kill(self, part, n=None):
        self.run('kill', part, *([n] if n else []))

    def freeze(self, part, n=None):
        self.run('freeze', part, *([n] if n else []))

    def thaw(self, part, n=None):
        self.run('thaw', part, *([n] if n else []))

    def status(self):
        return json.loads(self.run('status', '--json').stdout)

    def state(self, part):
        return self.status()['parts'][part]['state']

    def pids(self):
        return [p['pid'] for part in self.status()['parts'].values() for p in part['processes'] if p['pid']]

    def log(self, process):
        return (self.folder / 'log' / f'{process}.log').read_text(errors='replace')

    @contextlib.contextmanager
    def frozen(self, part, n=None):
        self.freeze(part, n)
        try:
            yield
        finally:
            self.thaw(part, n)

    # --- addresses ---

    def env(self, glue=False):
        """What `eval "$(stack/env)"` sets: TICKLAKE_STACK_... and the settings of ticklake."""
        lines = self.run('env', *(['--glue'] if glue else [])).stdout.splitlines()
        return dict(shlex.split(line)[1].split('=', 1) for line in lines)

    @property
    def brokers(self):
        return self.env()['TICKLAKE_BUS__BROKERS']

    def admin(self, database='postgres'):
        """A connection of psycopg as the superuser, through the Unix socket."""
        import psycopg
        env = self.env()
        return psycopg.connect(host=env['TICKLAKE_STACK_POSTGRES_SOCKET'], port=env['TICKLAKE_STACK_POSTGRES'].split(':')[1],
                               user='postgres', dbname=database, autocommit=True)

    def new_database(self, name=None):
        """Makes a database of the role ticklake and returns its URL: a test's own store or catalog."""
        name = name or f'test_{uuid.uuid4().hex[:12]}'
        with self.admin() as db:
            db.execute(f'create database {name} owner ticklake')
        return self.env()['TICKLAKE_STACK_POSTGRES_URL'].rsplit('/', 1)[0] + '/' + name

    def s3(self):
        """A client of boto3."""
        import boto3
        from botocore.config import Config
        env = self.env()
        return boto3.client('s3', endpoint_url=env['TICKLAKE_S3__ENDPOINT'], region_name=env['TICKLAKE_S3__REGION'],
                            aws_access_key_id=env['TICKLAKE_S3__ACCESS_KEY'], aws_secret_access_key=env['TICKLAKE_S3__SECRET_KEY'],
                            config=Config(s3={'addressing_style': 'path'}, retries={'max_attempts': 1}))

    def glue(self):
        """A client of boto3."""
        import boto3
        env = self.env()
        return boto3.client('glue', endpoint_url=env['TICKLAKE_STACK_GLUE_URL'], region_name=env['AWS_REGION'],
                            aws_access_key_id=env['AWS_ACCESS_KEY_ID'], aws_secret_access_key=env['AWS_SECRET_ACCESS_KEY'])

    def airflow(self):
        """A session of requests with a token, and the URL of the API."""
        import requests
        env = self.env()
        url = env['TICKLAKE_STACK_AIRFLOW_URL']
        answer = requests.post(f'{url}/auth/token', timeout=30, json={
            'username': env['TICKLAKE_STACK_AIRFLOW_USER'], 'password': env['TICKLAKE_STACK_AIRFLOW_PASSWORD']})
        answer.raise_for_status()
        session = requests.Session()
        session.headers['Authorization'] = f"Bearer {answer.json()['access_token']}"
        return session, f'{url}/api/v2'

    # --- the end ---

    def close(self):
        if not self.keep:
            self.down(remove=True)
        if self.ports_lock:
            self.ports_lock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
