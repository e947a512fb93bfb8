"""Autoencoders from the config to the report."""

from __future__ import annotations

import csv
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

CONFIG = """\
name: digits
dataset: {name: digits, limit: 300}
model: {name: vae, latent: 2, filters: [4], dense: [8]}
optimizer: {name: adam, learning_rate: 0.01}
training: {epochs: 2, batch_size: 32, precision: float32, tensorboard: false}
"""
PLAIN = CONFIG.replace("name: vae, latent: 2", "name: autoencoder, latent: 3")
WINE = """\
name: wine
dataset: wine
model: {name: vae, latent: 2, dense: [8]}
training: {epochs: 2, batch_size: 32, tensorboard: false}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with evaluated runs: `vae` and `plain` of images, `wine` of vectors."""
    from bigmodel_cli.cli import main
    from bigmodel_cli.evaluation import reconstruction_pictures

    folder, before = tmp_path_factory.mktemp("autoencoders"), Path.cwd()
    os.chdir(folder)
    try:
        with pytest.MonkeyPatch.context() as patch:
            # Drawing is half of the time; of each picture a few images do.
            patch.setattr(reconstruction_pictures, "RECONSTRUCTED", 3)
            for name, text in (("vae", CONFIG), ("plain", PLAIN), ("wine", WINE)):
                Path(f"{name}.yaml").write_text(text)
                main(["train", f"{name}.yaml", "--run-dir", name, "--quiet"])
                main(["evaluate", name, "--json", *(["--by", "class"] if name == "vae" else [])])
    finally:
        os.chdir(before)
    return folder


@pytest.fixture
def user(bigmodel, folder, monkeypatch):
    """`bigmodel` in the folder of the runs."""
    monkeypatch.chdir(folder)
    return bigmodel


def measured(folder, run):
    return json.loads((folder / run / "evaluation/test/metrics.json").read_text())


def test_loss_is_the_sum_of_its_parts(folder):
    for line in (folder / "vae/metrics.jsonl").read_text().splitlines():
        record = json.loads(line)
        for prefix in ("", "val_"):
            parts = record[f"{prefix}reconstruction"] + record[f"{prefix}kl"]
            assert record[f"{prefix}loss"] == pytest.approx(parts, rel=1e-4)


class TestEvaluation:
    def test_scores(self, folder):
        found = measured(folder, "vae")
        assert found["task"] == "reconstruction"
        assert list(found["scores"]) == [
            "rmse", "mse", "mae", "explained_variance", "negative_elbo", "negative_log_likelihood", "kl",
            "probe_accuracy",
        ]  # fmt: skip
        value = {name: score["value"] for name, score in found["scores"].items()}
        assert value["rmse"] ** 2 == pytest.approx(value["mse"])
        bound = value["negative_log_likelihood"] + value["kl"]
        assert value["negative_elbo"] == pytest.approx(bound)
        assert found["scores"]["mse"]["low"] < value["mse"] < found["scores"]["mse"]["high"]

    def test_mean_and_principal_components_stand_beside(self, folder):
        """Both are those of scikit-learn, on the same split."""
        from sklearn.decomposition import PCA

        from bigmodel_cli import assembly
        from bigmodel_cli.rundir import find

        found = measured(folder, "plain")
        data = assembly.restored_data(assembly.restore(find(folder / "plain")))
        train, test = (data.splits[name].arrays()[0].reshape(-1, 64) / 255 for name in ("train", "test"))
        baseline, linear = (found[name]["scores"] for name in ("baseline", "linear_baseline"))
        assert baseline["mse"] == pytest.approx(((test - train.mean(axis=0)) ** 2).mean(), rel=1e-5)
        assert baseline["explained_variance"] == pytest.approx(0)
        components = PCA(3).fit(train)
        error = components.inverse_transform(components.transform(test)) - test
        assert linear["mse"] == pytest.approx((error**2).mean(), rel=1e-4)

    def test_predictions_and_errors_are_those_of_the_restored_model(self, folder):
        from pyarrow import parquet

        from bigmodel_cli import assembly
        from bigmodel_cli.rundir import find

        restored = assembly.restore(find(folder / "plain"))
        images = assembly.restored_data(restored).splits["test"].arrays()[0]
        error = (restored.predict(images) - images) / 255
        table = parquet.read_table(folder / "plain/evaluation/test/predictions.parquet")
        np.testing.assert_allclose(table["mse"], (error**2).mean(axis=(1, 2, 3)), rtol=1e-4)
        assert {"id", "mae", "target", "latent_0", "latent_2"} <= set(table.column_names)

    def test_pictures(self, folder):
        both = {"reconstructions.png", "worst_reconstructions.png", "latents.png"}
        assert set(measured(folder, "plain")["pictures"]) == both
        assert set(measured(folder, "vae")["pictures"]) == {*both, "samples.png", "manifold.png"}
        assert measured(folder, "wine")["pictures"] == ["latents.png"]
        for name in measured(folder, "vae")["pictures"]:
            with Image.open(folder / "vae/evaluation/test" / name) as image:
                assert min(image.size) > 300

    def test_groups(self, folder):
        (found,) = measured(folder, "vae")["groups"]
        assert (found["by"], found["metric"], len(found["groups"])) == ("class", "rmse", 10)

    def test_worst_vectors_say_which_feature(self, folder):
        worst = measured(folder, "wine")["worst_examples"]
        assert [item["score"] for item in worst] == sorted((item["score"] for item in worst), reverse=True)
        assert all(" (true " in item["prediction"] and item["target"] and item["input"] for item in worst)

    def test_report_and_card(self, folder):
        report = (folder / "vae/report.html").read_text()
        assert "reconstruction, 64 values" in report
        assert "each place of the two latents" in report and "principal components" in report
        assert "Task: reconstruction, 64 values\n" in (folder / "vae/model_card.md").read_text()

    @pytest.mark.parametrize("name", ["vae", "wine"])
    def test_new_inputs_are_measured_as_a_split(self, user, folder, name):
        from bigmodel_cli import assembly
        from bigmodel_cli.rundir import Run

        inputs, _ = assembly.restored_data(assembly.restore(Run(folder / name))).splits["test"].arrays()
        np.savez(f"{name}.npz", inputs=inputs)
        done = user("evaluate", name, "--data", f"{name}.npz", "--json")
        assert done.exit_code == 0, done.stderr
        found, split = json.loads(done.stdout), measured(folder, name)
        assert found["scores"].keys() == split["scores"].keys() - {"probe_accuracy"}
        for score in found["scores"]:
            assert found["scores"][score] == split["scores"][score], score
        assert "no probe: new data comes without classes that the latents could tell apart" in found["notes"]
        assert (folder / name / "evaluation" / found["split"] / "latents.png").stat().st_size > 5000

    def test_new_inputs_need_the_data_of_training(self, user, folder, tmp_path):
        np.savez(tmp_path / "x.npz", inputs=np.zeros((5, 8, 8), np.uint8))
        config = (folder / "plain/config.yaml").read_text()
        shutil.copytree("plain", tmp_path / "moved")
        (tmp_path / "moved/config.yaml").write_text(config.replace("limit: 300", "limit: 200"))
        done = user("evaluate", tmp_path / "moved", "--data", tmp_path / "x.npz")
        assert (done.exit_code, done.stdout) == (2, "")
        assert "which cannot be read here; bring the data back" in done.stderr


class TestPrediction:
    def test_csv_and_picture(self, user, folder):
        result = user("predict", "vae", "--limit", "5")
        assert result.exit_code == 0, result.stderr
        assert "reconstructions.png" in result.stdout
        with (folder / "vae/predictions/predictions.csv").open() as file:
            rows = list(csv.DictReader(file))
        assert list(rows[0]) == ["id", "rmse", "latent_0", "latent_1", "target"]
        assert len(rows) == 5 and 0 < float(rows[0]["rmse"]) < 1

    def test_npz_holds_the_reconstructions(self, user, folder):
        assert user("predict", "plain", "--limit", "4", "--output", "p.npz").exit_code == 0
        with np.load(folder / "p.npz") as found:
            assert found["latents"].shape == (4, 3)
            given = found["reconstruction"]
            assert given.shape == (4, 8, 8, 1) and given.min() >= 0 and 1 < given.max() <= 255

    def test_new_inputs_and_annotation(self, user, folder):
        pixels = np.random.default_rng(0).integers(0, 256, (8, 8)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / "new.png")
        result = user("predict", "plain", "new.png", "--annotate", "shown", "--json")
        assert result.exit_code == 0, result.stderr
        (row,) = json.loads(result.stdout)["predictions"]
        assert set(row) == {"id", "rmse", "latent_0", "latent_1", "latent_2"}
        with Image.open(next((folder / "shown").glob("*.png"))) as image:
            # The image and what comes back, side by side.
            assert image.width > 1.5 * image.height

    def test_vectors(self, user):
        numbers = "13,2,2.4,20,100,2,2,0.3,1.5,5,1,2.6,750"
        result = user("predict", "wine", numbers, "--json")
        assert result.exit_code == 0, result.stderr
        assert json.loads(result.stdout)["predictions"][0]["rmse"] > 0

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (["--logits"], "a reconstruction has none"),
            (["--top-k", "2"], "a reconstruction has none"),
            (["--probabilities"], "are not written for reconstructions"),
            (["--calibrated"], "is for reconstruction"),
            (["--threshold", "0.5"], "is for reconstruction"),
            (["--embeddings"], "its latents, which are written anyway"),
            (["--tta", "2"], "no mean that means anything"),
            (["--ensemble", "vae"], "no mean that means anything"),
            (["--explain", "occlusion"], "a reconstruction is neither"),
        ],
    )
    def test_options_of_other_tasks_are_refused(self, user, options, message):
        result = user("predict", "vae", "--output", "q.csv", *options)
        assert result.exit_code == 2
        assert message in result.stderr


def test_other_commands(user):
    result = user("compare", "vae", "plain", "--json")
    assert result.exit_code == 0, result.stderr
    (paired,) = json.loads(result.stdout)["paired"]
    tested = {item["metric"] for item in paired["tests"]}
    assert {"rmse", "mse", "mae", "explained_variance"} == tested
    assert user("runs", ".").exit_code == 0
    # The data has its classes, whatever the model learns.
    result = user("data", "vae.yaml", "--no-speed", "--no-duplicates")
    assert result.exit_code == 0, result.stderr
    assert "classification" in result.stdout


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("dataset={name: csv, path: t.csv, target: y}", "2 table columns"),
        ("model.beta=0", "beta"),
        ("training.early_stopping={monitor: val_accurcy}", "val_accurcy"),
    ],
)
def test_mistakes(user, override, message, folder):
    (folder / "t.csv").write_text("a,b,y\n1,2,x\n2,3,z\n" * 20)
    result = user("train", "vae.yaml", override, "--run-dir", "no")
    assert result.exit_code == 2
    assert message in result.stderr
    assert not (folder / "no").exists()


def test_parts_of_the_loss_can_be_monitored(user):
    result = user("validate", "vae.yaml")
    assert result.exit_code == 0, result.stderr
    from bigmodel_cli import validation

    assert validation.load(Path("vae.yaml"), ["training.early_stopping={monitor: val_kl}"]).config
