"""Constraints by multipliers: the multipliers of Karush, Kuhn and Tucker of problems that have a closed form."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from sciml.errors import InputError
from sciml.solve import solve
from sciml.train import Fit, Quiet, TensorSource, fit
from sciml.train.batches import Batch
from sciml.train.minmax import Extragradient, VariationalInequality
from sciml.train.multipliers import Ascent, MultiplierObjective

WANTED = torch.tensor([[3.0, -1.0, 2.0]])
ROWS = torch.tensor([[1.0, 1.0, 1.0], [1.0, -2.0, 0.5]])


class Point(nn.Module):
    """A point in three dimensions."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1, 3))


def losses(model: Point, batch: Batch) -> dict[str, Tensor]:
    """Return half the square of the distance to WANTED, and the two constraints."""
    values = (ROWS @ model.weight.T)[:, 0]
    return {"loss": 0.5 * (model.weight - WANTED).square().sum(), "first": values[0], "second": values[1]}


def descended(limits: dict[str, float], equality: bool, damping: float) -> tuple[np.ndarray, list[float]]:
    model = Point()
    objective = MultiplierObjective(losses, limits, Ascent(step=0.1, damping=damping, equality=equality))
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    for _ in range(600):
        optimizer.zero_grad()
        named = objective(model, {})
        named["loss"].backward()
        optimizer.step()
        objective.update({name: float(value.detach()) for name, value in named.items()})
    return model.weight.detach().numpy()[0], objective.multipliers.tolist()


@pytest.mark.parametrize("damping", [0.0, 1.0])
def test_the_multipliers_of_equalities_solve_the_linear_system(damping):
    """The solution of least squares on a plane: x = a - B' lambda with B B' lambda = B a - d."""
    limits = np.array([5.5, 4.0])
    b, a = ROWS.double().numpy(), WANTED.double().numpy()[0]
    expected = np.linalg.solve(b @ b.T, b @ a - limits)
    assert (expected < 0).any()  # a free multiplier
    x, multipliers = descended(dict(zip(("first", "second"), limits, strict=True)), True, damping)
    np.testing.assert_allclose(multipliers, expected, atol=1e-4)
    np.testing.assert_allclose(x, a - b.T @ expected, atol=1e-4)


def test_the_multiplier_of_an_inequality_is_its_slope_and_an_idle_one_is_zero():
    """At most 1 for a sum of three components that want 4: the multiplier is (4 - 1) / 3."""
    x, multipliers = descended({"first": 1.0, "second": 9.0}, False, 1.0)
    assert multipliers == pytest.approx([1.0, 0.0], abs=1e-4)
    np.testing.assert_allclose(x, WANTED[0].numpy() - 1.0, atol=1e-4)


def test_extragradient_has_the_same_multiplier():
    """The Lagrangian as a variational inequality, whose proximal operator holds the multiplier at 0 or above."""

    def operator(z: Tensor) -> Tensor:
        x, multiplier = z[:3], z[3:]
        return torch.cat([x - WANTED[0] + multiplier * ROWS[0], 1.0 - ROWS[0] @ x[:, None]])

    def positive(z: Tensor, step: float) -> Tensor:
        return torch.cat([z[:3], z[3:].clamp_min(0)])

    problem = VariationalInequality([operator], torch.zeros(4), positive, lipschitz=(2.5,))
    answer = solve(problem, Extragradient(rtol=1e-6))
    assert answer.z[3].item() == pytest.approx(1.0, abs=1e-4)


def test_a_training_satisfies_its_constraint_and_resumes_to_the_same_bits(tmp_path: Path):
    x = torch.linspace(-1, 1, 40)[:, None]
    source = TensorSource({"x": x, "y": 2 * x + 1})

    def mean_at_most(model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        made = model(batch["x"])
        return {"loss": (made - batch["y"]).square().mean(), "mean": made.mean()}

    def train(output: Path | None, limit: float | None) -> tuple[nn.Module, MultiplierObjective, str]:
        model = nn.Linear(1, 1)
        nn.init.zeros_(model.weight)
        nn.init.zeros_(model.bias)
        objective = MultiplierObjective(mean_at_most, {"mean": 0.25}, Ascent(step=0.3, damping=2.0))
        settings = Fit(
            epochs=100,
            batch_size=40,
            learning_rate=0.1,
            weight_decay=0.0,
            seed=17,
            device="cpu",
            threads=1,
            time_limit_s=limit,
            schedule="cosine",
        )
        history = fit(model, objective, source, source, settings, output=output, progress=Quiet())
        return model, objective, history.stopped

    model, objective, _ = train(None, None)
    assert model.bias.item() == pytest.approx(0.25, abs=1e-2)
    assert objective.multipliers.item() > 0.5
    stops = 0
    while (again := train(tmp_path / "m.sciml", 0.3))[2] == "time limit":
        stops += 1
    assert stops and torch.equal(again[0].bias, model.bias)
    assert torch.equal(again[1].multipliers, objective.multipliers)


def test_validation_has_a_fixed_penalty_and_training_the_factors():
    objective = MultiplierObjective(losses, {"first": 1.0}, Ascent(penalty=4.0))
    objective.update({"first": 3.0})
    model = Point()
    with torch.no_grad():
        model.weight += 1.0
    plain = float(losses(model, {})["loss"].detach())
    assert float(objective(model.eval(), {})["loss"].detach()) == pytest.approx(plain + 4.0 * (3 - 1))
    trained = float(objective(model.train(), {})["loss"].detach())
    assert trained == pytest.approx(plain + 3.0 * (0.05 * 2 + 5.0 * 2))
    with torch.no_grad():
        model.weight.zero_()
    assert float(objective(model.eval(), {})["loss"].detach()) == float(losses(model, {})["loss"].detach())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MultiplierObjective(losses, {}), "at least one constraint"),
        (lambda: MultiplierObjective(losses, {"first": float("nan")}), "give the limit"),
        (
            lambda: MultiplierObjective(losses, {"mass": 0.1})(Point(), {}),
            "constraint mass: the losses have loss",
        ),
        (lambda: Ascent(step=-1.0), "step=-1.0"),
        (lambda: Ascent(equality=3), "equality=3"),  # type: ignore[arg-type]
    ],
)
def test_invalid_constraints_are_a_clear_error(make, message):
    with pytest.raises(InputError, match=message):
        make()
