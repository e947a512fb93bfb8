"""Logistic regression."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bigmodel_cli.contracts import DataSpec, Penalty
from bigmodel_cli.models.layers import features, output_head, require_task

if TYPE_CHECKING:
    import keras


def logistic_regression(
    data: DataSpec, *, l1: Penalty = 0.0, l2: Penalty = 0.0, flatten: bool = False
) -> keras.Model:
    """Softmax of one weighted sum of the inputs per class; of labels, a sigmoid of one per label.

    Multinomial logistic regression (Bishop 2006, section 4.3.4); two classes have two logits, whose
    difference is the logit of the binary form. Features are standardized inside the model, and
    the weights start at 0.

    Args:
        l1: Factor of the sum of absolute weights in the loss, at least 0; applies to standardized features.
        l2: Factor of the sum of squared weights in the loss, at least 0; applies to standardized features.
        flatten: Take images too, each pixel (0 to 1) as a feature.
    """
    import keras

    require_task(data, "logistic_regression", ("classification", "multi_label"), "`linear_regression`")
    inputs, x = features(data, "logistic_regression", flatten=flatten)
    return keras.Model(inputs, output_head(x, data, l1=l1, l2=l2, zeros=True), name="logistic_regression")
