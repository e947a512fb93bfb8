"""`bigmodel predict` of a language model, which goes on with prompts."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from bigmodel_cli.cli import console
from bigmodel_cli.errors import UsageError

if TYPE_CHECKING:
    from bigmodel_cli.continuation import Continuation, Sampling
    from bigmodel_cli.rundir import Run

F = TypeVar("F", bound=Callable[..., Any])

NAMES = ("max_tokens", "temperature", "seed")
"""The options that are for language models alone."""

_SHARED = ("top_k", *NAMES)
_SUFFIXES = (".csv", ".jsonl")


def options(command: F) -> F:
    """Add the options to a command."""
    for option in (
        click.option(
            "--seed", type=click.IntRange(0), metavar="N", help="Of what a language model draws [0]."
        ),
        click.option(
            "--temperature",
            type=click.FloatRange(0),
            metavar="T",
            help="Of what a language model draws; 0 takes the likeliest token [1].",
        ),
        click.option(
            "--max-tokens",
            type=click.IntRange(1),
            metavar="N",
            help="That a language model writes after each INPUT, a prompt [200].",
        ),
    ):
        command = option(command)
    return command


def is_for(run: Run, asked: dict[str, Any]) -> bool:
    """Whether a run is a language model.

    Raises:
        UsageError: it is none, and an option for one is given.
    """
    task = run.read_data().task
    if task == "language_model":
        return True
    if task == "masked_language_model":
        raise UsageError(
            f"{run}: has learned to find hidden tokens, and predicts nothing; begin another training with "
            f"it: `initialize: {{weights: {run}}}`"
        )
    for name in NAMES:
        if asked[name] is not None:
            raise UsageError(
                f"--{name.replace('_', '-')}: is for language models, and {run} is none; leave it out"
            )
    return False


def command(run: Run, prompts: list[str], asked: dict[str, Any], output: str | None, as_json: bool) -> None:
    """Go on with prompts, and print or write what comes.

    Args:
        run: a language model.
        prompts: `-` for standard input.
        asked: values of the options of `bigmodel predict`.
        output: a .csv or .jsonl file, or `-`.
        as_json: print one JSON document.

    Raises:
        UsageError: no prompt, an option that is not for language models, or a file of another kind.
    """
    for name, value in asked.items():
        if name not in _SHARED and value:
            raise UsageError(
                f"--{name.replace('_', '-')}: {run} is a language model, which goes on with prompts; leave "
                "it out"
            )
    if not prompts:
        raise UsageError(f"{run} is a language model: give it a prompt, such as `bigmodel predict 'The '`")
    path = None if output in (None, "-") else Path(str(output))
    if path is not None and path.suffix not in _SUFFIXES:
        raise UsageError(f"--output {path}: must end in {' or '.join(_SUFFIXES)} for a language model")
    texts = [sys.stdin.read() if prompt == "-" else prompt for prompt in prompts]

    from bigmodel_cli import engine

    engine.start()
    from bigmodel_cli import assembly
    from bigmodel_cli.continuation import continued

    found = continued(assembly.restore(run), texts, _sampling(asked))
    if path is not None:
        _write(path, found)
    if as_json:
        console.print_json({"run": str(run), "continuations": [item.to_json() for item in found]})
    elif path is None:
        _show(found)
    else:
        click.echo(f"{len(found):,} continuation{'s' if len(found) > 1 else ''} in {path}")


def _sampling(asked: dict[str, Any]) -> Sampling:
    from bigmodel_cli.continuation import Sampling

    return Sampling(**{name: asked[name] for name in _SHARED if asked[name] is not None})


def _show(found: Sequence[Continuation]) -> None:
    for number, item in enumerate(found):
        if number:
            click.echo("\n---\n")
        click.echo(click.style(item.prompt, bold=True) + item.continuation + (" [END]" if item.ended else ""))


def _write(path: Path, found: Sequence[Continuation]) -> None:
    rows = [item.to_json() for item in found]
    try:
        with path.open("w", encoding="utf-8", newline="") as file:
            if path.suffix == ".jsonl":
                file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
            else:
                writer = csv.DictWriter(file, rows[0])
                writer.writeheader()
                writer.writerows(rows)
    except OSError as error:
        raise UsageError(f"--output {path}: cannot be written: {error.strerror}") from error
