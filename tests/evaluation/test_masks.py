"""Evaluation of masks: in batches of any size, and with outputs that are not finite."""

from __future__ import annotations

import numpy as np
import pytest

from bigmodel_cli.errors import DataError

TEXT = """\
name: masks
dataset: {name: shapes, examples: 60, image_size: [16, 16]}
model: {name: unet, depth: 1, filters: 2}
optimizer: {name: adam, learning_rate: 0.01}
training: {epochs: 1, batch_size: 16, tensorboard: false}
"""


@pytest.fixture(scope="module")
def restored(tmp_path_factory):
    from bigmodel_cli import assembly
    from bigmodel_cli.cli import main
    from bigmodel_cli.rundir import Run

    folder = tmp_path_factory.mktemp("masks")
    (folder / "masks.yaml").write_text(TEXT)
    main(["train", str(folder / "masks.yaml"), "--run-dir", str(folder / "a"), "--quiet"])
    return assembly.restore(Run(folder / "a"))


def evaluated(restored, by=()):
    from bigmodel_cli.evaluation.masks import evaluate_masks
    from bigmodel_cli.evaluation.subject import own_split

    return evaluate_masks(restored, own_split(restored, "test"), by, "light")


def test_small_batches_count_the_same(restored, monkeypatch):
    whole = evaluated(restored)
    monkeypatch.setattr("bigmodel_cli.evaluation.masks.PROBABILITY_BYTES", 4 * 16 * 16 * 4 * 5)
    parts = evaluated(restored)
    assert (parts.report.confusion == whole.report.confusion).all()
    assert parts.report.scores["loss"].value == pytest.approx(whole.report.scores["loss"].value, rel=1e-5)


def test_outputs_that_are_not_finite_are_left_out(restored, monkeypatch):
    """The third image of the split, and then all of them."""
    model, calls = restored.model, []

    def broken(which):
        real = type(model).predict_on_batch

        def predict(self, images):
            found = np.array(real(self, images))
            calls.append(len(found))
            found[which, 0, 0, 0] = np.nan
            return found

        return predict

    with monkeypatch.context() as patch:
        patch.setattr(type(model), "predict_on_batch", broken(slice(2, 3)))
        found = evaluated(restored)
    assert found.left_out.first == (2,)
    assert found.report.examples == 11
    assert any("left out: 1 of 12 images" in note for note in found.notes)
    with monkeypatch.context() as patch:
        patch.setattr(type(model), "predict_on_batch", broken(slice(None)))
        with pytest.raises(DataError, match="none of the 12 predictions on the test split is finite"):
            evaluated(restored)
    assert calls
