"""Messages of the library on a namelist that is missing, and on one that had no effect."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import xarray as xr

from sciml.coupling.library import Library
from tests.coupling.conftest import Settings
from tests.coupling.standin import STEPS, Run, run, same_bits

pytestmark = [pytest.mark.native, pytest.mark.xdist_group("standin")]

VARIABLE = "SCIML_MSKF_NAMELIST"


def library_lines(done: Run) -> list[str]:
    """Return the lines that the library printed, without its name."""
    return [line.removeprefix("sciml: ") for line in done.stderr.splitlines()]


def test_no_namelist(host: Path, state: Path, plain: xr.Dataset, tmp_path: Path) -> None:
    """One message has the searched path, the mode and the remedy, and the outputs are those of the host."""
    done = run(host, tmp_path, state=state, steps=STEPS, tile=(7, 5), threads=2, kf_edrates=True)
    assert same_bits(plain, done.history) == []
    lines = library_lines(done)
    assert lines[0] == "cannot open the namelist sciml_mskf.nml: No such file or directory"
    assert f"working directory {tmp_path}; the environment variable {VARIABLE} is not set" in lines[2]
    assert "the mode is 'original': nothing is captured, compared or emulated" in lines[3]
    assert "copy sciml_mskf.nml" in lines[4] and f"set {VARIABLE}" in lines[4]
    assert len(lines) == 5


@pytest.mark.parametrize("beside", [False, True])
def test_a_variable_with_a_missing_path(
    host: Path, state: Path, settings: Settings, tmp_path: Path, beside: bool
) -> None:
    """A file in the working directory is not used instead, but named in the message."""
    nowhere = str(tmp_path / "elsewhere" / "settings.nml")
    namelist = settings("emulate") if beside else None
    done = run(host, tmp_path, namelist, state=state, environment={VARIABLE: nowhere})
    lines = library_lines(done)
    assert lines[0] == f"cannot open the namelist {nowhere}: No such file or directory"
    assert f"at {nowhere}, which the environment variable {VARIABLE} names" in lines[2]
    assert sum("exists and was not read" in line for line in lines) == beside
    assert any("mode is 'original'" in line for line in lines)
    assert not list(tmp_path.glob("sciml_mskf_emulate_*"))


def test_a_directory_instead_of_the_namelist(host: Path, state: Path, tmp_path: Path) -> None:
    done = run(host, tmp_path, state=state, environment={VARIABLE: str(tmp_path)})
    assert library_lines(done)[0] == f"cannot read the namelist {tmp_path}: Is a directory"


@pytest.mark.parametrize("mode", ["capture", "emulate", "guard", "original"])
def test_a_scheme_that_is_never_called(
    host: Path, state: Path, settings: Settings, tmp_path: Path, mode: str
) -> None:
    """As with another cu_physics, there is one line at the end, and none without a namelist."""
    done = run(host, tmp_path, settings(mode), state=state, steps=0)
    expected = mode != "original"
    assert len(done.stderr.splitlines()) == expected
    if expected:
        assert "the convection scheme was never called" in done.stderr
        assert f"mode = '{mode}'" in done.stderr and "cu_physics = 11" in done.stderr
    assert not list(tmp_path.glob("sciml_mskf_*.nc"))


def test_a_wrong_namelist_that_is_never_read(host: Path, state: Path, tmp_path: Path) -> None:
    done = run(host, tmp_path, {"mode": "emulated"}, state=state, steps=0)
    assert done.stderr.count("\n") == 1
    assert "never called" in done.stderr and "mode = 'emulated': give one of" in done.stderr


def test_a_called_scheme_causes_no_message(
    host: Path, state: Path, settings: Settings, tmp_path: Path
) -> None:
    done = run(host, tmp_path, settings("emulate"), state=state, steps=1)
    assert "never called" not in done.stderr


def test_other_programs_print_nothing(
    host: Path, standin: Path, library: Library, state: Path, settings: Settings, tmp_path: Path
) -> None:
    """WRF's preprocessor, which is linked alike, and Python, which opens the library, print nothing."""
    real = tmp_path / "real.exe"
    shutil.copy(host, real)
    assert run(real, tmp_path, settings("emulate"), state=state, steps=0).stderr == ""
    code = f"import ctypes; ctypes.CDLL({str(library.path)!r})"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stderr == ""


def test_a_host_that_stops_before_the_first_call(host: Path, settings: Settings, tmp_path: Path) -> None:
    """The exit code is that of the host, without a fault at the end."""
    done = run(host, tmp_path, settings("emulate"), state=tmp_path / "nowhere", check=False)
    assert done.code == 9
    assert "FATAL" in done.stdout


def test_the_library_can_be_unloaded(library: Library, tmp_path: Path) -> None:
    code = f"import ctypes, _ctypes; d = ctypes.CDLL({str(library.path)!r}); _ctypes.dlclose(d._handle); print('well')"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("well\n", "")
