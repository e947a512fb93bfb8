import json
from pathlib import Path

import numpy as np
import pytest

from bigmodel_cli.columns import MISSING_DATE, Column
from bigmodel_cli.contracts import DataSpec, InputSpec, Part, TargetSpec
from bigmodel_cli.data.prepared import prepared, reading, write
from bigmodel_cli.devices import cpu_cores
from bigmodel_cli.errors import DataError

RANDOM = np.random.default_rng(0)
SIZES = {"train": 50, "test": 7}
CLASSES = TargetSpec((), "int32", ("a", "b", "c"), counts=(20, 20, 10))


def spec_of(inputs: InputSpec, target: TargetSpec = CLASSES) -> DataSpec:
    task = "regression" if target.dtype == "float32" else "classification"
    return DataSpec("my_set", "TFDS 3.0.1", task, inputs, target, SIZES)


def numbered(shape, dtype="uint8"):
    """Inputs of the two splits, of noise."""
    return {name: RANDOM.integers(0, 256, (size, *shape)).astype(dtype) for name, size in SIZES.items()}


LABELS = {name: (np.arange(size) % 3).astype(np.int32) for name, size in SIZES.items()}
SMALL = numbered((6, 5, 1))


def in_batches(inputs, targets, size=8):
    for start in range(0, len(targets), size):
        part = slice(start, start + size)
        if isinstance(inputs, dict):
            yield {name: cells[part] for name, cells in inputs.items()}, targets[part]
        else:
            yield inputs[part], targets[part]


def store(folder, inputs=SMALL, targets=LABELS, spec=None, shard_bytes=1500, sizes=SIZES):
    """Write both splits; what was reported is returned."""
    spec = spec or spec_of(InputSpec((6, 5, 1), "uint8", "image"))
    reports = []
    splits = {name: in_batches(inputs[name], targets[name]) for name in sizes}

    def report(split, done):
        reports.append((split, done))

    write(splits, spec, sizes, str(folder), shard_bytes=shard_bytes, report=report)
    return reports


def whole(name):
    return Part.range(name, 0, SIZES[name])


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def folder(tmp_path):
    store(tmp_path / "set")
    return tmp_path / "set"


class TestThereAndBack:
    @pytest.mark.parametrize(
        ("shape", "dtype", "kind", "storage"),
        [
            ((6, 5, 1), "uint8", "image", "raw"),
            ((80, 70, 3), "uint8", "image", "png"),
            ((70, 70, 4), "uint8", "image", "png"),
            ((60, 60, 5), "uint8", "image", "raw"),
            ((4,), "float32", "tabular", "raw"),
        ],
    )
    def test_arrays(self, shape, dtype, kind, storage, tmp_path):
        inputs = numbered(shape, dtype)
        store(tmp_path / "set", inputs, spec=spec_of(InputSpec(shape, dtype, kind)), shard_bytes=100_000)
        assert json.loads((tmp_path / "set" / "prepared.json").read_text())["inputs"] == storage
        source = prepared(0, path=str(tmp_path / "set"))
        assert source.sizes == SIZES
        for name in SIZES:
            found, targets = source.arrays(whole(name))
            assert (found.dtype, targets.dtype) == (dtype, np.int32)
            np.testing.assert_array_equal(found, inputs[name])
            np.testing.assert_array_equal(targets, LABELS[name])

    def test_a_regression(self, tmp_path):
        values = {name: RANDOM.normal(size=(size, 2)).astype(np.float32) for name, size in SIZES.items()}
        target = TargetSpec((2,), "float32", ("x", "y"), mean=(1.0, 2.0))
        store(tmp_path / "set", targets=values, spec=spec_of(InputSpec((6, 5, 1), "uint8", "image"), target))
        source = prepared(0, path=str(tmp_path / "set"))
        np.testing.assert_array_equal(source.targets(whole("train")), values["train"])

    def test_a_table(self, tmp_path):
        columns = tuple(
            Column(name, kind, fill=3.0, vocabulary=("x",) if kind == "categorical" else ())
            for name, kind in (("a", "numeric"), ("at", "date"), ("colour", "categorical"), ("text", "text"))
        )
        cells = {
            name: {
                "a": np.where(np.arange(size) % 4, np.arange(size), np.nan).astype(np.float32),
                "at": np.where(np.arange(size) % 5, np.arange(size) * 10**9, MISSING_DATE),
                "colour": np.asarray(
                    [["", "grün".encode()][i % 2] if i % 2 else b"" for i in range(size)], object
                ),
                "text": np.asarray([b"w" * i for i in range(size)], object),
            }
            for name, size in SIZES.items()
        }
        store(tmp_path / "set", cells, spec=spec_of(InputSpec((4,), "", "table", columns=columns)))
        source = prepared(0, path=str(tmp_path / "set"))
        assert source.spec.input.columns == tuple(Column(column.name, column.kind) for column in columns)
        found, targets = source.arrays(whole("train"))
        assert list(found) == ["a", "at", "colour", "text"]
        for name, values in cells["train"].items():
            assert found[name].dtype == values.dtype
            np.testing.assert_array_equal(found[name], values)
        np.testing.assert_array_equal(targets, LABELS["train"])
        np.testing.assert_array_equal(source.values("test", "colour"), cells["test"]["colour"])
        with pytest.raises(DataError, match="no column `b` to divide by; it has a, at, colour, text"):
            source.values("train", "b")

    def test_what_was_learned_is_left_out_of_the_spec(self, folder):
        spec = prepared(0, path=str(folder)).spec
        assert (spec.name, spec.origin) == ("my_set", "prepared from TFDS 3.0.1")
        assert spec.target == TargetSpec((), "int32", ("a", "b", "c"))
        assert spec.sizes == {}

    def test_tensors_of_a_pipeline(self, tmp_path):
        import tensorflow as tf

        stream = tf.data.Dataset.from_tensor_slices((SMALL["test"], LABELS["test"])).batch(3)
        spec = spec_of(InputSpec((6, 5, 1), "uint8", "image"))
        write({"test": stream}, spec, {"test": 7}, str(tmp_path), report=lambda *_: None)
        np.testing.assert_array_equal(prepared(0, path=str(tmp_path)).arrays(whole("test"))[0], SMALL["test"])


class TestWriting:
    def test_shards_of_the_asked_size(self, folder):
        index = json.loads((folder / "prepared.json").read_text())
        shards = index["splits"]["train"]["shards"]
        assert len(shards) > 2
        assert shards[0]["file"] == f"train-00000-of-{len(shards):05d}.tfrecord"
        assert sum(shard["examples"] for shard in shards) == 50
        assert all(1500 <= shard["bytes"] < 1700 for shard in shards[:-1])
        names = {"prepared.json"} | {s["file"] for split in index["splits"].values() for s in split["shards"]}
        assert {path.name for path in folder.iterdir()} == names

    def test_reports(self, tmp_path):
        reports = store(tmp_path / "set")
        assert reports[:2] == [("train", 8), ("train", 16)]
        assert reports[-1] == ("test", 7)

    def test_the_same_again_changes_nothing(self, folder):
        before = content(folder)
        store(folder)
        assert content(folder) == before

    @pytest.mark.parametrize("what", ["spec", "content"])
    def test_another_is_refused_and_the_first_kept(self, what, folder):
        before = content(folder)
        other = {"spec": spec_of(InputSpec((5, 6, 1), "uint8", "image"))} if what == "spec" else {}
        inputs = numbered((6, 5, 1)) if what == "content" else SMALL
        with pytest.raises(DataError, match="holds another prepared data set; give another folder"):
            store(folder, inputs, **other)
        assert content(folder) == before

    def test_nothing_half_written_stays(self, tmp_path):
        def breaking():
            yield from in_batches(SMALL["train"], LABELS["train"])
            raise RuntimeError("the source broke")

        spec = spec_of(InputSpec((6, 5, 1), "uint8", "image"))
        with pytest.raises(RuntimeError, match="the source broke"):
            write(
                {"train": breaking()},
                spec,
                {"train": 50},
                str(tmp_path),
                shard_bytes=500,
                report=lambda *_: None,
            )
        assert list(tmp_path.iterdir()) == []

    def test_what_a_killed_writer_left_is_removed(self, tmp_path):
        (tmp_path / "set").mkdir()
        (tmp_path / "set" / ".writing-train-00009.tfrecord").write_bytes(b"x")
        store(tmp_path / "set")
        assert not list((tmp_path / "set").glob(".writing*"))

    def test_another_number_of_examples(self, tmp_path):
        with pytest.raises(ValueError, match="`train` has 50 examples, not 51"):
            store(tmp_path / "set", sizes={"train": 51})

    def test_batches_that_contradict_the_spec(self, tmp_path):
        message = r"`input` is uint8 \(8, 6, 5, 1\), the spec says uint8 \(8, 9, 5, 1\)"
        with pytest.raises(ValueError, match=message):
            store(tmp_path / "set", spec=spec_of(InputSpec((9, 5, 1), "uint8", "image")))

    def test_batches_are_taken_a_few_at_a_time(self, tmp_path):
        taken, written = [], []

        def counted():
            for number, batch in enumerate(in_batches(SMALL["train"], LABELS["train"], 2)):
                taken.append(number)
                assert len(taken) - len(written) < 3 + 2 * cpu_cores()
                yield batch

        spec = spec_of(InputSpec((6, 5, 1), "uint8", "image"))
        write({"train": counted()}, spec, {"train": 50}, str(tmp_path), report=lambda *_: written.append(1))
        assert len(written) == 25


class TestReading:
    def test_a_part_is_filtered_before_decoding(self, folder, monkeypatch):
        import tensorflow as tf

        source = prepared(0, path=str(folder))
        part = Part("train", np.asarray([0, 3, 4, 17, 18, 19, 49]))
        images, targets = source.arrays(part)
        np.testing.assert_array_equal(images, SMALL["train"][part.indices])
        np.testing.assert_array_equal(targets, LABELS["train"][part.indices])
        np.testing.assert_array_equal(source.targets(part), targets)
        assert sum(int(tf.size(records)) for records in source._records(part, None)) == part.size

    def test_in_small_batches(self, folder, monkeypatch):
        monkeypatch.setattr(reading, "BATCH_BYTES", 3 * 34)
        source = prepared(0, path=str(folder))
        for part in (whole("train"), Part("train", np.arange(1, 50, 4))):
            batches = list(source.batches(part))
            assert all(0 < len(batch[1]) <= 3 for batch in batches)
            np.testing.assert_array_equal(
                np.concatenate([batch[0] for batch in batches]), SMALL["train"][part.indices]
            )

    def test_the_key_orders_the_shards(self, folder):
        import tensorflow as tf

        source = prepared(0, path=str(folder))

        def order(key):
            batches = source.batches(whole("train"), tf.constant(key, tf.int32))
            images = np.concatenate([batch[0] for batch in batches])
            return [int(np.flatnonzero((SMALL["train"] == image).all((1, 2, 3)))[0]) for image in images]

        orders = [order([7, epoch]) for epoch in range(4)]
        assert all(sorted(some) == list(range(50)) for some in orders)
        assert len({tuple(some) for some in orders}) > 1
        assert order([7, 0]) == orders[0]

    def test_the_key_may_be_a_tensor_of_a_pipeline(self, folder):
        import tensorflow as tf

        source = prepared(0, path=str(folder))
        epochs = tf.data.Dataset.range(2).flat_map(
            lambda epoch: source.batches(whole("train"), tf.stack([7, tf.cast(epoch, tf.int32)]))
        )
        assert sum(len(batch[1]) for batch in epochs) == 100

    def test_access_is_in_order_only(self, folder):
        assert prepared(0, path=str(folder)).lookup("train") is None

    def test_fingerprint(self, folder, tmp_path):
        first = prepared(0, path=str(folder)).fingerprint()
        store(tmp_path / "same")
        store(tmp_path / "other", numbered((6, 5, 1)))
        assert prepared(0, path=str(tmp_path / "same")).fingerprint() == first
        assert prepared(0, path=str(tmp_path / "other")).fingerprint() != first


def first_shard(folder: Path) -> Path:
    return min(folder.glob("train-00000-*"))


class TestDamage:
    def test_not_there(self, tmp_path):
        with pytest.raises(DataError, match="nowhere: there is no such folder"):
            prepared(0, path=str(tmp_path / "nowhere"))
        with pytest.raises(DataError, match=r"holds no prepared data set \(no prepared\.json\)"):
            prepared(0, path=str(tmp_path))

    @pytest.mark.parametrize(
        "text", ["", "{", "[]", '{"format": 1}', '{"format": 1, "spec": {}, "splits": {}}']
    )
    def test_a_damaged_index(self, text, folder):
        (folder / "prepared.json").write_text(text)
        with pytest.raises(DataError, match=r"prepared\.json: is damaged"):
            prepared(0, path=str(folder))

    def test_another_version(self, folder):
        index = json.loads((folder / "prepared.json").read_text())
        (folder / "prepared.json").write_text(json.dumps({**index, "format": 2}))
        with pytest.raises(DataError, match="has the format 2, this version of bigmodel reads 1"):
            prepared(0, path=str(folder))

    def test_a_missing_shard(self, folder):
        shard = first_shard(folder)
        shard.unlink()
        with pytest.raises(DataError, match=rf"{shard.name}: is not there"):
            prepared(0, path=str(folder))

    def test_a_truncated_shard(self, folder):
        for shard in folder.glob("train-*"):
            shard.write_bytes(shard.read_bytes()[:-10])
        message = r"is damaged: it has [\d,]+ bytes, not [\d,]+ \(and \d more shards\)"
        with pytest.raises(DataError, match=message):
            prepared(0, path=str(folder))

    def test_a_flipped_bit(self, folder):
        source = prepared(0, path=str(folder))
        shard = sorted(folder.glob("train-*"))[1]
        changed = bytearray(shard.read_bytes())
        changed[len(changed) // 2] ^= 1
        shard.write_bytes(changed)
        for read in (source.arrays, source.targets):
            with pytest.raises(DataError, match=rf"{shard.name}: is damaged"):
                read(whole("train"))

    def test_a_shard_that_ends_early_while_training(self, folder):
        import tensorflow as tf

        source = prepared(0, path=str(folder))
        shard = first_shard(folder)
        # At the end of a record, where TensorFlow sees no damage.
        size = json.loads((folder / "prepared.json").read_text())["splits"]["train"]["shards"][0]
        shard.write_bytes(shard.read_bytes()[: size["bytes"] // size["examples"] * 3])
        with pytest.raises(tf.errors.InvalidArgumentError, match=rf"DataError: .*{shard.name} is damaged"):
            list(source.batches(whole("train")))
        with pytest.raises(DataError, match=shard.name):
            source.arrays(whole("train"))
