"""From a file to a complete config, or to all its mistakes at once."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bigmodel_cli import validation
from bigmodel_cli.config.document import dotted, parse
from bigmodel_cli.errors import ConfigError, UsageError

CONFIGS = Path(__file__).parents[1] / "configs"


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "tfds"))


def check(text):
    return validation.check(parse("name: x\n" + text, "c.yaml")).config


def mistakes(text):
    with pytest.raises(ConfigError) as caught:
        check(text)
    return [str(item) for item in caught.value.mistakes]


def test_all_mistakes_in_one_pass():
    text = """\
# line 2
name: my/run
dataset:
  name: digits
  limt: 10
  splits: {train: "train[:80", test: 3}
  augment: [{name: random_crp}, 3, {name: random_crop, padding: -1}]
model:
  name: resnett
  depth: deep
optimizer:
  name: adam
  learning_rate: {name: cosine, peak: -0.001}
  beta_1: 2
loss: mean_square_error
metrics: [accuracy, acuracy, {name: auc, curve: RUC}]
training:
  epochs: 1.5
  early_stopping: {monitor: val_loss, patience: -1}
  batchsize: 3
epochs: 3
"""
    with pytest.raises(ConfigError) as caught:
        validation.check(parse(text, "c.yaml"))
    assert str(caught.value).splitlines() == [
        "c.yaml:2:7: name: must begin with a letter or digit and go on with letters, digits, `.`, `_` "
        "or `-`, got "
        "`my/run`",
        "c.yaml:5:3: dataset.limt: unknown key; did you mean `limit`?",
        "c.yaml:6:19: dataset.splits.train: cannot read the split `train[:80`; write a split such as "
        "`train`, a "
        "slice such as `train[:80%]` or `train[100:2000]`, or a sum such as `train+test[:10%]`",
        "c.yaml:6:38: dataset.splits.test: must be text, got 3",
        "c.yaml:7:20: dataset.augment[0].name: there is no augmentation `random_crp`; did you mean "
        "`random_crop` or `random_flip`? (`bigmodel list augmentations`)",
        "c.yaml:7:33: dataset.augment[1]: must be a mapping of `key: value` lines, got 3",
        "c.yaml:7:65: dataset.augment[2].padding: must be at least 1, got -1",
        "c.yaml:9:9: model.name: there is no model `resnett`; did you mean `resnet`? (`bigmodel list "
        "models`)",
        "c.yaml:13:39: optimizer.learning_rate.peak: must be greater than 0, got -0.001",
        "c.yaml:14:11: optimizer.beta_1: must be less than 1, got 2",
        "c.yaml:15:7: loss.name: there is no loss `mean_square_error`; did you mean `mean_squared_error` or "
        "`mean_squared_logarithmic_error`? (`bigmodel list losses`)",
        "c.yaml:16:21: metrics[1].name: there is no metric `acuracy`; did you mean `accuracy`? "
        "(`bigmodel list metrics`)",
        "c.yaml:16:49: metrics[2].curve: must be `ROC` or `PR`, got `RUC`; did you mean `ROC`?",
        "c.yaml:18:11: training.epochs: must be a whole number, got 1.5",
        "c.yaml:19:49: training.early_stopping.patience: must be at least 0, got -1",
        "c.yaml:20:3: training.batchsize: unknown key; did you mean `batch_size`?",
        "c.yaml:21:1: epochs: unknown key; did you mean `training.epochs`?",
        "17 mistakes in c.yaml",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("model: mlp", ["c.yaml:1:1: dataset: is missing and must be given"]),
        ("dataset: digits", ["c.yaml:1:1: model: is missing and must be given"]),
        ("dataset:\nmodel: mlp", ["c.yaml:2:9: dataset: must be a mapping of `key: value` lines, got null"]),
        ("dataset: {splits: {}}\nmodel: mpl",
         ["c.yaml:2:10: dataset.name: is missing and must be given",
          "c.yaml:3:8: model.name: there is no model `mpl`; did you mean `mlp`? (`bigmodel list models`)"]),
        ("dataset: digits\nmodel: {name: mlp, hidden: [3, x], dropout: 1}",
         ["c.yaml:3:32: model.hidden[1]: must be a whole number, got `x`",
          "c.yaml:3:45: model.dropout: must be less than 1, got 1"]),
        ("dataset: digits\nmodel: mlp\nloss: {name: auto, delta: 1}",
         ["c.yaml:4:7: loss: `auto` takes no parameters; name the loss to give it some"]),
        ("dataset: digits\nmodel: mlp\nlearning_rate: 0.1",
         ["c.yaml:4:1: learning_rate: unknown key; did you mean `optimizer.learning_rate`?"]),
        ("dataset: digits\nmodel: mlp\noptimizer: {name: sgd, learning_rate: '0.1'}",
         ["c.yaml:4:39: optimizer.learning_rate: must be a number, which stands without quotes, got "
          "text `0.1`"]),
        ("dataset: digits\nmodel: 'nowhere:f'",
         ["c.yaml:3:8: model.name: `nowhere:f`: module `nowhere` does not import: No module named "
          "'nowhere'"]),
    ],
)  # fmt: skip
def test_mistakes(text, expected):
    assert mistakes(text) == expected


class TestDatasetNames:
    @pytest.mark.parametrize("name", ["mnist", "mnist:3.0.1", "mnist:3.*.*", "glue/sst2", "cifar10"])
    def test_tensorflow_datasets(self, name):
        dataset = check(f"dataset: '{name}'\nmodel: cnn\n").dataset
        assert dataset.name == name
        assert "dataset" not in dataset.parameters
        definition, given = validation.dataset_definition(name)
        assert (definition.name, given) == ("tfds", {"dataset": name})

    def test_an_unknown_one(self):
        assert mistakes("dataset: mnis\nmodel: cnn\n") == [
            "c.yaml:2:10: dataset.name: there is no dataset `mnis`; did you mean `mnist` or `kmnist`? "
            "(`bigmodel list datasets`)"
        ]

    @pytest.mark.parametrize("name", ["a" * 199, "../..", ".", "/", "my set", "mnist2:x:y"])
    def test_that_cannot_be(self, name):
        (text,) = mistakes(f"dataset: '{name}'\nmodel: cnn\n")
        assert "there is no dataset" in text

    def test_prepared_in_the_default_folder(self, tmp_path):
        (tmp_path / "tfds" / "my_own").mkdir(parents=True)
        assert check("dataset: my_own\nmodel: cnn\n").dataset.name == "my_own"

    def test_prepared_in_a_folder_of_the_config(self, tmp_path, monkeypatch):
        (tmp_path / "data" / "my_own").mkdir(parents=True)
        monkeypatch.setenv("MY_DATA", str(tmp_path / "data"))
        dataset = check("dataset: {name: my_own, data_dir: $MY_DATA}\nmodel: cnn\n").dataset
        assert dataset.parameters["data_dir"] == str(tmp_path / "data")

    def test_an_environment_variable_that_is_not_set(self, monkeypatch):
        monkeypatch.delenv("MY_DATA", raising=False)
        assert mistakes("dataset: {name: mnist, data_dir: '${MY_DATA}/x'}\nmodel: cnn\n") == [
            "c.yaml:2:34: dataset.data_dir: the environment variable ${MY_DATA} is not set"
        ]

    def test_the_parameter_that_the_name_gives(self):
        (text,) = mistakes("dataset: {name: mnist, dataset: cifar10}\nmodel: cnn\n")
        assert text.startswith("c.yaml:2:24: dataset.dataset: unknown key; ")


class TestComplete:
    def test_every_parameter_has_its_value(self):
        config = check(
            "dataset: digits\nmodel: {name: mlp, hidden: [3, 4]}\noptimizer: {momentum: 0.9, name: SGD}\n"
        )
        assert config.model.parameters["hidden"] == [3, 4]
        assert config.model.parameters["dropout"] == 0.0
        assert config.optimizer.name == "sgd"
        assert config.optimizer.learning_rate == 0.01
        assert config.optimizer.parameters["momentum"] == 0.9

    def test_names_are_canonical(self):
        config = check("dataset: digits\nmodel: mlp\nloss: Huber\nmetrics: [AUC, MeanSquaredError]\n")
        assert config.loss.name == "huber"
        assert [item.name for item in config.metrics] == ["auc", "mean_squared_error"]

    @pytest.mark.parametrize("path", sorted(CONFIGS.rglob("*.yaml")), ids=lambda path: path.stem)
    def test_a_complete_config_is_a_config(self, path):
        config = validation.load(path).config
        text = yaml.safe_dump(config.model_dump(mode="json"))
        assert validation.check(parse(text, "again.yaml")).config == config

    def test_resolved_values(self):
        config = check("dataset: {name: digits, augment: [{name: random_crop, padding: 2}]}\nmodel: mlp\n")
        values = {dotted(path): value for path, value in validation.resolved_values(config)}
        assert values["dataset.augment[0].padding"] == 2
        assert values["model.hidden"] == [64]
        assert values["training.early_stopping"] is None


def test_an_item_that_cannot_do_without_its_key_hides_nothing():
    text = (
        "dataset: digits\nmodel: {name: cnn, filtres: [3]}\n"
        "optimizer: {name: adam, layers: [{match: a}, {frozen: true}], beta1: 0.5}\n"
        "training: {tracking: [mlfow], divergence: {action: back, attempts: 0}, max_minutes: 0}\n"
    )
    found = [item.split(": ")[1] for item in mistakes(text)]
    assert found == [
        "model.filtres",
        "optimizer.layers[0]",
        "optimizer.layers[1].match",
        "optimizer.beta1",
        "training.tracking[0].name",
        "training.divergence.action",
        "training.divergence.attempts",
        "training.max_minutes",
    ]


class TestResumed:
    @pytest.fixture
    def path(self, write):
        return write("config.yaml", "dataset: digits\nmodel: mlp\n")

    @pytest.mark.parametrize(
        "argument",
        [
            "training.epochs=20",
            "training.checkpoint.keep=5",
            "training.early_stopping={patience: 3}",
            "training.divergence.action=roll_back",
            "training.devices=cpu",
            "dataset.cache_dir=/tmp",
        ],
    )
    def test_what_may_change(self, path, argument):
        assert validation.load_resumed(path, [argument]).config.training

    @pytest.mark.parametrize(
        "argument",
        ["seed=1", "training={}", "training.epochs_=3", "training.batch_size=3", "model.hidden=[3]"],
    )
    def test_what_may_not(self, path, argument):
        with pytest.raises(UsageError, match=r"cannot change when a run goes on; only training\.epochs, "):
            validation.load_resumed(path, [argument])


KEYS = st.sampled_from(
    ["name", "dataset", "model", "optimizer", "loss", "metrics", "training", "splits", "augment",
     "learning_rate", "hidden", "epochs", "early_stopping", "monitor", "checkpoint", "data_dir", "boundaries",
     "values", "x"]
)  # fmt: skip
WORDS = ["adam", "mlp", "cnn", "digits", "mnist", "cosine", "auto", "train[:80%]", "accuracy", "os:getcwd"]
LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.sampled_from(WORDS)
)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=8
)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(KEYS, VALUES, max_size=6))
def test_any_document_is_a_config_or_a_config_error(values):
    document = parse("model: mlp\ndataset: digits\n", "c.yaml")
    document.values = {**document.values, **values}
    try:
        config = validation.check(document).config
    except ConfigError as error:
        assert error.mistakes
    else:
        document.values = config.model_dump(mode="json")
        assert validation.check(document).config == config
