"""Learning-rate schedules over the whole training, which Keras' own do not know; made of these.

A step is a batch, also where gradients are accumulated over several: Keras asks its schedules so.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

if TYPE_CHECKING:
    from keras.optimizers.schedules import LearningRateSchedule

Peak = Annotated[float, Field(gt=0)]
FinalRate = Annotated[float, Field(ge=0)]
WarmupEpochs = Annotated[float, Field(ge=0)]
WarmupSteps = Annotated[int, Field(ge=1)] | None
Epochs = Annotated[int, Field(ge=1)]


def _warmup_steps(total_steps: int, steps_per_epoch: int, epochs: float, steps: int | None) -> int:
    """Steps of the warm-up: all but the last one of a training that is tried out for an epoch or two."""
    return min(round(epochs * steps_per_epoch) if steps is None else steps, total_steps - 1)


def constant(
    total_steps: int,
    steps_per_epoch: int,
    *,
    peak: Peak,
    warmup_epochs: WarmupEpochs = 0.0,
    warmup_steps: WarmupSteps = None,
    start: FinalRate = 0.0,
) -> LearningRateSchedule:
    """The same learning rate throughout, after a linear warm-up.

    Goyal et al. 2017, "Accurate, Large Minibatch SGD", section 2.2.

    Args:
        peak: the learning rate.
        warmup_epochs: epochs over which the rate rises from start to peak; fractions count.
        warmup_steps: the same in steps; one of the two.
        start: learning rate of the first step when there is a warm-up.
    """
    from bigmodel_cli.training.schedule_parts import flat, warmed_up

    warmup = _warmup_steps(total_steps, steps_per_epoch, warmup_epochs, warmup_steps)
    return warmed_up(start, peak, warmup, flat(peak))


def cosine(
    total_steps: int,
    steps_per_epoch: int,
    *,
    peak: Peak,
    final: FinalRate = 0.0,
    warmup_epochs: WarmupEpochs = 0.0,
    warmup_steps: WarmupSteps = None,
    start: FinalRate = 0.0,
) -> LearningRateSchedule:
    """Half a cosine from peak to final over the whole training, after a linear warm-up.

    Loshchilov and Hutter 2017, "SGDR", equation 5, without restarts; warm-up of Goyal et al. 2017,
    section 2.2.

    Args:
        peak: highest learning rate, at the end of the warm-up.
        final: learning rate after the last step.
        warmup_epochs: epochs over which the rate rises from start to peak; fractions count.
        warmup_steps: the same in steps; one of the two.
        start: learning rate of the first step when there is a warm-up.
    """
    from keras.optimizers.schedules import CosineDecay

    from bigmodel_cli.training.schedule_parts import warmed_up

    warmup = _warmup_steps(total_steps, steps_per_epoch, warmup_epochs, warmup_steps)
    return warmed_up(start, peak, warmup, CosineDecay(peak, total_steps - warmup, alpha=final / peak))


def linear(
    total_steps: int,
    steps_per_epoch: int,
    *,
    peak: Peak,
    final: FinalRate = 0.0,
    warmup_epochs: WarmupEpochs = 0.0,
    warmup_steps: WarmupSteps = None,
    start: FinalRate = 0.0,
) -> LearningRateSchedule:
    """A straight line from peak to final over the whole training, after a linear warm-up.

    As BERT is trained: Devlin et al. 2019, appendix A.2.

    Args:
        peak: highest learning rate, at the end of the warm-up.
        final: learning rate after the last step.
        warmup_epochs: epochs over which the rate rises from start to peak; fractions count.
        warmup_steps: the same in steps; one of the two.
        start: learning rate of the first step when there is a warm-up.
    """
    from bigmodel_cli.training.schedule_parts import straight, warmed_up

    warmup = _warmup_steps(total_steps, steps_per_epoch, warmup_epochs, warmup_steps)
    return warmed_up(start, peak, warmup, straight(peak, final, total_steps - warmup))


def polynomial(
    total_steps: int,
    steps_per_epoch: int,
    *,
    peak: Peak,
    final: FinalRate = 0.0,
    power: Annotated[float, Field(gt=0)] = 2.0,
    warmup_epochs: WarmupEpochs = 0.0,
    warmup_steps: WarmupSteps = None,
    start: FinalRate = 0.0,
) -> LearningRateSchedule:
    """A power of the training that is left, from peak to final, after a linear warm-up.

    final + (peak - final) * (1 - t) ** power, t from 0 to 1; the "poly" policy of Chen et al. 2017,
    "DeepLab", section 4.1.

    Args:
        peak: highest learning rate, at the end of the warm-up.
        final: learning rate after the last step.
        power: 1 is a straight line; the larger, the earlier it falls.
        warmup_epochs: epochs over which the rate rises from start to peak; fractions count.
        warmup_steps: the same in steps; one of the two.
        start: learning rate of the first step when there is a warm-up.
    """
    from keras.optimizers.schedules import PolynomialDecay

    from bigmodel_cli.training.schedule_parts import warmed_up

    warmup = _warmup_steps(total_steps, steps_per_epoch, warmup_epochs, warmup_steps)
    return warmed_up(start, peak, warmup, PolynomialDecay(peak, total_steps - warmup, final, power=power))


def exponential(
    total_steps: int,
    steps_per_epoch: int,
    *,
    peak: Peak,
    final: Annotated[float, Field(gt=0)],
    warmup_epochs: WarmupEpochs = 0.0,
    warmup_steps: WarmupSteps = None,
    start: FinalRate = 0.0,
) -> LearningRateSchedule:
    """The same factor at every step, from peak to final over the whole training, after a linear warm-up.

    peak * (final / peak) ** t, t from 0 to 1.

    Args:
        peak: highest learning rate, at the end of the warm-up.
        final: learning rate after the last step.
        warmup_epochs: epochs over which the rate rises from start to peak; fractions count.
        warmup_steps: the same in steps; one of the two.
        start: learning rate of the first step when there is a warm-up.
    """
    from keras.optimizers.schedules import ExponentialDecay

    from bigmodel_cli.training.schedule_parts import warmed_up

    warmup = _warmup_steps(total_steps, steps_per_epoch, warmup_epochs, warmup_steps)
    return warmed_up(start, peak, warmup, ExponentialDecay(peak, total_steps - warmup, final / peak))


def step(
    total_steps: int,
    steps_per_epoch: int,
    *,
    peak: Peak,
    factor: Annotated[float, Field(gt=0, lt=1)] = 0.1,
    every_epochs: Epochs | None = None,
    at_epochs: Annotated[list[Epochs], Field(min_length=1)] | None = None,
    warmup_epochs: WarmupEpochs = 0.0,
    warmup_steps: WarmupSteps = None,
    start: FinalRate = 0.0,
) -> LearningRateSchedule:
    """Falls by a factor after every n epochs, or after given epochs, after a linear warm-up.

    As ResNets are trained: He et al. 2016, "Deep Residual Learning", section 3.4.

    Args:
        peak: highest learning rate, at the end of the warm-up.
        factor: of the learning rate, each time.
        every_epochs: it falls after every n-th epoch of the training, the warm-up's included.
        at_epochs: it falls after these epochs; one of the two.
        warmup_epochs: epochs over which the rate rises from start to peak; fractions count.
        warmup_steps: the same in steps; one of the two.
        start: learning rate of the first step when there is a warm-up.
    """
    from keras.optimizers.schedules import PiecewiseConstantDecay

    from bigmodel_cli.training.schedule_parts import flat, warmed_up

    warmup = _warmup_steps(total_steps, steps_per_epoch, warmup_epochs, warmup_steps)
    if at_epochs is None:
        last = math.ceil(total_steps / steps_per_epoch)
        at_epochs = [] if every_epochs is None else list(range(every_epochs, last, every_epochs))
    if at_epochs and at_epochs[0] * steps_per_epoch <= warmup:
        raise ValueError(
            f"it would fall after epoch {at_epochs[0]}, but the warm-up of {warmup} steps lasts as long; "
            "shorten the warm-up, or let it fall later"
        )
    falling = flat(peak)
    if at_epochs:
        # Keras' values hold up to their boundary and at it.
        boundaries = [epoch * steps_per_epoch - 1 - warmup for epoch in at_epochs]
        values = [peak * factor**falls for falls in range(len(at_epochs) + 1)]
        falling = PiecewiseConstantDecay(boundaries, values)
    return warmed_up(start, peak, warmup, falling)


def one_cycle(
    total_steps: int,
    steps_per_epoch: int,
    *,
    peak: Peak,
    start: Annotated[float, Field(gt=0)] | None = None,
    final: FinalRate | None = None,
    warmup_epochs: Annotated[float, Field(gt=0)] | None = None,
    warmup_steps: WarmupSteps = None,
) -> LearningRateSchedule:
    """Half a cosine up from start to peak, then half a cosine down to far below start.

    Smith 2018, "A disciplined approach to neural network hyper-parameters", section 4; the shape and the
    numbers are those of PyTorch's OneCycleLR.

    Args:
        peak: highest learning rate, at the end of the rise.
        start: learning rate of the first step; by default peak / 25.
        final: learning rate after the last step; by default start / 10,000.
        warmup_epochs: epochs of the rise; fractions count; by default 30% of the training.
        warmup_steps: the same in steps; one of the two.
    """
    from keras.optimizers.schedules import CosineDecay

    from bigmodel_cli.training.schedule_parts import Then

    start = peak / 25 if start is None else start
    final = start / 1e4 if final is None else final
    if warmup_epochs is None and warmup_steps is None:
        warmup_steps = min(max(1, round(0.3 * total_steps)), total_steps - 1)
    warmup = _warmup_steps(total_steps, steps_per_epoch, warmup_epochs or 0.0, warmup_steps)
    falling = CosineDecay(peak, total_steps - warmup, alpha=final / peak)
    # A decay to more than it begins with rises.
    return Then(CosineDecay(start, warmup, alpha=peak / start), warmup, falling) if warmup else falling
