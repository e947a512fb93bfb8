from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bigmodel_cli import devices
from bigmodel_cli.errors import UsageError


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Pretend that there are so many GPUs; gives those made visible."""

    def pretend(count: int, capability: tuple[int, int] = (8, 0)) -> list[Any]:
        import tensorflow as tf

        found = [SimpleNamespace(name=f"GPU:{index}") for index in range(count)]
        visible: list[Any] = []
        monkeypatch.setattr(
            tf.config, "list_physical_devices", lambda kind=None: found if kind == "GPU" else []
        )
        monkeypatch.setattr(tf.config, "set_visible_devices", lambda chosen, kind: visible.append(chosen))
        monkeypatch.setattr(
            tf.config.experimental,
            "get_device_details",
            lambda _: {"device_name": "H100", "compute_capability": capability},
        )
        monkeypatch.setattr(devices, "mirrored", lambda count, kind: f"{count} x {kind}")
        return visible

    return pretend


def test_auto_without_accelerators(gpus: Any) -> None:
    gpus(0)
    chosen = devices.choose("auto")
    assert (chosen.kind, chosen.count, chosen.reason) == ("cpu", 1, "no GPU or TPU found")
    assert chosen.description == f"CPU, {devices.cpu_cores()} core{'s' if devices.cpu_cores() > 1 else ''}"


def test_a_cpu_that_was_asked_for_hides_the_gpus(gpus: Any) -> None:
    visible = gpus(2)
    chosen = devices.choose("cpu")
    assert (chosen.kind, chosen.reason) == ("cpu", "asked for")
    assert visible == [[]]


@pytest.mark.parametrize("setting", ["gpu", 2])
def test_gpus_that_are_not_there(setting: Any, gpus: Any) -> None:
    gpus(0)
    with pytest.raises(
        UsageError, match=rf"training.devices: {setting} was asked for, but TensorFlow sees no GPU"
    ):
        devices.choose(setting)


def test_more_gpus_than_there_are(gpus: Any) -> None:
    gpus(2)
    with pytest.raises(UsageError, match=r"training\.devices: 3 were asked for, but TensorFlow sees 2"):
        devices.choose(3)


def test_auto_takes_all_gpus(gpus: Any) -> None:
    gpus(2)
    chosen = devices.choose("auto")
    assert (chosen.kind, chosen.count, chosen.description, chosen.reason) == ("gpu", 2, "2 x H100", "found")
    assert chosen.strategy == "2 x GPU"
    assert chosen.bfloat16 == "compute capability 8.0"


def test_one_of_two_gpus(gpus: Any) -> None:
    visible = gpus(2, capability=(7, 5))
    chosen = devices.choose(1)
    assert (chosen.count, chosen.description, chosen.reason, chosen.bfloat16) == (1, "H100", "asked for", "")
    assert [device.name for device in visible[0]] == ["GPU:0"]


def test_a_tpu_is_for_jax(gpus: Any) -> None:
    gpus(0)
    with pytest.raises(UsageError, match=r"a TPU works with training\.backend jax"):
        devices.choose("tpu")


@pytest.mark.parametrize(("library", "expected"), [(object(), True), (None, False)])
def test_a_tpu_is_one_that_jax_can_drive(
    library: object, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TPU_NAME", "local")
    monkeypatch.setattr(devices.importlib.util, "find_spec", lambda name: library)
    assert devices.tpu_present() is expected


TWO_DEVICES = """
import sys
from pathlib import Path
import numpy as np
import tensorflow as tf

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
import keras
from bigmodel_cli import assembly, devices, validation
from bigmodel_cli.cli.progress import TrainingProgress
from bigmodel_cli.rundir import Run
from bigmodel_cli.training import planning, starting, trainer

def sitting(name, chosen, *overrides, resume=False):
    planning.choose = lambda setting: chosen
    run = Run(Path(name))
    load = validation.load_resumed if resume else validation.load
    plan = planning.prepare(load(run.config if resume else Path("config.yaml"), overrides).config)
    if not resume:
        starting.start(plan, run.path)
    trainer.train(plan, run, TrainingProgress(quiet=True), resume=resume)
    norms = [layer for layer in plan.model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    return plan, run, norms

single = devices._cpu("asked for")
pair = devices.Devices("cpu", 2, "2 devices", "asked for", devices.mirrored(2, "CPU"), "")
_, one, _ = sitting("one", single)
plan, two, norms = sitting("two", pair)
assert norms and all(layer.synchronized for layer in norms), norms
assert plan.choices["steps_per_execution"].value == 1, plan.choices
left, right = (assembly.restore(run).model.get_weights() for run in (one, two))
for mine, theirs in zip(left, right, strict=True):
    np.testing.assert_allclose(mine, theirs, atol=1e-4)
for mine, theirs in zip(one.history(), two.history(), strict=True):
    for key in ("loss", "val_loss", "accuracy", "val_accuracy"):
        np.testing.assert_allclose(mine[key], theirs[key], rtol=1e-3, err_msg=key)

# A run of two devices is resumed to the bit, too.
_, short, _ = sitting("short", pair, "training.epochs=1")
sitting("short", pair, "training.epochs=2", resume=True)
for mine, theirs in zip(assembly.restore(short).model.get_weights(), right, strict=True):
    np.testing.assert_array_equal(mine, theirs)
print("all equal")
"""


@pytest.mark.slow
def test_two_devices_train_as_one(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(
        "name: two\n"
        "dataset: {name: digits, limit: 96}\n"
        "model: {name: cnn, filters: [4], dense: [8], batch_norm: true}\n"
        "optimizer: {name: sgd, learning_rate: 0.05, momentum: 0.9}\n"
        "training: {epochs: 2, batch_size: 32, precision: float32, tensorboard: false}\n",
        encoding="utf-8",
    )
    done = subprocess.run(
        [sys.executable, "-c", TWO_DEVICES],
        cwd=tmp_path,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert done.stdout.rstrip().endswith("all equal")
