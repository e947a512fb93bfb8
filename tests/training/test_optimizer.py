from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bigmodel_cli import components
from bigmodel_cli.config.schema import Config
from bigmodel_cli.errors import UsageError

TEXT = "name: c\ndataset: iris\nmodel: {name: mlp, hidden: [8]}\ntraining: {epochs: 3, batch_size: 32}\n"
SCHEDULES = {
    "constant": "peak: 0.01",
    "cosine": "peak: 0.01, warmup_epochs: 1",
    "cosine_decay": "initial_learning_rate: 0.01, decay_steps: 9",
    "cosine_decay_restarts": "initial_learning_rate: 0.01, first_decay_steps: 3",
    "exponential": "peak: 0.01, final: 0.001",
    "exponential_decay": "initial_learning_rate: 0.01, decay_steps: 3, decay_rate: 0.5",
    "inverse_time_decay": "initial_learning_rate: 0.01, decay_steps: 3, decay_rate: 0.5",
    "linear": "peak: 0.01, warmup_steps: 1",
    "one_cycle": "peak: 0.01",
    "piecewise_constant_decay": "boundaries: [2, 4], values: [0.01, 0.001, 0.0001]",
    "polynomial": "peak: 0.01",
    "polynomial_decay": "initial_learning_rate: 0.01, decay_steps: 9",
    "step": "peak: 0.01, every_epochs: 1",
}


def dense_network() -> Any:
    """Two layers: 4 numbers to 3 to 2."""
    import keras

    inputs = keras.Input((4,))
    hidden = keras.layers.Dense(3, name="hidden")(inputs)
    return keras.Model(inputs, keras.layers.Dense(2, name="head")(hidden))


@pytest.fixture
def built(config: Callable[..., Config]) -> Callable[..., Any]:
    """`built("{name: sgd, ema: 0.9}", steps=10)`: the optimizer, for a network of two layers."""

    def build(optimizer: str, *overrides: str, steps: int = 1, **arguments: float) -> Any:
        from bigmodel_cli.training.optimizer import build_optimizer

        complete = config(TEXT, f"optimizer={optimizer}", *overrides)
        return build_optimizer(complete, dense_network(), steps, **arguments)

    return build


@pytest.mark.parametrize("name", components.names("optimizers"))
def test_every_optimizer_trains(name: str, losses_of: Callable[..., tuple[list[float], Any]]) -> None:
    # FTRL starts from weights of 0, where the hidden layers of a network have no gradient.
    model = "logistic_regression" if name == "ftrl" else "{name: mlp, hidden: [8]}"
    losses, _ = losses_of(TEXT, f"optimizer={name}", f"model={model}")
    assert losses[1] < losses[0]


@pytest.mark.parametrize("name", components.names("schedules"))
def test_every_schedule_trains(name: str, losses_of: Callable[..., tuple[list[float], Any]]) -> None:
    from bigmodel_cli.training.optimizer import current_learning_rate

    rate = f"optimizer.learning_rate={{name: {name}, {SCHEDULES[name]}}}"
    losses, model = losses_of(TEXT, "optimizer=sgd", rate)
    assert losses[1] < losses[0]
    # All of these but the first fall within 4 of 6 steps.
    assert 0 <= current_learning_rate(model.optimizer) < 0.01 + (name == "constant")


def test_a_schedule_lasts_as_long_as_training(built: Callable[..., Any]) -> None:
    rate = "{name: cosine, peak: 0.4, final: 0.1, warmup_epochs: 1, start: 0.2}"
    schedule = built(f"{{name: sgd, learning_rate: {rate}}}", steps=10)._learning_rate
    assert [float(schedule(step)) for step in (0, 5, 10, 20, 30)] == pytest.approx(
        [0.2, 0.3, 0.4, 0.25, 0.1], rel=1e-5
    )


@pytest.mark.parametrize("accumulation", ["", ", gradient_accumulation_steps: 2"])
def test_a_schedule_counts_batches_also_under_accumulation(
    built: Callable[..., Any], accumulation: str
) -> None:
    """Keras asks its schedules by batch; only its `iterations` counts updates."""
    import keras
    import numpy as np

    from bigmodel_cli.training.optimizer import current_learning_rate

    rate = "{name: linear, peak: 0.6}"
    optimizer = built(f"{{name: sgd, learning_rate: {rate}{accumulation}}}", steps=2)
    weight = keras.Variable(np.zeros(1, np.float32))
    optimizer.build([weight])
    rates, moved = [], []
    for _ in range(6):
        rates.append(current_learning_rate(optimizer))
        before = weight.numpy().item()
        optimizer.apply([keras.ops.ones(1)], [weight])
        moved.append(before - weight.numpy().item())
    assert rates == pytest.approx([0.6, 0.5, 0.4, 0.3, 0.2, 0.1], rel=1e-5)
    assert moved == pytest.approx([0, 0.5, 0, 0.3, 0, 0.1] if accumulation else rates, rel=1e-5)
    assert current_learning_rate(optimizer) == pytest.approx(0.0)


@pytest.mark.parametrize("rate", ["0.4", "{name: linear, peak: 0.4}"])
def test_rate_factor(rate: str, built: Callable[..., Any]) -> None:
    from bigmodel_cli.training.optimizer import current_learning_rate

    optimizer = built(f"{{name: sgd, learning_rate: {rate}}}", rate_factor=0.1)
    assert current_learning_rate(optimizer) == pytest.approx(0.04)


def test_parameters_reach_the_optimizer(built: Callable[..., Any]) -> None:
    optimizer = built("{name: sgd, momentum: 0.9, nesterov: true, global_clipnorm: 2.0, learning_rate: 0.3}")
    assert (optimizer.momentum, optimizer.nesterov, optimizer.global_clipnorm) == (0.9, True, 2.0)
    assert float(optimizer.learning_rate.numpy()) == pytest.approx(0.3)
    assert (optimizer.use_ema, optimizer.loss_scale_factor) == (False, None)


def test_keys_of_our_own_reach_the_optimizer(built: Callable[..., Any]) -> None:
    optimizer = built("{name: adamw, ema: 0.999, loss_scale: 1024}", "training.precision=float16")
    assert (optimizer.use_ema, optimizer.ema_momentum) == (True, 0.999)
    assert optimizer.loss_scale_factor == 1024.0
    assert optimizer.weight_decay == 0.004


def test_weight_decay_exclude_to_the_number(config: Callable[..., Config]) -> None:
    """Without a gradient only the decay moves a weight: by the share rate * decay of itself."""
    import keras
    import numpy as np

    from bigmodel_cli.training.optimizer import build_optimizer

    model = dense_network()
    for variable in model.trainable_variables:
        variable.assign(keras.ops.ones_like(variable))
    exclude = "weight_decay_exclude: ['*/bias', 'h?ad/*']"
    text = f"optimizer={{name: sgd, learning_rate: 0.5, weight_decay: 0.1, {exclude}}}"
    optimizer = build_optimizer(config(TEXT, text), model, 1)
    optimizer.build(model.trainable_variables)
    optimizer.apply([keras.ops.zeros(variable.shape) for variable in model.trainable_variables])
    left = {variable.path: variable.numpy() for variable in model.trainable_variables}
    np.testing.assert_allclose(left.pop("hidden/kernel"), 0.95, rtol=1e-6)
    assert all((value == 1).all() for value in left.values())
    assert set(left) == {"hidden/bias", "head/kernel", "head/bias"}


@pytest.mark.parametrize(
    ("optimizer", "message"),
    [
        ("{name: lion, beta_1: 0.0}", r"optimizer: Keras refuses these parameters of `lion`: .*beta_1"),
        ("{name: sgd, learning_rate: {name: step, peak: 0.1, at_epochs: [1], warmup_epochs: 1.0}}",
         r"optimizer\.learning_rate: `step` refuses .*: it would fall after epoch 1, but the warm-up"),
        ("{name: adamw, weight_decay_exclude: ['*/bias', 'hidden/kernal']}",
         r"optimizer\.weight_decay_exclude: no trained weight has a path like `hidden/kernal`; did you mean "
         r"`hidden/kernel`"),
        ("{name: muon, exclude_layers: [haed]}",
         r"optimizer\.exclude_layers: no trained weight has a path like `haed`; the paths are hidden/kernel"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_a_message(optimizer: str, message: str, built: Callable[..., Any]) -> None:
    with pytest.raises(UsageError, match=message):
        built(optimizer)


def test_muon_leaves_excluded_layers_to_adam(built: Callable[..., Any]) -> None:
    model = dense_network()
    for text, kernels in (("muon", set()), ("{name: muon, exclude_layers: [head]}", {"head/kernel"})):
        optimizer = built(text)
        optimizer.build(model.trainable_variables)
        # Adam alone has velocities.
        velocities = zip(model.trainable_variables, optimizer.adam_velocities, strict=True)
        by_adam = {variable.path for variable, velocity in velocities if velocity is not None}
        assert by_adam == {"hidden/bias", "head/bias", *kernels}


ENGINE = '''
"""Train small models with several optimizer sections; their weights and validation losses, as JSON."""
import json, sys
from contextlib import nullcontext
from pathlib import Path
import numpy as np

devices = 1
if "mirrored" in sys.argv:
    import tensorflow as tf
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    devices = 2
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
import keras
from bigmodel_cli import validation
from bigmodel_cli.training.averaging import EvaluationWeights
from bigmodel_cli.training.layer_rules import freeze
from bigmodel_cli.training.optimizer import build_optimizer

generator = np.random.default_rng(0)
inputs = generator.normal(size=(32, 4)).astype("float32")
targets = generator.normal(size=(32, 2)).astype("float32")
weights = [generator.normal(size=size).astype("float32") for size in ((4, 3), (3,), (3, 2), (2,))]

def train(config, scope, wrapped):
    with scope:
        begin = keras.Input((4,))
        hidden = keras.layers.Dense(3, name="hidden")(begin)
        model = keras.Model(begin, keras.layers.Dense(2, name="head")(hidden))
        model.set_weights(weights)
        freeze(config, model)
        optimizer = build_optimizer(config, model, 4)
        if wrapped:
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer, initial_scale=8.0)
        model.compile(optimizer, "mse")
        model.optimizer.build(model.trainable_variables)
    history = model.fit(
        inputs, targets, batch_size=8, epochs=2, shuffle=False, verbose=0,
        validation_data=(inputs, targets), callbacks=[EvaluationWeights()],
    ).history
    return [value.tolist() for value in model.get_weights()] + [history["val_loss"]]

base = "name: c\\ndataset: iris\\nmodel: mlp\\ntraining: {epochs: 2}\\noptimizer: "
found = {}
for number, text in enumerate(json.loads(Path(sys.argv[1]).read_text())):
    path = Path(sys.argv[1]).with_name("engine.yaml")
    path.write_text(base + text)
    config = validation.load(path).config
    for kind in ("single", "mirrored") if devices == 2 else ("single",):
        scope = nullcontext()
        if kind == "mirrored":
            scope = strategy.scope()
        if not (kind == "mirrored" and "accumulation" in text):
            found[f"{kind} {number}"] = train(config, scope, "sgd" in text)
print(json.dumps({"found": found, "tensorflow": "tensorflow" in sys.modules}))
'''
SECTIONS = [
    "{name: adamw, weight_decay: 0.1, weight_decay_exclude: '*/bias', learning_rate: {name: cosine, peak: "
    "0.1, warmup_steps: 2}, layers: [{match: hidden, learning_rate_factor: 0.1}], global_clipnorm: 0.1}",
    # Inside a LossScaleOptimizer.
    "{name: sgd, learning_rate: 0.1, ema: 0.5, clipnorm: 0.2, layers: [{match: hidden, frozen: true}]}",
    "{name: schedulefreeadamw, learning_rate: 0.1, weight_decay: 0.1, warmup_steps: 3}",
    "{name: adam, learning_rate: 0.1, ema: 0.5, gradient_accumulation_steps: 2}",
]


@pytest.mark.slow
def test_every_engine_computes_the_same(tmp_path: Path) -> None:
    """One device, two under MirroredStrategy, and Keras on JAX, which imports no TensorFlow for it."""
    import numpy as np

    sections = tmp_path / "sections.json"
    sections.write_text(json.dumps(SECTIONS), encoding="utf-8")
    results: dict[str, dict[str, list[Any]]] = {}
    for backend, arguments in (("tensorflow", ["mirrored"]), ("jax", [])):
        done = subprocess.run(
            [sys.executable, "-c", ENGINE, str(sections), *arguments],
            env={**os.environ, "KERAS_BACKEND": backend},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        document = json.loads(done.stdout.splitlines()[-1])
        results[backend] = document["found"]
        assert document["tensorflow"] == (backend == "tensorflow")
    for number, text in enumerate(SECTIONS):
        expected = results["tensorflow"][f"single {number}"]
        others = {"jax": results["jax"][f"single {number}"]}
        if "accumulation" not in text:
            others["mirrored"] = results["tensorflow"][f"mirrored {number}"]
        for name, found in others.items():
            for value, goal in zip(found, expected, strict=True):
                np.testing.assert_allclose(value, goal, rtol=1e-4, atol=1e-5, err_msg=f"{name}: {text}")
