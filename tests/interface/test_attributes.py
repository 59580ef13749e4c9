"""Datasets of the public interface are labelled: every variable has a long name, units and, where CF has one, a
standard name; the history names what computed the dataset, and the version.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import sciml as sm
from sciml.columns import convection_columns
from sciml.convection.problem import ConvectionSolution
from sciml.coupling.rce_host import history
from sciml.coupling.rce_setup import Start
from sciml.verify.emulator.evaluate import evaluate
from sciml.version import __version__
from sciml.wrf import open_wrfout
from tests.paths import SAMPLE_OFFLINE, SAMPLE_WRFOUT

STANDARD_NAMES = {
    "Time": "time",
    "XLAT": "latitude",
    "T_PHY": "air_temperature",
    "QVAPOR": "humidity_mixing_ratio",
    "P_HYD": "air_pressure",
    "RHO": "air_density",
    "U_PHY": "x_wind",
    "HFX": "surface_upward_sensible_heat_flux",
    "PBLH": "atmosphere_boundary_layer_thickness",
    "PRATEC": "convective_rainfall_rate",
    "LH": "surface_upward_latent_heat_flux",
    "SST": "sea_surface_temperature",
    "RAINC": "lwe_thickness_of_convective_precipitation_amount",
    "PRESSURE": "air_pressure",
}


def missing_labels(data: xr.Dataset | xr.DataArray) -> Iterator[str]:
    """Yield what the variables and coordinates of a dataset do not have."""
    arrays = {"": data, **data.coords} if isinstance(data, xr.DataArray) else dict(data.variables)
    for name, array in arrays.items():
        if not array.attrs.get("long_name"):
            yield f"{name or data.name}: long_name"
        words = array.dtype.kind in "MmUOS"  # dates have units when they are saved, and words have none
        if not words and "flag_meanings" not in array.attrs and not array.attrs.get("units"):
            yield f"{name or data.name}: units"
        if name in STANDARD_NAMES and array.attrs.get("standard_name") != STANDARD_NAMES[str(name)]:
            yield f"{name}: standard_name"


@pytest.fixture(scope="module")
def wrfout() -> xr.Dataset:
    return open_wrfout(SAMPLE_WRFOUT)


@pytest.fixture(scope="module")
def columns(wrfout: xr.Dataset) -> xr.Dataset:
    every = convection_columns(wrfout, truth=xr.open_dataset(SAMPLE_OFFLINE))
    return every.isel(column=slice(None, None, 40)).load()


@pytest.fixture(scope="module")
def emulator() -> sm.Emulator:
    return sm.Emulator.load("mskf-convrad")


@pytest.fixture(scope="module")
def solution(columns: xr.Dataset, emulator: sm.Emulator) -> ConvectionSolution:
    return sm.solve(sm.Convection(columns), emulator)


def test_a_wrfout(wrfout: xr.Dataset) -> None:
    assert list(missing_labels(wrfout)) == []


@pytest.mark.parametrize(
    "name",
    ["u", "v", "w", "p", "p_hyd", "pi", "theta", "t", "rho", "dz8w", "z", "z_faces", "rain", "rain_total"],
)
def test_a_field_that_is_derived_from_a_wrfout(wrfout: xr.Dataset, name: str) -> None:
    field = getattr(wrfout.sciml, name)
    assert list(missing_labels(field)) == []
    expected = {"dz8w": None, "rain": "lwe_thickness_of_precipitation_amount"}
    expected["rain_total"] = expected["rain"]
    assert name not in expected or field.attrs.get("standard_name") == expected[name]


def test_columns(columns: xr.Dataset) -> None:
    assert list(missing_labels(columns)) == []
    assert columns.attrs["history"] == f"columns of {SAMPLE_WRFOUT.name}, sciml {__version__}"


def test_the_answer_of_an_emulator(solution: ConvectionSolution) -> None:
    assert list(missing_labels(solution.outputs)) == []
    last = solution.outputs.attrs["history"].splitlines()[-1]
    assert last == f"convection by the emulator mskf-convrad, sciml {__version__}"


def test_scores_of_an_emulator(columns: xr.Dataset, solution: ConvectionSolution) -> None:
    known = columns.isel(column=columns["KIND"].values >= 0)
    predicted = solution.outputs.isel(column=columns["KIND"].values >= 0)
    scores = evaluate(known, predicted, model="mskf-convrad", data="the sample")
    for data in (scores.columns, scores.profiles):
        assert list(missing_labels(data)) == []
        assert data.attrs["history"] == f"mskf-convrad evaluated on the sample, sciml {__version__}"


def test_scores_of_rain() -> None:
    pytest.importorskip("scores")
    times = np.datetime64("2007-06-10T00", "ns") + np.arange(8) * np.timedelta64(1, "h")
    rain = np.random.default_rng(23).gamma(0.4, 2.0, (3, 8, 6, 6))
    dims = {"dims": ("member", "Time", "y", "x"), "coords": {"Time": times}, "attrs": {"units": "mm"}}
    cast = xr.DataArray(rain, **dims)
    result = sm.verify.compare_rain(cast.isel(member=0) * 1.5, cast, names=("radar", "run"), resamples=20)
    for data in (result.scores, result.fields):
        assert list(missing_labels(data)) == []
        assert data.attrs["history"] == f"run compared with radar, sciml {__version__}"


def test_scores_of_runs(wrfout: xr.Dataset) -> None:
    pytest.importorskip("scores")
    from sciml.verify.forecast.mean_state import profiles

    compared, _ = profiles(wrfout, wrfout)
    assert compared is not None
    assert list(missing_labels(compared)) == []
    assert re.search(rf"{SAMPLE_WRFOUT.name}, sciml {__version__}$", compared.attrs["history"])


def test_columns_in_equilibrium(columns: xr.Dataset, tmp_path: Path) -> None:
    """The outputs of the column host, here of a run without records."""
    start = Start.of(columns, days=0.5, members=2, seed=11)
    (tmp_path / "output").write_bytes(start.header.tobytes())
    records = history(start, tmp_path / "output", emulator="the emulator mskf.nc")
    assert dict(records.sizes) == {"time": 0, "member": 2, "level": 44}
    assert list(missing_labels(records)) == []
    expected = f"columns run by the column host with the emulator mskf.nc, sciml {__version__}"
    assert records.attrs["history"] == expected


def test_a_field_solution() -> None:
    u = sm.solve(sm.Poisson(15), sm.Direct()).u
    assert list(missing_labels(u)) == []
    assert u.attrs["units"] == "1"
