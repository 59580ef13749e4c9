"""Arguments of `open_wrfout`: paths of any kind, datasets and chunks work or raise one clear error."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from sciml.errors import InputError
from sciml.wrf import open_wrfout
from sciml.wrf.opening import expand
from tests.paths import SAMPLE_WRFOUT

Writer = Callable[[xr.Dataset, str], Path]


class _PathLike:
    def __init__(self, path: Path) -> None:
        self._path = path

    def __fspath__(self) -> str:
        return str(self._path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three files with names of a run."""
    for hour in range(3):
        (tmp_path / f"wrfout_d01_2007-06-10_0{hour}:00:00").touch()
    return tmp_path


def test_home_directory(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(folder.parent))
    inside = sorted(folder.iterdir())
    assert expand(f"~/{folder.name}") == inside
    assert expand(Path("~") / folder.name / "wrfout_d01*") == inside
    assert expand([f"~/{folder.name}/{inside[1].name}"]) == [inside[1]]


def test_kinds_of_paths(folder: Path) -> None:
    inside = sorted(folder.iterdir())
    for given in (
        folder,
        str(folder),
        _PathLike(folder),
        (path for path in inside),
        [_PathLike(path) for path in inside],
        np.array([str(path) for path in inside]),
        dict.fromkeys(inside),
        iter([str(folder / "*_00:*"), str(folder / "*_01:*"), str(folder / "*_02:*")]),
    ):
        assert expand(given) == inside


def test_domains_beyond_the_ninth(tmp_path: Path) -> None:
    (tmp_path / "wrfout_d10_2007-06-10_00:00:00").touch()
    assert len(expand(tmp_path)) == 1


@pytest.mark.parametrize("given", [[], (), iter([]), "", "  ", ["", "x"], [[]], None, 7, [None], {"a": 1}])
def test_objects_that_are_not_paths(given: Any) -> None:
    with pytest.raises(InputError):
        open_wrfout(given)


@pytest.mark.parametrize("given", ["https://example.org/wrfout_d01.nc", ["s3://bucket/wrfout_d01*"]])
def test_a_url(given: Any) -> None:
    with pytest.raises(InputError, match="is a URL, and only files are read: download it"):
        open_wrfout(given)


def test_a_folder_without_wrf_output(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^\S+ is empty: it contains no wrfout_d0\* files$"):
        expand(tmp_path)
    for name in ("wrfinput_d01", "wrfbdy_d01", "namelist.input", "rsl.out.0000"):
        (tmp_path / name).touch()
    message = (
        r"^\S+ contains no wrfout_d0\* files, but namelist\.input, rsl\.out\.0000, wrfbdy_d01, wrfinput_d01: "
    )
    with pytest.raises(InputError, match=message + "give the files to open, by their names or a pattern$"):
        expand(tmp_path)
    for name in ("a.nc", "b.nc", "post"):
        (tmp_path / name).mkdir() if name == "post" else (tmp_path / name).touch()
    with pytest.raises(InputError, match=r"but a\.nc, b\.nc, .*, post/, .* and 2 more: give .*\*\.nc'$"):
        expand(tmp_path)
    below = tmp_path / "post" / "run1"
    below.mkdir()
    (below / "wrfout_d01_2007-06-10_00:00:00").touch()
    with pytest.raises(InputError, match=r"but run1/: give the files to open, such as '.*/\*/wrfout_d01\*'$"):
        expand(tmp_path / "post")


def test_a_folder_of_several_domains(folder: Path) -> None:
    (folder / "wrfout_d02_2007-06-10_00:00:00").touch()
    with pytest.raises(InputError, match=r"2 domains \(wrfout_d01, wrfout_d02\): choose one"):
        open_wrfout(folder)


def test_missing_files(folder: Path) -> None:
    with pytest.raises(InputError, match=r"no file matches this pattern; .* contains wrfout_d01_2007"):
        expand(folder / "wrfout_d03*")
    with pytest.raises(InputError, match=r"there is no directory .*runs"):
        expand(folder / "runs" / "wrfout_d01*")
    with pytest.raises(InputError, match=r"no such file: .*wrfout_d02 \(.* contains wrfout_d01"):
        expand(str(folder / "wrfout_d02"))
    with pytest.raises(InputError, match="no such file"):
        expand([*folder.iterdir(), "no/such/*/file*"])
    with pytest.raises(InputError):
        expand("wrfout\x00")
    with pytest.raises(InputError):
        expand("x" * 5000)


def test_lists_of_datasets(frames: xr.Dataset, write: Writer) -> None:
    parts = [frames.isel(Time=[k]) for k in range(3)]
    mixed: list[Any] = [parts[2], write(parts[0], "a.nc"), str(write(parts[1], "b.nc"))]
    for given in (parts, parts[::-1], iter(parts), mixed):
        ds = open_wrfout(given)
        np.testing.assert_array_equal(ds["T"].values, frames["T"].values)
        assert (np.diff(ds["Time"].values) > np.timedelta64(0, "s")).all()
    opened = [open_wrfout(part) for part in parts]
    np.testing.assert_array_equal(open_wrfout(opened)["T2"].values, frames["T2"].values)


def test_reversed_time(sample: xr.Dataset, frames: xr.Dataset, write: Writer) -> None:
    back = frames.isel(Time=slice(None, None, -1))
    first = write(back, "back.nc")
    second = [write(back.isel(Time=[0, 1]), "b.nc"), write(back.isel(Time=[2]), "a.nc")]
    for given in (back, first, second, [back.isel(Time=[k]) for k in range(3)]):
        ds = open_wrfout(given)
        np.testing.assert_array_equal(ds["Time"].values, sample["Time"].values[:3])
        np.testing.assert_array_equal(ds["T"].values, frames["T"].values)
        np.testing.assert_array_equal(ds["XTIME"].values, frames["XTIME"].values)


@pytest.mark.parametrize(
    ("chunks", "wanted"),
    [
        ("auto", (7,)),
        (-1, (7,)),
        ({}, (7,)),
        ({"Time": "auto"}, (7,)),
        ({"Time": -1}, (7,)),
        ({"Time": 3}, (3, 3, 1)),
        ({"Time": (4, 3)}, (4, 3)),
        (4, (4, 3)),
        ({"south_north": 5}, (7,)),
        ({"Time": np.int64(2)}, (2, 2, 2, 1)),
    ],
)
def test_chunks_as_in_xarray(sample: xr.Dataset, chunks: Any, wanted: tuple[int, ...]) -> None:
    ds = open_wrfout(SAMPLE_WRFOUT, chunks=chunks)["T2"]
    assert ds.chunks is not None
    assert ds.chunks[0] == wanted
    np.testing.assert_array_equal(ds.values, sample["T2"].values)


@pytest.mark.parametrize(
    ("chunks", "wanted"),
    [({}, (2, 1)), (-1, (3,)), ("auto", (3,)), ({"Time": 1}, (1, 1, 1)), ({"west_east": 7}, (2, 1))],
)
def test_chunks_of_several_files(
    frames: xr.Dataset, write: Writer, chunks: Any, wanted: tuple[int, ...]
) -> None:
    files = [write(frames.isel(Time=[0, 1]), "a.nc"), write(frames.isel(Time=[2]), "b.nc")]
    ds = open_wrfout(files, chunks=chunks)["T2"]
    assert ds.chunks is not None
    assert ds.chunks[0] == wanted
    np.testing.assert_array_equal(ds.values, frames["T2"].values)


@pytest.mark.parametrize(
    "chunks", ["all", 0, -2, True, 1.5, {"Time": 0}, {"time": 1}, {"Time": "big"}, {"Time": (5, 5)}, [1]]
)
def test_invalid_chunks(chunks: Any) -> None:
    with pytest.raises(InputError, match=r"chunks=.* cannot be used .*: give lengths by dimension"):
        open_wrfout(SAMPLE_WRFOUT, chunks=chunks)
