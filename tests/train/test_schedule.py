"""The schedules against torch's own, the average against its closed form."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import OneCycleLR, ReduceLROnPlateau

from sciml.train import Fit, schedule
from sciml.train.weight_average import Average


def optimizer() -> torch.optim.AdamW:
    return torch.optim.AdamW([nn.Parameter(torch.ones(2))], lr=0.3)


@pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler.step")
@pytest.mark.parametrize("total", [2, 7, 100])
@pytest.mark.parametrize("warmup", [0.0, 0.1, 0.3, 0.9])
def test_onecycle_equals_that_of_torch(total, warmup):
    if warmup * total == 1.0:
        pytest.skip("torch divides by zero where the rise is one step")
    settings = Fit(learning_rate=0.3, schedule="onecycle", warmup=warmup, cycle_momentum=True)
    theirs = OneCycleLR(
        optim := optimizer(),
        max_lr=0.3,
        total_steps=total,
        pct_start=warmup,
        div_factor=25.0,
        final_div_factor=1e4,
    )
    for step in range(total):
        group = optim.param_groups[0]
        assert schedule.learning_rate(settings, step, total) == pytest.approx(
            group["lr"], rel=1e-12, abs=1e-18
        )
        assert schedule.momentum(settings, step, total) == pytest.approx(group["betas"][0], rel=1e-12)
        if step + 1 < total:
            theirs.step()


@pytest.mark.parametrize("patience", [0, 1, 3])
def test_plateau_equals_that_of_torch(patience):
    losses = np.random.default_rng(31).random(40) * np.linspace(1, 0.5, 40)
    settings = Fit(
        learning_rate=0.3, schedule="plateau", warmup=0.0, plateau_patience=patience, plateau_factor=0.4
    )
    theirs = ReduceLROnPlateau(optim := optimizer(), factor=0.4, patience=patience)
    for count in range(1, len(losses) + 1):
        theirs.step(losses[count - 1])
        mine = schedule.learning_rate(settings, count, 40, list(losses[:count]))
        # torch ignores reductions smaller than 1e-8
        assert mine == pytest.approx(optim.param_groups[0]["lr"], rel=1e-6, abs=2e-8)


def test_cosine_and_constant():
    cosine = [
        schedule.learning_rate(Fit(learning_rate=2.0, schedule="cosine", warmup=0.2), s, 50)
        for s in range(50)
    ]
    np.testing.assert_allclose(cosine[:10], np.linspace(0.2, 2.0, 10))
    assert all(np.diff(cosine[10:]) < 0)
    assert cosine[-1] == pytest.approx(2.0 / 1e4)
    constant = Fit(learning_rate=2.0, schedule="constant", warmup=0.0)
    assert {schedule.learning_rate(constant, step, 50) for step in range(50)} == {2.0}
    assert schedule.learning_rate(Fit(epochs=1), 0, 1) > 0


def test_average_against_the_closed_form():
    model = nn.Linear(3, 2).double()
    average = Average(model, decay=0.7)
    path = [
        torch.randn(2, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(s)) for s in range(9)
    ]
    with torch.no_grad():
        start = model.weight.clone()
        for weight in path:
            model.weight.copy_(weight)
            average.update(model)
    decays = [min(0.7, (1 + t) / (10 + t)) for t in range(1, 10)]
    expected = start * np.prod(decays)
    for t, weight in enumerate(path):
        expected += (1 - decays[t]) * np.prod(decays[t + 1 :]) * weight
    torch.testing.assert_close(average.tensors["weight"], expected, rtol=1e-14, atol=1e-14)


def test_average_applied_and_taken_back():
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    model[0].bias.requires_grad_(False)
    average = Average(model, decay=0.5)
    with torch.no_grad():
        model[0].weight.add_(1.0)
    average.update(model)
    own = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with average.applied(model):
        torch.testing.assert_close(model[0].weight, average.tensors["0.weight"])
        assert not torch.equal(model[0].weight, own["0.weight"])
        assert torch.equal(model[0].bias, own["0.bias"]), "what is frozen is not averaged"
    assert all(torch.equal(own[name], tensor) for name, tensor in model.state_dict().items())
