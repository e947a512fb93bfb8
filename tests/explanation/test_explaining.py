from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bigmodel_cli.errors import UsageError
from bigmodel_cli.explanation.methods import Asked

Predict = Callable[..., Any]


@pytest.fixture
def predict() -> Iterator[Predict]:
    """Predicts in this process, and lets go of it afterwards."""
    found: list[Any] = []

    def run(restored: Any, *arguments: object, output: Path | None = None, **asked: Any) -> Any:
        from bigmodel_cli import prediction

        resume = asked.pop("resume", False)
        request = prediction.Request(restored.run, [str(argument) for argument in arguments], **asked)
        found.append(prediction.predict(request, output, resume=resume))
        return found[-1]

    yield run
    for item in found:
        item.discard()


def _table(folder: Path, name: str = "explanations.csv") -> list[dict[str, str]]:
    with (folder / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("method", ["grad_cam", "integrated_gradients", "occlusion"])
def test_images(digits: Any, tmp_path: Path, predict: Predict, method: str) -> None:
    found = predict(digits, limit=5, explain=Asked(method, tmp_path / "out", limit=2))
    explained = found.explain()
    assert [path.name for path in explained.pictures] == ["000000_0.png", "000001_1.png"]
    assert "3 of 5 inputs were left without a picture" in explained.lines[-1]
    table = _table(tmp_path / "out")
    rows = list(found.rows())
    for line, row, picture in zip(table, rows, explained.pictures, strict=False):
        assert line["id"] == row["id"]
        assert line["explained"] == row["prediction"]
        assert float(line["probability"]) == pytest.approx(row["probability"])
        assert line["picture"] == picture.name
        with Image.open(picture) as image:
            assert image.width > 600
        with np.load(picture.with_suffix(".npz")) as arrays:
            assert arrays["values"].shape[:2] == (8, 8)
            assert np.isfinite(arrays["values"]).all()


def test_the_class_asked_for(digits: Any, tmp_path: Path, predict: Predict, figures: list[Any]) -> None:
    found = predict(digits, limit=2, explain=Asked("integrated_gradients", tmp_path, target="7"))
    explained = found.explain()
    table = _table(tmp_path)
    assert [line["explained"] for line in table] == ["7", "7"]
    for line, row, figure in zip(table, found.rows(), figures, strict=True):
        assert float(line["probability"]) == pytest.approx(row["probability_7"])
        other = "" if row["prediction"] == "7" else f", not {row['prediction']}"
        assert figure.get_suptitle().endswith(f"what speaks for 7 ({row['probability_7']:.1%}){other}")
        assert abs(float(line["gap"])) <= 1e-3 * max(1, abs(float(line["sum"])))
    assert "miss the difference of the outputs by at most" in explained.lines[0]


def test_an_unreadable_input_does_not_cost_the_others(
    digits: Any, tmp_path: Path, predict: Predict, examples: Any
) -> None:
    images, _ = examples(digits)
    folder = tmp_path / "images"
    folder.mkdir()
    for name, pixels in zip("ac", images, strict=False):
        Image.fromarray(pixels[..., 0]).save(folder / f"{name}.png")
    (folder / "b.png").write_bytes(b"no image")
    found = predict(digits, folder, explain=Asked("occlusion", tmp_path / "out"))
    explained = found.explain()
    assert [path.name for path in explained.pictures] == ["000000_a.png.png", "000002_c.png.png"]
    assert (tmp_path / "out" / "000002_c.png.npz").is_file()
    assert [line["id"] for line in _table(tmp_path / "out")] == ["a.png", "c.png"]
    assert not explained.lines


def test_work_that_goes_on_explains_the_same(digits: Any, tmp_path: Path, predict: Predict) -> None:
    whole = predict(digits, limit=6, batch_size=2, explain=Asked("occlusion", tmp_path / "a"))
    whole.explain()
    cut = predict(digits, limit=6, batch_size=2, output=tmp_path / "p.csv")
    cut.parts.flush()
    cut.parts.close()
    again = predict(
        digits,
        limit=6,
        batch_size=2,
        output=tmp_path / "p.csv",
        resume=True,
        explain=Asked("occlusion", tmp_path / "b"),
    )
    again.explain()
    assert _table(tmp_path / "a") == _table(tmp_path / "b")
    assert len(_table(tmp_path / "a")) == 6


def test_vectors(iris: Any, tmp_path: Path, predict: Predict) -> None:
    explained = predict(iris, "5.1,3.5,1.4,0.2", explain=Asked("integrated_gradients", tmp_path)).explain()
    assert [path.name for path in explained.pictures] == ["000000_5.1_3.5_1.4_0.2.png"]
    lines = _table(tmp_path, "000000_5.1_3.5_1.4_0.2.csv")
    assert [float(line["value"]) for line in lines] == pytest.approx([5.1, 3.5, 1.4, 0.2])
    (line,) = _table(tmp_path)
    assert sum(float(item["score"]) for item in lines) == pytest.approx(float(line["sum"]))
    strongest = max(lines, key=lambda item: abs(float(item["score"])))
    assert line["largest"] == strongest["column"]


@pytest.mark.parametrize("method", ["integrated_gradients", "occlusion"])
def test_texts(reviews: Any, tmp_path: Path, predict: Predict, method: str) -> None:
    explained = predict(reviews, limit=3, explain=Asked(method, tmp_path)).explain()
    assert len(explained.pictures) == 3
    for line in _table(tmp_path):
        assert line["largest"] in ("good", "bad")
        document = json.loads((tmp_path / f"{line['picture'][:-4]}.json").read_text(encoding="utf-8"))
        (text,) = document["texts"]
        assert text["column"] == "text"
        assert text["words"][0]["word"] == "a"
        assert bool(text["tokens"]) == (method == "integrated_gradients")


def test_importance_of_columns(reviews: Any, tmp_path: Path, predict: Predict, figures: list[Any]) -> None:
    explained = predict(reviews, explain=Asked("permutation_importance", tmp_path)).explain()
    assert explained.pictures == [tmp_path / "permutation_importance.png"]
    lines = _table(tmp_path, "permutation_importance.csv")
    assert lines[0]["column"] == "text"
    repeats = [float(lines[0][f"repeat_{place}"]) for place in range(1, 11)]
    assert float(lines[0]["importance"]) == pytest.approx(np.mean(repeats))
    assert float(lines[0]["deviation"]) == pytest.approx(np.std(repeats))
    assert explained.lines[0].startswith("text counts most: shuffling it lowers the accuracy of ")
    assert figures[0].axes[0].get_xlabel() == "drop in accuracy when the column is shuffled"


@pytest.mark.parametrize(("target", "series"), [(None, 3), ("virginica", 1)])
def test_dependence_on_columns(
    iris: Any, tmp_path: Path, predict: Predict, target: str | None, series: int, figures: list[Any]
) -> None:
    explained = predict(iris, explain=Asked("partial_dependence", tmp_path, target=target)).explain()
    lines = _table(tmp_path, "partial_dependence.csv")
    assert {line["column"] for line in lines} == set(iris.spec.input.names)
    assert len({line["output"] for line in lines}) == series
    with np.load(tmp_path / "partial_dependence.npz") as arrays:
        first = arrays["lines_0"].mean(axis=0)[:, 0]
        mean = [
            float(line["mean"])
            for line in lines
            if (line["column"], line["output"]) == (arrays["columns"][0], arrays["outputs"][0])
        ]
    np.testing.assert_allclose(first, mean, rtol=1e-5)
    titles = [axes.get_title(loc="left") for axes in figures[0].axes if axes.axison]
    assert sorted(titles) == sorted(iris.spec.input.names)
    assert explained.lines[0].endswith(f"varies most with {titles[0]}")


@pytest.mark.parametrize(
    ("run", "asked", "message"),
    [
        ("iris", {"method": "grad_cam"}, "is for images, but iris has tabular vectors; for these there are"),
        ("digits", {"method": "partial_dependence"}, "there are grad_cam, integrated_gradients, occlusion"),
        ("digits", {"method": "occlusion", "target": "x"}, "x: there is no such class; there are 0, 1"),
        ("digits", {"method": "grad_cam", "layer": "x"}, "--layer x: there is no such layer"),
        ("digits", {"method": "occlusion", "layer": "x"}, "looks at no layer; leave it out"),
        ("iris", {"method": "permutation_importance", "target": "setosa"}, "leave it out"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_before_any_work(
    request: pytest.FixtureRequest, tmp_path: Path, predict: Predict, run: str, asked: Any, message: str
) -> None:
    restored = request.getfixturevalue(run)
    with pytest.raises(UsageError, match=message) as refusal:
        predict(restored, explain=Asked(folder=tmp_path / "out", **asked))
    assert refusal.value.exit_code == 2
    assert not (tmp_path / "out").exists()


def test_importance_of_new_rows(reviews: Any, tmp_path: Path, predict: Predict) -> None:
    lines = ["label,text,price,shop"]
    for row in range(40):
        word, label = ("good", "yes") if row % 2 else ("bad", "no")
        lines.append(f"{label},a {word} thing really {row % 5},1.5,a")
    lines[3], lines[4] = lines[3].replace("no,", ",", 1), lines[4].replace("yes,", "maybe,", 1)
    (tmp_path / "new.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    found = predict(reviews, tmp_path / "new.csv", explain=Asked("permutation_importance", tmp_path / "out"))
    explained = found.explain()
    assert explained.lines[0].startswith("text counts most")
    assert explained.lines[1].startswith("2 inputs without a label that the run knows are left out: ")
    assert explained.lines[1].endswith("new.csv:5: the run does not know the label `maybe`")
    # Every row has a prediction; labels are no part of it.
    rows = list(found.rows())
    assert len(rows) == 40
    assert all(row["prediction"] for row in rows)
    assert "target" not in rows[0]
    (tmp_path / "new.csv").write_text("label,text,price,shop\nx,good,1,a\n", encoding="utf-8")
    found = predict(reviews, tmp_path / "new.csv", explain=Asked("permutation_importance", tmp_path / "out"))
    with pytest.raises(UsageError, match=r"no input has a label that the run knows: .*label `x`"):
        found.explain()
    (tmp_path / "new.csv").write_text("text,price,shop\ngood,1,a\n", encoding="utf-8")
    with pytest.raises(UsageError, match=r"no column `label` with the labels; .*leave the INPUTs out"):
        predict(reviews, tmp_path / "new.csv", explain=Asked("permutation_importance", tmp_path / "out"))


def test_importance_needs_targets_and_one_model(iris: Any, tmp_path: Path, predict: Predict) -> None:
    with pytest.raises(UsageError, match="true targets, which these inputs lack; leave the INPUTs out"):
        predict(iris, "5,3,1,0.2", explain=Asked("permutation_importance", tmp_path))
    with pytest.raises(UsageError, match="leave --ensemble out"):
        predict(iris, ensemble=[iris.run], explain=Asked("partial_dependence", tmp_path))


def test_on_the_command_line(digits: Any, bigmodel: Callable[..., Any], tmp_path: Path) -> None:
    run = digits.run.path
    done = bigmodel("predict", run, "--limit", 3, "--explain", "grad_cam", "--explain-limit", 2)
    assert done.exit_code == 0, done.stderr
    folder = run / "predictions" / "explanations" / "grad_cam"
    assert f"2 explanations in {folder}" in done.stdout
    assert "1 of 3 inputs were left without a picture" in done.stdout
    assert (folder / "000001_1.png").is_file()
    done = bigmodel(
        "predict", run, "--limit", 1, "--explain", "occlusion", "--explain-class", "4", "-o", "p.csv"
    )
    assert "explanation in p.csv.explanations/000000_0.png" in done.stdout
    assert _table(tmp_path / "p.csv.explanations")[0]["explained"] == "4"
    done = bigmodel("predict", run, "--limit", 1, "--explain", "occlusion", "--json")
    assert len(json.loads(done.stdout)["predictions"]) == 1
    assert "explanation in" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--explain", "shap"), "'shap' is not one of 'grad_cam', 'integrated_gradients'"),
        (("--explain-class", "4"), "--explain-class: is for --explain METHOD; give both"),
        (("--explain-limit", "4"), "--explain-limit: is for --explain METHOD; give both"),
        (("--explain", "partial_dependence", "--explain-limit", "4"), "makes one picture of all inputs"),
        (("--explain", "permutation_importance"), "is for tabular vectors and tables, but digits has images"),
        (("--explain", "occlusion", "--layer", "conv1"), "looks at no layer"),
    ],
)
def test_wrong_usage(
    digits: Any, bigmodel: Callable[..., Any], arguments: tuple[str, ...], message: str
) -> None:
    done = bigmodel("predict", digits.run.path, *arguments)
    assert done.exit_code == 2
    assert message in done.stderr
