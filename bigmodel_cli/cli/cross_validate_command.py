"""`bigmodel cross-validate`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bigmodel_cli.cli import options
from bigmodel_cli.errors import UsageError

if TYPE_CHECKING:
    from bigmodel_cli.config.schema import Config
    from bigmodel_cli.repeats.series import Resume, Series

_FOLDS = 5
# Of the schema, which `--help` can do without importing.
SCHEMES = ("auto", "stratified", "plain", "grouped", "time")


@click.command("cross-validate")
@options.config
@options.overrides
@click.option("--folds", type=int, metavar="N", help=f"How many [{_FOLDS}].")
@click.option(
    "--scheme",
    type=click.Choice(SCHEMES),
    default="auto",
    help="How examples are divided [auto].",
)
@click.option(
    "--by", metavar="COLUMN", help="Of the groups, none of which lies in two folds; or of the time."
)
@click.option("--resume", is_flag=True, help="Go on with the config's newest, or with the one at --run-dir.")
@click.option("--run-dir", type=options.CONFIG, metavar="DIR", help="Where it goes [runs/NAME/cv-TIME].")
@click.option("--quiet", "-q", is_flag=True, help="Print the tables only.")
@options.as_json
def command(
    config: Path,
    overrides: tuple[str, ...],
    folds: int | None,
    scheme: str,
    by: str | None,
    resume: bool,
    run_dir: Path | None,
    quiet: bool,
    as_json: bool,
) -> None:
    """Train and evaluate a config on every fold of its training and validation examples.

    The test split stays untouched, and every fold is a run like any other. Schemes: stratified (the same
    share of every class in each fold; auto for classes), plain (at random), grouped (no group of the column
    in two folds), time (each fold comes, by the column, after all that is trained on).
    """
    if folds is not None and folds < 2:
        raise UsageError(f"--folds {folds}: must be at least 2")
    if (by is None) and scheme in ("grouped", "time"):
        raise UsageError(f"--scheme {scheme}: needs the column; add --by COLUMN")
    if by is not None and scheme in ("stratified", "plain"):
        raise UsageError(f"--by {by}: goes with --scheme grouped or time, not with {scheme}")
    from bigmodel_cli import cluster, validation
    from bigmodel_cli.cli import series_progress
    from bigmodel_cli.repeats import series

    complete = validation.load(config, overrides).config
    if job := cluster.find():
        raise UsageError(
            f"cross-validate: this process is one of a job of {job.processes} ({job.source}); folds train in "
            "a single process: start it outside of the job"
        )
    going_on: Resume = "must" if resume else complete.training.resume
    base = series.base_config(complete)
    wanted = {"folds": folds, "scheme": None if scheme == "auto" else scheme, "by": by}
    given = {key: value for key, value in wanted.items() if value is not None}
    found = series.find(series.CROSS_VALIDATION, base, given, run_dir, going_on)
    backend = series_progress.start_engine(base, quiet, as_json)
    from bigmodel_cli.repeats import running
    from bigmodel_cli.training import planning

    watcher, first = series_progress.SeriesProgress(quiet=quiet, stderr=as_json), None
    if found is None:
        settings = _settings(base, folds or _FOLDS, scheme, by)
        # Before anything is made.
        first = planning.prepare(
            series.members(series.CROSS_VALIDATION, base, settings)[0].config, None, backend
        )
        found = series.create(series.CROSS_VALIDATION, base, settings, run_dir)
    watcher.line(f"{base.name}  {_told(found)}\n  folder   {found.path}")
    again = ["bigmodel", "cross-validate", str(config), *overrides, "--resume", "--run-dir", str(found.path)]
    with series_progress.going_on(shlex.join(again)):
        results = running.run_series(found, backend, watcher, first)
    heading = f"{base.name}: {_told(found)}, held-out examples"
    series_progress.show(found, results, heading, as_json)


def _settings(base: Config, folds: int, scheme: Any, by: str | None) -> dict[str, Any]:
    from bigmodel_cli.repeats import running, series

    if scheme == "auto":
        return series.fold_settings(folds, *running.choose_scheme(base, by))
    return series.fold_settings(folds, scheme, by, "asked for")


def _told(found: Series) -> str:
    """`5 folds, stratified (auto: classification)`."""
    settings = found.settings
    by = f" by {settings['by']}" if settings["by"] else ""
    reason = "" if settings["reason"] == "asked for" else f" ({settings['reason']})"
    return f"{settings['folds']} folds, {settings['scheme']}{by}{reason}"
