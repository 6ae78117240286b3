"""Every recording of our venues: exactly its trades, each once, and the sums that an independent reader computes."""
from decimal import Decimal

import pytest

import independent


def lake_summary(lake):
    rows = lake.rows('trades', ('venue', 'symbol', 'stream', 'price', 'size', 'venue_time_ns'))
    return independent.summary((r['venue'], r['symbol'], r['stream'], None, None, r['price'], r['size'], r['venue_time_ns'])
                               for r in rows)


def duckdb_summary(lake):
    # DuckDB multiplies decimals only up to 38 digits, so the products are summed from integers at scale 36 by parts.
    rows = lake.duckdb('select venue, symbol, stream, price, size, venue_time_ns from {trades}')
    return independent.summary((v, s, t, None, None, Decimal(p), Decimal(z), ns) for v, s, t, p, z, ns in rows)


CASES = {
    'hftbacktest-spot': (['hftbacktest/binance-spot'], 19904,
                         lambda r: independent.hftbacktest(sorted((r / 'hftbacktest/binance-spot').glob('*.gz')), 'binance', 'BTC-USDT')),
    'hftbacktest-usdm': (['hftbacktest/binance-usdm'], 14076,
                         lambda r: independent.hftbacktest(sorted((r / 'hftbacktest/binance-usdm').glob('*.gz')), 'binance_futures',
                                                           'ETH-USDT-PERP')),
    'cryptofeed-binance': (['cryptofeed/BINANCE'], 2,
                           lambda r: independent.cryptofeed_binance(r / 'cryptofeed/BINANCE', 'BINANCE', 'binance', '')),
    'cryptofeed-binance-futures': (['cryptofeed/BINANCE_FUTURES'], 91,
                                   lambda r: independent.cryptofeed_binance(r / 'cryptofeed/BINANCE_FUTURES', 'BINANCE_FUTURES',
                                                                            'binance_futures', '-PERP')),
    'cryptofeed-coinbase': (['cryptofeed/COINBASE'], 107, lambda r: independent.cryptofeed_coinbase(r / 'cryptofeed/COINBASE')),
    'cryptofeed-kraken': (['cryptofeed/KRAKEN'], 10, lambda r: independent.cryptofeed_kraken(r / 'cryptofeed/KRAKEN')),
    'tiingo': (['tiingo/tiingo-go/crypto_live.jsonl'], 11, lambda r: independent.tiingo(r / 'tiingo/tiingo-go/crypto_live.jsonl')),
    'binance-csv': (['binance-data-processor/test_positive_binance_trade_stream_spot_trxusdt_04-03-2025.csv'], 10000,
                    lambda r: independent.binance_csv(r / 'binance-data-processor/test_positive_binance_trade_stream_spot_trxusdt_04-03-2025.csv')),
    'ccxt': (['freqtrade/binance/XRP_OLD-trades.json.gz'], 12477,
             lambda r: independent.ccxt_old(r / 'freqtrade/binance/XRP_OLD-trades.json.gz')),
}


@pytest.mark.parametrize('name', CASES)
def test_each_trade_once_and_the_sums(name, recordings, ticklake):
    paths, count, reader = CASES[name]
    told = ticklake.json('replay', *(recordings / p for p in paths))
    expected = independent.summary(reader(recordings))
    assert sum(s[0] for s in expected.values()) == count
    assert told['trades'] == count
    assert lake_summary(ticklake) == expected
    assert duckdb_summary(ticklake) == expected
    ticklake.verify()
    again = ticklake.json('replay', *(recordings / p for p in paths))
    assert again['trades'] == 0
    assert lake_summary(ticklake) == expected


def test_quotes(recordings, ticklake):
    counts = {'hftbacktest/binance-spot/btcusdt_20240808.gz': 28040, 'cryptofeed/BINANCE': 84, 'cryptofeed/BINANCE_FUTURES': 613,
              'cryptofeed/KRAKEN': 18, 'tiingo/tiingo-go/crypto_live.jsonl': 18}
    for path, count in counts.items():
        assert ticklake.json('replay', recordings / path)['quotes'] == count, path
    assert ticklake.table('quotes').scan().to_arrow().num_rows == sum(counts.values())
    ticklake.verify()


def test_damaged_csv_has_one_duplicate_and_the_clean_one_no_gap(recordings, new_ticklake):
    folder = recordings / 'binance-data-processor'
    clean, damaged = new_ticklake('clean'), new_ticklake('damaged')
    told = clean.json('replay', *folder.glob('*positive*'))
    assert (told['trades'], told['duplicates'], told['gaps_opened']) == (10000, 0, 0)
    told = damaged.json('replay', *folder.glob('*negative*'))
    rows = list(independent.binance_csv(next(folder.glob('*negative*'))))
    assert told['trades'] == len(rows)
    assert told['duplicates'] == 10000 - len(rows) == 1
    damaged.verify()


def test_tiingo_exactly(recordings, ticklake):
    """Exponents, float noise and all: the digits that the frame shows."""
    ticklake.run('replay', recordings / 'tiingo/tiingo-go/crypto_live.jsonl')
    trades = {(r['exchange'], r['symbol'], r['price'], r['size']) for r in ticklake.rows('trades')}
    assert ('gemini', 'BTC-USD', Decimal('79927.99'), Decimal('0.00006255')) in trades
    assert ('gdax', 'BTC-USD', Decimal('79916.7291212748'), Decimal('0.013622119999999998')) in trades
    assert all(r['trade_id'] is None and r['side'] == 'unknown' for r in ticklake.rows('trades'))
    assert ticklake.run('replay', recordings / 'tiingo/tiingo-go/crypto_live.jsonl', '--json')
    assert ticklake.rows('dead_letters') == []


def test_samples(ticklake):
    """The project's own samples, so that something is read back even where the recordings are absent."""
    import conftest
    told = ticklake.json('replay', conftest.SAMPLES / 'binance', conftest.SAMPLES / 'tiingo')
    expected = independent.summary([*independent.hftbacktest(sorted((conftest.SAMPLES / 'binance').glob('*.gz')), 'binance', 'BTC-USDT'),
                                    *independent.tiingo(conftest.SAMPLES / 'tiingo/crypto_live.jsonl')])
    assert told['trades'] == sum(s[0] for s in expected.values())
    assert lake_summary(ticklake) == expected
    ticklake.verify()
