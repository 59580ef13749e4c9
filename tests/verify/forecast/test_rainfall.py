"""Comparison of rain: published tables, displaced events, windows, intervals, ensembles, and errors."""

from __future__ import annotations

import json

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from sciml.errors import InputError
from sciml.verify.forecast.block_bootstrap import Blocks
from sciml.verify.forecast.rain_distribution import by_local_hour
from sciml.verify.forecast.rain_scores import CATEGORICAL, categorical, continuous, ensemble, fractions
from sciml.verify.forecast.rainfall import accumulations, compare_rain
from sciml.wrf.rain import rain_since_last

scores = pytest.importorskip("scores", reason="pip install scores")

HOUR = np.timedelta64(1, "h")
START = np.datetime64("2024-07-01T00:00:00", "ns")


def rain(values: np.ndarray, *, first: float = 1.0, step: float = 1.0, **attrs: object) -> xr.DataArray:
    hours = first + step * np.arange(values.shape[0])
    times = START + (hours * 3600).astype("timedelta64[s]")
    attrs = {"units": "mm", "window": step, **attrs}
    return xr.DataArray(values, dims=("Time", "y", "x"), coords={"Time": times}, attrs=attrs)


def showers(seed: int, shape: tuple[int, int, int] = (6, 24, 24)) -> np.ndarray:
    return np.random.default_rng(seed).gamma(0.3, 4.0, shape)


def test_finleys_tornadoes() -> None:
    """The forecasts of 1884 with their published scores (Wilks, Statistical Methods, 8.2)."""
    hits, misses, alarms, rest = 28, 23, 72, 2680
    truth = np.repeat([1.0, 1.0, 0.0, 0.0], (hits, misses, alarms, rest))
    forecast = np.repeat([1.0, 0.0, 1.0, 0.0], (hits, misses, alarms, rest))
    shape = (1, 1, truth.size)
    result = categorical(truth.reshape(shape), forecast.reshape(shape), [0.5], Blocks.of(shape, resamples=10))
    value = {name: float(result[name].sel(threshold=0.5, estimate="value")) for name in CATEGORICAL}
    counts = [result[name].item() for name in ("hits", "misses", "false_alarms", "correct_negatives")]
    assert counts == [hits, misses, alarms, rest]
    wanted = {
        "csi": 0.228,
        "ets": 0.216,
        "pod": 0.549,
        "far": 0.720,
        "frequency_bias": 1.961,
        "hss": 0.355,
        "pss": 0.523,
    }
    for name, expected in wanted.items():
        assert value[name] == pytest.approx(expected, abs=6e-4), name


def test_identical_rain_is_perfect_and_so_are_all_intervals() -> None:
    first = rain(showers(3))
    result = compare_rain(first, first, thresholds=[0.5, 5.0]).scores
    perfect = {"bias": 0, "ratio": 1, "mae": 0, "rmse": 0, "spread_ratio": 1, "csi": 1, "ets": 1, "pod": 1, "far": 0,
               "frequency_bias": 1, "hss": 1, "pss": 1, "sedi": 1, "fss": 1}  # fmt: skip
    for name, value in perfect.items():
        assert (result[name].values == value).all() or np.allclose(result[name].values, value, atol=1e-12), (
            name
        )
    assert np.allclose(result["correlation"].values, 1, atol=1e-12)


def test_amounts_agree_with_scores() -> None:
    r, c = showers(5), showers(7) * 1.3
    result = continuous(r, c, Blocks.of(r.shape, resamples=5)).sel(estimate="value")
    dims = ("t", "y", "x")
    a, b = (xr.DataArray(x, dims=dims) for x in (r, c))
    theirs = scores.continuous
    assert float(result["rmse"]) == pytest.approx(float(theirs.rmse(b, a)), rel=1e-12)
    assert float(result["mae"]) == pytest.approx(float(theirs.mae(b, a)), rel=1e-12)
    assert float(result["bias"]) == pytest.approx(float(theirs.additive_bias(b, a)), rel=1e-10)
    assert float(result["ratio"]) == pytest.approx(float(theirs.multiplicative_bias(b, a)), rel=1e-12)
    assert float(result["correlation"]) == pytest.approx(float(theirs.correlation.pearsonr(b, a)), abs=1e-12)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**16), st.sampled_from([1, 2, 3, 5, 8]))
def test_the_sums_of_the_fss_give_its_value(seed: int, scale: int) -> None:
    """The score and its interval are computed from sums by block, which must give the score of the package."""
    r, c = showers(seed, (3, 11, 14)), showers(seed + 1, (3, 11, 14))
    blocks = Blocks(r.shape, 1, (2, 3), np.ones((3, 3 * 2 * 3)))  # every resample is the whole
    result = fractions(r, c, [2.0], [scale], blocks)["fss"].values[0, 0]
    a, b = (xr.DataArray(x, dims=("t", "y", "x")) for x in (r, c))
    theirs = pytest.importorskip("scores.spatial").fss_2d(
        b,
        a,
        event_threshold=2.0,
        window_size=(scale, scale),
        spatial_dims=("y", "x"),
        threshold_operator=np.greater_equal,
    )
    assert result == pytest.approx([float(theirs)] * 3, rel=1e-12, nan_ok=True)


def test_the_fss_of_a_displaced_event_increases_with_scale() -> None:
    """For one cell displaced by d, (n - d)/n of the squares of side n that contain one event contain both."""
    truth, forecast = np.zeros((1, 41, 41)), np.zeros((1, 41, 41))
    truth[0, 20, 20] = forecast[0, 20, 22] = 9.0
    result = fractions(truth, forecast, [1.0], [1, 3, 5, 9], Blocks.of(truth.shape, resamples=0))
    assert result["fss"].sel(estimate="value").values[0] == pytest.approx([0, 1 / 3, 3 / 5, 7 / 9])


def test_intervals_cover_the_mean() -> None:
    """For independent windows, about 95 % of the intervals contain the true mean: between 88 and 99 of 100."""
    held = 0
    for seed in range(100, 200):
        values = np.random.default_rng(seed).normal(0.0, 1.0, (40, 1, 1)) + np.zeros((1, 4, 4))
        zero = np.zeros_like(values)
        low, high = continuous(zero, values, Blocks.of(values.shape, length=1, resamples=400, seed=seed))[
            "bias"
        ].values[1:]
        held += low <= 0.0 <= high
    assert 88 <= held <= 99


def test_correlated_windows_widen_the_interval() -> None:
    rng = np.random.default_rng(11)
    red = np.repeat(rng.normal(0, 1, 10), 12)[:, None, None] + np.zeros((1, 4, 4))
    zero = np.zeros_like(red)
    width = [
        np.diff(continuous(zero, red, Blocks.of(red.shape, length=n, resamples=500))["bias"].values[1:])[0]
        for n in (1, 12)
    ]
    assert width[1] > 2 * width[0]


def test_intervals_depend_only_on_the_seed_and_global_generators_are_unchanged() -> None:
    np.random.seed(17)  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    first, two = (Blocks.of((6, 24, 24), seed=5).draws for _ in range(2))
    other = Blocks.of((6, 24, 24), seed=9).draws
    assert (first == two).all()
    assert (first != other).any()
    assert (np.random.get_state()[1] == before).all()  # noqa: NPY002
    assert (first.sum(1) == first.shape[1]).all()


def test_one_block_has_no_interval() -> None:
    result = compare_rain(rain(np.full((1, 3, 3), 2.0)), rain(np.full((1, 3, 3), 3.0)), thresholds=[1.0])
    assert np.isnan(result.scores["bias"].values[1:]).all()
    assert float(result.scores["bias"].sel(estimate="value")) == 1
    assert "no intervals" in str(result)


def test_windows_end_at_multiples_of_their_length() -> None:
    hourly = rain(np.arange(1.0, 9.0)[:, None, None] + np.zeros((8, 2, 2)), first=2.0)  # 02 to 09 UTC
    result = accumulations(hourly, "3h")
    # 02 and 03 UTC are two thirds of the window that ends at 03.
    assert [str(t)[11:13] for t in result["Time"].values] == ["06", "09"]
    assert result.values[:, 0, 0].tolist() == [3 + 4 + 5, 6 + 7 + 8]
    assert result.attrs["window"] == 3
    unknown = hourly.copy(deep=True)
    unknown[0] = np.nan
    assert accumulations(unknown).sizes["Time"] == 7


def test_buckets_are_included() -> None:
    """WRF reduces RAINC by BUCKET_MM and counts the reductions: 9 mm, then 14, then 31."""
    dims = ("Time", "south_north", "west_east")
    whole = np.array([9.0, 14.0, 31.0])[:, None, None] + np.zeros((3, 4, 4))
    ds = xr.Dataset(
        {
            "RAINC": (dims, (whole % 10).astype("f4")),
            "RAINNC": (dims, np.zeros(whole.shape, "f4")),
            "I_RAINC": (dims, (whole // 10).astype("i4")),
            "I_RAINNC": (dims, np.zeros(whole.shape, "i4")),
        },
        coords={"Time": START + np.arange(3) * HOUR},
        attrs={"BUCKET_MM": 10.0},
    )
    result = accumulations(rain_since_last(ds))
    assert result.values[:, 0, 0].tolist() == pytest.approx([5, 17])


def test_missing_cells_are_left_out_and_counted() -> None:
    r, c = rain(showers(3)), rain(showers(5))
    r.values[2, 4:9, 3] = np.nan
    result = compare_rain(r, c, thresholds=[1.0])
    known = np.isfinite(r.values)
    assert float(result.scores["bias"].sel(estimate="value")) == pytest.approx(
        (c.values - r.values)[known].mean()
    )
    assert "5 cells without a value" in str(result)
    assert "fss" not in result.scores
    assert (
        int(result.scores[["hits", "misses", "false_alarms", "correct_negatives"]].to_array().sum())
        == known.sum()
    )


def test_only_common_times_are_compared() -> None:
    values = showers(3, (8, 12, 12))
    result = compare_rain(rain(values[:6]), rain(values[3:], first=4.0), thresholds=[1.0])
    assert result.fields.sizes["Time"] == 3
    assert "3 windows of the reference and 2 of the candidate have no partner" in str(result)
    assert float(result.scores["rmse"].sel(estimate="value")) == 0


def test_an_ensemble() -> None:
    truth = np.full((1, 4, 4), 2.0)
    members = np.stack([np.full((1, 4, 4), x) for x in (1.0, 3.0)])
    result = ensemble(truth, members, [2.5], Blocks.of(truth.shape, resamples=5))
    # fair: mean |x - y| - sum |xi - xj| / (2 m (m - 1)) = 1 - 4 / 4
    assert float(result["crps"].sel(estimate="value")) == pytest.approx(0.0)
    assert result["rank_histogram"].values.tolist() == [0, 1, 0]
    cast = xr.concat([rain(showers(k)) for k in (21, 22, 23)], "member").assign_attrs(rain(showers(3)).attrs)
    whole = compare_rain(rain(showers(3)), cast, thresholds=[1.0])
    assert {"crps", "brier", "spread_skill"} <= set(whole.scores)
    assert (
        0
        < float(whole.scores["crps"].sel(estimate="value"))
        < float(whole.scores["mae"].sel(estimate="value"))
    )


def test_local_hours() -> None:
    import pandas as pd

    times = pd.DatetimeIndex(START + np.arange(1, 25) * HOUR)
    only = np.zeros((24, 1, 2))
    only[11] = 6.0  # between 11 and 12 UTC
    east = np.array([[0.0, 90.0]])
    result = by_local_hour(only, only, times, 1.0, east)
    rainy = result["hour"].values[result["diurnal"].values[0] > 0]
    assert rainy.tolist() == [11.5, 17.5]
    assert by_local_hour(only, only, times, 24.0, east).sizes["hour"] == 0


def test_a_comparison_prints_and_converts_to_json() -> None:
    result = compare_rain(rain(showers(3)), rain(showers(5)), names=("radar", "model"))
    assert "model against radar" in str(result)
    assert "<script" not in result._repr_html_()
    content = json.loads(json.dumps(result.to_json(), allow_nan=False))
    assert content["scores"]["csi"][0][0] == pytest.approx(float(result.scores["csi"].values[0, 0]))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda r: r.isel(x=slice(0, 20)), "bring both to one grid"),
        (lambda r: r.assign_coords(Time=r["Time"] + np.timedelta64(400, "D")), "no common time"),
        (lambda r: r - 1.0, "none negative"),
        (lambda r: r.assign_attrs(units="m"), "in 'm'"),
        (lambda r: r.assign_attrs(window=3.0), "the same window"),
        (lambda r: r * np.nan, "no finite amount"),
        (lambda r: r.expand_dims(member=1), "one member"),
    ],
)
def test_refused(change, words: str) -> None:
    with xr.set_options(keep_attrs=True):
        first = rain(showers(3))
        other = change(first)
    with pytest.raises(InputError, match=words):
        compare_rain(first, other, thresholds=[1.0])


def test_invalid_windows() -> None:
    hourly = rain(showers(3))
    for window, words in (
        ("40min", "fill no window of 40 min"),
        ("soon", "not a valid window"),
        ("-1h", "not a valid window"),
    ):
        with pytest.raises(InputError, match=words):
            accumulations(hourly, window)
    with pytest.raises(InputError, match="give a window"):
        accumulations(hourly.isel(Time=[0, 1, 3]))
    with pytest.raises(InputError, match="order of time"):
        accumulations(hourly.isel(Time=[1, 0, 2]))
    with pytest.raises(InputError, match=r"thresholds \[-1"):
        compare_rain(hourly, hourly, thresholds=[-1.0])
    with pytest.raises(InputError, match="scales"):
        compare_rain(hourly, hourly, scales=[99])
