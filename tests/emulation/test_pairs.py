"""Pairs come from any netCDF file with columns and levels; what does not fit the declaration is an error."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from sciml.emulation import open_groups, open_pairs
from sciml.errors import InputError, MissingVariable
from sciml.schemes import ColumnScheme
from workflows.kessler.soundings import pairs


@pytest.fixture
def file(rainy: xr.Dataset, tmp_path: Path) -> Path:
    rainy.to_netcdf(tmp_path / "pairs.nc")
    return tmp_path / "pairs.nc"


def test_files_are_joined(kessler: ColumnScheme, rainy: xr.Dataset, file: Path) -> None:
    made = open_pairs([file, file], kessler)
    assert made.sizes == {"column": 2 * rainy.sizes["column"], "level": rainy.sizes["level"]}
    np.testing.assert_array_equal(made["qv"].values[160:], rainy["qv"].values)


def test_other_names_and_orders_of_dimensions(
    kessler: ColumnScheme, rainy: xr.Dataset, tmp_path: Path
) -> None:
    path = tmp_path / "other.nc"
    other = rainy.rename({"qv": "Q", "column": "cell", "level": "z"}).transpose("z", "cell")
    other.assign(note=("other", np.ones(3))).astype(np.float64).to_netcdf(path)
    made = open_pairs(path, kessler, rename={"Q": "qv", "cell": "column", "z": "level"})
    xr.testing.assert_equal(made, rainy[list(map(str, made))])


def test_units_are_converted(kessler: ColumnScheme, rainy: xr.Dataset, tmp_path: Path) -> None:
    other = rainy.copy()
    other["pressure"] = (rainy["pressure"] / 100).assign_attrs(units="hPa")
    other["qv"] = (rainy["qv"] * 1000).assign_attrs(units="g kg-1")
    other["theta"] = (rainy["theta"] - 273.15).assign_attrs(units="degC")
    other.to_netcdf(tmp_path / "hpa.nc")
    made = open_pairs(tmp_path / "hpa.nc", kessler)
    for name in ("pressure", "qv", "theta"):
        np.testing.assert_allclose(made[name], rainy[name], rtol=1e-14)
        assert made[name].units == {"pressure": "Pa", "qv": "kg kg-1", "theta": "K"}[name]


def test_inputs_alone_suffice_without_targets(
    kessler: ColumnScheme, rainy: xr.Dataset, tmp_path: Path
) -> None:
    rainy.drop_vars(["rain", "qv_tendency"]).to_netcdf(tmp_path / "inputs.nc")
    assert set(open_pairs(tmp_path / "inputs.nc", kessler, targets=False)) == set(kessler.input_names)
    with pytest.raises(
        MissingVariable, match=r"inputs\.nc has no qv_tendency, rain, which the scheme kessler has"
    ):
        open_pairs(tmp_path / "inputs.nc", kessler)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda ds: ds.assign(qv=ds.qv.assign_attrs(units="Pa")),
            "qv of .* is in 'Pa', and the scheme declares",
        ),
        (lambda ds: ds.assign(qv=ds.qv * np.nan), r"qv of .* has 3200 values that are not finite"),
        (lambda ds: ds.assign(qc=ds.qc - 1), r"qc of .* 3200 values outside its bounds 0 to 0\.1, such as -"),
        (lambda ds: ds.assign(qc=ds.rain), r"qc of .* has the dimensions \(column\), and is a profile"),
        (lambda ds: ds.assign(rain=ds.qc), r"rain of .*, and is a scalar: give \(column\)"),
        (lambda ds: ds.rename(level="z"), r"has the dimensions .*: name them column and level"),
        (lambda ds: ds.isel(column=slice(0)), "has 0 columns of 20 levels"),
        (
            lambda ds: ds.isel(level=slice(19)),
            r"wrong\.nc has 19 levels, and the scheme kessler is declared for 20 or more: give columns of more levels",
        ),
        (
            lambda ds: ds.assign_attrs(scheme="thompson"),
            r"wrong\.nc has pairs of the scheme thompson .*, and the declaration is of kessler: give pairs of one",
        ),
    ],
)
def test_what_does_not_fit_is_an_error(
    kessler: ColumnScheme, rainy: xr.Dataset, tmp_path: Path, change: object, message: str
) -> None:
    assert callable(change)
    change(rainy).to_netcdf(tmp_path / "wrong.nc")
    with pytest.raises(InputError, match=message):
        open_pairs(tmp_path / "wrong.nc", kessler)


def test_files_of_other_levels_are_groups(kessler: ColumnScheme, rainy: xr.Dataset, file: Path) -> None:
    other = file.parent / "other.nc"
    pairs(7, 23, seed=4).to_netcdf(other)
    with pytest.raises(
        InputError, match=r"other\.nc has 23 levels and .*pairs\.nc has 20: open them with open_gr"
    ):
        open_pairs([file, other], kessler)
    fewer, more = open_groups([other, file, other], kessler)
    assert fewer.sizes == {"column": 160, "level": 20} and more.sizes == {"column": 14, "level": 23}
    xr.testing.assert_equal(fewer, rainy[list(map(str, fewer))])


def test_pairs_of_two_schemes_are_an_error(kessler: ColumnScheme, rainy: xr.Dataset, file: Path) -> None:
    other = file.parent / "other.nc"
    rainy.assign_attrs(scheme="thompson").to_netcdf(other)
    for opened in (open_pairs, open_groups):
        with pytest.raises(InputError, match=r"other\.nc has pairs of the scheme thompson by its attribute"):
            opened([file, other], kessler)
    rainy.drop_attrs(deep=False).to_netcdf(other)  # a file that names no scheme
    assert open_pairs([file, other], kessler).sizes["column"] == 320


def test_a_file_that_is_no_netcdf_is_an_error(kessler: ColumnScheme, tmp_path: Path) -> None:
    (tmp_path / "text.nc").write_text("no")
    with pytest.raises(InputError, match=r"cannot read .*text\.nc"):
        open_pairs(tmp_path / "text.nc", kessler)
    with pytest.raises(InputError, match=r"cannot read .*none\.nc"):
        open_pairs(tmp_path / "none.nc", kessler)
