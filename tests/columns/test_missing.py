"""A message lists all missing variables; its iofields line has only those that WRF does not write by default."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from sciml.columns import convection_columns
from sciml.columns.missing import absent_inputs, absent_targets
from sciml.columns.write import write_columns
from sciml.errors import MissingVariable, SciMLError
from sciml.schemes import MSKF
from sciml.wrf import open_wrfout
from sciml.wrf.missing import describe_missing
from sciml.wrf.origin import other_origin

LINE = re.compile(r"\+:h:0:([A-Z0-9_,]+)")
WRITTEN = "WRF writes (it|them) to every wrfout"


def _lines(error: BaseException) -> list[str]:
    return LINE.findall(str(error))


@pytest.mark.parametrize(
    ("field", "names"),
    [
        ("p", ["P", "PB"]),
        ("pi", ["P", "PB"]),
        ("u", ["U"]),
        ("wind_east", ["U", "V"]),
        ("z", ["PH", "PHB"]),
        ("rain", ["RAINC"]),
        ("theta", ["T"]),
        ("projected", []),
    ],
)
def test_a_single_field_of_a_subset(frames: xr.Dataset, field: str, names: list[str]) -> None:
    ds = open_wrfout(frames[["T2", "U10", "RAINNC", "Times"]])
    with pytest.raises(SciMLError) as caught:
        getattr(ds.sciml, field)
    text = str(caught.value)
    assert "run WRF again" not in text
    assert not _lines(caught.value)
    for name in names:
        assert re.search(rf"\b{name}\b", text)
    assert not names or re.search(WRITTEN, text)


def test_one_message_lists_the_variables_of_prediction_and_training(
    frames: xr.Dataset, write: object, tmp_path: Path
) -> None:
    asked = ["W0AVG", "ZOL", *MSKF.training]
    bare = frames.drop_vars([*asked, "TIMEC_KF"])
    bare.to_netcdf(tmp_path / "wrfout_d01_plain.nc")
    with pytest.raises(MissingVariable) as caught:
        write_columns(tmp_path / "wrfout_d01_plain.nc", tmp_path / "x.zarr", workers=1)
    assert [sorted(line.split(",")) for line in _lines(caught.value)] == [sorted(asked)]
    again = bare.assign({name: frames[name] for name in _lines(caught.value)[0].split(",")})
    assert absent_inputs(again) == absent_targets(again) == []
    again.to_netcdf(tmp_path / "wrfout_d01_again.nc")
    assert write_columns(tmp_path / "wrfout_d01_again.nc", tmp_path / "x.zarr", workers=1).pairs > 100


def test_targets_alone_are_missing(frames: xr.Dataset, tmp_path: Path) -> None:
    frames.drop_vars(["RUCUTEN", "CUTOP"]).to_netcdf(tmp_path / "wrfout_d01_few.nc")
    with pytest.warns(UserWarning, match=r"cannot be trained on: .*\+:h:0:RUCUTEN,CUTOP'"):
        write_columns(tmp_path / "wrfout_d01_few.nc", tmp_path / "x.zarr", workers=1)
    assert absent_targets(frames.drop_vars("RQSCUTEN")) == []


def test_another_scheme_ran(frames: xr.Dataset) -> None:
    ds = open_wrfout(frames.drop_vars("W0AVG").assign_attrs(CU_PHYSICS=6))
    with pytest.raises(MissingVariable, match=r"cu_physics = 11 \(it was made with 6\)"):
        convection_columns(ds)


def test_variables_written_by_default_and_on_request() -> None:
    text = describe_missing(["W0AVG", "HFX", "P"], "a.nc", training=["NCA"])
    asked, always = text.split("; HFX")
    assert LINE.findall(asked) == ["W0AVG,NCA"]
    assert "P (" in always
    assert re.search(WRITTEN, always)


def _named(names: list[str], title: str = "", **sizes: int) -> xr.Dataset:
    dims = tuple(sizes) or ("Time",)
    shape = tuple(sizes.values()) or (1,)
    attrs = {"TITLE": title} if title else {}
    return xr.Dataset({name: (dims, np.zeros(shape)) for name in names}, attrs=attrs)


@pytest.mark.parametrize(
    ("ds", "named"),
    [
        (_named(["TT", "UU"], "OUTPUT FROM METGRID V4.2"), "met_em"),
        (_named(["TT"], Time=1, num_metgrid_levels=3), "met_em"),
        (_named(["HGT_M"], "OUTPUT FROM GEOGRID V4.2"), "geo_em"),
        (_named(["U_1", "U_2", "MU_2", "P"], " OUTPUT FROM WRF V4.3.3 MODEL"), "wrfrst"),
        (_named(["U", "T"], " OUTPUT FROM REAL_EM V4.3.3 PREPROCESSOR"), "wrfinput"),
        (_named(["U", "T"], " OUTPUT FROM IDEAL V4.3.3 PREPROCESSOR"), "wrfinput"),
        (_named(["U_BXS", "T_BXS"]), "wrfbdy"),
        (_named(["air_pressure", "air_potential_temperature", "U"]), "xwrf"),
        (_named(["P_PL", "T_PL", "U_PL"]), "pressure levels"),
    ],
)
def test_other_files_are_named(ds: xr.Dataset, named: str) -> None:
    assert named in other_origin(ds)
    with pytest.raises(MissingVariable, match=named) as caught:
        _ = ds.sciml.z
    assert not _lines(caught.value)


def test_the_output_of_xwrf_is_named(
    frames: xr.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XWRF_CONFIG", str(tmp_path))
    pytest.importorskip("xwrf")
    made = frames.copy(deep=True).xwrf.postprocess()
    with pytest.raises(SciMLError, match="xwrf"):
        _ = made.sciml.p
    assert other_origin(frames) == ""
    assert other_origin(open_wrfout(frames)) == ""
