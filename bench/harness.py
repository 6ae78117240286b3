"""What the figures share: running programs, medians, profiles, the table."""

import dataclasses
import json
import os
import pathlib
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
BUILD = pathlib.Path(os.environ.get("BENCH_BUILD", ROOT / "build"))
SCALE = float(os.environ.get("BENCH_SCALE", "1"))
RECORDINGS = pathlib.Path(os.environ.get("TICKLAKE_RECORDINGS") or ROOT.parent / "shared" / "recordings")
BENCH_PYTHON = os.environ.get("TICKLAKE_BENCH_PYTHON", sys.executable)
ROUNDS = 3


def scaled(n, least=1):
    return max(least, int(n * SCALE))


def program(name):
    return str(BUILD / "bench" / name)


def ticklake():
    return str(BUILD / "ticklake")


def say(text):
    print(f"bench: {text}", file=sys.stderr, flush=True)


def run(*args, **options):
    """The standard output of a program; what it says on standard error is shown only if it fails."""
    done = subprocess.run([str(a) for a in args], capture_output=True, text=True, **options)
    if done.returncode:
        raise RuntimeError(f"{args[0]} exits {done.returncode}: {done.stderr[-2000:]}")
    return done.stdout


def run_json(*args, **options):
    return json.loads(run(*args, **options))


def median(rows, key):
    return statistics.median(r[key] for r in rows)


def millions(n):
    return f"{n / 1e6:.2f} M"


class Folder:
    """A new folder on a disk (or where it is told), gone at the end."""

    def __init__(self, where=None):
        self.where = where or os.environ.get("BENCH_FOLDER", "/var/tmp")

    def __enter__(self):
        self.path = pathlib.Path(tempfile.mkdtemp(prefix="ticklake-bench-", dir=self.where))
        return self.path

    def __exit__(self, *_):
        shutil.rmtree(self.path, ignore_errors=True)


# ---- Where the time goes, in one line ----

def top_of_perf(data, by):
    text = run("perf", "report", "-i", data, "--stdio", "--no-children", "-g", "none", "-F", f"overhead,{by}")
    if by == "dso":
        rows = re.findall(r"^\s*([\d.]+)%\s+(\S+)", text, re.M)
        return ", ".join(f"{share} % {name.strip('[]')}" for share, name in rows[:7])
    rows = re.findall(r"^\s*([\d.]+)%\s+\[.\]\s+(\S+)|^\s*([\d.]+)%\s+\[k\]\s+(\S+)", text, re.M)
    return ", ".join(f"{a or c} % {b or d + ' (kernel)'}" for a, b, c, d in rows[:7])


def top_of_callgrind(data):
    rows = re.findall(r"\(\s*([\d.]+)%\)\s+\S*?:(\S+) \[", run("callgrind_annotate", data))
    return ", ".join(f"{share} % {name}" for share, name in rows[:7]) + " (instructions)"


def profile(command, small=None, by="symbol"):
    """The most expensive functions (or, by dso, libraries) of a command, by perf or else by callgrind over a smaller one; never
    fails."""
    with tempfile.TemporaryDirectory() as folder:
        data = os.path.join(folder, "profile")
        try:
            run("perf", "record", "-q", "-F", "999", "-o", data, *command)
            return top_of_perf(data, by)
        except (OSError, RuntimeError):
            pass
        try:
            run("valgrind", "--tool=callgrind", f"--callgrind-out-file={data}", *(small or command))
            return top_of_callgrind(data)
        except (OSError, RuntimeError):
            return "no profile: neither perf nor valgrind works here"


# ---- The table ----

@dataclasses.dataclass
class Figure:
    what: str
    ours: str
    peer: str = "-"
    ratio: str = "-"
    reach: str = "-"
    reached: bool | None = None  # None: the design sets no reach for it
    note: str = ""

    def word(self):
        return "-" if self.reached is None else "reached" if self.reached else "not reached"


HEADINGS = ("what", "ours", "peer or limit", "ratio", "reach", "")


def cells(figures):
    return [(f.what, f.ours, f.peer, f.ratio, f.reach, f.word()) for f in figures]


def print_table(figures):
    rows = [HEADINGS] + cells(figures)
    widths = [max(len(row[i]) for row in rows) for i in range(len(HEADINGS))]
    for row in rows:
        print("  ".join(cell.ljust(w) for cell, w in zip(row, widths)).rstrip())


def processor():
    try:
        found = re.search(r"^model name\s*:\s*(.*)$", pathlib.Path("/proc/cpuinfo").read_text(), re.M)
    except OSError:
        found = None
    return found.group(1) if found else platform.processor() or "unknown"


def machine():
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    return f"{os.cpu_count()} cores of {processor()}, {pages:.0f} GiB, Linux {platform.release()}"


def versions():
    import duckdb
    import pyarrow
    build = run(ticklake(), "version").splitlines()[0]
    compiler = run(os.environ.get("CC", "gcc"), "--version").splitlines()[0]
    return f"{build}; {compiler}; pyarrow {pyarrow.__version__}, DuckDB {duckdb.__version__}, cryptofeed 2.4.1"


HEAD = """# Figures

Made by `make bench`; do not edit. The reach of each is what the design set before there was code.

"""

METHOD = """
## How

- Ours and the peer take turns in the same run, {rounds} rounds or more; each value is the median. What is called "by CPU" is divided
  by the CPU time of the process, so that other programs on the machine count less: judge by the ratio.
- The recordings hold some 60,000 trades. The replays, the candles and the Parquet files are a generated market, by seed: for
  replays in Binance's own frames (`bench/market_frames.c`), live by `ticklake simulate` over real sockets.
- Data folders are on a disk, with every sync, where a note does not say otherwise.
- The distributed figures have a stack of their own (`stack/`: PostgreSQL, ZooKeeper and three brokers, registry, S3), on the same
  disk and the same cores as everything that is measured: by the clock they all share what one machine has. A server's CPU is that
  of its processes while ours or the peer's ran.
"""


def write_results(path, figures, command, loads, seconds):
    lines = [HEAD, f"- machine: {machine()}\n", f"- date: {time.strftime('%Y-%m-%d %H:%M UTC', time.gmtime())}\n",
             f"- command: `{command}` ({seconds:.0f} s)\n", f"- programs: {versions()}\n",
             f"- load average during the run: {min(loads):.1f} to {max(loads):.1f}"
             + (": the machine was shared, other programs ran beside\n" if max(loads) > os.cpu_count() + 0.5 else "\n"), "\n"]
    lines.append("| " + " | ".join(h or "reached" for h in HEADINGS) + " |\n" + "|---" * len(HEADINGS) + "|\n")
    lines += ["| " + " | ".join(c.replace("|", "\\|") for c in row) + " |\n" for row in cells(figures)]
    lines.append(METHOD.format(rounds=ROUNDS))
    notes = [f for f in figures if f.note]
    if notes:
        lines.append("\n## Notes\n\n" + "".join(f"- **{f.what}**: {f.note}\n" for f in notes))
    path.write_text("".join(lines))
