"""`bigmodel train`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bigmodel_cli.cli import options
from bigmodel_cli.cluster import Cluster
from bigmodel_cli.errors import UsageError
from bigmodel_cli.rundir import Run

if TYPE_CHECKING:
    from bigmodel_cli.cli.progress import TrainingProgress
    from bigmodel_cli.config.schema import Config


@click.command("train")
@click.argument("config", type=options.CONFIG, required=False)
@options.overrides
@click.option(
    "--resume",
    type=options.CONFIG,
    metavar="RUN",
    help="Go on with this run; with a CONFIG, `auto`: with its unfinished run where there is one.",
)
@click.option("--run-dir", type=options.CONFIG, metavar="DIR", help="Where the run goes [runs/NAME/TIME].")
@click.option("--epochs", type=click.IntRange(min=1), help="Short for training.epochs=N.")
@click.option("--seeds", metavar="N|LIST", help="Train with N seeds, or with those of a list such as 0,3,7.")
@click.option("--workers", type=click.IntRange(min=1), help="Processes on this machine that share the work.")
@click.option(
    "--workers-timeout",
    type=click.FloatRange(min=1),
    metavar="SECONDS",
    help="How long the processes of a job wait for each other [300].",
)
@click.option("--quiet", "-q", is_flag=True, help="Print the last block only.")
@options.as_json
def command(
    config: Path | None,
    overrides: tuple[str, ...],
    resume: Path | None,
    run_dir: Path | None,
    epochs: int | None,
    seeds: str | None,
    workers: int | None,
    workers_timeout: float | None,
    quiet: bool,
    as_json: bool,
) -> None:
    """Train a config's model on whatever accelerator is there.

    KEY=VALUE overrides any key of the config: optimizer.learning_rate=3e-4 model.filters='[16,32]'.
    """
    if epochs is not None:
        overrides = (*overrides, f"training.epochs={epochs}")
    if str(resume) == "auto":
        resume, overrides = None, (*overrides, "training.resume=auto")
    if resume is not None and config is not None and "=" in str(config):
        config, overrides = None, (str(config), *overrides)
    if (config is None) == (resume is None):
        raise UsageError(
            "name a CONFIG to train, or a run with --resume RUN; `bigmodel init` writes a config"
        )
    if resume is not None and run_dir is not None:
        raise UsageError("--run-dir goes with a CONFIG; --resume goes on in the run's own directory")
    if seeds is not None:
        _train_seeds(config, overrides, seeds, resume, run_dir, workers, quiet, as_json)
        return
    from bigmodel_cli import cluster, engine, rundir, validation
    from bigmodel_cli.cli.progress import TrainingProgress
    from bigmodel_cli.training import resuming

    run: Run | None = None
    if resume is not None:
        run = rundir.find(resume)
        complete = validation.load_resumed(run.config, overrides).config
    else:
        assert config is not None
        complete = validation.load(config, overrides).config
        if complete.training.resume == "auto":
            run, complete = resuming.unfinished(complete, run_dir)
        else:
            rundir.check_free(run_dir)
    job, timeout = cluster.find(), workers_timeout or engine.START_TIMEOUT
    if workers is not None and workers > 1:
        arguments = ["--resume", str(run)] if resume is not None else [str(config)]
        arguments += [*overrides, "--workers-timeout", str(timeout)]
        arguments += ["--run-dir", str(run_dir)] if run_dir is not None else []
        arguments += ["--quiet"] * quiet + ["--json"] * as_json
        _run_workers(complete, job, arguments, workers, timeout)
    with engine.leaving(job):
        _train(complete, run, run_dir, job, timeout, TrainingProgress(quiet=quiet, stderr=as_json), as_json)


def _train_seeds(
    config: Path | None,
    overrides: tuple[str, ...],
    seeds: str,
    resume: Path | None,
    run_dir: Path | None,
    workers: int | None,
    quiet: bool,
    as_json: bool,
) -> None:
    """Train several times, in this process."""
    from bigmodel_cli.cli import seeds_training

    if config is None:
        raise UsageError(
            f"--seeds with --resume {resume}: a run has one seed; leave --seeds out, or go on with all of "
            "them by `bigmodel train CONFIG --seeds ... --resume auto`"
        )
    if workers is not None and workers > 1:
        raise UsageError("--seeds: trains in a single process; leave --workers out")
    seeds_training.train(config, overrides, seeds, run_dir, quiet, as_json)


def _train(
    config: Config,
    run: Run | None,
    run_dir: Path | None,
    job: Cluster | None,
    timeout: float,
    progress: TrainingProgress,
    as_json: bool,
) -> None:
    """Train in this process, which may be one of a job's."""
    from bigmodel_cli import engine
    from bigmodel_cli.cli import console

    settings, resumed = config.training, run is not None
    backend = engine.choose_backend(settings.backend, settings.devices, job)
    name = {"tensorflow": "TensorFlow", "jax": "JAX"}[backend.value]
    with progress.starting(f"starting {name}"):
        engine.start(backend.value, job, timeout=timeout, deterministic=settings.deterministic)
    with progress.starting("preparing data and model"), engine.gloo_silenced(job):
        from bigmodel_cli.training import planning, starting, trainer
        from bigmodel_cli.training.reporter import Silent

        plan = planning.prepare(config, run, backend)
    if run is None:
        run = starting.start(plan, run_dir)
    if job is not None and job.rank:
        trainer.train(plan, run, Silent(), resume=resumed)
        return
    with progress.logging(run.log):
        progress.show_plan(plan, run)
        outcome = trainer.train(plan, run, progress, resume=resumed)
        progress.show_outcome(outcome, run)
    if as_json:
        console.print_json({"run": str(run), **run.read_summary()})


def _run_workers(
    config: Config, job: Cluster | None, arguments: list[str], count: int, timeout: float
) -> None:
    """Train in processes of their own, and exit as their chief does."""
    from bigmodel_cli import engine, workers

    if job is not None:
        raise UsageError(
            f"--workers {count}: this process already is one of a job of {job.processes} ({job.source}); "
            "leave --workers out"
        )
    settings = config.training
    local = Cluster("127.0.0.1:0", count, 0, f"--workers {count}")
    engine.choose_backend(settings.backend, settings.devices, local)
    code = workers.run(
        workers.command_line(["train", *arguments]), count, timeout, gpus=settings.devices != "cpu"
    )
    sys.exit(code)
