"""A second reader of the recordings: plain Python, exact decimals, nothing of ticklake in it.

Each function yields (venue, symbol, stream, key, side, price, size, venue_time_ns) for every trade that its files hold, once: `key` is
the trade id, or for feeds without ids the print itself and its number among identical ones on that connection.
"""
import csv
import gzip
import json
import re
from datetime import datetime, timezone
from decimal import Decimal

SIDE = {True: 'sell', False: 'buy'}  # Binance's m: the buyer was the maker, so the aggressor sold


def parse(text):
    return json.loads(text, parse_float=Decimal, parse_int=int)


def ns_of_iso(text):
    """Exactly: datetime keeps only microseconds, so the fraction is read apart."""
    whole, fraction = re.fullmatch(r'(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d+))?(?:Z|\+00:00)', text).groups()
    seconds = int(datetime.fromisoformat(whole).replace(tzinfo=timezone.utc).timestamp())
    return seconds * 10**9 + int((fraction or '').ljust(9, '0')[:9])


def once(rows):
    seen = set()
    for row in rows:
        if row[:4] in seen:
            continue
        seen.add(row[:4])
        yield row


def binance_event(venue, symbol, d):
    stream = 'trade' if d['e'] == 'trade' else 'agg_trade'
    key = str(d['t'] if stream == 'trade' else d['a'])
    return venue, symbol, stream, key, SIDE[d['m']], Decimal(d['p']), Decimal(d['q']), d['T'] * 10**6


def hftbacktest(paths, venue, symbol):
    def rows():
        for path in paths:
            for line in gzip.open(path, 'rt'):
                d = parse(line.split(' ', 1)[1]).get('data', {})
                if d.get('e') == 'trade':
                    yield binance_event(venue, symbol, d)
    return once(rows())


def received(path):
    """The received frames of a cryptofeed file: 'TIME: FRAME'."""
    for line in open(path):
        if line.strip() and not line.startswith('wss'):
            yield line.rstrip('\n').split(': ', 1)[1]


def cryptofeed_binance(folder, name, venue, suffix):
    info = parse(open(folder / f'{name}.0').readline().split(': ', 1)[1])
    symbols = {s['symbol']: f"{s['baseAsset']}-{s['quoteAsset']}{suffix}" for s in info['symbols']}

    def rows():
        for path in sorted(folder.glob(f'{name}.ws.*')):
            for frame in received(path):
                d = parse(frame).get('data', {})
                if d.get('e') == 'aggTrade':
                    yield binance_event(venue, symbols[d['s']], d)
    return once(rows())


def cryptofeed_coinbase(folder):
    def rows():
        for path in sorted(folder.glob('COINBASE.ws.*')):
            for frame in received(path):
                d = parse(frame)
                if d['type'] in ('match', 'last_match'):  # the side is the maker's
                    side = {'buy': 'sell', 'sell': 'buy'}[d['side']]
                    yield ('coinbase', d['product_id'], 'trade', str(d['trade_id']), side, Decimal(d['price']),
                           Decimal(d['size']), ns_of_iso(d['time']))
    return once(rows())


def cryptofeed_kraken(folder):
    names = {'XBT': 'BTC', 'XDG': 'DOGE'}
    for path in sorted(folder.glob('KRAKEN.ws.*')):
        seen = {}
        for frame in received(path):
            d = parse(frame)
            if isinstance(d, list) and d[2] == 'trade':
                symbol = '-'.join(names.get(p, p) for p in d[3].split('/'))
                for price, size, time, side, _, _ in d[1]:
                    seconds, fraction = time.split('.')
                    ns = int(seconds) * 10**9 + int(fraction.ljust(9, '0'))
                    print_ = (symbol, ns, price, size)
                    seen[print_] = seen.get(print_, -1) + 1
                    yield ('kraken', symbol, 'trade', print_ + (seen[print_],), {'b': 'buy', 's': 'sell'}[side],
                           Decimal(price), Decimal(size), ns)


def tiingo(path):
    for line in open(path):
        d = parse(line)
        if d['messageType'] == 'A' and d['data'][0] == 'T':
            _, ticker, time, exchange, size, price = d['data'][:6]
            symbol = {'btcusd': 'BTC-USD', 'ethusd': 'ETH-USD'}[ticker]
            yield ('tiingo', symbol, 'trade', (exchange, time, price, size), 'unknown', Decimal(price), Decimal(size),
                   ns_of_iso(time))


def binance_csv(path):
    def rows():
        for r in csv.DictReader(open(path)):
            yield ('binance', 'TRX-USDT', 'trade', r['TradeId'], SIDE[r['IsBuyerMarketMaker'] == '1'], Decimal(r['Price']),
                   Decimal(r['Quantity']), int(r['TransactionTime']) * 1000)
    return once(rows())


def ccxt_old(path):
    """Binance's own answer stands under `info`."""
    def rows():
        for t in parse(gzip.open(path, 'rt').read()):
            d = dict(t['info'], e='aggTrade')
            yield binance_event('binance', 'XRP-ETH', d)
    return once(rows())


def summary(rows):
    """Per (venue, symbol, stream): count, sum of sizes, sum of price times size, low, high, first and last time."""
    out = {}
    for venue, symbol, stream, _, _, price, size, ns in rows:
        s = out.setdefault((venue, symbol, stream), [0, Decimal(0), Decimal(0), price, price, ns, ns])
        s[0] += 1
        s[1] += size
        s[2] += price * size
        s[3], s[4] = min(s[3], price), max(s[4], price)
        s[5], s[6] = min(s[5], ns), max(s[6], ns)
    return {k: tuple(v) for k, v in out.items()}
