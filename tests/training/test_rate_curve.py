from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bigmodel_cli.config.schema import Config
from bigmodel_cli.errors import UsageError

TEXT = "name: c\ndataset: digits\nmodel: mlp\ntraining: {epochs: 10, batch_size: 32}\n"


def test_short_trainings_are_known_step_by_step(config: Callable[..., Config]) -> None:
    from bigmodel_cli.training.rate_curve import rate_curve

    curve = rate_curve(
        config(
            TEXT,
            "optimizer.learning_rate={name: linear, peak: 0.8, start: 0.2, warmup_steps: 3}",
            "optimizer.layers=[{match: [a, b], learning_rate_factor: 0.1}, {match: c, frozen: true}]",
        ),
        2,
    )
    assert curve.steps == tuple(range(20))
    assert curve.rates[:4] == pytest.approx((0.2, 0.4, 0.6, 0.8))
    assert curve.to_json() == {
        "schedule": "linear", "epochs": 10, "steps_per_epoch": 2,
        "start": {"step": 1, "learning_rate": pytest.approx(0.2)},
        "peak": {"step": 4, "learning_rate": pytest.approx(0.8)},
        "end": {"step": 20, "learning_rate": pytest.approx(0.8 / 17)},
        "layers": [{"match": "a, b", "factor": 0.1}],
    }  # fmt: skip


def test_the_peak_of_a_long_training_is_found_between_the_points(config: Callable[..., Config]) -> None:
    from bigmodel_cli.training.rate_curve import rate_curve

    rate = "optimizer.learning_rate={name: cosine, peak: 0.8, warmup_steps: 123457}"
    curve = rate_curve(config(TEXT, rate), 100_000)
    assert len(curve.steps) < 1200
    assert (curve.steps[0], curve.steps[-1]) == (0, 999_999)
    assert (curve.steps[curve.peak], curve.rates[curve.peak]) == (123_457, pytest.approx(0.8))


def test_falls_between_epochs_are_exact(config: Callable[..., Config]) -> None:
    from bigmodel_cli.training.rate_curve import rate_curve

    rate = "optimizer.learning_rate={name: step, peak: 0.5, at_epochs: [7]}"
    curve = rate_curve(config(TEXT, rate), 77_777)
    last = max(step for step, value in zip(curve.steps, curve.rates, strict=True) if value > 0.4)
    assert last == 7 * 77_777 - 1


def test_a_number_is_constant(config: Callable[..., Config]) -> None:
    from bigmodel_cli.training.rate_curve import rate_curve

    curve = rate_curve(config(TEXT, "optimizer.learning_rate=0.5"), 4)
    assert (curve.schedule, set(curve.rates)) == ("constant", {0.5})


def test_what_training_finds_out_is_not_drawn(config: Callable[..., Config]) -> None:
    from bigmodel_cli.training.rate_curve import rate_curve, steps_per_epoch_of

    with pytest.raises(UsageError, match=r"optimizer\.learning_rate: `auto` is found .* plot the run then"):
        rate_curve(config(TEXT, "optimizer.learning_rate=auto"), 4)
    with pytest.raises(UsageError, match=r"training\.batch_size: `auto` .* give --steps-per-epoch"):
        steps_per_epoch_of(config(TEXT, "training.batch_size=auto"))


@pytest.mark.parametrize("resample", ["null", "oversample", "undersample"])
def test_steps_of_an_epoch_are_those_of_training(resample: str, config: Callable[..., Config]) -> None:
    """From the data, and from what a run recorded of it."""
    from bigmodel_cli import assembly
    from bigmodel_cli.training.rate_curve import steps_per_epoch_of

    complete = config(TEXT, f"dataset.resample={resample}", "dataset.limit=333", "training.batch_size=7")
    data: Any = assembly.load_data(complete)
    counts = assembly.resampling(complete, data.splits["train"], data.spec)
    examples = 333 if counts is None else counts.sum()
    assert steps_per_epoch_of(complete) == steps_per_epoch_of(complete, data.spec) == -(-examples // 7)
