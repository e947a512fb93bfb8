from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bigmodel_cli.errors import UsageError
from bigmodel_cli.rundir import Run

MLP = """\
name: iris
dataset: iris
model: {name: mlp, hidden: [8, 8]}
training: {epochs: 1, tensorboard: false}
"""


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
    from bigmodel_cli import assembly

    inputs, _ = assembly.load_data(assembly.restore(trained).config).splits["test"].arrays()
    expected = assembly.restore(trained).predict(inputs)
    monkeypatch.chdir(tmp_path)
    restored = assembly.restore(Run(Path("moved")))
    np.testing.assert_array_equal(restored.predict(inputs), expected)
    assert expected.dtype == np.float32
    np.testing.assert_allclose(expected.sum(axis=1), 1, atol=1e-6)


def test_keras_loads_the_same_model(trained: Run) -> None:
    import keras

    from bigmodel_cli import assembly

    restored = assembly.restore(trained)
    inputs, _ = assembly.load_data(restored.config).splits["test"].arrays()
    loaded = keras.saving.load_model(trained.model)
    np.testing.assert_allclose(loaded.predict(inputs, verbose=0), restored.predict(inputs), atol=1e-6)


@pytest.mark.parametrize("damage", ["cut", "garbage", "empty", "flipped"])
def test_a_damaged_model_file(damage: str, copied: Run) -> None:
    from bigmodel_cli import assembly

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
        assembly.restore(copied)


def test_a_model_file_without_weights(copied: Run) -> None:
    from bigmodel_cli import assembly

    with zipfile.ZipFile(copied.model, "w") as archive:
        archive.writestr("config.json", "{}")
    with pytest.raises(UsageError, match=r"model\.keras: "):
        assembly.restore(copied)


def test_a_missing_model_file(copied: Run) -> None:
    from bigmodel_cli import assembly

    copied.model.unlink()
    with pytest.raises(UsageError, match=r"model\.keras: is missing; no epoch was finished; go on with"):
        assembly.restore(copied)


@pytest.mark.parametrize("hidden", ["[8]", "[8, 8, 8]", "[8, 9]"])
def test_the_weights_of_another_model(
    hidden: str, tmp_path: Path, train_into: Callable[[Path, str], Run]
) -> None:
    """Also where the other has all the layers of this one, and more."""
    from bigmodel_cli import assembly

    run = train_into(tmp_path, MLP)
    run.config.write_text(run.config.read_text().replace("hidden: [8, 8]", f"hidden: {hidden}"))
    with pytest.raises(UsageError, match=r"model\.keras: holds other weights than .*config\.yaml describes"):
        assembly.restore(run)


def test_code_in_a_model_file_is_never_run(copied: Run, tmp_path: Path) -> None:
    """Not even looked at: the model is rebuilt from the run's config."""
    from bigmodel_cli import assembly

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
    assert assembly.restore(copied).model.count_params() > 0
    _replaced(copied, "config.json", b"not even JSON")
    assembly.restore(copied)
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
