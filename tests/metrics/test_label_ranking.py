import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from bigmodel_cli.metrics.label_ranking import Ranking


@pytest.fixture
def ranked():
    """Relevant items and scores of three columns, with many ties in the second."""
    random = np.random.default_rng(0)
    relevant = (random.random((200, 3)) < [0.5, 0.2, 0.05]).astype(float)
    scores = relevant + random.normal(size=(200, 3))
    scores[:, 1] = scores[:, 1].round()
    return relevant, scores.astype(np.float32)


def test_areas_are_those_of_scikit_learn(ranked):
    relevant, scores = ranked
    area, precision = Ranking(relevant, scores).areas()
    for column in range(3):
        given = relevant[:, column], scores[:, column]
        assert area[column] == pytest.approx(roc_auc_score(*given), abs=1e-9)
        assert precision[column] == pytest.approx(average_precision_score(*given), abs=1e-9)


def test_weights_count_as_copies(ranked):
    relevant, scores = ranked
    times = np.random.default_rng(1).integers(0, 3, 200)
    found = Ranking(relevant, scores).areas(times.astype(float))
    copied = Ranking(np.repeat(relevant, times, axis=0), np.repeat(scores, times, axis=0)).areas()
    np.testing.assert_allclose(found, copied, rtol=1e-12)


def test_nothing_to_rank():
    area, precision = Ranking(
        np.array([[0, 1, 1], [0, 1, 0]]), np.array([[0.1, 0.2, 0.9], [0.3, 0.4, 0.1]])
    ).areas()
    np.testing.assert_array_equal(area, [np.nan, np.nan, 1])
    np.testing.assert_array_equal(precision, [np.nan, 1, 1])


def test_equal_scores_are_chance():
    relevant = np.array([[1], [0], [0], [1], [0]])
    area, precision = Ranking(relevant, np.full((5, 1), 0.3)).areas()
    assert area[0] == 0.5
    assert precision[0] == pytest.approx(0.4)
