from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

from bigmodel_cli.columns import Column
from bigmodel_cli.data.masking import masking
from bigmodel_cli.token_targets import NOT_COUNTED

COLUMN = Column("t", "text", vocabulary=tuple(f"w{i}" for i in range(50)), length=40)
MASK = 52


@pytest.fixture(scope="module")
def tokens():
    found = np.random.default_rng(0).integers(1, 52, (500, 40)).astype(np.int32)
    found[:, 30:] = 0
    return found


def hidden(tokens, key=(0, 1), column=COLUMN):
    targets = np.where(tokens == 0, NOT_COUNTED, tokens)
    inputs, asked = masking(column)({"tokens_0": tf.constant(tokens)}, tf.constant(targets), tf.constant(key))
    return inputs["tokens_0"].numpy(), asked.numpy()


def test_shares_are_those_of_the_paper(tokens):
    given, asked = hidden(tokens)
    chosen = asked != NOT_COUNTED
    assert not chosen[:, 30:].any()
    assert chosen[:, :30].mean() == pytest.approx(0.15, abs=0.01)
    np.testing.assert_array_equal(asked[chosen], tokens[chosen])
    np.testing.assert_array_equal(given[~chosen], tokens[~chosen])
    masked = given[chosen] == MASK
    assert masked.mean() == pytest.approx(0.8, abs=0.02)
    others = given[chosen][~masked]
    # One of fifty random ones is the token itself.
    kept = (others == tokens[chosen][~masked]).mean()
    assert kept == pytest.approx(0.51, abs=0.06)
    assert others.min() >= 1 and others[others != tokens[chosen][~masked]].min() >= 2
    assert others.max() < MASK


def test_a_share_of_ones_own(tokens):
    _, asked = hidden(tokens, column=replace(COLUMN, hidden=0.4))
    assert (asked[:, :30] != NOT_COUNTED).mean() == pytest.approx(0.4, abs=0.01)
    _, other = hidden(tokens)
    # The draw is the same, and the share a threshold.
    assert ((other == NOT_COUNTED) | (asked != NOT_COUNTED)).all()


def test_the_key_decides(tokens):
    first, again, other = hidden(tokens), hidden(tokens), hidden(tokens, (0, 2))
    np.testing.assert_array_equal(first[0], again[0])
    assert (first[1] != other[1]).any()


def test_a_resumed_epoch_hides_what_the_whole_one_hides(tmp_path):
    from bigmodel_cli import assembly
    from bigmodel_cli.config.schema import Config
    from bigmodel_cli.contracts import Mixing
    from bigmodel_cli.data.pipeline import Scheduled, TrainingPipeline, evaluation_batches

    (tmp_path / "a.txt").write_text("one two three four five six seven eight nine ten " * 40)
    dataset = {
        "name": "text_file",
        "path": str(tmp_path / "a.txt"),
        "window": 50,
        "task": "masked_language_model",
    }
    parameters = {"validation": 0.1, "test": 0.1, "encoding": "utf-8"}
    config = Config.model_validate(
        {"name": "c", "dataset": {**dataset, **parameters}, "model": "transformer"}
    )
    data = assembly.load_data(config)
    hide = assembly.hiding(data.spec)
    pipeline = TrainingPipeline(
        data.splits["train"], batch_size=8, seed=3, keeping=data.keeping,
        augmentations=[Scheduled(Mixing(hide))], timed=False,
    )  # fmt: skip

    def batches(start, epoch):
        pipeline.epoch.assign(epoch)
        return [(inputs["tokens_0"].numpy(), targets.numpy()) for inputs, targets in pipeline.batches(start)]

    whole, tail, other = batches(0, 1), batches(2, 1), batches(0, 2)
    assert len(whole) == len(tail) + 2
    for one, again in zip(whole[2:], tail, strict=True):
        np.testing.assert_array_equal(one[0], again[0])
        np.testing.assert_array_equal(one[1], again[1])
    assert any((one[1] != another[1]).any() for one, another in zip(whole, other, strict=True))
    held_out = [
        [targets.numpy() for _, targets in evaluation_batches(
            data.splits["validation"], batch_size=2, keeping=data.keeping, hide=hide)]
        for _ in range(2)
    ]  # fmt: skip
    for one, again in zip(*held_out, strict=True):
        np.testing.assert_array_equal(one, again)
    assert 0 < np.concatenate([(targets != NOT_COUNTED).ravel() for targets in held_out[0]]).mean() < 0.5
