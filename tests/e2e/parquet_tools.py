"""The C tools of the Parquet tests: parquet_random writes tables by seed, parquet_dump prints what our reader sees."""

import datetime
import os
import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
MICROSECOND = datetime.timedelta(microseconds=1)


def find_tool(name):
    """From the environment (PARQUET_RANDOM, PARQUET_DUMP), else built by make."""
    named = os.environ.get(name.upper())
    if named:
        return pathlib.Path(named)
    build = os.environ.get("O", "build")
    program = f"{build}/tests/tools/{name}"
    made = subprocess.run(["make", f"O={build}", program], cwd=ROOT, capture_output=True, text=True)
    path = ROOT / program
    if not path.is_file():
        pytest.skip(f"skipped: make {program}: {made.stderr.strip()[-200:]}")
    return path


def cell(kind, value):
    """A reader's value as the CSV of the tools has it."""
    if value is None:
        return "-"
    if kind in ("code", "text", "string"):
        return "x" + value.encode().hex()
    if kind == "binary":
        return "x" + bytes(value).hex()
    if kind == "decimal":
        return str(int(value.scaleb(18))) if value else "0"
    if kind == "boolean":
        return str(int(value))
    if kind == "time" and isinstance(value, datetime.datetime):
        return str((value.astimezone(datetime.timezone.utc) - EPOCH) // MICROSECOND)
    return str(value)
