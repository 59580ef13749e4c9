"""Missing global attributes are derived, or one message names them with the remedy; none is assumed silently."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import xarray as xr

from sciml.columns import convection_columns
from sciml.columns.formats import scheme_attrs
from sciml.errors import InputError
from sciml.wrf import open_wrfout
from sciml.wrf.vertical import AssumedInput


def _buckets(**counts: list[int]) -> xr.Dataset:
    dims = ("Time", "south_north", "west_east")
    values = {name: (dims, np.array([5.0, 9.0], "f4").reshape(2, 1, 1)) for name in ("RAINC", "RAINNC")}
    return xr.Dataset(values | {k: (dims, np.array(v).reshape(2, 1, 1)) for k, v in counts.items()})


@pytest.mark.parametrize("name", ["I_RAINC", "I_RAINNC"])
def test_a_missing_bucket_size_is_named(name: str) -> None:
    with pytest.raises(InputError, match=r"I_RAINN?C up to 2.*BUCKET_MM.*ds.attrs\['BUCKET_MM'\]"):
        _ = _buckets(**{name: [0, 2]}).sciml.rain_total
    np.testing.assert_allclose(_buckets(**{name: [0, 0]}).sciml.rain_total.values.ravel(), [10, 18])
    both = _buckets(I_RAINC=[0, 2], I_RAINNC=[1, 1]).assign_attrs(BUCKET_MM=np.float32(100))
    np.testing.assert_allclose(both.sciml.rain_total.values.ravel(), [110, 318])


def test_a_bucket_size_that_is_not_a_number() -> None:
    with pytest.raises(InputError, match="BUCKET_MM = 'much'"):
        _ = _buckets().assign_attrs(BUCKET_MM="much").sciml.rain_total


def test_missing_settings_are_named_in_one_message(frames: xr.Dataset) -> None:
    bare = open_wrfout(frames)
    bare.attrs = {key: value for key, value in bare.attrs.items() if key not in ("DX", "DT", "CUDT")}
    with pytest.raises(InputError, match=r"attributes DX, DT, CUDT .*ds.attrs\['CUDT'\] = "):
        convection_columns(bare)
    assert scheme_attrs(bare.assign_attrs(DX=3000.0, DT=15.0, CUDT=0.0))["STEPCU"] == 1


def _theta(attrs: dict[str, object], description: str = "", thm: bool = False) -> xr.Dataset:
    about = {"description": description} if description else {}
    values = {"T": ("Time", np.array([3.0], "f4"), about), "QVAPOR": ("Time", np.array([0.01], "f4"))}
    if thm:
        values = {"THM": values["T"], "QVAPOR": values["QVAPOR"]}
    return xr.Dataset(values, attrs=attrs)


def test_theta_without_use_theta_m() -> None:
    with pytest.raises(InputError, match="USE_THETA_M"):
        _ = _theta({"TITLE": "OUTPUT FROM WRF V3.8.1 MODEL"}).sciml.theta
    with pytest.raises(InputError, match="USE_THETA_M"):
        _ = _theta({}, "either 1) pert moist pot temp").sciml.theta
    with pytest.raises(InputError, match="USE_THETA_M"):
        _ = _theta({"TITLE": "OUTPUT FROM WRF V4.3 MODEL"}, thm=True).sciml.theta
    with pytest.warns(AssumedInput, match="USE_THETA_M"):
        assert float(_theta({}).sciml.theta[0]) == 303
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert float(_theta({"TITLE": "OUTPUT FROM WRF V4.3 MODEL"}).sciml.theta[0]) == 303


def test_a_missing_scheme_causes_a_warning(frames: xr.Dataset) -> None:
    bare = open_wrfout(frames)
    bare.attrs = {key: value for key, value in bare.attrs.items() if key != "CU_PHYSICS"}
    with pytest.warns(AssumedInput, match="CU_PHYSICS"):
        assert "RTHCUTEN" in bare.isel(Time=[1]).sciml.columns()
