"""The consumer on real brokers: members that come, go, die and freeze while data flows; every record once, in its order.

Workers are tests/tools/bus_consume: their lake is a log and a small catalog that refuses whoever lost a partition. Records come
from tests/tools/bus_publish, whose event n follows from n alone, and from other people's clients."""
import collections
import json
import signal
import struct
import subprocess
import threading
import uuid

import pytest

confluent_kafka = pytest.importorskip('confluent_kafka')
pytest.importorskip('fastavro')
from confluent_kafka import TopicPartition, admin  # noqa: E402
from confluent_kafka.schema_registry import SchemaRegistryClient  # noqa: E402
from confluent_kafka.schema_registry.avro import AvroSerializer  # noqa: E402
from confluent_kafka.serialization import MessageField, SerializationContext  # noqa: E402

from stack_tools import wait_until  # noqa: E402
from test_bus_publish import BINARY, DEADLINE_S, PUBLISH, Bus, kind_of  # noqa: E402

CONSUME = BINARY.parent / 'tests' / 'tools' / 'bus_consume'
SESSION = 'consumer.session.timeout.ms=6000'  # the least that brokers allow
AFTER = 'ticklake.after'
LONG_S = 4 * DEADLINE_S  # on a machine that does much else
LANES = ('trades', 'gaps')
Event = collections.namedtuple('Event', 'partition table sequence n rest')


@pytest.fixture
def bus(stack, request):
    if not PUBLISH.exists() or not CONSUME.exists():
        pytest.skip(f'{CONSUME} is not built: make tools')
    stack.up('kafka', 'registry')
    made = Bus(stack, f'{request.function.__name__}-{uuid.uuid4().hex[:8]}.')
    made.run('prepare')
    return made


class Worker:
    """One process, and what it has told so far."""

    def __init__(self, line):
        self.process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.told = []
        self.reading = threading.Thread(target=self.listen, daemon=True)
        self.reading.start()

    def listen(self):
        for line in self.process.stdout:
            self.told.append(line.strip())

    def count(self, start):
        return sum(line.startswith(start) for line in list(self.told))

    def owned(self):
        """Partitions that it has by what it told."""
        now = set()
        for line in list(self.told):
            word, *rest = line.split()
            if word == 'gained':
                now.add(rest[0])
            elif word == 'losing':
                now.discard(rest[0])
        return now

    def wait_for(self, start, count=1, seconds=DEADLINE_S):
        def told():
            if self.count(start) >= count:
                return True
            assert self.process.poll() is None, f'ended before "{start}": {self.told[-20:]} {self.process.stderr.read()[-2000:]}'
            return False
        wait_until(told, seconds, f'"{start}"')

    def send(self, what):
        self.process.send_signal(what)

    def end(self, check=0):
        """Waits for it; the lines that it told."""
        code = self.process.wait(DEADLINE_S)
        self.reading.join(DEADLINE_S)
        assert code == check, f'exit {code}\n' + '\n'.join(self.told[-20:]) + self.process.stderr.read()[-4000:]
        return self.told

    def stop(self):
        self.send(signal.SIGTERM)
        return self.end()


class Lake:
    """What the workers of one group share."""

    def __init__(self, bus, folder):
        self.bus, self.folder, self.workers = bus, folder, []
        self.state, self.log = folder / 'state', folder / 'log'

    def line(self, verb, *more, **options):
        options = {'brokers': self.bus.brokers, 'registry': self.bus.registry, 'prefix': self.bus.prefix,
                   'group': f'{self.bus.prefix}workers', **options}
        return [str(CONSUME), verb, *[str(x) for pair in options.items() for x in pair], *more]

    def start(self, *more, **options):
        worker = Worker(self.line('read', *more, state=self.state, log=self.log, **options))
        self.workers.append(worker)
        return worker

    def read(self, check=0, **options):
        """One worker until nothing comes any more."""
        return self.start(**{'idle': 2000, **options}).end(check)

    def close(self):
        for worker in self.workers:
            if worker.process.poll() is None:
                worker.process.kill()
                worker.process.wait()

    def events(self):
        """Every line of the log that counts."""
        if not self.state.exists() or self.state.stat().st_size == 0:
            return []
        size, = struct.unpack('<q', self.state.read_bytes()[:8])
        with open(self.log) as file:
            lines = file.read(size).splitlines()
        return [Event(int(p), table, int(a), b, rest) for p, table, a, b, *rest in (line.split(' ', 4) for line in lines)]

    def count(self):
        return sum(e.table not in ('batch', 'clock', 'instruments') for e in self.events())

    def wait_for(self, count, seconds=DEADLINE_S):
        wait_until(lambda: self.count() >= count, seconds, f'{count} events in the lake', 0.2)


@pytest.fixture
def lake(bus, tmp_path):
    made = Lake(bus, tmp_path)
    yield made
    made.close()


def check(found, events):
    """Each of the events once; trades and gaps of a partition in the published order; clocks are never ahead of the events."""
    seen, newest, clocks = set(), collections.defaultdict(int), {}
    for e in found:
        n = int(e.n) if e.table != 'instruments' else None
        if e.table == 'clock':
            clocks[e.partition] = max(e.sequence, clocks.get(e.partition, 0))
        elif e.table in LANES or e.table in ('quotes', 'dead_letters'):
            assert kind_of(n) == e.table
            assert n not in seen, f'event {n} is there twice'
            seen.add(n)
            assert e.sequence > newest[e.partition, e.table], 'sequences rise'
            newest[e.partition, e.table] = e.sequence
            if e.table in LANES:
                assert n >= newest[e.partition, 'n'], f'event {n} came behind {newest[e.partition, "n"]}'
                newest[e.partition, 'n'] = n
                assert n >= clocks.get(e.partition, 0), 'a clock was ahead of an event'
    assert len(seen) == events, f'{events - len(seen)} are missing: {sorted(set(range(events)) - seen)[:10]}'
    return clocks


class Shared:
    """Words about who owns what, made when they are needed."""

    def __init__(self, workers):
        self.workers = workers

    def __str__(self):
        return 'partitions shared; ' + '; '.join(f'{w.process.poll()} {w.owned()}: {w.told[-8:]}' for w in self.workers)


def ready(lake, worker, partitions=3):
    wait_until(lambda: len(worker.owned()) == partitions, DEADLINE_S, Shared(lake.workers))


def shared(lake, workers):
    """Each of them has partitions, and each partition has one owner."""
    wait_until(lambda: all(w.owned() for w in workers) and sum(len(w.owned()) for w in workers) == 3, DEADLINE_S,
               Shared(lake.workers))


# ---- reading


def test_one_worker(bus, lake):
    events = 30000
    bus.run('publish', events=events)
    told = lake.read()
    found = lake.events()
    assert check(found, events) == {0: events, 1: events, 2: events}
    assert {e.n for e in found if e.table == 'clock' and e.sequence == events} == {'1'}, 'the input ended once'
    assert sum(e.table == 'instruments' for e in found) == 40
    assert 'lag 0' in told and told[-1] == 'closed 0'
    # Positions told to Kafka are for the tools that show lag.
    offsets = {p.partition: p for p in confluent_kafka.Consumer({
        'bootstrap.servers': bus.brokers, 'group.id': f'{bus.prefix}workers'}).committed(
            [TopicPartition(f'{bus.prefix}market.trades', p) for p in range(3)], timeout=30)}
    for p in range(3):
        assert offsets[p].offset >= max(e.sequence for e in found if e[:2] == (p, 'trades'))
    # Going on where the catalog stands, not where Kafka does.
    bus.run('publish', events=events + 5000)
    lake.read(group=f'{bus.prefix}another')
    check(lake.events(), events + 5000)


@pytest.mark.parametrize('batch, size', [(1, 1 << 16), (7, 400), (100000, 64 << 20)])
def test_sizes_of_batches(bus, lake, batch, size):
    bus.run('publish', events=3000, batch=50)
    lake.read(batch=batch, bytes=size, commit=1000)
    check(lake.events(), 3000)


def test_scan(bus, lake):
    """All that is committed, and nothing of a transaction that is open."""
    bus.run('publish', events=20000)
    before = end_of(bus, 'trades', 0)
    open_one = bus.start(events=10**9, batches=10**9, batch=500)
    wait_until(lambda: end_of(bus, 'trades', 0) > before + 1000, DEADLINE_S, 'records of an open transaction')
    open_one.kill()
    open_one.wait()
    done = subprocess.run(lake.line('scan'), capture_output=True, text=True, timeout=DEADLINE_S)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    lines = [line.split(' ', 4) for line in done.stdout.splitlines()]
    found = [Event(int(p), table, int(a), b, rest) for p, table, a, b, *rest in lines if table != 'bounds']
    check(found, 20000)
    bounds = {(int(p), table): (int(a), int(b[0])) for p, kind, table, a, *b in lines if kind == 'bounds'}
    for (p, table), (oldest, end) in bounds.items():
        of = [e.sequence for e in found if (e.partition, e.table) == (p, table) and table != 'instruments']
        assert oldest == 0 and (not of or end in (of[-1], of[-1] + 1)), f'{table} {p} ends at {end}, read {of[-1:]}'


def end_of(bus, topic, partition):
    """Records of open transactions included."""
    client = confluent_kafka.Consumer({'bootstrap.servers': bus.brokers, 'group.id': 'ends', 'isolation.level': 'read_uncommitted'})
    try:
        return client.get_watermark_offsets(TopicPartition(f'{bus.prefix}market.{topic}', partition), timeout=30)[1]
    finally:
        client.close()


# ---- members


class Flow:
    """A publisher that goes on until it is told to stop."""

    def __init__(self, bus):
        self.bus = bus
        self.process = bus.start(events=10**9, batch=100, batches=4, rate=3000)
        self.reading = threading.Thread(target=self.process.stdout.read, daemon=True)
        self.reading.start()

    def stop(self):
        """How many events are committed."""
        self.process.terminate()
        assert self.process.wait(LONG_S) == 0
        return self.bus.row()


def test_members_come_and_go(bus, lake):
    """1 -> 3 -> 1 while data flows."""
    flow = Flow(bus)
    first = lake.start()
    ready(lake, first)
    first.wait_for('committed', 6)
    others = [lake.start(client='second'), lake.start(client='third')]
    for worker in (first, *others):
        ready(lake, worker, 1)
        worker.wait_for('committed', worker.count('committed') + 2)
    for worker in others:
        told = worker.stop()
        assert told[-1] == 'closed 0' and not any(line.endswith(' 1') and line.startswith('losing') for line in told)
    ready(lake, first)
    events = flow.stop()
    lake.wait_for(events)
    first.stop()
    check(lake.events(), events)
    assert sum(w.count('fenced') for w in lake.workers) == 0, 'who leaves in order commits first'


def test_member_killed(bus, lake):
    flow = Flow(bus)
    workers = [lake.start('property', SESSION, commit=50) for _ in range(2)]
    shared(lake, workers)
    for w in workers:
        w.wait_for('committed', w.count('committed') + 5)
    workers[0].process.kill()
    ready(lake, workers[1])
    events = flow.stop()
    lake.wait_for(events)
    workers[1].stop()
    check(lake.events(), events)


def test_member_frozen(bus, lake):
    """Frozen past its session, and woken: it is told that its partitions are lost, and nothing is there twice."""
    flow = Flow(bus)
    workers = [lake.start('property', SESSION, commit=50) for _ in range(2)]
    shared(lake, workers)
    for w in workers:
        w.wait_for('committed', w.count('committed') + 5)
    workers[0].send(signal.SIGSTOP)
    ready(lake, workers[1])
    workers[1].wait_for('committed', workers[1].count('committed') + 20)
    workers[0].send(signal.SIGCONT)
    wait_until(lambda: any(line.startswith('losing') and line.endswith(' 1') for line in list(workers[0].told)), DEADLINE_S,
               'lost=1 is told')
    shared(lake, workers)
    events = flow.stop()
    lake.wait_for(events)
    for w in workers:
        w.stop()
    check(lake.events(), events)


# ---- records of others


def producer(bus):
    return confluent_kafka.Producer({'bootstrap.servers': bus.brokers, 'acks': 'all', 'message.max.bytes': 2 << 20})


def test_garbage(bus, lake):
    """What is no record of the topic becomes a dead letter with its bytes; the stream goes on."""
    bus.run('publish', events=2000)
    good = bus.read([f'{bus.prefix}market.trades'])[0][f'{bus.prefix}market.trades', 0][0].value()
    values = {
        'plain text': b'hello', 'empty': b'', 'tombstone': None, 'no such schema': b'\0\x7f\xff\xff\xff' + good[5:],
        'cut': good[:-3], 'too long': good + b'\0', 'large': b'{' * 300_000, 'frame alone': good[:5], 'glue': b'\3\0' + bytes(16),
        'negative length': good[:5] + b'\xff\xff\xff\xff\x0f' + good[10:],
    }
    client = producer(bus)
    for topic in ('trades', 'gaps', 'quotes', 'dead_letters', 'venue_candles', 'instruments'):
        for value in values.values():
            client.produce(f'{bus.prefix}market.{topic}', value, 'kraken:BTC-USD', partition=1)
    client.produce(f'{bus.prefix}market.trades', b'x', b'\xff\0no key', partition=1)
    assert client.flush(30) == 0
    bus.run('publish', events=4000)
    lake.read()
    found = lake.events()
    dead = [(e, *e.rest[0].split(' ', 2)) for e in found if e.table == 'dead_letters' and 'binance|' not in e.rest[0]]
    check([e for e in found if e not in [d[0] for d in dead]], 4000)
    assert len(dead) == 6 * len(values) + 1
    for e, reason, size, text in dead:
        venue, symbol, place, detail = text.split('|', 3)
        assert reason == 'malformed' and detail and int(size) <= 64 << 10
        assert (venue, symbol) in (('kraken', 'BTC-USD'), ('', ''))
        topic, partition, offset = place.split('/')
        assert topic.startswith(f'{bus.prefix}market.') and partition == '1' and e.sequence == int(offset) + 1 == int(e.n) + 1
    assert sum(int(size) == 64 << 10 for _, _, size, _ in dead) == 6
    assert sum('tombstone' in text for *_, text in dead) == 6


def test_headers_of_others(bus, lake):
    """A header that points to what is not there, or is no number, holds nothing for ever; a true one is still kept to."""
    bus.run('publish', events=2000)
    client = producer(bus)
    trade = bus.read([f'{bus.prefix}market.trades'])[0][f'{bus.prefix}market.trades', 2][0].value()
    for header in (struct.pack('>q', 10**12), struct.pack('>q', -5), b'', b'12', b'\x7f' + b'\xff' * 7, struct.pack('>q', 0)):
        client.produce(f'{bus.prefix}market.trades', trade, 'binance:COIN0-USDT', partition=2, headers=[(AFTER, header)])
    assert client.flush(30) == 0
    bus.run('publish', events=4000)
    lake.read(idle=15000)
    found = lake.events()
    again = min(int(e.n) for e in found if e.table == 'trades' and e.partition == 2)
    foreign = [e for e in found if e.table == 'trades' and e.partition == 2 and int(e.n) == again][1:]
    assert len(foreign) == 6
    check([e for e in found if e not in foreign], 4000)


def test_other_peoples_producer(bus, lake):
    """Trades by confluent-kafka's serializer, with a writer's schema of their own: more fields, fewer, in another order."""
    ours = json.loads(bus.run('schema', topic=0))
    fields = [f for f in ours['fields'] if f['name'] != 'ordinal']
    theirs = {**ours, 'fields': [{'name': 'note', 'type': ['null', 'string'], 'default': None}, *reversed(fields)]}
    topic = f'{bus.prefix}market.trades'
    serializer = AvroSerializer(SchemaRegistryClient({'url': bus.registry}), json.dumps(theirs))
    bus.run('publish', events=1000)
    found, _ = bus.read([topic])
    client = producer(bus)
    for i, m in enumerate(m for messages in found.values() for m in messages[:5]):
        record = {k: v for k, v in bus.decode(m.value()).items() if k != 'ordinal'}
        record.update(trade_id=str(10**6 + i + 1), note='theirs')
        client.produce(topic, serializer(record, SerializationContext(topic, MessageField.VALUE)), m.key(), partition=m.partition())
    assert client.flush(30) == 0
    lake.read()
    found = lake.events()
    theirs = [e for e in found if e.table == 'trades' and int(e.n) >= 10**6]
    assert sorted(int(e.n) for e in theirs) == list(range(10**6, 10**6 + 15))
    check([e for e in found if e not in theirs], 1000)


# ---- holes and mistakes


def delete_before(bus, topic, partition, offset):
    client = admin.AdminClient({'bootstrap.servers': bus.brokers})
    place = TopicPartition(f'{bus.prefix}market.{topic}', partition, offset)
    for future in client.delete_records([place]).values():
        future.result(30)


@pytest.mark.parametrize('topic', LANES)
def test_retention_hole(bus, lake, topic):
    bus.run('publish', events=5000)
    lake.read()
    bus.run('publish', events=20000)
    stands = max(e.sequence for e in lake.events() if (e.partition, e.table) == (1, topic))
    oldest = stands + (100 if topic == 'trades' else 20)
    delete_before(bus, topic, 1, oldest)
    told = lake.read(check=79)
    words = next(line for line in told if line.startswith('HOLE: '))
    assert f'{bus.prefix}market.{topic}, partition 1' in words and f'the oldest that is kept is {oldest}' in words
    assert f'offset {stands} is' in words or f'offset {stands + 1} is' in words


def test_oldest_kept(bus, lake):
    """A catalog that stands nowhere begins at the oldest: what retention removed before holds nothing back."""
    bus.run('publish', events=20000)
    for p in range(3):
        delete_before(bus, 'gaps', p, 10 + 10 * p)
        delete_before(bus, 'trades', p, 1000)
    lake.read()
    found = lake.events()
    for p in range(3):
        assert min(e.sequence for e in found if e[:2] == (p, 'trades')) in (1001, 1002)
        assert min(e.sequence for e in found if e[:2] == (p, 'gaps')) in (11 + 10 * p, 12 + 10 * p)
        for table in LANES:  # what was removed had headers too, so the transaction that was cut has no order between them
            order = [int(e.n) for e in found if e[:2] == (p, table)]
            assert order == sorted(order) and len(set(order)) == len(order)
    bus.run('publish', events=25000)
    lake.read()
    assert {int(e.n) for e in lake.events() if e.table in LANES and int(e.n) >= 20000} == \
        {n for n in range(20000, 25000) if kind_of(n) in LANES}


def test_topic_made_anew(bus, lake):
    bus.run('publish', events=20000)
    lake.read()
    client = admin.AdminClient({'bootstrap.servers': bus.brokers})
    name = f'{bus.prefix}market.trades'
    client.delete_topics([name])[name].result(30)
    wait_until(lambda: name not in client.list_topics(timeout=30).topics, DEADLINE_S, 'the topic is gone')
    bus.run('prepare')
    told = lake.read(check=79, idle=60000)
    assert any(line.startswith('HOLE: ') and 'made anew' in line for line in told)


def test_wrong_partitions(bus, lake):
    told = lake.read(check=78, partitions=4)
    assert 'has 3 partitions, bus.partitions says 4' in told[0]


def test_no_topics(bus, lake):
    told = lake.read(check=78, prefix='nothing-here.')
    assert 'topic nothing-here.market.trades is not there' in told[0]


# ---- outages


def in_sync(bus):
    done = subprocess.run(bus.line('describe'), capture_output=True, text=True, timeout=DEADLINE_S)
    return done.returncode == 0 and all(sorted(p['in_sync']) == [1, 2, 3] for p in json.loads(done.stdout)['partitions'])


def mended(bus):
    """All brokers are there, and have every partition."""
    bus.stack.up('kafka')
    wait_until(lambda: in_sync(bus), LONG_S, 'all replicas in sync')


def test_broker_killed(bus, lake):
    """One broker killed and started again while data flows."""
    flow = Flow(bus)
    worker = lake.start()
    ready(lake, worker)
    worker.wait_for('committed', 6)
    try:
        bus.stack.kill('kafka', 2)
        worker.wait_for('committed', worker.count('committed') + 20)
    finally:
        mended(bus)
    events = flow.stop()
    lake.wait_for(events)
    worker.stop()
    check(lake.events(), events)


def test_all_brokers_killed(bus, lake):
    """A worker outlives an outage of all brokers: says so, keeps or regains its partitions, goes on where it was. Another one is
    told to stop within it, and does."""
    bus.run('publish', events=10000)
    workers = [lake.start(), lake.start()]
    lake.wait_for(10000)
    shared(lake, workers)
    try:
        for n in '123':
            bus.stack.kill('kafka', n)
        for w in workers:
            w.wait_for('notice Kafka does not acknowledge')
        workers[1].stop()
    finally:
        mended(bus)
    bus.run('publish', events=20000)
    lake.wait_for(20000)
    workers[0].wait_for('notice Kafka acknowledges again')
    workers[0].stop()
    check(lake.events(), 20000)


def test_registry_away(bus, lake):
    bus.run('publish', events=3000)
    bus.stack.freeze('registry')
    try:
        worker = lake.start()
        worker.wait_for('again ')
    finally:
        bus.stack.thaw('registry')
    lake.wait_for(3000)
    worker.stop()
    check(lake.events(), 3000)
