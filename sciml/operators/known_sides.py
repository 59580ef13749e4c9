"""Known values of a field on its Dirichlet sides, and the extension of the field by the nodes there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from sciml.checks import is_number
from sciml.errors import InputError
from sciml.pde.grid import SIDES, Grid
from sciml.pde.sides import PLACES, extrapolated, line_next_to

__all__ = ["not_zero", "on_side", "with_sides"]


def not_zero(values: Mapping[str, Any]) -> bool:
    """Return whether a value on a side may differ from zero."""
    return not all(is_number(value) and value == 0 for value in values.values())


def with_sides(field: Tensor, grid: Grid, values: Mapping[str, Any]) -> tuple[Tensor, Grid]:
    """Extend a vertex-centred field by the nodes on Dirichlet sides, and its grid to one with these unknowns.

    The nodes on such a side have half a control volume, which contributes if the field is not zero there. The nodes at
    an edge of two such sides are means of the linear extrapolations of both.
    """
    added = {}
    for axis, letter in enumerate(grid.dims):
        for name, side in zip(SIDES[letter], grid.sides(axis), strict=True):
            if side == "dirichlet":
                line = line_next_to(field, name)
                known = torch.as_tensor(on_side(values.get(name, 0.0), field, grid, name)).to(line)
                if known.ndim:
                    known = known.squeeze(axis - grid.ndim)
                added[name] = known.expand_as(line)
    wide = field
    done: list[int] = []
    for axis in reversed(range(grid.ndim)):
        dim = axis - grid.ndim
        parts = [wide]
        for end, name in enumerate(SIDES[grid.dims[axis]]):
            if name in added:
                face = _widened(added[name].unsqueeze(dim), wide, done, added, grid, (axis, end))
                parts = [face, *parts] if end == 0 else [*parts, face]
        wide = torch.cat(parts, dim) if len(parts) > 1 else wide
        done.append(axis)
    kinds = {name: "neumann" if name in added else kind for name, kind in grid.boundary.sides.items()}
    boundary = replace(grid.boundary, **kinds)
    return wide, replace(grid, shape=tuple(wide.shape[-grid.ndim :]), boundary=boundary)


def _widened(
    face: Tensor,
    wide: Tensor,
    done: Sequence[int],
    added: Mapping[str, Tensor],
    grid: Grid,
    side: tuple[int, int],
) -> Tensor:
    """Extend a side, with one point across it, along the axes along which the field is already extended."""
    axis, end = side
    for number, other in enumerate(done):
        dim = other - grid.ndim
        ends: list[Tensor | None] = [None, None]
        for at, name in enumerate(SIDES[grid.dims[other]]):
            if name in added:
                edge = wide.narrow(dim, 0 if at == 0 else wide.shape[dim] - 1, 1)
                for later in done[number + 1 :]:  # the side is not yet extended along these axes
                    before = int(SIDES[grid.dims[later]][0] in added)
                    edge = edge.narrow(later - grid.ndim, before, grid.shape[later])
                ends[at] = (_beyond(edge, axis - grid.ndim, end) + _beyond(face, dim, at)) / 2
        face = torch.cat([part for part in (ends[0], face, ends[1]) if part is not None], dim)
    return face


def _beyond(values: Tensor, dim: int, end: int) -> Tensor:
    """Extrapolate linearly one spacing beyond the beginning (0) or the end (1) of an axis."""
    n = values.shape[dim]
    first, second = (0, 1) if end == 0 else (n - 1, n - 2)
    return 2 * values.narrow(dim, first, 1) - values.narrow(dim, second, 1)


def on_side(value: Any, field: Tensor, grid: Grid, name: str) -> float | Tensor:
    """Return the value on a side: a number, or a tensor with one point across the side.

    Raises
    ------
    InputError
        An array has another shape than the side.
    """
    if value is None:
        value = extrapolated(field, grid, name)
    elif not isinstance(value, Tensor) and getattr(value, "ndim", 0) == 0:
        return float(value)
    along = torch.as_tensor(value, dtype=field.dtype, device=field.device)
    given, line = tuple(along.shape), line_next_to(field, name)
    if along.ndim < line.ndim:  # (sample,) or (sample, n)
        shape = along.shape[1:] or [1] * (grid.ndim - 1)
        along = along.reshape(len(along), *[1] * (line.ndim - 1 - len(shape)), *shape)
    fits = zip(
        along.shape[along.ndim - grid.ndim + 1 :], line.shape[line.ndim - grid.ndim + 1 :], strict=True
    )
    if along.shape[0] != len(field) or not all(mine in (1, theirs) for mine, theirs in fits):
        raise InputError(f"{name} of shape {given} for fields {tuple(field.shape)}: give (sample, n)")
    return along.unsqueeze(PLACES[name][0])
