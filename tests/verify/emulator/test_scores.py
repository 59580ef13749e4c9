"""Scores, compared with scikit-learn and computations by hand, and their properties."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sciml.errors import InputError
from sciml.verify.emulator import moments as sums
from sciml.verify.emulator import scores as sc

sklearn = pytest.importorskip("sklearn.metrics")


@pytest.fixture
def columns():
    rng = np.random.default_rng(20)
    kind = rng.integers(0, 3, 300)
    predicted = np.where(rng.random(300) < 0.8, kind, rng.integers(0, 3, 300))
    truth = rng.normal(3e-5, 1e-4, (300, 12)) * (kind > 0)[:, None]
    return kind, predicted, truth, truth + rng.normal(1e-5, 3e-5, truth.shape)


def test_scores_are_those_of_scikit_learn(columns):
    kind, predicted, truth, prediction = columns
    result = sc.score({"RTHCUTEN": truth}, {"RTHCUTEN": prediction}, kind, predicted)["outputs"]["RTHCUTEN"]
    for subset, scores in ((kind > 0, result), (kind == 2, result["deep"]), (kind == 1, result["shallow"])):
        t, p = truth[subset].ravel(), prediction[subset].ravel()
        assert scores["r2"] == pytest.approx(sklearn.r2_score(t, p), rel=1e-10)
        assert scores["rmse"] == pytest.approx(sklearn.root_mean_squared_error(t, p), rel=1e-10)
        assert scores["bias"] == pytest.approx(np.mean(p - t), rel=1e-9)
        assert scores["nmae"] == pytest.approx(sklearn.mean_absolute_error(t, p) / np.mean(np.abs(t)))
        assert scores["n"] == t.size
    assert result["r2_all"] == pytest.approx(sklearn.r2_score(truth.ravel(), prediction.ravel()), rel=1e-10)


def test_weighted_scores_are_those_of_scikit_learn(columns):
    kind, predicted, truth, prediction = columns
    weight = np.random.default_rng(21).uniform(0.5, 40, kind.size)
    result = sc.score({"X": truth}, {"X": prediction}, kind, predicted, weight)
    here = kind > 0
    t, p, w = truth[here].ravel(), prediction[here].ravel(), np.repeat(weight[here], truth.shape[1])
    assert result["outputs"]["X"]["r2"] == pytest.approx(sklearn.r2_score(t, p, sample_weight=w), rel=1e-10)
    assert result["trigger"]["f1"] == pytest.approx(
        sklearn.f1_score(kind > 0, predicted > 0, sample_weight=weight)
    )


def test_trigger_scores_are_those_of_scikit_learn(columns):
    kind, predicted, _, _ = columns
    table = sc.confusion(kind, predicted)
    np.testing.assert_array_equal(table, sklearn.confusion_matrix(kind, predicted))
    result = sc.trigger_scores(table)
    assert result["confusion"] == table.astype(int).tolist()
    assert result["accuracy"] == pytest.approx(sklearn.accuracy_score(kind > 0, predicted > 0))
    assert result["accuracy_class"] == pytest.approx(sklearn.accuracy_score(kind, predicted))
    assert result["f1"] == pytest.approx(sklearn.f1_score(kind > 0, predicted > 0))
    assert result["precision"] == pytest.approx(sklearn.precision_score(kind > 0, predicted > 0))
    assert result["recall"] == pytest.approx(sklearn.recall_score(kind > 0, predicted > 0))
    none, shallow, deep = sklearn.f1_score(kind, predicted, average=None)
    assert (result["f1_shallow"], result["f1_deep"]) == pytest.approx((shallow, deep))
    assert none == pytest.approx(sc.f1(table, [sums.NONE]))


def test_by_level_and_mean_profiles(columns):
    kind, _, truth, prediction = columns
    moments = sums.MomentSums.empty(12).add(truth, prediction, kind)
    here = kind == 2
    raw = sklearn.r2_score(truth[here], prediction[here], multioutput="raw_values")
    assert [level.r2 for level in moments.by_level([sums.DEEP])] == pytest.approx(list(raw), rel=1e-9)
    profiles = moments.mean_profiles([sums.DEEP])
    np.testing.assert_allclose(profiles["truth"], truth[here].mean(0), rtol=1e-12)
    np.testing.assert_allclose(profiles["prediction_std"], prediction[here].std(0), rtol=1e-9)


def test_class_mean_is_the_score_of_predicting_class_means(columns):
    kind, _, truth, _ = columns
    means = np.stack([truth[kind == k].mean(0) for k in range(3)])
    moments = sums.MomentSums.empty(12).add(truth, means[kind], kind)
    assert moments.class_mean_r2() == pytest.approx(moments.scores().r2, rel=1e-10)


@given(st.lists(st.integers(1, 60), min_size=1, max_size=5), st.integers(2, 10_000))
def test_blocks_add_up(sizes, seed):
    rng = np.random.default_rng(seed)
    total = sum(sizes)
    truth, prediction = rng.normal(5, 2, (2, total, 4))
    kind, weight = rng.integers(0, 3, total), rng.uniform(1, 9, total)
    whole = sums.MomentSums.empty(4).add(truth, prediction, kind, weight)
    blocks = sums.MomentSums.empty(4)
    for part in np.split(np.arange(total), np.cumsum(sizes)[:-1]):
        blocks.merge(sums.MomentSums.empty(4).add(truth[part], prediction[part], kind[part], weight[part]))
    np.testing.assert_allclose(blocks.sums, whole.sums, rtol=1e-12, atol=1e-12)


def test_perfect_prediction(columns):
    kind, _, truth, _ = columns
    result = sc.score({"X": truth}, {"X": truth}, kind, kind)
    assert result["outputs"]["X"]["r2"] == result["outputs"]["X"]["r2_all"] == result["trigger"]["f1"] == 1
    assert result["outputs"]["X"]["rmse"] == result["outputs"]["X"]["nmae"] == 0


@pytest.mark.parametrize("value", [0.0, 300.0, 2.7e-13])
def test_a_constant_has_no_r2(value):
    truth = np.full((7, 3), value)
    result = sc.score({"RQSCUTEN": truth}, {"RQSCUTEN": truth + 1e-14}, [1] * 7, [1] * 7)["outputs"][
        "RQSCUTEN"
    ]
    assert result["r2"] is None
    assert "not defined" in result["note"]
    assert result["rmse"] == pytest.approx(1e-14, rel=0.2)


def test_scores_without_columns_are_none():
    result = sc.score({"X": np.zeros((3, 2))}, {"X": np.zeros((3, 2))}, [0] * 3, [0] * 3)
    assert result["trigger"]["f1"] is None
    assert result["outputs"]["X"]["r2"] is None
    assert "NaN" not in json.dumps(result, allow_nan=False)


def test_shapes_that_differ_are_an_error():
    with pytest.raises(InputError, match=r"\(3, 2\).*same columns"):
        sums.MomentSums.empty(2).add(np.zeros((3, 2)), np.zeros((4, 2)), [1, 1, 1])
    with pytest.raises(InputError, match=r"true classes \[1, 3\].*held"):
        sc.confusion([1, 3], [1, 1])


def test_f1_of_a_class_without_true_columns_is_not_defined():
    """Otherwise a single false alarm of deep convection would give 0, as if every deep column were missed."""
    table = sc.confusion([0, 0, 1, 1], [0, 2, 1, 1])
    result = sc.trigger_scores(table)
    assert result["f1_deep"] is None and result["f1_shallow"] == 1
    assert sc.trigger_scores(sc.confusion([2, 2, 1], [0, 1, 1]))["f1_deep"] == 0  # deep columns, all missed
