from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image


def _pixels(path: Path) -> Any:
    with Image.open(path) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB")).astype(int)


@pytest.fixture(scope="session")
def pixels() -> Callable[[Path], Any]:
    """Reads a PNG as (height, width, 3)."""
    return _pixels


@pytest.fixture(scope="session")
def holds_color() -> Callable[[Path, Any], bool]:
    """Whether any pixel of a PNG has a colour."""
    return lambda path, color: bool((np.abs(_pixels(path) - np.array(color)).max(axis=2) <= 3).any())
