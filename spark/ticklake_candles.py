"""Candles from trades, to the last digit as `ticklake` makes them (src/process/): pure functions without Spark.

Everything is an integer: prices and sizes count 10^-18, products of them 10^-36; Python's have no limit, so sums are exact
and each value is rounded once, half-even, at the 18th decimal.

A part is what is known of one second of one tape: its first and last trade, extremes and exact sums. Parts add up in any
order and however the trades were cut into batches, which is what makes the streaming job's batches free of consequence.
"""
import json
from decimal import Context, Decimal

NS = 10**9
MINUTE_NS = 60 * NS
DAY_NS = 86400 * NS
SCALE = 10**18
LIMIT = 10**38  # decimal(38,18): a value past it is absent
LONG_MAX = 2**63 - 1
TRADE_FIELDS = ('time_ns', 'trade_id', 'first_id_number', 'last_id_number', 'side', 'price', 'size', 'sequence')
TIME_FARTHEST = 2**62  # a trade farther from 1970 than 146 years has no candle
TEXT_ID_MAX = 39
TIMEFRAMES_NS = {'1s': NS, '1m': MINUTE_NS, '5m': 5 * MINUTE_NS, '15m': 15 * MINUTE_NS, '1h': 60 * MINUTE_NS,
                 '4h': 240 * MINUTE_NS, '1d': DAY_NS}
ROLLUPS = ('5m', '15m', '1h', '4h', '1d')
TAPE_STREAMS = ('trade', 'agg_trade')
VALUES = ('open', 'high', 'low', 'close', 'base_volume', 'quote_volume', 'trade_count', 'taker_buy_base_volume',
          'taker_buy_quote_volume', 'vwap', 'first_trade_id', 'last_trade_id')
DECIMALS = frozenset(VALUES) - {'trade_count', 'first_trade_id', 'last_trade_id'}
EXACT = Context(prec=80)


def unscaled(value):
    """A decimal as an integer of 10^-18."""
    return None if value is None else int(value.scaleb(18, EXACT))


def scaled(number):
    return None if number is None else Decimal(number).scaleb(-18, EXACT)


def divided(n, d):
    """n / d, half-even; d > 0."""
    quotient, rest = divmod(n, d)
    return quotient + (2 * rest > d or (2 * rest == d and quotient & 1))


def fitting(number):
    return number if -LIMIT < number < LIMIT else None


# ---- Parts: plain lists, so that they go into JSON and back ----

COUNT, UNKNOWN, HIGH, LOW, BASE, QUOTE, TAKER_BASE, TAKER_QUOTE, FIRST, LAST = range(10)
ORDER, PRICE, ID = range(3)  # of FIRST and LAST


def id_number(text):
    """The id where it is the shortest form of a 64-bit integer, else None: only numbers have an order."""
    digits = text[1:] if text[:1] == '-' else text
    if not (digits.isascii() and digits.isdigit()) or len(digits) > 19 or (digits[0] == '0' and len(text) > 1):
        return None
    number = int(text)
    return number if -LONG_MAX - 1 <= number <= LONG_MAX else None


def part_of_trade(time_ns, text, first_id, last_id, side, price, size, sequence):  # of TRADE_FIELDS
    number = id_number(text) if text is not None else None
    has_range = first_id is not None and last_id is not None
    count = 1
    if has_range:
        ids = str(first_id), str(last_id)
        if first_id <= last_id and last_id - first_id < LONG_MAX:
            count = last_id - first_id + 1
    else:
        # One too long for the candle is left out: cut it would name another trade.
        ids = (text if text is not None and len(text.encode()) <= TEXT_ID_MAX else None,) * 2
    price, size = unscaled(price), unscaled(size)
    order = [time_ns, 0 if number is None else 1, number or 0, sequence]
    product, taker = price * size, side == 'buy'
    return [count, side not in ('buy', 'sell'), price, price, size, product, size if taker else 0,
            product if taker else 0, [order, price, ids[0]], [order, price, ids[1]]]


def merged(a, b):
    return [min(a[COUNT] + b[COUNT], LONG_MAX), a[UNKNOWN] or b[UNKNOWN], max(a[HIGH], b[HIGH]), min(a[LOW], b[LOW]),
            a[BASE] + b[BASE], a[QUOTE] + b[QUOTE], a[TAKER_BASE] + b[TAKER_BASE], a[TAKER_QUOTE] + b[TAKER_QUOTE],
            b[FIRST] if b[FIRST][ORDER] < a[FIRST][ORDER] else a[FIRST],
            b[LAST] if a[LAST][ORDER] < b[LAST][ORDER] else a[LAST]]


def candle_of_part(part):
    """The values of a candle of 1s or 1m."""
    base, quote = fitting(part[BASE]), fitting(divided(part[QUOTE], SCALE))
    taker = None, None
    if not part[UNKNOWN]:
        taker = fitting(part[TAKER_BASE]), fitting(divided(part[TAKER_QUOTE], SCALE))
    if None in taker:
        taker = None, None
    vwap = fitting(divided(part[QUOTE], part[BASE])) if base is not None and quote is not None and base > 0 else None
    return {'open': part[FIRST][PRICE], 'high': part[HIGH], 'low': part[LOW], 'close': part[LAST][PRICE], 'base_volume': base,
            'quote_volume': quote, 'trade_count': part[COUNT], 'taker_buy_base_volume': taker[0],
            'taker_buy_quote_volume': taker[1], 'vwap': vwap, 'first_trade_id': part[FIRST][ID], 'last_trade_id': part[LAST][ID]}


def added(rows, name):
    """The sum, absent as soon as a row's value is or the sum does not fit."""
    total = 0
    for row in rows:
        if row[name] is None:
            return None
        total += row[name]
        if fitting(total) is None:
            return None
    return total


def rolled_up(minutes):
    """The values of a longer candle from those of its 1m candles, in order of time: their rounded values are added."""
    base, quote = added(minutes, 'base_volume'), added(minutes, 'quote_volume')
    taker = added(minutes, 'taker_buy_base_volume'), added(minutes, 'taker_buy_quote_volume')
    if None in taker:
        taker = None, None
    vwap = fitting(divided(quote * SCALE, base)) if base is not None and quote is not None and base > 0 else None
    return {'open': minutes[0]['open'], 'high': max(m['high'] for m in minutes), 'low': min(m['low'] for m in minutes),
            'close': minutes[-1]['close'], 'base_volume': base, 'quote_volume': quote,
            'trade_count': min(sum(m['trade_count'] for m in minutes), LONG_MAX), 'taker_buy_base_volume': taker[0],
            'taker_buy_quote_volume': taker[1], 'vwap': vwap, 'first_trade_id': minutes[0]['first_trade_id'],
            'last_trade_id': minutes[-1]['last_trade_id']}


# ---- A minute: the parts of its seconds, and up to which record they hold ----

class Minute:
    """Trades are taken in order of sequence (a topic's offset + 1); those up to `upto` are in it already, so that a batch
    that is run again changes nothing."""

    def __init__(self, open_ns, text=None):
        self.open_ns, self.upto, self.parts = open_ns, -1, {}
        if text is not None:
            kept = json.loads(text)
            self.upto, self.parts = kept['upto'], {int(k): v for k, v in kept['seconds'].items()}

    def text(self):
        return json.dumps({'upto': self.upto, 'seconds': self.parts}, separators=(',', ':'))

    def take(self, trades):
        upto = self.upto
        for trade in trades:  # each as TRADE_FIELDS
            if trade[-1] <= upto:
                continue
            self.upto = max(self.upto, trade[-1])
            second = (trade[0] - self.open_ns) // NS
            part = part_of_trade(*trade)
            self.parts[second] = merged(self.parts[second], part) if second in self.parts else part

    def candles(self):
        """(timeframe, open time, values): the seconds that have trades, and the minute."""
        whole = None
        for second in sorted(self.parts):
            part = self.parts[second]
            yield '1s', self.open_ns + second * NS, candle_of_part(part)
            whole = merged(whole, part) if whole else part
        if whole:
            yield '1m', self.open_ns, candle_of_part(whole)


def rollups_of_day(minutes, touched=None):
    """(timeframe, open time, values) from (open time, values) of a day's 1m candles: every bucket, or those that hold one
    of the touched minutes."""
    minutes = sorted(minutes, key=lambda m: m[0])
    for timeframe in ROLLUPS:
        length, buckets = TIMEFRAMES_NS[timeframe], {}
        for open_ns, values in minutes:
            buckets.setdefault(open_ns // length * length, []).append(values)
        wanted = buckets if touched is None else {t // length * length for t in touched}
        for open_ns in sorted(wanted):
            yield timeframe, open_ns, rolled_up(buckets[open_ns])


def is_complete(gaps, stream, open_ns, timeframe):
    """gaps: (stream, from_ns, to_ns) of the tape that are not repaired; to_ns None while one lasts."""
    end_ns = open_ns + TIMEFRAMES_NS[timeframe]
    return not any(g[0] == stream and g[1] < end_ns and (g[2] is None or g[2] >= open_ns) for g in gaps)
