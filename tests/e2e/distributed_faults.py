"""What breaks a deployment on purpose, and looks closely at what is left."""
import contextlib
import pathlib
import socket
import struct
import threading

from test_live import wait_for


class Replicas:
    """The topics of a deployment, replica by replica, as the brokers' own log files hold them."""

    def __init__(self, stack, deployment):
        from confluent_kafka.admin import AdminClient
        self.stack, self.prefix = stack, deployment.prefix
        self.admin = AdminClient({'bootstrap.servers': deployment.env['TICKLAKE_BUS__BROKERS']})

    def partitions(self):
        """{(topic, partition): in-sync replicas}"""
        topics = self.admin.list_topics(timeout=10).topics
        return {(name, n): set(p.isrs) for name, t in topics.items() if name.startswith(self.prefix) for n, p in t.partitions.items()}

    def wait_in_sync(self, count, seconds=90):
        def told():
            found = self.partitions()
            return found and all(len(isrs) == count for isrs in found.values())
        wait_for(told, seconds, f'{count} in-sync replicas of every partition')

    def files(self, broker, topic, partition):
        folder = next(p for p in pathlib.Path(self.stack.folder).glob(f'kafka-*/{broker}/**/{topic}-{partition}') if p.is_dir())
        return sorted(folder.glob('*.log'))

    def batches(self, broker, topic, partition):
        """[(first offset, records, is control, bytes)] of a replica, parsed as Kafka's format of record batches (magic 2) says."""
        out = []
        for path in self.files(broker, topic, partition):
            data, at = path.read_bytes(), 0
            while at + 61 <= len(data):
                offset, length, _epoch, magic = struct.unpack_from('>qiib', data, at)
                if length <= 0 or at + 12 + length > len(data):
                    break
                assert magic == 2
                attributes, = struct.unpack_from('>h', data, at + 21)
                count, = struct.unpack_from('>i', data, at + 57)
                out.append((offset, count, bool(attributes & 0x20), data[at:at + 12 + length]))
                at += 12 + length
        return out

    def assert_equal(self):
        """Every replica of every partition holds the same bytes, without a hole in the offsets. Returns how many records that is."""
        records = 0
        for topic, partition in self.partitions():
            wait_for(lambda: len({len(self.batches(b, topic, partition)) for b in (1, 2, 3)}) == 1, 30, f'{topic}/{partition}: replicas are alike')
            one, two, three = (self.batches(b, topic, partition) for b in (1, 2, 3))
            assert one == two == three, f'{topic}/{partition}'
            if topic.endswith('ticklake_positions'):
                continue
            expected = 0
            for offset, count, control, _ in one:
                assert offset == expected, f'{topic}/{partition}: a hole at offset {expected}'
                expected += count
                records += 0 if control else count
        return records


class Cut:
    """A TCP proxy in front of a server. `swallow(data)`: what the client sends there is passed on, and once the server has acted on it
    and answers, the connection is cut instead. `down`: nobody gets through, and who was through is cut."""

    def __init__(self, target):
        host, port = target.rsplit(':', 1)
        self.target, self.swallow, self.swallowed, self.open = (host, int(port)), None, [], set()
        self.is_down, self.lock = False, threading.Lock()
        self.listener = socket.create_server(('127.0.0.1', 0))
        self.address = f'127.0.0.1:{self.listener.getsockname()[1]}'
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        with contextlib.suppress(OSError), client, socket.create_connection(self.target) as server:
            with self.lock:
                if self.is_down:
                    return
                self.open |= {client, server}
            state = {'swallow': None}
            threading.Thread(target=self.up, args=(client, server, state), daemon=True).start()
            while data := server.recv(65536):
                if state['swallow']:
                    self.swallowed.append(state['swallow'])
                    break
                client.sendall(data)
            self.cut(client, server)

    def up(self, client, server, state):
        with contextlib.suppress(OSError):
            while data := client.recv(65536):
                if self.swallow and self.swallow(data):
                    state['swallow'] = data[:120]
                server.sendall(data)
            server.shutdown(socket.SHUT_WR)

    def cut(self, *sockets):
        with self.lock:
            self.open -= set(sockets)
        for s in sockets:
            with contextlib.suppress(OSError):
                s.shutdown(socket.SHUT_RDWR)

    @contextlib.contextmanager
    def down(self):
        with self.lock:
            self.is_down, sockets = True, list(self.open)
        self.cut(*sockets)
        yield
        with self.lock:
            self.is_down = False

    def swallow_next(self, count, wanted, seconds=60):
        """The answers to the next so many requests that wanted(data) says never come; waits until that has happened."""
        before, left = len(self.swallowed), [count]

        def swallow(data):
            if left[0] > 0 and wanted(data):
                left[0] -= 1
                return True
        self.swallow = swallow
        wait_for(lambda: len(self.swallowed) >= before + count, seconds, f'{count} answers are cut off')
        self.swallow = None

    def stop(self):
        self.listener.close()
