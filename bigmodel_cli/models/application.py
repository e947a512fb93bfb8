"""The architectures of keras.applications."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from bigmodel_cli.contracts import DataSpec, PathText, Penalty, Rate
from bigmodel_cli.errors import ModelError
from bigmodel_cli.models import pretrained
from bigmodel_cli.models.layers import describe_input, output_head, raw_input, require_kind

if TYPE_CHECKING:
    import keras

Architecture = Literal[
    "convnext_tiny",
    "convnext_small",
    "convnext_base",
    "convnext_large",
    "convnext_xlarge",
    "densenet121",
    "densenet169",
    "densenet201",
    "efficientnet_b0",
    "efficientnet_b1",
    "efficientnet_b2",
    "efficientnet_b3",
    "efficientnet_b4",
    "efficientnet_b5",
    "efficientnet_b6",
    "efficientnet_b7",
    "efficientnet_v2_b0",
    "efficientnet_v2_b1",
    "efficientnet_v2_b2",
    "efficientnet_v2_b3",
    "efficientnet_v2_s",
    "efficientnet_v2_m",
    "efficientnet_v2_l",
    "inception_resnet_v2",
    "inception_v3",
    "mobilenet",
    "mobilenet_v2",
    "mobilenet_v3_large",
    "mobilenet_v3_small",
    "nasnet_large",
    "nasnet_mobile",
    "resnet50",
    "resnet50_v2",
    "resnet101",
    "resnet101_v2",
    "resnet152",
    "resnet152_v2",
    "vgg16",
    "vgg19",
    "xception",
]

# How each family wants its pixels, as its `preprocess_input` has it; the others scale them inside.
_MINUS_ONE_TO_ONE = ("inception", "mobilenet", "mobilenet_v2", "nasnet", "resnet", "xception")
_IMAGENET_MEAN, _IMAGENET_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_CAFFE_MEAN = (103.939, 116.779, 123.68)


def application(
    data: DataSpec,
    *,
    architecture: Architecture = "mobilenet_v2",
    weights: Literal["imagenet"] | PathText | None = None,
    head: Literal["pooled", "original"] = "pooled",
    alpha: float | None = None,
    dropout: Rate = 0.0,
    l1: Penalty = 0.0,
    l2: Penalty = 0.0,
) -> keras.Model:
    """A network of keras.applications, for images of any size that it can take.

    Pixels are scaled inside the model as the published weights expect it; a grey image becomes three equal
    channels.

    Args:
        architecture: Which one; each is described in Keras' documentation, with its paper.
        weights: `imagenet` for the published ones (downloaded once, to ~/.keras), a file of weights of the
            layers below the head (.weights.h5, .h5, .keras), or null for random ones.
        head: `pooled`, the mean over all places and one dense layer; `original`, the layers of the paper
            (of VGG two dense layers of 4,096 units), whose weights are always random.
        alpha: Width of mobilenet, mobilenet_v2 and mobilenet_v3 relative to the paper's; null is 1.
        dropout: Share of the pooled features that training sets to 0 before the last layer.
        l1: Factor of the sum of absolute weights of the last layer in the loss, at least 0.
        l2: Factor of the sum of squared weights of the last layer in the loss, at least 0.
    """
    import keras

    require_kind(data, "application", "image")
    options = _options(architecture, alpha, dropout, head)
    function = _function(architecture)
    shape = (*data.input.shape[:2], 3)
    inputs = raw_input(data)
    scaled = _scaled(inputs, architecture)
    with_top = {"include_top": True, "classes": data.outputs, "classifier_activation": None}
    try:
        if head == "original":
            backbone = function(**with_top, weights=None, input_tensor=scaled, input_shape=shape, **options)
            # Keras' own last convolution of mobilenet_v3 has that name already.
            name = "outputs" if any(layer.name == "logits" for layer in backbone.layers) else "logits"
            outputs = keras.layers.Activation("linear", dtype="float32", name=name)(backbone.output)
        else:
            backbone = function(
                include_top=False, weights=None, input_tensor=scaled, input_shape=shape, **options
            )
            x = keras.layers.GlobalAveragePooling2D(name="pool")(backbone.output)
            if dropout:
                x = keras.layers.Dropout(dropout, name="dropout")(x)
            outputs = output_head(x, data, l1=l1, l2=l2)
    except ValueError as error:
        raise ModelError(
            f"model.architecture: `{architecture}` cannot be built on {describe_input(data)}: {error}; set "
            "`dataset.image_size` to a larger size, or take another architecture"
        ) from error
    model = keras.Model(inputs, outputs, name=architecture)
    if weights is not None and pretrained.wanted():
        _begin_with(backbone, function, shape, weights, options, head)
    return model


def _function(architecture: str) -> Callable[..., keras.Model]:
    """`efficientnet_v2_b0` -> keras.applications.EfficientNetV2B0."""
    import keras

    wanted = architecture.replace("_", "")
    (name,) = [name for name in dir(keras.applications) if name[0].isupper() and name.lower() == wanted]
    function: Callable[..., keras.Model] = getattr(keras.applications, name)
    return function


def _options(architecture: str, alpha: float | None, dropout: float, head: str) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if alpha is not None:
        if not architecture.startswith("mobilenet"):
            raise ModelError(f"model.alpha: is for mobilenet, and `{architecture}` has none; leave it out")
        options["alpha"] = alpha
    if head == "original" and dropout:
        raise ModelError("model.dropout: is of the pooled head; leave it out, or set `model.head: pooled`")
    return options


def _scaled(x: keras.KerasTensor, architecture: str) -> keras.KerasTensor:
    """Pixels 0 to 255 in three channels, scaled as the family wants them."""
    import keras

    x = keras.layers.Rescaling(1.0, dtype="float32", name="pixels")(x)
    if x.shape[-1] == 1:
        x = keras.layers.Concatenate(name="three_channels")([x, x, x])
    if architecture.startswith(("vgg", "resnet")) and not architecture.endswith("_v2"):
        # The weights of these come from Caffe, which reads blue first.
        x = keras.ops.flip(x, axis=-1)
        return keras.layers.Normalization(
            mean=list(_CAFFE_MEAN), variance=[1.0] * 3, dtype="float32", name="scale"
        )(x)
    if architecture.startswith("densenet"):
        variance = [(255 * deviation) ** 2 for deviation in _IMAGENET_DEVIATION]
        mean = [255 * value for value in _IMAGENET_MEAN]
        return keras.layers.Normalization(mean=mean, variance=variance, dtype="float32", name="scale")(x)
    if architecture.startswith(_MINUS_ONE_TO_ONE) and not architecture.startswith("mobilenet_v3"):
        return keras.layers.Rescaling(1 / 127.5, offset=-1.0, dtype="float32", name="scale")(x)
    return x


def _begin_with(
    backbone: keras.Model,
    function: Callable[..., keras.Model],
    shape: tuple[int, ...],
    weights: str,
    options: dict[str, Any],
    head: str,
) -> None:
    """Give the layers below the head their weights.

    Raises:
        ModelError: they are not there or do not fit.
    """
    if head == "original":
        raise ModelError(
            "model.weights: are those below the head; set `model.head: pooled`, or leave them out"
        )
    if weights == "imagenet":
        try:
            reference = function(include_top=False, weights="imagenet", input_shape=shape, **options)
        except Exception as error:
            # Keras raises a bare Exception for a download that fails.
            if "URL fetch failure" not in str(error):
                raise
            raise ModelError(
                f"model.weights: those of ImageNet cannot be downloaded: {error}; run once on a machine with "
                "network and bring its ~/.keras/models along, or name a file of weights"
            ) from None
    else:
        reference = function(include_top=False, weights=None, input_shape=shape, **options)
        pretrained.read_into(reference, Path(weights), "model.weights")
    backbone.set_weights(reference.get_weights())
