from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bigmodel_cli import engine
from bigmodel_cli.errors import UsageError


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
