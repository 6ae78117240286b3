"""Figures over real sockets: ticklake run against ticklake simulate, both on loopback, on the same cores."""

import json
import os
import pathlib
import re
import signal
import socket
import statistics
import subprocess
import threading
import time
import urllib.error
import urllib.request

from harness import ROUNDS, Figure, Folder, profile, program, run, scaled, ticklake

PATHS = {"binance": "/stream", "binance_futures": "/stream", "coinbase": "", "kraken": "/v2", "tiingo": "/crypto"}


def wait_for(condition, seconds, what):
    until = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > until:
            raise RuntimeError(f"after {seconds} s still not: {what}")
        time.sleep(0.005)


class Program:
    """A child whose standard error goes to a file, and who is gone at the end."""

    def __init__(self, log, *args):
        self.log = pathlib.Path(log)
        with open(self.log, "w") as f:
            self.process = subprocess.Popen([ticklake(), *map(str, args)], stdout=subprocess.DEVNULL, stderr=f)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()

    def port(self):
        def find():
            if self.process.poll() is not None:
                raise RuntimeError(f"{self.log.name}: {self.log.read_text()[-1500:]}")
            found = re.search(r"msg=listening .*?port=(\d+)", self.log.read_text())
            return found and int(found.group(1))
        return wait_for(find, 20, f"{self.log.name} tells its port")

    def kb(self, field):
        return int(re.search(rf"^{field}:\s+(\d+) kB", pathlib.Path(f"/proc/{self.process.pid}/status").read_text(), re.M).group(1))

    def cpu_seconds(self):
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / 100

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


def simulator(folder, *args):
    return Program(folder / "simulate.log", "simulate", "--port", 0, "--report", folder / "truth.json", *args)


def write_config(folder, port, venues, **sections):
    lines = [f"data: {folder / 'data'}", "venues:"]
    for v in venues:
        lines += [f"  - name: {v}", '    symbols: ["*"]', f"    ws_url: ws://127.0.0.1:{port}/{v}{PATHS[v]}",
                  f"    rest_url: http://127.0.0.1:{port}/{v}"] + (["    token: bench"] if v == "tiingo" else [])
    sections.setdefault("serve", {"bind": "127.0.0.1:0"})
    for name, keys in sections.items():
        lines += [f"{name}:"] + [f"  {k}: {v}" for k, v in keys.items()]
    path = folder / "ticklake.yaml"
    path.write_text("\n".join(lines) + "\n")
    return path


def pipeline(folder, config, log="run.log"):
    return Program(folder / log, "run", "--config", config)


def ask(port, path):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
        return answer.read()


def status(port):
    return json.loads(ask(port, "/api/v1/status"))


def is_ready(port):
    try:
        ask(port, "/readyz")
        return True
    except (urllib.error.URLError, OSError):
        return False


# ---- received -> durable -> visible ----

class Disk:
    """What the disk alone takes to make 16 KB durable, meanwhile: the limit of every group commit."""

    def __init__(self, folder):
        self.path, self.took, self.over = folder / "probe", [], threading.Event()
        self.thread = threading.Thread(target=self.probe, daemon=True)
        self.thread.start()

    def probe(self):
        with open(self.path, "wb", buffering=0) as f:
            while not self.over.wait(0.05):
                begun = time.monotonic()
                f.write(b"x" * 16384)
                os.fdatasync(f.fileno())
                self.took.append(time.monotonic() - begun)

    def p99_ms(self):
        self.over.set()
        self.thread.join()
        return statistics.quantiles(self.took, n=100)[98] * 1000

def latency():
    seconds, rate, venues = max(6, scaled(25)), 1000, ["binance", "coinbase", "kraken", "tiingo"]
    with Folder() as folder, simulator(folder, "--venues", ",".join(venues), "--symbols", 8, "--rate", rate, "--quotes", 1) as sim:
        config = write_config(folder, sim.port(), venues)
        with pipeline(folder, config) as live:
            port = live.port()
            wait_for(lambda: is_ready(port), 30, "ready")
            disk, first, cpu = Disk(folder), status(port), live.cpu_seconds()
            begun = time.monotonic()
            time.sleep(seconds)
            last, cpu = status(port), live.cpu_seconds() - cpu
            sync_ms = disk.p99_ms()
            elapsed = time.monotonic() - begun
            trades = (last["trades"] - first["trades"]) / elapsed
            quotes = (last["quotes"] - first["quotes"]) / elapsed
            note = (f"{trades:.0f} trades/s and {quotes:.0f} quotes/s over {last['connections']} connections for {elapsed:.0f} s, the "
                    f"simulator on the same cores; {100 * cpu / elapsed:.0f} % of a core")
            for key, what, least_ms in (("durable_us", "received to durable", 20), ("visible_us", "received to visible in the lake", 1000)):
                p50, p99 = (last[key][p] / 1000 for p in ("p50", "p99"))
                more = f"p50 {p50:.1f} ms, longest {last[key]['max'] / 1000:.1f} ms; {note}"
                if p99 > least_ms and key == "durable_us":
                    more += "; a commit waits for one sync or two of a disk that other programs use as well: see the limit beside it"
                durable = key == "durable_us"
                yield Figure(f"live, {rate:,} trades/s, {what}, p99", f"{p99:.1f} ms",
                             f"{sync_ms:.1f} ms (one sync of this disk, p99)" if durable else "-",
                             f"{p99 / sync_ms:.1f}" if durable else "-", f"{least_ms:,} ms", p99 <= least_ms, more)
            live.stop()


# ---- memory ----

def at_rest():
    with Folder() as folder, simulator(folder, "--venues", "binance,kraken", "--symbols", 4, "--rate", 1, "--quotes", 0) as sim:
        with pipeline(folder, write_config(folder, sim.port(), ["binance", "kraken"])) as live:
            port = live.port()
            wait_for(lambda: is_ready(port), 30, "ready")
            time.sleep(3)
            return live.kb("VmRSS") / 1024


def under_load(seconds, rate):
    """Resident memory once the first compactions are over, and so many seconds later."""
    venues = ["binance", "coinbase", "kraken"]
    with Folder() as folder, simulator(folder, "--venues", ",".join(venues), "--symbols", 8, "--rate", rate, "--quotes", 1) as sim:
        with pipeline(folder, write_config(folder, sim.port(), venues)) as live:
            port = live.port()
            wait_for(lambda: status(port)["commits"] >= 40, 120, "40 commits")
            first, before = live.kb("VmRSS") / 1024, status(port)["trades"]
            time.sleep(seconds)
            return first, live.kb("VmRSS") / 1024, live.kb("VmHWM") / 1024, status(port)["trades"] - before


def many_symbols(symbols):
    with Folder() as folder, simulator(folder, "--venues", "binance", "--symbols", symbols, "--rate", 2000, "--quotes", 1) as sim:
        with pipeline(folder, write_config(folder, sim.port(), ["binance"])) as live:
            port = live.port()
            wait_for(lambda: is_ready(port), 60, "ready")
            begun = time.monotonic()
            time.sleep(12)
            now = status(port)
            return live.kb("VmHWM") / 1024, now["connections_up"], now["trades"] / (time.monotonic() - begun)


def memory():
    rest = at_rest()
    yield Figure("memory at rest, two venues connected", f"{rest:.0f} MB", reach="64 MB", reached=rest < 64,
                 note="resident, libraries included")
    seconds, rate = max(5, scaled(30)), 20000
    first, last, peak, trades = under_load(seconds, rate)
    yield Figure(f"memory under load, up to {rate:,} trades/s: after 40 commits, and {seconds} s later", f"{last:.0f} MB",
                 f"{first:.0f} MB", f"{last / first:.2f}", "bounded and flat", last <= first * 1.15,
                 f"peak {peak:.0f} MB; {trades:,} trades taken in between, the simulator on the same cores; without Tiingo, whose bounded "
                 "window of prints without ids takes minutes to fill")
    symbols = scaled(8000)
    peak, connections, trades = many_symbols(symbols)
    yield Figure(f"memory with {symbols:,} symbols subscribed", f"{peak:.0f} MB", reach="256 MB", reached=peak < 256,
                 note=f"peak; trades and quotes of Binance, {connections} connections, {trades:,.0f} trades/s")


# ---- start ----

def first_attempt(folder, config_of):
    """Milliseconds from the start of the process to the connection that arrives at a listening socket."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.settimeout(20)
        config = config_of(listener.getsockname()[1])
        begun = time.monotonic()
        with pipeline(folder, config, "attempt.log"):
            connection, _ = listener.accept()
            took = time.monotonic() - begun
            connection.close()
    return took * 1000


def only_socket(folder, ws_port, rest_port):
    path = write_config(folder, rest_port, ["binance"])
    path.write_text(path.read_text().replace(f"ws://127.0.0.1:{rest_port}", f"ws://127.0.0.1:{ws_port}"))
    return path


def start():
    with Folder() as folder, simulator(folder, "--venues", "binance", "--symbols", 50, "--rate", 50) as sim:
        port = sim.port()
        with pipeline(folder, write_config(folder, port, ["binance"])) as live:
            http = live.port()
            wait_for(lambda: is_ready(http) and status(http)["marks"]["committed"] > 50, 30, "instruments and some trades kept")
            live.stop()
        took = [first_attempt(folder, lambda ws: only_socket(folder, ws, port)) for _ in range(ROUNDS)]
        first = statistics.median(took)
        note = "of " + ", ".join(f"{t:.0f}" for t in took) + " ms; the start of the process included"
        if first > 50:
            command = ["timeout", "-s", "KILL", f"{first / 1000:.3f}", ticklake(), "run", "--config", folder / "ticklake.yaml"]
            note += "; until then: " + profile(["sh", "-c", '"$0" "$@" >/dev/null 2>&1 || true', *command], by="dso")
        yield Figure("start to the first connection attempt, instruments kept", f"{first:.0f} ms", reach="50 ms", reached=first <= 50,
                     note=note)
    yield restart_with_tail()


def restart_with_tail():
    rows = scaled(1_000_000)
    with Folder() as folder:
        market = folder / "market.txt"
        run(program("market_frames"), "--trades", rows + rows // 4, market)
        with Program(folder / "replay.log", "replay", market, "--data", folder / "data", "--set", "lake.commit_ms=3600000", "--set",
                     "lake.commit_rows=50000000", "--set", "serve.enabled=false") as replay:
            wait_for(lambda: durable_rows(folder) >= rows, 120, f"{rows} rows durable and none in the lake")
            replay.kill()
        behind = positions(folder)
        if behind["committed"] or behind["durable"] < rows:
            raise RuntimeError(f"no tail of {rows} rows to start with: {behind}")
        with simulator(folder, "--venues", "binance", "--symbols", 4, "--rate", 10) as sim:
            config = write_config(folder, sim.port(), ["binance"])
            begun = time.monotonic()
            with pipeline(folder, config) as live:
                http = live.port()
                wait_for(lambda: is_ready(http), 60, "ready")
                ready = time.monotonic() - begun
                wait_for(lambda: status(http)["marks"]["committed"] >= behind["durable"], 60, "the tail is in the lake")
                caught_up = time.monotonic() - begun
    return Figure(f"after kill -9 with a tail of {behind['durable']:,} rows: ready, and all of it in the lake", f"{caught_up:.1f} s",
                  reach="5 s", reached=max(ready, caught_up) <= 5, note=f"/readyz says so after {ready:.1f} s already")


def positions(folder):
    return json.loads(run(ticklake(), "positions", "--json", "--data", folder / "data"))


def durable_rows(folder):
    time.sleep(0.05)
    try:
        return positions(folder)["durable"]
    except (RuntimeError, KeyError):
        return 0
