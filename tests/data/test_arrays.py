import numpy as np
import pytest

from bigmodel_cli.contracts import DataSpec, InputSpec, Part, TargetSpec
from bigmodel_cli.data import arrays
from bigmodel_cli.data.arrays import ArraySource
from bigmodel_cli.errors import DataError

SPEC = DataSpec(
    "set",
    "test",
    "regression",
    InputSpec((2,), "float32", "tabular", ("a", "b")),
    TargetSpec((1,), "float32", ("y",)),
)
PART = Part("train", np.array([3, 4, 9]))


def source(first=0.0):
    inputs = np.arange(20, dtype=np.float32).reshape(10, 2)
    inputs[0, 0] = first
    return ArraySource(SPEC, {"train": (inputs, inputs[:, :1] * 10)}, ["noted"])


def test_a_part_is_its_indices_in_storage_order():
    inputs, targets = source().arrays(PART)
    assert inputs.tolist() == [[6, 7], [8, 9], [18, 19]]
    assert targets.tolist() == [[60], [80], [180]]
    assert source().targets(PART).tolist() == [[60], [80], [180]]
    assert len(source().arrays(Part.range("train", 0, 10))[0]) == 10


def test_the_stream_holds_the_same_as_the_arrays(monkeypatch):
    monkeypatch.setattr(arrays, "BATCH_EXAMPLES", 2)
    stream = source().batches(PART)
    assert stream.cardinality().numpy() == 2
    assert [(x.tolist(), y.tolist()) for x, y in stream.as_numpy_iterator()] == [
        ([[6, 7], [8, 9]], [[60], [80]]),
        ([[18, 19]], [[180]]),
    ]


def test_batches_of_large_examples_are_small(monkeypatch):
    monkeypatch.setattr(arrays, "BATCH_BYTES", 12)
    assert source().batches(PART).cardinality().numpy() == 3


def test_access_by_position_in_any_order():
    inputs, targets = source().lookup("train")(np.array([9, 3, 3]))
    assert inputs.numpy().tolist() == [[18, 19], [6, 7], [6, 7]]
    assert targets.numpy().tolist() == [[180], [60], [60]]


def test_sizes():
    assert source().sizes == {"train": 10}
    assert source().example_bytes == 12
    assert source().notes == ("noted",)


def test_the_fingerprint_is_that_of_the_content():
    assert source().fingerprint() == source().fingerprint()
    assert source().fingerprint() != source(first=0.5).fingerprint()


def test_the_fingerprint_of_arrays_that_do_not_lie_in_one_piece():
    inputs = np.zeros((3, 4), np.float32)[:, ::2]
    assert ArraySource(SPEC, {"all": (inputs, inputs[:, :1])}).fingerprint()


def test_values_to_split_by():
    assert source().values("train", "b").tolist() == list(range(1, 20, 2))
    with pytest.raises(DataError, match=r"dataset.split_by: set has no column `c` to divide by; it has a, b"):
        source().values("train", "c")


def test_arrays_that_contradict_the_spec_are_refused():
    with pytest.raises(ValueError, match=r"int32 \(4, 2\), the spec says float32"):
        ArraySource(SPEC, {"all": (np.zeros((4, 2), np.int32), np.zeros((4, 1), np.float32))})
