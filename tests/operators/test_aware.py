"""The learned cycle: its properties for any weights, and its training."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from sciml.errors import InputError
from sciml.multigrid.torch.stencils import apply_stencil, diffusion_stencil, stencil_of
from sciml.multigrid.torch.transfers import LevelLayout
from sciml.operators.hierarchy_net import HierarchyNet
from sciml.pde.elliptic import Darcy, discretize
from sciml.pde.grid import Boundary, Grid
from sciml.pde.random_fields import TwoPhase

BOUNDARIES = [
    Boundary(),
    Boundary("neumann", "dirichlet", "dirichlet", "neumann"),
    Boundary("periodic", "periodic", "neumann", "dirichlet"),
    Boundary.all("neumann"),
]


def learned(seed: int = 3, **settings) -> HierarchyNet:
    """A network whose parts all affect the result."""
    torch.manual_seed(seed)
    network = HierarchyNet(channels=4, hidden=6, **settings).double()
    with torch.no_grad():
        for medium in network.media:
            medium.tell.weight.mul_(3)
    return network.eval().requires_grad_(False)


def systems(shape: tuple[int, int], boundary: Boundary, centring: str, count: int = 2):
    problems = [
        Darcy(shape, TwoPhase(1, 30), boundary=boundary, centring=centring, seed=5 + i) for i in range(count)
    ]
    return [discretize(problem) for problem in problems]


@pytest.mark.parametrize("centring", ["vertex", "cell"])
@pytest.mark.parametrize("boundary", BOUNDARIES, ids=str)
@pytest.mark.parametrize("shape", [(15, 15), (16, 12), (10, 21)], ids=str)
def test_the_cycle_is_linear_and_symmetric(centring, boundary, shape):
    network = learned(sweeps=2)
    result = systems(shape, boundary, centring)
    stencil = torch.stack([stencil_of(s.matrix, s.grid) for s in result])
    layout = LevelLayout.of(result[0].grid)
    prepared = network.prepare(stencil, layout)
    n = shape[0] * shape[1]
    unit = torch.eye(n, dtype=torch.float64).reshape(1, n, *shape).expand(2, -1, -1, -1)
    b = network.cycle(prepared, unit).reshape(2, n, n)
    assert_allclose(b, b.transpose(1, 2), atol=1e-12 * float(b.abs().max()))
    r = torch.randn(2, 1, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    assert_allclose(
        network.cycle(prepared, r).reshape(2, n, 1), b @ r.reshape(2, n, 1), atol=1e-11 * float(b.abs().max())
    )


@pytest.mark.parametrize("centring", ["vertex", "cell"])
@pytest.mark.parametrize(
    ("shape", "boundary"),
    [
        ((15, 15), Boundary.all("periodic")),
        ((20, 12), Boundary.all("periodic")),
        ((16, 5), Boundary.all("neumann")),
        ((15, 15), Boundary("periodic", "periodic", "neumann", "dirichlet")),
    ],
    ids=str,
)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
def test_a_level_that_cannot_be_halved_is_solved_exactly(shape, boundary, centring, dtype):
    """Also with constants in the kernel, where the coarsest level must not return zero."""
    grid = Grid(shape, centring, boundary)
    torch.manual_seed(3)
    stencil = diffusion_stencil(1 + torch.rand(2, *shape, dtype=torch.float64), grid).to(dtype)
    network = HierarchyNet(channels=3, hidden=3, cycles=1).to(dtype)
    with torch.no_grad():
        for kernel in network.kernels:
            kernel.zero_()  # plain Jacobi
    volumes = torch.from_numpy(grid.volumes()).to(dtype)
    r = torch.randn(2, 1, *shape, dtype=dtype)
    r -= r.sum((-2, -1), keepdim=True) * volumes / volumes.sum()
    first, layout = float(r.norm()), LevelLayout.of(grid)
    for _ in range(8):
        with torch.no_grad():
            r = r - apply_stencil(stencil, network(stencil, r, layout), layout)
    assert float(r.norm()) < (0.02 if max(shape) < 3 * min(shape) else 0.2) * first


def test_a_reaction_takes_constants_out_of_the_kernel():
    """No side is Dirichlet, but the matrix is definite: constants are solved for too."""
    grid = Grid((16, 16), "vertex", Boundary.all("neumann"))
    stencil = diffusion_stencil(torch.ones(1, 16, 16), grid)
    stencil[:, 4] += torch.from_numpy(grid.volumes()).float()
    rhs = torch.from_numpy(grid.volumes()).float()[None, None]
    torch.manual_seed(3)
    u = HierarchyNet(channels=3, hidden=3, cycles=4)(stencil, rhs, LevelLayout.of(grid))
    assert torch.allclose(u, torch.ones_like(u), atol=1e-2)


def test_a_grid_that_cannot_be_coarsened_enough_is_refused():
    boundary = Boundary.all("periodic")
    stencil = diffusion_stencil(torch.ones(1, 33, 33), Grid((33, 33), "vertex", boundary))
    with pytest.raises(InputError, match=r"stopped at 33 x 33.* such as 64; MgNO takes any grid"):
        HierarchyNet(boundary=boundary)(stencil, torch.ones(1, 1, 33, 33))


def test_more_cycles_repeat_the_same_correction():
    network = learned()
    (system,) = systems((15, 15), Boundary(), "vertex", 1)
    a = system.matrix.toarray()
    stencil, rhs = (
        stencil_of(system.matrix, system.grid)[None],
        torch.from_numpy(system.rhs).reshape(1, 1, 15, 15),
    )
    prepared = network.prepare(stencil)
    b = network.cycle(prepared, torch.eye(225, dtype=torch.float64).reshape(1, 225, 15, 15))[0].reshape(
        225, 225
    )
    network.cycles = 3
    iteration = np.eye(225) - b.numpy() @ a
    exact = np.linalg.solve(a, system.rhs)
    expected = exact - np.linalg.matrix_power(iteration, 3) @ exact
    assert_allclose(network(stencil, rhs).ravel(), expected, atol=1e-10 * np.abs(expected).max())


def test_training_improves_on_the_initial_damped_jacobi():
    torch.manual_seed(3)
    grid = Grid((15, 15))
    network = HierarchyNet(channels=8, hidden=8, cycles=1)
    fields = np.stack([Darcy(15, TwoPhase(3, 12), seed=20 + i).coefficient_field() for i in range(9)])
    stencil = diffusion_stencil(torch.from_numpy(fields).float(), grid)
    exact = torch.from_numpy(
        np.stack([np.linalg.solve(discretize(Darcy(15, f)).matrix.toarray(), np.ones(225)) for f in fields])
    )
    exact = exact.float().reshape(9, 1, 15, 15)
    rhs = torch.ones(9, 1, 15, 15)

    def error(rows: slice) -> torch.Tensor:
        return (network(stencil[rows], rhs[rows]) - exact[rows]).norm() / exact[rows].norm()

    held, seen = slice(0, 3), slice(3, None)
    before = float(error(held))
    optimizer = torch.optim.Adam(network.parameters(), 1e-2)
    for _ in range(30):
        optimizer.zero_grad()
        error(seen).backward()
        optimizer.step()
    assert float(error(held)) < before / 3


def test_one_matrix_for_many_sides_and_the_other_way_round():
    network = learned()
    (system,) = systems((7, 7), Boundary(), "vertex", 1)
    stencil = stencil_of(system.matrix, system.grid)[None]
    rhs = torch.randn(3, 1, 7, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    channels = network(stencil, rhs.transpose(0, 1)).transpose(0, 1)
    assert_allclose(network(stencil, rhs), channels, atol=1e-14)
    assert_allclose(
        network(stencil.expand(3, -1, -1, -1), rhs[:1])[2], network(stencil, rhs[:1])[0], atol=1e-14
    )
    with pytest.raises(InputError, match="2 matrices and 3"):
        network(stencil.expand(2, -1, -1, -1), rhs)


def test_built_again_from_its_config():
    network = learned(cycles=3, boundary=Boundary.all("periodic"), centring="cell")
    again = HierarchyNet.from_config(network.config()).double()
    again.load_state_dict(network.state_dict())
    stencil = diffusion_stencil(
        torch.full((1, 8, 8), 2.0, dtype=torch.float64), Grid((8, 8), "cell", network.boundary)
    )
    rhs = torch.randn(1, 1, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    assert torch.equal(again(stencil, rhs), network(stencil, rhs))


@pytest.mark.parametrize(
    "settings", [{"channels": 0}, {"cycles": 1.5}, {"sweeps": True}, {"centring": "face"}]
)
def test_invalid_settings_of_a_network(settings):
    with pytest.raises(InputError, match=next(iter(settings))):
        HierarchyNet(**settings)
