import os
import shutil
import socket
from pathlib import Path

import numpy as np
import pytest

from bigmodel_cli.contracts import Piece
from bigmodel_cli.data import tfds as sources
from bigmodel_cli.data.splits import describe, split
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
    read, labels = source.arrays(Piece("train", 0, 30))
    assert read.dtype == np.uint8
    assert labels.dtype == np.int32
    # TFDS shuffles when it writes: compare as sets of bytes.
    assert {image.tobytes() for image in read} < {image.tobytes() for image in images}
    by_bytes = {image.tobytes(): i % 3 for i, image in enumerate(images)}
    assert [by_bytes[image.tobytes()] for image in read] == labels.tolist()


def test_every_way_of_reading_a_piece_agrees(data_dir):
    source = tfds(0, dataset="pictures", data_dir=str(data_dir))
    images, labels = source.arrays(Piece("train", 0, 30))
    piece = Piece("train", 7, 19)
    assert (source.arrays(piece)[0] == images[7:19]).all()
    assert (source.targets(piece) == labels[7:19]).all()
    stream = source.examples(piece)
    assert stream.cardinality().numpy() == 12
    streamed = list(stream.as_numpy_iterator())
    assert (np.stack([image for image, _ in streamed]) == images[7:19]).all()
    assert [label for _, label in streamed] == labels[7:19].tolist()
    assert source.targets(Piece("train", 3, 3)).shape == (0,)


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
    images, _ = source.arrays(Piece("train", 0, 30))
    assert images.shape == (30, 8, 12, 3)
    assert images.dtype == np.uint8
    # Resized noise keeps its mean.
    assert 110 < images.mean() < 145


def test_numbers_as_input(data_dir, tmp_path):
    folder = Path(shutil.copytree(data_dir / "numbers" / "1.0.0", tmp_path / "numbers" / "1.0.0"))
    set_supervised_keys(folder, ("x", "label"))
    source = tfds(0, dataset="numbers", data_dir=str(tmp_path))
    assert source.spec.input.names == ("x_0", "x_1", "x_2", "x_3")
    inputs, _ = source.arrays(Piece("train", 0, 30))
    numbers = np.load(data_dir / "numbers.npy")
    assert {tuple(row) for row in inputs.tolist()} < {tuple(row) for row in numbers.tolist()}
    with pytest.raises(DataError, match="inputs of `numbers` are not images"):
        tfds(0, dataset="numbers", data_dir=str(tmp_path), image_size=[8, 8])


def test_a_number_as_target_is_a_regression(data_dir, tmp_path):
    folder = Path(shutil.copytree(data_dir / "numbers" / "1.0.0", tmp_path / "numbers" / "1.0.0"))
    set_supervised_keys(folder, ("x", "x"))
    source = tfds(0, dataset="numbers", data_dir=str(tmp_path))
    assert source.spec.task == "regression"
    inputs, targets = source.arrays(Piece("train", 0, 30))
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
    inputs, labels = source.arrays(Piece("train", 0, 8))
    assert sorted(inputs.tolist()) == [[10 * i, i] for i in range(8)]
    assert (inputs[:, 1] % 2 == labels).all()
    with pytest.raises(DataError, match=r"its input `x` is FeaturesDict\. It holds .*ClassLabel int64 \(\)"):
        store("classes", types | {"a": features.ClassLabel(num_classes=80)})


@pytest.mark.parametrize("name", ["no_labels", "numbers"])
def test_no_pair_of_input_and_label(data_dir, name):
    with pytest.raises(
        DataError, match=rf"`{name}` cannot be used for training: it has no pair .* It holds "
    ):
        tfds(0, dataset=name, data_dir=str(data_dir))


def test_an_image_is_no_target(data_dir, own_copy):
    set_supervised_keys(own_copy, ("image", "image"))
    with pytest.raises(DataError, match=r"its target `image` is Image uint8 \(9, 7, 3\)"):
        tfds(0, dataset="pictures", data_dir=str(own_copy.parent.parent))


def test_a_truncated_file(own_copy):
    file = next(own_copy.glob("*train.tfrecord*"))
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    source = tfds(0, dataset="pictures", data_dir=str(own_copy.parent.parent))
    with pytest.raises(DataError, match=rf"{own_copy} cannot be read: .*delete that folder"):
        source.arrays(Piece("train", 0, 30))


def test_a_damaged_file(own_copy):
    file = next(own_copy.glob("*train.tfrecord*"))
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0xFF
    file.write_bytes(content)
    source = tfds(0, dataset="pictures", data_dir=str(own_copy.parent.parent))
    with pytest.raises(DataError, match=r"corrupted record .*delete that folder"):
        source.targets(Piece("train", 0, 30))


def test_a_missing_file(own_copy):
    next(own_copy.glob("*train.tfrecord*")).unlink()
    source = tfds(0, dataset="pictures", data_dir=str(own_copy.parent.parent))
    with pytest.raises(DataError, match=r"No such file .*delete that folder"):
        source.targets(Piece("train", 0, 30))


def test_fewer_examples_than_described(own_copy):
    next(own_copy.glob("*train.tfrecord*")).write_bytes(b"")
    source = tfds(0, dataset="pictures", data_dir=str(own_copy.parent.parent))
    with pytest.raises(DataError, match="`train` ends after 0 of 30 examples"):
        source.targets(Piece("train", 0, 30))


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


def test_a_host_that_never_answers_is_not_waited_for(monkeypatch):
    import threading

    silence = threading.Event()

    def refuse():
        silence.wait(30)
        raise OSError

    monkeypatch.setattr(sources, "CONNECTION_SECONDS", 0.05)
    monkeypatch.setattr(socket, "create_connection", lambda address, timeout: refuse())
    for variable in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    assert sources._unreachable({"https://example.org/data.zip": None}) == "example.org"
    silence.set()


def test_the_proxy_is_what_must_answer(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{server.getsockname()[1]}")
        assert sources._unreachable({"https://example.org/data.zip": None}) is None


def test_known_names():
    names = sources.known_names()
    assert {"mnist", "cifar10"} <= set(names)
    assert names == sorted(names)


@pytest.mark.skipif(not (Path(PREPARED) / "mnist").is_dir(), reason="no prepared mnist in TFDS_DATA_DIR")
def test_mnist_is_read_as_tfds_reads_it():
    import tensorflow_datasets as real

    source = tfds(0, dataset="mnist", download=False)
    assert source.sizes == {"train": 60_000, "test": 10_000}
    data = split(source, splits=None, validation_fraction=0.2, test_fraction=0.1, limit=None, seed=0)
    assert describe(source, data).sizes == {"train": 48_000, "validation": 12_000, "test": 10_000}
    images, labels = source.arrays(Piece("test", 100, 200))
    theirs = real.load("mnist", split="test[100:200]", batch_size=-1, download=False)
    assert (images == theirs["image"].numpy()).all()
    assert (labels == theirs["label"].numpy()).all()
