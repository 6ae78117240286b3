"""What is wrong around a deployment is told: the component, its address, what was asked and answered, and what to do. And no secret."""
import http.server
import json
import re
import subprocess
import threading

import pytest

from conftest import BINARY, SAMPLES
from distributed import Deployment, running_stack  # noqa: F401  (a fixture)
from s3_servers import free_port
from test_live import wait_for

SECRET = 's3cr3t-of-ours'


@pytest.fixture(scope='module')
def good(tmp_path_factory, running_stack):  # noqa: F811
    """A deployment that has run: store, topics, slot, catalog and bucket are there."""
    d = Deployment(tmp_path_factory.mktemp('good'), running_stack)
    d.run('replay', SAMPLES / 'tiingo')
    d.start('bus')
    d.start('process,lake')
    d.settle()
    for p in d.processes:
        p.stop()
    yield d
    d.close()


@pytest.fixture
def new(tmp_path, running_stack):  # noqa: F811
    d = Deployment(tmp_path, running_stack)
    yield d
    d.close()


COMMANDS = {'store': ('replay', SAMPLES / 'tiingo'), 'bus': ('run', '--stages', 'bus'), 'worker': ('run', '--stages', 'process,lake'),
            'verify': ('verify', '--wait', '1'), 'status': ('status',)}


def told(d, command, code, *words, **env):
    """Ends with this exit code within the time, and says all of these words; secrets are nowhere."""
    done = subprocess.run([str(BINARY), *map(str, COMMANDS[command])], env={**d.env, **{f'TICKLAKE_{k}': v for k, v in env.items()}},
                          capture_output=True, text=True, timeout=150)
    text = done.stdout + done.stderr
    assert done.returncode == code, f'{command}: exit {done.returncode}\n{text}'
    missing = [w for w in words if not re.search(w, text)]
    assert not missing, f'{command}: not said: {missing}\n{text}'
    assert SECRET not in text
    return text


def waits(d, command, *words, **env):
    """Goes on and says what it waits for."""
    p = d.start(COMMANDS[command][2], name=f'waits-{len(d.processes)}', env={f'TICKLAKE_{k}': v for k, v in env.items()})
    wait_for(lambda: all(re.search(w, p.words()) for w in words) or not p.alive(), 90, f'{words} are said')
    assert p.alive(), p.words()
    assert SECRET not in p.words()
    p.stop(120)


def postgres(d, user=None, password=None, port=None, database=None):
    parts = re.fullmatch(r'postgresql://(\w+):([^@]+)@([\d.]+):(\d+)/(\w+)', d.url).groups()
    user, password, database = user or parts[0], password or parts[1], database or parts[4]
    return f'postgresql://{user}:{password}@{parts[2]}:{port or parts[3]}/{database}'


# --- credentials: 77 ---

@pytest.mark.parametrize('command', ['store', 'bus', 'verify', 'status'])
def test_postgres_refuses_us(good, command):
    told(good, command, 77, 'PostgreSQL', '127.0.0.1:', 'password authentication failed', STORE__URL=postgres(good, password=SECRET))


def test_postgres_refuses_the_catalogs_user(good):
    told(good, 'worker', 77, 'PostgreSQL', '127.0.0.1:', 'password authentication failed', LAKE__CATALOG=postgres(good, password=SECRET))


@pytest.mark.parametrize('command', ['worker', 'verify'])
def test_s3_refuses_us(good, command):
    told(good, command, 77, 'S3', good.base['TICKLAKE_S3__ENDPOINT'].split('//')[1], 'check s3.access_key and its secret', S3__SECRET_KEY=SECRET)


@pytest.fixture
def refusing():
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            body = b'{"error_code":40101,"message":"Unauthorized"}'
            self.send_response(401)
            self.send_header('Content-Length', str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_PUT = do_GET

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f'http://127.0.0.1:{server.server_address[1]}'
    server.shutdown()


def test_registry_refuses_us(good, refusing):
    told(good, 'bus', 77, 'registry', refusing.split('//')[1], '401', 'registry.user', REGISTRY__URL=refusing, REGISTRY__USER='me',
         REGISTRY__PASSWORD=SECRET)


# --- a service that is not there: 69 where nothing waits; a stage waits and says so ---

def test_postgres_is_down(good):
    url = postgres(good, port=free_port(), password=SECRET)
    told(good, 'verify', 69, 'PostgreSQL', '127.0.0.1:', STORE__URL=url)
    told(good, 'store', 69, 'PostgreSQL', '127.0.0.1:', STORE__URL=url)
    waits(good, 'bus', 'PostgreSQL', 'not there yet|trying again', STORE__URL=url)
    waits(good, 'worker', 'PostgreSQL', 'not there yet|trying again', LAKE__CATALOG=url)


def test_kafka_is_down(good):
    brokers = f'127.0.0.1:{free_port()}'
    told(good, 'verify', 69, 'Kafka', brokers, BUS__BROKERS=brokers)
    waits(good, 'bus', 'Kafka', brokers, 'not there yet|trying again', BUS__BROKERS=brokers)


def test_registry_is_down(good):
    url = f'http://127.0.0.1:{free_port()}'
    waits(good, 'bus', 'registry', url.split('//')[1], 'not there yet|trying again', REGISTRY__URL=url)
    told(good, 'verify', 69, 'registry', url.split('//')[1], REGISTRY__URL=url)


def test_s3_is_down(good):
    url = f'http://127.0.0.1:{free_port()}'
    told(good, 'verify', 69, 'S3', url.split('//')[1], S3__ENDPOINT=url, S3__TRIES='2')
    waits(good, 'worker', 'S3', url.split('//')[1], 'not there yet|trying again', S3__ENDPOINT=url, S3__TRIES='2')


# --- settings and states that do not fit: 78, 79 ---

def test_other_number_of_partitions(good):
    for command in ('bus', 'worker', 'verify'):
        told(good, command, 78, 'market.', '3 partitions', 'bus.partitions', BUS__PARTITIONS='5')


def test_topic_with_too_few_replicas(new):
    from confluent_kafka.admin import AdminClient, NewTopic
    admin = AdminClient({'bootstrap.servers': new.env['TICKLAKE_BUS__BROKERS']})
    admin.create_topics([NewTopic(f'{new.prefix}market.trades', 3, 1)])[f'{new.prefix}market.trades'].result(30)
    new.run('replay', SAMPLES / 'tiingo')
    told(new, 'bus', 78, 'market.trades', '1 replicas', 'bus.replication')
    told(new, 'worker', 78, 'market.trades', '1 replicas', 'bus.replication')


def test_schema_refused(new):
    import urllib.request
    subject = f'{new.prefix}market.trades-value'
    foreign = json.dumps({'schema': json.dumps({'type': 'record', 'name': 'trades', 'namespace': 'ticklake', 'fields': [
        {'name': 'venue', 'type': 'int'}]})}).encode()
    request = urllib.request.Request(f"{new.env['TICKLAKE_REGISTRY__URL']}/subjects/{subject}/versions", foreign,
                                     {'Content-Type': 'application/vnd.schemaregistry.v1+json'})
    urllib.request.urlopen(request, timeout=30).read()
    new.run('replay', SAMPLES / 'tiingo')
    told(new, 'bus', 78, subject, 'refused against version 1', new.env['TICKLAKE_REGISTRY__URL'].split('//')[1])
    assert new.psql('SELECT count(*) FROM ticklake.trade_rows') != '0'  # nothing is lost: it waits in the slot


def test_slot_in_use(good):
    first = good.start('bus')
    wait_for(lambda: 'msg=connected' in first.words(), 60, 'the first publisher has the slot')
    told(good, 'bus', 75, 'slot', good.name, '127.0.0.1:', 'in use by the process', 'another publisher', BUS__NAME='another',
         BUS__PREFIX=f'{good.prefix}other.')
    first.stop()


def test_slot_lost(new):
    new.run('replay', SAMPLES / 'tiingo')
    bus = new.start('bus')
    new.start('process,lake')
    new.settle()
    bus.stop()
    new.psql(f"SELECT pg_drop_replication_slot('{new.name}')")
    text = told(new, 'bus', 79, 'slot', new.name, '127.0.0.1:')
    assert 'bus.prefix' in text or 'verify' in text or 'publish' in text


def test_bucket_missing(new):
    new.run('replay', SAMPLES / 'tiingo')
    told(new, 'worker', 78, 'nowhere', 'create the bucket', LAKE__WAREHOUSE='s3://nowhere/lake')


def test_foreign_catalog(new):
    new.psql('CREATE SCHEMA ticklake; CREATE TABLE ticklake.iceberg_tables (catalog_name varchar(255))')
    told(new, 'worker', 78, 'Iceberg catalog that ticklake did not make', '127.0.0.1:', 'another database')


# --- secrets ---

def secrets_of(d):
    return [d.env['TICKLAKE_S3__SECRET_KEY'], re.search(r':([^:@]+)@', d.url).group(1)]


def test_no_secret_anywhere(good):
    """Not in a log at its loudest, not in a process list, not in a metric or an answer of the port."""
    import urllib.request
    started = [good.start(stages, env={'TICKLAKE_LOG__LEVEL': 'debug'}) for stages in ('bus', 'process,lake', 'serve')]
    text = ''
    for p in started:
        port = wait_for(lambda: re.search(r'msg=listening .*port=(\d+)', p.words()), 60, 'its port is told').group(1)
        text += open(f'/proc/{p.process.pid}/cmdline').read()
        for path in ('/metrics', '/api/v1/status'):
            text += urllib.request.urlopen(f'http://127.0.0.1:{port}{path}', timeout=30).read().decode()
    for command in ('status', 'verify'):
        text += good.run(command, '--json').stdout
    text += good.run('validate', check=None).stdout
    for p in started:
        p.stop()
    text += ''.join(p.words() for p in good.processes)
    assert len(text) > 5000
    assert [s for s in secrets_of(good) if s in text] == []
