"""Bilinear (Q1) finite elements on the nodes of a structured grid."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from sciml.errors import InputError
from sciml.pde.grid import Field, Grid
from sciml.pde.system import Matrix
from sciml.pde.terms import Terms, on_side, sampled

__all__ = ["finite_elements"]

Numbers: TypeAlias = npt.NDArray[np.signedinteger]

# Integrals over one element of an axis with the nodes 0 and h: products of two hats (in units of h), products of their
# derivatives (in units of 1/h), and products of a hat and a derivative.
MASS = np.array([[2.0, 1.0], [1.0, 2.0]]) / 6
BLENDED = np.array([[5.0, 1.0], [1.0, 5.0]]) / 12  # the mean of MASS and the lumped one
STIFFNESS = np.array([[1.0, -1.0], [-1.0, 1.0]])
SLOPE = np.array([[-1.0, 1.0], [-1.0, 1.0]]) / 2
GAUSS = (0.5 - 0.5 * 3.0**-0.5, 0.5 + 0.5 * 3.0**-0.5)


def finite_elements(terms: Terms) -> tuple[Matrix, Field]:
    """Assemble the matrix and right-hand side of the terms, integrated against the bilinear hats.

    Diffusion, reaction (consistent mass matrix) and velocity of an element are the means of its four nodes; a node on a
    Dirichlet side has the values of the nearest unknown. The flux is integrated with two Gauss points in each element,
    so that it may jump at nodes (Ciarlet 1978, section 2.2; Elman, Silvester and Wathen 2014, section 1.4).

    With ``terms.mass = "blended"`` the products of hats are integrated by a quadrature at +-sqrt(2/3) of each element
    instead of +-sqrt(1/3). On a uniform grid a wave of number k then has a relative phase error of O((kh)^4); with the
    consistent mass matrix it is (kh)^2 / 24 (Guddati and Yue 2004, doi 10.1016/j.cma.2003.09.010; Ainsworth and Wajid
    2010).

    Returns
    -------
    matrix, rhs
        (n, n) in CSR form and (n,), n = terms.grid.size.

    Raises
    ------
    InputError
        The grid is cell-centred, or not of the plane.
    """
    grid = terms.grid
    if grid.centring != "vertex":
        raise InputError(
            f"finite elements need a vertex-centred grid, and this one is {grid}: "
            "take centring='vertex', or scheme='finite_volume'"
        )
    if grid.ndim != 2:
        raise InputError(
            f"finite elements need a grid of the plane, and this one is {grid}: take scheme='finite_volume'"
        )
    elements = _Elements(grid)
    hy, hx = grid.spacing
    hats = BLENDED if terms.mass == "blended" else MASS
    local = np.multiply.outer(
        elements.mean(terms.diffusion),
        np.kron(hats, STIFFNESS) * hy / hx + np.kron(STIFFNESS, hats) * hx / hy,
    )
    mass: Field = np.asarray(np.kron(hats, hats) * hx * hy, np.float64)
    if terms.reaction is not None:
        local += np.multiply.outer(elements.mean(terms.reaction), mass)
    if terms.velocity is not None:
        u, v = (elements.velocity(terms, component) for component in (0, 1))
        local += np.multiply.outer(u, np.kron(hats, SLOPE) * hy) + np.multiply.outer(
            v, np.kron(SLOPE, hats) * hx
        )
    full = elements.assembled(local)
    load = elements.loads(elements.extended(terms.source), mass)
    _add_flux(load, terms, elements)
    known = _known(terms, elements)
    unknown = ~np.isfinite(known)
    held = np.where(unknown, 0.0, known)
    rhs = (load - full @ held)[unknown]
    matrix = sp.csr_matrix(full[unknown][:, unknown])
    matrix.sort_indices()
    return matrix, np.asarray(rhs)


class _Elements:
    """Elements of a grid between all its nodes, including the known nodes."""

    def __init__(self, grid: Grid) -> None:
        self.grid = grid
        self.pads = tuple(tuple(int(side == "dirichlet") for side in grid.sides(axis)) for axis in (0, 1))
        self.nodes = tuple(n + sum(pad) for n, pad in zip(grid.shape, self.pads, strict=True))
        wrap = ["periodic" in grid.sides(axis) for axis in (0, 1)]
        first = [np.arange(n if w else n - 1) for n, w in zip(self.nodes, wrap, strict=True)]
        second = [(i + 1) % n for i, n in zip(first, self.nodes, strict=True)]
        self.ends = tuple(np.stack(pair) for pair in zip(first, second, strict=True))
        number = np.arange(self.nodes[0] * self.nodes[1]).reshape(self.nodes)
        # Corners have the order of np.kron: x varies fastest.
        self.corners: Numbers = np.stack(
            [number[np.ix_(j, i)] for j in self.ends[0] for i in self.ends[1]], axis=-1
        )

    def extended(self, values: Field) -> Field:
        return np.pad(values, self.pads, mode="edge")

    def mean(self, values: Field) -> Field:
        return np.asarray(self.extended(values).ravel()[self.corners].mean(axis=-1))

    def velocity(self, terms: Terms, component: int) -> Field:
        assert terms.velocity is not None
        given = terms.velocity[component]
        if not callable(given):
            return self.mean(sampled(given, self.grid, "velocity"))
        y, x = (
            (np.arange(end.shape[1]) + 0.5) * h for end, h in zip(self.ends, self.grid.spacing, strict=True)
        )
        shape = (y.size, x.size)
        result = given(np.broadcast_to(x, shape), np.broadcast_to(y[:, None], shape))
        return np.broadcast_to(np.asarray(result, dtype=np.float64), shape)

    def assembled(self, local: Field) -> Matrix:
        rows = np.broadcast_to(self.corners[..., :, None], local.shape)
        columns = np.broadcast_to(self.corners[..., None, :], local.shape)
        size = self.nodes[0] * self.nodes[1]
        where = (rows.ravel(), columns.ravel())
        return sp.csr_matrix(sp.coo_matrix((local.ravel(), where), shape=(size, size)))

    def loads(self, values: Field, mass: Field) -> Field:
        weighted = values.ravel()[self.corners] @ mass
        total = np.bincount(self.corners.ravel(), weighted.ravel(), minlength=values.size)
        return np.asarray(total, np.float64)

    def side(self, axis: int, end: int) -> Numbers:
        """Return the numbers of the nodes on a side."""
        number = np.arange(self.nodes[0] * self.nodes[1]).reshape(self.nodes)
        return np.asarray(np.take(number, end, axis=axis))


def _add_flux(load: Field, terms: Terms, elements: _Elements) -> None:
    grid = terms.grid
    for axis in (0, 1):
        h = grid.spacing[1 - axis]
        low, high = elements.ends[1 - axis]
        for end, side in zip((0, -1), grid.sides(axis), strict=True):
            if side != "neumann":
                continue
            nodes = elements.side(axis, end)
            share = np.ones(nodes.size)
            if terms.mass == "blended" and terms.reaction is not None:
                # The blended row at the side is that of u' (1 - k^2 h^2 / 12), by Taylor expansion with u'' = -k^2 u.
                reaction = elements.extended(terms.reaction).ravel()[nodes]
                share = 1 + reaction * grid.spacing[axis] ** 2 / 12
            for point in GAUSS:
                along = np.asarray((low + point) * h, np.float64)
                q = on_side(terms.flux, grid, axis, end, [along], "flux") * h / 2
                np.add.at(load, nodes[low], q * (1 - point) * share[low])
                np.add.at(load, nodes[high], q * point * share[high])


def _known(terms: Terms, elements: _Elements) -> Field:
    """Return the values at the nodes of Dirichlet sides; NaN at the unknowns."""
    grid = terms.grid
    known = np.full(elements.nodes[0] * elements.nodes[1], np.nan)
    for axis in (0, 1):
        along = np.asarray(np.arange(elements.nodes[1 - axis]) * grid.spacing[1 - axis], np.float64)
        for end, side in zip((0, -1), grid.sides(axis), strict=True):
            if side == "dirichlet":
                values = on_side(terms.boundary_value, grid, axis, end, [along], "boundary_value")
                known[elements.side(axis, end)] = values
    return known
