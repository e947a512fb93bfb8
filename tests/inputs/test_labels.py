"""Labels that come along with new inputs: found, matched with what the run knows, or named as unknown."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bigmodel_cli.columns import Column
from bigmodel_cli.contracts import DataSpec, InputSpec, TargetSpec
from bigmodel_cli.errors import DataError, UsageError
from bigmodel_cli.inputs import Inputs
from bigmodel_cli.inputs.blocks import Block, joined, recut
from bigmodel_cli.inputs.labels import Labels

TABLE = InputSpec((2,), "", "table", ("a", "b"), columns=(Column("a", "numeric"), Column("b", "categorical")))
TEXT = InputSpec((1,), "", "table", ("text",), columns=(Column("text", "text"),))
VECTOR = InputSpec((2,), "float32", "tabular", ("a", "b"))
GREY = InputSpec((4, 6, 1), "uint8", "image")
PETS = TargetSpec((), "int32", ("cat", "dog"))

Write = Callable[[str, str], Path]


def spec(
    inputs: InputSpec, target: TargetSpec = PETS, task: Any = "classification", name: str = "own"
) -> DataSpec:
    return DataSpec(name, "", task, inputs, target)


def numbers(count: int) -> TargetSpec:
    return TargetSpec((count,), "float32", tuple("uvw"[:count]))


def read(
    known: DataSpec,
    *paths: Path | str,
    asked: tuple[str, ...] = (),
    by: tuple[str, ...] = (),
    standard_input: str = "",
    **parameters: Any,
) -> Block:
    labels = Labels.of(known, parameters, "go away", asked, by)
    found = Inputs(
        [str(path) for path in paths], known.input, io.StringIO(standard_input), parameters=parameters,
        note=print, labels=labels,
    )  # fmt: skip
    return joined([*found.blocks()])


class TestTables:
    def test_the_column_of_training(self, write: Write) -> None:
        path = write("t.csv", "pet,b,a\ndog,x,1\ncat,y,2\n")
        block = read(spec(TABLE, name="csv"), path, target="pet")
        assert block.targets is not None
        assert block.targets.tolist() == [1, 0]
        assert block.targets.dtype == np.dtype(np.int32)
        assert list(block.unlabelled) == ["", ""]
        assert block.values["a"].tolist() == [1, 2]

    def test_what_is_not_known_costs_nothing_but_the_label(self, write: Write) -> None:
        path = write("t.csv", "a,b,pet\n1,x,dog\n2,x,\n3,x,cow\nlong,x,cat\n5,x,cat\n6,x,1\n")
        block = read(spec(TABLE, name="csv"), path, target="pet")
        assert list(block.unlabelled) == [
            "", f"{path}:3: has no label", f"{path}:4: the run does not know the label `cow`", "", "",
            f"{path}:7: the run does not know the label `1`",
        ]  # fmt: skip
        assert [bool(error) for error in block.errors] == [False, False, False, True, False, False]
        assert block.values["a"].tolist() == [1, 2, 3, 5, 6]
        assert block.targets is not None
        assert block.targets.tolist() == [1, 0, 0, 0, 0, 0]

    def test_no_such_column(self, write: Write) -> None:
        path = write("t.csv", "a,b,pets\n1,x,dog\n")
        with pytest.raises(
            DataError,
            match=r"t\.csv: there is no column `pet` with the labels; did you mean `pets`\?; go away",
        ):
            read(spec(TABLE), path, target="pet")

    def test_numbers_as_classes(self, write: Write) -> None:
        known = spec(TABLE, TargetSpec((), "int32", ("1", "2.5", "10")), name="csv")
        block = read(known, write("t.csv", "a,b,y\n1,x,10.0\n1,x,2.50\n1,x,01\n1,x,0\n"), target="y")
        assert block.targets is not None
        assert block.targets[:3].tolist() == [2, 1, 0]
        assert block.unlabelled[3].endswith("does not know the label `0`")

    def test_json_lines_and_parquet(self, tmp_path: Path) -> None:
        import pyarrow as pa
        from pyarrow import parquet

        rows: list[dict[str, Any]] = [{"a": 1, "b": "x", "pet": "dog"}, {"a": 2, "b": "y"}]
        (tmp_path / "t.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
        parquet.write_table(pa.Table.from_pylist(rows), tmp_path / "t.parquet")
        for path in (tmp_path / "t.jsonl", tmp_path / "t.parquet"):
            block = read(spec(TABLE), path, target="pet")
            assert list(block.errors) == ["", ""]
            assert list(block.unlabelled) == ["", f"{path}:2: has no label"]

    def test_vectors_by_the_names_of_their_features(self, write: Write) -> None:
        path = write("t.csv", "b;target;a\n1;dog;2\n;0;3\n5;1;6\n")
        block = read(spec(VECTOR), path)
        assert block.values.tolist() == [[2, 1], [6, 5]]
        assert list(block.errors) == ["", f"{path}:3: column `b`: is missing", ""]
        assert block.targets is not None
        assert block.targets[[0, 2]].tolist() == [1, 1]

    def test_columns_besides(self, write: Write) -> None:
        path = write("t.csv", "a,b,pet,city,age\n1,x,dog,Rome,3\nlong,x,dog,Bonn,4\n2,x,cat,,5\n")
        block = read(spec(TABLE), path, target="pet", by=("city", "age", "b", "nothing", "pet"))
        assert {name: cells.tolist() for name, cells in block.beside.items()} == {
            "city": ["Rome", "", ""], "age": ["3", "", "5"], "pet": ["dog", "", "cat"]
        }  # fmt: skip

    def test_standard_input(self) -> None:
        block = read(spec(TABLE), "-", standard_input="a,b,pet\n1,x,cat\n", target="pet")
        assert block.targets is not None
        assert block.targets.tolist() == [0]


class TestTargets:
    def test_several_numbers(self, write: Write) -> None:
        path = write("t.csv", "a,b,u,v\n1,2,3,4\n1,2,,4\n1,2,x,4\n")
        block = read(spec(VECTOR, numbers(2), "regression"), path)
        assert block.targets is not None
        assert block.targets.tolist() == [[3, 4], [0, 0], [0, 0]]
        assert block.unlabelled[1] == f"{path}:3: has no finite number as its label"
        assert "`x` is not a finite number" in block.unlabelled[2]
        with pytest.raises(DataError, match=r"the labels are 2 numbers, and `u` is one column"):
            read(spec(VECTOR, numbers(2), "regression"), path, asked=("u",))

    def test_labels_in_a_cell(self, write: Write) -> None:
        path = write("t.csv", "a,b,kinds\n1,2,w; u\n1,2,\n1,2,u;z\n")
        known = spec(VECTOR, numbers(3), "multi_label")
        block = read(known, path, target="kinds", label_separator=";")
        assert block.targets is not None
        assert block.targets.tolist() == [[1, 0, 1], [0, 0, 0], [0, 0, 0]]
        assert list(block.unlabelled) == ["", "", f"{path}:4: the run does not know the label `z`"]

    def test_labels_in_columns_are_told_by_their_names(self, write: Write) -> None:
        path = write("t.csv", "a,b,w,v,u\n1,2,0,0,1\n1,2,1,,1\n")
        known = spec(VECTOR, numbers(3), "multi_label")
        block = read(known, path, asked=("w", "u", "v"))
        assert block.targets is not None
        assert block.targets.tolist() == [[1, 0, 0], [0, 0, 0]]
        assert block.unlabelled[1] == f"{path}:3: has nothing for the label `v`, not 0 or 1"
        with pytest.raises(UsageError, match="--target w u a: the run's own are u, v, w"):
            read(known, path, asked=("w", "u", "a"))
        with pytest.raises(UsageError, match="--target w u: 2 columns for 3 multi_label targets"):
            read(known, path, asked=("w", "u"))

    def test_other_tasks(self) -> None:
        with pytest.raises(
            UsageError, match="read for classification, multi_label and regression, not for s"
        ):
            Labels.of(spec(GREY, PETS, "segmentation"), {}, "")


class TestArrays:
    def block(self, known: DataSpec, folder: Path, targets: Any, **more: Any) -> Block:
        np.savez(folder / "t.npz", x=np.ones((len(targets), *known.input.shape), np.uint8), y=targets)
        return read(known, folder / "t.npz", **more)

    @pytest.mark.parametrize(
        "targets",
        [[1, 0, 1], [[1], [0], [1]], ["dog", "cat", "dog"], [b"dog", b"cat", b"dog"], [1.0, 0.0, 1.0],
         [[0, 1], [1, 0], [0, 1]]],
    )  # fmt: skip
    def test_classes_in_all_forms(self, targets: list[Any], tmp_path: Path) -> None:
        block = self.block(spec(GREY), tmp_path, np.array(targets))
        assert block.targets is not None
        assert block.targets.tolist() == [1, 0, 1]
        assert block.targets.dtype == np.dtype(np.int32)
        assert list(block.unlabelled) == ["", "", ""]

    def test_classes_that_are_not_known(self, tmp_path: Path) -> None:
        block = self.block(spec(GREY), tmp_path, np.array([1, 2, np.nan, -1]))
        assert list(block.unlabelled) == [
            "", "t.npz[1]: the run does not know the label `2`", "t.npz[2]: has no label",
            "t.npz[3]: the run does not know the label `-1`",
        ]  # fmt: skip

    def test_numbers_and_flags(self, tmp_path: Path) -> None:
        block = self.block(spec(VECTOR, numbers(1), "regression"), tmp_path, np.array([2.5, np.inf]))
        assert block.targets is not None
        assert block.targets.tolist() == [[2.5], [0]]
        assert block.unlabelled[1] == "t.npz[1]: has no finite number as its label"
        block = self.block(spec(VECTOR, numbers(2), "multi_label"), tmp_path, np.array([[0, 1], [2, 1]]))
        assert block.targets is not None
        assert block.targets.tolist() == [[0, 1], [0, 0]]
        assert block.unlabelled[1] == "t.npz[1]: has 2 for the label `u`, not 0 or 1"

    @pytest.mark.parametrize(
        ("targets", "message"),
        [
            (
                np.zeros((2, 3)),
                r"t\.npz \(y\): the targets are float64 \(2, 3\); this run has \(n,\) of classes",
            ),
            (np.array([None, {}]), "cannot be read as an array: Object arrays cannot be loaded"),
        ],
    )
    def test_other_targets(self, targets: Any, message: str, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=message):
            self.block(spec(GREY), tmp_path, targets)

    def test_which_array(self, tmp_path: Path) -> None:
        images = np.zeros((2, 4, 6), np.uint8)
        np.savez(tmp_path / "t.npz", x=images, breed=[1, 1], y=[0, 0])
        block = read(spec(GREY), tmp_path / "t.npz", asked=("breed",))
        assert block.targets is not None
        assert block.targets.tolist() == [1, 1]
        with pytest.raises(DataError, match="holds the arrays x, breed, y, and none is called bread"):
            read(spec(GREY), tmp_path / "t.npz", asked=("bread",))
        np.savez(tmp_path / "t.npz", x=images, y=[0, 0, 1])
        with pytest.raises(DataError, match="has 3 targets and fewer inputs"):
            read(spec(GREY), tmp_path / "t.npz")
        np.save(tmp_path / "t.npy", images)
        with pytest.raises(DataError, match="holds one array, and so no labels"):
            read(spec(GREY), tmp_path / "t.npy")


class TestFolders:
    def image(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (6, 4)).save(path)

    def test_images(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        from bigmodel_cli.inputs import images

        # Through both ways of decoding.
        monkeypatch.setattr(images, "BLOCK_FILES", 3)
        for name in ("cat/0.png", "cat/deep/1.png", "cow/2.png", "dog/3.png"):
            self.image(tmp_path / name)
        (tmp_path / "dog" / "4.png").write_bytes(b"no image")
        self.image(tmp_path / "5.png")
        block = read(spec(GREY), tmp_path)
        labels = dict(zip(block.ids, block.unlabelled, strict=True))
        assert block.targets is not None
        found = dict(zip(block.ids, block.targets.tolist(), strict=True))
        assert labels.pop("5.png") == "5.png: has no label"
        assert labels.pop("cow/2.png") == "cow/2.png: the run does not know the label `cow`"
        assert {name: found[name] for name in labels} == {
            "cat/0.png": 0, "cat/deep/1.png": 0, "dog/3.png": 1, "dog/4.png": 1
        }  # fmt: skip
        assert [name for name, error in zip(block.ids, block.errors, strict=True) if error] == ["dog/4.png"]

    def test_texts_in_the_encoding_of_training(self, tmp_path: Path) -> None:
        for name, text in (("cat/a.txt", "süß"), ("dog/b.txt", "groß")):
            (tmp_path / name).parent.mkdir()
            (tmp_path / name).write_text(text, encoding="latin-1")
        block = read(spec(TEXT), tmp_path, encoding="latin-1")
        assert block.values["text"].tolist() == ["süß".encode(), "groß".encode()]
        assert block.targets is not None
        assert block.targets.tolist() == [0, 1]

    def test_none_of_a_class(self, tmp_path: Path) -> None:
        self.image(tmp_path / "cow" / "2.png")
        with pytest.raises(
            DataError, match=r"named as a class of this run \(cat, dog\); it holds cow; go away"
        ):
            read(spec(GREY), tmp_path)
        with pytest.raises(DataError, match="for classification, and this run is for multi_label"):
            read(spec(GREY, numbers(2), "multi_label"), tmp_path)

    def test_what_carries_no_labels(self, tmp_path: Path, write: Write) -> None:
        self.image(tmp_path / "cat" / "2.png")
        with pytest.raises(DataError, match=r"2\.png: carries no labels; .* a folder for each class"):
            read(spec(GREY), tmp_path / "cat" / "2.png")
        with pytest.raises(DataError, match=r"is a folder, but this model takes 2 features"):
            read(spec(VECTOR), tmp_path)
        with pytest.raises(DataError, match=r"0\.5,1: there is no such file or folder to read labels from"):
            read(spec(VECTOR), "0.5,1")
        np.savez(tmp_path / "t.npz", x=[1], y=[1])
        with pytest.raises(DataError, match="holds arrays, but this model takes columns of a table"):
            read(spec(TABLE), tmp_path / "t.npz")
        nameless = InputSpec((2, 2), "float32", "tabular")
        with pytest.raises(DataError, match="the features of this model have no names"):
            read(spec(nameless), write("t.csv", "1,2,3,4\n"))


def test_blocks_are_cut_with_their_labels(write: Write) -> None:
    path = write("t.csv", "a,b,pet,city\n1,x,dog,Rome\nlong,x,cat,Bonn\n3,x,cow,Oslo\n4,x,cat,Bern\n")
    whole = read(spec(TABLE), path, target="pet", by=("city",))
    again = joined(list(recut([whole], 3)))
    assert again.targets is not None
    assert whole.targets is not None
    assert again.targets.tolist() == whole.targets.tolist()
    assert list(again.unlabelled) == list(whole.unlabelled)
    assert again.beside["city"].tolist() == ["Rome", "", "Oslo", "Bern"]


def test_a_table_of_texts_is_no_text(write: Write) -> None:
    path = write("t.csv", "text,more\nfine,1\npoor,2\n")
    found = Inputs([str(path)], TEXT, io.StringIO(), parameters={}, note=print)
    assert joined([*found.blocks()]).values["text"].tolist() == [b"fine", b"poor"]
    single = write("t.txt", "text,more\nfine,1\n")
    found = Inputs([str(single)], TEXT, io.StringIO(), parameters={}, note=print)
    assert joined([*found.blocks()]).values["text"].tolist() == [b"text,more\nfine,1\n"]
