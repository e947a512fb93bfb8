from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bigmodel_cli import validation
from bigmodel_cli.config.schema import Config
from bigmodel_cli.errors import DataError, ModelError, UsageError
from bigmodel_cli.rundir import Run

CNN = """\
name: digits
dataset: {name: digits, limit: 64}
model: {name: cnn, filters: [4], dense: [8], dropout: 0.2, batch_norm: true}
training: {epochs: 1, batch_size: 32, tensorboard: false}
"""
MLP = """\
name: iris
dataset: iris
model: {name: mlp, hidden: [8, 8]}
training: {epochs: 1, tensorboard: false}
"""


def _config(folder: Path, text: str, *overrides: str) -> Config:
    path = folder / "config.yaml"
    path.write_text(text, encoding="utf-8")
    return validation.load(path, overrides).config


def _train(folder: Path, text: str) -> Run:
    from bigmodel_cli.cli.progress import TrainingProgress
    from bigmodel_cli.training import planning, starting, trainer

    plan = planning.prepare(_config(folder, text))
    run = starting.start(plan, folder / "run")
    trainer.train(plan, run, TrainingProgress(quiet=True))
    return run


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """CNN; not to be changed."""
    return _train(tmp_path_factory.mktemp("cnn"), CNN)


@pytest.fixture
def copied(trained: Run, tmp_path: Path) -> Run:
    """The same, elsewhere, to be changed."""
    shutil.copytree(trained.path, tmp_path / "moved")
    return Run(tmp_path / "moved")


def _replaced(run: Run, member: str, content: bytes) -> None:
    """Put other content into the model file's archive."""
    with zipfile.ZipFile(run.model) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(run.model, "w") as archive:
        for name, old in members.items():
            archive.writestr(name, content if name == member else old)


def test_a_moved_run_gives_the_same_predictions(
    trained: Run, copied: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bigmodel_cli import build

    inputs, _ = build.load_data(build.restore(trained).config).splits["test"].arrays()
    expected = build.restore(trained).predict(inputs)
    monkeypatch.chdir(tmp_path)
    restored = build.restore(Run(Path("moved")))
    np.testing.assert_array_equal(restored.predict(inputs), expected)
    assert expected.dtype == np.float32
    np.testing.assert_allclose(expected.sum(axis=1), 1, atol=1e-6)


def test_keras_loads_the_same_model(trained: Run) -> None:
    import keras

    from bigmodel_cli import build

    restored = build.restore(trained)
    inputs, _ = build.load_data(restored.config).splits["test"].arrays()
    loaded = keras.saving.load_model(trained.model)
    np.testing.assert_allclose(loaded.predict(inputs, verbose=0), restored.predict(inputs), atol=1e-6)


@pytest.mark.parametrize("damage", ["cut", "garbage", "empty", "flipped"])
def test_a_damaged_model_file(damage: str, copied: Run) -> None:
    from bigmodel_cli import build

    content = copied.model.read_bytes()
    middle = len(content) // 2
    copied.model.write_bytes(
        {
            "cut": content[: len(content) // 2],
            "garbage": b"no archive at all" * 100,
            "empty": b"",
            "flipped": content[:middle] + bytes([content[middle] ^ 255]) + content[middle + 1 :],
        }[damage]
    )
    with pytest.raises(UsageError, match=r"model\.keras: is cut short or damaged \(.+\); train again"):
        build.restore(copied)


def test_a_model_file_without_weights(copied: Run) -> None:
    from bigmodel_cli import build

    with zipfile.ZipFile(copied.model, "w") as archive:
        archive.writestr("config.json", "{}")
    with pytest.raises(UsageError, match=r"model\.keras: "):
        build.restore(copied)


def test_a_missing_model_file(copied: Run) -> None:
    from bigmodel_cli import build

    copied.model.unlink()
    with pytest.raises(UsageError, match=r"model\.keras: is missing; no epoch was finished; go on with"):
        build.restore(copied)


@pytest.mark.parametrize("hidden", ["[8]", "[8, 8, 8]", "[8, 9]"])
def test_the_weights_of_another_model(hidden: str, tmp_path: Path) -> None:
    """Also where the other has all the layers of this one, and more."""
    from bigmodel_cli import build

    run = _train(tmp_path, MLP)
    run.config.write_text(run.config.read_text().replace("hidden: [8, 8]", f"hidden: {hidden}"))
    with pytest.raises(UsageError, match=r"model\.keras: holds other weights than .*config\.yaml describes"):
        build.restore(run)


def test_code_in_a_model_file_is_never_run(copied: Run, tmp_path: Path) -> None:
    """Not even looked at: the model is rebuilt from the run's config."""
    from bigmodel_cli import build

    witness = tmp_path / "witness"
    with zipfile.ZipFile(copied.model) as archive:
        description = json.loads(archive.read("config.json"))
    code = f"lambda x: (__import__('pathlib').Path({str(witness)!r}).touch(), x)[1]"
    description["config"]["layers"].insert(
        1,
        {
            "module": "keras.layers",
            "class_name": "Lambda",
            "config": {"name": "evil", "function": _marshalled(code)},
            "registered_name": None,
            "name": "evil",
            "inbound_nodes": description["config"]["layers"][1]["inbound_nodes"],
        },
    )
    _replaced(copied, "config.json", json.dumps(description).encode())
    assert build.restore(copied).model.count_params() > 0
    _replaced(copied, "config.json", b"not even JSON")
    build.restore(copied)
    assert not witness.exists()


def _marshalled(code: str) -> dict[str, Any]:
    import base64
    import marshal

    compiled = eval(code).__code__
    return {
        "class_name": "__lambda__",
        "config": {
            "code": base64.b64encode(marshal.dumps(compiled)).decode(),
            "defaults": None,
            "closure": None,
        },
    }


def test_changed_data_are_noticed(copied: Run) -> None:
    from bigmodel_cli import build

    copied.config.write_text(copied.config.read_text().replace("limit: 64", "limit: 60"))
    restored = build.restore(copied)
    with pytest.raises(
        DataError, match=r"dataset digits: is not what .*moved was trained on \(then 64 train.*now 60 train"
    ):
        build.restored_data(restored)


def test_the_same_config_builds_the_same_weights(tmp_path: Path) -> None:
    from bigmodel_cli import build

    config = _config(tmp_path, CNN)
    spec = build.load_data(config).spec
    left, right = (build.build_model(config, spec, precision) for precision in ("float32", "bfloat16"))
    for mine, theirs in zip(left.get_weights(), right.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert [layer.name for layer in left.layers] == [layer.name for layer in right.layers]
    other = build.build_model(_config(tmp_path, CNN, "seed=1"), spec)
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
        from bigmodel_cli import build

        config = _config(tmp_path, f"name: own\ndataset: iris\nmodel: '{module}:{name}'\n")
        return build.build_model(config, build.load_data(config).spec)

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
        from bigmodel_cli import build

        text = (
            "name: s\ndataset: {name: csv, path: t.csv, target: {kind: {}, size: {}}}\n"
            f"model: {model.replace('OWN', module)}\n"
        )
        config = _config(tmp_path, text)
        spec = build.load_data(config).spec
        return spec, build.build_model(config, spec)

    return build_several


@pytest.mark.parametrize(
    "model",
    ["linear", "'OWN:one_tensor'", "deepfm", "{name: layers, head: false, layers: [dense: {units: 3}]}"],
)
def test_a_model_of_several_tasks_gives_a_dict(model: str, several: Callable[[str], Any]) -> None:
    from bigmodel_cli import build

    spec, built = several("{name: mlp, hidden: []}" if model == "linear" else model)
    assert {key: tuple(tensor.shape) for key, tensor in built.output.items()} == {
        "kind": (None, 2), "size": (None, 1)
    }  # fmt: skip
    found = build.serving_model(built, spec).predict({"x": np.array([3.0, 4.0], np.float32)}, verbose=0)
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
