"""The last batch of an epoch, where the devices cannot share it equally: see `data.sharing`."""

from __future__ import annotations

from typing import Any

import keras


def cut_off_filling(
    model: keras.Model,
    distribution: Any,
    training: tuple[int, int] | None,
    validation: tuple[int, int] | None,
) -> None:
    """Make a model's steps work on the rows that are meant, of a batch that travels with more.

    Every device computes such a batch whole: loss, gradients, batch statistics, random numbers and metrics
    are those of one device. Keras lays out all batches of an epoch like its first one, so that the batch
    cannot be sent to all devices in the first place.

    Args:
        model: built under `distribution`, on JAX.
        distribution: the `keras.distribution.DataParallel`.
        training: rows that travel and rows that are meant, of the last training batch; None where they are
            the same.
        validation: the same of validation batches.
    """
    if training:
        model.train_step = _shortened(model.train_step, distribution, *training)
    if validation:
        model.test_step = _shortened(model.test_step, distribution, *validation)


def _shortened(step: Any, distribution: Any, sent: int, meant: int) -> Any:
    def shortened(state: Any, data: Any) -> Any:
        # Of the whole job's batch: a number, not a tensor, while the step is compiled.
        if keras.tree.flatten(data)[0].shape[0] == sent:
            data = keras.tree.map_structure(cut, data)
        return step(state, data)

    def cut(array: Any) -> Any:
        if array is None:
            return None
        everywhere = keras.distribution.TensorLayout([None] * len(array.shape), distribution.device_mesh)
        return keras.distribution.distribute_tensor(array[:meant], everywhere)

    return shortened
