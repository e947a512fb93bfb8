from __future__ import annotations

import json
from typing import Any

import pytest

from bigmodel_cli import cluster
from bigmodel_cli.cluster import Cluster
from bigmodel_cli.errors import UsageError


def tf_config(kind: str, index: int, **members: list[str]) -> dict[str, str]:
    return {"TF_CONFIG": json.dumps({"cluster": members, "task": {"type": kind, "index": index}})}


TORCH = {"RANK": "3", "WORLD_SIZE": "4", "MASTER_ADDR": "node-0", "MASTER_PORT": "29500"}
SLURM = {
    "SLURM_STEP_NODELIST": "gpu[07-09,11],login1", "SLURM_NTASKS": "4", "SLURM_PROCID": "2",
    "SLURM_JOB_ID": "5000",
}  # fmt: skip
JAX = {"JAX_COORDINATOR_ADDRESS": "pod-0.svc:1234", "JAX_NUM_PROCESSES": "2", "JAX_PROCESS_ID": "1"}
INDEXED = {"JAX_COORDINATOR_ADDRESS": "pod-0.svc:1234", "JAX_NUM_PROCESSES": "2", "JOB_COMPLETION_INDEX": "1"}


@pytest.mark.parametrize(("environment", "expected"), [
    (JAX, Cluster("pod-0.svc:1234", 2, 1, "JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES, JAX_PROCESS_ID")),
    (
        INDEXED,
        Cluster("pod-0.svc:1234", 2, 1, "JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES, JOB_COMPLETION_INDEX"),
    ),
    (tf_config("worker", 1, worker=["a:1", "b:2"]), Cluster("a:1", 2, 1, "TF_CONFIG")),
    (tf_config("worker", 1, worker=["a:1", "b:2"], chief=["c:3"]), Cluster("c:3", 3, 2, "TF_CONFIG")),
    (tf_config("chief", 0, worker=["a:1", "b:2"], chief=["c:3"]), Cluster("c:3", 3, 0, "TF_CONFIG")),
    (TORCH, Cluster("node-0:29500", 4, 3, "RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT")),
    # torchrun listens on the port it names.
    (
        {**TORCH, "TORCHELASTIC_USE_AGENT_STORE": "True"},
        Cluster("node-0:29501", 4, 3, "RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT"),
    ),
    (SLURM, Cluster("gpu07:62344", 4, 2, "Slurm")),
    ({**SLURM, "SLURM_STEP_ID": "3", "SLURM_STEP_NUM_TASKS": "3"}, Cluster("gpu07:62347", 3, 2, "Slurm")),
    (
        {"TPU_WORKER_HOSTNAMES": "t-0,t-1", "TPU_WORKER_ID": "1"},
        Cluster("t-0:8476", 2, 1, "TPU_WORKER_HOSTNAMES"),
    ),
])  # fmt: skip
def test_launchers(environment: dict[str, str], expected: Cluster) -> None:
    assert cluster.find(environment) == expected


@pytest.mark.parametrize("environment", [
    {},
    tf_config("worker", 0, worker=["a:1"]),
    {"TF_CONFIG": "{}"},
    {**TORCH, "RANK": "0", "WORLD_SIZE": "1"},
    {**SLURM, "SLURM_NTASKS": "1", "SLURM_PROCID": "0"},
    # A batch script that has not called srun runs once.
    {"SLURM_NTASKS": "4", "SLURM_PROCID": "0", "SLURM_JOB_ID": "1", "SLURM_JOB_NODELIST": "n[1-4]"},
    {"TPU_WORKER_HOSTNAMES": "localhost", "TPU_WORKER_ID": "0"},
    # Pods of an indexed job may have nothing to do with each other.
    {"JOB_COMPLETION_INDEX": "3"},
])  # fmt: skip
def test_one_process_is_no_cluster(environment: dict[str, str]) -> None:
    assert cluster.find(environment) is None


@pytest.mark.parametrize(("environment", "message"), [
    (
        {"JAX_NUM_PROCESSES": "2", "JAX_PROCESS_ID": "0"},
        "JAX_NUM_PROCESSES, JAX_PROCESS_ID say that this process belongs to a job, but "
        "JAX_COORDINATOR_ADDRESS is not set",
    ),
    ({**JAX, "JAX_PROCESS_ID": "two"}, "JAX_PROCESS_ID: must be a whole number, got `two`"),
    ({**JAX, "JAX_PROCESS_ID": "2"}, "this process has rank 2, but a job of 2 processes has ranks 0 to 1"),
    ({**JAX, "JAX_COORDINATOR_ADDRESS": "pod-0"}, "must have the form host:port, got `pod-0`"),
    ({"RANK": "0", "WORLD_SIZE": "2"}, "but MASTER_ADDR, MASTER_PORT are not set"),
    ({"TF_CONFIG": "{worker"}, "TF_CONFIG: is not what TensorFlow describes a cluster with"),
    (tf_config("worker", 5, worker=["a:1", "b:2"]), "its task, worker 5, is not one of its cluster"),
    (tf_config("worker", 0, worker=["a:1"], ps=["b:2"]), "processes of the kind `ps`"),
    (tf_config("worker", 0, worker=["a", "b"]), "TF_CONFIG: must have the form host:port, got `a`"),
    ({**SLURM, "SLURM_PROCID": ""}, "but SLURM_PROCID is not set"),
    ({**SLURM, "SLURM_STEP_NODELIST": ",["}, "SLURM_STEP_NODELIST: must name hosts"),
    ({"TPU_WORKER_HOSTNAMES": "t-0,t-1"}, "TPU_WORKER_ID is not set"),
])  # fmt: skip
def test_half_set_variables(environment: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        cluster.find(environment)
    assert message in str(caught.value)


@pytest.mark.parametrize(("nodes", "first"), [
    ("node1", "node1"),
    ("node1,node2", "node1"),
    ("node[001-015]", "node001"),
    ("node[3,007-015],host2", "node3"),
    ("rack[2-3]-blade,x", "rack2-blade"),
    ("a.b-c[10]", "a.b-c10"),
])  # fmt: skip
def test_the_first_host_of_a_list(nodes: str, first: str) -> None:
    assert cluster.first_host(nodes) == first


def test_the_command_line_says_what_is_missing(bigmodel: Any, write: Any, monkeypatch: Any) -> None:
    monkeypatch.setenv("RANK", "0")
    config = write("c.yaml", "name: x\ndataset: iris\nmodel: mlp\n")
    result = bigmodel("train", config)
    assert result.exit_code == 2
    assert "RANK say that this process belongs to a job, but WORLD_SIZE" in result.stderr
