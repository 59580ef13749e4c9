"""Checks of a built library with the emulator in its weights file."""

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
from sciml.coupling.reduced_export import REDUCED
from sciml.coupling.weights_file import read_weights
from sciml.errors import InputError, SciMLError
from sciml.solve import solve
from sciml.tables import aligned
from sciml.verify.library.equality import compare_bits, network_inputs
from sciml.verify.library.parity import compare_outputs

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["Check", "TILINGS", "examine"]

TILINGS = (1, 7, 32, 100)
"""Numbers of columns in a call, besides all of them."""

CALLERS = 4
"""Number of threads of the host that call the library at the same time."""

_LAYERS = ("layers_below", "layers_cloud", "layers_pressure", "pool_levels")
_FLAWED = 13  # index of the column that gets a NaN


@final
@dataclass(frozen=True)
class Check:
    """Result of one check of a built library."""

    name: str
    ok: bool
    details: str

    def __str__(self) -> str:
        row = ("ok" if self.ok else "FAILED", self.name, self.details)
        return "\n".join(aligned([row], align="<", widths=(8, 16), gap=""))


def examine(library: Path, weights: Path, columns: xr.Dataset) -> Iterator[Check]:
    """Check a library with its weights; checks that depend on a failed check are skipped.

    Parameters
    ----------
    library, weights
        Paths of the files.
    columns
        Columns, of any number of levels from 20 on. Of different runs, the checks of bits take the most numerous of one
        grid and time step.

    Yields
    ------
    Check
        Results for the library, its Fortran module, the entry that WRF links, the checksum of the weights, parity with
        torch in double precision (for both precisions of the library), for a quantized network the bits of torch on all
        kernels of this processor, bit-equal outputs for each of `TILINGS`, for 1
        and 2 threads and for concurrent calls, and for a column that is not finite and must not change the others.
    """
    problem = Convection(columns)
    largest = max((part for _, part in problem.uniform()), key=len)

    def parity(precision: Any) -> tuple[bool, str]:
        exact = solve(problem, emulator_from(read_weights(weights)))
        native = solve(problem, FortranEmulator(library, weights, precision=precision))
        agreement = compare_outputs(exact.outputs, native.outputs)
        worst = max(agreement.agreements, key=lambda output: output.worst)
        least = min(agreement.agreements, key=lambda output: output.within)
        return agreement.ok, (
            f"{len(problem)} columns, {agreement.classes_differ} of another class; median relative difference "
            f"<= {max(output.median for output in agreement.agreements):.1e}, worst {worst.worst:.1e} of the range "
            f"({worst.name}), {least.within:.2%} of columns within {agreement.tolerance:g} of it"
        )

    def sealed() -> tuple[bool, str]:
        read = read_weights(weights)
        with Library(library).open(weights) as state:
            description = state.description
        about = f"{weights.name}, schema {description.schema}, Bi-LSTM {description.layers} x {description.hidden}"
        if not description.emulator:
            return (
                False,
                f"{about}: the file has a bare network; export an emulator with `sciml coupling export`",
            )
        kind = read.attributes["emulator"]
        layers = [str(read.attributes[name]) for name in _LAYERS if read.attributes.get(name)]
        return True, f"{about}, {kind}, {' + '.join(layers)} layers, checksum correct"

    def loads() -> tuple[bool, str]:
        return True, f"{library.name}, best instruction set here: {Library(library).isa}"

    def module() -> tuple[bool, str]:
        source = library.parent / "sciml_mskf.f90"
        if Library(library).fortran_module:
            return True, f"in the library{', with its source in the same folder' if source.is_file() else ''}"
        if source.is_file():
            return True, "not in the library: the host compiles sciml_mskf.f90, which is in the same folder"
        return False, "missing in the library and in its folder: build again with a Fortran compiler"

    def entry() -> tuple[bool, str]:
        names = (*(f"__wrap_{symbol}" for symbol in SCHEME.values()), "sciml_mskf_cps")
        missing = [name for name in names if not Library(library).shows(name)]
        if missing:
            return False, f"the library does not export {', '.join(missing)}: build it again with this sciml"
        return True, "under the names of gfortran and ifort or ifx, and of the module sciml_cu_mskf"

    def exact() -> tuple[bool, str]:
        inputs = network_inputs(emulator_from(read_weights(weights)), largest.columns)
        counts = compare_bits(Library(library), weights, inputs).values()
        unequal = [
            f"{count.unequal:,} of {count.values:,} on {count.kernel}" for count in counts if count.unequal
        ]
        if unequal:
            return (
                False,
                f"outputs with other bits than in torch: {', '.join(unequal)}; build the library again",
            )
        return (
            True,
            f"those of torch, {len(inputs):,} columns on {', '.join(count.kernel for count in counts)}",
        )

    def bits() -> tuple[bool, str]:
        with Library(library).open(weights) as state:
            return _same_bits(NativeColumns(largest), state)

    def unsound() -> tuple[bool, str]:
        with Library(library).open(weights) as state:
            return _isolated(largest, state)

    checks: list[tuple[str, Callable[[], tuple[bool, str]]]] = [
        ("library", loads),
        ("Fortran module", module),
        ("scheme's entry", entry),
        ("weights", sealed),
        ("parity", lambda: parity("float32")),
        ("parity, double", lambda: parity("float64")),
        ("network's bits", exact),
        ("same bits", bits),
        ("unsound column", unsound),
    ]
    for name, check in checks:
        if check is exact and read_weights(weights).attributes.get("weight_format") != REDUCED:
            continue  # the bits of floats depend on the order of sums
        try:
            done = Check(name, *check())
        except SciMLError as error:
            done = Check(name, False, " ".join(str(error).split()))
        yield done
        if not done.ok and name in ("library", "weights"):
            return


def _differ(first: dict[str, npt.NDArray[Any]], second: dict[str, npt.NDArray[Any]]) -> list[str]:
    return [name for name in first if first[name].tobytes() != second[name].tobytes()]


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
    """Compute all columns with concurrent calls of threads of the host, like a loop over tiles."""
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
        raise InputError(
            f"{len(problem)} columns are too few for the test with a NaN: give {_FLAWED + 1} or more"
        )
    columns = NativeColumns(problem)
    before = columns.run(state)
    columns.inputs["T_PHY"][_FLAWED, 0] = np.nan
    after = columns.run(state)
    kind = int(after["KIND"][_FLAWED])
    marked = kind == -1 and after["NOVELTY"][_FLAWED] == np.inf
    not_finite = [
        name for name, values in after.items() if name != "NOVELTY" and not np.isfinite(values).all()
    ]
    others = {name: np.delete(values, _FLAWED, axis=0) for name, values in before.items()}
    names = _differ(others, {name: np.delete(values, _FLAWED, axis=0) for name, values in after.items()})
    if not marked or not_finite or names:
        return (
            False,
            f"a NaN gave class {kind}, NaN in {not_finite or 'nothing'}, others changed: {names or 'none'}",
        )
    return (
        True,
        "a column with a NaN gets class -1 and infinite novelty; all outputs are finite, and those of other columns "
        "bit-equal",
    )
