"""Tables of activation functions against the reference vectors and against the functions."""

from __future__ import annotations

import numpy as np
import pytest

from sciml.compress.tables import (
    TANH_TABLE,
    code_table,
    exponential_table,
    fit_tanh_table,
    integer_softmax,
    table_sigmoid,
    table_tanh,
)
from sciml.errors import InputError
from tests.paths import ORACLES

CODES = np.arange(-32767, 32768, dtype=np.int32)


@pytest.mark.parametrize("function", ["gelu", "tanh", "sigmoid", "exp"])
def test_code_tables(function: str) -> None:
    prefix = f"lut/{'exp_neg' if function == 'exp' else function}/in8_s5_"
    with np.load(ORACLES / "own_bct.npz") as file:
        for bits, shift in ((8, 5), (8, 7), (16, 12)):
            wanted = file[f"{prefix}out{bits}_s{shift}"]
            table = code_table(function, 5, bits, shift)
            assert table.dtype == wanted.dtype
            np.testing.assert_array_equal(table, wanted)


def test_softmax() -> None:
    with np.load(ORACLES / "own_bct.npz") as file:
        np.testing.assert_array_equal(exponential_table(), file["softmax/exp_table_u15_index0_is_-255"])
        codes, exact = file["softmax/codes_in"], file["softmax/float"]
        np.testing.assert_array_equal(integer_softmax(codes), file["softmax/p_uint8"])
    assert np.abs(integer_softmax(codes) / 255 - exact).max() <= 1.97e-3


def test_gate_tables_have_the_documented_error() -> None:
    tanh, sigmoid = table_tanh(CODES), table_sigmoid(CODES)
    assert np.abs(tanh / 2**15 - np.tanh(CODES / 2**12)).max() <= 4.1e-5
    assert np.abs(sigmoid / 2**15 - 1 / (1 + np.exp(-CODES / 2**11))).max() <= 3.6e-5
    np.testing.assert_array_equal(tanh[::-1], -tanh)
    assert (tanh[32767], np.abs(tanh).max(), sigmoid.min(), sigmoid.max()) == (0, 32767, 0, 32767)


def test_the_table_is_its_fit() -> None:
    assert fit_tanh_table() == TANH_TABLE


def test_bad_requests() -> None:
    for call, match in [
        (lambda: code_table("relu", 5, 8, 5), "no table of 'relu': give one of tanh, sigmoid, gelu, exp"),
        (lambda: code_table("tanh", 5, 12, 5), "entries of 12 bits: give 8 or 16"),
    ]:
        with pytest.raises(InputError, match=match):
            call()
