"""The parent, with children that are a few lines of Python each."""

from __future__ import annotations

import os
import signal
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from bigmodel_cli import workers
from bigmodel_cli.errors import TrainingFailedError, UsageError

CHILD = """
import json, os, signal, sys, time
rank = json.loads(os.environ["TF_CONFIG"])["task"]["index"]
def meet():
    os.close(int(os.environ["BIGMODEL_READY_FD"]))
open(f"{sys.argv[1]}/{rank}", "w").write(str(os.getpid()))
"""


def command(folder: Path, code: str) -> list[str]:
    return [sys.executable, "-S", "-c", CHILD + textwrap.dedent(code), str(folder)]


def alive(folder: Path) -> list[int]:
    found = []
    for path in folder.iterdir():
        try:
            os.kill(int(path.read_text()), 0)
        except ProcessLookupError:
            continue
        found.append(int(path.name))
    return found


@pytest.fixture(autouse=True)
def short_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "GRACE_SECONDS", 1.0)


@pytest.mark.parametrize("code", [0, 1, 2])
def test_the_exit_code_is_that_of_the_chief(
    code: int, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    child = f"meet(); print('rank', rank); sys.exit({code})"
    assert workers.run(command(tmp_path, child), 3, 30) == code
    # The others are not heard.
    assert capfd.readouterr().out == "rank 0\n"


def test_all_know_the_same_addresses(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    workers.run(command(tmp_path, "meet(); print(os.environ['TF_CONFIG'])"), 2, 30)
    document = capfd.readouterr().out
    assert document.count("127.0.0.1:") == 2
    assert '"index": 0' in document


def test_one_that_dies_ends_all(tmp_path: Path) -> None:
    child = """
    meet()
    if rank == 1:
        print("about to go", flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)
    """
    with pytest.raises(TrainingFailedError) as caught:
        workers.run(command(tmp_path, child), 3, 30)
    message = str(caught.value)
    assert message.startswith("worker 1 of 3 was killed by SIGKILL; all were ended; go on with")
    assert message.endswith("the last lines of worker 1:\n  about to go")
    assert alive(tmp_path) == []


def test_one_that_dies_before_all_have_met(tmp_path: Path) -> None:
    child = "sys.exit('no disk') if rank == 1 else time.sleep(60)"
    before = time.monotonic()
    with pytest.raises(TrainingFailedError, match=r"worker 1 of 2 ended with exit code 1(.|\n)*no disk"):
        workers.run(command(tmp_path, child), 2, 60)
    assert time.monotonic() - before < 55
    assert alive(tmp_path) == []


def test_one_that_never_comes_is_killed(tmp_path: Path) -> None:
    child = """
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if rank != 1:
        meet()
    time.sleep(60)
    """
    with pytest.raises(TrainingFailedError, match=r"did not meet in 1 seconds .* --workers-timeout"):
        workers.run(command(tmp_path, child), 2, 1)
    assert alive(tmp_path) == []


def test_an_interrupt_goes_to_the_chief_alone(tmp_path: Path) -> None:
    child = """
    def stop(number, frame):
        open(f"{sys.argv[1]}/0", "a")
        sys.exit(130 if rank == 0 else 7)
    signal.signal(signal.SIGINT, stop)
    meet()
    time.sleep(60)
    """
    after_start = threading.Timer(2.0, os.kill, [os.getpid(), signal.SIGINT])
    after_start.start()
    handler = signal.getsignal(signal.SIGINT)
    assert workers.run(command(tmp_path, child), 2, 30) == 130
    assert signal.getsignal(signal.SIGINT) is handler
    assert alive(tmp_path) == []


def test_gpus_are_divided(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,6")
    child = command(tmp_path, "meet(); print(os.environ['CUDA_VISIBLE_DEVICES'])")
    workers.run(child, 2, 30)
    assert capfd.readouterr().out == "4\n"
    assert [share["CUDA_VISIBLE_DEVICES"] for share in workers._shares(2)] == ["4", "5,6"]
    with pytest.raises(UsageError, match=r"--workers 4: there are 3 GPUs here"):
        workers.run(child, 4, 30)
    workers.run(child, 4, 30, gpus=False)
    assert capfd.readouterr().out == "4,5,6\n"
