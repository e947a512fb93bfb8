"""What is said of each input: which numbers, under which column names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from bigmodel_cli.contracts import DataSpec
from bigmodel_cli.errors import UsageError
from bigmodel_cli.inputs.blocks import Block
from bigmodel_cli.metrics import scores_of_masks, shares_of_pixels
from bigmodel_cli.reconstruction import labelled
from bigmodel_cli.targets import joined_labels, one_output, one_target, predicted_labels

NOT_FINITE = "the model's output is not finite"


@dataclass(frozen=True)
class Content:
    """What is asked of a model.

    Attributes:
        probabilities: of every class or label; for a regression nothing of the kind is written.
        logits: what the probabilities are the softmax of, or of labels the sigmoid.
        top_k: the likeliest classes or labels, so many; None for none.
        embeddings: outputs of the layer of this name, `BEFORE_HEAD` for the default; None for none.
        calibrated: whether logits are divided by the temperature that `evaluate` fitted.
        threshold: of two classes, the probability above which the second one is predicted; `chosen` for that
            which `evaluate` chose; None for 0.5.
        temperatures: of the runs, as `calibrated.settled` finds them; empty for 1.
        reconstructions: what an autoencoder gives back, which only some files have room for.
    """

    probabilities: bool = True
    logits: bool = False
    top_k: int | None = None
    embeddings: str | None = None
    calibrated: bool = False
    threshold: float | Literal["chosen"] | None = None
    temperatures: tuple[float, ...] = ()
    reconstructions: bool = False

    def check(self, spec: DataSpec) -> None:
        """Make sure that the task has what is asked for.

        Raises:
            UsageError: classes of a regression, or more of them than there are.
        """
        if spec.target.tasks:
            self._check_several(spec)
        if spec.task == "segmentation" and (self.logits or self.top_k or self.embeddings):
            option = "--logits" if self.logits else "--top-k" if self.top_k else "--embeddings"
            raise UsageError(
                f"{option}: is not there for masks, which have a class for each pixel; leave it out"
            )
        if spec.task == "reconstruction" and (self.logits or self.top_k):
            raise UsageError(
                f"{'--logits' if self.logits else '--top-k'}: is for classes, and a reconstruction has none; "
                "leave it out"
            )
        if spec.task == "reconstruction" and self.embeddings == "":
            raise UsageError(
                "--embeddings: those of an autoencoder are its latents, which are written anyway; leave it "
                "out, or name another layer by --layer"
            )
        if spec.task == "regression" and (self.logits or self.top_k):
            raise UsageError(
                f"{'--logits' if self.logits else '--top-k'}: is for classification, but {spec.name} is for "
                "regression; leave it out"
            )
        if self.calibrated and spec.task != "classification":
            raise UsageError(
                f"--calibrated: is for one class out of several, but {spec.name} is for {spec.task}; leave "
                "it out"
            )
        if self.threshold is not None and (spec.task != "classification" or spec.outputs != 2):
            what = f"has {spec.outputs}" if spec.task == "classification" else f"is for {spec.task}"
            raise UsageError(f"--threshold: is for two classes, but {spec.name} {what}; leave it out")
        if self.top_k and self.top_k > spec.outputs:
            what = "labels" if spec.task == "multi_label" else "classes"
            raise UsageError(f"--top-k {self.top_k}: there are {spec.outputs} {what}; ask for at most those")

    def _check_several(self, spec: DataSpec) -> None:
        """What is for one task alone; each option has one value."""
        asked = {
            "--logits": self.logits,
            "--top-k": self.top_k,
            "--calibrated": self.calibrated,
            "--threshold": self.threshold is not None,
        }
        for option, given in asked.items():
            if given:
                raise UsageError(
                    f"{option}: is for one target, but {spec.name} has {len(spec.target.tasks)} "
                    f"({', '.join(spec.target.names)}); leave it out"
                )


@dataclass(frozen=True)
class Result:
    """What a model says of consecutive inputs.

    Attributes:
        ids: of the inputs.
        errors: why there is no prediction, one for each id; empty where there is one.
        arrays: name -> (n, ...), a row for each id, zeros where there is no prediction: `best` class index
            and its `probability`, or which `labels` are predicted, (n, labels) of 0 and 1; `probabilities`,
            `masks` (n, height, width) uint8 and the `shares` of their classes; `logits`, `top` indices of
            classes or labels and their `top_probabilities`; `values` of a regression; of a reconstruction
            its `rmse`, the `latents`, and where asked for the `reconstruction`;
            `embedding`; `target`, where it is known. Of several tasks `key/name`, and one `target` with all.
    """

    ids: Sequence[str]
    errors: Sequence[str]
    arrays: Mapping[str, np.ndarray]

    def __len__(self) -> int:
        """Inputs in it."""
        return len(self.ids)

    @property
    def good(self) -> np.ndarray:
        """Positions of the inputs with a prediction, (m,) int64."""
        return np.flatnonzero([not error for error in self.errors])


def joined(results: Sequence[Result]) -> Result:
    """Several results as one."""
    return Result(
        [name for result in results for name in result.ids],
        [error for result in results for error in result.errors],
        {
            name: np.concatenate([result.arrays[name] for result in results])
            for name in (results[0].arrays if results else ())
        },
    )


def result_of(block: Block, outputs: Mapping[str, np.ndarray], content: Content, spec: DataSpec) -> Result:
    """Bring a model's outputs into the order of the inputs; those that are not finite become errors.

    Args:
        block: the inputs.
        outputs: of the readable ones, (m, ...) float32: `outputs` (of masks the class of each pixel),
            `logits` and `embedding` as asked for.
        content: what is asked for.
        spec: of the data.
    """
    places, errors = block.readable, list(block.errors)
    finite = np.ones(len(places), bool)
    for array in outputs.values():
        finite &= np.isfinite(array).all(axis=tuple(range(1, array.ndim)))
    for place in places[~finite]:
        errors[place] = f"{block.ids[place]}: {NOT_FINITE}"
    found = _arrays({name: array[finite] for name, array in outputs.items()}, content, spec)
    arrays = {name: _placed(array, places[finite], len(block)) for name, array in found.items()}
    # Labels of inputs serve the explanations; some may not be known.
    if block.targets is not None and not block.unlabelled:
        arrays["target"] = block.targets
    return Result(block.ids, errors, arrays)


def _arrays(outputs: Mapping[str, np.ndarray], content: Content, spec: DataSpec) -> dict[str, np.ndarray]:
    scores = outputs["outputs"]
    found: dict[str, np.ndarray] = {}
    if spec.target.tasks:
        for place, (one, part) in enumerate(zip(spec.target.tasks, spec.parts, strict=True)):
            of_part = _arrays({"outputs": one_output(spec, scores, place)}, content, part)
            found |= {f"{one.key}/{name}": array for name, array in of_part.items()}
        return found | {name: outputs[name] for name in ("embedding",) if name in outputs}
    if spec.task == "classification":
        best = scores.argmax(axis=1) if content.threshold is None else scores[:, 1] > content.threshold
        found["best"] = best.astype(np.int32)
        found["probability"] = np.take_along_axis(scores, found["best"][:, None], axis=1)[:, 0]
    elif spec.task == "multi_label":
        found["labels"] = predicted_labels(scores).astype(np.uint8)
    elif spec.task == "reconstruction":
        found |= {"rmse": outputs["rmse"], "latents": outputs["latents"]}
        if content.reconstructions:
            found["reconstruction"] = scores
    elif spec.task == "segmentation":
        masks = scores.astype(np.uint8)
        return {"masks": masks, "shares": shares_of_pixels(masks, spec.outputs)}
    else:
        found["values"] = scores
    if spec.task not in ("regression", "reconstruction"):
        if content.probabilities:
            found["probabilities"] = scores
        if content.top_k:
            # Stable, so that of equal classes the first comes first, as with argmax.
            top = np.argsort(-scores, axis=1, kind="stable")[:, : content.top_k].astype(np.int32)
            found |= {"top": top, "top_probabilities": np.take_along_axis(scores, top, axis=1)}
    return found | {name: outputs[name] for name in ("logits", "embedding") if name in outputs}


def _placed(array: np.ndarray, places: np.ndarray, size: int) -> np.ndarray:
    if len(places) == size:
        return array
    whole = np.zeros((size, *array.shape[1:]), array.dtype)
    whole[places] = array
    return whole


def single(
    arrays: Mapping[str, np.ndarray], spec: DataSpec
) -> Iterator[tuple[str, DataSpec, dict[str, np.ndarray]]]:
    """The arrays of a result by the task that they are of.

    Args:
        arrays: of `Result`.
        spec: of the data.

    Yields:
        What stands before the names of columns, the data as if the task were the only one, and its arrays;
        of several tasks in the end what is of all.
    """
    if not spec.target.tasks:
        yield "", spec, dict(arrays)
        return
    for place, (one, part) in enumerate(zip(spec.target.tasks, spec.parts, strict=True)):
        start = f"{one.key}/"
        own = {name.removeprefix(start): array for name, array in arrays.items() if name.startswith(start)}
        if "target" in arrays:
            own["target"] = one_target(part, arrays["target"], place)
        yield f"{one.key}_", part, own
    yield "", spec, {name: array for name, array in arrays.items() if name == "embedding"}


@dataclass(frozen=True)
class ColumnOf:
    """A column of a table of predictions.

    Attributes:
        name: its head.
        text: whether it holds texts; else numbers.
        values: (n,) float64, of texts object; whatever it be where there is none.
        blank: (n,) bool, inputs that have none.
    """

    name: str
    text: bool
    values: np.ndarray
    blank: np.ndarray

    @property
    def cells(self) -> list[Any]:
        """One for each input, None where there is none."""
        cells: list[Any] = self.values.tolist()
        for place in np.flatnonzero(self.blank):
            cells[place] = None
        return cells


def columns_of(result: Result, spec: DataSpec, with_error: bool) -> list[ColumnOf]:
    """The columns, in order: id, prediction, numbers, target where known, error where asked for."""
    everywhere = np.zeros(len(result), bool)
    errors = _objects(result.errors)
    blank = errors != ""
    found = [ColumnOf("id", True, _objects(result.ids), everywhere)]
    for prefix, part, arrays in single(result.arrays, spec):
        cells = _cells(arrays, part)
        found += [ColumnOf(f"{prefix}{name}", text, values, blank) for name, text, values in cells]
    if "target" in result.arrays and spec.task == "segmentation":
        true, predicted = (result.arrays[name] for name in ("target", "masks"))
        for name, scores in scores_of_masks(true, predicted, spec.outputs).items():
            found.append(ColumnOf(name, False, scores.astype(np.float64), blank | ~np.isfinite(scores)))
    elif "target" in result.arrays and result.arrays["target"].ndim < 3:
        # A reconstruction learns no targets, and those of its dataset may be masks.
        for prefix, part, arrays in single(result.arrays, labelled(spec)):
            if "target" in arrays:
                targets = _targets(arrays["target"], part)
                found += [ColumnOf(f"{prefix}{name}", text, true, everywhere) for name, text, true in targets]
    if with_error:
        found.append(ColumnOf("error", True, errors, ~blank))
    return found


def _objects(texts: Sequence[str]) -> np.ndarray:
    return np.array(texts, object)


def _cells(arrays: Mapping[str, np.ndarray], spec: DataSpec) -> Iterator[tuple[str, bool, np.ndarray]]:
    """Names, whether they are texts, and cells (n,)."""
    names = _objects(spec.target.names)

    def numbers(name: str, prefix: str, of: Iterable[Any]) -> Iterator[tuple[str, bool, np.ndarray]]:
        if name in arrays:
            columns = arrays[name].astype(np.float64).T
            yield from ((f"{prefix}{item}", False, cells) for item, cells in zip(of, columns, strict=True))

    if spec.task == "classification":
        yield "prediction", True, names[arrays["best"]]
        yield "probability", False, arrays["probability"].astype(np.float64)
    if spec.task == "multi_label":
        yield "prediction", True, joined_labels(arrays["labels"], spec.target.names)
    if spec.task == "reconstruction":
        yield "rmse", False, arrays["rmse"].astype(np.float64)
        yield from numbers("latents", "latent_", range(arrays["latents"].shape[1]))
    elif spec.task == "segmentation":
        yield from numbers("shares", "share_", names)
    elif spec.task != "regression":
        yield from numbers("probabilities", "probability_", names)
        yield from numbers("logits", "logit_", names)
        for place in range(arrays["top"].shape[1] if "top" in arrays else 0):
            yield f"top_{place + 1}", True, names[arrays["top"][:, place]]
            probabilities = arrays["top_probabilities"][:, place]
            yield f"top_{place + 1}_probability", False, probabilities.astype(np.float64)
    else:
        single = len(names) == 1
        yield from numbers("values", "prediction" if single else "prediction_", [""] if single else names)
    if "embedding" in arrays:
        yield from numbers("embedding", "embedding_", range(arrays["embedding"].shape[1]))


def _targets(targets: np.ndarray, spec: DataSpec) -> Iterator[tuple[str, bool, np.ndarray]]:
    names = spec.target.names
    if spec.task == "classification":
        yield "target", True, _objects(names)[targets]
        return
    if spec.task == "multi_label":
        yield "target", True, joined_labels(targets, names)
        return
    for name, cells in zip(names, targets.astype(np.float64).T, strict=True):
        yield ("target" if len(names) == 1 else f"target_{name}"), False, cells
