"""Ghost values: the same as by concatenation, with exact adjoints, on every grid and in every memory format."""

import itertools

import pytest
import torch
from torch.nn import functional

from sciml.multigrid.torch import convolution, padding, transfers
from sciml.multigrid.torch.padding import SMALL, linear, with_ghosts, without_ghosts
from sciml.multigrid.torch.transfers import LevelLayout, extend, fold, ghosts, prolong, restrict

SIDES = (
    ("dirichlet", "dirichlet"),
    ("dirichlet", "neumann"),
    ("neumann", "neumann"),
    ("periodic", "periodic"),
)
PLACES = [*itertools.product(("vertex", "cell"), SIDES, SIDES)]


def concatenated(u, layout, *, interpolated=False):
    """Extend a field by concatenated slices; slow, and the oracle."""
    for axis in (0, 1):
        dim, n = axis - 2, u.shape[axis - 2]
        ends = []
        for end in (0, 1):
            side = layout.sides[axis][end]
            at = (n - 1) * end
            if side == "periodic":
                at = (n - 1) * (1 - end)
            elif side == "neumann" and layout.centring == "vertex" and not interpolated and n > 1:
                at = n - 2 if end else 1
            sign = 1.0
            if side == "dirichlet":
                sign = -1.0 if layout.centring == "cell" else 0.0
            ends.append(sign * u.narrow(dim, at, 1))
        u = torch.cat((ends[0], u, ends[1]), dim)
    return u


def field(*shape, seed=7):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize(("centring", "y", "x"), PLACES)
@pytest.mark.parametrize("shape", [(1, 2, 6, 5), (2, 3, 1, 4), (1, 3, 210, 220)])
def test_ghosts_and_their_gradients_are_those_of_concatenation(centring, y, x, shape):
    layout = LevelLayout(shape[-2:], centring, (y, x))
    assert (shape[-1] > 100) == (field(*shape).numel() > SMALL)  # both ways of making them
    for form in (torch.contiguous_format, torch.channels_last):
        for make, interpolated in ((extend, False), (ghosts, True)):
            result, wanted = (field(*shape).to(memory_format=form).requires_grad_() for _ in range(2))
            made, oracle = make(result, layout), concatenated(wanted, layout, interpolated=interpolated)
            assert torch.equal(made, oracle)
            weights = field(*oracle.shape, seed=11)
            made.backward(weights)
            oracle.backward(weights)
            assert torch.allclose(result.grad, wanted.grad, rtol=0, atol=1e-14)
        with torch.no_grad():
            assert torch.equal(extend(result, layout), concatenated(wanted, layout))


@pytest.mark.parametrize(("centring", "y", "x"), PLACES)
@pytest.mark.parametrize("shape", [(5, 6), (4, 8)])
def test_adjoints_are_adjoint(centring, y, x, shape):
    fine = LevelLayout(shape, centring, (y, x))
    coarse = fine.coarse()
    u, r = field(1, 2, *coarse.shape), field(1, 2, *shape, seed=11)
    assert float((prolong(u, fine) * r).sum()) == pytest.approx(
        float((u * restrict(r, fine)).sum()), rel=1e-12
    )
    v = field(1, 2, coarse.shape[0] + 2, coarse.shape[1] + 2, seed=13)
    if not coarse.zero:
        assert float((ghosts(u, coarse) * v).sum()) == pytest.approx(
            float((u * fold(v, coarse)).sum()), rel=1e-12
        )
    for apply, x_ in ((prolong, u), (restrict, r)):
        given = x_.requires_grad_()
        assert torch.autograd.gradcheck(lambda z, apply=apply: apply(z, fine), (given,), fast_mode=True)
        assert torch.autograd.gradgradcheck(lambda z, apply=apply: apply(z, fine), (given,), fast_mode=True)


@pytest.mark.parametrize("size", [(1, 2, 4, 3), (1, 5, 180, 181)])
def test_second_derivatives(size):
    layout = LevelLayout(size[-2:], "cell", (("dirichlet", "neumann"), ("dirichlet", "dirichlet")))
    u = field(*size).requires_grad_()
    energy = (extend(u, layout) ** 3).sum()
    (first,) = torch.autograd.grad(energy, u, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), u)
    v = u.detach().clone().requires_grad_()
    (wanted,) = torch.autograd.grad((concatenated(v, layout) ** 3).sum(), v, create_graph=True)
    assert torch.allclose(first, wanted)
    assert torch.allclose(second, torch.autograd.grad(wanted.sum(), v)[0])


def test_leading_axes_are_free():
    ends = (((0, -1.0), (3, 1.0)), ((2, 1.0), (0, 1.0)))
    u = field(2, 5, 3, 4, 3)
    assert torch.equal(with_ghosts(u, ends)[1, 4, 2], with_ghosts(u[1, 4, 2], ends))
    v = field(6, 5)
    assert torch.equal(without_ghosts(v, ends), without_ghosts(v[None, None], ends)[0, 0])


def test_a_linear_map_has_the_gradient_it_is_given():
    u = field(1, 1, 4, 4).requires_grad_()
    linear(u, lambda x: 2 * x, lambda x: 5 * x).sum().backward()
    assert torch.equal(u.grad, torch.full_like(u, 5.0))
    with torch.no_grad():
        assert torch.equal(linear(u, lambda x: 2 * x, lambda x: 5 * x), 2 * u)


def test_gradients_make_no_field_for_each_side():
    """Fields of zeros made training steps on cells twice as long; the test counts them."""
    layout = LevelLayout((64, 64), "cell", SIDES[:1] * 2)
    u = torch.randn(8, 16, 64, 64).requires_grad_()
    kernel = torch.randn(16, 1, 3, 3)

    def large(make):
        with torch.profiler.profile(record_shapes=True) as seen:
            functional.conv2d(make(u, layout), kernel, groups=16).sum().backward()
        return sum(
            value.count
            for value in seen.key_averages(group_by_input_shape=True)
            if value.key in ("aten::fill_", "aten::copy_", "aten::cat")
            and value.input_shapes
            and list(value.input_shapes[0])[-2:] in ([64, 64], [66, 66], [64, 66], [66, 64])
        )

    assert large(extend) <= 4 < large(concatenated)


@pytest.mark.parametrize(("centring", "y", "x"), PLACES)
@pytest.mark.parametrize("shape", [(7, 6), (8, 5), (1, 4), (2, 2)])
def test_few_and_many_values_are_interpolated_equally(monkeypatch, centring, y, x, shape):
    """Few values are interpolated by torch, many by convolutions; with SMALL = 0 the same few are many."""
    fine = LevelLayout(shape, centring, (y, x))
    if min(shape) < 2 and centring == "vertex" and "dirichlet" in (y[0], x[0]):
        return  # no coarse level
    fields = [(prolong, field(1, 2, *fine.coarse().shape)), (restrict, field(1, 2, *shape))]
    results = [apply(few, fine) for apply, few in fields]
    for module in (convolution, padding, transfers):
        monkeypatch.setattr(module, "SMALL", 0)
    for (apply, few), result in zip(fields, results, strict=True):
        assert torch.allclose(result, apply(few, fine), rtol=0, atol=1e-13)
