from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bigmodel_cli import plots

VERMILLION = np.array([0xD5, 0x5E, 0x00])


def pixels(path: Path) -> Any:
    with Image.open(path) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB")).astype(int)


def holds_color(path: Path, color: Any) -> bool:
    return bool((np.abs(pixels(path) - color).max(axis=2) <= 3).any())


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Every figure that is saved, in order."""
    from matplotlib.figure import Figure

    saved: list[Any] = []
    save = Figure.savefig

    def record(figure: Any, *args: Any, **kwargs: Any) -> None:
        saved.append(figure)
        save(figure, *args, **kwargs)

    monkeypatch.setattr(Figure, "savefig", record)
    return saved


def history(epochs: int, **extra: float) -> list[dict[str, float]]:
    return [
        {"epoch": e, "loss": 2 / e, "val_loss": 2.5 / e, "accuracy": 1 - 1 / (e + 1), "val_accuracy": 0.5}
        | {"learning_rate": 0.1, "seconds": 3.0}
        | extra
        for e in range(1, epochs + 1)
    ]


def labels(figure: Any) -> list[str]:
    return [axes.get_ylabel() for axes in figure.axes]


def test_learning_curves_show_pairs_and_mark_the_best_epoch(tmp_path: Path, figures: list[Any]) -> None:
    path = tmp_path / "curves.png"
    drawn = plots.learning_curves(history(5), path, best_epoch=4, monitor="val_loss", title="finding")
    assert drawn == path
    assert pixels(path).std() > 0
    (figure,) = figures
    assert labels(figure) == ["loss", "accuracy"]
    assert figure.axes[0].get_title(loc="left") == "best: epoch 4, validation loss 0.625"
    assert figure.get_suptitle() == "finding"
    training = figure.axes[0].get_lines()[0]
    assert list(training.get_xdata()) == [1, 2, 3, 4, 5]
    assert list(training.get_ydata()) == [2 / e for e in range(1, 6)]


def test_a_range_test_marks_the_rate_and_cuts_the_divergence_off(tmp_path: Path, figures: list[Any]) -> None:
    rates = [10.0 ** (step / 10 - 6) for step in range(70)]
    losses = [2.3] * 30 + [0.5] * 20 + [1e6] * 20
    path = tmp_path / "range.png"
    assert plots.learning_rate_range(rates, losses, losses, path, chosen=1e-3, title="found") == path
    (figure,) = figures
    (axes,) = figure.axes
    assert axes.get_xscale() == "log" and axes.get_ylim()[1] < 5
    assert "chosen: 0.001" in [text.get_text() for text in axes.get_legend().get_texts()]
    assert holds_color(path, VERMILLION)


def test_learning_rate_has_a_panel_only_if_it_varies(tmp_path: Path, figures: list[Any]) -> None:
    rows = [{**row, "learning_rate": 10.0 ** -row["epoch"]} for row in history(5)]
    plots.learning_curves(rows, tmp_path / "a.png", best_epoch=None, monitor="val_loss", title="")
    assert labels(figures[0]) == ["loss", "accuracy", "learning rate"]
    assert figures[0].axes[2].get_yscale() == "log"


@pytest.mark.parametrize(("decades", "scale"), [(1.5, "linear"), (2.5, "log")])
def test_loss_goes_to_a_log_scale_beyond_two_decades(
    tmp_path: Path, figures: list[Any], decades: float, scale: str
) -> None:
    rows = [{"loss": float(v)} for v in np.logspace(0, -decades, 10)]
    plots.learning_curves(rows, tmp_path / "a.png", best_epoch=None, monitor="val_loss", title="")
    assert figures[0].axes[0].get_yscale() == scale


def test_the_monitored_metric_comes_first(tmp_path: Path, figures: list[Any]) -> None:
    rows = [{**row, "f1": 0.1, "val_f1": 0.2, "top5": 0.3, "val_top5": 0.4} for row in history(2)]
    plots.learning_curves(rows, tmp_path / "a.png", best_epoch=2, monitor="val_f1", title="")
    assert labels(figures[0]) == ["loss", "f1", "accuracy"]


def test_one_epoch_is_readable(tmp_path: Path, figures: list[Any]) -> None:
    path = plots.learning_curves(
        history(1), tmp_path / "a.png", best_epoch=1, monitor="val_loss", title="one epoch"
    )
    assert holds_color(path, VERMILLION)
    low, high = figures[0].axes[-1].get_xlim()
    assert [tick for tick in figures[0].axes[-1].get_xticks() if low <= tick <= high] == [1]


def test_gaps_and_diverged_epochs_are_skipped(tmp_path: Path, figures: list[Any]) -> None:
    rows: list[dict[str, float]] = [
        {"epoch": 3, "loss": 1.0, "val_loss": 1.0},
        {"epoch": 4, "loss": float("nan")},
        {"epoch": 7, "loss": float("inf"), "val_loss": 0.5},
    ]
    plots.learning_curves(rows, tmp_path / "a.png", best_epoch=4, monitor="val_loss", title="")
    training, validation = figures[0].axes[0].get_lines()[:2]
    assert list(training.get_xdata()) == [3]
    assert list(validation.get_xdata()) == [3, 7]
    plots.learning_curves([], tmp_path / "b.png", best_epoch=None, monitor="val_loss", title="nothing yet")
    assert (tmp_path / "b.png").exists()


def test_learning_rates_of_layers_are_lines_of_their_own(tmp_path: Path, figures: list[Any]) -> None:
    path = plots.learning_rates(
        range(40), [0.1] * 20 + [0.05] * 20, tmp_path / "a.png",
        steps_per_epoch=10, factors={"stem": 0.1, "block*": 0.5}, title="finding",
    )  # fmt: skip
    assert pixels(path).std() > 0
    axes, above = figures[0].axes
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [
        "all other layers", "stem (0.1 times)", "block* (0.5 times)",
    ]  # fmt: skip
    lines = axes.get_lines()
    assert [line.get_ydata()[0] for line in lines[:3]] == pytest.approx([0.1, 0.01, 0.05])
    assert len({line.get_linestyle() for line in lines[:3]}) == 3
    assert lines[0].get_xdata()[-1] == 3.9
    assert (axes.get_xlabel(), axes.get_xlim()) == ("epochs done", (0, 4))
    assert (above.get_xlabel(), above.get_xlim()) == ("steps done", (0, 40))
    assert axes.get_title(loc="left") == "start 0.1, peak 0.1 at step 1, end 0.05"
    assert axes.get_yscale() == "linear"


@pytest.mark.parametrize(("share", "scale"), [(0.4, "linear"), (0.6, "log")])
def test_learning_rates_that_would_lie_on_the_axis(
    tmp_path: Path, figures: list[Any], share: float, scale: str
) -> None:
    rates = [0.1] * round(100 * (1 - share)) + [0.001] * round(100 * share)
    plots.learning_rates(range(100), rates, tmp_path / "a.png", steps_per_epoch=10, factors={}, title="")
    assert figures[0].axes[0].get_yscale() == scale
    assert figures[0].axes[0].get_legend() is None


def test_a_single_step_is_drawn(tmp_path: Path) -> None:
    path = plots.learning_rates([0], [0.1], tmp_path / "a.png", steps_per_epoch=1, factors={}, title="")
    assert pixels(path).std() > 0


@pytest.mark.parametrize("k", [2, 20, 21, 61, 1000])
def test_confusion_matrix_of_any_size(tmp_path: Path, figures: list[Any], k: int) -> None:
    counts = np.eye(k, dtype=np.int64) * 12_345
    counts[0] = 0
    names = [f"a very long class name, in which only the end differs: {i}" for i in range(k)]
    plots.confusion_matrix(counts, names, tmp_path / "a.png", title="all right")
    axes = figures[0].axes[0]
    assert [text.get_text() for text in axes.texts] == (["12.3k"] * (k - 1) if k <= 20 else [])
    ticks = [label.get_text() for label in axes.get_yticklabels()]
    if k <= 60:
        assert len(set(ticks)) == k
        assert max(map(len, ticks)) == 22
    else:
        assert len(ticks) < 20


def test_no_label_is_cut_off_or_overlaps_the_next(tmp_path: Path, figures: list[Any]) -> None:
    names = [f"quite a long class name {i}" for i in range(20)]
    plots.confusion_matrix(np.eye(20, dtype=int), names, tmp_path / "a.png", title="x " * 80)
    figure = figures[0]
    renderer = figure.canvas.get_renderer()
    frame = figure.bbox
    boxes = [
        [label.get_window_extent(renderer) for label in labels]
        for labels in (figure.axes[0].get_xticklabels(), figure.axes[0].get_yticklabels())
    ]
    for axis in boxes:
        for one, other in pairwise(axis):
            assert not one.overlaps(other)
    for box in [*boxes[0], *boxes[1], figure._suptitle.get_window_extent(renderer)]:
        assert frame.x0 <= box.x0 <= box.x1 <= frame.x1
        assert frame.y0 <= box.y0 <= box.y1 <= frame.y1


@pytest.mark.parametrize(("count", "channels"), [(1, 1), (7, 3), (7, 4), (30, 1)])
def test_image_grid_marks_wrong_predictions(
    tmp_path: Path, figures: list[Any], channels: int, count: int
) -> None:
    images = np.random.default_rng(0).integers(0, 255, (count, 8, 8, channels), np.uint8)
    predictions, true = ["cat"] * count, ["cat"] * (count - 1) + ["dog"]
    true[0] = "dog"
    plots.image_grid(images, true, predictions, [0.5] * count, tmp_path / "a.png", title="one wrong")
    titles = [axes.get_title() for axes in figures[0].axes if axes.get_title()]
    assert len(titles) == min(count, 25)
    assert titles[0] == "✗ cat (50.0%)\ntrue: dog"
    assert titles[1:6] == ["✓ cat (50.0%)"] * len(titles[1:6])
    assert holds_color(tmp_path / "a.png", VERMILLION)
    empty = [axes for axes in figures[0].axes if not axes.get_title()]
    assert not any(axes.axison for axes in empty)


def test_image_grid_without_labels_marks_nothing(tmp_path: Path, figures: list[Any]) -> None:
    images = np.zeros((2, 8, 8, 1), np.uint8)
    plots.image_grid(images, None, ["a", "b"], [0.5, 0.999], tmp_path / "a.png", title="new")
    plots.image_grid(images, [None, "b"], ["a", "b"], [0.5, 0.999], tmp_path / "b.png", title="new")
    assert [axes.get_title() for axes in figures[0].axes] == ["a (50.0%)", "b (99.9%)"]
    assert [axes.get_title() for axes in figures[1].axes] == ["a (50.0%)", "✓ b (99.9%)"]
    assert not holds_color(tmp_path / "a.png", VERMILLION)


def test_tiny_images_stay_crisp(tmp_path: Path) -> None:
    board = np.indices((8, 8)).sum(axis=0)[None, :, :, None] % 2 * 255
    path = plots.image_grid(board.astype(np.uint8), None, ["a"], [1.0], tmp_path / "a.png", title="")
    middle = pixels(path)[len(pixels(path)) // 2 :]
    grey = ((middle > 20) & (middle < 235)).all(axis=2).mean()
    assert grey < 0.01


@pytest.mark.parametrize(("n", "targets"), [(1, 1), (2, 4), (200, 12), (5000, 1)])
def test_regression_pictures(tmp_path: Path, figures: list[Any], n: int, targets: int) -> None:
    rng = np.random.default_rng(0)
    true = rng.normal(size=(n, targets)).astype(np.float32)
    names = [f"target {i}" for i in range(targets)]
    plots.predicted_against_true(true, true + 0.1, names, tmp_path / "a.png", title="off by 0.1")
    plots.residuals(true, true + 0.1, names, tmp_path / "b.png", title="off by 0.1")
    against, rest = figures
    titles = [axes.get_title(loc="left") for axes in against.axes if axes.get_title(loc="left")]
    assert len(titles) == min(targets, 9)
    if n == 1:
        assert titles[0] == "target 0: no R², constant"
    else:
        r2 = 1 - 0.01 / np.var(true[:, 0].astype(np.float64))
        assert titles[0] == f"target 0: R² = {r2:.3f}"
    assert rest.axes[0].get_title(loc="left").startswith("target 0: mean -0.1, standard deviation")
    notes = against.get_supxlabel()
    assert ("target 11" in notes) == (targets == 12)
    assert ("5,000 examples" in notes) == (n == 5000)


def test_fitted_line_draws_the_model_and_the_extra_lines(tmp_path: Path, figures: list[Any]) -> None:
    x = np.linspace(0, 1, 50)
    path = plots.fitted_line(
        x, 3 * x + 2, x, 3 * x + 2.1, tmp_path / "a.png", title="fit", extra=[("least squares", x, 3 * x + 2)]
    )
    assert holds_color(path, VERMILLION)
    handles = figures[0].axes[0].get_legend_handles_labels()[1]
    assert handles == ["examples", "model", "least squares"]


def test_names_are_text_not_mathematics(tmp_path: Path, figures: list[Any]) -> None:
    names = ["$\\broken{", "a_b$", "猫", "two\nlines"]
    plots.confusion_matrix(np.eye(4, dtype=int), names, tmp_path / "a.png", title="cost: $5 to $6_x")
    plots.predicted_against_true(
        np.arange(8.0).reshape(2, 4), np.zeros((2, 4)), names, tmp_path / "b.png", title="$x$"
    )
    assert figures[0].axes[0].get_yticklabels()[3].get_text() == "two lines"


def test_a_picture_is_whole_or_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from matplotlib.figure import Figure

    path = tmp_path / "a.png"
    plots.learning_curves(history(2), path, best_epoch=1, monitor="val_loss", title="")
    before = path.read_bytes()

    def fail(figure: Any, target: Path, **kwargs: Any) -> None:
        Path(target).write_bytes(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(Figure, "savefig", fail)
    with pytest.raises(OSError, match="No space"):
        plots.learning_curves(history(3), path, best_epoch=1, monitor="val_loss", title="")
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_the_users_own_style_is_neither_used_nor_changed(tmp_path: Path) -> None:
    import matplotlib

    first = plots.learning_curves(history(3), tmp_path / "a.png", best_epoch=1, monitor="val_loss", title="x")
    with matplotlib.rc_context({"figure.facecolor": "black", "font.size": 30}):
        second = plots.learning_curves(
            history(3), tmp_path / "b.png", best_epoch=1, monitor="val_loss", title="x"
        )
        assert matplotlib.rcParams["font.size"] == 30
    assert first.read_bytes() == second.read_bytes()


def test_samples_stand_in_rows_with_their_names(tmp_path: Path, figures: list[Any]) -> None:
    images = np.zeros((2, 3, 4, 4, 3), np.uint8)
    images[1, 2] = (0xD5, 0x5E, 0x00)
    captions = [["a", "b", "c"], ["70% a\n30% b", "", "$5"]]
    path = plots.sample_grid(
        images, captions, tmp_path / "a.png", title="finding", row_names=("original", "augmented")
    )
    assert holds_color(path, VERMILLION)
    axes = figures[0].axes
    assert [item.get_title(loc="center") for item in axes] == ["a", "b", "c", "70% a\n30% b", "", r"\$5"]
    assert [item.get_ylabel() for item in axes] == ["original", "", "", "augmented", "", ""]


@pytest.mark.parametrize("channels", [1, 2, 4, 7])
def test_samples_of_any_number_of_channels(tmp_path: Path, channels: int) -> None:
    images = np.full((1, 2, 300, 100, channels), 128, np.uint8)
    assert pixels(plots.sample_grid(images, [["a", "b"]], tmp_path / "a.png", title="")).std() > 0


def test_classes_as_bars_of_shares(tmp_path: Path, figures: list[Any]) -> None:
    plots.class_balance({"train": [3, 1], "test": [0, 0]}, ["a", "b"], tmp_path / "a.png", title="")
    (axes,) = figures[0].axes
    assert [[bar.get_width() for bar in group] for group in axes.containers] == [[75, 25], [0, 0]]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b"]
    assert [text.get_text() for text in figures[0].legends[0].get_texts()] == ["train (4)", "test (0)"]


def test_many_classes_as_lines_by_frequency_in_train(tmp_path: Path, figures: list[Any]) -> None:
    names = [str(index) for index in range(50)]
    counts = {"train": list(range(50)), "test": list(range(50, 0, -1))}
    plots.class_balance(counts, names, tmp_path / "a.png", title="")
    test, train = figures[0].axes[0].get_lines()
    assert train.get_ydata()[0] == max(train.get_ydata()) == pytest.approx(100 * 49 / 1225)
    assert test.get_ydata()[0] == min(test.get_ydata())


def test_columns_by_kind(tmp_path: Path, figures: list[Any]) -> None:
    dates = np.datetime64("2020-01-01", "s") + np.arange(0, 9 * 10**7, 10**6).astype("timedelta64[s]")
    panels = [
        plots.ColumnPanel("few whole numbers", "", np.array([1.0, 2, 2, 8])),
        plots.ColumnPanel("many whole numbers", "", np.arange(100.0).repeat(3)),
        plots.ColumnPanel("numbers", "", np.append(np.random.default_rng(0).normal(size=500), np.nan)),
        plots.ColumnPanel("dates", "", dates),
        plots.ColumnPanel("categories", "a note", bars=[("a", 3), ("b", 1)]),
        plots.ColumnPanel("constant", "", np.full(5, 1e9)),
        plots.ColumnPanel("nothing", "", np.array([np.nan])),
        plots.ColumnPanel("no category", ""),
    ]
    plots.column_grid(panels, tmp_path / "a.png", title="", left_out=["another"])
    axes = {item.get_title(loc="left"): item for item in figures[0].axes}
    assert [bar.get_height() for bar in axes["few whole numbers"].patches] == [1, 2, 1]
    # Bins of whole numbers hold as many of them each: no comb.
    assert len({bar.get_height() for bar in axes["many whole numbers"].patches[:-1]}) == 1
    assert sum(bar.get_height() for bar in axes["numbers"].patches) == 500
    assert sum(bar.get_height() for bar in axes["dates"].patches) == len(dates)
    assert [bar.get_width() for bar in axes["categories"].patches] == [3, 1]
    assert [text.get_text() for text in axes["nothing"].texts] == ["", "no values"]
    assert "not shown: another" in figures[0].get_supxlabel()


@pytest.mark.parametrize("count", [1, 2, 5, 24])
def test_any_number_of_columns(tmp_path: Path, count: int) -> None:
    panels = [plots.ColumnPanel("a" * 200, "b" * 200, np.arange(3.0))] * count
    assert pixels(plots.column_grid(panels, tmp_path / "a.png", title="")).std() > 0


def test_targets_of_the_splits_on_the_same_bins(tmp_path: Path, figures: list[Any]) -> None:
    train, test = np.linspace(0, 10, 400)[:, None], np.array([[-5.0], [np.nan]])
    names = ["y"]
    plots.target_distributions({"train": train, "test": test}, names, tmp_path / "a.png", title="")
    (axes,) = figures[0].axes
    *bars, line = axes.patches
    assert bars[0].get_x() == -5
    assert sum(bar.get_height() for bar in bars) == pytest.approx(100)
    assert max(line.get_xy()[:, 1]) == 100


def test_only_some_targets_are_drawn(tmp_path: Path, figures: list[Any]) -> None:
    names = [f"y{index}" for index in range(12)]
    targets = {"train": np.random.default_rng(0).normal(size=(20, 12))}
    plots.target_distributions(targets, names, tmp_path / "a.png", title="")
    assert len([axes for axes in figures[0].axes if axes.axison]) == 9
    assert "not shown: y9, y10, y11" in figures[0].get_supxlabel()
