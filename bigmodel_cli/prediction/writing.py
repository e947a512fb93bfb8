"""Predictions as files: CSV, JSON lines, Parquet and npz, a part at a time."""

from __future__ import annotations

import csv
import json
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from bigmodel_cli import rundir
from bigmodel_cli.contracts import IGNORED, DataSpec
from bigmodel_cli.errors import BigmodelError, UsageError
from bigmodel_cli.prediction.content import ColumnOf, Result, columns_of, single
from bigmodel_cli.prediction.parts import Parts
from bigmodel_cli.reconstruction import labelled
from bigmodel_cli.targets import joined_labels

FORMATS = (".csv", ".jsonl", ".parquet", ".npz")

GROUP_ROWS = 65_536
"""In a group of rows of a Parquet file."""


def check_output(path: Path) -> None:
    """Make sure that predictions can be written there, before any work is done.

    Raises:
        UsageError: an unknown extension, or a folder that is not there.
    """
    if path.suffix not in FORMATS:
        raise UsageError(f"--output {path}: the extension must be one of {', '.join(FORMATS)}")
    if not path.parent.is_dir():
        raise UsageError(f"--output {path}: there is no folder {path.parent}")


def tables(parts: Parts, spec: DataSpec) -> Iterator[list[ColumnOf]]:
    """The columns, a part at a time; with the column `error` where any input has one."""
    with_error = bool(parts.state.errors)
    return (columns_of(result, spec, with_error) for result in parts)


def rows(parts: Parts, spec: DataSpec) -> Iterator[dict[str, Any]]:
    """One flat mapping an input: id, prediction, numbers, target where known, error where any."""
    for columns in tables(parts, spec):
        names = [column.name for column in columns]
        for cells in zip(*(column.cells for column in columns), strict=True):
            yield dict(zip(names, cells, strict=True))


def write(parts: Parts, spec: DataSpec, path: Path) -> None:
    """Write all predictions, by the extension; the file is whole or not there at all.

    Raises:
        UsageError: another extension, or a folder that is not there.
        BigmodelError: it cannot be written.
    """
    check_output(path)
    writers: dict[str, Callable[[Parts, DataSpec, Path], None]] = {
        ".parquet": _write_parquet, ".npz": _write_npz
    }  # fmt: skip

    def write_text_file(parts: Parts, spec: DataSpec, temporary: Path) -> None:
        with temporary.open("w", encoding="utf-8", newline="") as file:
            write_text(parts, spec, file, path.suffix)

    writer = writers.get(path.suffix, write_text_file)
    try:
        rundir.write_atomically(path, lambda temporary: writer(parts, spec, temporary))
    except OSError as error:
        raise BigmodelError(
            f"{path}: cannot be written: {error.strerror}; make room, and go on with --resume"
        ) from None


def write_text(parts: Parts, spec: DataSpec, file: TextIO, suffix: str) -> None:
    """Write all predictions to an open text file as `.csv` or `.jsonl`."""
    if suffix == ".jsonl":
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows(parts, spec))
        return
    writer = csv.writer(file, lineterminator="\n")
    for number, columns in enumerate(tables(parts, spec)):
        if not number:
            writer.writerow([column.name for column in columns])
        writer.writerows(zip(*(column.cells for column in columns), strict=True))


def write_json(parts: Parts, spec: DataSpec, run: str, file: TextIO) -> None:
    """Write one JSON document, `run` and `predictions`, as `rundir.json_text` would, a row at a time."""
    file.write(f'{{\n  "run": {json.dumps(run, ensure_ascii=False)},\n  "predictions": [')
    separator = "\n"
    for row in rows(parts, spec):
        text = rundir.json_text(row).replace("\n", "\n    ")
        file.write(f"{separator}    {text}")
        separator = ",\n"
    file.write("\n  ]\n}\n")


def _write_parquet(parts: Parts, spec: DataSpec, path: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    first, others = _first(tables(parts, spec))
    schema = pa.schema([(column.name, pa.string() if column.text else pa.float64()) for column in first])
    # Numbers hardly ever come twice, and ids never.
    repeated = [column.name for column in first if column.text and column.name != "id"]
    with parquet.ParquetWriter(path, schema, use_dictionary=repeated) as writer:
        # Groups of one size, wherever the parts end.
        kept = schema.empty_table()
        for columns in chain([first], others):
            part = pa.table(
                [
                    pa.array(column.values, field.type, mask=column.blank, from_pandas=False)
                    for column, field in zip(columns, schema, strict=True)
                ],
                schema=schema,
            )
            kept = pa.concat_tables([kept, part])
            while kept.num_rows >= GROUP_ROWS:
                writer.write_table(kept.slice(0, GROUP_ROWS).combine_chunks(), GROUP_ROWS)
                kept = kept.slice(GROUP_ROWS)
        if kept.num_rows:
            writer.write_table(kept.combine_chunks(), GROUP_ROWS)


def _first(items: Iterator[list[ColumnOf]]) -> tuple[list[ColumnOf], Iterator[list[ColumnOf]]]:
    return next(items), items


def _write_npz(parts: Parts, spec: DataSpec, path: Path) -> None:
    """Arrays of `numpy.load`, with a row for each input; numbers are NaN where there is no prediction."""
    shapes: dict[str, tuple[np.dtype, tuple[int, ...]]] = {}
    for result in parts:
        for name, array in _npz_arrays(result, spec, bool(parts.state.errors)):
            known = shapes.get(name, (array.dtype, ()))[0]
            shapes[name] = (np.promote_types(known, array.dtype), array.shape[1:])
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for prefix, part, _ in single({}, spec):
            if part.task not in ("regression", "reconstruction", "multi_task"):
                what = "labels" if part.task == "multi_label" else "classes"
                _write_member(archive, f"{prefix}{what}", np.asarray(part.target.names), ())
        for name, (dtype, shape) in shapes.items():
            of = (
                array.astype(dtype)
                for result in parts
                for found, array in _npz_arrays(result, spec, bool(parts.state.errors))
                if found == name
            )
            _write_member(archive, name, np.empty((0, *shape), dtype), of, parts.state.rows)


def _npz_arrays(result: Result, spec: DataSpec, with_error: bool) -> Iterator[tuple[str, np.ndarray]]:
    spec = labelled(spec)
    blank = np.array([bool(error) for error in result.errors])
    yield "id", np.asarray(result.ids, str)
    for prefix, part, arrays in single(result.arrays, spec):
        for name, array in _npz_values(arrays, part, blank):
            yield f"{prefix}{name}", array
    if with_error:
        yield "error", np.asarray(result.errors, str)


def _npz_values(
    arrays: Mapping[str, np.ndarray], spec: DataSpec, blank: np.ndarray
) -> Iterator[tuple[str, np.ndarray]]:
    """What is said of each input, of one task; `blank` (n,) marks inputs without a prediction."""
    names = np.asarray(spec.target.names)
    for name, array in arrays.items():
        flags = name == "labels" or (name == "target" and spec.task == "multi_label")
        if flags or name == "top" or (name in ("best", "target") and spec.task == "classification"):
            texts = joined_labels(array, spec.target.names).astype(str) if flags else names[array]
            if name != "target":
                texts[blank] = ""
            yield {"best": "prediction", "labels": "prediction"}.get(name, name), texts
        elif name == "target":
            yield name, array
        else:
            if blank.any():
                array = array.copy()
                # A mask has no NaN: where there is no prediction, every pixel is ignored.
                array[blank] = IGNORED if name == "masks" else np.nan
            yield {"values": "prediction", "masks": "prediction"}.get(name, name), array


def _write_member(
    archive: zipfile.ZipFile,
    name: str,
    start: np.ndarray,
    pieces: Iterator[np.ndarray] | Sequence[np.ndarray],
    count: int | None = None,
) -> None:
    """An array of `count` rows, of which `start` holds the first, and the shape of a row."""
    shape = (len(start) if count is None else count, *start.shape[1:])
    header = {"descr": np.lib.format.dtype_to_descr(start.dtype), "fortran_order": False, "shape": shape}
    # Without a time of its own, so that the same predictions make the same file.
    with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as file:
        np.lib.format.write_array_header_1_0(file, header)
        for piece in chain([start], pieces):
            file.write(np.ascontiguousarray(piece).tobytes())
