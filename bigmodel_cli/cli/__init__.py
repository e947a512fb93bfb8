"""The command line: one file a command, each parsing, calling one function and printing."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import Any

import click

from bigmodel_cli import __version__
from bigmodel_cli.errors import BigmodelError

COMMANDS = (
    "init", "validate", "explain", "summary", "data", "list", "schema",
    "train", "cross-validate", "evaluate", "predict", "plot", "report", "runs", "compare", "doctor",
)  # fmt: skip
"""In the order of use; each is the module `<name>_command`, with _ for -, imported only when it is needed."""


class Commands(click.Group):
    """Loads a command's module when it is called or listed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of use, not of the alphabet."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """The command of a name, or None."""
        if name not in COMMANDS:
            return None
        command: click.Command = import_module(f"bigmodel_cli.cli.{name.replace('-', '_')}_command").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Say which command a wrong name was near to."""
        name = args[0] if args else ""
        if name and not name.startswith("-") and name not in COMMANDS:
            from difflib import get_close_matches

            near = get_close_matches(name, COMMANDS, n=1)
            hint = f"; did you mean `{near[0]}`?" if near else "; `bigmodel --help` lists them"
            raise click.UsageError(f"there is no command `{name}`{hint}")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; that nobody reads on (`bigmodel runs | head`) is no failure."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            # Python flushes once more when it exits.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return None


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, message="%(prog)s %(version)s")
def group() -> None:
    """Train, evaluate and use Keras models from one YAML file.

    \b
    bigmodel init digits_cnn -o my.yaml    a config to start from
    bigmodel train my.yaml                 train it
    bigmodel evaluate                      test metrics and pictures
    bigmodel predict photo.png             use it
    """


def main(arguments: list[str] | None = None) -> None:
    """Run a command line and exit: 0 done, 1 the work failed, 2 wrong usage, 130 interrupted."""
    try:
        group.main(arguments, prog_name="bigmodel", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except BigmodelError as error:
        click.echo(str(error), err=True)
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted", err=True)
        sys.exit(130)
