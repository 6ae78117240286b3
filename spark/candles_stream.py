"""Structured Streaming: trades and gaps from Kafka into the Iceberg table market.candles_spark, equal to the C stage's candles.

    spark-submit spark/candles_stream.py --checkpoint s3a://bucket/checkpoints/candles [--interval 5s] [--once] [--batch N]

A batch is exact and idempotent: each minute's sums lie in market.candles_spark_minutes together with the offset up to which
they hold, so that a batch that is run again after a crash, or a checkpoint that was lost, adds nothing twice. A window that
is still open has a row as well, replaced by each batch until it ends.
"""
import argparse
import zlib

from pyspark.sql import functions as F
from pyspark.sql import types as T
from pyspark.sql.avro.functions import from_avro
from pyspark.storagelevel import StorageLevel

import ticklake_candles as candles
import ticklake_spark as shared
from ticklake_registry import Registry, RegistryError

inflated = F.udf(zlib.decompress, T.BinaryType(), useArrow=False)


def gap_key(gap):
    return gap['venue'], gap['symbol'], gap['stream'], gap['gap_id']


class Stream:
    def __init__(self, spark):
        prefix = shared.setting('BUS__PREFIX', needed=False) or ''
        self.spark, self.trades_topic, self.gaps_topic = spark, f'{prefix}market.trades', f'{prefix}market.gaps'
        self.brokers = shared.setting('BUS__BROKERS')
        try:
            self.registry = Registry(shared.setting, shared.secret_setting)
        except RegistryError as error:
            raise shared.SettingError(str(error)) from None
        self.tapes = shared.known_tapes(spark)
        self.open_gaps = {gap_key(g): g for g in spark.table(shared.GAPS).where("state <> 'repaired'").collect()}

    # --- what stands on the bus ---

    def records(self, per_batch, kafka_options):
        reader = self.spark.readStream.format('kafka').option('kafka.bootstrap.servers', self.brokers)
        reader = reader.option('subscribe', f'{self.trades_topic},{self.gaps_topic}').option('startingOffsets', 'earliest')
        # What a transaction has not committed does not exist.
        reader = reader.option('kafka.isolation.level', 'read_committed').option('maxOffsetsPerTrigger', str(per_batch))
        for key, value in kafka_options:
            reader = reader.option(f'kafka.{key}', value)
        return reader.load().where('value IS NOT NULL').selectExpr('topic', 'offset + 1 AS sequence', 'value')

    def decoded(self, records, topic, frames):
        """The records of a topic as rows, each by its writer's schema; None where there are none."""
        n, out = self.registry.frame_bytes, None
        for frame in (f['frame'] for f in frames if f['topic'] == topic):
            own = records.where(F.col('topic') == topic).where(F.expr(f'substring(value, 1, {n})') == F.lit(bytes(frame)))
            payload = F.expr(f'substring(value, {n + 1}, length(value) - {n})')
            if n > 5 and frame[1] == 5:
                payload = inflated(payload)
            # The sequence inside is the store's; here the offset orders.
            rows = own.select(from_avro(payload, self.registry.schema(frame)).alias('r'), F.col('sequence').alias('at'))
            rows = rows.select('r.*', 'at').drop('sequence').withColumnRenamed('at', 'sequence')
            rows = self.wanted(rows, topic)
            out = rows if out is None else out.unionByName(rows)
        return out

    def wanted(self, rows, topic):
        if topic == self.trades_topic:
            return shared.usable_trades(rows)
        return shared.gap_columns(rows, 'sequence')

    # --- a batch ---

    def take(self, frame, batch):
        """Of foreachBatch. In this order: the minutes' sums, candles, gaps; a batch that is run again after any of
        them finds what it needs: what gaps were before is kept until the candles are right."""
        spark = self.spark = frame.sparkSession
        frame = frame.persist(StorageLevel.MEMORY_AND_DISK)
        made = None
        try:
            prefix = F.expr(f'substring(value, 1, {self.registry.frame_bytes})').alias('frame')
            frames = frame.select('topic', prefix).distinct().collect()
            trades = self.decoded(frame, self.trades_topic, frames)
            gaps = self.newest_gaps(self.decoded(frame, self.gaps_topic, frames))
            spans = self.spans_of(gaps)
            rows = None
            if trades is not None:
                found = shared.Found(trades)
            if trades is not None and found.streams:
                made = self.made_minutes(trades, found)
                rows = self.candles_of(made, found)
            if spans:
                touched = self.candles_of_spans(spans)
                if rows is not None:
                    touched = touched.join(rows.select(*shared.KEY), list(shared.KEY), 'left_anti').select(*rows.columns)
                rows = touched if rows is None else rows.unionByName(touched)
            if rows is not None:
                shared.merge_candles(rows)
            if gaps:
                shared.merge_gaps(self.spark, [tuple(g[n] for n in shared.GAP_FIELDS) for g in gaps.values()])
        finally:
            frame.unpersist()
            if made is not None:
                made.unpersist()
        shared.say(f'batch {batch}: done')

    def newest_gaps(self, gaps):
        """The newest state of each gap in this batch."""
        newest = {}
        for g in sorted(gaps.collect() if gaps is not None else (), key=lambda g: g['sequence']):
            newest[gap_key(g)] = g
        return newest

    def spans_of(self, gaps):
        """Where candles may have become complete or not: what was said of these gaps before may have reached farther."""
        before = [self.open_gaps.pop(k) for k in gaps if k in self.open_gaps]
        self.open_gaps.update({k: g for k, g in gaps.items() if g['state'] != 'repaired'})
        return [(g['venue'], g['symbol'], g['from_ns'], g['to_ns']) for g in (*before, *gaps.values())]

    def learn_tapes(self, found):
        new = {k: stream for k, stream in found.streams.items() if k not in self.tapes}
        if new:
            shared.merge_tapes(self.spark, new)
            self.tapes.update(new)

    def complete(self):
        return shared.Completeness(shared.gaps_by_tape(self.open_gaps.values()), self.tapes)

    def made_minutes(self, trades, found):
        """The minutes that have trades in this batch, added to what was known of them, and stored."""
        self.learn_tapes(found)
        trades = found.of_tapes(self.spark, trades, self.tapes)
        states = self.spark.table(shared.MINUTES).where(shared.between(found.first_ns, found.last_ns + candles.MINUTE_NS))
        made = shared.minutes_of_trades(trades, states, self.complete()).persist(StorageLevel.MEMORY_AND_DISK)
        shared.merge_minutes(made)
        return made

    def candles_of(self, made, found):
        """Seconds and minutes, and the longer candles that hold those minutes."""
        own, day = shared.candle_rows(made), candles.DAY_NS
        minutes = own.where("timeframe = '1m'")
        others = self.spark.table(shared.CANDLES).where("timeframe = '1m'")
        others = others.where(shared.between(found.first_ns // day * day, (found.last_ns // day + 1) * day))
        days = minutes.selectExpr('venue', 'symbol', 'to_date(open_time) AS day').distinct()
        others = others.withColumn('day', F.to_date('open_time')).join(days, ['venue', 'symbol', 'day'], 'left_semi')
        others = others.join(minutes.select('venue', 'symbol', 'open_time'), ['venue', 'symbol', 'open_time'], 'left_anti')
        others = others.withColumn('open_ns', F.unix_micros('open_time') * 1000)
        return own.unionByName(shared.rollups(minutes, others, self.complete()))

    def candles_of_spans(self, spans):
        """Candles of the table whose `complete` is another one now."""
        schema = 'venue string, symbol string, from_ns long, to_ns long'
        spans = F.broadcast(self.spark.createDataFrame(spans, schema).alias('g'))
        rows = self.spark.table(shared.CANDLES).withColumn('open_ns', F.unix_micros('open_time') * 1000)
        length = F.create_map(*(F.lit(x) for pair in candles.TIMEFRAMES_NS.items() for x in pair))
        end_ns = F.col('c.open_ns') + length[F.col('c.timeframe')]
        meets = (F.col('c.venue') == F.col('g.venue')) & (F.col('c.symbol') == F.col('g.symbol')) & \
            (F.col('g.from_ns') < end_ns) & (F.coalesce('g.to_ns', F.lit(candles.LONG_MAX)) >= F.col('c.open_ns'))
        rows = rows.alias('c').join(spans, meets, 'left_semi')
        complete = self.complete()  # not self: it goes to the executors
        now = F.udf(lambda *row: complete(*row), T.BooleanType(), useArrow=False)('venue', 'symbol', 'open_ns', 'timeframe')
        return rows.withColumn('was', F.col('complete')).withColumn('complete', now).where('was <> complete').drop('was', 'updated_at')


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--checkpoint', required=True, help='s3a://... or file:///...: where the stream stands')
    parser.add_argument('--interval', default='5 seconds', help='a batch at most this often')
    parser.add_argument('--once', action='store_true', help='everything that is there now, then the end')
    parser.add_argument('--batch', type=int, default=500000, help='records in a batch at most')
    parser.add_argument('--kafka', action='append', default=[], metavar='KEY=VALUE', help="of Kafka's Java client, such as security.protocol=SSL")
    return parser.parse_args()


def run(options):
    spark = shared.session('ticklake candles_stream')
    shared.make_tables(spark)
    stream = Stream(spark)
    records = stream.records(options.batch, [k.split('=', 1) for k in options.kafka])
    when = {'availableNow': True} if options.once else {'processingTime': options.interval}
    query = records.writeStream.foreachBatch(stream.take).option('checkpointLocation', options.checkpoint).trigger(**when).start()
    shared.say('streaming')
    query.awaitTermination()


if __name__ == '__main__':
    shared.main(run, arguments())
