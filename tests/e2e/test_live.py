"""Live against the simulated venues, over real sockets: what they sent is the lake plus the ledger, to the trade."""
import json
import pathlib
import re
import signal
import sqlite3
import subprocess
import time

import pytest

from conftest import BINARY, SAMPLES, Ticklake

VENUES = {'binance': '/stream', 'binance_futures': '/stream', 'coinbase': '', 'kraken': '/v2', 'tiingo': '/crypto'}


def wait_for(condition, seconds, what):
    """A condition with a deadline; never a sleep that hopes."""
    until = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < until, f'after {seconds} s still not: {what}'
        time.sleep(0.02)


class Simulator:
    def __init__(self, folder, *args):
        folder.mkdir(parents=True, exist_ok=True)
        self.report = folder / 'truth.json'
        self.log = open(folder / 'simulate.log', 'w+')
        self.process = subprocess.Popen([str(BINARY), 'simulate', '--port', '0', '--report', str(self.report), *map(str, args)],
                                        stderr=self.log, stdout=subprocess.DEVNULL)
        self.port = int(wait_for(self.find_port, 10, 'the simulator listens'))

    def find_port(self):
        assert self.process.poll() is None, pathlib.Path(self.log.name).read_text()
        found = re.search(r'msg=listening port=(\d+)', pathlib.Path(self.log.name).read_text())
        return found and found.group(1)

    def truth(self, seconds=90):
        assert self.process.wait(seconds) == 0
        return json.loads(self.report.read_text())

    def stop(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def write_config(folder, port, venues, symbols='["*"]', **sections):
    lines = ['venues:']
    for v in venues:
        lines += [f'  - name: {v}', f'    symbols: {symbols}', f'    ws_url: ws://127.0.0.1:{port}/{v}{VENUES[v]}',
                  f'    rest_url: http://127.0.0.1:{port}/{v}'] + (['    token: t0p-secret'] if v == 'tiingo' else [])
    sections.setdefault('serve', {'bind': '127.0.0.1:0'})
    for name, keys in sections.items():
        lines += [f'{name}:'] + [f'  {k}: {v}' for k, v in keys.items()]
    path = folder / 'ticklake.yaml'
    path.write_text('\n'.join(lines) + '\n')
    return path


class Live:
    """A running pipeline on one data folder."""

    def __init__(self, folder, config):
        self.lake = Ticklake(folder / 'data')
        self.config = config
        self.log = open(folder / 'run.log', 'a+')
        self.start()

    def start(self):
        self.process = self.lake.start('run', '--config', self.config, stderr=self.log, stdout=self.log)

    def words(self):
        return pathlib.Path(self.log.name).read_text()

    def caught_up(self):
        assert self.process.poll() is None, self.words()
        done = self.lake.run('positions', '--json', check=None)
        return done.returncode == 0 and json.loads(done.stdout)['lag'] == 0 and json.loads(done.stdout)

    def port(self):
        found = re.search(r'msg=listening .*port=(\d+)', self.words())
        return found and int(found.group(1))

    def settle(self, complete):
        """Until everything durable is in the lake, and it is all that is waited for."""
        wait_for(lambda: self.caught_up() and complete(), 60, 'what was sent is in the lake or the ledger')

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(60) == 0, self.words()

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def proofs(data):
    """Per (venue, symbol, stream): count and sum, as the lake's commits claim them (verify holds them against the files)."""
    con = sqlite3.connect(f'file:{data}/catalog.db?mode=ro', uri=True)
    out = {}
    for venue, symbol, stream, count, total in con.execute(
            'select s.venue, s.symbol, p.stream, p.count, p.sum from ticklake_proof p join ticklake_proof_series s on s.id = p.series'):
        stream = ('trade', 'agg_trade', 'block_trade', 'quote')[stream]
        c, t = out.get((venue, symbol, stream), (0, 0))
        out[venue, symbol, stream] = c + count, (t + int.from_bytes(total, 'little')) % 2**128
    return out


def missing(lake):
    out = {}
    for g in lake.json('gaps'):
        if 'missing_count' in g:
            key = g['venue'], g['symbol'], g['stream']
            out[key] = out.get(key, 0) + g['missing_count']
    return out


def unconserved(lake, truth):
    """What differs between the simulator's own count and hash and lake plus ledger."""
    told, holes = proofs(lake.data), missing(lake)
    differences = []
    for s in truth['series']:
        key = s['venue'], s['symbol'], s['stream']
        if told.get(key) != (s['sent'], int(s['sent_sum'], 16)):
            differences.append((key, told.get(key), s))
        if s['ids'] and s['sent'] + holes.pop(key, 0) != s['generated']:
            differences.append((key, 'ledger', s))
    return differences + list(holes.items())


def accounted(lake, truth):
    """Whether lake and ledger together are as many as were generated, series by series."""
    told, holes = proofs(lake.data), missing(lake)
    for s in truth['series']:
        key = s['venue'], s['symbol'], s['stream']
        yield told.get(key, (0, 0))[0] + holes.get(key, 0) == s['generated']


def assert_conserved(lake, truth):
    assert unconserved(lake, truth) == []
    return sum(s['generated'] for s in truth['series'])


@pytest.fixture
def live_setup(tmp_path):
    running = []

    def start(simulate_args, venues=tuple(VENUES), **config):
        simulator = Simulator(tmp_path / 'sim', *simulate_args)
        running.append(simulator.stop)
        live = Live(tmp_path, write_config(tmp_path, simulator.port, venues, **config))
        running.append(live.kill)
        return simulator, live

    yield start
    for stop in reversed(running):
        stop()


def test_all_families_without_faults(live_setup):
    simulator, live = live_setup(['--seconds', 6, '--rate', 1500, '--symbols', 5, '--seed', 11])
    truth = simulator.truth()
    live.settle(lambda: not unconserved(live.lake, truth))
    live.stop()
    assert assert_conserved(live.lake, truth) > 4000
    assert live.lake.verify()['missing_trades'] == 0
    # The venues are gone since the simulator ended: what has no ids is told as an outage that lasts, and nothing else.
    assert {(g['kind'], g['cause'], g['to_time']) for g in live.lake.json('gaps')} == {('outage', 'disconnect', None)}
    assert live.lake.rows('dead_letters') == []


def test_all_faults(live_setup):
    simulator, live = live_setup(['--seconds', 10, '--rate', 1200, '--symbols', 4, '--seed', 12, '--duplicate', 40, '--missing', 90,
                                  '--reorder', 50, '--late', 120, '--late-ms', 3500, '--garbage', 300, '--disconnect', 2500],
                                 source={'gap_grace_ms': 500, 'reconnect_min_ms': 50}, process={'lateness_ms': 1000, 'revise_ms': 300})
    truth = simulator.truth()
    assert all(truth['faults'][f] > 0 for f in ('duplicate', 'missing', 'reorder', 'late', 'garbage', 'disconnect'))
    live.settle(lambda: not unconserved(live.lake, truth))
    live.stop()
    assert assert_conserved(live.lake, truth) > 5000
    result = live.lake.verify()
    assert result['gaps_open'] > 0 and result['missing_trades'] > 0
    dead = live.lake.rows('dead_letters')
    assert len(dead) > 0 and all(d['payload'] for d in dead)
    candles = live.lake.rows('candles')
    assert any(c['revision'] > 0 for c in candles) and any(not c['complete'] for c in candles)
    keys = [(c['venue'], c['symbol'], c['timeframe'], c['open_time']) for c in candles]
    assert len(keys) == len(set(keys))


def test_killed_and_started_again(live_setup):
    simulator, live = live_setup(['--seconds', 9, '--rate', 800, '--symbols', 3, '--seed', 13], venues=('binance', 'coinbase', 'kraken'))
    wait_for(lambda: (live.caught_up() or {}).get('committed', 0) > 1500, 60, 'some events are in the lake')
    live.kill()
    live.start()
    truth = simulator.truth()
    live.settle(lambda: all(accounted(live.lake, truth)))
    live.stop()
    assert all(accounted(live.lake, truth))  # what was on the wire at the kill is in the ledger
    live.lake.verify()


def test_recorded_frames_replay_to_the_same_trades(live_setup, new_ticklake):
    simulator, live = live_setup(['--seconds', 4, '--rate', 500, '--symbols', 3, '--seed', 14], record={'enabled': 'true'})
    truth = simulator.truth()
    live.settle(lambda: not unconserved(live.lake, truth))
    live.stop()
    again = new_ticklake('again')
    again.run('replay', live.lake.data / 'frames')
    trades = {k: v for k, v in proofs(live.lake.data).items() if k[2] != 'quote'}
    assert {k: v for k, v in proofs(again.data).items() if k[2] != 'quote'} == trades
    assert again.table('quotes').scan().to_arrow().num_rows == live.lake.table('quotes').scan().to_arrow().num_rows
    again.verify()
    frames = b''.join(p.read_bytes() for p in (live.lake.data / 'frames').rglob('*') if p.is_file())
    assert b't0p-secret' not in frames and 't0p-secret' not in live.words()


def test_one_bad_symbol_never_stops_the_others(live_setup):
    simulator, live = live_setup(['--seconds', 4, '--rate', 300, '--symbols', 3], venues=('binance', 'coinbase', 'kraken'),
                                 )
    live.kill()
    text = live.config.read_text().replace('symbols: ["*"]', 'symbols: [NOPE-USD, BTC-USD, BTC-USDT]')
    live.config.write_text(text)
    live.start()
    simulator.truth()
    live.settle(lambda: {k[1] for k in proofs(live.lake.data) if k[2] == 'trade'} >= {'BTC-USD', 'BTC-USDT'})
    live.stop()
    symbols = {r['symbol'] for r in live.lake.rows('trades', ('symbol',))}
    assert symbols == {'BTC-USD', 'BTC-USDT'}
    assert 'NOPE-USD' in live.words()


def test_port_and_metrics(live_setup):
    import urllib.request
    import urllib.error
    simulator, live = live_setup(['--seconds', 60, '--rate', 300, '--symbols', 3])
    port = wait_for(live.port, 20, 'the HTTP port is told')

    def get(path):
        try:
            with urllib.request.urlopen(f'http://127.0.0.1:{port}{path}', timeout=10) as r:
                return r.status, r.read().decode()
        except urllib.error.HTTPError as e:
            return e.code, e.read().decode()

    wait_for(lambda: get('/readyz')[0] == 200, 30, '/readyz answers 200')
    assert get('/livez')[0] == 200
    wait_for(lambda: json.loads(get('/api/v1/status')[1])['visible_us']['p99'] > 0, 30, 'latency is measured')
    metrics = get('/metrics')[1]
    for name in ('ticklake_source_trades_total', 'ticklake_store_durable_mark', 'ticklake_lake_committed_mark',
                 'ticklake_lake_visible_latency_seconds_bucket'):
        assert f'\n{name}' in metrics
    assert {line.split(' ')[2] for line in metrics.splitlines() if line.startswith('# TYPE')} == \
        {line.split(' ')[2] for line in metrics.splitlines() if line.startswith('# HELP')}
    tap = live.lake.run('tap', '--from', '0', '--count', '5')
    assert len([json.loads(line) for line in tap.stdout.splitlines()]) == 5
    held = live.lake.run('replay', SAMPLES, check=75)
    assert f'process {live.process.pid}' in held.stderr
    live.stop()
