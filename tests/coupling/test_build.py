"""Building of the library: exported names, the cache, and errors if a compiler is missing or fails."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from sciml.coupling import build as module
from sciml.coupling.build import build, c_compiler, compilations, fortran_compiler, install
from sciml.coupling.f2py import load_extension
from sciml.coupling.library import Library
from sciml.coupling.replay import HOST
from sciml.errors import BuildError
from tests.coupling.published import Net, inputs

pytestmark = pytest.mark.native

API = {
    "sciml_mskf_init",
    "sciml_mskf_finalise",
    "sciml_mskf_describe",
    "sciml_mskf_isa",
    "sciml_mskf_run",
    "sciml_mskf_run_any",
    "sciml_network_run",
    "sciml_network_run_f64",
    "sciml_column_init",
    "sciml_column_finalise",
    "sciml_column_describe",
    "sciml_column_run",
    "sciml_mskf_scheme",
    "sciml_mskf_original",
    "sciml_mskf_flush",
    "sciml_mskf_cps",
    "__wrap___module_cu_mskf_MOD_mskf_cps",
    "__wrap_module_cu_mskf_mp_mskf_cps_",
}

WARNINGS = ["-fsyntax-only", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror"]


def exported(library: Path) -> set[str]:
    listing = subprocess.run(
        ["nm", "-D", "--defined-only", library], capture_output=True, text=True, check=True
    )
    return {line.split()[-1] for line in listing.stdout.splitlines()}


@pytest.mark.skipif(shutil.which("nm") is None, reason="no nm")
def test_only_the_interface_is_exported(library: Library) -> None:
    symbols = exported(library.path)
    module_ = {name for name in symbols - API if "_MOD_" in name or "_mp_" in name}
    assert symbols - module_ == API
    assert all("sciml_mskf" in name for name in module_)


@pytest.mark.skipif(shutil.which("nm") is None, reason="no nm")
def test_the_library_never_stops_its_host(library: Library) -> None:
    needs = subprocess.run(
        ["nm", "-D", "--undefined-only", library.path], capture_output=True, text=True, check=True
    )
    names = {line.split()[-1].split("@")[0] for line in needs.stdout.splitlines()}
    assert not names & {"abort", "exit", "_exit", "printf", "puts", "fprintf", "__assert_fail", "system"}
    assert not {
        name for name in names if name.startswith("_gfortran_") and ("stop" in name or "error" in name)
    }


def test_the_library_is_built_once(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> Path:
        raise AssertionError("compiled again")

    monkeypatch.setattr(module, "_compile", never)
    assert build() == library.path
    monkeypatch.setattr(module, "_C_FLAGS", (*module._C_FLAGS, "-g"))
    with pytest.raises(AssertionError, match="compiled again"):
        build()


def test_no_compiler(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("FC", raising=False)
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BuildError, match="apt-get install gfortran"):
        fortran_compiler()
    with pytest.raises(BuildError, match=r"no C compiler.*apt-get install gcc"):
        build()
    monkeypatch.undo()
    monkeypatch.setenv("FC", "no-such-fortran -fast")
    with pytest.raises(BuildError, match=r"\$FC is 'no-such-fortran -fast'"):
        build()


def test_without_fortran_the_c_library_is_built(
    monkeypatch: pytest.MonkeyPatch, published: tuple[Net, Path], library: Library
) -> None:
    monkeypatch.setenv("FC", "no-such-fortran")
    path = build(fortran=False)
    assert exported(path) == API
    x = inputs(published[0], 40, 44)
    np.testing.assert_array_equal(
        Library(path).open(published[1]).network(x)[0], library.open(published[1]).network(x)[0]
    )


def test_a_compiler_that_fails(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    broken = tmp_path / "brokencc"
    broken.write_text(
        '#!/bin/sh\n[ "$1" = --version ] && echo broken 1.0 && exit 0\necho no licence today >&2\nexit 1\n'
    )
    broken.chmod(0o755)
    monkeypatch.setenv("CC", str(broken))
    monkeypatch.setenv("SCIML_CACHE", str(tmp_path / "cache"))
    with pytest.raises(BuildError, match="no licence today"):
        build()
    left = {path.name for path in (tmp_path / "cache" / "native").iterdir()}
    assert left == {".lock", "objects"}
    assert not list((tmp_path / "cache" / "native" / "objects").iterdir())


def test_a_cache_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SCIML_CACHE", str(tmp_path / "file"))
    with pytest.raises(BuildError, match="SCIML_CACHE"):
        build()
    monkeypatch.undo()
    with pytest.raises(BuildError, match="cannot write"):
        install(tmp_path / "file" / "below")


def test_a_compiler_that_cannot_be_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, find in (("CC", c_compiler), ("FC", fortran_compiler)):
        monkeypatch.setenv(name, 'gcc "x')
        with pytest.raises(
            BuildError, match=rf"^\${name} is 'gcc \"x', which is not a command: [^\n]*set it again$"
        ):
            find()
        monkeypatch.delenv(name)
    (tmp_path / "cc").write_text("no program")
    (tmp_path / "cc").chmod(0o755)
    monkeypatch.setenv("CC", str(tmp_path / "cc"))
    with pytest.raises(BuildError, match=r"^cannot run .*/cc of \$CC"):
        c_compiler()


def test_names_with_commas_and_spaces(
    library: Library, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Names of the cache and of the folder of a host; objects are compiled once."""
    cache = tmp_path / "a, b" / "native"
    shutil.copytree(library.path.parent.parent / "objects", cache / "objects")
    monkeypatch.setenv("SCIML_CACHE", str(cache.parent))
    there = install(tmp_path / "c,d e")
    assert exported(there) == exported(library.path)
    host = HOST.compile(there, tmp_path / "f,g h")
    done = subprocess.run([host], capture_output=True, text=True, check=False)
    assert "replay: give WEIGHTS" in done.stderr, done


def test_no_warnings(tmp_path: Path) -> None:
    if "gcc" not in c_compiler().version:
        pytest.skip("warnings are looked at with gcc")
    # One instruction set is enough: the sources are the same.
    commands = [
        words for name, words in compilations(c_compiler()).items() if not re.search("baseline|512", name)
    ]
    for command in commands:
        done = subprocess.run(
            [*command, *WARNINGS], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr


def test_fortran_calls_the_library(library: Library, published: tuple[Net, Path], tmp_path: Path) -> None:
    installed = install(tmp_path / "native")
    program = Path(__file__).with_name("host.f90")
    command = [
        *fortran_compiler().command,
        "-O1",
        "-g",
        "-o",
        "host",
        tmp_path / "native" / "sciml_mskf.f90",
        program,
    ]
    link = [installed, f"-Wl,-rpath,{installed.parent}"]
    subprocess.run([*command, *link], cwd=tmp_path, check=True)
    done = subprocess.run(["./host", published[1]], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].split()[0] == "2"
    assert "cannot open the weights file" in lines[0]
    assert lines[1].split()[0] == "1"
    assert lines[2].split()[0] == "0"
    assert lines[3].split()[0] == "4"
    assert "bare network" in lines[3]


@pytest.mark.slow
def test_f2py_in_any_folder(library: Library, published: tuple[Net, Path], tmp_path: Path) -> None:
    """Paths that a shell or a linker would split; and an error for sizes that are not those of the network."""
    pytest.importorskip("mesonbuild")
    (tmp_path / "a b, c").mkdir()
    copied = Path(shutil.copy(library.path, tmp_path / "a b, c"))
    emulator = load_extension(copied).emulator
    handle, status, message = emulator.open_weights(str(published[1]))
    assert status == 0, message
    x = np.asfortranarray(inputs(published[0], 5, 44).T)
    y, p, status, message = emulator.run_network(handle, x, 1, 8, 1)
    assert (y.shape, p.shape, status) == ((8, 44, 5), (1, 5), 0)
    for given, outputs, pooled in ((x, 1, 1), (x, 8, 0), (x, 64, 1), (x[:26], 8, 1)):
        y, p, status, message = emulator.run_network(handle, given, 1, outputs, pooled)
        assert status == 5
        assert b"this network takes 27 channels and has 8 outputs and 1 pooled" in message
        assert not y.any() and not p.any()
    _, _, status, message = emulator.run_network(0, x, 1, 8, 1)
    assert status == 1
    emulator.close_weights(handle)
    handle, status, message = emulator.open_weights("x" * 1500)
    assert (handle, status) == (0, 1)
    assert b"1023 characters" in message


def test_f2py_without_a_cache(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mesonbuild")
    monkeypatch.setenv("SCIML_CACHE", "/dev/null/x")
    with pytest.raises(BuildError, match=r"^cannot write into the cache /dev/null/x/f2py: [^\n]*SCIML_CACHE"):
        load_extension(library.path)


@pytest.mark.slow
def test_f2py_shares_the_library(library: Library, published: tuple[Net, Path]) -> None:
    pytest.importorskip("mesonbuild")
    emulator = load_extension(library.path).emulator
    net, path = published
    x = inputs(net, 33, 44)
    native = library.open(path)
    truth = native.network(x)
    # A handle opened by ctypes: both use one library and one state.
    y, p, status, message = emulator.run_network(native.handle, x.T, 1, 8, 1)
    assert (status, message.strip()) == (0, b"")
    np.testing.assert_array_equal(y.T, truth[0])
    np.testing.assert_array_equal(p.T, truth[1])
    handle, status, message = emulator.open_weights(str(path))
    assert handle
    assert status == 0
    emulator.close_weights(handle)
    handle, status, message = emulator.open_weights("nowhere.nc")
    assert (handle, status) == (0, 2)
    assert b"nowhere.nc" in message


def test_command(tmp_path: Path) -> None:
    from sciml.cli.coupling import app

    done = CliRunner().invoke(app, ["build", "-o", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    names = {"libsciml_mskf.so", "sciml_mskf.h", "sciml_mskf_arguments.h", "sciml_mskf.nml"}
    names |= {"sciml_mskf.f90", "sciml_cu_mskf.f90", "sciml_column.h", "sciml_column.f90", "provenance.json"}
    assert {p.name for p in (tmp_path / "out").iterdir()} == names
