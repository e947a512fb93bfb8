"""What the tests share: the command line as a user types it, and small configs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

# TensorFlow writes to standard error while it is imported, whatever the log level.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

# Every process that a test starts would compile the package anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Result:
    """What a command line gave."""

    exit_code: int
    stdout: str
    stderr: str


Bigmodel = Callable[..., Result]


@pytest.fixture(autouse=True, scope="module")
def curves_undrawn(request: pytest.FixtureRequest) -> Iterator[None]:
    """Training in this process draws no learning curves, unless the tests of a module look at them.

    They take a quarter of the time of the tests' short runs. `pytestmark = pytest.mark.curves` draws them.
    """
    if request.node.get_closest_marker("curves"):
        yield
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bigmodel_cli.plots.learning_curves", lambda *args, **kwargs: None)
        yield


@pytest.fixture
def bigmodel(capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bigmodel:
    """`bigmodel("train", "my.yaml")`, in this process and in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> Result:
        from bigmodel_cli.cli import main

        capfd.readouterr()
        code: int | str | None = 0
        try:
            main([str(argument) for argument in arguments])
        except SystemExit as stop:
            code = stop.code
        captured = capfd.readouterr()
        return Result(int(code or 0), captured.out, captured.err)

    return run


@pytest.fixture
def bigmodel_process(tmp_path: Path) -> Bigmodel:
    """The same as a process of its own, as a shell starts it."""

    def run(*arguments: object, cwd: Path = tmp_path, timeout: float = 300, **variables: str) -> Result:
        done = subprocess.run(
            [sys.executable, "-m", "bigmodel_cli", *map(str, arguments)],
            cwd=cwd,
            env={**os.environ, **variables},
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        return Result(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str], Path]:
    """Write a text file into the test's folder."""

    def write_file(name: str, text: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    return write_file


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Every figure that is saved, in order."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    saved: list[Any] = []
    save = FigureCanvasAgg.print_png

    def record(canvas: Any, *args: Any, **kwargs: Any) -> None:
        saved.append(canvas.figure)
        save(canvas, *args, **kwargs)

    monkeypatch.setattr(FigureCanvasAgg, "print_png", record)
    return saved


@pytest.fixture
def peak_memory() -> Callable[[], int]:
    """Bytes by which this process at its largest was larger than at the start of the test.

    Not `ru_maxrss`: a process inherits that of the one that started it, and its own never falls.
    """
    try:
        # Linux: the peak begins anew.
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        pytest.skip("only Linux tells the peak of a part of a process")

    def held(field: str) -> int:
        status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
        return int(status[field].split()[0]) * 1024

    before = held("VmRSS")
    return lambda: held("VmHWM") - before


@pytest.fixture(scope="session")
def tfds_dir() -> Path:
    """A folder with prepared MNIST and CIFAR-10; the test is skipped where there is none."""
    folder = Path(os.environ.get("TFDS_DATA_DIR", ""))
    if not os.environ.get("TFDS_DATA_DIR") or not all(
        (folder / name).is_dir() for name in ("mnist", "cifar10")
    ):
        pytest.skip("needs prepared mnist and cifar10 in TFDS_DATA_DIR")
    return folder
