"""Linear regression."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bigmodel_cli.contracts import DataSpec, Penalty
from bigmodel_cli.models.layers import features, output_head, require_task

if TYPE_CHECKING:
    import keras
    import numpy as np


def linear_regression(
    data: DataSpec, *, l1: Penalty = 0.0, l2: Penalty = 0.0, standardize: bool = True, flatten: bool = False
) -> keras.Model:
    """Weighted sum of the inputs plus an intercept, for each target.

    Trained by gradient descent on the loss of the config; with the mean squared error it approaches
    ordinary least squares, with `l2` ridge (Hoerl and Kennard 1970), with `l1` lasso (Tibshirani 1996).
    Features are standardized inside the model, because gradient descent on raw columns of different
    size diverges or crawls; the reported slopes and intercepts are in the units of the raw inputs.
    The weights start at 0, the intercepts at the mean of the targets.

    Args:
        l1: Factor of the sum of absolute weights in the loss, at least 0; applies to standardized features.
        l2: Factor of the sum of squared weights in the loss, at least 0; applies to standardized features.
        standardize: Bring each table column to mean 0 and variance 1 of the training split first.
        flatten: Take images too, each pixel (0 to 1) as a feature.
    """
    import keras

    require_task(data, "linear_regression", ("regression",), "`logistic_regression`")
    inputs, x = features(data, "linear_regression", flatten=flatten, standardize=standardize)
    return keras.Model(inputs, output_head(x, data, l1=l1, l2=l2, zeros=True), name="linear_regression")


def coefficients(model: keras.Model) -> tuple[np.ndarray, np.ndarray]:
    """Slopes and intercepts of a `linear_regression` in the units of the raw inputs.

    Returns:
        Weights (features, targets) and intercepts (targets,), both float64.
    """
    import keras
    import numpy as np

    weights, intercepts = (np.asarray(w, dtype="float64") for w in model.get_layer("outputs").get_weights())
    for layer in model.layers:
        if isinstance(layer, keras.layers.Rescaling):
            weights = weights * layer.scale
        elif isinstance(layer, keras.layers.Normalization):
            deviation = np.sqrt(np.asarray(layer.input_variance, dtype="float64"))
            # The layer divides by no less than that.
            weights = weights / np.maximum(deviation, keras.config.epsilon())[:, np.newaxis]
            intercepts = intercepts - np.asarray(layer.input_mean, dtype="float64") @ weights
    return weights, intercepts
