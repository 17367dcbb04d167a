"""Columns of numbers in files made elsewhere (csv, npz, npy, parquet): bounded before they are read, rows by id."""

import codecs
import csv
import math
import re
import stat
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute
import pyarrow.csv
import pyarrow.parquet

from easiness.datasets.image_files import reason

ID = "example_id"

# Greatest size in bytes of a file, and of its columns in memory: twenty columns of ImageNet.
LARGEST = 2**28

# Names, in small letters alone, of columns that say which example a row is. The empty one is pandas' index in a csv.
_LIKE_IDS = ("", "exampleid", "exampleids", "id", "ids", "idx", "index", "imageid", "unnamed", "indexlevel")


@dataclass(frozen=True, eq=False)
class Columns:
    """Columns of one file, each (n,), in its order."""

    path: Path
    values: dict[str, np.ndarray]  # numbers, truths or text, by name
    ids: np.ndarray | None  # (n,) int64, each once; None if no column says which example a row is

    def integers(self, name: str) -> np.ndarray:
        """Column of whole numbers; a ValueError if it holds anything else."""
        return _integers(self.path, name, self.values[name])


def read_columns(
    path: Path, suffixes: tuple[str, ...], option: str, text: tuple[str, ...] = (), lone: str = ID
) -> Columns:
    """Read the columns of a file; `option` names it in messages.

    An npy file is one column, called `lone`: of ids if not given. Columns named in `text` are words in a csv, whatever
    they look like. A ValueError if the file is damaged, too large, or seems to have ids under another name than
    example_id; a FileNotFoundError if it is not there.
    """
    with _bounded(path, suffixes, option) as suffix:
        pairs = list(_read_csv(path, text) if suffix == ".csv" else _READERS[suffix](path))
    columns = {lone if suffix == ".npy" else name: values for name, values in pairs}
    if len(columns) < len(pairs):
        raise ValueError(f"{path} has two columns of one name")
    ids = None
    if ID in columns:
        ids = _integers(path, ID, columns.pop(ID))
        values, counts = np.unique(ids, return_counts=True)
        if (counts > 1).any():
            raise ValueError(f"{path} has {ID} {values[counts > 1][0]} twice; give every example once")
    else:
        _refuse_other_ids(path, columns)
    return Columns(path, columns, ids)


def read_text(
    path: Path, suffixes: tuple[str, ...], option: str, wanted: Sequence[str]
) -> tuple[dict[str, list[str]], list[str]]:
    """Columns of a csv, tsv or parquet file as text, those `wanted` by their names in small letters; and all names.

    A csv may have commas, semicolons or tabs between its columns. What is missing is empty. Errors are as of
    `read_columns`.
    """
    with _bounded(path, suffixes, option) as suffix:
        table, names = _parquet_text(path, wanted) if suffix == ".parquet" else _csv_text(path, wanted)
        known = [name.strip().casefold() for name in table.column_names]
        if len(set(known)) < len(known):
            raise ValueError("two columns of one name")
        text = (pa.compute.fill_null(column.cast(pa.string()), "").to_pylist() for column in table.columns)
        return dict(zip(known, text, strict=True)), names


def _csv_text(path: Path, wanted: Sequence[str]) -> tuple[pa.Table, list[str]]:
    with path.open("rb") as file:
        header = file.readline(2**16)
    if header.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise ValueError("it is in UTF-16; save it as UTF-8")
    separators = [sign for sign in (",", ";", "\t") if sign.encode() in header]
    separator = "\t" if path.suffix.lower() == ".tsv" else next(iter(separators), ",")
    names = next(csv.reader([header.decode("utf-8-sig", "replace")], delimiter=separator), [])
    taken = [name for name in names if name.strip().casefold() in wanted]
    try:
        table = pa.csv.read_csv(
            path,
            parse_options=pa.csv.ParseOptions(delimiter=separator),
            convert_options=pa.csv.ConvertOptions(
                column_types=dict.fromkeys(taken, pa.string()), include_columns=taken, strings_can_be_null=False
            ),
            read_options=pa.csv.ReadOptions(use_threads=False),
        )
    except pa.ArrowInvalid as error:
        hint = "; save it as UTF-8" if "UTF8" in str(error) else ""
        raise ValueError(f"{error}{hint}") from error
    return table if taken else pa.table({}), names


def _parquet_text(path: Path, wanted: Sequence[str]) -> tuple[pa.Table, list[str]]:
    schema = pa.parquet.read_schema(path)
    taken = [name for name in schema.names if name.strip().casefold() in wanted]
    # Text stays in dictionaries until its length is known: a small file may hold one long text for every row.
    kinds = {name: schema.field(name).type for name in taken}
    text = [name for name, kind in kinds.items() if pa.types.is_string(kind) or pa.types.is_large_string(kind)]
    file = pa.parquet.ParquetFile(path, read_dictionary=text)
    groups = (file.metadata.row_group(i) for i in range(file.metadata.num_row_groups))
    if 8 * file.metadata.num_rows > LARGEST or sum(group.total_byte_size for group in groups) > LARGEST:
        raise ValueError(f"{file.metadata.num_rows:,} rows are too many; at most {LARGEST:,} bytes are read")
    table = file.read(columns=taken, use_threads=False)
    for name, column in zip(table.column_names, table.columns, strict=True):
        for chunk in column.chunks if pa.types.is_dictionary(column.type) else ():
            lengths = pa.compute.binary_length(chunk.dictionary).take(chunk.indices)
            if (pa.compute.sum(lengths).as_py() or 0) > LARGEST:
                raise ValueError(f"column {name} is longer than {LARGEST:,} bytes")
    return table, schema.names


@contextmanager
def _bounded(path: Path, suffixes: tuple[str, ...], option: str) -> Iterator[str]:
    """Suffix of a file that may be read; what is raised inside is said in one line."""
    suffix = path.suffix.lower()
    if suffix not in suffixes:
        raise ValueError(f"{option} is {path}, and must be a file {' or '.join(suffixes)}")
    if not path.exists():
        raise FileNotFoundError(f"{option} is {path}, and there is no such file")
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):  # a pipe would be waited for
        raise ValueError(f"{option} is {path}, which is not a regular file")
    if status.st_size > LARGEST:
        raise ValueError(f"{option} is {path} of {status.st_size:,} bytes; at most {LARGEST:,} are read")
    try:
        yield suffix
    except (MemoryError, FileNotFoundError, PermissionError):
        raise
    except Exception as error:  # the libraries raise almost anything on damaged bytes
        raise ValueError(f"{option} is {path}, which cannot be read as {suffix[1:]} ({reason(error)})") from error


def _refuse_other_ids(path: Path, columns: dict[str, np.ndarray]) -> None:
    for name, values in columns.items():
        if "".join(filter(str.isalpha, name.casefold())) not in _LIKE_IDS:
            continue
        if values.dtype.kind not in "iu" or not np.array_equal(values, np.arange(len(values))):
            raise ValueError(
                f"{path} has a column {name!r} that may say which example a row is; call it {ID}, or leave it out"
            )


def _integers(path: Path, name: str, values: np.ndarray) -> np.ndarray:
    if not len(values) or values.dtype.kind == "i" or (values.dtype.kind == "u" and values.max() < 2**63):
        return values.astype(np.int64)
    for row, value in enumerate(values):
        if not re.fullmatch(r"-?[0-9]+(\.0)?", str(value)):
            raise ValueError(f"{path}, row {row + 1}: {str(value)!r} is not a whole number; {name} needs them")
    raise ValueError(f"{path}: {name} is {values.dtype}, and needs whole numbers")


def _read_csv(path: Path, text: tuple[str, ...]) -> Iterator[tuple[str, np.ndarray]]:
    with path.open("rb") as file:
        header = file.readline(2**16)
    for separator in (b";", b"\t"):
        if separator in header:
            raise ValueError(f"columns are separated by {separator.decode()!r}; use commas, and points in numbers")
    # Nothing stands for a missing number: a column with a gap is text.
    types = dict.fromkeys(text, pa.string())
    options = pa.csv.ConvertOptions(null_values=[], strings_can_be_null=False, check_utf8=True, column_types=types)
    table = pa.csv.read_csv(path, convert_options=options, read_options=pa.csv.ReadOptions(use_threads=False))
    for name, column in zip(table.column_names, table.columns, strict=True):
        yield name, column.to_numpy()


def _read_npy(path: Path) -> Iterator[tuple[str, np.ndarray]]:
    with path.open("rb") as file:
        array = _read_array(file, path.stat().st_size)
    if array.ndim != 1:
        raise ValueError(f"shape {array.shape}; give one number per example")
    yield ID, array


def _read_npz(path: Path) -> Iterator[tuple[str, np.ndarray]]:
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        total = sum(member.file_size for member in members)
        if total > LARGEST:
            raise ValueError(f"its arrays have {total:,} bytes; at most {LARGEST:,} are read")
        for member in members:
            with archive.open(member) as file:
                array = _read_array(file, member.file_size)
            if array.ndim == 1:
                yield member.filename.removesuffix(".npy"), array


def _read_array(file: IO[bytes], size: int) -> np.ndarray:
    """Array in npy format; a ValueError unless header and content together have `size` bytes."""
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    version = np.lib.format.read_magic(file)
    if version not in readers:
        raise ValueError(f"npy version {version}")
    shape, by_columns, dtype = readers[version](file)
    if dtype.hasobject or dtype.itemsize * math.prod(shape) != size - file.tell():
        raise ValueError(f"its header says {dtype} of shape {shape}, and its content has another size")
    return np.frombuffer(file.read(), dtype).reshape(shape, order="F" if by_columns else "C")


def _read_parquet(path: Path) -> Iterator[tuple[str, np.ndarray]]:
    file = pa.parquet.ParquetFile(path)
    is_number = (pa.types.is_integer, pa.types.is_floating)
    numeric = [field.name for field in file.schema_arrow if any(test(field.type) for test in is_number)]
    text = set(file.schema_arrow.names) - set(numeric)
    if ID in text:
        raise ValueError(f"{ID} is {file.schema_arrow.field(ID).type}, and needs whole numbers")
    if 8 * file.metadata.num_rows * len(numeric) > LARGEST:
        raise ValueError(
            f"{file.metadata.num_rows:,} rows of {len(numeric)} numbers; at most {LARGEST:,} bytes are read"
        )
    # With pandas' own notes, since an index of equal steps is nowhere else.
    frame = file.read(columns=numeric, use_threads=False, use_pandas_metadata=True).to_pandas()
    plain = isinstance(frame.index, pd.RangeIndex) and frame.index.equals(pd.RangeIndex(len(frame)))
    if frame.index.names != [None] or not plain:
        frame = frame.reset_index()
    for name in frame.columns:
        yield str(name), frame[name].to_numpy()


_READERS = {".npy": _read_npy, ".npz": _read_npz, ".parquet": _read_parquet}
