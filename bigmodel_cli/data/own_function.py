"""Data that a function of one's own returns."""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from bigmodel_cli import components
from bigmodel_cli.contracts import Source
from bigmodel_cli.data.array_meaning import ArrayTask, AskedKind, interpret
from bigmodel_cli.data.tables.cells import CellReader, DateOrder
from bigmodel_cli.data.tables.column_kinds import DeclaredKind
from bigmodel_cli.data.tables.scan import TableOptions
from bigmodel_cli.data.tables.several_targets import TargetTasks, asked_targets
from bigmodel_cli.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

EXPECTED = (
    "inputs and targets as two arrays (x, y); or these for each split, as {'train': (x, y), 'test': (x, y)} "
    "or "
    "((x_train, y_train), (x_test, y_test)); or a data frame or such for each split; or a "
    "bigmodel_cli.contracts.Source"
)

_SOURCE = (
    "spec", "sizes", "example_bytes", "notes",
    "fingerprint", "targets", "arrays", "batches", "lookup", "values",
)  # fmt: skip


def function(
    seed: int,
    *,
    function: str,
    arguments: Mapping[str, Any] = {},
    task: ArrayTask = "auto",
    kind: AskedKind = "auto",
    class_names: Sequence[str] | None = None,
    target: str | Annotated[Sequence[str], Field(min_length=1)] | TargetTasks | None = None,
    columns: Mapping[str, DeclaredKind] | None = None,
    drop_missing: Literal["none", "any", "target"] = "none",
    date_order: DateOrder | None = None,
) -> Source:
    """What a function of one's own returns: arrays of inputs and targets or a table, of one or more splits.

    uint8 arrays (examples, height, width) or (examples, height, width, channels) are images, other numbers
    tabular. Strings and few whole numbers as targets are classes, other numbers a regression. A table is a
    data frame of pandas or polars, or a table of pyarrow.

    Args:
        function: as package.module:function; modules in the current folder are found too.
        arguments: keyword arguments that it is called with.
        task: classification, multi_label (of arrays rows of 0 and 1, a column for each label; of tables see
            the dataset `csv`) or regression; auto goes by the targets.
        kind: image or tabular; auto goes by dtype and shape.
        class_names: of the classes, in the order of their numbers; null takes the sorted values. Of arrays.
        target: column or columns to predict, or a mapping of column to task, weight and loss (see the
            dataset `csv`); of a table.
        columns: kind of a column, where the inferred one is not what is wanted; of a table. Ignored ones
            are no features.
        drop_missing: rows of a table to leave out: none, those with any missing cell, or with a missing
            target.
        date_order: how dates such as 03/04/2024 in strings of a table are meant; null does not read them as
            dates.
    """
    from bigmodel_cli.data.arrays import ArraySource

    result = _call(function, arguments)
    of_tables = {
        "target": target,
        "columns": columns,
        "drop_missing": None if drop_missing == "none" else drop_missing,
        "date_order": date_order,
    }
    missing = [name for name in _SOURCE if not hasattr(result, name)]
    if not missing:
        if asked := _asked(task=task, kind=kind, class_names=class_names, **of_tables):
            raise DataError(
                f"dataset.{asked}: `{function}` returns a source, which says that itself; leave it out"
            )
        source: Source = result
        return source
    if "batches" not in missing:
        raise DataError(
            f"dataset.function: `{function}` returned a {type(result).__name__} that is no whole source (see "
            f"bigmodel_cli.contracts.Source): it lacks {', '.join(missing)}"
        )
    if (tables := _tables(result)) is not None:
        if asked := _asked(kind=kind, class_names=class_names):
            raise DataError(f"dataset.{asked}: `{function}` returns a table; leave it out")
        if task == "segmentation":
            raise DataError(
                f"dataset.task: `segmentation` is for images with masks, and `{function}` returns a table; "
                "take another task"
            )
        if target is None:
            names = ", ".join(next(iter(tables.values())).schema.names[:20])
            raise DataError(
                f"dataset.target: `{function}` returns a table; name the column to predict, one of {names}"
            )
        targets, several = asked_targets(target)
        # Values in memory are missing when they are null, whatever they are called.
        reader = CellReader(missing_values=(), date_order=date_order)
        options = TableOptions(
            targets, dict(columns or {}), task, drop_missing, reader=reader, several=several
        )
        return _of_tables(function, tables, options)
    if asked := _asked(**of_tables):
        raise DataError(
            f"dataset.{asked}: only a table has columns, and `{function}` returns none; leave it out"
        )
    pairs = _pairs(result, function)
    places = {base: f"`{function}`, {base}" if len(pairs) > 1 else f"`{function}`" for base in pairs}
    meaning = interpret(
        pairs,
        name=function.rpartition(":")[2],
        origin=function,
        places=places,
        task=task,
        kind=kind,
        class_names=class_names,
    )
    dtype = meaning.spec.input.dtype
    bases = {base: (x.astype(dtype, copy=False), y) for base, (x, y) in meaning.bases.items()}
    return ArraySource(meaning.spec, bases, meaning.notes)


def _of_tables(function: str, tables: Mapping[str, pa.Table], options: TableOptions) -> Source:
    import pyarrow as pa

    from bigmodel_cli.data.tables.arrow_tables import ArrowSource, ArrowTables, content

    first, whole = next(iter(tables.items()))
    for base, table in tables.items():
        names = table.schema.names
        if set(names) != set(whole.schema.names):
            raise DataError(
                f"dataset.function: `{function}` returns tables with different columns: {first} has "
                f"{', '.join(whole.schema.names[:20])}, {base} {', '.join(names[:20])}"
            )
        if (double := next((name for name in names if names.count(name) > 1), None)) is not None:
            raise DataError(f"dataset.function: `{function}`, {base}: two columns are called `{double}`")
    try:
        # Frames of several packages call the same thing string and large_string.
        schema = pa.unify_schemas([table.schema for table in tables.values()], promote_options="permissive")
        tables = {base: table.select(schema.names).cast(schema) for base, table in tables.items()}
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        raise DataError(
            f"dataset.function: `{function}` returns tables whose columns differ in type: "
            f"{str(error).splitlines()[0]}"
        ) from error
    stamps = {base: content(table) for base, table in tables.items()}
    made = ArrowTables(f"`{function}`", tables, stamps)
    return ArrowSource(function.rpartition(":")[2], function, made, options)


def _tables(result: Any) -> dict[str, pa.Table] | None:
    """Base split -> table, if the function returned any."""
    if isinstance(result, Mapping):
        found = {base: _table(value) for base, value in result.items() if isinstance(base, str)}
        tables = {base: table for base, table in found.items() if table is not None}
        return tables if tables and len(tables) == len(result) else None
    table = _table(result)
    return None if table is None else {"all": table}


def _table(value: Any) -> pa.Table | None:
    import pyarrow as pa

    if isinstance(value, pa.Table):
        return value
    package = type(value).__module__.split(".")[0]
    if package == "polars" and hasattr(value, "to_arrow") and hasattr(value, "columns"):
        return value.to_arrow()
    if package != "pandas" or not hasattr(value, "columns"):
        return None
    try:
        # The index counts the rows, as a rule; what is more should be a column.
        return pa.Table.from_pandas(value.rename(columns=str), preserve_index=False)
    except (ValueError, TypeError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"dataset.function: the data frame cannot be read: {reason}") from error


def _asked(**settings: Any) -> str | None:
    """The first setting that is not left as it comes."""
    return next((name for name, value in settings.items() if value not in ("auto", None)), None)


def _call(name: str, arguments: Mapping[str, Any]) -> Any:
    """What the function returns.

    Raises:
        DataError: it is not there, cannot be called so, or fails.
    """
    try:
        found = components.own(name)
    except components.UnknownComponentError as error:
        raise DataError(f"dataset.function: {error}") from error
    if not callable(found):
        raise DataError(f"dataset.function: `{name}` is a {type(found).__name__}, not a function")
    _check_arguments(name, found, arguments)
    try:
        return found(**arguments)
    except Exception as error:
        # Whatever goes wrong in the user's own function is for the user to read, with its place.
        frames = traceback.extract_tb(error.__traceback__)
        own_file = getattr(getattr(found, "__code__", None), "co_filename", "")
        frame = next((item for item in reversed(frames) if item.filename == own_file), frames[-1])
        reason = str(error).strip()[:500]
        raise DataError(
            f"dataset.function: `{name}` failed in {frame.filename}:{frame.lineno}: {type(error).__name__}"
            f"{': ' if reason else ''}{reason}"
        ) from error


def _check_arguments(name: str, found: Callable[..., Any], arguments: Mapping[str, Any]) -> None:
    try:
        signature = inspect.signature(found)
    except (TypeError, ValueError):
        # Some functions written in C have none; the call itself will tell.
        return
    try:
        signature.bind(**arguments)
    except TypeError as error:
        raise DataError(f"dataset.arguments: `{name}` takes {signature}, but: {error}") from error


def _pairs(result: Any, name: str) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Inputs and targets of each base split.

    Raises:
        DataError: the function returned something else.
    """
    if isinstance(result, Mapping):
        if not result or not all(isinstance(key, str) and _is_pair(value) for key, value in result.items()):
            raise _unexpected(result, name)
        return {base: _both(pair, name) for base, pair in result.items()}
    if not _is_pair(result):
        raise _unexpected(result, name)
    if all(isinstance(part, tuple) and _is_pair(part) for part in result):
        # As the load_data functions of keras.datasets return them.
        return {base: _both(pair, name) for base, pair in zip(("train", "test"), result, strict=True)}
    return {"all": _both(result, name)}


def _is_pair(value: Any) -> bool:
    return isinstance(value, tuple | list) and len(value) == 2


def _both(pair: Any, name: str) -> tuple[np.ndarray, np.ndarray]:
    inputs, targets = (_array(part, name) for part in pair)
    return inputs, targets


def _array(value: Any, name: str) -> np.ndarray:
    import numpy as np

    if isinstance(value, str | bytes | Mapping) or value is None:
        raise _unexpected(value, name)
    try:
        return np.asarray(value)
    except (ValueError, TypeError) as error:
        raise DataError(
            f"dataset.function: `{name}` returned a {type(value).__name__} that is no array: "
            f"{str(error).splitlines()[0]}"
        ) from error


def _unexpected(value: Any, name: str) -> DataError:
    return DataError(
        f"dataset.function: `{name}` returned {_described(value)}; expected are {EXPECTED}"
        "files, with the datasets `csv` and `parquet`"
    )


def _described(value: Any, depth: int = 2) -> str:
    """What a value is, for a message."""
    if value is None:
        return "nothing (None)"
    kind = type(value).__name__
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return f"{kind} {value.dtype} {tuple(value.shape)}"
    if isinstance(value, Mapping) and depth:
        items = [f"{key!r}: {_described(part, depth - 1)}" for key, part in list(value.items())[:4]]
        return "{" + ", ".join(items) + (", ..." if len(value) > 4 else "") + "}"
    if isinstance(value, tuple | list) and depth:
        parts = [_described(part, depth - 1) for part in value[:4]]
        return f"a {kind} of {len(value)} ({', '.join(parts)}{', ...' if len(value) > 4 else ''})"
    return kind
