"""Relaxation of a prediction with a stencil that a small network computes from the inputs.

The solution of an elliptic equation of second order satisfies u = sum over the neighbours of c_k u_k + h^2 c_0, with
coefficients that depend on the inputs near the point, and not on the grid spacing h. A network learns these from data,
without the equation, and they apply on every grid.
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional

from sciml.checks import check_int
from sciml.multigrid.torch.transfers import LevelLayout, extend, mirror

__all__ = ["Relaxation"]

REACH = tuple(place for place in itertools.product((0, 1, 2), repeat=2) if place != (1, 1))
"""Places of the neighbours in an extended field."""
START = 0.3
"""Factor of the initial coefficients, with which a prediction is first changed little."""


class Relaxation(nn.Module):
    """Sweeps ``u <- u + sum_k c_k (u_k - u) + h^2 c_0`` over the eight neighbours of each point.

    A convolution of 3 x 3 points and pointwise layers compute the coefficients of all sweeps. A sweep is linear in u,
    and does not change a constant field except by c_0.

    Parameters
    ----------
    inputs, outputs
        Number of channels of the inputs, and of u.
    sweeps
        Number of sweeps, each with its own coefficients.
    width
        Number of hidden channels of the small network.

    Raises
    ------
    InputError
        A number is less than 1.

    Examples
    --------
    >>> from sciml.pde.grid import Grid
    >>> layout = LevelLayout.of(Grid((7, 9)))
    >>> Relaxation(2, 1, sweeps=2)(torch.ones(3, 1, 7, 9), torch.ones(3, 2, 7, 9), layout, 1.0).shape
    torch.Size([3, 1, 7, 9])
    """

    def __init__(self, inputs: int, outputs: int, *, sweeps: int, width: int = 16) -> None:
        super().__init__()
        for name, value in (("inputs", inputs), ("outputs", outputs), ("sweeps", sweeps), ("width", width)):
            check_int(name, value, 1, owner="Relaxation")
        self.sweeps, self.outputs = sweeps, outputs
        self.near = nn.Conv2d(inputs, width, 3)
        self.hidden = nn.Conv2d(width, width, 1)
        self.coefficients = nn.Conv2d(width, outputs * sweeps * (1 + len(REACH)), 1)
        with torch.no_grad():
            self.coefficients.weight.mul_(START)
            self.coefficients.bias.zero_()  # type: ignore[union-attr]

    def forward(self, u: Tensor, inputs: Tensor, layout: LevelLayout, area: float) -> Tensor:
        """Apply the sweeps.

        Parameters
        ----------
        u
            Prediction (batch, outputs, y, x).
        inputs
            Inputs of the network (batch, inputs, y, x).
        layout
            Layout of the fields.
        area
            Area of a control volume, h^2, in units that are the same on all grids.

        Returns
        -------
        Tensor
            (batch, outputs, y, x).
        """
        near = functional.gelu(self.near(mirror(inputs, layout)))
        made = self.coefficients(functional.gelu(self.hidden(near)))
        sources, weights = made.split(
            (self.sweeps * self.outputs, self.sweeps * self.outputs * len(REACH)), 1
        )
        kernel = _differences(self.outputs, u)
        for source, weight in zip(sources.chunk(self.sweeps, 1), weights.chunk(self.sweeps, 1), strict=True):
            to_neighbours = functional.conv2d(extend(u, layout), kernel, groups=self.outputs)
            change = (weight * to_neighbours).unflatten(1, (self.outputs, len(REACH))).sum(2)
            u = u + area * source + change
        return u


def _differences(channels: int, like: Tensor) -> Tensor:
    """Return the kernels (8 channels, 1, 3, 3) of the differences from a point to its neighbours."""
    kernel = torch.zeros(len(REACH), 1, 3, 3, dtype=like.dtype, device=like.device)
    kernel[:, 0, 1, 1] = -1.0
    for row, (y, x) in enumerate(REACH):
        kernel[row, 0, y, x] = 1.0
    return kernel.repeat(channels, 1, 1, 1)
