"""What a worker leaves behind for the next one: pending revisions, gaps that come while windows are made again, records that
nobody can read. Each was once lost, doubled, or stopped every worker that came to it."""
import signal

import pytest
from confluent_kafka.serialization import MessageField, SerializationContext

from distributed import Flow, running_stack  # noqa: F401  (a fixture)
from test_evolution import VENUE, Publisher
from test_live import wait_for


@pytest.fixture
def made(tmp_path, running_stack):  # noqa: F811
    found = []

    def make(kind, **kw):
        found.append(kind(tmp_path / f'made{len(found)}', running_stack, **kw))
        return found[-1]

    yield make
    for d in found:
        d.close()


def test_pending_revisions_go_to_a_worker_that_knows_no_names(made):
    f = made(Flow, workers=1, rate=500, symbols=2, venues=('binance', 'kraken'), simulate=('--late', 40, '--late-ms', 3000),
             worker_env={'TICKLAKE_PROCESS__REVISE_MS': '3600000'})
    names = "SELECT string_agg(quote_literal(name), ',') FROM ticklake.ticklake_state WHERE name LIKE '%revise/second/%'"
    pending = wait_for(lambda: f.all_alive() and f.psql(names), 60, f'late trades wait for their revision{f.tails()}')
    f.workers[0].kill()
    f.worker_env = None
    f.add_worker()
    wait_for(lambda: f.all_alive() and f.psql(f'SELECT count(*) FROM ticklake.ticklake_state WHERE name IN ({pending})') == '0', 60,
             f'they are revised{f.tails()}')
    f.end()


LENGTHS = {'1s': 1, '1m': 60, '5m': 300, '15m': 900, '1h': 3600, '4h': 14400, '1d': 86400}


def complete(d, venue, symbol, at_ns):
    """{timeframe: complete} of the candles over that moment."""
    rows = d.table('candles').scan(row_filter=f"venue = '{venue}' and symbol = '{symbol}'",
                                   selected_fields=('timeframe', 'open_time', 'complete')).to_arrow().to_pylist()
    opens = [(r, int(r['open_time'].timestamp()) * 10**9) for r in rows]
    return {r['timeframe']: r['complete'] for r, at in opens if at <= at_ns < at + LENGTHS[r['timeframe']] * 10**9}


def test_a_gap_that_comes_while_windows_are_made_again(made):
    """What was last in the lake's position of trades is a mark behind the last trade: the gap's place is before that."""
    f = made(Flow, workers=1, rate=500, symbols=1, venues=('kraken',), quotes=0)
    f.flowing(trades=3000)
    f.simulator.process.send_signal(signal.SIGTERM)
    f.simulator.truth()
    f.verify()
    venue, symbol, series = f.psql('SELECT venue, symbol, id FROM ticklake.series LIMIT 1').split('|')
    times = [int(x) for x in f.psql('SELECT DISTINCT venue_time / 1000000000 FROM ticklake.trade_rows ORDER BY 1').splitlines()]

    def tell(gap_id, second):
        f.psql('INSERT INTO ticklake.gap_rows (sequence, gap_id, series, stream, kind, state, from_time, to_time, rows_recovered, '
               f"candles_revised, opened, cause) VALUES ({gap_id}, {gap_id}, {series}, 0, 1, 0, {second}000000000, {second}100000000, 0, 0, "
               f"{second}000000000, 'disconnect')")
        wait_for(lambda: f.all_alive() and len(f.table('gaps').scan(row_filter=f'gap_id = {gap_id}').to_arrow()) == 1, 60, 'the gap is in the lake')

    before, after = times[len(times) // 3], times[len(times) // 2]
    tell(1 << 40, before)
    wait_for(lambda: not any(complete(f, venue, symbol, before * 10**9).values()), 60, 'its candles are incomplete')
    assert complete(f, venue, symbol, after * 10**9)['1s']
    f.workers[0].kill()
    f.add_worker()
    tell((1 << 40) + 1, after)
    wait_for(lambda: not any(complete(f, venue, symbol, after * 10**9).values()), 30, 'its candles are incomplete, too')


def test_records_that_nobody_can_read(made):
    """Dead letters, each once however often they are read again; names that would not fit anywhere stop nobody, and a symbol has its
    tape in its own partition only."""
    f = made(Flow, workers=1, rate=500, symbols=2, venues=('binance', 'kraken'))
    p = Publisher(f)
    for n in range(40):
        p.client.produce(p.topic, b'garbage %d' % n, f'binance:GARBAGE{n % 7}')
        p.client.produce(f'{f.prefix}market.gaps', b'garbage %d' % n, f'binance:GARBAGE{n % 7}')
    p.send(20, venue=lambda n: 'else\0where', symbol=lambda n: f'A{n}-USD')
    p.send(20, venue=lambda n: 'else/where', symbol=lambda n: f'B{n}-USD')
    p.send(20, venue=lambda n: VENUE + 'x' * 119, symbol=lambda n: f'{n:0128}', venue_symbol=lambda n: f'{n:0128}')
    for n in range(60):  # each symbol in all three partitions
        row = p.trade(1000 + n, symbol=f'C{n % 20}-USD')
        p.client.produce(p.topic, p.serializer(row, SerializationContext(p.topic, MessageField.VALUE)), 'any', partition=n // 20)
    assert p.client.flush(60) == 0
    for _ in range(3):
        wait_for(lambda: f.all_alive() and f.count('dead_letters') >= 160, 60, f'dead letters{f.tails()}')
        f.flowing(trades=500)
        f.workers[-1].kill()
        f.add_worker()
    f.flowing(trades=500)
    rows = f.rows('dead_letters', ('connection',))
    assert len(rows) == len({r['connection'] for r in rows}) == 160
    assert sorted(map(int, of_venue(f, VENUE + 'x' * 119, 'trade_id'))) == list(range(40, 60))
    assert sorted(of_venue(f, VENUE, 'symbol')) == sorted(f'C{n}-USD' for n in range(20))


def of_venue(f, venue, column):
    return f.table('trades').scan(row_filter=f"venue = '{venue}'", selected_fields=(column,)).to_arrow()[column].to_pylist()
