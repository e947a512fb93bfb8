"""A config with what it extends below it and the command line above it."""

from __future__ import annotations

import pytest

from bigmodel_cli.config.reader import read_config
from bigmodel_cli.errors import ConfigError


def refused(path, *overrides):
    with pytest.raises(ConfigError) as caught:
        read_config(path, overrides)
    return [str(item) for item in caught.value.mistakes]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_a_config_is_called_after_its_file(write):
    document = read_config(write("my_run.yaml", "seed: 1\n"))
    assert document.values == {"name": "my_run", "seed": 1}
    assert str(document.origin(("name",))) == "default"


def test_the_name_of_a_base_is_not_inherited(write):
    write("base.yaml", "name: base\nseed: 1\n")
    assert read_config(write("child.yaml", "extends: base.yaml\n")).values == {"name": "child", "seed": 1}


def test_precedence(write):
    write("low.yaml", "training: {epochs: 1, batch_size: 1, keep: 1, seed: 1}\n")
    write("middle.yaml", "extends: low.yaml\ntraining: {batch_size: 2, keep: 2, seed: 2}\n")
    top = write("top.yaml", "extends: middle.yaml\ntraining: {keep: 3, seed: 3}\n")
    document = read_config(top, ["training.seed=4"])
    assert document.values["training"] == {"epochs": 1, "batch_size": 2, "keep": 3, "seed": 4}
    origins = [document.origin(("training", key)).file for key in ("epochs", "batch_size", "keep", "seed")]
    assert [origin.rpartition("/")[2] for origin in origins] == [
        "low.yaml",
        "middle.yaml",
        "top.yaml",
        "command line",
    ]


def test_several_bases_later_ones_on_top(write):
    write("a.yaml", "seed: 1\nloss: a\n")
    write("b.yaml", "seed: 2\n")
    document = read_config(write("c.yaml", "extends: [a.yaml, b.yaml]\n"))
    assert document.values == {"name": "c", "seed": 2, "loss": "a"}


def test_a_base_twice_is_no_circle(write):
    write("root.yaml", "seed: 1\n")
    write("a.yaml", "extends: root.yaml\n")
    write("b.yaml", "extends: root.yaml\n")
    assert read_config(write("c.yaml", "extends: [a.yaml, b.yaml]\n")).values["seed"] == 1


def test_paths_count_from_the_file(write):
    write("base.yaml", "seed: 1\n")
    assert read_config(write("inner/c.yaml", "extends: ../base.yaml\n")).values["seed"] == 1


def test_environment_variables_in_paths(write, tmp_path, monkeypatch):
    write("bases/base.yaml", "seed: 1\n")
    monkeypatch.setenv("BASES", str(tmp_path / "bases"))
    assert read_config(write("c.yaml", "extends: $BASES/base.yaml\n")).values["seed"] == 1


def test_a_component_of_another_name_starts_anew(write):
    write("base.yaml", "model: {name: cnn, filters: [8]}\noptimizer: {name: sgd, momentum: 0.9}\n")
    path = write("c.yaml", "extends: base.yaml\nmodel: {name: mlp}\noptimizer: {clipnorm: 1.0}\n")
    document = read_config(path)
    assert document.values["model"] == {"name": "mlp"}
    assert document.values["optimizer"] == {"name": "sgd", "momentum": 0.9, "clipnorm": 1.0}


@pytest.mark.parametrize(
    ("extends", "message"),
    [
        ("no.yaml", "c.yaml:1:10: extends: there is no file `no.yaml`; the path counts from the folder "
         "of c.yaml"),
        ("[a.yaml, no.yaml]",
         "c.yaml:1:19: extends[1]: there is no file `no.yaml`; the path counts from the folder of c.yaml"),
        (".", "c.yaml:1:10: extends: there is no file `.`; the path counts from the folder of c.yaml"),
        ("3", "c.yaml:1:10: extends: must be the path of a config, or a list of paths, got 3"),
        ("", "c.yaml:1:9: extends: must be the path of a config, or a list of paths, got null"),
        ("[{}]", "c.yaml:1:11: extends[0]: must be the path of a config, or a list of paths, got {}"),
        ("c.yaml", "c.yaml:1:10: extends: goes round in a circle: c.yaml -> c.yaml"),
        ("./../{here}/c.yaml", "c.yaml:1:10: extends: goes round in a circle: c.yaml -> ../{here}/c.yaml"),
        ("$UNSET_VARIABLE/a.yaml",
         "c.yaml:1:10: extends: the environment variable $UNSET_VARIABLE is not set"),
    ],
)  # fmt: skip
def test_extends_refused(extends, message, write, tmp_path, monkeypatch):
    from pathlib import Path

    monkeypatch.delenv("UNSET_VARIABLE", raising=False)
    write("a.yaml", "seed: 1\n")
    write("c.yaml", f"extends: {extends.replace('{here}', tmp_path.name)}\n")
    assert refused(Path("c.yaml")) == [message.replace("{here}", tmp_path.name)]


def test_a_circle_of_three(write):
    write("a.yaml", "extends: b.yaml\n")
    write("b.yaml", "extends: c.yaml\n")
    (message,) = refused(write("c.yaml", "extends: a.yaml\n"))
    assert "b.yaml:1:10: extends: goes round in a circle: " in message


def test_a_mistake_in_a_base_is_placed_there(write, tmp_path):
    write("base.yaml", "a: 1\na: 2\n")
    assert refused(write("c.yaml", "extends: base.yaml\n")) == [
        f"{tmp_path}/base.yaml:2:1: a: given twice; the first is in line 1"
    ]


def test_overrides_mean_the_same_in_either_order(write):
    path = write("c.yaml", "model: {name: cnn, filters: [8]}\n")
    arguments = ["model.depth=20", "model.name=resnet"]
    for overrides in (arguments, arguments[::-1]):
        assert read_config(path, overrides).values["model"] == {"name": "resnet", "depth": 20}


def test_the_later_of_two_overrides_counts(write):
    assert read_config(write("c.yaml", "seed: 1\n"), ["seed=2", "seed=3"]).values["seed"] == 3


def test_an_override_of_a_short_component(write):
    path = write("c.yaml", "model: mlp\n")
    assert read_config(path, ["model.hidden=[3]"]).values["model"] == {"name": "mlp", "hidden": [3]}


def test_a_whole_component_by_its_name(write):
    path = write("c.yaml", "model: {name: cnn, filters: [8]}\n")
    assert read_config(path, ["model=mlp"]).values["model"] == "mlp"


def test_all_malformed_overrides_at_once(write):
    path = write("c.yaml", "seed: 1\n")
    assert refused(path, "seed", "a=[", "seed=2", "extends=base.yaml") == [
        "command line: `a=[`: the value is not valid YAML: expected the node content, but found "
        "'<stream end>', "
        "while parsing a flow node that begins in line 1",
        "command line: `seed` is not of the form key=value, such as optimizer.learning_rate=3e-4",
        "command line: extends: stands in a file, not on the command line",
    ]
