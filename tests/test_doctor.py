from __future__ import annotations

import json
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from bigmodel_cli import devices


def test_what_this_machine_offers(bigmodel: Callable[..., Any]) -> None:
    document = json.loads(bigmodel("doctor", "--json").stdout)
    assert document["packages"]["tensorflow"] == version("tensorflow")
    assert document["catalogue_is_current"] is True
    assert document["cpu"]["cores"] == devices.cpu_cores()
    assert 2**28 < document["memory"] < 2**45
    assert set(document["auto"]) == {"backend", "devices", "precision", "steps_per_execution"}
    assert document["engines"] == {
        "tensorflow": version("tensorflow"),
        "jax": version("jax"),
        "libtpu": None,
    }


def test_prepared_data(bigmodel: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("mnist/3.0.1", "glue/cola/2.0.0"):
        (tmp_path / "tfds" / name).mkdir(parents=True)
        (tmp_path / "tfds" / name / "dataset_info.json").write_text("{}")
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "tfds"))
    data = json.loads(bigmodel("doctor", "--json").stdout)["data"]
    assert data == {
        "folder": str(tmp_path / "tfds"),
        "from": "TFDS_DATA_DIR",
        "prepared": ["glue/cola", "mnist"],
    }


def test_for_people(bigmodel: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "cpu_bfloat16", lambda: "")
    result = bigmodel("doctor")
    assert result.exit_code == 0
    assert "fast bfloat16: none" in result.stdout
    assert "float32 (no fast bfloat16)" in result.stdout


def test_another_keras_than_the_catalogue(
    bigmodel: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from bigmodel_cli import catalogue

    monkeypatch.setattr(catalogue, "versions", lambda: {"keras": "3.0.0"})
    assert "note: this Keras is not the one that configs are checked against" in bigmodel("doctor").stdout


def test_half_set_variables_of_a_cluster(
    bigmodel: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    document = json.loads(bigmodel("doctor", "--json").stdout)
    assert document["auto"]["backend"].startswith("none: WORLD_SIZE say that this process belongs to a job")
