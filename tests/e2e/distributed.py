"""A distributed deployment for tests: one database, one set of topics and one warehouse of its own on the stack that runs."""
import json
import os
import pathlib
import re
import signal
import subprocess
import uuid

import pyarrow
import pytest

from conftest import BINARY, TABLES
from test_live import wait_for

PARTS = ('postgres', 'zookeeper', 'kafka', 'registry', 's3')


@pytest.fixture(scope='session')
def running_stack(stack):
    """PostgreSQL, ZooKeeper, three brokers, registry and S3 of the session's stack: what stack/env exports."""
    return stack.up(*PARTS).env()


class Process:
    """One `ticklake` process with its log."""

    def __init__(self, deployment, name, *args):
        self.name, self.log = name, deployment.folder / f'{name}.log'
        self.file = open(self.log, 'a')
        self.process = subprocess.Popen([str(BINARY), *map(str, args)], env=deployment.env, stdout=self.file, stderr=self.file)

    def words(self):
        return self.log.read_text()

    def alive(self):
        return self.process.poll() is None

    def stop(self, seconds=60):
        if self.alive():
            self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(seconds)
        assert code == 0, f'{self.name}: exit {code}\n{self.words()[-4000:]}'

    def kill(self):
        if self.alive():
            self.process.kill()
        self.process.wait(10)

    def signal(self, number):
        self.process.send_signal(number)


class Deployment:
    """Names of its own, so that deployments on one stack do not meet."""

    def __init__(self, folder, environment, partitions=3, registry=None, **sections):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.name = 't' + uuid.uuid4().hex[:10]
        self.base = environment
        self.admin = environment['TICKLAKE_STACK_POSTGRES_URL']
        self.url = re.sub(r'/[^/]*$', f'/{self.name}', self.admin)
        self.psql(f'CREATE DATABASE {self.name}', self.admin)
        self.prefix = f'{self.name}.'
        self.warehouse = f's3://{environment["TICKLAKE_STACK_S3_BUCKET"]}/{self.name}'
        settings = {
            'TICKLAKE_DATA': str(self.folder / 'data'),
            'TICKLAKE_STORE__URL': self.url,
            'TICKLAKE_STORE__SLOT': self.name,
            'TICKLAKE_BUS__PREFIX': self.prefix,
            'TICKLAKE_BUS__NAME': self.name,
            'TICKLAKE_BUS__GROUP': self.name,
            'TICKLAKE_BUS__PARTITIONS': str(partitions),
            'TICKLAKE_LAKE__CATALOG': self.url,
            'TICKLAKE_LAKE__WAREHOUSE': self.warehouse,
            'TICKLAKE_SERVE__BIND': '127.0.0.1:0',
        }
        for section, keys in sections.items():
            for key, value in keys.items():
                settings[f'TICKLAKE_{section}__{key}'.upper()] = str(value)
        self.env = {**os.environ, **environment, **settings, **(registry or {})}
        self.processes = []

    # --- its outside parts ---

    def psql(self, sql, url=None):
        done = subprocess.run(['psql', '-X', '-A', '-t', '-q', '-v', 'ON_ERROR_STOP=1', '-d', url or self.url, '-c', sql],
                              capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def run(self, command, *args, check=0, timeout=300, env=None):
        done = subprocess.run([str(BINARY), command, *map(str, args)], env={**self.env, **(env or {})}, capture_output=True,
                              text=True, timeout=timeout)
        if check is not None:
            assert done.returncode == check, f'{command} {args}\nexit {done.returncode}\n{done.stdout}\n{done.stderr}'
        return done

    def start(self, stages, *args, name=None, command='run'):
        name = name or stages.replace(',', '-') + f'-{len(self.processes)}'
        line = [command, *(['--stages', stages] if stages else []), *args]
        process = Process(self, name, *line)
        self.processes.append(process)
        return process

    def verify(self, check=0, wait=60):
        done = self.run('verify', '--json', '--wait', wait, check=None, timeout=wait + 300)
        words = done.stdout + done.stderr + ''.join(f'\n--- {p.name}\n{p.words()[-1500:]}' for p in self.processes)
        assert done.returncode == check, words
        told = json.loads(done.stdout)
        assert check or told['behind'] == '', words
        return told

    def close(self):
        for p in self.processes:
            p.kill()
        self.psql(f"SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = '{self.name}' AND active",
                  self.admin)
        wait_for(lambda: self.psql(f"SELECT count(*) FROM pg_replication_slots WHERE slot_name = '{self.name}' AND active",
                                   self.admin) == '0', 30, 'the slot is free')
        self.psql(f"SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = '{self.name}'", self.url)
        self.psql(f'DROP DATABASE {self.name} WITH (FORCE)', self.admin)

    # --- other people's readers ---

    def catalog(self):
        from pyiceberg.catalog import load_catalog
        uri = re.sub(r'^postgresql://', 'postgresql+psycopg2://', self.url)
        return load_catalog('ticklake', type='sql', uri=uri, warehouse=self.warehouse, init_catalog_tables='false', **{
            's3.endpoint': self.base['TICKLAKE_S3__ENDPOINT'], 's3.access-key-id': self.base['TICKLAKE_S3__ACCESS_KEY'],
            's3.secret-access-key': self.base['TICKLAKE_S3__SECRET_KEY'], 's3.region': self.base['TICKLAKE_S3__REGION']})

    def table(self, name):
        return self.catalog().load_table(f'market.{name}')

    def rows(self, name, columns=('*',)):
        return self.table(name).scan(selected_fields=columns).to_arrow().to_pylist()

    def count(self, name):
        return self.table(name).scan().to_arrow().num_rows

    def everything(self, left_out):
        """All rows of all tables in a defined order, without the columns of left_out."""
        out, catalog = {}, self.catalog()
        for name in TABLES:
            rows = catalog.load_table(f'market.{name}').scan().to_arrow()
            rows = rows.select([c for c in rows.column_names if c not in left_out.get(name, ())])
            out[name] = rows.sort_by([(c, 'ascending') for c in rows.column_names]).combine_chunks()
        return out
