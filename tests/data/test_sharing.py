from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bigmodel_cli.data.sharing import Share


@pytest.mark.parametrize(("rows", "batch_size", "devices", "expected"), [
    (8, 8, 4, 8),
    (4, 8, 4, 4),
    (5, 16, 4, 8),
    # Not the size of a whole batch, by which the step could not tell it from one.
    (7, 8, 4, 12),
    (1, 2, 2, 4),
])  # fmt: skip
def test_rows_that_travel(rows: int, batch_size: int, devices: int, expected: int) -> None:
    assert Share(devices=devices).sent(rows, batch_size) == expected


@pytest.mark.parametrize(("processes", "devices"), [(1, 2), (2, 2), (2, 4), (4, 4), (3, 6)])
@pytest.mark.parametrize("size", [24, 25, 31, 35])
def test_the_rows_of_all_processes_are_the_batch(processes: int, devices: int, size: int) -> None:
    batch_size = 12
    shares = [Share(rank, processes, devices) for rank in range(processes)]
    rest = size % batch_size
    for rows in {batch_size, rest} - {0}:
        batch = {"a": np.arange(rows), "b": np.arange(rows)[:, None] * np.ones((1, 3))}
        parts: list[Any] = []
        for share in shares:
            cut = share.cut(size, batch_size)
            parts.append(batch if cut is None else cut(batch))
        lengths = {len(part["a"]) for part in parts}
        assert len(lengths) == 1
        together = np.concatenate([np.asarray(part["a"]) for part in parts])
        sent = shares[0].sent(rows, batch_size)
        assert len(together) == sent
        assert together[:rows].tolist() == list(range(rows))
        # What is cut off again is a copy of the last row.
        assert set(together[rows:].tolist()) <= {rows - 1}
        np.testing.assert_array_equal(np.concatenate([np.asarray(p["b"]) for p in parts])[:, 0], together)
    uneven = shares[0].uneven(size, batch_size)
    assert uneven == ((shares[0].sent(rest, batch_size), rest) if rest % devices else None)


def test_one_process_whose_batches_divide_is_left_alone() -> None:
    assert Share(devices=4).cut(24, 8) is None
    assert Share(devices=4).cut(27, 8) is not None


@pytest.mark.parametrize("augmented", [False, True])
def test_the_pipeline_gives_every_process_its_rows(augmented: bool) -> None:
    """Whether the rows are cut out when they are read, or after augmentation."""
    import tensorflow as tf

    from bigmodel_cli.data import sklearn_sets
    from bigmodel_cli.data.division import split
    from bigmodel_cli.data.pipeline import Keeping, Scheduled, TrainingPipeline, evaluation_batches

    source = sklearn_sets.digits(0)
    splits = split(
        source, splits={}, validation_fraction=0.1, test_fraction=0.1, limit=53, seed=0, split_by=None,
        stratify=True,
    )  # fmt: skip
    train = splits["train"]

    def brighter(images: Any, key: Any) -> Any:
        return tf.cast(images, tf.float32) + tf.random.stateless_uniform([tf.shape(images)[0], 1, 1, 1], key)

    def epoch(share: Share | None) -> list[Any]:
        pipeline = TrainingPipeline(
            train, batch_size=8, seed=3, keeping=Keeping("memory"), share=share,
            augmentations=[Scheduled(brighter)] if augmented else [],
        )  # fmt: skip
        batches = list(pipeline.batches(1))
        batches += list(evaluation_batches(train, batch_size=8, keeping=Keeping("memory"), share=share))
        return [np.asarray(images) for images, _ in batches]

    whole = epoch(None)
    assert len(whole[-1]) % 2, "the last batch must not divide"
    parts = [epoch(Share(rank, 2, 2)) for rank in (0, 1)]
    for batch, *shares in zip(whole, *parts, strict=True):
        np.testing.assert_array_equal(np.concatenate(shares)[: len(batch)], batch)
