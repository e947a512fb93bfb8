"""What a dataset, a model and augmentations demand of one another."""

from __future__ import annotations

from bigmodel_cli import presets
from bigmodel_cli.assembly.course import augmentations
from bigmodel_cli.config.schema import Config
from bigmodel_cli.contracts import DataSpec, Mixing, Moving
from bigmodel_cli.errors import DataError, ModelError
from bigmodel_cli.models.table import text_columns
from bigmodel_cli.reconstruction import reconstructed
from bigmodel_cli.token_targets import is_language


def reconstructable(config: Config, spec: DataSpec) -> None:
    """Make sure, before anything is read, that a model can learn the inputs of a dataset.

    Raises:
        DataError, ModelError: it cannot, or targets are scaled that are not learned.
    """
    reconstructed(spec, config.model.name)
    if (prepare := config.dataset.prepare) is not None and prepare.target.scale != "none":
        raise DataError(
            f"dataset.prepare.target.scale: `{prepare.target.scale}` scales targets, and model "
            f"`{config.model.name}` learns the inputs; leave it `none`"
        )


def one_text(config: Config, spec: DataSpec) -> None:
    """Refuse data that a KerasHub preset cannot take, before it is read.

    Raises:
        ModelError: there is no column of text, or several, or the tokens themselves are to be learned.
    """
    if config.model.name != presets.MODEL:
        return
    texts = text_columns(spec)
    if len(texts) != 1:
        named = ", ".join(column.name for column in texts) if texts else "none"
        raise ModelError(
            f"model.name: `{presets.MODEL}` takes one column of text, but dataset `{config.dataset.name}` "
            f"has {named}; name it with dataset.columns: {{NAME: text}}, and leave others out with "
            "{NAME: ignore}"
        )
    if is_language(spec):
        raise ModelError(
            f"model.name: `{presets.MODEL}` is for classification, labels and regression, but dataset "
            f"`{config.dataset.name}` is for {spec.task}; use `gpt` or `transformer`, or another dataset.task"
        )


def targets_that_follow(config: Config, spec: DataSpec) -> None:
    """Make sure that the targets can follow the augmentations.

    Raises:
        DataError: images are mixed, or moved in a way that is not known for masks.
    """
    if spec.task not in ("segmentation", "reconstruction"):
        return
    if spec.task == "reconstruction":
        for number, item in enumerate(config.dataset.augment):
            if isinstance(augmentations(config)[number].function, Mixing):
                raise DataError(
                    f"dataset.augment[{number}]: `{item.name}` mixes images and their classes, and model "
                    f"`{config.model.name}` learns images without classes; leave it out"
                )
        return
    functions = [scheduled.function for scheduled in augmentations(config)]
    for number, (item, function) in enumerate(zip(config.dataset.augment, functions, strict=True)):
        if isinstance(function, Mixing):
            why = "mixes images, whose pixels would then have two classes"
        elif isinstance(function, Moving) and function.masks is None:
            why = "draws what it moves for the image alone, so that the mask would stay behind"
        else:
            continue
        raise DataError(
            f"dataset.augment[{number}]: `{item.name}` {why}; for segmentation take random_flip, "
            "random_crop, random_translation, random_rotation, random_zoom, or what changes colours"
        )
