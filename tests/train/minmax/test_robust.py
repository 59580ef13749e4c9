"""Training for the worst group: solutions that are known, the same bits in any number of processes, and resumption."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from torch import Tensor, nn

from sciml.errors import InputError
from sciml.solve import solve
from sciml.train import Fit, Quiet, TensorSource, fit
from sciml.train.batches import Batch
from sciml.train.grouped import GroupedSource
from sciml.train.minmax import MASHA1, Extragradient, RandK, Robust, RobustObjective, group_game
from sciml.train.minmax.robust import ascended
from tests.train.minmax.robust_worker import MESSAGES, NAMES, network, squares, train

FULL = {
    "batch_size": 120,
    "weight_decay": 0.0,
    "gradient_clip": None,
    "device": "cpu",
    "threads": 1,
    "seed": 17,
}


def regression() -> tuple[nn.Module, list[Batch]]:
    """Return a line in three dimensions, and three groups of equal size that want different ones."""
    groups = []
    for number in range(3):
        generator = torch.Generator().manual_seed(31 + number)
        x = torch.randn(40, 3, generator=generator)
        y = x @ torch.tensor([1.0 + number, -1.0, 0.5 * number]) + 0.3 * torch.randn(40, generator=generator)
        groups.append({"x": x, "y": y[:, None]})
    model = nn.Linear(3, 1, bias=False)
    nn.init.zeros_(model.weight)
    return model, groups


def mean_square(model: nn.Module, batch: Batch) -> dict[str, Tensor]:
    return {"loss": (model(batch["x"]) - batch["y"]).square().mean()}


def worst_case(groups: list[Batch]) -> tuple[np.ndarray, float]:
    """Return weights and greatest loss of the least worst loss, by scipy: minimise t with each loss at most t."""
    data = [(group["x"].double().numpy(), group["y"].double().numpy()[:, 0]) for group in groups]

    def loss(theta, x, y):
        return float(np.square(x @ theta - y).mean())

    limits = [{"type": "ineq", "fun": lambda z, x=x, y=y: z[-1] - loss(z[:-1], x, y)} for x, y in data]
    answer = minimize(
        lambda z: z[-1], np.array([0.0, 0, 0, 10.0]), constraints=limits, options={"ftol": 1e-12}
    )
    assert answer.success
    return answer.x[:-1], float(answer.x[-1])


def descend(
    model: nn.Module, objective: RobustObjective, groups: list[Batch], steps: int, rate: float
) -> None:
    """Do steps of gradient descent on all samples, as `fit` does them."""
    batch = next(
        GroupedSource([TensorSource(group) for group in groups]).batches_from(
            sum(len(group["x"]) for group in groups), torch.Generator().manual_seed(7), 0
        )
    )
    objective.join(1, model)
    optimizer = torch.optim.SGD(model.parameters(), rate)
    for _ in range(steps):
        losses = objective.backward(lambda rows, inner: inner(model, rows), batch, 1, torch.device("cpu"))
        optimizer.step()
        objective.update(losses)


@pytest.mark.parametrize(
    ("messages", "step", "rate", "close"), [("float32", 0.5, 0.1, 1e-3), ("topk", 0.2, 0.025, 2e-2)]
)
def test_the_worst_group_of_a_regression_is_that_of_scipy(messages, step, rate, close):
    model, groups = regression()
    settings = Robust(step=step, strength=0.0, messages=messages, share=0.67)
    objective = RobustObjective(mean_square, ["a", "b", "c"], settings)
    descend(model, objective, groups, 350, rate)
    expected, worst = worst_case(groups)
    np.testing.assert_allclose(model.weight.detach().numpy()[0], expected, atol=close)
    assert float(objective.before.max()) == pytest.approx(worst, rel=close)
    weights = objective.shares.tolist()
    gradients = [torch.autograd.grad(mean_square(model, group)["loss"], model.weight)[0] for group in groups]
    total = sum(weight * gradient for weight, gradient in zip(weights, gradients, strict=True))
    assert total.abs().max() < close * max(gradient.abs().max() for gradient in gradients)


def test_the_shares_of_two_parabolas_are_the_known_ones():
    """theta^2 and (theta - 2)^2 + 1 are equal at 5/4, where 3/8 and 5/8 of their slopes cancel."""
    point = nn.Linear(1, 1, bias=False)
    groups = [
        {"x": torch.zeros(1, 1), "y": torch.zeros(1, 1)},
        {"x": torch.full((1, 1), 2.0), "y": torch.ones(1, 1)},
    ]

    def parabola(model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        return {"loss": ((model.weight - batch["x"]).square() + batch["y"]).mean()}

    objective = RobustObjective(parabola, NAMES, Robust(step=0.2, strength=0.0))
    descend(point, objective, groups, 250, 0.1)
    assert point.weight.item() == pytest.approx(1.25, abs=1e-4)
    assert objective.shares.tolist() == pytest.approx([0.375, 0.625], abs=1e-4)
    answer = solve(group_game(point, parabola, groups, pace=0.5), Extragradient(step=0.2, rtol=1e-6))
    assert answer.z.tolist() == pytest.approx([1.25, 0.375, 0.625], abs=1e-4)


def test_the_game_of_a_regression_has_the_solution_of_scipy():
    model, groups = regression()
    expected, _ = worst_case(groups)
    game = group_game(model.double(), mean_square, [{k: v.double() for k, v in x.items()} for x in groups])
    for method, close in [
        (Extragradient(step=0.15, rtol=1e-6, max_iterations=300), 1e-4),
        (MASHA1(RandK(0.5), step=0.1, batch=20, rtol=0.0, max_iterations=200), 1e-3),
    ]:
        answer = solve(game, method, throw=False).z
        np.testing.assert_allclose(answer[:3].numpy(), expected, atol=close)
        assert answer[3:].sum() == pytest.approx(1) and (answer[3:] >= 0).all()


def test_the_divergence_has_the_shares_of_its_closed_form():
    losses = torch.tensor([0.2, 0.5, 0.4], dtype=torch.float64)
    prior = torch.tensor([0.5, 0.2, 0.3], dtype=torch.float64)
    shares = prior.clone()
    for _ in range(400):
        shares = ascended(shares, losses, losses, prior, 0.5, 0.1)
    expected = prior * (losses / 0.1).exp()
    torch.testing.assert_close(shares, expected / expected.sum(), rtol=1e-8, atol=0.0)


def test_without_a_step_the_shares_are_the_prior():
    objective = RobustObjective(squares, NAMES, Robust(step=0.0, prior={"run 1": 3.0, "run 2": 1.0}))
    objective.update({"run 1": 0.1, "run 2": 5.0})
    assert objective.shares.tolist() == [0.75, 0.25]


def test_a_process_for_each_group_computes_the_bits_of_one_process(tmp_path: Path):
    command = [sys.executable, "-m", "tests.train.minmax.robust_worker"]
    root = Path(__file__).parents[3]
    started = [subprocess.Popen([*command, str(rank), str(tmp_path)], cwd=root) for rank in range(2)]
    single = {name: train(settings) for name, settings in MESSAGES.items()}
    assert [process.wait(400) for process in started] == [0, 0]
    for rank in range(2):
        results = torch.load(tmp_path / f"result_{rank}.pt")
        for name, expected in {**single, "resumed": single["topk"]}.items():
            for key in ("weights", "shares"):
                assert torch.equal(results[name][key], expected[key])
            assert results[name]["bytes"] == expected["bytes"]
            assert results[name]["losses"] == expected["losses"]
            assert results[name]["stopped"] == "finished"


def test_a_stopped_training_goes_on_to_the_same_bits(tmp_path: Path):
    whole = train(MESSAGES["topk"])
    stops = 0
    while (parts := train(MESSAGES["topk"], tmp_path / "m.sciml", 1e-6))["stopped"] == "time limit":
        stops += 1
    assert stops > 10
    assert torch.equal(parts["weights"], whole["weights"]) and torch.equal(parts["shares"], whole["shares"])
    assert parts["losses"] == whole["losses"] and parts["bytes"] == whole["bytes"]


def test_a_message_of_a_twentieth_has_few_bytes():
    settings = Robust(messages="topk", share=0.05)
    objective = RobustObjective(squares, NAMES, settings)
    model = network()
    fit(
        model,
        objective,
        GroupedSource([TensorSource({"x": torch.rand(8, 2), "y": torch.rand(8, 1)})] * 2),
        settings=Fit(epochs=1, batch_size=16, device="cpu", threads=1),
        progress=Quiet(),
    )
    size = sum(parameter.numel() for parameter in model.parameters())
    assert size == 49 and objective.number == 1
    assert objective.bytes_up == 2 * (2 + 4) + 2 * 8  # places and values of two components, and two losses
    assert objective.bytes_down == 4 * 49 + 2 * 2 * 8


def test_accumulated_parts_have_the_same_gradient():
    made = []
    for parts in (1, 3):
        model = nn.Linear(2, 1)
        nn.init.ones_(model.weight)
        nn.init.zeros_(model.bias)
        rng = torch.Generator().manual_seed(9)
        x, y = torch.rand(12, 2, generator=rng), torch.rand(12, 1, generator=rng)
        source = GroupedSource([TensorSource({"x": x, "y": y}), TensorSource({"x": -x, "y": y})])
        settings = Fit(epochs=5, batch_size=14, accumulate=parts, device="cpu", threads=1)
        fit(model, RobustObjective(mean_square, NAMES), source, settings=settings, progress=Quiet())
        made.append(model.weight.detach())
    torch.testing.assert_close(made[0], made[1], rtol=1e-5, atol=1e-7)


def test_complex_parameters_have_the_gradient_of_torch():
    class Line(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.turn = nn.Parameter(torch.tensor([1.0 + 2.0j]))
            self.shift = nn.Parameter(torch.tensor([0.5]))

    def distance(model: Line, batch: Batch) -> dict[str, Tensor]:
        return {"loss": (model.turn * batch["x"] + model.shift).abs().square().mean()}

    model = Line()
    groups = [{"x": torch.full((1, 1), value)} for value in (1.0, -2.0)]
    objective = RobustObjective(distance, NAMES)
    descend(model, objective, groups, 1, 0.0)
    sent = model.turn.grad, model.shift.grad
    half = 0.5 * (distance(model, groups[0])["loss"] + distance(model, groups[1])["loss"])
    for own, other in zip(sent, torch.autograd.grad(half, [model.turn, model.shift]), strict=True):
        torch.testing.assert_close(own, other)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RobustObjective(squares, ["run 3"]), "groups run 3: give at least two"),
        (lambda: RobustObjective(squares, NAMES, scales=(1.0, 0.0)), r"scales \[1.0, 0.0\]"),
        (
            lambda: RobustObjective(squares, NAMES, Robust(prior={"run 1": 1.0})),
            "the groups are run 1, run 2",
        ),
        (lambda: Robust(step=-1.0), r"step=-1.0: give a number of 0 or more"),
        (lambda: Robust(messages="zip"), "messages"),  # type: ignore[arg-type]
        (lambda: Robust(share=0.0), "share"),
        (lambda: Robust(prior={"run 1": 0.0}), "prior of run 1"),
        (lambda: group_game(nn.Linear(1, 1), squares, [{"x": torch.zeros(1, 1)}]), "at least two"),
    ],
)
def test_invalid_settings_are_a_clear_error(make, message):
    with pytest.raises(InputError, match=message):
        make()


def test_other_numbers_of_processes_and_running_statistics_are_a_clear_error():
    objective = RobustObjective(squares, NAMES)
    with pytest.raises(InputError, match=r"3 processes for 2 groups \(run 1, run 2\): start 1 process, or 2"):
        objective.join(3, network())
    with pytest.raises(
        InputError, match=r"0\.running_mean .* each of 2 processes sees one: start one process"
    ):
        objective.join(2, nn.Sequential(nn.BatchNorm1d(2)))


def test_batches_without_groups_are_a_clear_error():
    with pytest.raises(InputError, match="give batches of a GroupedSource"):
        fit(
            network(),
            RobustObjective(squares, NAMES),
            TensorSource({"x": torch.rand(4, 2), "y": torch.rand(4, 1)}),
            settings=Fit(device="cpu"),
            progress=Quiet(),
        )
