"""The printed link line, the module for hosts that do not wrap, and errors for other hosts."""

from __future__ import annotations

import json
import shlex
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from typer.testing import CliRunner

from sciml.cli.coupling import app
from sciml.convection.emulator import Emulator
from sciml.coupling.build import fortran_compiler, install
from sciml.coupling.export import emulator_weights
from sciml.coupling.link_flags import SCHEME, link_flags, wrf_lines
from sciml.coupling.weights_file import write_weights
from sciml.errors import InputError
from tests.coupling.standin import ORDER, SOURCES, STEPS, Run, compile_objects, run, same_bits

pytestmark = [pytest.mark.native, pytest.mark.xdist_group("standin")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library and its weights, as they are installed."""
    made = tmp_path_factory.mktemp("installed")
    install(made)
    write_weights(made / "mskf.nc", emulator_weights(Emulator.load("mskf-convrad")))
    return made


def go(host: Path, folder: Path, where: Path, mode: str, state: Path, **given: Any) -> Run:
    settings = {"mode": mode, "weights": str(folder / "mskf.nc"), "novelty": 0.5, **given.pop("settings", {})}
    return run(host, where, settings, state=state, kf_edrates=True, **{"steps": STEPS, **given})


@pytest.fixture(scope="module")
def wrapped(folder: Path, standin: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The host, linked with the flags of `sciml coupling flags --only`."""
    flags = CliRunner().invoke(app, ["flags", str(folder), "--only"])
    assert flags.exit_code == 0, flags.output
    host = tmp_path_factory.mktemp("wrapped") / "wrf.exe"
    objects = [str(standin.parent / Path(name).with_suffix(".o")) for name in ORDER]
    words = [*fortran_compiler().command, "-fopenmp", *objects, *shlex.split(flags.output), "-o", str(host)]
    subprocess.run(words, check=True)
    return host


def test_the_printed_flags_link(
    wrapped: Path, folder: Path, state: Path, plain: xr.Dataset, tmp_path: Path
) -> None:
    shadow = go(wrapped, folder, tmp_path / "shadow", "shadow", state)
    assert same_bits(plain, shadow.history) == []
    emulated = go(wrapped, folder, tmp_path / "emulate", "emulate", state)
    assert same_bits(plain, emulated.history) != []


def test_make_links_with_the_flags_in_configure_wrf(folder: Path, standin: Path, tmp_path: Path) -> None:
    """Link as WRF's main/Makefile does, from a configure.wrf whose last library continues on an empty line."""
    configure = tmp_path / "configure.wrf"
    configure.write_text("LD = gfortran\nLIB_EXTERNAL = \\\n -lm \\\n\nLIB = $(LIB_EXTERNAL) $(LIB_LOCAL)\n")
    done = CliRunner().invoke(app, ["flags", str(folder), "--apply", str(configure)])
    assert done.exit_code == 0, done.output
    objects = " ".join(str(standin.parent / Path(name).with_suffix(".o")) for name in ORDER)
    (tmp_path / "Makefile").write_text(
        f"include configure.wrf\nwrf.exe:\n\t$(LD) -fopenmp -o $@ {objects} $(LIB)\n"
    )
    subprocess.run(["make", "-s", "wrf.exe"], cwd=tmp_path, check=True)
    symbols = subprocess.run(
        ["nm", "wrf.exe"], cwd=tmp_path, capture_output=True, text=True, check=True
    ).stdout
    assert f"__wrap_{SCHEME['gnu']}" in symbols
    needed = subprocess.run(
        ["ldd", "wrf.exe"], cwd=tmp_path, capture_output=True, text=True, check=True
    ).stdout
    assert str(folder / "libsciml_mskf.so") in needed


def test_flags_printed_for_wrf(folder: Path) -> None:
    text = CliRunner().invoke(app, ["flags", str(folder)]).output
    assert "LIB_EXTERNAL" in text
    assert f"--wrap={SCHEME['gnu']}" in text
    assert str(folder.resolve() / "sciml_mskf.nml") in text
    intel = CliRunner().invoke(app, ["flags", str(folder), "--compiler", "intel"]).output
    assert f"--wrap={SCHEME['intel']}" in intel
    wrong = CliRunner().invoke(app, ["flags", str(folder), "--compiler", "nag"])
    assert isinstance(wrong.exception, InputError)


def test_invalid_folders(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="coupling build -o"):
        link_flags(tmp_path)
    blank = tmp_path / "with blank"
    install(blank)
    with pytest.raises(InputError, match="move it"):
        wrf_lines(blank)
    assert "-rdynamic" in link_flags(folder, linker=(2, 34))


def test_the_fortran_module_instead_of_wrapped_calls(
    folder: Path, wrapped: Path, state: Path, tmp_path: Path
) -> None:
    """A host that uses the library's module, and exports its own scheme by name."""
    compile_objects(tmp_path)
    (source,) = [name for name in ORDER if "use module_cu_mskf" in (SOURCES / name).read_text()]
    text = (SOURCES / source).read_text()
    (tmp_path / source).write_text(text.replace("use module_cu_mskf", "use sciml_cu_mskf"))
    compiler = fortran_compiler().command
    words = [
        *compiler,
        "-O2",
        "-ffp-contract=off",
        "-fopenmp",
        "-c",
        str(folder / "sciml_cu_mskf.f90"),
        source,
    ]
    subprocess.run(words, check=True, cwd=tmp_path)
    shown = [word for word in link_flags(folder) if "--wrap" not in word]
    objects = [str(Path(name).with_suffix(".o")) for name in ORDER]
    subprocess.run([*compiler, "-fopenmp", *objects, *shown, "-o", "host"], check=True, cwd=tmp_path)
    for mode in ("shadow", "guard"):
        other = go(wrapped, folder, tmp_path / f"{mode}_wrapped", mode, state)
        done = go(tmp_path / "host", folder, tmp_path / mode, mode, state)
        assert same_bits(other.history, done.history) == [], mode


def test_a_misspelt_namelist_stops_the_host(wrapped: Path, folder: Path, state: Path, tmp_path: Path) -> None:
    done = go(wrapped, folder, tmp_path, "guard", state, settings={"novelti": 2}, check=False)
    assert done.code == 9
    assert "no setting is called novelti" in done.stdout


def test_a_host_with_eight_byte_reals_is_an_error(folder: Path, tmp_path: Path) -> None:
    """With -fdefault-real-8 of gfortran, the constants of WRF have other bytes."""
    (tmp_path / "wide.f90").write_text(WIDE)
    (tmp_path / "sciml_mskf.nml").write_text("&sciml_mskf mode = 'emulate' /\n")
    words = [*fortran_compiler().command, "-fdefault-real-8", "wide.f90", *link_flags(folder), "-o", "wide"]
    subprocess.run(words, check=True, cwd=tmp_path)
    done = subprocess.run([str(tmp_path / "wide")], capture_output=True, text=True, cwd=tmp_path, check=True)
    assert done.stdout.split()[0] != "0"
    assert "REAL of 8 bytes" in done.stdout


WIDE = """
program wide
   use, intrinsic :: iso_c_binding, only: c_char, c_int, c_loc, c_ptr, c_null_char, c_size_t
   implicit none
   interface
      function scheme(a, message, length) bind(C, name="sciml_mskf_scheme") result(status)
         import :: c_char, c_int, c_ptr, c_size_t
         type(c_ptr), intent(in) :: a(100)
         character(kind=c_char), intent(inout) :: message(*)
         integer(c_size_t), intent(in), value :: length
         integer(c_int) :: status
      end function scheme
   end interface
   real, target :: numbers(100)
   integer, target :: one
   type(c_ptr) :: a(100)
   character(kind=c_char) :: message(300)
   integer :: i
   one = 1
   numbers = 0.0
   numbers(42:44) = [1004.5, 287.0, 9.81]
   numbers(50) = 273.15
   do i = 1, 100
      a(i) = c_loc(one)
      if (i >= 20 .and. i <= 50) a(i) = c_loc(numbers(i))
   end do
   print "(i0)", scheme(a, message, 300_c_size_t)
   do i = 1, 300
      if (message(i) == c_null_char) exit
      write (*, "(a)", advance="no") message(i)
   end do
end program wide
"""


@pytest.fixture(scope="module")
def logs(wrapped: Path, folder: Path, state: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of a run in shadow mode, of two intervals."""
    where = tmp_path_factory.mktemp("logs")
    go(wrapped, folder, where, "shadow", state, settings={"interval": 10})
    return where


def test_report(logs: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(
        app, ["report", str(logs), "--json", f"{tmp_path}/r.json", "--html", f"{tmp_path}/r.html"]
    )
    assert done.exit_code == 0, done.output
    scores = json.loads((tmp_path / "r.json").read_text())
    assert scores["mode"] == "shadow"
    assert scores["files"] == len(list(logs.glob("sciml_mskf_shadow_*.nc"))) == 3
    assert (scores["first_step"], scores["last_step"]) == (1, STEPS)
    assert np.sum(scores["trigger"]["confusion"]) == scores["columns"]["columns"]
    assert "RTHCUTEN" in done.output
    page = (tmp_path / "r.html").read_text()
    assert page.count("<img") == 2
    assert "shadow" in page


def test_report_on_captures(wrapped: Path, folder: Path, state: Path, tmp_path: Path) -> None:
    share = dict.fromkeys(("capture_none", "capture_shallow", "capture_deep"), 0.2)
    go(wrapped, folder, tmp_path / "run", "capture", state, settings=share)
    words = ["report", str(tmp_path / "run"), "--json", str(tmp_path / "r.json")]
    assert "--model" in str(CliRunner().invoke(app, words).exception)
    done = CliRunner().invoke(app, [*words, "--model", "mskf-convrad"])
    assert done.exit_code == 0, done.output
    assert "trigger" in done.output


def test_files_without_a_report(logs: Path, folder: Path, tmp_path: Path) -> None:
    for words, message in (
        ([str(tmp_path)], "no file sciml_mskf_"),
        ([str(folder / "mskf.nc")], "contains no statistics"),
        ([str(folder / "sciml_mskf.h")], "cannot open"),
    ):
        done = CliRunner().invoke(app, ["report", *words])
        assert isinstance(done.exception, InputError)
        assert message in str(done.exception)
