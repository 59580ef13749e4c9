"""Fortran programs that call the library: their sources, compilation, run, and the streams that they read.

A stream is a binary file in the byte order of the machine. It begins with `HEADER_SIZE` 32-bit integers: a number that
identifies the program's format, its version, and sizes; those that a program does not use are 0.
"""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from sciml.coupling.build import fortran_compiler, rpath
from sciml.errors import BuildError, InputError, SciMLError
from sciml.storage.atomic import replaced
from sciml.storage.packaged import PACKAGE

__all__ = ["HEADER_SIZE", "FortranProgram", "program_sources", "stream_header", "write_stream_file"]

HEADER_SIZE: Final = 20
"""Number of integers in the header of a stream."""


@dataclass(frozen=True)
class FortranProgram:
    """A Fortran program that is compiled against a library and run on files.

    Attributes
    ----------
    folder
        Name of the folder of its sources, as for `program_sources`.
    sources
        Names of the sources, in the order of their dependencies.
    """

    folder: str
    sources: tuple[str, ...]

    def compile(self, library: str | os.PathLike[str], directory: str | os.PathLike[str]) -> Path:
        """Compile the program against a library, as a user would; it has the name of its last source.

        Parameters
        ----------
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
        sources = program_sources(self.folder, self.sources)
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

    @staticmethod
    def run(program: Path, files: Sequence[Path], numbers: Sequence[int], output: Path) -> str:
        """Run the compiled program with its files and numbers, and return its standard output.

        Parameters
        ----------
        program
            From `compile`.
        files
            Files that it reads or writes, in its order.
        numbers
            Arguments after the files.
        output
            The file whose folder the program runs in.

        Raises
        ------
        SciMLError
            When the program fails, with its standard error.
        """
        words = [str(path.resolve()) for path in (program, *files)]
        done = _run([*words, *map(str, numbers)], output.resolve().parent)
        if done.returncode:
            raise SciMLError((done.stderr or f"{program.name}: exit code {done.returncode}").strip()[-500:])
        return done.stdout.strip()


def stream_header(*numbers: int) -> NDArray[np.int32]:
    """Return the integers of the header of a stream, `HEADER_SIZE` of them."""
    header = np.zeros(HEADER_SIZE, np.int32)
    header[: len(numbers)] = numbers
    return header


def write_stream_file(path: str | os.PathLike[str], parts: Iterable[bytes]) -> None:
    """Write the parts of a stream; an existing file is replaced when all are written.

    Raises
    ------
    InputError
        When the file cannot be written.
    """
    try:
        with replaced(Path(path)) as temporary, temporary.open("wb") as file:
            file.writelines(parts)
    except SciMLError as error:
        raise InputError(str(error)) from error


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


def _run(command: list[str], where: Path) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(command, cwd=where, capture_output=True, text=True, check=False)
    except OSError as error:
        raise BuildError(f"cannot run {command[0]}: {error.strerror}") from error
