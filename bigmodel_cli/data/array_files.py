"""Arrays in files of NumPy."""

from __future__ import annotations

import hashlib
import re
import struct
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from bigmodel_cli.contracts import SPLIT_NAMES, PathText
from bigmodel_cli.data.array_meaning import ArrayTask, AskedKind, Meaning, interpret
from bigmodel_cli.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    import tensorflow as tf

    from bigmodel_cli.contracts import Lookup, Part

INPUT_NAMES = ("x", "inputs", "input", "images", "image", "features", "data", "arr_0")
TARGET_NAMES = ("y", "targets", "target", "labels", "label", "arr_1")
"""How people call the arrays, in lower case."""

Paths = Annotated[Mapping[str, PathText | Mapping[str, PathText]], Field(min_length=1)]


def npz(
    seed: int,
    *,
    path: PathText | Paths,
    inputs: str = "auto",
    targets: str = "auto",
    task: ArrayTask = "auto",
    kind: AskedKind = "auto",
    class_names: Sequence[str] | None = None,
) -> ArrayFileSource:
    """Arrays in .npz or .npy files of NumPy; .npy files and uncompressed .npz files are not loaded whole.

    uint8 arrays (examples, height, width) or (examples, height, width, channels) are images, other numbers
    tabular. Strings and few whole numbers as targets are classes, other numbers a regression.

    Args:
        path: an .npz file with inputs and targets, or with those of several splits (x_train, y_train, x_test,
            y_test); or {inputs: x.npy, targets: y.npy}; or a mapping from split to either.
        inputs: name of the array of inputs in .npz files; auto takes the usual ones, such as x or images.
        targets: name of the array of targets in .npz files; auto takes the usual ones, such as y or labels.
        task: classification, multi_label (rows of 0 and 1, a column for each label), segmentation (whole
            numbers (examples, height, width), 255 is ignored) or regression; auto goes by the targets.
        kind: image or tabular; auto goes by dtype and shape.
        class_names: of the classes, in the order of their numbers; null takes the sorted values.
    """
    files: list[Path] = []
    pairs: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    places: dict[str, str] = {}

    def take(base: str | None, what: PathText | Mapping[str, PathText]) -> None:
        if isinstance(what, str):
            file, members = Path(what), _members(Path(what))
            files.append(file)
            found = pairs_of(members, inputs, targets, str(file))
            if base is not None and set(found) != {"all"}:
                names = ", ".join(found)
                raise DataError(
                    f"dataset.path: {file} has splits of its own ({names}); give it alone, as `path: {file}`"
                )
        else:
            if set(what) != {"inputs", "targets"}:
                raise DataError(
                    f"dataset.path: two files are given as {{inputs: x.npy, targets: y.npy}}, not with the "
                    "keys "
                    f"{', '.join(what)}"
                )
            both = {key: Path(what[key]) for key in ("inputs", "targets")}
            files.extend(both.values())
            file, members = both["inputs"], {key: _array(value) for key, value in both.items()}
            found = {"all": ("inputs", "targets")}
        for own, (input_name, target_name) in found.items():
            split = own if base is None else base
            pairs[split] = (members[input_name], members[target_name])
            places[split] = str(file) if own == "all" else f"{file} ({input_name}, {target_name})"

    if isinstance(path, str) or set(path) & {"inputs", "targets"}:
        take(None, path)  # type: ignore[arg-type]
    else:
        for base, what in path.items():
            take(base, what)
    first = next(iter(files)).name
    meaning = interpret(
        pairs,
        name=Path(first).stem,
        origin=first if len(files) == 1 else f"{first} and {len(files) - 1} more",
        places=places,
        task=task,
        kind=kind,
        class_names=class_names,
    )
    return ArrayFileSource(meaning, files)


class ArrayFileSource:
    """A `contracts.Source` over arrays that stay in their files; targets are in memory.

    Attributes:
        spec: what the arrays hold.
        sizes: examples in each base split.
        example_bytes: memory of one example, input and target.
        notes: what was inferred.
    """

    def __init__(self, meaning: Meaning, files: Sequence[Path]):
        """Take arrays as they are described.

        Args:
            meaning: the arrays, and what they hold.
            files: where they lie.
        """
        self.spec = meaning.spec
        self.notes: Sequence[str] = meaning.notes
        self.sizes: Mapping[str, int] = {base: len(pair[1]) for base, pair in meaning.bases.items()}
        self._bases = meaning.bases
        self._files = tuple(files)
        inputs, targets = next(iter(meaning.bases.values()))
        self.example_bytes = targets[:1].nbytes + inputs[0].size * (
            1 if self.spec.input.dtype == "uint8" else 4
        )

    def fingerprint(self) -> str:
        """A hash of names, sizes and times of the files, and of what is read from them."""
        digest = hashlib.sha256(repr((self.spec.input, self.spec.target)).encode())
        for file in self._files:
            state = file.stat()
            digest.update(f"{file.name} {state.st_size} {state.st_mtime_ns}".encode())
        return digest.hexdigest()

    def arrays(self, part: Part) -> tuple[np.ndarray, np.ndarray]:
        """Inputs and targets of a part."""
        inputs, targets = self._bases[part.base]
        whole = part.size == len(targets)
        taken = inputs[:] if whole else inputs[part.indices]
        return taken.astype(self.spec.input.dtype), targets[part.indices]

    def targets(self, part: Part) -> np.ndarray:
        """Targets of a part."""
        return self._bases[part.base][1][part.indices]

    def batches(self, part: Part, key: tf.Tensor | None = None) -> tf.data.Dataset:
        """Batches (inputs, targets) of a part, in order; `key` has nothing to order."""
        from bigmodel_cli.data.arrays import in_batches

        return in_batches(part, self.lookup(part.base), self.example_bytes)

    def lookup(self, base: str) -> Lookup:
        """Read by position, out of the file."""
        import tensorflow as tf

        inputs, _ = self._bases[base]
        dtype, shape = self.spec.input.dtype, self.spec.input.shape
        with tf.device("CPU:0"):
            targets = tf.convert_to_tensor(self._bases[base][1])

        def read(positions: np.ndarray) -> np.ndarray:
            return inputs[positions].astype(dtype)

        def look_up(positions: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            taken = tf.numpy_function(read, [positions], dtype, stateful=False)
            return tf.ensure_shape(taken, (None, *shape)), tf.gather(targets, positions)

        return look_up

    def values(self, base: str, name: str) -> np.ndarray:
        """A feature, by its name.

        Raises:
            DataError: there is none of that name.
        """
        names = self.spec.input.names
        if name not in names:
            raise DataError(
                f"dataset.split_by: {self.spec.name} has no column `{name}` to divide by; it has "
                f"{', '.join(names[:20]) or 'none'}"
            )
        return self._bases[base][0][:, names.index(name)]


def pairs_of(
    members: Mapping[str, np.ndarray], inputs: str, targets: str, place: str
) -> dict[str, tuple[str, str]]:
    """Which arrays are inputs and targets: base split -> their names.

    Args:
        members: arrays by name.
        inputs: name that is asked for, without the split; auto for the usual ones.
        targets: likewise.
        place: for messages.

    Raises:
        DataError: the names leave it open.
    """
    found: dict[str, tuple[str | None, str | None]] = {}
    for name in members:
        for base, rest in ((None, name), *_split_in(name)):
            is_input = rest == inputs or (inputs == "auto" and rest.lower() in INPUT_NAMES)
            is_target = rest == targets or (targets == "auto" and rest.lower() in TARGET_NAMES)
            if not is_input and not is_target:
                continue
            key = base or "all"
            before = found.get(key, (None, None))
            place_of = 0 if is_input else 1
            if before[place_of] is not None:
                which = ("inputs", "targets")[place_of]
                raise DataError(
                    f"dataset.{which}: {place}: `{before[place_of]}` and `{name}` could both be the {which}; "
                    "name "
                    "one"
                )
            found[key] = (name, before[1]) if is_input else (before[0], name)
            break
    pairs = {base: (x, y) for base, (x, y) in found.items() if x is not None and y is not None}
    # Arrays of no split beside those of splits are something else.
    if len(pairs) > 1:
        pairs.pop("all", None)
    if not pairs:
        holds = ", ".join(f"{name} ({array.dtype} {array.shape})" for name, array in members.items())
        asked = [
            f"{which} `{name}`" if name != "auto" else which
            for which, name in (("inputs", inputs), ("targets", targets))
        ]
        raise DataError(
            f"dataset.path: {place} has no arrays for {' and '.join(asked)}; it holds {holds or 'nothing'}. "
            "Name "
            "them in dataset.inputs and dataset.targets (with _train, _test added for splits)"
        )
    if lonely := [base for base in found if base not in pairs and base != "all"]:
        x, y = found[lonely[0]]
        there, absent = (x, "targets") if x is not None else (y, "inputs")
        raise DataError(f"dataset.path: {place} has `{there}`, but no {absent} for that split")
    return pairs


def _split_in(name: str) -> list[tuple[str, str]]:
    """(split, rest) of names like x_train and train_x."""
    found = []
    for pattern in (r"(?P<rest>.+)_(?P<split>[^_]+)", r"(?P<split>[^_]+)_(?P<rest>.+)"):
        match = re.fullmatch(pattern, name)
        if match is not None and match["split"].lower() in SPLIT_NAMES:
            found.append((str(SPLIT_NAMES[match["split"].lower()]), match["rest"]))
    return found


def _array(path: Path) -> np.ndarray:
    """An .npy file, memory-mapped.

    Raises:
        DataError: it is absent, damaged, or none.
    """
    import numpy as np

    if not path.is_file():
        raise DataError(f"dataset.path: there is no file {path}")
    try:
        found = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:
        # Damaged bytes go through Python's own parser, which may raise anything.
        raise _unreadable(path, error) from error
    if not isinstance(found, np.ndarray):
        found.close()
        raise DataError(f"dataset.path: {path} is no .npy file; give .npz files alone: `path: {path}`")
    return found


def _members(path: Path) -> dict[str, np.ndarray]:
    """Arrays of an .npz file: memory-mapped where they are not compressed, else loaded.

    Raises:
        DataError: it is absent, damaged, or none.
    """
    import numpy as np

    if not path.is_file():
        raise DataError(f"dataset.path: there is no file {path}")
    if not zipfile.is_zipfile(path):
        raise DataError(
            f"dataset.path: {path} is no .npz file; give .npy files as a pair: `path: {{inputs: x.npy, "
            "targets: y.npy}`"
        )
    found = {}
    try:
        with zipfile.ZipFile(path) as archive, np.load(path, allow_pickle=False) as loaded:
            for item in archive.infolist():
                name = item.filename.removesuffix(".npy")
                if item.compress_type == zipfile.ZIP_STORED:
                    found[name] = _mapped(path, item)
                else:
                    found[name] = loaded[name]
    except Exception as error:
        raise _unreadable(path, error) from error
    return found


def _mapped(path: Path, item: zipfile.ZipInfo) -> np.ndarray:
    """A stored member of an .npz file, without loading it.

    Raises:
        ValueError: it holds Python objects, or is no .npy file.
    """
    import numpy as np

    with path.open("rb") as file:
        # The local header repeats name and extra field, which may be longer than those of the directory:
        # APPNOTE.TXT of PKWARE, 4.3.7.
        file.seek(item.header_offset)
        name_length, extra_length = struct.unpack("<26xHH", file.read(30))
        file.seek(name_length + extra_length, 1)
        version = np.lib.format.read_magic(file)
        read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
        if version not in read:
            raise ValueError(f"{item.filename} is in version {version} of the .npy format")
        shape, fortran, dtype = read[version](file)
        if dtype.hasobject:
            raise ValueError(f"{item.filename} holds Python objects")
        if 0 in shape:
            return np.empty(shape, dtype)
        order = "F" if fortran else "C"
        return np.memmap(path, dtype, "r", file.tell(), shape, order)  # type: ignore[call-overload]


def _unreadable(path: Path, error: Exception) -> DataError:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    if "pickle" in reason or "object" in reason.lower():
        return DataError(
            f"dataset.path: {path} holds Python objects (pickles), which are never read, since they can run "
            "code; "
            "save numbers or strings: numpy.save(path, array.astype(...))"
        )
    return DataError(f"dataset.path: {path} cannot be read: {reason}; it is damaged: write it again")
