"""A schema that grows while old and new publishers run side by side, and one that does not fit: market.trades with columns that
ticklake does not know, by confluent-kafka's serializer, beside ticklake's own publisher."""
import datetime
import json
import re
import signal
from decimal import Decimal

import confluent_kafka
import pytest
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

import test_distributed
from conftest import duckdb_connection
from distributed import Flow, running_stack  # noqa: F401  (a fixture)
from test_live import wait_for

DECIMAL = {'type': 'bytes', 'logicalType': 'decimal', 'precision': 38, 'scale': 18}
NOTE = {'name': 'note', 'type': ['null', 'string'], 'default': None}
FEE = {'name': 'fee', 'type': ['null', DECIMAL], 'default': None}
VENUE, SYMBOLS = 'elsewhere', [f'S{n}-USD' for n in range(6)]


class Publisher:
    """Somebody else's publisher on market.trades."""

    def __init__(self, deployment, *fields, change=None):
        self.topic = f'{deployment.prefix}market.trades'
        self.registry = SchemaRegistryClient({'url': deployment.env['TICKLAKE_REGISTRY__URL']})
        ours = json.loads(self.registry.get_latest_version(f'{self.topic}-value').schema.schema_str)
        known = [f for f in ours['fields'] if f['name'] not in {x['name'] for x in fields}]
        self.schema = {**ours, 'fields': [change(f) if change else f for f in known] + list(fields)}
        self.serializer = AvroSerializer(self.registry, json.dumps(self.schema))
        self.client = confluent_kafka.Producer({'bootstrap.servers': deployment.env['TICKLAKE_BUS__BROKERS'], 'acks': 'all',
                                                'partitioner': 'murmur2_random'})
        self.sent = 0

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
            self.client.produce(self.topic, self.serializer(row, context), f"{VENUE}:{row['symbol']}")
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
