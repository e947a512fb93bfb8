import json

import numpy as np
import pytest

from bigmodel_cli.contracts import DataSpec, Part, task_keys
from bigmodel_cli.data.division import split
from bigmodel_cli.data.statistics import describe
from bigmodel_cli.data.strata import strata
from bigmodel_cli.data.tables.csv_files import csv
from bigmodel_cli.data.tables.several_targets import Target
from bigmodel_cli.errors import DataError

ROWS = 24
TARGETS = {"kind": Target(weight=2.0), "mass (g)": Target(task="regression", loss="huber"), "legs": Target()}


@pytest.fixture
def table(write):
    """`table(**options)`: a source of 24 rows; the mass of one and the kind of another are missing."""

    def build(targets=TARGETS, **options):
        lines = ["length,kind,mass (g),legs"]
        for row in range(ROWS):
            kind, mass = "abc"[row % 3], str(1000 + row)
            lines.append(
                f"{row * 1.5},{'' if row == 3 else kind},{'' if row == 7 else mass},{2 + row % 2 * 2}"
            )
        return csv(0, path=str(write("t.csv", "\n".join(lines) + "\n")), target=targets, **options)

    return build


def test_one_array_holds_classes_and_values(table):
    source = table(drop_missing="target")
    assert source.spec.task == "multi_task"
    assert (source.spec.target.shape, source.spec.target.dtype) == ((3,), "float32")
    assert source.spec.target.names == ("kind", "mass (g)", "legs")
    assert [(one.key, one.task, one.weight, one.loss) for one in source.spec.target.tasks] == [
        ("kind", "classification", 2.0, "auto"),
        ("mass_g", "regression", 1.0, "huber"),
        ("legs", "classification", 1.0, "auto"),
    ]
    assert [part.target.names for part in source.spec.parts] == [("a", "b", "c"), ("mass (g)",), ("2", "4")]
    assert [part.target.shape for part in source.spec.parts] == [(), (1,), ()]
    assert source.spec.outputs == 6
    assert source.spec.input.names == ("length",)
    kept = [row for row in range(ROWS) if row not in (3, 7)]
    expected = [[row % 3, 1000 + row, row % 2] for row in kept]
    inputs, targets = source.arrays(Part.range("all", 0, len(kept)))
    assert targets.dtype == np.float32
    assert targets.tolist() == expected
    assert inputs[source.spec.input.columns[0].key].tolist() == [row * 1.5 for row in kept]
    assert any(
        note.startswith("3 targets: kind (classification), mass (g) (regression)") for note in source.notes
    )
    assert f"dropped 2 of {ROWS} rows: missing cells" in source.notes


def test_a_missing_target_is_told_with_its_column(table):
    with pytest.raises(
        DataError, match=r"`kind` is missing in 1 of 24 rows; to drop these rows: dataset.drop_miss"
    ):
        table()


def test_a_task_that_a_column_is_not_for(table):
    with pytest.raises(DataError, match="column `kind`: `a` is not a finite number"):
        table({"kind": Target(task="regression"), "legs": Target()})


def test_what_is_for_one_target(table):
    with pytest.raises(DataError, match=r"dataset\.task: is for one target"):
        table(task="classification")
    with pytest.raises(DataError, match=r"dataset\.label_separator: is for one target"):
        table(label_separator="|")


def test_a_declared_kind_decides_the_task(table):
    source = table(
        {"legs": Target(), "mass (g)": Target()}, columns={"legs": "numeric"}, drop_missing="target"
    )
    assert [one.task for one in source.spec.target.tasks] == ["regression", "regression"]


def test_keys_are_names_that_keras_takes():
    assert task_keys(["a b", "a-b", "größe", "体重", "x"]) == ("a_b", "a_b_2", "gr_e", "target_4", "x")


def test_statistics_of_each_and_equal_shares_of_the_first_classes(table):
    source = table(drop_missing="target")
    splits = split(source, splits={}, limit=None, seed=0, validation_fraction=0.25, test_fraction=0.25)
    assert splits["test"].describe == "0.25 of all, held out stratified by kind, seed 0"
    spec = describe(source, splits)
    targets = splits["train"].targets()
    kind, mass, legs = (one.target for one in spec.target.tasks)
    assert kind.counts == tuple(np.bincount(targets[:, 0].astype(int)).tolist())
    assert legs.counts == tuple(np.bincount(targets[:, 2].astype(int)).tolist())
    assert mass.mean == pytest.approx((targets[:, 1].mean(),))
    assert max(kind.counts) - min(kind.counts) <= 1
    assert DataSpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec


def test_strata_are_those_of_the_first_task_with_classes(table):
    source = table({"mass (g)": Target(), "legs": Target()}, drop_missing="target")
    found = strata(source.spec)
    assert (found.by, found.names) == ("legs", ("2", "4"))
    assert found.of(np.array([[1000, 1], [1001, 0]], np.float32)).tolist() == [1, 0]
    assert strata(source.spec.parts[0]) is None
