"""The lake's tables in an Iceberg REST catalog, positions and queue in PostgreSQL: no transaction spans the two, and nothing is lost or
doubled all the same: killed at each step, cut off from the answers of either, beside other writers.

The server is Iceberg's own (stack part `rest`), a catalog of its own for each test; workers are tests/tools/lake_worker as in
test_lake_postgres.py, PyIceberg reads through its own REST client. Some of it only in `make test-faults`."""
import contextlib
import gzip
import http.client
import http.server
import json
import os
import random
import re
import signal
import subprocess
import threading
import urllib.parse
import uuid

import pytest

psycopg = pytest.importorskip('psycopg')
import conftest  # noqa: E402
import test_distributed  # noqa: E402
from distributed import PARTS, Deployment, Flow  # noqa: E402
from distributed_faults import Cut  # noqa: E402
from stack_tools import wait_until  # noqa: E402
from test_lake_postgres import DEADLINE_S, ROWS, TOOL, Lake, Proxy  # noqa: E402

FAULTS = 'TICKLAKE_FAULTS' in os.environ
longer = pytest.mark.skipif(not FAULTS, reason='the longer list: make test-faults')
SEED = int(os.environ.get('TICKLAKE_SEED') or random.randrange(10**9))
# Of a commit: the record in PostgreSQL, each table's POST, the last transaction.
POINTS = [('fold.recorded', 2), ('rest.after_commit', 4), ('rest.after_commit', 5), ('fold.before_commit', 2)]
MORE_POINTS = [('lake.after_data', 2), ('queue.before_insert', 2), ('queue.after_insert', 2), ('lake.after_manifest', 5),
               ('lake.before_pointer', 2), ('lake.after_pointer', 2), ('rest.after_commit', 6), ('rest.before_commit', 4),
               ('rest.before_commit', 5), ('rest.before_commit', 6), ('compact.after_data', 1), ('compact.before_pointer', 1),
               ('compact.after_pointer', 1)]


@pytest.fixture(scope='module')
def parts(stack):
    """PostgreSQL, S3 and the REST catalog of the session's stack: what stack/env exports."""
    if not TOOL.exists():
        pytest.skip(f'{TOOL} is not built: make tools')
    return stack.up('postgres', 's3', 'rest').env()


def rest_catalog(environment, warehouse, uri=None, token=None):
    from pyiceberg.catalog import load_catalog
    return load_catalog('ticklake', **{
        'type': 'rest', 'uri': uri or environment['TICKLAKE_STACK_REST_URL'], 'warehouse': warehouse,
        'token': token or environment['TICKLAKE_STACK_REST_TOKEN'], 's3.endpoint': environment['TICKLAKE_S3__ENDPOINT'],
        's3.access-key-id': environment['TICKLAKE_S3__ACCESS_KEY'], 's3.secret-access-key': environment['TICKLAKE_S3__SECRET_KEY'],
        's3.region': environment['TICKLAKE_S3__REGION']})


class RestLake(Lake):
    """A database, a catalog of the REST server and a place in the bucket of its own, and the workers on them."""

    def __init__(self, environment, folder):
        self.environment, self.folder, self.started = environment, folder, []
        self.name = 'r' + uuid.uuid4().hex[:10]
        self.admin = environment['TICKLAKE_STACK_POSTGRES_URL']
        self.url = re.sub(r'/[^/]*$', f'/{self.name}', self.admin)
        self.warehouse = f's3://{environment["TICKLAKE_STACK_S3_BUCKET"]}/{self.name}'
        with psycopg.connect(self.admin, autocommit=True) as c:
            c.execute(f'CREATE DATABASE {self.name}')
        (folder / 'mirror').mkdir()
        self.settings = {'LAKE_REST_URI': environment['TICKLAKE_STACK_REST_URL'],
                         'LAKE_REST_TOKEN': environment['TICKLAKE_STACK_REST_TOKEN'],
                         'LAKE_REST_WAREHOUSE': self.name, 'LAKE_MIRROR': str(folder / 'mirror')}

    def environ(self, **more):
        return {k: v for k, v in {**os.environ, **self.environment, **self.settings, **more}.items() if v is not None}

    def start(self, name, partitions, target, *more, url=None, crash=None, **settings):
        line = [str(TOOL), 'work', url or self.url, self.warehouse, name, ','.join(map(str, partitions)), str(target), *more]
        env = self.environ(**({'TICKLAKE_CRASH': crash} if crash else {}), **settings)
        worker = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)
        self.started.append(worker)
        return worker

    def check(self, partitions, code=0, url=None, **settings):
        done = subprocess.run([str(TOOL), 'check', url or self.url, self.warehouse, str(partitions)], capture_output=True, text=True,
                              timeout=DEADLINE_S, env=self.environ(**settings))
        assert done.returncode == code, done.stdout + done.stderr
        return json.loads(done.stdout) if code == 0 else done.stderr

    def catalog(self):
        return rest_catalog(self.environment, self.name)

    def close(self):
        super().close()
        with psycopg.connect(self.admin, autocommit=True) as c:
            c.execute(f'DROP DATABASE {self.name} WITH (FORCE)')


@pytest.fixture
def lake(parts, tmp_path):
    made = RestLake(parts, tmp_path)
    yield made
    made.close()


# --- many workers ---

def test_four_workers_write_each_row_once(lake):
    told = [lake.finish(w) for w in [lake.start(f'w{i}', [2 * i, 2 * i + 1], 300, 'compact') for i in range(4)]]
    assert sum(t['fenced'] for t in told) == 0
    assert sum(t['folded'] for t in told) == sum(t['commits'] for t in told) == 4 * 300 // ROWS
    assert sum(t['compactions'] for t in told) > 0
    assert lake.check(8)['rows'] == 2400
    lake.check_by_pyiceberg(8, 300)
    # Every snapshot of a fold bears its id, once, and so does the table.
    for name in ('trades', 'candles', 'gaps'):
        metadata = lake.catalog().load_table(f'market.{name}').metadata
        folds = [fold for s in metadata.snapshots if (fold := s.summary['ticklake.fold'])]
        assert len(folds) == len(set(folds)) > 0
        assert metadata.properties['ticklake.fold'] == folds[-1]
        assert len(metadata.snapshots) <= 10 and len(metadata.metadata_log) <= 10
    newest = lake.catalog().load_table('market.trades').metadata.snapshots[-1]
    assert newest.sequence_number and newest.parent_snapshot_id
    assert lake.sql('SELECT state, count(*), count(payload) FROM ticklake.ticklake_queue GROUP BY state') == [(1, 4 * 300 // ROWS, 0)]


def test_two_workers_on_the_same_partition_fence_each_other(lake):
    told = [lake.finish(w) for w in [lake.start(f'w{i}', [0, 1], 500) for i in range(2)]]
    assert sum(t['fenced'] for t in told) > 0
    assert lake.check(2)['rows'] == 1000
    lake.check_by_pyiceberg(2, 500)


# --- killed ---

def killed_at(lake, point, count, target):
    others = [lake.start('w1', [1], target // 3, 'compact')]
    victim = lake.start('w0', [0], target // 6, 'compact', crash=f'{point}:{count}')  # beside another, who may finish its work
    victim.communicate(timeout=DEADLINE_S)
    assert victim.returncode in (0, -signal.SIGKILL)
    for w in others:
        lake.finish(w)
    lake.finish(lake.start('w0', [0], target, 'compact', crash=f'{point}:{count}'), check=-signal.SIGKILL)  # alone
    told = [lake.finish(lake.start(f'w{i}', [i], target, 'compact')) for i in range(2)]
    assert sum(t['fenced'] for t in told) == 0
    assert lake.check(2)['rows'] == 2 * target
    lake.check_by_pyiceberg(2, target)


@pytest.mark.parametrize('point, count', POINTS)
def test_killed_at(lake, point, count):
    killed_at(lake, point, count, 300)


@longer
@pytest.mark.parametrize('point, count', MORE_POINTS)
def test_killed_at_more(lake, point, count):
    killed_at(lake, point, count, 600)


@longer
def test_killed_again_and_again(lake):
    print(f'TICKLAKE_SEED={SEED}')
    draw = random.Random(SEED)
    workers = {i: lake.start(f'w{i}', [i], 1500, 'compact') for i in range(3)}
    for _ in range(15):
        before = lake.total()
        wait_until(lambda: lake.total() > before + draw.randrange(300) or all(w.poll() is not None for w in workers.values()),
                   DEADLINE_S, 'progress', pause=0.01)
        i = draw.randrange(3)
        workers[i].kill()
        workers[i].communicate()
        workers[i] = lake.start(f'w{i}', [i], 1500, 'compact')
    for w in workers.values():
        lake.finish(w)
    assert lake.check(3)['rows'] == 4500
    lake.check_by_pyiceberg(3, 1500)


# --- cut off ---

def test_answers_of_the_catalog_are_lost(lake):
    cut = Cut(lake.environment['TICKLAKE_STACK_REST_URL'].split('//')[1])
    other = lake.start('w1', [1], 400)
    worker = lake.start('w0', [0], 600, LAKE_REST_URI=f'http://{cut.address}')
    for _ in range(3):
        cut.swallow_next(1, lambda data: data.startswith(b'POST') and b'/tables/' in data[:200])
    told = lake.finish(worker)
    lake.finish(other)
    cut.stop()
    assert len(cut.swallowed) == 3 and told['fenced'] == 0
    lake.finish(lake.start('w1', [1], 600))
    assert lake.check(2)['rows'] == 1200
    lake.check_by_pyiceberg(2, 600)


class Fifth(Proxy):
    """Swallows the answer to every fifth COMMIT: those of the record, and those behind the tables, by turns."""
    def up(self, client, server, deaf):
        with contextlib.suppress(OSError):
            while data := client.recv(65536):
                if b'\0COMMIT\0' in data:
                    self.seen += 1
                    if self.armed.is_set() and self.seen % 5 == 0:
                        self.swallowed += 1
                        deaf.set()
                server.sendall(data)
        server.close()


def test_answers_of_postgresql_are_lost(lake):
    url = urllib.parse.urlsplit(lake.url)
    proxy = Fifth(url.port, 'close')
    worker = lake.start('w0', [0], 400, url=lake.url.replace(f':{url.port}/', f':{proxy.port}/'))
    proxy.armed.set()
    told = lake.finish(worker)
    proxy.listener.close()
    assert proxy.swallowed >= 5 and told['fenced'] == 0
    lake.finish(lake.start('w1', [1], 400))
    assert lake.check(2)['rows'] == 800
    lake.check_by_pyiceberg(2, 400)


def test_a_recorded_fold_is_waited_for(lake):
    """Between the tables and the last transaction files are ahead of claims: who checks then waits for a worker."""
    lake.finish(lake.start('w0', [0], 100))
    lake.finish(lake.start('w0', [0], 200, crash='lake.before_pointer:1'), check=-signal.SIGKILL)
    assert lake.sql('SELECT count(*) FROM ticklake.ticklake_queue WHERE state = 0 AND fold IS NOT NULL') == [(1,)]
    line = [str(TOOL), 'check', lake.url, lake.warehouse, '2']
    checking = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=lake.environ())
    wait_until(lambda: lake.sql("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND "
                                "application_name LIKE '%%check%%'")[0][0], DEADLINE_S, 'the check is at it')
    lake.finish(lake.start('w1', [1], 100))
    out, told = checking.communicate(timeout=DEADLINE_S)
    assert checking.returncode == 0 and json.loads(out)['different'] == 0, out + told
    lake.finish(lake.start('w0', [0], 200))
    assert lake.check(2)['rows'] == 300


# --- beside others ---

def test_a_rival_appends(lake):
    from pyiceberg.exceptions import CommitFailedException, CommitStateUnknownException, ValidationException
    pytest.importorskip('pyiceberg_core')
    import pyarrow as pa
    workers = [lake.start(f'w{i}', [i], 350, 'compact') for i in range(2)]
    wait_until(lambda: lake.total() > 100, DEADLINE_S, 'first rows')
    appended = 0
    rows = lake.catalog().load_table('market.trades').scan(limit=1).to_arrow()
    i = rows.schema.get_field_index('venue')
    rows = rows.set_column(i, rows.schema.field(i), pa.array(['elsewhere'], rows.schema.field(i).type))
    while any(w.poll() is None for w in workers) or appended < 3:
        with contextlib.suppress(CommitFailedException, CommitStateUnknownException, ValidationException):
            lake.catalog().load_table('market.trades').append(rows)
            appended += 1
    told = [lake.finish(w) for w in workers]
    assert sum(t['compactions'] for t in told) > 0
    assert lake.check(2)['rows'] == 700
    venues = lake.catalog().load_table('market.trades').scan(selected_fields=('venue',)).to_arrow()['venue'].to_pylist()
    assert venues.count('elsewhere') == appended and len(venues) == appended + 700


# --- bad input ---

def refused(lake, code, *words, partitions=(0,), url=None, **settings):
    told = lake.finish(lake.start('w9', list(partitions), ROWS, url=url, **settings), check=code)
    for word in words:
        assert word in told, told
    assert 'hunter2' not in told
    return told


def test_what_is_wrong_is_told(lake):
    address = lake.environment['TICKLAKE_STACK_REST_URL']
    refused(lake, 77, address, '401', 'lake.rest_token', LAKE_REST_TOKEN='hunter2')
    refused(lake, 78, 'lake.rest_token', LAKE_REST_URI='http://me:hunter2@127.0.0.1:1')
    refused(lake, 78, 'expected http', LAKE_REST_URI='ftp://127.0.0.1')
    refused(lake, 78, address + '/elsewhere', 'answered 4', LAKE_REST_URI=address + '/elsewhere')
    lake.finish(lake.start('w0', [0], ROWS))
    # State and tables belong together, whichever of the two is another one.
    refused(lake, 78, 'the positions', LAKE_REST_WAREHOUSE=lake.name + '_other')
    with psycopg.connect(lake.admin, autocommit=True) as c:
        c.execute(f'CREATE DATABASE {lake.name}_other')
    try:
        refused(lake, 78, 'another database of positions', url=lake.url + '_other')
    finally:
        with psycopg.connect(lake.admin, autocommit=True) as c:
            c.execute(f'DROP DATABASE {lake.name}_other WITH (FORCE)')
    # A state older than the tables, restored or lost to a failover: what came since would be made again.
    newest = lake.sql("SELECT bytes FROM ticklake.ticklake_state WHERE name = 'catalog-fold/trades'")[0][0]
    lake.finish(lake.start('w0', [0], 2 * ROWS))
    lake.sql("UPDATE ticklake.ticklake_state SET bytes = %s WHERE name = 'catalog-fold/trades'", newest)
    refused(lake, 79, 'market.trades', newest.decode(), 'restored', partitions=(5,))
    # The catalog in PostgreSQL itself, over positions of tables elsewhere.
    refused(lake, 78, 'REST catalog', LAKE_REST_URI=None)
    lake.catalog().drop_table('market.gaps')
    refused(lake, 78, 'market.gaps', 'dropped')


def make_foreign_table(lake):
    from pyiceberg.schema import Schema
    from pyiceberg.types import LongType, NestedField
    catalog = lake.catalog()
    catalog.create_namespace('market')
    catalog.create_table('market.quotes', Schema(NestedField(1, 'n', LongType(), required=True)), location=lake.warehouse + '/elsewhere')
    return catalog


def test_a_foreign_table_is_not_touched(lake):
    catalog = make_foreign_table(lake)
    refused(lake, 78, 'market.quotes', '"venue"')
    assert [f.name for f in catalog.load_table('market.quotes').schema().fields] == ['n']


# --- who we are ---

class Checking:
    """In front of the server: requests that `allows(method, path, headers, body)` refuses get 403, the others go on with the token."""

    def __init__(self, environment, allows, answer=None, change=lambda method, path, headers, body: body):
        target, token = environment['TICKLAKE_STACK_REST_URL'].split('//')[1], environment['TICKLAKE_STACK_REST_TOKEN']
        self.refused, self.passed = [], 0
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = 'HTTP/1.1'

            def log_message(self, *_):
                pass

            def handle_one(self):
                body = self.rfile.read(int(self.headers.get('Content-Length') or 0))
                own = answer(self.command, self.path, self.headers, body) if answer else None
                if own:
                    return self.give(own[0], {'Content-Type': 'application/json', **own[2]}, own[1])
                why = allows(self.command, self.path, self.headers, body)
                if why:
                    outer.refused.append(why)
                    error = {'error': {'message': why, 'type': 'ForbiddenException', 'code': 403}}
                    return self.give(403, {'Content-Type': 'application/json'}, json.dumps(error).encode())
                outer.passed += 1
                onward = http.client.HTTPConnection(target)
                kept = {k: v for k, v in self.headers.items() if k.lower() in ('content-type', 'accept', 'if-none-match')}
                onward.request(self.command, self.path, body or None, {**kept, 'Authorization': f'Bearer {token}'})
                got = onward.getresponse()
                headers = {k: v for k, v in got.getheaders() if k.lower() in ('content-type', 'etag')}
                self.give(got.status, headers, change(self.command, self.path, self.headers, got.read()))

            def give(self, status, headers, body):
                self.send_response(status)
                for k, v in headers.items():
                    self.send_header(k, v)
                if status != 304:
                    self.send_header('Content-Length', str(len(body)))
                self.end_headers()
                if status != 304:
                    self.wfile.write(body)

            do_GET = do_POST = do_HEAD = do_DELETE = handle_one

        self.server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
        self.server.daemon_threads = True
        self.address = f'http://127.0.0.1:{self.server.server_port}'
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


KEY, SECRET = 'AKIDEXAMPLE', 'wJalrXUtnFEMI/hunter2'


def signature_is_wrong(method, path, headers, body, host, service='glue', region='eu-central-1'):
    """By botocore, from what came over the wire; None where it is right."""
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials
    given = headers.get('Authorization') or ''
    found = re.fullmatch(r'AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/([^/]+)/aws4_request, ?SignedHeaders=([^,]+), ?'
                         r'Signature=([0-9a-f]{64})', given)
    if not found:
        return f'no signature: {given[:20]}'
    key, day, of_region, of_service, signed, signature = found.groups()
    if (key, of_region, of_service) != (KEY, region, service) or not headers['x-amz-date'].startswith(day):
        return f'signed for {key}/{of_region}/{of_service}'
    request = AWSRequest(method=method, url=f'http://{host}{path}', data=body,
                         headers={name: headers[name] for name in signed.split(';') if name != 'host'})
    request.context['timestamp'] = headers['x-amz-date']
    auth = SigV4Auth(Credentials(KEY, SECRET), service, region)
    canonical = auth.canonical_request(request)
    expected = auth.signature(auth.string_to_sign(request, canonical), request)
    return None if expected == signature else 'the signature does not match'


def test_requests_are_signed(lake):
    pytest.importorskip('botocore')
    host = []
    with Checking(lake.environment, lambda m, p, h, b: signature_is_wrong(m, p, h, b, h['Host'])) as proxy:
        settings = {'LAKE_REST_URI': proxy.address, 'LAKE_REST_TOKEN': None, 'LAKE_REST_SIGNING_NAME': 'glue', 'AWS_REGION': 'eu-central-1',
                    'AWS_ACCESS_KEY_ID': KEY, 'AWS_SECRET_ACCESS_KEY': SECRET}
        lake.finish(lake.start('w0', [0], 100, **settings))
        assert proxy.passed > 20 and not proxy.refused and not host
        refused(lake, 77, '403', 'does not match', **{**settings, 'AWS_SECRET_ACCESS_KEY': 'hunter2'})
        refused(lake, 77, '403', 'signed for', **{**settings, 'LAKE_REST_SIGNING_NAME': 's3tables'})
    assert lake.check(1)['rows'] == 100


def test_a_token_from_a_file_is_read_again(lake, tmp_path):
    """The one in the file is good for some requests, then another one is put there."""
    file, good, seen = tmp_path / 'token', ['first'], []
    file.write_text('first\n')

    def allows(method, path, headers, body):
        return None if headers.get('Authorization') == f'Bearer {good[0]}' else 'token'

    def expired(method, path, headers, body):
        seen.append(path)
        if len(seen) == 30:
            file.write_text('second\n')
            good[0] = 'second'
        if headers.get('Authorization') != f'Bearer {good[0]}':
            error = {'error': {'message': 'expired', 'type': 'AuthenticationTimeoutException', 'code': 419}}
            return 419, json.dumps(error).encode(), {}

    with Checking(lake.environment, allows, expired) as proxy:
        lake.finish(lake.start('w0', [0], 100, LAKE_REST_URI=proxy.address, LAKE_REST_TOKEN=None, LAKE_REST_TOKEN_FILE=str(file)))
        assert len(seen) > 30
        file.write_text('')
        refused(lake, 78, str(file), 'empty', LAKE_REST_URI=proxy.address, LAKE_REST_TOKEN=None, LAKE_REST_TOKEN_FILE=str(file))
    assert lake.check(1)['rows'] == 100


def test_a_token_for_a_credential(lake):
    """OAuth 2: asked for with id and secret, and again when it has run out."""
    given = []

    def allows(method, path, headers, body):
        return None if given and headers.get('Authorization') == f'Bearer {given[-1]}' else 'token'

    def tokens(method, path, headers, body):
        if path != '/v1/oauth/tokens':
            return None
        form = dict(urllib.parse.parse_qsl(body.decode()))
        if form != {'grant_type': 'client_credentials', 'client_id': 'me', 'client_secret': 'hunter2 &=+%', 'scope': 'catalog'}:
            return 401, b'{"error": "invalid_client", "error_description": "hunter2"}', {}
        given.append(uuid.uuid4().hex)
        return 200, json.dumps({'access_token': given[-1], 'token_type': 'bearer', 'expires_in': 1}).encode(), {}

    with Checking(lake.environment, allows, tokens) as proxy:
        settings = {'LAKE_REST_URI': proxy.address, 'LAKE_REST_TOKEN': None}
        lake.finish(lake.start('w0', [0], 200, LAKE_REST_CREDENTIAL='me:hunter2 &=+%', **settings))
        assert len(given) > 1
        refused(lake, 77, 'invalid_client', 'lake.rest_credential', LAKE_REST_CREDENTIAL='me:hunter2', **settings)
        refused(lake, 78, 'CLIENT_ID:SECRET', LAKE_REST_CREDENTIAL='hunter2', **settings)
    assert lake.check(1)['rows'] == 200


def test_credentials_of_the_catalog(lake):
    """Ours would be refused by the store; what comes with the tables is used, the longest prefix of it."""
    env, given = lake.environment, []

    def change(method, path, headers, body):
        if method != 'GET' or '/tables/' not in path or headers.get('X-Iceberg-Access-Delegation') != 'vended-credentials':
            return body
        table, good = json.loads(body), {'s3.access-key-id': env['TICKLAKE_S3__ACCESS_KEY'],
                                         's3.secret-access-key': env['TICKLAKE_S3__SECRET_KEY'], 'client.region': env['TICKLAKE_S3__REGION'],
                                         's3.endpoint': env['TICKLAKE_S3__ENDPOINT'], 's3.path-style-access': 'true'}
        bad = {**good, 's3.secret-access-key': 'hunter2'}
        if 'metadata' not in table:
            return body
        given.append(path)
        if path.endswith('trades'):
            table['config'] = good
        else:
            table['config'] = bad
            table['storage-credentials'] = [{'prefix': 's3://', 'config': bad}, {'prefix': lake.warehouse, 'config': good}]
        return json.dumps(table).encode()

    with Checking(env, lambda *_: None, change=change) as proxy:
        settings = {'LAKE_REST_URI': proxy.address, 'TICKLAKE_S3__SECRET_KEY': 'wrong'}
        lake.finish(lake.start('w0', [0], 200, 'compact', LAKE_REST_VENDED='1', **settings))
        assert {p.rsplit('/', 1)[1] for p in given} == set(conftest.TABLES)
        assert lake.check(1, LAKE_REST_VENDED='1', **settings)['rows'] == 200
        lake.check(1, code=77, **settings)
    lake.check_by_pyiceberg(1, 200)


def test_a_busy_server_is_waited_for(lake):
    """429 and 503 with Retry-After; 500 and 504 after the server did it, and before."""
    draw, bad = random.Random(7), []

    def answer(method, path, headers, body):
        if '/tables/' in path and draw.random() < 0.25:
            status = draw.choice([429, 503, 500, 504])
            bad.append(status)
            return status, b'<html>busy</html>', {'Retry-After': '0'}

    with Checking(lake.environment, lambda *_: None, answer) as proxy:
        told = lake.finish(lake.start('w0', [0], 200, LAKE_REST_URI=proxy.address))
        assert told['fenced'] == 0 and set(bad) == {429, 503, 500, 504}
    assert lake.check(1)['rows'] == 200
    lake.check_by_pyiceberg(1, 200)


# --- the whole way ---

QUICK = {'TICKLAKE_BUS__PROPERTIES': 'consumer.session.timeout.ms=6000'}  # how long a killed member is waited for


class OverRest:
    """A deployment whose tables are in the REST catalog; the state is where the store is."""

    def sections(self, environment, catalog=None):
        self.rest_warehouse = 'd' + uuid.uuid4().hex[:10]
        return {'lake': {'catalog': catalog or environment['TICKLAKE_STACK_REST_URL'], 'rest_warehouse': self.rest_warehouse,
                         'rest_token': environment['TICKLAKE_STACK_REST_TOKEN']}}

    def catalog(self):
        return rest_catalog(self.base, self.rest_warehouse)

    def stop_all(self):
        for p in self.processes:
            if p.alive():
                p.stop()


class RestDeployment(OverRest, Deployment):
    def __init__(self, folder, environment):
        super().__init__(folder, environment, **self.sections(environment))


class RestFlow(OverRest, Flow):
    def __init__(self, folder, environment, catalog, **kw):
        super().__init__(folder, environment, **kw, **self.sections(environment, catalog))


@pytest.fixture
def new_deployment(tmp_path, stack):
    made, environment = [], stack.up(*PARTS, 'rest').env()

    def make(kind=RestDeployment, **kw):
        made.append(kind(tmp_path / f'deployment{len(made)}', environment, **kw))
        return made[-1]

    yield make
    for d in made:
        d.close()


def halves_of_the_sample(folder):
    lines = gzip.open(conftest.SAMPLES / 'binance/btcusdt_20240808.gz').readlines()
    for n, half in enumerate((lines[:len(lines) // 2], lines[len(lines) // 2:])):
        path = folder / f'btcusdt_{n}.gz'
        path.write_bytes(gzip.compress(b''.join(half)))
        yield path


def assert_same_as_embedded(d, folder, paths):
    expected = test_distributed.embedded(folder, *paths)
    test_distributed.assert_same(d.everything(test_distributed.DISTRIBUTED_LEFT_OUT), expected)
    return expected['trades'].num_rows


def test_the_samples_give_the_same_lake_as_embedded(tmp_path, new_deployment):
    d = new_deployment()
    paths = [*halves_of_the_sample(tmp_path), conftest.SAMPLES / 'tiingo']
    for path in paths:
        d.run('replay', path)
    d.start('bus')
    for _ in range(2):
        d.start('process,lake')
    told = d.settle()
    assert told['trades'] == assert_same_as_embedded(d, tmp_path / 'embedded', paths) > 2000
    # What the commands say of it, and the upkeep by hand beside the workers.
    lines = d.run('connect', 'pyiceberg').stdout
    assert "'type': 'rest'" in lines and d.rest_warehouse in lines and d.base['TICKLAKE_STACK_REST_TOKEN'] not in lines
    d.run('compact')
    d.run('expire-snapshots', '--keep', '2')
    d.run('remove-orphans', '--dry-run')
    d.verify()
    assert told['trades'] == d.count('trades')
    d.stop_all()


@longer
def test_a_worker_is_killed_between_two_tables(tmp_path, new_deployment):
    """All of them go, the next is killed there, and what it began is finished by whoever comes after it."""
    d = new_deployment()
    paths = [*halves_of_the_sample(tmp_path), conftest.SAMPLES / 'tiingo']
    d.start('bus')
    d.run('replay', paths[0])
    first = d.start('process,lake')
    d.settle()
    first.stop()
    for path in paths[1:]:
        d.run('replay', path)
    victim = d.start('process,lake', env={'TICKLAKE_CRASH': 'rest.after_commit:1', **QUICK})
    wait_until(lambda: not victim.alive(), 120, 'it kills itself')
    assert victim.process.returncode == -signal.SIGKILL
    d.start('process,lake', env=QUICK)
    d.settle()
    assert_same_as_embedded(d, tmp_path / 'embedded', paths)
    d.stop_all()


@longer
def test_a_field_of_others_becomes_a_column(new_deployment, stack):
    import test_evolution
    environment = stack.up(*PARTS, 'rest').env()
    f = new_deployment(RestFlow, catalog=environment['TICKLAKE_STACK_REST_URL'], workers=1, rate=500, symbols=2)
    test_evolution.Publisher(f, test_evolution.NOTE).send(300, note=test_evolution.note)
    assert test_evolution.arrived(f, 300, ['note']) == {n: (test_evolution.note(n),) for n in range(300)}
    assert len(f.table('trades').metadata.schemas) == 2


@longer
def test_faults_while_data_flow(new_deployment, stack):
    """1,000 trades a second; workers 1 to 3 to 1, one killed, the catalog cut off, cut off after it did it, killed and restarted."""
    environment = stack.up(*PARTS, 'rest').env()
    cut = Cut(environment['TICKLAKE_STACK_REST_URL'].split('//')[1])
    f = new_deployment(RestFlow, catalog=f'http://{cut.address}', workers=1, rate=1000, worker_env=QUICK)
    f.add_worker()
    f.add_worker()
    f.shared()
    f.workers[1].kill()
    f.flowing()
    for _ in range(3):
        cut.swallow_next(1, lambda data: data.startswith(b'POST') and b'/tables/' in data[:200])
    f.flowing()
    with cut.down():
        f.simulator_ran(5)
    f.flowing()
    stack.kill('rest')
    f.simulator_ran(2)
    stack.start('rest')
    f.flowing()
    f.workers[0].stop()
    f.flowing()
    f.end()
    cut.stop()
    assert f.count('trades') == f.committed()


def test_validate_names_what_is_wrong(new_deployment, tmp_path):
    d = new_deployment()
    address = d.base['TICKLAKE_STACK_REST_URL']
    for code, words, settings in (
            (0, ['lake catalog', address, 'answers'], {}),
            (77, [address, '401', 'lake.rest_token'], {'TICKLAKE_LAKE__REST_TOKEN': 'hunter2'}),
            (69, ['127.0.0.1:1'], {'TICKLAKE_LAKE__CATALOG': 'http://127.0.0.1:1'}),
            (78, ['lake.state_url', 'store.url'], {'TICKLAKE_STORE__URL': None}),
            (78, ['one of them'], {'TICKLAKE_LAKE__REST_SIGNING_NAME': 'glue'})):
        env = {k: v for k, v in {**d.env, **settings}.items() if v is not None}
        done = subprocess.run([str(conftest.BINARY), 'validate'], env=env, capture_output=True, text=True, timeout=120)
        told = done.stdout + done.stderr
        assert done.returncode == code, told
        for word in words:
            assert word in told
        assert 'hunter2' not in told and d.base['TICKLAKE_STACK_REST_TOKEN'] not in told
    make_foreign_table(d)
    done = d.run('validate', check=78)
    assert 'market.quotes' in done.stdout + done.stderr and '"venue"' in done.stdout + done.stderr
