"""Perturbed initial states: only theta changes, by the given size."""

from __future__ import annotations

from pathlib import Path

import netCDF4
import numpy as np
import pytest
import xarray as xr
from typer.testing import CliRunner

from sciml.cli import app
from sciml.errors import InputError
from sciml.wrf.perturb import MARK, perturb

DIMS = ("Time", "bottom_top", "south_north", "west_east")
SHAPE = (1, 20, 12, 15)


def start(
    path: Path, names: tuple[str, ...] = ("T", "THM"), form: str = "NETCDF4", dtype: str = "f4"
) -> Path:
    """An initial state with theta from 285 to 480 K, and moisture."""
    rng = np.random.default_rng(19)
    theta = np.linspace(285.0, 480.0, SHAPE[1])[:, None, None] + rng.normal(0, 0.5, SHAPE)
    moist = 1 + 1.61 * 0.012 * np.linspace(1, 0, SHAPE[1])[:, None, None]
    fields = {name: (DIMS, (theta * (moist if "THM" in name else 1) - 300).astype(dtype)) for name in names}
    fields["QVAPOR"] = (DIMS, rng.uniform(0, 0.012, SHAPE).astype("f4"))
    fields["IVGTYP"] = (("Time", *DIMS[2:]), rng.integers(1, 20, (1, *SHAPE[2:])).astype("i4"))
    ds = xr.Dataset(fields, attrs={"TITLE": " OUTPUT FROM REAL_EM V4.3.3", "DX": np.float32(3000)})
    ds.to_netcdf(path, format=form)
    return path


def raw(path: Path) -> dict[str, np.ndarray]:
    with netCDF4.Dataset(path) as file:
        file.set_auto_maskandscale(False)
        return {name: np.asarray(variable[:]) for name, variable in file.variables.items()}


@pytest.mark.parametrize("form", ["NETCDF4", "NETCDF3_64BIT"])
@pytest.mark.parametrize(
    "names", [("T", "THM"), ("T",), ("THM",), ("THM_1", "THM_2"), ("T_1", "T_2")], ids=" ".join
)
def test_only_theta_changes_and_by_the_given_size(tmp_path: Path, names: tuple[str, ...], form: str) -> None:
    source = start(tmp_path / "wrfinput_d01", names, form)
    result = perturb(source, tmp_path / "perturbed", size=1e-6, seed=23)
    before, after = raw(source), raw(tmp_path / "perturbed")
    assert result.variables == names
    for name in names:
        theta = before[name].astype(np.float64) + 300
        relative = (after[name].astype(np.float64) + 300) / theta - 1
        assert np.std(relative) == pytest.approx(1e-6, rel=0.05)
        assert abs(np.mean(relative)) < 4e-6 / np.sqrt(relative.size)
        assert np.abs(relative).max() < 6e-6
    for name in set(before) - set(names):
        assert (before[name] == after[name]).all()
    assert set(after) == set(before)
    with netCDF4.Dataset(source) as first, netCDF4.Dataset(tmp_path / "perturbed") as other:
        assert set(other.ncattrs()) - set(first.ncattrs()) == {MARK, "history", "sciml_provenance"}
        assert all(first.getncattr(name) == other.getncattr(name) for name in first.ncattrs())
        assert "seed 23" in other.getncattr(MARK)
        assert "1e-06" in other.history


def test_dry_and_moist_theta_get_the_same_numbers(tmp_path: Path) -> None:
    """Their ratio, the moisture, does not change; doubles are used so that rounding does not hide a change."""
    source = start(tmp_path / "wrfinput_d01", dtype="f8")
    perturb(source, tmp_path / "perturbed", size=1e-3)
    before, after = raw(source), raw(tmp_path / "perturbed")
    ratio = [(values["THM"] + 300) / (values["T"] + 300) for values in (before, after)]
    assert np.allclose(*ratio, rtol=1e-12)


def test_the_result_depends_on_the_seed(tmp_path: Path) -> None:
    source = start(tmp_path / "wrfinput_d01")
    files = [tmp_path / name for name in ("one", "again", "other")]
    for path, seed in zip(files, (3, 3, 4), strict=True):
        perturb(source, path, seed=seed)
    first, again, other = (raw(path)["T"] for path in files)
    assert (first == again).all()
    assert (first != other).mean() > 0.5


def test_only_a_perturbed_copy_is_overwritten(tmp_path: Path) -> None:
    source = start(tmp_path / "wrfinput_d01")
    chosen = source.read_bytes()
    perturb(source, tmp_path / "perturbed", seed=3)
    perturb(source, tmp_path / "perturbed", seed=4)
    other = start(tmp_path / "wrfinput_d02")
    link = tmp_path / "link"
    link.symlink_to(source)
    for output, words in (
        (source, "one of the inputs"),
        (link, "one of the inputs"),
        (other, "not a perturbed copy"),
    ):
        with pytest.raises(InputError, match=words):
            perturb(source, output)
    assert source.read_bytes() == chosen
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "link",
        "perturbed",
        "wrfinput_d01",
        "wrfinput_d02",
    ]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"size": 0.0}, "above 0"),
        ({"size": -1e-6}, "above 0"),
        ({"size": float("nan")}, "above 0"),
        ({"size": 0.5}, "at most 0.01"),
        ({"size": 1e-9}, "below the precision of"),
        ({"seed": -1}, "seed -1"),
    ],
)
def test_refused(tmp_path: Path, options: dict[str, float], words: str) -> None:
    source = start(tmp_path / "wrfinput_d01")
    with pytest.raises(InputError, match=words):
        perturb(source, tmp_path / "out", **options)
    assert [path.name for path in tmp_path.iterdir()] == ["wrfinput_d01"]


def test_files_without_an_initial_state(tmp_path: Path) -> None:
    without = start(tmp_path / "wrfbdy_d01", names=())
    text = tmp_path / "namelist.input"
    text.write_text("&time_control\n")
    for source, words in (
        (without, "neither T nor THM"),
        (text, "cannot be opened as netCDF"),
        (tmp_path / "none", "no such file"),
    ):
        with pytest.raises(InputError, match=words):
            perturb(source, tmp_path / "out")


def test_the_command(tmp_path: Path) -> None:
    source = start(tmp_path / "wrfinput_d01")
    words = ["wrf", "perturb", str(source), "-o", str(tmp_path / "out"), "--seed", "11", "--size", "1e-5"]
    shown = CliRunner().invoke(app, words)
    assert shown.exit_code == 0, shown.output
    assert "T, THM perturbed, theta times 1 + 1e-05 N(0,1), seed 11" in shown.output
    shown = CliRunner().invoke(app, ["wrf", "perturb", str(source), "-o", str(source)])
    assert shown.exit_code == 2
    assert "one of the inputs" in shown.output
