from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bigmodel_cli.data.images import heads


def test_threads_read_the_same_heads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for place in range(8):
        Image.fromarray(np.zeros((4, 5 + place), np.uint8)).save(tmp_path / f"{place}.png")
    (tmp_path / "5.png").write_bytes(b"no image")
    paths = [str(tmp_path / f"{place}.png") for place in range(8)]
    expected = list(heads.heads(paths))
    assert [isinstance(head, str) for head in expected] == [place == 5 for place in range(8)]
    monkeypatch.setattr(heads, "PROBED_AT_ONCE", 3)
    monkeypatch.setattr(heads, "WAIT_SECONDS", -1.0)
    assert list(heads.heads(paths)) == expected
