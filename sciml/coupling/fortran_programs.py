"""Locate, compile and run Fortran programs that call the library."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path

from sciml.coupling.build import fortran_compiler, rpath
from sciml.errors import BuildError, SciMLError
from sciml.storage.packaged import PACKAGE

__all__ = ["compile_program", "program_sources", "run_program"]


def program_sources(folder: str, names: Sequence[str]) -> list[Path]:
    """Return the sources of a host, in a checkout (``workflows/FOLDER``) or in an installed wheel.

    Raises
    ------
    BuildError
        When they are in neither.
    """
    for home in (PACKAGE / folder, PACKAGE.parent / "workflows" / folder):
        if all((home / name).is_file() for name in names):
            return [home / name for name in names]
    raise BuildError(f"{PACKAGE} has no host {folder}/{names[0]}: install sciml again")


def compile_program(
    sources: Sequence[Path], library: str | os.PathLike[str], directory: str | os.PathLike[str]
) -> Path:
    """Compile a host against a library, as a user would; it has the name of its last source.

    Parameters
    ----------
    sources
        Sources in the order of their dependencies.
    library
        ``libsciml_mskf.so`` with ``sciml_mskf.f90`` beside it.
    directory
        Directory of the program.

    Raises
    ------
    BuildError
        Without a Fortran compiler, or when the compilation fails.
    """
    library, directory = Path(library).resolve(), Path(directory).resolve()
    directory.mkdir(parents=True, exist_ok=True)
    program = directory / sources[-1].stem
    module = library.parent / "sciml_mskf.f90"
    words = [*fortran_compiler().command, "-O2", "-fopenmp", "-o", str(program), str(module)]
    command = [*words, *map(str, sources), str(library), *rpath(library.parent)]
    done = _run(command, directory)
    if done.returncode:
        raise BuildError(
            f"the host does not compile; output of `{shlex.join(command)}`:\n{done.stderr[-2000:]}"
        )
    return program


def run_program(program: Path, files: Sequence[Path], numbers: Sequence[int], where: Path) -> str:
    """Run a host in a folder with its files and numbers, and return its standard output.

    Raises
    ------
    SciMLError
        When the host fails, with its standard error.
    """
    words = [str(path.resolve()) for path in (program, *files)]
    done = _run([*words, *map(str, numbers)], where)
    if done.returncode:
        raise SciMLError((done.stderr or f"{program.name}: exit code {done.returncode}").strip()[-500:])
    return done.stdout.strip()


def _run(command: list[str], where: Path) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(command, cwd=where, capture_output=True, text=True, check=False)
    except OSError as error:
        raise BuildError(f"cannot run {command[0]}: {error.strerror}") from error
