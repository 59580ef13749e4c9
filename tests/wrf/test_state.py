from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from sciml.errors import InputError, MissingVariable
from sciml.wrf import diagnostics as state
from sciml.wrf import open_wrfout
from tests.paths import SHARED

fields = hnp.arrays(
    np.float64, st.tuples(st.integers(2, 6), st.integers(2, 5)), elements=st.floats(-1e3, 1e3, width=32)
)


def _faces(values: npt.NDArray[np.float64]) -> xr.DataArray:
    return xr.DataArray(values, dims=("bottom_top_stag", "x"))


@given(fields, fields, st.floats(-5, 5))
def test_destagger_is_linear(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64], c: float) -> None:
    if a.shape != b.shape:
        return
    first, second = (state.destagger(_faces(v), "bottom_top_stag").values for v in (a, b))
    both = state.destagger(_faces(a + c * b), "bottom_top_stag").values
    np.testing.assert_allclose(both, first + c * second, atol=1e-9)


@given(fields)
def test_destaggered_values_are_between_the_faces(values: npt.NDArray[np.float64]) -> None:
    mass = state.destagger(_faces(values), "bottom_top_stag").values
    assert (mass <= np.maximum(values[1:], values[:-1]) + 1e-12).all()
    assert (mass >= np.minimum(values[1:], values[:-1]) - 1e-12).all()


@given(st.floats(-10, 10), st.floats(-10, 10), st.integers(2, 9))
def test_destagger_is_exact_for_straight_lines(slope: float, level: float, number: int) -> None:
    line = slope * np.arange(number, dtype=float) + level
    mass = state.destagger(xr.DataArray(line, dims="west_east_stag"), "west_east_stag")
    assert mass.dims == ("west_east",)
    np.testing.assert_allclose(mass.values, slope * (np.arange(number - 1) + 0.5) + level, atol=1e-12)


def test_fields_are_lazy_and_labelled(sample: xr.Dataset) -> None:
    for name in (
        "u",
        "v",
        "w",
        "p",
        "p_hyd",
        "pi",
        "theta",
        "t",
        "rho",
        "dz8w",
        "z",
        "z_faces",
        "rain",
        "wind_east",
    ):
        field = getattr(sample.sciml, name)
        assert field.chunks is not None, name
        assert field.attrs["units"], name
        assert field.dtype == np.float32, name
    assert "sciml fields of" in repr(sample.sciml)


def test_the_gas_law_and_the_hydrostatic_equation(sample: xr.Dataset) -> None:
    ds = sample.isel(Time=[2])
    fields = ds.sciml
    q = ds["QVAPOR"]
    virtual = fields.t * (1 + 461.6 / 287 * q) / (1 + q)
    np.testing.assert_allclose((fields.rho * 287 * virtual / fields.p).values, 1, atol=2e-6)
    step = -fields.p_hyd.diff("bottom_top").values
    weight = (fields.rho * fields.dz8w).values * 9.81
    np.testing.assert_allclose(step, 0.5 * (weight[:, 1:] + weight[:, :-1]), rtol=0.03)
    assert float(abs(fields.theta - 300 - ds["T"]).max()) < 1e-3


def test_hydrostatic_pressure_rebuilt(frames: xr.Dataset) -> None:
    ds = open_wrfout(frames)
    bare = ds.drop_vars("P_HYD")
    rebuilt = bare.sciml.p_hyd
    assert "rebuilt" in rebuilt.attrs["comment"]
    # P_HYD is of the start of the step, the masses are of its end.
    assert float(abs(rebuilt / ds["P_HYD"] - 1).max()) < 2e-4
    coarse = bare.drop_vars("MU").sciml.p_hyd
    assert "P + PB" in coarse.attrs["comment"]
    assert float(abs(coarse / ds["P_HYD"] - 1).max()) < 3e-3


@pytest.mark.shared
@pytest.mark.parametrize("name", ["wrfout_d01_terrain3km_full.nc", "wrfout_d01_convrad_full.nc"])
def test_hydrostatic_pressure_rebuilt_on_hybrid_levels(name: str) -> None:
    ds = open_wrfout(SHARED / "wrf" / "sample" / name)
    rebuilt = state.rebuilt_hydrostatic_pressure(ds)
    assert float(abs(rebuilt / ds["P_HYD"] - 1).max()) < 2e-4


def _theta(title: str, moist: int, description: str, thm: bool) -> tuple[float, str]:
    dims = ("Time", "bottom_top")
    dry, q = np.float32(303.0), np.float32(0.01)
    wet = dry * (1 + np.float32(461.6 / 287) * q)
    is_moist = moist and not thm and ("moist" in description or title.endswith("V3.8"))
    values = {"T": (dims, np.array([[(wet if is_moist else dry) - 300]], "f4"), {"description": description})}
    values["QVAPOR"] = (dims, np.array([[q]], "f4"), {})
    if thm:
        values["THM"] = (dims, np.array([[wet - 300]], "f4"), {})
    theta = state.potential_temperature(xr.Dataset(values, attrs={"TITLE": title, "USE_THETA_M": moist}))
    return float(theta.values[0, 0]), str(theta.attrs["comment"])


@pytest.mark.parametrize(
    ("title", "moist", "description", "thm"),
    [
        (" OUTPUT FROM WRF V3.3.1", 0, "perturbation potential temperature (theta-t0)", False),
        (" OUTPUT FROM WRF V3.8", 1, "", False),
        (" OUTPUT FROM WRF V3.9", 1, "either 1) pert moist pot temp", False),
        (" OUTPUT FROM WRF V4.3.3", 1, "perturbation potential temperature theta-t0", True),
        (" OUTPUT FROM WRF V4.3.3", 1, "perturbation potential temperature theta-t0", False),
        (" OUTPUT FROM WRF V4.5", 0, "perturbation potential temperature theta-t0", True),
    ],
)
def test_meaning_of_t_in_each_version(title: str, moist: int, description: str, thm: bool) -> None:
    theta, comment = _theta(title, moist, description, thm)
    assert theta == pytest.approx(303.0, abs=1e-3)
    assert ("moist" in comment) == (bool(moist) and not thm and ("moist" in description or "V3.8" in title))


@pytest.mark.shared
def test_thm_is_the_moist_potential_temperature() -> None:
    ds = open_wrfout(SHARED / "wrf" / "sample" / "wrfout_d01_convrad_full.nc").isel(Time=[0])
    wet = ds.drop_vars("T")
    assert "THM is moist" in wet.sciml.theta.attrs["comment"]
    assert float(abs(wet.sciml.theta - ds.sciml.theta).max()) < 1e-3


@pytest.mark.shared
def test_density_equals_the_captured_density() -> None:
    captured = xr.open_dataset(SHARED / "wrf" / "train" / "mskf_io_convrad_train3.nc").isel(Time=[0])
    p = 1e5 * captured["PI_PHY"].astype("f8") ** 3.5
    ds = xr.Dataset(
        {"P": p, "PB": xr.zeros_like(p), "T": captured["TH_PHY"] - 300, "QVAPOR": captured["QVAPOR"]}
    )
    assert float(abs(ds.sciml.rho / captured["RHO"] - 1).max()) < 1e-5
    assert float(abs(ds.sciml.t / captured["T_PHY"] - 1).max()) < 1e-6
    average = 0.5 * (captured["W"].values[:, 1:] + captured["W"].values[:, :-1])
    updated = (captured["W0AVG_IN"].values * 11 + average) / 12
    np.testing.assert_allclose(updated, captured["W0AVG"].values, atol=1e-6)


def _rain(total: list[float], bucket: float, counts: list[int] | None, xtime: float = 30.0) -> xr.Dataset:
    dims = ("Time", "y")
    ds = xr.Dataset(
        {
            "RAINC": (dims, np.array(total, "f4")[:, None]),
            "RAINNC": (dims, np.zeros((len(total), 1), "f4")),
            "XTIME": ("Time", np.arange(len(total), dtype="f4") + np.float32(xtime)),
        },
        attrs={"BUCKET_MM": bucket},
    )
    if counts is not None:
        ds["I_RAINC"] = (dims, np.array(counts)[:, None])
        ds["I_RAINNC"] = (dims, np.zeros((len(total), 1), int))
    return ds


def test_rain_with_buckets() -> None:
    ds = _rain([90.0, 5.0, 20.0], 100.0, [0, 1, 1])
    np.testing.assert_allclose(ds.sciml.rain.values.ravel(), [np.nan, 15, 15])
    np.testing.assert_allclose(ds.sciml.rain_total.values.ravel(), [90, 105, 120])
    with pytest.raises(MissingVariable, match="BUCKET_MM"):
        _ = _rain([90.0, 5.0], 100.0, None).sciml.rain


def test_rain_from_the_start_and_over_a_restart() -> None:
    ds = _rain([0.0, 4.0, 1.0], -1.0, None, xtime=0.0)
    np.testing.assert_allclose(ds.sciml.rain.values.ravel(), [0, 4, 1])


def test_rain_of_the_sample_agrees_with_its_rate(sample: xr.Dataset) -> None:
    fallen = sample.sciml.rain.isel(Time=slice(1, None)).values
    assert (fallen >= 0).all()
    last = sample["RAINC"].values[-1] - sample["RAINC"].values[0]
    convective = (sample["PRATEC"].values[1:] * 300).sum(axis=0)
    # The rate of a deep column changes between outputs only at a new call of the scheme.
    assert np.corrcoef(last.ravel(), convective.ravel())[0, 1] > 0.98


def test_winds_are_rotated_if_the_grid_is(frames: xr.Dataset) -> None:
    ds = open_wrfout(frames)
    assert ds.attrs["MAP_PROJ"] == 0
    np.testing.assert_array_equal(ds.sciml.wind_east.values, ds.sciml.u.values)
    turned = ds.assign_attrs(MAP_PROJ=1)
    with pytest.raises(MissingVariable, match="COSALPHA"):
        _ = turned.sciml.wind_east
    angle = np.float32(0.3)
    plane = xr.ones_like(ds["HFX"].isel(Time=0, drop=True))
    turned = turned.assign(COSALPHA=plane * np.cos(angle), SINALPHA=plane * np.sin(angle))
    east, north = turned.sciml.wind_east, turned.sciml.wind_north
    np.testing.assert_allclose(east**2 + north**2, ds.sciml.u**2 + ds.sciml.v**2, rtol=1e-4, atol=1e-4)
    assert east.dims == ds.sciml.u.dims
    with pytest.raises(InputError, match="Cartesian"):
        _ = ds.sciml.crs
