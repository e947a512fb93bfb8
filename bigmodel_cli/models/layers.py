"""What the architectures share: input, scaling, checks of the data, batch normalization, output."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal

from bigmodel_cli.contracts import DataSpec, Kind, Task
from bigmodel_cli.errors import ModelError
from bigmodel_cli.models.table import table_features

if TYPE_CHECKING:
    import keras

# Left out: `glu` halves the width, so a layer of n units would give n / 2; `threshold` has no default.
Activation = Literal[
    "celu",
    "elu",
    "exponential",
    "gelu",
    "hard_shrink",
    "hard_sigmoid",
    "hard_silu",
    "hard_swish",
    "hard_tanh",
    "leaky_relu",
    "linear",
    "log_sigmoid",
    "log_softmax",
    "mish",
    "relu",
    "relu6",
    "selu",
    "sigmoid",
    "silu",
    "soft_shrink",
    "softmax",
    "softplus",
    "softsign",
    "sparse_plus",
    "sparse_sigmoid",
    "sparsemax",
    "squareplus",
    "swish",
    "tanh",
    "tanh_shrink",
]
"""The activations of Keras that a name says completely."""

Initializer = Literal[
    "auto",
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
    "lecun_normal",
    "lecun_uniform",
    "orthogonal",
    "random_normal",
    "random_uniform",
    "truncated_normal",
]
"""The random initializers of Keras; `auto` goes by the activation (`initializer_for`)."""

# Units that pass about half of their inputs on: the variance argument of He et al. holds for them.
_RECTIFIERS = {
    "relu",
    "relu6",
    "leaky_relu",
    "elu",
    "celu",
    "gelu",
    "silu",
    "swish",
    "hard_silu",
    "hard_swish",
}

_OTHER_MODELS: dict[Kind, str] = {
    "image": "`cnn` or `resnet`",
    "tabular": "`mlp`, `logistic_regression` or `linear_regression`",
    "table": "`mlp`, `logistic_regression` or `linear_regression`",
}


def describe_input(data: DataSpec) -> str:
    """`28x28x1 images` or `4 tabular features`, for messages."""
    if data.input.kind == "image":
        return "x".join(map(str, data.input.shape)) + " images"
    if len(data.input.shape) > 1:
        return f"sequences of {data.input.shape[0]} times {'x'.join(map(str, data.input.shape[1:]))} numbers"
    count = data.input.shape[0]
    what = "table column" if data.input.kind == "table" else "tabular feature"
    return f"{count} {what}{'s' if count > 1 else ''}"


def require_kind(data: DataSpec, model_name: str, kind: Kind) -> None:
    """Refuse data that the model cannot take.

    Raises:
        ModelError: the inputs are of another kind.
    """
    if data.input.kind != kind:
        wanted = {"image": "images", "tabular": "tabular features", "table": "tables"}[kind]
        raise ModelError(
            f"model.name: `{model_name}` takes {wanted}, but dataset `{data.name}` gives"
            f" {describe_input(data)}; use {_OTHER_MODELS[data.input.kind]}, or another dataset"
        )


def require_task(data: DataSpec, model_name: str, tasks: Sequence[Task], instead: str) -> None:
    """Refuse a task that the model is not made for.

    Raises:
        ModelError: the dataset's task is another one.
    """
    if data.target.tasks:
        instead = "`mlp` (of images `cnn` or `resnet`)"
    if data.task not in tasks:
        raise ModelError(
            f"model.name: `{model_name}` is for {' and '.join(tasks)}, but dataset `{data.name}` is for"
            f" {data.task}; use {instead}, or another dataset"
        )


def raw_input(data: DataSpec) -> keras.KerasTensor:
    """Symbolic input (batch, *data.input.shape) in data.input.dtype, as the dataset stores it."""
    import keras

    return keras.Input(data.input.shape, dtype=data.input.dtype, name="input")


def scaled_image(x: keras.KerasTensor, low: float, high: float) -> keras.KerasTensor:
    """Pixels 0 to 255 brought linearly to the range low to high."""
    import keras

    # float32: bfloat16 has 8 significant bits, so a factor and an offset rounded to it move every pixel.
    return keras.layers.Rescaling((high - low) / 255, offset=low, dtype="float32", name="scale")(x)


def standardized(x: keras.KerasTensor, data: DataSpec) -> keras.KerasTensor:
    """Features brought to mean 0 and variance 1, with the statistics of the training split."""
    import keras

    # float32: raw table values (years, prices) lose their differences in bfloat16.
    return keras.layers.Normalization(
        mean=list(data.input.mean), variance=input_variance(data), dtype="float32", name="standardize"
    )(x)


def input_variance(data: DataSpec) -> list[float]:
    """By which features are divided; 1 for one that is constant in training, which is only shifted."""
    return [
        # A deviation below float32's resolution of the mean is rounding error, not a scale.
        1.0 if v <= (1e-6 * m) ** 2 else v
        for m, v in zip(data.input.mean, data.input.variance, strict=True)
    ]


def features(
    data: DataSpec, model_name: str, *, flatten: bool, standardize: bool = True
) -> tuple[Any, keras.KerasTensor]:
    """Input of a model that works on a vector of features, raw and ready for the first layer.

    Returns:
        The raw input, or the dict of prepared inputs of a table; and the scaled features (batch, features)
        float32: numbers with mean 0 and variance 1, what a table's columns become, or the pixels of images
        from 0 to 1 in one row.

    Raises:
        ModelError: the inputs are images and `flatten` is off.
    """
    import keras

    if data.input.kind == "table":
        return table_features(data)
    inputs = raw_input(data)
    if data.input.kind == "image":
        if not flatten:
            raise ModelError(
                f"model.name: `{model_name}` takes a vector of features, but dataset `{data.name}` gives"
                f" {describe_input(data)}; set `model.flatten: true` to feed every pixel as a feature, or use"
                f" {_OTHER_MODELS['image']}"
            )
        return inputs, keras.layers.Flatten(name="flatten", dtype="float32")(scaled_image(inputs, 0, 1))
    if len(data.input.shape) == 1:
        return inputs, numbers(inputs, data, standardize)
    if not flatten:
        raise ModelError(
            f"model.name: `{model_name}` takes a vector of features, but dataset `{data.name}` gives"
            f" {describe_input(data)}; use `lstm`, `gru` or `wavenet`, or another dataset"
        )
    return inputs, keras.layers.Flatten(name="flatten", dtype="float32")(numbers(inputs, data, standardize))


def numbers(inputs: keras.KerasTensor, data: DataSpec, standardize: bool) -> keras.KerasTensor:
    """Numbers in the shape of the input, float32: standardized by feature, the last axis, or as they are."""
    import keras

    if standardize:
        return standardized(inputs, data)
    return keras.layers.Identity(name="features", dtype="float32")(inputs)


def output_head(
    x: keras.KerasTensor,
    data: DataSpec,
    *,
    l1: float = 0.0,
    l2: float = 0.0,
    zeros: bool = False,
    units: int | None = None,
) -> Any:
    """Final dense layer (batch, data.outputs) float32: `logits` of classes or labels, else `outputs`.

    The intercepts of a regression start at the mean of what it learns, so that the optimizer spends no
    steps on finding the level. `zeros` starts the weights at 0, as suits a model without
    hidden layers, instead of at random. `units` is another number of outputs, of one task.

    Returns:
        What it gives; of several tasks a dict of the outputs of one layer each, such as `logits_species`.
    """
    if data.target.tasks:
        return {
            one.key: _head(x, part, f"_{one.key}", l1, l2, zeros, part.outputs)
            for one, part in zip(data.target.tasks, data.parts, strict=True)
        }
    return _head(x, data, "", l1, l2, zeros, units or data.outputs)


def _head(
    x: keras.KerasTensor, data: DataSpec, suffix: str, l1: float, l2: float, zeros: bool, units: int
) -> keras.KerasTensor:
    import keras

    regression = data.task == "regression"
    # Scaled targets have mean 0.
    mean = data.target.mean if data.target.scaling == "none" else [0.0] * data.outputs
    return keras.layers.Dense(
        units,
        # Predictions in bfloat16 would have two or three digits.
        dtype="float32",
        bias_initializer=keras.initializers.Constant(list(mean)) if regression else "zeros",
        kernel_initializer="zeros" if zeros else "glorot_uniform",
        kernel_regularizer=regularizer(l1, l2),
        name=("outputs" if regression else "logits") + suffix,
    )(x)


def regularizer(l1: float, l2: float) -> keras.regularizers.Regularizer | None:
    """Penalty l1 * sum(|w|) + l2 * sum(w^2) on one layer's kernel; None when both are 0."""
    import keras

    return keras.regularizers.L1L2(l1=l1, l2=l2) if l1 or l2 else None


def initializer_for(activation: str, initializer: str = "auto") -> str:
    """Name of the kernel initializer; `auto` keeps the variance through layers of this activation.

    He et al. 2015 (section 2.2) for rectifiers, Klambauer et al. 2017 (section 3) for `selu`,
    Glorot and Bengio 2010 (section 4.2) for the rest.
    """
    if initializer != "auto":
        return initializer
    if activation == "selu":
        return "lecun_normal"
    return "he_normal" if activation in _RECTIFIERS else "glorot_uniform"


def batch_normalization(x: keras.KerasTensor, *, name: str | None = None) -> keras.KerasTensor:
    """Batch normalization (Ioffe and Szegedy 2015) as one kernel where the engine has one.

    The statistics cover the batch of all replicas. Momentum 0.9 (He et al. 2016), not Keras' 0.99: the
    moving averages that evaluation uses then settle in tens of steps instead of hundreds. Epsilon is
    1e-5 as in the reference implementations.
    """
    import keras

    tensorflow = keras.backend.backend() == "tensorflow"
    # Other engines refuse the option; there the batch is one array over all devices anyway.
    layer = keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5, synchronized=tensorflow, name=name)
    fuse(layer, x)
    return layer(x)


def fuse(layer: keras.layers.BatchNormalization, x: keras.KerasTensor) -> None:
    """Let a batch normalization of these feature maps be one kernel, where the engine has one that fits."""
    import keras

    fits = len(x.shape) == 4 and layer.axis in (-1, 3) and layer.center and layer.scale
    if keras.backend.backend() == "tensorflow" and fits:
        layer.call = _fused_call(layer)


def _fused_call(layer: keras.layers.BatchNormalization) -> Callable[..., Any]:
    """`layer.call` with TensorFlow's fused kernel in place of Keras' chain of element-wise ones.

    The chain runs in float32 even under bfloat16; with the kernel a training step of ResNet-20 takes 0.75
    (float32) and 0.47 (bfloat16) of the CPU time. It replaces the method of one layer, not its
    class, so that a saved model holds a plain `BatchNormalization` and loads anywhere; a loaded model
    computes the same numbers, only slower.
    """
    import tensorflow as tf
    from keras import ops

    unfused = layer.call

    def call(inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        learning = bool(training and layer.trainable)
        # The kernel knows this replica's share of the batch only, and no float64.
        split = learning and tf.distribute.get_strategy().num_replicas_in_sync > 1
        if split or mask is not None or inputs.dtype == tf.float64:
            return unfused(inputs, training=training, mask=mask)
        outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=ops.convert_to_tensor(layer.gamma),
            offset=ops.convert_to_tensor(layer.beta),
            mean=tf.zeros([0]) if learning else ops.convert_to_tensor(layer.moving_mean),
            variance=tf.zeros([0]) if learning else ops.convert_to_tensor(layer.moving_variance),
            epsilon=layer.epsilon,
            is_training=learning,
        )
        if learning:
            # The kernel divides by n - 1, Keras by n.
            n = tf.cast(tf.reduce_prod(tf.shape(inputs)[:3]), "float32")
            variance *= (n - 1) / n
            keep = layer.momentum
            layer.moving_mean.assign(layer.moving_mean * keep + mean * (1 - keep))
            layer.moving_variance.assign(layer.moving_variance * keep + variance * (1 - keep))
        return outputs

    return call
