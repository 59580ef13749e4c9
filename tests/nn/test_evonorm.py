"""EvoNorm: both official sets, all numbers of axes, its rules and its settings."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings
from torch import Tensor, nn

from sciml.errors import InputError
from sciml.nn import EvoNorm
from sciml.nn.norm_activation import NORMS, norm_activation
from tests.nn.vectors import assert_near, case, cases

TOLERANCE = 2e-6
AUTHORS = cases("evonorm_authors_tf", "/out_nhwc")
KINDS = ("B0", "B1", "B2", "S0", "S0a", "S1", "S1a", "S2", "S2a")


def set_to(norm: EvoNorm, values: dict[str, Tensor]) -> None:
    """Set parameters and the running variance of a norm."""
    with torch.no_grad():
        for name, value in values.items():
            getattr(norm, name).copy_(value)


@pytest.mark.parametrize("mode", ["train", "eval"])
@pytest.mark.parametrize("active", ["act", "noact"])
@pytest.mark.parametrize("kind", KINDS)
def test_timm(kind: Any, active: str, mode: str) -> None:
    v = case("evonorm", f"{kind}/{active}")
    norm = EvoNorm(8, kind, groups=4, rules="timm", activation=active == "act").train(mode == "train")
    assert norm.eps == float(v["eps"])
    set_to(norm, {key.removeprefix("param/"): x for key, x in v.items() if key.startswith("param/")})
    if kind[0] == "B":
        set_to(norm, {"running_var": v["buffer/running_var_before"]})
    x = v[f"{mode}/in/x"].requires_grad_()
    made = norm(x)
    assert_near(made, v[f"{mode}/out"], TOLERANCE)
    (made * v[f"{mode}/cotangent"]).sum().backward()
    assert_near(x.grad, v[f"{mode}/grad/in/x"], TOLERANCE)
    for name, parameter in norm.named_parameters():
        assert_near(parameter.grad, v[f"{mode}/grad/param/{name}"], TOLERANCE)
    if kind[0] == "B":
        assert_near(norm.running_var, v[f"{mode}/buffer/running_var_after"], TOLERANCE)


@pytest.mark.parametrize("name", AUTHORS)
def test_the_authors(name: str) -> None:
    v = case("evonorm_authors_tf", name)
    kind: Any = "B0" if "_b0" in name else "S0"
    channels = v["in/x_nhwc"].shape[-1]
    norm = EvoNorm(channels, kind).train("/train" in name)
    assert norm.groups == channels  # 32, lowered until it divides 8 or 12
    set_to(norm, {"weight": v["param/gamma"], "bias": v["param/beta"], "v": v["param/v"].flatten()})
    if kind == "B0":
        set_to(norm, {"running_var": v["param/moving_variance"]})
    x = v["in/x_nhwc"].movedim(-1, 1).requires_grad_()
    made = norm(x)
    assert_near(made.movedim(1, -1), v["out_nhwc"], TOLERANCE)
    (made.movedim(1, -1) * v["cotangent"]).sum().backward()
    assert x.grad is not None
    assert_near(x.grad.movedim(1, -1), v["grad/x"], TOLERANCE)
    for mine, theirs in (("weight", "gamma"), ("bias", "beta"), ("v", "v")):
        assert_near(getattr(norm, mine).grad, v[f"grad/{theirs}"].flatten(), TOLERANCE)
    if kind == "B0" and norm.training:
        assert_near(norm.running_var, v["moving_variance_after"], TOLERANCE)


@pytest.mark.parametrize("kind", ["B0", "S0"])
@pytest.mark.parametrize("axes", ["1", "3"])
def test_other_numbers_of_axes(kind: Any, axes: str) -> None:
    v = case("evonorm", f"{kind}/nd")
    norm = EvoNorm(8, kind, groups=4, rules="timm", ndim=int(axes)).train()
    assert_near(norm(v[f"in/x{axes}"]), v[f"out{axes}"], TOLERANCE)


@pytest.mark.parametrize("kind", KINDS)
def test_the_formulas_in_float64(kind: Any) -> None:
    drawn = torch.Generator().manual_seed(31)
    norm = EvoNorm(6, kind, groups=3).double().train()
    for p in norm.parameters():
        nn.init.normal_(p, generator=drawn)
    x = torch.randn(4, 6, 5, 3, generator=drawn, dtype=torch.float64)
    w, b = norm.weight.reshape(-1, 1, 1), norm.bias.reshape(-1, 1, 1)
    v = 0 if norm.v is None else norm.v.reshape(-1, 1, 1)
    batch = torch.sqrt(x.var((0, 2, 3), correction=0).reshape(-1, 1, 1) + 1e-5)
    root = torch.sqrt(x.square().mean((2, 3), keepdim=True) + 1e-5)
    parts = x.reshape(4, 3, 2, 5, 3)
    spread = (
        torch.sqrt(parts.var((2, 3, 4), correction=0, keepdim=True) + 1e-5).expand_as(parts).reshape_as(x)
    )
    size = torch.sqrt(parts.square().mean((2, 3, 4), keepdim=True) + 1e-5).expand_as(parts).reshape_as(x)
    gate = x if norm.v is None else v * x
    wanted = {
        "B0": x / torch.maximum(batch, v * x + torch.sqrt(x.var((2, 3), correction=0, keepdim=True) + 1e-5)),
        "B1": x / torch.maximum(batch, (x + 1) * root),
        "B2": x / torch.maximum(batch, root - x),
        "S0": x / (1 + torch.exp(-gate)) / spread,
        "S1": x / (1 + torch.exp(-x)) / spread,
        "S2": x / (1 + torch.exp(-x)) / size,
    }[kind.removesuffix("a")]
    torch.testing.assert_close(norm(x), wanted * w + b, rtol=1e-12, atol=1e-12)
    if kind[0] == "B":
        mean = 0.9 + 0.1 * x.var((0, 2, 3), correction=0)
        torch.testing.assert_close(norm.running_var, mean, rtol=1e-12, atol=0)


@pytest.mark.parametrize("kind", ["B0", "B1", "B2", "S0", "S1", "S2"])
@pytest.mark.parametrize("shape", [(2, 4, 7), (2, 4, 5, 3), (2, 4, 3, 2, 3)])
def test_the_gradient(kind: Any, shape: tuple[int, ...]) -> None:
    norm = EvoNorm(4, kind, groups=2).double()
    x = torch.randn(shape, generator=torch.Generator().manual_seed(32), dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(norm, (x,), atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_a_sample_does_not_depend_on_its_batch_in_evaluation(kind: Any) -> None:
    x = torch.randn(3, 8, 6, 6, generator=torch.Generator().manual_seed(33), dtype=torch.float64)
    norm = EvoNorm(8, kind, groups=4).double().eval()
    whole = norm(x)
    torch.testing.assert_close(norm(x[1:2])[0], whole[1], rtol=1e-13, atol=1e-13)
    batchwise = torch.equal(norm.train()(x)[1], norm(x[1:2])[0])
    assert batchwise == (kind[0] == "S")


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 48), st.integers(1, 40))
def test_the_group_count_of_the_authors(channels: int, groups: int) -> None:
    lowered = groups
    while channels % lowered:
        lowered -= 1
    assert EvoNorm(channels, groups=groups).groups == lowered


def test_half_precision_and_single_points() -> None:
    x = torch.randn(2, 4, 9, generator=torch.Generator().manual_seed(34))
    for kind in KINDS:
        norm = EvoNorm(4, kind)  # type: ignore[arg-type]
        half = norm(x.bfloat16())
        assert half.dtype == torch.bfloat16
        assert float((half.float() - norm(x)).detach().abs().max()) < 0.05
        assert norm(x[:1, :, :1]).isfinite().all()


@pytest.mark.parametrize("name", NORMS)
@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_every_name_makes_a_layer(name: str, ndim: int) -> None:
    layer = norm_activation(name, 6, ndim)
    x = torch.randn(2, 6, *[4] * ndim, generator=torch.Generator().manual_seed(35))
    made = layer(x)
    assert made.shape == x.shape
    assert not torch.equal(made, x)
    if name.endswith("relu"):
        assert float(made.detach().min()) == 0.0


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"kind": "S3"}, "kind='S3'"),
        ({"groups": 0}, "groups"),
        ({"groups": 3, "rules": "timm"}, "groups=3.* does not divide 8"),
        ({"eps": -1.0}, "eps"),
        ({"momentum": 1.5}, "momentum"),
        ({"ndim": 4}, "ndim=4"),
        ({"rules": "mine"}, "rules='mine'"),
    ],
)
def test_refusals(given: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        EvoNorm(8, **given)


def test_fields_of_other_shapes() -> None:
    for shape in ((2, 7, 4), (2, 8), (2, 8, 1, 1, 1, 1)):
        with pytest.raises(InputError, match="EvoNorm of a field"):
            EvoNorm(8)(torch.ones(shape))
    with pytest.raises(InputError, match="with 2 more axes"):
        EvoNorm(8, ndim=2)(torch.ones(2, 8, 4))
    with pytest.raises(InputError, match="norm='layernorm'"):
        norm_activation("layernorm", 8, 2)
