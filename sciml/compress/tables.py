"""Integer tables of activation functions: tables of 8-bit codes, softmax, and the gates of a reduced LSTM.

The tables of 8-bit codes are those of block-shift integers (BCT, arXiv 2304.01483; widths are our form). They are too
coarse for the gates of an LSTM: with codes of step 2^-5 the error is 0.015 for tanh and 0.004 for sigmoid. The gates
have 16 bits: a quadratic polynomial in each of 64 intervals of [0, 8), computed in integers, with an error of at most
4.1e-5. This module does not import torch.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from sciml.errors import InputError

__all__ = [
    "FUNCTIONS",
    "TANH_TABLE",
    "code_table",
    "exponential_table",
    "fit_tanh_table",
    "integer_softmax",
    "rounded_product",
    "table_sigmoid",
    "table_tanh",
    "tanh_header",
]

Array = npt.NDArray[Any]

_ERF = np.vectorize(math.erf, otypes=[np.float64])

FUNCTIONS: dict[str, Callable[[Array], Array]] = {
    "tanh": np.tanh,
    "sigmoid": lambda x: 1.0 / (1.0 + np.exp(-x)),
    "gelu": lambda x: 0.5 * x * (1.0 + _ERF(x / np.sqrt(2.0))),
    "exp": lambda x: np.exp(np.minimum(x, 0.0)),
}
"""Functions of `code_table`; the exponential of positive numbers is 1, because softmax subtracts the largest."""

_TANH = (
    "2045 6073 9919 13486 16706 19542 21986 24054 25776 27191 28341 29268 30010 30600 31067 31435 31726 "
    "31953 32132 32271 32381 32466 32532 32584 32625 32657 32681 32700 32715 32727 32736 32743 32749 "
    "32753 32756 32759 32761 32762 32764 32765 32765 32766 32766 32767 32767 32767 32767 32767 32767 "
    "32767 32767 32767 32767 32767 32767 32767 32767 32767 32767 32767 32767 32767 32767 32767",
    "4076 3952 3718 3400 3031 2640 2253 1890 1563 1277 1033 830 662 525 415 327 257 202 158 123 96 75 59 "
    "46 36 28 22 17 13 10 8 6 5 4 3 2 1 2 1 1 2 0 1 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0",
    "-29 -92 -139 -172 -193 -197 -187 -172 -154 -133 -110 -91 -78 -63 -50 -36 -34 -23 -21 -14 -14 -10 -4 "
    "-3 -5 -6 -2 -1 -1 -3 0 0 -2 -2 3 0 -2 3 -2 -2 3 0 2 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0",
)

TANH_TABLE: tuple[tuple[int, ...], ...] = tuple(tuple(map(int, row.split())) for row in _TANH)
"""Coefficients c0, c1, c2 of tanh in 64 intervals of width 1/8, in units of 2^-15; `fit_tanh_table` computes them."""

_INTERVALS, _WIDTH = 64, 512  # intervals of 512 codes of step 2^-12


def code_table(function: str, in_shift: int, out_bits: int, out_shift: int) -> Array:
    """Compute the table of a function of 8-bit codes.

    Parameters
    ----------
    function
        Name in `FUNCTIONS`.
    in_shift, out_shift
        Shifts: a code ``c`` stands for ``c 2^-shift``.
    out_bits
        Bits of an entry, 8 or 16; larger results are clipped.

    Returns
    -------
    ndarray
        Entries for the codes -128 to 127, int8 or int16 (256,).

    Raises
    ------
    InputError
        The function or the bits are not available.

    Examples
    --------
    >>> code_table("tanh", 5, 8, 7)[[0, 128, 130, 255]]
    array([-128,    0,    8,  127], dtype=int8)
    """
    if function not in FUNCTIONS:
        raise InputError(f"no table of {function!r}: give one of {', '.join(FUNCTIONS)}")
    if out_bits not in (8, 16):
        raise InputError(f"a table with entries of {out_bits!r} bits: give 8 or 16")
    most = 2 ** (out_bits - 1)
    values: Array = np.rint(
        np.ldexp(FUNCTIONS[function](np.ldexp(np.arange(-128.0, 128.0), -in_shift)), out_shift)
    )
    entries: Array = np.clip(values, -most, most - 1).astype(np.int8 if out_bits == 8 else np.int16)
    return entries


def exponential_table(in_shift: int = 5) -> Array:
    """Compute exp of the differences -255 to 0 of two codes, in units of 2^-15, int32 (256,)."""
    values = np.rint(np.ldexp(np.exp(np.ldexp(np.arange(-255.0, 1.0), -in_shift)), 15))
    entries: Array = np.minimum(values, 32767).astype(np.int32)
    return entries


def integer_softmax(codes: Array, in_shift: int = 5) -> npt.NDArray[np.uint8]:
    """Compute softmax along the last axis of 8-bit codes, in integers only.

    Parameters
    ----------
    codes
        Codes, int8 (..., n), that stand for ``c 2^-in_shift``.
    in_shift
        Shift of the codes.

    Returns
    -------
    ndarray
        Probabilities in units of 1/255, uint8; each is rounded, so that their sum may differ from 255.

    Examples
    --------
    >>> integer_softmax(np.int8([[-40, 42, 72]]))
    array([[  5,  70, 179]], dtype=uint8)
    """
    wide = np.asarray(codes, np.int64)
    powers = exponential_table(in_shift)[wide - wide.max(-1, keepdims=True) + 255].astype(np.int64)
    total = powers.sum(-1, keepdims=True)
    rounded: npt.NDArray[np.uint8] = ((255 * powers + total // 2) // total).astype(np.uint8)
    return rounded


def rounded_product(a: Array, b: Array) -> Array:
    """Return ``(a b + 2^14) >> 15`` of int32 arrays of 16-bit numbers: the product of fractions in units of 2^-15."""
    product: Array = (a * b + (1 << 14)) >> 15
    return product


def table_tanh(codes: Array) -> Array:
    """Compute tanh of 16-bit codes with `TANH_TABLE`, in integers only.

    Parameters
    ----------
    codes
        Codes from -32767 to 32767 in units of 2^-12, int32.

    Returns
    -------
    ndarray
        tanh in units of 2^-15, from -32767 to 32767, int32. The largest error is 4.1e-5.

    Examples
    --------
    >>> table_tanh(np.array([0, 4096, -32767], np.int32)) / 2**15
    array([ 0.        ,  0.76159668, -0.99996948])
    """
    codes = np.asarray(codes, np.int32)
    size = np.abs(codes)
    c0, c1, c2 = (np.array(row, np.int32)[size >> 9] for row in TANH_TABLE)
    d = ((size & 511) - 256) << 6
    value: Array = c0 + rounded_product(d, c1 + rounded_product(d, c2))
    return np.where(codes >= 0, value, -value)


def table_sigmoid(codes: Array) -> Array:
    """Compute the logistic function of 16-bit codes as ``(tanh(x / 2) + 1) / 2``, in integers only.

    Parameters
    ----------
    codes
        Codes from -32767 to 32767 in units of 2^-11, int32.

    Returns
    -------
    ndarray
        Values in units of 2^-15, from 0 to 32767, int32. The largest error is 3.6e-5.

    Examples
    --------
    >>> table_sigmoid(np.array([0, 2048, -32767], np.int32)) / 2**15
    array([0.5       , 0.73104858, 0.        ])
    """
    half: Array = table_tanh(codes) >> 1
    return half + 16384


def fit_tanh_table() -> tuple[tuple[int, ...], ...]:
    """Compute `TANH_TABLE`: in each interval, the integers near a Chebyshev fit with the least largest error.

    No value of the table is below 0 or above 32767, and that of 0 is 0. Among equal errors the smallest mean error,
    then the coefficients nearest to 0, are chosen.
    """
    d = (np.arange(_WIDTH) - _WIDTH // 2) << 6
    rows = []
    near = np.arange(-3, 4)
    for interval in range(_INTERVALS):
        exact = 32768.0 * np.tanh((interval * _WIDTH + np.arange(_WIDTH)) / 4096.0)
        nodes = np.cos((np.arange(3) + 0.5) * np.pi / 3) / 2
        at_nodes = 32768.0 * np.tanh((interval + 0.5 + nodes) / 8.0)
        c2, c1, c0 = np.rint(np.polyfit(nodes, at_nodes, 2)).astype(int)
        choices = []
        for second in c2 + near:
            for first in c1 + near:
                rest = rounded_product(d, first + rounded_product(d, second))
                for constant in c0 + near:
                    value = constant + rest
                    if value.min() < 0 or value.max() > 32767 or (interval == 0 and value[0] != 0):
                        continue
                    error = np.abs(value - exact)
                    key = (
                        round(float(error.max()), 9),
                        round(float(error.mean()), 9),
                        abs(int(second)),
                        abs(int(first)),
                    )
                    choices.append((*key, int(constant), int(first), int(second)))
        rows.append(min(choices)[-3:])
    return tuple(zip(*rows, strict=True))


def tanh_header() -> str:
    """Return the C declaration of `TANH_TABLE`."""
    lines = []
    for name, row in zip(("c0", "c1", "c2"), TANH_TABLE, strict=True):
        texts = [", ".join(map(str, row[at : at + 16])) for at in range(0, len(row), 16)]
        lines.append(
            f"static const int16_t sciml_tanh_{name}[{len(row)}] = {{\n    " + ",\n    ".join(texts) + "};\n"
        )
    return "".join(lines)
