from __future__ import annotations

import keras
import numpy as np
import pytest

from bigmodel_cli.config.schema import Config
from bigmodel_cli.contracts import DataSpec, InputSpec, TargetSpec
from bigmodel_cli.errors import UsageError
from bigmodel_cli.training.objective import build_objective

NAMES = ("[END]", "[UNK]", "a")
DATA = DataSpec(
    "t", "test", "language_model", InputSpec((1,), "", "table"), TargetSpec((3,), "int32", NAMES, (1, 1, 1))
)
TARGETS = np.array([[2, 0, -1], [1, 2, 2]], np.int32)


def config(**changes):
    return Config.model_validate({"name": "c", "dataset": "text_file", "model": "gpt", **changes})


@pytest.fixture
def logits():
    return np.random.default_rng(0).normal(size=(2, 3, 3)).astype("float32")


def expected_losses(logits):
    log_softmax = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    return np.array([log_softmax[row, place, TARGETS[row, place]] * -1
                     for row, place in zip(*np.nonzero(TARGETS >= 0), strict=True)])  # fmt: skip


def test_loss_is_the_mean_over_the_tokens_that_count(logits):
    objective = build_objective(config(), DATA)
    assert objective.encode is None
    assert float(objective.loss(TARGETS, logits)) == pytest.approx(expected_losses(logits).mean(), rel=1e-5)


def test_metrics_are_over_the_tokens_of_all_batches(logits):
    perplexity, accuracy = build_objective(config(), DATA).metrics
    assert (perplexity.name, accuracy.name) == ("perplexity", "accuracy")
    for metric in (perplexity, accuracy):
        # Batches with different numbers of tokens: the mean of their means would be another one.
        metric.update_state(TARGETS[:1], logits[:1])
        metric.update_state(TARGETS[1:], logits[1:])
    assert float(perplexity.result()) == pytest.approx(np.exp(expected_losses(logits).mean()), rel=1e-5)
    right = (logits.argmax(axis=-1) == TARGETS).sum()
    assert float(accuracy.result()) == pytest.approx(right / 5)
    perplexity.reset_state()
    assert float(perplexity.result()) == 1


def test_a_model_can_be_compiled_with_them(logits):
    objective = build_objective(config(), DATA)
    model = keras.Sequential([keras.Input((3, 3)), keras.layers.Identity()])
    model.compile(loss=objective.loss, metrics=list(objective.metrics))
    found = model.evaluate(logits, TARGETS, verbose=0, return_dict=True)
    assert found["perplexity"] == pytest.approx(np.exp(found["loss"]), rel=1e-5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"loss": {"name": "huber"}}, "loss: `huber` is not for a language model"),
        ({"loss": {"name": "auto", "label_smoothing": 0.1}}, "loss.label_smoothing: got 0.1"),
        ({"metrics": ["accuracy"]}, "metrics: a language model has perplexity"),
    ],
)
def test_what_is_not_for_tokens_is_refused(changes, message):
    with pytest.raises(UsageError, match=message):
        build_objective(config(**changes), DATA)
