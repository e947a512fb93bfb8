"""The examples that are worth a look."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bigmodel_cli import pictures, validation
from bigmodel_cli.evaluation_pictures import doubtful, draw, worst
from bigmodel_cli.metrics import classification_metrics

SHARES = np.array([[0.9, 0.1, 0], [0.5, 0.4, 0.1], [0.2, 0.2, 0.6], [np.nan, 0, 0], [0.34, 0.33, 0.33]])


def test_the_worst_have_the_least_probable_true_class() -> None:
    targets = np.array([1, 0, 2, 0, 1])
    assert worst(targets, SHARES, 3).tolist() == [0, 4, 1]
    assert worst(targets, SHARES, 25).tolist() == [0, 4, 1, 2]


def test_the_most_doubtful_have_the_smallest_margin() -> None:
    assert doubtful(SHARES, 2).tolist() == [4, 1]
    assert doubtful(SHARES, 25).tolist() == [4, 1, 2, 0]


def test_the_images_are_those_of_the_captions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from bigmodel_cli import assembly

    (tmp_path / "c.yaml").write_text("dataset: {name: digits, limit: 60}\nmodel: cnn\noptimizer: adam\n")
    data = assembly.load_data(validation.load(tmp_path / "c.yaml").config)
    split, names = data.splits["train"], data.spec.target.names
    images, targets = split.arrays()
    outputs = np.random.default_rng(0).dirichlet(np.ones(10), len(targets))
    report = classification_metrics(
        targets, outputs, names, train_counts=data.spec.target.counts, seed=0, resamples=2
    )
    seen: dict[str, Any] = {}

    def record(*arguments: Any, **rest: Any) -> Path:
        path: Path = arguments[4]
        seen[path.name] = (*arguments[1:4], rest)
        return path

    monkeypatch.setattr(pictures, "image_grid", record)
    paths = draw(
        data.spec,
        split,
        targets,
        outputs,
        report,
        tmp_path,
        title="finding",
        predict=np.asarray,
        theme="dark",
    )
    assert [path.name for path in paths[-3:]] == ["predictions.png", "worst.png", "doubtful.png"]
    assert all(path.is_file() for path in paths[:-3])
    own = outputs[np.arange(len(targets)), targets]
    for name, chosen in (("worst.png", worst(targets, outputs, 25)), ("doubtful.png", doubtful(outputs, 25))):
        shown, probabilities, labels, rest = seen[name]
        np.testing.assert_array_equal(shown, images[chosen])
        np.testing.assert_array_equal(probabilities, outputs[chosen])
        np.testing.assert_array_equal(labels, targets[chosen])
        assert rest["theme"] == "dark"
    first = worst(targets, outputs, 1)[0]
    assert seen["worst.png"][3]["details"][0] == f"true: {names[targets[first]]} ({own[first]:.1%})"
    second = np.sort(outputs[doubtful(outputs, 1)[0]])[-2]
    assert seen["doubtful.png"][3]["details"][0].endswith(f"({second:.1%})")
