"""`bigmodel train --seeds`."""

from __future__ import annotations

import shlex
from pathlib import Path

from bigmodel_cli.config.schema import Config
from bigmodel_cli.errors import UsageError

_LARGEST = 2**31 - 1


def train(
    config: Path, overrides: tuple[str, ...], seeds: str, run_dir: Path | None, quiet: bool, as_json: bool
) -> None:
    """Train a config with several seeds, one after the other, and show what they say together.

    Args:
        config: the file.
        overrides: of its keys.
        seeds: how many, from the config's on, or a list such as `0,3,7`.
        run_dir: where the runs go; None for a place of our own.
        quiet: print the tables only.
        as_json: print the result as one JSON document.

    Raises:
        UsageError: the seeds cannot be used, or the series that is to go on was begun otherwise.
        TrainingFailedError: some runs diverged.
    """
    from bigmodel_cli import cluster, validation
    from bigmodel_cli.cli import series_progress
    from bigmodel_cli.repeats import series

    complete = validation.load(config, overrides).config
    chosen = parse_seeds(seeds, complete)
    if job := cluster.find():
        raise UsageError(
            f"--seeds: this process is one of a job of {job.processes} ({job.source}); seeds train in a "
            "single process: start it outside of the job"
        )
    # The list says which seeds; what it is made from must not differ by the config's own.
    base = series.base_config(complete).model_copy(update={"seed": chosen[0]})
    settings = series.seed_settings(chosen, base)
    found = series.find(series.SEEDS, base, settings, run_dir, complete.training.resume)
    backend = series_progress.start_engine(base, quiet, as_json)
    from bigmodel_cli.repeats import running
    from bigmodel_cli.training import planning

    watcher, first = series_progress.SeriesProgress(quiet=quiet, stderr=as_json), None
    if found is None:
        first = planning.prepare(series.members(series.SEEDS, base, settings)[0].config, None, backend)
        found = series.create(series.SEEDS, base, settings, run_dir)
    told = f"{len(chosen)} seeds, splits of seed {settings['split_seed']}"
    watcher.line(f"{base.name}  {told}\n  folder   {found.path}")
    again = ["bigmodel", "train", str(config), *overrides, "--seeds", seeds]
    again += ["--resume", "auto", "--run-dir", str(found.path)]
    with series_progress.going_on(shlex.join(item for item in again if item != "training.resume=auto")):
        results = running.run_series(found, backend, watcher, first)
    heading = f"{base.name}: {told}, validation metrics of the best epochs"
    series_progress.show(found, results, heading, as_json)


def parse_seeds(text: str, config: Config) -> tuple[int, ...]:
    """The seeds that `--seeds` means.

    Args:
        text: a number, how many, or several with commas between.
        config: whose seed is the first of so many.

    Raises:
        UsageError: fewer than two, the same one twice, or one that no config may have.
    """
    try:
        numbers = [int(item) for item in text.split(",")]
    except ValueError:
        raise UsageError(f"--seeds {text}: must be a number, such as 5, or seeds, such as 0,3,7") from None
    if "," not in text:
        if not 2 <= numbers[0] <= 1000:
            raise UsageError(
                f"--seeds {text}: must be 2 to 1,000 seeds; a single one is seed=N without --seeds"
            )
        numbers = [config.seed + number for number in range(numbers[0])]
    twice = sorted({number for number in numbers if numbers.count(number) > 1})
    if twice:
        raise UsageError(f"--seeds {text}: {twice[0]} is given twice; name each seed once")
    wrong = [number for number in numbers if not 0 <= number <= _LARGEST]
    if wrong:
        raise UsageError(f"--seeds {text}: {wrong[0]} is no seed; seeds are from 0 to {_LARGEST}")
    return tuple(numbers)
