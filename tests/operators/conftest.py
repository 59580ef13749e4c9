"""Small problems and networks that the tests of operators share."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from torch import Tensor, nn

from sciml.operators import registry
from sciml.pde.elliptic import Darcy, discretize
from sciml.pde.grid import Grid


class Small(nn.Module):
    """A small network of two convolutions, for fast tests of the training."""

    takes = "fields"

    def __init__(self, in_channels: int = 1, width: int = 6, **_: Any) -> None:
        super().__init__()
        self.shape = {"in_channels": in_channels, "width": width}
        self.body = nn.Sequential(
            nn.Conv2d(in_channels, width, 5, padding=2),
            nn.GELU(),
            nn.Conv2d(width, width, 5, padding=2),
            nn.GELU(),
            nn.Conv2d(width, 1, 5, padding=2),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)

    def config(self) -> dict[str, Any]:
        return {"class": "Small", **self.shape}


class Jacobi(nn.Module):
    """A network that takes the system: damped sweeps with a learned factor."""

    takes = "system"

    def __init__(self, sweeps: int = 4, **_: Any) -> None:
        super().__init__()
        self.damping = nn.Parameter(torch.full((sweeps, 1), 0.5))

    def forward(self, stencil: Tensor, rhs: Tensor, layout: Any = None) -> Tensor:
        u = torch.zeros_like(rhs)
        for damping in self.damping:
            padded = nn.functional.pad(u, (1, 1, 1, 1))
            ny, nx = u.shape[-2:]
            shifted = [padded[..., i : i + ny, j : j + nx] for i in range(3) for j in range(3)]
            applied = (stencil * torch.cat(shifted, 1)).sum(1, keepdim=True)
            u = u + damping * (rhs - applied) / stencil[:, 4:5]
        return u

    def config(self) -> dict[str, Any]:
        return {"class": "Jacobi", "sweeps": len(self.damping)}


@pytest.fixture(autouse=True)
def small_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    for network in (Small, Jacobi):
        monkeypatch.setitem(registry.REGISTERED, network.__name__, network)


def dataset(grid: Grid, count: int, seed: int = 7) -> xr.Dataset:
    """Darcy problems and their solutions, as `sciml.pde.generate` lays them out."""
    import scipy.sparse.linalg as sla

    fields: dict[str, list[Any]] = {"coefficient": [], "u": []}
    for number in range(count):
        problem = Darcy(
            grid.shape,
            seed=seed + number,
            boundary=grid.boundary,
            centring=grid.centring,
            lengths=grid.lengths,
        )
        system = discretize(problem)
        fields["coefficient"].append(problem.coefficient_field())
        fields["u"].append(system.field(sla.spsolve(system.matrix.tocsc(), system.rhs)))
    y, x = grid.coordinates()
    return xr.Dataset(
        {name: (("sample", "y", "x"), np.array(values, np.float32)) for name, values in fields.items()},
        {"sample": np.arange(count), "y": y, "x": x},
        {"family": "darcy-smooth", "grid": json.dumps(grid.to_json()), "seed": seed},
    )


@pytest.fixture(scope="session")
def darcy() -> xr.Dataset:
    """40 samples of the smooth benchmark on 15 x 15."""
    return dataset(Grid((15, 15)), 40)
