import numpy as np
import pytest

from bigmodel_cli.contracts import DataSpec, InputSpec, Piece, TargetSpec
from bigmodel_cli.data.arrays import ArraySource

SPEC = DataSpec(
    "set", "test", "regression", InputSpec((2,), "float32", "tabular"), TargetSpec((1,), "float32", ("y",))
)


def source():
    inputs = np.arange(20, dtype=np.float32).reshape(10, 2)
    return ArraySource(SPEC, {"train": (inputs, inputs[:, :1] * 10)})


def test_a_piece_is_a_range_in_storage_order():
    inputs, targets = source().arrays(Piece("train", 3, 5))
    assert inputs.tolist() == [[6, 7], [8, 9]]
    assert targets.tolist() == [[60], [80]]
    assert source().targets(Piece("train", 3, 5)).tolist() == [[60], [80]]


def test_the_stream_holds_the_same_as_the_arrays():
    stream = source().examples(Piece("train", 3, 5))
    assert stream.cardinality().numpy() == 2
    assert [(x.tolist(), y.tolist()) for x, y in stream.as_numpy_iterator()] == [
        ([6, 7], [60]),
        ([8, 9], [80]),
    ]


def test_sizes():
    assert source().sizes == {"train": 10}
    assert source().example_bytes == 12


def test_arrays_that_contradict_the_spec_are_refused():
    with pytest.raises(ValueError, match=r"int32 \(4, 2\), the spec says float32"):
        ArraySource(SPEC, {"all": (np.zeros((4, 2), np.int32), np.zeros((4, 1), np.float32))})
