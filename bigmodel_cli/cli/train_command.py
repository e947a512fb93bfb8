"""`bigmodel train`."""

from __future__ import annotations

from pathlib import Path

import click

from bigmodel_cli.cli import options
from bigmodel_cli.errors import UsageError


@click.command("train")
@click.argument("config", type=options.CONFIG, required=False)
@options.overrides
@click.option("--resume", type=options.CONFIG, metavar="RUN", help="Go on with an interrupted run.")
@click.option("--run-dir", type=options.CONFIG, metavar="DIR", help="Where the run goes [runs/NAME/TIME].")
@click.option("--quiet", "-q", is_flag=True, help="Print the last block only.")
@options.as_json
def command(
    config: Path | None,
    overrides: tuple[str, ...],
    resume: Path | None,
    run_dir: Path | None,
    quiet: bool,
    as_json: bool,
) -> None:
    """Train a config's model on whatever accelerator is there.

    KEY=VALUE overrides any key of the config: optimizer.learning_rate=3e-4 model.filters='[16,32]'.
    """
    if resume is not None and config is not None and "=" in str(config):
        config, overrides = None, (str(config), *overrides)
    if (config is None) == (resume is None):
        raise UsageError(
            "name a CONFIG to train, or a run with --resume RUN; `bigmodel init` writes a config"
        )
    if resume is not None and run_dir is not None:
        raise UsageError("--run-dir goes with a CONFIG; --resume goes on in the run's own directory")
    from bigmodel_cli import engine, rundir, validation
    from bigmodel_cli.cli import console
    from bigmodel_cli.cli.progress import TrainingProgress

    if resume is not None:
        run = rundir.find(resume)
        loaded = validation.load_resumed(run.config, overrides)
    else:
        assert config is not None
        loaded = validation.load(config, overrides)
        rundir.check_free(run_dir)
    progress = TrainingProgress(quiet=quiet, stderr=as_json)
    with progress.starting("starting TensorFlow"):
        engine.start()
    with progress.starting("preparing data and model"):
        from bigmodel_cli.training import planning, trainer

        plan = planning.prepare(loaded.config)
    if resume is None:
        run = trainer.start(plan, run_dir)
    with progress.logging(run.log):
        progress.show_plan(plan, run)
        outcome = trainer.train(plan, run, progress, resume=resume is not None)
        progress.show_outcome(outcome, run)
    if as_json:
        console.print_json({"run": str(run), **run.read_summary()})
