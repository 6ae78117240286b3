"""The command line as its users meet it: help, JSON, exit codes, settings from everywhere, and secrets kept."""
import json
import os
import pathlib
import re
import subprocess

import pytest

import conftest

COMMANDS = ('run', 'replay', 'simulate', 'verify', 'status', 'candles', 'gaps', 'positions', 'files', 'tap', 'connect', 'venues',
            'symbols', 'validate', 'compact', 'expire-snapshots', 'remove-orphans', 'backfill', 'repair', 'jobs', 'schemas', 'version')
SECRET = 'tok-5f0c2a97-never-to-be-seen'


def ticklake(*args, check=0, env=None, cwd=None):
    done = subprocess.run([conftest.BINARY, *map(str, args)], capture_output=True, text=True, timeout=60, cwd=cwd,
                          env={**os.environ, **(env or {})}, stdin=subprocess.DEVNULL)
    assert done.returncode == check, f'{args}\nexit {done.returncode}\n{done.stdout}\n{done.stderr}'
    return done


@pytest.fixture(scope='module')
def lake(worse, new_ticklake):
    lake = new_ticklake('cli')
    lake.run('replay', worse.path, '--set', 'lake.commit_rows=4000', '--set', 'source.batch_events=512')
    return lake


# --- help and mistakes ---

def test_help_lists_every_command():
    text = ticklake('--help').stdout
    for command in COMMANDS:
        assert re.search(rf'^  {command} ', text, re.M), command
    listed = re.findall(r'^  ([a-z-]+) +[a-z]', text.split('--help')[0], re.M)
    assert sorted(listed) == sorted(COMMANDS)
    assert ticklake('help').stdout == ticklake('-h').stdout == text
    assert ticklake(check=64).stderr == text


@pytest.mark.parametrize('command', COMMANDS)
def test_help_of_each_command_has_an_example(command):
    text = ticklake(command, '--help').stdout
    assert text.startswith(f'usage: ticklake {command}')
    assert f'ticklake {command}' in text.split('example:')[1]
    assert len(max(text.splitlines(), key=len)) <= 110
    for option in ('--config', '--data', '--set', '--json', '--help'):
        assert option in text


@pytest.mark.parametrize('args, words', [
    (['repaly'], 'did you mean replay?'), (['nonsense-at-all'], '`ticklake --help`'), (['verify', '--jsn'], 'did you mean --json?'),
    (['replay', '--venu=x', 'a'], 'did you mean --venue?'), (['files'], 'an argument is missing'), (['files', 'trade'], 'expected trades'),
    (['verify', 'x'], 'too many arguments'), (['connect', 'excel'], 'duckdb, pyiceberg, spark or trino'),
    (['replay', '--speed'], 'needs a value'), (['verify', '--json=yes'], 'takes no value'), (['tap', '--count', 'many'], 'count'),
    (['replay', '--speed', 'fast', 'a'], 'speed'), (['candles'], '--venue'), (['verify', '--'], None)])
def test_mistakes_are_told_with_what_was_meant(args, words, tmp_path):
    if words is None:
        ticklake(*args, '--data', tmp_path, check=64)
        return
    done = ticklake(*args, check=64, cwd=tmp_path)
    assert words in done.stderr and done.stdout == ''
    assert list(tmp_path.iterdir()) == []


def test_commands_on_nothing(tmp_path):
    """No data folder: said, and none is made by looking."""
    for args in (['status'], ['positions'], ['gaps'], ['files', 'trades'], ['tap', '--from', '0', '--count', '1'], ['verify'],
                 ['connect', 'duckdb'], ['candles', '--venue', 'binance', '--symbol', 'BTC-USDT']):
        done = ticklake(*args, '--data', tmp_path / 'none', check=64)
        assert 'none' in done.stderr, args
    assert list(tmp_path.iterdir()) == []


# --- what the commands print ---

JSON_OF = [['verify'], ['status'], ['positions'], ['gaps'], ['gaps', '--all'], ['files', 'trades'], ['files', 'candles', '--deletes'],
           ['files', 'instruments'], ['venues'], ['version'], ['validate', '--offline'], ['compact', '--dry-run'],
           ['candles', '--venue', 'binance', '--symbol', 'BTC-USDT', '--last', '3'], ['connect', 'duckdb'], ['connect', 'spark'],
           ['compact'], ['expire-snapshots', '--dry-run', '--keep', '1'], ['expire-snapshots', '--keep', '2'],
           ['remove-orphans', '--dry-run'], ['remove-orphans'], ['verify']]


@pytest.mark.parametrize('args', JSON_OF, ids=' '.join)
def test_json_of_every_command(args, lake):
    json.loads(lake.run(*args, '--json').stdout)


def test_tap(lake):
    lines = lake.run('tap', '--from', '0', '--count', '5').stdout.splitlines()
    events = [json.loads(line) for line in lines]
    assert [e['sequence'] for e in events] == [1, 2, 3, 4, 5]
    trade = next(e for e in events if e['type'] == 'trade')
    row = next(r for r in lake.rows('trades') if r['sequence'] == trade['sequence'])
    assert row['price'] == conftest.decimal.Decimal(trade['price']) and row['trade_id'] == trade['trade_id']
    more = lake.run('tap', '--from', '5', '--count', '2', '--symbol', 'BTC-USDT', '--venue', 'binance').stdout.splitlines()
    assert [json.loads(line)['sequence'] for line in more] == [6, 7]


def test_status_and_positions(lake):
    status, positions = lake.json('status'), lake.json('positions')
    assert status['durable'] == status['committed'] == positions['committed'] and status['lag'] == 0 and not status['running']
    for table in conftest.TABLES:
        assert status['tables'][table]['rows'] == lake.table(table).scan().to_arrow().num_rows
        assert status['tables'][table]['metadata_location'] == lake.table(table).metadata_location
    assert 'durable' in lake.run('status').stdout and 'durable' in lake.run('positions').stdout


def test_gaps(lake, worse):
    still_open, every = lake.json('gaps'), lake.json('gaps', '--all')
    assert {g['state'] for g in still_open} == {'open'} and len(every) > len(still_open) > 0
    assert sum(g['missing_count'] for g in still_open) == len(worse.missing)
    assert lake.json('gaps', '--venue', 'kraken') == [] and lake.json('gaps', '--symbol', 'BTC-USDT') == still_open
    assert len(every) == len(lake.rows('gaps'))
    assert f'{len(worse.missing)} ids known to be missing' in lake.run('gaps').stdout


def test_files(lake):
    listed = lake.json('files', 'candles', '--deletes')
    assert {pathlib.Path(f['path']).stat().st_size for f in listed} == {f['bytes'] for f in listed}
    paths = lake.run('files', 'candles', '--deletes').stdout.split()
    assert sorted(paths) == sorted(f['path'] for f in listed)
    planned = {t.file.file_path.removeprefix('file://') for t in lake.table('candles').scan().plan_files()}
    assert {f['path'] for f in listed if not f['delete']} == planned


def test_candles(lake):
    shown = lake.json('candles', '--venue', 'binance', '--symbol', 'BTC-USDT', '--timeframe', '1m', '--last', '4')
    rows = sorted((r for r in lake.rows('candles') if r['timeframe'] == '1m'), key=lambda r: r['open_time'])[-4:]
    assert [(conftest.decimal.Decimal(c['close']), c['trade_count'], c['complete']) for c in shown] == [
        (r['close'], r['trade_count'], r['complete']) for r in rows]
    assert lake.run('candles', '--venue', 'binance', '--symbol', 'BTC-USDT', '--chart').stdout.count('\n') > 5


def test_version():
    told = json.loads(ticklake('version', '--json').stdout)
    assert told['version'] and told['formats']['iceberg'] == 2 and len(told['crash_points']) >= 14
    assert told['version'] in ticklake('--version').stdout


# --- settings: built in < file < environment < flags ---

def settings_path(tmp_path, text):
    path = tmp_path / 'ticklake.yaml'
    path.write_text(text)
    return path


def test_settings_from_everywhere(lake, tmp_path):
    """Told by which data folder each of them chooses."""
    other = lake.data
    settings_path(tmp_path, f'data: {tmp_path}/from-file\n')
    assert 'from-file' in ticklake('status', cwd=tmp_path, check=64).stderr
    assert 'from-env' in ticklake('status', cwd=tmp_path, check=64, env={'TICKLAKE_DATA': f'{tmp_path}/from-env'}).stderr
    assert 'from-set' in ticklake('status', '--set', f'data={tmp_path}/from-set', cwd=tmp_path, check=64,
                                  env={'TICKLAKE_DATA': f'{tmp_path}/from-env'}).stderr
    told = ticklake('status', '--json', '--data', other, cwd=tmp_path, env={'TICKLAKE_DATA': f'{tmp_path}/from-env'}).stdout
    assert json.loads(told)['committed'] > 0
    assert 'source.batch_ms' in ticklake('status', '--data', other, check=78, env={'TICKLAKE_SOURCE__BATCH_MS': 'soon'}).stderr


def test_variables_in_the_file(lake, tmp_path):
    path = settings_path(tmp_path, 'data: ${WHERE_IT_IS}\nlog:\n  level: ${LEVEL:-warn}\n')
    told = ticklake('status', '--json', '--config', path, env={'WHERE_IT_IS': str(lake.data)}).stdout
    assert json.loads(told)['committed'] > 0
    assert 'WHERE_IT_IS' in ticklake('status', '--config', path, check=78).stderr
    assert 'LEVEL' not in ticklake('status', '--config', path, check=78).stderr


def test_logs_as_json(tmp_path, recordings):
    """A folder with a file of no known format in it logs a warning."""
    folder = tmp_path / 'in'
    folder.mkdir()
    (folder / 'note.txt').write_text('nothing')
    done = ticklake('replay', folder, conftest.SAMPLES / 'tiingo/crypto_live.jsonl', '--data', tmp_path / 'data', '--set',
                    'log.format=json')
    lines = [json.loads(line) for line in done.stderr.splitlines() if line.startswith('{')]
    assert any('note.txt' in str(line) and line['level'] == 'warn' for line in lines)


# --- secrets ---

SECRETS = '''data: {data}
venues:
  - name: tiingo
    symbols: ["*"]
    token: {token}
    {rest}
serve:
  bind: 127.0.0.1:0
  token: ${{SERVE_TOKEN}}
log:
  level: debug
'''


@pytest.mark.parametrize('where', ('variable', 'file', 'environment', 'inline'))
@pytest.mark.parametrize('command', (['validate', '--offline'], ['validate', '--offline', '--json'], ['status'], ['run']))
def test_secrets_are_never_printed(command, where, tmp_path):
    (tmp_path / 'secret').write_text(SECRET + '\n')
    token = {'variable': '${TIINGO_TOKEN}', 'inline': SECRET}.get(where, '""')
    rest = f'token_file: {tmp_path}/secret' if where == 'file' else 'ws_url: wss://127.0.0.1:1/'
    text = SECRETS.format(data=tmp_path / 'data', token=token, rest=rest)
    if where == 'file':
        text = text.replace('    token: ""\n', '')
    if command == ['run']:
        text += 'lake:\n  comit_ms: 3\n'  # so that it ends with what is wrong, and does not try to connect
    path = settings_path(tmp_path, text)
    env = {'TIINGO_TOKEN': SECRET, 'SERVE_TOKEN': SECRET, 'TICKLAKE_VENUES__TIINGO__TOKEN': SECRET if where == 'environment' else ''}
    done = subprocess.run([conftest.BINARY, *command, '--config', path], capture_output=True, text=True, timeout=60,
                          env={**os.environ, **{k: v for k, v in env.items() if v}})
    assert done.returncode in (0, 64, 78), done.stderr
    assert SECRET not in done.stdout + done.stderr
    for file in tmp_path.rglob('*'):
        if file.is_file() and file.name not in ('secret', 'ticklake.yaml'):
            assert SECRET.encode() not in file.read_bytes()


def test_a_secret_in_a_wrong_place_is_not_echoed(tmp_path):
    """A token that cannot be used is told of by its key, never by its value."""
    path = settings_path(tmp_path, f'venues:\n  - name: tiingo\n    symbols: ["*"]\n    token: [{SECRET}]\n')
    done = subprocess.run([conftest.BINARY, 'validate', '--offline', '--config', path], capture_output=True, text=True, timeout=60)
    assert SECRET not in done.stdout + done.stderr


# --- upkeep by hand ---

def test_snapshots_expire_and_orphans_go(worse, new_ticklake):
    lake = new_ticklake('upkeep')
    lake.run('replay', worse.path, '--set', 'lake.commit_rows=4000', '--set', 'source.batch_events=512')
    before = {name: lake.table(name).scan().to_arrow().num_rows for name in conftest.TABLES}
    assert len(lake.table('trades').snapshots()) > 3
    told = lake.json('expire-snapshots', '--keep', '2', '--dry-run')['snapshots']
    assert told > 0 and len(lake.table('trades').snapshots()) > 3
    assert lake.json('expire-snapshots', '--keep', '2')['snapshots'] >= told
    for name in conftest.TABLES:
        assert len(lake.table(name).snapshots()) <= 2 and lake.table(name).scan().to_arrow().num_rows == before[name], name
    folder = lake.data / 'lake/market/trades/metadata'
    orphan, foreign = folder / '7469636b-0000-8000-8000-000000000000-m0.avro', folder / 'somebody-elses.avro'
    orphan.write_bytes(b'left by a crash')
    foreign.write_bytes(b'not ours')
    assert lake.json('remove-orphans', '--dry-run')['orphans'] == [f'file://{orphan}'] and orphan.exists()
    told = lake.json('remove-orphans', '--set', 'lake.grace_minutes=0')
    assert told['orphans'] == [f'file://{orphan}'] and told['removed'] >= 1
    assert not orphan.exists() and foreign.exists()
    lake.verify()
