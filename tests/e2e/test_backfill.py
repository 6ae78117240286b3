"""History and repair against the simulated venues, over real sockets: exactly the interval, once, whatever comes between."""
import concurrent.futures
import json
import re
import signal
import subprocess

import pytest

from conftest import Ticklake
from distributed import Deployment, Flow, running_stack  # noqa: F401  (a fixture)
from test_live import VENUES, Live, Simulator, wait_for, write_config

FROM, TO = '2024-08-08T00:00:00Z', '2024-08-10T00:00:00Z'
PAST = ('--past', 3000, '--past-from', FROM, '--past-to', TO, '--symbols', 2)
SYMBOLS = {'binance': 'BTC-USDT,ETH-USDT', 'binance_futures': 'BTC-USDT-PERP,ETH-USDT-PERP', 'coinbase': 'BTC-USD,ETH-USD',
           'kraken': 'BTC-USD,ETH-USD', 'tiingo': 'BTC-USD,ETH-USD'}
WHOLE = ('--from', FROM, '--to', TO)


@pytest.fixture
def simulator(tmp_path):
    made = []

    def make(*args, past=PAST):
        made.append(Simulator(tmp_path / f'simulator{len(made)}', *past, *args))
        return made[-1]

    yield make
    for s in made:
        s.stop()


@pytest.fixture
def history(tmp_path, simulator):
    """A data folder and settings for the venues of a simulator with a past."""

    class History(Ticklake):
        def __init__(self, *args, **venue):
            super().__init__(tmp_path / 'data')
            self.simulator = simulator(*args)
            self.config = write_config(tmp_path, self.simulator.port, list(VENUES))
            self.settings(**venue)

        def settings(self, **venue):
            """Keys of single venues: binance={'archive_url': ...}"""
            self.sets = [x for name, keys in venue.items() for k, v in keys.items() for x in ('--set', f'venues.{name}.{k}={v}')]

        def url(self, path):
            return f'http://127.0.0.1:{self.simulator.port}{path}'

        def backfill(self, venue, *args, symbols=None, check=0, **kw):
            line = ['--config', self.config, *self.sets, '--venue', venue, '--symbols', symbols or SYMBOLS[venue], '--json', *args]
            done = self.run('backfill', *line, check=check, **kw)
            return json.loads(done.stdout) if check == 0 else done.stderr

        def repair(self, *args):
            return json.loads(self.run('repair', '--config', self.config, '--json', *args).stdout)

        def count(self, table='trades'):
            return self.duckdb('select count(*) from {' + table + '}')[0][0]

    return History


# --- twice is once ---

@pytest.mark.parametrize('venue', ['binance', 'binance_futures', 'coinbase', 'kraken'])
def test_trades_twice_are_once(history, venue):
    lake = history()
    first = lake.backfill(venue, *WHOLE)
    assert (first['trades'], first['missing']) == (6000, 0)
    again = lake.backfill(venue, *WHOLE)
    assert (again['trades'], again['duplicates']) == (0, first['duplicates'] + 6000)  # Kraken's pages overlap
    assert lake.count() == 6000
    assert lake.verify()['equal'] and lake.json('gaps') == []
    told = lake.duckdb("select distinct origin, venue_time_ns = received_time_ns from {trades}")
    assert told == [('backfilled', True)], told


def test_exactly_the_interval(history):
    lake = history()
    cut = '2024-08-08T12:34:56.789Z'
    a = lake.backfill('binance', '--from', FROM, '--to', cut)
    assert lake.duckdb(f"select count(*) from {{trades}} where venue_time >= '{cut}'") == [(0,)]
    b = lake.backfill('binance', '--from', cut, '--to', TO)
    assert a['trades'] + b['trades'] == 6000 and a['duplicates'] + b['duplicates'] == 0
    assert lake.verify()['equal']


def test_intervals_in_any_order_open_no_gap(history):
    lake = history()
    for begin, end in (('2024-08-09', '2024-08-09T06:00:00Z'), ('2024-08-08', '2024-08-08T06:00:00Z'), ('2024-08-09T12:00:00Z', TO)):
        lake.backfill('coinbase', '--from', begin, '--to', end)
    assert lake.json('gaps') == [] and lake.verify()['equal']


def test_bars_twice_are_once_and_equal_ours(history):
    lake = history()
    for venue in ('binance', 'coinbase', 'tiingo'):
        first = lake.backfill(venue, *WHOLE, '--kind', 'candles', '--timeframe', '5m')
        again = lake.backfill(venue, *WHOLE, '--kind', 'candles', '--timeframe', '5m')
        assert first['candles'] > 900 and again['candles'] == 0 and again['duplicates'] >= first['candles']
    lake.backfill('binance', *WHOLE)
    # The simulator adds its bars up by itself, from its own trades.
    unequal = lake.duckdb("""
        select count(*), sum((c.open = v.open and c.high = v.high and c.low = v.low and c.close = v.close and
            c.base_volume = v.base_volume and c.quote_volume = v.quote_volume and c.trade_count = v.trade_count and
            c.taker_buy_base_volume = v.taker_buy_base_volume)::int)
        from {venue_candles} v left join {candles} c using (venue, symbol, timeframe, open_time)
        where v.venue = 'binance'""")[0]
    assert unequal[0] == unequal[1] > 900
    assert lake.verify()['equal']


def test_metadata_and_top_of_book(history):
    lake = history()
    assert lake.backfill('tiingo', '--kind', 'metadata')['instruments'] == 2
    assert lake.backfill('tiingo', '--kind', 'metadata')['instruments'] == 0
    assert lake.backfill('tiingo', '--kind', 'top')['quotes'] == 2
    again = lake.backfill('tiingo', '--kind', 'top')
    assert (again['quotes'], again['duplicates']) == (0, 2)


def test_candles_over_history_that_comes_late(history):
    lake = history()
    whole = Ticklake(lake.data.parent / 'whole')
    whole.run('backfill', '--config', lake.config, '--venue', 'binance', '--symbols', SYMBOLS['binance'], *WHOLE)
    for begin, end in (('2024-08-09', TO), (FROM, '2024-08-08T13:00:30Z'), ('2024-08-08T13:00:30Z', '2024-08-09')):
        lake.backfill('binance', '--from', begin, '--to', end)
    lake.verify()
    columns = 'venue, symbol, timeframe, open_time, open, high, low, close, base_volume, quote_volume, trade_count'
    query = f'select {columns} from {{candles}} order by all'
    assert lake.duckdb(query) == whole.duckdb(query)


# --- the daily files ---

def test_archive_and_rest_are_the_same(history):
    lake = history()
    lake.settings(binance={'archive_url': lake.url('/binance/archive')})
    by_file = lake.backfill('binance', *WHOLE)
    assert by_file['archives'] == 4 and by_file['trades'] == 6000
    by_rest = lake.backfill('binance', *WHOLE, '--no-archive')
    assert (by_rest['trades'], by_rest['duplicates'], by_rest['dead_letters']) == (0, 6000, 0)
    bars = lake.backfill('binance', *WHOLE, '--kind', 'candles', '--archive')
    assert bars['archives'] == 4 and bars['candles'] > 2000
    assert lake.verify()['equal'] and not list(lake.data.glob('history-*'))


def test_a_day_without_a_file_comes_by_rest(history):
    lake = history()
    lake.settings(binance={'archive_url': lake.url('/coinbase/archive')})  # there BTCUSDT is not known
    told = lake.backfill('binance', *WHOLE)
    assert told['archives'] == 0 and told['trades'] == 6000


def test_a_wrong_checksum_is_refused(history):
    lake = history('--bad-checksum')
    lake.settings(binance={'archive_url': lake.url('/binance/archive')})
    words = lake.backfill('binance', *WHOLE, check=65)
    assert 'CHECKSUM' in words and 'BTCUSDT-trades-2024-08-08' in words
    assert lake.count() == 0 and not list(lake.data.glob('history-*'))


# --- faults ---

def test_limits_and_outages_are_waited_for(history):
    lake = history('--rest-429', 12, '--rest-5xx', 9)
    told = lake.backfill('coinbase', *WHOLE)
    assert told['trades'] == 6000 and told['retries'] > 0
    assert lake.verify()['equal']


@pytest.mark.parametrize('point', ['source.before_push:3', 'store.before_commit:4', 'store.after_commit:4', 'lake.before_pointer:2'])
def test_killed_and_run_again(history, point):
    lake = history()
    args = (*WHOLE, '--set', 'source.batch_events=512', '--set', 'lake.commit_ms=50')
    lake.backfill('binance', *args, check=-signal.SIGKILL, env={'TICKLAKE_CRASH': point})
    again = lake.backfill('binance', *args)
    assert again['trades'] + again['duplicates'] == 6000
    assert lake.verify()['equal'] and lake.count() == 6000
    jobs = lake.json('jobs')
    assert [j['exit_code'] for j in jobs] == [0, -1]


def test_stopped_and_run_again(history):
    lake = history()
    line = ('--config', lake.config, '--venue', 'coinbase', '--symbols', SYMBOLS['coinbase'], *WHOLE)
    process = lake.start('backfill', *line, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    wait_for(lambda: (lake.data / 'store.db').exists(), 20, 'it has begun')
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) in (0, 130)
    assert lake.backfill('coinbase', *WHOLE)['trades'] <= 6000
    assert lake.verify()['equal'] and lake.count() == 6000


# --- what ends it ---

def test_wrong_token(history):
    lake = history('--token', 'another')
    words = lake.backfill('tiingo', *WHOLE, '--kind', 'candles', check=77)
    assert 'token' in words and 't0p-secret' not in words
    assert 't0p-secret' not in json.dumps(lake.json('jobs'))


def test_unknown_names(history):
    lake = history()
    assert 'NO-SUCH' in lake.backfill('binance', *WHOLE, symbols='BTC-USDT,NO-SUCH', check=64)
    assert 'no such venue' in lake.backfill('binanze', *WHOLE, symbols='BTC-USDT', check=64)
    assert 'candles' in lake.backfill('tiingo', *WHOLE, check=64)
    assert '--from' in lake.backfill('binance', '--from', TO, '--to', FROM, check=64)


def test_allowance_is_kept(history):
    lake = history(tiingo={'requests_per_hour': 3, 'requests_per_day': 100})
    days = ('--kind', 'candles', '--from', FROM, '--to', '2024-08-09')
    assert lake.backfill('tiingo', *days)['requests'] == 2  # the list of instruments, and one day
    words = lake.backfill('tiingo', *days, '--to', TO, check=69)
    until = re.search(r'until (\S+);', words)
    assert until and until.group(1).endswith(':00:00Z'), words
    assert 'allowance' in lake.backfill('tiingo', '--kind', 'top', check=69)
    assert (lake.data / 'allowances').read_text().split()[:4:3] == ['ticklake', 'tiingo']
    lake.settings(tiingo={'requests_per_hour': 100})
    assert lake.backfill('tiingo', *days, '--to', TO)['requests'] == 2


def test_the_venues_own_allowance(history):
    lake = history('--allowance', 2)
    words = lake.backfill('tiingo', *WHOLE, '--kind', 'candles', check=69)
    assert 'allowance' in words
    first = json.loads(lake.run('jobs', '--json').stdout)[0]
    assert first['exit_code'] == 69 and first['rows'] > 0  # what was fetched until then is stored
    lake.backfill('tiingo', '--kind', 'top', check=69)  # our own count knows it now: nothing is asked


def test_folder_in_use(history, tmp_path):
    lake = history()
    live = Live(tmp_path, lake.config)
    try:
        wait_for(lambda: (lake.data / 'store.db').exists(), 20, 'the pipeline runs')
        assert 'in use' in lake.backfill('binance', *WHOLE, check=75)
    finally:
        live.stop()


# --- repair ---

def tapes(lake):
    return lake.duckdb("select venue, symbol, count(*), max(first_id_number) - min(first_id_number) + 1 from {trades} group by all")


def test_repair_closes_exactly_the_holes(history, tmp_path):
    lake = history('--rate', 400, '--missing', 15)
    live = Live(tmp_path, write_config(tmp_path, lake.simulator.port, ['binance', 'binance_futures', 'coinbase', 'kraken'],
                                       source={'gap_grace_ms': 100}))
    try:
        wait_for(lambda: live.caught_up() and len(lake.json('gaps')) > 40, 60, 'gaps open')
    finally:
        live.stop()
    holes = lake.json('gaps')
    missing = sum(g['missing_count'] for g in holes)
    plan = json.loads(lake.run('repair', '--config', live.config, '--dry-run', '--json').stdout)
    assert len(plan) == len(holes)
    told = lake.repair()
    assert (told['gaps'], told['gaps_repaired'], told['recovered'], told['trades']) == (len(holes), len(holes), missing, missing)
    assert lake.json('gaps') == [] and lake.verify()['equal']
    assert all(count == span for _, _, count, span in tapes(lake))
    assert lake.repair()['gaps'] == 0
    states = {(g['state'], g['missing_count']) for g in lake.json('gaps', '--all') if g['kind'] == 'ids'}
    assert states == {('repaired', 0)}
    assert lake.duckdb("select count(*) from {trades} where origin = 'repaired'") == [(missing,)]
    live.start()  # and it knows of all that
    try:
        wait_for(lambda: live.caught_up() and live.caught_up()['lag'] == 0, 60, 'it runs on')
    finally:
        live.stop()
    lake.verify()


# --- PostgreSQL ---

@pytest.fixture
def postgres(tmp_path, running_stack, simulator):  # noqa: F811
    made = []

    def make(*args):
        s = simulator(*args)
        d = Deployment(tmp_path / f'pg{len(made)}', running_stack)
        d.simulator = s
        d.config = write_config(d.folder, s.port, list(VENUES), source={'gap_grace_ms': 100})
        d.env = {k: v for k, v in d.env.items() if not k.startswith('TICKLAKE_BUS__')}
        made.append(d)
        return d

    yield make
    for d in made:
        d.close()


def pg_backfill(d, venue, *args, check=0, **kw):
    line = ['--config', d.config, '--venue', venue, '--symbols', SYMBOLS[venue], '--json', *args]
    done = d.run('backfill', *line, check=check, **kw)
    return json.loads(done.stdout) if check == 0 else done.stderr


def pg_count(d, what='trade_rows'):
    return int(d.psql(f'SELECT count(*) FROM ticklake.{what}'))


def test_postgres_twice_and_at_once(postgres):
    d = postgres()
    with concurrent.futures.ThreadPoolExecutor() as pool:
        both = list(pool.map(lambda _: pg_backfill(d, 'binance', *WHOLE), range(2)))
    assert sum(t['trades'] for t in both) == pg_count(d) == 6000
    assert pg_backfill(d, 'binance', *WHOLE)['duplicates'] == 6000
    for args in (('--kind', 'candles'), ('--kind', 'top'), ('--kind', 'metadata')):
        pg_backfill(d, 'tiingo', *WHOLE, *args)
        told = pg_backfill(d, 'tiingo', *WHOLE, *args)
        assert told['candles'] == told['quotes'] == told['instruments'] == 0
    assert pg_count(d, 'candle_rows') > 2000
    assert pg_count(d, "allowances WHERE venue = 'tiingo'") == 1


@pytest.mark.parametrize('point', ['source.before_push:2', 'store.in_transaction:3', 'store.before_commit:3', 'store.after_commit:3'])
def test_postgres_killed_and_run_again(postgres, point):
    d = postgres()
    args = (*WHOLE, '--set', 'source.batch_events=512')
    pg_backfill(d, 'binance', *args, check=-signal.SIGKILL, env={'TICKLAKE_CRASH': point})
    again = pg_backfill(d, 'binance', *args)
    assert again['trades'] + again['duplicates'] == pg_count(d) == 6000


def test_postgres_rows_that_retention_removed_are_not_stored_again(postgres):
    d = postgres()
    pg_backfill(d, 'kraken', *WHOLE)
    d.psql('DELETE FROM ticklake.trade_rows')
    assert pg_backfill(d, 'kraken', *WHOLE)['trades'] == pg_count(d) == 0


def test_postgres_backfill_takes_what_it_brings_out_of_the_ledger(postgres):
    """The ledger after a back-fill over a live source's gaps, and after that source started again."""
    d = postgres('--rate', 400, '--missing', 15)
    live = d.start('source,store', '--config', d.config)
    open_gaps = "gap_ledger WHERE state = 0 AND kind = 0"
    wait_for(lambda: live.alive() and d.psql("SELECT to_regclass('ticklake.gap_ledger')") and pg_count(d, open_gaps) > 30, 60, 'gaps open')
    to = d.psql("SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')")
    for venue in ('binance', 'binance_futures', 'coinbase', 'kraken'):
        pg_backfill(d, venue, '--from', FROM, '--to', to)
    check_ledger(d)
    live.stop()
    live = d.start('source,store', '--config', d.config)
    wait_for(lambda: live.alive() and 'msg=connected' in live.words(), 30, 'it is connected')
    before = pg_count(d, 'gap_rows')
    wait_for(lambda: live.alive() and pg_count(d, 'gap_rows') > before + 10, 60, 'new gaps')
    d.run('repair', '--config', d.config)
    live.stop()
    d.run('repair', '--config', d.config)
    check_ledger(d)
    assert pg_count(d, open_gaps) == 0


def check_ledger(d):
    within = 'FROM ticklake.trade_rows AS t WHERE t.series = g.series AND t.stream = g.stream AND t.id BETWEEN g.from_id AND g.to_id'
    assert d.psql(f'SELECT count(*) FROM ticklake.gap_ledger AS g WHERE kind = 0 AND state = 0 AND EXISTS (SELECT {within})') == '0'
    assert d.psql(f'SELECT count(*) FROM ticklake.gap_ledger AS g WHERE kind = 0 AND state = 1 '
                  f'AND (SELECT count(*) {within}) <> to_id - from_id + 1') == '0'


def test_repair_beside_the_whole_flow(tmp_path, running_stack):  # noqa: F811
    """Venues, PostgreSQL, Kafka, workers, S3: repaired while it runs; every hop equal, and no id gap is left."""
    flow = Flow(tmp_path / 'flow', running_stack, rate=500, workers=1, simulate=('--missing', 50))
    try:
        open_gaps = "SELECT count(*) FROM ticklake.gap_ledger WHERE state = 0 AND kind = 0"
        wait_for(lambda: flow.all_alive() and int(flow.psql(open_gaps)) > 20, 60, 'gaps open')
        flow.run('repair', '--config', flow.config)
        flow.source.stop()
        flow.run('repair', '--config', flow.config)
        assert flow.psql(open_gaps) == '0'
        told = flow.verify()
        assert told['equal']
        assert flow.psql("SELECT count(*) FROM ticklake.gap_ledger WHERE state = 1 AND kind = 0") != '0'
        rows = flow.table('trades').scan(selected_fields=('venue', 'symbol', 'stream', 'first_id_number')).to_arrow()
        tapes = rows.group_by(['venue', 'symbol', 'stream']).aggregate([('first_id_number', f) for f in ('count', 'min', 'max')])
        for t in tapes.to_pylist():
            assert t['first_id_number_count'] == t['first_id_number_max'] - t['first_id_number_min'] + 1, t
        assert {g['state'] for g in flow.rows('gaps') if g['kind'] == 'ids'} == {'repaired'}
    finally:
        flow.close()
