import numpy as np
import pytest
import tensorflow as tf

from bigmodel_cli.data.reading import collect


def numbered(size):
    return tf.data.Dataset.range(size).batch(3)


def test_batches_become_one_array_for_each_tensor():
    batches = numbered(7).map(lambda n: (tf.stack([n, n * 10], axis=1), tf.cast(n, tf.int32)))
    images, labels = collect(batches, 7)
    assert images.tolist() == [[n, n * 10] for n in range(7)]
    assert labels.tolist() == list(range(7))
    assert (images.dtype, labels.dtype) == (np.int64, np.int32)


def test_the_structure_stays():
    batches = numbered(4).map(lambda n: ({"b": tf.strings.as_string(n), "a": n}, n * 2))
    columns, doubled = collect(batches, 4)
    assert columns["a"].tolist() == [0, 1, 2, 3]
    assert columns["b"].tolist() == [b"0", b"1", b"2", b"3"]
    assert columns["b"].dtype == object
    assert doubled.tolist() == [0, 2, 4, 6]


def test_an_empty_stream():
    assert collect(numbered(3).take(0), 0).shape == (0,)


@pytest.mark.parametrize(
    ("size", "message"),
    [
        (8, "ends after 7 of 8 examples"),
        (5, "more than the 5 examples expected"),
        (0, "more than the 0"),
    ],
)
def test_another_number_of_examples_than_expected(size, message):
    with pytest.raises(ValueError, match=message):
        collect(numbered(7), size)
