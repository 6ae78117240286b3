"""Candles against the venue's official ones, in all nine fields, and roll-ups against official roll-ups."""
import csv
import json
from datetime import datetime, timedelta, timezone
from decimal import Decimal

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
NINE = ('open', 'high', 'low', 'close', 'base_volume', 'quote_volume', 'trade_count', 'taker_buy_base_volume',
        'taker_buy_quote_volume')


def minutes_of(path):
    for r in csv.reader(open(path)):
        o, h, l, c, v = map(Decimal, r[1:6])
        yield int(r[0]) // 1000, (o, h, l, c, v, Decimal(r[7]), int(r[8]), Decimal(r[9]), Decimal(r[10]))


def candles(lake, symbol, timeframe):
    rows = lake.rows('candles')
    return {(r['open_time'] - EPOCH) // timedelta(seconds=1): tuple(r[n] for n in NINE) for r in rows
            if r['symbol'] == symbol and r['timeframe'] == timeframe}


def test_spot_minutes_equal_the_official_ones(recordings, ticklake):
    ticklake.run('replay', recordings / 'hftbacktest/binance-spot')
    official = {}
    for day in ('2024-08-08', '2024-08-09'):
        official.update(minutes_of(recordings / f'binance-official-klines/spot-BTCUSDT-1m/BTCUSDT-1m-{day}.csv'))
    ours = candles(ticklake, 'BTC-USDT', '1m')
    start = int(datetime(2024, 8, 8, 23, 55, tzinfo=timezone.utc).timestamp())
    full = [start + 60 * i for i in range(10)]
    assert {t: ours[t] for t in full} == {t: official[t] for t in full}
    assert len(ours) == 12  # and the two partial edges
    ticklake.verify()


def test_futures_minutes_equal_the_official_ones(recordings, ticklake):
    ticklake.run('replay', recordings / 'hftbacktest/binance-usdm')
    official = dict(minutes_of(recordings / 'binance-official-klines/usdm-ETHUSDT-1m/ETHUSDT-1m-2024-08.excerpt.csv'))
    ours = candles(ticklake, 'ETH-USDT-PERP', '1m')
    start = int(datetime(2024, 8, 8, 23, 55, tzinfo=timezone.utc).timestamp())
    full = [start + 60 * i for i in range(5)]
    assert {t: ours[t] for t in full} == {t: official[t] for t in full}


def test_aggregates_give_the_recorded_bars(recordings, ticklake):
    """freqtrade's bars of 59 hours: open, high, low, close, volume; empty minutes of theirs have no row of ours."""
    ticklake.run('replay', recordings / 'freqtrade/binance/XRP_OLD-trades.json.gz')
    for timeframe, name, count in (('1m', 'XRP_ETH-1m.json', 2469), ('5m', 'XRP_ETH-5m.json', 706)):
        bars = json.load(open(recordings / 'freqtrade/binance' / name), parse_float=Decimal)
        expected = {b[0] // 1000: tuple(map(Decimal, b[1:6])) for b in bars if b[5] != 0}
        ours = {t: v[:5] for t, v in candles(ticklake, 'XRP-ETH', timeframe).items()}
        assert len(expected) == count
        assert ours == expected
    hours = candles(ticklake, 'XRP-ETH', '1h')
    minutes = candles(ticklake, 'XRP-ETH', '1m')
    for t, hour in hours.items():  # roll-ups, the stupid way
        own = [minutes[m] for m in sorted(minutes) if t <= m < t + 3600]
        assert hour == (own[0][0], max(o[1] for o in own), min(o[2] for o in own), own[-1][3], sum(o[4] for o in own),
                        sum(o[5] for o in own), sum(o[6] for o in own), sum(o[7] for o in own), sum(o[8] for o in own))
    ticklake.verify()


def test_venue_candles_are_kept_as_stated(recordings, ticklake):
    path = recordings / 'binance-official-klines/spot-BTCUSDT-1m/BTCUSDT-1m-2020-01-01.csv'
    ticklake.run('replay', path)
    rows = {(r['open_time'] - EPOCH) // timedelta(seconds=1): tuple(r[n] for n in NINE) for r in ticklake.rows('venue_candles')}
    assert rows == dict(minutes_of(path))
    assert len(rows) == 1440
