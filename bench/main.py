"""All figures in their order; called by bench/run."""

import os
import sys
import time

import figures_distributed
import figures_live
import figures_offline
from harness import ROOT, SCALE, Figure, print_table, say, write_results
from stack_parts import BENCH

PARTS = {
    "decode": figures_offline.decode,
    "store": figures_offline.store,
    "replay": figures_offline.replay,
    "parquet": figures_offline.parquet,
    "candles": figures_offline.candles,
    "live": figures_live.latency,
    "memory": figures_live.memory,
    "start": figures_live.start,
    "night": figures_offline.night,
    "copy": figures_distributed.copy,
    "changes": figures_distributed.changes,
    "produce": figures_distributed.produce,
    "debezium": figures_distributed.debezium,
    "path": figures_distributed.path,
    "iceberg": figures_distributed.to_iceberg,
    "distributed": figures_distributed.live,
}


def one(name):
    say(f"{name} ...")
    begun = time.monotonic()
    try:
        figures = list(PARTS[name]())
    except Exception as problem:  # whatever a client library throws: a bench that dies is told, and the others go on
        figures = [Figure(name, "failed", reached=False, note=f"{type(problem).__name__}: {problem}".strip().replace("\n", " ")[-600:])]
    say(f"{name}: {time.monotonic() - begun:.0f} s")
    return figures


def main():
    names = sys.argv[1:] or list(PARTS)
    unknown = [n for n in names if n not in PARTS]
    if unknown:
        sys.exit(f"bench/run: no such part: {', '.join(unknown)}; there are {', '.join(PARTS)}")
    begun = time.monotonic()
    figures, loads = [], [os.getloadavg()[0]]
    try:
        for name in names:
            figures += one(name)
            loads.append(os.getloadavg()[0])
    finally:
        BENCH.close()
    print_table(figures)
    for f in figures:
        if f.note:
            print(f"  {f.what}: {f.note}")
    if names == list(PARTS) and SCALE == 1:
        night = os.environ.get("BENCH_NIGHT")
        command = (f"BENCH_NIGHT={night} " if night else "") + "make bench"
        write_results(ROOT / "bench" / "RESULTS.md", figures, command, loads, time.monotonic() - begun)
        say("wrote bench/RESULTS.md")


if __name__ == "__main__":
    main()
