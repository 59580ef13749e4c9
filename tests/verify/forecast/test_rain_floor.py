"""Scores within the floor or above it, by their departures from the perfect values and those of perturbed runs."""

from __future__ import annotations

import json

import numpy as np
import pytest
import xarray as xr

from sciml.verify.forecast.rain_floor import ABOVE, PERFECT, WITHIN, Judged, departure, judge
from sciml.verify.forecast.rain_tables import floor_range

pytest.importorskip("scores", reason="pip install scores")

from sciml.verify.forecast.rainfall import compare_rain

HOUR = np.timedelta64(1, "h")


def scores(**values: tuple[float, float, float]) -> xr.Dataset:
    return xr.Dataset(
        {name: ("estimate", list(value)) for name, value in values.items()},
        {"estimate": ["value", "lower", "upper"]},
    )


@pytest.mark.parametrize(
    ("name", "candidate", "floor", "inside"),
    [
        ("rmse", 1.9, (1.0, 0.5, 2.0), True),  # the end of the interval counts
        ("rmse", 2.1, (1.0, 0.5, 2.0), False),
        ("rmse", 1.1, (1.0, np.nan, np.nan), False),  # no interval: the value
        ("bias", -1.5, (0.5, -0.5, 1.6), True),  # the sign does not count
        ("csi", 0.4, (0.6, 0.5, 0.7), False),
        ("csi", 0.5, (0.6, 0.5, 0.7), True),  # no larger than: equal is within
        ("frequency_bias", 0.5, (1.5, 1.0, 2.0), True),  # half is as far as double
        ("frequency_bias", 0.49, (1.5, 1.0, 2.0), False),
        ("ratio", 0.0, (1.5, 1.0, 2.0), False),  # infinitely far
        ("far", 0.0, (0.0, 0.0, 0.0), True),
    ],
)
def test_the_definition(name: str, candidate: float, floor: tuple[float, float, float], inside: bool) -> None:
    result = judge(scores(**{name: (candidate, np.nan, np.nan)}), [scores(**{name: floor})], ["p1"])
    assert result.verdict(name, {}) == (WITHIN if inside else ABOVE)
    assert result.above() == ([] if inside else [name])
    assert result.to_json()["within"][name] is inside


def test_the_largest_of_several_runs_decides() -> None:
    runs = [scores(mae=(x, x, x)) for x in (0.2, 0.9, 0.4)]
    result = judge(scores(mae=(0.8, 0.7, 0.9)), runs, ["p1", "p2", "p3"])
    assert result.verdict("mae", {}) == WITHIN
    assert result.values("mae", {}) == [0.2, 0.9, 0.4]
    assert "1 of 1 scores" in result.summary()


def test_unknown_values_have_no_verdict() -> None:
    nothing = (np.nan, np.nan, np.nan)
    result = judge(
        scores(csi=nothing, pod=(0.5, 0.4, 0.6), mean_reference=(1.0, 1.0, 1.0)),
        [scores(csi=(0.5, 0.4, 0.6), pod=nothing, mean_reference=(1.0, 1.0, 1.0))],
        ["p1"],
    )
    assert [result.verdict(name, {}) for name in ("csi", "pod", "mean_reference")] == ["-", "-", "-"]
    assert result.to_json()["within"] == {"csi": None, "pod": None}
    assert "0 of 0" in result.summary()
    assert Judged("x", float("nan"), (1.0,)).verdict == "-"
    assert Judged("x", 1.0, (float("nan"), 1.0)).verdict == WITHIN
    assert Judged("x", 1.1, (float("nan"), 1.0)).verdict == ABOVE


def test_every_score_of_a_comparison_has_its_floor() -> None:
    rng = np.random.default_rng(13)
    control = rng.gamma(0.3, 4.0, (6, 16, 16))
    times = np.datetime64("0001-01-01T01:00:00", "us") + np.arange(6) * HOUR

    def rain(values: np.ndarray) -> xr.DataArray:
        attrs = {"units": "mm", "window": 1.0}
        return xr.DataArray(values, dims=("Time", "y", "x"), coords={"Time": times}, attrs=attrs)

    def against(values: np.ndarray) -> xr.Dataset:
        return compare_rain(rain(control), rain(values), thresholds=[1.0, 5.0], resamples=20).scores

    same, other, far = (control * np.exp(s * rng.standard_normal(control.shape)) for s in (0.1, 0.1, 1.5))
    result = judge(against(same), [against(other)], ["p1"])
    assert set(result.within) == set(PERFECT) - {"crps", "brier", "spread_skill"}
    assert set(result.within["fss"].dims) == {"threshold", "scale"}
    assert np.mean([values.mean() for values in result.within.values()]) > 0.8
    worse = judge(against(far), [against(other)], ["p1"])
    assert all((worse.within[name] == 0).all() for name in ("rmse", "mae", "csi", "correlation"))
    assert "csi at 1 mm" in worse.above()
    json.dumps(worse.to_json(), allow_nan=False)


def test_departures() -> None:
    assert departure("ratio", np.array([-1.0, 0.0, 4.0])).tolist()[1:] == [np.inf, pytest.approx(np.log(4))]
    assert np.isnan(departure("rmse", np.array([np.nan]))).all()
    assert floor_range([np.nan, 0.25]) == "0.250"
    assert floor_range([]) == "-"
