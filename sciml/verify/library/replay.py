"""Replay of a wrfout through a Fortran program, compared with torch and between tilings."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import numpy.typing as npt

from sciml.convection.problem import Convection, solution_of
from sciml.coupling.export import emulator_from
from sciml.coupling.replay import HOST, answers, run_host, write_stream
from sciml.coupling.weights_file import read_weights
from sciml.errors import InputError
from sciml.solve import solve
from sciml.verify.library.parity import Parity, compare_outputs

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["Replayed", "replayed"]


@final
@dataclass(frozen=True, repr=False)
class Replayed:
    """Result of a replay. ``print`` shows a table whose last line is the verdict.

    Attributes
    ----------
    runs
        Report of the program on each run.
    differing
        Runs whose outputs are not bit-equal to those of the first run.
    parity
        Comparison of the first run with torch in double precision.
    """

    runs: tuple[str, ...]
    differing: tuple[str, ...]
    parity: Parity

    @property
    def ok(self) -> bool:
        """Whether the runs are bit-equal and agree with torch."""
        return self.parity.ok and not self.differing

    def __str__(self) -> str:
        bits = f"other bits: {'; '.join(self.differing)}" if self.differing else "all with the same bits"
        verdict = (
            f"verdict: {'ok' if self.ok else 'FAILED'}, {self.parity.columns:,} columns through Fortran "
            f"{len(self.runs)} times, {bits}"
        )
        return "\n".join([*self.runs, str(self.parity), verdict])

    __repr__ = __str__


def replayed(
    library: Path,
    weights: Path,
    columns: xr.Dataset,
    directory: Path,
    tiles: list[tuple[int, int]],
    threads: int = 2,
) -> Replayed:
    """Replay columns through the Fortran program, once for each tiling with one thread and once with several.

    Parameters
    ----------
    library, weights
        Files of ``sciml coupling build``.
    columns
        Columns of whole wrfouts; only the inputs are used. Columns of runs that differ in DX, DT, CUDT or the number of
        levels are replayed one after the other.
    directory
        Folder for the program, its input and its last output.
    tiles
        Sizes (west-east, south-north) of the tiles; zeros mean the whole domain.
    threads
        Number of OpenMP threads of the second runs; 1 means no second runs.

    Raises
    ------
    InputError, BuildError, SciMLError
        The columns fill no rectangle, there is no compiler, or the program fails.
    """
    if not tiles:
        raise InputError("no tilings: give one or more, (0, 0) for the whole domain")
    problem = Convection(columns)
    reference = solve(problem, emulator_from(read_weights(weights)))
    host = HOST.compile(library, directory)
    reports: list[str] = []
    differing: list[str] = []
    whole: dict[str, npt.NDArray[Any]] = {}
    for rows, part in problem.uniform():
        first = _streamed(host, weights, part, directory, tiles, threads, reports, differing)
        for name, values in first.items():
            problem.put(whole, name, rows, values)
    native = solution_of(problem, whole, 0.0)
    parity = compare_outputs(reference.outputs, native.outputs, names=("torch", "Fortran"))
    return Replayed(tuple(reports), tuple(differing), parity)


def _streamed(
    host: Path,
    weights: Path,
    problem: Convection,
    directory: Path,
    tiles: list[tuple[int, int]],
    threads: int,
    reports: list[str],
    differing: list[str],
) -> dict[str, npt.NDArray[Any]]:
    """Run the program for each tiling; add to the reports and differing runs, and return the first outputs."""
    stream, output = directory / "columns.bin", directory / "answers.bin"
    grid = write_stream(problem.columns, stream)
    first: dict[str, npt.NDArray[Any]] = {}
    for tile in tiles:
        for count in sorted({1, threads}):
            run = run_host(host, weights, stream, output, tile, count)
            size = "the whole domain" if tile == (0, 0) else f"{tile[0]} x {tile[1]} columns"
            reports.append(f"{size} a tile: {run}")
            outputs = answers(output, grid)
            first = first or outputs
            if any(first[name].tobytes() != outputs[name].tobytes() for name in first):
                differing.append(f"{size}, {count} threads")
    return first
