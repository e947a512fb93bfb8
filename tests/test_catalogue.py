"""What Keras and TensorFlow Datasets offer, read from the generated file."""

from __future__ import annotations

import json
from typing import get_args

import pytest
from pydantic import TypeAdapter, ValidationError

from bigmodel_cli import catalogue


def test_the_file_is_current():
    found = json.loads(json.dumps(catalogue.generate()))
    stored = json.loads(catalogue.FILE.read_text(encoding="utf-8"))
    assert found == stored, (
        "catalogue.json is not that of the installed packages; run `python -m bigmodel_cli.catalogue`"
    )


@pytest.mark.parametrize(
    ("section", "name", "keras_class"),
    [
        ("optimizers", "adam", "Adam"),
        ("optimizers", "Adam", "Adam"),
        ("optimizers", "ADAMW", "AdamW"),
        ("optimizers", "adam_w", "AdamW"),
        ("optimizers", "schedule_free_adamw", "ScheduleFreeAdamW"),
        ("losses", "MeanSquaredError", "MeanSquaredError"),
        ("losses", "mean_squared_error", "MeanSquaredError"),
        ("metrics", "auc", "AUC"),
        ("metrics", "Accuracy", "SparseCategoricalAccuracy"),
        ("metrics", "sparse_categorical_accuracy", "SparseCategoricalAccuracy"),
        ("schedules", "ExponentialDecay", "ExponentialDecay"),
        ("layers", "conv2d", "Conv2D"),
        ("layers", "conv_2d", "Conv2D"),
        ("layers", "MaxPool2D", "MaxPooling2D"),
        ("layers", "lstm", "LSTM"),
        ("layers", "leaky_relu", "LeakyReLU"),
        ("initializers", "uniform", "RandomUniform"),
        ("regularizers", "l1l2", "L1L2"),
        ("constraints", "max_norm", "MaxNorm"),
    ],
)
def test_find(section, name, keras_class):
    entry = catalogue.find(section, name)
    assert entry is not None
    assert entry.keras_class == keras_class


@pytest.mark.parametrize("name", ["", "adm", "Optimizer", "LossScaleOptimizer", "accuracy"])
def test_find_nothing(name):
    assert catalogue.find("optimizers", name) is None


SECTIONS = get_args(catalogue.Section)


@pytest.mark.parametrize("section", SECTIONS)
def test_every_entry_says_what_it_is(section):
    table = catalogue.entries(section)
    assert list(table) == sorted(table)
    for name, entry in table.items():
        assert entry.name == name
        assert entry.summary, name
        assert all(item.description for item in entry.parameters), name


@pytest.mark.parametrize("section", ["optimizers", "losses", "metrics", "schedules"])
def test_defaults_pass_their_own_check(section):
    for entry in catalogue.entries(section).values():
        for item in entry.parameters:
            if not item.required:
                TypeAdapter(item.annotation).validate_python(item.default)


def test_ranges_follow_from_names():
    (momentum,) = [
        item for item in catalogue.entries("optimizers")["sgd"].parameters if item.name == "momentum"
    ]
    with pytest.raises(ValidationError):
        TypeAdapter(momentum.annotation).validate_python(1.5)


def test_every_keras_optimizer_is_there():
    import keras

    found = {
        name
        for name in dir(keras.optimizers)
        if isinstance(kind := getattr(keras.optimizers, name), type)
        and issubclass(kind, keras.optimizers.Optimizer)
    }
    wrappers = {"Optimizer", "LossScaleOptimizer", "MultiOptimizer"}
    assert {entry.keras_class for entry in catalogue.entries("optimizers").values()} == found - wrappers


def test_default_learning_rates():
    assert catalogue.learning_rate("adam") == 0.001
    assert catalogue.learning_rate("sgd") == 0.01
    with pytest.raises(KeyError):
        catalogue.learning_rate("adm")


def test_tfds_names():
    assert {"mnist", "cifar10", "imagenet2012"} <= set(catalogue.tfds_names())


def test_versions_are_recorded():
    assert set(catalogue.versions()) == {"keras", "tensorflow-datasets"}
