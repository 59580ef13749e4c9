"""MgNO as multigrid: with suitable kernels one layer equals the cycle of pyamg, for any boundary and size."""

from __future__ import annotations

import numpy as np
import pyamg
import pytest
import scipy.sparse as sp
import torch
from numpy.testing import assert_allclose

from sciml.errors import InputError
from sciml.multigrid.torch.stencils import diffusion_stencil, galerkin
from sciml.multigrid.torch.transfers import LevelLayout
from sciml.operators.learned_transfer import Transfer
from sciml.operators.mgno import MgNO
from sciml.operators.mgno_layer import Cycle
from sciml.pde.elliptic import Poisson, discretize
from sciml.pde.grid import Boundary, Grid

DAMPING = 0.8


def rng(seed: int = 3) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def bilinear(n: int) -> sp.csr_matrix:
    """From (n - 1) / 2 to n interior points of an interval, by hand."""
    coarse = (n - 1) // 2
    value = sp.lil_matrix((n, coarse))
    for j in range(coarse):
        value[2 * j, j], value[2 * j + 1, j], value[2 * j + 2, j] = 0.5, 1.0, 0.5
    return sp.csr_matrix(value)


def hierarchy(n: int) -> pyamg.multilevel.MultilevelSolver:
    """Poisson's geometric hierarchy down to one unknown, with weighted Jacobi before and after."""
    levels = []
    matrix = discretize(Poisson(n)).matrix
    while True:
        level = pyamg.multilevel.MultilevelSolver.Level()
        level.A = matrix
        levels.append(level)
        if n == 1:
            break
        level.P = sp.csr_matrix(sp.kron(bilinear(n), bilinear(n)))
        level.R = sp.csr_matrix(level.P.T / 4)
        matrix, n = sp.csr_matrix(level.R @ matrix @ level.P), (n - 1) // 2
    solver = pyamg.multilevel.MultilevelSolver(levels, coarse_solver="pinv")
    jacobi = ("jacobi", {"omega": DAMPING, "withrho": False})
    pyamg.relaxation.smoothing.change_smoothers(solver, jacobi, jacobi)
    return solver


def poisson_cycle(n: int, boundary: Boundary, *, shared: bool) -> Cycle:
    """A `Cycle` of one channel whose kernels are the stencils of Poisson's hierarchy."""
    levels = int(np.log2(n + 1))
    cycle = Cycle(1, 1, levels=levels, post=1, bottom=1, shared=shared).double()
    stencil, layout = torch.zeros(1, 9, 1, 1), LevelLayout.of(Grid((n, n), "vertex", boundary))
    with torch.no_grad():
        for level, kernel in enumerate(cycle.matrix):
            if level == 0:
                stencil = diffusion_stencil(
                    torch.ones(1, n, n, dtype=torch.float64), Grid((n, n), "vertex", boundary)
                )
            middle = stencil[0, :, layout.shape[0] // 2, layout.shape[1] // 2].reshape(3, 3)
            scale = 1.0 if shared else 0.25**level
            kernel.weight.copy_(scale * middle)
            last = layout.shape == (1, 1)
            for smoother in (cycle.smoother[level], cycle.after[level]):
                smoother.weight.zero_()
                smoother.weight[0, 0, 1, 1] = (1.0 if last else DAMPING) / (scale * middle[1, 1])
            if not last:
                stencil, layout = galerkin(stencil, layout), layout.coarse()
    return cycle


@pytest.mark.parametrize("n", [15, 31, 63, 127])
def test_one_layer_is_the_v_cycle_of_pyamg(n):
    solver = hierarchy(n)
    r = torch.randn(3, 1, n, n, dtype=torch.float64, generator=rng())
    with torch.no_grad():
        result = (
            poisson_cycle(n, Boundary(), shared=False)(r, LevelLayout.of(Grid((n, n)))).reshape(3, -1).numpy()
        )
    preconditioner = solver.aspreconditioner()
    for value, given in zip(result, r.reshape(3, -1).numpy(), strict=True):
        expected = preconditioner.matvec(given)
        assert np.abs(value - expected).max() <= 1e-12 * np.abs(expected).max()


def test_a_layer_converges_on_more_levels():
    """In the grid-scaled form Poisson's 9-point kernels are the same on every coarse level."""
    cycle = Cycle(1, 1, levels=2, post=1, bottom=1, shared=True).double()
    fine, coarse = torch.tensor([[0.0, -1, 0], [-1, 4, -1], [0, -1, 0]]), -torch.ones(3, 3)
    coarse[1, 1] = 8
    with torch.no_grad():
        for kind, stencil in enumerate((fine, coarse / 3)):  # bilinear elements on coarse levels
            cycle.matrix[kind].weight.copy_(stencil)
            for smoother in (cycle.smoother[kind], cycle.after[kind]):
                smoother.weight.zero_()
                smoother.weight[0, 0, 1, 1] = DAMPING / stencil[1, 1]
    for n in (15, 127):
        system = discretize(Poisson(n))
        u = np.zeros(n * n)
        errors = []
        for _ in range(6):
            with torch.no_grad():
                r = torch.from_numpy(system.residual(u)).reshape(1, 1, n, n)
                u = u + cycle(r, LevelLayout.of(system.grid)).numpy().ravel()
            errors.append(np.linalg.norm(system.residual(u)))
        assert errors[-1] < 0.5 * errors[-2] < 0.25 * errors[-3]


@pytest.mark.parametrize(
    "sides", [Boundary.all("neumann"), Boundary.all("periodic"), Boundary("neumann")], ids=str
)
def test_the_finest_level_obeys_its_boundary(sides):
    """S f with the 5-point kernel is what the matrix does, divided by the control volumes."""
    grid = Grid((16, 9), "vertex", sides)
    cycle = Cycle(1, 1, levels=1, bottom=1).double()
    hy, hx = grid.spacing
    with torch.no_grad():
        kernel = torch.zeros(3, 3, dtype=torch.float64)
        kernel[1, 1], kernel[0, 1], kernel[1, 0] = 2 / hy**2 + 2 / hx**2, -1 / hy**2, -1 / hx**2
        kernel[2, 1], kernel[1, 2] = kernel[0, 1], kernel[1, 0]
        cycle.smoother[0].weight.copy_(kernel)
    u = torch.randn(1, 1, 16, 9, dtype=torch.float64, generator=rng())
    system = discretize(Poisson((16, 9), boundary=sides))
    expected = (system.matrix @ u.numpy().ravel()).reshape(16, 9) / grid.volumes()
    assert_allclose(cycle(u, LevelLayout.of(grid)).detach()[0, 0], expected, rtol=1e-12, atol=1e-9)


@pytest.mark.parametrize("centring", ["vertex", "cell"])
@pytest.mark.parametrize("sides", [Boundary(), Boundary.all("periodic"), Boundary("neumann")], ids=str)
def test_learned_transfers_are_transposes_and_begin_bilinear(centring, sides):
    fine = LevelLayout.of(Grid((13, 10), centring, sides))
    transfer = Transfer(3, centring).double()
    u = torch.randn(2, 3, *fine.coarse().shape, dtype=torch.float64, generator=rng())
    r = torch.randn(2, 3, *fine.shape, dtype=torch.float64, generator=rng(5))
    up, down = transfer.prolong(u, fine), transfer.restrict(r, fine)
    assert_allclose(float((up * r).sum().detach()), float((u * down).sum().detach()), rtol=1e-12)
    assert up.shape == r.shape


@pytest.mark.parametrize("transfers", ["geometric", "learned", "tied"])
@pytest.mark.parametrize(
    "sides", [Boundary(), Boundary("periodic", "periodic", "neumann", "dirichlet")], ids=str
)
def test_every_grid_and_form(transfers, sides):
    torch.manual_seed(3)
    network = MgNO(2, 3, channels=4, layers=2, levels=4, post=1, transfers=transfers, boundary=sides)
    for shape in ((15, 15), (16, 21), (64, 5)):
        assert network(torch.randn(2, 2, *shape, generator=rng())).shape == (2, 3, *shape)
    again = MgNO.from_config(network.config())
    again.load_state_dict(network.state_dict())
    x = torch.randn(1, 2, 15, 12, generator=rng())
    assert torch.equal(again(x), network(x))


def test_a_periodic_network_commutes_with_shifts():
    torch.manual_seed(3)
    network = MgNO(channels=4, layers=2, levels=3, boundary=Boundary.all("periodic")).double()
    x = torch.randn(1, 1, 16, 32, dtype=torch.float64, generator=rng())
    moved = network(x.roll((4, 8), (-2, -1)))
    assert_allclose(moved.detach(), network(x).roll((4, 8), (-2, -1)).detach(), atol=1e-12)


def test_every_level_contributes_from_the_beginning():
    """The official initialisation loses a factor of about 6 a level; here the coarse levels count as much."""
    torch.manual_seed(3)
    cycle = Cycle(1, 16, levels=5)
    layout = LevelLayout.of(Grid((63, 63)))
    smooth = torch.ones(1, 1, 63, 63)
    whole = cycle(smooth, layout)
    cycle.levels = 1
    cycle.bottom = 1
    assert float((whole - cycle(smooth, layout)).norm()) > 0.3 * float(whole.norm())


@pytest.mark.parametrize("activation", ["relu", "none"])
def test_other_activations(activation):
    torch.manual_seed(3)
    network = MgNO(channels=4, layers=2, levels=2, activation=activation).double()
    again = MgNO.from_config(network.config()).double()
    again.load_state_dict(network.state_dict())
    x, y = torch.randn(2, 1, 1, 9, 9, dtype=torch.float64, generator=rng())
    with torch.no_grad():
        assert torch.equal(again(x), network(x))
        for point in network.points:
            point.bias.zero_()
        network.points[0].weight[:, 1:].zero_()  # of the constant channel
        for kernel in network.cycles[0].smoother:
            kernel.weight[:, 1:].zero_()
        assert_allclose(network(3 * x), 3 * network(x), atol=1e-12)
        defect = (network(x + y) - network(x) - network(y)).norm() / network(x).norm()
    assert defect < 1e-12 if activation == "none" else defect > 1e-2


def test_invalid_settings_of_a_network():
    with pytest.raises(InputError, match="activation='tanh': give one of"):
        MgNO(activation="tanh")
    with pytest.raises(
        InputError, match=r"MgNO\(norm='evonorm-s0', activation='relu'\): the normalisation has"
    ):
        MgNO(norm="evonorm-s0", activation="relu")
    with pytest.raises(InputError, match="layers=0"):
        MgNO(layers=0)
    with pytest.raises(InputError, match="'cubic'"):
        MgNO(transfers="cubic")
    with pytest.raises(InputError, match="post=-1"):
        MgNO(post=-1)
