"""What the distributed figures share: the stack, a deployment of its own on it, and the CPU time of everybody else's processes."""

import contextlib
import glob
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import threading
import time
import uuid

from figures_live import Program, ask, wait_for
from harness import ROOT, run, ticklake

sys.path.insert(0, str(ROOT / "tests" / "e2e"))
from stack_tools import Stack  # noqa: E402

PARTS = ("postgres", "zookeeper", "kafka", "registry", "s3")
TICKS = os.sysconf("SC_CLK_TCK")
SAMPLE_S = 0.02


def cpu_of(pid):
    """CPU seconds of a process so far; 0 for one that is gone."""
    try:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / TICKS


def server_program(name):
    found = sorted(glob.glob(f"/usr/lib/postgresql/*/bin/{name}"), reverse=True)
    return found[0] if found else shutil.which(name) or name


class Bench:
    """The stack of the run: that of TICKLAKE_STACK_DIR, else one of its own on a disk, made at the first use and gone at the end."""

    def __init__(self):
        self.stack, self.folder = None, None

    def up(self):
        if not self.stack:
            self.stack = Stack.existing() or self.own()
            self.stack.up(*PARTS)
            self.env = self.stack.env()
        return self

    def own(self):
        self.folder = pathlib.Path(os.environ.get("BENCH_FOLDER", "/var/tmp")) / f"ticklake-bench-stack-{os.getpid()}"
        self.folder.mkdir(mode=0o755)
        return Stack(self.folder)

    def pids(self, part):
        return [p["pid"] for p in self.stack.status()["parts"][part]["processes"] if p["pid"]]

    def close(self):
        if self.stack:
            self.stack.close()
        if self.folder:
            shutil.rmtree(self.folder, ignore_errors=True)
        self.stack = self.folder = None


BENCH = Bench()


class Backends:
    """CPU seconds of PostgreSQL's processes of one database while it is entered (all of the server's for database None); looked
    at every 20 ms, so of one that ends at most that much is missed."""

    def __init__(self, database):
        self.database, self.last, self.over = database, {}, threading.Event()
        self.server = BENCH.pids("postgres")[0]

    def mine(self, pid):
        if self.database is None:
            return True
        try:
            title = pathlib.Path(f"/proc/{pid}/cmdline").read_text()
        except OSError:
            return False
        # A sender of the log does not name its database; no other one runs meanwhile.
        return (f" {self.database} " in title or " walsender " in title) and "autovacuum" not in title

    def look(self):
        for pid in pathlib.Path(f"/proc/{self.server}/task/{self.server}/children").read_text().split():
            if self.mine(pid):
                self.last[pid] = max(cpu_of(pid), self.last.get(pid, 0))

    def watch(self):
        while not self.over.wait(SAMPLE_S):
            self.look()

    def __enter__(self):
        self.look()
        self.first = dict(self.last)
        self.thread = threading.Thread(target=self.watch, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()
        self.look()
        self.seconds = sum(self.last.values()) - sum(self.first.values())


def run_counted(*args, **options):
    """Runs a program: its standard output, its CPU seconds, its wall seconds."""
    begun = time.monotonic()
    child = subprocess.Popen([str(a) for a in args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)
    errors = []
    reader = threading.Thread(target=lambda: errors.append(child.stderr.read()))
    reader.start()
    out = child.stdout.read()
    reader.join()
    _, code, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(code)
    if child.returncode:
        raise RuntimeError(f"{args[0]} exits {child.returncode}: {errors[0][-1500:]}")
    return out, usage.ru_utime + usage.ru_stime, time.monotonic() - begun


class Part(Program):
    """`ticklake run --stages ...` of a deployment."""

    def __init__(self, deployment, stages, *args):
        self.name, self.log = stages, deployment.folder / f"{stages.replace(',', '-')}-{len(deployment.parts)}.log"
        with open(self.log, "w") as f:
            self.process = subprocess.Popen([ticklake(), "run", "--stages", stages, *map(str, args)], stdout=subprocess.DEVNULL,
                                            stderr=f, env=deployment.env)
        self.found = None
        deployment.parts.append(self)

    def status(self):
        self.found = self.found or self.port()
        return json.loads(ask(self.found, "/api/v1/status"))

    def alive(self):
        if self.process.poll() is not None:
            raise RuntimeError(f"{self.log.name} has ended: {self.log.read_text()[-1500:]}")
        return True

    def wait(self, condition, seconds, what):
        """Until condition(status) holds; a process that ends meanwhile is told with its log."""
        def holds():
            time.sleep(0.02)
            return self.alive() and condition(self.status())
        return wait_for(holds, seconds, f"{self.name}: {what}; {self.log.read_text()[-700:]}")


class Deployment:
    """A database, topics, slot and warehouse of their own on the stack."""

    def __init__(self, folder, partitions=3, **settings):
        BENCH.up()
        self.folder, self.parts, self.programs = pathlib.Path(folder), [], []
        self.name = "b" + uuid.uuid4().hex[:10]
        self.admin = BENCH.env["TICKLAKE_STACK_POSTGRES_URL"]
        self.url = re.sub(r"/[^/]*$", f"/{self.name}", self.admin)
        self.prefix = f"{self.name}."
        self.psql(f"CREATE DATABASE {self.name}", self.admin)
        self.env = {**os.environ, **BENCH.env, "TICKLAKE_DATA": str(self.folder / "data"), "TICKLAKE_STORE__URL": self.url,
                    "TICKLAKE_STORE__SLOT": self.name, "TICKLAKE_BUS__PREFIX": self.prefix, "TICKLAKE_BUS__NAME": self.name,
                    "TICKLAKE_BUS__GROUP": self.name, "TICKLAKE_BUS__PARTITIONS": str(partitions), "TICKLAKE_LAKE__CATALOG": self.url,
                    "TICKLAKE_LAKE__WAREHOUSE": f's3://{BENCH.env["TICKLAKE_STACK_S3_BUCKET"]}/{self.name}',
                    "TICKLAKE_SERVE__BIND": "127.0.0.1:0", **settings}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for p in self.parts:
            p.kill()
        slots = f"pg_replication_slots WHERE database = '{self.name}'"
        self.psql(f"SELECT pg_terminate_backend(active_pid) FROM {slots} AND active", self.admin)
        with contextlib.suppress(RuntimeError):  # what is left goes with the stack
            wait_for(lambda: self.psql(f"SELECT count(*) FROM {slots} AND active", self.admin) == "0", 30, "the slots are free")
            self.psql(f"SELECT pg_drop_replication_slot(slot_name) FROM {slots}", self.url)
            self.psql(f"DROP DATABASE {self.name} WITH (FORCE)", self.admin)

    def psql(self, sql, url=None):
        return run("psql", "-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-d", url or self.url, "-c", sql).strip()

    def make_slot(self, name=None):
        self.psql(f"SELECT pg_create_logical_replication_slot('{name or self.name}', 'pgoutput')")

    def start(self, stages, *args):
        return Part(self, stages, *args)

    def command(self, *args, timeout=600):
        return run(ticklake(), *args, env=self.env, timeout=timeout)

    def verify(self, trades):
        told = json.loads(self.command("verify", "--json", "--wait", 120))
        if told["trades"] != trades:
            raise RuntimeError(f"{trades} trades were written, verify finds {told['trades']}")
