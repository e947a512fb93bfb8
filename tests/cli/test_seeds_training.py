"""`bigmodel train --seeds` as a user types it."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

IRIS = """\
name: iris
seed: 2
dataset: iris
model: {name: mlp, hidden: [8]}
training: {epochs: 1, batch_size: 16, tensorboard: false}
"""


@pytest.fixture
def iris(write: Callable[[str, str], Path]) -> Path:
    return write("iris.yaml", IRIS)


def test_interrupted_and_gone_on_with(
    bigmodel: Callable[..., Any], iris: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bigmodel_cli.cli.progress import TrainingProgress

    with monkeypatch.context() as patch:
        patch.setattr(TrainingProgress, "step_done", lambda self, *_: signal.raise_signal(signal.SIGINT))
        stopped = bigmodel("train", "iris.yaml", "--seeds", 2, "training.epochs=2", "-q")
    assert stopped.exit_code == 130
    first, second = stopped.stderr.splitlines()
    assert first.startswith("interrupted by SIGINT in epoch ")
    (folder,) = (tmp_path / "runs" / "iris").glob("seeds-*")
    place = folder.relative_to(tmp_path)
    assert second == (
        "go on with   bigmodel train iris.yaml training.epochs=2 --seeds 2 --resume auto --run-dir "
        + str(place)
    )
    done = bigmodel(*second.split()[4:], "--json")
    assert done.exit_code == 0, done.stderr
    assert "note: going on in epoch " in done.stderr
    document = json.loads(done.stdout)
    assert (document["folder"], document["seeds"], document["split_seed"]) == (str(place), [2, 3], 2)
    assert [item["label"] for item in document["runs"]] == ["seed-2", "seed-3"]
    assert document["scores"]["accuracy"]["count"] == 2


def test_a_second_interrupt_says_how_to_go_on() -> None:
    from bigmodel_cli.cli.series_progress import going_on
    from bigmodel_cli.errors import InterruptedTrainingError, TrainingFailedError

    with (
        pytest.raises(InterruptedTrainingError, match="what is finished is kept\ngo on with   again"),
        going_on("again"),
    ):
        raise KeyboardInterrupt
    with pytest.raises(TrainingFailedError, match="the disk is full\ngo on with   again"), going_on("again"):
        raise TrainingFailedError("the disk is full")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("iris.yaml", "--seeds", "0"), "--seeds 0: must be 2 to 1,000 seeds"),
        (("iris.yaml", "--seeds", "1"), "a single one is seed=N without --seeds"),
        (("iris.yaml", "--seeds", "many"), "--seeds many: must be a number, such as 5, or seeds"),
        (("iris.yaml", "--seeds", "3,3"), "--seeds 3,3: 3 is given twice"),
        (("iris.yaml", "--seeds", "1,-1"), "-1 is no seed; seeds are from 0 to 2147483647"),
        (("iris.yaml", "--seeds", "2", "seed=2147483647"), "2147483648 is no seed"),
        (("iris.yaml", "--seeds", "2", "--workers", "2"), "--seeds: trains in a single process"),
        (("--resume", "run", "--seeds", "2"), "--seeds with --resume run: a run has one seed"),
        (("--seeds", "2"), "name a CONFIG to train"),
    ],
)
def test_what_cannot_be_done(
    bigmodel: Callable[..., Any], iris: Path, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    result = bigmodel("train", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert list(tmp_path.iterdir()) == [iris]
