"""Kafka Connect with Debezium's connector, tuned, and the delay from a commit in PostgreSQL to a consumer, for any publisher."""

import os
import pathlib
import socket
import statistics
import subprocess
import threading
import time
import urllib.parse

from harness import ROOT
from stack_parts import BENCH, cpu_of

WRITE_ROWS, WRITE_EVERY_S, LEAVE_OUT_S = 10, 0.01, 5


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Connect:
    """A worker of its own with one connector on one table: what is read by max.batch.size, sent in large compressed requests, and
    looked for every 10 ms instead of every 500."""

    def __init__(self, d, slot, encoding):
        self.folder, self.home = pathlib.Path(d.folder) / f"connect-{encoding}", pathlib.Path(os.environ["TICKLAKE_CONNECT"])
        self.folder.mkdir()
        prefix = f"{d.name}-{encoding}"
        self.topic = f"{prefix}.ticklake.trade_rows"
        registry = BENCH.env["TICKLAKE_STACK_REGISTRY_URL"].split("/apis/")[0] + "/apis/registry/v2"
        converter = {"": "org.apache.kafka.connect.json.JsonConverter", ".schemas.enable": "false"} if encoding == "json" else {
                     "": "io.apicurio.registry.utils.converter.AvroConverter", ".apicurio.registry.url": registry,
                     ".apicurio.registry.auto-register": "true"}
        self.write("worker.properties", {
            "bootstrap.servers": BENCH.env["TICKLAKE_BUS__BROKERS"], "plugin.path": self.home / "plugins",
            "listeners": f"http://127.0.0.1:{free_port()}", "offset.storage.file.filename": self.folder / "offsets",
            "producer.linger.ms": 5, "producer.batch.size": 262144, "producer.compression.type": "lz4",
            **{f"key.converter{k}": v for k, v in converter.items()}, **{f"value.converter{k}": v for k, v in converter.items()}})
        at = urllib.parse.urlsplit(d.url)
        self.write("connector.properties", {
            "name": "debezium", "connector.class": "io.debezium.connector.postgresql.PostgresConnector", "tasks.max": 1,
            "database.hostname": at.hostname, "database.port": at.port, "database.user": at.username, "database.password": at.password,
            "database.dbname": d.name, "topic.prefix": prefix, "plugin.name": "pgoutput", "slot.name": slot,
            "publication.name": "ticklake", "publication.autocreate.mode": "disabled", "snapshot.mode": "no_data",
            "table.include.list": "ticklake.trade_rows", "decimal.handling.mode": "string", "max.batch.size": 16384,
            "max.queue.size": 65536, "poll.interval.ms": 10, "topic.creation.default.replication.factor": 3,
            "topic.creation.default.partitions": 1})

    def write(self, name, settings):
        (self.folder / name).write_text("".join(f"{k}={v}\n" for k, v in settings.items()))

    def __enter__(self):
        log4j = f"-Dlog4j.configuration=file:{ROOT}/stack/conf/log4j.properties"
        line = ["java", "-Xmx1g", log4j, "-cp", f"{self.home}/worker/*", "org.apache.kafka.connect.cli.ConnectStandalone",
                self.folder / "worker.properties", self.folder / "connector.properties"]
        self.log = self.folder / "connect.log"
        with open(self.log, "w") as f:
            self.process = subprocess.Popen([str(x) for x in line], stdin=subprocess.DEVNULL, stdout=f, stderr=f)
        return self

    def __exit__(self, kind, problem, _):
        self.process.kill()
        self.process.wait()
        if kind is RuntimeError:
            raise RuntimeError(f"{problem}; the end of its log: {self.log.read_text()[-1200:]}")

    def cpu_seconds(self):
        return cpu_of(self.process.pid)

    def check(self):
        if self.process.poll() is not None:
            raise RuntimeError(f"Kafka Connect has ended: {self.log.read_text()[-1500:]}")


def consumer(isolation="read_uncommitted"):
    import confluent_kafka
    return confluent_kafka.Consumer({"bootstrap.servers": BENCH.env["TICKLAKE_BUS__BROKERS"], "group.id": "bench", "log_level": 0,
                                     "enable.auto.commit": False, "isolation.level": isolation, "fetch.wait.max.ms": 100})


def ends(client, topic):
    """End offset of each partition; none while the topic is not there."""
    import confluent_kafka
    found = client.list_topics(topic, timeout=10).topics[topic]
    if found.error:
        return {}
    return {p: client.get_watermark_offsets(confluent_kafka.TopicPartition(topic, p), timeout=10)[1] for p in found.partitions}


INSERT = """INSERT INTO ticklake.trade_rows (day, series, stream, id, key, has_id, side, origin, kind, ordinal, price, size, venue_time,
    received, sequence) SELECT '2025-10-09', (SELECT min(id) FROM ticklake.series), 0, %(id)s + g, '', true, 1, 0, 0, 0, 61000.25,
    0.5, 1760000000000000000 + g, 1760000000003000000 + g, %(id)s + g FROM generate_series(1, %(rows)s) g"""


def write_evenly(url, first_id, seconds, sent):
    import psycopg
    with psycopg.connect(url, autocommit=True) as db:
        begun = time.monotonic()
        for n in range(int(seconds / WRITE_EVERY_S)):
            time.sleep(max(0, begun + n * WRITE_EVERY_S - time.monotonic()))
            now = time.time()
            db.execute(INSERT, {"id": first_id + n * WRITE_ROWS, "rows": WRITE_ROWS}, prepare=True)
            sent.extend([now] * WRITE_ROWS)


def delay(d, topic, first_id, isolation, seconds=15):
    """p50 and p99, in ms, from just before a transaction of ten rows is sent to PostgreSQL until a consumer has each row, at 1,000
    rows/s. All rows are of one symbol, so that one partition gives them in the order of their commits."""
    import confluent_kafka
    client, sent, came = consumer(isolation), [], []
    client.assign([confluent_kafka.TopicPartition(topic, p, end) for p, end in ends(client, topic).items()])
    client.consume(1, 0.5)  # until its first request is out
    writer = threading.Thread(target=write_evenly, args=(d.url, first_id, seconds, sent))
    writer.start()
    until = time.monotonic() + seconds + 60
    while (writer.is_alive() or len(came) < len(sent)) and time.monotonic() < until:
        records = client.consume(1000, 0.02)
        now = time.time()
        came += [now for r in records if not r.error()]
    writer.join()
    client.close()
    if len(came) != len(sent):
        raise RuntimeError(f"{topic}: {len(sent)} rows were written, {len(came)} came")
    late = sorted(1000 * (b - a) for a, b in list(zip(sent, came))[int(LEAVE_OUT_S / WRITE_EVERY_S) * WRITE_ROWS:])
    return {"p50": statistics.median(late), "p99": late[len(late) * 99 // 100], "rows": len(sent)}
