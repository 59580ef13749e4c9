"""`sciml wrf info` describes any file of WRF: its kind, and the missing variables for each purpose."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from sciml.cli import main
from sciml.columns.description import describe_file
from sciml.errors import InputError
from tests.paths import SHARED

Change = Callable[[xr.Dataset], xr.Dataset]


def _changed(frames: xr.Dataset, tmp_path: Path, change: Change) -> Path:
    path = tmp_path / "wrfout_d01_some.nc"
    change(frames).to_netcdf(path)
    return path


def _bare(ds: xr.Dataset) -> xr.Dataset:
    out = ds.copy()
    out.attrs = {}
    return out


@pytest.mark.parametrize(
    ("change", "usable", "message"),
    [
        (lambda ds: ds, True, "training: yes"),
        (lambda ds: ds.isel(Time=[1]), True, "prediction: yes"),
        (lambda ds: ds.drop_vars("NCA"), True, r"training: no: NCA .*'\+:h:0:NCA'"),
        (lambda ds: ds.drop_vars(["ZOL", "NCA"]), False, r"prediction: no: ZOL .*'\+:h:0:ZOL,NCA'"),
        (lambda ds: ds.drop_vars("RAINC"), True, "rain: no: RAINC .*every wrfout"),
        (lambda ds: ds[["T2", "U10", "Times"]], False, "prediction: no: W0AVG.*U, V, T, QVAPOR"),
        (lambda ds: ds.drop_vars(["Times", "XTIME"]), False, "has no times"),
        (lambda ds: ds.isel(Time=0), False, r"expand_dims\('Time'\)"),
        (
            lambda ds: ds.rename(Time="time", bottom_top="lev"),
            False,
            "Time is named time, bottom_top is named lev",
        ),
        (_bare, False, "DX, DT, CUDT"),
        (lambda ds: ds.isel(Time=slice(0, 0)), False, "no columns"),
        (lambda ds: ds.isel(south_north=slice(0, 3)), False, "crop both"),
        (lambda ds: ds.assign_attrs(CU_PHYSICS=5), True, "training: no: it was made with cu_physics=5"),
        (lambda ds: ds.assign(P=ds["P"].assign_attrs(units="hPa")), False, "P of .* is in hPa"),
        (lambda ds: ds.drop_vars("T"), False, "prediction: no: T "),
        (lambda ds: ds.drop_vars("HFX").assign_attrs(TITLE="OUTPUT FROM REAL_EM V4"), False, "wrfinput"),
    ],
)
def test_any_file_is_described(
    frames: xr.Dataset, tmp_path: Path, change: Change, usable: bool, message: str
) -> None:
    result = describe_file(_changed(frames, tmp_path, change))
    assert result.usable == usable
    assert re.search(message, str(result))
    assert json.loads(json.dumps(result.to_json()))["usable"] == usable


def test_the_command_describes_them_all(
    frames: xr.Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, plain, turned = (tmp_path / f"wrfout_d01_{name}" for name in ("whole", "plain", "turned"))
    frames.isel(Time=[0]).to_netcdf(whole)
    frames.isel(Time=[1]).drop_vars(["W0AVG", "NCA"]).to_netcdf(plain)
    frames.isel(Time=[2]).rename(Time="time").to_netcdf(turned)
    for files, words in (
        ([plain], "W0AVG,NCA"),
        ([turned], "renamed"),
        ([whole, plain, turned], "of 144"),
    ):
        with pytest.raises(SystemExit) as ended:
            main(["wrf", "info", *map(str, files)])
        assert not ended.value.code
        assert words in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["wrf", "info", str(whole), str(plain), "--json", "-"])
    record = json.loads(capsys.readouterr().out)
    assert [item.get("usable", True) for item in record["files"]] == [True, False]
    assert record["files"][1]["missing"]["prediction"] == ["W0AVG"]


def test_a_file_without_wrf_variables(tmp_path: Path) -> None:
    xr.Dataset({"a": ("x", np.arange(3.0))}).to_netcdf(tmp_path / "other.nc")
    with pytest.raises(InputError, match="no variable of WRF output: it has a"):
        describe_file(tmp_path / "other.nc")


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "version", "rain"),
    [
        ("salem_wrf_d01_allvars_cropped.nc", "3.3", True),
        ("mercator_sample.nc", "3.8", True),
        ("salem_wrf_cropped.nc", "3.1", False),
    ],
)
def test_real_files(name: str, version: str, rain: bool) -> None:
    result = describe_file(SHARED / "wrf" / "real" / name)
    assert (result.version, result.usable) == (version, False)
    assert ("rain" not in result.missing) == rain
    assert {"W0AVG", "ZOL"} <= set(result.missing["prediction"])
    assert "cu_physics = 11" in str(result)
