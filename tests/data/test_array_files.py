import os

import numpy as np
import pytest

from bigmodel_cli.contracts import Part
from bigmodel_cli.data.array_files import npz
from bigmodel_cli.errors import DataError

IMAGES = np.random.default_rng(0).integers(0, 256, (20, 5, 6, 3), np.uint8)
LABELS = np.arange(20) % 4
PART = Part("all", np.array([2, 3, 11, 19]))


def check(source, images=IMAGES, labels=LABELS, part=PART):
    """Every way of reading gives the examples."""
    expected = images[part.indices], labels[part.indices]
    read = source.arrays(part)
    (streamed,) = source.batches(part).as_numpy_iterator()
    order = part.indices[::-1]
    inputs, targets = source.lookup(part.base)(order)
    assert tuple(inputs.shape[1:]) == source.spec.input.shape
    for found in (read, streamed, (inputs.numpy()[::-1], targets.numpy()[::-1])):
        assert found[0].dtype == source.spec.input.dtype
        assert (found[0] == expected[0]).all()
        assert (found[1] == expected[1]).all()
    assert (source.targets(part) == expected[1]).all()


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("names", [("x", "y"), ("images", "labels"), ("arr_0", "arr_1"), ("X", "target")])
def test_an_npz_file(tmp_path, save, names):
    save(tmp_path / "a.npz", **dict(zip(names, (IMAGES, LABELS), strict=True)))
    source = npz(0, path=str(tmp_path / "a.npz"))
    assert source.sizes == {"all": 20}
    assert (source.spec.name, source.spec.origin) == ("a", "a.npz")
    assert source.example_bytes == 5 * 6 * 3 + 4
    check(source)
    whole, _ = source.arrays(Part.range("all", 0, 20))
    assert (whole == IMAGES).all()
    whole[0] = 0


def test_uncompressed_files_are_not_loaded(tmp_path):
    grey = np.asfortranarray(IMAGES[..., 0])
    np.savez(tmp_path / "a.npz", x=IMAGES.astype(np.float64), y=LABELS, other=grey)
    source = npz(0, path=str(tmp_path / "a.npz"))
    inputs, _ = source._bases["all"]
    assert isinstance(inputs, np.memmap)
    assert inputs.dtype == np.float64
    assert source.spec.input.dtype == "float32"
    assert source.example_bytes == 4 * 5 * 6 * 3 + 4
    check(source)
    source = npz(0, path=str(tmp_path / "a.npz"), inputs="other", targets="y")
    check(source, images=IMAGES[..., :1])


def test_a_pair_of_npy_files(tmp_path):
    np.save(tmp_path / "pixels.npy", IMAGES)
    np.save(tmp_path / "classes.npy", LABELS)
    source = npz(0, path={"inputs": str(tmp_path / "pixels.npy"), "targets": str(tmp_path / "classes.npy")})
    assert isinstance(source._bases["all"][0], np.memmap)
    assert source.spec.origin == "pixels.npy and 1 more"
    check(source)


@pytest.mark.parametrize(
    "names",
    [
        ("x_train", "y_train", "x_test", "y_test"),
        ("train_images", "train_labels", "test_images", "test_labels"),
    ],
)
def test_several_splits_in_one_file(tmp_path, names):
    arrays = dict(zip(names, (IMAGES[:12], LABELS[:12], IMAGES[12:], LABELS[12:]), strict=True))
    np.savez(tmp_path / "a.npz", **arrays)
    source = npz(0, path=str(tmp_path / "a.npz"))
    assert source.sizes == {"train": 12, "test": 8}
    check(source, IMAGES[12:], LABELS[12:], Part("test", np.array([1, 7])))


def test_a_file_for_each_split(tmp_path):
    np.savez(tmp_path / "a.npz", pixels=IMAGES[:12], y=LABELS[:12])
    np.savez(tmp_path / "b.npz", pixels=IMAGES[12:], y=LABELS[12:])
    paths = {"train": str(tmp_path / "a.npz"), "test": str(tmp_path / "b.npz")}
    source = npz(0, path=paths, inputs="pixels")
    assert source.sizes == {"train": 12, "test": 8}
    np.save(tmp_path / "x.npy", IMAGES[12:])
    np.save(tmp_path / "y.npy", LABELS[12:])
    paths["test"] = {"inputs": str(tmp_path / "x.npy"), "targets": str(tmp_path / "y.npy")}
    source = npz(0, path=paths, inputs="pixels")
    check(source, IMAGES[12:], LABELS[12:], Part("test", np.array([0, 5])))


def test_what_the_config_says(tmp_path):
    np.savez(tmp_path / "a.npz", x=IMAGES, y=LABELS)
    path = str(tmp_path / "a.npz")
    assert npz(0, path=path, class_names=list("abcd")).spec.target.names == ("a", "b", "c", "d")
    source = npz(0, path=path, kind="tabular", task="regression")
    assert (source.spec.input.kind, source.spec.task) == ("tabular", "regression")
    check(source, labels=LABELS[:, np.newaxis])


def test_the_fingerprint_changes_with_the_file(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, x=IMAGES, y=LABELS)
    first = npz(0, path=str(path)).fingerprint()
    assert npz(0, path=str(path)).fingerprint() == first
    assert npz(0, path=str(path), kind="tabular").fingerprint() != first
    os.utime(path, (1, 1))
    assert npz(0, path=str(path)).fingerprint() != first


def test_values_to_split_by(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.arange(40.0).reshape(20, 2), y=LABELS)
    source = npz(0, path=str(tmp_path / "a.npz"))
    assert source.values("all", "x1").tolist() == list(range(1, 40, 2))
    with pytest.raises(DataError, match=r"dataset.split_by: a has no column `x2` .* it has x0, x1"):
        source.values("all", "x2")


@pytest.mark.parametrize(
    ("arrays", "asked", "message"),
    [
        (
            {"a": IMAGES, "b": LABELS},
            {},
            r"for inputs and targets; it holds a \(uint8 \(20, 5, 6, 3\)\)",
        ),
        (
            {"x": IMAGES, "y": LABELS},
            {"inputs": "z"},
            r"for inputs `z` and targets; it holds x \(uint8",
        ),
        (
            {"x": IMAGES, "images": IMAGES, "y": LABELS},
            {},
            "`x` and `images` could both be the inputs",
        ),
        (
            {"x_train": IMAGES, "y_train": LABELS, "x_test": IMAGES},
            {},
            "has `x_test`, but no targets for that split",
        ),
        ({"x": IMAGES, "y": LABELS[:7]}, {}, "20 inputs and 7 targets"),
        ({}, {}, "it holds nothing"),
    ],
)
def test_arrays_that_do_not_fit(tmp_path, arrays, asked, message):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(DataError, match=message):
        npz(0, path=str(tmp_path / "a.npz"), **asked)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_pickles_are_never_read(tmp_path, save):
    save(tmp_path / "a.npz", x=np.array([{}] * 20), y=LABELS)
    with pytest.raises(DataError, match=r"a.npz holds Python objects \(pickles\), which are never read"):
        npz(0, path=str(tmp_path / "a.npz"))
    np.save(tmp_path / "x.npy", np.array([{}] * 20))
    with pytest.raises(DataError, match=r"x.npy holds Python objects \(pickles\), which are never read"):
        npz(0, path={"inputs": str(tmp_path / "x.npy"), "targets": str(tmp_path / "x.npy")})


def test_paths_that_cannot_be_used(tmp_path):
    np.savez(tmp_path / "a.npz", x_train=IMAGES, y_train=LABELS)
    np.save(tmp_path / "x.npy", IMAGES)
    a, x, absent = (str(tmp_path / name) for name in ("a.npz", "x.npy", "absent.npz"))
    for path, message in (
        (absent, "there is no file .*absent.npz"),
        ({"inputs": absent, "targets": absent}, "there is no file .*absent.npz"),
        (x, r"x.npy is no .npz file; give .npy files as a pair: `path: \{inputs: x.npy, targets: y.npy\}`"),
        ({"inputs": a, "targets": a}, "a.npz is no .npy file; give .npz files alone"),
        ({"inputs": x}, "not with the keys inputs"),
        ({"train": {"x": x}}, "not with the keys x"),
        ({"train": a}, r"a.npz has splits of its own \(train\); give it alone"),
    ):
        with pytest.raises(DataError, match=f"dataset.path: .*{message}"):
            npz(0, path=path)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("name", ["a.npz", "x.npy"])
def test_damaged_files(tmp_path, save, name):
    if name == "a.npz":
        save(tmp_path / name, x=IMAGES, y=LABELS)
        path = str(tmp_path / name)
    else:
        np.save(tmp_path / name, IMAGES)
        path = {"inputs": str(tmp_path / name), "targets": str(tmp_path / name)}
    content = bytearray((tmp_path / name).read_bytes())
    content[60:70] = bytes(10)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=rf"{name} cannot be read: .*; it is damaged: write it again"):
        npz(0, path=path)
