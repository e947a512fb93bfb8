"""Training in this process: configs as text, one call from there to a finished run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from bigmodel_cli import validation
from bigmodel_cli.config.schema import Config
from bigmodel_cli.rundir import Run

IRIS = """\
name: iris
dataset: iris
model: {name: mlp, hidden: [8]}
training: {epochs: 2, batch_size: 32, tensorboard: false}
"""


class Listener:
    """A reporter that remembers what it heard, and may act on a step."""

    def __init__(self, on_step: Callable[[int, int], None] = lambda epoch, step: None):
        self.notes: list[str] = []
        self.steps: list[tuple[int, int]] = []
        self._on_step = on_step

    def epoch_begins(self, epoch: int, epochs: int, steps: int, start_step: int) -> None:
        self._epoch = epoch

    def step_done(self, step: int, examples_per_second: float, metrics: Mapping[str, float]) -> None:
        self.steps.append((self._epoch, step))
        self._on_step(self._epoch, step)

    def validation_begins(self) -> None:
        pass

    def epoch_done(self, record: Any) -> None:
        pass

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture
def config(tmp_path: Path) -> Callable[..., Config]:
    """`config(text, "training.epochs=3")`: checked and complete."""

    def load(text: str = IRIS, *overrides: str) -> Config:
        path = tmp_path / "config.yaml"
        path.write_text(text, encoding="utf-8")
        return validation.load(path, overrides).config

    return load


@pytest.fixture
def train(config: Callable[..., Config], tmp_path: Path) -> Callable[..., Run]:
    """`train(text, "training.epochs=3", to="short")`: a run in tmp_path/short."""

    def run_config(text: str, *overrides: str, to: str, listener: Listener | None = None) -> Run:
        from bigmodel_cli.training import planning, starting, trainer

        plan = planning.prepare(config(text, *overrides))
        run = starting.start(plan, tmp_path / to)
        trainer.train(plan, run, listener or Listener())
        return run

    return run_config


@pytest.fixture(scope="module")
def trained_once(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Run]:
    """`trained_once(text)`: a run for the tests of a module, which do not change it."""

    def run_config(text: str) -> Run:
        from bigmodel_cli.training import planning, starting, trainer

        folder = tmp_path_factory.mktemp("once")
        (folder / "config.yaml").write_text(text, encoding="utf-8")
        plan = planning.prepare(validation.load(folder / "config.yaml").config)
        run = starting.start(plan, folder / "run")
        trainer.train(plan, run, Listener())
        return run

    return run_config


@pytest.fixture
def losses_of(config: Callable[..., Config]) -> Callable[..., tuple[list[float], Any]]:
    """`losses_of(text, "optimizer=lion")`: two epochs of 32 examples without a run: losses, and the model."""

    def fit(text: str, *overrides: str) -> tuple[list[float], Any]:
        import numpy as np

        from bigmodel_cli import assembly
        from bigmodel_cli.training.layer_rules import freeze
        from bigmodel_cli.training.objective import build_objective
        from bigmodel_cli.training.optimizer import build_optimizer

        complete = config(text, *overrides)
        data = assembly.load_data(complete)
        model = assembly.build_model(complete, data.spec)
        objective = build_objective(complete, data.spec)
        freeze(complete, model)
        # Tracing a graph would take most of the time.
        model.compile(build_optimizer(complete, model, 2), objective.loss, run_eagerly=True)
        inputs, targets = (array[:32] for array in data.splits["train"].arrays())
        if objective.encode:
            targets = np.asarray(objective.encode(targets))
        history = model.fit(inputs, targets, batch_size=16, epochs=2, verbose=0, shuffle=False)
        return history.history["loss"], model

    return fit


@pytest.fixture
def resume() -> Callable[..., Run]:
    """`resume(run, "training.epochs=6")`: the same run, gone on with."""

    def resume_run(run: Run, *overrides: str, listener: Listener | None = None) -> Run:
        from bigmodel_cli.training import planning, trainer

        plan = planning.prepare(validation.load_resumed(run.config, overrides).config, run)
        trainer.train(plan, run, listener or Listener(), resume=True)
        return run

    return resume_run
