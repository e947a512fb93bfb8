from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from bigmodel_cli import plots

DRAWN = pytest.mark.parametrize("draw", [plots.roc_curves, plots.precision_recall_curves])


def guessed(classes: int, examples: int, skill: float = 1.0) -> tuple[Any, Any, list[str]]:
    """Targets, probabilities with ties, and names."""
    rng = np.random.default_rng(0)
    targets = np.arange(examples) % classes
    logits = rng.normal(size=(examples, classes))
    logits[np.arange(examples), targets] += skill * np.linspace(0.5, 2, classes)[targets]
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return targets, shares.round(2), [f"class {index}" for index in range(classes)]


def legend(figure: Any) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()] if figure.legends else []


def said(figure: Any) -> str:
    return str(figure.axes[0].get_title(loc="left"))


def test_two_classes_are_one_curve_of_the_second(tmp_path: Path, figures: list[Any]) -> None:
    targets, shares, names = guessed(2, 200)
    plots.roc_curves(targets, shares, names, tmp_path / "a.png", title="finding")
    plots.precision_recall_curves(targets, shares[:, 1], names, tmp_path / "b.png", title="finding")
    area = roc_auc_score(targets, shares[:, 1])
    precision = average_precision_score(targets, shares[:, 1])
    assert legend(figures[0]) == [f"class 1, {area:.4g}", "chance, 0.5"]
    assert legend(figures[1]) == [f"class 1, {precision:.4g}", "chance, 0.5"]
    assert said(figures[1]) == f"average precision {precision:.4g}; positive: class 1"
    (curve,) = (line for line in figures[0].axes[0].get_lines() if "class 1" in line.get_label())
    x, y = curve.get_data()
    assert np.trapezoid(y, x) == pytest.approx(area)


@DRAWN
def test_the_mean_is_that_of_the_classes(draw: Any, tmp_path: Path, figures: list[Any]) -> None:
    targets, shares, names = guessed(3, 300)
    draw(targets, shares, names, tmp_path / "a.png", title="")
    measure = roc_auc_score if draw is plots.roc_curves else average_precision_score
    areas = [measure(targets == index, shares[:, index]) for index in range(3)]
    mean, *classes, _ = legend(figures[0])
    assert mean == f"mean, {np.mean(areas):.4g}"
    assert classes == [f"{names[index]}, {areas[index]:.4g}" for index in np.argsort(areas)]
    (line,) = (line for line in figures[0].axes[0].get_lines() if line.get_label() == mean)
    assert np.trapezoid(line.get_ydata(), line.get_xdata()) == pytest.approx(np.mean(areas), abs=2e-3)
    assert len({line.get_linestyle() for line in figures[0].axes[0].get_lines()[1:4]}) == 3


@DRAWN
@pytest.mark.parametrize(("classes", "others"), [(12, "7 others"), (110, "90% of 105 others")])
def test_of_many_classes_the_mean_and_the_worst_are_named(
    draw: Any, classes: int, others: str, tmp_path: Path, figures: list[Any]
) -> None:
    targets, shares, names = guessed(classes, 5 * classes)
    draw(targets, shares, names, tmp_path / "a.png", title="")
    assert len(legend(figures[0])) == 8
    assert legend(figures[0])[6] == others
    assert f"mean of {classes} classes" in said(figures[0])
    assert said(figures[0]).endswith("named are the 5 worst")


@DRAWN
def test_examples_of_several_classes(draw: Any, tmp_path: Path, figures: list[Any]) -> None:
    rng = np.random.default_rng(0)
    targets, shares = rng.integers(0, 2, (50, 2)), rng.random((50, 2))
    draw(targets, shares, ["a", "b"], tmp_path / "a.png", title="")
    measure = roc_auc_score if draw is plots.roc_curves else average_precision_score
    assert f"a, {measure(targets[:, 0], shares[:, 0]):.4g}" in legend(figures[0])
    assert f"b, {measure(targets[:, 1], shares[:, 1]):.4g}" in legend(figures[0])


def test_good_models_are_drawn_beyond_the_corner(tmp_path: Path, figures: list[Any]) -> None:
    for skill in (1.0, 9.0):
        plots.roc_curves(*guessed(3, 300, skill), tmp_path / "a.png", title="")
    assert [figure.axes[0].get_xscale() for figure in figures] == ["linear", "log"]
    assert 0 < figures[1].axes[0].get_xlim()[0] < 0.1


def test_what_cannot_be_drawn_is_said(tmp_path: Path, figures: list[Any]) -> None:
    targets, shares, names = guessed(3, 30)
    targets = np.where(targets == 2, 1, targets)
    shares[0, 0] = np.nan
    plots.roc_curves(targets, shares, names, tmp_path / "a.png", title="")
    assert "mean of 2 of 3 classes" in said(figures[0])
    below = figures[0].get_supxlabel()
    assert "1 of 30 examples left out: not finite" in below
    assert below.endswith("lack the class or anything else: class 2")


@DRAWN
@pytest.mark.parametrize("examples", [0, 5])
def test_nothing_to_draw(draw: Any, examples: int, tmp_path: Path, figures: list[Any]) -> None:
    targets, shares = np.zeros(examples, int), np.full((examples, 2), 0.5)
    draw(targets, shares, ["a", "b"], tmp_path / "a.png", title="")
    (text,) = figures[0].axes[0].texts
    assert text.get_text().startswith("no curve")


def test_only_positives_have_precision(tmp_path: Path, figures: list[Any]) -> None:
    plots.precision_recall_curves(np.ones(4, int), np.full(4, 0.5), ["a", "b"], tmp_path / "a.png", title="")
    assert legend(figures[0]) == ["b, 1", "chance, 1"]
