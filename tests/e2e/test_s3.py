"""The S3 client (src/io/s3*, aws*) and the lake on S3, against a real server, broken connections and scripted answers.

The client is tests/tools/s3_tool, the lake tests/tools/lake_make."""
import email.utils
import hashlib
import json
import os
import pathlib
import random
import shutil
import subprocess
import time

import pytest

import s3_servers
from parquet_tools import find_tool
from s3_servers import KEY, SECRET, Forgetful, Gateway, Proxy, Scripted, error

OK, REFUSED, LATER, ABSENT = 0, 77, 69, 64
CLEAN = {k: v for k, v in os.environ.items() if not k.startswith('AWS_') and 'proxy' not in k.lower()}
KEYS = {**CLEAN, 'AWS_ACCESS_KEY_ID': KEY, 'AWS_SECRET_ACCESS_KEY': SECRET, 'AWS_EC2_METADATA_DISABLED': 'true'}
ODD = ['plain', 'a b', '100%', '%41', 'a+b', 'a=b&c=d', '~x', '(y)', 'é', 'k:1', "q'uote", 'semi;colon', 'at@', 'dol$lar', 'star*', 'x,y',
       'venue_time_day=2026-01-01/00000-ü.parquet', 'a/b/c']


@pytest.fixture(scope='module')
def tool():
    return find_tool('s3_tool')


@pytest.fixture(scope='module')
def gateway(tmp_path_factory):
    program = s3_servers.find_gateway()
    if not program:
        pytest.skip('no versitygw: stack/up s3 installs it')
    server = Gateway(program, tmp_path_factory.mktemp('s3')).start()
    yield server
    server.stop()


@pytest.fixture
def scripted():
    servers = []

    def start(answer):
        servers.append(Scripted(answer))
        return servers[-1]
    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def call(tool):
    def run(url, *args, check=OK, env=KEYS):
        done = subprocess.run([tool, url, *map(str, args)], capture_output=True, text=True, timeout=120, env=env)
        assert done.returncode == check, f'{args}: exit {done.returncode}\n{done.stdout}{done.stderr}'
        assert SECRET not in done.stdout + done.stderr and 'Signature=' not in done.stderr
        return done.stderr if check else done.stdout
    return run


@pytest.fixture
def bucket(gateway, call, request):
    name = 'b' + hashlib.md5(request.node.name.encode()).hexdigest()[:12]
    call(gateway.url, 'make-bucket', name)
    call(gateway.url, 'make-bucket', name)  # there is fine
    return name


# ---- objects

@pytest.mark.parametrize('way', ['path', 'virtual'])
def test_keys_of_any_letters(gateway, call, bucket, way):
    url = [gateway.url] if way == 'path' else [f'http://localhost:{gateway.port}', 'virtual']
    for key in ODD:
        address = f's3://{bucket}/{way}/{key}'
        call(*url, 'put-bytes', address, key)
        assert call(*url, 'cat', address, 1000) == key
        assert call(*url, 'head', address).strip() == str(len(key.encode()))
    listed = [line.split(' ', 2)[2] for line in call(*url, 'list', f's3://{bucket}/{way}/').splitlines()]
    assert sorted(listed) == sorted(f's3://{bucket}/{way}/{key}' for key in ODD)
    for key in ODD:
        call(*url, 'delete', f's3a://{bucket}/{way}/{key}')
        call(*url, 'delete', f's3://{bucket}/{way}/{key}')
        assert call(*url, 'head', f's3://{bucket}/{way}/{key}').strip() == '-1'
    assert call(*url, 'list', f's3://{bucket}/{way}/') == ''


def test_a_listing_of_several_pages(gateway, call, bucket):
    folder = gateway.data / bucket / 'many'
    folder.mkdir()
    for i in range(2345):
        (folder / f'{i:05}').touch()
    lines = call(gateway.url, 'list', f's3://{bucket}/many/').splitlines()
    assert [line.rsplit('/', 1)[1] for line in lines] == [f'{i:05}' for i in range(2345)]


def test_large_files_go_in_parts(gateway, call, bucket, tmp_path):
    source, back = tmp_path / 'source', tmp_path / 'back'
    for size in (0, 1, 5 << 20, (5 << 20) + 1, 64 << 20):
        source.write_bytes(os.urandom(1 << 20) * (size >> 20) + b'x' * (size & 0xfffff))
        address = f's3://{bucket}/size-{size}'
        call(gateway.url, f'part={5 << 20}', 'put-absent', address, source)
        call(gateway.url, 'get', address, back)
        assert back.read_bytes() == source.read_bytes()
        told = call(gateway.url, f'part={5 << 20}', 'put-absent', address, source, check=LATER)
        assert address[5:] in told
    assert not [p for p in (gateway.data / bucket).glob('.sgwtmp/multipart/*/*')], 'a refused upload was not aborted'
    assert call(gateway.url, 'cat', f's3://{bucket}/size-1', 0, check=70)


def test_conditional_writes(gateway, call, bucket):
    assert call(gateway.url, 'probe', f's3://{bucket}/some/prefix').strip() == 'conditional'
    assert call(gateway.url, 'list', f's3://{bucket}/') == '', 'the probe leaves nothing'
    for _ in range(2):
        call(gateway.url, 'put-bytes', f's3://{bucket}/k', 'one')
    told = call(gateway.url, 'put-bytes-absent', f's3://{bucket}/k', 'two', check=LATER)
    assert 'exists already' in told
    assert call(gateway.url, 'cat', f's3://{bucket}/k', 10) == 'one'


# ---- bad input

def test_refusals_say_what_to_do(gateway, call, bucket):
    address = f's3://{bucket}/k'
    for command in (['head', address], ['list', address], ['put-bytes', address, 'x'], ['probe', address]):
        told = call(gateway.url, *command, check=REFUSED, env={**KEYS, 'AWS_SECRET_ACCESS_KEY': 'wrong'})
        assert 'SignatureDoesNotMatch' in told and bucket in told and gateway.url in told
        told = call(gateway.url, *command, check=REFUSED, env={**KEYS, 'AWS_ACCESS_KEY_ID': 'nobody'})
        assert 'HTTP 404 XAdminUserNotFound' in told and 'check s3.access_key' in told
        told = call(gateway.url, *command, check=REFUSED, env={**CLEAN, 'AWS_EC2_METADATA_DISABLED': 'true', 'HOME': '/nowhere'})
        assert 'no AWS credentials found' in told and '/nowhere/.aws/credentials' in told
        told = call(gateway.url, *[c.replace(bucket, 'missing') for c in command], check=78)
        assert 'NoSuchBucket' in told and 'create the bucket' in told
        told = call(f'http://127.0.0.1:{s3_servers.free_port()}', 'tries=2', *command, check=LATER)
        assert 'connect' in told and '127.0.0.1' in told
    for bad in ('file:///x', 's3://', 's3://a/b'.replace('a', 'a?b'), f's3://{bucket}', f's3://{bucket}/' + 'k' * 1025):
        call(gateway.url, 'head', bad, check=78)
    assert 'expected http' in call('ftp://x', 'head', address, check=78)
    call(gateway.url, 'cat', f's3://{bucket}/none', 10, check=ABSENT)


def test_answers_of_another_kind(call, scripted):
    html = scripted(lambda *_: (200, {}, '<html><body>welcome</body></html>'))
    assert 'is this an S3 server' in call(html.url, 'list', 's3://b/x', check=65)
    for answer in ('<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>',
                   '<ListBucketResult><Contents><Key>a</Key></Contents></ListBucketResult>'):
        call(scripted(lambda *_, a=answer: (200, {}, a)).url, 'list', 's3://b/x', check=65)
    region = scripted(lambda *_: error(301, 'PermanentRedirect', **{'x-amz-bucket-region': 'eu-west-1'}))
    told = call(region.url, 'cat', 's3://b/x', 10, check=78)
    assert 'region eu-west-1' in told and 'set s3.region' in told
    assert len(region.requests) == 1, 'no redirect is followed'


def test_the_certificate_is_checked(gateway, call, tmp_path):
    key, certificate = tmp_path / 'key', tmp_path / 'certificate'
    subprocess.run(['openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=localhost', '-keyout', key,
                    '-out', certificate, '-addext', 'subjectAltName=IP:127.0.0.1,DNS:localhost'], check=True, capture_output=True)
    server = Gateway(gateway.program, tmp_path / 's3').start('--cert', key.with_name('certificate'), '--key', key)
    try:
        url = f'https://127.0.0.1:{server.port}'
        told = call(url, 'tries=1', 'make-bucket', 'bucket', check=LATER)
        assert 'certificate' in told
        call(url, f'ca={certificate}', 'make-bucket', 'bucket')
        call(url, f'ca={certificate}', 'put-bytes-absent', 's3://bucket/k', 'x')
        assert 'certificate' in call(url, f'ca={key}', 'tries=1', 'head', 's3://bucket/k', check=78)
    finally:
        server.stop()


# ---- retries by class

@pytest.mark.parametrize('first', [error(503, 'SlowDown'), error(500, 'InternalError'), error(400, 'RequestTimeout'),
                                   error(429, 'TooManyRequests'), error(409, 'OperationAborted')])
def test_what_passes_is_tried_again(call, scripted, first):
    calls = []

    def answer(*_):
        calls.append(1)
        return first if len(calls) < 3 else (200, {}, 'there')
    assert call(scripted(answer).url, 'cat', 's3://b/x', 10) == 'there'
    assert len(calls) == 3
    stays = scripted(lambda *_: first)
    call(stays.url, 'tries=3', 'cat', 's3://b/x', 10, check=LATER)
    assert len(stays.requests) == 3


@pytest.mark.parametrize('status, code, exit_code', [(403, 'AccessDenied', REFUSED), (400, 'InvalidRequest', 78), (501, 'NotImplemented', 78)])
def test_what_stays_is_told_at_once(call, scripted, status, code, exit_code):
    server = scripted(lambda *_: error(status, code))
    assert code in call(server.url, 'cat', 's3://b/x', 10, check=exit_code)
    assert len(server.requests) == 1


@pytest.mark.parametrize('with_words', [True, False])
def test_the_servers_clock_is_taken_once(call, scripted, with_words):
    hours = 7 * 3600

    def answer(method, path, headers, body):
        now = time.time() + hours
        date = {'Date': email.utils.formatdate(now, usegmt=True)}
        day = time.strftime('%Y%m%dT%H', time.gmtime(now))
        if headers['x-amz-date'][:11] == day or headers['x-amz-date'][:11] == time.strftime('%Y%m%dT%H', time.gmtime(now - 60)):
            return 200, {**date, 'Content-Length': '5'}, 'there'
        return error(403, 'RequestTimeTooSkewed', **date) if with_words else (403, date, '')
    server = scripted(answer)
    call(server.url, 'head', 's3://b/x')
    assert [r[0] for r in server.requests] == ['HEAD', 'HEAD']
    never = scripted(lambda *_: error(403, 'RequestTimeTooSkewed', Date=email.utils.formatdate(time.time() + hours, usegmt=True)))
    assert "set this machine's clock" in call(never.url, 'cat', 's3://b/x', 10, check=REFUSED)
    assert len(never.requests) == 2


# ---- connections that break

def test_cut_answers_are_read_again(gateway, call, bucket, tmp_path):
    proxy = Proxy(gateway.port)
    source, back = tmp_path / 'source', tmp_path / 'back'
    source.write_bytes(os.urandom(12 << 20))
    call(gateway.url, 'put', f's3://{bucket}/large', source)
    proxy.cut_after, proxy.cuts = 3 << 20, 3
    call(proxy.url, f'part={5 << 20}', 'get', f's3://{bucket}/large', back)
    assert proxy.cuts == 0 and back.read_bytes() == source.read_bytes()
    proxy.cut_after, proxy.cuts = 3 << 20, 100
    back.unlink()
    call(proxy.url, 'tries=2', 'get', f's3://{bucket}/large', back, check=LATER)
    assert not list(tmp_path.glob('back*'))
    proxy.stop()


def swallow_once(proxy, matches):
    left = [1]

    def decide(line):
        if matches(line) and left:
            left.pop()
            return True
        return False
    proxy.swallow = decide


def test_a_lost_answer_of_a_conditional_write(gateway, call, bucket, tmp_path):
    proxy = Proxy(gateway.port)
    swallow_once(proxy, lambda line: line.startswith('PUT'))
    call(proxy.url, 'put-bytes-absent', f's3://{bucket}/k', 'mine')
    assert len(proxy.swallowed) == 1 and call(gateway.url, 'cat', f's3://{bucket}/k', 10) == 'mine'
    # What another wrote under the same key, of the same length, is not taken for ours.
    call(gateway.url, 'put-bytes', f's3://{bucket}/other', 'that')
    swallow_once(proxy, lambda line: line.startswith('PUT'))
    call(proxy.url, 'put-bytes-absent', f's3://{bucket}/other', 'mine', check=LATER)
    assert call(gateway.url, 'cat', f's3://{bucket}/other', 10) == 'that'
    # Large: the answer of the completion, and of a part.
    source = tmp_path / 'source'
    source.write_bytes(os.urandom(11 << 20))
    for name, matches in (('done', lambda line: 'POST' in line and 'uploadId' in line), ('part', lambda line: 'partNumber=2' in line)):
        proxy.swallowed.clear()
        swallow_once(proxy, matches)
        call(proxy.url, f'part={5 << 20}', 'put-absent', f's3://{bucket}/{name}', source)
        assert len(proxy.swallowed) == 1
        assert (gateway.data / bucket / name).read_bytes() == source.read_bytes()
    proxy.stop()


def test_a_server_that_ignores_conditions(call, scripted):
    store = Forgetful()
    server = scripted(store)
    assert call(server.url, 'probe', 's3://b/p').strip() == 'unconditional'
    assert not store.objects
    call(server.url, 'probed', 'put-bytes-absent', 's3://b/k', 'one')
    told = call(server.url, 'probed', 'put-bytes-absent', 's3://b/k', 'two', check=LATER)
    assert 'exists already' in told and store.objects['/b/k'] == b'one'
    puts = [r for r in server.requests if r[0] == 'PUT' and r[1] == '/b/k']
    assert len(puts) == 1 and 'If-None-Match' not in puts[0][2]


# ---- where credentials come from

def test_credentials_of_a_container(call, scripted, tmp_path):
    def answer(method, path, headers, body):
        if path != '/role' or headers.get('Authorization') != 'token-of-the-pod':
            return 403, {}, 'no'
        return 200, {}, json.dumps({'AccessKeyId': 'AK', 'SecretAccessKey': SECRET, 'Token': 'T', 'Expiration': '2036-01-01T00:00:00Z'})
    server = scripted(answer)
    (tmp_path / 'token').write_text('token-of-the-pod\n')
    env = {**CLEAN, 'HOME': str(tmp_path), 'AWS_CONTAINER_CREDENTIALS_FULL_URI': server.url + '/role'}
    assert call('-', 'source', env={**env, 'AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE': str(tmp_path / 'token')}).startswith('the container')
    assert call('-', 'source', env={**env, 'AWS_CONTAINER_AUTHORIZATION_TOKEN': 'token-of-the-pod'}).startswith('the container')
    assert 'HTTP 403' in call('-', 'source', env=env, check=REFUSED)
    elsewhere = {**env, 'AWS_CONTAINER_CREDENTIALS_FULL_URI': 'http://127.0.0.1.example.com/role'}
    assert 'neither https' in call('-', 'source', env=elsewhere, check=REFUSED)


def test_credentials_of_an_instance(call, scripted, tmp_path):
    base = '/latest/meta-data/iam/security-credentials/'

    def answer(method, path, headers, body):
        if method == 'PUT' and path == '/latest/api/token' and headers['X-aws-ec2-metadata-token-ttl-seconds'] == '21600':
            return 200, {}, 'session-token'
        if headers.get('X-aws-ec2-metadata-token') != 'session-token':
            return 401, {}, ''
        if path == base:
            return 200, {}, 'lake-writer\n'
        return 200, {}, json.dumps({'Code': 'Success', 'AccessKeyId': 'AK', 'SecretAccessKey': SECRET, 'Token': 'T',
                                    'Expiration': '2036-01-01T00:00:00Z'})
    server = scripted(answer)
    env = {**CLEAN, 'HOME': str(tmp_path), 'AWS_EC2_METADATA_SERVICE_ENDPOINT': server.url, 'http_proxy': 'http://127.0.0.1:1'}
    assert call('-', 'source', env=env).startswith('the instance (IMDSv2), role lake-writer, region us-east-1')
    bare = scripted(lambda method, path, *_: (200, {}, 't') if method == 'PUT' else (404, {}, ''))
    assert 'no role' in call('-', 'source', env={**env, 'AWS_EC2_METADATA_SERVICE_ENDPOINT': bare.url}, check=REFUSED)


def test_credentials_of_a_web_identity(call, scripted, tmp_path):
    def answer(method, path, headers, body):
        if b'WebIdentityToken=ey%2Btoken%3D&' not in body + b'&' or b'RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fx&' not in body:
            return error(400, 'InvalidIdentityToken')
        return 200, {}, ('<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleWithWebIdentityResult>'
                         f'<Credentials><SessionToken>a&amp;b</SessionToken><SecretAccessKey>{SECRET}</SecretAccessKey>'
                         '<Expiration>2036-01-01T00:00:00Z</Expiration><AccessKeyId>AK</AccessKeyId></Credentials>'
                         '</AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>')
    server = scripted(answer)
    (tmp_path / 'token').write_text('ey+token=\n')
    env = {**CLEAN, 'HOME': str(tmp_path), 'AWS_ENDPOINT_URL_STS': server.url + '/', 'AWS_WEB_IDENTITY_TOKEN_FILE': str(tmp_path / 'token')}
    assert 'without AWS_ROLE_ARN' in call('-', 'source', env=env, check=REFUSED)
    env['AWS_ROLE_ARN'] = 'arn:aws:iam::1:role/x'
    assert call('-', 'source', env=env).startswith('web identity, role arn:aws:iam::1:role/x')
    seen = scripted(lambda *_: (200, {}, 'there'))
    call(seen.url, 'cat', 's3://b/x', 10, env=env)
    assert seen.requests[0][2]['x-amz-security-token'] == 'a&b'
    (tmp_path / 'token').write_text('another')
    told = call('-', 'source', env=env, check=REFUSED)
    assert 'InvalidIdentityToken' in told and 'another' not in told
    assert 'no such file' in call('-', 'source', env={**env, 'AWS_WEB_IDENTITY_TOKEN_FILE': '/nowhere/t'}, check=REFUSED)


def test_credentials_are_renewed_before_they_end(call, scripted, tmp_path):
    soon = time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(time.time() + 1))
    server = scripted(lambda *_: (200, {}, json.dumps({'AccessKeyId': 'AK', 'SecretAccessKey': SECRET, 'Token': 'T', 'Expiration': soon})))
    slow = [0]

    def answer(*_):
        slow[0] += 1
        return error(503, 'SlowDown', **{'Retry-After': '2'}) if slow[0] == 1 else (200, {}, 'there')
    env = {**CLEAN, 'HOME': str(tmp_path), 'AWS_CONTAINER_CREDENTIALS_FULL_URI': server.url}
    assert call(scripted(answer).url, 'cat', 's3://b/x', 10, env=env) == 'there'
    assert len(server.requests) == 2


# ---- the lake

class Lake:
    def __init__(self, url, bucket, folder, make):
        self.url, self.folder, self.make = url, pathlib.Path(folder), make
        self.warehouse = f's3://{bucket}/wh'
        self.expected = self.folder.parent / 'expected'

    def run(self, commits, check=OK, **env):
        line = [self.make, self.folder, str(commits), self.expected]
        done = subprocess.run(line, capture_output=True, text=True, timeout=300,
                              env={**KEYS, 'S3_ENDPOINT': self.url, 'S3_WAREHOUSE': self.warehouse, **env})
        assert done.returncode == check, done.stdout + done.stderr
        return done.stdout + done.stderr

    def catalog(self, url):
        from pyiceberg.catalog import load_catalog
        return load_catalog('ticklake', type='sql', uri=f'sqlite:///{self.folder}/catalog.db', warehouse=self.warehouse,
                            init_catalog_tables='false', **{'s3.endpoint': url, 's3.access-key-id': KEY, 's3.secret-access-key': SECRET,
                                                            's3.region': 'us-east-1'})

    def check(self, url):
        """PyIceberg's rows against what was written."""
        catalog = self.catalog(url)
        told = [line.rstrip('\n').split(',') for line in self.expected.open()]
        trades = catalog.load_table('market.trades').scan(selected_fields=('sequence', 'price')).to_arrow().to_pylist()
        assert sorted((r['sequence'], int(r['price'].scaleb(18))) for r in trades) == [(int(t[1]), scaled(t[5])) for t in told if t[0] == 'trade']
        candles = catalog.load_table('market.candles').scan(selected_fields=('symbol', 'open_time', 'revision')).to_arrow()
        assert candles.num_rows == len([t for t in told if t[0] == 'candle'])
        assert sorted(candles['revision'].to_pylist()) == sorted(int(t[6]) for t in told if t[0] == 'candle')

    def objects(self, gateway):
        return sorted(p for p in (gateway.data / self.warehouse[5:]).rglob('*') if p.is_file())


def scaled(text):
    import decimal
    return int(decimal.Decimal(text).scaleb(18))


@pytest.fixture
def lake(gateway, bucket, tmp_path):
    pytest.importorskip('pyiceberg')
    return Lake(gateway.url, bucket, tmp_path / 'lake', find_tool('lake_make'))


def test_a_lake_on_s3(gateway, lake):
    lake.run(12)
    lake.check(gateway.url)
    assert lake.run(0, LAKE_CHECK='1') == ''
    assert not [p for p in lake.objects(gateway) if p.name == 'version-hint.text']
    # Another writer appends with PyIceberg; then ours goes on with an empty mirror of the smallest size.
    table = lake.catalog(gateway.url).load_table('market.trades')
    rows = table.scan(limit=5).to_arrow()
    table.append(rows)
    shutil.rmtree(lake.folder / 'mirror')
    lake.run(12, MIRROR_BYTES='100000')
    kept = sum(p.stat().st_size for p in (lake.folder / 'mirror').rglob('*') if p.is_file())
    assert kept < 150000
    assert lake.catalog(gateway.url).load_table('market.trades').scan().to_arrow().num_rows == 24 * 40 + 5
    assert lake.run(0, LAKE_CHECK='1') == ''


def test_a_damaged_or_lost_object_is_told(gateway, lake):
    lake.run(3)
    lost, short = [p for p in lake.objects(gateway) if p.suffix == '.parquet' and '/trades/' in str(p)][:2]
    lost.unlink()
    short.write_bytes(short.read_bytes()[:-1])
    told = lake.run(0, LAKE_CHECK='1')
    assert f'{lost.name}: the file is missing' in told and f'{short.name}: ' in told and 'the manifest says' in told


def test_what_is_not_needed_goes_from_the_store(gateway, lake):
    lake.run(25, LAKE_CLEAN='1')
    before = lake.objects(gateway)
    leftover = gateway.data / lake.warehouse[5:] / 'market/trades/data' / '7469636b-0000-8000-8000-000000000000-00000.parquet'
    leftover.parent.mkdir(parents=True, exist_ok=True)
    leftover.write_bytes(b'of a commit that never was')
    foreign = leftover.with_name('00000-of-somebody-else.parquet')
    foreign.write_bytes(b'')
    lake.run(0, LAKE_CLEAN='1')
    assert not leftover.exists() and foreign.exists() and set(lake.objects(gateway)) == {*before, foreign}
    lake.check(gateway.url)
    assert lake.run(0, LAKE_CHECK='1') == ''


def test_a_store_that_goes_away_costs_nothing(gateway, lake):
    """Answers of applied writes are swallowed, connections cut, the server killed: the lake goes on where it was."""
    proxy = Proxy(gateway.port)
    lake.url = proxy.url
    lake.run(3)
    count = [0]

    def every_seventh(line):
        count[0] += 1
        return count[0] % 7 == 0
    proxy.swallow = every_seventh
    lake.run(6)
    assert len(proxy.swallowed) > 5
    proxy.swallow = None
    lake.check(gateway.url)
    gateway.stop()
    told = lake.run(3, check=LATER)
    assert 'S3' in told
    gateway.start()
    lake.run(3)
    lake.check(gateway.url)
    assert lake.run(0, LAKE_CHECK='1') == ''
    proxy.stop()


def test_killed_at_any_moment(gateway, lake):
    lake.run(1)
    chance = random.Random(5)
    for _ in range(8):
        process = subprocess.Popen([lake.make, lake.folder, '1000', lake.expected], stdout=subprocess.DEVNULL,
                                   env={**KEYS, 'S3_ENDPOINT': lake.url, 'S3_WAREHOUSE': lake.warehouse})
        time.sleep(chance.uniform(0.05, 0.5))  # a moment, not a wait for something
        process.kill()
        process.wait()
    lake.run(2, LAKE_CLEAN='1')
    lake.check(gateway.url)
    assert lake.run(0, LAKE_CHECK='1') == ''
    for name in ('trades', 'candles', 'gaps'):
        table = lake.catalog(gateway.url).load_table(f'market.{name}')
        kept = {p.rsplit('/', 1)[1] for p in table.inspect.all_files()['file_path'].to_pylist()}
        there = {p.name for p in lake.objects(gateway) if p.suffix == '.parquet' and f'/{name}/' in str(p)}
        assert there == kept, 'what no snapshot needs was removed, and nothing else'


def test_a_lake_finds_its_bucket_missing(gateway, lake):
    lake.warehouse = 's3://never-made/wh'
    assert 'NoSuchBucket' in lake.run(1, check=78)
    lake.warehouse = 's3://' + 'x' * 300
    lake.run(1, check=78)
