"""What the Spark jobs share: a session on ticklake's catalog, its tables, the registry's framing, candles as data frames.

Settings are those of `ticklake` itself, from the environment: TICKLAKE_LAKE__CATALOG, TICKLAKE_LAKE__WAREHOUSE,
TICKLAKE_S3__..., TICKLAKE_BUS__BROKERS, TICKLAKE_BUS__PREFIX, TICKLAKE_REGISTRY__... Master, memory and class path are
spark-submit's (spark-defaults.conf).
"""
import os
import pathlib
import sys
import time
import urllib.parse

from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T

import ticklake_candles as candles

CATALOG = 'ticklake'
CANDLES = f'{CATALOG}.market.candles_spark'
MINUTES = f'{CATALOG}.market.candles_spark_minutes'
TAPES = f'{CATALOG}.market.candles_spark_tapes'
GAPS = f'{CATALOG}.market.candles_spark_gaps'
TRIES = 5  # of a commit that met another one

EX_USAGE, EX_UNAVAILABLE, EX_CONFIG = 64, 69, 78


class SettingError(Exception):
    """Of the environment: exit code 78."""


def setting(name, needed=True):
    value = os.environ.get(f'TICKLAKE_{name}')
    if not value and needed:
        raise SettingError(f'TICKLAKE_{name} is not set: the job takes the settings of ticklake from the environment')
    return value


def secret_setting(name):
    path = setting(f'{name}_FILE', needed=False)
    return setting(name, needed=False) or (pathlib.Path(path).read_text().strip() if path else None)


def jdbc(url):
    """postgresql://user:password@host:port/database?options of libpq as (JDBC address, user, password)."""
    at = urllib.parse.urlsplit(url)
    if at.scheme not in ('postgresql', 'postgres') or not at.hostname:
        raise SettingError('TICKLAKE_LAKE__CATALOG: expected postgresql://user:password@host:port/database')
    options = dict(urllib.parse.parse_qsl(at.query))
    kept = {'currentSchema': 'ticklake'}
    if 'sslmode' in options:
        kept['sslmode'] = options['sslmode']
    if 'sslrootcert' in options:
        kept['sslrootcert'] = options['sslrootcert']
    address = f'jdbc:postgresql://{at.hostname}:{at.port or 5432}{at.path}?{urllib.parse.urlencode(kept)}'
    user = urllib.parse.unquote(at.username or '') or os.environ.get('PGUSER')
    password = urllib.parse.unquote(at.password or '') or os.environ.get('PGPASSWORD')
    return address, user, password


def jdbc_settings():
    address, user, password = jdbc(setting('LAKE__CATALOG'))
    return {
        'type': 'jdbc',
        'uri': address,
        'jdbc.user': user,
        'jdbc.password': password,
        'jdbc.schema-version': 'V1',
        'jdbc.init-catalog-tables': 'false',  # made here, they would be a foreign catalog to the first worker
        'warehouse': setting('LAKE__WAREHOUSE'),
    }


def rest_settings(address):
    signed = setting('LAKE__REST_SIGNING_NAME', needed=False)
    vended = setting('LAKE__REST_VENDED_CREDENTIALS', needed=False) == 'true'
    return {
        'type': 'rest',
        'uri': address,
        'warehouse': setting('LAKE__REST_WAREHOUSE', needed=False),
        'token': secret_setting('LAKE__REST_TOKEN'),
        'credential': secret_setting('LAKE__REST_CREDENTIAL'),
        'oauth2-server-uri': setting('LAKE__REST_TOKEN_URI', needed=False),
        'scope': setting('LAKE__REST_SCOPE', needed=False),
        'rest.auth.type': 'sigv4' if signed else None,
        'rest.signing-name': signed,
        'rest.signing-region': setting('LAKE__REST_REGION', needed=False),
        'header.X-Iceberg-Access-Delegation': 'vended-credentials' if vended else None,
    }


def catalog_settings():
    address, prefix = setting('LAKE__CATALOG'), f'spark.sql.catalog.{CATALOG}'
    own = rest_settings(address) if address.startswith(('http://', 'https://')) else jdbc_settings()
    own |= {
        'io-impl': 'org.apache.iceberg.aws.s3.S3FileIO',
        's3.endpoint': setting('S3__ENDPOINT', needed=False),
        's3.access-key-id': setting('S3__ACCESS_KEY', needed=False),
        's3.secret-access-key': secret_setting('S3__SECRET_KEY'),
        's3.path-style-access': str(setting('S3__ADDRESSING', needed=False) != 'virtual_host').lower(),
        'client.region': setting('S3__REGION', needed=False) or os.environ.get('AWS_REGION'),
    }
    return {
        'spark.sql.extensions': 'org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions',
        'spark.sql.session.timeZone': 'UTC',
        prefix: 'org.apache.iceberg.spark.SparkCatalog',
        **{f'{prefix}.{k}': v for k, v in own.items() if v},
    }


def session(name):
    builder = SparkSession.builder.appName(name)
    for key, value in catalog_settings().items():
        builder = builder.config(key, value)
    spark = builder.getOrCreate()
    spark.sparkContext.setLogLevel(os.environ.get('TICKLAKE_SPARK_LOG', 'WARN'))
    folder = pathlib.Path(__file__).resolve().parent
    for module in ('ticklake_candles.py', 'ticklake_spark.py', 'ticklake_registry.py'):
        spark.sparkContext.addPyFile(str(folder / module))
    return spark


def say(text):
    print(time.strftime('%H:%M:%S', time.gmtime()), text, file=sys.stderr, flush=True)


def main(job, *args):
    """Runs job and ends with ticklake's exit codes."""
    try:
        job(*args)
    except SettingError as error:
        say(f'error: {error}')
        sys.exit(EX_CONFIG)


# ---- Tables ----

DECIMAL = T.DecimalType(38, 18)
VALUE_TYPES = {n: DECIMAL if n in candles.DECIMALS else T.LongType() if n == 'trade_count' else T.StringType()
               for n in candles.VALUES}
NEVER_NULL = {'open', 'high', 'low', 'close', 'trade_count'}
CANDLE = T.StructType([T.StructField('timeframe', T.StringType()), T.StructField('open_ns', T.LongType()),
                       *(T.StructField(n, t) for n, t in VALUE_TYPES.items()), T.StructField('complete', T.BooleanType())])
KEY = ('venue', 'symbol', 'timeframe', 'open_time')

# A table is committed to every few seconds: old metadata go with each commit, and a revision writes a position instead of
# a copy of the day.
PROPERTIES = {
    'format-version': '2', 'write.merge.mode': 'merge-on-read', 'write.update.mode': 'merge-on-read',
    'write.delete.mode': 'merge-on-read', 'write.metadata.delete-after-commit.enabled': 'true',
    'write.metadata.previous-versions-max': '20', 'write.parquet.compression-codec': 'zstd',
}


def make_tables(spark):
    values = ', '.join(f'{n} {t.simpleString()}' + (' NOT NULL' if n in NEVER_NULL else '') for n, t in VALUE_TYPES.items())
    tape = 'venue string NOT NULL, symbol string NOT NULL'
    columns = {
        CANDLES: f'{tape}, timeframe string NOT NULL, open_time timestamp NOT NULL, {values}, complete boolean NOT NULL, '
                 'updated_at timestamp NOT NULL',
        MINUTES: f'{tape}, open_time timestamp NOT NULL, state string NOT NULL, upto bigint NOT NULL',
        TAPES: f'{tape}, stream string NOT NULL',
        GAPS: f'{tape}, stream string NOT NULL, gap_id bigint NOT NULL, from_ns bigint NOT NULL, to_ns bigint, '
              'state string NOT NULL, sequence bigint NOT NULL',
    }
    told = ', '.join(f"'{k}' = '{v}'" for k, v in PROPERTIES.items())
    for name, text in columns.items():
        by_day = ' PARTITIONED BY (days(open_time))' if 'open_time' in text else ''
        spark.sql(f'CREATE TABLE IF NOT EXISTS {name} ({text}) USING iceberg{by_day} TBLPROPERTIES ({told})')


CONFLICTS = ('CommitFailedException', 'ValidationException', 'CommitStateUnknownException')


def merge(source, table, key, changed, update):
    """MERGE by key; rows that are the same are left alone. The source may be computed again when another writer's commit
    came first: it must not depend on the table's own rows in a way that a second run would see."""
    view = 'ticklake_merge_' + table.rsplit('.', 1)[1]
    source.createOrReplaceTempView(view)
    columns = source.columns
    on = ' AND '.join(f't.{c} = s.{c}' for c in key)
    told = ', '.join(f't.{c} = s.{c}' for c in columns if c not in key)
    sql = (f'MERGE INTO {table} t USING {view} s ON {on} ' +
           (f'WHEN MATCHED AND {changed} THEN UPDATE SET {told} ' if update else '') +
           f'WHEN NOT MATCHED THEN INSERT ({", ".join(columns)}) VALUES ({", ".join("s." + c for c in columns)})')
    for attempt in range(1, TRIES + 1):
        try:
            source.sparkSession.sql(sql)
            return
        except Exception as error:  # noqa: BLE001: py4j has one class for all of them
            if attempt == TRIES or not any(c in str(error) for c in CONFLICTS):
                raise
            say(f'{table}: another commit came first, trying again ({attempt} of {TRIES})')
            time.sleep(attempt)


def differing(columns):
    return 'NOT (' + ' AND '.join(f't.{c} <=> s.{c}' for c in columns) + ')'


def merge_candles(rows):
    """rows: KEY, values and `complete`."""
    source = rows.select(*KEY, *candles.VALUES, 'complete', F.current_timestamp().alias('updated_at'))
    merge(source, CANDLES, KEY, differing((*candles.VALUES, 'complete')), update=True)


def merge_minutes(rows, again=False):
    """A minute goes only forward: a batch that is run again leaves it; again: a rebuild may put one right."""
    merge(rows.select('venue', 'symbol', 'open_time', 'state', 'upto'), MINUTES, ('venue', 'symbol', 'open_time'),
          's.upto >= t.upto AND s.state <> t.state' if again else 's.upto > t.upto', update=True)


def merge_tapes(spark, tapes):
    rows = [(v, s, stream) for (v, s), stream in tapes.items()]
    merge(spark.createDataFrame(rows, 'venue string, symbol string, stream string'), TAPES, ('venue', 'symbol'), '', update=False)


GAP_FIELDS = ('venue', 'symbol', 'stream', 'gap_id', 'from_ns', 'to_ns', 'state', 'sequence')


def merge_gaps(spark, rows):
    schema = 'venue string, symbol string, stream string, gap_id long, from_ns long, to_ns long, state string, sequence long'
    merge(spark.createDataFrame(rows, schema), GAPS, ('venue', 'symbol', 'stream', 'gap_id'), 's.sequence > t.sequence', update=True)


def known_tapes(spark):
    """(venue, symbol) -> the stream that its candles are made from."""
    return {(r['venue'], r['symbol']): r['stream'] for r in spark.table(TAPES).collect()}


def gaps_by_tape(rows):
    """(venue, symbol) -> its gaps as is_complete takes them."""
    out = {}
    for r in rows:
        if r['state'] != 'repaired':
            out.setdefault((r['venue'], r['symbol']), []).append((r['stream'], r['from_ns'], r['to_ns']))
    return out


# ---- Trades and gaps ----

def nanoseconds(name):
    return F.coalesce(F.col(f'{name}_ns'), F.unix_micros(F.col(name)) * 1000)


def usable_trades(frame):
    """Of the columns of market.trades, those that candles are made from, with the minute; `sequence` must be there."""
    time_ns = F.coalesce(nanoseconds('venue_time'), nanoseconds('received_time'))
    usable = frame.where("kind <> 'liquidation'").where(F.col('stream').isin(*candles.TAPE_STREAMS))
    usable = usable.withColumn('time_ns', time_ns)
    usable = usable.where(F.col('time_ns').between(-candles.TIME_FARTHEST, candles.TIME_FARTHEST))
    return usable.select('venue', 'symbol', 'stream', *candles.TRADE_FIELDS).withColumn(
        'minute_ns', F.col('time_ns') - F.pmod(F.col('time_ns'), F.lit(candles.MINUTE_NS)))


class Found:
    """What trades hold, in one look: streams (venue, symbol) -> the stream seen first, others: a tape has more than one,
    first_ns and last_ns: of their minutes, None where there are none."""

    def __init__(self, trades):
        rows = trades.groupBy('venue', 'symbol').agg(F.min_by('stream', 'sequence').alias('stream'), F.min('stream').alias('low'),
                                                     F.max('stream').alias('high'), F.min('minute_ns').alias('first_ns'),
                                                     F.max('minute_ns').alias('last_ns')).collect()
        self.streams = {(r['venue'], r['symbol']): r['stream'] for r in rows}
        self.present = {(r['venue'], r['symbol']): {r['low'], r['high']} for r in rows}
        self.first_ns = min((r['first_ns'] for r in rows), default=None)
        self.last_ns = max((r['last_ns'] for r in rows), default=None)

    def of_tapes(self, spark, trades, tapes):
        """Those of the streams that candles are made from; most often all are."""
        if all(present == {tapes[k]} for k, present in self.present.items()):
            return trades
        rows = [(v, s, tapes[v, s]) for v, s in self.present]
        known = spark.createDataFrame(rows, 'venue string, symbol string, stream string')
        return trades.join(F.broadcast(known), ['venue', 'symbol', 'stream'], 'left_semi')


def gap_columns(frame, *more):
    """Of the columns of market.gaps; without exact times those in microseconds."""
    exact = [nanoseconds(f'{n}_time') if f'{n}_time_ns' in frame.columns else F.unix_micros(f'{n}_time') * 1000
             for n in ('from', 'to')]
    return frame.select('venue', 'symbol', 'stream', 'gap_id', exact[0].alias('from_ns'), exact[1].alias('to_ns'), 'state', *more)


# ---- Candles ----

def between(from_ns, to_ns):
    """open_time in [from, to), such that partitions and files are passed over."""
    return f'open_time >= timestamp_micros({from_ns // 1000}) AND open_time < timestamp_micros({to_ns // 1000})'


def time_of(name):
    return F.expr(f'timestamp_micros({name} div 1000)')


def row_of(timeframe, open_ns, values, complete):
    return (timeframe, open_ns, *(candles.scaled(values[n]) if n in candles.DECIMALS else values[n] for n in candles.VALUES), complete)


class Completeness:
    """Which candles have a gap; goes to the executors inside the functions below."""

    def __init__(self, gaps, tapes):
        self.gaps, self.tapes = gaps, {k: tapes[k] for k in gaps if k in tapes}

    def __call__(self, venue, symbol, open_ns, timeframe):
        own = self.gaps.get((venue, symbol))
        return not own or candles.is_complete(own, self.tapes.get((venue, symbol)), open_ns, timeframe)


MINUTE_RESULT = T.StructType([T.StructField('state', T.StringType()), T.StructField('upto', T.LongType()),
                              T.StructField('candles', T.ArrayType(CANDLE))])


def minutes_of_trades(trades, states, complete):
    """venue, symbol, minute_ns, open_time, state, upto and the candles of each minute that has trades here: together with
    what its state held."""
    def make(venue, symbol, minute_ns, state, rows):
        minute = candles.Minute(minute_ns, state)
        minute.take(rows)
        return minute.text(), minute.upto, [row_of(tf, at, values, complete(venue, symbol, at, tf))
                                            for tf, at, values in minute.candles()]

    key = ['venue', 'symbol', 'minute_ns']
    grouped = trades.groupBy(*key).agg(F.collect_list(F.struct(*candles.TRADE_FIELDS)).alias('trades'))
    grouped = grouped.withColumn('open_time', time_of('minute_ns'))
    if states is None:
        grouped = grouped.withColumn('old', F.lit(None).cast('string'))
    else:
        old = states.select('venue', 'symbol', 'open_time', F.col('state').alias('old'))
        grouped = grouped.join(old, ['venue', 'symbol', 'open_time'], 'left')
    made = F.udf(make, MINUTE_RESULT, useArrow=False)(*key, 'old', 'trades')
    return grouped.select(*key, 'open_time', made.alias('made')).select(*key, 'open_time', 'made.*')


def candle_rows(frame):
    """venue, symbol and an array `candles` as rows."""
    rows = frame.select('venue', 'symbol', F.explode('candles').alias('c')).select('venue', 'symbol', 'c.*')
    return rows.withColumn('open_time', time_of('open_ns'))


def rollups(minutes, others, complete):
    """The longer candles of the buckets that hold one of these 1m candles; others: 1m candles of the same days."""
    names = ('open_ns', 'touched', *candles.VALUES)

    def make(venue, symbol, rows):
        days, touched = {}, {}
        for row in rows:
            values = dict(zip(candles.VALUES, row[2:]))
            for name in candles.DECIMALS:
                values[name] = candles.unscaled(values[name])
            day = row[0] // candles.DAY_NS
            days.setdefault(day, []).append((row[0], values))
            if row[1]:
                touched.setdefault(day, []).append(row[0])
        return [row_of(tf, at, values, complete(venue, symbol, at, tf)) for day, own in touched.items()
                for tf, at, values in candles.rollups_of_day(days[day], own)]

    day = (F.col('open_ns') - F.pmod('open_ns', F.lit(candles.DAY_NS))).alias('day_ns')
    rows = minutes.withColumn('touched', F.lit(True)).select('venue', 'symbol', *names)
    if others is not None:
        rows = rows.unionByName(others.withColumn('touched', F.lit(False)).select('venue', 'symbol', *names))
    grouped = rows.groupBy('venue', 'symbol', day).agg(F.collect_list(F.struct(*names)).alias('rows'))
    made = F.udf(make, T.ArrayType(CANDLE), useArrow=False)('venue', 'symbol', 'rows')
    return candle_rows(grouped.select('venue', 'symbol', made.alias('candles')))
