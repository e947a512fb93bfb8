"""Devices of Keras on JAX: those of this process, or of all processes of a job."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from bigmodel_cli.devices import Devices, cpu_cores
from bigmodel_cli.errors import UsageError


def choose(setting: Literal["auto", "cpu", "gpu", "tpu"] | int) -> Devices:
    """Pick devices; a batch is shared by those of all processes (`keras.distribution.DataParallel`).

    Args:
        setting: a kind, or how many of every process's devices; `auto` takes TPUs before GPUs before the CPU,
            and all there are.

    Raises:
        UsageError: what was asked for is not there, or the processes have different numbers of devices.
    """
    import jax

    if setting == "cpu":
        # Before JAX looks for any: arrays without a place of their own would lie on the accelerator.
        jax.config.update("jax_platforms", "cpu")
    try:
        found = jax.devices() if setting == "auto" or isinstance(setting, int) else jax.devices(setting)
    except RuntimeError as error:
        raise UsageError(
            f"training.devices: {setting} was asked for, but JAX finds none "
            f"({(str(error).splitlines() or ['no reason given'])[0]}); use `auto` or `cpu`"
        ) from None
    # A process's rows of a batch lie side by side, and so must its devices.
    found = sorted(found, key=lambda device: (device.process_index, device.id))
    groups = [
        [device for device in found if device.process_index == rank] for rank in range(jax.process_count())
    ]
    if isinstance(setting, int):
        fewest = min(map(len, groups))
        if setting > fewest:
            raise UsageError(
                f"training.devices: {setting} were asked for, but JAX sees {fewest} in a process; use `auto`"
            )
        groups = [group[:setting] for group in groups]
    if len({len(group) for group in groups}) > 1:
        raise UsageError(
            "training.devices: the processes of the job have different numbers of devices ("
            f"{', '.join(str(len(group)) for group in groups)}); set training.devices to the smallest"
        )
    return _described(groups, "asked for" if setting != "auto" else "found")


def _described(groups: Sequence[Sequence[Any]], reason: str) -> Devices:
    import jax
    import keras

    first, each = groups[jax.process_index()][0], len(groups[0])
    kind = first.platform
    if kind == "cpu":
        cores = cpu_cores()
        name = f"CPU, {cores} core{'s' if cores > 1 else ''}" + (f" as {each} devices" if each > 1 else "")
    else:
        name = first.device_kind if each == 1 else f"{each} x {first.device_kind}"
    devices = [device for group in groups for device in group]
    distribution = None
    if len(devices) > 1:
        distribution = keras.distribution.DataParallel(
            devices=[f"{device.platform}:{device.id}" for device in devices], auto_shard_dataset=False
        )
    return Devices(
        kind,
        len(devices),
        name if len(groups) == 1 else f"{len(groups)} processes, each {name}",
        reason,
        distribution,
        _bfloat16(first),
        backend="jax",
        rank=jax.process_index(),
        processes=len(groups),
    )


def _bfloat16(device: Any) -> str:
    """Why a device multiplies bfloat16 fast; XLA on CPUs converts it to float32 and back."""
    if device.platform == "tpu":
        return "TPU"
    capability = str(getattr(device, "compute_capability", "0"))
    fast = device.platform == "gpu" and capability.partition(".")[0].isdecimal() and float(capability) >= 8
    return f"compute capability {capability}" if fast else ""
