"""A convolution with ghosts is that of the field with its ghosts, and so are its derivatives."""

import itertools

import pytest
import torch
from torch.nn import functional

from sciml.multigrid.torch.convolution import convolve
from sciml.multigrid.torch.padding import SMALL
from sciml.multigrid.torch.transfers import LevelLayout, conditions, extend

SIDES = (("dirichlet", "neumann"), ("dirichlet", "dirichlet"), ("periodic", "periodic"))
PLACES = [*itertools.product(("vertex", "cell"), SIDES, SIDES)]


def field(*shape, seed=7):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize(("centring", "y", "x"), PLACES)
@pytest.mark.parametrize("groups", [1, 3])
@pytest.mark.parametrize("shape", [(2, 3, 5, 4), (1, 3, 212, 220), (1, 3, 1, 44000)])
def test_convolutions_equal_those_of_the_extended_field(centring, y, x, groups, shape):
    layout = LevelLayout(shape[-2:], centring, (y, x))
    assert (shape[-1] > 100) == (field(*shape).numel() > SMALL)  # both ways
    u = field(*shape).to(memory_format=torch.channels_last).requires_grad_()
    weight = field(6, 3 // groups, 3, 3, seed=11).requires_grad_()
    ends = conditions(layout, u)
    result = convolve(u, weight, ends, groups)
    wanted = functional.conv2d(extend(u, layout), weight, groups=groups)
    assert torch.allclose(result, wanted, rtol=0, atol=1e-12)
    with torch.no_grad():
        assert torch.allclose(convolve(u, weight, ends, groups), wanted, rtol=0, atol=1e-12)
    g = field(*wanted.shape, seed=13)
    for value, other in zip(
        torch.autograd.grad(result, (u, weight), g), torch.autograd.grad(wanted, (u, weight), g), strict=True
    ):
        assert torch.allclose(value, other, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("held", ["field", "weight"])
def test_only_required_gradients_are_computed(held):
    layout = LevelLayout((212, 220), "cell", SIDES[:2])
    u, weight = field(1, 3, 212, 220), field(2, 3, 3, 3)
    free = weight if held == "field" else u
    free.requires_grad_()
    convolve(u, weight, conditions(layout, u)).sum().backward()
    (wanted,) = torch.autograd.grad(functional.conv2d(extend(u, layout), weight).sum(), free)
    assert torch.allclose(free.grad, wanted, rtol=1e-12, atol=1e-10)
    assert (u if held == "field" else weight).grad is None


def test_second_derivatives():
    layout = LevelLayout((212, 220), "cell", SIDES[:2])
    u, weight = field(1, 3, 212, 220).requires_grad_(), field(2, 3, 3, 3).requires_grad_()

    def second(made):
        (first,) = torch.autograd.grad((made**2).sum(), u, create_graph=True)
        return torch.autograd.grad((first**2).sum(), weight)[0]

    result = second(convolve(u, weight, conditions(layout, u)))
    assert torch.allclose(result, second(functional.conv2d(extend(u, layout), weight)), rtol=1e-10)
