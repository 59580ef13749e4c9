"""Packed tensors: layout by bytes, values against the reference vectors, and damaged blobs."""

from __future__ import annotations

import contextlib

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sciml.compress.blobs import decode, encode_block_shift, encode_hypercomplex, encode_sign
from sciml.compress.formats import FORMATS, pack, stored_bytes, unpack
from sciml.compress.kronecker import kronecker_sum
from sciml.errors import InputError, SchemaError
from tests.paths import ORACLES

FLOATS = hnp.arrays(
    np.float32, hnp.array_shapes(min_dims=1, max_dims=4), elements=st.floats(-(2.0**100), 2.0**100, width=32)
)


def through(array: np.ndarray, chosen: str) -> tuple[np.ndarray, np.ndarray]:
    """The blob of a format and what it decodes to."""
    stored, described = pack({"x": array}, {"x": chosen})
    return stored["x"], unpack(stored, described)["x"]


@given(FLOATS, st.sampled_from(["int4", "int8", "int8-3", "int16", "int4-7", "mxint8", "mxint4-5", "sign"]))
def test_a_decoded_tensor_has_the_same_blob(array: np.ndarray, chosen: str) -> None:
    blob, values = through(array, chosen)
    again, same = through(values, chosen)
    assert (blob.dtype, values.shape, values.dtype) == (np.uint8, array.shape, np.float32)
    np.testing.assert_array_equal(same, values)
    assert chosen.startswith("mx") or np.array_equal(again, blob)
    assert stored_bytes({"x": array}, {"x": chosen}) == blob.nbytes


def test_bytes_of_block_shift_integers() -> None:
    array = np.float32([[3.0, -0.4, 0.0, 0.0, 0.25], [-1.0, 0.5, 7.0, 0.0, 0.0]])
    blob = encode_block_shift(array, 4, 2)
    # Shifts 1, 0 (zeros), 4 and 2, 0, 0 (zeros); blocks of zeros have the difference 0.
    header = [1, 4, 2, 0, 0, 4]
    codes = [[6, -1], [0, 0], [4], [-4, 2], [7, 0], [0]]
    flat = [code & 15 for block in codes for code in block]
    assert blob.tolist() == [
        *header,
        *(0x01, 0x24, 0x00),
        *(low | high << 4 for low, high in zip(flat[::2], flat[1::2], strict=True)),
    ]


def test_width_of_the_shifts() -> None:
    narrow, wide = np.float32([[1.0, 2.0**15]]).T, np.float32([[1.0, 2.0**16]]).T
    for array, base, width, size in ((narrow, -9, 4, 9), (wide, -10, 8, 10)):
        blob = encode_block_shift(array, 8, 64)
        assert (blob[4].astype(np.int8), blob[5], blob.size) == (base, width, size)
        np.testing.assert_array_equal(decode(blob, array.shape), array)


def test_bytes_of_signs() -> None:
    array = np.float32([[1.0, -2.0, 0.0], [-0.5, -0.5, 0.5]])
    blob = encode_sign(array)
    assert blob.tolist() == [2, 0, 0x80, 0x3F, 0x00, 0x3F, 0b100101]
    np.testing.assert_array_equal(decode(blob, (2, 3)), [[1, -1, 1], [-0.5, -0.5, 0.5]])


def test_mx_integers_equal_the_reference() -> None:
    with np.load(ORACLES / "mx_formats.npz") as file:
        for bits in (8, 4):
            for block in (16, 32):
                _, values = through(file["in"], f"mxint{bits}-{block}")
                np.testing.assert_array_equal(values, file[f"int{bits}/block{block}/even"])
    with np.load(ORACLES / "own_bct.npz") as file:
        np.testing.assert_array_equal(
            through(file["w"].astype(np.float32), "mxint8")[1], file["mxint8/deq"].astype(np.float32)
        )


@pytest.mark.parametrize("n", [2, 3, 4, 8])
def test_hypercomplex_weights(n: int) -> None:
    """Factors in 8 bits of a weight that is a Kronecker sum; sizes as those of an LSTM of 48 units."""
    generator = np.random.default_rng(770 + n)
    a, f = generator.normal(size=(n, n, n)), generator.normal(size=(n, 192 // n, 48 // n))
    dense = kronecker_sum(a, f)
    exact = sum(torch.kron(torch.tensor(x), torch.tensor(y)) for x, y in zip(a, f, strict=True))
    np.testing.assert_allclose(dense, exact, rtol=1e-5, atol=1e-5)
    blob = encode_hypercomplex(dense, n)
    assert blob.size <= 192 * 48 / n * 1.02 + 2 * n**3 + 14
    error = np.linalg.norm(decode(blob, dense.shape) - dense) / np.linalg.norm(dense)
    assert error < 0.015
    stored, described = pack({"w": dense}, {"w": f"hypercomplex{n}"})
    back = unpack(stored, described)
    again, _ = pack(back, {"w": f"hypercomplex{n}"}, stored)
    np.testing.assert_array_equal(again["w"], stored["w"])


def test_a_blob_of_another_tensor_is_not_stored_again() -> None:
    old, _ = pack({"w": np.ones((4, 8), np.float32)}, {"w": "int8"})
    other = np.full((4, 8), 2.0, np.float32)
    new, described = pack({"w": other}, {"w": "int8"}, old)
    np.testing.assert_array_equal(unpack(new, described)["w"], other)


def test_tensors_that_a_format_cannot_represent() -> None:
    for array, chosen, match in [
        (np.float32([1, np.nan]), "int8", "format 'int8' of 'x': .*not finite"),
        (np.float32([1, np.inf]), "sign", "format 'sign' of 'x': .*not finite"),
        (np.float32([1, np.inf]), "mxint8", "format 'mxint8' of 'x': .*not finite"),
        (np.ones((4, 27), np.float32), "hypercomplex4", "4 does not divide its 4 rows and 27 columns"),
        (np.ones((0, 3), np.float32), "int4", "it is empty"),
        (np.ones(3, np.float32), "int4-2000", "a block of up to 1024"),
        (np.ones(3, np.float32), "int3-8", "format 'int3-8' of 'x': give one of float32, bfloat16, int16"),
    ]:
        with pytest.raises(InputError, match=match):
            pack({"x": array}, {"x": chosen})


@pytest.mark.parametrize("chosen", ["int8", "int4", "sign", "hypercomplex2", "mxint8"])
def test_damaged_blobs(chosen: str) -> None:
    """Every cut, every other shape, and changed headers are errors or tensors of the shape; nothing else is raised."""
    generator = np.random.default_rng(31)
    stored, described = pack({"x": generator.normal(size=(6, 10)).astype(np.float32)}, {"x": chosen})
    blob = stored["x"]
    for broken in (*(blob[:size] for size in range(blob.size)), np.append(blob, blob[:1])):
        with pytest.raises(SchemaError, match=f"'x' is not stored as the format '{chosen}' needs it"):
            unpack({"x": broken}, described)
    for at in range(6):
        for value in (0, 1, 5, 255):
            changed = blob.copy()
            changed[at] = value
            with contextlib.suppress(SchemaError):
                assert unpack({"x": changed}, described)["x"].shape == (6, 10)


def test_every_format_has_a_description() -> None:
    assert len({chosen.description for chosen in FORMATS.values()}) == len(FORMATS)
