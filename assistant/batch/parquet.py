"""Parquet files, where pyarrow is installed. Knows nothing of studies or measurements."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any

from segment.errors import Refusal, ScanError
from segment.reading.source import file_name
from segment.resume import replacing

ROWS_AT_ONCE = 1000
Row = Mapping[str, Any]


class ParquetError(ValueError):
    """Parquet is asked for and pyarrow is not installed."""


def is_installed() -> bool:
    """Whether Parquet can be read and written."""
    return find_spec("pyarrow") is not None


def check_installed() -> None:
    """Raise ParquetError, which says what to install, where pyarrow is missing."""
    if not is_installed():
        msg = (
            "expected pyarrow for Parquet, found it not installed;"
            " pip install 'voxcite[batch]', or use CSV"
        )
        raise ParquetError(msg)


def read(path: Path) -> tuple[Sequence[str], Iterator[Mapping[str, str]]]:
    """Read columns and rows, every value as text and nothing as an empty one."""
    check_installed()
    from pyarrow import ArrowException
    from pyarrow.parquet import read_table

    try:
        table = read_table(path)
    except (ArrowException, OSError) as error:
        msg = f"{file_name(path)}: expected a Parquet file, found something else; save it as one"
        raise ScanError(Refusal.BAD_OPTION, msg) from error
    return table.column_names, map(_texts, table.to_pylist())


def write(path: Path, columns: Mapping[str, type], rows: Iterable[Row]) -> None:
    """Write rows, whole or not at all, a thousand in memory at a time; None is no value.

    ``columns`` names them in order with the type of their values: str or float.
    """
    check_installed()
    import pyarrow
    from pyarrow.parquet import ParquetWriter

    types = {str: pyarrow.string(), float: pyarrow.float64()}
    schema = pyarrow.schema([(name, types[kind]) for name, kind in columns.items()])
    waiting = iter(rows)
    with replacing(path) as temporary, ParquetWriter(temporary, schema) as writer:
        while some := list(islice(waiting, ROWS_AT_ONCE)):
            writer.write_table(pyarrow.Table.from_pylist(some, schema=schema))


def _texts(row: Row) -> dict[str, str]:
    return {name: "" if value is None else str(value).strip() for name, value in row.items()}
