from __future__ import annotations

import pytest


def test_then_counts_from_its_own_start_and_is_serializable() -> None:
    import keras

    from bigmodel_cli.training.schedule_parts import Then, flat, straight

    schedule = Then(straight(0.0, 1.0, 4), 4, straight(1.0, 0.5, 2))
    steps = (0, 1, 3, 4, 5, 6, 100)
    expected = [0.0, 0.25, 0.75, 1.0, 0.75, 0.5, 0.5]
    assert [float(schedule(step)) for step in steps] == expected
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(schedule))
    assert isinstance(again, Then)
    assert [float(again(step)) for step in steps] == expected
    assert float(flat(0.3)(10**6)) == pytest.approx(0.3)


def test_then_takes_all_steps_at_once() -> None:
    import keras
    import numpy as np

    from bigmodel_cli.training.schedule_parts import Then, flat, straight

    found = Then(straight(0.0, 1.0, 2), 2, flat(0.5))(np.arange(4))
    assert keras.ops.convert_to_numpy(found).tolist() == [0.0, 0.5, 0.5, 0.5]
