"""What environment.json tells of a run."""

from __future__ import annotations

import json
from collections.abc import Callable

from bigmodel_cli.rundir import Run

IRIS = """\
name: iris
dataset: iris
model: {name: mlp, hidden: [4]}
training: {epochs: 1, batch_size: 32, tensorboard: false}
"""


def test_choices_stand_with_their_reasons(train: Callable[..., Run]) -> None:
    run = train(IRIS, to="run")
    document = json.loads(run.environment.read_text())
    choices = document["choices"]
    assert set(choices) == {
        "backend", "devices", "precision", "batch_size", "steps_per_execution", "data_kept", "shuffle",
        "loss",
    }  # fmt: skip
    assert all(choice["reason"] for choice in choices.values())
    assert choices["precision"] == {"value": "float32", "reason": "auto: no convolutions or attention"}
    assert choices["loss"]["value"] == "sparse_categorical_crossentropy"
    assert {"tensorflow", "keras", "numpy"} <= set(document["packages"])
    assert (document["backend"], document["workers"]) == ("tensorflow", 1)
