"""Schemas and records between us and other people: fastavro's resolution, confluent-kafka's clients on a real registry, AWS's Java
library on the Glue API with signatures verified, and servers that answer badly."""
import contextlib
import copy
import datetime
import decimal
import http.server
import io
import json
import os
import pathlib
import random
import subprocess
import threading
import uuid

import pytest

fastavro = pytest.importorskip('fastavro')

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = pathlib.Path(os.environ.get('TICKLAKE', ROOT / 'build' / 'ticklake'))
TOOL = BINARY.parent / 'tests' / 'tools' / 'registry_tool'
TABLES = ('trades', 'quotes', 'gaps', 'dead_letters', 'venue_candles', 'instruments')
PAIRS = 4000


def tool(*args, input='', check=0, env=None):
    clean = {k: v for k, v in os.environ.items() if not k.startswith(('REGISTRY_', 'AWS_'))}
    done = subprocess.run([str(TOOL), *args], input=input, capture_output=True, text=True, timeout=120,
                          env={**clean, **(env or {})})
    assert check is None or done.returncode == check, f'{args}: exit {done.returncode}\n{done.stdout}\n{done.stderr}'
    return done


def ours(table):
    return json.loads((ROOT / f'schemas/market.{table}.avsc').read_text())


def ours_compact(table):
    """As bus_schema() has it: without the words."""
    schema = ours(table)
    for field in schema['fields']:
        field.pop('doc', None)
    return json.dumps(schema, separators=(',', ':'))


def changed(table, **changes):
    """Our schema with the type of some fields changed; None removes one; a new name adds one (type, or (type, default))."""
    schema = json.loads(ours_compact(table))
    for name, change in changes.items():
        field = next((f for f in schema['fields'] if f['name'] == name), None)
        if change is None:
            schema['fields'].remove(field)
        elif field:
            field['type'] = change
        else:
            field = {'name': name, 'type': change[0], 'default': change[1]} if isinstance(change, tuple) else {'name': name, 'type': change}
            schema['fields'].append(field)
    return json.dumps(schema, separators=(',', ':'))


# ---- resolution against fastavro's, over random pairs ----

PRIMITIVES = ('null', 'boolean', 'int', 'long', 'float', 'double', 'bytes', 'string')


class Schemas:
    """Random schemas, and readers that differ from their writer in random ways."""

    def __init__(self, seed):
        self.random, self.count = random.Random(seed), 0

    def name(self, kind):
        self.count += 1
        return f'{kind}{self.count}'

    def any(self, depth=0):
        r = self.random
        kind = r.choice(PRIMITIVES + ('record', 'enum', 'fixed', 'array', 'map', 'union') * 2 if depth < 3 else PRIMITIVES)
        if kind == 'record':
            return {'type': 'record', 'name': self.name('R'), 'fields': [self.field(i, depth) for i in range(r.randrange(1, 4))]}
        if kind == 'enum':
            return {'type': 'enum', 'name': self.name('E'), 'symbols': r.sample('ABCDEF', r.randrange(1, 5))}
        if kind == 'fixed':
            return {'type': 'fixed', 'name': self.name('F'), 'size': r.randrange(1, 4)}
        if kind == 'array':
            return {'type': 'array', 'items': self.any(depth + 1)}
        if kind == 'map':
            return {'type': 'map', 'values': self.any(depth + 1)}
        if kind == 'union':
            return self.union(depth)
        return kind

    def union(self, depth):
        out, kinds = [], set()
        for _ in range(self.random.randrange(1, 4)):
            branch = self.any(depth + 1)
            kind = branch if isinstance(branch, str) else branch['type'] if isinstance(branch, dict) else 'union'
            if kind != 'union' and kind not in kinds:
                kinds.add(kind)
                out.append(branch)
        return out or ['null']

    def field(self, i, depth):
        return {'name': f'f{i}', 'type': self.any(depth + 1)}

    def default(self, schema):
        """A default of a reader's new field."""
        kind = schema[0] if isinstance(schema, list) else schema
        kind = kind['type'] if isinstance(kind, dict) else kind
        values = {'null': None, 'boolean': True, 'int': 1, 'long': 2, 'float': 1.5, 'double': 2.5, 'bytes': 'b', 'string': 's',
                  'array': [], 'map': {}}
        return (True, values[kind]) if kind in values else (False, None)

    def reader(self, schema, depth=0):
        """A copy, changed here and there."""
        r = self.random
        if isinstance(schema, list):
            out = [self.reader(branch, depth + 1) for branch in schema]
            if r.random() < 0.2 and len(out) > 1:
                out.pop(r.randrange(len(out)))
            if r.random() < 0.1 and len(out) == 1:
                return out[0]
            if r.random() < 0.2:
                r.shuffle(out)
            return self.distinct(out)
        if r.random() < 0.06:
            return self.any(depth + 2)
        if r.random() < 0.1:
            return self.distinct([self.reader(schema, depth + 1), r.choice(PRIMITIVES)])
        if isinstance(schema, str):
            wider = {'int': ('long', 'float', 'double'), 'long': ('float', 'double', 'int'), 'float': ('double',), 'string': ('bytes',),
                     'bytes': ('string',)}
            return r.choice(wider[schema]) if schema in wider and r.random() < 0.2 else schema
        return getattr(self, 'reader_' + schema['type'])(copy.deepcopy(schema), depth)

    def distinct(self, branches):
        out, kinds = [], set()
        for branch in branches:
            if isinstance(branch, list):
                continue
            kind = branch if isinstance(branch, str) else branch['type']
            if kind not in kinds:
                kinds.add(kind)
                out.append(branch)
        return out or ['null']

    def rename(self, schema):
        if self.random.random() < 0.05:
            old, schema['name'] = schema['name'], self.name('N')
            if self.random.random() < 0.5:
                schema['aliases'] = [old]

    def reader_record(self, schema, depth):
        r, fields = self.random, schema['fields']
        self.rename(schema)
        for field in fields:
            field['type'] = self.reader(field['type'], depth + 1)
            if r.random() < 0.05:
                old, field['name'] = field['name'], field['name'] + 'x'
                if r.random() < 0.6:
                    field['aliases'] = [old]
        if r.random() < 0.15:
            fields.pop(r.randrange(len(fields)))
        if r.random() < 0.2:
            field = {'name': 'new', 'type': self.any(depth + 2)}
            can, value = self.default(field['type'])
            if can and r.random() < 0.7:
                field['default'] = value
            fields.append(field)
        if r.random() < 0.2:
            r.shuffle(fields)
        return schema

    def reader_enum(self, schema, depth):
        r = self.random
        self.rename(schema)
        if r.random() < 0.3:
            schema['symbols'] = r.sample('ABCDEF', r.randrange(1, 6))
        if r.random() < 0.2:
            schema['default'] = r.choice(schema['symbols'])
        return schema

    def reader_fixed(self, schema, depth):
        self.rename(schema)
        if self.random.random() < 0.1:
            schema['size'] += 1
        return schema

    def reader_array(self, schema, depth):
        return {'type': 'array', 'items': self.reader(schema['items'], depth + 1)}

    def reader_map(self, schema, depth):
        return {'type': 'map', 'values': self.reader(schema['values'], depth + 1)}


def label(schema):
    """How a branch of a union is named to fastavro's writer."""
    return schema if isinstance(schema, str) else schema.get('name', schema['type'])


def values(schema):
    """Values that take every branch and every symbol at least once."""
    if isinstance(schema, list):
        return [(label(branch), value) if branch != 'null' else None for branch in schema for value in values(branch)]
    if isinstance(schema, str):
        return [{'null': None, 'boolean': True, 'int': -7, 'long': 1 << 20, 'float': 0.5, 'double': 0.25, 'bytes': b'xy',
                 'string': 'xy'}[schema]]
    if schema['type'] == 'enum':
        return list(schema['symbols'])
    if schema['type'] == 'fixed':
        return [b'z' * schema['size']]
    if schema['type'] == 'array':
        return [values(schema['items'])]
    if schema['type'] == 'map':
        return [{str(i): value for i, value in enumerate(values(schema['values']))}]
    columns = {f['name']: values(f['type']) for f in schema['fields']}
    return [{name: of[i % len(of)] for name, of in columns.items()} for i in range(max(map(len, columns.values())))]


def fastavro_reads(writer, reader):
    for value in values(writer):
        out = io.BytesIO()
        fastavro.schemaless_writer(out, fastavro.parse_schema(copy.deepcopy(writer)), value)
        out.seek(0)
        try:
            fastavro.schemaless_reader(out, fastavro.parse_schema(copy.deepcopy(writer)), fastavro.parse_schema(copy.deepcopy(reader)))
        except Exception as error:  # noqa: BLE001: it throws several kinds
            return f'{type(error).__name__}: {error}'
    return 'ok'


def test_resolution_as_fastavro():
    schemas, pairs = Schemas(seed=4), []
    while len(pairs) < PAIRS:
        writer = {'type': 'record', 'name': 'Root', 'fields': [schemas.field(i, 0) for i in range(schemas.random.randrange(1, 4))]}
        pairs.append((schemas.reader_record(copy.deepcopy(writer), 0), writer))
        pairs[-1][0]['name'] = 'Root'
    lines = ''.join(json.dumps([json.dumps(r), json.dumps(w)]) + '\n' for r, w in pairs)
    told = tool('resolve', input=lines).stdout.splitlines()
    assert len(told) == len(pairs)
    readable = 0
    for (reader, writer), answer in zip(pairs, told):
        theirs = fastavro_reads(writer, reader)
        readable += theirs == 'ok'
        assert (theirs == 'ok') == (answer == 'ok'), f'\nwriter {json.dumps(writer)}\nreader {json.dumps(reader)}\nours: {answer}\nfastavro: {theirs}'
    assert PAIRS / 5 < readable < PAIRS * 4 / 5  # or the pairs say little


def test_resolution_beyond_avro():
    """Avro reads a decimal as its bytes, and milliseconds as microseconds: the number is wrong, so ours refuses."""
    def record(kind):
        return json.dumps({'type': 'record', 'name': 'R', 'fields': [{'name': 'f', 'type': kind}]})

    def is_read(reader, writer):
        return tool('resolve', input=json.dumps([record(reader), record(writer)]) + '\n').stdout.strip()

    def scaled(precision, scale, kind='bytes', **more):
        return {'type': kind, 'logicalType': 'decimal', 'precision': precision, 'scale': scale, **more}

    def time(unit):
        return {'type': 'long', 'logicalType': unit}

    assert is_read(scaled(38, 18), scaled(38, 18)) == 'ok'
    assert is_read(scaled(38, 18), scaled(38, 8)) == \
        'field f: what was written as decimal(38,8) cannot be read as decimal(38,18)'
    assert 'cannot' in is_read(scaled(38, 18), scaled(20, 18))
    assert 'cannot' in is_read(scaled(38, 18), 'bytes')
    assert 'cannot' in is_read('bytes', scaled(38, 18))
    assert 'cannot' in is_read(scaled(38, 18), 'string')
    assert 'cannot' in is_read(scaled(38, 18), scaled(38, 18, 'fixed', name='D', size=16))
    assert is_read(['null', scaled(38, 18)], scaled(38, 18)) == 'ok'
    assert is_read(time('timestamp-micros'), time('timestamp-micros')) == 'ok'
    assert is_read(time('timestamp-micros'), 'long') == 'ok'
    assert is_read('long', time('timestamp-millis')) == 'ok'
    assert is_read(time('timestamp-micros'), time('timestamp-millis')) == \
        'field f: what was written as long timestamp-millis cannot be read as long timestamp-micros'
    assert is_read(scaled(38, 18), scaled(10, 20)) != 'ok'  # not valid, so it is plain bytes


@pytest.mark.parametrize('schema, says', [
    ('', 'no JSON'), ('{', 'no JSON'), ('"nothing"', 'unknown type nothing'), ('{"type":"record","name":"R"}', 'no fields'),
    ('{"type":"record","name":"1R","fields":[]}', 'proper name'), ('{"type":"record","fields":[]}', 'proper name'),
    ('{"type":"enum","name":"E"}', 'no symbols'), ('{"type":"enum","name":"E","symbols":["A"],"default":"B"}', 'no symbol'),
    ('{"type":"fixed","name":"F","size":-1}', 'size'), ('[["null"]]', 'union in a union'), ('{"type":"array"}', 'lacks a type'),
    ('{"type":"record","name":"R","fields":[{"name":"a","type":"int"},{"name":"a","type":"int"}]}', 'twice'),
    ('{"type":"record","name":"R","fields":[{"name":"a","type":{"type":"record","name":"R","fields":[]}}]}', 'defines twice R'),
    ('{"type":"array","items":' * 200 + '"int"' + '}' * 200, 'nested too deeply'),
    ('"' + 'x' * (1 << 20) + '"', 'limit'),
])
def test_no_schemas(schema, says):
    assert says in tool('resolve', input=json.dumps(['"int"', schema]) + '\n').stdout
    assert says in tool('resolve', input=json.dumps([schema, '"int"']) + '\n').stdout


def test_recursive_schemas():
    """Types that hold themselves, and ones that grow with every level, end in time."""
    def tree(*fields):
        return json.dumps({'type': 'record', 'name': 'T', 'fields': [
            {'name': 'left', 'type': ['null', 'T']}, {'name': 'right', 'type': ['null', 'T']}, *fields]})

    wide = {'type': 'record', 'name': 'R0', 'fields': [{'name': 'x', 'type': 'int'}]}
    fields = [{'name': 'first', 'type': wide}]
    for i in range(1, 200):
        fields.append({'name': f'f{i}', 'type': {'type': 'record', 'name': f'R{i}', 'fields': [
            {'name': 'a', 'type': f'R{i - 1}'}, {'name': 'b', 'type': f'R{i - 1}'}]}})
    wide = json.dumps({'type': 'record', 'name': 'W', 'fields': fields})
    narrow = wide.replace('"name": "x", "type": "int"', '"name": "x", "type": "string"')
    lines = ''.join(json.dumps(p) + '\n' for p in [
        (tree(), tree({'name': 'v', 'type': 'int'})), (tree({'name': 'v', 'type': 'int'}), tree()), (wide, wide), (wide, narrow)])
    told = tool('resolve', input=lines).stdout.splitlines()
    assert told[0] == 'ok' and told[2] == 'ok'
    assert told[1] == 'field v of T was not written and has no default'
    assert told[3] == 'field first.x: what was written as string cannot be read as int'
    differ = [json.loads(line) for line in tool('compare', input=lines).stdout.splitlines()]
    assert differ[2] == [] and len(differ[0]) == 1 and differ[0][0][:2] == ['v', 'absent']
    assert differ[3][0][0] == 'first'


def test_differences():
    theirs = changed('trades', side='long', kind=None, extra=(['null', 'string'], None))
    spaced = json.dumps(ours('trades'), indent=3)
    lines = ''.join(json.dumps(p) + '\n' for p in [(ours_compact('trades'), theirs), (ours_compact('trades'), spaced)])
    told = [json.loads(line) for line in tool('compare', input=lines).stdout.splitlines()]
    assert told[0] == [['side', 'string', 'long'], ['kind', 'string', 'absent'],
                       ['extra', 'absent', 'union of null, string, default null']]
    assert told[1] == []


def test_speed():
    told = json.loads(tool('speed').stdout)
    print(told)
    assert told['encode_per_s'] > 0 and told['decode_per_s'] > 0  # figures belong to the bench, not here


# ---- real registries ----

UTC = datetime.timezone.utc
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=UTC)


def micros(ns):
    return EPOCH + datetime.timedelta(microseconds=ns // 1000)


D = decimal.Decimal
# As some_trades() of the tool has them.
TRADES = [
    {'venue': 'binance', 'exchange': 'binance', 'symbol': 'BTC-USDT', 'venue_symbol': 'BTCUSDT', 'stream': 'trade',
     'trade_id': '3216549870123', 'first_id_number': None, 'last_id_number': None, 'side': 'buy', 'price': D('61837.63'),
     'size': D('-0.00025'), 'venue_time': micros(1764086803123456789), 'venue_time_ns': 1764086803123456789,
     'received_time': micros(1764086803223456789), 'received_time_ns': 1764086803223456789, 'origin': 'live', 'kind': 'regular',
     'sequence': 42, 'ordinal': 0},
    {'venue': 'tiingo', 'exchange': 'nyse', 'symbol': 'ETH-USD', 'venue_symbol': 'ethusd', 'stream': 'agg_trade', 'trade_id': None,
     'first_id_number': 7, 'last_id_number': 9, 'side': 'unknown', 'price': D('0.999999999999999999'),
     'size': D('999999999999999999'), 'venue_time': None, 'venue_time_ns': None, 'received_time': micros(1764086803223000001),
     'received_time_ns': 1764086803223000001, 'origin': 'repaired', 'kind': 'auction', 'sequence': 43, 'ordinal': 2},
]
QUOTE = {'venue': 'binance', 'exchange': 'binance', 'symbol': 'BTC-USDT', 'venue_symbol': 'BTCUSDT', 'bid_price': D(1), 'bid_size': None,
         'ask_price': D('1.001'), 'ask_size': D(0), 'venue_time': None, 'venue_time_ns': None,
         'received_time': micros(1764086803223456789), 'received_time_ns': 1764086803223456789, 'origin': 'live', 'sequence': 5}


def decoded_as(line, trade):
    """A line of `decode` is that trade."""
    told = json.loads(line)
    for name in ('venue', 'exchange', 'symbol', 'stream', 'trade_id', 'side', 'origin', 'sequence'):
        assert told[name] == trade[name], name
    assert D(told['price']) == trade['price'] and D(told['size']) == trade['size']
    assert told['received_time'] == '2025-11-25T16:06:43.' + f"{trade['received_time_ns'] % 10**9:09}Z"
    assert (told['venue_time'] is None) == (trade['venue_time_ns'] is None)


@pytest.fixture(scope='module')
def servers(stack):
    up = stack.run('up', 'registry', 'glue', check=None)
    if 'not installed' in up.stderr:
        pytest.skip(up.stderr.strip())
    assert up.returncode == 0, up.stderr
    return stack


class Confluent:
    """Apicurio, told apart from others by the subjects' prefix."""

    def __init__(self, stack):
        self.url = stack.env()['TICKLAKE_STACK_REGISTRY_URL']
        self.env = {'REGISTRY_KIND': 'confluent', 'REGISTRY_URL': self.url}
        self.topic = f't{uuid.uuid4().hex[:8]}.market.trades'
        self.subject = self.topic + '-value'

    def tool(self, *args, **kw):
        return tool(*args, env=self.env, **kw)

    def client(self):
        from confluent_kafka.schema_registry import SchemaRegistryClient
        return SchemaRegistryClient({'url': self.url})

    def context(self):
        from confluent_kafka.serialization import MessageField, SerializationContext
        return SerializationContext(self.topic, MessageField.VALUE)

    def write(self, schema, rows):
        """What confluent-kafka makes of them, as hex; registers the schema."""
        from confluent_kafka.schema_registry.avro import AvroSerializer
        serializer = AvroSerializer(self.client(), schema)
        return ''.join(serializer(row, self.context()).hex() + '\n' for row in rows)

    def read(self, lines, schema=None):
        from confluent_kafka.schema_registry.avro import AvroDeserializer
        deserializer = AvroDeserializer(self.client(), schema)
        return [deserializer(bytes.fromhex(line), self.context()) for line in lines.split()]

    def close(self):
        pass

    def versions(self):
        return self.client().get_versions(self.subject)


class Glue:
    def __init__(self, stack):
        given = stack.env()
        self.env = {'REGISTRY_KIND': 'glue', 'REGISTRY_URL': given['TICKLAKE_STACK_GLUE_URL'], 'REGISTRY_NAME': f't{uuid.uuid4().hex[:8]}',
                    **{k: v for k, v in given.items() if k.startswith('AWS_')}}
        self.api = stack.glue()
        self.subject = self.topic = 'market.trades-value'

    def tool(self, *args, **kw):
        return tool(*args, env=self.env, **kw)

    def close(self):
        with contextlib.suppress(Exception):  # it may never have been made
            self.api.delete_registry(RegistryId={'RegistryName': self.env['REGISTRY_NAME']})

    def versions(self):
        newest = self.api.get_schema(SchemaId={'RegistryName': self.env['REGISTRY_NAME'], 'SchemaName': self.subject})
        return list(range(1, newest['LatestSchemaVersion'] + 1))


@pytest.fixture(params=[Confluent, Glue], ids=['confluent', 'glue'])
def registry(request, servers):
    with contextlib.closing(request.param(servers)) as it:
        yield it


@pytest.fixture
def confluent(servers):
    pytest.importorskip('confluent_kafka')
    return Confluent(servers)


@pytest.fixture
def glue(servers):
    with contextlib.closing(Glue(servers)) as it:  # moto allows few registries
        yield it


def test_registered_once(registry):
    first = registry.tool('register', registry.subject, input=ours_compact('trades')).stdout
    assert registry.tool('register', registry.subject, input=ours_compact('trades')).stdout == first
    # Other white space and words are the same schema.
    assert registry.tool('register', registry.subject, input=json.dumps(ours('trades'), indent=2)).stdout == first
    subject, version, number, schema = json.loads(registry.tool('latest', registry.subject).stdout)
    assert (subject, version, number) == (registry.subject, 1, first.strip()) and json.loads(schema) == json.loads(ours_compact('trades'))
    assert registry.versions() == [1]


def test_registered_at_one_moment(registry):
    """Publisher and workers start together on a new registry: each gets the one version."""
    lines = [[str(TOOL), 'register', f'{registry.subject}{n}'] for n in range(4) for _ in range(6)]
    started = [subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                env={**os.environ, **registry.env}) for line in lines]
    told = [p.communicate(ours_compact('trades'), timeout=60) for p in started]
    assert [p.returncode for p in started] == [0] * len(started), told
    for n in range(4):
        assert len({out for line, (out, _) in zip(lines, told) if line[2] == f'{registry.subject}{n}'}) == 1


def test_unknown_subject(registry):
    assert 'NOT_FOUND' in registry.tool('latest', registry.subject, check=64).stderr
    assert registry.tool('check', registry.subject, input=ours_compact('trades')).stdout == 'ok\n'
    assert 'NOT_FOUND' in registry.tool('latest', registry.subject, check=64).stderr  # a check registers nothing


@pytest.mark.parametrize('changes, says', [
    ({'side': 'long'}, 'field side: what was written as string cannot be read as long'),
    ({'liquid': 'boolean'}, 'field liquid of io.ticklake.market.Trade was not written and has no default'),
    ({'price': {'type': 'bytes', 'logicalType': 'decimal', 'precision': 38, 'scale': 8}},
     'field price: what was written as decimal(38,18) cannot be read as decimal(38,8)'),
], ids=['type', 'required', 'scale'])
def test_incompatible_refused(registry, changes, says):
    registry.tool('register', registry.subject, input=ours_compact('trades'))
    for verb in ('check', 'register'):
        told = registry.tool(verb, registry.subject, input=changed('trades', **changes), check=78).stderr
        assert says in told and registry.subject in told and 'version 1' in told and registry.env['REGISTRY_URL'] in told
    assert registry.versions() == [1]


def test_field_added(registry):
    """Compatible both ways; the old publisher's schema keeps its version when it starts again."""
    old = registry.tool('register', registry.subject, input=ours_compact('trades')).stdout
    new = registry.tool('register', registry.subject, input=changed('trades', extra=(['null', 'string'], None))).stdout
    assert old != new and registry.versions() == [1, 2]
    assert registry.tool('register', registry.subject, input=ours_compact('trades')).stdout == old
    assert registry.versions() == [1, 2]


def test_rules(registry):
    """FORWARD adds that older readers read us; TRANSITIVE looks at all versions."""
    base = {'type': 'record', 'name': 'R', 'fields': [{'name': 'a', 'type': 'int'}]}
    both = {**base, 'fields': base['fields'] + [{'name': 'b', 'type': 'int', 'default': 1}]}
    text = {**base, 'fields': base['fields'] + [{'name': 'b', 'type': 'string', 'default': 'x'}]}
    registry.env['REGISTRY_RULE'] = 'full'
    registry.tool('register', registry.subject, input=json.dumps(base))
    told = registry.tool('register', registry.subject, check=78,
                         input=json.dumps({**base, 'fields': [{'name': 'c', 'type': 'int', 'default': 1}]})).stderr
    assert 'rule FULL' in told and 'field a' in told
    registry.env['REGISTRY_RULE'] = 'backward_transitive'
    registry.subject = registry.topic = registry.subject.replace('trades', 'quotes')
    registry.tool('register', registry.subject, input=json.dumps(both))
    registry.tool('register', registry.subject, input=json.dumps(base))
    assert 'version 1' in registry.tool('register', registry.subject, check=78, input=json.dumps(text)).stderr


def test_confluent_level_is_set(confluent):
    import requests
    confluent.tool('register', confluent.subject, input=ours_compact('trades'))
    told = requests.get(f'{confluent.url}/config/{confluent.subject}', timeout=10).json()
    assert told['compatibilityLevel'] == 'BACKWARD'
    # An operator's own choice stays, and ours is checked all the same.
    requests.put(f'{confluent.url}/config/{confluent.subject}', json={'compatibility': 'NONE'}, timeout=10).raise_for_status()
    assert 'field side' in confluent.tool('register', confluent.subject, input=changed('trades', side='long'), check=78).stderr
    confluent.tool('register', confluent.subject, input=changed('trades', more=('int', 3)))
    assert requests.get(f'{confluent.url}/config/{confluent.subject}', timeout=10).json()['compatibilityLevel'] == 'NONE'


def test_confluent_each(confluent):
    prefix = confluent.topic.split('.')[0]
    for table in ('trades', 'gaps'):
        confluent.tool('register', f'{prefix}.market.{table}-value', input=ours_compact(table))
    told = [json.loads(line) for line in confluent.tool('each', prefix).stdout.splitlines()]
    assert sorted(row[0] for row in told) == [f'{prefix}.market.gaps-value', f'{prefix}.market.trades-value']
    assert all(row[1] == 1 for row in told)


def test_confluent_reads_ours(confluent):
    lines = confluent.tool('encode', 'trades', confluent.subject).stdout
    assert confluent.read(lines) == TRADES
    confluent.topic = confluent.topic.replace('trades', 'quotes')
    lines = confluent.tool('encode', 'quotes', confluent.topic + '-value').stdout
    assert confluent.read(lines) == [QUOTE]


def test_ours_reads_confluent(confluent):
    lines = confluent.write(ours_compact('trades'), TRADES)
    told = confluent.tool('decode', 'trades', input=lines).stdout.splitlines()
    assert len(told) == len(TRADES)
    for line, trade in zip(told, TRADES):
        decoded_as(line, trade)


def test_versions_side_by_side(confluent):
    """Old and new publishers at once: a field added is skipped by who does not know it, defaulted where it was not written."""
    newer = changed('trades', liquidity=(['null', 'string'], None), flags=({'type': 'array', 'items': 'int'}, []))
    older = changed('trades', ordinal=None)
    old_rows = [{k: v for k, v in row.items() if k != 'ordinal'} for row in TRADES]
    new_rows = [{**row, 'liquidity': 'maker', 'flags': [1, -2, 3]} for row in TRADES]
    lines = [confluent.write(older, old_rows), confluent.tool('encode', 'trades', confluent.subject).stdout,
             confluent.write(newer, new_rows)]
    for text in lines:
        told = confluent.tool('decode', 'trades', input=text).stdout.splitlines()
        assert len(told) == 2
        for line, trade in zip(told, TRADES):
            decoded_as(line, trade)
    # And theirs, with the newest schema as the reader's, reads what ours wrote.
    assert confluent.read(lines[1], newer) == [{**row, 'liquidity': None, 'flags': []} for row in TRADES]
    assert len(confluent.versions()) == 3


def test_incompatible_writer(confluent):
    """Records of a schema that ours cannot read, which no rule kept out, are told one by one, and the next one is read."""
    good = confluent.tool('encode', 'trades', confluent.subject).stdout.split()
    confluent.topic = confluent.subject = confluent.topic + '_other'
    bad = confluent.write(changed('trades', side='long'), [{**TRADES[0], 'side': 1}]).split()
    told = confluent.tool('decode', 'trades', input='\n'.join(bad + good + bad + ['0000ffffff' + good[0][10:], 'ff' + good[0], good[1]])).stdout
    told = told.splitlines()
    assert told[0] == told[3] == 'error: INCOMPATIBLE: field side: what was written as long cannot be read as string'
    assert told[4].startswith('error: NOT_FOUND: the registry ') and 'id 16777215' in told[4]
    assert told[5].startswith('error: PARSE: a record begins with ff')
    for line, trade in zip((told[1], told[2], told[6]), TRADES + TRADES[1:]):
        decoded_as(line, trade)


# ---- AWS ----

def test_glue_credentials(glue):
    glue.tool('register', glue.subject, input=ours_compact('trades'))
    secret = glue.env['AWS_SECRET_ACCESS_KEY']
    for name, value, says in (('AWS_SECRET_ACCESS_KEY', 'wrong-secret', 'SignatureDoesNotMatch'),
                              ('AWS_ACCESS_KEY_ID', 'AKIAWRONG', 'InvalidClientTokenId')):
        glue.env = {**glue.env, name: value}
        told = glue.tool('latest', glue.subject, check=77).stderr
        assert says in told and 'credentials' in told
        assert secret not in told and 'wrong-secret' not in told


def test_glue_rule(glue):
    glue.env['REGISTRY_RULE'] = 'full_transitive'
    glue.tool('register', glue.subject, input=ours_compact('trades'))
    made = glue.api.get_schema(SchemaId={'RegistryName': glue.env['REGISTRY_NAME'], 'SchemaName': glue.subject})
    assert made['Compatibility'] == 'FULL_ALL' and made['DataFormat'] == 'AVRO'


class AwsLibrary:
    """AWS's own Java library, driven through py4j: no Java of ours to compile."""

    def __init__(self):
        gateway = pytest.importorskip('py4j.java_gateway')
        folder = subprocess.run([ROOT / 'tests/java/setup', 'folder'], capture_output=True, text=True, check=True).stdout.strip()
        if not pathlib.Path(folder).is_dir():
            pytest.skip('no jars: run tests/java/setup')
        port = gateway.launch_gateway(classpath=f'{folder}/*', die_on_exit=True, javaopts=['-Xmx256m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1'])
        self.gateway = gateway.JavaGateway(gateway_parameters=gateway.GatewayParameters(port=port))
        self.jvm = self.gateway.jvm

    def close(self):
        self.gateway.shutdown()

    def client(self, kind, glue, compression='NONE'):
        aws = self.jvm.software.amazon.awssdk.auth.credentials
        credentials = aws.StaticCredentialsProvider.create(aws.AwsBasicCredentials.create(
            glue.env['AWS_ACCESS_KEY_ID'], glue.env['AWS_SECRET_ACCESS_KEY']))
        settings = self.jvm.java.util.HashMap()
        for name, value in {'endpoint': glue.env['REGISTRY_URL'], 'region': glue.env['AWS_REGION'], 'registry.name': glue.env['REGISTRY_NAME'],
                            'schemaName': glue.subject, 'dataFormat': 'AVRO', 'avroRecordType': 'GENERIC_RECORD',
                            'schemaAutoRegistrationEnabled': True, 'compression': compression}.items():
            settings.put(name, value)
        package = self.jvm.com.amazonaws.services.schemaregistry
        if kind == 'write':
            return package.serializers.GlueSchemaRegistryKafkaSerializer(credentials, settings)
        return package.deserializers.GlueSchemaRegistryKafkaDeserializer(credentials, settings)

    def record(self, schema, row):
        """A GenericRecord of a row that fastavro understands."""
        out = io.StringIO()
        fastavro.json_writer(out, fastavro.parse_schema(json.loads(schema)), [row])
        avro = self.jvm.org.apache.avro
        parsed = avro.Schema.Parser().parse(schema)
        decoder = avro.io.DecoderFactory.get().jsonDecoder(parsed, out.getvalue())
        return avro.generic.GenericDatumReader(parsed).read(None, decoder)

    def row(self, record):
        avro = self.jvm.org.apache.avro
        schema = record.getSchema()
        stream = self.jvm.java.io.ByteArrayOutputStream()
        encoder = avro.io.EncoderFactory.get().binaryEncoder(stream, None)
        avro.generic.GenericDatumWriter(schema).write(record, encoder)
        encoder.flush()
        return fastavro.schemaless_reader(io.BytesIO(bytes(stream.toByteArray())), fastavro.parse_schema(json.loads(schema.toString())))


@pytest.fixture(scope='module')
def aws():
    library = AwsLibrary()
    yield library
    library.close()


def test_aws_library_reads_ours(aws, glue):
    reader = aws.client('read', glue)
    lines = glue.tool('encode', 'trades', glue.subject).stdout.split()
    assert [aws.row(reader.deserialize('market.trades', bytes.fromhex(line))) for line in lines] == TRADES


@pytest.mark.parametrize('compression', ['NONE', 'ZLIB'])
def test_ours_reads_aws_library(aws, glue, compression):
    """Also with the version that we registered: our text is the one that Java's Avro writes of the schema."""
    ours_id = glue.tool('register', glue.subject, input=ours_compact('trades')).stdout.strip()
    newer = changed('trades', liquidity=(['null', 'string'], None))
    writer = aws.client('write', glue, compression)
    lines = [bytes(writer.serialize('market.trades', aws.record(ours_compact('trades'), row))).hex() for row in TRADES]
    assert all(line.startswith('0305' if compression == 'ZLIB' else '0300') and line[4:36] == ours_id for line in lines)
    lines.append(bytes(writer.serialize('market.trades', aws.record(newer, {**TRADES[0], 'liquidity': 'maker'}))).hex())
    assert lines[2][4:36] != ours_id and glue.versions() == [1, 2]
    told = glue.tool('decode', 'trades', input='\n'.join(lines)).stdout.splitlines()
    assert len(told) == 3
    for line, trade in zip(told, TRADES + TRADES[:1]):
        decoded_as(line, trade)


# ---- servers that answer badly ----

class Scripted(http.server.BaseHTTPRequestHandler):
    """Answers from a list of (status, body), the last one again and again."""
    protocol_version = 'HTTP/1.1'

    def do_POST(self):
        self.rfile.read(int(self.headers.get('Content-Length', 0)))
        self.server.asked.append((self.command, self.path, self.headers.get('X-Amz-Target'), self.headers.get('Authorization')))
        status, body = self.server.answers.pop(0) if len(self.server.answers) > 1 else self.server.answers[0]
        if status is None:
            self.server.release.wait(30)
            return
        self.send_response(status)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    do_GET = do_PUT = do_POST

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def scripted(*answers):
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Scripted)
    server.answers, server.asked, server.release = list(answers), [], threading.Event()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server, f'http://127.0.0.1:{server.server_port}'
    finally:
        server.release.set()
        server.shutdown()
        server.server_close()


AWS_KEYS = {'AWS_REGION': 'us-east-1', 'AWS_ACCESS_KEY_ID': 'AKIATEST', 'AWS_SECRET_ACCESS_KEY': 'very-secret'}
HTML = '<!doctype html>\n<html lang=en>\n<title>502 Bad Gateway</title>'


@pytest.mark.parametrize('kind', ['confluent', 'glue'])
@pytest.mark.parametrize('answer, code, says', [
    ((500, HTML), 69, '500 and no JSON: <!doctype html> <html lang=en>'), ((502, ''), 69, 'answered 502'), ((200, '<xml/>'), 69, 'no JSON'),
    ((200, ''), 69, '200'), ((200, '{}'), 69, 'without'), ((200, '[]'), 69, ''), ((200, '{"id":-1,"SchemaVersionId":"x"}'), 69, 'without'),
    ((200, '{"id":99999999999,"SchemaVersionId":"zzzzzzzz-zzzz-zzzz-zzzz-zzzzzzzzzzzz"}'), 69, 'without'), ((404, HTML), 69, 'registry.url'),
    ((404, '{"error_code":404,"message":"x"}'), 69, '404'), ((401, '{"error_code":401,"message":"no"}'), 77, 'rights'),
    ((403, HTML), 77, 'rights'), ((429, '{"error_code":429}'), 69, '429'), ((302, ''), 69, '302'),
    ((200, '{"id":1,"version":1,"SchemaVersionId":' + '"' + 'x' * 5000000), 70, 'longer than'),
    ((200, '{"id":1,"version":1,"schema":"{","SchemaVersionId":"e22a0cd3-8a08-4b86-8d42-f07d252ac9a7","SchemaDefinition":"{","schemaType":"PROTOBUF","DataFormat":"JSON"}'),
     78, 'not AVRO'),
])
def test_bad_answers(kind, answer, code, says):
    with scripted(answer) as (server, url):
        env = {'REGISTRY_KIND': kind, 'REGISTRY_URL': url, 'REGISTRY_USER': 'me', 'REGISTRY_PASSWORD': 'very-secret', **AWS_KEYS}
        told = tool('latest', 's', env=env, check=code).stderr
        assert says in told and url in told and 'very-secret' not in told and len(told) < 600
        assert server.asked[0][3].startswith('Basic bWU6dmVyeS1zZWNyZXQ=' if kind == 'confluent' else 'AWS4-HMAC-SHA256 Credential=AKIATEST/')


def test_no_answer():
    with scripted((None, '')) as (_, url):
        told = tool('latest', 's', env={'REGISTRY_KIND': 'confluent', 'REGISTRY_URL': url, 'REGISTRY_TIMEOUT_MS': '300'}, check=69).stderr
        assert 'TIMEOUT' in told and url in told


def test_secrets_in_addresses():
    with scripted((500, HTML)) as (server, url):
        env = {'REGISTRY_KIND': 'confluent', 'REGISTRY_URL': url.replace('://', '://me:very-secret@') + '/base/', 'REGISTRY_TOKEN': 'very-secret'}
        told = tool('latest', 's/ü', env=env, check=69).stderr
        assert 'very-secret' not in told and f'{url}/base' in told
        assert server.asked[0][1] == '/base/subjects/s%2F%C3%BC/versions/latest'


def test_not_configured():
    assert 'registry.kind' in tool('latest', 's', check=78).stderr
    assert 'registry.url' in tool('latest', 's', env={'REGISTRY_KIND': 'confluent'}, check=78).stderr


VERSION = 'e22a0cd3-8a08-4b86-8d42-f07d252ac9a7'
MISSING = (400, '{"__type":"com.amazonaws.glue#EntityNotFoundException","Message":"none"}')


def glue_version(status, text='\\"int\\"', number=1):
    return 200, f'{{"SchemaVersionId":"{VERSION}","SchemaDefinition":"{text}","DataFormat":"AVRO","VersionNumber":{number},"Status":"{status}"}}'


@pytest.mark.parametrize('statuses, code, says', [
    (['PENDING', 'PENDING', 'AVAILABLE'], 0, ''), (['PENDING', 'FAILURE'], 78, 'FAILURE'), (['PENDING'], 69, 'still'), (['FAILURE'], 78, 'FAILURE'),
    (['DELETING'], 78, 'DELETING'),
])
def test_glue_status(statuses, code, says):
    """AWS judges a version after it took it; what is not AVAILABLE in the end is refused."""
    with scripted(MISSING, glue_version('AVAILABLE'), *map(glue_version, statuses)) as (server, url):
        told = tool('register', 's', input='"long"', check=code,
                    env={'REGISTRY_KIND': 'glue', 'REGISTRY_URL': url, 'REGISTRY_TIMEOUT_MS': '1000', **AWS_KEYS})
        assert says in told.stderr
        if code == 0:
            assert told.stdout.strip() == VERSION.replace('-', '')
        assert [a[2].split('.')[1] for a in server.asked[:3]] == ['GetSchemaByDefinition', 'GetSchemaVersion', 'RegisterSchemaVersion']


def test_glue_refused_versions_do_not_count():
    with scripted(glue_version('FAILURE', number=3), glue_version('FAILURE', number=2), glue_version('AVAILABLE')) as (_, url):
        told = json.loads(tool('latest', 's', env={'REGISTRY_KIND': 'glue', 'REGISTRY_URL': url, **AWS_KEYS}).stdout)
        assert told == ['s', 1, VERSION.replace('-', ''), '"int"']


def test_glue_each():
    """moto lacks ListSchemas: as AWS documents it, page by page."""
    pages = [(200, '{"Schemas":[{"SchemaName":"a.x"},{"SchemaName":"b"}],"NextToken":"n"}'), (200, '{"Schemas":[{"SchemaName":"a.y"}]}')]
    with scripted(*pages, glue_version('AVAILABLE')) as (server, url):
        told = tool('each', 'a.', env={'REGISTRY_KIND': 'glue', 'REGISTRY_URL': url, **AWS_KEYS}).stdout
        assert [json.loads(line)[0] for line in told.splitlines()] == ['a.x', 'a.y']
        assert [a[2] for a in server.asked[:2]] == ['AWSGlue.ListSchemas'] * 2


def test_unknown_ids_are_not_asked_again():
    with scripted((404, '{"error_code":40403,"message":"Schema 9 not found"}')) as (server, url):
        told = tool('decode', 'trades', input='000000000911\n' * 50, env={'REGISTRY_KIND': 'confluent', 'REGISTRY_URL': url}).stdout
        assert told.count('error: NOT_FOUND') == 50 and len(server.asked) == 1


# ---- the command ----

def schemas(registry, *args, check=0, prefix='', **settings):
    given = {'TICKLAKE_REGISTRY__KIND': registry.env['REGISTRY_KIND'], 'TICKLAKE_REGISTRY__URL': registry.env['REGISTRY_URL'],
             'TICKLAKE_REGISTRY__NAME': registry.env.get('REGISTRY_NAME', 'x'), 'TICKLAKE_BUS__PREFIX': prefix,
             **{k: v for k, v in registry.env.items() if k.startswith('AWS_')}, **settings}
    done = subprocess.run([BINARY, 'schemas', *args], capture_output=True, text=True, timeout=60, env={**os.environ, **given})
    assert done.returncode == check, f'exit {done.returncode}\n{done.stdout}\n{done.stderr}'
    return done


def test_command_schemas(registry):
    prefix = f'c{uuid.uuid4().hex[:8]}.'
    told = json.loads(schemas(registry, '--json', prefix=prefix).stdout)
    assert [(row['table'], row['state']) for row in told] == [(t, 'absent') for t in TABLES]
    assert told[0]['subject'] == f'{prefix}market.trades-value'
    schemas(registry, 'check', prefix=prefix)
    # One that lacks a field of ours that has a default, and one that ours cannot read.
    registry.tool('register', f'{prefix}market.trades-value', input=changed('trades', ordinal=None))
    registry.tool('register', f'{prefix}market.gaps-value', input=changed('gaps', cause='long'))
    told = json.loads(schemas(registry, 'check', '--json', prefix=prefix, check=1).stdout)
    states = {row['table']: row for row in told}
    assert states['trades']['state'] == 'compatible' and states['trades']['version'] == 1
    assert states['gaps']['state'] == 'incompatible' and 'field cause' in states['gaps']['reason']
    told = json.loads(schemas(registry, 'compare', '--json', prefix=prefix).stdout)
    assert told[0]['differences'] == [{'field': 'ordinal', 'ours': 'int, default 0', 'theirs': 'absent'}]
    assert 'cause' in schemas(registry, 'compare', prefix=prefix).stdout
    assert 'field cause' in schemas(registry, 'register', prefix=prefix, check=78).stderr
    # What was not there is; trades got a second version.
    prefix = prefix.replace('.', '2.')
    registry.tool('register', f'{prefix}market.trades-value', input=changed('trades', ordinal=None))
    told = json.loads(schemas(registry, 'register', '--json', prefix=prefix).stdout)
    assert [row['state'] for row in told] == ['equal'] * 6 and [row['version'] for row in told] == [2, 1, 1, 1, 1, 1]
    assert 'all 6 schemas are the same' in schemas(registry, 'compare', prefix=prefix).stdout


def test_command_schemas_fails():
    class None_:
        env = {'REGISTRY_KIND': 'none', 'REGISTRY_URL': ''}

    assert 'registry.kind' in schemas(None_, check=78).stderr
    with scripted((401, '{"error_code":40101,"message":"no"}')) as (_, url):
        None_.env = {'REGISTRY_KIND': 'confluent', 'REGISTRY_URL': url}
        told = schemas(None_, 'check', check=77, TICKLAKE_REGISTRY__TOKEN='very-secret').stderr
        assert url in told and 'very-secret' not in told
    assert schemas(None_, 'nonsense', check=64) and schemas(None_, check=69)
