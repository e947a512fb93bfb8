"""What the installed Keras and TensorFlow Datasets offer, readable without importing them.

`catalogue.json` is generated from the installed packages by `python -m bigmodel_cli.catalogue`; a test
holds it against them.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

Section = Literal[
    "optimizers", "losses", "metrics", "schedules", "layers", "initializers", "regularizers", "constraints"
]
FILE = Path(__file__).with_name("catalogue.json")

# Base classes, wrappers of Python functions, what does not compare a target with a prediction, what belongs
# to embeddings, which no model here gives, and other forms of the mean IoU. Poisson takes the logarithm of
# the prediction, which a regression does not keep above 0. MultiOptimizer is what `optimizer.layers` is
# for.
_NOT_FOR_CONFIGS = {
    "optimizers": {"Optimizer", "LossScaleOptimizer", "MultiOptimizer"},
    "losses": {"Loss", "CTC", "Circle", "Poisson"},
    "metrics": {
        "Metric", "Mean", "Sum", "MeanMetricWrapper", "Accuracy", "BinaryIoU", "IoU", "OneHotIoU",
        "OneHotMeanIoU", "Poisson",
    },
    "schedules": {"LearningRateSchedule"},
    "initializers": {"Initializer", "RandomInitializer", "STFT"},
    "regularizers": {"Regularizer"},
    "constraints": {"Constraint"},
}  # fmt: skip
# Functions that work on gradients or tensors rather than name an activation; `glu` halves the width, and
# `threshold` has no default.
_NO_ACTIVATIONS = {"deserialize", "get", "serialize", "glu", "threshold"}
# Set by the tool itself: names and dtypes, logits (our classifiers give them), the per-example form of
# losses; averaged weights and loss scaling have keys of their own (`optimizer.ema`, `optimizer.loss_scale`).
_SET_BY_US = {
    "self", "name", "dtype", "kwargs", "args", "from_logits", "reduction", "loss_scale_factor",
    "use_ema", "ema_momentum", "ema_overwrite_frequency", "num_classes", "num_labels", "label_weights",
    "multi_label", "num_regressors", "sparse_y_true", "sparse_y_pred", "ignore_class", "axis",
    "learning_rate",
}  # fmt: skip
_KEYS_ELSEWHERE = {"optimizers", "losses", "metrics", "schedules"}
# Of the parts of layers, only what the seed of the config decides.
_NO_KEYS = {"self", "name", "dtype", "kwargs", "args", "seed", "input_axes", "output_axes"}
# What Keras itself calls these by default.
_SHORT = {"RandomNormal": "normal", "RandomUniform": "uniform", "L1L2": "l1l2"}
# Keys of our own in a section, for more than the classes that have such a parameter.
_KEYS_OF_SECTIONS = {("losses", "label_smoothing")}

_Number = Annotated[float, Field(ge=0)]
_Share = Annotated[float, Field(ge=0, le=1)]
_Count = Annotated[int, Field(ge=1)]
_Open = Annotated[float, Field(ge=0, lt=1)]
# Keras declares few annotations: the type follows from the default, the range from the name.
_KNOWN: Mapping[str, Any] = {
    "weight_decay": _Number | None,
    "clipnorm": Annotated[float, Field(gt=0)] | None,
    "clipvalue": Annotated[float, Field(gt=0)] | None,
    "global_clipnorm": Annotated[float, Field(gt=0)] | None,
    "gradient_accumulation_steps": Annotated[int, Field(ge=2)] | None,
    "momentum": _Share,
    "beta_1": _Open,
    "beta_2": _Open,
    "adam_beta_1": _Open,
    "adam_beta_2": _Open,
    "adam_weight_decay": _Number | None,
    "adam_lr_ratio": Annotated[float, Field(gt=0)],
    "rms_rate": Annotated[float, Field(gt=0)] | None,
    "clip_threshold": Annotated[float, Field(gt=0)],
    "initial_accumulator_value": _Number,
    "learning_rate_power": Annotated[float, Field(le=0)],
    "l1_regularization_strength": _Number,
    "l2_regularization_strength": _Number,
    "l2_shrinkage_regularization_strength": _Number,
    "rho": _Open,
    "epsilon": Annotated[float, Field(gt=0)],
    "label_smoothing": _Open,
    "k": _Count,
    "thresholds": float | list[float] | None,
    "class_id": Annotated[int, Field(ge=0)] | None,
    "top_k": _Count | None,
    "decay_steps": _Count,
    "first_decay_steps": _Count,
    "warmup_steps": Annotated[int, Field(ge=0)],
    "warmup_target": Annotated[float, Field(gt=0)] | None,
    "initial_learning_rate": Annotated[float, Field(ge=0)],
    "end_learning_rate": Annotated[float, Field(ge=0)],
    "decay_rate": _Number,
    "boundaries": list[int],
    "values": list[float],
    "alpha": float,
    "gamma": float,
    "num_thresholds": Annotated[int, Field(ge=2)],
    "threshold": _Share | None,
    "recall": _Share,
    "precision": _Share,
    "sensitivity": _Share,
    "specificity": _Share,
    "average": Literal["micro", "macro", "weighted"] | None,
    "curve": Literal["ROC", "PR"],
    "summation_method": Literal["interpolation", "minoring", "majoring"],
    "class_aggregation": Literal["uniform_average", "variance_weighted_average"] | None,
    "exclude_layers": list[str] | None,
    "ns_steps": _Count,
    "axis": int | list[int],
    "l1": _Number,
    "l2": _Number,
    "factor": _Number,
    "stddev": _Number,
}


@dataclass(frozen=True)
class Parameter:
    """A parameter of a Keras class.

    Attributes:
        name: as Keras calls it.
        required: whether it must be given.
        default: None where Keras has none.
        description: from the Keras docstring, on one line.
    """

    name: str
    required: bool
    default: Any
    description: str

    @property
    def annotation(self) -> Any:
        """What pydantic checks its value against."""
        if self.name in _KNOWN:
            return _KNOWN[self.name]
        if self.default is None:
            return Any
        kind = type(self.default)
        return float if kind is int and not isinstance(self.default, bool) else kind


@dataclass(frozen=True)
class Entry:
    """A Keras class that a config can name.

    Attributes:
        name: canonical name in configs.
        keras_class: attribute of the Keras module of its section.
        summary: first line of the Keras docstring.
        parameters: in the order of the Keras signature.
        aliases: other names of the class in Keras.
    """

    name: str
    keras_class: str
    summary: str
    parameters: tuple[Parameter, ...]
    aliases: tuple[str, ...] = ()


def _snake(name: str) -> str:
    name = re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1_\2", name)
    return re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name).lower()


@cache
def _document() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    return document


@cache
def entries(section: Section) -> Mapping[str, Entry]:
    """Canonical name -> entry, in alphabetical order."""
    return {
        name: Entry(
            name,
            item["class"],
            item["summary"],
            tuple(Parameter(**parameter) for parameter in item["parameters"]),
            tuple(item.get("aliases", ())),
        )
        for name, item in _document()[section].items()
    }


def find(section: Section, name: str) -> Entry | None:
    """An entry by its canonical name, its Keras class name, or either in other letters."""
    table = entries(section)
    wanted = name.replace("_", "").lower()
    return table.get(name) or next(
        (
            entry
            for entry in table.values()
            if wanted
            in (entry.name.replace("_", ""), *(name.lower() for name in (entry.keras_class, *entry.aliases)))
        ),
        None,
    )


def activations() -> list[str]:
    """Names of the Keras activations, sorted."""
    return list(_document()["activations"])


def tfds_names() -> list[str]:
    """Names of the data sets inside the installed TensorFlow Datasets."""
    return list(_document()["tfds"])


def versions() -> Mapping[str, str]:
    """Package versions that the catalogue was generated from."""
    return dict(_document()["versions"])


def _argument_docs(docstring: str) -> dict[str, str]:
    """Descriptions from a Google-style `Args:` section, each on one line."""
    match = re.search(r"^Arg(?:ument)?s:\n(.*?)(?=^\S|\Z)", inspect.cleandoc(docstring), re.M | re.S)
    found: dict[str, str] = {}
    for item in re.finditer(
        r"^ {4}(\w+)(?: \([^)]*\))?:(.*?)(?=^ {4}\w+(?: \([^)]*\))?:|\Z)",
        match[1] if match else "",
        re.M | re.S,
    ):
        found[item[1]] = " ".join(item[2].split())
    return found


def _summary(docstring: str) -> str:
    return " ".join(inspect.cleandoc(docstring).split("\n\n")[0].split())


def _inspect(module: Any, section: str, base: type) -> Iterator[tuple[str, dict[str, Any]]]:
    known: dict[str, str] = {}
    for class_name in sorted(dir(module)):
        kind = getattr(module, class_name)
        if not (inspect.isclass(kind) and issubclass(kind, base)) or class_name in _NOT_FOR_CONFIGS[section]:
            continue
        if kind.__name__ != class_name or "fn" in inspect.signature(kind).parameters:
            continue
        # Muon's docstring lacks what all optimizers share.
        docs = known = {**known, **_argument_docs(kind.__doc__ or "")}
        parameters = [
            {
                "name": name,
                "required": parameter.default is inspect.Parameter.empty,
                "default": None if parameter.default is inspect.Parameter.empty else parameter.default,
                "description": docs.get(name, ""),
            }
            for name, parameter in inspect.signature(kind).parameters.items()
            if name not in (_SET_BY_US if section in _KEYS_ELSEWHERE else _NO_KEYS)
            and (section, name) not in _KEYS_OF_SECTIONS
        ]
        name = class_name.lower() if section == "optimizers" else _snake(class_name)
        entry: dict[str, Any] = {
            "class": class_name,
            "summary": _summary(kind.__doc__ or ""),
            "parameters": parameters,
        }
        if class_name in _SHORT:
            entry["aliases"] = [_SHORT[class_name]]
        if section == "optimizers":
            entry["learning_rate"] = inspect.signature(kind).parameters["learning_rate"].default
        yield name, entry


def _inspect_layers(module: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Layers under their names in configs: `conv2d`, `max_pooling2d`, `lstm`, `relu`."""
    from bigmodel_cli import layer_parameters as own

    names: dict[Any, list[str]] = {}
    for name in sorted(dir(module)):
        kind = getattr(module, name)
        if inspect.isclass(kind) and issubclass(kind, module.Layer) and name not in own.LEFT_OUT:
            names.setdefault(kind, []).append(name)
    for kind, known in names.items():
        class_name = kind.__name__ if kind.__name__ in known else known[0]
        docs = {**own.DESCRIPTIONS, **_argument_docs(kind.__doc__ or "")}
        parameters = [
            {
                "name": name,
                "required": parameter.default is inspect.Parameter.empty,
                "default": None if parameter.default is inspect.Parameter.empty else parameter.default,
                "description": docs.get(name, ""),
            }
            for name, parameter in inspect.signature(kind).parameters.items()
            if name not in own.SET_BY_US and name != "dtype"
        ]
        if "use_causal_mask" in inspect.signature(kind.call).parameters:
            parameters.append(own.CAUSAL)
        yield (
            _snake_layer(class_name),
            {
                "class": class_name,
                "summary": _summary(kind.__doc__ or ""),
                "aliases": [name for name in known if name != class_name],
                "parameters": [*parameters, *own.COMMON],
            },
        )


def _snake_layer(name: str) -> str:
    """As Keras calls a layer without a name, but for the family of `ReLU`: `conv2d_transpose`."""
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name.replace("ReLU", "Relu").replace("PRelu", "Prelu"))
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def learning_rate(optimizer: str) -> float:
    """The learning rate that Keras gives an optimizer by default.

    Raises:
        KeyError: no optimizer of this canonical name.
    """
    return float(_document()["optimizers"][optimizer]["learning_rate"])


def generate() -> dict[str, Any]:
    """The catalogue of the installed packages; imports them."""
    from importlib.metadata import version

    import keras

    from bigmodel_cli.data.tfds import known_names

    sections = {
        "optimizers": (keras.optimizers, keras.optimizers.Optimizer),
        "losses": (keras.losses, keras.losses.Loss),
        "metrics": (keras.metrics, keras.metrics.Metric),
        "schedules": (keras.optimizers.schedules, keras.optimizers.schedules.LearningRateSchedule),
    }
    for section, base in (
        ("initializers", "Initializer"),
        ("regularizers", "Regularizer"),
        ("constraints", "Constraint"),
    ):
        module = getattr(keras, section)
        sections[section] = (module, getattr(module, base))
    found = {section: dict(_inspect(module, section, base)) for section, (module, base) in sections.items()}
    found["layers"] = dict(_inspect_layers(keras.layers))
    # What people mean by accuracy is top-1; the Keras class of that name compares for equality.
    found["metrics"]["accuracy"] = found["metrics"].pop("sparse_categorical_accuracy")
    found["metrics"]["mean_iou"] = found["metrics"].pop("mean_io_u")
    return {
        "versions": {name: version(name) for name in ("keras", "tensorflow-datasets")},
        **{section: dict(sorted(table.items())) for section, table in found.items()},
        "activations": sorted(
            name
            for name in dir(keras.activations)
            if inspect.isfunction(getattr(keras.activations, name)) and name not in _NO_ACTIVATIONS
        ),
        "tfds": sorted(known_names()),
    }


if __name__ == "__main__":
    FILE.write_text(json.dumps(generate(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
