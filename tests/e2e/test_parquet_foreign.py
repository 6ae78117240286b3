"""Parquet files of other writers, read by our reader: typical ones give the same values, others are refused by name."""

import datetime
import decimal
import random
import subprocess

import pytest

from parquet_tools import EPOCH, cell, find_tool

pq = pytest.importorskip("pyarrow.parquet")
import pyarrow as pa  # noqa: E402

KINDS = {"text": "string", "text_optional": "string", "decimal": "decimal", "decimal_optional": "decimal",
         "decimal_small": "decimal", "time": "time", "time_optional": "time", "long": "long", "long_optional": "long",
         "int": "long", "boolean": "boolean", "boolean_optional": "boolean", "binary": "binary"}
TYPES = {"text": pa.string(), "decimal": pa.decimal128(38, 18), "decimal_small": pa.decimal128(18, 18),
         "time": pa.timestamp("us", tz="UTC"), "long": pa.int64(), "int": pa.int32(), "boolean": pa.bool_(),
         "binary": pa.binary()}
NOT_UNDERSTOOD = 2


def make_values(name, rows, r):
    kind = KINDS[name]
    if kind == "string":
        words = [f"word{i}" for i in range(50)] + ["", "ä€🐱"]
        make = (lambda i: r.choice(words)) if rows % 2 else (lambda i: f"id{10**9 + i * 7}")
    elif name == "decimal_small":
        make = lambda i: decimal.Decimal(r.randrange(-10**18 + 1, 10**18)).scaleb(-18)  # noqa: E731
    elif kind == "decimal":
        make = lambda i: decimal.Decimal(r.choice([r.randrange(-10**38 + 1, 10**38), r.randrange(500) * 10**16])  # noqa: E731
                                         ).scaleb(-18)
    elif kind == "time":
        make = lambda i: EPOCH + datetime.timedelta(microseconds=1_700_000_000_000_000 + i * 1000 + r.randrange(900))  # noqa: E731
    elif name == "int":
        make = lambda i: r.choice([-2**31, 2**31 - 1, r.randrange(100)])  # noqa: E731
    elif kind == "long":
        make = lambda i: r.choice([-2**63, 2**63 - 1, r.randrange(1000), i])  # noqa: E731
    elif kind == "boolean":
        make = lambda i: r.random() < 0.3  # noqa: E731
    else:
        make = lambda i: r.randbytes(r.randrange(30))  # noqa: E731
    optional = name.endswith("_optional")
    return [None if optional and r.random() < 0.4 else make(i) for i in range(rows)]


@pytest.fixture(autouse=True, scope="module")
def exact_decimals():
    decimal.getcontext().prec = 60


def make_table(rows, seed=1):
    r = random.Random(seed)
    fields, arrays = [], []
    for i, name in enumerate(KINDS):
        kind = TYPES.get(name) or TYPES[name.split("_")[0]]
        fields.append(pa.field(name, kind, name.endswith("_optional"), {"PARQUET:field_id": str(i + 1)}))
        arrays.append(pa.array(make_values(name, rows, r), kind))
    return pa.table(arrays, pa.schema(fields))


def dump(path, names):
    ids = {name: i + 1 for i, name in enumerate(KINDS)}
    done = subprocess.run([find_tool("parquet_dump"), path] + [f"{ids[n]}:{KINDS[n]}" for n in names],
                          capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


def expected(table, names):
    columns = [[cell(KINDS[n], v) for v in table[n].to_pylist()] for n in names]
    return "".join(",".join(row) + "\n" for row in zip(*columns))


DELTA = {name: "DELTA_BYTE_ARRAY" if kind in ("string", "binary") else "DELTA_BINARY_PACKED"
         for name, kind in KINDS.items() if kind in ("string", "binary", "long", "time")}
DELTA_LENGTH = {name: "DELTA_LENGTH_BYTE_ARRAY" for name, kind in KINDS.items() if kind in ("string", "binary")}
WAYS = {
    "defaults": {},
    "plain": {"use_dictionary": False},
    "delta": {"use_dictionary": False, "column_encoding": DELTA},
    "delta_length": {"use_dictionary": False, "column_encoding": DELTA_LENGTH},
    "decimals_delta": {"use_dictionary": False, "column_encoding": {"decimal": "DELTA_BYTE_ARRAY"}},
    "booleans_rle": {"use_dictionary": False, "column_encoding": {"boolean": "RLE", "boolean_optional": "RLE"}},
    "integers": {"store_decimal_as_integer": True},
    "integers_delta": {"store_decimal_as_integer": True, "use_dictionary": False,
                       "column_encoding": {"decimal_small": "DELTA_BINARY_PACKED", "int": "DELTA_BINARY_PACKED"}},
    "small_pages": {"data_page_size": 2000, "write_batch_size": 64, "dictionary_pagesize_limit": 3000},
    "old_format": {"version": "1.0"},
    "checksums": {"write_page_checksum": True},
}


@pytest.mark.parametrize("compression", ["zstd", "none", "gzip"])
@pytest.mark.parametrize("page", ["1.0", "2.0"])
@pytest.mark.parametrize("way", WAYS)
def test_pyarrow(tmp_path, way, page, compression):
    for rows in (0, 1, 2000, 5001):
        table = make_table(rows, rows)
        path = tmp_path / f"{rows}.parquet"
        pq.write_table(table, path, compression=compression, data_page_version=page, row_group_size=3000, **WAYS[way])
        code, out, err = dump(path, KINDS)
        assert code == 0, err
        assert out == expected(table, KINDS)


def test_duckdb(tmp_path):
    duckdb = pytest.importorskip("duckdb")
    table = make_table(5000)
    ids = ", ".join(f"\"{name}\": {i + 1}" for i, name in enumerate(KINDS))
    con = duckdb.connect()
    con.execute("set timezone='UTC'")
    for version in ("V1", "V2"):
        path = tmp_path / f"{version}.parquet"
        con.execute(f"copy (select * from \"table\") to '{path}' "
                    f"(format parquet, compression zstd, parquet_version {version}, field_ids {{{ids}}})")
        code, out, err = dump(path, KINDS)
        names = list(KINDS)
        if code == NOT_UNDERSTOOD:  # V2 writes decimals of 38 digits as plain, but may choose BYTE_STREAM_SPLIT
            assert "not understood" in err
            names = [n for n in KINDS if dump(path, [n])[0] == 0]
            code, out, err = dump(path, names)
        assert len(names) >= 10, err
        assert code == 0, err
        assert sorted(out.splitlines()) == sorted(expected(table, names).splitlines())


@pytest.mark.parametrize("options,names,words", [
    ({"compression": "snappy"}, ["long"], "snappy"),
    ({"compression": "lz4"}, ["long"], "codec"),
    ({"compression": "zstd", "use_dictionary": False, "column_encoding": {"long": "BYTE_STREAM_SPLIT"}}, ["long"], "encoding 9"),
])
def test_refused(tmp_path, options, names, words):
    path = tmp_path / "t.parquet"
    pq.write_table(make_table(100), path, **options)
    code, _, err = dump(path, names)
    assert code == NOT_UNDERSTOOD
    assert "not understood" in err and words in err and names[0] in err and "t.parquet" in err


@pytest.mark.parametrize("kind", [pa.timestamp("ns", tz="UTC"), pa.timestamp("ms", tz="UTC"), pa.date32(), pa.float64(),
                                  pa.list_(pa.int64()), pa.struct([("a", pa.int64())]), pa.decimal128(38, 17)])
def test_types_refused(tmp_path, kind):
    path = tmp_path / "t.parquet"
    field = pa.field("c", kind, True, {"PARQUET:field_id": "5"})
    pq.write_table(pa.table([pa.nulls(3, kind)], pa.schema([field])), path, compression="zstd")
    for wanted in ("time", "long", "decimal", "string", "boolean"):
        done = subprocess.run([find_tool("parquet_dump"), path, f"5:{wanted}"], capture_output=True, text=True)
        assert done.returncode == NOT_UNDERSTOOD, (wanted, done.stdout, done.stderr)


def test_damage_is_named(tmp_path):
    path = tmp_path / "t.parquet"
    pq.write_table(make_table(5000), path, compression="zstd", row_group_size=3000)
    whole = path.read_bytes()
    path.write_bytes(whole[:-100])
    code, _, err = dump(path, ["long"])
    assert code == 65 and "t.parquet" in err
    metadata = pq.ParquetFile(pa.BufferReader(whole)).metadata
    at = metadata.row_group(1).column(list(KINDS).index("long"))
    middle = (at.dictionary_page_offset or at.data_page_offset) + 3
    path.write_bytes(whole[:middle] + b"\xff" * 40 + whole[middle + 40:])
    code, _, err = dump(path, ["long"])
    assert code == 65 and "row group 1" in err and "column long" in err and "t.parquet" in err
