"""Real geography: files of WRF 3.x, compared with xwrf and with the diagnostics in the files."""

from __future__ import annotations

import copy
import os
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from sciml.columns import convection_columns
from sciml.errors import MissingVariable, SciMLError
from sciml.wrf import geography, open_wrfout
from tests.paths import SHARED

REAL = SHARED / "wrf" / "real"
NAMES = ["salem_wrf_d01_allvars_cropped.nc", "mercator_sample.nc", "salem_wrf_cropped.nc"]

pytestmark = pytest.mark.shared


def _theirs(name: str, config: Path) -> xr.Dataset:
    os.environ["XWRF_CONFIG"] = str(config)
    pytest.importorskip("xwrf")
    with xr.open_dataset(REAL / name, decode_times=True) as ds:
        return ds.load().copy(deep=True).xwrf.postprocess(drop_diagnostic_variable_components=False)


@pytest.mark.parametrize("name", NAMES)
def test_against_xwrf(name: str, tmp_path: Path) -> None:
    theirs, ours = _theirs(name, tmp_path), open_wrfout(REAL / name)
    fields = ours.sciml
    np.testing.assert_array_equal(ours["Time"].values, theirs["Time"].values.ravel())
    np.testing.assert_array_equal(
        ours["XLAT"].values.reshape(-1, *ours["XLAT"].shape[-2:])[0], theirs["XLAT"].values
    )
    np.testing.assert_allclose(fields.p.values, theirs["air_pressure"].values, rtol=1e-7)
    np.testing.assert_allclose(fields.theta.values, theirs["air_potential_temperature"].values, rtol=1e-7)
    np.testing.assert_allclose(fields.z_faces.values, theirs["geopotential_height"].values, rtol=1e-6)
    assert fields.crs.equals(theirs["wrf_projection"].item())
    if "U" in ours:
        np.testing.assert_allclose(fields.u.values, theirs["U"].xwrf.destagger().values, rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(fields.v.values, theirs["V"].xwrf.destagger().values, rtol=1e-6, atol=1e-6)
    if "wind_east" in theirs:
        np.testing.assert_allclose(fields.wind_east.values, theirs["wind_east"].values, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(
            fields.wind_north.values, theirs["wind_north"].values, rtol=1e-5, atol=1e-5
        )


@pytest.mark.parametrize("name", NAMES)
def test_coordinates_lie_on_the_grid_of_the_projection(name: str) -> None:
    pytest.importorskip("xwrf")
    ours = open_wrfout(REAL / name)
    grid = ours.sciml.projected
    for axis in ("x", "y"):
        np.testing.assert_allclose(np.diff(grid[axis].values), ours.attrs["DX"], rtol=1e-3)


def test_times_of_a_moving_nest() -> None:
    ours = open_wrfout(REAL / "mercator_sample.nc")
    raw = xr.open_dataset(REAL / "mercator_sample.nc")
    moving = bool((raw["XLAT"].values != raw["XLAT"].values[0]).any())
    assert moving == ("Time" in ours["XLAT"].dims)
    np.testing.assert_array_equal(
        ours["XLAT"].values, raw["XLAT"].values if moving else raw["XLAT"].values[0]
    )


def test_the_files_own_diagnostics() -> None:
    ours = open_wrfout(REAL / "salem_wrf_d01_allvars_cropped.nc")
    fields = ours.sciml
    rebuilt = ours.drop_vars("P_HYD").sciml.p_hyd
    assert float(abs(rebuilt / ours["P_HYD"] - 1).max()) < 2e-4
    # The surface is half a layer below the lowest level, and T2 is close to the lowest temperature.
    lowest = fields.rho.isel(bottom_top=0) * fields.dz8w.isel(bottom_top=0) * 9.81 / 2
    assert float(abs(fields.p.isel(bottom_top=0) + lowest - ours["PSFC"]).max()) < 60
    assert float(abs(fields.t.isel(bottom_top=0) - ours["T2"]).mean()) < 4
    height = fields.z_faces.isel(bottom_top_stag=0)
    assert float(abs(height - ours["HGT"]).max()) < 1
    slow = np.hypot(ours["U10"], ours["V10"]) < np.hypot(fields.u, fields.v).isel(bottom_top=0) + 1
    assert float(slow.mean()) > 0.95


@pytest.mark.parametrize("name", NAMES)
def test_files_without_targets_are_an_error(name: str) -> None:
    with pytest.raises(MissingVariable, match=r"W0AVG.*determines"):
        convection_columns(open_wrfout(REAL / name))


def test_importing_xwrf_writes_no_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("xwrf")
    monkeypatch.delenv("XWRF_CONFIG", raising=False)
    ours = open_wrfout(REAL / "salem_wrf_d01_allvars_cropped.nc")
    before = {k: copy.deepcopy(v.attrs) for k, v in ours.variables.items()}
    _ = ours.sciml.crs
    assert {k: v.attrs for k, v in ours.variables.items()} == before
    assert "XWRF_CONFIG" not in os.environ


def test_without_the_extra_the_message_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise ImportError(f"No module named {name!r}")

    ours = open_wrfout(REAL / "mercator_sample.nc")
    monkeypatch.setattr(geography.importlib, "import_module", absent)
    with pytest.raises(SciMLError, match=r"pip install xwrf pyproj"):
        _ = ours.sciml.crs
