"""The fixed sections of a config."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from bigmodel_cli.config.schema import Component, Config

SMALL = {"name": "x", "dataset": {"name": "digits"}, "model": {"name": "mlp"}}


def config(**changes):
    return Config.model_validate({**SMALL, **changes})


def test_defaults():
    found = config()
    assert (found.seed, found.training.epochs, found.training.batch_size) == (0, 10, 32)
    assert (found.optimizer.name, found.optimizer.learning_rate) == ("adam", None)
    assert (found.loss.name, found.metrics) == ("auto", "auto")
    assert found.training.checkpoint.every_epochs == 1
    assert found.training.early_stopping is None


def test_the_seed_of_the_data_is_that_of_the_config_unless_it_has_its_own():
    assert config(seed=3).data_seed == 3
    assert config(seed=3, dataset={"name": "digits", "split_seed": 0}).data_seed == 0


def test_a_name_is_short_for_a_component():
    short = config(dataset="digits", model="mlp", optimizer="sgd", loss="huber", metrics=["auc"])
    long = config(optimizer={"name": "sgd"}, loss={"name": "huber"}, metrics=[{"name": "auc"}])
    assert short == long


def test_an_optimizer_without_a_name_is_the_default_one():
    assert config(optimizer={"learning_rate": 0.1}).optimizer.name == "adam"


@pytest.mark.parametrize("rate", [1, 0.5, 10**20])
def test_a_learning_rate_is_a_float(rate):
    found = config(optimizer={"name": "sgd", "learning_rate": rate}).optimizer.learning_rate
    assert found == rate
    assert isinstance(found, float)


@pytest.mark.parametrize("schedule", ["cosine", {"name": "cosine"}])
def test_a_learning_rate_may_be_a_schedule(schedule):
    assert config(optimizer={"learning_rate": schedule}).optimizer.learning_rate == Component(name="cosine")


@pytest.mark.parametrize("rate", [0, -1, True, [1], "0.1", "1e-3", float("nan"), float("inf"), {"peak": 1}])
def test_wrong_learning_rates(rate):
    with pytest.raises(ValidationError):
        config(optimizer={"learning_rate": rate})


def test_a_config_is_frozen():
    with pytest.raises(ValidationError, match="frozen"):
        config().seed = 3
    with pytest.raises(ValidationError, match="frozen"):
        config().model.name = "cnn"


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": -1},
        {"seed": 2**31},
        {"seed": True},
        {"name": ""},
        {"name": "a/b"},
        {"name": "..x"},
        {"name": "latest"},
        {"name": "a" * 101},
        {"foo": 1},
        {"training": {"epochs": 0}},
        {"training": {"epochs": "3"}},
        {"training": {"devices": 0}},
        {"training": {"early_stopping": {"min_delta": float("inf")}}},
        {"dataset": {"name": "digits", "splits": {"train": "train[:200%]"}}},
        {"dataset": {"name": "digits", "validation_fraction": 1}},
        {"dataset": {"name": "digits", "limit": 0}},
        {"metrics": "accuracy"},
        {"model": {"name": "x" * 201}},
    ],
)
def test_refused(changes):
    with pytest.raises(ValidationError):
        config(**changes)


def test_parameters_of_a_component():
    component = config(dataset={"name": "digits", "limit": 3, "own": 4}).dataset
    assert component.parameters == {"own": 4}
    changed = component.with_parameters({"other": 5})
    assert (changed.name, changed.limit, changed.parameters) == ("digits", 3, {"other": 5})
    assert type(changed) is type(component)
