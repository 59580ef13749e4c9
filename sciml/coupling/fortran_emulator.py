"""The native library, which WRF runs, as an algorithm for the convection problem."""

from __future__ import annotations

import ctypes
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from sciml.convection.problem import (
    INPUT_PROFILES,
    INPUT_SURFACE,
    Convection,
    ConvectionSolution,
    check_inputs,
    solution_of,
)
from sciml.coupling.library import Library, NativeNetwork
from sciml.coupling.structures import Domain, columns_structure
from sciml.coupling.weights_file import read_weights
from sciml.schemes.mskf import MSKF
from sciml.schemes.scheme import EMULATOR_OUTPUTS

__all__ = ["FortranEmulator", "NativeColumns"]

#: In the order of the enumerations in sciml_mskf.h.
OUTPUT_PROFILES = MSKF.output_profiles
OUTPUT_SURFACE = (*MSKF.output_scalars, *(output.name for output in EMULATOR_OUTPUTS))


_Columns = columns_structure(MSKF)


class NativeColumns:
    """The columns of a problem in the library's memory order, and arrays for its outputs.

    Parameters
    ----------
    problem
        Columns of one DX, DT, CUDT and number of levels. Its inputs are not checked: the library handles columns with
        NaN.
    precision
        Precision of inputs, outputs and the network.

    Attributes
    ----------
    inputs, outputs
        Arrays by name, (column, level) or (column,).

    Raises
    ------
    InputError
        The columns are of different runs; see ``Convection.uniform``.
    """

    def __init__(self, problem: Convection, precision: Literal["float32", "float64"] = "float32") -> None:
        self._bits = 64 if precision == "float64" else 32
        kind = np.float64 if precision == "float64" else np.float32
        problem = problem.single()
        self._settings = {name: low for name, (low, _) in problem.settings.items()}
        self.count, self.levels = len(problem), problem.levels
        self.inputs = {name: _taken(problem, name, kind) for name in (*INPUT_PROFILES, *INPUT_SURFACE)}
        self.outputs: dict[str, npt.NDArray[Any]] = {
            name: np.zeros((self.count, self.levels), kind) for name in OUTPUT_PROFILES
        }
        self.outputs |= {name: np.zeros(self.count, kind) for name in OUTPUT_SURFACE}
        self.outputs["KIND"] = np.zeros(self.count, np.int32)

    def call(self, start: int = 0, stop: int | None = None, threads: int = 1) -> ctypes.Structure:
        """Return the argument of `NativeNetwork.emulate` for some of the columns; valid while this object exists."""
        stop = self.count if stop is None else min(stop, self.count)

        def places(arrays: dict[str, npt.NDArray[Any]], names: tuple[str, ...]) -> tuple[int, ...]:
            return tuple(arrays[name][start:].ctypes.data for name in names)

        levels, count = self.levels, stop - start
        domain = Domain(
            *(count, 1, levels, threads, 0, 0),
            *((levels, 1, count * levels), (1, count)),
            *(self._settings[name] for name in ("DX", "DT", "CUDT")),
        )
        return _Columns(
            self._bits,
            domain,
            places(self.inputs, INPUT_PROFILES),
            places(self.inputs, INPUT_SURFACE),
            places(self.outputs, OUTPUT_PROFILES),
            places(self.outputs, OUTPUT_SURFACE),
            *places(self.outputs, ("KIND",)),
        )

    def run(
        self, state: NativeNetwork, threads: int = 1, *, tile: int | None = None
    ) -> dict[str, npt.NDArray[Any]]:
        """Fill the outputs, in one call or in calls of ``tile`` columns, and return copies of them."""
        for values in self.outputs.values():
            values.fill(-9)  # no value that the library writes
        for start in range(0, self.count, tile or self.count):
            state.emulate(ctypes.byref(self.call(start, start + (tile or self.count), threads)))
        return {name: values.copy() for name, values in self.outputs.items()}


@dataclass(frozen=True)
class FortranEmulator:
    """The native library with a weights file, as WRF runs it.

    Parameters
    ----------
    library
        ``libsciml_mskf.so``, as ``sciml coupling build`` makes it.
    weights
        A weights file of a whole emulator.
    threads
        Maximum number of threads, limited by the number of processors and by ``OMP_THREAD_LIMIT``.
        The outputs have the same bits for any number.
    precision
        ``float64`` for parity checks: the same source in double precision, network and all. WRF runs ``float32``.

    Examples
    --------
    >>> algorithm = FortranEmulator("libsciml_mskf.so", "mskf.nc")
    >>> solve(Convection(columns), algorithm)  # doctest: +SKIP
    """

    library: str | Path
    weights: str | Path
    threads: int = 1
    precision: Literal["float32", "float64"] = "float32"

    @property
    def about(self) -> dict[str, Any]:
        """Numbers and words on the training in the weights file, such as ``usual_error``; empty for a bare network."""
        attributes = read_weights(self.weights).attributes
        return {name.removeprefix("about_"): x for name, x in attributes.items() if name.startswith("about_")}

    def init(self, problem: Convection) -> NativeNetwork:
        """Open the library and the weights.

        Raises
        ------
        BuildError
            When the library cannot be loaded.
        InputError, ChecksumError, SchemaError
            When the weights cannot be used.
        """
        state = Library(self.library).open(self.weights)
        absent = str(read_weights(self.weights).attributes.get("absent_outputs", "")).split()
        if absent:
            warnings.warn(
                f"{Path(self.weights).name} does not predict {', '.join(absent)}: they are zero", stacklevel=2
            )
        return state

    def run(self, problem: Convection, state: NativeNetwork) -> ConvectionSolution:
        """Compute all outputs for all columns; see `ConvectionSolution`.

        Columns of different DX, DT, CUDT or number of levels are computed in several calls of the library.

        Raises
        ------
        InputError
            When an input has NaN, other units or the wrong order of levels, or the columns have fewer than 20 levels.
        SchemaError
            When the weights are those of a bare network.
        """
        begun = time.perf_counter()
        answers: dict[str, npt.NDArray[Any]] = {}
        for rows, part in problem.uniform():
            columns = NativeColumns(part, self.precision)
            check_inputs(columns.inputs)
            for name, values in columns.run(state, self.threads).items():
                problem.put(answers, name, rows, values.astype(np.int8) if name == "KIND" else values)
        source = f"the library {Path(self.library).name} with {Path(self.weights).name}"
        return solution_of(problem, answers, time.perf_counter() - begun, source=source)


def _taken(problem: Convection, name: str, kind: type[np.floating]) -> npt.NDArray[np.floating]:
    array = problem.columns[name]
    if array.ndim == 2:
        array = array.transpose("column", "level")
    return np.ascontiguousarray(array.values, kind)
