"""The JSON Schema that editors use: it takes what the tool takes."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from bigmodel_cli.config.document import parse, read
from bigmodel_cli.json_schema import json_schema

ROOT = Path(__file__).parents[1]
CONFIGS = sorted((ROOT / "configs").rglob("*.yaml"))


@pytest.fixture(scope="module")
def validator():
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_shipped_configs(validator, path):
    validator.validate(read(path).values)


@pytest.mark.parametrize(
    "text",
    [
        "dataset: digits\nmodel: mlp",
        "extends: [a.yaml, b.yaml]",
        "dataset: mnist\nmodel: my.own:net",
        "dataset: 'mnist:3.0.1'\nmodel: {name: 'my.own:net', anything: 3}",
        "dataset: {name: mnist, data_dir: $DATA, limit: 10}\nmodel: {name: mlp, hidden: [3]}",
        "optimizer: {learning_rate: 0.1}",
        "optimizer: {name: sgd, momentum: 0.9, learning_rate: {name: cosine, peak: 0.1}}",
        "optimizer: {name: AdamW}",
        "loss: auto\nmetrics: auto",
        "loss: {name: huber, delta: 2.0}\nmetrics: [auc, {name: accuracy}]",
        "training: {devices: 2, early_stopping: {patience: 3}, checkpoint: {every_steps: 5}}",
        "model: {name: layers, layers: [flatten, Flatten, dense: {units: 3}, Dense: {units: 3}]}",
        "model: {name: layers, layers: [{relu: , name: a, from: input}, {repeat: 2, layers: [relu]}]}",
        "model: {name: layers, layers: [{residual: [relu], projection: none}, parallel: [[], [relu]]]}",
        "model: {name: layers, layers: [dense: {units: 3, kernel_regularizer: {name: l2, l2: 1.0e-4}}]}",
    ],
)
def test_right(validator, text):
    validator.validate(parse(text, "c.yaml").values)


@pytest.mark.parametrize(
    "text",
    [
        "foo: 1",
        "seed: a",
        "seed: -1",
        "name: a/b",
        "dataset: 3",
        "dataset: {limit: 3}",
        "dataset: {name: digits, foo: 1}",
        "dataset: {name: mnist, dataset: cifar10}",
        "dataset: {name: digits, splits: {foo: train}}",
        "dataset: {name: digits, augment: random_flip}",
        "model: {name: mlp, hidden: 3}",
        "model: {name: mlp, hidden: [0]}",
        "model: {name: mlp, dropout: 1}",
        "model: {name: mlp, depth: 20}",
        "model: {depth: 20}",
        "optimizer: {name: sgd, momentum: 2}",
        "optimizer: {name: sgd, learning_rate: 0}",
        "optimizer: {name: sgd, beta_1: 0.9}",
        "loss: {name: huber, foo: 1}",
        "metrics: accuracy",
        "metrics: [{name: auc, foo: 1}]",
        "dataset: {name: digits, augment: [{name: random_crop, padding: 0}]}",
        "optimizer: {name: sgd, learning_rate: {name: cosine, peek: 1}}",
        "training: {epochs: 1.5}",
        "training: {precision: float64}",
        "training: {checkpoint: {every: 3}}",
        "extends: 3",
        "model: {name: layers, layers: [flaten]}",
        "model: {name: layers, layers: [dense: {unit: 3}]}",
        "model: {name: layers, layers: [dense: {}]}",
        "model: {name: layers, layers: [dense: {units: 0}]}",
        "model: {name: layers, layers: [dense: {units: 3, activation: rlu}]}",
        "model: {name: layers, layers: [{dense: {units: 3}, activation_: relu}]}",
        "model: {name: layers, layers: [{repeat: 2, layers: [flaten]}]}",
        "model: {name: layers, layers: [{name: dense}]}",
    ],
)
def test_wrong(validator, text):
    with pytest.raises(jsonschema.ValidationError):
        validator.validate(parse(text, "c.yaml").values)


def test_keys_are_described():
    schema = json_schema()
    for key, value in schema["properties"].items():
        assert value.get("description"), key


def test_the_stored_schema_is_current():
    stored = json.loads((ROOT / "docs" / "config.schema.json").read_text(encoding="utf-8"))
    assert stored == json.loads(json.dumps(json_schema())), (
        "docs/config.schema.json is old; run `bigmodel schema > docs/config.schema.json`"
    )


def test_every_reference_has_its_definition():
    text = json.dumps(json_schema())
    referred = {item.split('"')[0] for item in text.split('"#/$defs/')[1:]}
    assert referred <= set(json_schema()["$defs"])
