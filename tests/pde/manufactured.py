"""Manufactured smooth solutions with their data, differentiated by sympy."""

from dataclasses import dataclass

import numpy as np
import sympy as sp

from sciml.pde import Boundary, Direct
from sciml.solve import solve

x, y = sp.symbols("x y")
LENGTHS = (1.0, 1.2)  # along y and x

FREE = {
    "u": sp.sin(1.3 * x + 0.7) * sp.cos(1.7 * y + 0.4) + x * y / 3,
    "a": sp.exp(sp.sin(2 * x + y) / 2),
    "v": (1 + y * y, sp.cos(x) - y),
}
_kx = 2 * sp.pi / sp.Float(LENGTHS[1])
PERIODIC = {
    "u": sp.sin(_kx * x + 0.3) * sp.cos(2 * sp.pi * y + 0.6) + sp.cos(_kx * x) / 2,
    "a": 1 + sp.sin(_kx * x) * sp.cos(2 * sp.pi * y) / 2,
    "v": (1 + sp.sin(2 * sp.pi * y) / 2, sp.cos(_kx * x)),
}
_mixed = sp.sin(1.3 * x + 0.7) * sp.cos(2 * sp.pi * y + 0.6)
HALF = {  # periodic along y
    "u": _mixed + x / 3,
    "a": sp.exp(x / 2) * (1 + sp.sin(2 * sp.pi * y) / 3),
    "v": (1 + sp.sin(2 * sp.pi * y) / 2, sp.cos(x)),
}

BOUNDARIES = {
    "dirichlet": (Boundary(), FREE),
    "neumann": (Boundary.all("neumann"), FREE),
    "periodic": (Boundary.all("periodic"), PERIODIC),
    "mixed": (Boundary("neumann", "dirichlet", "dirichlet", "neumann"), FREE),
    "half-periodic": (Boundary("dirichlet", "neumann", "periodic", "periodic"), HALF),
}


def numeric(expression):
    function = sp.lambdify((x, y), expression, "numpy")
    return lambda a, b: np.broadcast_to(np.asarray(function(a, b), dtype=float), np.shape(a))


@dataclass
class Manufactured:
    """A solution and its data, for -div(a grad u) + v . grad u + c u = f."""

    boundary: Boundary
    u: object
    a: object
    velocity: tuple
    source: object
    flux: object


def manufactured(name, *, varying=True, advected=False, reaction=0.0):
    boundary, given = BOUNDARIES[name]
    u, a = given["u"], given["a"] if varying else sp.Integer(1)
    f = -sp.diff(a * sp.diff(u, x), x) - sp.diff(a * sp.diff(u, y), y) + reaction * u
    if advected:
        f += given["v"][0] * sp.diff(u, x) + given["v"][1] * sp.diff(u, y)
    along_x, along_y = numeric(a * sp.diff(u, x)), numeric(a * sp.diff(u, y))

    def flux(px, py):
        west, east = np.isclose(px, 0), np.isclose(px, LENGTHS[1])
        south, north = np.isclose(py, 0), np.isclose(py, LENGTHS[0])
        normal_x = east.astype(float) - west
        normal_y = north.astype(float) - south
        return normal_x * along_x(px, py) + normal_y * along_y(px, py)

    return Manufactured(
        boundary, numeric(u), numeric(a), tuple(numeric(v) for v in given["v"]), numeric(f), flux
    )


def l2_error(problem, exact, scheme, up_to_a_constant=False):
    grid = problem.grid
    error = solve(problem, Direct(scheme)).u.values - exact(*grid.mesh())
    if up_to_a_constant:
        error = error - np.average(error, weights=grid.volumes())
    return float(np.sqrt(np.sum(grid.volumes() * error**2)))


def shape_of(intervals, boundary, centring):
    """Number of unknowns for a number of intervals."""
    result = []
    for n, sides in zip(intervals, (boundary.y, boundary.x), strict=True):
        nodes = centring == "vertex" and "periodic" not in sides
        result.append(n + 1 - sides.count("dirichlet") if nodes else n)
    return tuple(result)


def observed_order(make, data, centring, scheme, intervals, up_to_a_constant=False):
    """Order of convergence between a grid and the one of half its spacing."""
    sides = dict(
        boundary=data.boundary, boundary_value=data.u, flux=data.flux, centring=centring, lengths=LENGTHS
    )
    errors = []
    for factor in (1, 2):
        shape = shape_of((factor * intervals, factor * intervals * 5 // 4), data.boundary, centring)
        errors.append(l2_error(make(shape, sides), data.u, scheme, up_to_a_constant))
    return float(np.log2(errors[0] / errors[1])), errors
