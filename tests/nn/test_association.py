"""The association with stored patterns: energy, fixed points, limits of the iteration, attention of PyTorch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from sciml.errors import InputError
from sciml.nn.association import associate, effective_patterns, energy
from tests.nn.vectors import assert_near, case

BETAS = ("0.01", "0.1", "0.3", "1.0", "4.0")


@pytest.mark.parametrize("kind", ["random", "clusters"])
@pytest.mark.parametrize("beta", BETAS)
def test_energy_and_fixed_points(kind: str, beta: str) -> None:
    stored, v = (
        case("own_hopfield_energy", kind)["X_d_by_N"].T,
        case("own_hopfield_energy", f"{kind}/beta{beta}"),
    )
    state, path, energies = v["xi0"][None], [], []
    for _ in range(20):
        path.append(state[0])
        energies.append(energy(state, stored, beta=float(beta))[0])
        state = associate(state, stored, beta=float(beta), steps=0).weights @ stored
    assert_near(torch.stack(energies), v["energy_first20"], 1e-10)
    assert_near(torch.stack(path[:6]), v["xi_first5"], 1e-10)
    end = associate(v["xi0"][None], stored, beta=float(beta), steps=199, eps=0.0)  # theirs are 200 updates
    assert_near((end.weights @ stored)[0], v["fixed_point"], 1e-10)
    assert float(effective_patterns(end.weights)) == pytest.approx(float(v["n_eff"]), rel=1e-10)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(100, 10**6),
    features=st.integers(1, 6),
    patterns=st.integers(1, 9),
    beta=st.floats(0.01, 50.0),
    size=st.floats(0.01, 10.0),
)
def test_no_update_increases_the_energy(
    seed: int, features: int, patterns: int, beta: float, size: float
) -> None:
    rng = np.random.default_rng(seed)
    stored = torch.tensor(size * rng.normal(size=(patterns, features)))
    state = torch.tensor(size * rng.normal(size=(4, features)))
    top = float(stored.square().sum(-1).max())
    last = energy(state, stored, beta=beta)
    scale = float(last.abs().max()) + top
    for _ in range(15):
        state = associate(state, stored, beta=beta, steps=0).weights @ stored
        now = energy(state, stored, beta=beta)
        assert bool((now <= last + 1e-13 * scale).all())
        assert bool((now >= -1e-13 * scale).all())
        assert bool((now <= 2 * top + 1e-13 * scale).all())
        last = now


def test_energy_of_each_head() -> None:
    torch.manual_seed(23)
    stored, state = torch.randn(3, 2, 5, 4).double(), torch.randn(3, 2, 6, 4).double()
    together = energy(state, stored, beta=(0.5, 2.0))
    for head, beta in enumerate((0.5, 2.0)):
        torch.testing.assert_close(together[:, head], energy(state[:, head], stored[:, head], beta=beta))
    torch.testing.assert_close(energy(state, stored), energy(state, stored, beta=0.5))


@pytest.mark.parametrize("beta", [None, 0.3])
def test_association_is_the_attention_of_pytorch(beta: float | None) -> None:
    torch.manual_seed(29)
    q, k, v = (torch.randn(2, 3, n, 8).double() for n in (4, 7, 7))
    exact = scaled_dot_product_attention(q, k, v, scale=beta)
    torch.testing.assert_close(associate(q, k, beta=beta).weights @ v, exact, rtol=1e-13, atol=1e-13)
    ignored = torch.rand(4, 7) < 0.4
    exact = scaled_dot_product_attention(q, k, v, attn_mask=~ignored, scale=beta)
    masks = (ignored, torch.zeros(4, 7).double().masked_fill(ignored, -torch.inf))
    for mask in masks:
        result = associate(q, k, beta=beta, mask=mask).weights @ v
        torch.testing.assert_close(result, exact, rtol=1e-13, atol=1e-13)


def clusters(seed: int) -> Tensor:
    """Four clusters of eight patterns of equal norm, (32, 16)."""
    rng = np.random.default_rng(seed)
    centres = np.linalg.qr(rng.normal(size=(16, 4)))[0].T
    points = 4.0 * np.repeat(centres, 8, 0) + 0.35 * rng.normal(size=(32, 16))
    return torch.tensor(4.0 * points / np.linalg.norm(points, axis=1, keepdims=True))


@pytest.mark.parametrize("seed", [31, 37, 43])
def test_three_kinds_of_fixed_points(seed: int) -> None:
    """All patterns, those of a cluster, or one."""
    stored = clusters(seed)
    for beta, shared in ((0.02, 32.0), (0.7, 8.0), (20.0, 1.0)):
        end = associate(stored, stored, beta=beta, steps=None, eps=1e-9)
        counts = effective_patterns(end.weights)
        torch.testing.assert_close(counts.median(), torch.tensor(shared).double(), rtol=0.06, atol=0)
        points = end.weights @ stored
        distinct = len(torch.unique((points * 1e4).round(), dim=0))
        assert distinct == round(32 / shared)


def test_error_of_one_step_falls_with_the_dimension() -> None:
    """Theorem 4: for patterns on a sphere of radius sqrt(d), exponentially."""
    errors = []
    for d in (16, 24, 32):
        rng = np.random.default_rng(47)
        x = rng.normal(size=(1024, d))
        stored = torch.tensor(x * np.sqrt(d) / np.linalg.norm(x, axis=1, keepdims=True))
        state = stored[:64] + 0.05 * torch.tensor(rng.normal(size=(64, d)))
        answer = associate(state, stored, beta=1.0).weights @ stored
        errors.append(float((torch.linalg.vector_norm(answer - stored[:64], dim=-1) / np.sqrt(d)).median()))
    assert errors[0] > 20 * errors[1] > 400 * errors[2]
    assert errors[2] < 5e-6


def test_heads_and_samples_have_limits_of_their_own() -> None:
    torch.manual_seed(53)
    stored, state = torch.randn(3, 2, 9, 4).double(), torch.randn(3, 2, 2, 4).double()
    both = associate(state, stored, beta=0.4, steps=(1, None), eps=1e-8)
    assert both.updates[:, 0].tolist() == [1, 1, 1]
    assert int(both.updates[:, 1].min()) > 1
    first = associate(state[:, 0], stored[:, 0], beta=0.4, steps=1)
    torch.testing.assert_close(both.weights[:, 0], first.weights)
    torch.testing.assert_close(both.state[:, 0], first.state)
    again = associate(both.state[:, 1], stored[:, 1], beta=0.4)  # a fixed point
    torch.testing.assert_close(again.weights, both.weights[:, 1], rtol=0, atol=1e-7)


def test_gradients_pass_all_updates() -> None:
    torch.manual_seed(59)
    state = torch.randn(2, 2, 3, dtype=torch.float64, requires_grad=True)
    stored = torch.randn(2, 5, 3, dtype=torch.float64, requires_grad=True)
    beta = torch.tensor([0.5, 1.5], dtype=torch.float64, requires_grad=True)

    def function(state: Tensor, stored: Tensor, beta: Tensor) -> Tensor:
        return associate(state, stored, beta=beta, steps=2, eps=0.0).weights

    assert torch.autograd.gradcheck(function, (state, stored, beta))


def test_an_update_at_infinite_patience_ends() -> None:
    stored = torch.eye(2)
    result = associate(torch.ones(1, 2), stored, beta=1.0, steps=None, eps=0.0)
    torch.testing.assert_close(result.weights, torch.full((1, 2), 0.5))
    assert int(result.updates) == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"beta": -0.5}, "beta=-0.5: give a number above 0"),
        ({"beta": torch.tensor([1.0, 2.0, 3.0])}, "3 values of beta for states of shape"),
        ({"steps": 1.5}, "steps=1.5"),
        ({"steps": ()}, r"steps=\(\)"),
        ({"eps": -1.0}, "eps=-1.0"),
        ({"mask": torch.ones(3, 5, dtype=torch.bool)}, "ignores all patterns of 3 states"),
        ({"mask": torch.full((1, 5), -torch.inf)}, "ignores all patterns of 1 states"),
    ],
)
def test_invalid_arguments(words: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        associate(torch.ones(2, 3, 4), torch.ones(2, 5, 4), **words)  # type: ignore[arg-type]


def test_patterns_of_other_features() -> None:
    with pytest.raises(InputError, match="states of 4 features and patterns of 3: give equal numbers"):
        associate(torch.ones(2, 4), torch.ones(5, 3))
    with pytest.raises(InputError, match="beta=-1: give a number above 0"):
        energy(torch.ones(2, 4), torch.ones(5, 4), beta=-1)
