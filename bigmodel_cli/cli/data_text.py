"""What `bigmodel data` prints."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from bigmodel_cli.cli import console
from bigmodel_cli.contracts import LANGUAGE_TASKS

if TYPE_CHECKING:
    from bigmodel_cli.data.contents import Numbers
    from bigmodel_cli.data_report import DataReport, Prepared
    from bigmodel_cli.data_report.description import ColumnReport, Description, TargetReport
    from bigmodel_cli.data_report.speed import SpeedReport

_CLASSES_SHOWN = 20
_ENDS_SHOWN = 5
_TARGETS_SHOWN = 20
_COLUMNS_SHOWN = 100


@contextmanager
def status(stderr: bool) -> Iterator[Callable[[str], None]]:
    """A spinner on a terminal, and how to say what takes the time; nothing elsewhere."""
    screen = console.console(stderr)
    if not screen.is_terminal:
        yield lambda text: None
        return
    with screen.status("") as spinner:
        yield spinner.update


@contextmanager
def writing(sizes: Mapping[str, int], stderr: bool) -> Iterator[Callable[[str, int], None]]:
    """How far each split is written: bars on a terminal, a line a split elsewhere."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    screen = console.console(stderr)
    if not screen.is_terminal:

        def line(split: str, count: int) -> None:
            if count == sizes[split]:
                click.echo(f"{split}  {count:,} examples written", err=stderr)

        yield line
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=screen) as bars:
        tasks = {name: bars.add_task(name, total=size) for name, size in sizes.items()}
        yield lambda split, count: bars.update(tasks[split], completed=count)


def show(report: DataReport) -> None:
    """The report for people."""
    found = report.description
    shape = f"{'x'.join(map(str, found.shape))} {found.dtype}"
    if found.kind == "table":
        shape = f"{len(found.columns):,} column{'s' if len(found.columns) > 1 else ''}"
    click.echo(f"{found.config}  {found.dataset} ({found.origin})  {shape}  {found.task}")
    for note in found.notes:
        click.echo(f"  {note}")
    click.echo()
    console.table(
        ("split", "examples", "where from"),
        [(split.name, f"{split.examples:,}", split.describe) for split in found.splits],
        right=(1,),
    )
    click.echo()
    for target in found.tasks:
        click.echo(f"target {target.name}: {target.task}")
        _show_target(target)
    if not found.tasks:
        _show_target(found)
    if found.channels:
        _show_channels(found)
    if found.columns:
        _show_columns(found)
    if report.duplicates is not None:
        _show_duplicates(report)
    if report.speed is not None:
        _show_speed(report.speed, "img/s" if found.kind == "image" else "ex/s")
    if report.warnings:
        click.echo()
    for warning in report.warnings:
        click.echo(f"warning: {warning}")
    if report.pictures:
        click.echo(f"\nwritten to {report.pictures[0].parent}/")
    for path in report.pictures:
        click.echo(f"  {path.name}")


def _show_target(found: Description | TargetReport) -> None:
    if found.task != "regression":
        _show_classes(found)
    else:
        _show_targets(found)


def _show_classes(found: Description | TargetReport) -> None:
    order = list(range(len(found.names)))
    train = found.splits[0].counts
    ranked = sorted(order, key=lambda index: -train[index])
    many = len(order) > _CLASSES_SHOWN
    if many:
        order = ranked[:_ENDS_SHOWN] + ranked[-_ENDS_SHOWN:]
    # Of masks the pixels are counted, of labels an example may have several.
    masks = found.task == "segmentation"
    parts = masks or found.task in LANGUAGE_TASKS
    wholes = {split.name: sum(split.counts) if parts else split.examples for split in found.splits}
    rows = [
        (
            found.names[index],
            *(
                text
                for split in found.splits
                for text in (
                    f"{split.counts[index]:,}",
                    f"{split.counts[index] / max(1, wholes[split.name]):.1%}",
                )
            ),
        )
        for index in order
    ]
    heads = [text for split in found.splits for text in (f"{split.name}{' pixels' if masks else ''}", "")]
    words: dict[str, tuple[str, str]] = dict.fromkeys(LANGUAGE_TASKS, ("token", "tokens"))
    words["multi_label"] = ("label", "labels")
    one, all_of_them = words.get(found.task, ("class", "classes"))
    console.table((one, *heads), rows, right=range(1, 1 + len(heads)))
    if many:
        present = [count for count in train if count]
        click.echo(
            f"the {_ENDS_SHOWN} largest and the {_ENDS_SHOWN} smallest of {len(train):,} {all_of_them}; in "
            f"train the largest is {max(present) / min(present):,.1f} times the smallest"
        )
    if found.task == "multi_label":
        # The label cardinality of Tsoumakas and Katakis 2007.
        click.echo(f"{sum(train) / found.splits[0].examples:.3g} labels an example of train, on average")


def _numbers(numbers: Numbers) -> tuple[str, ...]:
    return tuple(map(_number, (numbers.mean, numbers.deviation, numbers.low, numbers.high)))


def _number(value: float) -> str:
    return "n/a" if value != value else f"{value:,.6g}" if abs(value) < 1e6 else f"{value:.4g}"


def _show_targets(found: Description | TargetReport) -> None:
    rows = [
        (name if place == 0 else "", split.name, *_numbers(split.targets[index]))
        for index, name in enumerate(found.names[:_TARGETS_SHOWN])
        for place, split in enumerate(found.splits)
    ]
    console.table(("target", "split", "mean", "deviation", "min", "max"), rows, right=range(2, 6))
    if len(found.names) > _TARGETS_SHOWN:
        click.echo(f"the first {_TARGETS_SHOWN} of {len(found.names):,} targets")


def _show_channels(found: Description) -> None:
    click.echo()
    count = len(found.channels)
    names = {1: ["grey"], 2: ["grey", "opacity"], 3: ["red", "green", "blue"]}.get(
        count, ["red", "green", "blue", "opacity"] if count == 4 else list(map(str, range(count)))
    )
    what = "channel" if found.kind == "image" else ""
    if not what:
        names = ["all numbers"]
    rows = [(name, *_numbers(item)) for name, item in zip(names, found.channels, strict=False)]
    console.table((what, "mean", "deviation", "min", "max"), rows, right=range(1, 5))
    _say_sample(found)


def _say_sample(found: Description) -> None:
    if found.sampled < found.splits[0].examples:
        click.echo(f"of {found.sampled:,} examples spread over train")


def _show_columns(found: Description) -> None:
    click.echo()
    rows = [
        (
            item.contents.name,
            item.contents.kind,
            f"{item.contents.missing:,} ({item.missing_share:.1%})" if item.contents.missing else "",
            f"{item.contents.distinct:,}",
            _values(item),
            item.prepared,
        )
        for item in found.columns[:_COLUMNS_SHOWN]
    ]
    console.table(("column", "kind", "missing", "distinct", "values", "prepared"), rows, right=(2, 3))
    if len(found.columns) > _COLUMNS_SHOWN:
        click.echo(f"the first {_COLUMNS_SHOWN} of {len(found.columns):,} columns; --json has all")
    _say_sample(found)


def _values(item: ColumnReport) -> str:
    column = item.contents
    if column.frequent:
        shown = ", ".join(f"{_shortened(name)} {count:,}" for name, count in column.frequent[:3])
        return shown + (", ..." if column.distinct > 3 else "")
    if column.kind == "date":
        return f"{column.earliest} to {column.latest}"
    if column.numbers is None:
        return ""
    _, _, low, high = _numbers(column.numbers)
    mean = f"{column.numbers.mean:.4g}"
    return f"{low} to {high} words, mean {mean}" if column.kind == "text" else f"{low} to {high}, mean {mean}"


def _shortened(name: str, limit: int = 24) -> str:
    line = " ".join(name.split())
    return line if len(line) <= limit else f"{line[: limit - 3]}..."


def _show_duplicates(report: DataReport) -> None:
    click.echo()
    for item in report.duplicates or ():
        what = "within train" if item.split == "train" else f"train and {item.split}"
        if not item.copies:
            click.echo(f"duplicates, {what}: none")
            continue
        copies = f"{item.copies:,} cop{'y' if item.copies == 1 else 'ies'} ({item.share:.2%} of {item.split})"
        other = f", {item.contradicting:,} with another target" if item.contradicting else ""
        places = ", ".join(f"{first} = {second}" for first, second in item.first)
        more = ", ..." if item.copies > len(item.first) else ""
        click.echo(f"duplicates, {what}: {copies}{other}: {places}{more}")
    remedies = dict.fromkeys(item.remedy for item in report.duplicates or () if item.remedy)
    for remedy in remedies:
        # What a longer one says, too, is not said twice.
        if not any(other != remedy and other.startswith(remedy) for other in remedies):
            click.echo(f"  {remedy}")


def _show_speed(speed: SpeedReport, unit: str) -> None:
    click.echo()
    rows = [
        ("reading, decoding, preparing", f"{_rate(speed.reading)} {unit}"),
        ("an epoch of the pipeline", f"{_rate(speed.pipeline)} {unit}"),
        *(
            (f"  {name}", f"{took:.3g} ms a batch of {speed.batch_size}")
            for name, took in speed.augmentations
        ),
        (f"the model, on one batch ({speed.device})", f"{_rate(speed.model)} {unit}"),
    ]
    console.table(("speed", ""), rows, right=(1,))
    click.echo(
        f"the pipeline gives {_rate(speed.pipeline)} {unit}, the model takes {_rate(speed.model)}: "
        f"{_verdict(speed)}"
    )
    if speed.remedy:
        click.echo(f"  {speed.remedy}")


def _verdict(speed: SpeedReport) -> str:
    share = f"about {speed.data_share:.0%} of the time"
    if not speed.remedy:
        return "data will not hold it up"
    bottleneck = "the data is the bottleneck: " if speed.pipeline < speed.model else ""
    if speed.device == "cpu":
        return f"{bottleneck}on the same cores, {share} goes to the data"
    return f"{bottleneck}it will wait {share}"


def _rate(value: float) -> str:
    """Three digits; more would not be the same next time."""
    return f"{float(f'{value:.3g}'):,.0f}" if value >= 100 else f"{value:.3g}"


def show_prepared(found: Prepared) -> None:
    """Where the shards are, and how to use them."""
    sizes: Sequence[str] = [f"{size:,} {name}" for name, size in found.sizes.items()]
    click.echo(f"{found.folder}: {', '.join(sizes)}; order of train: {found.order}")
    # JSON quotes what YAML needs quoted.
    click.echo(f"use it with   dataset: {{name: prepared, path: {json.dumps(found.folder)}}}")
