"""Measure the time of matrices in the native kernels, by size and kind of arithmetic."""

from __future__ import annotations

import ctypes
import subprocess
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from sciml.checks import check_choice, check_whole
from sciml.compress.costs import CostTable, check_sizes
from sciml.coupling.bilstm_export import bilstm_weights
from sciml.coupling.build import build, c_compiler, compilations, sources
from sciml.coupling.library import Library
from sciml.coupling.weights_file import Attribute, write_weights
from sciml.errors import BuildError, InputError, SciMLError

__all__ = ["measure_costs", "reduced_isa"]

ISAS = ("baseline", "avx2", "avx512", "amx")
COLUMNS = 32  # that the kernel computes at once
MOST = 1024  # channels, units and features of a block, as in network.h and reduced_weights.h
_NUMBERS = ("bf16", "int8", "int4", "sign")  # in the order of reduced_weights.h


def measure_costs(
    kinds: Iterable[str],
    shapes: Iterable[tuple[int, int]],
    *,
    isa: str | None = None,
    levels: int = 44,
    block: int = 64,
    rounds: int = 15,
) -> CostTable:
    """Measure the time of a matrix in the native kernels.

    Parameters
    ----------
    kinds
        Kinds of arithmetic: bf16, int8, int4, sign.
    shapes
        Rows and columns of the matrices, such as (4 x hidden, channels).
    isa
        Instruction set: baseline, avx2, avx512 or amx; by default the best one of this processor.
    levels
        Levels of a column. The kernels unpack 4 bits and signs once for all levels of 32 columns.
    block
        Features that share a shift.
    rounds
        Rounds in which all matrices take turns; the least time of each counts, because other work of the machine
        only adds to it.

    Returns
    -------
    CostTable
        Microseconds of processor time of a column.

    Raises
    ------
    InputError
        An argument is wrong, or this processor does not have the instruction set.
    BuildError
        There is no C compiler, or it does not know the instruction set.

    Notes
    -----
    The time is that of the kernel's own functions in one thread: codes of the activations, unpacking of the weights,
    products and their sums, without gates and states. Matrices of the two directions share the codes of their inputs,
    so that the sum over a network is a little above its time.

    Examples
    --------
    >>> table = measure_costs(["int8", "bf16"], [(128, 32), (128, 64)])  # doctest: +SKIP
    >>> table.time("int8", 128, 32)  # doctest: +SKIP
    1.3
    """
    chosen, sizes = list(dict.fromkeys(kinds)), check_sizes(shapes, MOST)
    if not chosen:
        raise InputError(f"kinds: give some of {', '.join(_NUMBERS)}")
    for kind in chosen:
        check_choice("kind", kind, _NUMBERS, owner="measure_costs")
    for name, value, most in (("levels", levels, 4096), ("block", block, MOST), ("rounds", rounds, 10**6)):
        check_whole(name, value, 1, owner="measure_costs")
        if value > most:
            raise InputError(f"measure_costs({name}={value}): give {most} at most")
    best = reduced_isa()
    used = best if isa is None else isa
    check_choice("isa", used, ISAS, owner="measure_costs")
    if ISAS.index(used) > ISAS.index(best):
        raise InputError(f"measure_costs(isa={used!r}): this processor runs {best} at most; give that")
    taken: dict[tuple[str, int, int], list[float]] = {}
    with tempfile.TemporaryDirectory(prefix="sciml-costs-") as folder:
        run = _compiled(used, Path(folder))
        for _ in range(rounds):
            for rows, columns in sizes:
                for kind in chosen:
                    seconds = run(_NUMBERS.index(kind), rows, columns, block, levels, 1)
                    taken.setdefault((kind, rows, columns), []).append(seconds)
    if min(map(min, taken.values())) < 0:
        raise SciMLError("no memory to measure the time of matrices: give smaller shapes")
    return CostTable(used, levels, block, {key: min(times) / COLUMNS * 1e6 for key, times in taken.items()})


def reduced_isa() -> str:
    """Return the instruction set that the library uses for reduced networks here.

    Raises
    ------
    BuildError
        There is no C compiler, or it fails.
    """
    shapes = {"weight_ih": (4, 1), "weight_hh": (4, 1), "bias_ih": (4,), "bias_hh": (4,)}
    lstm = {
        f"{name}_l0{suffix}": np.zeros(shape, np.float32)
        for suffix in ("", "_reverse")
        for name, shape in shapes.items()
    }
    bare = bilstm_weights(lstm, (np.zeros((1, 2), np.float32), np.zeros(1, np.float32)))
    reduced: dict[str, Attribute] = {
        "weight_format": "reduced",
        "arithmetic": " ".join(["int8"] * 5),
        "input_planes": 1,
    }
    weights = replace(bare, attributes={**bare.attributes, **reduced, "arithmetic_block": 64})
    with tempfile.TemporaryDirectory(prefix="sciml-costs-") as folder:
        file = Path(folder) / "one.nc"
        write_weights(file, weights)
        with Library(build(fortran=False)).open(file) as network:
            return network.isa


def _compiled(isa: str, folder: Path) -> Callable[..., float]:
    """Return the function of engine/matrix_time.c for an instruction set."""
    commands = compilations(c_compiler())
    name = f"reduced_kernel_{isa}.o"
    if name not in commands:
        raise BuildError(f"the C compiler does not know the instructions of {isa}: set CC to a newer one")
    words = [word for word in commands[name][:-1] if word != "-c"]
    library = folder / f"time_{isa}.so"
    command = [*words, "-shared", str(sources() / "engine" / "matrix_time.c"), "-o", str(library)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BuildError(f"engine/matrix_time.c does not compile: {done.stderr.strip()[-1000:]}")
    run = ctypes.CDLL(str(library)).sciml_matrix_time
    run.restype, run.argtypes = ctypes.c_double, (ctypes.c_int,) * 6
    return run
