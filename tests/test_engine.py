from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bigmodel_cli import engine
from bigmodel_cli.cluster import Cluster
from bigmodel_cli.errors import UsageError

JOB = Cluster("a:1", 4, 2, "Slurm")


def test_started_twice_is_started_once() -> None:
    assert engine.start() is engine.start()


@pytest.mark.slow
def test_starting_says_nothing(bigmodel_process: Callable[..., Any]) -> None:
    result = bigmodel_process("doctor")
    assert (result.exit_code, result.stderr) == (0, "")


def test_a_tensorflow_that_does_not_load(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """What it wrote to standard error is shown, because it holds the reason."""
    monkeypatch.delitem(sys.modules, "keras", raising=False)

    class Poison:
        def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
            if name == "keras":
                import os

                os.write(2, b"libcudart.so.99: cannot open shared object file\n")
                raise ImportError("DLL load failed")

    monkeypatch.setattr(sys, "meta_path", [Poison(), *sys.meta_path])
    with pytest.raises(UsageError, match="TensorFlow does not load: DLL load failed; reinstall with"):
        engine.start()
    assert "libcudart.so.99" in capfd.readouterr().err


def test_what_is_written_meanwhile_is_held_back(capfd: pytest.CaptureFixture[str]) -> None:
    import os

    with engine._held_back():
        os.write(2, b"chatter\n")
    os.write(2, b"news\n")
    assert capfd.readouterr().err == "news\n"


def test_it_is_kept_when_the_block_fails(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    import os

    def fail() -> None:
        with engine._held_back():
            os.write(2, b"reason\n")
            raise ImportError

    with pytest.raises(ImportError):
        fail()
    assert capfd.readouterr().err == "reason\n"


@pytest.mark.parametrize(("asked", "devices", "job", "expected"), [
    ("auto", "auto", None, ("tensorflow", "auto: one process")),
    ("auto", 2, None, ("tensorflow", "auto: one process")),
    ("jax", "auto", None, ("jax", "asked for")),
    ("auto", "auto", JOB, ("jax", "auto: 4 processes, by Slurm")),
    ("jax", "cpu", JOB, ("jax", "asked for")),
    ("auto", "tpu", None, ("jax", "auto: a TPU")),
])  # fmt: skip
def test_the_engine_of_training(
    asked: str,
    devices: Any,
    job: Cluster | None,
    expected: tuple[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(engine, "tpu_present", lambda: False)
    choice = engine.choose_backend(asked, devices, job)
    assert (choice.value, choice.reason) == expected


def test_a_tpu_that_is_there_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "tpu_present", lambda: True)
    assert engine.choose_backend("auto", "auto", None).value == "jax"
    assert engine.choose_backend("auto", "cpu", None).value == "tensorflow"


def test_tensorflow_does_not_train_in_several_processes() -> None:
    with pytest.raises(
        UsageError, match=r"tensorflow does not train here \(4 processes, by Slurm\); use `auto` or `jax`"
    ):
        engine.choose_backend("tensorflow", "auto", JOB)


def test_jax_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"not installed: pip install bigmodel-cli\[jax\]"):
        engine.choose_backend("jax", "cpu", None)
    assert engine.choose_backend("auto", "cpu", None).value == "tensorflow"


def test_an_engine_cannot_be_changed() -> None:
    engine.start()
    with pytest.raises(UsageError, match="jax needs a process of its own; here Keras runs on tensorflow"):
        engine.start("jax")


def test_what_hangs_is_waited_for_so_long() -> None:
    import time

    assert engine._within(0.2, lambda: time.sleep(3)) == "in 0.2 seconds"
    assert engine._within(5, lambda: None) is None

    def fail() -> None:
        raise RuntimeError("address in use\nmore")

    assert engine._within(5, fail) == "address in use"


@pytest.mark.parametrize(("error", "memory", "contact"), [
    (RuntimeError("Gloo all-reduce failed: Connection closed by peer"), False, True),
    (ValueError("shapes differ"), False, False),
    (type("JaxRuntimeError", (RuntimeError,), {})("RESOURCE_EXHAUSTED: Out of memory"), True, False),
    (type("ResourceExhaustedError", (Exception,), {})("OOM"), True, False),
])  # fmt: skip
def test_what_an_error_means(error: Exception, memory: bool, contact: bool) -> None:
    assert (engine.out_of_memory(error), engine.lost_contact(error)) == (memory, contact)


def test_what_no_command_needs_of_keras_is_not_imported_and_stays_there_for_others() -> None:
    code = """
import sys
from bigmodel_cli import engine
engine.start()
assert not {"sklearn", "scipy", "pandas", "matplotlib"} & set(sys.modules), "imported"
import keras, matplotlib.pyplot, numpy, scipy, sklearn.metrics
assert matplotlib.pyplot.figure and sklearn.metrics.f1_score
model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
model.compile("adam", "mse")
model.fit(numpy.zeros((4, 2)), numpy.ones((4, 1)), verbose=0)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=200
    )
    assert done.returncode == 0, done.stderr[-2000:]
