"""Keras brought up on the engine that a command needs, without start-up chatter.

TensorFlow carries the data (tf.data) in every case, and the model wherever one process computes. JAX carries
the model of several processes and on TPUs: the multi-host engine of Keras itself.
"""

from __future__ import annotations

import atexit
import importlib.util
import os
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from types import ModuleType
from typing import Literal

from bigmodel_cli.cluster import Cluster
from bigmodel_cli.devices import Choice, tpu_present
from bigmodel_cli.errors import TrainingFailedError, UsageError

Backend = Literal["tensorflow", "jax"]

START_TIMEOUT = 300
"""Seconds that a process waits for the others of its job."""

OPTIONAL = ("sklearn", "pandas", "matplotlib", "scipy", "jax")
"""What Keras and TensorFlow import only because it is there, for parts that no command uses (wrappers for
scikit-learn, pictures of their own, the preprocessing of Keras 2, models of JAX in TensorFlow Lite)."""

READY = "BIGMODEL_READY_FD"
"""Environment variable with the number of an open file descriptor, which is closed when all have met."""


def choose_backend(asked: str, devices: str | int, cluster: Cluster | None) -> Choice:
    """The engine of training, and why.

    Args:
        asked: `training.backend`.
        devices: `training.devices`.
        cluster: the job of several processes, where there is one.

    Raises:
        UsageError: what was asked for cannot do that, or is not installed.
    """
    if cluster is not None:
        choice = Choice("jax", f"auto: {cluster.processes} processes, by {cluster.source}")
    elif devices == "tpu" or (devices == "auto" and tpu_present()):
        choice = Choice("jax", "auto: a TPU")
    else:
        choice = Choice("tensorflow", "auto: one process")
    if asked == "tensorflow" and choice.value == "jax":
        raise UsageError(
            f"training.backend: tensorflow does not train here ({choice.reason.removeprefix('auto: ')}); use "
            "`auto` or `jax`"
        )
    if asked != "auto":
        choice = Choice(asked, "asked for")
    if choice.value == "jax" and importlib.util.find_spec("jax") is None:
        raise UsageError(
            f"training.backend: jax ({choice.reason}) is not installed: pip install bigmodel-cli[jax]; on a "
            "TPU bigmodel-cli[tpu]"
        )
    return choice


def start(
    backend: Backend = "tensorflow",
    cluster: Cluster | None = None,
    *,
    timeout: float = START_TIMEOUT,
    deterministic: bool = False,
) -> ModuleType:
    """Import TensorFlow and Keras once, look for devices, and return TensorFlow.

    No environment variable silences the import: what it writes to standard error is held back and shown
    only when the import fails.

    Args:
        backend: engine of Keras.
        cluster: the job to join; on JAX only.
        timeout: seconds that the others of the job are waited for.
        deterministic: choose operations of JAX that give the same bits every time; TensorFlow has a switch of
            its own.

    Raises:
        UsageError: an engine is not installed or does not load, or Keras runs on another one already.
        TrainingFailedError: the other processes of the job did not come.
    """
    if "tensorflow" in sys.modules and "keras" in sys.modules:
        import keras
        import tensorflow as tf

        if keras.backend.backend() != backend:
            raise UsageError(
                f"training.backend: {backend} needs a process of its own; here Keras runs on "
                f"{keras.backend.backend()} already"
            )
        return tf
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ["KERAS_BACKEND"] = backend
    if backend == "jax" and deterministic:
        # Read when JAX starts; on a CPU it is so anyway.
        os.environ["XLA_FLAGS"] = (
            f"{os.environ.get('XLA_FLAGS', '')} --xla_gpu_deterministic_ops=true".strip()
        )
    # JAX needs scipy.
    spared = [name for name in OPTIONAL if backend == "tensorflow" or name not in ("scipy", "jax")]
    try:
        with _held_back(), _spared(spared):
            if cluster is not None:
                _join(cluster, timeout)
            import keras
            import tensorflow as tf

            if backend == "jax":
                # TensorFlow would take their memory.
                tf.config.set_visible_devices([], "GPU")
            else:
                tf.config.list_physical_devices()
    except ImportError as error:
        names = {"tensorflow": "TensorFlow", "jax": "JAX or TensorFlow"}
        raise UsageError(
            f"{names[backend]} does not load: {error}; reinstall with `pip install bigmodel-cli"
            f"{'[jax]' if backend == 'jax' else ''}`"
        ) from error
    return tf


@contextmanager
def _spared(names: Iterable[str]) -> Iterator[None]:
    """Let `import` not find these modules in the block, unless they are imported already.

    A third to a half of the time that Keras and TensorFlow take to start goes into them; whoever needs one
    imports it afterwards.
    """
    absent = [name for name in names if name not in sys.modules]
    # None in sys.modules is Python's own way to say so: `import` raises ModuleNotFoundError.
    sys.modules.update(dict.fromkeys(absent))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in absent:
            if sys.modules.get(name) is None:
                sys.modules.pop(name, None)


@contextmanager
def leaving(cluster: Cluster | None) -> Iterator[None]:
    """End this process at once when the block fails, if it is one of a job's.

    JAX would make it wait for the others' farewell, minutes long, while they wait for it in a training step.
    """
    try:
        yield
    except BaseException as error:
        if cluster is not None:
            code = 130 if isinstance(error, KeyboardInterrupt) else getattr(error, "exit_code", 1)
            # Of the functions that Python calls at its end the last one registered is the first.
            atexit.register(_leave, code)
        raise


def _leave(code: int) -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


def _join(cluster: Cluster, timeout: float) -> None:
    """Meet the other processes of a job, before anything else asks JAX for devices."""
    import jax

    # XLA's own collectives for CPUs; those of GPUs and TPUs are a matter of their drivers.
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    # It would take SIGTERM for itself.
    jax.config.update("jax_enable_preemption_service", False)

    def meet() -> None:
        jax.distributed.initialize(
            cluster.coordinator,
            cluster.processes,
            cluster.rank,
            # Its own time-out ends the process by abort(); ours comes first.
            initialization_timeout=int(timeout) + 600,
            cluster_detection_method="deactivate",
        )

    failure = _within(timeout, meet)
    if failure is not None:
        raise TrainingFailedError(
            f"rank {cluster.rank} of {cluster.processes} ({cluster.source}): the processes of the job did "
            f"not meet at {cluster.coordinator} ({failure}); check that all {cluster.processes} were started "
            "with the same address, that it can be reached, and that its port is free"
        )
    if READY in os.environ:
        os.close(int(os.environ.pop(READY)))


def _within(seconds: float, act: Callable[[], None]) -> str | None:
    """Do something that may hang for good: what went wrong, or None."""
    failures: list[str] = []

    def attempt() -> None:
        try:
            act()
        except (RuntimeError, ValueError, OSError) as error:
            failures.append((str(error).splitlines() or [type(error).__name__])[0])

    # As a daemon it does not keep the process alive.
    thread = threading.Thread(target=attempt, daemon=True)
    thread.start()
    thread.join(seconds)
    return f"in {seconds:g} seconds" if thread.is_alive() else next(iter(failures), None)


def out_of_memory(error: BaseException) -> bool:
    """Whether an error of TensorFlow or JAX says that the device's memory does not suffice."""
    return type(error).__name__ == "ResourceExhaustedError" or (
        type(error).__name__ in ("JaxRuntimeError", "XlaRuntimeError") and "RESOURCE_EXHAUSTED" in str(error)
    )


def lost_contact(error: BaseException) -> bool:
    """Whether an error of JAX says that another process of the job is gone."""
    return any(
        word in str(error)
        for word in ("Gloo", "NCCL", "Connection closed by peer", "UNAVAILABLE", "heartbeat")
    )


@contextmanager
def gloo_silenced(cluster: Cluster | None) -> Iterator[None]:
    """Of a job, drop what is written to standard output: Gloo tells there of each connection, and a command's
    own answer goes there."""
    if cluster is None:
        yield
        return
    sys.stdout.flush()
    saved, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    try:
        yield
    finally:
        os.dup2(saved, 1)
        os.close(saved)
        os.close(nowhere)


@contextmanager
def _held_back() -> Iterator[None]:
    """Collect what C++ and Python write to standard error; show it when the block fails."""
    sys.stderr.flush()
    saved = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            os.dup2(saved, 2)
            held.seek(0)
            os.write(2, held.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(saved, 2)
            os.close(saved)
