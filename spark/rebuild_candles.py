"""The candles of a range again, from market.trades and market.gaps of the lake, into market.candles_spark.

    spark-submit spark/rebuild_candles.py --from 2026-11-01T00:00:00Z --to 2026-11-02T00:00:00Z [--venue V] [--symbol S]

The range is widened to whole days (UTC), so that the longest candles are made of all their minutes. Rows that are right
already are left alone; so is a minute of which the streaming job has seen more than the lake.
"""
import argparse
import datetime

from pyspark.sql import functions as F
from pyspark.storagelevel import StorageLevel

import ticklake_spark as shared

DAY = datetime.timedelta(days=1)


def instant(text):
    at = datetime.datetime.fromisoformat(text.replace('Z', '+00:00'))
    return at if at.tzinfo else at.replace(tzinfo=datetime.timezone.utc)


def days(start, end):
    """The range in whole days."""
    first = start.astimezone(datetime.timezone.utc).replace(hour=0, minute=0, second=0, microsecond=0)
    last = end.astimezone(datetime.timezone.utc).replace(hour=0, minute=0, second=0, microsecond=0)
    return first, last if last == end else last + DAY


def micros(at):
    return f'timestamp_micros({(at - datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)) // datetime.timedelta(microseconds=1)})'


def of_range(frame, time, start, end):
    return frame.where(f'{time} >= {micros(start)} AND {time} < {micros(end)}')


def trades_of(spark, options, start, end):
    rows = spark.table(f'{shared.CATALOG}.market.trades')
    # The partition is by the venue's time; trades without one are few and in no day.
    rows = rows.where(f'(venue_time >= {micros(start)} AND venue_time < {micros(end)}) OR (venue_time IS NULL AND '
                      f'received_time >= {micros(start)} AND received_time < {micros(end)})')
    return shared.usable_trades(chosen(rows, options))


def chosen(rows, options):
    if options.venue:
        rows = rows.where(F.col('venue') == options.venue)
    if options.symbol:
        rows = rows.where(F.col('symbol').isin(*options.symbol))
    return rows


def tapes_of(spark, found):
    """Those not known yet by the first trade of the whole lake."""
    known = shared.known_tapes(spark)
    new = [k for k in found.streams if k not in known]
    if new:
        keys = F.broadcast(spark.createDataFrame(new, 'venue string, symbol string'))
        rows = shared.usable_trades(spark.table(f'{shared.CATALOG}.market.trades').join(keys, ['venue', 'symbol'], 'left_semi'))
        first = shared.Found(rows).streams
        shared.merge_tapes(spark, first)
        known.update(first)
    return {k: known[k] for k in found.streams}


def run(options):
    start, end = days(options.start, options.end)
    spark = shared.session('ticklake rebuild_candles')
    shared.make_tables(spark)
    trades = trades_of(spark, options, start, end)
    found = shared.Found(trades)
    if not found.streams:
        shared.say(f'no trades from {start.isoformat()} to {end.isoformat()}')
        return
    tapes = tapes_of(spark, found)
    gaps = shared.gaps_by_tape(shared.gap_columns(spark.table(f'{shared.CATALOG}.market.gaps')).collect())
    complete = shared.Completeness(gaps, tapes)
    made = shared.minutes_of_trades(found.of_tapes(spark, trades, tapes), None, complete)
    ahead = of_range(spark.table(shared.MINUTES), 'open_time', start, end).selectExpr('venue', 'symbol', 'open_time', 'upto AS seen')
    made = made.join(ahead, ['venue', 'symbol', 'open_time'], 'left').where('seen IS NULL OR seen <= upto').drop('seen')
    made = made.persist(StorageLevel.MEMORY_AND_DISK)
    others = chosen(of_range(spark.table(shared.CANDLES), 'open_time', start, end), options).where("timeframe = '1m'")
    others = others.withColumn('open_ns', F.unix_micros('open_time') * 1000)
    rows = shared.candle_rows(made)
    minutes = rows.where("timeframe = '1m'")
    others = others.join(minutes.select('venue', 'symbol', 'open_time'), ['venue', 'symbol', 'open_time'], 'left_anti')
    rows = rows.unionByName(shared.rollups(minutes, others, complete))
    shared.merge_minutes(made, again=True)
    shared.merge_candles(rows)
    shared.say(f'candles of {made.count()} minutes, {start.isoformat()} to {end.isoformat()}')


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--from', dest='start', required=True, type=instant)
    parser.add_argument('--to', dest='end', required=True, type=instant)
    parser.add_argument('--venue')
    parser.add_argument('--symbol', action='append')
    options = parser.parse_args()
    if options.start >= options.end:
        parser.error('--from must be before --to')
    return options


if __name__ == '__main__':
    shared.main(run, arguments())
