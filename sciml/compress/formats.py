"""Formats of weights in a file.

A format encodes an array into one or more stored arrays, its parts, and decodes them. Checkpoints
(`sciml.train.checkpoint`) and weights files (`sciml.coupling.weights_file`) use `pack` and `unpack`, and support every
format in `FORMATS`. A tensor without a format is stored in its own dtype. This module does not import torch.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from sciml.compress.arithmetic import LARGEST_BLOCK
from sciml.compress.blobs import (
    bfloat16_bits,
    bfloat16_values,
    decode,
    encode_block_shift,
    encode_hypercomplex,
    encode_mx,
    encode_sign,
)
from sciml.errors import InputError, SchemaError

__all__ = ["FORMATS", "Format", "format_named", "pack", "packed_parts", "stored_bytes", "unpack"]

Array = npt.NDArray[Any]
Parts = dict[str, Array]

BLOCK, MX_BLOCK = 64, 32
PADDED = "-padded"  # of a hypercomplex weight whose number of inputs may be any


@dataclass(frozen=True)
class Format:
    """Format of an array of floats in a file.

    Parameters
    ----------
    description
        Description for tables and messages.
    encode
        Function that converts an array of floats to stored arrays by the name of the part; the name of a single part is
        empty.
    decode
        Function that converts the stored arrays and the shape of the array to float32.
    size
        Function that returns the number of bytes of the stored arrays for the shape of the array; None if it depends
        on the values.
    of_rows
        Whether the values of a row are encoded together. A tensor of three or more axes, such as the weight of a
        convolution (transposed or not), is then encoded as a matrix with a row for each index of its first axis; the
        last axis of a 3 x 3 kernel has only 3 values.
    """

    description: str
    encode: Callable[[Array], Parts]
    decode: Callable[[Mapping[str, Array], tuple[int, ...]], Array]
    size: Callable[[tuple[int, ...]], int] | None = None
    of_rows: bool = False

    def matrix(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape in which a tensor is encoded.

        Examples
        --------
        >>> FORMATS["int8"].matrix((16, 9, 3, 3)), FORMATS["bfloat16"].matrix((16, 9, 3, 3))
        ((16, 81), (16, 9, 3, 3))
        """
        return (shape[0], math.prod(shape[1:])) if self.of_rows and len(shape) > 2 else shape


def _encode_float32(array: Array) -> Parts:
    return {"": np.asarray(array, np.float32)}


def _decode_float32(parts: Mapping[str, Array], shape: tuple[int, ...]) -> Array:
    return np.asarray(parts[""], np.float32).reshape(shape)


def _encode_bfloat16(array: Array) -> Parts:
    """Return the bits of an even number of values: classic netCDF files have undefined bytes after an odd one."""
    values = np.asarray(array, np.float32).reshape(-1)
    values = np.append(values, np.zeros(values.size % 2, np.float32))
    return {"": bfloat16_bits(values).view(np.int16)}


def _decode_bfloat16(parts: Mapping[str, Array], shape: tuple[int, ...]) -> Array:
    bits = np.ascontiguousarray(parts[""], np.int16).view(np.uint16)
    count = math.prod(shape)
    if bits.shape != (count + count % 2,):
        raise ValueError(f"{bits.size} values for the shape {shape}")
    return bfloat16_values(bits)[:count].reshape(shape)


def _packed(description: str, encode: Callable[[Array], Array]) -> Format:
    """Return a format whose single part is a blob of `sciml.compress.blobs`."""

    def encoded(array: Array) -> Parts:
        if array.size == 0:
            raise ValueError("it is empty")
        return {"": encode(array)}

    return Format(description, encoded, lambda parts, shape: decode(parts[""], shape), of_rows=True)


def _block_shift(bits: int, block: int) -> Format:
    return _packed(
        f"{bits}-bit integers with a shift for every {block} values of a row",
        partial(encode_block_shift, bits=bits, block=block),
    )


def _mx(bits: int, block: int) -> Format:
    return _packed(
        f"MX integers of {bits} bits in blocks of {block}", partial(encode_mx, bits=bits, block=block)
    )


def _hypercomplex(n: int, padded: bool) -> Format:
    more = ", with any number of inputs" if padded else ""
    return _packed(
        f"factors of a hypercomplex weight with {n} terms{more}, in 8-bit integers",
        partial(encode_hypercomplex, n=n, padded=padded),
    )


FORMATS: dict[str, Format] = {
    "float32": Format("32-bit floats", _encode_float32, _decode_float32, lambda shape: 4 * math.prod(shape)),
    "bfloat16": Format(
        "16-bit floats with the exponent of 32-bit floats, stored as their bits",
        _encode_bfloat16,
        _decode_bfloat16,
        lambda shape: 4 * ((math.prod(shape) + 1) // 2),
    ),
    "int16": _block_shift(16, BLOCK),
    "int8": _block_shift(8, BLOCK),
    "int4": _block_shift(4, BLOCK),
    "mxint8": _mx(8, MX_BLOCK),
    "mxint4": _mx(4, MX_BLOCK),
    "sign": _packed("a bit for each value and a bfloat16 for each row", encode_sign),
    **{f"hypercomplex{n}": _hypercomplex(n, padded=False) for n in (2, 3, 4, 8)},
    **{f"hypercomplex{n}{PADDED}": _hypercomplex(n, padded=True) for n in (2, 3, 4, 8)},
}
"""Formats by name. Those of integers take another block after a dash: ``int8-32``."""

_WITH_BLOCK = re.compile(r"(int16|int8|int4|mxint8|mxint4)-([1-9]\d{0,3})")


def format_named(name: str) -> Format:
    """Return a format.

    Parameters
    ----------
    name
        Name in `FORMATS`; formats of integers take their block after a dash, such as ``int4-32``.

    Returns
    -------
    Format
        The format.

    Raises
    ------
    InputError
        There is no such format.

    Examples
    --------
    >>> format_named("int4-32").description
    '4-bit integers with a shift for every 32 values of a row'
    """
    if name in FORMATS:
        return FORMATS[name]
    match = _WITH_BLOCK.fullmatch(name)
    if match is None or int(match[2]) > LARGEST_BLOCK:
        raise InputError(
            f"format {name!r}: give one of {', '.join(FORMATS)}, or integers with a block of up to {LARGEST_BLOCK}, "
            "such as int8-32"
        )
    bits, block = int(match[1].removeprefix("mx").removeprefix("int")), int(match[2])
    return _mx(bits, block) if match[1].startswith("mx") else _block_shift(bits, block)


def pack(
    tensors: Mapping[str, Array], formats: Mapping[str, str], packed: Mapping[str, Array] | None = None
) -> tuple[dict[str, Array], dict[str, dict[str, Any]]]:
    """Encode the tensors that have a format.

    Parameters
    ----------
    tensors
        Arrays by name.
    formats
        Name of a format by the name of the tensor (see `format_named`); a tensor without one is stored as it is.
    packed
        Arrays of formats with a single part that were stored earlier, by the name of the tensor. They are stored again
        where they decode to the same tensor, because the factors of a hypercomplex weight cannot be computed from it
        exactly.

    Returns
    -------
    tuple
        Arrays to store by name (``tensor`` or ``tensor:part``); and format, shape, parts and, where the tensor is
        encoded as a matrix of another shape, the number of its rows, as values that JSON can store, for `unpack`.

    Raises
    ------
    InputError
        The format or the tensor does not exist, the tensor is not of floats, or the format cannot represent it.

    Examples
    --------
    >>> stored, described = pack({"w": np.float32([1, 1 / 3]), "n": np.array(3)}, {"w": "bfloat16"})
    >>> stored["w"].nbytes, described
    (4, {'w': {'format': 'bfloat16', 'shape': [2], 'parts': ['']}})
    >>> unpack(stored, described)["w"]
    array([1.        , 0.33398438], dtype=float32)
    """
    for name, chosen in formats.items():
        if name not in tensors:
            raise InputError(
                f"a format for {name!r}, which is no tensor here: give names of {', '.join(tensors)}"
            )
        try:
            format_named(chosen)
        except InputError as error:
            raise InputError(str(error).replace(":", f" of {name!r}:", 1)) from None
        if tensors[name].dtype.kind != "f":
            raise InputError(
                f"format {chosen!r} of {name!r}: it holds {tensors[name].dtype}, no floats; leave it out"
            )
    stored: dict[str, Array] = {}
    described: dict[str, dict[str, Any]] = {}
    for name, array in tensors.items():
        if name not in formats:
            stored[name] = array
            continue
        parts = _parts_of(name, array, formats[name], packed or {})
        stored |= {_part_name(name, part): values for part, values in parts.items()}
        described[name] = {"format": formats[name], "shape": list(array.shape), "parts": list(parts)}
        if format_named(formats[name]).matrix(array.shape) != array.shape:
            described[name]["rows"] = array.shape[0]
    return stored, described


def _parts_of(name: str, array: Array, chosen: str, packed: Mapping[str, Array]) -> Parts:
    """Return the parts of an array: the earlier ones if they decode to it, else new ones."""
    known = format_named(chosen)
    matrix = array.reshape(known.matrix(array.shape))
    if name in packed:
        parts = {"": packed[name]}
        try:
            if np.array_equal(known.decode(parts, matrix.shape), matrix):
                return parts
        except ValueError:
            pass  # of another format or shape
    try:
        return known.encode(matrix)
    except (InputError, ValueError) as error:
        raise InputError(f"format {chosen!r} of {name!r}: {error}; choose another format") from error


def unpack(
    stored: Mapping[str, Array], described: Mapping[str, Mapping[str, Any]], source: object = "the file"
) -> dict[str, Array]:
    """Decode what `pack` encoded.

    Parameters
    ----------
    stored
        The arrays of a file by name.
    described
        Format, shape and parts of each encoded tensor; empty where all tensors are stored as they are.
    source
        The file, for messages.

    Returns
    -------
    dict
        The tensors by name, encoded ones as float32.

    Raises
    ------
    SchemaError
        A format is unknown to this version, or parts are missing or have another size.
    """
    decoded: dict[str, Array] = {}
    owners: dict[str, str] = {}
    for name, entry in described.items():
        chosen = entry.get("format")
        try:
            known = format_named(str(chosen))
        except InputError:
            raise SchemaError(
                f"{source}: {name!r} is stored in the format {chosen!r}, this version reads {', '.join(FORMATS)}: "
                "upgrade sciml"
            ) from None
        try:
            keys = {part: _part_name(name, part) for part in entry["parts"]}
            parts = {part: stored[key] for part, key in keys.items()}
            shape = tuple(entry["shape"])
            if "rows" in entry and (entry["rows"],) != shape[:1]:
                raise ValueError(f"{entry['rows']} rows for the shape {shape}")
            matrix = known.matrix(shape) if "rows" in entry else shape
            decoded[name] = known.decode(parts, matrix).reshape(shape)
        except (KeyError, TypeError, ValueError) as error:
            raise SchemaError(
                f"{source}: {name!r} is not stored as the format {chosen!r} needs it ({error}): write it again"
            ) from error
        owners |= dict.fromkeys(keys.values(), name)
    order = dict.fromkeys(owners.get(key, key) for key in stored)
    return {name: decoded[name] if name in decoded else stored[name] for name in order}


def packed_parts(stored: Mapping[str, Array], described: Mapping[str, Mapping[str, Any]]) -> dict[str, Array]:
    """Return the stored arrays of encoded tensors, for `pack`."""
    names = (_part_name(name, part) for name, entry in described.items() for part in entry["parts"])
    return {name: stored[name] for name in names}


def stored_bytes(
    tensors: Mapping[str, Array], formats: Mapping[str, str], packed: Mapping[str, Array] | None = None
) -> int:
    """Return the size of tensors in a file, in bytes.

    Parameters
    ----------
    tensors
        Arrays by name.
    formats
        Name of a format by the name of the tensor; a tensor without one is stored as it is.
    packed
        Arrays that were stored earlier; see `pack`.

    Returns
    -------
    int
        Number of bytes of the stored arrays.

    Examples
    --------
    >>> stored_bytes({"w": np.zeros((3, 5), np.float32)}, {"w": "bfloat16"})
    32
    """
    total = 0
    for name, array in tensors.items():
        chosen = format_named(formats[name]) if name in formats else None
        if chosen is None:
            total += array.nbytes
        elif chosen.size is not None:
            total += chosen.size(array.shape)
        else:
            total += sum(x.nbytes for x in _parts_of(name, array, formats[name], packed or {}).values())
    return total


def _part_name(name: str, part: str) -> str:
    return f"{name}:{part}" if part else name
