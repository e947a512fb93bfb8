from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bigmodel_cli import validation
from bigmodel_cli.config.schema import Config
from bigmodel_cli.errors import ModelError

CNN = """\
name: digits
dataset: {name: digits, limit: 64}
model: {name: cnn, filters: [4], dense: [8], dropout: 0.2, batch_norm: true}
training: {epochs: 1, batch_size: 32, tensorboard: false}
"""


def _config(folder: Path, text: str, *overrides: str) -> Config:
    path = folder / "config.yaml"
    path.write_text(text, encoding="utf-8")
    return validation.load(path, overrides).config


def test_the_same_config_builds_the_same_weights(tmp_path: Path) -> None:
    from bigmodel_cli import assembly

    config = _config(tmp_path, CNN)
    spec = assembly.load_data(config).spec
    left, right = (assembly.build_model(config, spec, precision) for precision in ("float32", "bfloat16"))
    for mine, theirs in zip(left.get_weights(), right.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert [layer.name for layer in left.layers] == [layer.name for layer in right.layers]
    other = assembly.build_model(_config(tmp_path, CNN, "seed=1"), spec)
    assert any(
        (mine != theirs).any() for mine, theirs in zip(left.get_weights(), other.get_weights(), strict=True)
    )


OWN = '''
import keras

def function(data):
    """A Python function."""
    return len

def wrong(data):
    """Three outputs too many."""
    inputs = keras.Input(data.input.shape)
    return keras.Model(inputs, keras.layers.Dense(data.outputs + 3)(inputs))

class Sub(keras.Model):
    def call(self, x):
        return x

def subclass(data):
    """No known inputs."""
    return Sub()

def sequential(data):
    """Fine."""
    return keras.Sequential([keras.Input(data.input.shape), keras.layers.Dense(data.outputs)])
'''


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    """Build a model of the user's own for iris."""
    module = f"own_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{module}.py").write_text(OWN, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)

    def build_own(name: str) -> Any:
        from bigmodel_cli import assembly

        config = _config(tmp_path, f"name: own\ndataset: iris\nmodel: '{module}:{name}'\n")
        return assembly.build_model(config, assembly.load_data(config).spec)

    return build_own


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("function", r"gave a builtin_function_or_method, not a keras\.Model"),
        ("wrong", r"gives outputs of shape \(None, 6\), but iris needs \(None, 3\)"),
        (
            "subclass",
            r"gave a Sub without known inputs and outputs; return keras\.Model\(inputs, outputs\)",
        ),
    ],
)
def test_a_model_of_ones_own_that_breaks_the_contract(
    name: str, message: str, own: Callable[[str], Any]
) -> None:
    with pytest.raises(ModelError, match=message):
        own(name)


def test_a_model_of_ones_own(own: Callable[[str], Any]) -> None:
    assert own("sequential").output_shape == (None, 3)


OWN_OF_SEVERAL = """
import keras

def one_tensor(data):
    \"\"\"The outputs of all tasks side by side.\"\"\"
    inputs = keras.Input((1,), name="numbers")
    return keras.Model({"numbers": inputs}, keras.layers.Dense(data.outputs, name="all")(inputs))

def lacking(data):
    \"\"\"One task is forgotten.\"\"\"
    inputs = keras.Input((1,), name="numbers")
    return keras.Model({"numbers": inputs}, {"kind": keras.layers.Dense(2)(inputs)})

class Sub(keras.Model):
    pass

def subclass(data):
    \"\"\"No known outputs.\"\"\"
    return Sub()
"""


@pytest.fixture
def several(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    """Build a model for a table with two targets: its spec and the model."""
    module = f"several_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{module}.py").write_text(OWN_OF_SEVERAL, encoding="utf-8")
    rows = "".join(f"{row},{'ab'[row % 2]},{row * 2.5}\n" for row in range(40))
    (tmp_path / "t.csv").write_text(f"x,kind,size\n{rows}", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)

    def build_several(model: str) -> Any:
        from bigmodel_cli import assembly

        text = (
            "name: s\ndataset: {name: csv, path: t.csv, target: {kind: {}, size: {}}}\n"
            f"model: {model.replace('OWN', module)}\n"
        )
        config = _config(tmp_path, text)
        spec = assembly.load_data(config).spec
        return spec, assembly.build_model(config, spec)

    return build_several


@pytest.mark.parametrize(
    "model",
    ["linear", "'OWN:one_tensor'", "deepfm", "{name: layers, head: false, layers: [dense: {units: 3}]}"],
)
def test_a_model_of_several_tasks_gives_a_dict(model: str, several: Callable[[str], Any]) -> None:
    from bigmodel_cli import assembly

    spec, built = several("{name: mlp, hidden: []}" if model == "linear" else model)
    assert {key: tuple(tensor.shape) for key, tensor in built.output.items()} == {
        "kind": (None, 2), "size": (None, 1)
    }  # fmt: skip
    found = assembly.serving_model(built, spec).predict({"x": np.array([3.0, 4.0], np.float32)}, verbose=0)
    assert found["kind"].sum(axis=1) == pytest.approx([1, 1])
    assert found["size"].shape == (2, 1)


def test_the_output_of_a_regression_begins_at_its_mean(several: Callable[[str], Any]) -> None:
    spec, model = several("{name: mlp, hidden: [4]}")
    (bias,) = model.get_layer("outputs_size").bias.numpy()
    assert bias == pytest.approx(spec.parts[1].target.mean[0])


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("'OWN:lacking'", r"gives outputs of shape .*, but csv has 2 targets, which need a dict of kind"),
        ("'OWN:subclass'", r"gives outputs of shape unknown, but csv has 2 targets"),
        ("logistic_regression", r"is for classification and multi_label, .* for multi_task; use `mlp`"),
    ],
)
def test_a_model_that_is_not_for_several_tasks(
    model: str, message: str, several: Callable[[str], Any]
) -> None:
    with pytest.raises(ModelError, match=message):
        several(model)
