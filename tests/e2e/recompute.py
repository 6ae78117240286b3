"""Candles the stupid way: from the rows of a lake's own trades and gaps, with exact fractions."""
from collections import defaultdict
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
SECONDS = {'1s': 1, '1m': 60, '5m': 300, '15m': 900, '1h': 3600, '4h': 14400, '1d': 86400}
VALUES = ('open', 'high', 'low', 'close', 'base_volume', 'quote_volume', 'trade_count', 'taker_buy_base_volume',
          'taker_buy_quote_volume', 'vwap', 'first_trade_id', 'last_trade_id')


def rounded(fraction):
    """Once, half-even, at the 18th decimal."""
    return Decimal(round(fraction * 10**18)).scaleb(-18)


def candle_of(trades):
    base = sum(t['size'] for t in trades)
    quote = sum(Fraction(t['price']) * Fraction(t['size']) for t in trades)
    buys = [t for t in trades if t['side'] == 'buy']
    prices = [t['price'] for t in trades]
    return {'open': prices[0], 'high': max(prices), 'low': min(prices), 'close': prices[-1], 'base_volume': base,
            'quote_volume': rounded(quote), 'trade_count': len(trades),
            'taker_buy_base_volume': sum((t['size'] for t in buys), Decimal(0)),
            'taker_buy_quote_volume': rounded(sum((Fraction(t['price']) * Fraction(t['size']) for t in buys), Fraction(0))),
            'vwap': rounded(quote / Fraction(base)), 'first_trade_id': trades[0]['trade_id'],
            'last_trade_id': trades[-1]['trade_id']}


def rolled_up(minutes):
    sums = {n: sum(m[n] for m in minutes) for n in
            ('base_volume', 'quote_volume', 'trade_count', 'taker_buy_base_volume', 'taker_buy_quote_volume')}
    return {'open': minutes[0]['open'], 'high': max(m['high'] for m in minutes), 'low': min(m['low'] for m in minutes),
            'close': minutes[-1]['close'], **sums,
            'vwap': rounded(Fraction(sums['quote_volume']) / Fraction(sums['base_volume'])),
            'first_trade_id': minutes[0]['first_trade_id'], 'last_trade_id': minutes[-1]['last_trade_id']}


def grouped(rows, seconds, time_of):
    groups = defaultdict(list)
    for r in rows:
        groups[time_of(r) // seconds * seconds].append(r)
    return groups


def candles(trades, gaps):
    """(venue, symbol, timeframe, open time in seconds) -> values and `complete`; one stream per symbol, numbered ids."""
    out, tapes = {}, defaultdict(list)
    for t in trades:
        tapes[t['venue'], t['symbol']].append(t)
    for (venue, symbol), tape in tapes.items():
        tape.sort(key=lambda t: (t['venue_time_ns'], int(t['trade_id'])))
        for tf in ('1s', '1m'):
            for start, rows in grouped(tape, SECONDS[tf], lambda t: t['venue_time_ns'] // 10**9).items():
                out[venue, symbol, tf, start] = candle_of(rows)
        minutes = [(k[3], v) for k, v in out.items() if k[:3] == (venue, symbol, '1m')]
        for tf in ('5m', '15m', '1h', '4h', '1d'):
            for start, rows in grouped(sorted(minutes, key=lambda m: m[0]), SECONDS[tf], lambda m: m[0]).items():
                out[venue, symbol, tf, start] = rolled_up([v for _, v in rows])
    holes = defaultdict(list)
    for g in gaps:
        if g['state'] != 'repaired':
            holes[g['venue'], g['symbol']].append((g['from_time'], g['to_time']))
    for (venue, symbol, tf, start), values in out.items():
        opened = EPOCH + timedelta(seconds=start)
        end = opened + timedelta(seconds=SECONDS[tf])
        values['complete'] = not any(a < end and b >= opened for a, b in holes[venue, symbol])
    return out


def candles_of_lake(rows):
    """The same form; each key may stand there once."""
    out = {}
    for r in rows:
        key = (r['venue'], r['symbol'], r['timeframe'], (r['open_time'] - EPOCH) // timedelta(seconds=1))
        assert key not in out, f'twice in the lake: {key}'
        out[key] = {n: r[n] for n in (*VALUES, 'complete')}
    return out
