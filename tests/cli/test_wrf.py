from __future__ import annotations

from pathlib import Path

import pytest

from sciml.cli import main
from sciml.columns.open import open_columns
from tests.paths import SAMPLE_OFFLINE, SAMPLE_WRFOUT


def _run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(["wrf", *arguments])
    record = capsys.readouterr()
    return int(ended.value.code or 0), record.out, record.err


def test_info_counts_the_classes(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = _run(capsys, "info", str(SAMPLE_WRFOUT))
    assert code == 0
    assert "held            694" in out
    assert "7 frames of 24 x 24, 44 levels" in out
    code, out, _ = _run(capsys, "info", str(SAMPLE_WRFOUT), "--reference", str(SAMPLE_OFFLINE))
    assert "deep            812" in out


def test_columns_and_their_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = tmp_path / "columns.zarr"
    truth = ["--reference", str(SAMPLE_OFFLINE)]
    code, out, err = _run(
        capsys, "columns", str(SAMPLE_WRFOUT), "-o", str(store), *truth, "--run", "8", "--workers", "1"
    )
    assert (code, err) == (0, "")
    assert "4032 columns" in out
    assert set(open_columns(store)["RUN"].values) == {8}
    code, _, err = _run(capsys, "columns", str(SAMPLE_WRFOUT), "-o", str(store))
    assert code == 2
    assert "exists" in err
    assert err.count("\n") == 1


def test_bad_files_cause_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("no netcdf")
    for command in (["info", str(path)], ["columns", str(path), "-o", str(tmp_path / "x.zarr")]):
        code, out, err = _run(capsys, *command)
        assert (code, out) == (2, "")
        assert err.count("\n") == 1
        assert "notes.txt" in err
    assert not list(tmp_path.glob("x*"))
