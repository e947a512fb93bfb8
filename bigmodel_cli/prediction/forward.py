"""The models' part: raw inputs to numbers, of one run or of several, averaged where that is asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Lock
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from bigmodel_cli import assembly, engine
from bigmodel_cli.assembly import Restored
from bigmodel_cli.contracts import DataSpec, Mixing
from bigmodel_cli.data.pipeline import Scheduled
from bigmodel_cli.errors import BigmodelError, UsageError
from bigmodel_cli.hidden_layers import hidden, trained_layers
from bigmodel_cli.models.preparation import preparation
from bigmodel_cli.prediction.content import Content
from bigmodel_cli.reconstruction import LATENT, root_mean_squared_error

Tensors = dict[str, Any]

ABREAST = 2
"""Batches that are computed at the same time."""


class Forward:
    """Batches of inputs to the numbers that are asked for.

    With several runs, or several views of each image, the means are given: of probabilities (or
    values) and of logits, each over all of them.
    """

    def __init__(self, members: Sequence[Restored], content: Content, views: int = 1):
        """Build it.

        Args:
            members: the run, and those it is averaged with.
            content: what is asked for.
            views: of each image: itself, and views - 1 draws of the first run's own augmentations (test-time
                augmentation; Krizhevsky et al. 2012, section 4.1, average over crops and flips).

        Raises:
            UsageError: the runs are of different data, or the run has no augmentations or layer asked for.
        """
        first = members[0]
        content.check(first.spec)
        if first.spec.task == "reconstruction" and (len(members) > 1 or views > 1):
            option = "--ensemble" if len(members) > 1 else "--tta"
            raise UsageError(
                f"{option}: latents of several runs or views have no mean that means anything; leave it out"
            )
        for other in members[1:]:
            _require_alike(first, other)
        if content.embeddings is not None and len(members) > 1:
            raise UsageError("--embeddings: those of several runs have nothing in common; name one run")
        self._views, self._seed = views, first.config.seed
        self._augment = _augmenting(first) if views > 1 else None
        temperatures = content.temperatures or (1.0,) * len(members)
        self._models = [
            _parts(member, content, temperature)
            for member, temperature in zip(members, temperatures, strict=True)
        ]
        self._shapes = _shapes(first, content)
        self._of_pixels = first.spec.task == "segmentation"
        self._function: Callable[..., Tensors] | None = None
        # The gaps that a CPU leaves between the small operations of one batch are filled by another's.
        self._workers = ThreadPoolExecutor(ABREAST, "forward")
        self._building = Lock()

    def __call__(self, values: Any, index: int) -> Callable[[], dict[str, np.ndarray]]:
        """Compute a batch.

        Args:
            values: (n, *input.shape), or a dict of columns.
            index: of the batch, by which augmentations are drawn.

        Returns:
            What waits for the result: `outputs` (n, outputs), and `logits` (n, classes) and `embedding`
            (n, e) where asked for; of a reconstruction also `rmse` (n,) and `latents`; float32. The device
            works on while nobody waits. It raises BigmodelError where the device's memory does not suffice.
        """
        # In threads of their own, because on a CPU TensorFlow returns only when all is computed.
        found = self._workers.submit(self._computed, values, index)
        return lambda: {name: np.asarray(tensor) for name, tensor in found.result().items()}

    def _computed(self, values: Any, index: int) -> Tensors:
        tensors = tf.nest.map_structure(tf.convert_to_tensor, values)
        with self._building:
            if self._function is None:
                signature = tf.nest.map_structure(
                    lambda tensor: tf.TensorSpec((None, *tensor.shape[1:]), tensor.dtype), tensors
                )
                self._function = tf.function(
                    self._mean,
                    input_signature=(signature, tf.TensorSpec((), tf.int64)),
                    autograph=False,
                )
        try:
            return self._function(tensors, tf.constant(index, tf.int64))
        except Exception as error:
            if not engine.out_of_memory(error):
                raise
            raise BigmodelError(
                "the device's memory does not suffice for a batch; take a smaller --batch-size"
            ) from None

    def nothing(self) -> dict[str, np.ndarray]:
        """What a batch without inputs gives."""
        return {name: np.zeros((0, *shape), np.float32) for name, shape in self._shapes.items()}

    def _mean(self, inputs: Any, index: tf.Tensor) -> Tensors:
        sums: Tensors = {}
        for view in range(self._views):
            seen = (
                inputs
                if view == 0 or self._augment is None
                else self._augment(inputs, self._key(index, view))
            )
            for model in self._models:
                for name, tensor in model(seen).items():
                    sums[name] = sums[name] + tensor if name in sums else tensor
        count = self._views * len(self._models)
        means = {name: total / count if count > 1 else total for name, total in sums.items()}
        return {"outputs": _classes(means["outputs"])} if self._of_pixels else means

    def _key(self, index: tf.Tensor, view: int) -> tf.Tensor:
        key = tf.bitcast(tf.constant([self._seed], tf.int64), tf.int32)[0]
        return tf.random.fold_in(tf.random.fold_in(key, index), view)


def _require_alike(first: Restored, other: Restored) -> None:
    """Make sure that two runs say the same of the same inputs.

    Raises:
        UsageError: they take other inputs, or have other classes or targets.
    """

    def differ(what: str, one: Any, another: Any) -> None:
        if one != another:
            raise UsageError(
                f"--ensemble {other.run}: has other {what} than {first.run}; predictions of one kind can be "
                "averaged only"
            )

    def columns(spec: DataSpec) -> list[tuple[str, str]]:
        return sorted((column.key, column.kind) for column in spec.input.columns)

    a, b = first.spec, other.spec
    differ("tasks", a.task, b.task)
    names = {"multi_label": "labels", "regression": "targets"}.get(a.task, "classes")
    differ(names, a.target.names, b.target.names)
    for one, another in zip(a.target.tasks, b.target.tasks, strict=True):
        differ(
            f"tasks or classes of `{one.name}`",
            (one.task, one.target.names),
            (another.task, another.target.names),
        )
    differ("inputs", (a.input.kind, a.input.dtype), (b.input.kind, b.input.dtype))
    differ("columns", (a.input.names, columns(a)), (b.input.names, columns(b)))
    differ("input shapes", (a.input.shape, a.input.resize), (b.input.shape, b.input.resize))


def _augmenting(restored: Restored) -> Callable[[Any, Any], Any]:
    """The run's augmentations of single images, as they are after any ramp: (images, key) -> images."""
    if restored.spec.input.kind != "image":
        raise UsageError("--tta: is for images; leave it out")
    if restored.spec.task == "segmentation":
        raise UsageError(
            "--tta: masks of moved images do not lie on one another; leave it out, or average runs by "
            "--ensemble"
        )
    drawn = [
        replace(scheduled, ramp_epochs=0, until_epoch=None)
        for scheduled in assembly.augmentations(restored.config)
        if not isinstance(scheduled.function, Mixing)
    ]
    if not drawn:
        raise UsageError(
            f"--tta: {restored.run} was trained without augmentations (`dataset.augment`) that change single "
            "images, so there is nothing to draw; leave it out"
        )

    def augment(images: Any, key: Any) -> Any:
        for place, scheduled in enumerate(drawn):
            images = _applied(scheduled, images, tf.random.fold_in(key, place))
        return images

    return augment


def _applied(scheduled: Scheduled, images: Any, key: Any) -> Any:
    return scheduled(images, tf.zeros((0,)), tf.constant(0, tf.int64), key)[0]


def _parts(restored: Restored, content: Content, temperature: float) -> Callable[[Any], Tensors]:
    """What gives the numbers asked for, of one run."""
    model, spec = restored.model, restored.spec
    outputs: Tensors = {"outputs": model.outputs[0]}
    if spec.target.tasks:
        outputs["outputs"] = keras.ops.concatenate([model.output[one.key] for one in spec.target.tasks], -1)
    if content.logits or temperature != 1:
        outputs["logits"] = model.get_layer("probabilities").input
    inner, prepare = None, None
    if spec.task == "reconstruction":
        outputs["latents"] = model.get_layer(LATENT).output
    if content.embeddings is not None and spec.input.kind == "table":
        # The layers of a table's model lie in a model of their own, behind the preparation.
        core, prepare = trained_layers(restored), preparation(spec.input.columns)
        inner = keras.Model(core.input, hidden(core, content.embeddings))
    elif content.embeddings is not None:
        outputs["embedding"] = hidden(model, content.embeddings)
    whole = keras.Model(model.input, outputs)

    def compute(inputs: Any) -> Tensors:
        found: Tensors = dict(whole(inputs, training=False))
        if temperature != 1:
            found["logits"] = keras.ops.cast(found["logits"], "float32") / temperature
            found["outputs"] = keras.ops.softmax(found["logits"])
            if not content.logits:
                del found["logits"]
        if spec.task == "reconstruction":
            found["rmse"] = root_mean_squared_error(inputs, found["outputs"], spec)
        if inner is not None and prepare is not None:
            found["embedding"] = inner(prepare(inputs), training=False)
        return found

    return compute


def _classes(probabilities: Any) -> Any:
    """Likeliest class of each pixel (n, h, w) as float32: all NaN for an image that has any NaN.

    On the device: the probabilities of all pixels are too many to be moved.
    """
    finite = tf.reduce_all(tf.math.is_finite(probabilities), axis=[1, 2, 3], keepdims=True)[..., 0]
    classes = tf.cast(tf.argmax(probabilities, axis=-1), tf.float32)
    return tf.where(finite, classes, float("nan"))


def _shapes(restored: Restored, content: Content) -> dict[str, tuple[int, ...]]:
    """Shape of each kind of numbers for an input."""
    spec = restored.spec
    of_places = spec.task in ("segmentation", "reconstruction")
    shapes = {"outputs": spec.target.shape if of_places else (spec.outputs,)}
    if spec.task == "reconstruction":
        shapes |= {"rmse": (), "latents": (int(restored.model.get_layer(LATENT).output.shape[1]),)}
    if content.logits:
        shapes["logits"] = (spec.outputs,)
    if content.embeddings is not None:
        shapes["embedding"] = (int(hidden(trained_layers(restored), content.embeddings).shape[1]),)
    return shapes
