import sys
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from bigmodel_cli.contracts import Part
from bigmodel_cli.data import downloads, hugging_face_tables
from bigmodel_cli.data.hugging_face import hugging_face
from bigmodel_cli.errors import DataError

datasets = pytest.importorskip("datasets")

PIXELS = np.random.default_rng(0).integers(0, 256, (12, 6, 5, 3), np.uint8)
LABELS = np.arange(12) % 3
PART = Part("train", np.array([1, 2, 5, 9]))


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """What the library downloads and prepares goes into the test's folder."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr(datasets.config, "DOWNLOADED_DATASETS_PATH", str(tmp_path / "cache" / "downloads"))


def encoded(pixels, form="PNG"):
    stream = BytesIO()
    Image.fromarray(pixels).save(stream, form)
    return {"bytes": stream.getvalue(), "path": None}


def pictures(pixels=PIXELS, labels=LABELS, names=("cat", "dog", "owl")):
    features = {"image": datasets.Image(), "label": datasets.ClassLabel(names=list(names))}
    columns = {"image": [one if isinstance(one, dict) else encoded(one) for one in pixels], "label": labels}
    return datasets.Dataset.from_dict(columns, datasets.Features(features))


def save(path, **splits):
    datasets.DatasetDict(splits).save_to_disk(str(path))
    return str(path)


def passengers():
    numbers = range(12)
    return datasets.Dataset.from_dict(
        {
            "age": [None if i == 3 else i + 0.5 for i in numbers],
            "town": ["Rome", "Oslo", "Rome", "NA"] * 3,
            "abroad": [i % 2 == 0 for i in numbers],
            "review": [f"this was review number {i}" for i in numbers],
            "survived": [i % 3 - 1 if i % 3 else 1 for i in numbers],
        },
        datasets.Features(
            {
                "age": datasets.Value("float64"),
                "town": datasets.Value("string"),
                "abroad": datasets.Value("bool"),
                "review": datasets.Value("large_string"),
                "survived": datasets.ClassLabel(names=["no", "yes"]),
            }
        ),
    )


def test_images_with_a_class_label(tmp_path):
    source = hugging_face(
        0, path=save(tmp_path / "pets", train=pictures(), test=pictures(PIXELS[:4], LABELS[:4]))
    )
    assert source.sizes == {"train": 12, "test": 4}
    assert source.spec.name == "pets"
    assert source.spec.input.shape == (6, 5, 3)
    assert source.spec.target.names == ("cat", "dog", "owl")
    assert source.example_bytes == 6 * 5 * 3 + 4
    assert source.notes == ("the input is `image`, the only image",)
    (streamed,) = source.batches(PART).as_numpy_iterator()
    inputs, targets = source.lookup("train")(PART.indices[::-1])
    assert tuple(inputs.shape[1:]) == (6, 5, 3)
    for images, labels in (source.arrays(PART), streamed, (inputs.numpy()[::-1], targets.numpy()[::-1])):
        assert (images == PIXELS[PART.indices]).all()
        assert labels.tolist() == LABELS[PART.indices].tolist()
    assert source.targets(PART).tolist() == LABELS[PART.indices].tolist()
    assert source.values("train", "label")[:3].tolist() == ["cat", "dog", "owl"]
    with pytest.raises(DataError, match="no column `image` to divide by; it has label"):
        source.values("train", "image")


def test_a_dataset_of_one_split_and_rows_that_were_selected(tmp_path):
    chosen = pictures().select([9, 1, 5])
    chosen.save_to_disk(str(tmp_path / "a"))
    images, labels = hugging_face(0, path=str(tmp_path / "a")).arrays(Part.range("all", 0, 3))
    assert (images == PIXELS[[9, 1, 5]]).all()
    assert labels.tolist() == [0, 1, 2]


def test_sizes_and_channels_of_images(tmp_path):
    varied = [np.full((5 + i % 2, 6, 3), 100, np.uint8) for i in range(12)]
    path = save(tmp_path / "varied", train=pictures(varied))
    with pytest.raises(
        DataError, match=r"dataset.image_size: .* vary in size \(6 x 5, 6 x 6, ...\); give the"
    ):
        hugging_face(0, path=path)
    images, _ = hugging_face(0, path=path, image_size=[3, 4], channels=1).arrays(PART)
    assert images.shape == (4, 3, 4, 1)
    assert (images == 100).all()
    grey = hugging_face(0, path=save(tmp_path / "grey", train=pictures(PIXELS[..., 0])))
    assert grey.spec.input.shape == (6, 5, 1)
    assert (grey.arrays(PART)[0][..., 0] == PIXELS[PART.indices, ..., 0]).all()


def test_an_image_that_differs_from_those_looked_at(tmp_path, monkeypatch):
    monkeypatch.setattr(hugging_face_tables, "PROBED", 2)
    pixels = list(PIXELS)
    pixels[5] = pixels[5][:4]
    source = hugging_face(0, path=save(tmp_path / "a", train=pictures(pixels)))
    with pytest.raises(
        DataError, match=r"dataset.image_size: .*, train, row 5: the image is 5 x 4, others 5 x 6"
    ):
        source.arrays(PART)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        ({"bytes": b"no image", "path": None}, "row 1: the image cannot be read: cannot identify"),
        ({"bytes": encoded(PIXELS[0])["bytes"][:-60], "path": None}, "row 1: the image cannot be read: "),
        (None, "row 1: there is no image; leave such rows out"),
        (
            encoded(PIXELS[0, ..., 0].astype(np.uint16)),
            "row 1: the image is I;16, not one of 8 bits a channel",
        ),
    ],
)
def test_broken_images(tmp_path, image, message):
    features = datasets.Features({"image": datasets.Image(), "label": datasets.Value("int64")})
    images = [encoded(PIXELS[0]) if i != 1 else image for i in range(12)]
    data = datasets.Dataset.from_dict({"image": images, "label": LABELS}, features)
    with pytest.raises(DataError, match=message):
        hugging_face(0, path=save(tmp_path / "a", train=data)).arrays(PART)


def test_columns(tmp_path):
    source = hugging_face(0, path=save(tmp_path / "a", train=passengers()))
    assert [(column.name, column.kind) for column in source.spec.input.columns] == [
        ("age", "numeric"),
        ("town", "categorical"),
        ("abroad", "boolean"),
        ("review", "text"),
    ]
    assert set(source.spec.target.names) == {"no", "yes"}
    cells, labels = source.arrays(PART)
    assert cells["age"].tolist() == [1.5, 2.5, 5.5, 9.5]
    assert cells["town"].tolist() == [b"Oslo", b"Rome", b"Oslo", b"Oslo"]
    expected = ["no" if (i % 3 - 1 if i % 3 else 1) == 0 else "yes" for i in PART.indices]
    assert [source.spec.target.names[label] for label in labels] == expected
    found, _ = source.lookup("train")(PART.indices[::-1])
    assert found["review"].numpy().tolist() == cells["review"][::-1].tolist()
    only = hugging_face(
        0, path=str(tmp_path / "a"), inputs="town", target="age", task="regression", drop_missing="target"
    )
    assert only.sizes == {"train": 11}
    assert [(column.name, column.kind) for column in only.spec.input.columns] == [("town", "text")]


def test_splits_without_labels_are_left_out(tmp_path):
    blank = pictures(labels=np.full(12, -1))
    path = save(tmp_path / "a", train=pictures(), test=blank)
    source = hugging_face(0, path=path)
    assert source.sizes == {"train": 12}
    assert source.notes[0] == "left out, since they have no labels: `test`"
    with pytest.raises(DataError, match="test, row 0: `label` is missing; leave out what has no label"):
        hugging_face(0, path=path, base_splits=["train", "test"])
    with pytest.raises(DataError, match=r"dataset.base_splits: .* has no split `dev`; it has train, test"):
        hugging_face(0, path=path, base_splits=["dev"])
    with pytest.raises(DataError, match=r"no split of .* has examples with a `label`"):
        hugging_face(0, path=save(tmp_path / "b", train=blank))


def test_files_and_folders(tmp_path):
    rows = "".join(f"{i},{'ab'[i % 2]}\n" for i in range(8))
    (tmp_path / "a.csv").write_text("x,target\n" + rows)
    source = hugging_face(0, path=str(tmp_path / "a.csv"))
    assert source.sizes == {"train": 8}
    assert source.spec.target.names == ("a", "b")
    (tmp_path / "a.tsv").write_text(("x,target\n" + rows).replace(",", "\t"))
    assert hugging_face(0, path=str(tmp_path / "a.tsv")).spec.input.names == ("x",)
    folder = tmp_path / "folder"
    for number, label in enumerate("abab"):
        (folder / "train" / label).mkdir(parents=True, exist_ok=True)
        Image.fromarray(PIXELS[number]).save(folder / "train" / label / f"{number}.png")
    source = hugging_face(0, path=str(folder))
    images, labels = source.arrays(Part.range("train", 0, 4))
    by_bytes = {PIXELS[number].tobytes(): number % 2 for number in range(4)}
    assert [by_bytes[image.tobytes()] for image in images] == labels.tolist()


def test_the_fingerprint_changes_with_the_data(tmp_path):
    first = hugging_face(0, path=save(tmp_path / "a", train=pictures())).fingerprint()
    assert hugging_face(0, path=str(tmp_path / "a")).fingerprint() == first
    assert hugging_face(0, path=str(tmp_path / "a"), image_size=[4, 4]).fingerprint() != first
    assert hugging_face(0, path=save(tmp_path / "b", train=pictures(PIXELS[::-1]))).fingerprint() != first


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"target": "lable"}, r"dataset.target: .* has no feature `lable`; it holds image \(Image\), label"),
        (
            {"inputs": ["image", "label"]},
            "dataset.inputs: `image` is an image, which cannot stand beside others",
        ),
        ({"inputs": "label"}, "dataset.inputs: `label` is the target; leave it out"),
        ({"target": ["label", "label"]}, "dataset.target: `label` is named twice"),
        ({"columns": {"label": "text"}}, "dataset.columns: the input of a is an image"),
        ({"drop_missing": "any"}, "dataset.drop_missing: the input of a is an image"),
        ({"config": "small"}, "dataset.config: only a data set on the hub has it"),
        ({"dataset": "mnist"}, "give either `dataset`, a name on the hub, or `path`"),
    ],
)
def test_parameters_that_do_not_fit(tmp_path, asked, message):
    path = save(tmp_path / "a", train=pictures())
    with pytest.raises(DataError, match=message):
        hugging_face(0, path=path, **asked)


def test_more_parameters_that_do_not_fit(tmp_path):
    path = save(tmp_path / "a", train=passengers().remove_columns("survived"))
    with pytest.raises(
        DataError, match=r"dataset.target: nothing says which feature .* it holds age \(float64\)"
    ):
        hugging_face(0, path=path)
    with pytest.raises(DataError, match=r"dataset.image_size: the inputs of a are not images"):
        hugging_face(0, path=path, target="age", image_size=[2, 2])
    other = passengers().rename_column("age", "years")
    with pytest.raises(DataError, match=r"the splits of .* differ: `train` has age, .* `test` years"):
        hugging_face(0, path=save(tmp_path / "b", train=passengers(), test=other))


def test_paths_that_cannot_be_read(tmp_path):
    with pytest.raises(DataError, match=r"dataset.path: there is no file or folder .*absent"):
        hugging_face(0, path=str(tmp_path / "absent"))
    for name, content, message in (
        ("a.xls", "", r"a.xls ends in `.xls`; files that can be read end in .csv"),
        ("a.json", "{", r"a.json cannot be read: "),
        ("a.parquet", "no", r"a.parquet cannot be read: .*Parquet"),
        ("empty/readme", "", r"empty cannot be read: "),
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
        path = tmp_path / name.split("/")[0]
        with pytest.raises(DataError, match=rf"dataset.path: .*{message}"):
            hugging_face(0, path=str(path))


def test_code_that_comes_with_data_is_not_run(tmp_path):
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "own.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    with pytest.raises(DataError, match="own cannot be read: Dataset scripts are no longer supported"):
        hugging_face(0, path=str(tmp_path / "own"))
    assert not (tmp_path / "ran").exists()


def test_the_hub_out_of_reach(monkeypatch):
    import socket

    def refuse(address, timeout):
        raise OSError("Network is unreachable")

    monkeypatch.setattr(socket, "create_connection", refuse)
    for variable in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(downloads, "CONNECTION_SECONDS", 0.05)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
    with pytest.raises(
        DataError, match=r"`a/b` is not in the cache .*: no connection to huggingface.co; run once"
    ):
        hugging_face(0, dataset="a/b")
    assert datasets.config.HF_HUB_OFFLINE is False
    with pytest.raises(DataError, match=r"cannot be downloaded: dataset\.download is false"):
        hugging_face(0, dataset="a/b", download=False)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    with pytest.raises(DataError, match="cannot be downloaded: HF_HUB_OFFLINE is set"):
        hugging_face(0, dataset="a/b")


def test_without_the_library(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(
        DataError, match=r"needs the package `datasets`: pip install bigmodel-cli\[hugging-face\]"
    ):
        hugging_face(0, path="a")


def test_an_old_library_that_would_run_code(monkeypatch):
    monkeypatch.setattr(datasets, "__version__", "3.6.0")
    with pytest.raises(DataError, match=r"needs datasets 4 or later, this is 3\.6\.0"):
        hugging_face(0, path="a")


TOPICS = [[0, 2], [], [1], [2]] * 3
FLAGS = [[1, 0, 1], [0, 0, 0], [0, 1, 0], [0, 0, 1]] * 3


def with_topics(**columns):
    kinds = {"image": datasets.Image(), "text": datasets.Value("string")}
    topics = datasets.List(datasets.ClassLabel(names=["art", "law", "war"]))
    features = {**{name: kinds[name] for name in columns}, "topics": topics}
    return datasets.Dataset.from_dict({**columns, "topics": TOPICS}, datasets.Features(features))


def test_lists_of_class_labels_of_images(tmp_path):
    table = with_topics(image=[encoded(one) for one in PIXELS])
    source = hugging_face(0, path=save(tmp_path / "a", train=table))
    assert source.spec.task == "multi_label"
    assert source.spec.target.names == ("art", "law", "war")
    images, targets = source.arrays(PART)
    assert (images == PIXELS[PART.indices]).all()
    assert targets.tolist() == [FLAGS[index] for index in PART.indices]


def test_lists_of_class_labels_of_texts(tmp_path):
    path = save(tmp_path / "a", train=with_topics(text=[f"this is text number {i}" for i in range(12)]))
    source = hugging_face(0, path=path)
    assert source.spec.task == "multi_label"
    assert source.spec.target.names == ("art", "law", "war")
    assert source.targets(PART).tolist() == [FLAGS[index] for index in PART.indices]
    with pytest.raises(DataError, match=r"dataset.task: `regression`, but the target `topics` is a list"):
        hugging_face(0, path=path, task="regression")
    with pytest.raises(DataError, match="must be the only target"):
        hugging_face(0, path=path, target=["topics", "text"])
