"""`sciml convection analogs`: predictions, scores, page and figure, other levels, and errors as one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from sciml.cli import main
from sciml.columns.open import open_columns
from sciml.convection import AnalogMemory
from tests.paths import SAMPLE_OFFLINE, SAMPLE_WRFOUT


def run(*arguments: Any) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["convection", "analogs", *map(str, arguments)])
    code = ended.value.code
    return code if isinstance(code, int) else 0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of the western half of the sample as run 1, and pairs of the eastern half as run 2."""
    folder = tmp_path_factory.mktemp("analogs")
    sample = open_columns(SAMPLE_WRFOUT, truth=SAMPLE_OFFLINE).isel(column=slice(None, None, 13)).load()
    east = sample["west_east"].values >= 12
    for name, rows, number in (("west", ~east, 1), ("east", east, 2)):
        part = sample.isel(column=np.flatnonzero(rows))
        part = part.assign_coords(RUN=("column", np.full(part.sizes["column"], number, np.int32)))
        part.chunk(column=-1).drop_encoding().to_zarr(
            folder / f"{name}.zarr", zarr_format=3, consolidated=False
        )
    return folder


def test_predictions_scores_page_and_figure(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    west, east = folder / "west.zarr", folder / "east.zarr"
    written = [tmp_path / name for name in ("o.nc", "n.json", "p.html", "f.png")]
    options = [x for pair in zip(("-o", "--json", "--html", "--figure"), written, strict=True) for x in pair]
    assert run(west, east, "--features", "profiles", "--members", 5, "--coverage", 0.8, *options) == 0
    printed = capsys.readouterr().out
    assert "5 members" in printed
    assert "interval of 80%" in printed
    numbers = json.loads(written[1].read_text())
    columns = open_columns(east).load()
    expected = AnalogMemory(open_columns(west), members=5).predict(columns, coverage=0.8)
    with xr.open_dataset(written[0]) as answer:
        np.testing.assert_allclose(answer["RTHCUTEN_HIGH"], expected["RTHCUTEN_HIGH"], rtol=1e-6)
        np.testing.assert_array_equal(answer["west_east"], columns["west_east"])
        assert answer["NOVELTY"].attrs["units"] == "1"
    truth, mean = columns["RTHCUTEN"].values.astype(float), expected["RTHCUTEN"].values
    scores = numbers["outputs"]["all"]["RTHCUTEN"]
    assert scores["r2"] == pytest.approx(1 - np.square(mean - truth).mean() / truth.var(), rel=1e-6)
    low, high = (expected[f"RTHCUTEN_{end}"].values for end in ("LOW", "HIGH"))
    inside = ((truth >= low) & (truth <= high))[truth != 0]
    assert scores["coverage"] == pytest.approx(inside.mean(), rel=1e-6)
    assert scores["crps"] == pytest.approx(float(expected["RTHCUTEN_CRPS"].mean()) / truth.std(), rel=1e-6)
    assert numbers["novelty"]["above_1"] == pytest.approx(float((expected["NOVELTY"] > 1).mean()))
    novel = numbers["outputs"]["novelty above 1"]["RTHCUTEN"]["columns"]
    assert novel == int((expected["NOVELTY"] > 1).sum())
    page = written[2].read_text()
    assert "data:image/png" in page
    assert "effective members" in page
    assert written[3].read_bytes().startswith(b"\x89PNG")


def test_plume_on_other_levels_and_without_truth(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Columns with fewer levels are predicted by the plume, on their own levels; profiles are refused."""
    columns = open_columns(folder / "east.zarr").load()
    fewer = columns.isel(level=slice(0, 40)).drop_vars(["RTHCUTEN", "RQVCUTEN"])
    fewer["KIND"] = fewer["KIND"] * 0 - 1  # not known
    fewer.drop_encoding().to_zarr(tmp_path / "fewer.zarr", zarr_format=3, consolidated=False)
    assert run(folder / "west.zarr", tmp_path / "fewer.zarr", "-o", tmp_path / "o.nc") == 0
    assert "have no true tendencies" in capsys.readouterr().out
    assert run(folder / "west.zarr", folder / "east.zarr", "-o", tmp_path / "all.nc", "-q") == 0
    with xr.open_dataset(tmp_path / "o.nc") as answer, xr.open_dataset(tmp_path / "all.nc") as whole:
        assert answer.sizes["level"] == 40
        own, full = answer["RTHCUTEN"].values, whole["RTHCUTEN"].values[:, :40]
        assert np.square(own - full).mean() < 0.3 * np.square(full).mean()
    assert run(folder / "west.zarr", tmp_path / "fewer.zarr", "--features", "profiles") == 2
    assert "columns of 40 levels, the stored ones have 44" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--members", 5000], "stored columns for 5000 members: give more columns, or fewer members"),
        (["--coverage", 90], "--coverage 90.0: give a number between 0 and 1, such as 0.9"),
        (["--tendency", "RTH"], "the columns do not have RTH"),
        (["--output", "o.txt"], "--output o.txt: give a netCDF file, such as o.nc"),
        (["--exclude", 1], "--exclude leaves no column: the files contain RUN 1"),
        (["--run", 7], "no column of RUN 7: the files contain RUN 2"),
        (["--features", "nothing"], "no checkpoint 'nothing'"),
    ],
)
def test_errors(folder: Path, capsys: pytest.CaptureFixture[str], options: list[Any], text: str) -> None:
    assert run(folder / "west.zarr", folder / "east.zarr", *options) == 2
    error = capsys.readouterr().err
    assert text in error
    assert len(error.strip().splitlines()) == 1
