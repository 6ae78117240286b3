"""Our candles against DuckDB's, from the same Parquet files of a generated market; one line of JSON.

    candles_bench.py [--trades N] [--rounds N] [--program PATH] [--folder DIR]

Ours: reader and engine (bench/candle_lake_bench.c), which always makes the seven timeframes 1s to 1d, exactly, ordered by (time,
id). DuckDB: `all` makes the same seven with the same fields (1s and 1m from the trades, the others from 1m), `1m` the minute alone
and of it only open, high, low, close, volume and count: the least that is called a candle. To its favour, its process is warm,
quote volumes are binary floats, and first and last go by time alone (the generated times of a tape differ).
Rows of every timeframe and the sum of the closes of 1m must be equal.
"""

import argparse
import json
import pathlib
import resource
import statistics
import subprocess
import tempfile
import time

import duckdb

SPANS = {"1s": 1, "1m": 60, "5m": 300, "15m": 900, "1h": 3600, "4h": 14400, "1d": 86400}
FROM_TRADES = """
    select venue, symbol, venue_time_ns // {ns} * {ns} as open_time, arg_min(price, venue_time_ns) as open, max(price) as high,
        min(price) as low, arg_max(price, venue_time_ns) as close, sum(size) as base_volume,
        sum(price::double * size::double) as quote_volume, count(*) as trade_count,
        sum(case when side = 'buy' then size else 0 end) as taker_buy_base_volume,
        sum(case when side = 'buy' then price::double * size::double else 0 end) as taker_buy_quote_volume,
        min(first_id_number) as first_trade_id, max(last_id_number) as last_trade_id
    from read_parquet({files}) group by venue, symbol, open_time"""
ONLY_MINUTE = """
    select venue, symbol, venue_time_ns // 60000000000 * 60000000000 as open_time, arg_min(price, venue_time_ns) as open,
        max(price) as high, min(price) as low, arg_max(price, venue_time_ns) as close, sum(size) as base_volume,
        count(*) as trade_count
    from read_parquet({files}) group by venue, symbol, open_time"""
FROM_MINUTES = """
    select venue, symbol, open_time // {ns} * {ns} as open_time, arg_min(open, open_time) as open, max(high) as high,
        min(low) as low, arg_max(close, open_time) as close, sum(base_volume) as base_volume, sum(quote_volume) as quote_volume,
        sum(trade_count) as trade_count, sum(taker_buy_base_volume) as taker_buy_base_volume,
        sum(taker_buy_quote_volume) as taker_buy_quote_volume, min(first_trade_id) as first_trade_id,
        max(last_trade_id) as last_trade_id
    from c_1m group by venue, symbol, 3"""


def cpu_seconds():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def run_duckdb(files, threads, frames):
    con = duckdb.connect(config={"threads": threads})
    names = "[" + ", ".join(f"'{f}'" for f in files) + "]"
    start, wall = cpu_seconds(), time.monotonic()
    for name in frames:
        query = ONLY_MINUTE if len(frames) == 1 else FROM_TRADES if name in ("1s", "1m") else FROM_MINUTES
        query = query.format(ns=SPANS[name] * 10**9, files=names)
        con.execute(f"create temp table c_{name} as {query}")
    result = {"cpu_s": cpu_seconds() - start, "wall_s": time.monotonic() - wall}
    result["candles"] = {name: con.execute(f"select count(*) from c_{name}").fetchone()[0] for name in frames}
    result["closes"] = int(con.execute("select sum((close * 100000000)::hugeint) from c_1m").fetchone()[0]) % 2**64
    con.close()
    return result


def run_ours(program, files, threads):
    out = json.loads(subprocess.run([program, "read", "--threads", str(threads), *files], check=True, stdout=subprocess.PIPE).stdout)
    return {"cpu_s": out["cpu_ms"] / 1000, "wall_s": out["wall_ms"] / 1000, "candles": out["candles"], "closes": out["closes"]}


def main():
    options = argparse.ArgumentParser(description=__doc__)
    root = pathlib.Path(__file__).resolve().parents[1]
    options.add_argument("--trades", type=int, default=6_000_000)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--program", default=root / "build" / "bench" / "candle_lake_bench")
    options.add_argument("--folder", default=None)
    given = options.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        subprocess.run([given.program, "write", "--trades", str(given.trades), folder], check=True, stdout=subprocess.DEVNULL)
        files = sorted(str(f) for f in pathlib.Path(folder).glob("*.parquet"))
        runs = {}
        for _ in range(given.rounds):
            for threads in (1, 2):
                runs.setdefault(f"ours_{threads}", []).append(run_ours(given.program, files, threads))
                runs.setdefault(f"duckdb_1m_{threads}", []).append(run_duckdb(files, threads, ["1m"]))
                runs.setdefault(f"duckdb_all_{threads}", []).append(run_duckdb(files, threads, list(SPANS)))
        ours = runs["ours_1"][0]
        equal = all(r["closes"] == ours["closes"] and all(ours["candles"][k] == v for k, v in r["candles"].items())
                    for results in runs.values() for r in results)
        print(json.dumps({
            "bench": "candles", "trades": given.trades, "rounds": given.rounds, "candles": ours["candles"], "equal": equal,
            "trades_per_cpu_second": {k: round(given.trades / statistics.median(r["cpu_s"] for r in v)) for k, v in runs.items()},
            "trades_per_second": {k: round(given.trades / statistics.median(r["wall_s"] for r in v)) for k, v in runs.items()},
            "duckdb": duckdb.__version__}))


if __name__ == "__main__":
    main()
