"""What training makes of its examples: augmented, hidden, repeated, weighted."""

from __future__ import annotations

import numpy as np

from bigmodel_cli import components
from bigmodel_cli.config.schema import Config
from bigmodel_cli.contracts import DataSpec
from bigmodel_cli.data.masking import Masking, masking
from bigmodel_cli.data.pipeline import Scheduled
from bigmodel_cli.data.splits import SplitData, resampled_counts
from bigmodel_cli.errors import DataError
from bigmodel_cli.reconstruction import inputs_as_targets
from bigmodel_cli.token_targets import text_column

_SEVERAL_LABELS = (
    "an example has several labels, rare and frequent ones, so no weight or number of copies of it evens "
    "them out; for rare labels use the loss binary_focal_crossentropy with apply_class_balancing and alpha"
)


def augmentations(config: Config) -> list[Scheduled]:
    """What `dataset.augment` names, in order."""
    found = []
    for item in config.dataset.augment:
        definition = components.find("augmentations", item.name)
        assert definition.builder is not None
        function = definition.builder(**item.parameters)
        found.append(Scheduled(function, item.probability, item.ramp_epochs, item.until_epoch))
    return found


def hiding(spec: DataSpec) -> Masking | None:
    """What hides tokens from a masked language model; None for other tasks."""
    return masking(text_column(spec)) if spec.task == "masked_language_model" else None


def last_step(spec: DataSpec) -> Masking | None:
    """What the pipeline does with a batch after everything else: hides tokens, or takes inputs as targets."""
    return inputs_as_targets if spec.task == "reconstruction" else hiding(spec)


def resampling(config: Config, train: SplitData, spec: DataSpec) -> np.ndarray | None:
    """How often each training example is taken, as `dataset.resample` asks; None for once.

    Raises:
        DataError: the task has no classes to balance.
    """
    how = config.dataset.resample
    if how is None:
        return None
    _require_classes(f"dataset.resample: `{how}` is", "it", spec)
    return resampled_counts(train.targets(), how, config.seed)


def class_weights(config: Config, spec: DataSpec) -> dict[int, float] | None:
    """Weight of each class in the loss, by index; None for equal ones.

    `balanced` is n / (classes * count) (King and Zeng 2001), as in scikit-learn.

    Raises:
        DataError: no classes, or weights for others than there are.
    """
    asked = config.dataset.class_weights
    if asked is None:
        return None
    _require_classes("dataset.class_weights: are", "them", spec)
    if asked == "balanced":
        total = sum(spec.target.counts)
        return {
            index: total / (spec.outputs * count) if count else 0.0
            for index, count in enumerate(spec.target.counts)
        }
    unknown = [name for name in asked if name not in spec.target.names]
    missing = [name for name in spec.target.names if name not in asked]
    if unknown or missing:
        raise DataError(
            "dataset.class_weights: "
            + (f"there is no class {', '.join(map(repr, unknown))}; " if unknown else "")
            + (f"no weight is given for {', '.join(missing[:10])}; " if missing else "")
            + f"the classes are {', '.join(spec.target.names[:20])}"
        )
    return {index: asked[name] for index, name in enumerate(spec.target.names)}


def _require_classes(what: str, which: str, spec: DataSpec) -> None:
    """Refuse what evens classes out where there are none.

    Args:
        what: place and verb, as the message begins.
        which: `it` or `them`.
        spec: of the data.
    """
    if spec.task != "classification":
        why = f": {_SEVERAL_LABELS}" if spec.task == "multi_label" else ""
        raise DataError(
            f"{what} for classification, but {spec.name} is for {spec.task}; leave {which} out{why}"
        )
