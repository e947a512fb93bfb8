from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bigmodel_cli import plots
from bigmodel_cli.plots.style import LOOKS, Look

pytestmark = pytest.mark.curves

Pixels = Callable[[Path], Any]
HoldsColor = Callable[[Path, Any], bool]
CURVE = [{"loss": 2.0, "val_loss": 2.5}, {"loss": 1.0, "val_loss": 1.25}]
LONGER = [*CURVE, {"loss": 0.7, "val_loss": 0.8}]


def test_names_are_text_not_mathematics(tmp_path: Path, figures: list[Any]) -> None:
    names = ["$\\broken{", "a_b$", "猫", "two\nlines"]
    plots.confusion_matrix(np.eye(4, dtype=int), names, tmp_path / "a.png", title="cost: $5 to $6_x")
    plots.predicted_against_true(
        np.arange(8.0).reshape(2, 4), np.zeros((2, 4)), names, tmp_path / "b.png", title="$x$"
    )
    assert figures[0].axes[0].get_yticklabels()[3].get_text() == "two lines"


def test_a_picture_is_whole_or_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    path = tmp_path / "a.png"
    plots.learning_curves(CURVE, path, best_epoch=1, monitor="val_loss", title="")
    before = path.read_bytes()

    def fail(canvas: Any, target: Path, **kwargs: Any) -> None:
        Path(target).write_bytes(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(FigureCanvasAgg, "print_png", fail)
    with pytest.raises(OSError, match="No space"):
        plots.learning_curves(LONGER, path, best_epoch=1, monitor="val_loss", title="")
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_the_users_own_style_is_neither_used_nor_changed(tmp_path: Path) -> None:
    import matplotlib

    first = plots.learning_curves(LONGER, tmp_path / "a.png", best_epoch=1, monitor="val_loss", title="x")
    with matplotlib.rc_context({"figure.facecolor": "black", "font.size": 30}):
        second = plots.learning_curves(
            LONGER, tmp_path / "b.png", best_epoch=1, monitor="val_loss", title="x"
        )
        assert matplotlib.rcParams["font.size"] == 30
    assert first.read_bytes() == second.read_bytes()


def luminance(color: str) -> float:
    """As in WCAG 2.2."""
    parts = np.array([int(color[place : place + 2], 16) for place in (1, 3, 5)]) / 255
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def contrast(one: str, other: str) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
def test_text_and_lines_stand_out(look: Look) -> None:
    assert contrast(look.ink, look.paper) > 7
    assert contrast(look.grey, look.paper) > 4.5
    assert min(contrast(color, look.paper) for color in (look.blue, look.vermillion, look.green)) > 3
    few, some, many = (luminance(color) for color in look.shades)
    assert (few > some > many) if look is LOOKS["light"] else (few < some < many)


def test_the_theme_is_that_of_the_whole_picture(
    tmp_path: Path, pixels: Pixels, holds_color: HoldsColor
) -> None:
    for theme in ("light", "dark"):
        path = plots.learning_curves(
            CURVE, tmp_path / f"{theme}.png", best_epoch=1, monitor="val_loss", title="", theme=theme
        )
        paper = tuple(int(LOOKS[theme].paper[place : place + 2], 16) for place in (1, 3, 5))
        corner = tuple(pixels(path)[-1, 0])
        assert corner == paper
    assert not holds_color(tmp_path / "dark.png", (255, 255, 255))
    assert not holds_color(tmp_path / "dark.png", (0, 0, 0))
