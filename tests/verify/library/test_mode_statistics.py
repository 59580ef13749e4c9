"""Scores of shadow mode from sums, compared with scikit-learn, for matched columns and outputs that are zero."""

import numpy as np
import pytest

from sciml.verify.library.mode_statistics import ModeStatistics

sklearn = pytest.importorskip("sklearn.metrics")
CONFUSION = np.array([[50, 3, 0], [2, 30, 1], [0, 4, 10]])  # rows scheme, columns emulator


def moments(truth: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    error = prediction - truth
    return np.array([truth.sum(0), (truth**2).sum(0), error.sum(0), (error**2).sum(0), np.abs(error).max(0)])


def statistics(outputs: dict[str, np.ndarray]) -> ModeStatistics:
    return ModeStatistics("shadow", 1, 1, (6, 60), 3.0, {"CONFUSION": CONFUSION}, outputs)


def test_cloud_base_is_scored_over_the_columns_in_which_both_triggered() -> None:
    rng = np.random.default_rng(31)
    truth = rng.integers(3, 20, 45).astype(float)
    prediction = truth + rng.integers(-1, 2, 45)
    result = statistics({"CUBOT": moments(truth, prediction)})
    assert result.matched == 45 and result.triggered == 50
    score = result.score("CUBOT")
    assert score["r2"] == pytest.approx(sklearn.r2_score(truth, prediction), rel=1e-12)
    assert score["bias"] == pytest.approx(np.mean(prediction - truth), abs=1e-15)


@pytest.mark.parametrize(("spread", "defined"), [(1e-12, False), (1e-9, True)])
def test_an_output_that_is_numerically_nil_has_no_r2(spread: float, defined: bool) -> None:
    """The threshold is that of an evaluation: a standard deviation of 1e-11 kg kg-1 s-1."""
    rng = np.random.default_rng(32)
    truth = spread * rng.normal(size=(50, 7))
    result = statistics({"RQSCUTEN": moments(truth, 1.01 * truth)})
    assert (result.score("RQSCUTEN")["r2"] is not None) == defined
    row = result.rows()[1]
    assert row[:2] == ["RQSCUTEN", "kg kg-1 s-1"] and (row[2] != "–") == defined
