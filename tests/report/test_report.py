"""The page and the card: every figure from the run's files, nothing fetched, nothing invented."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from bigmodel_cli import report, rundir, validation
from bigmodel_cli.errors import UsageError
from bigmodel_cli.formatting import metric
from bigmodel_cli.rundir import Run

pytestmark = pytest.mark.curves

TABLE = "size,colour,kind\n" + "".join(
    f"{i % 7 + (3 if i % 2 else 0)},{'red' if i % 3 else 'blue'},{'<a>' if i % 2 else 'b|c'}\n"
    for i in range(120)
)
TEXTS = {
    "digits": """\
name: digits
dataset: {name: digits, limit: 200}
model: {name: cnn, filters: [8], dense: []}
optimizer: {name: adam, learning_rate: 0.01}
training: {epochs: 2, batch_size: 16, precision: float32, tensorboard: false}
about: {description: Reads *digits* & more., license: apache-2.0, intended_use: Demonstrations.}
""",
    "table": """\
name: table
dataset: {name: csv, path: FOLDER/t.csv, target: kind}
model: {name: mlp, hidden: [4]}
optimizer: {name: adam, learning_rate: 0.05}
training: {epochs: 2, tensorboard: false}
""",
    "labels": """\
name: labels
dataset: {name: multi_label, examples: 120}
model: {name: mlp, hidden: [4]}
optimizer: {name: adam, learning_rate: 0.05}
training: {epochs: 1, tensorboard: false}
""",
    "masks": """\
name: masks
dataset: {name: shapes, examples: 40, image_size: [16, 16]}
model: {name: unet, depth: 1, filters: 4}
optimizer: {name: adam, learning_rate: 0.01}
training: {epochs: 1, batch_size: 8, precision: float32, tensorboard: false}
""",
    "characters": """\
name: characters
dataset:
  name: text_file
  path: FOLDER/t.txt
  window: 16
  prepare: {text: {normalize: none, split: character}}
model: {name: gpt, layers: 1, width: 8, heads: 2}
optimizer: {name: adam, learning_rate: 0.01}
training: {epochs: 1, batch_size: 8, precision: float32, tensorboard: false}
""",
    "line": """\
name: line
dataset: {name: linear, examples: 100}
model: linear_regression
optimizer: {name: sgd, learning_rate: 0.1}
training: {epochs: 4, batch_size: 16, tensorboard: false}
""",
}


def trained(folder: Path, name: str) -> Run:
    from bigmodel_cli.cli.progress import TrainingProgress
    from bigmodel_cli.training import planning, starting, trainer

    (folder / "t.csv").write_text(TABLE)
    (folder / "t.txt").write_text("the cat sat on the mat\n" * 40)
    (folder / f"{name}.yaml").write_text(TEXTS[name].replace("FOLDER", str(folder)))
    plan = planning.prepare(validation.load(folder / f"{name}.yaml").config)
    run = starting.start(plan, folder / name)
    trainer.train(plan, run, TrainingProgress(quiet=True, stderr=True))
    return run


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    """Evaluated runs; not to be changed."""
    from bigmodel_cli.evaluation import evaluate

    found = {}
    for name in TEXTS:
        found[name] = trained(tmp_path_factory.mktemp(name), name)
        evaluate(found[name], "test", by=["colour"] if name == "table" else [])
    return found


def texts(run: Run, folder: Path) -> tuple[str, str]:
    written = report.write(run, folder / "page.html", folder / "card.md")
    assert written.bytes == written.page.stat().st_size < 3_000_000
    return written.page.read_text(encoding="utf-8"), written.card.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", TEXTS)
def test_every_score_stands_in_page_and_card(runs: dict[str, Run], tmp_path: Path, name: str) -> None:
    page, card = texts(runs[name], tmp_path)
    document: Any = runs[name].read_evaluation("test")
    for score in document["scores"].values():
        for text in (page, card):
            assert (
                metric(score["value"]) in text
                and f"{metric(score['low'])} to {metric(score['high'])}" in text
            )
    for value in document["baseline"]["scores"].values():
        assert value is None or (metric(value) in page and metric(value) in card)
    assert len(re.findall("<img ", page)) == len(document["pictures"]) + 1
    assert not re.search(r"""(src|href|srcset)="(?!data:|#)|url\(|@import""", page)
    shown = re.sub(r"(?s)<pre>.*?</pre>|<[^>]*>", " ", page)
    assert not re.search(r"\b(None|nan|inf)\b", shown), shown


def test_what_was_trained_and_how_to_repeat_it(runs: dict[str, Run], tmp_path: Path) -> None:
    page, _ = texts(runs["digits"], tmp_path)
    run = runs["digits"]
    summary, splits = run.read_summary(), run.read_splits()
    assert f"{summary['parameters']:,}" in page
    assert f"bigmodel train {run}/config.yaml" in page
    for record in splits.values():
        assert record["sha256"][:16] in page and record["describe"] in page
    for choice in run.read_environment()["choices"].values():
        assert str(choice["value"]) in page
    assert "Reads *digits* &amp; more." in page and "Demonstrations." in page


def test_a_table_shows_its_worst_examples_and_groups(runs: dict[str, Run], tmp_path: Path) -> None:
    page, card = texts(runs["table"], tmp_path)
    document: Any = runs["table"].read_evaluation("test")
    worst = document["worst_examples"]
    assert len(worst) == 10 and worst[0]["score"] <= worst[-1]["score"]
    assert f"size {worst[0]['input']['size']}, colour {worst[0]['input']['colour']}" in page
    assert "By colour" in page and "### By colour" in card
    # Names of classes are text, not markup.
    assert "&lt;a&gt;" in page and "<a>" not in page
    assert r"b\|c" in card and r"\<a\>" in card


def test_the_card_has_the_sections_of_the_paper(runs: dict[str, Run], tmp_path: Path) -> None:
    _, card = texts(runs["digits"], tmp_path)
    _, head, body = card.split("---\n", 2)
    assert yaml.safe_load(head) == {
        "library_name": "keras", "tags": ["bigmodel", "keras", "cnn"], "license": "apache-2.0",
        "pipeline_tag": "image-classification",
    }  # fmt: skip
    assert re.findall("^## (.*)$", body, re.MULTILINE) == [
        "Model details", "Intended use", "Factors", "Metrics", "Training and evaluation data",
        "Quantitative analyses", "Ethical considerations", "Caveats and recommendations",
    ]  # fmt: skip
    assert r"Reads \*digits\* & more." in body and "Not stated; write it under `about.authors`" in body


@pytest.mark.parametrize(
    ("name", "counted"),
    [("digits", "examples"), ("labels", "examples"), ("masks", "pixels"), ("characters", "times")],
)
def test_shares_of_the_training_split(runs: dict[str, Run], tmp_path: Path, name: str, counted: str) -> None:
    page, card = texts(runs[name], tmp_path)
    target = runs[name].read_data().target
    table = page[page.index(" in the training split</caption>") :].split("</table>")[0]
    assert f">{counted}</th>" in table
    shares = [float(text) for text in re.findall(r"<div>([\d.]+)%</div>", table)]
    assert len(shares) == len(target.names) and max(shares) <= 100
    if name != "labels":
        assert sum(shares) == pytest.approx(100, abs=0.1 * len(shares))
    words = {"characters": "tokens", "labels": "labels"}.get(name, "classes")
    assert f"{len(target.names)} {words}" in card


def test_a_run_that_is_not_evaluated_says_so(runs: dict[str, Run], tmp_path: Path) -> None:
    run = Run(tmp_path / "copy")
    shutil.copytree(runs["line"].path, run.path)
    shutil.rmtree(run.path / "evaluation")
    document = json.loads(run.summary.read_text())
    rundir.write_json(run.summary, {**document, "status": "interrupted"})
    page, card = texts(run, tmp_path)
    assert f"Not evaluated yet; `bigmodel evaluate {run}`" in page and "its status is `interrupted`" in page
    assert "Not evaluated yet" in card


def test_a_damaged_run_and_a_place_that_cannot_be_written(runs: dict[str, Run], tmp_path: Path) -> None:
    run = Run(tmp_path / "copy")
    shutil.copytree(runs["line"].path, run.path)
    with pytest.raises(UsageError, match=r"nowhere/p\.html: cannot be written"):
        report.write(run, tmp_path / "nowhere" / "p.html")
    with pytest.raises(UsageError, match=r"nowhere/card\.md: cannot be written"):
        report.write(run, tmp_path / "p.html", tmp_path / "nowhere" / "card.md")
    (run.evaluation("test") / "metrics.json").write_text("{")
    with pytest.raises(UsageError, match=r"metrics\.json: is damaged"):
        report.write(run)


def test_the_command(runs: dict[str, Run], bigmodel: Any, tmp_path: Path) -> None:
    run = Run(tmp_path / "copy")
    shutil.copytree(runs["line"].path, run.path)
    result = bigmodel("report", run, "--json")
    assert result.exit_code == 0 and json.loads(result.stdout)["report"] == str(run.report)
    assert run.report.is_file() and run.model_card.is_file()
    assert "report.html" in bigmodel("report", run).stdout
    result = bigmodel("report", run, "-o", "page.txt")
    assert (result.exit_code, "page.txt: must end in .html" in result.stderr) == (2, True)
