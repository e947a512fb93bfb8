"""`bigmodel summary`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from bigmodel_cli.cli import options
from bigmodel_cli.errors import UsageError

if TYPE_CHECKING:
    from bigmodel_cli.config.schema import Config
    from bigmodel_cli.contracts import DataSpec


@click.command("summary")
@options.config
@options.overrides
@click.option(
    "--input",
    "shape",
    metavar="SHAPE",
    help="Read no data; an example is an image (224x224x3), numbers (30) or, with --tokens, a text (128).",
)
@click.option(
    "--classes", type=click.IntRange(1, 10_000_000), help="With --input: classes, labels or targets [10]."
)
@click.option("--tokens", type=click.IntRange(3, 10_000_000), help="With --input: tokens known of a text.")
@click.option(
    "--measure", is_flag=True, help="Train for some seconds on random numbers, beside the prediction."
)
@click.option("--graph", type=options.CONFIG, metavar="FILE.svg", help="Draw the model's graph.")
@options.as_json
def command(
    config: Path,
    overrides: tuple[str, ...],
    shape: str | None,
    classes: int | None,
    tokens: int | None,
    measure: bool,
    graph: Path | None,
    as_json: bool,
) -> None:
    """Show the model that a config builds, and what training it costs here.

    Layers, shapes, parameters and FLOPs; memory and time of a training step on this device, predicted.
    Nothing is trained but with --measure.
    """
    from bigmodel_cli import engine, validation
    from bigmodel_cli.cli import console, summary_text

    if graph is not None and (graph.suffix != ".svg" or not graph.parent.is_dir()):
        raise UsageError(f"--graph {graph}: must be a file FILE.svg in a folder that is there")
    if shape is None and (classes or tokens):
        raise UsageError("--classes and --tokens: go with --input SHAPE")
    loaded = validation.load(config, overrides)
    data = None if shape is None else _data(loaded.config, shape, classes, tokens)
    engine.start()
    from bigmodel_cli.summary.layers import summarize

    found = summarize(loaded.config, data, measured=measure, drawn=graph is not None)
    if graph is not None:
        try:
            graph.write_text(found.picture, encoding="utf-8")
        except OSError as error:
            raise UsageError(f"--graph {graph}: cannot be written: {error.strerror}") from None
    if as_json:
        console.print_json({**found.to_json(), "graph": None if graph is None else str(graph)})
        return
    summary_text.show(found)
    if graph is not None:
        click.echo(f"graph      {graph}")


def _data(config: Config, shape: str, classes: int | None, tokens: int | None) -> DataSpec:
    """What --input describes, for the task of the config.

    Raises:
        UsageError: it is no shape, or none of a text.
    """
    from typing import get_args

    from bigmodel_cli.contracts import LANGUAGE_TASKS, Task
    from bigmodel_cli.stand_in import stand_in

    sizes = [int(part) for part in shape.split("x") if part.isascii() and part.isdigit() and int(part)]
    if (
        len(sizes) != shape.count("x") + 1
        or len(sizes) not in ((1,) if tokens else (1, 3))
        or max(sizes) > 10**7
    ):
        raise UsageError(
            f"--input {shape}: is no shape of an example; give HEIGHTxWIDTHxCHANNELS of an image, as in "
            "224x224x3, a number of numbers, as in 30, or the length of a text with --tokens"
        )
    asked = config.dataset.parameters.get("task")
    named = {"gpt": "language_model", "unet": "segmentation"}.get(config.model.name, "classification")
    task: Task = next(
        known for known in get_args(Task) if known == (asked if asked in get_args(Task) else named)
    )
    if task in LANGUAGE_TASKS and tokens is None:
        raise UsageError(f"--input {shape}: a {task.replace('_', ' ')} takes a text; name --tokens, too")
    if task == "segmentation" and len(sizes) != 3:
        raise UsageError(f"--input {shape}: segmentation takes images; give HEIGHTxWIDTHxCHANNELS")
    outputs = tokens if task in LANGUAGE_TASKS and tokens else classes or 10
    return stand_in(sizes, outputs, task=task, tokens=tokens)
