"""The description of the data, and paths in configs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bigmodel_cli.columns import Column
from bigmodel_cli.contracts import DataSpec, InputSpec, Part, TargetSpec, expand_path

SPEC = DataSpec(
    "digits", "scikit-learn", "classification",
    InputSpec((8, 8, 1), "uint8", "image"), TargetSpec((), "int32", ("0", "1"), counts=(3, 4)),
    {"train": 5, "test": 2},
)  # fmt: skip


def test_a_spec_survives_json():
    assert DataSpec.from_json(json.loads(json.dumps(SPEC.to_json()))) == SPEC


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"input": {}},
        {"input": 3, "target": {}},
        {**SPEC.to_json(), "foo": 1},
        {**SPEC.to_json(), "input": {"a": 1}},
    ],
)
def test_a_document_that_is_no_spec(document):
    with pytest.raises((KeyError, TypeError, AttributeError)):
        DataSpec.from_json(document)


def test_outputs_and_size():
    assert SPEC.outputs == 2
    part = Part.range("train", 3, 10)
    assert part.size == 7
    assert part.indices.tolist() == [3, 4, 5, 6, 7, 8, 9]


def test_the_columns_of_a_table_survive_json():
    columns = (
        Column("size (m²/ft²)", "numeric", low=1.5, high=None, indicator=True),
        Column("note", "text", vocabulary=("a", "b"), length=3),
    )
    spec = DataSpec(
        "t", "CSV", "regression", InputSpec((2,), "", "table", ("size (m²/ft²)", "note"), columns=columns),
        TargetSpec((1,), "float32", ("y",), mean=(0.1,), scaling="log", shift=(1.0,), factor=(2.0,)),
    )  # fmt: skip
    assert DataSpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec
    # Keras takes no slash in the name of an input.
    assert columns[0].key == "size (m²∕ft²)"


class TestExpandPath:
    @pytest.mark.parametrize("text", ["$MY_DATA/mnist", "${MY_DATA}/mnist"])
    def test_environment_variables(self, text, monkeypatch):
        monkeypatch.setenv("MY_DATA", "/data")
        assert expand_path(text) == "/data/mnist"

    def test_home(self):
        assert expand_path("~/data") == str(Path.home() / "data")

    @pytest.mark.parametrize("text", ["gs://bucket/data", "relative/x", "/a/b c"])
    def test_others_stay(self, text):
        assert expand_path(text) == text

    @pytest.mark.parametrize("name", ["$MY_DATA", "${MY_DATA}"])
    def test_a_variable_that_is_not_set(self, name, monkeypatch):
        monkeypatch.delenv("MY_DATA", raising=False)
        with pytest.raises(ValueError, match=r"the environment variable \$\{?MY_DATA\}? is not set"):
            expand_path(f"{name}/x")
