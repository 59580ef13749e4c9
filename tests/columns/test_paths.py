"""Folders with WRF output, captures, or both, from which columns are made."""

from pathlib import Path

import pytest

from sciml.columns.paths import expand_columns
from sciml.errors import InputError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in (
        "sciml_mskf_capture_r0_1.nc",
        "sciml_mskf_capture_r1_1.nc",
        "sciml_mskf_shadow_r0_1.nc",
        "namelist.input",
    ):
        (tmp_path / name).touch()
    return tmp_path


def test_a_folder_of_captures_gives_the_captures(folder: Path) -> None:
    names = [path.name for path in expand_columns(folder)]
    assert names == ["sciml_mskf_capture_r0_1.nc", "sciml_mskf_capture_r1_1.nc"]


def test_a_folder_of_both_is_an_error(folder: Path) -> None:
    """The columns of a wrfout have no exact outputs of the scheme, so they differ from captured columns."""
    (folder / "wrfout_d01_2007-06-10_00:00:00").touch()
    with pytest.raises(
        InputError,
        match=r"2 captures and 1 wrfout files: give '.*sciml_mskf_capture_\*\.nc' or '.*wrfout_d01_\*'",
    ):
        expand_columns([str(folder)])
    chosen = expand_columns(f"{folder}/wrfout_d01_*")
    assert [path.name for path in chosen] == ["wrfout_d01_2007-06-10_00:00:00"]


def test_other_folders_are_expanded_as_by_open_wrfout(tmp_path: Path) -> None:
    (tmp_path / "wrfout_d01_a").touch()
    assert [path.name for path in expand_columns(tmp_path)] == ["wrfout_d01_a"]
