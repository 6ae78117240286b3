"""A schema that grows while old and new publishers run side by side, and one that does not fit: market.trades with columns that
ticklake does not know, by confluent-kafka's serializer, beside ticklake's own publisher."""
import datetime
import io
import json
import re
import signal
import threading
import urllib.request
import uuid
from decimal import Decimal

import confluent_kafka
import pytest
import fastavro
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient, SchemaRegistryError
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

import test_distributed
from conftest import ROOT, SAMPLES, duckdb_connection
from distributed import Deployment, Flow, running_stack  # noqa: F401  (a fixture)
from test_live import wait_for

DECIMAL = {'type': 'bytes', 'logicalType': 'decimal', 'precision': 38, 'scale': 18}
NOTE = {'name': 'note', 'type': ['null', 'string'], 'default': None}
FEE = {'name': 'fee', 'type': ['null', DECIMAL], 'default': None}
VENUE, SYMBOLS = 'elsewhere', [f'S{n}-USD' for n in range(6)]


class Publisher:
    """Somebody else's publisher on market.trades. subject: not the topic's, whose rule it then escapes."""

    def __init__(self, deployment, *fields, change=None, left_out=(), subject=None):
        self.topic = f'{deployment.prefix}market.trades'
        self.registry = SchemaRegistryClient({'url': deployment.env['TICKLAKE_REGISTRY__URL']})
        ours = json.loads(self.registry.get_latest_version(f'{self.topic}-value').schema.schema_str)
        known = [f for f in ours['fields'] if f['name'] not in {*left_out, *(x['name'] for x in fields)}]
        self.schema = {**ours, 'fields': [change(f) if change else f for f in known] + list(fields)}
        conf = {'subject.name.strategy': lambda context, name: f'{deployment.prefix}{subject}'} if subject else {}
        self.serializer = AvroSerializer(self.registry, json.dumps(self.schema), conf=conf)
        self.client = confluent_kafka.Producer({'bootstrap.servers': deployment.env['TICKLAKE_BUS__BROKERS'], 'acks': 'all',
                                                'partitioner': 'murmur2_random'})
        self.sent, self.values = 0, []

    def trade(self, n, **more):
        at = datetime.datetime.now(datetime.timezone.utc)
        ns = int(at.timestamp()) * 10**9 + at.microsecond * 1000
        return {'venue': VENUE, 'exchange': VENUE, 'symbol': SYMBOLS[n % len(SYMBOLS)], 'venue_symbol': SYMBOLS[n % len(SYMBOLS)],
                'stream': 'trade', 'trade_id': str(n), 'side': 'buy', 'price': Decimal(n + 1), 'size': Decimal('0.5'),
                'venue_time': at, 'venue_time_ns': ns, 'received_time': at, 'received_time_ns': ns, 'origin': 'live', 'kind': 'regular',
                'sequence': n, 'ordinal': 0, 'first_id_number': None, 'last_id_number': None, **more}

    def send(self, count, **columns):
        """Each column as a function of the trade's number."""
        context = SerializationContext(self.topic, MessageField.VALUE)
        for n in range(self.sent, self.sent + count):
            row = self.trade(n, **{name: of(n) for name, of in columns.items()})
            self.values.append(self.serializer(row, context))
            self.client.produce(self.topic, self.values[-1], f"{row['venue']}:{row['symbol']}")
            self.client.poll(0)
        self.sent += count
        assert self.client.flush(60) == 0


def note(n):
    return None if n % 5 == 0 else f'nöte {n}'


def fee(n):
    return None if n % 7 == 0 else Decimal(n) / 10**6 * (-1) ** n


@pytest.fixture
def flow(tmp_path_factory, running_stack):  # noqa: F811
    made = []

    def make(name, **kw):
        made.append(Flow(tmp_path_factory.mktemp(name), running_stack, rate=1000, symbols=2, venues=('binance', 'coinbase'), **kw))
        return made[-1]

    yield make
    for f in made:
        f.close()


def theirs(flow, columns=()):
    rows = flow.table('trades').scan(row_filter=f"venue = '{VENUE}'", selected_fields=('trade_id', *columns)).to_arrow().to_pylist()
    return {int(r['trade_id']): tuple(r[c] for c in columns) for r in rows}


def arrived(flow, count, columns=(), seconds=60):
    wait_for(lambda: flow.all_alive() and len(theirs(flow)) >= count, seconds, f'{count} trades of others are in the lake{flow.tails()}')
    found = theirs(flow, columns)
    assert len(found) == count
    return found


def test_a_field_reaches_the_lake(flow):
    f = flow('grows', workers=1)
    Publisher(f, NOTE).send(600, note=note)
    assert arrived(f, 600, ['note']) == {n: (note(n),) for n in range(600)}


def check_the_rest(flow, others):
    """The venues end. Of what verify holds against each other only store and bus may differ, by the trades that others brought."""
    flow.simulator.process.send_signal(signal.SIGTERM)
    flow.simulator.truth()
    done = flow.run('verify', '--json', '--wait', 90, check=1, timeout=400)
    told = json.loads(done.stdout)
    assert told['behind'] == '', done.stdout + flow.tails()
    assert {d['check'] for d in told['differences']} == {'store_bus'}, done.stdout
    assert all(d['place'].startswith(f'{VENUE} ') for d in told['differences']), done.stdout
    assert sum(int(re.search(r'the store has 0 rows, the bus (\d+)', d['what'])[1]) for d in told['differences']) == others
    return told


def by_duckdb(flow, columns):
    con, env = duckdb_connection(), flow.base
    con.execute(f"create secret (type s3, key_id '{env['TICKLAKE_S3__ACCESS_KEY']}', secret '{env['TICKLAKE_S3__SECRET_KEY']}', "
                f"region '{env['TICKLAKE_S3__REGION']}', endpoint '{env['TICKLAKE_S3__ENDPOINT'].split('//')[1]}', url_style 'path', use_ssl false)")
    rows = con.execute(f"select venue, trade_id, {', '.join(columns)} from iceberg_scan('{flow.table('trades').metadata_location}')").fetchall()
    assert all(r[2:] == (None,) * len(columns) for r in rows if r[0] != VENUE)
    return {int(r[1]): r[2:] for r in rows if r[0] == VENUE}


def by_spark(flow, folder, columns):
    out = folder / 'rows.json'
    text = test_distributed.SPARK.replace(
        'select venue, symbol, stream, cast(price as string), cast(size as string), venue_time_ns from ticklake.market.trades',
        f"select venue, trade_id, {', '.join(f'cast({c} as string)' for c in columns)} from ticklake.market.trades")
    test_distributed.run_spark(flow, out, text)
    rows = json.loads(out.read_text())[0]
    assert all(r[2:] == [None] * len(columns) for r in rows if r[0] != VENUE)
    return {int(r[1]): tuple(r[2:]) for r in rows if r[0] == VENUE}


def test_side_by_side(flow, tmp_path):
    """Old and new publishers, two workers; the new columns by three readers, before and after files are joined."""
    f = flow('beside', workers=2)
    f.shared()
    p = Publisher(f, NOTE, FEE)
    for _ in range(6):  # so that there are files to join
        p.send(100, note=note, fee=fee)
        arrived(f, p.sent)
    expected = {n: (note(n), fee(n)) for n in range(600)}
    assert arrived(f, 600, ['note', 'fee']) == expected
    rows = f.rows('trades', ('venue', 'note', 'fee'))
    assert sum(r['venue'] != VENUE for r in rows) > 4000
    assert all(r['note'] is r['fee'] is None for r in rows if r['venue'] != VENUE)
    fields = {x.name: x for x in f.table('trades').schema().fields}
    assert (str(fields['note'].field_type), str(fields['fee'].field_type)) == ('string', 'decimal(38, 18)')
    assert not fields['note'].required and min(fields['note'].field_id, fields['fee'].field_id) > 10000
    assert by_duckdb(f, ['note', 'fee']) == expected
    told = check_the_rest(f, 600)
    assert told['checks']['bus_lake']['differences'] == told['checks']['lake_files']['differences'] == 0
    for w in f.workers:
        w.stop()
    before = len(list(f.table('trades').scan().plan_files()))
    f.run('compact', '--set', 'lake.compact_files=2')
    assert len(list(f.table('trades').scan().plan_files())) < before
    assert theirs(f, ['note', 'fee']) == expected
    assert by_duckdb(f, ['note', 'fee']) == expected
    as_text = {n: (a, b if b is None else f'{b:.18f}') for n, (a, b) in expected.items()}
    assert by_spark(f, tmp_path, ['note', 'fee']) == as_text


@pytest.mark.parametrize('point', ['evolve.before_pointer', 'evolve.after_pointer'])
def test_killed_while_the_table_grows(flow, point):
    """Whoever is the first to add the columns dies there; where nothing was added yet, so does the next one."""
    f = flow('killed', workers=2, worker_env={'TICKLAKE_CRASH': f'{point}:1'})
    f.shared()
    p = Publisher(f, NOTE, FEE)
    p.send(600, note=note, fee=fee)
    wait_for(lambda: f.all_alive() and not all(w.alive() for w in f.workers), 60, 'a worker dies')
    f.worker_env = None
    f.add_worker()
    f.add_worker()
    arrived(f, 600, seconds=120)
    p.send(60, note=note, fee=fee)
    assert arrived(f, 660, ['note', 'fee'], seconds=120) == {n: (note(n), fee(n)) for n in range(660)}
    assert sum(not w.alive() for w in f.workers) == (2 if point == 'evolve.before_pointer' else 1)
    names = [x.name for x in f.table('trades').schema().fields]
    assert len(names) == len(set(names))
    check_the_rest(f, p.sent)


def ended(flow, worker, code, seconds=60):
    wait_for(lambda: not worker.alive(), seconds, f'{worker.name} ends{flow.tails()}')
    assert worker.process.returncode == code, worker.words()[-3000:]
    flow.processes.remove(worker)
    flow.workers.remove(worker)


def test_another_type_stops_the_worker_and_loses_nothing(flow):
    f = flow('other_type', workers=1)
    p = Publisher(f, NOTE)
    p.send(60, note=note)
    arrived(f, 60)
    number = {'name': 'note', 'type': ['null', 'long'], 'default': None}
    with pytest.raises(SchemaRegistryError):  # the registry stands before us
        Publisher(f, number).send(1, note=lambda n: n)
    other = Publisher(f, number, subject='other')
    other.sent = 60
    other.send(60, note=lambda n: n)
    ended(f, f.workers[0], 78)
    again = f.add_worker()
    wait_for(lambda: not again.alive(), 60, 'it stops again')
    version = p.registry.get_latest_version(f'{f.prefix}other')
    for words in ('"note" is long', 'market.trades is string', f'schema {version.schema_id} of topic', 'rename the column'):
        assert words in again.words(), again.words()[-2000:]
    ended(f, again, 78)
    assert theirs(f, ['note']) == {n: (note(n),) for n in range(60)}
    with f.table('trades').update_schema() as update:
        update.rename_column('note', 'remark')
    f.add_worker()
    expected = {n: (note(n) if n < 60 else None, n if n >= 60 else None) for n in range(120)}
    assert arrived(f, 120, ['remark', 'note']) == expected
    check_the_rest(f, 120)


def metric(worker, name):
    port = re.search(r'msg=listening .*port=(\d+)', worker.words()).group(1)
    text = urllib.request.urlopen(f'http://127.0.0.1:{port}/metrics', timeout=10).read().decode()
    return int(re.search(rf'^{name} (\d+)$', text, re.M)[1])


def test_what_cannot_be_read_is_kept_and_told(flow):
    """Prices as double, and records without a symbol: dead letters with their bytes, said once a schema and counted."""
    f = flow('unreadable', workers=1)
    good = Publisher(f, NOTE, {'name': 'weight', 'type': 'double', 'default': 0}, {'name': 'Price', 'type': ['null', 'string'], 'default': None})
    good.send(60, note=note, weight=lambda n: 0.5, Price=lambda n: 'x')
    bad = Publisher(f, change=lambda x: {**x, 'type': 'double'} if x['name'] == 'price' else x, subject='bad')
    bad.sent = 1000
    bad.send(60, price=lambda n: 1.5)
    worse = Publisher(f, left_out=['symbol'], subject='worse')
    worse.sent = 2000
    worse.send(60)
    good.send(60, note=note, weight=lambda n: 0.5, Price=lambda n: 'x')
    assert arrived(f, 120, ['note']) == {n: (note(n),) for n in range(120)}
    wait_for(lambda: f.all_alive() and f.count('dead_letters') >= 120, 60, 'dead letters')
    dead = f.rows('dead_letters', ('payload', 'reason', 'detail', 'connection'))
    assert sorted(d['payload'] for d in dead) == sorted(bad.values + worse.values)
    assert {d['reason'] for d in dead} == {'malformed'} and all(d['connection'].startswith(good.topic + '/') for d in dead)
    words = f.workers[0].words()
    assert words.count('records of a schema that cannot be read become dead letters') == 2, words
    assert words.count('a field of another writer\'s schema is left out') == 2, words
    for part in ('field price', 'field symbol', 'field weight (double)', 'field Price'):
        assert part in words, words
    assert metric(f.workers[0], 'ticklake_bus_records_unreadable_total') == 120
    assert metric(f.workers[0], 'ticklake_bus_fields_left_out_total') == 2
    assert metric(f.workers[0], 'ticklake_lake_columns_added_total') == 1
    assert 'weight' not in [x.name for x in f.table('trades').schema().fields]
    check_the_rest(f, 120)


# ---- the publisher's side, by each registry


class Confluent:
    def __init__(self, stack):
        self.env = {}
        self.client = SchemaRegistryClient({'url': stack.env()['TICKLAKE_STACK_REGISTRY_URL']})

    def register(self, subject, schema):
        number = self.client.register_schema(subject, Schema(json.dumps(schema), 'AVRO'))
        return b'\0' + number.to_bytes(4, 'big')

    def versions(self, subject):
        return self.client.get_versions(subject)


class Glue:
    def __init__(self, stack):
        stack.up('glue')
        self.name = f't{uuid.uuid4().hex[:8]}'
        self.env = {k: v for k, v in stack.env(glue=True).items() if k.startswith(('TICKLAKE_REGISTRY__', 'AWS_'))}
        self.env['TICKLAKE_REGISTRY__NAME'] = self.name
        self.api = stack.glue()
        self.api.create_registry(RegistryName=self.name)

    def register(self, subject, schema):
        text, place = json.dumps(schema, separators=(',', ':')), {'RegistryName': self.name, 'SchemaName': subject}
        try:
            made = self.api.create_schema(RegistryId={'RegistryName': self.name}, SchemaName=subject, DataFormat='AVRO', Compatibility='BACKWARD',
                                          SchemaDefinition=text)
        except self.api.exceptions.AlreadyExistsException:
            made = self.api.register_schema_version(SchemaId=place, SchemaDefinition=text)
        return b'\3\0' + uuid.UUID(made.get('SchemaVersionId')).bytes

    def versions(self, subject):
        place = {'RegistryName': self.name, 'SchemaName': subject}
        return list(range(1, self.api.get_schema(SchemaId=place)['LatestSchemaVersion'] + 1))


@pytest.fixture(params=[Confluent, Glue], ids=['confluent', 'glue'])
def registry(request, stack, running_stack):  # noqa: F811
    return request.param(stack)


@pytest.fixture
def deployment(tmp_path, running_stack, registry):  # noqa: F811
    d = Deployment(tmp_path / 'deployment', running_stack, registry=registry.env)
    yield d
    d.close()


def ours(*fields, change=None):
    schema = json.loads((ROOT / 'schemas/market.trades.avsc').read_text())
    return {**schema, 'fields': [change(f) if change else f for f in schema['fields']] + list(fields)}


def publishing(deployment):
    """The publisher is up: what a replay brings now is on the bus and in the lake."""
    bus = deployment.start('bus')
    worker = deployment.start('process,lake')
    told = deployment.settle()
    return bus, worker, told


@pytest.mark.parametrize('first', ['newer', 'older'])
def test_an_older_publisher_starts_beside_a_newer_schema(deployment, registry, first):
    """Whichever of the two schemas the registry got first, and again when both are there; a record of the newer one is read."""
    topic = f'{deployment.prefix}market.trades'
    subject, newer = f'{topic}-value', ours(NOTE, FEE)
    deployment.run('replay', SAMPLES / 'tiingo')
    if first == 'newer':
        frame = registry.register(subject, newer)
    bus, _, told = publishing(deployment)
    assert told['trades'] + told['quotes'] > 0
    if first == 'older':
        frame = registry.register(subject, newer)
    assert len(registry.versions(subject)) == 2
    bus.stop()
    deployment.start('bus')
    deployment.settle()
    assert len(registry.versions(subject)) == 2
    client = confluent_kafka.Producer({'bootstrap.servers': deployment.env['TICKLAKE_BUS__BROKERS'], 'partitioner': 'murmur2_random'})
    for n in range(60):
        row, out = {**Publisher.trade(None, n), 'note': note(n), 'fee': fee(n)}, io.BytesIO(frame)
        out.seek(0, io.SEEK_END)
        fastavro.schemaless_writer(out, fastavro.parse_schema(newer), row)
        client.produce(topic, out.getvalue(), f"{row['venue']}:{row['symbol']}")
    assert client.flush(60) == 0
    wait_for(lambda: len(theirs(deployment)) == 60, 60, 'they are in the lake')
    assert theirs(deployment, ['note', 'fee']) == {n: (note(n), fee(n)) for n in range(60)}


def test_a_publisher_does_not_start_against_a_schema_that_it_cannot_read(deployment, registry):
    """Prices as double, somebody was here first: nothing is published, and nothing of the store is lost."""
    subject = f'{deployment.prefix}market.trades-value'
    registry.register(subject, ours(change=lambda x: {**x, 'type': 'double'} if x['name'] == 'price' else x))
    deployment.run('replay', SAMPLES / 'tiingo')
    done = deployment.run('run', '--stages', 'bus', check=78)
    for part in (subject, 'price', 'double', 'decimal'):
        assert part in done.stderr, done.stderr
    assert len(registry.versions(subject)) == 1


def test_a_publisher_beside_another_that_never_pauses(flow):
    """Records of the other one stand between any two of ours: ours come through all the same, with gaps among them."""
    f = flow('beside_all_the_time', workers=1, simulate=('--missing', '50'))
    p, over = Publisher(f, NOTE), threading.Event()

    def talk():
        while not over.wait(0.01):
            p.send(6, note=note)

    talking = threading.Thread(target=talk)
    talking.start()
    try:
        f.flowing(trades=10_000)
    finally:
        over.set()
        talking.join()
    assert f.bus.words().count('msg="trying again"') <= 3, f.bus.words()
    assert arrived(f, p.sent, ['note']) == {n: (note(n),) for n in range(p.sent)}
    check_the_rest(f, p.sent)
