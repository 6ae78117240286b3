"""A schema that grows while old and new publishers run side by side, and one that does not fit: market.trades with columns that
ticklake does not know, by confluent-kafka's serializer, beside ticklake's own publisher."""
import datetime
import json
import time
from decimal import Decimal

import confluent_kafka
import pytest
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

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
