"""`bigmodel plot`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bigmodel_cli.cli import options
from bigmodel_cli.errors import UsageError

if TYPE_CHECKING:
    from bigmodel_cli.config.schema import Config
    from bigmodel_cli.rundir import Run
    from bigmodel_cli.training.rate_curve import RateCurve


@click.command("plot")
@options.run
@options.overrides
@click.option("--schedule", is_flag=True, help="Draw the learning rate of a CONFIG or RUN, without training.")
@click.option(
    "--steps-per-epoch",
    type=click.IntRange(1),
    metavar="N",
    help="With --schedule: batches in an epoch [from the data].",
)
@click.option("--output", "-o", type=options.CONFIG, metavar="FILE", help="The PNG to write.")
@options.as_json
def command(
    run: Path | None,
    overrides: tuple[str, ...],
    schedule: bool,
    steps_per_epoch: int | None,
    output: Path | None,
    as_json: bool,
) -> None:
    """Draw the learning curves of a run, or the learning rate over a training.

    RUN is a run directory, a config (its newest run), or nothing (the newest run of all). With --schedule a
    config stands for itself, and KEY=VALUE changes it.
    """
    if output is not None and output.suffix != ".png":
        raise UsageError(f"--output {output}: must end in .png")
    if schedule:
        _schedule(run, overrides, steps_per_epoch, output, as_json)
    elif overrides or steps_per_epoch:
        raise UsageError(
            f"{'KEY=VALUE' if overrides else '--steps-per-epoch'}: goes with --schedule; a run is drawn as "
            "it is"
        )
    else:
        _curves(run, output, as_json)


def _curves(reference: Path | None, output: Path | None, as_json: bool) -> None:
    from bigmodel_cli import plots, rundir, validation
    from bigmodel_cli.cli import console

    run = rundir.find(reference)
    history = run.history()
    if not history:
        raise UsageError(
            f"{run}: has finished no epoch yet; go on with `bigmodel train --resume {run}`, or draw its "
            "learning rate with --schedule"
        )
    config = validation.load(run.config).config
    stopping = config.training.early_stopping
    summary = run.read_summary()
    path = plots.learning_curves(
        history,
        output or run.path / "learning_curves.png",
        best_epoch=summary.get("best_epoch"),
        monitor=summary.get("monitor") or (stopping.monitor if stopping else "val_loss"),
        title=config.name,
    )
    if as_json:
        console.print_json({"run": str(run), "epochs": len(history), "picture": str(path)})
    else:
        click.echo(f"{run}  {len(history)} epochs\npicture in {path}")


def _schedule(
    reference: Path | None,
    overrides: tuple[str, ...],
    steps_per_epoch: int | None,
    output: Path | None,
    as_json: bool,
) -> None:
    from bigmodel_cli import engine, plots
    from bigmodel_cli.cli import console

    config, run = _config(reference, overrides)
    engine.start()
    from bigmodel_cli.training.rate_curve import rate_curve, steps_per_epoch_of

    steps = steps_per_epoch or steps_per_epoch_of(config, run.read_data() if run else None)
    curve = rate_curve(config, steps)
    folder = run.path if run else Path()
    path = plots.learning_rates(
        curve.steps,
        curve.rates,
        output or folder / ("learning_rate.png" if run else f"{config.name}_learning_rate.png"),
        steps_per_epoch=steps,
        factors=curve.factors,
        title=f"{config.name}: learning rate, {curve.schedule}",
    )
    if as_json:
        console.print_json({"name": config.name, **curve.to_json(), "picture": str(path)})
    else:
        _show(curve, path)


def _config(reference: Path | None, overrides: tuple[str, ...]) -> tuple[Config, Run | None]:
    """A config as it is written, or that of a run, and the run."""
    from bigmodel_cli import rundir, validation

    if reference is not None and reference.suffix in (".yaml", ".yml") and not reference.is_dir():
        return validation.load(reference, overrides).config, None
    if overrides:
        raise UsageError(f"{overrides[0]}: changes a config, but {reference} is a run, drawn as it is")
    run = rundir.find(reference)
    return validation.load(run.config).config, run


def _show(curve: RateCurve, path: Path) -> None:
    from bigmodel_cli.cli import console

    click.echo(f"{curve.schedule}  {curve.epochs} epochs of {curve.steps_per_epoch:,} steps\n")
    rows: list[tuple[Any, ...]] = []
    for name, index in (("start", 0), ("peak", curve.peak), ("end", -1)):
        step = curve.steps[index]
        epoch = step // curve.steps_per_epoch + 1
        rows.append((name, f"{curve.rates[index]:.4g}", f"{step + 1:,}", f"{epoch:,}"))
    console.table(("", "learning rate", "step", "epoch"), rows, right=(1, 2, 3))
    for name, factor in curve.factors.items():
        click.echo(f"layers {name}: {factor:g} times as much")
    click.echo(f"\npicture in {path}")
