"""Statistics files of another version of the library, damaged ones, and several that do not belong together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from typer.testing import CliRunner

from sciml.cli import app
from sciml.errors import InputError
from sciml.verify.library.mode_statistics import ATTRIBUTES, SUMS, read_statistics

LEVELS = 6


def statistics() -> xr.Dataset:
    """The statistics of a run in mode guard."""
    values = {name: ((), np.int64(7)) for name in (*SUMS, "NOVELTY") if name not in ("CONFUSION", "HEIGHT")}
    attributes = dict.fromkeys(ATTRIBUTES, 3) | {"MODE": "guard"}
    return xr.Dataset({**values, "HEIGHT": ("bottom_top", np.arange(LEVELS) * 500.0)}, attrs=attributes)


def report(path: Path) -> str:
    shown = CliRunner().invoke(app, ["coupling", "report", str(path)])
    assert shown.exit_code == 2
    return " ".join(shown.output.split())


def test_statistics_are_summed(tmp_path: Path) -> None:
    paths = [tmp_path / f"sciml_mskf_guard_{number}.nc" for number in range(2)]
    for path in paths:
        statistics().to_netcdf(path)
    assert read_statistics(paths).sums["RETURNED"] == 14


@pytest.mark.parametrize("name", [*ATTRIBUTES, "RETURNED", "UNSOUND", "NOVELTY"])
def test_an_attribute_or_a_variable_is_missing(tmp_path: Path, name: str) -> None:
    made = statistics().assign(CONFUSION=(("a", "b"), np.ones((3, 3))))
    if name in made:
        made = made.drop_vars(name)
    else:
        del made.attrs[name]
    path = tmp_path / "sciml_mskf_guard_1.nc"
    made.to_netcdf(path)
    with pytest.raises(InputError, match=rf"guard_1\.nc does not have {name}: .*the library of this version"):
        read_statistics([path])
    assert f"does not have {name}" in report(path)


def test_files_of_two_versions(tmp_path: Path) -> None:
    statistics().to_netcdf(tmp_path / "sciml_mskf_guard_1.nc")
    statistics().drop_vars("SHALLOW").to_netcdf(tmp_path / "sciml_mskf_guard_2.nc")
    with pytest.raises(InputError, match="has SHALLOW: they are of two versions of the library"):
        read_statistics(tmp_path.glob("*.nc"))


@pytest.mark.parametrize("size", [0, 3, 200])
def test_a_file_that_was_cut_off(tmp_path: Path, size: int) -> None:
    path = tmp_path / "sciml_mskf_guard_1.nc"
    statistics().to_netcdf(path)
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(InputError, match=r"guard_1\.nc"):
        read_statistics([path])
    assert path.name in report(path)
