import keras
import numpy as np

from bigmodel_cli.columns import CATEGORIES, NUMBERS, Column
from bigmodel_cli.contracts import DataSpec, InputSpec, TargetSpec
from bigmodel_cli.models.mlp import mlp
from bigmodel_cli.models.table import numbers_of, table_features

TARGET = TargetSpec((), "int32", ("a", "b"))


def spec(*columns):
    names = tuple(column.name for column in columns)
    return DataSpec(
        "t", "test", "classification", InputSpec((len(columns),), "", "table", names, columns=columns), TARGET
    )


def features_of(*columns):
    inputs, features = table_features(spec(*columns))
    return keras.Model(inputs, features)


def test_one_hot_leaves_out_what_training_never_saw():
    ids = np.array([[0], [1], [2], [3]], np.int32)
    column = Column("c", "categorical", vocabulary=("x", "y"))
    assert features_of(column)({CATEGORIES: ids}).numpy().tolist() == [[0, 0], [0, 0], [1, 0], [0, 1]]
    with_missing = Column("c", "categorical", vocabulary=("x", "y"), missing=3)
    found = features_of(with_missing)({CATEGORIES: ids}).numpy()
    assert found.tolist() == [[1, 0, 0], [0, 0, 0], [0, 1, 0], [0, 0, 1]]


def test_embeddings_of_the_unseen_are_zero():
    column = Column("c", "categorical", vocabulary=("x", "y"), encoding="embedding", dimension=3)
    found = features_of(column)({CATEGORIES: np.array([[0], [1], [2], [3]], np.int32)}).numpy()
    assert not found[:2].any()
    assert found[2:].any(axis=1).all()
    with_missing = Column("c", "categorical", vocabulary=("x",), encoding="embedding", dimension=3, missing=1)
    found = features_of(with_missing)({CATEGORIES: np.array([[0], [1], [2]], np.int32)}).numpy()
    assert found.any(axis=1).tolist() == [True, False, True]


def test_texts_are_the_mean_of_their_known_tokens():
    model = features_of(Column("t", "text", vocabulary=("x", "y"), length=4, dimension=5))
    (weights,) = model.get_weights()
    tokens = np.array([[2, 3, 1, 0], [1, 0, 0, 0], [3, 0, 0, 0]], np.int32)
    found = model({"tokens_0": tokens}).numpy()
    np.testing.assert_allclose(found[0], (weights[2] + weights[3]) / 2, rtol=1e-6)
    assert not found[1].any()
    np.testing.assert_allclose(found[2], weights[3], rtol=1e-6)


def test_numbers_stand_first():
    data = spec(
        Column("c", "categorical", vocabulary=("x",)), Column("n", "numeric", indicator=True),
        Column("d", "date", parts=("elapsed", "month"), indicator=True),
    )  # fmt: skip
    assert numbers_of(data) == 6
    inputs, features = table_features(data)
    assert inputs[NUMBERS].shape == (None, 6)
    assert features.shape == (None, 7)
    model = mlp(data, hidden=[3])
    assert model.output.shape == (None, 2)
    assert model.count_params() == 7 * 3 + 3 + 3 * 2 + 2
