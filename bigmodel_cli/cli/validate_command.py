"""`bigmodel validate`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from bigmodel_cli.cli import options


@click.command("validate")
@click.argument("configs", nargs=-1, required=True, type=options.CONFIG, metavar="CONFIG...")
@click.option(
    "--build", "build_too", is_flag=True, help="Also build the model and pull one batch (needs TensorFlow)."
)
@options.as_json
def command(configs: tuple[Path, ...], build_too: bool, as_json: bool) -> None:
    """Find every mistake in configs, without TensorFlow."""
    from bigmodel_cli.errors import BigmodelError, ConfigError

    results = []
    for path in configs:
        mistakes: list[dict[str, object]] = []
        text = f"{path}: no mistakes"
        try:
            _check(path, build_too)
        except ConfigError as error:
            mistakes = [vars(mistake) for mistake in error.mistakes]
            text = str(error)
        except BigmodelError as error:
            mistakes = [{"file": str(path), "message": str(error)}]
            text = f"{path}: {error}"
        results.append({"config": str(path), "mistakes": mistakes})
        if not as_json:
            click.echo(text, err=bool(mistakes))
    if as_json:
        from bigmodel_cli.cli.console import print_json

        print_json(results)
    sys.exit(2 if any(result["mistakes"] for result in results) else 0)


def _check(path: Path, build_too: bool) -> None:
    from bigmodel_cli import validation

    loaded = validation.load(path)
    if build_too:
        from bigmodel_cli import engine

        engine.start()
        from bigmodel_cli.training.planning import prepare

        prepare(loaded.config)
