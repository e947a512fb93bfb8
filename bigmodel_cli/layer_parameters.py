"""Which Keras layers a config can hold, and what their parameters take.

Keras declares few types: they follow from the parameter's name, from its default, or from the tables below.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, WithJsonSchema

from bigmodel_cli import catalogue
from bigmodel_cli.contracts import Penalty, Rate, Units

_CODE = "holds code, which a config cannot; write a model of your own, `package.module:function`"
_CELL = "is a single step; use `lstm`, `gru` or `simple_rnn`"
_RANDOM = "changes images at random, and would go on after training; use `dataset.augment`"
_PREPARE = "learns from the data, as `dataset.prepare` does for a table's columns"
_BASE = "is only a base of other layers"
LEFT_OUT = {
    "Layer": _BASE,
    "Wrapper": _BASE,
    "InputLayer": "is made from the data; the tensor `input` is there",
    "Lambda": _CODE,
    "JaxLayer": _CODE,
    "FlaxLayer": _CODE,
    "TorchModuleWrapper": _CODE,
    "TFSMLayer": _CODE,
    "RNN": _CELL,
    "StackedRNNCells": _CELL,
    "GRUCell": _CELL,
    "LSTMCell": _CELL,
    "SimpleRNNCell": _CELL,
    "Equalization": "cannot be built into a model by Keras 3.15",
    "Pipeline": "holds other layers; write them one after the other",
    "MaxNumBoundingBoxes": "is for bounding boxes, which no dataset here has",
    "Normalization": "learns from the data; inputs are standardized already (`scale: true`)",
    "CategoryEncoding": _PREPARE,
    "Discretization": _PREPARE,
    "HashedCrossing": _PREPARE,
    "Hashing": _PREPARE,
    "IntegerLookup": _PREPARE,
    "StringLookup": _PREPARE,
    "TextVectorization": _PREPARE,
    **dict.fromkeys(("AugMix", "CutMix", "MixUp", "RandAugment", "Solarization"), _RANDOM),
    **dict.fromkeys(
        (
            f"Random{name}"
            for name in (
                "Brightness", "ColorDegeneration", "ColorJitter", "Contrast", "Crop", "ElasticTransform",
                "Erasing", "Flip", "GaussianBlur", "Grayscale", "Hue", "Invert", "Perspective",
                "Posterization", "Rotation", "Saturation", "Sharpness", "Shear", "Translation", "Zoom",
            )
        ),
        _RANDOM,
    ),
}  # fmt: skip
"""Layer class -> why no config can name it."""

SET_BY_US = {
    # The name and the seed of a layer follow from its place and the seed of the config.
    "self", "name", "kwargs", "args", "seed",
    # More than one output, or a state that lives from batch to batch.
    "return_state", "stateful", "backward_layer",
    # Weights come from training; quantization and kernels from the tool; batch statistics cover all devices.
    "weights", "quantization_config", "gptq_unpacked_column_size", "use_cudnn", "unroll", "synchronized",
    "renorm", "renorm_clipping", "renorm_momentum", "reverse_dtype",
}  # fmt: skip
"""Parameters of layers that no config can set."""

COMMON: tuple[dict[str, Any], ...] = (
    {
        "name": "trainable",
        "required": False,
        "default": True,
        "description": "Whether training changes its weights.",
    },
    {
        "name": "dtype",
        "required": False,
        "default": None,
        "description": "What it computes in; None for the precision of the training.",
    },
)
"""What every layer takes besides its own parameters."""

CAUSAL: dict[str, Any] = {
    "name": "use_causal_mask",
    "required": False,
    "default": False,
    "description": "Whether a position attends only to itself and to those before it.",
}
"""What attention layers take when they are called."""

DESCRIPTIONS = {
    "dilation_rate": "Steps between the points of a window.",
    "output_padding": "Added to one side of the output.",
    "antialias": "Whether an image that becomes smaller is smoothed first.",
    "lora_alpha": "Factor of the low-rank update, divided by its rank.",
    "mask_value": "The steps that hold nothing but this value are masked.",
}
"""Of parameters whose Keras docstring has none."""

_Window = Annotated[int, Field(ge=1, le=10_000)]
_Windows = _Window | Annotated[list[_Window], Field(min_length=1, max_length=3)]
_Border = Annotated[int, Field(ge=0, le=10_000)]
_Borders = _Border | Annotated[list[_Border | Annotated[list[_Border], Field(min_length=2, max_length=2)]],
                               Field(min_length=1, max_length=3)]  # fmt: skip
_Axis = Annotated[int, Field(ge=-8, le=8)]
_Axes = _Axis | Annotated[list[_Axis], Field(min_length=1, max_length=8)]
_Length = Annotated[int, Field(ge=-1, le=1_000_000)]
_Shape = Annotated[list[_Length], Field(min_length=1, max_length=8)]
_Integer = Annotated[int, Field(ge=-1_000_000, le=1_000_000)]
_Real = float | Annotated[list[float], Field(min_length=1)]
_Positive = Annotated[float, Field(gt=0)]
_Format = Literal["channels_first", "channels_last"]
_Share = Annotated[float, Field(ge=0, le=1)]
_Pixels = Literal["bilinear", "nearest", "bicubic", "lanczos3", "lanczos5"]

_KNOWN: dict[str, Any] = {
    "alpha": float,
    "attention_axes": _Axes | None,
    "axes": _Axes,
    "axis": _Axes,
    "bias_axes": str | None,
    "clip_limit": _Positive,
    "data_format": _Format | None,
    "depth_multiplier": _Window,
    "dilation_rate": _Windows,
    "dims": Annotated[list[_Window], Field(min_length=1, max_length=8)],
    "dropout": Rate,
    "dtype": Literal["float32", "bfloat16", "float16", "mixed_bfloat16", "mixed_float16"] | None,
    "epsilon": _Positive,
    "equation": str,
    "fft_length": _Window | None,
    "filters": Units,
    "flash_attention": bool | None,
    "frame_step": _Window | None,
    "groups": Annotated[int, Field(ge=-1, le=1_000_000)],
    "head_dim": Units,
    "height": Units,
    "input_dim": Annotated[int, Field(ge=1, le=10_000_000)],
    "interpolation": _Pixels,
    "kernel_size": _Windows,
    "key_dim": Units,
    "l1": Penalty,
    "l2": Penalty,
    "layer": str | dict[str, Any],
    "logit_soft_cap": _Positive | None,
    "lora_alpha": _Positive | None,
    "lora_rank": _Window | None,
    "max_freq": _Positive | None,
    "max_value": float | None,
    "merge_mode": Literal["sum", "mul", "concat", "ave"] | None,
    "momentum": _Share,
    "n": Units,
    "noise_shape": Annotated[list[_Length | None], Field(min_length=1, max_length=8)] | None,
    "num_heads": _Window,
    "num_key_value_heads": _Window,
    "num_query_heads": _Window,
    "offset": _Real,
    "output_dim": Units,
    "output_padding": _Borders | None,
    "output_shape": _Length | Annotated[list[_Length | None], Field(min_length=1, max_length=8)] | None,
    "output_size": _Windows,
    "padding": Literal["valid", "same"],
    "pool_size": _Windows,
    "power_iterations": _Window,
    "rate": Rate,
    "recurrent_dropout": Rate,
    "score_mode": Literal["dot", "concat"],
    "sequence_length": _Window | None,
    "shared_axes": _Axes | None,
    "size": _Windows,
    "sliding_window": _Window | None,
    "stddev": Annotated[float, Field(ge=0)],
    "strides": _Windows,
    "target_shape": _Shape,
    "tile_grid_size": _Windows,
    "units": Units,
    "value_dim": Units | None,
    "value_range": Annotated[list[float], Field(min_length=2, max_length=2)],
    "width": Units,
}
# Where a name means something else in one class.
_OF_CLASSES: dict[str, dict[str, Any]] = {
    "Conv1D": {"padding": Literal["valid", "same", "causal"]},
    "Rescaling": {"scale": _Real},
    "STFTSpectrogram": {
        "mode": Literal["log", "magnitude", "psd", "real", "imag", "angle", "stft"],
        "scaling": Literal["density", "spectrum"] | None,
    },
    **{f"ZeroPadding{n}D": {"padding": _Borders} for n in (1, 2, 3)},
    **{f"Cropping{n}D": {"cropping": _Borders} for n in (1, 2, 3)},
    **{f"{kind}Pooling{n}D": {"strides": _Windows | None} for kind in ("Max", "Average") for n in (1, 2, 3)},
    "UpSampling2D": {"interpolation": _Pixels},
}  # fmt: skip

PARTS: dict[str, catalogue.Section] = {
    "initializer": "initializers",
    "regularizer": "regularizers",
    "constraint": "constraints",
}
"""Ending of a parameter's name -> what it names."""


def part_section(name: str) -> catalogue.Section | None:
    """What a parameter such as `kernel_regularizer` names: initializers, regularizers or constraints."""
    return PARTS.get(name.rpartition("_")[2])


def annotation(layer_class: str, parameter: catalogue.Parameter) -> Any:
    """What pydantic checks the value of a layer's parameter against."""
    name, default = parameter.name, parameter.default
    if (known := _OF_CLASSES.get(layer_class, {}).get(name)) is not None:
        return known
    if name in ("activation", "recurrent_activation"):
        choices = Literal[*catalogue.activations()]  # type: ignore[valid-type]
        return choices if parameter.required or default is not None else choices | None
    if (section := part_section(name)) is not None:
        part = _part(section)
        return part if default is not None else part | None
    if name in _KNOWN:
        return _KNOWN[name]
    if isinstance(default, bool):
        return bool
    if isinstance(default, int):
        return _Integer
    return float if default is None else type(default)


def _part(section: catalogue.Section) -> Any:
    """A name, or `{name: ..., parameter: ...}`, of an initializer, regularizer or constraint."""
    names = list(catalogue.entries(section))
    schema = {
        "anyOf": [
            {"enum": names},
            {"type": "object", "required": ["name"], "properties": {"name": {"enum": names}}},
        ]
    }
    return Annotated[str | dict[str, Any], AfterValidator(_checker(section)), WithJsonSchema(schema)]


def _checker(section: catalogue.Section) -> Callable[[Any], Any]:
    def check(value: Any) -> Any:
        from bigmodel_cli import components

        named = {"name": value} if isinstance(value, str) else value
        name = named.get("name")
        try:
            definition = components.find(section, name if isinstance(name, str) else "")
        except components.UnknownComponentError as error:
            raise ValueError(str(error)) from None
        parameters = {key: item for key, item in named.items() if key != "name"}
        known = list(definition.parameters.model_fields)
        for key in parameters:
            if key not in known:
                raise ValueError(f"`{key}`: {unknown_parameter(key, known)}")
        definition.parameters.model_validate(parameters)
        return value

    return check


def unknown_parameter(key: str, known: list[str]) -> str:
    """That a layer has no such parameter, with the nearest it has, or all."""
    from bigmodel_cli import components

    near = components.suggestion(key, known)
    listed = f"; known: {', '.join(known)}" if known else "; it takes none"
    return f"unknown parameter{near or listed}"
