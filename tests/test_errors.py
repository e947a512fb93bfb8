"""The one error family."""

from __future__ import annotations

import pytest

from bigmodel_cli import errors
from bigmodel_cli.errors import ConfigError, LayerError, Mistake


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("UsageError", 2),
        ("DataError", 2),
        ("ModelError", 2),
        ("ConfigError", 2),
        ("TrainingFailedError", 1),
        ("InterruptedTrainingError", 130),
    ],
)
def test_exit_codes(name, code):
    kind = getattr(errors, name)
    assert issubclass(kind, errors.BigmodelError)
    assert kind.exit_code == code


@pytest.mark.parametrize(
    ("mistake", "text"),
    [
        (Mistake("c.yaml", 3, 5, "model.name", "is wrong"), "c.yaml:3:5: model.name: is wrong"),
        (Mistake("c.yaml", 3, 5, "", "is wrong"), "c.yaml:3:5: is wrong"),
        (Mistake("command line", 0, 0, "seed", "is wrong"), "command line: seed: is wrong"),
        (Mistake("c.yaml", 0, 0, "", "is empty"), "c.yaml: is empty"),
        (
            Mistake("c.yaml", 1, 1, "a\nb", "got `\x1b[31m\u2028`"),
            "c.yaml:1:1: a\\nb: got `\\x1b[31m\\u2028`",
        ),
        (Mistake("caf\u00e9.yaml", 0, 0, "", "is empty"), "caf\u00e9.yaml: is empty"),
    ],
)
def test_a_mistake_is_one_line(mistake, text):
    assert str(mistake) == text


def test_mistakes_are_in_the_order_of_the_file_and_each_once():
    late, early = Mistake("c", 10, 1, "b", "x"), Mistake("c", 9, 1, "a", "x")
    error = ConfigError("c", [late, early, late])
    assert error.mistakes == (early, late)
    assert str(error) == "c:9:1: a: x\nc:10:1: b: x\n2 mistakes in c"
    assert str(ConfigError("c", [late])).endswith("\n1 mistake in c")


def test_details_stand_between_the_mistakes_and_their_count():
    mistake = Mistake("c.yaml", 1, 2, "model", "wrong")
    assert str(ConfigError("c.yaml", [mistake], "more\nlines")).splitlines() == [
        "c.yaml:1:2: model: wrong",
        "more",
        "lines",
        "1 mistake in c.yaml",
    ]


def test_a_layer_error_reads_without_lines():
    error = LayerError(("model", "layers", 1), ["of ", ("model", "layers", 0), ": no"])
    assert str(error) == "of model.layers.0: no"
