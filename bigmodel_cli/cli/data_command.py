"""`bigmodel data`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bigmodel_cli.cli import options
from bigmodel_cli.errors import UsageError

if TYPE_CHECKING:
    from bigmodel_cli.config.schema import Config


@click.command("data")
@options.config
@options.overrides
@click.option(
    "--output", "-o", type=options.CONFIG, metavar="DIR", help="Of the pictures [data-report/NAME]."
)
@click.option("--no-duplicates", is_flag=True, help="Do not look for duplicates, which reads every example.")
@click.option("--no-speed", is_flag=True, help="Do not time the pipeline and the model.")
@click.option(
    "--seconds",
    type=click.FloatRange(0.1, 600),
    help="What one measurement of speed takes at most [5].",
)
@click.option(
    "--prepare",
    metavar="FOLDER",
    help="Write the data as shards to a folder, local or gs://, instead of reporting on it.",
)
@options.as_json
def command(
    config: Path,
    overrides: tuple[str, ...],
    output: Path | None,
    no_duplicates: bool,
    no_speed: bool,
    seconds: float | None,
    prepare: str | None,
    as_json: bool,
) -> None:
    """Show a config's data: splits, classes, columns, duplicates, pictures; and how fast it comes.

    With --prepare the data is written as shards, which any machine reads fast: `dataset: {name: prepared}`.
    """
    if prepare is not None and (output is not None or no_duplicates or no_speed or seconds is not None):
        raise UsageError(
            "--prepare writes the data instead of reporting on it; leave out --output, --no-duplicates, "
            "--no-speed and --seconds"
        )
    if no_speed and seconds is not None:
        raise UsageError("--seconds is of the speed, which --no-speed leaves out; give one of the two")
    from bigmodel_cli import engine, validation
    from bigmodel_cli.cli import console, data_text

    loaded = validation.load(config, overrides).config
    with data_text.status(as_json) as doing:
        doing("starting TensorFlow")
        engine.start()
        if prepare is None:
            found: Any = _report(loaded, output, not no_duplicates, not no_speed, seconds or 5.0, doing)
    if prepare is not None:
        found = _write(loaded, prepare, as_json)
    if as_json:
        console.print_json(found.to_json())
    elif prepare is None:
        data_text.show(found)
    else:
        data_text.show_prepared(found)


def _report(
    config: Config, output: Path | None, duplicates: bool, speed: bool, seconds: float, doing: Any
) -> Any:
    from bigmodel_cli import assembly, data_report

    training = None
    if speed:
        doing("preparing data and model")
        from bigmodel_cli.training import planning

        plan = planning.prepare(config)
        data = plan.data
        training = data_report.Training(plan.pipeline, plan.model, plan.class_weights, plan.devices.kind)
    else:
        doing("loading the data")
        data = assembly.load_data(config)
    return data_report.examine(
        config,
        data,
        output or Path("data-report") / config.name,
        search_duplicates=duplicates,
        training=training,
        seconds=seconds,
        doing=doing,
    )


def _write(config: Config, folder: str, as_json: bool) -> Any:
    from bigmodel_cli import assembly, data_report
    from bigmodel_cli.cli import data_text

    data = assembly.load_data(config)
    with data_text.writing({name: split.size for name, split in data.splits.items()}, as_json) as report:
        return data_report.write_prepared(config, data, folder, report)
