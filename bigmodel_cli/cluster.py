"""Which processes form the job, as the launcher that started them tells in environment variables."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bigmodel_cli.errors import UsageError

TPU_PORT = 8476
"""On which the coordinator of a TPU pod listens, as JAX has it."""


@dataclass(frozen=True)
class Cluster:
    """The processes of a job, and this one's place among them.

    Attributes:
        coordinator: host:port of the process of rank 0, on which the others find each other.
        processes: how many there are; at least 2.
        rank: of this process, from 0; 0 is the chief, which alone writes.
        source: who said so, for the user's eyes.
    """

    coordinator: str
    processes: int
    rank: int
    source: str


def find(environment: Mapping[str, str] = os.environ) -> Cluster | None:
    """The job that this process belongs to, or None where it is alone.

    Raises:
        UsageError: the variables are half set or contradict each other.
    """
    for recognise in _LAUNCHERS:
        found = recognise(environment)
        if found is not None:
            return _checked(found) if found.processes > 1 else None
    return None


def _checked(found: Cluster) -> Cluster:
    if not 0 <= found.rank < found.processes:
        raise UsageError(
            f"{found.source}: this process has rank {found.rank}, but a job of {found.processes} processes "
            f"has ranks 0 to {found.processes - 1}"
        )
    return found


def _jax(environment: Mapping[str, str]) -> Cluster | None:
    """JAX's own names, which Kubeflow Trainer sets; an indexed job of Kubernetes counts its pods itself."""
    names = ["JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID"]
    if not any(environment.get(name) for name in names):
        return None
    if not environment.get("JAX_PROCESS_ID") and environment.get("JOB_COMPLETION_INDEX"):
        names[2] = "JOB_COMPLETION_INDEX"
    address, count, rank = _all_of(environment, names)
    return Cluster(
        _address(address, names[0]), _number(count, names[1]), _number(rank, names[2]), ", ".join(names)
    )


def _tf_config(environment: Mapping[str, str]) -> Cluster | None:
    """TensorFlow's, which Kubeflow, Ray, Vertex AI and SageMaker set."""
    text = environment.get("TF_CONFIG")
    if not text:
        return None
    try:
        document = json.loads(text)
        cluster, task = document.get("cluster") or {}, document.get("task") or {}
        members = {kind: list(addresses) for kind, addresses in cluster.items()}
        kind, index = str(task.get("type", "")), int(task.get("index", 0))
    except (json.JSONDecodeError, AttributeError, TypeError, ValueError) as error:
        raise UsageError(f"TF_CONFIG: is not what TensorFlow describes a cluster with: {error}") from None
    if not members:
        return None
    unknown = sorted(set(members) - {"chief", "master", "worker"})
    if unknown:
        raise UsageError(
            f"TF_CONFIG: has processes of the kind `{unknown[0]}`; all train together here: name them chief "
            "and worker"
        )
    order = [
        (name, place) for name in ("chief", "master", "worker") for place in range(len(members.get(name, [])))
    ]
    if (kind, index) not in order:
        raise UsageError(f"TF_CONFIG: its task, {kind} {index}, is not one of its cluster")
    first, place = order[0]
    address = _address(str(members[first][place]), "TF_CONFIG")
    return Cluster(address, len(order), order.index((kind, index)), "TF_CONFIG")


def _torch(environment: Mapping[str, str]) -> Cluster | None:
    """The names of PyTorch, which torchrun, Kubeflow and Ray set."""
    names = ["RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"]
    if not (environment.get("RANK") or environment.get("WORLD_SIZE")) or environment.get("WORLD_SIZE") == "1":
        return None
    rank, count, host, port = _all_of(environment, names)
    number = _number(port, "MASTER_PORT")
    if environment.get("TORCHELASTIC_USE_AGENT_STORE") == "True":
        # torchrun itself listens on the port it names.
        number += 1
    return Cluster(f"{host}:{number}", _number(count, "WORLD_SIZE"), _number(rank, "RANK"), ", ".join(names))


def _slurm(environment: Mapping[str, str]) -> Cluster | None:
    """A step that `srun` started; a batch script on its own is one process, whatever the job was given."""
    nodes = environment.get("SLURM_STEP_NODELIST")
    if not nodes:
        return None
    counted = "SLURM_STEP_NUM_TASKS" if environment.get("SLURM_STEP_NUM_TASKS") else "SLURM_NTASKS"
    names = [counted, "SLURM_PROCID", "SLURM_JOB_ID"]
    count, rank, job = (
        _number(text, name) for text, name in zip(_all_of(environment, names), names, strict=True)
    )
    # As JAX does it: jobs that share a node take different ports.
    port = 65535 - 2**12 + 1 + (job + int(environment.get("SLURM_STEP_ID", "0"))) % 2**12
    return Cluster(f"{first_host(nodes)}:{port}", count, rank, "Slurm")


def first_host(nodes: str) -> str:
    """The first host of a Slurm list: `node[01-03,7],login2` begins with `node01`.

    Raises:
        UsageError: it is not such a list.
    """
    match = re.match(r"([^\[\],\s]*)(?:\[([^\],-]+)[^\]]*\]([^\[\],\s]*))?(?:,|$)", nodes)
    if match is None or not match[0].strip(","):
        raise UsageError(f"SLURM_STEP_NODELIST: must name hosts, such as node[01-04], got `{nodes}`")
    return match[1] + (match[2] or "") + (match[3] or "")


def _tpu(environment: Mapping[str, str]) -> Cluster | None:
    """A TPU pod as Google Kubernetes Engine and Ray describe it."""
    hosts = [host.strip() for host in environment.get("TPU_WORKER_HOSTNAMES", "").split(",") if host.strip()]
    if len(hosts) < 2:
        return None
    (rank,) = _all_of(environment, ["TPU_WORKER_ID"])
    host = hosts[0].partition(":")[0]
    return Cluster(f"{host}:{TPU_PORT}", len(hosts), _number(rank, "TPU_WORKER_ID"), "TPU_WORKER_HOSTNAMES")


def _all_of(environment: Mapping[str, str], names: list[str]) -> list[str]:
    missing = [name for name in names if not environment.get(name)]
    if missing:
        given = [name for name in names if name not in missing]
        what = f"{', '.join(given)} say that this process belongs to a job, but " if given else ""
        raise UsageError(
            f"{what}{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not set; set all of "
            f"{', '.join(names)}, or none to train in one process"
        )
    return [environment[name] for name in names]


def _number(text: str, name: str) -> int:
    if not text.strip().isdecimal():
        raise UsageError(f"{name}: must be a whole number, got `{text}`")
    return int(text)


def _address(text: str, name: str) -> str:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal():
        raise UsageError(f"{name}: must have the form host:port, got `{text}`")
    return text


_LAUNCHERS: tuple[Callable[[Mapping[str, str]], Any], ...] = (_jax, _tf_config, _torch, _slurm, _tpu)
