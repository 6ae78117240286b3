"""Files that our Parquet writer makes, read by other people's readers and compared value by value.

parquet_random writes a random table by seed and, as CSV, what is in it.
"""

import csv
import decimal
import subprocess

import pytest

from parquet_tools import cell, find_tool

pq = pytest.importorskip("pyarrow.parquet")
import pyarrow as pa  # noqa: E402

SEEDS = range(1, 21)


@pytest.fixture(scope="session")
def tool():
    return find_tool("parquet_random")


@pytest.fixture(scope="session", params=SEEDS)
def table(request, tool, tmp_path_factory):
    folder = tmp_path_factory.mktemp(f"parquet{request.param}")
    path, expected = folder / "t.parquet", folder / "t.csv"
    subprocess.run([tool, str(request.param), path, expected], check=True)
    csv.field_size_limit(10_000_000)
    with open(expected, newline="") as file:
        lines = csv.reader(file)
        names = next(lines)
        rows = list(lines)
    return path, {name: [row[i] for row in rows] for i, name in enumerate(names)}


def kind(name):
    return name.split("_")[0]


def cells(name, values):
    """Values of a reader as the CSV has them."""
    return [cell(kind(name), value) for value in values]


def compare(expected, name, got):
    assert cells(name, got) == expected[name], name


def as_python(column):
    """Times as integers: Python's own dates end in the year 9999, ours do not."""
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.int64())
    return column.to_pylist()


@pytest.fixture(autouse=True, scope="session")
def exact_decimals():
    decimal.getcontext().prec = 60


def test_pyarrow(table):
    path, expected = table
    got = pq.read_table(path)
    assert got.column_names == list(expected)
    for name in expected:
        compare(expected, name, as_python(got[name]))


def test_duckdb(table):
    duckdb = pytest.importorskip("duckdb")
    path, expected = table
    con = duckdb.connect()
    con.execute("set timezone='UTC'")
    for name in expected:
        # DuckDB's own timestamps end near the ends of int64; those two values mean infinity there.
        what = f'epoch_us("{name}")' if kind(name) == "time" else f'"{name}"'
        if kind(name) == "time" and any(v != "-" and abs(int(v)) > 2**62 for v in expected[name]):
            continue
        rows = con.execute(f"select {what} from read_parquet('{path}', file_row_number=true) "
                           "order by file_row_number").fetchall()
        compare(expected, name, [row[0] for row in rows])


def test_polars(table):
    polars = pytest.importorskip("polars")
    path, expected = table
    got = polars.read_parquet(path)
    for name in expected:
        column = got[name]
        compare(expected, name, (column.to_physical() if kind(name) == "time" else column).to_list())


def test_datafusion(table):
    datafusion = pytest.importorskip("datafusion")
    path, expected = table
    context = datafusion.SessionContext()
    context.register_parquet("t", str(path))
    batches = context.sql("select * from t").collect()
    for name in expected:
        got = [value for batch in batches for value in as_python(batch.column(batch.schema.names.index(name)))]
        assert sorted(cells(name, got)) == sorted(expected[name]), name


def test_metadata(table):
    path, expected = table
    meta = pq.read_metadata(path)
    schema = pq.read_schema(path)
    rows = len(next(iter(expected.values())))
    assert meta.num_rows == rows
    assert meta.created_by.startswith("ticklake")
    for i, name in enumerate(schema.names):
        field = schema.field(name)
        assert field.metadata[b"PARQUET:field_id"] == str(10 + 3 * i).encode()
        if kind(name) == "decimal":
            assert field.type == pa.decimal128(38, 18)
        if kind(name) == "time":
            assert field.type == pa.timestamp("us", tz="UTC")
    start = 0
    for g in range(meta.num_row_groups):
        group = meta.row_group(g)
        assert [(s.column_index, s.descending, s.nulls_first) for s in group.sorting_columns] == [
            (0, False, True), (8, False, True)]
        end = start + group.num_rows
        for c in range(group.num_columns):
            check_chunk(group.column(c), schema.names[c], expected[schema.names[c]][start:end], schema)
        start = end
    assert start == rows


def check_chunk(chunk, name, expected, schema):
    assert chunk.has_offset_index and chunk.has_column_index, name
    assert chunk.num_values == len(expected)
    stats = chunk.statistics
    present = [value for value in expected if value != "-"]
    assert stats.null_count == len(expected) - len(present)
    assert stats.has_min_max == bool(present), name
    if not present:
        return
    if kind(name) in ("code", "text", "binary"):
        texts = [bytes.fromhex(value[1:]) for value in present]
        raw = [s if isinstance(s, bytes) else s.encode() for s in (stats.min_raw, stats.max_raw)]
        assert raw[0] <= min(texts) and raw[1] >= max(texts), name
        assert raw[0] == min(texts)[: len(raw[0])]
        if len(min(texts)) <= 64 and len(max(texts)) <= 64:
            assert raw == [min(texts), max(texts)]
        return
    numbers = [int(value) for value in present]
    if kind(name) == "decimal":
        assert [int(s.scaleb(18)) if s else 0 for s in (stats.min, stats.max)] == [min(numbers), max(numbers)]
    else:
        assert [int(stats.min_raw), int(stats.max_raw)] == [min(numbers), max(numbers)], name


def count_by_datafusion(path, condition):
    """DataFusion skips pages by the index and rows by pushed-down filters."""
    import datafusion

    config = datafusion.SessionConfig().set("datafusion.execution.parquet.pushdown_filters", "true")
    context = datafusion.SessionContext(config)
    context.register_parquet("t", str(path))
    return context.sql(f"select count(*) from t where {condition}").collect()[0].column(0)[0].as_py()


def test_page_index_prunes_nothing_away(table):
    pytest.importorskip("datafusion")
    path, _ = table
    whole = pq.read_table(path, columns=["long", "text", "decimal", "code"])
    if not whole.num_rows:
        return
    middle = whole["long"][whole.num_rows // 2].as_py()
    want = sum(value <= middle for value in whole["long"].to_pylist())
    assert count_by_datafusion(path, f'"long" <= {middle}') == want
    middle = whole["decimal"][whole.num_rows // 2].as_py()
    want = sum(value <= middle for value in whole["decimal"].to_pylist())
    literal = f"arrow_cast('{middle:f}', 'Decimal128(38, 18)')"  # a bare literal would be a float
    assert count_by_datafusion(path, f"\"decimal\" <= {literal}") == want
    for name in ("text", "code"):
        word = whole[name][whole.num_rows // 3].as_py()
        want = whole[name].to_pylist().count(word)
        assert count_by_datafusion(path, f"{name} = '{word}'") == want
