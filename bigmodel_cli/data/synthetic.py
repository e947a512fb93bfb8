"""Data made by a formula and the seed: for first steps, for checks against a known answer, for benchmarks.

Each has one base split, `all`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from bigmodel_cli.contracts import DataSpec, InputSpec, TargetSpec, Units
from bigmodel_cli.errors import DataError

if TYPE_CHECKING:
    import numpy as np

    from bigmodel_cli.data.arrays import ArraySource

Examples = Annotated[int, Field(ge=1, le=100_000_000)]
"""Size of a set that is made in memory."""


def linear(
    seed: int,
    *,
    examples: Examples = 100,
    slope: float | Sequence[float] = 3.0,
    intercept: float = 2.0,
    noise: float = 1.0,
    features: Units = 1,
) -> ArraySource:
    """Points along a line: y = slope * x + intercept + noise.

    x and the noise are uniform, x in [0, 1). The noise has the mean noise / 2, which least squares adds to
    the intercept.

    Args:
        examples: number of points.
        slope: of the line; with several features one number for all of them, or a list of one number each.
        intercept: y where x is 0, before the noise.
        noise: the noise is uniform in [0, noise).
        features: number of inputs x.
    """
    import numpy as np

    slopes = np.broadcast_to(slope, (features,)) if isinstance(slope, int | float) else np.asarray(slope)
    if len(slopes) != features:
        raise DataError(
            f"dataset.slope: {len(slopes)} numbers for {features} features; give one number, or a list "
            f"of {features}"
        )
    generator = np.random.default_rng(seed)
    inputs = generator.random((examples, features))
    targets = inputs @ slopes + intercept + noise * generator.random(examples)
    return _regression("linear", seed, inputs, targets[:, np.newaxis])


def friedman(
    seed: int,
    *,
    examples: Examples = 1000,
    features: Annotated[int, Field(ge=5, le=1_000_000)] = 10,
    targets: Units = 1,
    noise: Annotated[float, Field(ge=0)] = 0.1,
) -> ArraySource:
    """A smooth nonlinear regression with a known formula.

    y = 10 sin(pi x0 x1) + 20 (x2 - 0.5)^2 + 10 x3 + 5 x4 + normal noise, x uniform in [0, 1): "Friedman #1"
    (Friedman, Multivariate Adaptive Regression Splines, Annals of Statistics 19, 1991, section 4.3). The
    features beyond the fifth say nothing. Each further target is the same formula of features in another
    order, and all targets are brought to mean 0 and standard deviation 1, noise apart, so that none outweighs
    the others.

    Args:
        examples: number of examples.
        features: number of inputs, of which five matter to each target.
        targets: number of values to predict.
        noise: standard deviation of the noise, in standard deviations of the target.
    """
    import numpy as np

    generator = np.random.default_rng(seed)
    inputs = generator.random((examples, features))
    orders = [np.arange(features)] + [generator.permutation(features) for _ in range(targets - 1)]
    values = np.stack([_friedman_1(inputs[:, order]) for order in orders], axis=1)
    values += noise * generator.standard_normal(values.shape)
    return _regression("friedman", seed, inputs, values)


def _friedman_1(x: np.ndarray) -> np.ndarray:
    import numpy as np

    raw = 10 * np.sin(np.pi * x[:, 0] * x[:, 1]) + 20 * (x[:, 2] - 0.5) ** 2 + 10 * x[:, 3] + 5 * x[:, 4]
    # The formula's own mean and standard deviation over uniform x.
    return (raw - 14.413) / 4.880


def blobs(
    seed: int,
    *,
    examples: Examples = 1000,
    features: Units = 2,
    classes: Annotated[int, Field(ge=2, le=1_000_000)] = 3,
    spread: Annotated[float, Field(ge=0)] = 1.0,
) -> ArraySource:
    """Clouds of points, one for each class: normal around centres drawn in [-10, 10).

    Args:
        examples: number of points, in equal shares for the classes.
        features: number of inputs.
        classes: number of clouds.
        spread: standard deviation of a cloud; the larger, the more they overlap.
    """
    import numpy as np
    from sklearn.datasets import make_blobs

    from bigmodel_cli.data.arrays import ArraySource

    # scikit-learn takes seeds of 32 bits only.
    state = int(np.random.default_rng(seed).integers(2**32))
    inputs, targets = make_blobs(examples, features, centers=classes, cluster_std=spread, random_state=state)
    spec = DataSpec(
        name="blobs",
        origin=_origin(seed),
        task="classification",
        input=InputSpec((features,), "float32", "tabular", _numbered("x", features)),
        target=TargetSpec((), "int32", tuple(map(str, range(classes)))),
    )
    return ArraySource(spec, {"all": (inputs.astype(np.float32), targets.astype(np.int32))})


def multi_label(
    seed: int,
    *,
    examples: Examples = 1000,
    features: Units = 20,
    labels: Annotated[int, Field(ge=2, le=100_000)] = 5,
    mean_labels: Annotated[int, Field(ge=1)] = 2,
    unlabelled: bool = True,
) -> ArraySource:
    """Examples with any number of labels, as scikit-learn's `make_multilabel_classification` draws them.

    Each label has words that it makes likely; an example's labels decide how often each word, a feature, is
    in it: a mixture of multinomials (McCallum, Multi-label text classification with a mixture model trained
    by EM, 1999).

    Args:
        examples: number of examples.
        features: number of inputs: counts of words.
        labels: number of labels.
        mean_labels: how many labels an example has on average, about: their number is drawn from a Poisson
            distribution, again where it is larger than `labels`.
        unlabelled: whether examples may have no label.
    """
    import numpy as np
    from sklearn.datasets import make_multilabel_classification

    from bigmodel_cli.data.arrays import ArraySource

    if mean_labels > labels:
        raise DataError(f"dataset.mean_labels: {mean_labels} of {labels} labels; give at most {labels}")
    # scikit-learn takes seeds of 32 bits only.
    state = int(np.random.default_rng(seed).integers(2**32))
    inputs, targets = make_multilabel_classification(
        examples, features, n_classes=labels, n_labels=mean_labels, allow_unlabeled=unlabelled,
        random_state=state,
    )  # fmt: skip
    spec = DataSpec(
        name="multi_label",
        origin=_origin(seed),
        task="multi_label",
        input=InputSpec((features,), "float32", "tabular", _numbered("x", features)),
        target=TargetSpec((labels,), "float32", _numbered("label_", labels)),
    )
    return ArraySource(spec, {"all": (inputs.astype(np.float32), targets.astype(np.float32))})


def chirps(
    seed: int,
    *,
    examples: Examples = 2000,
    length: Annotated[int, Field(ge=8, le=100_000)] = 32,
    noise: Annotated[float, Field(ge=0)] = 0.5,
) -> ArraySource:
    """Tones whose pitch rises or falls, sequences (length, 1): to be told apart by their order alone.

    Frequencies run linearly between 1 and length / 8 cycles in the length, from a random phase on. A falling
    tone is a rising one backwards, so that the same values occur in both classes; and because
    of the phase each single step has the same distribution in both, so that no linear model does better
    than chance.

    Args:
        examples: number of tones, half of them rising on average.
        length: steps of a tone.
        noise: standard deviation of the normal noise; the tone's is 0.7.
    """
    import numpy as np

    from bigmodel_cli.data.arrays import ArraySource

    generator = np.random.default_rng(seed)
    time = np.linspace(0, 1, length, endpoint=False)
    cycles = time + (length / 8 - 1) * time**2 / 2
    phases = generator.random((examples, 1))
    labels = generator.integers(0, 2, examples, np.int32)
    rising = np.sin(2 * np.pi * (cycles + phases))
    tones = np.where(labels[:, None] == 0, rising, rising[:, ::-1])
    tones = tones + noise * generator.standard_normal(tones.shape)
    spec = DataSpec(
        name="chirps",
        origin=_origin(seed),
        task="classification",
        input=InputSpec((length, 1), "float32", "tabular"),
        target=TargetSpec((), "int32", ("rising", "falling")),
    )
    return ArraySource(spec, {"all": (tones[..., None].astype(np.float32), labels)})


def random(
    seed: int,
    *,
    examples: Examples = 1000,
    shape: Annotated[Sequence[Annotated[int, Field(ge=1)]], Field(min_length=1)] = (32, 32, 3),
    classes: Annotated[int, Field(ge=2, le=1_000_000)] | None = 10,
    targets: Units = 1,
) -> ArraySource:
    """Noise of any shape, with targets that have nothing to do with it: for benchmarks.

    Three numbers in `shape` make uint8 images, else inputs are float32 in [0, 1).

    Args:
        examples: number of examples.
        shape: of one input; images are [height, width, channels].
        classes: number of classes; null for a regression.
        targets: number of values to predict in a regression.
    """
    import numpy as np

    from bigmodel_cli.data.arrays import ArraySource
    from bigmodel_cli.devices import available_memory

    image = len(shape) == 3
    needed = examples * math.prod(shape) * (1 if image else 4)
    if needed > available_memory():
        raise DataError(
            f"dataset: random with {examples:,} examples of {list(shape)} takes {needed / 2**30:.1f} GiB, "
            f"more than the {available_memory() / 2**30:.1f} GiB of memory available; ask for fewer "
            "examples or a smaller shape"
        )
    generator = np.random.default_rng(seed)
    inputs: np.ndarray
    if image:
        inputs = generator.integers(0, 256, (examples, *shape), np.uint8)
    else:
        inputs = generator.random((examples, *shape), np.float32)
    names = _numbered("x", shape[0]) if len(shape) == 1 else ()
    input_spec = InputSpec(tuple(shape), str(inputs.dtype), "image" if image else "tabular", names)
    if classes is None:
        values = generator.random((examples, targets), np.float32)
        spec = DataSpec(
            "random",
            _origin(seed),
            "regression",
            input_spec,
            TargetSpec((targets,), "float32", _numbered("y", targets)),
        )
        return ArraySource(spec, {"all": (inputs, values)})
    labels = generator.integers(0, classes, examples, np.int32)
    class_names = tuple(map(str, range(classes)))
    spec = DataSpec(
        "random", _origin(seed), "classification", input_spec, TargetSpec((), "int32", class_names)
    )
    return ArraySource(spec, {"all": (inputs, labels)})


def _regression(name: str, seed: int, inputs: np.ndarray, targets: np.ndarray) -> ArraySource:
    import numpy as np

    from bigmodel_cli.data.arrays import ArraySource

    spec = DataSpec(
        name=name,
        origin=_origin(seed),
        task="regression",
        input=InputSpec(inputs.shape[1:], "float32", "tabular", _numbered("x", inputs.shape[1])),
        target=TargetSpec(targets.shape[1:], "float32", _numbered("y", targets.shape[1])),
    )
    return ArraySource(spec, {"all": (inputs.astype(np.float32), targets.astype(np.float32))})


def _numbered(letter: str, count: int) -> tuple[str, ...]:
    return (letter,) if count == 1 else tuple(f"{letter}{i}" for i in range(count))


def _origin(seed: int) -> str:
    return f"synthetic, seed {seed}"
