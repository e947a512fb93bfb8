"""Trained runs, to be restored."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from bigmodel_cli import validation
from bigmodel_cli.rundir import Run

CNN = """\
name: digits
dataset: {name: digits, limit: 64}
model: {name: cnn, filters: [4], dense: [8], dropout: 0.2, batch_norm: true}
training: {epochs: 1, batch_size: 32, tensorboard: false}
"""


@pytest.fixture(scope="session")
def train_into() -> Callable[[Path, str], Run]:
    """`train_into(folder, text)`: a run of that config."""

    def train(folder: Path, text: str) -> Run:
        from bigmodel_cli.cli.progress import TrainingProgress
        from bigmodel_cli.training import planning, starting, trainer

        (folder / "config.yaml").write_text(text, encoding="utf-8")
        plan = planning.prepare(validation.load(folder / "config.yaml").config)
        run = starting.start(plan, folder / "run")
        trainer.train(plan, run, TrainingProgress(quiet=True))
        return run

    return train


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, train_into: Callable[[Path, str], Run]) -> Run:
    """64 digits and a CNN; not to be changed."""
    return train_into(tmp_path_factory.mktemp("cnn"), CNN)


@pytest.fixture
def copied(trained: Run, tmp_path: Path) -> Run:
    """The same, elsewhere, to be changed."""
    shutil.copytree(trained.path, tmp_path / "moved")
    return Run(tmp_path / "moved")
