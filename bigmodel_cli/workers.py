"""Several processes of one command on this machine, started and watched by a parent.

They find each other as on a cluster, by TF_CONFIG on the loopback device. The parent knows more than they: a
process that never comes is ended by SIGKILL, since it may wait in a call that no other signal ends; when one
dies, all are ended.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from bigmodel_cli.engine import READY
from bigmodel_cli.errors import TrainingFailedError, UsageError

POLL_SECONDS = 0.1

GRACE_SECONDS = 15.0
"""For the chief to say why it fails when another process has died, and for the others to end after it."""

TAIL_LINES = 20

_STOPPED = (0, 130)
"""Exit codes of a process that has ended as it should."""


@dataclass
class Worker:
    """A process of the job.

    Attributes:
        rank: 0 is the chief.
        process: as it was started.
        ready: the end of a pipe that the process closes when it has met the others.
        log: what it prints; None for the chief, which prints where the parent does.
    """

    rank: int
    process: subprocess.Popen[bytes]
    ready: int
    log: IO[bytes] | None

    def tail(self) -> str:
        """The last lines of the log."""
        if self.log is None:
            return ""
        self.log.seek(0)
        lines = self.log.read().decode(errors="replace").splitlines()[-TAIL_LINES:]
        return "".join(f"\n  {line}" for line in lines)


def run(command: Sequence[str], count: int, timeout: float, *, gpus: bool = True) -> int:
    """Run a command as a job of `count` processes on this machine, and wait for its end.

    SIGINT and SIGTERM go to the chief, which tells the others.

    Args:
        command: of every process.
        count: of processes.
        timeout: seconds in which they must have met.
        gpus: divide the GPUs of this machine among them.

    Returns:
        The exit code of the chief.

    Raises:
        TrainingFailedError: they did not meet in time, or one of them died.
        UsageError: there are fewer GPUs than processes.
    """
    shares = list(_shares(count)) if gpus else [{}] * count
    address = [f"127.0.0.1:{port}" for port in _free_ports(count)]
    with ExitStack() as stack:
        workers: list[Worker] = []
        stack.callback(_end, workers)
        stack.enter_context(_signals_to_chief(workers))
        for rank in range(count):
            workers.append(_started(stack, command, rank, address, shares[rank]))
        _await_meeting(workers, timeout)
        return _watch(workers)


def _started(
    stack: ExitStack, command: Sequence[str], rank: int, addresses: Sequence[str], share: Mapping[str, str]
) -> Worker:
    task = {"cluster": {"worker": list(addresses)}, "task": {"type": "worker", "index": rank}}
    log = stack.enter_context(tempfile.TemporaryFile()) if rank else None  # noqa: SIM115
    ours, theirs = os.pipe()
    stack.callback(os.close, ours)
    try:
        process = subprocess.Popen(
            command,
            env={**os.environ, **share, "TF_CONFIG": json.dumps(task), READY: str(theirs)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=[theirs],
            # Ctrl-C in a terminal goes to all processes of its group; the chief shall hear it once, from us.
            start_new_session=True,
        )
    finally:
        os.close(theirs)
    return Worker(rank, process, ours, log)


def _await_meeting(workers: Sequence[Worker], timeout: float) -> None:
    """Wait until every process has closed its end of the pipe, or one of them has ended."""
    deadline = time.monotonic() + timeout
    waited_for = {worker.ready: worker for worker in workers}
    with selectors.DefaultSelector() as selector:
        for descriptor in waited_for:
            selector.register(descriptor, selectors.EVENT_READ)
        while waited_for and all(worker.process.poll() in (None, 0) for worker in workers):
            if time.monotonic() > deadline:
                raise TrainingFailedError(
                    f"--workers {len(workers)}: the processes did not meet in {timeout:g} seconds and were "
                    "ended; give them longer with --workers-timeout, or see whether a firewall closes the "
                    "loopback device" + "".join(_told(worker) for worker in waited_for.values())
                )
            for key, _ in selector.select(POLL_SECONDS):
                selector.unregister(key.fd)
                del waited_for[key.fd]


def _told(worker: Worker) -> str:
    tail = worker.tail()
    return f"\nthe last lines of worker {worker.rank}:{tail}" if tail else ""


def _watch(workers: Sequence[Worker]) -> int:
    """Wait for the chief; when another one dies, say so."""
    chief, others = workers[0], workers[1:]
    while chief.process.poll() is None:
        if dead := _dead(others):
            with suppress(subprocess.TimeoutExpired):
                chief.process.wait(GRACE_SECONDS)
            # Where all fail of the same, the chief has said why.
            if dead.process.returncode != chief.process.returncode:
                raise _death(dead, len(workers))
        time.sleep(POLL_SECONDS)
    code = chief.process.returncode
    deadline = time.monotonic() + (GRACE_SECONDS if code in _STOPPED else 2 * POLL_SECONDS)
    while time.monotonic() < deadline and any(worker.process.poll() is None for worker in others):
        time.sleep(POLL_SECONDS)
    dead = _dead(others)
    if dead and code not in _STOPPED and dead.process.returncode != code:
        raise _death(dead, len(workers))
    # As a shell has it: 128 and the number of the signal.
    return 128 - code if code < 0 else code


def _dead(workers: Sequence[Worker]) -> Worker | None:
    return next((worker for worker in workers if worker.process.poll() not in (None, *_STOPPED)), None)


def _death(worker: Worker, count: int) -> TrainingFailedError:
    code = worker.process.returncode
    how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
    return TrainingFailedError(
        f"worker {worker.rank} of {count} {how}; all were ended; go on with   bigmodel train --resume RUN"
        f"{_told(worker)}"
    )


def _end(workers: Sequence[Worker]) -> None:
    for worker in workers:
        if worker.process.poll() is None:
            worker.process.kill()
    for worker in workers:
        worker.process.wait()


@contextmanager
def _signals_to_chief(workers: Sequence[Worker]) -> Iterator[None]:
    def forward(number: int, frame: Any) -> None:
        if workers:
            workers[0].process.send_signal(number)

    before = {number: signal.signal(number, forward) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _free_ports(count: int) -> list[int]:
    """Ports of the loopback device that nobody uses at this moment."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _shares(count: int) -> Iterator[dict[str, str]]:
    """Environment variables that give each process its own GPUs, where there are any.

    Raises:
        UsageError: there are fewer GPUs than processes.
    """
    gpus = visible_gpus()
    if gpus and len(gpus) < count:
        raise UsageError(
            f"--workers {count}: there are {len(gpus)} GPUs here, and two processes cannot share one; use at "
            f"most {len(gpus)} workers, or hide the GPUs with CUDA_VISIBLE_DEVICES=''"
        )
    for rank in range(count):
        own = gpus[rank * len(gpus) // count : (rank + 1) * len(gpus) // count]
        yield {"CUDA_VISIBLE_DEVICES": ",".join(own)} if own else {}


def visible_gpus() -> list[str]:
    """NVIDIA GPUs that a process started here may use, as CUDA numbers them."""
    asked = os.environ.get("CUDA_VISIBLE_DEVICES")
    if asked is not None:
        return [name.strip() for name in asked.split(",") if name.strip() and name.strip() != "-1"]
    folder = Path("/proc/driver/nvidia/gpus")
    return [str(index) for index, _ in enumerate(folder.iterdir())] if folder.is_dir() else []


def command_line(arguments: Sequence[str]) -> list[str]:
    """This very program with other arguments."""
    return [sys.executable, "-m", "bigmodel_cli", *arguments]
