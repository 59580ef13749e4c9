"""The learned preconditioner for waves: linearity, exact residuals, sizes, batches, training, checkpoints, errors."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sciml.errors import InputError
from sciml.multigrid.torch.flexible import flexible_gmres
from sciml.operators.helmholtz_net import ComplexConvolution, HelmholtzNet
from sciml.operators.helmholtz_training import (
    Stage,
    draw_media,
    krylov_vectors,
    residual_ratio,
    train_helmholtz,
)
from sciml.operators.learned_helmholtz import LearnedHelmholtz, PreparedMedia
from sciml.pde import Direct, OpenHelmholtz, Poisson, discretize
from sciml.pde.media import LayeredSpeed, SmoothSpeed
from sciml.solve import Result, init, solve

SMALL = Stage(15, 4, media=3, layers=(2.0, 4.0), krylov=3)


def _network() -> HelmholtzNet:
    torch.manual_seed(7)
    return HelmholtzNet((2, 3), hidden=4, coarsest=2)


def _problem(n: int = 31, seed: int = 13, **settings) -> OpenHelmholtz:
    return OpenHelmholtz(n, SmoothSpeed(2.0), layer=1.0, seed=seed, **settings)


@pytest.fixture(scope="module")
def packaged() -> LearnedHelmholtz:
    return LearnedHelmholtz.load("helmholtz-layers")


def test_the_operator_of_the_network_is_the_matrix_of_the_problem():
    system = discretize(_problem())
    state = init(system, LearnedHelmholtz(_network()))
    u = np.random.default_rng(7).standard_normal(system.size) + 1j * np.arange(system.size)
    assert np.allclose(state.apply(torch.from_numpy(u)[None])[0].numpy(), system.matrix @ u, rtol=1e-12)


@pytest.mark.parametrize("transposed", [False, True])
def test_a_complex_convolution_is_that_of_torch(transposed):
    torch.manual_seed(11)
    layer = ComplexConvolution(2, 3, stride=2, transposed=transposed)
    x = torch.randn(2, 2, 7, 9, dtype=torch.complex64)
    weight = torch.complex(*layer.weight.detach())
    function = torch.conv_transpose2d if transposed else torch.conv2d
    expected = function(x, weight, stride=2)
    made = layer(torch.cat([x.real, x.imag], 1)).detach()
    assert torch.allclose(torch.complex(made[:, :3], made[:, 3:]), expected, atol=1e-5)


def test_the_network_is_linear_over_complex_numbers():
    network = _network()
    squared, absorbed = draw_media(15, 1, (2.0, 4.0), np.random.default_rng(7))
    gates = network.prepare(squared, absorbed)
    torch.manual_seed(13)
    r, s = torch.randn(2, 1, 2, 15, 15)
    rotated = torch.stack([-s[:, 1], s[:, 0]], 1)  # i s
    with torch.no_grad():
        first, second, joined = (network(x, squared, absorbed, gates) for x in (r, s, 2 * r + rotated))
    expected = 2 * first + torch.stack([-second[:, 1], second[:, 0]], 1)
    assert torch.allclose(joined, expected, atol=1e-4 * float(expected.abs().max()))


def test_an_untrained_network_still_gives_a_solution_with_a_true_residual():
    problem = OpenHelmholtz(31, 1.0, layer=1.0)
    solution = solve(problem, LearnedHelmholtz(_network(), rtol=1e-7, restart=300))
    exact = solve(problem, Direct()).u.values
    assert np.linalg.norm(solution.u.values - exact) < 1e-4 * np.linalg.norm(exact)
    assert solution.stats["relative_residual"] <= 1e-7


@pytest.mark.parametrize("shape", [(31, 31), (40, 37)])
@pytest.mark.parametrize("speed", [SmoothSpeed(2.0), LayeredSpeed(2.5)])
def test_the_packaged_network_needs_few_iterations_on_any_shape(packaged, shape, speed):
    lengths = (float(shape[0] + 1), float(shape[1] + 1))
    problem = OpenHelmholtz(shape, speed, layer=1.0, lengths=lengths, seed=17)
    exact = solve(problem, Direct()).u.values
    solution = solve(problem, packaged)
    assert np.linalg.norm(solution.u.values - exact) < 1e-4 * np.linalg.norm(exact)
    assert solution.stats["iterations"] <= 25


def test_a_batch_of_media_or_of_right_hand_sides_equals_one_by_one(packaged):
    problems = [_problem(seed=seed) for seed in (17, 19)]
    batch = packaged.solve_batch(problems)
    assert batch.result is Result.SUCCESS
    for u, problem in zip(batch.u, problems, strict=True):
        exact = solve(problem, Direct()).u.values
        assert np.linalg.norm(u.numpy() - exact) < 1e-4 * np.linalg.norm(exact)
    rng = np.random.default_rng(7)
    rhs = rng.standard_normal((3, 31, 31)) + 1j * rng.standard_normal((3, 31, 31))
    rhs[2] = 0
    several = packaged.solve_batch(problems[:1], rhs)
    state = Direct().init(problems[0])
    for u, b in zip(several.u.numpy()[:2], rhs[:2], strict=True):
        exact = state.apply(b.ravel()).reshape(31, 31)
        assert np.linalg.norm(u - exact) < 1e-4 * np.linalg.norm(exact)
    assert several.cycles[2] == 0
    assert not several.u[2].any()


def test_batched_flexible_gmres_restarts_and_solves_as_a_dense_solver():
    torch.manual_seed(17)
    matrices = 4 * torch.eye(20) + torch.randn(3, 20, 20, dtype=torch.complex128) / 2
    b = torch.randn(3, 20, dtype=torch.complex128)
    solution = flexible_gmres(
        lambda x: torch.einsum("bij,bj->bi", matrices, x), lambda r: r / 4, b, rtol=1e-9, restart=6
    )
    assert torch.allclose(solution.u, torch.linalg.solve(matrices, b), rtol=1e-6)
    assert int(solution.cycles.min()) > 6


def test_krylov_vectors_are_orthonormal_and_start_with_the_right_hand_side():
    media = draw_media(15, 2, (2.0, 4.0), np.random.default_rng(7))
    torch.manual_seed(19)
    b = torch.randn(2, 2, 15, 15)
    vectors = torch.stack(krylov_vectors(_network(), media, b, 4), 1)
    complex_vectors = torch.complex(vectors[:, :, 0], vectors[:, :, 1]).flatten(2)
    products = complex_vectors @ complex_vectors.conj().mT
    assert torch.allclose(products, torch.eye(5).to(products).expand(2, 5, 5), atol=1e-4)
    assert torch.allclose(vectors[:, 0] * b.flatten(1).norm(dim=1)[:, None, None, None], b, atol=1e-4)


def test_training_lowers_the_residual_and_continues_after_the_last_stage(tmp_path):
    path = tmp_path / "waves.sciml"
    stages = (SMALL, Stage(15, 20, media=4, layers=(2.0, 4.0), krylov=1))
    lines: list[str] = []
    made = train_helmholtz(path, _network(), stages, progress=lines.append)
    assert [stage["steps"] for stage in made.about["stages"]] == [4, 20]
    media = draw_media(15, 4, (2.0, 4.0), np.random.default_rng(29))
    r = torch.randn(4, 2, 15, 15)
    before, after = (
        float(residual_ratio(network, media, r).detach()) for network in (_network(), made.network)
    )
    assert after < before
    again = train_helmholtz(path, _network(), stages)
    assert all(map(torch.equal, made.network.state_dict().values(), again.network.state_dict().values()))
    with pytest.raises(InputError, match="another network or seed"):
        train_helmholtz(path, _network(), stages, seed=8)


def test_a_checkpoint_gives_the_same_bits(tmp_path):
    algorithm = LearnedHelmholtz(_network(), about={"seed": 7})
    loaded = LearnedHelmholtz.load(algorithm.save(tmp_path / "waves.sciml"))
    assert loaded.about["seed"] == 7
    system = discretize(_problem())
    r = torch.from_numpy(system.rhs)[None]
    made = [PreparedMedia.of(each.network, [system], "cpu").precondition(r) for each in (algorithm, loaded)]
    assert torch.equal(*made)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: HelmholtzNet(()), "channels"),
        (lambda: HelmholtzNet((0,)), "channels"),
        (lambda: LearnedHelmholtz(torch.nn.Identity()), "LearnedHelmholtz.load"),
        (lambda: LearnedHelmholtz(_network(), rtol=0.0), "rtol"),
        (lambda: LearnedHelmholtz.load("darcy-any"), "helmholtz"),
        (lambda: solve(Poisson(15), LearnedHelmholtz(_network())), "OpenHelmholtz"),
        (lambda: init(_problem((31, 40)), LearnedHelmholtz(_network())), "equal spacings"),
        (lambda: LearnedHelmholtz(_network()).solve_batch([_problem(), _problem(39)]), "2 grids"),
        (lambda: LearnedHelmholtz(_network()).solve_batch([_problem()] * 2, [0]), "one problem with rhs"),
        (lambda: Stage(15, 0), "steps"),
        (lambda: Stage(15, 5), "layers"),
        (lambda: train_helmholtz("x.sciml", _network(), [Stage(32, 1)]), "multiple of 4"),
    ],
)
def test_bad_input_gives_one_error(make, message):
    with pytest.raises(InputError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_gates_of_another_grid_are_refused():
    algorithm = LearnedHelmholtz(_network())
    with pytest.raises(InputError, match="call init"):
        solve(_problem(39), algorithm, state=init(_problem(), algorithm))
