"""Facts of runs, and choosing and ordering runs by them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bigmodel_cli.errors import UsageError
from bigmodel_cli.run_listing import Facts, Filter, chosen
from bigmodel_cli.rundir import Run


@pytest.fixture
def facts(tmp_path) -> list[Facts]:
    """Two finished runs, the newest first, and one that has only begun."""

    def make(name: str, optimizer: str, accuracy: float | None, **summary: object) -> Facts:
        run = Run(tmp_path / name)
        run.path.mkdir(parents=True)
        run.config.write_text(
            f"name: mine\ndataset: {{name: iris}}\nmodel: {{name: mlp, hidden: [16, 8]}}\n"
            f"optimizer: {{name: {optimizer}, learning_rate: 0.01}}\ntraining: {{max_minutes: null}}\n"
        )
        run.environment.write_text("{}")
        if accuracy is not None:
            metrics = {"val_accuracy": accuracy, "accuracy": 0.5}
            run.summary.write_text(json.dumps({"status": "finished", "metrics": metrics, **summary}))
        return Facts(run)

    return [
        make("20260301-000000", "sgd", None),
        make("20260201-000000", "adam", 0.9, seconds=10.0, dataset="iris", model="mlp"),
        make("20260101-000000", "sgd", 0.95, seconds=5, dataset="iris", model="mlp", parameters=12),
    ]


def names(found: list[Facts]) -> list[int]:
    """Their months."""
    return [int(item.run.path.name[4:6]) for item in found]


@pytest.mark.parametrize(
    ("sort", "months"),
    [
        ("-time", [3, 2, 1]),
        ("time", [1, 2, 3]),
        ("val_accuracy", [2, 1, 3]),
        ("-val_accuracy", [1, 2, 3]),
        ("-seconds", [2, 1, 3]),
        ("parameters", [1, 3, 2]),
        ("optimizer.name", [2, 3, 1]),
        ("status", [2, 1, 3]),
    ],
)
def test_sort(facts, sort, months):
    assert names(chosen(facts, [], sort)) == months


@pytest.mark.parametrize(
    ("texts", "months"),
    [
        (["status=finished"], [2, 1]),
        (["status=running"], [3]),
        (["dataset=iris"], [3, 2, 1]),
        (["model=ml*"], [3, 2, 1]),
        (["optimizer=adam"], [2]),
        (["optimizer.name=sgd", "status=finished"], [1]),
        (["optimizer.name!=sgd"], [2]),
        (["val_accuracy>0.9"], [1]),
        (["val_accuracy>=0.9"], [2, 1]),
        (["val_accuracy < 0.95"], [2]),
        (["val_accuracy=0.95"], [1]),
        (["val_accuracy!=0.95"], [3, 2]),
        (["model.hidden=[16,8]"], [3, 2, 1]),
        (["model.hidden[1]=8"], [3, 2, 1]),
        (["model.hidden=[16]"], []),
        (["training.max_minutes=null"], [3, 2, 1]),
        (["time<20260202"], [2, 1]),
        (["tag=paper"], [1]),
        (["tag!=paper"], [3, 2]),
        (["test_accuracy>0.8"], [1]),
    ],
)
def test_filter(facts, texts, months):
    folder = facts[2].run.evaluation("test")
    folder.mkdir(parents=True)
    document = {"scores": {"accuracy": {"value": 0.85, "low": 0.8, "high": 0.9}, "r2": None}}
    (folder / "metrics.json").write_text(json.dumps(document))
    facts[2].run.tags.write_text('{"tags": ["paper", "x"]}')
    assert names(chosen(facts, [Filter.parse(text) for text in texts])) == months


@pytest.mark.parametrize("text", ["", "adam", "=adam", "optimizer=", "a b=c"])
def test_no_condition(text):
    with pytest.raises(UsageError, match="must be KEY=VALUE, or a comparison"):
        Filter.parse(text)


def test_unknown_keys(facts):
    with pytest.raises(
        UsageError, match=r"--sort val_acuracy: no run has that key; did you mean `val_accuracy`"
    ):
        chosen(facts, [], "val_acuracy")
    with pytest.raises(UsageError, match=r"--filter optimiser\.name: .* did you mean `optimizer\.name`"):
        chosen(facts, [Filter.parse("optimiser.name=adam")])
    assert chosen([], [Filter.parse("anything=1")], "whatever") == []


def test_a_broken_run_hides_no_other(facts):
    facts[0].run.config.write_text("a: [")
    facts[0].run.tags.write_text("{")
    facts[1].run.summary.write_text("{")
    assert names(chosen(facts, [], "val_accuracy")) == [1, 3, 2]
    document = facts[0].to_json()
    assert (document["config"], document["tags"], document["status"]) == ({}, [], "running")
    assert facts[1].to_json()["status"] == "damaged"
    assert facts[0].name == Path(facts[0].run.path).parent.name
