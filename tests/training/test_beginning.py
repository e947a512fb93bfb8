"""Where weights come from, which are taken, and what LoRA and late release make of them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bigmodel_cli.errors import BigmodelError
from bigmodel_cli.rundir import Run

BASE = """\
name: base
dataset: {name: digits, limit: 120, only_classes: ['0', '1', '2']}
model: {name: cnn, filters: [4, 6], dense: [8], padding: same, batch_norm: true}
optimizer: {name: adam, learning_rate: 0.01}
training: {epochs: 1, batch_size: 16, precision: float32, tensorboard: false}
"""
OTHERS = "dataset.only_classes=['3','4','5']"


@pytest.fixture(scope="module")
def base(trained_once: Callable[[str], Run]) -> Run:
    return trained_once(BASE)


def weights_of(model: Any) -> dict[str, np.ndarray]:
    return {weight.path: np.array(weight) for weight in model.weights}


def prepared(config: Callable[..., Any], *overrides: str) -> Any:
    from bigmodel_cli.training import planning

    return planning.prepare(config(BASE, *overrides))


def restored_weights(run: Run) -> dict[str, np.ndarray]:
    from bigmodel_cli import assembly

    return weights_of(assembly.restore(run).model)


def test_all_but_the_head_of_other_classes(base: Run, config: Callable[..., Any]) -> None:
    there = restored_weights(base)
    plan = prepared(config, f"initialize.weights={base}", OTHERS)
    here = weights_of(plan.model)
    for path, value in there.items():
        assert (path.startswith("logits")) != np.array_equal(value, here[path]) or path == "logits/bias"
    choice = plan.choices["initialize"]
    assert choice.value == f"{len(there) - 2} of {len(there)} weights of {base}"
    assert "the head is new: other outputs there" in choice.reason


def test_the_head_of_the_same_classes(base: Run, config: Callable[..., Any]) -> None:
    there = restored_weights(base)
    here = weights_of(prepared(config, f"initialize.weights={base}").model)
    assert all(np.array_equal(value, here[path]) for path, value in there.items())
    fresh = weights_of(prepared(config, f"initialize={{weights: {base}, head: new}}").model)
    assert not np.array_equal(there["logits/kernel"], fresh["logits/kernel"])


def test_layers_by_pattern_and_a_file_of_keras(base: Run, config: Callable[..., Any], tmp_path: Path) -> None:
    there = restored_weights(base)
    copy = tmp_path / "some.keras"
    copy.write_bytes(base.model.read_bytes())
    settings = f"initialize={{weights: {copy}, match: 'conv*', skip: conv2}}"
    here = weights_of(prepared(config, settings).model)
    same = {path for path, value in there.items() if np.array_equal(value, here[path]) and value.any()}
    assert same & {path for path in there if "kernel" in path} == {"conv1/kernel"}


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["model.filters=[4,5]"], r"conv2/kernel \(3x3x4x6 there, 3x3x4x5 here\).*initialize.skip"),
        (["model.filters=[4,5]", "initialize.match=conv3"], "no layer with weights is called `conv3`"),
        (["initialize.weights=nowhere"], "there is no run, config or .keras file nowhere"),
        (["initialize.weights=BROKEN"], "cannot be read as a Keras model"),
        (["initialize.match=logits", "initialize.head=new"], "no weight of"),
    ],
)
def test_what_does_not_fit(
    base: Run, config: Callable[..., Any], tmp_path: Path, overrides: list[str], message: str
) -> None:
    (tmp_path / "broken.keras").write_text("no zip")
    given = [item.replace("BROKEN", str(tmp_path / "broken.keras")) for item in overrides]
    with pytest.raises(BigmodelError, match=message):
        prepared(config, f"initialize.weights={base}", *given)


def test_a_resumed_run_needs_no_source(
    base: Run, train: Callable[..., Run], resume: Callable[..., Run], tmp_path: Path
) -> None:
    source = tmp_path / "source"
    shutil.copytree(base.path, source)
    whole = train(BASE, f"initialize.weights={source}", OTHERS, "training.epochs=2", to="whole")
    part = train(BASE, f"initialize.weights={source}", OTHERS, "training.epochs=1", to="part")
    source.rename(tmp_path / "elsewhere")
    resume(part, "training.epochs=2")
    expected, found = restored_weights(whole), restored_weights(part)
    assert all(np.array_equal(value, found[path]) for path, value in expected.items())
    assert json.loads(whole.environment.read_text())["choices"]["initialize"]["value"].endswith(str(source))


def test_frozen_until_an_epoch(train: Callable[..., Run], resume: Callable[..., Run]) -> None:
    rules = "optimizer.layers=[{match: ['conv*', 'batch*'], frozen: true, until_epoch: 2}]"
    last = "training.early_stopping={restore_best: false, patience: 9}"
    runs = {n: train(BASE, rules, f"training.epochs={n}", last, to=f"to{n}") for n in (1, 2, 3)}
    found = {n: restored_weights(run) for n, run in runs.items()}
    frozen = [path for path in found[1] if path.startswith(("conv", "batch")) and "_2/" not in path]
    assert frozen and all(np.array_equal(found[1][path], found[2][path]) for path in frozen)
    assert not np.array_equal(found[1]["dense1/kernel"], found[2]["dense1/kernel"])
    # Its statistics too are learned from then on.
    assert not any(np.array_equal(found[2][path], found[3][path]) for path in frozen if "bias" not in path)
    # Resumed before and after the release, to the bit.
    resumed = restored_weights(resume(runs[1], "training.epochs=3"))
    assert all(np.array_equal(value, resumed[path]) for path, value in found[3].items())
    longer = restored_weights(resume(runs[3], "training.epochs=4"))
    assert not np.array_equal(longer["conv1/kernel"], found[3]["conv1/kernel"])


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_lora_trains_a_low_rank_change(
    base: Run, train: Callable[..., Run], resume: Callable[..., Run], precision: str
) -> None:
    rules = "optimizer.layers=[{match: dense1, lora_rank: 2}, {match: ['conv*', 'batch*'], frozen: true}]"
    given = (f"initialize.weights={base}", rules, f"training.precision={precision}")
    run = train(BASE, *given, "training.epochs=2", to="lora")
    there, here = restored_weights(base), restored_weights(run)
    assert set(there) == set(here)
    change = here["dense1/kernel"] - there["dense1/kernel"]
    scales = np.linalg.svd(change.astype(np.float64), compute_uv=False)
    assert scales[1] > 1e-5 and scales[2:].max() < 1e-5 * scales[0] + 1e-6
    assert np.array_equal(there["conv1/kernel"], here["conv1/kernel"])
    part = train(BASE, *given, to="part")
    again = restored_weights(resume(part, "training.epochs=2"))
    assert all(np.array_equal(value, again[path]) for path, value in here.items())


def test_lora_where_no_layer_can_have_it(config: Callable[..., Any]) -> None:
    with pytest.raises(
        BigmodelError, match=r"layers\[0\]\.lora_rank: none of the layers batch\* can have LoRA"
    ):
        prepared(config, "optimizer.layers=[{match: 'batch*', lora_rank: 2}]")
