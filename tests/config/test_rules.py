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
        ("training: {devices: tpu, backend: tensorflow}", "3:35: training.backend: a TPU works with `jax`"),
        ("training: {devices: 2, backend: jax, jit: false}", "3:43: training.jit: JAX shares a step between "
         "devices only when it is compiled"),
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
        ("optimizer: {name: sgd, weight_decay_exclude: '*/bias'}",
         "3:46: optimizer.weight_decay_exclude: there is no decay to exclude weights from; set "),
        ("optimizer: {name: adam, loss_scale: 128}",
         "3:37: optimizer.loss_scale: is for gradients in float16, but training.precision is auto; leave it"),
        ("optimizer: {name: adam, loss_scale: 128}\ntraining: {precision: bfloat16}",
         "3:37: optimizer.loss_scale: is for gradients in float16, but training.precision is bfloat16"),
        ("optimizer: {name: ScheduleFreeAdamW, ema: 0.9}",
         "3:43: optimizer.ema: schedulefreeadamw averages its weights itself; leave `ema` out, or use adamw"),
        ("optimizer: {name: schedulefreeadamw, beta_1: 0.0}",
         "3:46: optimizer.beta_1: must be greater than 0, got 0.0"),
        ("optimizer: {name: muon, exclude_layers: [head, 'a(']}",
         "3:48: optimizer.exclude_layers[1]: is not a regular expression: missing )"),
        ("optimizer: {name: sgd, learning_rate: {name: cosine, peak: 0.1}}\n"
         "training: {reduce_on_plateau: {factor: 0.5}}",
         "4:31: training.reduce_on_plateau: the schedule `cosine` sets the learning rate; leave one"),
        ("optimizer: {name: sgd, learning_rate: {name: linear, peak: 0.1, warmup_epochs: 1, warmup_steps: "
         "5}}",
         "3:80: optimizer.learning_rate.warmup_epochs: the warm-up has one length; `warmup_steps` is"),
        ("optimizer: {name: sgd, learning_rate: {name: one_cycle, peak: 0.1, warmup_epochs: 1, warmup_steps: "
         "5}}",
         "3:83: optimizer.learning_rate.warmup_epochs: the warm-up has one length"),
        ("optimizer: {name: sgd, learning_rate: {name: linear, peak: 0.1, start: 0.01}}",
         "3:72: optimizer.learning_rate.start: has no effect without a warm-up; set `warmup_epochs` or"),
        ("optimizer: {name: sgd, learning_rate: {name: step, peak: 0.1}}",
         "3:39: optimizer.learning_rate: `step` needs either `every_epochs`, such as 30, or `at_epochs`"),
        ("optimizer: {name: sgd, learning_rate: {name: step, peak: 0.1, every_epochs: 3, at_epochs: [3]}}",
         "3:39: optimizer.learning_rate: `step` needs either"),
        ("optimizer: {name: sgd, learning_rate: {name: step, peak: 0.1, at_epochs: [3, 2]}}",
         "3:74: optimizer.learning_rate.at_epochs: must ascend, got [3, 2]"),
        ("optimizer: {name: sgd, learning_rate: {name: cosine_decay, initial_learning_rate: 0.0, decay_steps:"
         " 9, warmup_steps: 3}}",
         "3:118: optimizer.learning_rate.warmup_steps: `warmup_steps` and `warmup_target` go together; set "
         "`warmup_target`, too"),
        ("loss: {name: hinge, label_smoothing: 0.1}",
         "3:38: loss.label_smoothing: `hinge` has no target probabilities to smooth; set it to 0, or use "
         "`auto`"),
        ("training: {tracking: [mlflow, {name: mlflow, experiment: e}]}",
         "3:38: training.tracking[1].name: `mlflow` is there already"),
        ("metrics: [accuracy, Accuracy]", "3:21: metrics[1].name: `accuracy` is there already"),
        ("training: {early_stopping: {monitor: val_acuracy}}",
         "3:38: training.early_stopping.monitor: nothing of the name `val_acuracy` is measured; known "
         "here: loss, "
         "val_loss, accuracy, val_accuracy, binary_accuracy, val_binary_accuracy, f1_score, val_f1_score, "
         "mean_iou, val_mean_iou, mean_absolute_error, val_mean_absolute_error, perplexity, val_perplexity"),
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
        "training: {devices: 2, backend: jax, jit: true, steps_per_execution: 8}\n"
        "optimizer: {name: adam, gradient_accumulation_steps: 4}",
        "training: {devices: gpu, jit: true, precision: float16}",
        "training: {devices: cpu, jit: false, precision: bfloat16}",
        "training: {devices: 1, jit: true, steps_per_execution: 8}",
        "training: {devices: 2, jit: auto, steps_per_execution: 1}",
        "optimizer: {name: sgd, nesterov: true, momentum: 0.9}",
        "optimizer: {name: adam, clipnorm: 1.0, clipvalue: null}",
        "optimizer: {name: sgd, learning_rate: {name: piecewise_constant_decay, boundaries: [9], "
        "values: [0.1, 0.2]}}",
        "optimizer: {name: adamw, weight_decay_exclude: '*/bias'}",
        "optimizer: {name: muon, weight_decay: null, weight_decay_exclude: '*/bias', exclude_layers: [head]}",
        "optimizer: {name: adam, loss_scale: 128}\ntraining: {precision: float16}",
        "optimizer: {name: schedulefreeadamw, learning_rate: {name: constant, peak: 0.1}}",
        "optimizer: {name: adam, ema: 0.9, gradient_accumulation_steps: 2}",
        "optimizer: {name: sgd, learning_rate: 0.1}\ntraining: {reduce_on_plateau: {factor: 0.5}}",
        "optimizer: {name: sgd, learning_rate: {name: linear, peak: 0.1, start: 0.01, warmup_epochs: 0.5}}",
        "optimizer: {name: sgd, learning_rate: {name: one_cycle, peak: 0.1, start: 0.01}}",
        "optimizer: {name: sgd, learning_rate: {name: step, peak: 0.1, at_epochs: [3, 5]}}",
        "loss: {name: auto, label_smoothing: 0.1}",
        "loss: {name: BinaryFocalCrossentropy, label_smoothing: 0.1}",
        "loss: {name: hinge, label_smoothing: 0.0}",
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
        (
            "split_by: {group: patient}, fold: {index: 0, of: 3, scheme: plain}",
            "dataset.fold: dataset.split_by divides by the group `patient`, and folds must do so too: "
            "`scheme: grouped`, `by: patient`",
        ),
        (
            "split_by: {time: day}, fold: {index: 0, of: 3, scheme: time, by: hour}",
            "folds must do so too: `scheme: time`, `by: day`",
        ),
        ("fold: {index: 3, of: 3}", "`index` counts from 0 to 2 in 3 folds, got 3"),
        ("fold: {index: 0, of: 1}", "dataset.fold.of: must be at least 2"),
        ("fold: {index: 0, of: 3, scheme: time}", "the scheme `time` needs a column in `by`"),
        ("fold: {index: 0, of: 3, by: x}", "the scheme `stratified` takes no column, got `by: x`"),
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


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("image", "6:30: dataset.prepare.columns.photo: the column holds images, which the model scales"),
        ("ignore", "6:30: dataset.prepare.columns.photo: dataset.columns leaves this column out"),
        ("categorical", None),
    ],
)
def test_a_column_that_is_not_prepared(tmp_path, kind, message):
    path = tmp_path / "c.yaml"
    path.write_text(
        f"dataset:\n  name: csv\n  path: x.csv\n  target: y\n  columns: {{photo: {kind}}}\n"
        "  prepare: {columns: {photo: {missing: constant, fill: x}}}\nmodel: mlp\n",
        encoding="utf-8",
    )
    if message is None:
        validation.load(path)
        return
    with pytest.raises(ConfigError) as error:
        validation.load(path)
    assert message in str(error.value)
