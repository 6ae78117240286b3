"""A distributed deployment for tests: one database, one set of topics and one warehouse of its own on the stack that runs."""
import contextlib
import json
import os
import pathlib
import re
import signal
import subprocess
import time
import uuid

import pyarrow
import pytest

from conftest import BINARY, TABLES
from test_live import Simulator, wait_for, write_config

STREAMS = ('trade', 'agg_trade', 'block_trade', 'quote')
PARTS = ('postgres', 'zookeeper', 'kafka', 'registry', 's3')


@pytest.fixture(scope='session')
def running_stack(stack):
    """PostgreSQL, ZooKeeper, three brokers, registry and S3 of the session's stack: what stack/env exports."""
    return stack.up(*PARTS).env()


class Process:
    """One `ticklake` process with its log."""

    def __init__(self, deployment, name, *args, env=None):
        self.name, self.log = name, deployment.folder / f'{name}.log'
        self.file = open(self.log, 'a')
        self.process = subprocess.Popen([str(BINARY), *map(str, args)], env={**deployment.env, **(env or {})}, stdout=self.file,
                                        stderr=self.file)

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
        self.folder, self.partitions = pathlib.Path(folder), partitions
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

    def start(self, stages, *args, name=None, command='run', env=None):
        name = name or stages.replace(',', '-') + f'-{len(self.processes)}'
        line = [command, *(['--stages', stages] if stages else []), *args]
        process = Process(self, name, *line, env=env)
        self.processes.append(process)
        return process

    def verify(self, check=0, wait=60):
        done = self.run('verify', '--json', '--wait', wait, check=None, timeout=wait + 300)
        words = done.stdout + done.stderr + ''.join(f'\n--- {p.name}\n{p.words()[-1500:]}' for p in self.processes)
        assert done.returncode == check, words
        told = json.loads(done.stdout)
        assert check or told['behind'] == '', words
        return told

    def settle(self, wait=120):
        """Verified, and candles revised that waited for it: verify leaves those out."""
        self.verify(wait=wait)
        wait_for(lambda: self.psql("SELECT count(*) FROM ticklake.ticklake_state WHERE name LIKE '%revise/second/%' "
                                   "OR name LIKE '%revise/rollup/%'") == '0', 60, 'late trades are in their candles')
        return self.verify(wait=wait)

    def close(self):
        for p in self.processes:
            p.kill()
        wait_for(self.database_answers, 60, 'PostgreSQL answers')
        self.psql(f"SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = '{self.name}' AND active",
                  self.admin)
        wait_for(lambda: self.psql(f"SELECT count(*) FROM pg_replication_slots WHERE slot_name = '{self.name}' AND active",
                                   self.admin) == '0', 30, 'the slot is free')
        self.psql(f"SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = '{self.name}'", self.url)
        wait_for(self.drop_database, 60, 'the database is dropped')
        self.delete_topics()

    def drop_database(self):
        with contextlib.suppress(AssertionError):  # while the server itself works there (autovacuum), we may not end that
            self.psql(f'DROP DATABASE IF EXISTS {self.name} WITH (FORCE)', self.admin)
            return True

    def delete_topics(self):
        """A stack that keeps the topics of every test takes ever longer for each change of a leader."""
        from confluent_kafka.admin import AdminClient
        admin = AdminClient({'bootstrap.servers': self.base['TICKLAKE_BUS__BROKERS']})
        names = [name for name in admin.list_topics(timeout=30).topics if name.startswith(self.prefix)]
        for done in admin.delete_topics(names, operation_timeout=30).values() if names else ():
            done.result(60)

    def database_answers(self):
        with contextlib.suppress(AssertionError):
            return self.psql('SELECT 1', self.admin) == '1'

    # --- what the lake claims, and what the ledger says ---

    def claims(self):
        """Per (venue, symbol, stream): count and sum, as the lake's commits claim them; verify holds them against the files."""
        out = {}
        for line in self.psql('SELECT s.venue, s.symbol, p.stream, sum(p.count), sum(p.sum) FROM ticklake.ticklake_proof p '
                              'JOIN ticklake.ticklake_proof_series s ON s.id = p.series GROUP BY 1, 2, 3').splitlines():
            venue, symbol, stream, count, total = line.split('|')
            out[venue, symbol, STREAMS[int(stream)]] = int(count), int(total) % 2**128
        return out

    def ledger(self):
        return json.loads(self.run('gaps', '--json').stdout)

    def unconserved(self, truth):
        """What differs between the simulator's own count and hash and lake plus ledger."""
        claims, holes, differences = self.claims(), {}, []
        for g in self.ledger():
            if 'missing_count' in g:
                key = g['venue'], g['symbol'], g['stream']
                holes[key] = holes.get(key, 0) + g['missing_count']
        for s in truth['series']:
            key = s['venue'], s['symbol'], s['stream']
            if claims.get(key) != (s['sent'], int(s['sent_sum'], 16)):
                differences.append((key, claims.get(key), s))
            if s['ids'] and s['sent'] + holes.pop(key, 0) != s['generated']:
                differences.append((key, 'ledger', s))
        return differences + list(holes.items())

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


class Flow(Deployment):
    """Simulated venues that talk until end() is called, and every stage as a process of its own."""

    def __init__(self, folder, environment, workers=2, rate=2000, symbols=6, venues=('binance', 'binance_futures', 'coinbase', 'kraken'),
                 simulate=(), quotes=1, worker_env=None, bus_env=None, **sections):
        sections.setdefault('source', {'gap_grace_ms': 500, 'reconnect_min_ms': 50})
        super().__init__(folder, environment, **sections)
        self.worker_env, self.workers, self.simulator = worker_env(self) if callable(worker_env) else worker_env, [], None
        try:
            self.simulator = Simulator(self.folder / 'sim', '--rate', rate, '--symbols', symbols, '--quotes', quotes,
                                       '--venues', ','.join(venues), *simulate)
            self.config = write_config(self.folder, self.simulator.port, venues)
            self.source = self.start_source()
            wait_for(lambda: self.all_alive() and self.psql("SELECT count(*) FROM pg_publication WHERE pubname = 'ticklake'") == '1', 60,
                     'the source made the store')  # a publisher before that ends with 78
            self.bus_env = bus_env
            self.start_bus()
            for _ in range(workers):
                self.add_worker()
            self.flowing(since=0)
        except BaseException:
            self.close()
            raise

    def start_source(self, **kw):
        self.source = self.start('source,store', '--config', self.config, **kw)
        return self.source

    def start_bus(self, **kw):
        self.bus = self.start('bus', env={**(self.bus_env or {}), **kw.pop('env', {})}, **kw)
        return self.bus

    def add_worker(self, **kw):
        self.workers.append(self.start('process,lake', env={**(self.worker_env or {}), **kw.pop('env', {})}, **kw))
        return self.workers[-1]

    def committed(self):
        """Trades in the lake, as its commits claim."""
        done = self.psql("SELECT CASE WHEN to_regclass('ticklake.ticklake_proof') IS NULL THEN '0' ELSE '1' END")
        return int(self.psql('SELECT coalesce(sum(count), 0) FROM ticklake.ticklake_proof WHERE stream < 3')) if done == '1' else 0

    def flowing(self, since=None, trades=4000, seconds=90):
        """Waits until so many more trades are in the lake; what was sent meanwhile is on its way."""
        since = self.committed() if since is None else since
        wait_for(lambda: self.all_alive() and self.committed() >= since + trades, seconds, 'trades reach the lake' + self.tails())

    def flowing_upto(self, stage, words, seconds=60):
        """Waits until a worker logs that."""
        before = sum(w.words().count(f'stage={stage} msg="{words}"') for w in self.workers)
        wait_for(lambda: self.all_alive() and sum(w.words().count(f'stage={stage} msg="{words}"') for w in self.workers) > before,
                 seconds, f'a worker says {words}{self.tails()}')

    def shared(self, seconds=60):
        """Waits until every worker that runs has partitions, and none has more than its share."""
        def owned(w):
            words = w.words()
            return words.count('partition gained') - words.count('partition given up') - words.count('partition lost')
        running = [w for w in self.workers if w.alive()]
        wait_for(lambda: self.all_alive() and all(owned(w) > 0 for w in running) and sum(owned(w) for w in running) == self.partitions,
                 seconds, 'the partitions are shared')

    def all_alive(self):
        for p in self.processes:
            assert p.alive() or p.process.returncode in (0, -signal.SIGKILL), f'{p.name} ended: {p.process.returncode}\n{p.words()[-3000:]}'
        return True

    def tails(self):
        return ''.join(f'\n--- {p.name}\n{p.words()[-1500:]}' for p in self.processes)

    def simulator_ran(self, seconds):
        """Waits until the venues have sent for so long, by their own clock: their log's progress is what passes."""
        end = time.monotonic() + seconds
        wait_for(lambda: self.all_alive() and time.monotonic() > end, seconds + 30, 'the venues go on')

    def unaccounted(self, truth):
        """As unconserved, where the receiver was down meanwhile: what was on the wire is in the ledger, so only the numbers add up."""
        claims, holes = self.claims(), {}
        for g in self.ledger():
            if 'missing_count' in g:
                key = g['venue'], g['symbol'], g['stream']
                holes[key] = holes.get(key, 0) + g['missing_count']
        keys = {(s['venue'], s['symbol'], s['stream']): s for s in truth['series'] if s['ids']}
        return [(key, claims.get(key), holes.get(key), s) for key, s in keys.items()
                if claims.get(key, (0, 0))[0] + holes.get(key, 0) != s['generated']]

    def end(self, conserved=True, wait=90):
        """The venues end; verify over every hop; then lake and ledger against what the venues say they sent."""
        self.simulator.process.send_signal(signal.SIGTERM)
        truth = self.simulator.truth()
        self.all_alive()
        told = self.verify(wait=wait)
        differs = self.unaccounted if conserved == 'counts' else self.unconserved
        with contextlib.suppress(AssertionError):  # told below, with what differs
            wait_for(lambda: not differs(truth), 30, 'lake and ledger are what was sent')
        assert not differs(truth), f'{differs(truth)}{self.tails()}'
        told = self.verify(wait=wait)
        for p in self.processes:
            if p.alive():
                p.stop()
        self.truth = truth
        return told

    def close(self):
        if self.simulator:
            self.simulator.stop()
        super().close()


@pytest.fixture
def flow(tmp_path, running_stack):
    """Makes flows, and closes them."""
    made = []

    def make(**kw):
        made.append(Flow(tmp_path / f'flow{len(made)}', running_stack, **kw))
        return made[-1]

    yield make
    for f in made:
        f.close()
