"""`training.batch_size: auto`: the largest that fits."""

from __future__ import annotations

import math

import keras

from bigmodel_cli.devices import Devices, available_memory

LARGEST = 1024
"""Beyond, the learning rate and its warm-up want care of their own (Goyal et al. 2017, section 2)."""

FEWEST_STEPS = 16
"""An epoch should have at least so many: with fewer updates, a small data set is hardly learned."""

MEMORY_SHARE = 0.5
"""Of the available memory, what activations and their gradients may take."""

HALVINGS = 3
"""How often a size that runs out of memory is halved."""


def first_try(model: keras.Model, devices: Devices, examples: int) -> tuple[int, str]:
    """A power of two to begin with, and why.

    On a CPU it must fit by an estimate, since a process that takes too much memory there is killed. On an
    accelerator the first step tells, and `HALVINGS` follow.

    Args:
        model: of one replica, in any precision.
        devices: that share a batch.
        examples: in the training split.
    """
    by_examples = max(1, examples // FEWEST_STEPS)
    largest = min(LARGEST, by_examples)
    reason = (
        f"of {examples:,} examples, for {FEWEST_STEPS} steps an epoch"
        if by_examples < LARGEST
        else "the most"
    )
    if devices.kind == "cpu":
        by_memory = int(MEMORY_SHARE * available_memory() / max(1, activation_bytes(model)))
        if by_memory < largest:
            largest, reason = max(1, by_memory), f"within {MEMORY_SHARE:.0%} of the memory available"
    size: int = 2 ** int(math.log2(largest))
    # All devices have the same share.
    return max(devices.count, size - size % devices.count), reason


def activation_bytes(model: keras.Model) -> int:
    """Memory of one example's activations and their gradients, float32; an upper estimate.

    Every layer's output is kept for the backward pass, where a gradient of its size is made.
    """
    values = 0
    for layer in model._flatten_layers(include_self=False):
        try:
            shapes = [tensor.shape for tensor in keras.tree.flatten(layer.output)]
        except (AttributeError, ValueError):
            # Used twice, or not a part of the graph itself.
            continue
        values += sum(math.prod(size or 1 for size in shape[1:]) for shape in shapes)
    return 2 * 4 * values
