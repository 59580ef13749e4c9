"""What may be given to open: paths of any kind, datasets, chunks; each works or is one clear error."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from sciml.errors import InputError
from sciml.wrf import open_wrfout
from sciml.wrf.reading import expand
from tests.paths import SAMPLE_WRFOUT

Writer = Callable[[xr.Dataset, str], Path]


class _PathLike:
    def __init__(self, path: Path) -> None:
        self._path = path

    def __fspath__(self) -> str:
        return str(self._path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three names that look like a run's."""
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
def test_no_path_at_all(given: Any) -> None:
    with pytest.raises(InputError):
        open_wrfout(given)


@pytest.mark.parametrize("given", ["https://example.org/wrfout_d01.nc", ["s3://bucket/wrfout_d01*"]])
def test_a_url(given: Any) -> None:
    with pytest.raises(InputError, match="is a URL, and only files are read: download it"):
        open_wrfout(given)


def test_a_folder_without_wrf_output(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no wrfout_d0\* files, but nothing at all"):
        expand(tmp_path)
    for name in ("wrfinput_d01", "wrfbdy_d01", "namelist.input", "rsl.out.0000", "a.nc", "b.nc"):
        (tmp_path / name).touch()
    (tmp_path / "post").mkdir()
    message = r"but a\.nc, b\.nc, namelist\.input, post/, rsl\.out\.0000 and 2 more; give the files.*\*\.nc'"
    with pytest.raises(InputError, match=message):
        expand(tmp_path)
    below = tmp_path / "post"
    (below / "run1").mkdir()
    with pytest.raises(InputError, match=r"but run1/; give the files to open.*post/\*/wrfout_d01\*'"):
        expand(below)


def test_a_folder_of_several_domains(folder: Path) -> None:
    (folder / "wrfout_d02_2007-06-10_00:00:00").touch()
    with pytest.raises(InputError, match=r"2 domains \(wrfout_d01, wrfout_d02\): choose one"):
        open_wrfout(folder)


def test_nothing_there(folder: Path) -> None:
    with pytest.raises(InputError, match=r"no file matches this pattern; .* holds wrfout_d01_2007"):
        expand(folder / "wrfout_d03*")
    with pytest.raises(InputError, match=r"there is no directory .*runs"):
        expand(folder / "runs" / "wrfout_d01*")
    with pytest.raises(InputError, match=r"no such file: .*wrfout_d02 \(.* holds wrfout_d01"):
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
        found = open_wrfout(given)
        np.testing.assert_array_equal(found["T"].values, frames["T"].values)
        assert (np.diff(found["Time"].values) > np.timedelta64(0, "s")).all()
    opened = [open_wrfout(part) for part in parts]
    np.testing.assert_array_equal(open_wrfout(opened)["T2"].values, frames["T2"].values)


def test_time_that_runs_backwards(sample: xr.Dataset, frames: xr.Dataset, write: Writer) -> None:
    back = frames.isel(Time=slice(None, None, -1))
    one = write(back, "back.nc")
    two = [write(back.isel(Time=[0, 1]), "b.nc"), write(back.isel(Time=[2]), "a.nc")]
    for given in (back, one, two, [back.isel(Time=[k]) for k in range(3)]):
        found = open_wrfout(given)
        np.testing.assert_array_equal(found["Time"].values, sample["Time"].values[:3])
        np.testing.assert_array_equal(found["T"].values, frames["T"].values)
        np.testing.assert_array_equal(found["XTIME"].values, frames["XTIME"].values)


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
    found = open_wrfout(SAMPLE_WRFOUT, chunks=chunks)["T2"]
    assert found.chunks is not None
    assert found.chunks[0] == wanted
    np.testing.assert_array_equal(found.values, sample["T2"].values)


@pytest.mark.parametrize(
    ("chunks", "wanted"),
    [({}, (2, 1)), (-1, (3,)), ("auto", (3,)), ({"Time": 1}, (1, 1, 1)), ({"west_east": 7}, (2, 1))],
)
def test_chunks_of_several_files(
    frames: xr.Dataset, write: Writer, chunks: Any, wanted: tuple[int, ...]
) -> None:
    files = [write(frames.isel(Time=[0, 1]), "a.nc"), write(frames.isel(Time=[2]), "b.nc")]
    found = open_wrfout(files, chunks=chunks)["T2"]
    assert found.chunks is not None
    assert found.chunks[0] == wanted
    np.testing.assert_array_equal(found.values, frames["T2"].values)


@pytest.mark.parametrize(
    "chunks", ["all", 0, -2, True, 1.5, {"Time": 0}, {"time": 1}, {"Time": "big"}, {"Time": (5, 5)}, [1]]
)
def test_chunks_that_cannot_be_made(chunks: Any) -> None:
    with pytest.raises(InputError, match=r"chunks=.* cannot be used .*: give lengths by dimension"):
        open_wrfout(SAMPLE_WRFOUT, chunks=chunks)
