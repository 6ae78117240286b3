"""Figures that need no sockets: decode, store, replay, Parquet, candles, the night."""

import json
import os
import re
import shutil
import statistics
import sys

from harness import (BENCH_PYTHON, RECORDINGS, ROOT, ROUNDS, Figure, Folder, median, millions, profile, program, run, run_json,
                     scaled)


# ---- decode ----

def decode_rounds():
    """Ours with yyjson's tree beside it, and cryptofeed, in turns: a list of rows for each set of frames."""
    ours, peer = {}, {}
    environment = dict(os.environ, TICKLAKE_RECORDINGS=str(RECORDINGS))
    for _ in range(ROUNDS):
        for row in json.loads(run(program("decode_bench"), "--json", 3, env=environment)):
            ours.setdefault(row["set"], []).append(row)
        for name, row in json.loads(run(BENCH_PYTHON, ROOT / "bench" / "cryptofeed_bench.py", RECORDINGS, 2)).items():
            peer.setdefault(name, []).append(row)
    return ours, peer


def decode():
    ours, peer = decode_rounds()
    rate = {name: median(rows, "events_per_cpu_second") for name, rows in ours.items()}
    command = [program("decode_bench"), "--only"]
    for name, least in (("mixed", 2.5e6), ("binance trade", 5e6)):
        reached = rate[name] >= least
        yield Figure(f"decode, {name} frames, events/s by CPU", millions(rate[name]), reach=f"{least / 1e6:g} M", reached=reached,
                     note="" if reached else profile([*command, name, 9]))
    ratios = {name: median(rows, "tree_to_ours_percent") / 100 for name, rows in ours.items()}
    mixed = ours["mixed"]
    yield Figure("decode against yyjson alone building its tree (mixed), ns a frame", f"{median(mixed, 'ps_per_frame') / 1000:.0f}",
                 f"{median(mixed, 'yyjson_tree_ps_per_frame') / 1000:.0f}", f"{ratios['mixed']:.2f}", "0.5", ratios["mixed"] >= 0.5,
                 "each set: " + ", ".join(f"{name} {rate[name] / 1e6:.1f} M events/s, ratio {ratios[name]:.2f}" for name in ours))
    for name, rows in peer.items():
        theirs = median(rows, "events_per_cpu_second")
        reached = rate[name] >= 15 * theirs
        note = "its handler and a callback that does nothing, no socket"
        if rows[0]["frames"] < 1000:
            note += "; so few frames stay in every cache, which flatters both"
        if not reached:
            note += "; ours (yyjson's tree of the same frames included): " + profile([*command, name, 9])
        yield Figure(f"decode against cryptofeed, {name} ({rows[0]['frames']:,} frames), events/s by CPU", millions(rate[name]),
                     millions(theirs), f"{rate[name] / theirs:.1f}", "15", reached, note)


# ---- store ----

STORE_LINE = re.compile(r"^(store_append|bare INSERT)\s+batch\s+(\d+):\s+(\d+) rows/s CPU,\s+(\d+) rows/s wall", re.M)


def store():
    text = run(program("store_bench"), scaled(500_000), ROUNDS)
    rates = {}
    for what, batch, cpu, _ in STORE_LINE.findall(text):
        rates.setdefault((what, int(batch)), []).append(int(cpu))
    for batch in sorted({b for _, b in rates}):
        ours, bare = (statistics.median(rates[what, batch]) for what in ("store_append", "bare INSERT"))
        yield Figure(f"store, batches of {batch:,}, durable rows/s by CPU", millions(ours), f"{millions(bare)} (the INSERT alone)",
                     f"{ours / bare:.2f}")


# ---- replay ----

def two_cores(row):
    """Trades/s that two whole cores give: by the CPU time of all, or of the busiest thread where that is more than half."""
    seconds = max(row["cpu_ms"] / 2, max(row["thread_cpu_ms"])) / 1000
    return row["trades"] / seconds


def replay_once(folder, market, trades, *options):
    data = folder / "data"
    shutil.rmtree(data, ignore_errors=True)
    row = run_json(program("replay_bench"), *options, "--data", data, market)
    if row["trades"] != trades or row["committed"] != trades + row["quotes"] or row["dead_letters"] or row["late"]:
        raise RuntimeError(f"replay is not exact: {row}")
    return row


def replay():
    trades = scaled(1_500_000)
    with Folder() as folder:
        market = folder / "market.txt"
        run(program("market_frames"), "--trades", trades, market)
        rows = {"with": [], "without": []}
        for _ in range(ROUNDS):
            rows["with"].append(replay_once(folder, market, trades))
            rows["without"].append(replay_once(folder, market, trades, "--without-store"))
        for kind, what, least in (("with", "SQLite durable", 500_000), ("without", "without the store", 1_500_000)):
            cpu = statistics.median(two_cores(r) for r in rows[kind])
            wall = statistics.median(r["trades"] * 1000 / r["wall_ms"] for r in rows[kind])
            threads = [statistics.median(r["thread_cpu_ms"][i] for r in rows[kind]) for i in (0, 2, 3)]
            note = (f"{trades:,} generated trades in Binance's frames; by the clock {wall:,.0f} trades/s beside whatever else ran; CPU of "
                    f"the threads: source {threads[0] / 1000:.2f} s, store {threads[1] / 1000:.2f} s, lake {threads[2] / 1000:.2f} s; "
                    f"peak {max(r['peak_kb'] for r in rows[kind]) / 1024:.0f} MB")
            if cpu < least:
                shutil.rmtree(folder / "data", ignore_errors=True)
                options = ["--without-store"] if kind == "without" else []
                note += "; " + profile([program("replay_bench"), *options, "--data", folder / "data", market])
            yield Figure(f"file of frames to committed lake, {what}, trades/s that two cores give by CPU", f"{cpu:,.0f}", reach=f"{least:,}",
                         reached=cpu >= least, note=note)
        ratio = median(rows["with"], "cpu_ms") / median(rows["without"], "cpu_ms")
        yield Figure("the same, CPU with the store to CPU without", f"{median(rows['with'], 'cpu_ms') / 1000:.2f} s",
                     f"{median(rows['without'], 'cpu_ms') / 1000:.2f} s", f"{ratio:.2f}")


# ---- Parquet and candles ----

def parquet():
    with Folder() as folder:
        rows = scaled(2_000_000, 10_000)
        out = run_json(sys.executable, ROOT / "bench" / "parquet_bench.py", "--rows", rows, "--repeat", ROUNDS, "--program",
                       program("parquet_bench"), "--folder", folder)
        ours, peers = out["rows_per_cpu_second"]["ours"], out["rows_per_cpu_second"]
        best = max(peers["pyarrow_strings"], peers["pyarrow_codes"])
        reached = out["ratio"] >= 1.3 and out["size_ratio"] <= 1 and out["same_values"] and all(out["page_index"])
        note = f"{rows:,} rows of {out['columns']} columns; size {out['size_ratio']} of pyarrow's; same values read back: {out['same_values']}"
        if not reached:
            note += "; " + profile([program("parquet_bench"), rows, 1, folder / "profiled.parquet"])
        yield Figure("Parquet writing, one thread, rows/s by CPU", millions(ours), f"{millions(best)} (pyarrow)", f"{out['ratio']:.2f}",
                     "1.3, not larger", reached, note)


def candles():
    with Folder() as folder:
        out = run_json(sys.executable, ROOT / "bench" / "candles_bench.py", "--trades", scaled(2_000_000, 1000), "--rounds", ROUNDS,
                       "--program", program("candle_lake_bench"), "--folder", folder)
        if not out["equal"]:
            raise RuntimeError(f"candles differ from DuckDB's: {out}")
        cpu, wall = out["trades_per_cpu_second"], out["trades_per_second"]
        made = ", ".join(f"{v:,} of {k}" for k, v in out["candles"].items())
        for threads in (1, 2):
            ours, peer = cpu[f"ours_{threads}"], cpu[f"duckdb_all_{threads}"]
            yield Figure(f"candles 1s to 1d from Parquet, {threads} thread{'s' * (threads > 1)}, trades/s by CPU", millions(ours),
                         f"{millions(peer)} (DuckDB, the same candles)", f"{ours / peer:.1f}", "ahead of DuckDB", ours > peer,
                         f"by the clock {millions(wall[f'ours_{threads}'])} against {millions(wall[f'duckdb_all_{threads}'])}; {made}; "
                         "rows and closes equal")
        ours, peer = cpu["ours_1"], cpu["duckdb_1m_1"]
        note = "ours makes all seven timeframes, DuckDB only the minute's open, high, low, close, volume and count"
        if ours <= peer:
            run(program("candle_lake_bench"), "write", "--trades", scaled(2_000_000, 1000), folder)
            note += "; " + profile([program("candle_lake_bench"), "read", *sorted(folder.glob("*.parquet"))])
        yield Figure("the same against DuckDB making 1m alone, 1 thread", millions(ours), millions(peer), f"{ours / peer:.2f}",
                     "ahead of DuckDB", ours > peer, note)


# ---- the night ----

NIGHT = re.compile(r"first 1000: (\d+) us wall, (\d+) us cpu each; last 1000: (\d+) us wall, (\d+) us cpu each")


def night():
    commits = int(os.environ.get("BENCH_NIGHT") or scaled(4000, 2000))
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with Folder(memory) as folder:
        try:
            text = run(program("lake_night_bench"), folder / "night", commits)
        except RuntimeError:  # exit 1 is its own verdict; the words are needed all the same
            shutil.rmtree(folder / "night", ignore_errors=True)
            text = run("sh", "-c", '"$0" "$@" || true', program("lake_night_bench"), folder / "night", commits)
    first_wall, first, last_wall, last = map(int, NIGHT.search(text).groups())
    most = text.strip().splitlines()[-1]
    yield Figure(f"a night of {commits:,} commits of 100 trades: the last 1,000 to the first, CPU each", f"{last} us", f"{first} us",
                 f"{last / first:.2f}", "at most 1.2", last <= 1.2 * first, f"wall {first_wall} us, then {last_wall} us; "
                 f"{'in memory, so that the disk does not count' if memory else 'on the disk'}; {most}")
