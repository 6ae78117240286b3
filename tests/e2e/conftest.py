"""What the end-to-end tests share: the binary, the recordings, and other people's readers of a lake."""
import decimal
import hashlib
import json
import os
import pathlib
import shutil
import subprocess

import pytest

import derived
import stack_tools

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = pathlib.Path(os.environ.get('TICKLAKE', ROOT / 'build' / 'ticklake'))
SAMPLES = ROOT / 'samples'
TABLES = ('trades', 'quotes', 'candles', 'venue_candles', 'gaps', 'instruments', 'dead_letters')
# What two runs of the same input may differ in: when a row was written. Nothing else, not even the sequence.
LEFT_OUT = {'candles': {'updated_at'}}
SHARED_MEMORY = pathlib.Path('/dev/shm')
SHARED_MEMORY_LEAST = 2 << 30
decimal.getcontext().prec = 80  # sums are exact, never rounded


def pytest_configure(config):
    config.addinivalue_line('markers', 'servers: uses the servers of stack/ (set by itself); the two kinds run side by side')
    use_memory()


def pytest_collection_modifyitems(items):
    for item in items:
        if 'stack' in getattr(item, 'fixturenames', ()):
            item.add_marker('servers')


def use_memory():
    """Data folders in memory where there is room: hundreds of commits are synced, and a killed process needs no disk for it."""
    if 'PYTEST_DEBUG_TEMPROOT' not in os.environ and SHARED_MEMORY.is_dir() and os.access(SHARED_MEMORY, os.W_OK):
        if shutil.disk_usage(SHARED_MEMORY).free >= SHARED_MEMORY_LEAST:
            os.environ['PYTEST_DEBUG_TEMPROOT'] = str(SHARED_MEMORY)


def find_recordings():
    folder = pathlib.Path(os.environ.get('TICKLAKE_RECORDINGS', ROOT.parent / 'shared' / 'recordings'))
    return folder if (folder / 'CATALOGUE.md').exists() else None


@pytest.fixture(scope='session')
def recordings():
    folder = find_recordings()
    if not folder:
        pytest.skip('no recordings: set TICKLAKE_RECORDINGS to the folder that holds CATALOGUE.md')
    return folder


class Ticklake:
    """One data folder, and the commands on it."""

    def __init__(self, folder):
        self.data = pathlib.Path(folder)

    def run(self, command, *args, check=0, env=None, timeout=300):
        line = [str(BINARY), command, *map(str, args), '--data', str(self.data)]
        done = subprocess.run(line, capture_output=True, text=True, timeout=timeout, env={**os.environ, **(env or {})})
        if check is not None:
            assert done.returncode == check, f'{line}\nexit {done.returncode}\n{done.stdout}\n{done.stderr}'
        return done

    def json(self, command, *args, **kw):
        return json.loads(self.run(command, *args, '--json', **kw).stdout)

    def start(self, command, *args, env=None, **kw):
        line = [str(BINARY), command, *map(str, args), '--data', str(self.data)]
        return subprocess.Popen(line, env={**os.environ, **(env or {})}, text=True, **kw)

    def verify(self, check=0):
        done = self.run('verify', '--json', check=None)
        assert done.returncode == check, done.stdout + done.stderr
        return json.loads(done.stdout)

    def hashes(self):
        """Every file of the folder, but for the lock, which a command may take, and the empty log that reading a database makes."""
        return {str(p.relative_to(self.data)): hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(self.data.rglob('*'))
                if p.is_file() and p.name != 'lock' and p.suffix != '.db-shm' and (p.suffix != '.db-wal' or p.stat().st_size)}

    def differences(self):
        """What verify finds, and the exit code of 1 that goes with it."""
        told = self.verify(check=1)
        assert not told['equal'] and told['differences']
        return told['differences']

    # --- other people's readers ---

    def catalog(self):
        from pyiceberg.catalog import load_catalog
        return load_catalog('ticklake', type='sql', uri=f'sqlite:///{self.data}/catalog.db',
                            warehouse=f'file://{self.data}/lake', init_catalog_tables='false')

    def table(self, name):
        return self.catalog().load_table(f'market.{name}')

    def rows(self, name, columns=('*',)):
        return self.table(name).scan(selected_fields=columns).to_arrow().to_pylist()

    def everything(self):
        """All rows of all tables in a defined order, without the columns of LEFT_OUT."""
        out, catalog = {}, self.catalog()
        for name in TABLES:
            rows = catalog.load_table(f'market.{name}').scan().to_arrow()
            rows = rows.select([c for c in rows.column_names if c not in LEFT_OUT.get(name, ())])
            out[name] = rows.sort_by([(c, 'ascending') for c in rows.column_names]).combine_chunks()
        return out

    def duckdb(self, sql):
        """Runs sql in DuckDB, with {trades} and so on standing for iceberg_scan of the newest metadata."""
        con = duckdb_connection()
        names = {n: f"iceberg_scan('{self.table(n).metadata_location}')" for n in
                 TABLES if '{' + n + '}' in sql}
        return con.execute(sql.format(**names)).fetchall()


def assert_same_rows(ours, expected):
    for name in TABLES:
        assert ours[name].column_names == expected[name].column_names
        assert ours[name].num_rows == expected[name].num_rows, f'{name}: number of rows'
        for column in ours[name].column_names:
            assert ours[name][column].equals(expected[name][column]), f'{name}.{column}'


def duckdb_connection():
    import importlib.util
    import duckdb
    con = duckdb.connect(config={'autoinstall_known_extensions': 'false', 'autoload_known_extensions': 'false'})
    con.execute("set timezone='UTC'")
    for name in ('avro', 'httpfs', 'iceberg'):
        origin = importlib.util.find_spec(f'duckdb_extension_{name}').submodule_search_locations[0]
        path = next(pathlib.Path(origin).glob(f'extensions/*/{name}.duckdb_extension'))
        con.execute(f"load '{path}'")
    return con


@pytest.fixture
def ticklake(tmp_path):
    return Ticklake(tmp_path / 'data')


@pytest.fixture(scope='session')
def new_ticklake(tmp_path_factory):
    return lambda name: Ticklake(tmp_path_factory.mktemp(name) / 'data')


@pytest.fixture(scope='session')
def worse(recordings, tmp_path_factory):
    """A real recording with gaps, late trades, duplicates, swaps and spoilt frames, and what must come of it."""
    path = tmp_path_factory.mktemp('worse') / 'btcusdt_worse.gz'
    return derived.derive(recordings / 'hftbacktest/binance-spot/btcusdt_20240808.gz', path, seed=1)


@pytest.fixture(scope='session')
def stack():
    """The servers of stack/, each started when a test first asks for it: stack.up('kafka')."""
    with stack_tools.Stack.existing() or stack_tools.Stack() as made:
        yield made
