"""Keys that contradict each other, each once."""

from __future__ import annotations

import pytest

from bigmodel_cli import validation
from bigmodel_cli.config.rules import contradictions
from bigmodel_cli.errors import ConfigError

BASE = "dataset: digits\nmodel: mlp\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("training: {devices: cpu, jit: true}", "3:31: training.jit: XLA makes training slower on a CPU"),
        ("training: {devices: cpu, precision: float16}", "3:37: training.precision: float16 is many "
         "times slower"),
        ("training: {devices: 2, jit: true}", "3:29: training.jit: XLA does not work together with "
         "several devices"),
        ("training: {devices: 2, steps_per_execution: 8}",
         "3:45: training.steps_per_execution: must be 1 or `auto` with several devices"),
        ("training: {devices: 2}\noptimizer: {name: adam, gradient_accumulation_steps: 4}",
         "4:54: optimizer.gradient_accumulation_steps: does not work with several devices"),
        ("optimizer: {name: adam, clipnorm: 1.0, clipvalue: 0.5}",
         "3:51: optimizer.clipvalue: only one way of clipping at a time; `clipnorm` is given too"),
        ("optimizer: {name: sgd, nesterov: true}", "3:34: optimizer.nesterov: has no effect without "
         "momentum"),
        ("optimizer: {name: sgd, learning_rate: {name: PiecewiseConstantDecay, boundaries: [9], values: "
         "[0.1]}}",
         "3:95: optimizer.learning_rate.values: must have one item more than boundaries: 2, got 1"),
        ("metrics: [accuracy, Accuracy]", "3:21: metrics[1].name: `accuracy` is there already"),
        ("training: {early_stopping: {monitor: val_acuracy}}",
         "3:38: training.early_stopping.monitor: nothing of the name `val_acuracy` is measured; known "
         "here: loss, "
         "val_loss, accuracy, val_accuracy, mean_absolute_error, val_mean_absolute_error"),
        ("metrics: [auc]\ntraining: {early_stopping: {monitor: val_accuracy}}",
         "4:38: training.early_stopping.monitor: nothing of the name `val_accuracy` is measured; known "
         "here: loss, "
         "val_loss, auc, val_auc"),
    ],
)  # fmt: skip
def test_contradiction(text, expected, write):
    path = write("c.yaml", f"{BASE}{text}\n")
    with pytest.raises(ConfigError) as caught:
        validation.load(path)
    (mistake,) = caught.value.mistakes
    assert str(mistake).startswith(f"{path}:{expected}")


@pytest.mark.parametrize(
    "text",
    [
        "training: {devices: gpu, jit: true, precision: float16}",
        "training: {devices: cpu, jit: false, precision: bfloat16}",
        "training: {devices: 1, jit: true, steps_per_execution: 8}",
        "training: {devices: 2, jit: auto, steps_per_execution: 1}",
        "optimizer: {name: sgd, nesterov: true, momentum: 0.9}",
        "optimizer: {name: adam, clipnorm: 1.0, clipvalue: null}",
        "optimizer: {name: sgd, learning_rate: {name: piecewise_constant_decay, boundaries: [9], "
        "values: [0.1, 0.2]}}",
        "metrics: [AUC]\ntraining: {early_stopping: {monitor: auc}}",
        "training: {early_stopping: {monitor: val_accuracy}}",
    ],
)
def test_no_contradiction(text, write):
    assert list(contradictions(validation.load(write("c.yaml", f"{BASE}{text}\n")).config)) == []


def test_rules_about_wrong_sections_wait(write):
    text = "metrics: [acuracy]\ntraining: {devices: cpu, jit: true, early_stopping: {monitor: val_acuracy}}\n"
    with pytest.raises(ConfigError) as caught:
        validation.load(write("c.yaml", BASE + text))
    assert [item.path for item in caught.value.mistakes] == ["metrics[0].name", "training.jit"]


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        ("prepare: {numeric: {fill: 3.0}}", "`fill` goes with `missing: constant`"),
        ("prepare: {categorical: {fill: x}}", "`missing: constant` and `fill`"),
        ("prepare: {categorical: {missing: constant}}", "`missing: constant` and `fill`"),
        ("prepare: {categorical: {hash_buckets: 9}}", "`hash_buckets` goes with `encode: hash`"),
        ("cache_dir: gs://bucket/cache", "must be a folder of this machine"),
        (
            "split_by: {column: fold}, splits: {test: all}",
            "the column `fold` of dataset.split_by names the",
        ),
    ],
)
def test_keys_of_the_data_that_would_be_ignored(tmp_path, dataset, message):
    from bigmodel_cli import validation
    from bigmodel_cli.errors import ConfigError

    path = tmp_path / "c.yaml"
    path.write_text(f"name: c\ndataset: {{name: iris, {dataset}}}\nmodel: mlp\n", encoding="utf-8")
    with pytest.raises(ConfigError) as error:
        validation.load(path)
    assert message in str(error.value)
