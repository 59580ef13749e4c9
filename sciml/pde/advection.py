"""Advection and diffusion in a steady flow."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sciml.errors import InputError
from sciml.pde.elliptic import drawn, grid_of, positive
from sciml.pde.grid import Boundary, Centring, Field, Grid, Side
from sciml.pde.random_fields import Coefficient
from sciml.pde.representation import problem_table, represent
from sciml.pde.terms import PlaneFunction, Terms, Values, sampled

__all__ = ["AdvectionDiffusion"]

LARGEST_PECLET = 2.0


@dataclass(frozen=True, eq=False)
class AdvectionDiffusion:
    """-div(diffusion grad u) + velocity . grad u + reaction u = source.

    The differences are central and of second order. Solutions do not oscillate for cell Peclet numbers
    |velocity| h / diffusion up to 2 (Patankar 1980, section 5.2); coarser grids raise an error.

    Parameters
    ----------
    resolution
        Unknowns along each axis, or along y and x.
    diffusion
        Random field (`Lognormal`, ...), number, array (y, x), or function of x and y.
    velocity
        Components along x and y, each a number, an array (y, x), or a function of x and y. The velocity may have a
        divergence.
    reaction
        Number, array (y, x), or function of x and y, with values of 0 or more.
    source, boundary, boundary_value, flux, centring, lengths
        As for `Poisson`; the source cannot be random, and flux is diffusion * du/dn.
    seed
        Seed of a random diffusion.

    Raises
    ------
    InputError
        Raised by `terms`: the diffusion is not positive, the reaction is negative, the cell Peclet number exceeds 2, or
        there is neither a Dirichlet side nor a reaction, so that u is determined only up to a constant.

    Examples
    --------
    >>> from sciml.pde import discretize
    >>> discretize(AdvectionDiffusion(31, 0.1, (1.0, 0.5))).kind
    'nonsymmetric'
    """

    resolution: int | tuple[int, int]
    diffusion: Coefficient | Values = 0.1
    velocity: tuple[Values, Values] = (1.0, 0.5)
    source: Values = 1.0
    reaction: Values = 0.0
    boundary: Boundary | Side = "dirichlet"
    boundary_value: float | PlaneFunction = 0.0
    flux: float | PlaneFunction = 0.0
    centring: Centring = "vertex"
    lengths: tuple[float, float] = (1.0, 1.0)
    seed: int = 7

    __repr__ = represent
    _repr_html_ = problem_table

    @property
    def grid(self) -> Grid:
        """Grid of the unknowns."""
        return grid_of(self.resolution, self.centring, self.boundary, self.lengths, plane=True)

    def diffusion_field(self) -> Field:
        """Return the diffusion (y, x) at the unknowns."""
        return positive(drawn(self.diffusion, self.grid, self.seed, "diffusion"), "diffusion")

    def velocity_fields(self) -> tuple[Field, Field]:
        """Return the x and y components of the velocity (y, x) at the unknowns."""
        if not isinstance(self.velocity, tuple | list) or len(self.velocity) != 2:
            raise InputError(f"velocity={self.velocity!r}: give two components, along x and along y")
        x, y = (sampled(component, self.grid, "velocity") for component in self.velocity)
        return x, y

    def terms(self) -> Terms:
        """Return the terms of the equation on the grid."""
        grid, diffusion = self.grid, self.diffusion_field()
        reaction = sampled(self.reaction, grid, "reaction")
        if reaction.min() < 0:
            raise InputError(f"reaction reaches {reaction.min():g}: it must not be negative (see Helmholtz)")
        if "dirichlet" not in grid.boundary.sides.values() and not reaction.max() > 0:
            raise InputError(
                f"boundary={grid.boundary} without a reaction leaves u open up to a constant: "
                "make a side 'dirichlet' or give a positive reaction"
            )
        self._check_peclet(grid, diffusion)
        return Terms(
            grid,
            diffusion,
            sampled(self.source, grid, "source"),
            reaction=reaction if reaction.max() > 0 else None,
            velocity=self.velocity,
            boundary_value=self.boundary_value,
            flux=self.flux,
        )

    def _check_peclet(self, grid: Grid, diffusion: Field) -> None:
        hy, hx = grid.spacing
        along_x, along_y = self.velocity_fields()
        peclet = np.maximum(np.abs(along_x) * hx, np.abs(along_y) * hy) / diffusion
        if peclet.max() <= LARGEST_PECLET:
            return
        where = tuple(int(i) for i in np.unravel_index(peclet.argmax(), peclet.shape))
        finer = float(peclet.max()) / LARGEST_PECLET * 1.05
        need = tuple(int(np.ceil(n * finer)) + 1 for n in grid.shape)
        raise InputError(
            f"the cell Peclet number |velocity| h / diffusion is {peclet.max():.3g} at (y, x) = {where}, and central "
            f"differences oscillate above {LARGEST_PECLET:g}: take resolution={need}, more diffusion, or less velocity"
        )
