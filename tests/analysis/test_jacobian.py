"""Jacobians: exact for linear functions, equal by both methods for smooth functions, different at steps."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sciml.analysis import differences, jacobians
from sciml.errors import InputError


@pytest.fixture
def numbers() -> torch.Generator:
    return torch.Generator().manual_seed(23)


@pytest.mark.parametrize("shape", [(5,), (3, 5), (2, 3, 5)], ids=str)
@pytest.mark.parametrize("block", [1, 3, 100])
def test_a_linear_map_is_its_matrix(shape: tuple[int, ...], block: int, numbers: torch.Generator) -> None:
    matrix = torch.randn(7, 5, dtype=torch.float64, generator=numbers)
    points = torch.randn(shape, dtype=torch.float64, generator=numbers)
    steps = torch.rand(5, dtype=torch.float64, generator=numbers) + 0.1

    def function(x: torch.Tensor) -> torch.Tensor:
        return x @ matrix.T + 3.0

    wanted = matrix.expand(*shape[:-1], 7, 5)
    torch.testing.assert_close(jacobians(function, points, block=block), wanted, rtol=0, atol=1e-14)
    matrices = differences(function, points, steps, block=block)
    torch.testing.assert_close(matrices, wanted, rtol=0, atol=1e-12)


def test_each_point_has_its_own(numbers: torch.Generator) -> None:
    """Other context at each point, as columns have, reaches every copy of it."""
    scale = torch.tensor([[2.0], [5.0]], dtype=torch.float64)
    points = torch.randn(2, 3, dtype=torch.float64, generator=numbers)
    matrices = jacobians(lambda x: scale * x**3, points, block=2)
    wanted = torch.diag_embed(3 * scale * points**2)
    torch.testing.assert_close(matrices, wanted)


def test_a_network_both_ways(numbers: torch.Generator) -> None:
    torch.manual_seed(29)
    network = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 3)).double()
    points = torch.randn(6, 4, dtype=torch.float64, generator=numbers)
    exact = jacobians(network, points)
    errors = [
        float((differences(network, points, torch.full((4,), h).double()) - exact).abs().max())
        for h in (1e-2, 5e-3)
    ]
    assert errors[1] < 1e-4
    assert errors[0] / errors[1] == pytest.approx(4.0, rel=0.05)  # second order
    assert network[0].weight.grad is None


def test_only_differences_see_steps() -> None:
    points = torch.tensor([0.3], dtype=torch.float64)
    assert float(jacobians(torch.floor, points)) == 0.0
    assert float(differences(torch.floor, points, torch.tensor([4.0]).double())) == 1.0


def test_functions_that_do_not_depend_on_the_points() -> None:
    points = torch.ones(2, 3)
    assert not jacobians(lambda x: torch.ones(*x.shape[:-1], 4), points).any()


@pytest.mark.parametrize(
    ("points", "message"),
    [
        (torch.tensor([1.0, float("nan")]), "1 of 2 inputs are not finite"),
        (torch.tensor(1.0), "points of shape"),
        (torch.zeros(0, 3), "points of shape"),
    ],
)
def test_invalid_points(points: torch.Tensor, message: str) -> None:
    for look in (jacobians, lambda f, x: differences(f, x, torch.ones(2))):
        with pytest.raises(InputError, match=message):
            look(torch.sin, points)


def test_derivatives_that_are_not_finite() -> None:
    with pytest.raises(InputError, match="1 of 1 derivatives are not finite"):
        jacobians(torch.sqrt, torch.tensor([0.0]))
    with pytest.raises(InputError, match="derivatives are not finite"):
        differences(torch.log, torch.tensor([0.5]), torch.tensor([0.5]))


def test_other_refusals() -> None:
    points = torch.ones(2)
    with pytest.raises(InputError, match="give one above 0 for each of the 2 inputs"):
        differences(torch.sin, points, torch.tensor([0.1, 0.0]))
    with pytest.raises(InputError, match="steps of shape"):
        differences(torch.sin, points, torch.tensor([0.1]))
    with pytest.raises(InputError, match="block=0"):
        jacobians(torch.sin, points, block=0)
    with pytest.raises(InputError, match="only the last dimension may change"):
        jacobians(lambda x: x.sum(0), points)
