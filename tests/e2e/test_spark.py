"""Spark's candles against those of the C stage: the same rows, to the last digit, in every column but revision and updated_at."""
import itertools
import os
import random
import signal
import subprocess
import sys
import uuid
from collections import defaultdict
from datetime import datetime, timedelta, timezone
from fractions import Fraction

import pytest

from conftest import ROOT, SAMPLES
from distributed import Deployment, PARTS
from stack_tools import wait_until

sys.path.insert(0, str(ROOT / 'spark'))
import ticklake_candles as pure  # noqa: E402

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


# ---- The arithmetic, without Spark ----

def trade_of(row):
    time_ns = row['venue_time_ns'] if row['venue_time_ns'] is not None else row['received_time_ns']
    return (time_ns, *(row[n] for n in pure.TRADE_FIELDS[1:]))


def candles_of_rows(trades, gaps, cut):
    """(venue, symbol, timeframe, open_ns) -> values; the trades of a minute come in pieces of at most `cut`."""
    out, streams, minutes = {}, {}, defaultdict(list)
    for row in sorted(trades, key=lambda r: r['sequence']):
        if row['stream'] not in pure.TAPE_STREAMS or row['kind'] == 'liquidation':
            continue
        tape = row['venue'], row['symbol']
        if streams.setdefault(tape, row['stream']) == row['stream']:
            trade = trade_of(row)
            minutes[*tape, trade[0] // pure.MINUTE_NS * pure.MINUTE_NS].append(trade)
    holes = defaultdict(list)
    for g in gaps:
        if g['state'] != 'repaired':
            to_ns = None if g['to_time'] is None else (g['to_time'] - EPOCH) // timedelta(microseconds=1) * 1000
            holes[g['venue'], g['symbol']].append((g['stream'], (g['from_time'] - EPOCH) // timedelta(microseconds=1) * 1000, to_ns))
    days = defaultdict(list)
    for (venue, symbol, at), rows in minutes.items():
        text = None
        for i in range(0, len(rows), cut):
            minute = pure.Minute(at, text)
            minute.take(rows[max(0, i - 3):i + cut])  # what came before comes again: a batch run again
            text = minute.text()
        for timeframe, open_ns, values in minute.candles():
            out[venue, symbol, timeframe, open_ns] = values
            if timeframe == '1m':
                days[venue, symbol, open_ns // pure.DAY_NS].append((open_ns, values))
    for (venue, symbol, _), rows in days.items():
        for timeframe, open_ns, values in pure.rollups_of_day(rows):
            out[venue, symbol, timeframe, open_ns] = values
    return {k: {**{n: pure.scaled(v) if n in pure.DECIMALS else v for n, v in values.items()},
                'complete': pure.is_complete(holes[k[:2]], streams[k[:2]], k[3], k[2])} for k, values in out.items()}


def candles_of_lake(rows):
    out = {}
    for r in rows:
        key = r['venue'], r['symbol'], r['timeframe'], (r['open_time'] - EPOCH) // timedelta(seconds=1) * pure.NS
        assert key not in out, f'twice: {key}'
        out[key] = {n: r[n] for n in (*pure.VALUES, 'complete')}
    return out


def assert_same_candles(ours, expected):
    assert len(expected) > 100
    assert ours.keys() == expected.keys()
    for key, values in expected.items():
        assert ours[key] == values, key


def test_the_functions_give_the_candles_of_the_lake(ticklake):
    ticklake.run('replay', SAMPLES)
    trades, gaps = ticklake.rows('trades'), ticklake.rows('gaps')
    for cut in (1, 7, 10**9):
        assert_same_candles(candles_of_rows(trades, gaps, cut), candles_of_lake(ticklake.rows('candles')))


def test_random_parts_add_up_in_any_order():
    random.seed(7)
    for _ in range(200):
        trades = []
        for i in range(random.randint(1, 12)):
            price, size = (random.randint(1, 10**18) * 10**random.randint(0, 18) for _ in range(2))
            text = random.choice((str(random.randint(-5, 50)), 'x%d' % i, '007', None, 'y' * 50))
            first = random.choice((None, random.randint(0, 9)))
            trades.append((random.randint(0, 3), text, first, None if first is None else first + random.randint(0, 3),
                           random.choice(('buy', 'sell', 'sell', 'buy', 'unknown')), pure.scaled(price), pure.scaled(size), i))
        parts = [pure.part_of_trade(*t) for t in trades]
        for order in itertools.islice(itertools.permutations(parts), 20):
            whole = order[0]
            for p in order[1:]:
                whole = pure.merged(whole, p)
            candle = pure.candle_of_part(whole)
            quote = sum(Fraction(t[5]) * Fraction(t[6]) for t in trades)
            base = sum(Fraction(t[6]) for t in trades)
            assert candle['quote_volume'] == pure.fitting(round(quote * pure.SCALE))
            assert candle['base_volume'] == pure.fitting(int(base * pure.SCALE))
            if candle['base_volume'] is not None and candle['quote_volume'] is not None:
                assert candle['vwap'] == round(quote / base * pure.SCALE)
            assert (candle['taker_buy_base_volume'] is None) == (any(t[4] == 'unknown' for t in trades) or whole[pure.TAKER_BASE] >= pure.LIMIT
                                                                 or round(Fraction(whole[pure.TAKER_QUOTE], pure.SCALE)) >= pure.LIMIT)


@pytest.mark.parametrize('text, number', [('0', 0), ('-0', None), ('-1', -1), ('01', None), ('9223372036854775807', 2**63 - 1),
                                          ('9223372036854775808', None), ('-9223372036854775808', -2**63), ('', None), ('1e3', None),
                                          ('\u0661', None), ('+1', None)])
def test_only_canonical_numbers_have_an_order(text, number):
    assert pure.id_number(text) == number

# ---- The jobs, on the standalone master and worker of the stack ----

# Little data: what costs is starting, planning and compiling.
SUBMIT_OPTIONS = ('--conf', 'spark.sql.codegen.wholeStage=false')
JOB_SECONDS = 900  # on two busy cores a job takes about a minute


class Job:
    """spark-submit of a job, with its log."""

    def __init__(self, deployment, name, *args):
        env = deployment.env
        self.log = deployment.folder / f'{name}.log'
        with open(self.log, 'a') as file:
            line = [f'{env["SPARK_HOME"]}/bin/spark-submit', *SUBMIT_OPTIONS, str(ROOT / 'spark' / name), *map(str, args)]
            self.process = subprocess.Popen(line, env=env, stdout=file, stderr=file, start_new_session=True)

    def words(self):
        return self.log.read_text()

    def end(self):
        code = self.process.wait(JOB_SECONDS)
        assert code == 0, f'exit {code}\n{self.words()[-6000:]}'

    def kill(self):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(30)


@pytest.fixture
def deployment(tmp_path, stack):
    d = Deployment(tmp_path, stack.up(*PARTS, 'spark').env())
    yield d
    d.close()


def metadata_of(deployment, table):
    found = deployment.psql(f"SELECT metadata_location FROM ticklake.iceberg_tables WHERE table_name = '{table}'")
    return int(found.rsplit('/', 1)[1].split('-')[0]) if found else 0


@pytest.mark.timeout(2000)
def test_the_stream_killed_between_sums_and_candles_gives_the_candles_of_the_lake(deployment):
    deployment.run('replay', SAMPLES)
    deployment.start('bus')
    deployment.start('process,lake')
    deployment.verify()
    expected = candles_of_lake(deployment.rows('candles'))
    args = ('--checkpoint', f'file://{deployment.folder}/checkpoint', '--once', '--batch', 2500)
    first = Job(deployment, 'candles_stream.py', *args)
    try:
        # The sums of the first batch are stored, its candles are not: the batch will be run again on sums that hold it.
        wait_until(lambda: first.process.poll() is not None or metadata_of(deployment, 'candles_spark_minutes'), JOB_SECONDS,
                   'the first batch is half done')
        assert first.process.poll() is None, first.words()[-6000:]
    finally:
        first.kill()
    assert metadata_of(deployment, 'candles_spark') == 0, 'killed too late for this test'
    second = Job(deployment, 'candles_stream.py', *args)
    try:
        second.end()
    finally:
        second.kill()
    assert second.words().count('batch ') >= 2
    assert_same_candles(candles_of_lake(deployment.rows('candles_spark')), expected)
    secret = deployment.base['TICKLAKE_S3__SECRET_KEY']
    assert secret not in second.words() and 'ticklake-password' not in second.words()


def test_schemas_come_from_glue_and_wrong_frames_are_refused(stack, monkeypatch):
    import ticklake_registry
    environment = stack.up('glue').env(glue=True)
    for key, value in environment.items():
        if key.startswith(('TICKLAKE_REGISTRY', 'AWS_')):
            monkeypatch.setenv(key, value)
    glue, name = stack.glue(), f'spark-{os.getpid()}'
    text = (ROOT / 'schemas' / 'market.trades.avsc').read_text()
    made = glue.create_schema(SchemaName=name, DataFormat='AVRO', Compatibility='BACKWARD', SchemaDefinition=text)
    try:
        registry = ticklake_registry.Registry(lambda n, needed=True: os.environ.get(f'TICKLAKE_{n}'), lambda n: None)
        frame = bytes((3, 0)) + uuid.UUID(made['SchemaVersionId']).bytes
        assert registry.schema(frame) == text
        for wrong in (b'\x00\x00\x00\x00\x01', bytes((3, 4)) + bytes(16), b''):
            with pytest.raises(ticklake_registry.RegistryError, match='does not begin'):
                registry.schema(wrong)
        with pytest.raises(ticklake_registry.RegistryError, match='HTTP 400'):
            registry.schema(bytes((3, 0)) + bytes(16))
        monkeypatch.setenv('AWS_SECRET_ACCESS_KEY', 'wrong-secret')
        with pytest.raises(ticklake_registry.RegistryError) as refused:
            registry.schema(bytes((3, 0)) + bytes(15) + b'\x01')
        assert 'HTTP 403' in str(refused.value) and 'wrong-secret' not in str(refused.value)
    finally:
        glue.delete_schema(SchemaId={'SchemaArn': made['SchemaArn']})
