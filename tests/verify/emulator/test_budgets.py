"""Budgets, rain and reliability, compared with computations by hand, other libraries, and the true scheme."""

import numpy as np
import pytest

from sciml.columns.extract import convection_columns
from sciml.verify.emulator.budgets import budgets, summary
from sciml.verify.emulator.rain_rate import contingency, rain_scores
from sciml.verify.emulator.reliability import reliability
from sciml.wrf.opening import open_wrfout
from tests.paths import SAMPLE_OFFLINE, SAMPLE_WRFOUT, SHARED


@pytest.fixture
def column():
    """Three layers of 100, 200 and 50 kg/m2."""
    state = {
        "RHO": [[1.0, 1.0, 0.5]],
        "DZ8W": [[100.0, 200.0, 100.0]],
        "PI_PHY": [[1.0, 0.9, 0.8]],
        "T_PHY": [[300.0, 280.0, 260.0]],
        "QVAPOR": [[1e-2, 5e-3, 1e-3]],
    }
    return {name: np.array(values) for name, values in state.items()}


def test_integrals_computed_by_hand(column):
    out = {
        "RQVCUTEN": np.array([[-4e-8, -1e-8, 0.0]]),
        "RQCCUTEN": np.array([[0.0, 0.0, 2e-8]]),
        "RTHCUTEN": np.array([[0.0, 1e-4, -1e-4]]),
        "RUCUTEN": np.array([[3e-5, 0.0, 0.0]]),
        "RVCUTEN": np.array([[0.0, 2e-5, 0.0]]),
        "PRATEC": np.array([3e-6]),
    }
    result = budgets(column, out, dt=1e6)
    # S = 100 * -4e-8 + 200 * -1e-8 + 50 * 2e-8 = -5e-6; sum of magnitudes 7e-6
    assert result["water"] == pytest.approx(-2e-6 / 7e-6)
    heating = 200 * 1004.5 * 0.9 * 1e-4 - 50 * 1004.5 * 0.8 * 1e-4
    assert result["heating"] == pytest.approx(heating)
    latent = -4e-6 * (3.15e6 - 2370 * 300) - 2e-6 * (3.15e6 - 2370 * 280)
    whole = 200 * 1004.5 * 0.9 * 1e-4 + 50 * 1004.5 * 0.8 * 1e-4
    assert result["enthalpy"] == pytest.approx((heating + latent) / whole)
    assert result["momentum"] == pytest.approx(np.hypot(3e-3, 4e-3) / (3e-3 + 4e-3))
    assert result["moistening"] == pytest.approx(-6e-6)
    assert result["negative_vapour"] == 2


def test_momentum_does_not_depend_on_the_axes(column):
    rng = np.random.default_rng(31)
    u, v = rng.normal(0, 1e-5, (2, 1, 3))
    turned = {"RUCUTEN": 0.6 * u - 0.8 * v, "RVCUTEN": 0.8 * u + 0.6 * v}
    straight = budgets(column, {"RUCUTEN": u, "RVCUTEN": v})["momentum"]
    assert budgets(column, turned)["momentum"] == pytest.approx(straight)


def test_zero_tendencies_balance_and_rain_without_a_source_does_not(column):
    out = {"RQVCUTEN": np.zeros((1, 3)), "RTHCUTEN": np.zeros((1, 3)), "PRATEC": np.zeros(1)}
    assert budgets(column, out)["water"] == 0
    assert budgets(column, out)["enthalpy"] == 0
    assert np.isinf(budgets(column, {**out, "PRATEC": np.ones(1)})["water"])


def test_summary_is_by_class():
    result = summary([9.0, 1.0, -3.0, 2.0], [0, 2, 2, 2])
    assert result["shallow"] is None
    assert (result["deep"]["n"], result["deep"]["median"], result["deep"]["abs_max"]) == (3, 1.0, 3.0)


def _scheme_budgets(columns):
    return budgets(columns, columns, dt=columns.attrs["DT"]), columns["KIND"].values


def _check_the_scheme(result, kind, shallow_water):
    """Residuals of the true scheme."""
    deep, shallow = kind == 2, kind == 1
    assert np.quantile(np.abs(result["water"][deep]), 0.999) < 3e-6
    assert np.abs(result["water"][shallow]).max() < shallow_water
    assert result["momentum"][kind > 0].max() < 2e-7
    enthalpy = summary(result["enthalpy"], kind)
    assert -0.008 < enthalpy["deep"]["median"] < -0.002
    assert -0.02 < enthalpy["shallow"]["median"] < -0.005
    assert np.quantile(np.abs(result["enthalpy"][kind > 0]), 0.95) < 0.03
    assert not result["negative_vapour"].any()


@pytest.mark.skipif(not SAMPLE_OFFLINE.exists(), reason="no sample in data/")
def test_the_scheme_closes_its_budgets_on_the_sample():
    columns = convection_columns(open_wrfout(SAMPLE_WRFOUT), SAMPLE_OFFLINE).load()
    _check_the_scheme(*_scheme_budgets(columns), shallow_water=2e-5)


@pytest.mark.shared
def test_captured_calls_close_their_budgets():
    capture = open_wrfout(SHARED / "wrf" / "train" / "mskf_io_convrad_train3.nc")
    columns = convection_columns(capture, keep="pairs").load()
    result, kind = _scheme_budgets(columns)
    _check_the_scheme(result, kind, shallow_water=2e-5)
    assert np.abs(result["water"][kind == 2]).max() < 5e-6


def test_rain_scores_by_numpy():
    rng = np.random.default_rng(32)
    true = rng.gamma(0.3, 5e-4, 400)
    predicted = true * rng.uniform(0.5, 1.6, 400)
    result = rain_scores(true, predicted)
    assert result["correlation"] == pytest.approx(np.corrcoef(true, predicted)[0, 1])
    assert result["bias"] == pytest.approx(3600 * (predicted.mean() - true.mean()))
    counts = result["contingency"][2]
    yes, forecast = true * 3600 >= 0.5, predicted * 3600 >= 0.5
    assert counts["threshold"] == 0.5
    assert counts["pod"] == pytest.approx((yes & forecast).sum() / yes.sum())
    assert counts["far"] == pytest.approx((~yes & forecast).sum() / forecast.sum())
    assert counts["csi"] == pytest.approx((yes & forecast).sum() / (yes | forecast).sum())


def test_contingency_agrees_with_the_scores_package():
    categorical = pytest.importorskip("scores.categorical")
    xr = pytest.importorskip("xarray")
    rng = np.random.default_rng(33)
    yes = rng.random(500) < 0.3
    forecast = yes ^ (rng.random(500) < 0.1)
    table = categorical.BinaryContingencyManager(
        xr.DataArray(forecast * 1.0), xr.DataArray(yes * 1.0)
    ).transform()
    result = contingency(yes, forecast)
    assert result["pod"] == pytest.approx(float(table.probability_of_detection()))
    assert result["far"] == pytest.approx(float(table.false_alarm_ratio()))
    assert result["csi"] == pytest.approx(float(table.critical_success_index()))
    assert result["frequency_bias"] == pytest.approx(float(table.frequency_bias()))
    assert result["ets"] == pytest.approx(float(table.equitable_threat_score()))


def test_scores_without_rain_are_none_without_a_warning():
    result = rain_scores(np.zeros(5), np.zeros(5))
    assert result["ratio"] is None
    assert result["correlation"] is None
    assert result["contingency"][0]["pod"] is None


def test_reliability_against_scikit_learn():
    calibration = pytest.importorskip("sklearn.calibration")
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(34)
    stated = rng.random(3000)
    event = rng.random(3000) < stated**2
    result = reliability(stated, event)
    frequency, mean = calibration.calibration_curve(event, stated, n_bins=10)
    np.testing.assert_allclose(result["frequency"], frequency)
    np.testing.assert_allclose(result["probability"], mean)
    assert result["brier"] == pytest.approx(metrics.brier_score_loss(event, stated))
    assert sum(result["count"]) == 3000
    assert 0.1 < result["calibration_error"] < 0.2  # the integral of p - p^2 is 1/6


def test_a_calibrated_probability_is_on_the_diagonal():
    rng = np.random.default_rng(35)
    stated = rng.random(60_000)
    result = reliability(stated, rng.random(60_000) < stated)
    assert result["calibration_error"] < 0.015
    assert result["frequency"] == pytest.approx(result["probability"], abs=0.03)
