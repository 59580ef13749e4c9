"""Comparison of the bits of a quantized network in torch and in the native library, on each kernel of the processor."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, final

import numpy as np
import numpy.typing as npt

from sciml.coupling.library import Library
from sciml.coupling.weights_file import Weights, read_weights
from sciml.errors import InputError

if TYPE_CHECKING:
    import xarray as xr

    from sciml.convection.emulator import Emulator

__all__ = [
    "KERNELS",
    "BitCount",
    "compare_bits",
    "network_inputs",
    "random_inputs",
    "reduced_outputs",
    "usable_kernels",
]

Floats = npt.NDArray[np.float32]

KERNELS: Final = ("baseline", "avx2", "avx512", "amx")
"""Names of the kernels of quantized networks, as in the environment variable SCIML_ISA."""

CHUNK: Final = 1024  # columns that are compared at a time
_SIZES = (1e-42, 1e-30, 1e-3, 40.0, 1e20, 1e37)
_UNUSUAL = 8  # one column in so many has another magnitude
_INVALID = 500  # and one in so many has a number that is not finite


@final
@dataclass(frozen=True)
class BitCount:
    """Number of outputs of a network whose bits differ between torch and the library.

    Attributes
    ----------
    kernel
        Kernel of the library.
    columns, values
        Number of columns and of outputs that were compared.
    unequal
        Number of outputs with other bits; two NaN are equal.
    """

    kernel: str
    columns: int
    values: int
    unequal: int

    def __add__(self, other: BitCount) -> BitCount:
        return BitCount(
            self.kernel,
            self.columns + other.columns,
            self.values + other.values,
            self.unequal + other.unequal,
        )


@contextmanager
def _chosen(kernel: str | None) -> Iterator[None]:
    """Set SCIML_ISA, or unset it for None, and restore it."""
    before = os.environ.pop("SCIML_ISA", None)
    if kernel is not None:
        os.environ["SCIML_ISA"] = kernel
    try:
        yield
    finally:
        os.environ.pop("SCIML_ISA", None)
        if before is not None:
            os.environ["SCIML_ISA"] = before


def usable_kernels(library: Library, weights: str | Path) -> tuple[str, ...]:
    """Return the kernels for a weights file that this processor and this build have."""
    with _chosen(None), library.open(weights) as state:
        best = state.isa
    return KERNELS[: KERNELS.index(best) + 1]


def random_inputs(columns: int, levels: int, channels: int, seed: int) -> Floats:
    """Draw inputs of a network: normal numbers, in one column of 8 of another magnitude, in one of 500 not finite.

    Returns
    -------
    ndarray
        (column, level, channel), float32.
    """
    draw = np.random.default_rng(seed)
    x = draw.standard_normal((columns, levels, channels), np.float32)
    unusual = np.flatnonzero(draw.integers(0, _UNUSUAL, columns) == 0)
    x[unusual] *= draw.choice(np.array(_SIZES, np.float32), (len(unusual), 1, 1))
    invalid = np.flatnonzero(draw.integers(0, _INVALID, columns) == 0)
    places = draw.integers(0, levels, len(invalid)), draw.integers(0, channels, len(invalid))
    x[(invalid, *places)] = draw.choice(np.array([np.nan, np.inf, -np.inf], np.float32), len(invalid))
    return x


def network_inputs(emulator: Emulator[Any], columns: xr.Dataset) -> Floats:
    """Return the inputs of the LSTM of an emulator for the columns that it computes.

    Parameters
    ----------
    emulator
        Emulator with an LSTM over the levels.
    columns
        Columns of one number of levels.

    Returns
    -------
    ndarray
        Standardised features (column, level, channel), float32, without the columns that the network does not see.
    """
    import torch

    from sciml.convection.problem import Convection

    seen: list[torch.Tensor] = []
    problem = Convection(columns)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of outputs that the network does not have
        network: Any = emulator.init(problem)
    network.lstm.register_forward_pre_hook(lambda _, given: seen.append(given[0].float()))
    emulator.run(problem, network)
    if not seen:
        raise InputError(f"the network sees none of {columns.sizes['column']} columns: give others")
    return np.asarray(torch.cat(seen).numpy())


def reduced_outputs(weights: Weights, x: Floats) -> tuple[Floats, Floats]:
    """Compute the network of a weights file of reduced arithmetic in torch.

    Parameters
    ----------
    weights
        Weights from `sciml.coupling.weights_file.read_weights`.
    x
        Inputs (column, level, channel).

    Returns
    -------
    tuple of ndarray
        Outputs (column, level, output) and pooled outputs (column, pooled), as `NativeNetwork.network`. The products of
        the pooled outputs are added level by level.

    Raises
    ------
    InputError
        The arithmetic of the file is not reduced.
    """
    import torch

    from sciml.compress.integer_linear import ReducedLinear
    from sciml.compress.integer_lstm import ReducedLSTM
    from sciml.nn.lstm import LSTM

    given: Mapping[str, Any] = weights.attributes
    if given.get("weight_format") != "reduced":
        raise InputError(
            "the network has weights of floats, whose bits in torch and in the library differ: quantize it first"
        )
    tensors = {name: torch.from_numpy(np.array(array)) for name, array in weights.arrays.items()}
    lstm = LSTM(given["channels"], given["hidden"], given["layers"], batch_first=True, bidirectional=True)
    lstm.load_state_dict({name: tensors[f"lstm.{name}"] for name in lstm.state_dict()})
    matrices = [
        f"weight_{part}_l{layer}{suffix}"
        for layer in range(lstm.num_layers)
        for suffix in ("", "_reverse")
        for part in ("ih", "hh")
    ]
    *kinds, last = str(given["arithmetic"]).split()
    block, planes = given["arithmetic_block"], given["input_planes"]
    head = torch.nn.Linear(2 * lstm.hidden_size, len(tensors["head.bias"]))
    head.load_state_dict({name: tensors[f"head.{name}"] for name in ("weight", "bias")})
    with torch.no_grad():
        reduced = ReducedLSTM(lstm, dict(zip(matrices, kinds, strict=True)), block, planes)
        states = reduced(torch.from_numpy(x))[0]
        outputs = ReducedLinear(head, last, block)(states).numpy()
    own = int(given["outputs"])
    if not given["pooled"]:
        return outputs[..., :own], np.zeros((len(x), 0), np.float32)
    return outputs[..., :own], _pooled(outputs[..., own:], weights)


def _pooled(units: Floats, weights: Weights) -> Floats:
    """Add the products of the pooled outputs in the order of the library."""
    pool = np.asarray(weights.arrays["pool.weight"], np.float32)
    total = np.repeat(np.asarray(weights.arrays["pool.bias"], np.float32)[None], len(units), 0)
    for unit in range(units.shape[2]):
        for level in range(units.shape[1]):
            total = total + pool[None, :, unit, level] * units[:, level, unit, None]
    return total


def _unequal(first: npt.NDArray[Any], second: npt.NDArray[Any]) -> int:
    """Count the numbers whose bits differ; two NaN are equal."""
    bits = [np.ascontiguousarray(part, np.float32).view(np.uint32) for part in (first, second)]
    return int(((bits[0] != bits[1]) & ~(np.isnan(first) & np.isnan(second))).sum())


def compare_bits(
    library: Library, weights: str | Path, x: Floats, kernels: Sequence[str] | None = None
) -> dict[str, BitCount]:
    """Run the network of a weights file in torch and on each kernel of the library, and count unequal outputs.

    Parameters
    ----------
    library
        The native library.
    weights
        Weights file of a quantized network.
    x
        Inputs (column, level, channel), float32.
    kernels
        Names in `KERNELS`; by default `usable_kernels`.

    Returns
    -------
    dict
        Count by kernel.

    Raises
    ------
    InputError
        The arithmetic of the file is not reduced, a kernel is not there, or there are no columns.
    """
    if not len(x):
        raise InputError("no columns to compare: give one or more")
    read = read_weights(weights)
    states = {}
    for kernel in usable_kernels(library, weights) if kernels is None else kernels:
        with _chosen(kernel):
            states[kernel] = library.open(weights)
    counts: dict[str, BitCount] = {}
    try:
        for start in range(0, len(x), CHUNK):
            part = x[start : start + CHUNK]
            truth = reduced_outputs(read, part)
            for kernel, state in states.items():
                mine = state.network(part)
                unequal = sum(_unequal(a, b) for a, b in zip(truth, mine, strict=True))
                count = BitCount(kernel, len(part), sum(a.size for a in truth), unequal)
                counts[kernel] = counts[kernel] + count if kernel in counts else count
    finally:
        for state in states.values():
            state.close()
    return counts
