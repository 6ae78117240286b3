"""Figures of the distributed path: PostgreSQL, logical replication, Kafka, S3, each beside its peer on the same servers."""

import json
import os
import pathlib
import re
import time

from connect_parts import Connect, consumer, delay, ends
from figures_live import ask, simulator, wait_for, write_config
from harness import ROUNDS, Figure, Folder, median, program, run, scaled, ticklake
from stack_parts import BENCH, Backends, Deployment, cpu_of, run_counted, server_program

BATCH, WARM = 16384, 300


def thousands(n):
    return f"{n / 1000:.0f} k"


def appended(d, rows):
    """Rows into the store of a deployment (0: only its tables); what it took, the server's CPU included."""
    with Backends(d.name) as server:
        out, _, _ = run_counted(program("postgres_bench"), "append", d.url, rows, BATCH)
    told = json.loads(out)
    return {"rate": rows / max(told["wall_ns"], 1) * 1e9, "server": server.seconds, "client": told["cpu_ns"] / 1e9}


# ---- COPY ----

def copied(d, rows, path, words):
    d.psql(f"\\copy (SELECT * FROM ticklake.trade_rows) TO '{path}' {words}")
    d.psql("TRUNCATE ticklake.trade_rows")
    with Backends(d.name) as server:
        _, client, wall = run_counted("psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", d.url, "-c",
                                      f"\\copy ticklake.trade_rows FROM '{path}' {words}")
    if int(d.psql("SELECT count(*) FROM ticklake.trade_rows")) != rows:
        raise RuntimeError("psql copied another number of rows")
    return {"rate": rows / wall, "server": server.seconds, "client": client}


def copy():
    rows, ours, text, binary = scaled(400_000), [], [], []
    for _ in range(ROUNDS):
        with Folder() as folder, Deployment(folder) as d:
            appended(d, 0)
            ours.append(appended(d, rows))
            text.append(copied(d, rows, folder / "rows", ""))
            binary.append(copied(d, rows, folder / "rows", "WITH (FORMAT binary)"))
    mine, theirs, packed = (rows / median(x, "server") for x in (ours, text, binary))
    yield Figure("COPY into PostgreSQL, rows per CPU second of the server", thousands(mine), f"{thousands(theirs)} (psql \\copy)",
                 f"{mine / theirs:.2f}",
                 note=f"{rows:,} trades into the keyed daily partition, ours in {-(-rows // BATCH)} durable transactions with their batch "
                      f"rows, series and proof, psql's in one; psql with binary rows {thousands(packed)} ({mine / packed:.2f}); "
                      f"CPU of the client for all rows: ours {median(ours, 'client'):.2f} s, psql {median(text, 'client'):.2f} s as text, "
                      f"{median(binary, 'client'):.2f} s binary")
    mine, theirs, packed = (median(x, "rate") for x in (ours, text, binary))
    yield Figure("COPY into PostgreSQL, durable rows/s by the clock", thousands(mine), f"{thousands(theirs)} (psql \\copy)",
                 f"{mine / theirs:.2f}", note=f"psql with binary rows {thousands(packed)}")


# ---- the slot ----

def with_slot(d, base, work):
    """Each reading has a copy of the slot that holds all."""
    d.psql(f"SELECT pg_copy_logical_replication_slot('{base}', '{base}_copy')")
    try:
        with Backends(d.name) as server:
            client, wall = work(f"{base}_copy")
        return {"client": client, "server": server.seconds, "all": client + server.seconds, "wall": wall}
    finally:
        wait_for(lambda: d.psql(f"SELECT count(*) FROM pg_replication_slots WHERE slot_name = '{base}_copy' AND active") == "0", 30,
                 "the copied slot is free")
        d.psql(f"SELECT pg_drop_replication_slot('{base}_copy')")


def read_by_ours(d, way, rows):
    def work(slot):
        told = json.loads(run_counted(program("postgres_bench"), way, d.url, slot, rows)[0])
        return told["cpu_ns"] / 1e9, told["wall_ns"] / 1e9
    return with_slot(d, d.name, work)


def read_by_peer(d, end):
    def work(slot):
        _, client, wall = run_counted(server_program("pg_recvlogical"), "-d", d.url, "--slot", slot, "--start", "--no-loop", "-o",
                                      "proto_version=1", "-o", "publication_names=ticklake", "-o", "binary=true", f"--endpos={end}",
                                      "-f", os.devnull)
        return client, wall
    return with_slot(d, d.name, work)


def changes():
    rows, found = scaled(600_000), {"stream": [], "bulk": [], "peer": []}
    with Folder() as folder, Deployment(folder) as d:
        appended(d, 0)
        d.make_slot()
        appended(d, rows)
        end = d.psql("SELECT pg_current_wal_flush_lsn()")
        for _ in range(ROUNDS):
            found["peer"].append(read_by_peer(d, end))
            found["stream"].append(read_by_ours(d, "stream", rows))
            found["bulk"].append(read_by_ours(d, "bulk", rows))
    peer = rows / median(found["peer"], "all")
    for way, words in (("stream", "streaming"), ("bulk", "a backlog in bulk")):
        ours = rows / median(found[way], "all")
        note = "; ".join(f"{who}: client {median(found[k], 'client'):.2f} s, server {median(found[k], 'server'):.2f} s, "
                         f"{thousands(rows / median(found[k], 'wall'))} rows/s by the clock"
                         for who, k in (("ours", way), ("pg_recvlogical", "peer")))
        yield Figure(f"CDC, {words}, rows per CPU second of client and server", thousands(ours), f"{thousands(peer)} (pg_recvlogical)",
                     f"{ours / peer:.2f}", "0.8", ours / peer >= 0.8,
                     f"{rows:,} trades, the same slot, pgoutput with binary values; ours decodes to events and checks them, "
                     f"pg_recvlogical writes the bytes to {os.devnull}; {note}")


# ---- Kafka ----

def produce():
    BENCH.up()
    records, found = scaled(1_000_000), {}
    text = run(program("kafka_bench"), BENCH.env["TICKLAKE_BUS__BROKERS"], BENCH.env["TICKLAKE_REGISTRY__URL"], f"bench{os.getpid()}.", records, ROUNDS)
    for line in text.splitlines():
        told = json.loads(line)
        found.setdefault(told["way"], []).append({"wall": told["records"] / told["wall_ns"] * 1e9, "cpu": told["records"] / told["cpu_ns"] * 1e9})
    for by, words in (("wall", "records/s"), ("cpu", "records per CPU second of the client")):
        ours, alone, transactions = (median(found[k], by) for k in ("ours", "alone", "alone_transactions"))
        yield Figure(f"produce to Kafka with transactions, {words}", thousands(ours), f"{thousands(alone)} (librdkafka without)",
                     f"{ours / alone:.2f}", "0.7", ours / alone >= 0.7,
                     f"ours encodes each trade to Avro, librdkafka alone sends the same bytes ready made: same keys, idempotence, lz4, "
                     f"three replicas, acks=all; librdkafka alone with transactions, too: {thousands(transactions)}, ours to it "
                     f"{ours / transactions:.2f}")


# ---- the whole path ----

def rest_of(part):
    """RSS once a process has settled."""
    time.sleep(3)
    return part.alive() and part.kb("VmRSS") / 1024


def started(d):
    """The publisher and a worker, after a few trades through all of it: topics, subjects and tables are there."""
    with Folder() as folder:
        run(program("market_frames"), "--trades", WARM, "--symbols", 3, "--seed", 7, folder / "warm.txt")
        appended(d, 0)
        d.make_slot()
        bus, worker = d.start("bus"), d.start("process,lake")
        d.command("replay", folder / "warm.txt", "--data", folder / "data")
        worker.wait(lambda s: s["worker"]["trades"] >= WARM, 120, "the first trades")
        all_committed(worker)
    return bus, worker


def all_committed(worker):
    """What it has taken waits for no commit any more; verify says afterwards whether all of it is there."""
    def waiting():
        return int(re.search(rb"^ticklake_lake_buffered_rows (\d+)$", ask(worker.found, "/metrics"), re.M).group(1))
    worker.wait(lambda _: waiting() == 0, 60, "the last commit")


def servers_cpu():
    return {part: sum(cpu_of(p) for p in BENCH.pids(part)) for part in ("kafka", "s3")}


def flow(d, market, trades):
    """Frames to the lake over everything; seconds, and the CPU of each."""
    bus, worker = started(d)
    resting = {p.name: rest_of(p) for p in (bus, worker)}
    before, own = servers_cpu(), {p.name: p.cpu_seconds() for p in (bus, worker)}
    begun = time.monotonic()
    with Backends(None) as server:
        _, replay, wrote = run_counted(ticklake(), "replay", market, env=d.env)
        bus.wait(lambda s: s["bus"]["rows"] >= WARM + trades, 300, "all is on Kafka")
        published = time.monotonic() - begun
        worker.wait(lambda s: s["worker"]["trades"] >= WARM + trades, 300, "the worker has all")
        all_committed(worker)
        took = time.monotonic() - begun
    after = servers_cpu()
    cpu = {"replay": replay, "PostgreSQL": server.seconds, "bus": bus.cpu_seconds() - own["bus"],
           "brokers": after["kafka"] - before["kafka"], "worker": worker.cpu_seconds() - own["process,lake"],
           "S3": after["s3"] - before["s3"]}
    memory = {p.name: (resting[p.name], p.kb("VmRSS") / 1024, p.kb("VmHWM") / 1024) for p in (bus, worker)}
    d.verify(WARM + trades)
    return took, wrote, published, cpu, memory


def path():
    trades = scaled(600_000)
    with Folder() as folder, Deployment(folder) as d:
        run(program("market_frames"), "--trades", trades, folder / "market.txt")
        took, wrote, published, cpu, memory = flow(d, folder / "market.txt", trades)
    total = sum(cpu.values())
    rate, by_cpu = trades / took, 2 * trades / total
    shares = ", ".join(f"{k} {v:.1f} s" for k, v in sorted(cpu.items(), key=lambda x: -x[1]))
    yield Figure("whole distributed path, frames to S3, trades/s", f"{rate:,.0f}", reach="30,000", reached=rate >= 30000,
                 note=f"{trades:,} generated trades; durable in PostgreSQL after {wrote:.1f} s, on Kafka after {published:.1f} s, in the lake "
                      f"after {took:.1f} s, then verify over all hops; at least 5,000 is asked. CPU: {shares}; what two cores give by CPU: "
                      f"{by_cpu:,.0f} trades/s")
    for name, (rest, now, peak) in memory.items():
        yield Figure(f"memory of run --stages {name}: at rest", f"{rest:.0f} MB", reach="64 MB", reached=rest < 64,
                     note=f"after {trades:,} trades at full speed {now:.0f} MB, at most {peak:.0f} MB")


# ---- Kafka -> Iceberg ----

SINK = 54_000  # rows per CPU second of the Iceberg sink of Kafka Connect, measured once, not in this run


def to_iceberg():
    trades = scaled(1_000_000)
    with Folder() as folder, Deployment(folder) as d:
        run(program("market_frames"), "--trades", trades, folder / "market.txt")
        appended(d, 0)
        d.make_slot()
        d.command("replay", folder / "market.txt")
        bus = d.start("bus")
        bus.wait(lambda s: s["bus"]["rows"] >= trades, 300, "all is on Kafka")  # it goes on, since rows that are no trades may follow
        worker = d.start("process,lake")
        begun = time.monotonic()
        worker.wait(lambda s: s["worker"]["trades"] >= trades, 300, "the worker has all")
        all_committed(worker)
        took, cpu = time.monotonic() - begun, worker.cpu_seconds()
        d.verify(trades)
    rate = trades / cpu
    yield Figure("Kafka to Iceberg on S3, rows per CPU second of a worker", thousands(rate), f"{SINK // 1000} k (Kafka Connect's sink, earlier)",
                 f"{rate / SINK:.1f}", "8", rate / SINK >= 8,
                 f"{trades:,} trades with their candles 1s to 1d, {trades / took:,.0f} trades/s by the clock, start of the process "
                 "included; the sink's figure is of another run: JSON rows, no candles, local disk")


# ---- live ----

def live():
    seconds, rate, venues = max(6, scaled(25)), 1000, ["binance", "coinbase", "kraken", "tiingo"]
    with Folder() as folder, Deployment(folder) as d:
        with simulator(folder, "--venues", ",".join(venues), "--symbols", 8, "--rate", rate, "--quotes", 1) as sim:
            config = write_config(folder, sim.port(), venues)
            bus, worker = started(d)
            source = d.start("source,store", "--config", config)
            source.wait(lambda s: s["trades"] > rate, 60, "trades come")
            cpu = {p.name: p.cpu_seconds() for p in (source, bus, worker)}
            first, begun = source.status(), time.monotonic()
            time.sleep(seconds)
            last, elapsed = source.status(), time.monotonic() - begun
            cpu = {p.name: (p.cpu_seconds() - cpu[p.name]) / elapsed for p in (source, bus, worker)}
            memory = {p.name: p.kb("VmRSS") / 1024 for p in (source, bus, worker)}
            visible, lag, durable = worker.status()["worker"]["visible_us"], bus.status()["bus"]["lag_us"], last["durable_us"]
    trades = (last["trades"] - first["trades"]) / elapsed
    hops = ", ".join(f"{words} p50 {x['p50'] / 1000:.0f} p99 {x['p99'] / 1000:.0f} ms" for words, x in
                     (("received to durable in PostgreSQL", durable), ("commit there to acknowledged by Kafka", lag)))
    p50, p99 = visible["p50"] / 1000, visible["p99"] / 1000
    yield Figure(f"distributed, {rate:,} trades/s, received to visible in the lake, p99", f"{p99:.0f} ms", reach="1,000 ms",
                 reached=p99 <= 1000, note=f"p50 {p50:.0f} ms; {hops}; {trades:.0f} trades/s and as many quotes for {elapsed:.0f} s from four "
                 "venues; of a core " + ", ".join(f"{k} {100 * v:.0f} %" for k, v in cpu.items()) + "; memory "
                 + ", ".join(f"{k} {v:.0f} MB" for k, v in memory.items()))


# ---- Debezium ----

PATIENCE_S = 150


def publish_by_ours(d, rows):
    """The backlog of the slot to Kafka, and then the delays of single transactions, as two kinds of consumer see them."""
    begun = time.monotonic()
    bus = d.start("bus")
    bus.wait(lambda s: s["bus"]["rows"] >= rows, PATIENCE_S, "the backlog is on Kafka")
    told = {"rate": rows / bus.cpu_seconds(), "wall": rows / (time.monotonic() - begun), "rss": bus.kb("VmHWM") / 1024}
    topic = f"{d.prefix}market.trades"
    told["committed"] = delay(d, topic, 9_000_000_000, "read_committed")
    told["uncommitted"] = delay(d, topic, 9_100_000_000, "read_uncommitted")
    bus.stop()
    return told


def publish_by_debezium(d, encoding, rows, first_id):
    client = consumer()
    with Connect(d, f"{d.name}_{encoding}", encoding) as peer:
        def count():
            peer.check()
            time.sleep(0.2)
            return sum(ends(client, peer.topic).values())
        first = wait_for(count, PATIENCE_S, "Debezium's first record")
        cpu, begun = peer.cpu_seconds(), time.monotonic()
        now = first
        while now < rows and time.monotonic() < begun + PATIENCE_S:
            now = count()
        told = {"rate": (now - first) / max(peer.cpu_seconds() - cpu, 0.01), "wall": (now - first) / (time.monotonic() - begun), "done": now}
        if now >= rows and encoding == "json":
            told["delay"] = delay(d, peer.topic, first_id, "read_uncommitted")
        told["rss"] = int(re.search(r"VmHWM:\s+(\d+)", pathlib.Path(f"/proc/{peer.process.pid}/status").read_text()).group(1)) / 1024
    client.close()
    return told


def debezium():
    rows = scaled(500_000)
    with Folder() as folder, Deployment(folder) as d:
        appended(d, 0)
        d.make_slot()
        d.make_slot(f"{d.name}_json")
        d.make_slot(f"{d.name}_avro")
        appended(d, rows)
        ours = publish_by_ours(d, rows)
        written = rows + ours["committed"]["rows"] + ours["uncommitted"]["rows"]
        peer = publish_by_debezium(d, "json", written, 9_200_000_000)
        avro = publish_by_debezium(d, "avro", written, 9_300_000_000)
    ratio = ours["rate"] / peer["rate"]
    yield Figure("PostgreSQL to Kafka, rows per CPU second of the publisher", thousands(ours["rate"]),
                 f"{thousands(peer['rate'])} (Debezium, tuned, JSON)", f"{ratio:.1f}", "5", ratio >= 5,
                 f"the same {rows:,} trades, three replicas, lz4; ours Avro by the registry with transactions, Debezium 3.3.1 in Kafka "
                 f"Connect 3.9.2 JSON without, which is its fastest, and counted from its first record; by the clock "
                 f"{thousands(ours['wall'])} and {thousands(peer['wall'])} rows/s; with Avro (Apicurio's converter, which writes the schema "
                 f"out for every record) Debezium has {avro['rate'] / 1000:.1f} k, ours {ours['rate'] / avro['rate']:.1f} times that"
                 + "".join(f"; {k} was stopped at {x['done']:,} rows" for k, x in (("JSON", peer), ("Avro", avro)) if x["done"] < written))
    yield Figure("memory of the publisher, at most", f"{ours['rss']:.0f} MB", f"{peer['rss']:.0f} MB (Debezium's JVM)",
                 f"{ours['rss'] / peer['rss']:.2f}")
    theirs = peer.get("delay")
    if not theirs:
        raise RuntimeError("Debezium did not come to the end of the backlog in time: no delay to compare with")
    for kind, words, reach in (("committed", "with transactions", "250 ms"), ("uncommitted", "read without waiting for the transaction's end",
                                                                             "below Debezium's")):
        p99 = ours[kind]["p99"]
        yield Figure(f"commit in PostgreSQL to a Kafka consumer, 1,000 rows/s, {words}, p99", f"{p99:.0f} ms",
                     f"{theirs['p99']:.0f} ms (Debezium, tuned)", f"{p99 / theirs['p99']:.2f}", reach,
                     p99 <= 250 if kind == "committed" else p99 < theirs["p99"],
                     f"p50 {ours[kind]['p50']:.0f} ms, Debezium's {theirs['p50']:.0f} ms; ten rows a transaction every 10 ms, the first "
                     f"5 s left out; from before the transaction is sent")
