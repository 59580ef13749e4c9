"""Block-shift integers: the reference vectors, the rule of the shift at its edges, and bounds of the sums."""

from __future__ import annotations

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sciml.compress.arithmetic import (
    MOST_SHIFT,
    add_floats,
    add_integers,
    block_shifts,
    check_sums,
    partial_sums,
    quantize_blocks,
)
from sciml.errors import InputError
from tests.paths import ORACLES

CASES = [(bits, block, variant) for bits in (8, 4) for block in (8, 32, 64) for variant in ("floor", "round")]


@pytest.mark.parametrize(("bits", "block", "variant"), CASES)
def test_reference_vectors(bits: int, block: int, variant: str) -> None:
    with np.load(ORACLES / "own_bct.npz") as file:
        wanted = {
            name.split("/")[1]: file[name]
            for name in file
            if name.startswith(f"int{bits}_b{block}_{variant}/")
        }
        x, w = (quantize_blocks(file[name], bits, block, variant) for name in ("x", "w"))
    sums = partial_sums(x, w)
    total, shift = add_integers(sums, x, w)
    assert (sums.dtype, total.dtype) == (np.int32, np.int32)
    for name, value in {
        "qx": x.codes,
        "sx": x.shifts,
        "qw": w.codes,
        "sw": w.shifts,
        "partial_int32": sums,
        "y": add_floats(sums, x, w),
        "y_int32_acc": total,
        "y_int32_shift": shift,
    }.items():
        np.testing.assert_array_equal(value, wanted[name], err_msg=name)


FLOATS = hnp.arrays(
    np.float32,
    hnp.array_shapes(min_dims=1, max_dims=3),
    elements=st.floats(-(2.0**126), 2.0**126, width=32),
)


@given(FLOATS, st.sampled_from([4, 8, 16]), st.integers(1, 9))
def test_values_are_fixed_points_with_an_error_of_half_a_step(
    array: np.ndarray, bits: int, block: int
) -> None:
    coded = quantize_blocks(array, bits, block)
    again = quantize_blocks(coded.values(), bits, block)
    np.testing.assert_array_equal(again.codes, coded.codes)
    used = np.repeat(coded.shifts.astype(int), block, -1)[..., : array.shape[-1]]
    error = np.abs(coded.values().astype(float) - array)
    assert (error <= np.ldexp(0.5, -used)).all()
    assert np.abs(coded.codes.astype(int)).max() <= 2 ** (bits - 1) - 1


def test_shifts_are_the_largest_that_fit() -> None:
    """At the limit 127 2^e the shift changes; float32 logarithms round there."""
    limit = np.float32(127) * np.float32(2.0) ** np.arange(-90, 90, dtype=np.float32)
    np.testing.assert_array_equal(block_shifts(limit, 8), -np.arange(-90, 90))
    np.testing.assert_array_equal(
        block_shifts(np.nextafter(limit, np.float32(np.inf)), 8), -np.arange(-90, 90) - 1
    )
    np.testing.assert_array_equal(
        block_shifts(np.float32([0, 1e-45, 7, 3.4e38]), 4), [0, MOST_SHIFT, 0, -126]
    )


def test_an_outlier_takes_the_bits_of_its_block_alone() -> None:
    row = np.float32([[0.5, 0.25, 100.0, 0.5, 0.25, 0.5]])
    np.testing.assert_array_equal(quantize_blocks(row, 8, 3).values(), [[0, 0, 100, 0.5, 0.25, 0.5]])


def test_bad_requests() -> None:
    x = np.ones((2, 5))
    for call, match in [
        (lambda: quantize_blocks(x, 3, 4), "3 bits: give one of 4, 8, 16"),
        (lambda: quantize_blocks(x, 8, 0), "block 0: give a whole number from 1 to 1024"),
        (lambda: quantize_blocks(x, 8, 2000), "block 2000"),
        (lambda: quantize_blocks(x * np.nan, 8, 4), "not finite"),
        (lambda: partial_sums(quantize_blocks(x, 8, 4), quantize_blocks(x, 8, 5)), "give equal blocks"),
        (
            lambda: partial_sums(quantize_blocks(x, 8, 4), quantize_blocks(x[:, :4], 8, 4)),
            "equal numbers of values",
        ),
        (lambda: check_sums(16, 16, 64), "beyond int32: give blocks of at most 2$"),
    ]:
        with pytest.raises(InputError, match=match):
            call()
    assert check_sums(16, 16, 2) < 2**31 <= 3 * 32767**2
