from __future__ import annotations

import matplotlib.image
import pytest

from bigmodel_cli.plots import loss_by_place

PLACES = ((1, 1, 3.0), (2, 5, 2.0), (6, 20, 1.5))


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_model_and_baseline_are_drawn(tmp_path, theme):
    both = matplotlib.image.imread(loss_by_place(PLACES, 3.2, tmp_path / "a.png", title="cats", theme=theme))
    alone = matplotlib.image.imread(
        loss_by_place(PLACES, None, tmp_path / "b.png", title="cats", theme=theme)
    )
    assert both.shape == alone.shape
    assert (both != alone).any()


def test_a_single_place_is_enough(tmp_path):
    assert loss_by_place(((1, 1, 2.0),), 3.2, tmp_path / "a.png", title="cats").is_file()
