"""Our Parquet writer against pyarrow: the same trades, the same encodings, one thread, CPU time, interleaved.

    parquet_bench.py [--rows N] [--repeat K] [--program PATH] [--folder DIR]

Prints one line of JSON. pyarrow writes each table twice, with the texts as strings and as dictionary arrays; the
faster of the two is what we are compared with, since our writer is given codes as well.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import tempfile
import time

import pyarrow as pa
import pyarrow.parquet as pq

CODES = ["venue", "exchange", "symbol", "venue_symbol", "stream", "side", "origin", "kind"]
DICTIONARY = CODES + ["price", "size"]
DELTA = ["first_id_number", "last_id_number", "venue_time", "venue_time_ns", "received_time", "received_time_ns",
         "sequence"]
SORT = ["venue", "symbol", "venue_time"]


def write_pyarrow(table, path):
    """Level 1, pages of 20,000 rows, page index, statistics: what our writer does."""
    encodings = {name: "DELTA_BINARY_PACKED" for name in DELTA} | {"trade_id": "DELTA_BYTE_ARRAY"}
    options = dict(compression="zstd", compression_level=1, use_dictionary=DICTIONARY, column_encoding=encodings,
                   write_page_index=True, store_schema=False,
                   sorting_columns=pq.SortingColumn.from_ordering(table.schema, [(n, "ascending") for n in SORT],
                                                                  null_placement="at_start"))
    start = time.process_time()
    pq.write_table(table, path, row_group_size=1_000_000, **options)
    return time.process_time() - start


def with_codes(table):
    for name in CODES:
        i = table.column_names.index(name)
        field = table.schema.field(name)
        column = table.column(name).combine_chunks().dictionary_encode()
        table = table.set_column(i, pa.field(name, column.type, field.nullable, field.metadata), column)
    return table


def has_page_index(path):
    """Whether every column has both indexes."""
    meta = pq.read_metadata(path)
    return all(meta.row_group(g).column(c).has_column_index and meta.row_group(g).column(c).has_offset_index
               for g in range(meta.num_row_groups) for c in range(meta.num_columns))


def main():
    options = argparse.ArgumentParser(description=__doc__)
    root = pathlib.Path(__file__).resolve().parents[1]
    options.add_argument("--rows", type=int, default=5_000_000)
    options.add_argument("--repeat", type=int, default=5)
    options.add_argument("--program", default=root / "build" / "bench" / "parquet_bench")
    options.add_argument("--folder", default="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)
    given = options.parse_args()
    pa.set_cpu_count(1)
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        ours, theirs = pathlib.Path(folder, "ours.parquet"), pathlib.Path(folder, "theirs.parquet")

        def run_ours():
            out = subprocess.run([given.program, str(given.rows), "1", ours], check=True, stdout=subprocess.PIPE)
            return json.loads(out.stdout)

        run_ours()
        plain = pq.read_table(ours).combine_chunks()
        coded = with_codes(plain)
        times = {"ours": [], "pyarrow_strings": [], "pyarrow_codes": []}
        sizes = {}
        for _ in range(given.repeat):
            result = run_ours()
            times["ours"].append(result["cpu_ms"] / 1000)
            sizes["ours"] = result["bytes"]
            for name, table in (("pyarrow_strings", plain), ("pyarrow_codes", coded)):
                times[name].append(write_pyarrow(table, theirs))
                sizes[name] = theirs.stat().st_size
        equal = pq.read_table(theirs).cast(plain.schema).equals(plain)
        rates = {name: round(given.rows / statistics.median(values)) for name, values in times.items()}
        best = max(rates["pyarrow_strings"], rates["pyarrow_codes"])
        print(json.dumps({
            "bench": "parquet_write", "rows": given.rows, "columns": plain.num_columns, "repeat": given.repeat,
            "rows_per_cpu_second": rates, "bytes": sizes, "ratio": round(rates["ours"] / best, 2),
            "size_ratio": round(sizes["ours"] / sizes["pyarrow_codes"], 3), "same_values": equal,
            "page_index": [has_page_index(ours), has_page_index(theirs)], "pyarrow": pa.__version__}))


if __name__ == "__main__":
    main()
