"""Runs that are trained once for all tests of this folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bigmodel_cli import validation


def _train(folder: Path, text: str) -> Any:
    from bigmodel_cli import assembly
    from bigmodel_cli.cli.progress import TrainingProgress
    from bigmodel_cli.training import planning, starting, trainer

    (folder / "config.yaml").write_text(text, encoding="utf-8")
    plan = planning.prepare(validation.load(folder / "config.yaml").config)
    run = starting.start(plan, folder / "run")
    trainer.train(plan, run, TrainingProgress(quiet=True))
    return assembly.restore(run)


def _config(name: str, dataset: str, model: str, epochs: int) -> str:
    return (
        f"name: {name}\ndataset: {dataset}\nmodel: {model}\n"
        "optimizer: {name: adam, learning_rate: 0.02}\n"
        f"training: {{epochs: {epochs}, batch_size: 16, precision: float32, tensorboard: false}}\n"
    )


@pytest.fixture(scope="package")
def train(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    """Trains a run, `train(name, dataset, model, epochs)`, and restores it."""
    return lambda name, dataset, model, epochs=1: _train(
        tmp_path_factory.mktemp(name), _config(name, dataset, model, epochs)
    )


@pytest.fixture(scope="package")
def digits(train: Callable[..., Any]) -> Any:
    return train(
        "digits", "{name: digits, limit: 300}", "{name: cnn, filters: [4, 8], dense: [], padding: same}", 4
    )


@pytest.fixture(scope="package")
def iris(train: Callable[..., Any]) -> Any:
    return train("iris", "{name: iris}", "{name: mlp, hidden: [8]}", 10)


@pytest.fixture(scope="package")
def reviews(train: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A text, a number and a category; `good` in the text makes the class."""
    path = tmp_path_factory.mktemp("reviews") / "reviews.csv"
    lines = ["text,price,shop,label"]
    for row in range(80):
        word, label = ("good", "yes") if row % 2 else ("bad", "no")
        lines.append(f'"a {word} thing, really {row % 5}",{row % 7}.5,{"abc"[row % 3]},{label}')
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    dataset = f"{{name: csv, path: {path}, target: label, columns: {{text: text, shop: categorical}}}}"
    return train("reviews", dataset, "{name: mlp, hidden: [4]}", 12)


@pytest.fixture(scope="package")
def examples() -> Callable[[Any], tuple[Any, Any]]:
    """Inputs and targets of a run's test split."""

    def of(restored: Any) -> tuple[Any, Any]:
        from bigmodel_cli import assembly

        return assembly.load_data(restored.config, restored.spec).splits["test"].arrays()

    return of
