"""A class for each pixel, from the config to the comparison of runs."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

TEXT = """\
name: masks
dataset:
  name: shapes
  examples: 80
  image_size: [16, 24]
  augment: [{name: random_flip}, {name: random_rotation, probability: 0.5}]
model: {name: unet, depth: 1, filters: 4}
optimizer: {name: adam, learning_rate: 0.02}
training: {epochs: 2, batch_size: 16, tensorboard: false}
"""
NAMES = ["background", "circle", "square", "triangle"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the runs `a` and `b`, both evaluated, and with images."""
    from bigmodel_cli.cli import main

    folder, before = tmp_path_factory.mktemp("masks"), Path.cwd()
    os.chdir(folder)
    try:
        Path("masks.yaml").write_text(TEXT)
        for arguments in (
            ("train", "masks.yaml", "--run-dir", "a", "--quiet"),
            ("train", "masks.yaml", "--run-dir", "b", "--quiet", "loss=dice", "training.epochs=1"),
            ("evaluate", "a", "--json"),
            ("evaluate", "b", "--json"),
        ):
            main(list(arguments))
        Path("new").mkdir()
        random = np.random.default_rng(0)
        for name, size in (("x.png", (16, 24)), ("y.png", (32, 40))):
            Image.fromarray(random.integers(0, 256, (*size, 3), np.uint8)).save(f"new/{name}")
    finally:
        os.chdir(before)
    return folder


@pytest.fixture
def user(bigmodel, folder, monkeypatch):
    """`bigmodel` in the folder of the runs."""
    monkeypatch.chdir(folder)
    return bigmodel


def test_validate_summary_and_data(user, tmp_path):
    assert user("validate", "--build", "masks.yaml").exit_code == 0
    assert "16x24x4" in user("summary", "masks.yaml").stdout
    done = user("data", "masks.yaml", "--no-speed", "-o", tmp_path / "report")
    assert done.exit_code == 0, done.stderr
    assert "train pixels" in done.stdout
    assert (tmp_path / "report" / "samples.png").stat().st_size > 5000


@pytest.fixture(scope="module")
def test_images(folder):
    """The images and masks of the test split of `a`, in a folder `known`, and as `known.npz`."""
    from bigmodel_cli import assembly
    from bigmodel_cli.rundir import Run

    images, masks = assembly.restored_data(assembly.restore(Run(folder / "a"))).splits["test"].arrays()
    for name, arrays in (("images", images), ("masks", masks)):
        (folder / "known" / name).mkdir(parents=True)
        for place, array in enumerate(arrays):
            Image.fromarray(array).save(folder / "known" / name / f"{place}.png")
    np.savez(folder / "known.npz", inputs=images, targets=masks)


@pytest.mark.usefixtures("test_images")
@pytest.mark.parametrize("path", ["known", "known.npz"])
def test_new_images_with_masks_are_measured_as_a_split(user, folder, path, monkeypatch):
    from bigmodel_cli import assembly

    # Nothing of the data of training is needed.
    monkeypatch.setattr(assembly, "restored_data", None)
    done = user("evaluate", "a", "--data", path, "--json")
    assert done.exit_code == 0, done.stderr
    found = json.loads(done.stdout)
    split = json.loads((folder / "a/evaluation/test/metrics.json").read_text())
    for name, score in split["scores"].items():
        # Another order of the images sums and resamples otherwise.
        assert found["scores"][name]["value"] == pytest.approx(score["value"], rel=1e-9), name
    assert (np.array(found["confusion"]) == split["confusion"]).all()
    assert (found["split"][:10], found["data"]["read"]) == ("data-known", split["examples"])
    assert (folder / "a/evaluation" / found["split"] / "worst.png").stat().st_size > 5000


@pytest.mark.usefixtures("test_images")
def test_new_masks_are_read_as_those_of_training(user, folder):
    """With the folders, colours and what is ignored as the config named them."""
    (folder / "coloured" / "photos").mkdir(parents=True)
    (folder / "coloured" / "painted").mkdir()
    random = np.random.default_rng(0)
    for place in range(12):
        pixels = random.integers(0, 256, (16, 24, 3), np.uint8)
        Image.fromarray(pixels).save(folder / "coloured" / "photos" / f"{place}.png")
        mask = np.array([[0, 0, 0], [255, 0, 0], [9, 9, 9]], np.uint8)[random.integers(0, 3, (16, 24))]
        Image.fromarray(mask).save(folder / "coloured" / "painted" / f"{place}.png")
    (folder / "coloured.yaml").write_text(
        "dataset:\n  name: segmentation_folder\n  path: coloured\n  images: photos\n  masks: painted\n"
        "  colors: {ground: [0, 0, 0], thing: [255, 0, 0], ignore: [9, 9, 9]}\n"
        "model: {name: unet, depth: 1, filters: 4}\n"
        "training: {epochs: 1, batch_size: 4, tensorboard: false}\n"
    )
    done = user("train", "coloured.yaml", "--run-dir", "c", "--quiet")
    assert done.exit_code == 0, done.stderr
    done = user("evaluate", "c", "--data", "coloured", "--json")
    assert done.exit_code == 0, done.stderr
    found = json.loads(done.stdout)
    assert [item["name"] for item in found["classes"]] == ["ground", "thing"]
    assert found["examples"] == 12
    # A third of the pixels is ignored.
    assert 0.6 < found["pixels"] / (12 * 16 * 24) < 0.73


@pytest.mark.usefixtures("test_images")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--data", "new"), "--data new: new: needs the folders `images` and `masks`"),
        (("--data", "masks.yaml"), "--data masks.yaml: masks of new data are read from a folder with"),
        (("--data", "known", "--data", "known.npz"), "are measured from one path at a time"),
        (("--data", "known", "--target", "x"), "--target x: masks have no columns; leave it out"),
        (("--data", "small.npz"), "--data small.npz: has images of 8x8x3, but the model takes 16x24x3"),
        (("--data", "more.npz"), "the mask of example 0 has the value 9"),
    ],
)
def test_new_data_that_does_not_fit(user, options, message):
    np.savez(
        "small.npz", inputs=np.zeros((2, 8, 8, 3), np.uint8), targets=np.eye(8, dtype=int)[None].repeat(2, 0)
    )
    masks = np.full((2, 16, 24), 9)
    np.savez("more.npz", inputs=np.zeros((2, 16, 24, 3), np.uint8), targets=masks)
    done = user("evaluate", "a", *options)
    assert (done.exit_code, done.stdout) == (2, "")
    assert message in done.stderr


def test_evaluation(folder):
    document = json.loads((folder / "a/evaluation/test/metrics.json").read_text())
    assert document["task"] == "segmentation"
    assert [item["name"] for item in document["classes"]] == NAMES
    assert document["pixels"] == document["examples"] * 16 * 24 == np.sum(document["confusion"])
    assert set(document["baseline"]["scores"]) == set(document["scores"])
    names = ("classes", "confusion_matrix", "confusion_matrix_normalised", "predictions", "worst")
    assert document["pictures"] == [f"{name}.png" for name in names]
    for name in document["pictures"]:
        assert (folder / "a/evaluation/test" / name).stat().st_size > 5000
    scores = [item["score"] for item in document["worst_examples"]]
    assert scores == sorted(scores)
    assert "NaN" not in json.dumps(document)


def test_the_metrics_are_those_of_the_predicted_masks(user, folder, tmp_path):
    from sklearn.metrics import jaccard_score

    path = tmp_path / "p.npz"
    assert user("predict", "a", "-o", path).exit_code == 0
    arrays = np.load(path)
    assert arrays["classes"].tolist() == NAMES
    true, found = arrays["target"], arrays["prediction"]
    assert true.shape == found.shape == (16, 16, 24)
    document = json.loads((folder / "a/evaluation/test/metrics.json").read_text())
    expected = jaccard_score(true.ravel(), found.ravel(), average="macro", zero_division=0)
    assert document["scores"]["mean_iou"]["value"] == pytest.approx(expected, abs=1e-6)


def test_evaluate_report_card_and_runs(user, folder):
    done = user("evaluate", "a", "--split", "validation")
    assert done.exit_code == 0, done.stderr
    assert "frequency weighted iou" in done.stdout
    assert all(name in done.stdout for name in NAMES)
    assert "Classes of pixels" in (folder / "a/report.html").read_text()
    assert "| | pixels | precision | recall | IoU |" in (folder / "a/model_card.md").read_text()
    assert user("runs", "--json").exit_code == 0


def test_prediction_of_new_images(user, tmp_path):
    path = tmp_path / "p.csv"
    done = user("predict", "a", "new/x.png", "-o", path, "--annotate", tmp_path / "shown")
    assert done.exit_code == 0, done.stderr
    (row,) = csv.DictReader(path.read_text().splitlines())
    assert list(row) == ["id", *(f"share_{name}" for name in NAMES)]
    assert sum(float(row[f"share_{name}"]) for name in NAMES) == pytest.approx(1)
    (file,) = (tmp_path / "p_masks").iterdir()
    with Image.open(file) as mask:
        assert (mask.mode, mask.size) == ("P", (24, 16))
        values = np.asarray(mask)
    counts = np.bincount(values.ravel(), minlength=4) / values.size
    assert [float(row[f"share_{name}"]) for name in NAMES] == pytest.approx(counts.tolist())
    (shown,) = (tmp_path / "shown").iterdir()
    with Image.open(shown) as image:
        assert image.size[0] >= 160


def test_known_masks_give_scores_and_json_needs_no_folder(user, folder):
    done = user("predict", "a", "--json", "--limit", "3")
    rows = json.loads(done.stdout)["predictions"]
    assert len(rows) == 3
    assert all(0 <= row["mean_iou"] <= row["pixel_accuracy"] <= 1 for row in rows)
    assert not list(folder.rglob("*_masks"))


def test_runs_are_compared(user, folder):
    done = user("compare", "a", "b", "--json")
    assert done.exit_code == 0, done.stderr
    (paired,) = json.loads(done.stdout)["paired"]
    found = [
        json.loads((folder / run / "evaluation/test/metrics.json").read_text())["scores"] for run in "ab"
    ]
    tests = {test["metric"]: test for test in paired["tests"]}
    assert {"mean_iou", "mean_dice", "pixel_accuracy", "loss"} <= set(tests)
    for name, test in tests.items():
        assert test["method"] == "paired bootstrap"
        assert test["difference"] == pytest.approx(
            found[1][name]["value"] - found[0][name]["value"], abs=1e-6
        )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("predict", "a", "--top-k", "2"), "--top-k: is not there for masks"),
        (("predict", "a", "--probabilities"), "--probabilities: are not written for masks"),
        (("predict", "a", "--tta", "2"), "--tta: masks of moved images"),
        (("predict", "a", "--explain", "grad_cam"), "--explain: explains one prediction"),
        (("evaluate", "a", "--by", "class"), "--by class: an image has several classes"),
        (("train", "masks.yaml", "model={name: cnn}"), "use `unet`"),
        (("train", "masks.yaml", "model.depth=4"), "divisible by 16"),
        (("train", "masks.yaml", "dataset.augment=[{name: mix_up}]"), "augment[0]: `mix_up` mixes images"),
        (("train", "masks.yaml", "dataset.augment=[{name: rand_augment}]"), "the mask would stay behind"),
        (("train", "masks.yaml", "dataset.class_weights=balanced"), "dataset.class_weights: are for"),
    ],
)
def test_what_does_not_fit(arguments, message, user):
    done = user(*arguments)
    assert done.exit_code == 2
    assert message in done.stderr


def test_ensembles(user, tmp_path):
    assert user("predict", "a", "--ensemble", "b", "-o", tmp_path / "p.csv", "--limit", "2").exit_code == 0
