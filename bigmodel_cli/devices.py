"""What to compute on, and what that hardware does fast."""

from __future__ import annotations

import importlib.util
import os
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from bigmodel_cli.errors import UsageError

if TYPE_CHECKING:
    import tensorflow as tf

DeviceKind = Literal["cpu", "gpu", "tpu"]


@dataclass(frozen=True)
class Choice:
    """What an `auto` became, or what was asked for, and why."""

    value: Any
    reason: str


@dataclass(frozen=True)
class Devices:
    """What a run computes on.

    Attributes:
        kind: cpu, gpu or tpu.
        count: devices that share a batch, over all processes; the cores of a CPU are one device.
        description: for the user's eyes.
        reason: why these.
        strategy: how variables and steps are spread over them: a `tf.distribute.Strategy`; on JAX a
            `keras.distribution.DataParallel`, or None for one device.
        bfloat16: why the hardware multiplies bfloat16 fast; empty when it does not.
        backend: engine of Keras that computes on them.
        rank: of this process in its job.
        processes: of the job.
    """

    kind: DeviceKind
    count: int
    description: str
    reason: str
    strategy: Any
    bfloat16: str
    backend: Literal["tensorflow", "jax"] = "tensorflow"
    rank: int = 0
    processes: int = 1

    def scope(self) -> AbstractContextManager[Any]:
        """Where models must be built and compiled."""
        return nullcontext() if self.strategy is None else self.strategy.scope()

    def running(self) -> AbstractContextManager[Any]:
        """Where models must be trained and measured: Keras on JAX asks for the distribution at every step."""
        return self.scope() if self.backend == "jax" else nullcontext()


def cpu_cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def choose(setting: Literal["auto", "cpu", "gpu", "tpu"] | int) -> Devices:
    """Pick devices of the engine that Keras runs on: `auto` takes all GPUs there are, else the CPU.

    Raises:
        UsageError: what was asked for is not there.
    """
    import keras
    import tensorflow as tf

    if keras.backend.backend() == "jax":
        from bigmodel_cli import jax_devices

        return jax_devices.choose(setting)
    if setting == "tpu":
        raise UsageError(
            "training.devices: a TPU works with training.backend jax, which `auto` chooses for it"
        )
    gpus = tf.config.list_physical_devices("GPU")
    if setting == "cpu" or (not gpus and setting in ("auto", 1)):
        if gpus:
            tf.config.set_visible_devices([], "GPU")
        reason = "asked for" if setting == "cpu" else "no GPU or TPU found"
        return _cpu(reason)
    if not gpus:
        raise UsageError(
            f"training.devices: {setting} was asked for, but TensorFlow sees no GPU; use `auto` or `cpu` "
            "(`bigmodel doctor` says what is there; `pip install bigmodel-cli[gpu]` brings CUDA)"
        )
    count = setting if isinstance(setting, int) else len(gpus)
    if count > len(gpus):
        raise UsageError(
            f"training.devices: {count} were asked for, but TensorFlow sees {len(gpus)}; use `auto`"
        )
    return _gpu(gpus[:count], "asked for" if setting != "auto" else "found")


def _cpu(reason: str) -> Devices:
    import tensorflow as tf

    cores = cpu_cores()
    return Devices(
        "cpu",
        1,
        f"CPU, {cores} core{'s' if cores > 1 else ''}",
        reason,
        tf.distribute.get_strategy(),
        cpu_bfloat16(),
    )


def _gpu(gpus: list[Any], reason: str) -> Devices:
    import tensorflow as tf

    details = tf.config.experimental.get_device_details(gpus[0])
    name = details.get("device_name", "GPU")
    capability = details.get("compute_capability", (0, 0))
    bfloat16 = f"compute capability {capability[0]}.{capability[1]}" if capability >= (8, 0) else ""
    if len(gpus) == 1:
        tf.config.set_visible_devices(gpus, "GPU")
        return Devices("gpu", 1, name, reason, tf.distribute.get_strategy(), bfloat16)
    return Devices("gpu", len(gpus), f"{len(gpus)} x {name}", reason, mirrored(len(gpus), "GPU"), bfloat16)


def mirrored(count: int, kind: Literal["GPU", "CPU"]) -> tf.distribute.Strategy:
    """Data parallelism over the devices of one machine (tf.distribute.MirroredStrategy)."""
    import tensorflow as tf

    return tf.distribute.MirroredStrategy([f"{kind}:{index}" for index in range(count)])


def tpu_present() -> bool:
    """Whether there is a TPU, and the library through which JAX drives it."""
    there = "TPU_NAME" in os.environ or any(Path("/dev").glob("accel*")) or Path("/dev/vfio/0").exists()
    # Other accelerators have such device files, too.
    return there and importlib.util.find_spec("libtpu") is not None


def cpu_bfloat16() -> str:
    """The instruction set by which this CPU multiplies bfloat16 fast, or nothing."""
    info = Path("/proc/cpuinfo")
    flags = info.read_text().split() if info.exists() else []
    for flag, name in (("amx_bf16", "AMX-BF16"), ("avx512_bf16", "AVX512-BF16")):
        if flag in flags:
            return name
    return ""


def available_memory() -> int:
    """Bytes of memory that can be had without swapping."""
    meminfo = Path("/proc/meminfo")
    if meminfo.exists():
        fields = dict(line.split(":", 1) for line in meminfo.read_text().splitlines())
        return int(fields["MemAvailable"].split()[0]) * 1024
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
