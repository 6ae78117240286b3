"""The publisher on real brokers: killed at any moment, brokers killed, fenced; read back by another client, each record once.

The publisher is tests/tools/bus_publish: event n follows from n alone, and its position's row is the number of events so far."""
import io
import json
import os
import pathlib
import random
import signal
import socket
import subprocess
import time
import urllib.request
import uuid

import pytest

confluent_kafka = pytest.importorskip('confluent_kafka')
fastavro = pytest.importorskip('fastavro')
from confluent_kafka import admin  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = pathlib.Path(os.environ.get('TICKLAKE', ROOT / 'build' / 'ticklake'))
PUBLISH = BINARY.parent / 'tests' / 'tools' / 'bus_publish'
START_NS = 1_700_000_000 * 1_000_000_000
SYMBOLS = 40
TABLES = ('trades', 'quotes', 'gaps', 'dead_letters', 'venue_candles', 'instruments')
DEADLINE_S = 120


def kind_of(n):
    """As fill() of the tool has it."""
    if n % 331 == 7:
        return 'gaps'
    if n % 1009 == 11:
        return 'dead_letters'
    return 'quotes' if n % 10 == 3 else 'trades'


class Bus:
    """One prefix of topics."""

    def __init__(self, stack, prefix):
        self.stack, self.prefix = stack, prefix
        env = stack.env()
        self.brokers, self.registry = env['TICKLAKE_STACK_KAFKA'], env['TICKLAKE_STACK_REGISTRY_URL']
        self.schemas = {}

    def line(self, verb, **options):
        options = {'brokers': self.brokers, 'registry': self.registry, 'prefix': self.prefix, **options}
        return [str(PUBLISH), verb, *[str(x) for pair in options.items() for x in pair]]

    def run(self, verb, check=0, **options):
        done = subprocess.run(self.line(verb, **options), capture_output=True, text=True, timeout=DEADLINE_S)
        assert done.returncode == check, f'{verb}: exit {done.returncode}\n{done.stdout}\n{done.stderr}'
        return done.stdout

    def start(self, **options):
        return subprocess.Popen(self.line('publish', **options), stdout=subprocess.PIPE, text=True)

    def row(self):
        told = dict(x.split('=') for x in self.run('position').split())
        return int(told['row']) if told['system'] != '0' else 0

    def topics(self):
        return [f'{self.prefix}market.{t}' for t in TABLES]

    # ---- reading back, with other people's code

    def schema(self, number):
        if number not in self.schemas:
            with urllib.request.urlopen(f'{self.registry}/schemas/ids/{number}', timeout=30) as answer:
                self.schemas[number] = fastavro.parse_schema(json.loads(json.load(answer)['schema']))
        return self.schemas[number]

    def decode(self, value):
        assert value[0] == 0
        return fastavro.schemaless_reader(io.BytesIO(value[5:]), self.schema(int.from_bytes(value[1:5], 'big')), None)

    def read(self, topics):
        """{(topic, partition): [message]} of every committed record, and the end of each partition."""
        consumer = confluent_kafka.Consumer({
            'bootstrap.servers': self.brokers, 'group.id': f'check-{random.random()}', 'enable.auto.commit': False,
            'isolation.level': 'read_committed', 'enable.partition.eof': True, 'auto.offset.reset': 'earliest'})
        places = []
        for topic in topics:
            count = len(consumer.list_topics(topic, timeout=30).topics[topic].partitions)
            places += [confluent_kafka.TopicPartition(topic, p, confluent_kafka.OFFSET_BEGINNING) for p in range(count)]
        found = {(p.topic, p.partition): [] for p in places}
        ends = {}
        consumer.assign(places)
        deadline = time.monotonic() + DEADLINE_S
        while len(ends) < len(found):
            assert time.monotonic() < deadline, f'no end of {set(found) - set(ends)}'
            for m in consumer.consume(5000, 1):
                place = (m.topic(), m.partition())
                if not m.error():
                    found[place].append(m)
                    ends.pop(place, None)
                elif m.error().code() == confluent_kafka.KafkaError._PARTITION_EOF:
                    ends[place] = m.offset()
                else:
                    raise AssertionError(m.error())
        consumer.close()
        return found, ends


def number_of(table, record):
    """n of an event."""
    if table == 'trades':
        return int(record['trade_id']) - 1
    if table == 'gaps':
        return record['gap_id'] - 1
    return (record['received_time_ns'] - START_NS) // 1_000_000


def merged(trades, gaps, ends, first):
    """The order in which a reader of both topics of a partition number sees them, by ticklake.after alone; `first` names the
    topic that it favours. trades, gaps: [(offset, n, after)]; ends: their ends."""
    lists, at, position, out = (trades, gaps), [0, 0], [0, 0], []

    def head(k):
        """The record next in list k, if nothing of the other list stands before it."""
        if at[k] == len(lists[k]):
            position[k] = ends[k]
            return None
        offset, n, after = lists[k][at[k]]
        return (offset, n) if after is None or position[1 - k] > after else None

    while at[0] < len(trades) or at[1] < len(gaps):
        heads = [head(0), head(1)]
        k = first if heads[first] else 1 - first
        assert heads[k], f'held for ever at {at} of {len(trades)}, {len(gaps)}'
        out.append(heads[k][1])
        position[k] = heads[k][0] + 1
        at[k] += 1
    return out


def check(bus, events):
    """Each of the events once, in its topic, on its partition, in order of its key; trades and gaps merge into one order."""
    found, ends = bus.read(bus.topics())
    seen = {}
    orders = {}
    partition_of = {}
    for (topic, partition), messages in found.items():
        table = topic.removeprefix(f'{bus.prefix}market.')
        newest = {}
        orders[table, partition] = []
        for m in messages:
            record = bus.decode(m.value())
            if table == 'instruments':
                assert m.key().decode() == f"{record['venue']}:{record['symbol']}"
                continue
            n = number_of(table, record)
            assert kind_of(n) == table
            assert n not in seen, f'event {n} is there twice: {seen[n]} and {(topic, partition, m.offset())}'
            seen[n] = (topic, partition, m.offset())
            key = m.key().decode()
            assert key == ('binance' if table == 'dead_letters' else f'binance:COIN{n % SYMBOLS}-USDT')
            assert m.timestamp() == (confluent_kafka.TIMESTAMP_CREATE_TIME, START_NS // 1_000_000 + n)
            assert newest.get(key, -1) < n, f'{key}: {n} behind {newest.get(key)}'
            newest[key] = n
            assert partition_of.setdefault(key, partition) == partition
            after = dict(m.headers() or ()).get('ticklake.after')
            orders[table, partition].append((m.offset(), n, after and int.from_bytes(after, 'big')))
    missing = sorted(set(range(events)) - set(seen))
    assert not missing, f'{len(missing)} events are missing, the first is {missing[0]}'
    assert len(seen) == events
    for partition in range(3):
        limits = [ends[f'{bus.prefix}market.{t}', partition] for t in ('trades', 'gaps')]
        want = sorted(n for t in ('trades', 'gaps') for _, n, _ in orders[t, partition])
        for first in (0, 1):
            assert merged(orders['trades', partition], orders['gaps', partition], limits, first) == want
    check_position(bus, events, orders)


def check_position(bus, events, orders):
    found, _ = bus.read([f'{bus.prefix}ticklake_positions'])
    newest = json.loads(found[f'{bus.prefix}ticklake_positions', 0][-1].value())
    assert newest['row'] == events and newest['version'] == 1
    assert newest['system'] == str(2**64 - 1)
    assert newest['lsn'] == f'A/{events:X}'
    for t in ('trades', 'gaps'):
        assert newest['ends'][t] == [(orders[t, p][-1][0] + 1 if orders[t, p] else 0) for p in range(3)]


@pytest.fixture
def bus(stack, request):
    if not PUBLISH.exists():
        pytest.skip(f'{PUBLISH} is not built: make tools')
    stack.up('kafka', 'registry')
    return Bus(stack, f'{request.node.originalname}-{uuid.uuid4().hex[:6]}.')  # a stack may be kept from run to run


def lines_until(process, word):
    for line in process.stdout:
        if line.startswith(word):
            return line
    raise AssertionError(f'ended without "{word}"')


def test_each_once(bus):
    bus.run('prepare')
    bus.run('prepare')  # they are there now, and as they should be
    assert bus.row() == 0
    told = bus.run('publish', events=20000)
    assert told.startswith('from 0\n') and 'committed 20000' in told
    assert bus.run('publish', events=20000).startswith('from 20000\n')
    check(bus, 20000)


def test_publisher_killed(bus):
    """60,000 events; the publisher is killed at random moments and goes on from its position."""
    events, rng, kills = 60_000, random.Random(4), 0
    bus.run('prepare')
    while bus.row() < events:
        process = bus.start(events=events, batch=200, batches=4, rate=15000)
        if kills < 12:
            lines_until(process, 'committed' if rng.random() < 0.8 else 'from')
            try:
                process.wait(rng.uniform(0, 0.8))
            except subprocess.TimeoutExpired:
                process.kill()
                kills += 1
        process.stdout.read()
        code = process.wait(DEADLINE_S)
        assert code in (0, -9)
    assert kills >= 5
    check(bus, events)


@pytest.mark.parametrize('brokers', ['2', '13'])
def test_brokers_killed(bus, brokers):
    """One of three gone: it goes on. Two gone: it waits, and says so, until they are back."""
    events = 50_000
    bus.run('prepare')
    process = bus.start(events=events, batch=500, batches=4, rate=6000)
    lines_until(process, 'committed')
    try:
        for n in brokers:
            bus.stack.kill('kafka', n)
        if len(brokers) > 1:
            assert 'does not acknowledge' in lines_until(process, 'notice')
        else:
            for _ in range(3):
                lines_until(process, 'committed')
    finally:
        bus.stack.up('kafka')
    out, _ = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 0, out
    check(bus, events)


SHORT = 'producer.transaction.timeout.ms=6000'


def test_outage_longer_than_a_transaction(bus):
    """The coordinator ends what is open; it is published again, once."""
    events = 60_000
    bus.run('prepare')
    process = bus.start(events=events, batch=500, batches=4, rate=6000, property=SHORT)
    lines_until(process, 'committed')
    try:
        for n in '13':
            bus.stack.kill('kafka', n)
        lines_until(process, 'notice')
        time.sleep(8)  # the outage itself is the condition: it must outlast the transaction's time
    finally:
        bus.stack.up('kafka')
    out, _ = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 0 and 'again ' in out, out
    check(bus, events)


def test_publisher_frozen(bus):
    """Longer than its transaction may take: it is not taken for one that another publisher fenced."""
    events = 80_000
    bus.run('prepare')
    process = bus.start(events=events, batch=500, batches=40, property=SHORT)
    lines_until(process, 'committed')
    time.sleep(0.05)  # into the next one, which takes longer than that
    process.send_signal(signal.SIGSTOP)
    time.sleep(20)  # as above; the coordinator looks every 10 s
    process.send_signal(signal.SIGCONT)
    out, _ = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 0 and 'again ' in out, out
    check(bus, events)


def test_older_is_fenced(bus):
    events = 30_000
    bus.run('prepare')
    older = bus.start(events=events, rate=2000)
    lines_until(older, 'committed')
    newer = bus.run('publish', events=events)
    assert not newer.startswith('from 0\n')
    out, _ = older.communicate(timeout=DEADLINE_S)
    assert older.returncode == 69 and 'FENCED' in out and 'took over' in out
    check(bus, events)


def test_stopped_in_an_outage(bus):
    """A publisher that waits for brokers ends when it is told to."""
    bus.run('prepare')
    process = bus.start(events=10**7, rate=5000)
    lines_until(process, 'committed')
    try:
        for n in '123':
            bus.stack.kill('kafka', n)
        lines_until(process, 'notice')
        process.terminate()
        out, _ = process.communicate(timeout=DEADLINE_S)
        assert 'STOPPED' in out and process.returncode == 0
        told = bus.run('describe', check=69, timeout=2000)
        assert told.startswith('UNAVAILABLE') and bus.brokers in told
    finally:
        bus.stack.up('kafka')


def make_topic(bus, name, partitions=3, replication=3, **config):
    client = admin.AdminClient({'bootstrap.servers': bus.brokers})
    topic = admin.NewTopic(bus.prefix + name, partitions, replication, config={k.replace('_', '.'): v for k, v in config.items()})
    client.create_topics([topic])[bus.prefix + name].result(90)


WRONG = {
    'replicas': ({'name': 'market.trades', 'replication': 1}, 'has 1 replicas, bus.replication is 3'),
    'min_insync': ({'name': 'market.quotes', 'min_insync_replicas': '1'}, 'min.insync.replicas=1, needed is 2'),
    'partitions': ({'name': 'market.gaps', 'partitions': 5}, 'set bus.partitions: 5'),
    'compacted': ({'name': 'market.trades', 'cleanup_policy': 'compact'}, 'cleanup.policy=compact, needed is delete'),
    'positions': ({'name': 'ticklake_positions', 'partitions': 1, 'cleanup_policy': 'delete'}, 'needed is compact'),
}


@pytest.mark.parametrize('wrong', sorted(WRONG))
def test_topic_that_is_wrong(bus, wrong):
    topic, words = WRONG[wrong]
    make_topic(bus, **topic)
    told = bus.run('prepare', check=78)
    assert told.startswith('CONFIG: ') and words in told and bus.prefix + topic['name'] in told


def test_too_few_brokers(bus):
    told = bus.run('prepare', check=78, replication=5)
    assert 'needs bus.replication=5 brokers' in told and '3 are up' in told


def test_properties(bus):
    told = bus.run('prepare', check=78, property='producer.acks=1')
    assert 'producer.acks cannot be set' in told
    bus.run('prepare', property='client.socket.timeout.ms=20000')
    assert bus.run('publish', events=2000, property='producer.compression.codec=zstd').count('committed') == 1
    check(bus, 2000)


def test_topic_made_anew(bus):
    """Acknowledged records are gone: said, and not published over."""
    bus.run('prepare')
    bus.run('publish', events=5000)
    client = admin.AdminClient({'bootstrap.servers': bus.brokers})
    name = f'{bus.prefix}market.trades'
    client.delete_topics([name])[name].result(30)
    deadline = time.monotonic() + DEADLINE_S
    while name in client.list_topics(timeout=30).topics:
        assert time.monotonic() < deadline
    bus.run('prepare')
    told = bus.run('publish', check=79, events=6000)
    assert told.startswith('HOLE: ') and name in told


def test_registry_emptied(bus):
    """It would give ids anew, and those in the records would name other schemas: nothing is registered or published."""
    bus.run('prepare')
    bus.run('publish', events=5000)
    subjects = [f'{bus.prefix}market.{t}-value' for t in TABLES]
    for query in ('', '?permanent=true'):
        for subject in subjects:
            urllib.request.urlopen(urllib.request.Request(f'{bus.registry}/subjects/{subject}{query}', method='DELETE'), timeout=30).close()
    told = bus.run('prepare', check=78)
    assert told.startswith('INCOMPATIBLE: ') and 'was the registry emptied' in told and bus.registry in told and subjects[0] in told
    with urllib.request.urlopen(f'{bus.registry}/subjects', timeout=30) as answer:
        assert not set(subjects) & set(json.load(answer))


def test_describe(bus):
    bus.run('prepare')
    bus.run('publish', events=2000)
    group = confluent_kafka.Consumer({'bootstrap.servers': bus.brokers, 'group.id': 'seen', 'enable.auto.commit': False})
    group.commit(offsets=[confluent_kafka.TopicPartition(f'{bus.prefix}market.trades', 1, 5)], asynchronous=False)
    group.close()
    told = json.loads(bus.run('describe', group='seen'))
    assert len(told['brokers']) == 3 and sum(b['controller'] for b in told['brokers']) == 1
    assert told['under_replicated'] == told['offline'] == 0 and told['id']
    assert len(told['partitions']) == 3 * len(TABLES) + 1
    for p in told['partitions']:
        assert sorted(p['in_sync']) == [1, 2, 3] and p['replicas'] == 3 and p['leader'] in (1, 2, 3)
        assert 0 <= p['oldest'] <= p['end']
        assert p['group'] == (5 if (p['topic'], p['partition']) == ('trades', 1) else -1)
    try:
        bus.stack.kill('kafka', 3)
        deadline = time.monotonic() + DEADLINE_S
        while True:
            told = json.loads(bus.run('describe', group='seen', timeout=4000))
            if told['under_replicated'] == len(told['partitions']) and told['offline'] == 0:
                break
            assert time.monotonic() < deadline
        assert [b['id'] for b in sorted(told['brokers'], key=lambda b: b['id'])] == [1, 2]
        assert all(3 not in p['in_sync'] and p['end'] >= 0 for p in told['partitions'])
    finally:
        bus.stack.up('kafka')


# ---- TLS and SCRAM: one broker of its own


def certificates(folder):
    """A CA with a certificate for 127.0.0.1, and another CA that signed nothing."""
    def openssl(*args):
        subprocess.run(['openssl', *args], cwd=folder, check=True, capture_output=True, timeout=60)
    for name in ('ca', 'other'):
        openssl('req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-keyout', f'{name}.key', '-out', f'{name}.pem',
                '-subj', f'/CN=test {name}')
    openssl('req', '-newkey', 'rsa:2048', '-nodes', '-keyout', 'broker.key', '-out', 'broker.csr', '-subj', '/CN=127.0.0.1')
    (folder / 'extensions').write_text('subjectAltName=IP:127.0.0.1\n')
    openssl('x509', '-req', '-in', 'broker.csr', '-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-days', '2',
            '-extfile', 'extensions', '-out', 'broker.pem')
    (folder / 'keystore.pem').write_text((folder / 'broker.key').read_text() + (folder / 'broker.pem').read_text())


BROKER = """
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
controller.listener.names=CONTROLLER
listeners=SASL_SSL://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=SASL_SSL://127.0.0.1:{port}
listener.security.protocol.map=SASL_SSL:SASL_SSL,CONTROLLER:PLAINTEXT
inter.broker.listener.name=SASL_SSL
sasl.enabled.mechanisms=SCRAM-SHA-512
sasl.mechanism.inter.broker.protocol=SCRAM-SHA-512
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required \
username="broker" password="broker-password";
ssl.keystore.type=PEM
ssl.keystore.location={folder}/keystore.pem
ssl.truststore.type=PEM
ssl.truststore.location={folder}/ca.pem
log.dirs={folder}/data
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
group.initial.rebalance.delay.ms=0
log.cleaner.dedupe.buffer.size=8388608
"""


class Secure:
    def __init__(self, folder):
        self.folder = folder
        with socket.socket() as a, socket.socket() as b:
            a.bind(('127.0.0.1', 0))
            b.bind(('127.0.0.1', 0))
            self.port, self.controller = a.getsockname()[1], b.getsockname()[1]
        self.brokers = f'127.0.0.1:{self.port}'


@pytest.fixture(scope='module')
def secure(stack, tmp_path_factory):
    """A broker that speaks SASL_SSL with SCRAM-SHA-512 only."""
    folder = tmp_path_factory.mktemp('secure')
    made = Secure(folder)
    certificates(folder)
    (folder / 'server.properties').write_text(BROKER.format(**vars(made)))
    (folder / 'log4j.properties').write_text('log4j.rootLogger=INFO, A\nlog4j.appender.A=org.apache.log4j.ConsoleAppender\n'
                                             'log4j.appender.A.layout=org.apache.log4j.SimpleLayout\n')
    home = subprocess.run(['bash', '-c', '. stack/lib/common.sh; component kafka'], cwd=ROOT, check=True, capture_output=True,
                          text=True).stdout.strip()
    java = ['java', '-Xmx192m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1',
            f'-Dlog4j.configuration=file:{folder}/log4j.properties', '-cp', f'{home}/lib/*']
    users = [x for name in ('broker', 'ticklake')
             for x in ('--add-scram', f'SCRAM-SHA-512=[name={name},password={name}-password]')]
    subprocess.run([*java, 'kafka.tools.StorageTool', 'format', '-t', 'dGlja2xha2Utc2VjdXJlMQ', '-c', folder / 'server.properties',
                    *users], check=True, capture_output=True, timeout=DEADLINE_S)
    with open(folder / 'log', 'wb') as log:
        broker = subprocess.Popen([*java, 'kafka.Kafka', folder / 'server.properties'], stdout=log, stderr=log)
    deadline = time.monotonic() + DEADLINE_S
    while 'Kafka Server started' not in (folder / 'log').read_text():
        assert broker.poll() is None and time.monotonic() < deadline, (folder / 'log').read_text()[-3000:]
        time.sleep(0.1)
    yield made
    broker.kill()
    broker.wait()


def secure_run(bus, verb, secure, ca='ca.pem', password='ticklake-password', protocol='SASL_SSL', **options):
    line = bus.line(verb, brokers=secure.brokers, replication=1, min_insync=1, **options)
    for p in (f'client.security.protocol={protocol}', 'client.sasl.mechanism=SCRAM-SHA-512', 'client.sasl.username=ticklake',
              f'client.sasl.password={password}', f'client.ssl.ca.location={secure.folder}/{ca}'):
        line += ['property', p]
    return subprocess.run(line, capture_output=True, text=True, timeout=DEADLINE_S, env={**os.environ, 'BUS_DEBUG': '1'})


def test_scram_over_tls(bus, secure):
    done = secure_run(bus, 'prepare', secure)
    assert done.returncode == 0, done.stdout + done.stderr
    done = secure_run(bus, 'publish', secure, events=5000)
    assert 'committed 5000' in done.stdout
    assert 'row=5000' in secure_run(bus, 'position', secure).stdout
    assert json.loads(secure_run(bus, 'describe', secure).stdout)['under_replicated'] == 0


@pytest.mark.parametrize('wrong, code, words', [
    ({'password': 'not-the-password'}, 77, 'refuse the credentials'),
    ({'ca': 'other.pem'}, 78, 'client.ssl.ca.location'),
    ({'ca': 'absent.pem'}, 78, 'absent.pem'),
    ({'protocol': 'SASL_PLAINTEXT'}, 69, 'security.protocol'),
    ({'protocol': 'PLAINTEXT'}, 69, 'security.protocol'),
])
def test_wrong_security(bus, secure, wrong, code, words):
    done = secure_run(bus, 'prepare', secure, **wrong)
    assert done.returncode == code, done.stdout + done.stderr
    assert words in done.stdout
    assert secure.brokers in done.stdout or words == 'absent.pem'
    assert 'password' not in (done.stdout + done.stderr).replace('sasl.password', ''), 'a secret is told'
