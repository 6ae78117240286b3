"""Servers for the S3 client's tests: versitygw itself, a TCP proxy that fails on purpose, and HTTP servers with scripted answers."""
import contextlib
import email.utils
import hashlib
import http.server
import os
import pathlib
import socket
import subprocess
import threading
import time
import urllib.parse

CACHE = pathlib.Path(os.environ.get('TICKLAKE_CACHE', pathlib.Path.home() / '.cache' / 'ticklake'))
KEY, SECRET = 'ticklake', 'ticklake-secret'
DEADLINE_S = 30


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


def find_gateway():
    """From the environment (VERSITYGW), else what stack/up installed."""
    named = os.environ.get('VERSITYGW')
    found = sorted(CACHE.glob('stack/versitygw-*/bin/versitygw'))
    return pathlib.Path(named) if named else found[-1] if found else None


class Gateway:
    """A real S3 server on plain files: folder/data/BUCKET/KEY."""

    def __init__(self, program, folder, port=None):
        self.program, self.folder, self.port = program, pathlib.Path(folder), port or free_port()
        self.data = self.folder / 'data'
        self.process = None

    def start(self, *more):
        self.data.mkdir(parents=True, exist_ok=True)
        sidecar = []
        probe = self.folder / 'probe'
        probe.touch()
        try:
            os.setxattr(probe, 'user.probe', b'1')
        except OSError:
            (self.folder / 'sidecar').mkdir(exist_ok=True)
            sidecar = ['--sidecar', str(self.folder / 'sidecar')]
        self.process = subprocess.Popen(
            [self.program, '--port', f'127.0.0.1:{self.port}', '--quiet', '--virtual-domain', f'localhost:{self.port}',
             *more, 'posix', *sidecar, self.data], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env={**os.environ, 'ROOT_ACCESS_KEY': KEY, 'ROOT_SECRET_KEY': SECRET})
        until = time.monotonic() + DEADLINE_S
        while True:
            with contextlib.suppress(OSError), socket.create_connection(('127.0.0.1', self.port), 1):
                return self
            assert time.monotonic() < until and self.process.poll() is None
            time.sleep(0.02)

    def stop(self):
        if self.process:
            self.process.kill()
            self.process.wait()
        self.process = None

    @property
    def url(self):
        return f'http://127.0.0.1:{self.port}'


class Proxy:
    """Passes bytes on, one thread a direction. `swallow(request line)`: the answer of such a request never comes back, though the
    server acted on it. `cut_after`: an answer is cut off after so many bytes, `cuts` times."""

    def __init__(self, port):
        self.target, self.swallow, self.cut_after, self.cuts, self.swallowed = port, None, None, 0, []
        self.listener = socket.create_server(('127.0.0.1', 0))
        self.port = self.listener.getsockname()[1]
        self.url = f'http://127.0.0.1:{self.port}'
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        with contextlib.suppress(OSError), client, socket.create_connection(('127.0.0.1', self.target)) as server:
            state = {'swallow': None}
            threading.Thread(target=self.up, args=(client, server, state), daemon=True).start()
            passed = 0
            while data := server.recv(65536):
                if state['swallow']:
                    self.swallowed.append(state['swallow'])
                    return self.cut(client, server)
                if self.cuts > 0 and self.cut_after is not None and passed + len(data) > self.cut_after:
                    self.cuts -= 1
                    client.sendall(data[:max(0, self.cut_after - passed)])
                    return self.cut(client, server)
                passed += len(data)
                client.sendall(data)

    @staticmethod
    def cut(*sockets):
        """A close alone would wait for the other thread that reads it."""
        for s in sockets:
            with contextlib.suppress(OSError):
                s.shutdown(socket.SHUT_RDWR)

    def up(self, client, server, state):
        with contextlib.suppress(OSError):
            while data := client.recv(65536):
                line = data.split(b'\r\n', 1)[0].decode('latin-1')
                if self.swallow and line.endswith('HTTP/1.1') and self.swallow(line):
                    state['swallow'] = line
                server.sendall(data)
            server.shutdown(socket.SHUT_WR)

    def stop(self):
        self.listener.close()


class Scripted:
    """An HTTP server: answer(method, path, headers, body) -> (status, headers, body). Every request is kept."""

    def __init__(self, answer):
        outer = self
        self.requests = []

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = 'HTTP/1.1'

            def handle_one(self):
                body = self.rfile.read(int(self.headers.get('Content-Length') or 0))
                outer.requests.append((self.command, self.path, dict(self.headers.items()), body))
                status, headers, text = answer(self.command, self.path, self.headers, body)
                text = text.encode() if isinstance(text, str) else text
                self.send_response_only(status)
                headers = dict(headers)
                headers.setdefault('Date', email.utils.formatdate(usegmt=True))
                if status != 204:
                    headers.setdefault('Content-Length', str(len(text)))
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                if self.command != 'HEAD' and status != 204:
                    self.wfile.write(text)

            do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = handle_one

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        self.url = f'http://127.0.0.1:{self.port}'
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


def error(status, code, message='no', **headers):
    return status, headers, f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>{message}</Message><RequestId>R1</RequestId></Error>'


class Forgetful:
    """As much of S3 as the client asks for, without signatures, that overwrites whatever If-None-Match says."""

    def __init__(self):
        self.objects, self.parts = {}, {}

    def __call__(self, method, path, headers, body):
        url = urllib.parse.urlsplit(path)
        key, query = urllib.parse.unquote(url.path), dict(urllib.parse.parse_qsl(url.query, keep_blank_values=True))
        if method == 'GET' and 'list-type' in query:
            prefix = url.path.rstrip('/') + '/' + query['prefix']
            found = ''.join(f'<Contents><Key>{k.split("/", 2)[2]}</Key><Size>{len(v)}</Size><LastModified>2026-01-01T00:00:00Z</LastModified></Contents>'
                            for k, v in sorted(self.objects.items()) if k.startswith(prefix))
            return 200, {}, f'<ListBucketResult><IsTruncated>false</IsTruncated>{found}</ListBucketResult>'
        if method == 'POST' and 'uploads' in query:
            self.parts.clear()
            return 200, {}, '<InitiateMultipartUploadResult><UploadId>u1</UploadId></InitiateMultipartUploadResult>'
        if method == 'PUT' and 'partNumber' in query:
            self.parts[int(query['partNumber'])] = body
            return 200, {'ETag': '"x"'}, ''
        if method == 'POST':
            self.objects[key] = b''.join(self.parts[n] for n in sorted(self.parts))
            return 200, {}, '<CompleteMultipartUploadResult/>'
        if method == 'PUT':
            self.objects[key] = body
            return 200, {'ETag': f'"{hashlib.md5(body).hexdigest()}"'}, ''
        if method == 'DELETE':
            self.objects.pop(key, None)
            return 204, {}, ''
        if key not in self.objects:
            return error(404, 'NoSuchKey')
        return 200, {}, self.objects[key]
