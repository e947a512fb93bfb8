"""What `bigmodel summary` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bigmodel_cli import formatting
from bigmodel_cli.cli import console

if TYPE_CHECKING:
    from bigmodel_cli.summary.layers import ModelSummary, TrainingCost


def show(found: ModelSummary) -> None:
    """A line for each layer, and what the whole costs."""
    rows = [
        (
            layer.name,
            layer.kind,
            # The first axis is the batch.
            "x".join(map(str, layer.output_shape[1:])),
            f"{layer.parameters:,}" if layer.parameters else "",
            f"{layer.trainable:,}" if layer.parameters else "",
            formatting.si(layer.flops, "FLOP") if layer.flops else "",
        )
        for layer in found.layers
    ]
    console.table(("layer", "kind", "output", "parameters", "trained", "forward pass"), rows, right=(3, 4, 5))
    later = f", {found.released:,} in the end" if found.released != found.trainable else ""
    click.echo(
        f"\n{found.model}: {found.parameters:,} parameters ({found.trainable:,} trained{later}), "
        f"{formatting.si(4 * found.parameters, 'B')} as float32, {formatting.si(found.flops, 'FLOP')} for "
        "one example's forward pass (a multiply-add counts as 2)"
    )
    if found.uncounted:
        click.echo(f"not counted: the operations of {', '.join(found.uncounted)}")
    click.echo("")
    _training(found, found.training)


def _training(found: ModelSummary, training: TrainingCost) -> None:
    memory, step = training.memory, training.step_seconds
    click.echo(
        f"training   {training.device}, {training.precision} ({training.precision_reason}), batches of "
        f"{training.batch_size} ({training.batch_size_reason})"
    )
    parts = {
        "weights": memory.weights,
        "gradients": memory.gradients,
        training.optimizer: memory.optimizer,
        "activations": memory.activations,
        "batch": memory.batch,
        "engine": memory.engine,
    }
    sums = "  ".join(f"{name} {formatting.si(size, 'B')}" for name, size in parts.items())
    click.echo(f"  memory   {formatting.si(training.memory_total, 'B')} predicted: {sums}")
    click.echo(
        f"  step     {_seconds(step)} predicted, {_rate(training.batch_size / step)} examples/s; "
        "reading data is left out"
    )
    if found.measured is not None:
        real = found.measured
        click.echo(
            f"measured   step {_seconds(real.step_seconds)} (median of {real.steps}; the fastest tenth "
            f"{_seconds(real.quiet_seconds)}, predicted is {step / real.quiet_seconds:.2f} of that); memory "
            f"{formatting.si(real.memory, 'B')}, predicted is "
            f"{training.memory_total / max(1, real.memory):.2f} of it"
        )
    live = found.inference_memory
    click.echo(
        f"inference  activations {formatting.si(live, 'B')} at most for one example in float32, "
        f"{formatting.si(live * training.batch_size, 'B')} for {training.batch_size}"
    )


def _seconds(seconds: float) -> str:
    return f"{1000 * seconds:.3g} ms" if seconds < 1 else formatting.duration(seconds)


def _rate(number: float) -> str:
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"
