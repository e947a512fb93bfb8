"""`optimizer.layers`: layers that are frozen, have a learning rate of their own, or LoRA."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase

import keras

from bigmodel_cli import components
from bigmodel_cli.config.schema import Config, LayerRule
from bigmodel_cli.errors import UsageError

_SHOWN = 12


def freeze(config: Config, model: keras.Model, epoch: int | None = 1) -> None:
    """Make the layers untrainable that the config freezes; to be called before `compile`.

    A rule for a layer holds for the layers inside it, too; of several rules for a layer the first in the
    list counts. A frozen BatchNormalization runs in inference mode. Calling it again changes nothing.

    Args:
        config: complete.
        model: built.
        epoch: of training, from 1, of which it is; None for all that is ever trained to be trainable.

    Raises:
        UsageError: a rule that no layer, or no weight, falls under; or nothing would be left to train.
    """
    rules = config.optimizer.layers
    if not rules:
        return
    covered = list(_covered(rules, model, None))
    _check(rules, covered)
    trainable = {id(layer): layer.trainable for layer, _ in covered}
    # From the outside in: what is set for a layer is set for all inside it.
    for layer, rule in covered:
        released = rule is not None and _released(rules[rule], epoch)
        frozen = rule is not None and rules[rule].frozen and not released
        layer.trainable = not frozen and (released or trainable[id(layer)])
    for layer, _ in covered:
        _keep_kernel(layer)
    if not model.trainable_variables:
        raise UsageError("optimizer.layers: nothing is left to train; unfreeze the last layers")


def releases(config: Config) -> list[int]:
    """The epochs, from 1, with which layers begin to be trained, ascending."""
    return sorted({rule.until_epoch + 1 for rule in config.optimizer.layers if rule.until_epoch is not None})


def _released(rule: LayerRule, epoch: int | None) -> bool:
    """Whether a frozen layer is trained in an epoch."""
    return rule.until_epoch is not None and (epoch is None or epoch > rule.until_epoch)


def add_lora(config: Config, model: keras.Model) -> None:
    """Give layers a low-rank change to be trained in place of their kernels (Hu et al. 2021, section 4.1).

    Saved models hold the sum of both in the place of the kernel, so that they are like any other.

    Args:
        config: complete.
        model: built.

    Raises:
        UsageError: a rule for LoRA falls on no layer that can have it.
    """
    rules = config.optimizer.layers
    found = set()
    for layer, rule in list(_covered(rules, model, None)):
        rank = None if rule is None else rules[rule].lora_rank
        if rank is None or not hasattr(layer, "enable_lora") or layer.lora_enabled:
            continue
        layer.enable_lora(rank)
        found.add(rule)
    for index, item in enumerate(rules):
        if item.lora_rank is not None and index not in found:
            raise UsageError(
                f"optimizer.layers[{index}].lora_rank: none of the layers {', '.join(item.match)} can have "
                "LoRA; Dense, EinsumDense, Embedding and convolutions can (`bigmodel summary CONFIG`)"
            )


def _keep_kernel(layer: keras.Layer) -> None:
    """What LoRA changes stays as it is; setting a layer's flag has set it for all its weights."""
    if getattr(layer, "lora_enabled", False):
        for variable in layer._trainable_variables:
            if variable.name in ("kernel", "embeddings"):
                variable.trainable = False


def learning_rate_factors(config: Config, model: keras.Model) -> Mapping[int, float]:
    """The factors that differ from 1, by the `id` of the variable.

    Args:
        config: complete.
        model: built, and made ready by `freeze`.
    """
    rules = config.optimizer.layers
    factors: dict[int, float] = {}
    for layer, rule in _covered(rules, model, None):
        factor = None if rule is None else rules[rule].learning_rate_factor
        if factor is not None and factor != 1.0:
            factors.update((id(variable), factor) for variable in layer._trainable_variables)
    return factors


def _covered(
    rules: Sequence[LayerRule], parent: keras.Layer, inherited: int | None
) -> Iterator[tuple[keras.Layer, int | None]]:
    """Every layer inside another, outer ones first, with the index of its rule."""
    for layer in parent._flatten_layers(include_self=False, recursive=False):
        own = (index for index, rule in enumerate(rules) if _matches(layer, rule.match))
        rule = min((index for index in (inherited, next(own, None)) if index is not None), default=None)
        yield layer, rule
        yield from _covered(rules, layer, rule)


def _matches(layer: keras.Layer, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(layer.name, pattern) for pattern in patterns)


def _check(rules: Sequence[LayerRule], covered: Sequence[tuple[keras.Layer, int | None]]) -> None:
    weighty = [(layer, rule) for layer, rule in covered if layer._trainable_variables]
    names = list(dict.fromkeys(layer.name for layer, _ in covered if layer.weights))
    for index, rule in enumerate(rules):
        for pattern in rule.match:
            if not any(_matches(layer, [pattern]) for layer, _ in covered):
                near = components.suggestion(pattern, names)
                shown = ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
                raise UsageError(
                    f"optimizer.layers[{index}].match: no layer of the model is called `{pattern}`{near}; "
                    f"the layers with weights are {shown} (`bigmodel summary CONFIG` lists all)"
                )
        if index not in {rule for _, rule in weighty}:
            earlier = any(layer for layer, _ in weighty if _matches(layer, rule.match))
            raise UsageError(
                f"optimizer.layers[{index}].match: {', '.join(rule.match)} "
                + ("falls under an earlier rule, and the first one counts" if earlier else "has no weights")
                + "; leave the rule out"
            )
