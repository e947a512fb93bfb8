"""New data that is read as the dataset of training was, from another path: masks, and long texts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np

from bigmodel_cli.assembly import Restored
from bigmodel_cli.contracts import DataSpec, Part, Source
from bigmodel_cli.data.array_files import npz
from bigmodel_cli.data.images.segmentation_folder import segmentation_folder
from bigmodel_cli.data.splits import SplitData
from bigmodel_cli.data.text_windows import text_file
from bigmodel_cli.errors import DataError

Reader = Callable[[Restored, str], Source]

_COLOURS: Mapping[int, Literal["gray", "rgb", "rgba"]] = {1: "gray", 3: "rgb", 4: "rgba"}


def reader(restored: Restored) -> Reader | None:
    """What reads new data of a run's kind as a source; None where single inputs are read."""
    if restored.spec.task == "segmentation":
        return _masks
    if restored.config.dataset.name in ("text_file", "python_reference"):
        return _windows
    return None


def examples(restored: Restored, read: Reader, path: str) -> tuple[SplitData, np.ndarray, tuple[str, ...]]:
    """All examples at a path, their ids (n,), and what was inferred.

    Args:
        restored: the run.
        read: from `reader`.
        path: a file or a folder.

    Raises:
        DataError: it cannot be read, or has other shapes or classes than the run knows.
    """
    try:
        source = read(restored, path)
    except DataError as error:
        raise DataError(f"--data {path}: {str(error).removeprefix('dataset.path: ')}") from None
    _require_alike(restored.spec, source.spec, path)
    parts = tuple(Part.range(base, 0, size) for base, size in source.sizes.items())
    named = restored.spec.task == "segmentation" and Path(path).is_dir()
    ids = (
        np.concatenate([np.asarray(source.values(part.base, "file")) for part in parts])
        if named
        else np.array([f"{Path(path).name}[{place}]" for place in range(sum(source.sizes.values()))], object)
    )
    return SplitData("new data", source, parts, "new data"), ids, tuple(source.notes)


def _masks(restored: Restored, path: str) -> Source:
    """Two folders of images and masks, or an .npz file with both."""
    spec, given = restored.spec, restored.config.dataset.parameters
    names = spec.target.names
    if not Path(path).is_dir():
        if Path(path).suffix != ".npz":
            raise DataError(
                "masks of new data are read from a folder with the folders `images` and `masks`, or from an "
                ".npz file with `inputs` and `targets`"
            )
        arrays = {key: given[key] for key in ("inputs", "targets") if restored.config.dataset.name == "npz"}
        return npz(0, path=path, task="segmentation", class_names=names, **arrays)
    height, width, channels = spec.input.shape
    if channels not in _COLOURS:
        raise DataError(f"the model takes images of {channels} channels; give an .npz file with such")
    as_trained: dict[str, Any] = {}
    if restored.config.dataset.name == "segmentation_folder":
        as_trained = {key: given[key] for key in ("colors", "ignore", "images", "masks")}
    if as_trained.get("colors") is None:
        as_trained["class_names"] = names
    return segmentation_folder(
        0, path=path, image_size=(height, width), color=_COLOURS[channels], resize=spec.input.resize,
        **as_trained,
    )  # fmt: skip


def _windows(restored: Restored, path: str) -> Source:
    """A file of text, cut as in training; all of it is measured."""
    given = restored.config.dataset.parameters
    as_trained = {key: given[key] for key in ("window", "task", "encoding") if key in given}
    return text_file(0, path=path, validation=0, test=0, **as_trained)


def _require_alike(then: DataSpec, now: DataSpec, path: str) -> None:
    if then.input.shape != now.input.shape:
        shapes = ["x".join(map(str, spec.input.shape)) for spec in (now, then)]
        raise DataError(f"--data {path}: has images of {shapes[0]}, but the model takes {shapes[1]}")
