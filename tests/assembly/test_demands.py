from __future__ import annotations

from typing import Any

import pytest

from bigmodel_cli.config.schema import Config
from bigmodel_cli.errors import DataError


@pytest.mark.parametrize(
    ("model", "dataset", "message"),
    [
        (
            "unet",
            {"name": "shapes", "examples": 20, "augment": [{"name": "random_flip"}, {"name": "mix_up"}]},
            r"dataset.augment\[1\]: `mix_up` mixes images, whose pixels would then have two classes",
        ),
        (
            "autoencoder",
            {"name": "digits", "limit": 40, "augment": [{"name": "cut_mix"}]},
            r"dataset.augment\[0\]: `cut_mix` mixes images and their classes, and model `autoencoder` learns",
        ),
        (
            "vae",
            {"name": "diabetes", "prepare": {"target": {"scale": "log"}}},
            "dataset.prepare.target.scale: `log` scales targets, and model `vae` learns the inputs",
        ),
    ],
)
def test_what_does_not_go_together(model: str, dataset: dict[str, Any], message: str) -> None:
    from bigmodel_cli import assembly

    config = Config.model_validate({"name": "c", "dataset": dataset, "model": model})
    with pytest.raises(DataError, match=message):
        assembly.load_data(config)


def test_what_goes_together() -> None:
    from bigmodel_cli import assembly

    dataset = {"name": "shapes", "examples": 20, "augment": [{"name": "random_flip", "mode": "horizontal"}]}
    config = Config.model_validate({"name": "c", "dataset": dataset, "model": "unet"})
    assert assembly.load_data(config).spec.task == "segmentation"
