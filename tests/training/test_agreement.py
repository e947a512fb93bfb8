"""Of several processes; what real ones do is in tests/cli/test_train_workers.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bigmodel_cli.errors import UsageError
from bigmodel_cli.training import agreement


@pytest.fixture
def others(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the other processes give, a function of what this one gives."""
    given: list[Any] = []
    monkeypatch.setattr(agreement, "several", lambda: True)
    monkeypatch.setattr(
        agreement, "_gathered", lambda array: np.stack([array, *(change(array) for change in given)])
    )
    return given


def test_one_process_asks_nobody() -> None:
    assert not agreement.several()
    assert agreement.chief()
    assert agreement.largest(-7) == -7
    assert agreement.path_of_chief(Path("runs/x")) == Path("runs/x")
    agreement.check({"config": object()})


def test_the_largest_value(others: list[Any]) -> None:
    others += [lambda array: array * 0 + 15, lambda array: array - 1]
    assert agreement.largest(2) == 15


def test_the_path_of_the_chief(others: list[Any], tmp_path: Path) -> None:
    others.append(lambda array: array * 0)
    assert agreement.path_of_chief(tmp_path / "naïve run") == tmp_path / "naïve run"


def test_agreement(others: list[Any]) -> None:
    others.append(lambda array: array)
    agreement.check({"config": {"seed": 1}, "examples": [1, 2]})


def test_disagreement_names_what_differs(others: list[Any]) -> None:
    def change(array: np.ndarray) -> np.ndarray:
        other = array.copy()
        other[[0, 2], 5] ^= 1
        return other

    others += [lambda array: array, change]
    with pytest.raises(
        UsageError, match=r"the processes of the job have different config, dataset\.cache; start"
    ):
        agreement.check({"config": 1, "examples": 2, "dataset.cache": "memory"})


def test_the_order_of_keys_is_no_difference() -> None:
    assert agreement._digest({"a": 1, "b": 2}) == agreement._digest({"b": 2, "a": 1})
    assert agreement._digest({"a": 1}) != agreement._digest({"a": 2})
