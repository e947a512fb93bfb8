import os
import shutil
import socket
from pathlib import Path

import numpy as np
import pytest

from bigmodel_cli.columns import Column
from bigmodel_cli.contracts import Part
from bigmodel_cli.data import tfds as sources
from bigmodel_cli.data.tfds import tfds
from bigmodel_cli.errors import DataError

PREPARED = os.environ.get("TFDS_DATA_DIR", "")


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    """Small prepared sets, one for each form of data."""
    import tensorflow as tf
    import tensorflow_datasets as real

    folder = tmp_path_factory.mktemp("tfds")
    features = real.features
    random = np.random.default_rng(0)
    label = features.ClassLabel(names=["cat", "dog", "owl"])
    shapes = {"pictures": (9, 7, 3), "sizes_vary": (None, None, 3)}

    def store(name, columns, types, version="1.0.0"):
        splits = {"train": {key: values[:30] for key, values in columns.items()}}
        splits["test"] = {key: values[30:] for key, values in columns.items()}

        def examples(part):
            signature = {key: tf.TensorSpec(values[0].shape, values[0].dtype) for key, values in part.items()}
            if name == "sizes_vary":
                signature["image"] = tf.TensorSpec((None, None, 3), tf.uint8)
            count = len(next(iter(part.values())))
            return tf.data.Dataset.from_generator(
                lambda: ({key: values[i] for key, values in part.items()} for i in range(count)),
                output_signature=signature,
            )

        real.dataset_builders.store_as_tfds_dataset(
            name=name,
            version=version,
            features=features.FeaturesDict(types),
            split_datasets={key: examples(part) for key, part in splits.items()},
            data_dir=folder,
        )

    labels = np.arange(40, dtype=np.int64) % 3
    images = random.integers(0, 256, (40, 9, 7, 3), np.uint8)
    picture = {"image": features.Image(shape=shapes["pictures"]), "label": label}
    store("pictures", {"image": images, "label": labels}, picture)
    store("pictures", {"image": images[::-1], "label": labels[::-1]}, picture, version="1.10.0")
    varied = [random.integers(0, 256, (5 + i % 3, 6 + i % 4, 3), np.uint8) for i in range(40)]
    store(
        "sizes_vary",
        {"image": varied, "label": labels},
        {"image": features.Image(shape=shapes["sizes_vary"]), "label": label},
    )
    store("no_labels", {"image": images}, {"image": picture["image"]})
    numbers = random.random((40, 4)).astype(np.float32)
    store(
        "numbers",
        {"x": numbers, "label": labels},
        {"x": features.Tensor(shape=(4,), dtype=np.float32), "label": label},
    )
    np.save(folder / "pictures.npy", images)
    np.save(folder / "numbers.npy", numbers)
    return folder


@pytest.fixture
def own_copy(data_dir, tmp_path):
    """A copy of one set that a test may damage."""
    return Path(shutil.copytree(data_dir / "pictures" / "1.0.0", tmp_path / "pictures" / "1.0.0"))


def set_supervised_keys(folder, pair):
    """Write the pair into a prepared set, as a set's own builder does."""
    import json

    path = folder / "dataset_info.json"
    info = json.loads(path.read_text())
    info["supervisedKeys"] = {"tuple": {"items": [{"featureKey": key} for key in pair]}}
    path.write_text(json.dumps(info))


def test_a_set_of_ones_own_is_found_by_its_folder(data_dir):
    source = tfds(0, dataset="pictures:1.0.0", data_dir=str(data_dir))
    images = np.load(data_dir / "pictures.npy")
    assert source.spec.origin == "TFDS 1.0.0"
    assert source.spec.input.shape == (9, 7, 3)
    assert source.spec.target.names == ("cat", "dog", "owl")
    assert source.sizes == {"train": 30, "test": 10}
    assert source.example_bytes == 9 * 7 * 3 + 4
    read, labels = source.arrays(Part.range("train", 0, 30))
    assert read.dtype == np.uint8
    assert labels.dtype == np.int32
    # TFDS shuffles when it writes: compare as sets of bytes.
    assert {image.tobytes() for image in read} < {image.tobytes() for image in images}
    by_bytes = {image.tobytes(): i % 3 for i, image in enumerate(images)}
    assert [by_bytes[image.tobytes()] for image in read] == labels.tolist()


def streamed(source, part, key=None):
    inputs, targets = zip(*source.batches(part, key).as_numpy_iterator(), strict=True)
    return np.concatenate(inputs), np.concatenate(targets)


@pytest.fixture
def in_shards(data_dir, tmp_path):
    """The pictures in 5 files of the split `train`, of 7, 0, 8, 9 and 6 examples."""
    import json

    import tensorflow as tf

    folder = Path(shutil.copytree(data_dir / "pictures" / "1.0.0", tmp_path / "pictures" / "1.0.0"))
    (whole,) = folder.glob("*train.tfrecord*")
    records = list(tf.data.TFRecordDataset(str(whole)).as_numpy_iterator())
    whole.unlink()
    lengths = [7, 0, 8, 9, 6]
    for number, length in enumerate(lengths):
        name = f"pictures-train.tfrecord-{number:05d}-of-{len(lengths):05d}"
        with tf.io.TFRecordWriter(str(folder / name)) as writer:
            for _ in range(length):
                writer.write(records.pop(0))
    path = folder / "dataset_info.json"
    info = json.loads(path.read_text())
    next(part for part in info["splits"] if part["name"] == "train")["shardLengths"] = list(map(str, lengths))
    path.write_text(json.dumps(info))
    return tfds(0, dataset="pictures", data_dir=str(tmp_path))


@pytest.mark.parametrize("indices", [range(30), range(7, 19), [0, 2, 3, 14, 15, 29], [6, 7], [11], []])
def test_every_way_of_reading_a_part_agrees(data_dir, in_shards, indices, monkeypatch):
    monkeypatch.setattr(sources, "CHUNK", 4)
    whole = tfds(0, dataset="pictures:1.0.0", data_dir=str(data_dir))
    images, labels = whole.arrays(Part.range("train", 0, 30))
    part = Part("train", np.array(indices, np.int64))
    for source in (whole, in_shards):
        read = source.arrays(part)
        assert (read[0] == images[part.indices]).all()
        assert (read[1] == labels[part.indices]).all()
        assert (source.targets(part) == labels[part.indices]).all()
        if part.size:
            stream = streamed(source, part)
            assert (stream[0] == images[part.indices]).all()
            assert (stream[1] == labels[part.indices]).all()
        assert source.lookup("train") is None


def test_a_key_gives_the_order_of_the_files(in_shards):
    import tensorflow as tf

    part = Part.range("train", 2, 28)
    images, _ = in_shards.arrays(part)
    files = [range(5), range(5, 13), range(13, 22), range(22, 26)]
    orders = set()
    for number in range(8):
        key = tf.constant([number, 7])
        read, again = (streamed(in_shards, part, key)[0] for _ in range(2))
        assert (read == again).all()
        found = [next(i for i, image in enumerate(images) if (image == one).all()) for one in read]
        order = [
            next(n for n, file in enumerate(files) if file[0] == first)
            for first in found
            if first in {file[0] for file in files}
        ]
        assert found == [place for number in order for place in files[number]]
        orders.add(tuple(order))
    assert len(orders) > 3


def test_what_is_not_asked_for_is_not_decoded(data_dir, tmp_path):
    import tensorflow as tf

    folder = Path(shutil.copytree(data_dir / "pictures" / "1.0.0", tmp_path / "pictures" / "1.0.0"))
    (file,) = folder.glob("*train.tfrecord*")
    records = list(tf.data.TFRecordDataset(str(file)).as_numpy_iterator())
    with tf.io.TFRecordWriter(str(file)) as writer:
        for number, record in enumerate(records):
            writer.write(b"no example" if number == 5 else record)
    source = tfds(0, dataset="pictures", data_dir=str(tmp_path))
    others = np.delete(np.arange(30), 5)
    assert len(source.arrays(Part("train", others))[0]) == 29
    with pytest.raises(DataError, match="cannot be read"):
        source.arrays(Part.range("train", 0, 30))


def test_the_fingerprint_changes_with_the_files(own_copy):
    source = tfds(0, dataset="pictures", data_dir=str(own_copy.parent.parent))
    first = source.fingerprint()
    assert source.fingerprint() == first
    resized = tfds(0, dataset="pictures", data_dir=str(own_copy.parent.parent), image_size=[4, 4])
    assert resized.fingerprint() != first
    file = next(own_copy.glob("*train.tfrecord*"))
    os.utime(file, (1, 1))
    assert source.fingerprint() != first


def test_the_newest_version_is_taken(data_dir):
    assert tfds(0, dataset="pictures", data_dir=str(data_dir)).spec.origin == "TFDS 1.10.0"


def test_data_dir_comes_from_the_environment(data_dir, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(data_dir))
    assert tfds(0, dataset="pictures").sizes == {"train": 30, "test": 10}


def test_configs(data_dir, tmp_path, monkeypatch):
    for config in ("small", "large"):
        shutil.copytree(data_dir / "pictures" / "1.0.0", tmp_path / "pictures" / config / "1.0.0")
    assert tfds(0, dataset="pictures/small", data_dir=str(tmp_path)).sizes == {"train": 30, "test": 10}
    with pytest.raises(DataError, match=r"several configs .* name one of `pictures/large`, `pictures/small`"):
        tfds(0, dataset="pictures", data_dir=str(tmp_path))


def test_images_of_varying_size_need_a_size(data_dir):
    with pytest.raises(DataError, match=r"dataset.image_size: the images of `sizes_vary` vary in size"):
        tfds(0, dataset="sizes_vary", data_dir=str(data_dir))
    source = tfds(0, dataset="sizes_vary", data_dir=str(data_dir), image_size=[8, 12])
    images, _ = source.arrays(Part.range("train", 0, 30))
    assert images.shape == (30, 8, 12, 3)
    assert images.dtype == np.uint8
    # Resized noise keeps its mean.
    assert 110 < images.mean() < 145


def test_numbers_as_input(data_dir, tmp_path):
    folder = Path(shutil.copytree(data_dir / "numbers" / "1.0.0", tmp_path / "numbers" / "1.0.0"))
    set_supervised_keys(folder, ("x", "label"))
    source = tfds(0, dataset="numbers", data_dir=str(tmp_path))
    assert source.spec.input.names == ("x_0", "x_1", "x_2", "x_3")
    inputs, _ = source.arrays(Part.range("train", 0, 30))
    numbers = np.load(data_dir / "numbers.npy")
    assert {tuple(row) for row in inputs.tolist()} < {tuple(row) for row in numbers.tolist()}
    with pytest.raises(DataError, match="inputs of `numbers` are not images"):
        tfds(0, dataset="numbers", data_dir=str(tmp_path), image_size=[8, 8])


def test_a_number_as_target_is_a_regression(data_dir, tmp_path):
    folder = Path(shutil.copytree(data_dir / "numbers" / "1.0.0", tmp_path / "numbers" / "1.0.0"))
    set_supervised_keys(folder, ("x", "x"))
    source = tfds(0, dataset="numbers", data_dir=str(tmp_path))
    assert source.spec.task == "regression"
    inputs, targets = source.arrays(Part.range("train", 0, 30))
    assert (inputs == targets).all()
    assert source.spec.target.names == ("x_0", "x_1", "x_2", "x_3")


def test_named_numbers_as_input(tmp_path):
    import tensorflow as tf
    import tensorflow_datasets as real

    features = real.features
    columns = {"b": np.arange(8, dtype=np.float32), "a": np.arange(8) * 10}
    data = tf.data.Dataset.from_tensor_slices({"x": columns, "label": np.arange(8) % 2})
    types = {"b": features.Scalar(np.float32), "a": features.Scalar(np.int64)}

    def store(name, types):
        real.dataset_builders.store_as_tfds_dataset(
            name=name,
            version="1.0.0",
            features=features.FeaturesDict({"x": types, "label": features.ClassLabel(num_classes=2)}),
            split_datasets={"train": data},
            data_dir=tmp_path,
        )
        set_supervised_keys(tmp_path / name / "1.0.0", ("x", "label"))
        return tfds(0, dataset=name, data_dir=str(tmp_path))

    source = store("columns", types)
    assert source.spec.input.names == ("a", "b")
    inputs, labels = source.arrays(Part.range("train", 0, 8))
    assert sorted(inputs.tolist()) == [[10 * i, i] for i in range(8)]
    assert (inputs[:, 1] % 2 == labels).all()


@pytest.fixture(scope="module")
def columns_dir(tmp_path_factory):
    """A table of passengers, and reviews with their sentiment."""
    import tensorflow as tf
    import tensorflow_datasets as real

    features = real.features
    folder = tmp_path_factory.mktemp("columns")
    numbers = np.arange(12)
    cabin = np.array(["A1", "", "B2"], object)[numbers % 3]

    def store(name, types, columns, pair=None):
        real.dataset_builders.store_as_tfds_dataset(
            name=name,
            version="1.0.0",
            features=features.FeaturesDict(types),
            split_datasets={"train": tf.data.Dataset.from_tensor_slices(columns)},
            data_dir=folder,
        )
        if pair is not None:
            set_supervised_keys(folder / name / "1.0.0", pair)

    store(
        "passengers",
        {
            "age": features.Scalar(np.float32),
            "id": features.Scalar(np.int64),
            "cabin": features.Tensor(shape=(), dtype=np.str_),
            "home": {"town": features.Text(), "abroad": features.Scalar(np.bool_)},
            "sex": features.ClassLabel(names=["male", "female"]),
            "survived": features.ClassLabel(names=["no", "yes"]),
            "measures": features.Tensor(shape=(2,), dtype=np.float32),
            "map": features.Tensor(shape=(2, 2), dtype=np.float32),
        },
        {
            "age": (numbers + 0.5).astype(np.float32),
            "id": numbers + 2**40,
            "cabin": cabin,
            "home": {"town": [f"town {i}" for i in numbers], "abroad": numbers % 2 == 0},
            "sex": numbers % 3 - 1,
            "survived": numbers % 2,
            "measures": np.stack([numbers, -numbers], axis=1).astype(np.float32),
            "map": np.zeros((12, 2, 2), np.float32),
        },
    )
    store(
        "reviews",
        {"text": features.Text(), "label": features.ClassLabel(names=["neg", "pos"])},
        {"text": [f"review {i} é" for i in numbers], "label": numbers % 2},
    )
    return folder


def read_all(source):
    return source.arrays(Part.range("train", 0, 12))


def test_a_text_is_a_column(columns_dir):
    source = tfds(0, dataset="reviews", data_dir=str(columns_dir))
    assert source.notes == (
        "the target is `label`, the only class label",
        "the input is `text`, the only Text",
    )
    assert source.spec.input.kind == "table"
    assert source.spec.input.columns == (Column("text", "text"),)
    inputs, labels = read_all(source)
    assert sorted(inputs["text"]) == sorted(f"review {i} é".encode() for i in range(12))
    assert [int(text.split()[1]) % 2 for text in inputs["text"]] == labels.tolist()
    assert 64 + 4 < source.example_bytes < 200
    (batch,) = source.batches(Part.range("train", 3, 7)).as_numpy_iterator()
    assert batch[0]["text"].tolist() == inputs["text"][3:7].tolist()


def test_features_of_several_kinds_are_columns(columns_dir):
    source = tfds(
        0,
        dataset="passengers",
        data_dir=str(columns_dir),
        inputs=["age", "cabin", "home/town", "home/abroad", "sex"],
        target="survived",
    )
    assert [(column.name, column.kind) for column in source.spec.input.columns] == [
        ("age", "numeric"),
        ("cabin", "categorical"),
        ("home/town", "text"),
        ("home/abroad", "boolean"),
        ("sex", "categorical"),
    ]
    assert source.spec.target.names == ("no", "yes")
    inputs, labels = read_all(source)
    numbers = (inputs["age"] - 0.5).astype(int)
    assert sorted(numbers) == list(range(12))
    assert inputs["cabin"].tolist() == [[b"A1", b"", b"B2"][i % 3] for i in numbers]
    assert inputs["home/town"].tolist() == [f"town {i}".encode() for i in numbers]
    assert inputs["home/abroad"].tolist() == [float(i % 2 == 0) for i in numbers]
    assert inputs["home/abroad"].dtype == np.float32
    # A class that is not known, -1, is a missing cell.
    assert inputs["sex"].tolist() == [[b"", b"male", b"female"][i % 3] for i in numbers]
    assert labels.tolist() == [i % 2 for i in numbers]


def test_the_sets_own_dict_of_inputs(columns_dir, tmp_path):
    import json

    folder = Path(shutil.copytree(columns_dir / "passengers" / "1.0.0", tmp_path / "passengers" / "1.0.0"))
    path = folder / "dataset_info.json"
    info = json.loads(path.read_text())
    inputs = {"dict": {"dict": {key: {"featureKey": key} for key in ("sex", "age", "id")}}}
    info["supervisedKeys"] = {"tuple": {"items": [inputs, {"featureKey": "survived"}]}}
    path.write_text(json.dumps(info))
    source = tfds(0, dataset="passengers", data_dir=str(tmp_path))
    assert [column.name for column in source.spec.input.columns] == ["age", "id", "sex"]
    # Another target than the set's own is no longer an input.
    source = tfds(0, dataset="passengers", data_dir=str(tmp_path), target="age")
    assert source.spec.task == "regression"
    assert [column.name for column in source.spec.input.columns] == ["id", "sex"]


def test_several_numbers_are_a_vector(columns_dir):
    folder = str(columns_dir)
    source = tfds(0, dataset="passengers", data_dir=folder, inputs=["age", "measures"], target=["id"])
    assert source.spec.input.names == ("age", "measures_0", "measures_1")
    inputs, targets = read_all(source)
    assert (inputs[:, 1] == inputs[:, 0] - 0.5).all()
    assert (inputs[:, 2] == -inputs[:, 1]).all()
    assert source.spec.target.names == ("id",)
    assert (targets[:, 0] == np.float32(2**40) + inputs[:, 1]).all()
    source = tfds(0, dataset="passengers", data_dir=folder, inputs="age", target=["measures", "id"])
    assert source.spec.input.names == ("age",)
    assert source.spec.target.names == ("measures_0", "measures_1", "id")


def test_a_boolean_as_target(columns_dir):
    source = tfds(0, dataset="passengers", data_dir=str(columns_dir), inputs="age", target="home/abroad")
    assert source.spec.target.names == ("false", "true")
    inputs, targets = read_all(source)
    assert targets.tolist() == [int((age - 0.5) % 2 == 0) for age in inputs[:, 0]]


@pytest.fixture(scope="module")
def labels_dir(tmp_path_factory):
    """A set whose examples have lists of class labels, and several booleans."""
    import tensorflow as tf
    import tensorflow_datasets as real

    folder = tmp_path_factory.mktemp("tfds_labels")
    features = real.features
    lists = [[0, 2], [], [1], [2, 2]]
    types = {
        "x": features.Tensor(shape=(2,), dtype=np.float32),
        "topics": features.Sequence(features.ClassLabel(names=["art", "law", "war"])),
        "flags": features.Tensor(shape=(3,), dtype=np.bool_),
    }

    def examples():
        for index, topics in enumerate(lists):
            flags = [index % 2 == 0, True, False]
            yield {"x": np.full(2, index, np.float32), "topics": np.array(topics, np.int64), "flags": flags}

    signature = {
        "x": tf.TensorSpec((2,), tf.float32), "topics": tf.TensorSpec((None,), tf.int64),
        "flags": tf.TensorSpec((3,), tf.bool),
    }  # fmt: skip
    real.dataset_builders.store_as_tfds_dataset(
        name="articles",
        version="1.0.0",
        features=features.FeaturesDict(types),
        split_datasets={"train": tf.data.Dataset.from_generator(examples, output_signature=signature)},
        data_dir=folder,
    )
    return folder


def test_lists_of_class_labels(labels_dir):
    source = tfds(0, dataset="articles", data_dir=str(labels_dir), inputs="x")
    assert source.spec.task == "multi_label"
    assert source.spec.target.names == ("art", "law", "war")
    assert (source.spec.target.shape, source.spec.target.dtype) == ((3,), "float32")
    assert source.notes == ("the target is `topics`, the only list of class labels",)
    inputs, targets = source.arrays(Part.range("train", 0, 4))
    wanted = {0: [1, 0, 1], 1: [0, 0, 0], 2: [0, 1, 0], 3: [0, 0, 1]}
    assert targets.dtype == np.float32
    assert targets.tolist() == [wanted[int(row)] for row in inputs[:, 0]]
    # Of a batch in which nobody has a label.
    empty = np.flatnonzero(inputs[:, 0] == 1)
    assert source.targets(Part("train", empty)).tolist() == [[0, 0, 0]]


def test_several_booleans_are_labels(labels_dir):
    source = tfds(0, dataset="articles", data_dir=str(labels_dir), inputs="x", target="flags")
    assert source.spec.task == "multi_label"
    assert source.spec.target.names == ("flags_0", "flags_1", "flags_2")
    inputs, targets = source.arrays(Part.range("train", 0, 4))
    assert targets.tolist() == [[float(row % 2 == 0), 1, 0] for row in inputs[:, 0]]


@pytest.mark.parametrize(
    ("inputs", "target", "message"),
    [
        (None, None, r"nothing says which feature is the target; name it in dataset.target. It holds age \("),
        (["age"], None, "nothing says which feature is the target"),
        (["agee"], "survived", r"dataset.inputs: .* no feature `agee`; did you mean `age`\? It holds age"),
        (["age"], "zzz", r"dataset.target: `passengers` has no feature `zzz`\. It holds .*cabin .*string"),
        (["age", "survived"], "survived", "dataset.inputs: `survived` of `passengers` is the target"),
        (["home", "home/town"], "survived", "dataset.inputs: `home/town` is named twice"),
        (["age"], "cabin", "its target `cabin` is Tensor string"),
        (["age"], "map", r"its target `map` is Tensor float32 \(2, 2\)"),
        (["age"], ["survived", "id"], "a class label must be the only target"),
        (["age", "map"], "survived", r"its input `map` is .*, which cannot stand beside others"),
        (["sex", "measures"], "survived", "its input `measures` is .*, which cannot stand beside others"),
    ],
)
def test_features_that_do_not_fit(columns_dir, inputs, target, message):
    with pytest.raises(DataError, match=message):
        tfds(0, dataset="passengers", data_dir=str(columns_dir), inputs=inputs, target=target)


def test_values_to_split_by(columns_dir):
    source = tfds(0, dataset="passengers", data_dir=str(columns_dir), inputs="age", target="survived")
    inputs, _ = read_all(source)
    numbers = (inputs[:, 0] - 0.5).astype(int)
    # Beyond what a float32 can tell apart.
    assert source.values("train", "id").tolist() == [2**40 + i for i in numbers]
    assert source.values("train", "home/town").tolist() == [f"town {i}" for i in numbers]
    assert source.values("train", "sex").tolist() == [["", "male", "female"][i % 3] for i in numbers]
    with pytest.raises(DataError, match=r"no feature `map` with one value .* it has age, .*survived"):
        source.values("train", "map")


def test_no_label(data_dir):
    with pytest.raises(
        DataError, match=r"`no_labels` cannot be used for training: nothing says .* It holds image"
    ):
        tfds(0, dataset="no_labels", data_dir=str(data_dir))


def test_no_input(data_dir):
    with pytest.raises(
        DataError, match=r"nothing says which features are the input; name them in dataset\.inputs"
    ):
        tfds(0, dataset="numbers", data_dir=str(data_dir))


def test_another_format_than_tfrecord(own_copy):
    path = own_copy / "dataset_info.json"
    path.write_text(path.read_text().replace('"tfrecord"', '"array_record"'))
    with pytest.raises(DataError, match="is stored as array_record; prepare it as tfrecord"):
        tfds(0, dataset="pictures", data_dir=str(own_copy.parent.parent))


def test_an_image_is_no_target(data_dir, own_copy):
    set_supervised_keys(own_copy, ("image", "image"))
    with pytest.raises(DataError, match=r"its target `image` is Image uint8 \(9, 7, 3\)"):
        tfds(0, dataset="pictures", data_dir=str(own_copy.parent.parent))


def test_a_truncated_file(own_copy):
    file = next(own_copy.glob("*train.tfrecord*"))
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    source = tfds(0, dataset="pictures", data_dir=str(own_copy.parent.parent))
    with pytest.raises(DataError, match=rf"{own_copy} cannot be read: .*delete that folder"):
        source.arrays(Part.range("train", 0, 30))


def test_a_damaged_file(own_copy):
    file = next(own_copy.glob("*train.tfrecord*"))
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0xFF
    file.write_bytes(content)
    source = tfds(0, dataset="pictures", data_dir=str(own_copy.parent.parent))
    with pytest.raises(DataError, match=r"corrupted record .*delete that folder"):
        source.targets(Part.range("train", 0, 30))


def test_a_missing_file(own_copy):
    next(own_copy.glob("*train.tfrecord*")).unlink()
    source = tfds(0, dataset="pictures", data_dir=str(own_copy.parent.parent))
    with pytest.raises(DataError, match=r"No such file .*delete that folder"):
        source.targets(Part.range("train", 0, 30))


def test_fewer_examples_than_described(own_copy):
    next(own_copy.glob("*train.tfrecord*")).write_bytes(b"")
    source = tfds(0, dataset="pictures", data_dir=str(own_copy.parent.parent))
    with pytest.raises(DataError, match="`train`: the stream ends after 0 of 30 examples"):
        source.targets(Part.range("train", 0, 30))


@pytest.mark.parametrize("content", ["", "{", "[]", '{"splits": 3}'])
def test_a_damaged_description(own_copy, content):
    (own_copy / "dataset_info.json").write_text(content)
    with pytest.raises(DataError, match=r"cannot be read: .*delete that folder"):
        tfds(0, dataset="pictures", data_dir=str(own_copy.parent.parent))


def test_an_unknown_name_gets_near_ones(tmp_path):
    with pytest.raises(DataError, match=rf"no prepared `mnst` in {tmp_path}, .* did you mean `mnist`"):
        tfds(0, dataset="mnst", data_dir=str(tmp_path))


@pytest.mark.parametrize("name", ["", "a/b/c", "mnist:", ":1.0.0", "kaggle:x:1.0.0"])
def test_not_a_name(tmp_path, name):
    with pytest.raises(DataError, match="is not the name of a TFDS set"):
        tfds(0, dataset=name, data_dir=str(tmp_path))


def test_an_unknown_version(tmp_path):
    with pytest.raises(DataError, match=r"`mnist:9.9.9`: .*9.9.9"):
        tfds(0, dataset="mnist:9.9.9", data_dir=str(tmp_path))


def test_absent_data_without_download(tmp_path):
    with pytest.raises(
        DataError, match=rf"no prepared `mnist` in {tmp_path}, and dataset.download is false; point"
    ):
        tfds(0, dataset="mnist", data_dir=str(tmp_path), download=False)


def test_absent_data_without_network(tmp_path, monkeypatch):
    def refuse(address, timeout):
        raise OSError("Network is unreachable")

    monkeypatch.setattr(socket, "create_connection", refuse)
    with pytest.raises(DataError, match=r"no connection to .*; point dataset.data_dir or .* TFDS_DATA_DIR"):
        tfds(0, dataset="mnist", data_dir=str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_known_names():
    names = sources.known_names()
    assert {"mnist", "cifar10"} <= set(names)
    assert names == sorted(names)


@pytest.mark.skipif(not (Path(PREPARED) / "mnist").is_dir(), reason="no prepared mnist in TFDS_DATA_DIR")
def test_mnist_is_read_as_tfds_reads_it():
    import tensorflow_datasets as real

    source = tfds(0, dataset="mnist", download=False)
    assert source.sizes == {"train": 60_000, "test": 10_000}
    images, labels = source.arrays(Part.range("test", 100, 200))
    theirs = real.load("mnist", split="test[100:200]", batch_size=-1, download=False)
    assert (images == theirs["image"].numpy()).all()
    assert (labels == theirs["label"].numpy()).all()
