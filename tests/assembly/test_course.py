from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight

from bigmodel_cli.config.schema import Config
from bigmodel_cli.errors import DataError


def config_of(**dataset: Any) -> Config:
    return Config.model_validate({"name": "c", "dataset": dataset, "model": "mlp"})


def test_balanced_weights_are_those_of_scikit_learn() -> None:
    from bigmodel_cli import assembly

    config = config_of(name="wine", class_weights="balanced")
    data = assembly.load_data(config)
    found = assembly.class_weights(config, data.spec)
    assert found is not None
    expected = compute_class_weight("balanced", classes=np.arange(3), y=data.splits["train"].targets())
    assert len(set(expected)) == 3
    assert [found[index] for index in range(3)] == pytest.approx(expected.tolist())


def test_weights_by_name() -> None:
    from bigmodel_cli import assembly

    given = {"virginica": 3.0, "setosa": 1.0, "versicolor": 2.0}
    config = config_of(name="iris", class_weights=given)
    spec = assembly.load_data(config).spec
    assert assembly.class_weights(config, spec) == {0: 1.0, 1: 2.0, 2: 3.0}
    wrong = config_of(name="iris", class_weights={"setosa": 1.0, "rose": 2.0})
    message = "no class 'rose'; no weight is given for versicolor, virginica; the classes are setosa"
    with pytest.raises(DataError, match=message):
        assembly.class_weights(wrong, spec)
    assert assembly.class_weights(config_of(name="iris"), spec) is None


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("class_weights", "balanced", "dataset.class_weights: are for classification, .* leave them out$"),
        ("resample", "oversample", "dataset.resample: `oversample` is for classification, .* leave it out$"),
    ],
)
def test_a_regression_has_no_classes_to_balance(key: str, value: str, message: str) -> None:
    from bigmodel_cli import assembly

    config = config_of(name="diabetes", **{key: value})
    data = assembly.load_data(config)
    with pytest.raises(DataError, match=message):
        assembly.class_weights(config, data.spec)
        assembly.resampling(config, data.splits["train"], data.spec)
