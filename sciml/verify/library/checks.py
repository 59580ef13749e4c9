"""Whether a library that was built and installed does what the emulator in its weights file says."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import numpy as np
import numpy.typing as npt

from sciml.convection.problem import Convection
from sciml.coupling.export import emulator_from
from sciml.coupling.fortran_emulator import FortranEmulator, NativeColumns
from sciml.coupling.library import Library, NativeNetwork
from sciml.coupling.link_flags import SCHEME
from sciml.coupling.weights_file import read_weights
from sciml.errors import InputError, SciMLError
from sciml.solve import solve
from sciml.verify.library.parity import compare

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["Check", "TILINGS", "examine"]

TILINGS = (1, 7, 32, 100)
"""Columns a call; and all of them at once."""

CALLERS = 4
"""Threads of the host that call at the same time."""

_FLAWED = 13  # the column that is made unsound


@final
@dataclass(frozen=True)
class Check:
    """What one check of an installed library found."""

    name: str
    ok: bool
    found: str

    def __str__(self) -> str:
        return f"{'ok' if self.ok else 'FAILED':<8}{self.name:<16}{self.found}"


def examine(library: Path, weights: Path, columns: xr.Dataset) -> Iterator[Check]:
    """Check a library with its weights, one thing after the other; what needs a check that failed is left out.

    Parameters
    ----------
    library, weights
        The files.
    columns
        What it is tried on: columns with as many levels as the emulator has.

    Yields
    ------
    Check
        Of the library, its Fortran module, the entry that WRF is linked to, the weights' seal, parity with torch in
        double precision (in both precisions of the library), the bits for each of `TILINGS`, for 1 and 2 threads and
        for calls at the same time, and that a column which is not finite is told and leaves the others alone.
    """
    problem = Convection(columns)

    def parity(precision: Any) -> tuple[bool, str]:
        exact = solve(problem, emulator_from(read_weights(weights)))
        native = solve(problem, FortranEmulator(library, weights, precision=precision))
        agreement = compare(exact.outputs, native.outputs)
        worst = max(agreement.agreements, key=lambda one: one.worst)
        least = min(agreement.agreements, key=lambda one: one.within)
        return agreement.ok, (
            f"{len(problem)} columns, {agreement.classes_differ} of another class; median relative difference "
            f"<= {max(one.median for one in agreement.agreements):.1e}, worst {worst.worst:.1e} of the range "
            f"({worst.name}), {least.within:.2%} of columns within {agreement.tolerance:g} of it"
        )

    def sealed() -> tuple[bool, str]:
        read = read_weights(weights)
        with Library(library).open(weights) as state:
            told = state.description
        about = f"{weights.name}, schema {told.schema}, Bi-LSTM {told.layers} x {told.hidden}"
        if not told.emulator:
            return False, f"{about}: a bare network and no emulator; export one with `sciml coupling export`"
        return True, f"{about}, {read.attributes['levels']} levels, seal and content as written"

    def loads() -> tuple[bool, str]:
        return True, f"{library.name}, best instruction set here: {Library(library).isa}"

    def module() -> tuple[bool, str]:
        source = library.parent / "sciml_mskf.f90"
        if Library(library).fortran_module:
            return True, f"in the library{', its source beside it' if source.is_file() else ''}"
        if source.is_file():
            return True, "not in the library: the host compiles sciml_mskf.f90, which is beside it"
        return False, "neither in the library nor beside it: build again with a Fortran compiler"

    def entry() -> tuple[bool, str]:
        names = (*(f"__wrap_{one}" for one in SCHEME.values()), "sciml_mskf_cps")
        missing = [name for name in names if not Library(library).shows(name)]
        if missing:
            return False, f"the library lacks {', '.join(missing)}: build it again with this sciml"
        return True, "under the names of gfortran and ifort or ifx, and of the module sciml_cu_mskf"

    def bits() -> tuple[bool, str]:
        with Library(library).open(weights) as state:
            return _same_bits(NativeColumns(problem), state)

    def unsound() -> tuple[bool, str]:
        with Library(library).open(weights) as state:
            return _isolated(problem, state)

    checks: list[tuple[str, Callable[[], tuple[bool, str]]]] = [
        ("library", loads),
        ("Fortran module", module),
        ("scheme's entry", entry),
        ("weights", sealed),
        ("parity", lambda: parity("float32")),
        ("parity, double", lambda: parity("float64")),
        ("same bits", bits),
        ("unsound column", unsound),
    ]
    for name, check in checks:
        try:
            done = Check(name, *check())
        except SciMLError as error:
            done = Check(name, False, " ".join(str(error).split()))
        yield done
        if not done.ok and name in ("library", "weights"):
            return


def _differ(one: dict[str, npt.NDArray[Any]], other: dict[str, npt.NDArray[Any]]) -> list[str]:
    return [name for name in one if one[name].tobytes() != other[name].tobytes()]


def _same_bits(columns: NativeColumns, state: NativeNetwork) -> tuple[bool, str]:
    whole = columns.run(state)
    for threads in (1, 2):
        for tile in (*TILINGS, columns.count):
            names = _differ(whole, columns.run(state, threads, tile=tile))
            if names:
                return False, f"{', '.join(names)} with {tile} columns a call and {threads} threads"
    names = _differ(whole, _at_once(columns, state))
    if names:
        return False, f"{', '.join(names)} where {CALLERS} threads of the host call at the same time"
    return True, (
        f"for {', '.join(map(str, TILINGS))} and {columns.count} columns a call, 1 and 2 threads, and {CALLERS} "
        "threads of the host at the same time"
    )


def _at_once(columns: NativeColumns, state: NativeNetwork) -> dict[str, npt.NDArray[Any]]:
    """All columns, by threads of the host that call for some of them each: what a loop over tiles does."""
    for values in columns.outputs.values():
        values.fill(-9)
    step = -(-columns.count // (4 * CALLERS))

    def call(start: int) -> None:
        state.emulate(ctypes.byref(columns.call(start, start + step)))

    with ThreadPoolExecutor(CALLERS) as pool:
        list(pool.map(call, range(0, columns.count, step)))
    return {name: values.copy() for name, values in columns.outputs.items()}


def _isolated(problem: Convection, state: NativeNetwork) -> tuple[bool, str]:
    if len(problem) <= _FLAWED:
        raise InputError(f"{len(problem)} columns are too few to spoil one: give {_FLAWED + 1} or more")
    columns = NativeColumns(problem)
    before = columns.run(state)
    columns.inputs["T_PHY"][_FLAWED, 0] = np.nan
    after = columns.run(state)
    kind = int(after["KIND"][_FLAWED])
    told = kind == -1 and after["NOVELTY"][_FLAWED] == np.inf
    spoilt = [name for name, values in after.items() if name != "NOVELTY" and not np.isfinite(values).all()]
    others = {name: np.delete(values, _FLAWED, axis=0) for name, values in before.items()}
    names = _differ(others, {name: np.delete(values, _FLAWED, axis=0) for name, values in after.items()})
    if not told or spoilt or names:
        return (
            False,
            f"a NaN gave kind {kind}, NaN in {spoilt or 'nothing'}, others changed: {names or 'none'}",
        )
    return (
        True,
        "a NaN is told by kind -1 and endless novelty; the answers are finite, and those of all others the same bits",
    )
