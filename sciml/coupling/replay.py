"""Run columns through a Fortran program: a stream in WRF's memory order, the program, and its outputs.

The head of ``workflows/fortran_host/replay.f90``, the program, describes the format of the stream.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from sciml.convection.problem import INPUT_PROFILES, INPUT_SURFACE, Convection
from sciml.coupling.fortran_emulator import OUTPUT_PROFILES, OUTPUT_SURFACE
from sciml.coupling.fortran_programs import HEADER_SIZE, FortranProgram, stream_header, write_stream_file
from sciml.errors import InputError, SciMLError

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["HOST", "Grid", "answers", "run_host", "write_stream"]

HOST: Final = FortranProgram("fortran_host", ("replay.f90",))

_MAGIC = 1396919628
_HALO = 3
_UNTOUCHED = np.float32(-777.0)
_NONE = np.float32(-100.0)  # NCA of a column that is not held


@dataclass(frozen=True)
class Grid:
    """Positions of columns in a stream: (record, j, i) of each, and the sizes of the grid."""

    place: tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], npt.NDArray[np.intp]]
    records: int
    nj: int
    ni: int
    levels: int

    @classmethod
    def of(cls, columns: xr.Dataset) -> Grid:
        """Return the grid of columns from their coordinates.

        Raises
        ------
        InputError
            When they do not fill a rectangle at each time, as columns that were drawn do not.
        """
        for name in ("Time", "south_north", "west_east"):
            if name not in columns.coords:
                raise InputError(f"the columns have no coordinate {name}: replay a wrfout, not drawn pairs")
        times, record = np.unique(columns["Time"].values, return_inverse=True)
        j, i = (columns[name].values.astype(np.intp) for name in ("south_north", "west_east"))
        j, i = j - j.min(), i - i.min()
        nj, ni = int(j.max()) + 1, int(i.max()) + 1
        seen = np.zeros((len(times), nj, ni), np.int64)
        np.add.at(seen, (record, j, i), 1)
        if (seen != 1).any():
            raise InputError(
                f"{len(j)} columns do not fill {len(times)} times {nj} x {ni} points, each once: replay files of one "
                "domain that does not move"
            )
        return cls((record, j, i), len(times), nj, ni, int(columns.sizes["level"]))

    @property
    def header(self) -> npt.NDArray[np.int32]:
        """Integers of the header: the domain counts from 1, the memory has a halo and one level more."""
        domain = 1, self.ni, 1, self.nj, 1, self.levels
        memory = 1 - _HALO, self.ni + _HALO, 1 - _HALO, self.nj + _HALO, 1, self.levels + 1
        return stream_header(_MAGIC, 1, self.records, *domain, *memory)

    @property
    def memory(self) -> tuple[int, int, int]:
        """Shape of a profile's field in C order: (j, k, i)."""
        return self.nj + 2 * _HALO, self.levels + 1, self.ni + 2 * _HALO


def write_stream(columns: xr.Dataset, path: str | os.PathLike[str]) -> Grid:
    """Write the inputs of columns for the Fortran program; halo and spare level are NaN.

    Raises
    ------
    InputError
        When the columns fill no rectangle or are of different runs, an input is missing, or the file cannot be written.
    """
    problem = Convection(columns).single()
    columns = problem.columns
    settings = [problem.settings[name][0] for name in ("DX", "DT", "CUDT")]
    grid = Grid.of(columns)
    record, j, i = grid.place
    inputs = {
        name: np.asarray(columns[name].values, np.float32) for name in (*INPUT_PROFILES, *INPUT_SURFACE)
    }

    def parts() -> Iterator[bytes]:
        yield grid.header.tobytes()
        yield np.array(settings, np.float32).tobytes()
        for number in range(grid.records):
            here = record == number
            at = j[here] + _HALO, i[here] + _HALO
            for name in INPUT_PROFILES:
                profile = np.full(grid.memory, np.nan, np.float32)
                profile[at[0], : grid.levels, at[1]] = inputs[name][here]
                yield profile.tobytes()
            for name in (*INPUT_SURFACE, "NCA"):
                surface = np.full((grid.memory[0], grid.memory[2]), np.nan, np.float32)
                surface[at] = _NONE if name == "NCA" else inputs[name][here]
                yield surface.tobytes()

    write_stream_file(path, parts())
    return grid


def answers(path: str | os.PathLike[str], grid: Grid) -> dict[str, npt.NDArray[Any]]:
    """Read the outputs of the program, in the order of the columns given to `write_stream`.

    Raises
    ------
    InputError
        When the file is not whole, or of another grid.
    SciMLError
        When the library wrote outside its tiles.
    """
    content = np.fromfile(path, np.uint8)
    nj, nk, ni = grid.memory
    surface, profile = nj * ni, nj * nk * ni
    fields = len(OUTPUT_PROFILES) * profile + (len(OUTPUT_SURFACE) + 1) * surface
    head = 4 * (HEADER_SIZE + 3)
    if (
        len(content) != head + 4 * fields * grid.records
        or content[: 4 * HEADER_SIZE].tobytes() != grid.header.tobytes()
    ):
        raise InputError(f"{path} has {len(content)} bytes, not the answers to the columns: run it again")
    values = content[head:].view(np.float32).reshape(grid.records, fields)
    record, j, i = grid.place
    outputs: dict[str, npt.NDArray[Any]] = {}
    inside = np.zeros((nj, nk, ni), bool)
    inside[_HALO:-_HALO, : grid.levels, _HALO:-_HALO] = True
    at = 0
    for name in OUTPUT_PROFILES:
        block = values[:, at : at + profile].reshape(grid.records, nj, nk, ni)
        if (block[:, ~inside] != _UNTOUCHED).any():
            raise SciMLError(
                f"the library wrote {name} outside the domain: this is an error of sciml, please report it"
            )
        outputs[name] = np.ascontiguousarray(block[record, j + _HALO, :, i + _HALO][:, : grid.levels])
        at += profile
    for name in (*OUTPUT_SURFACE, "KIND"):
        plane = values[:, at : at + surface].reshape(grid.records, nj, ni)
        chosen = np.ascontiguousarray(plane[record, j + _HALO, i + _HALO])
        outputs[name] = chosen.view(np.int32).astype(np.int8) if name == "KIND" else chosen
        at += surface
    return outputs


def run_host(
    host: Path, weights: Path, stream: Path, output: Path, tile: tuple[int, int] = (0, 0), threads: int = 1
) -> str:
    """Run the program and return its standard output.

    Raises
    ------
    SciMLError
        When the program fails, with its standard error.
    """
    return HOST.run(host, [weights, stream, output], [*tile, threads], output)
