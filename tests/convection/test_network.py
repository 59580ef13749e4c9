"""The networks: their sizes, their bounds, and an oracle for the closure."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sciml.convection import Architecture, BiLSTM
from sciml.convection.feature_scaling import FeatureScaling
from sciml.convection.network import PUSH_BOUND, Closure
from sciml.errors import InputError


def test_the_published_network_has_its_size() -> None:
    published = BiLSTM.published()
    assert sum(p.numel() for p in published.parameters()) == 66_422
    profiles, trigger = published(torch.randn(5, 44, 27, generator=torch.Generator().manual_seed(3)))
    assert profiles.shape == (5, 44, 8) and trigger is not None and trigger.shape == (5,)


def test_outputs_are_bounded() -> None:
    torch.manual_seed(9)
    closure = Closure(Architecture(hidden=8))
    with torch.no_grad():
        for p in closure.parameters():
            p.copy_(50 * torch.randn_like(p))
        push, _, _ = closure(torch.randn(20, 24, 14), torch.randn(20, 14))
    assert float(push.abs().max()) <= PUSH_BOUND


def test_the_closure_against_numpy() -> None:
    """The same numbers from the LSTM's equations written out."""
    torch.manual_seed(4)
    shape = Architecture(hidden=5, layers=2, pooled=6)
    closure = Closure(shape).double()
    x, y = torch.randn(3, 24, 14, dtype=torch.float64), torch.randn(3, 14, dtype=torch.float64)
    w = {name: p.detach().numpy() for name, p in closure.named_parameters()}
    w["level.weight"][:] = np.linspace(-1, 1, 10)

    def sigmoid(z: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(-z))

    def single_direction(inputs: np.ndarray, tag: str) -> np.ndarray:
        h = c = np.zeros((3, 5))
        states = []
        for k in range(24):
            gates = inputs[:, k] @ w[f"lstm.weight_ih_{tag}"].T + w[f"lstm.bias_ih_{tag}"]
            gates = gates + h @ w[f"lstm.weight_hh_{tag}"].T + w[f"lstm.bias_hh_{tag}"]
            i, f, g, o = np.split(gates, 4, 1)
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            h = sigmoid(o) * np.tanh(c)
            states.append(h)
        return np.stack(states, 1)

    inputs = np.concatenate([x.numpy(), np.repeat(y.numpy()[:, None], 24, 1)], -1)
    for layer in range(2):
        up = single_direction(inputs, f"l{layer}")
        down = single_direction(inputs[:, ::-1], f"l{layer}_reverse")[:, ::-1]
        inputs = np.concatenate([up, down], -1)
    push = PUSH_BOUND * np.tanh((inputs @ w["level.weight"].T + w["level.bias"])[..., 0] / PUSH_BOUND)
    pooled = np.concatenate([inputs.mean(1), y.numpy()], -1) @ w["pool.weight"].T + w["pool.bias"]
    column = np.tanh(pooled) @ w["column.weight"].T + w["column.bias"]
    with torch.no_grad():
        outputs = closure(x, y)
    np.testing.assert_allclose(outputs[0].numpy(), push, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(outputs[1].numpy(), column[:, 0], rtol=1e-10)
    np.testing.assert_allclose(outputs[2].numpy(), column[:, 1], rtol=1e-10)


@pytest.mark.parametrize("wrong", [{"hidden": 0}, {"layers": 1.5}, {"channels": ("flux",)}])
def test_invalid_shapes(wrong: dict) -> None:
    with pytest.raises(InputError, match=next(iter(wrong)) if "channels" not in wrong else "features"):
        Architecture(**wrong)


def test_an_architecture_survives_json() -> None:
    shape = Architecture(hidden=12, layers=2)
    assert Architecture.from_json(shape.to_json()) == shape


@pytest.mark.parametrize("value", [1.916290731874155, 0.0, -3.3e5])
def test_a_scalar_that_does_not_vary_in_the_training_has_no_effect(value: float) -> None:
    """The training rounds the features to float32, an inference does not."""
    draw = torch.Generator().manual_seed(8)
    channels = torch.randn(24, 14, 50, generator=draw, dtype=torch.float64)
    scalars = torch.randn(14, 50, generator=draw, dtype=torch.float64)
    scalars[4] = value
    normalisation = FeatureScaling.of(channels, scalars.float().double())
    for now in (value, 1.5 * value + 1.0):
        scalars[4] = now
        _, y = normalisation.standardise(channels, scalars)
        assert float(y[:, 4].abs().max()) < 1e-5
        _, wide = normalisation.distances(channels, scalars)
        assert float(wide[4].max()) < 1e-5
    assert bool(torch.isfinite(normalisation.novelty(channels, scalars)).all())


def test_the_novelty_of_training_columns_is_at_most_one() -> None:
    draw = torch.Generator().manual_seed(6)
    channels = torch.randn(24, 14, 300, generator=draw, dtype=torch.float64) * 3 + 1
    scalars = torch.randn(14, 300, generator=draw, dtype=torch.float64)
    scalars[0] = (scalars[0] > 0).double()
    normalisation = FeatureScaling.of(channels, scalars)
    novelty = normalisation.novelty(channels, scalars)
    assert float(novelty.max()) == pytest.approx(1 / 1.01, abs=1e-5)
    assert float(novelty.min()) < 0.98
    x, y = normalisation.standardise(channels, scalars)
    assert x.shape == (300, 24, 14) and y.shape == (300, 14)
    np.testing.assert_allclose(x.mean(0).numpy(), 0, atol=1e-6)
    channels[7, 3, 5] += 100
    assert float(normalisation.novelty(channels, scalars)[5]) > 3
    again = FeatureScaling.from_tensors(normalisation.tensors())
    assert torch.equal(again.scale, normalisation.scale)
