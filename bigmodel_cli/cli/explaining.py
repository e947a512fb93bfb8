"""`--explain` and what goes with it, of `bigmodel predict`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from bigmodel_cli.errors import UsageError
from bigmodel_cli.explanation.methods import LIMIT, METHODS, Asked

if TYPE_CHECKING:
    from bigmodel_cli.explanation.explaining import Explained

F = TypeVar("F", bound=Callable[..., Any])


def options(command: F) -> F:
    """Add the options to a command."""
    for option in (
        click.option(
            "--explain-limit",
            type=click.IntRange(1),
            metavar="N",
            help=f"Inputs that get a picture of their own [{LIMIT}].",
        ),
        click.option(
            "--explain-class",
            metavar="NAME",
            help="Class (or target) to explain [the predicted class; the first target].",
        ),
        click.option(
            "--explain",
            type=click.Choice(list(METHODS)),
            metavar="METHOD",
            help=f"Pictures and numbers of what speaks for a prediction: {', '.join(METHODS)}.",
        ),
    ):
        command = option(command)
    return command


def asked(given: dict[str, Any], run: Path, output: Path | None) -> Asked | None:
    """What is to be explained; None for nothing.

    Args:
        given: the values of the options, and `layer`.
        run: the run directory.
        output: the file of the predictions; None where they go into the run, or to standard output.

    Raises:
        UsageError: an option that says nothing without another.
    """
    method = given["explain"]
    if method is None:
        for name in ("explain_class", "explain_limit"):
            if given[name] is not None:
                raise UsageError(f"--{name.replace('_', '-')}: is for --explain METHOD; give both")
        return None
    if given["explain_limit"] is not None and METHODS[method].rows:
        raise UsageError(
            f"--explain-limit: {method} makes one picture of all inputs; leave it out, or give --limit"
        )
    return Asked(
        method,
        run / "predictions" / "explanations" / method
        if output is None
        else output.with_name(f"{output.name}.explanations"),
        given["explain_class"],
        None if given["embeddings"] else given["layer"],
        given["explain_limit"] or LIMIT,
    )


def tell(found: Explained | None, to_stderr: bool) -> None:
    """Say what was written.

    Args:
        found: None for nothing.
        to_stderr: whether standard output holds the predictions.
    """
    if found is None:
        return
    count = len(found.pictures)
    where = found.pictures[0] if count == 1 else found.folder
    click.echo(f"{'explanation' if count == 1 else f'{count} explanations'} in {where}", err=to_stderr)
    for line in found.lines:
        click.echo(f"  {line}", err=to_stderr)
