"""Flags in configure.wrf as read by GNU make, for files of all forms that WRF's configure writes."""

from __future__ import annotations

import shlex
import stat
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sciml.cli.coupling import app
from sciml.coupling.configure_wrf import BACKUP, apply_line, compiled_case, remove_line
from sciml.coupling.link_flags import link_flags, make_line
from sciml.errors import InputError

OWN = ["-L/wrf/external/io_netcdf", "-lwrfio_nf", "-L/usr/lib", "-lnetcdff", "-lnetcdf"]
HEAD = "SHELL           =       /bin/sh\nDMPARALLEL      =        1\nWRF_SRC_ROOT_DIR = /wrf\n"
TAIL = (
    "\nLIB_LOCAL       =\nLIB             =    $(LIB_BUNDLED) $(LIB_EXTERNAL) $(LIB_LOCAL)\n"
    "LDFLAGS         =    $(OMP) $(FCFLAGS) $(LDFLAGS_LOCAL)\n\n.SUFFIXES: .F .o\n\n.F.o:\n\t$(FC) -c $<\n"
)
SHAPES = {
    "continued": "LIB_EXTERNAL    = \\\n   -L$(WRF_SRC_ROOT_DIR)/external/io_netcdf -lwrfio_nf \\\n"
    " -L/usr/lib -lnetcdff -lnetcdf\n",
    "ends with a backslash": f"LIB_EXTERNAL = \\\n  {' '.join(OWN)} \\\n\n",
    "blanks at the end": f"LIB_EXTERNAL  = \\\n      {' '.join(OWN)}      \n",
    "one line": f"LIB_EXTERNAL={' '.join(OWN)}\n",
    "set twice": f"LIB_EXTERNAL = -lold\nLIB_BUNDLED = a.a\nLIB_EXTERNAL := {' '.join(OWN)}\n",
    "added to": f"LIB_EXTERNAL = {' '.join(OWN[:2])}\nLIB_EXTERNAL += {' '.join(OWN[2:])}\n",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the files of `sciml coupling build`."""
    made = tmp_path / "build"
    made.mkdir()
    (made / "libsciml_mskf.so").write_bytes(b"")
    return made


def libraries(configure: Path) -> list[str]:
    """Return the words of $(LIB) by GNU make, with the file included as in WRF's main/Makefile."""
    rule = f"include {configure}\n.DEFAULT_GOAL := words\nwords:\n\t@echo '$(LIB)'\n"
    done = subprocess.run(
        ["make", "--no-print-directory", "-f", "-"], input=rule, capture_output=True, text=True, check=True
    )
    return shlex.split(done.stdout)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("tail", [TAIL, ""], ids=["followed", "last"])
def test_make_adds_the_flags_after_the_libraries_of_wrf(
    tmp_path: Path, folder: Path, shape: str, tail: str
) -> None:
    path = tmp_path / "configure.wrf"
    definition = SHAPES[shape] if tail else SHAPES[shape].rstrip("\n\\ ")  # the last line without its end
    text = HEAD + ("" if tail else TAIL) + definition + tail
    path.write_bytes(text.encode())
    path.chmod(0o640)
    before = libraries(path)
    assert before[-len(OWN) :] == OWN
    assert apply_line(path, make_line(folder)) == "added"
    assert libraries(path) == [*before, *link_flags(folder)]
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    once = path.read_bytes()
    assert apply_line(path, make_line(folder)) == "unchanged"
    assert path.read_bytes() == once
    assert (tmp_path / f"configure.wrf{BACKUP}").read_bytes() == text.encode()
    assert remove_line(path)
    assert path.read_bytes() == text.encode()
    assert sorted(x.name for x in tmp_path.iterdir()) == ["build", "configure.wrf"]
    assert not remove_line(path)


def test_other_flags_replace_those_that_are_there(tmp_path: Path, folder: Path) -> None:
    path = tmp_path / "configure.wrf"
    path.write_text(HEAD + SHAPES["continued"] + TAIL)
    before = libraries(path)
    apply_line(path, make_line(folder))
    assert apply_line(path, make_line(folder, "intel")) == "replaced"
    assert libraries(path) == [*before, *link_flags(folder, "intel")]
    path.write_text(path.read_text().replace("DMPARALLEL      =        1", "DMPARALLEL = 0"))
    assert remove_line(path)  # what the user changed in between stays, and so does the backup
    assert path.read_text() == (HEAD + SHAPES["continued"] + TAIL).replace(
        "DMPARALLEL      =        1", "DMPARALLEL = 0"
    )
    assert (tmp_path / f"configure.wrf{BACKUP}").is_file()


def test_the_printed_line_works_where_it_is_pasted(tmp_path: Path, folder: Path) -> None:
    """The line goes below the definition, with or without a backslash at its end."""
    printed = CliRunner().invoke(app, ["flags", str(folder)]).output
    (line,) = [line for line in printed.splitlines() if line.startswith("LIB_EXTERNAL")]
    for shape in SHAPES.values():
        path = tmp_path / "pasted.wrf"
        path.write_text(f"{HEAD}{shape}{line}\n{TAIL}")
        assert libraries(path)[-len(link_flags(folder)) :] == link_flags(folder)


def test_the_case_is_that_of_the_wrf_beside_the_file(tmp_path: Path, folder: Path) -> None:
    path = tmp_path / "configure.wrf"
    path.write_text(HEAD + SHAPES["continued"] + TAIL)
    assert compiled_case(path) is None
    words = ["flags", str(folder), "--apply", str(path)]
    assert "./compile CASE" in CliRunner().invoke(app, words).output
    run = tmp_path / "test" / "em_convrad"
    run.mkdir(parents=True)
    (run / "wrf.exe").touch()
    assert "./compile em_convrad" in CliRunner().invoke(app, words).output
    assert "./compile em_b_wave" in CliRunner().invoke(app, [*words, "--case", "em_b_wave"]).output
    assert "em_real" not in CliRunner().invoke(app, words).output
    undone = CliRunner().invoke(app, ["flags", "--undo", str(tmp_path)])
    assert undone.exit_code == 0
    assert "flags removed" in undone.output


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--apply", "nowhere/configure.wrf"], "is not there"),
        (["--apply", "{other}"], "does not define LIB_EXTERNAL"),
        (["--undo", "nowhere/configure.wrf"], "is not there"),
        (["--apply", "{other}", "--undo", "{other}"], "give one of them"),
    ],
)
def test_errors_are_one_line(tmp_path: Path, folder: Path, words: list[str], message: str) -> None:
    other = tmp_path / "namelist.input"
    other.write_text("&time_control\n/\n")
    filled = [word.format(other=other) for word in words]
    with pytest.raises(InputError, match=message):
        CliRunner().invoke(app, ["flags", str(folder), *filled], catch_exceptions=False)
    assert other.read_text() == "&time_control\n/\n"
