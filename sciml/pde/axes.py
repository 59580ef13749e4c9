"""Names for the axes of arrays, and transposition of the axes to one order."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

import numpy as np

from sciml.errors import InputError

__all__ = ["AXES", "Dims", "check_planes", "check_sizes", "given_dims", "parts_of", "variable"]

AXES: Final = ("sample", "time", "channel", "z", "y", "x")
"""Dims of a variable, in the order in which it is returned."""
VOLUME: Final = ("depth", "level", "lev", "height", "altitude")
BLOCK_BYTES: Final = 4 << 20

Dims: TypeAlias = str | Sequence[str] | Mapping[str, str | Sequence[str]]
"""Dims as ``"y,x,sample"`` or ``("y", "x", "sample")``, or one of these for each variable by its name."""


def given_dims(dims: Dims | None) -> dict[str, tuple[str, ...]]:
    """Parse the dims of each variable by name; dims for all other variables have the name "".

    Raises
    ------
    InputError
        A dim is unknown or repeated, or sample, y or x is missing.

    Examples
    --------
    >>> given_dims("y,x,sample")
    {'': ('y', 'x', 'sample')}
    >>> given_dims(["k=sample,y,x", "p=sample,time,y,x"])
    {'k': ('sample', 'y', 'x'), 'p': ('sample', 'time', 'y', 'x')}
    """
    if dims is None:
        return {}
    if isinstance(dims, Mapping):
        return {str(name): _checked(value, dims) for name, value in dims.items()}
    listed = [dims] if isinstance(dims, str) else list(dims)
    if not any("," in value or "=" in value for value in listed):
        return {"": _checked(listed, dims)}
    parsed: dict[str, tuple[str, ...]] = {}
    for value in listed:
        name, equals, rest = value.partition("=")
        parsed[name.strip() if equals else ""] = _checked(rest if equals else value, dims)
    return parsed


def _checked(value: str | Sequence[str], given: object) -> tuple[str, ...]:
    names = tuple(part.strip() for part in (value.split(",") if isinstance(value, str) else value))
    flat = [part for name in names for part, _ in parts_of(name)]
    known = (*AXES, "1")
    strange = [part for part in flat if part not in known]
    twice = [part for part in set(flat) - {"1"} if flat.count(part) > 1]
    if strange or twice or "x" not in flat:
        why = f"{strange[0]!r} is unknown" if strange else f"{twice[0]} is given twice" if twice else "no x"
        raise InputError(
            f"dims={given!r} ({why}): name each axis once, out of {', '.join(known)} (1: of size one; y*x: both in one "
            "axis, y:20*x:45 with their sizes), such as y,x,sample or k=sample,y,x (--dims)"
        )
    return names


def parts_of(dim: str) -> list[tuple[str, int | None]]:
    """Return the dims that share an axis, in C order, with their sizes if these are given."""
    parsed: list[tuple[str, int | None]] = []
    for part in dim.split("*"):
        name, _, size = part.strip().partition(":")
        parsed.append((name.strip(), int(size) if size.strip().isdigit() else None))
    return parsed


def check_planes(name: str, dims: Sequence[str]) -> None:
    """Check that the third dimension of fields in space is named z.

    Raises
    ------
    InputError
        It has another name, which the message contains.
    """
    third = next((dim for dim in dims if dim.lower() in VOLUME), None)
    if third is not None and len(dims) > 3:
        raise InputError(
            f"{name} has dims ({', '.join(dims)}), three in space: rename the third, ds.rename({third}='z') (--dims "
            f"{','.join('z' if dim == third else dim for dim in dims)}), take one {third}, or each {third} as a sample "
            "of its own"
        )


def variable(array: Any, dims: tuple[str, ...]) -> tuple[tuple[str, ...], Any]:
    """Convert an array to a dask array in chunks of whole samples, with its axes in the order of `AXES`."""
    import dask.array as da

    at = dims.index("sample") if "sample" in dims else None
    value = int(np.prod([size for axis, size in enumerate(array.shape) if axis != at])) * array.dtype.itemsize
    block = 1 if at is None else max(1, min(array.shape[at] or 1, BLOCK_BYTES // max(value, 1)))
    chunks = tuple(block if axis == at else max(size, 1) for axis, size in enumerate(array.shape))
    lazy = (
        array.rechunk(chunks)
        if isinstance(array, da.Array)
        else da.from_array(array, chunks=chunks, fancy=False)
    )
    names: list[str] = []
    shape: list[int] = []
    for dim, size in zip(dims, array.shape, strict=True):
        for part, length in _lengths(dim, size):
            names.append(part)
            shape.append(length)
    if tuple(shape) != array.shape:
        lazy = lazy.reshape(shape)
    lazy = lazy[tuple(0 if name == "1" else slice(None) for name in names)]
    left = [name for name in names if name != "1"]
    if at is None:
        lazy, left = lazy[None], ["sample", *left]
    order = [dim for dim in AXES if dim in left]
    return tuple(order), lazy.transpose([left.index(dim) for dim in order])


def _lengths(dim: str, size: int) -> list[tuple[str, int]]:
    """Return the dims in one axis with their sizes, which are equal if none is given."""
    parts = parts_of(dim)
    if len(parts) == 1:
        if dim == "1" and size != 1:
            raise InputError(
                f"dims name an axis of size one (1), which has size {size}: name it, or take one of it"
            )
        return [(dim, size)]
    given = [length for _, length in parts if length is not None]
    if not given:
        side = math.isqrt(size)
        lengths = [side] * len(parts)
    else:
        rest = size // max(math.prod(given), 1)
        lengths = [rest if length is None else length for _, length in parts]
    if math.prod(lengths) != size:
        raise InputError(
            f"dims {dim}: {size} points are no {' x '.join(map(str, lengths))}: give the sizes, such as y:20*x:45"
        )
    return [(name, length) for (name, _), length in zip(parts, lengths, strict=True)]


def check_sizes(variables: Mapping[str, tuple[tuple[str, ...], Any]]) -> None:
    """Check that variables have equal sizes along shared dims.

    Raises
    ------
    InputError
        Two variables differ; the message names them.
    """
    sizes: dict[str, tuple[int, str]] = {}
    for name, (dims, array) in variables.items():
        for dim, size in zip(dims, array.shape, strict=True):
            before = sizes.setdefault(dim, (size, name))
            if dim != "channel" and before[0] != size:
                raise InputError(
                    f"{before[1]} has {before[0]} along {dim}, {name} has {size}: inputs and target must be of the "
                    "same samples and points"
                )
