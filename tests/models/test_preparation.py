import datetime as dt

import keras
import numpy as np
import pytest
import tensorflow as tf

from bigmodel_cli.columns import CATEGORIES, MISSING_DATE, NUMBERS, Column
from bigmodel_cli.models.preparation import preparation

NAN = float("nan")


def prepared(column, cells):
    dtype = object if column.kind in ("categorical", "text") else None
    inputs = {
        column.key: tf.constant(np.array(cells, dtype or ("int64" if column.kind == "date" else "float32")))
    }
    return {name: value.numpy() for name, value in preparation([column])(inputs).items()}


def test_numbers_are_filled_clipped_and_scaled():
    column = Column("x", "numeric", fill=2, indicator=True, low=0, high=5, shift=1, factor=2)
    found = prepared(column, [1, NAN, -9, 9])[NUMBERS]
    assert found.tolist() == [[0, 0], [2, 1], [-2, 0], [8, 0]]


def test_logarithm_keeps_the_sign():
    found = prepared(Column("x", "numeric", log=True), [0, 9, -9])[NUMBERS][:, 0]
    np.testing.assert_allclose(found, [0, np.log(10), -np.log(10)], rtol=1e-6)


def test_categories():
    words = [b"", b"zz", b"a", b"b"]
    found = prepared(Column("x", "categorical", vocabulary=("b", "a")), words)[CATEGORIES]
    assert found.ravel().tolist() == [0, 1, 3, 2]
    filled = Column("x", "categorical", vocabulary=("b", "a"), fill_category="a")
    assert prepared(filled, words)[CATEGORIES].ravel().tolist() == [3, 1, 3, 2]


def test_hashing_keeps_the_first_bucket_for_missing_cells():
    column = Column("x", "categorical", encoding="hash", buckets=6)
    found = prepared(column, [b"", *(f"k{i}".encode() for i in range(50))])[CATEGORIES].ravel()
    assert found[0] == 0
    assert set(found[1:]) == {1, 2, 3, 4, 5}
    filled = Column("x", "categorical", encoding="hash", buckets=6, fill_category="k3")
    ids = prepared(filled, [b"", b"k3"])[CATEGORIES].ravel()
    assert ids[0] == ids[1]


@pytest.mark.parametrize(
    "day", ["1600-02-29", "1899-12-31", "1970-01-01", "2000-03-01", "2024-02-29", "2100-12-31"]
)
def test_dates_become_parts_of_the_calendar(day):
    moment = dt.datetime.fromisoformat(day).replace(hour=18, tzinfo=dt.UTC)
    column = Column("x", "date", parts=("year", "month", "day", "weekday", "hour"), indicator=True)
    (found,) = prepared(column, [round(moment.timestamp())])[NUMBERS]
    cycles = [(moment.month - 1) / 12, (moment.day - 1) / 31, moment.weekday() / 7, 18 / 24]
    expected = [f(2 * np.pi * part) for part in cycles for f in (np.sin, np.cos)]
    np.testing.assert_allclose(found, [moment.year - 1970, *expected, 0], atol=1e-5)


def test_elapsed_years_and_missing_dates():
    column = Column("x", "date", parts=("elapsed", "month"), indicator=True, shift=50, factor=2)
    found = prepared(column, [round(50.5 * 31_556_952), MISSING_DATE])[NUMBERS]
    assert found[0, 0] == pytest.approx(1)
    assert found[1].tolist() == [0, 0, 0, 1]


def test_tokens():
    column = Column("x", "text", vocabulary=("cat", "dog"), length=3, normalize="lower_and_strip_punctuation")
    found = prepared(column, [b"Dog, cat!", b"", b"a cat or a dog"])["tokens_0"]
    assert found.tolist() == [[3, 2, 0], [0, 0, 0], [1, 2, 1]]
    letters = Column("x", "text", vocabulary=("a", "b"), length=4, split="character")
    assert prepared(letters, [b"bAa"])["tokens_0"].tolist() == [[3, 1, 2, 0]]


def test_columns_share_tensors_in_their_order_and_a_plain_keras_loads_them(tmp_path):
    columns = [
        Column("price (€/m²)", "numeric", shift=1),
        Column("when", "date", parts=("elapsed",)),
        Column("größe", "categorical", vocabulary=("L",)),
        Column("sold", "boolean"),
        Column("ort", "categorical", vocabulary=("M",)),
        Column("note", "text", vocabulary=("a",), length=2),
    ]
    model = preparation(columns)
    cells = {
        columns[0].key: tf.constant([3.0]), "when": tf.constant([0], tf.int64), "größe": tf.constant(["L"]),
        "sold": tf.constant([1.0]), "ort": tf.constant(["?"]), "note": tf.constant(["a b"]),
    }  # fmt: skip
    found = model(cells)
    assert found[NUMBERS].numpy().tolist() == [[2, 0, 1]]
    assert found[CATEGORIES].numpy().tolist() == [[2, 1]]
    assert model.count_params() == 0
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")(cells)
    assert all((loaded[name].numpy() == value.numpy()).all() for name, value in found.items())
