"""Learning-rate schedules measured in epochs, which Keras' own do not know."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

if TYPE_CHECKING:
    import keras


def cosine(
    total_steps: int,
    steps_per_epoch: int,
    *,
    peak: Annotated[float, Field(gt=0)],
    final: Annotated[float, Field(ge=0)] = 0.0,
    warmup_epochs: Annotated[float, Field(ge=0)] = 0.0,
    start: Annotated[float, Field(ge=0)] = 0.0,
) -> keras.optimizers.schedules.LearningRateSchedule:
    """Half a cosine from peak to final over the whole training, after a linear warm-up.

    Loshchilov and Hutter 2017, "SGDR", equation 5, without restarts; warm-up of Goyal et al. 2017,
    section 2.2.

    Args:
        peak: highest learning rate, at the end of the warm-up.
        final: learning rate after the last step.
        warmup_epochs: epochs over which the rate rises from start to peak; fractions count.
        start: learning rate of the first step when there is a warm-up.
    """
    import keras

    warmup_steps = min(round(warmup_epochs * steps_per_epoch), total_steps - 1)
    return keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=start if warmup_steps else peak,
        decay_steps=max(1, total_steps - warmup_steps),
        alpha=final / peak,
        warmup_target=peak if warmup_steps else None,
        warmup_steps=warmup_steps,
    )
