"""Finite volumes on a structured grid, with harmonic means on the faces and exact ghost values at the sides."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import scipy.sparse as sp

from sciml.pde.grid import Field, Grid
from sciml.pde.system import Matrix
from sciml.pde.terms import Terms, on_side, sampled

__all__ = ["finite_volumes", "held_energy"]


def finite_volumes(terms: Terms) -> tuple[Matrix, Field]:
    """Assemble the matrix and right-hand side of the terms, integrated over the control volumes.

    The flux through a face is the difference of u times the harmonic mean of the two coefficients, which is exact for
    a coefficient that jumps there (Patankar 1980, section 4.2). The face next to a Dirichlet side has the coefficient
    of its unknown. Advection uses central differences of second order, for cell Peclet numbers up to 2.

    Returns
    -------
    matrix, rhs
        (n, n) in CSR form and (n,), n = terms.grid.size.
    """
    grid = terms.grid
    number = np.arange(grid.size).reshape(grid.shape)
    diagonal = np.zeros(grid.shape)
    rhs = terms.source * grid.volumes()
    rows, columns, values = [], [], []
    if terms.reaction is not None:
        diagonal += terms.reaction * grid.volumes()
    for axis in range(grid.ndim):
        width = grid.areas(axis)
        across = np.expand_dims(width, axis)
        h = grid.spacing[axis]
        before, after = _neighbours(grid, axis)
        a, b = terms.diffusion[before], terms.diffusion[after]
        through = across * (2 * a * b / np.where(a + b == 0, 1, a + b)) / h
        carried = across * _speed(terms, axis, "inside") / 2
        low, high = number[before], number[after]
        diagonal[before] += through + carried
        diagonal[after] += through - carried
        # The flow from the lower to the higher control volume leaves the first and enters the second.
        rows += [low.ravel(), high.ravel()]
        columns += [high.ravel(), low.ravel()]
        values += [(carried - through).ravel(), (-carried - through).ravel()]
        for end, side in zip((0, -1), grid.sides(axis), strict=True):
            if side == "periodic":
                continue
            at = _next_to(grid, axis, end)
            flow = width * _speed(terms, axis, "first" if end == 0 else "last") * (-1 if end == 0 else 1)
            if side == "dirichlet":
                known, conductance = _known_side(terms, axis, end)
                if grid.centring == "cell":  # the face is the side itself
                    diagonal[at] += conductance
                    rhs[at] += (conductance - flow) * known
                else:  # the face lies half-way to the known node
                    diagonal[at] += conductance + flow / 2
                    rhs[at] += (conductance - flow / 2) * known
            else:
                entering = _faces_on_side(terms, axis, end)
                rhs[at] += entering
                diagonal[at] += flow  # the flow out through the side
                if (
                    grid.centring == "cell"
                ):  # the value on the side differs from that at the centre by the given slope
                    rhs[at] -= flow * entering / width * (h / 2) / terms.diffusion[at]
    if terms.velocity is not None:  # div(v u) - u div v = v . grad u for any divergence
        diagonal -= _divergence(terms)
    rows.append(number.ravel())
    columns.append(number.ravel())
    values.append(diagonal.ravel())
    where = (np.concatenate(rows), np.concatenate(columns))
    matrix = sp.csr_matrix((np.concatenate(values), where), shape=(grid.size, grid.size))
    matrix.sum_duplicates()
    return matrix, rhs.ravel()


def held_energy(terms: Terms) -> tuple[Field, float]:
    """The part that values g on Dirichlet sides have in the energy of u, which is u.A u - 2 load.u + constant.

    Returns
    -------
    load, constant
        (n,), g times the conductance between the side and the unknown next to it; and the sum of g times that.
    """
    grid = terms.grid
    load, constant = np.zeros(grid.shape), 0.0
    for axis in range(grid.ndim):
        for end, side in zip((0, -1), grid.sides(axis), strict=True):
            if side == "dirichlet":
                known, conductance = _known_side(terms, axis, end)
                load[_next_to(grid, axis, end)] += conductance * known
                constant += float((conductance * known**2).sum())
    return load.ravel(), constant


def _next_to(grid: Grid, axis: int, end: int) -> tuple[int | slice, ...]:
    """Index of the unknowns next to a side: the beginning (end 0) or the end (-1) of an axis."""
    return tuple(end if other == axis else slice(None) for other in range(grid.ndim))


def _known_side(terms: Terms, axis: int, end: int) -> tuple[Field, Field]:
    """The values on a Dirichlet side, and the conductance between it and the unknowns next to it."""
    grid = terms.grid
    h = grid.spacing[axis]
    distance = h / 2 if grid.centring == "cell" else h
    known = on_side(terms.boundary_value, grid, axis, end, _across(grid, axis), "boundary_value")
    return known, grid.areas(axis) * terms.diffusion[_next_to(grid, axis, end)] / distance


def _across(grid: Grid, axis: int) -> list[Field]:
    """Return the coordinates of the unknowns along the axes of a side, which broadcast to its shape."""
    others = [points for other, points in enumerate(grid.coordinates()) if other != axis]
    return list(np.meshgrid(*others, indexing="ij", sparse=True))


def _neighbours(grid: Grid, axis: int) -> tuple[Any, Any]:
    """Return the indices of the unknowns before and after each face along an axis."""
    n = grid.shape[axis]
    last = n if "periodic" in grid.sides(axis) else n - 1
    low = np.arange(last)
    high = (low + 1) % n
    before, after = ([slice(None)] * grid.ndim for _ in range(2))
    before[axis], after[axis] = low, high  # type: ignore[call-overload]
    return tuple(before), tuple(after)


def _speed(terms: Terms, axis: int, which: str) -> Field:
    """Return the velocity along an axis on the inner faces, or on the faces at its beginning or end."""
    grid = terms.grid
    shape = list(grid.shape)
    n = shape[axis]
    h = grid.spacing[axis]
    along = grid.coordinates()[axis]
    vertex_node = grid.centring == "vertex"
    if which == "inside":
        shape[axis] = n if "periodic" in grid.sides(axis) else n - 1
        places = along[: shape[axis]] + h / 2
    elif which == "first":
        node = vertex_node and grid.sides(axis)[0] == "neumann"
        places = np.array([along[0] if node else along[0] - h / 2])
    else:
        node = vertex_node and grid.sides(axis)[1] == "neumann"
        places = np.array([along[-1] if node else along[-1] + h / 2])
    if which != "inside":
        shape[axis] = 1
    if terms.velocity is None:
        values = np.zeros(shape)
    else:
        component = terms.velocity[grid.ndim - 1 - axis]  # velocity is (x, y, z), the last axis is x
        if callable(component):
            points = [places if other == axis else at for other, at in enumerate(grid.coordinates())]
            arguments = reversed(np.meshgrid(*points, indexing="ij"))
            values = np.broadcast_to(np.asarray(component(*arguments), dtype=np.float64), shape)
        else:
            field = sampled(component, grid, "velocity")
            if which == "inside":
                low, high = _neighbours(grid, axis)
                values = (field[low] + field[high]) / 2
            else:
                values = np.take(field, [0 if which == "first" else -1], axis=axis)
    return np.asarray(values) if which == "inside" else np.squeeze(np.asarray(values), axis)


def _divergence(terms: Terms) -> Field:
    """Return the net outflow of each control volume."""
    grid = terms.grid
    total = np.zeros(grid.shape)
    for axis in range(grid.ndim):
        width = grid.areas(axis)
        across = np.expand_dims(width, axis)
        before, after = _neighbours(grid, axis)
        flow = across * _speed(terms, axis, "inside")
        total[before] += flow
        total[after] -= flow
        for end, side in zip((0, -1), grid.sides(axis), strict=True):
            if side != "periodic":
                at = _next_to(grid, axis, end)
                sign = -1 if end == 0 else 1
                total[at] += sign * width * _speed(terms, axis, "first" if end == 0 else "last")
    return total


def _faces_on_side(terms: Terms, axis: int, end: int) -> Field:
    """Integrate the flux over the part of a side that belongs to each control volume.

    Each half of it along each axis has two Gauss points, so that a flux that jumps at a node or between two cells is
    integrated exactly.
    """
    grid = terms.grid
    others = [other for other in range(grid.ndim) if other != axis]
    total = np.zeros([grid.shape[other] for other in others])
    for points in itertools.product(*(_gauss_points(grid, other) for other in others)):
        along = np.meshgrid(*(place for place, _ in points), indexing="ij", sparse=True)
        value = on_side(terms.flux, grid, axis, end, along, "flux")
        for length in np.meshgrid(*(length for _, length in points), indexing="ij", sparse=True):
            value = value * length
        total += value
    return total


def _gauss_points(grid: Grid, axis: int) -> Iterator[tuple[Field, Field]]:
    """Yield the four Gauss points of each control volume along an axis, with their weights, which are lengths."""
    middle, h = grid.coordinates()[axis], grid.spacing[axis]
    before, after = np.full_like(middle, h / 2), np.full_like(middle, h / 2)
    if grid.centring == "vertex":  # a node on a Neumann side has half a volume
        before[0] *= grid.sides(axis)[0] != "neumann"
        after[-1] *= grid.sides(axis)[1] != "neumann"
    for length, start in ((before, middle - before), (after, middle)):
        for point in (0.5 - 0.5 / np.sqrt(3.0), 0.5 + 0.5 / np.sqrt(3.0)):
            along = start + point * length
            if "periodic" in grid.sides(axis):
                along = along % grid.lengths[axis]
            yield along, length / 2
