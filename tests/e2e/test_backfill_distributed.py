"""History and repair in PostgreSQL, and what comes of it behind: change data capture, Kafka, workers, S3."""
import concurrent.futures
import datetime
import decimal
import json
import re
import signal
import urllib.request

import pytest

from distributed import Deployment, Flow, running_stack  # noqa: F401  (a fixture)
from test_live import VENUES, Simulator, wait_for, write_config

FROM, MIDDLE, TO = '2024-08-08T00:00:00Z', '2024-08-09T00:00:00Z', '2024-08-10T00:00:00Z'
PAST = ('--past', 2000, '--past-from', FROM, '--past-to', TO, '--symbols', 2, '--rate', 1)
SYMBOLS = {'binance': 'BTC-USDT,ETH-USDT', 'coinbase': 'BTC-USD',
           'binance_futures': 'BTC-USDT-PERP,ETH-USDT-PERP', 'tiingo': 'BTC-USD,ETH-USD'}
WHOLE = ('--from', FROM, '--to', TO)
BARS = ('--kind', 'candles', '--timeframe', '5m', *WHOLE)
TRADES = 2 * 2000  # of a venue


class History(Deployment):
    """A deployment, and venues that have a past."""

    def __init__(self, folder, environment, *simulate, **sections):
        super().__init__(folder, environment, **sections)
        self.simulator = Simulator(self.folder / 'sim', *PAST, *simulate)
        self.config = write_config(self.folder, self.simulator.port, list(VENUES))

    def backfill(self, venue, *args, symbols=None, check=0, **kw):
        line = ['--config', self.config, '--venue', venue, '--symbols', symbols or SYMBOLS[venue], '--json', *args]
        done = self.run('backfill', *line, check=check, **kw)
        return json.loads(done.stdout) if check == 0 else done.stderr

    def at(self, path):
        return f'http://127.0.0.1:{self.simulator.port}{path}'

    def ask(self, path, **headers):
        with urllib.request.urlopen(urllib.request.Request(self.at(path), headers=headers), timeout=30) as answer:
            return json.loads(answer.read(), parse_float=decimal.Decimal)

    def select(self, sql):
        return [line.split('|') for line in self.psql(sql).splitlines()]

    def tables(self):
        """What PostgreSQL holds, whenever it was written."""
        out = {}
        for name, left_out in (('trade_rows', ''), ('quote_rows', ''), ('candle_rows', "- 'fetched'"), ('instrument_rows', ''),
                               ('gap_ledger', ''), ('history_ids', '')):
            out[name] = self.psql(f"SELECT count(*), md5(string_agg(r::text, ',' ORDER BY r::text)) FROM (SELECT to_jsonb(t) {left_out} "
                                  f'AS r FROM ticklake.{name} AS t) AS rows')
        return out

    def lake(self):
        return self.everything({'candles': {'updated_at'}})

    def close(self):
        self.simulator.stop()
        super().close()


@pytest.fixture(scope='module')
def world(tmp_path_factory, running_stack):  # noqa: F811
    """History of three venues, and everything behind PostgreSQL running."""
    h = History(tmp_path_factory.mktemp('history') / 'd', running_stack, lake={'commit_ms': 200})
    try:
        h.archive = ('--set', f'venues.binance.archive_url={h.at("/binance/archive")}')
        h.bring = lambda: [h.backfill('binance', *h.archive, '--from', FROM, '--to', MIDDLE),
                           h.backfill('binance', '--from', MIDDLE, '--to', TO),
                           h.backfill('coinbase', *WHOLE), h.backfill('coinbase', *BARS), h.backfill('tiingo', '--kind', 'metadata'),
                           h.backfill('tiingo', *BARS), h.backfill('tiingo', '--kind', 'top')]
        h.first = h.bring()
        h.start('bus')
        h.start('process,lake')
        h.down = h.start('', '--config', h.config, '--venue', 'kraken', '--symbols', 'BTC-USD', *WHOLE, '--set',
                         'venues.kraken.rest_url=http://127.0.0.1:9', name='down', command='backfill')  # its tries take half a minute
        yield h
    finally:
        h.close()


# --- equal to what the venues have ---

def ns(text):
    whole, _, rest = text.rstrip('Z').partition('.')
    at = datetime.datetime.fromisoformat(whole).replace(tzinfo=datetime.timezone.utc)
    return int(at.timestamp()) * 10**9 + int(rest.ljust(9, '0') if rest else 0)


def within(time_ns):
    return ns(FROM) <= time_ns < ns(TO)


def binance_trades(h, symbol):
    """By the venue's REST, read by nobody's code but this."""
    out, at = [], 0
    while page := h.ask(f'/binance/api/v3/historicalTrades?symbol={symbol}&limit=1000&fromId={at}'):
        out += [(str(t['id']), decimal.Decimal(t['price']), decimal.Decimal(t['qty']), 'sell' if t['isBuyerMaker'] else 'buy',
                 t['time'] * 10**6) for t in page]
        at = page[-1]['id'] + 1
    return {t for t in out if within(t[4])}


def coinbase_trades(h, symbol):
    out, after = [], ''
    while page := h.ask(f'/coinbase/products/{symbol}/trades?limit=1000{after}'):
        out += [(str(t['trade_id']), decimal.Decimal(t['price']), decimal.Decimal(t['size']),
                 'sell' if t['side'] == 'buy' else 'buy', ns(t['time'])) for t in page]  # the venue names the maker's side
        after = f'&after={page[-1]["trade_id"]}'
    return {t for t in out if within(t[4])}


def tiingo_bars(h, ticker):
    days = h.ask(f'/tiingo/tiingo/crypto/prices?tickers={ticker}&startDate=2024-08-08&endDate=2024-08-10&resampleFreq=5min',
                 Authorization='Token t0p-secret')
    return {(ns(b['date'][:19]), *(decimal.Decimal(b[k]) for k in ('open', 'high', 'low', 'close', 'volume', 'volumeNotional')))
            for b in days[0]['priceData'] if within(ns(b['date'][:19]))}


def test_postgres_holds_what_the_venues_have(world):
    assert [t['trades'] for t in world.first[:3]] == [TRADES // 2] * 3 and world.first[0]['archives'] == 2
    trades = {}
    for venue, symbol, *row in world.select('SELECT venue, symbol, trade_id, price, size, side, venue_time_ns FROM ticklake.trades'):
        key = row[0], decimal.Decimal(row[1]), decimal.Decimal(row[2]), row[3], int(row[4])
        assert key not in trades.setdefault((venue, symbol), set())
        trades[venue, symbol].add(key)
    assert trades == {('binance', 'BTC-USDT'): binance_trades(world, 'BTCUSDT'), ('binance', 'ETH-USDT'): binance_trades(world, 'ETHUSDT'),
                      ('coinbase', 'BTC-USD'): coinbase_trades(world, 'BTC-USD')}
    bars = {}
    for symbol, open_time, *values in world.select(
            'SELECT n.symbol, open_time, open, high, low, close, base_volume, quote_volume FROM ticklake.candle_rows '
            "JOIN ticklake.series AS n ON n.id = series WHERE venue = 'tiingo'"):
        bars.setdefault(symbol, set()).add((int(open_time), *map(decimal.Decimal, values)))
    assert bars == {'BTC-USD': tiingo_bars(world, 'btcusd'), 'ETH-USD': tiingo_bars(world, 'ethusd')}
    assert len(bars['BTC-USD']) > 400
    assert int(world.psql("SELECT count(*) FROM ticklake.venue_candles WHERE venue = 'coinbase'")) == world.first[3]['candles'] > 400
    assert world.psql('SELECT count(*) FROM ticklake.quotes') == '2'
    assert world.psql("SELECT string_agg(symbol, ',' ORDER BY symbol) FROM ticklake.instruments WHERE venue = 'tiingo'") == SYMBOLS['tiingo']


def test_the_lake_holds_what_postgres_has(world):
    bars = int(world.psql('SELECT count(*) FROM ticklake.candle_rows'))
    wait_for(lambda: sum(count for count, _ in world.claims().values()) == TRADES * 3 // 2 + 2 and world.count('venue_candles') == bars, 90,
             'all of it is in the lake')
    lake = {(r['venue'], r['symbol'], r['trade_id'], r['price'], r['size'], r['side'], r['origin']) for r in world.rows('trades')}
    store = {(v, s, i, decimal.Decimal(p), decimal.Decimal(z), side, origin) for v, s, i, p, z, side, origin in
             world.select('SELECT venue, symbol, trade_id, price, size, side, origin FROM ticklake.trades')}
    assert lake == store and len(lake) == world.count('trades') == TRADES * 3 // 2
    columns = 'open', 'high', 'low', 'close', 'base_volume', 'quote_volume', 'trade_count'
    lake = sorted((r['venue'], r['symbol'], r['timeframe'], *map(str, (decimal.Decimal(r[c] or 0).normalize() for c in columns)))
                  for r in world.rows('venue_candles'))
    store = sorted((v, s, t, *map(str, (decimal.Decimal(c or 0).normalize() for c in values))) for v, s, t, *values in
                   world.select(f'SELECT venue, symbol, timeframe, {", ".join(columns)} FROM ticklake.venue_candles'))
    assert lake == store
    assert world.count('quotes') == 2
    told = json.loads(world.run('status', '--json').stdout)['lake']
    assert told['sources']['lake']['state'] == 'ok' and 0 <= told['newest_commit_age_ms'] <= told['now_ms'] - told['newest_commit_ms'], told
    # Bars as the venue adds them up are the candles that the workers made of its trades.
    ours = {(r['symbol'], r['open_time']): [r[c] for c in columns[:5]] for r in world.rows('candles')
            if r['venue'] == 'coinbase' and r['timeframe'] == '5m'}
    theirs = {(r['symbol'], r['open_time']): [r[c] for c in columns[:5]] for r in world.rows('venue_candles') if r['venue'] == 'coinbase'}
    assert len(theirs) > 400 and {k: ours.get(k) for k in theirs} == theirs


# --- again, cleared, killed ---

def test_again_or_killed_in_the_middle_changes_nothing(world):
    store, lake = world.tables(), world.lake()
    for told in world.bring():
        assert told['trades'] == told['candles'] == told['quotes'] == told['instruments'] == 0
    assert world.tables() == store
    for point in ('store.in_transaction:3', 'store.after_commit:4', 'source.before_push:2'):
        world.backfill('binance_futures', *WHOLE, '--set', 'source.batch_events=512', check=-signal.SIGKILL, env={'TICKLAKE_CRASH': point})
    world.backfill('binance_futures', *WHOLE)
    assert world.verify()['equal'] and world.ledger() == []
    assert world.psql("SELECT count(*), count(DISTINCT (symbol, trade_id)) FROM ticklake.trades WHERE venue = 'binance_futures'") == f'{TRADES}|{TRADES}'
    ids = [(r['symbol'], r['trade_id']) for r in world.rows('trades') if r['venue'] == 'binance_futures']
    assert len(ids) == len(set(ids)) == TRADES
    import pyarrow.compute as pc
    for name, rows in world.lake().items():
        before = rows.filter(pc.invert(pc.equal(rows['venue'], 'binance_futures')))
        assert before.equals(lake[name]), name


def test_rows_deleted_by_hand_are_not_sent_twice(world):
    """What the lake has already stays once there; verify says what is gone from PostgreSQL, and where."""
    lake = world.lake()
    for what in ("trade_rows WHERE series = (SELECT id FROM ticklake.series WHERE venue = 'binance' AND symbol = 'BTC-USDT')",
                 'candle_rows', 'quote_rows', 'instrument_rows'):
        world.psql(f'DELETE FROM ticklake.{what}')
    assert sum(t['trades'] + t['candles'] + t['quotes'] for t in world.bring()) == 0
    told = world.verify(check=1)
    assert not told['behind'] and all('batch' in d['place'] and 'rows' in d['what'] for d in told['differences']), told['differences'][:3]
    again = world.lake()
    assert {n: t.num_rows for n, t in again.items()} == {n: t.num_rows for n, t in lake.items()}
    assert all(again[name].equals(lake[name]) for name in ('trades', 'quotes', 'candles', 'venue_candles', 'gaps'))
    # As retention marks it: some rows of these batches are no longer here, and that is known.
    world.psql('UPDATE ticklake.batches SET whole = false')
    assert json.loads(world.run('verify', '--json', '--wait', '0').stdout)['equal']


# --- allowances ---

@pytest.fixture
def history(tmp_path, running_stack):  # noqa: F811
    made = []

    def make(*simulate, **sections):
        made.append(History(tmp_path / f'd{len(made)}', running_stack, *simulate, **sections))
        made[-1].env = {k: v for k, v in made[-1].env.items() if not k.startswith('TICKLAKE_BUS__')}
        return made[-1]

    yield make
    for h in made:
        h.close()


def test_allowances_of_an_hour_and_a_day_are_kept(history):
    h = history()
    few = ('--set', 'venues.tiingo.requests_per_hour=6', '--set', 'venues.tiingo.requests_per_day=9')
    h.backfill('tiingo', '--kind', 'metadata', *few)
    top = ('--kind', 'top', *few)

    def ask(_):
        return h.run('backfill', '--config', h.config, '--venue', 'tiingo', '--symbols', SYMBOLS['tiingo'], '--json', *top, check=None)

    with concurrent.futures.ThreadPoolExecutor(4) as pool:  # at once, and each a process of its own
        done = list(pool.map(ask, range(8)))
    assert sorted(d.returncode for d in done) == [0] * 5 + [69] * 3, [d.stderr for d in done]
    words = next(d.stderr for d in done if d.returncode == 69)
    assert 'tiingo' in words and 'allowance' in words and re.search(r'until \S+:00:00Z;', words), words
    assert h.psql('SELECT hour_count, day_count FROM ticklake.allowances') == '6|6'
    h.psql('UPDATE ticklake.allowances SET hour_count = 0, day_count = 9')  # as if hours had passed
    words = ask(0).stderr
    assert re.search(r'until \S+T0[45]:00:00Z;', words), words  # midnight in New York
    waits = h.start('', '--config', h.config, '--venue', 'tiingo', '--symbols', SYMBOLS['tiingo'], '--wait', *top, name='waits', command='backfill')
    wait_for(lambda: waits.alive() and 'waiting for the allowance' in waits.words(), 30, 'it says that it waits')
    waits.signal(signal.SIGTERM)
    assert waits.process.wait(30) == 130


def test_what_tiingo_says_in_plain_text(history):
    h = history('--allowance', 2, '--token', 't0p-secret')
    wrong = {'TICKLAKE_VENUES__TIINGO__TOKEN': 'another-secret'}
    words = h.backfill('tiingo', *BARS, env=wrong, check=77, symbols='BTC-USD')
    assert 'tiingo' in words and 'token' in words and 'another-secret' not in words
    words = h.backfill('tiingo', '--kind', 'top', symbols='NO-SUCH', check=64)
    assert 'NO-SUCH' in words and 'ticklake symbols --venue tiingo' in words
    words = h.backfill('tiingo', '--from', FROM, '--to', TO, '--kind', 'candles', check=69)
    assert 'allowance' in words and 'until' in words
    rows = h.psql("SELECT row_count, exit_code FROM ticklake.jobs ORDER BY job_id DESC LIMIT 1").split('|')
    assert int(rows[0]) > 0 and rows[1] == '69'
    assert 'secret' not in h.psql('SELECT string_agg(arguments || message, chr(10)) FROM ticklake.jobs')


# --- what is asked for, or answered, wrongly ---

def test_bad_input(history):
    h = history('--bad-checksum')
    said = {}
    for name, check, args in (
            ('interval', 64, ('--venue', 'binance', '--symbols', 'BTC-USDT', '--from', TO, '--to', FROM)),
            ('time', 64, ('--venue', 'binance', '--symbols', 'BTC-USDT', '--from', 'yesterday', '--to', TO)),
            ('venue', 64, ('--venue', 'binanze', '--symbols', 'BTC-USDT', *WHOLE)),
            ('symbol', 64, ('--venue', 'binance', '--symbols', 'BTC-USDT,NO-SUCH', *WHOLE)),
            ('kind', 64, ('--venue', 'binance', '--symbols', 'BTC-USDT', '--kind', 'books', *WHOLE)),
            ('none', 64, ('--venue', 'tiingo', '--symbols', 'BTC-USD', *WHOLE)),
            ('width', 64, ('--venue', 'coinbase', '--symbols', 'BTC-USD', '--kind', 'candles', '--timeframe', '4h', *WHOLE)),
            ('checksum', 65, ('--venue', 'binance', '--symbols', 'BTC-USDT', '--archive', *WHOLE, '--set',
                              f'venues.binance.archive_url={h.at("/binance/archive")}'))):
        said[name] = h.run('backfill', '--config', h.config, *args, check=check).stderr
    assert '--from' in said['interval'] and '--to' in said['interval']
    assert 'yesterday' in said['time'] and '2024-08-08' in said['time']
    assert 'binanze' in said['venue'] and 'ticklake venues' in said['venue']
    assert 'NO-SUCH' in said['symbol'] and 'ticklake symbols --venue binance' in said['symbol']
    assert 'books' in said['kind'] and 'agg_trades' in said['kind']
    assert '--kind candles' in said['none'] and '4h' in said['width']
    assert 'BTCUSDT-trades-2024-08-08' in said['checksum'] and 'CHECKSUM' in said['checksum']
    assert h.psql('SELECT count(*) FROM ticklake.trade_rows') == '0'
    words = h.run('repair', '--config', h.config, '--venue', 'binanze', check=64).stderr
    assert 'binanze' in words and 'ticklake venues' in words
    words = h.run('repair', '--config', h.config, '--symbols', 'NO-SUCH', check=64).stderr
    assert 'NO-SUCH' in words


def test_a_venue_that_refuses_or_fails(history, world):
    h = history('--rest-429', 4, '--rest-5xx', 3)
    told = h.backfill('binance', *WHOLE)
    assert told['trades'] == TRADES and told['retries'] > 0
    assert world.down.process.wait(60) == 69
    words = world.down.words()
    assert '127.0.0.1:9' in words and 'tried 8 times' in words


# --- repair beside a running source ---

def words_of_gaps(flow):
    """Of each gap of ids what was stored of it, in the order of the commits."""
    told = {}
    for gap, state, first, end in (line.split('|') for line in flow.psql(
            'SELECT g.gap_id, g.state, g.from_id, g.to_id FROM ticklake.gap_rows AS g JOIN ticklake.batches AS b ON g.sequence BETWEEN '
            'b.first_sequence AND b.last_sequence WHERE g.kind = 0 ORDER BY b.lsn, g.sequence').splitlines()):
        told.setdefault(int(gap), []).append((int(state), int(first), int(end)))
    return told


def test_repair_beside_a_running_source(tmp_path, running_stack):  # noqa: F811
    """Ids that never come and ids that come late, gaps that the source and repairs tell by turns: what was repaired stays so, here,
    on the bus and in the lake, also over a restart of the source."""
    flow = Flow(tmp_path / 'flow', running_stack, rate=400, workers=1, venues=('binance', 'coinbase'), symbols=3, quotes=0,
                simulate=('--missing', 40, '--late', 40, '--late-ms', 1500), source={'gap_grace_ms': 100, 'reconnect_min_ms': 50},
                lake={'commit_ms': 200})
    ledger = 'SELECT count(*) FROM ticklake.gap_ledger WHERE kind = 0 AND state = '
    try:
        for _ in range(2):
            told = int(flow.psql('SELECT count(*) FROM ticklake.gap_ledger'))
            wait_for(lambda: flow.all_alive() and int(flow.psql('SELECT count(*) FROM ticklake.gap_ledger')) > told + 15, 60, 'gaps open')
            with concurrent.futures.ThreadPoolExecutor() as pool:  # two at once are as one
                list(pool.map(lambda _: flow.run('repair', '--config', flow.config), range(2)))
        flow.source.stop()
        repaired = {line for line in flow.psql(ledger.replace('count(*)', 'gap_id') + '1').splitlines()}
        opened = {line for line in flow.psql(ledger.replace('count(*)', 'gap_id') + '0').splitlines()}
        flow.start_source(name='again')
        wait_for(lambda: flow.all_alive() and int(flow.psql('SELECT max(gap_id) FROM ticklake.gap_ledger')) >
                 max(map(int, repaired | opened)), 60, 'a new gap after the restart')
        assert repaired <= {line for line in flow.psql(ledger.replace('count(*)', 'gap_id') + '1').splitlines()}
        flow.run('repair', '--config', flow.config)
        flow.source.stop()
        flow.run('repair', '--config', flow.config)
        assert flow.psql(ledger + '0') == '0' and int(flow.psql(ledger + '1')) > 40
        for gap, words in words_of_gaps(flow).items():
            for (state, first, end), (then, lower, upper) in zip(words, words[1:]):
                assert then == 1 or (state != 1 and first <= lower and upper <= end), (gap, words)
        assert flow.verify()['equal']
        ids = flow.table('trades').scan(selected_fields=('venue', 'symbol', 'stream', 'first_id_number')).to_arrow()
        tapes = ids.group_by(['venue', 'symbol', 'stream']).aggregate([('first_id_number', f) for f in ('count', 'min', 'max', 'count_distinct')])
        for t in tapes.to_pylist():
            assert t['first_id_number_count'] == t['first_id_number_count_distinct'], t
            assert t['first_id_number_count'] == t['first_id_number_max'] - t['first_id_number_min'] + 1, t
        gaps = [g for g in flow.rows('gaps') if g['kind'] == 'ids']
        assert {g['state'] for g in gaps} == {'repaired'} and len(gaps) == int(flow.psql(ledger + '1'))
    finally:
        flow.close()
