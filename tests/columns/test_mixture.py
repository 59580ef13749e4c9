"""Columns of runs with different grid spacings, time steps and numbers of levels."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
import zarr

from sciml.cli import main
from sciml.columns import check_finite, convection_columns
from sciml.columns import write as ingest
from sciml.columns.mixture import Mixture, describe_mixture, padding, ranges
from sciml.columns.open import open_columns, write_columns
from sciml.convection.problem import Convection
from sciml.errors import InputError, SchemaError
from sciml.wrf import open_wrfout
from tests.columns.mixed_runs import write_pairs
from tests.paths import SAMPLE_OFFLINE, SAMPLE_WRFOUT, SHARED

SETTINGS = ("DX", "DT", "CUDT", "STEPCU")


@pytest.fixture(scope="module")
def whole() -> xr.Dataset:
    return convection_columns(open_wrfout(SAMPLE_WRFOUT), SAMPLE_OFFLINE).isel(column=slice(0, 600)).load()


@pytest.fixture(scope="module")
def files(whole: xr.Dataset, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three runs: 44, 40 and 44 levels; 10, 3 and 25 km; the scheme called every 5 minutes or every step."""
    folder = tmp_path_factory.mktemp("runs")
    first, second, third = (whole.isel(column=slice(k, None, 3)) for k in range(3))
    calm = third.isel(column=np.flatnonzero(third["KIND"].values == 0))
    return [
        write_pairs(folder / "mskf_pairs_a.nc", first, run=5),
        write_pairs(folder / "mskf_pairs_b.nc", second, run=6, levels=40, DX=3000.0, DT=15.0, STEPCU=20),
        write_pairs(folder / "mskf_pairs_c.nc", calm, run=8, DX=25000.0, CUDT=0.0, STEPCU=1),
    ]


def _digest(store: Path) -> str:
    digest = hashlib.sha256()
    for file in sorted(f for f in store.rglob("*") if f.is_file()):
        digest.update(str(file.relative_to(store)).encode() + file.read_bytes())
    return digest.hexdigest()


def test_runs_side_by_side(files: list[Path]) -> None:
    mixed = open_columns(files)
    parts = [open_columns(file) for file in files]
    assert mixed.sizes["level"] == 44
    assert not set(SETTINGS) & set(mixed.attrs)
    assert [mixed[name].dtype for name in SETTINGS] == ["float64", "float64", "float64", "int32"]
    assert mixed["LEVELS"].dtype == np.int32
    assert "DX 3000 to 25000 m, DT 15 to 50 s, CUDT 0 to 5 min" in mixed.attrs["history"]
    assert "40 to 44 levels" in mixed.attrs["history"]
    first = 0
    for part in parts:
        rows = slice(first, first := first + part.sizes["column"])
        mine, levels = mixed.isel(column=rows), part.sizes["level"]
        for name in SETTINGS:
            assert (mine[name] == part.attrs[name]).all()
        assert (mine["LEVELS"] == levels).all()
        for name in map(str, part.data_vars):
            values = mine[name].values
            np.testing.assert_array_equal(
                values[:, :levels] if values.ndim > 1 else values, part[name].values
            )
            assert values.ndim == 1 or np.isnan(values[:, levels:]).all()
            assert values.dtype == np.float32
    assert first == mixed.sizes["column"]


def test_what_all_runs_share_is_an_attribute(whole: xr.Dataset, files: list[Path], tmp_path: Path) -> None:
    other = write_pairs(tmp_path / "mskf_pairs_d.nc", whole.isel(column=slice(0, 9)), run=9, DX=5000.0)
    mixed = open_columns([files[0], other])
    assert (mixed.attrs["DT"], mixed.attrs["CUDT"], mixed.attrs["sciml_schema"]) == (50.0, 5.0, 2)
    assert "DX" not in mixed.attrs
    assert set(np.unique(mixed["DX"])) == {5000.0, 10000.0}
    assert not {"LEVELS", "DT", "CUDT", "STEPCU"} & set(mixed.coords)
    same = open_columns([files[0], write_pairs(tmp_path / "mskf_pairs_e.nc", whole, run=3)])
    assert same.attrs["sciml_schema"] == 1
    assert not {"LEVELS", *SETTINGS} & set(same.coords)


def test_a_wrfout_among_pairs(files: list[Path]) -> None:
    mixed = open_columns([SAMPLE_WRFOUT, files[1]], truth=SAMPLE_OFFLINE)
    assert mixed.sizes["column"] == 4032 + 200
    assert (mixed["LEVELS"].values[:4032] == 44).all()
    problem = Convection(mixed)
    assert (
        repr(problem) == "Convection(4232 columns of 40 to 44 levels, DX 3000 to 10000, DT 15 to 50, CUDT 5)"
    )


def test_a_store_of_different_runs(files: list[Path], tmp_path: Path) -> None:
    counts = write_columns(files, tmp_path / "a.zarr", workers=1)
    stored, opened = open_columns(tmp_path / "a.zarr"), open_columns(files)
    assert counts.pairs == stored.sizes["column"] == opened.sizes["column"]
    assert stored.attrs["sciml_schema"] == 2
    assert set(stored.coords) == set(opened.coords)
    for name in opened.variables:
        np.testing.assert_array_equal(stored[name].values, opened[name].values)
        assert stored[name].dtype == opened[name].dtype
    assert "40 to 44 levels" in stored.attrs["history"]
    write_columns(files, tmp_path / "b.zarr", workers=1, block_bytes=200_000)
    assert _digest(tmp_path / "a.zarr") == _digest(tmp_path / "b.zarr")
    assert write_columns(files, tmp_path / "b.zarr", workers=1) == counts  # nothing to do


@pytest.mark.dask
def test_workers_do_not_change_the_bytes(files: list[Path], tmp_path: Path) -> None:
    for name, workers in (("a.zarr", 1), ("b.zarr", 2)):
        write_columns(files, tmp_path / name, workers=workers, block_bytes=200_000)
    assert _digest(tmp_path / "a.zarr") == _digest(tmp_path / "b.zarr")


def test_an_interrupted_store_of_different_runs_resumes(
    files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_columns(files, tmp_path / "whole.zarr", workers=1, block_bytes=200_000)
    real: Callable[[Any], Any] = ingest.write_block
    begun: list[int] = []

    def writing(item: Any) -> Any:
        begun.append(item[2].number)
        if len(begun) == 3:
            raise KeyboardInterrupt
        return real(item)

    monkeypatch.setattr(ingest, "write_block", writing)
    with pytest.raises(KeyboardInterrupt):
        write_columns(files, tmp_path / "part.zarr", workers=1, block_bytes=200_000)
    done = begun[:2]
    write_columns(files, tmp_path / "part.zarr", workers=1, block_bytes=200_000)
    assert not set(done) & set(begun[3:])
    assert _digest(tmp_path / "part.zarr") == _digest(tmp_path / "whole.zarr")


def test_stores_are_joined(files: list[Path], tmp_path: Path) -> None:
    """Also one that is a mixture itself, and files."""
    write_columns(files[1:], tmp_path / "two.zarr", workers=1)
    write_columns(files[0], tmp_path / "one.zarr", workers=1)
    assert zarr.open_group(tmp_path / "one.zarr", mode="r").attrs["sciml_schema"] == 1
    joined = open_columns([tmp_path / "two.zarr", tmp_path / "one.zarr"])
    beside = open_columns([tmp_path / "two.zarr", files[0]])
    straight = open_columns([*files[1:], files[0]])
    for name in straight.variables:
        np.testing.assert_array_equal(joined[name].values, straight[name].values)
        np.testing.assert_array_equal(beside[name].values, straight[name].values)
    assert not {"plan", "classes"} & set(joined.attrs)


def test_a_store_of_a_later_schema(files: list[Path], tmp_path: Path) -> None:
    write_columns(files[0], tmp_path / "a.zarr", workers=1)
    zarr.open_group(tmp_path / "a.zarr").attrs["sciml_schema"] = 3
    with pytest.raises(SchemaError, match="has schema 3, this version reads schemas 1 to 2: upgrade sciml"):
        open_columns(tmp_path / "a.zarr")


def test_different_schemes_are_not_mixed(whole: xr.Dataset, files: list[Path], tmp_path: Path) -> None:
    other = write_pairs(tmp_path / "mskf_pairs_g.nc", whole, run=4, CU_PHYSICS=3)
    with pytest.raises(
        InputError, match=r"pairs_g.nc has outputs of cu_physics=3 but .*pairs_a.nc of cu_physics=11"
    ):
        open_columns([files[0], other])
    with pytest.raises(InputError, match="different schemes cannot be mixed"):
        write_columns([files[0], other], tmp_path / "x.zarr", workers=1)
    assert not list(tmp_path.glob("x*"))


def test_members_are_runs_if_the_file_numbers_them_so(whole: xr.Dataset, tmp_path: Path) -> None:
    """The way to hold out members of an ensemble, as the guide to WRF input describes it."""
    with xr.open_dataset(write_pairs(tmp_path / "rce.nc", whole, run=92)) as ds:
        member = xr.DataArray(np.arange(ds.sizes["column"]) % 20, dims="column")
        ds.assign(RUN=100 * ds["RUN"] + member).to_netcdf(tmp_path / "members.nc")
    write_columns(tmp_path / "members.nc", tmp_path / "members.zarr", workers=1)
    stored = open_columns(tmp_path / "members.zarr")
    np.testing.assert_array_equal(stored["RUN"], 9200 + member)
    held = stored.isel(column=np.flatnonzero(stored["RUN"].values == 9219))
    np.testing.assert_array_equal(held["T_PHY"], whole["T_PHY"].values[19::20])


@pytest.mark.parametrize("attrs", [{}, {"DX": 3000.0}])
def test_outputs_of_another_scheme_are_an_error(
    whole: xr.Dataset, files: list[Path], tmp_path: Path, attrs: dict[str, float]
) -> None:
    """Also alone, before other files, and as a dataset."""
    other = write_pairs(tmp_path / "mskf_pairs_g.nc", whole, run=4, CU_PHYSICS=3, **attrs)
    match = r"pairs_g.nc has outputs of cu_physics=3, not of MSKF: give pairs of a run with cu_physics = 11"
    for some in ([other], [other, files[0]]):
        with pytest.raises(InputError, match=match):
            open_columns(some)
        with pytest.raises(InputError, match=match):
            write_columns(some, tmp_path / "x.zarr", workers=1)
    with xr.open_dataset(other) as ds, pytest.raises(InputError, match=match):
        convection_columns(ds)
    assert not list(tmp_path.glob("x*"))


def test_only_levels_above_a_column_may_be_missing(files: list[Path]) -> None:
    mixed = open_columns(files).load()
    check_finite(mixed)
    above = padding(mixed)
    assert above is not None
    assert above.sum() == 4 * 200
    broken = mixed.copy(deep=True)
    row = int(np.flatnonzero(mixed["LEVELS"].values == 40)[3])
    broken["T_PHY"].values[row, 39] = np.nan
    broken["T_PHY"].values[row, 0] = np.inf
    with pytest.raises(InputError, match=r"T_PHY of .* contains 2 NaN or infinite values"):
        check_finite(broken)
    broken = mixed.copy(deep=True)
    broken["QVAPOR"].values[row, 0] = 7.0
    with pytest.raises(InputError, match=r"QVAPOR of .* reaches 7, and 1 of its values"):
        check_finite(broken)
    with pytest.raises(InputError, match="contains 800 NaN"):
        check_finite(mixed.drop_vars("LEVELS"))


def test_groups_of_equal_columns(files: list[Path]) -> None:
    mixed = open_columns(files)
    problem = Convection(mixed)
    groups = list(problem.uniform())
    assert sorted(np.concatenate([rows for rows, _ in groups]).tolist()) == list(range(len(problem)))
    assert [(part.settings["DX"][0], part.levels) for _, part in groups] == [
        (3000, 40),
        (10000, 44),
        (25000, 44),
    ]
    for rows, part in groups:
        values = mixed["T_PHY"].isel(column=rows).values[:, : part.levels]
        np.testing.assert_array_equal(part.columns["T_PHY"].values, values)
        assert np.isfinite(values).all()
        assert part.single() is part
    with pytest.raises(
        InputError, match=r"different runs \(DX 3000 to 25000 m, .*40 to 44 levels\).*give one run"
    ):
        problem.single()
    few = Convection(mixed.isel(column=groups[0][0])).single()
    assert (few.levels, few.columns.sizes["level"], few.columns.attrs["DT"]) == (40, 40, 15)
    with pytest.raises(InputError, match="LEVELS is 40 to 44 in profiles of 41 levels"):
        Convection(mixed.isel(level=slice(0, 41)))


def test_what_differs() -> None:
    settings = [{"DX": 3e3, "DT": 15.0}, {"DX": 3e3, "DT": 45.0}]
    assert Mixture.of(settings, [44, 44]) == Mixture({"DX": 3e3}, ("DT",), 44)
    assert Mixture.of(settings, [44, 50]).names == ("DT", "LEVELS")
    assert Mixture.of(settings[:1], [44]).names == ()
    assert describe_mixture({}) == ""
    assert describe_mixture({"DX": (3e3, 3e3), "STEPCU": (1.0, 20.0)}) == "DX 3000 m, STEPCU 1 to 20"


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["wrf", *map(str, arguments)])
    return int(ended.value.code or 0)


def test_the_commands_describe_what_differs(
    files: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("info", *files, "--json", tmp_path / "i.json") == 0
    assert "the files differ: DX 3000 to 25000 m" in " ".join(capsys.readouterr().out.split())
    assert json.loads((tmp_path / "i.json").read_text())["differing"]["LEVELS"] == [40, 44]
    assert (
        run("columns", *files, "-o", tmp_path / "s.zarr", "--workers", 1, "--json", tmp_path / "c.json") == 0
    )
    assert "the columns differ: DX 3000 to 25000 m" in " ".join(capsys.readouterr().out.split())
    assert json.loads((tmp_path / "c.json").read_text())["differing"]["DX"] == [3000, 25000]
    assert run("info", files[0]) == 0
    assert "differ" not in capsys.readouterr().out
    assert run("info", tmp_path / "s.zarr", "--json", tmp_path / "s.json") == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert (
        "columns, runs 5, 6, 8 40 to 44 levels, DX 3000 to 25000 m, DT 15 to 50 s, CUDT 0 to 5 min" in printed
    )
    (store,) = json.loads((tmp_path / "s.json").read_text())["files"]
    assert (store["form"], store["runs"], store["DX"], store["levels"]) == (
        "columns",
        [5, 6, 8],
        [3000, 25000],
        [40, 44],
    )


@pytest.mark.shared
def test_captures_of_nine_runs() -> None:
    mixed = open_columns(sorted((SHARED / "wrf" / "train2").glob("mskf_capture_r*.nc")))
    assert mixed.sizes == {"column": 8 * 3500 + 4000, "level": 50}
    between = ranges(mixed)
    assert (between["DX"], between["CUDT"], between["LEVELS"]) == ((3000, 25000), (0, 5), (44, 50))
    for _, part in Convection(mixed).uniform():
        check_finite(part.columns.isel(column=slice(0, None, 200)).load())
