"""TLS: the simulator behind a TLS proxy with a certificate of our own authority, trusted and not."""
import socket
import ssl
import subprocess
import threading

import pytest

from test_live import Live, Simulator, assert_conserved, unconserved, wait_for, write_config


def make_certificates(folder):
    def openssl(*args):
        subprocess.run(['openssl', *map(str, args)], check=True, capture_output=True, cwd=folder)
    openssl('req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', 'ca.key', '-out', 'ca.pem', '-days', '2', '-subj', '/CN=test authority')
    openssl('req', '-newkey', 'rsa:2048', '-nodes', '-keyout', 'server.key', '-out', 'server.csr', '-subj', '/CN=localhost')
    (folder / 'names').write_text('subjectAltName=DNS:localhost\n')
    openssl('x509', '-req', '-in', 'server.csr', '-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-out', 'server.pem', '-days', '2',
            '-extfile', 'names')


def pump(source, target):
    try:
        while data := source.recv(65536):
            target.sendall(data)
    except OSError:
        pass
    for s in (source, target):
        try:
            s.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


class TlsProxy:
    """Takes TLS off and hands the bytes to a port on this machine."""

    def __init__(self, folder, port):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(folder / 'server.pem', folder / 'server.key')
        self.target = port
        self.listener = socket.create_server(('127.0.0.1', 0))
        self.port = self.listener.getsockname()[1]
        self.accepted = self.names = 0
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.one, args=(client,), daemon=True).start()

    def one(self, client):
        try:
            client = self.context.wrap_socket(client, server_side=True)
        except (ssl.SSLError, OSError):
            return client.close()
        self.accepted += 1
        try:
            server = socket.create_connection(('127.0.0.1', self.target))
        except OSError: # the simulator has ended
            return client.close()
        threading.Thread(target=pump, args=(server, client), daemon=True).start()
        pump(client, server)


@pytest.fixture
def behind_tls(tmp_path):
    make_certificates(tmp_path)
    simulator = Simulator(tmp_path / 'sim', '--seconds', 4, '--rate', 400, '--symbols', 2, '--venues', 'binance,kraken')
    proxy = TlsProxy(tmp_path, simulator.port)
    running = []

    def start(host, rest_too=True, **source):
        path = write_config(tmp_path, proxy.port, ('binance', 'kraken'), source={'reconnect_min_ms': 50, **source})
        rest = f'https://{host}:{proxy.port}' if rest_too else f'http://127.0.0.1:{simulator.port}'
        path.write_text(path.read_text().replace('ws://127.0.0.1', f'wss://{host}').replace(f'http://127.0.0.1:{proxy.port}', rest))
        running.append(Live(tmp_path, path))
        return running[-1]

    yield start, simulator, proxy, tmp_path
    for live in running:
        live.kill()
    simulator.stop()
    proxy.listener.close()


def test_trusted(behind_tls):
    start, simulator, proxy, folder = behind_tls
    live = start('localhost', ca_file=folder / 'ca.pem')
    truth = simulator.truth()
    live.settle(lambda: not unconserved(live.lake, truth))
    live.stop()
    assert assert_conserved(live.lake, truth) > 500
    assert proxy.accepted >= 4  # two instrument lists, two sockets
    live.lake.verify()


@pytest.mark.parametrize('host, trusted', [('localhost', False), ('127.0.0.1', True)], ids=['unknown authority', 'another name'])
def test_refused(behind_tls, host, trusted):
    """No byte of ours goes to a server that cannot prove its name."""
    start, simulator, proxy, folder = behind_tls
    live = start(host, rest_too=False, **({'ca_file': folder / 'ca.pem'} if trusted else {}))
    wait_for(lambda: live.words().count('no connection') >= 4, 30, 'the refusals are told')
    assert live.process.poll() is None  # it goes on trying
    live.stop()
    assert proxy.accepted == 0 and live.lake.rows('trades') == []


def test_instruments_refused(behind_tls):
    start, simulator, proxy, folder = behind_tls
    live = start('localhost')
    wait_for(lambda: 'instruments failed' in live.words() and 'certificate' in live.words(), 30, 'the refusal is told')
    live.stop()
    assert proxy.accepted == 0
