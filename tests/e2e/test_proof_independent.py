"""The proof, computed by other people's readers: the Python lines of docs/formats.md over a lake's rows.

They are taken out of the page itself, so that what it tells is what was tried.
"""
import collections
import contextlib
import re
import sqlite3
from decimal import Decimal

from conftest import ROOT, SAMPLES

QUOTE = 3


def of_the_page():
    page = (ROOT / 'docs' / 'formats.md').read_text()
    names = {}
    exec(re.search(r'## The proof.*?```python\n(.*?)```', page, re.S).group(1), names)
    return names


def quote_hash(page, q):
    def side(d):
        return page['decimal'](d) if d is not None else page['number'](0) + b'\xff'
    names = b''.join(page['text'](q[n]) for n in ('venue', 'exchange', 'symbol')) + bytes([QUOTE])
    values = b''.join(side(q[n]) for n in ('bid_price', 'bid_size', 'ask_price', 'ask_size'))
    times = page['number'](q['venue_time_ns']) + page['number'](q['received_time_ns'])
    return page['xxh3_128_intdigest'](names + values + times)


def key_of(row, stream):
    ns = row['received_time_ns'] if row['venue_time_ns'] is None else row['venue_time_ns']
    return row['venue'], row['exchange'], row['symbol'], row['venue_symbol'], stream, ns // (60 * 10**9)


def claimed(lake):
    with contextlib.closing(sqlite3.connect(lake.data / 'catalog.db')) as db:
        rows = db.execute('select s.venue, s.exchange, s.symbol, s.venue_symbol, p.stream, p.minute, p.count, p.sum '
                          'from ticklake_proof p join ticklake_proof_series s on s.id = p.series')
        return {tuple(r[:6]): [r[6], int.from_bytes(r[7], 'little')] for r in rows}


def test_the_hash_of_one_trade():
    """The value that tests/unit/event_test.c expects of the C function."""
    trade = dict(venue='binance', exchange='binance', symbol='BTC-USDT', stream='trade', trade_id='7', side='buy',
                 price=Decimal('61837.630000000000000000'), size=Decimal('0.02'), venue_time_ns=7 * 10**9)
    assert f"{of_the_page()['trade_hash'](trade):032x}" == '5b60e92999c8f9ba12999abe227c59ae'


def test_the_lake_adds_up_to_its_claim(ticklake):
    ticklake.run('replay', SAMPLES)
    page, sums, prints = of_the_page(), collections.defaultdict(lambda: [0, 0]), collections.Counter()
    trades, quotes = ticklake.rows('trades'), ticklake.rows('quotes')
    assert any(t['trade_id'] for t in trades) and any(t['trade_id'] is None for t in trades) and quotes
    hashes = []
    for t in trades:
        first = page['trade_hash'](t)
        ordinal = prints[first] if t['trade_id'] is None else 0
        prints[first] += 1
        hashes.append((key_of(t, page['STREAMS'].index(t['stream'])), page['trade_hash'](t, ordinal)))
    hashes += [(key_of(q, QUOTE), quote_hash(page, q)) for q in quotes]
    for key, value in hashes:
        sums[key][0] += 1
        sums[key][1] = (sums[key][1] + value) % 2**128
    assert dict(sums) == claimed(ticklake)
