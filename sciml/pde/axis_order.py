"""Dimensions of arrays whose file does not name them, from the shapes and coordinates."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from sciml.errors import InputError
from sciml.pde.axes import AXES, parts_of

__all__ = ["resolve"]

FLAT: Final = "y*x"
SMALLEST: Final = 9  # least number of points of a line that may be a flattened square

Reading: TypeAlias = tuple[tuple[str, ...], ...]
"""Dims of several arrays."""

_READINGS: Final[Mapping[int, tuple[tuple[str, ...], ...]]] = {
    2: (("sample", "x"), ("sample", FLAT), ("x", "sample"), (FLAT, "sample"), ("y", "x")),
    3: (("sample", "y", "x"), ("y", "x", "sample"), ("sample", "time", "x"), ("x", "time", "sample")),
    4: (
        ("sample", "time", "y", "x"),
        ("sample", "y", "x", "time"),
        ("sample", "channel", "y", "x"),
        ("sample", "y", "x", "channel"),
        ("sample", "z", "y", "x"),
        ("y", "x", "time", "sample"),
    ),
    5: (
        ("sample", "time", "z", "y", "x"),
        ("sample", "channel", "z", "y", "x"),
        ("sample", "z", "y", "x", "channel"),
    ),
}


@dataclass(frozen=True)
class _Question:
    """Arrays by name, and the information that determines their dims."""

    shapes: Mapping[str, tuple[int, ...]]
    given: Mapping[str, tuple[str, ...]]
    sizes: Mapping[str, int]
    matlab: bool
    series: bool


def resolve(
    arrays: Mapping[str, Any],
    dims: Mapping[str, tuple[str, ...]],
    coordinates: Mapping[str, int],
    *,
    matlab: bool,
    series: bool,
    where: str,
) -> dict[str, tuple[str, ...]]:
    """Determine the dims of arrays without names for their axes.

    Parameters
    ----------
    arrays
        Arrays by name in the file, the target last; only their shapes are used.
    dims
        Dimensions as `given_dims` returns them.
    coordinates
        Sizes of z, y, x or time, if the file or a grid contains them.
    matlab
        Whether it is a MATLAB file, in which the sample is often the last axis.
    series
        Whether the inputs are the initial states of time series.
    where
        Name of the file, for messages.

    Raises
    ------
    InputError
        The dims do not fit the axes, or the axes are ambiguous; the message lists the possible dims.

    Warns
    -----
    UserWarning
        The fields are rectangles or lines without coordinates, and the first axis is assumed to be the sample.
    """
    shapes = {name: tuple(map(int, array.shape)) for name, array in arrays.items()}
    lost = [name for name in dims if name and name not in shapes]
    if lost:
        raise InputError(f"dims of {', '.join(lost)}: {where or 'the data'} is read for {', '.join(shapes)}")
    given = {name: _fitted(name, shape, dims) for name, shape in shapes.items() if name in dims or "" in dims}
    asked = _Question(shapes, given, coordinates, matlab, series)
    readings = _consistent(asked)
    if len(readings) == 1:
        return _with_sizes(asked, readings[0])
    if len(given) == len(shapes):
        return given
    if not readings:  # the sizes differ, which the usual dims report as an error
        return {name: given.get(name) or _usual(name, shape) for name, shape in shapes.items()}
    return _decided(asked, readings, where)


def _fitted(name: str, shape: tuple[int, ...], dims: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """Return the given dims of a variable; dims for all variables may have a time or channel it does not have."""
    given = dims.get(name) or dims[""]
    if len(given) == len(shape):
        return given
    for spare in ("time", "channel"):
        if name not in dims and spare in given and len(given) == len(shape) + 1:
            return tuple(value for value in given if value != spare)
    raise InputError(
        f"{name} has {len(shape)} axes ({_times(shape)}), dims {','.join(given)} name {len(given)}: name each axis, "
        f"such as {name}={','.join(_READINGS.get(len(shape), (AXES,))[0])} (--dims)"
    )


def _candidates(shape: tuple[int, ...]) -> list[tuple[str, ...]]:
    """Return the possible dims of an array of this shape, the usual ones first."""
    if len(shape) >= 3:  # an axis of size one may be a channel
        for at in (1, len(shape) - 1):
            if shape[at] == 1:
                less = _candidates((*shape[:at], *shape[at + 1 :]))
                return [(*value[:at], "1", *value[at:]) for value in less]
    return [
        value
        for value in _READINGS.get(len(shape), ())
        if FLAT not in value or shape[value.index(FLAT)] >= SMALLEST
    ]


def _usual(name: str, shape: tuple[int, ...]) -> tuple[str, ...]:
    orders = _candidates(shape)
    if not orders:
        raise InputError(
            f"{name} has {len(shape)} axes of sizes {shape}: give (sample, y, x) or (sample, time, y, x), or name the "
            "axes, such as --dims sample,time,y,x,channel (dims= in Python)"
        )
    return orders[0]


def _consistent(asked: _Question) -> list[Reading]:
    """Return the possible dims of all arrays that agree in their sizes, and with the coordinates."""
    choices = [
        [asked.given[name]] if name in asked.given else _candidates(shape) or [_usual(name, shape)]
        for name, shape in asked.shapes.items()
    ]
    orders = [
        order
        for order in itertools.product(*choices)
        if _alike_read(order, asked) and _agree(order, asked, {})
    ]
    at_coordinates = [order for order in orders if _agree(order, asked, asked.sizes)]
    orders = at_coordinates or orders
    timed = [order for order in orders if any("time" in dims for dims in order)]
    if timed and (asked.series or ("time" in asked.sizes and at_coordinates)):
        orders = timed
    return orders


def _alike_read(reading: Reading, asked: _Question) -> bool:
    """Return whether arrays of one shape without given dims have the same dims."""
    ways: dict[tuple[int, ...], tuple[str, ...]] = {}
    free = ((name, dims) for name, dims in zip(asked.shapes, reading, strict=True) if name not in asked.given)
    return all(ways.setdefault(asked.shapes[name], dims) == dims for name, dims in free)


def _agree(reading: Reading, asked: _Question, known: Mapping[str, int]) -> bool:
    """Return whether shared dims have one size, and all arrays have the same dims in space."""
    sizes: dict[str, int] = {}
    flat: list[int] = []
    spaces, sampled = set(), set()
    for dims, shape in zip(reading, asked.shapes.values(), strict=True):
        names = [part for dim in dims for part, _ in parts_of(dim)]
        spaces.add(frozenset(names) & {"z", "y", "x"})
        sampled.add("sample" in names)
        for dim, size in zip(dims, shape, strict=True):
            if dim == FLAT:
                flat.append(size)
                continue
            for part, length in parts_of(dim):
                length = length or size
                if part not in ("1", "channel") and sizes.setdefault(part, length) != length:
                    return False
    in_time = ["time" in dims for dims in reading]
    if len(spaces) > 1 or len(sampled) > 1 or (any(in_time) and not in_time[-1]):
        return False
    for size in flat:
        side = math.isqrt(size)
        y, x = (sizes.get(dim, known.get(dim, side)) for dim in ("y", "x"))
        if y * x != size:
            return False
        sizes |= {"y": y, "x": x}
    space = next(iter(spaces))
    if "x" in known and any(dim in known and dim not in space for dim in ("z", "y")):
        return False
    return all(
        sizes[dim] == size or (dim == "time" and sizes[dim] == size - 1)
        for dim, size in known.items()
        if dim in sizes
    )


def _decided(asked: _Question, readings: list[Reading], where: str) -> dict[str, tuple[str, ...]]:
    """Return the dims that the shapes determine; raise an error that lists them if there are several."""
    shapes = list(asked.shapes.values())
    usual = tuple(asked.given.get(name) or _candidates(shape)[0] for name, shape in asked.shapes.items())
    first = [reading for reading in readings if all(dims[0] == "sample" for dims in reading)]
    if usual in readings and not any(_four(shape) for shape in shapes):
        doubt = max(_doubt(shape, asked) for shape in shapes)
        chosen = usual
    elif len(first) == 1 and not asked.matlab:
        chosen, doubt = first[0], 1
    else:
        doubt, chosen = 2, usual
    if doubt == 2:
        raise InputError(_question(asked, readings, where))
    if doubt == 1:
        _say(asked, chosen, where)
    return _with_sizes(asked, chosen)


def _with_sizes(asked: _Question, reading: Reading) -> dict[str, tuple[str, ...]]:
    """Return the dims of each array, with the sizes of y and x if they share an axis."""
    sizes = _sizes(asked, reading)
    flat = f"y:{sizes.get('y')}*x:{sizes.get('x')}"
    return {
        name: tuple(flat if dim == FLAT else dim for dim in dims)
        for name, dims in zip(asked.shapes, reading, strict=True)
    }


def _four(shape: tuple[int, ...]) -> bool:
    return len(_squeezed(shape)) > 3


def _squeezed(shape: tuple[int, ...]) -> tuple[int, ...]:
    for at in (1, len(shape) - 1):
        if len(shape) >= 3 and shape[at] == 1:
            return (*shape[:at], *shape[at + 1 :])
    return shape


def _doubt(shape: tuple[int, ...], asked: _Question) -> int:
    """Return whether the first axis is the sample: 0 certainly, 1 probably, 2 unknown."""
    channel = len(_squeezed(shape)) < len(shape)
    shape = _squeezed(shape)
    if len(shape) == 2:
        if asked.sizes.get("x") == shape[1] or asked.series:
            return 0
        root = math.isqrt(shape[1])
        flat = root * root == shape[1] >= SMALLEST
        return 2 if flat or shape[0] == shape[1] or (asked.matlab and not channel) else 1
    count, height, width = shape
    if channel:
        return 0
    if not _alike(height, width) > _alike(count, height):
        return 2
    return 0 if height == width or asked.sizes else 1


def _alike(value: int, other: int) -> float:
    """Return the ratio of the shorter to the longer side of a rectangle."""
    return min(value, other) / max(value, other, 1)


def _question(asked: _Question, readings: list[Reading], where: str) -> str:
    arrays = ", ".join(f"{name} ({_times(shape)})" for name, shape in asked.shapes.items())
    ways = "; ".join(f"{_described(asked, reading)}: {_option(asked, reading)}" for reading in readings[:6])
    return (
        f"the axes of {arrays}{f' in {where}' if where else ''} can be read in {len(readings)} ways: say which it is. "
        f"{ways} (in Python dims=)"
    )


def _sizes(asked: _Question, reading: Reading) -> dict[str, int]:
    """Return the size of each dim."""
    sizes: dict[str, int] = {}
    flat = 0
    for dims, shape in zip(reading, asked.shapes.values(), strict=True):
        for dim, size in zip(dims, shape, strict=True):
            if dim == FLAT:
                flat = size
            elif dim != "1":
                sizes |= {name: length or size for name, length in parts_of(dim)}
    if flat and "y" not in sizes:
        sizes["y"] = asked.sizes.get("y", math.isqrt(flat))
        sizes["x"] = flat // sizes["y"]
    return sizes


def _described(asked: _Question, reading: Reading) -> str:
    """Describe dims in words, such as 500 samples of 32 x 32 (y, x)."""
    sizes = _sizes(asked, reading)
    count = sizes.pop("sample", 1)
    order = [dim for dim in ("time", "channel", "z", "y", "x") if dim in sizes]
    text = f"{' x '.join(str(sizes[dim]) for dim in order)} ({', '.join(order)})"
    return f"{count} sample{'s' * (count != 1)} of {text}"


def _option(asked: _Question, reading: Reading) -> str:
    if len({*reading}) == 1:
        given = [",".join(reading[0])]
    else:
        given = [f"{name}={','.join(dims)}" for name, dims in zip(asked.shapes, reading, strict=True)]
    return " ".join(f"--dims '{value}'" if "*" in value else f"--dims {value}" for value in given)


def _say(asked: _Question, reading: Reading, where: str) -> None:
    import warnings

    names = " and ".join(asked.shapes)
    warnings.warn(
        f"{names}{f' of {where}' if where else ''} read as {_described(asked, reading)}: confirm it with "
        f"{_option(asked, reading)}, or give the axes in another order",
        stacklevel=2,
    )


def _times(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
