"""Formats of weights in a file.

A format encodes an array into one or more stored arrays, its parts, and decodes them. Checkpoints
(`sciml.train.checkpoint`) and weights files (`sciml.coupling.weights_file`) use `pack` and `unpack`, and support every
format in `FORMATS`. A tensor without a format is stored in its own dtype. This module does not import torch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sciml.errors import InputError, SchemaError

__all__ = ["FORMATS", "Format", "pack", "stored_bytes", "unpack"]

Array = npt.NDArray[Any]
Parts = dict[str, Array]


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
        Function that returns the number of bytes of the stored arrays for the shape of the array.
    """

    description: str
    encode: Callable[[Array], Parts]
    decode: Callable[[Mapping[str, Array], tuple[int, ...]], Array]
    size: Callable[[tuple[int, ...]], int]


def _encode_float32(array: Array) -> Parts:
    return {"": np.asarray(array, np.float32)}


def _decode_float32(parts: Mapping[str, Array], shape: tuple[int, ...]) -> Array:
    return np.asarray(parts[""], np.float32).reshape(shape)


def _encode_bfloat16(array: Array) -> Parts:
    """Return the upper half of each float32, rounded to nearest, ties to even; NaN stays NaN.

    An even number of values is stored, because classic netCDF files have undefined bytes after an odd one.
    """
    values = np.ascontiguousarray(array, np.float32).reshape(-1)
    values = np.append(values, np.zeros(values.size % 2, np.float32))
    bits = values.view(np.uint32)
    rounded = (bits + (np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1)))) >> np.uint32(16)
    quiet = (bits >> np.uint32(16)) | np.uint32(0x40)
    return {"": np.where(np.isnan(values), quiet, rounded).astype(np.uint16).view(np.int16)}


def _decode_bfloat16(parts: Mapping[str, Array], shape: tuple[int, ...]) -> Array:
    bits = np.ascontiguousarray(parts[""], np.int16).view(np.uint16).astype(np.uint32) << np.uint32(16)
    count = math.prod(shape)
    if bits.shape != (count + count % 2,):
        raise ValueError(f"{bits.size} values for the shape {shape}")
    return bits.view(np.float32)[:count].reshape(shape)


FORMATS: dict[str, Format] = {
    "float32": Format("32-bit floats", _encode_float32, _decode_float32, lambda shape: 4 * math.prod(shape)),
    "bfloat16": Format(
        "16-bit floats with the exponent of 32-bit floats, stored as their bits",
        _encode_bfloat16,
        _decode_bfloat16,
        lambda shape: 4 * ((math.prod(shape) + 1) // 2),
    ),
}
"""Formats by name."""


def pack(
    tensors: Mapping[str, Array], formats: Mapping[str, str]
) -> tuple[dict[str, Array], dict[str, dict[str, Any]]]:
    """Encode the tensors that have a format.

    Parameters
    ----------
    tensors
        Arrays by name.
    formats
        Name in `FORMATS` by the name of the tensor; a tensor without one is stored as it is.

    Returns
    -------
    tuple
        Arrays to store by name (``tensor`` or ``tensor:part``); and format, shape and parts of each encoded tensor as
        values that JSON can store, for `unpack`.

    Raises
    ------
    InputError
        The format or the tensor does not exist, or the tensor is not of floats.

    Examples
    --------
    >>> stored, described = pack({"w": np.float32([1, 1 / 3]), "n": np.array(3)}, {"w": "bfloat16"})
    >>> stored["w"].nbytes, described
    (4, {'w': {'format': 'bfloat16', 'shape': [2], 'parts': ['']}})
    >>> unpack(stored, described)["w"]
    array([1.        , 0.33398438], dtype=float32)
    """
    for name, chosen in formats.items():
        if chosen not in FORMATS:
            raise InputError(f"format {chosen!r} of {name!r}: give one of {', '.join(FORMATS)}")
        if name not in tensors:
            raise InputError(
                f"a format for {name!r}, which is no tensor here: give names of {', '.join(tensors)}"
            )
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
        parts = FORMATS[formats[name]].encode(array)
        stored |= {_part_name(name, part): values for part, values in parts.items()}
        described[name] = {"format": formats[name], "shape": list(array.shape), "parts": list(parts)}
    return stored, described


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
        if chosen not in FORMATS:
            raise SchemaError(
                f"{source}: {name!r} is stored in the format {chosen!r}, this version reads {', '.join(FORMATS)}: "
                "upgrade sciml"
            )
        try:
            keys = {part: _part_name(name, part) for part in entry["parts"]}
            parts = {part: stored[key] for part, key in keys.items()}
            decoded[name] = FORMATS[chosen].decode(parts, tuple(entry["shape"]))
        except (KeyError, TypeError, ValueError) as error:
            raise SchemaError(
                f"{source}: {name!r} is not stored as the format {chosen!r} needs it ({error}): write it again"
            ) from error
        owners |= dict.fromkeys(keys.values(), name)
    order = dict.fromkeys(owners.get(key, key) for key in stored)
    return {name: decoded[name] if name in decoded else stored[name] for name in order}


def stored_bytes(tensors: Mapping[str, Array], formats: Mapping[str, str]) -> int:
    """Return the size of tensors in a file, in bytes.

    Parameters
    ----------
    tensors
        Arrays by name.
    formats
        Name in `FORMATS` by the name of the tensor; a tensor without one is stored as it is.

    Returns
    -------
    int
        Number of bytes of the stored arrays.

    Examples
    --------
    >>> stored_bytes({"w": np.zeros((3, 5), np.float32)}, {"w": "bfloat16"})
    32
    """
    return sum(
        FORMATS[formats[name]].size(array.shape) if name in formats else array.nbytes
        for name, array in tensors.items()
    )


def _part_name(name: str, part: str) -> str:
    return f"{name}:{part}" if part else name
