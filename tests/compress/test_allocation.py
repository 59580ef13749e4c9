"""The front of the pairwise model, the choice along it, and the floor on data of their own."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from sciml.compress import allocate_bits
from sciml.compress.allocation import byte_cost, choose_on_front
from sciml.compress.floor import retained_shares
from sciml.compress.formats import stored_bytes
from sciml.compress.loss_model import LossModel
from sciml.compress.pareto import pareto_front
from sciml.errors import InputError


def pairwise(tensors: int, seed: int) -> tuple[LossModel, Any]:
    """Return a quadratic model with strong negative and positive pair terms, and a cost."""
    rng = np.random.default_rng(seed)
    sizes = np.exp(rng.normal(size=tensors))[:, None] * np.array([1.0, 0.4, 0.05])
    errors = rng.normal(size=(3 * tensors, 8)) * sizes.reshape(-1, 1)
    curvature = (errors @ errors.T).reshape(tensors, 3, tensors, 3)
    single = np.array([[0.5 * curvature[t, w, t, w] for w in range(3)] for t in range(tensors)])
    cost = rng.integers(5, 90, (tensors, 1)) * np.array([[4, 8, 16]])
    return LossModel("pairs", tuple(map(str, range(tensors))), (4, 8, 16), single, curvature), cost


def brute_force(model: LossModel, cost: Any) -> list[tuple[float, float]]:
    tensors = len(model.tensors)
    assert model.pairs is not None
    points = []
    for choice in itertools.product(range(3), repeat=tensors):
        loss = sum(model.single[t, w] for t, w in enumerate(choice))
        for t, u in itertools.combinations(range(tensors), 2):
            loss += model.pairs[t, choice[t], u, choice[u]]
        points.append((float(sum(cost[t, w] for t, w in enumerate(choice))), float(loss)))
    best: list[tuple[float, float]] = []
    for point in sorted(points):
        if not best or point[1] < best[-1][1]:
            best.append(point)
    return best[::-1]


def test_front_by_enumeration_is_that_of_all_assignments() -> None:
    model, cost = pairwise(6, 23)
    front = pareto_front(model, cost)
    expected = brute_force(model, cost)
    made = list(zip(front.cost, front.predicted, strict=True))
    assert front.exact
    assert (front.choices[0] == 2).all()
    np.testing.assert_allclose(made[-len(expected) :], expected, rtol=1e-9)
    assert len(made) - len(expected) in (0, 1)
    np.testing.assert_allclose(model.predict(front.choices), front.predicted, rtol=1e-9)


@pytest.mark.parametrize("seed", [5, 29, 31])
def test_front_by_search_equals_the_exact_front(seed: int) -> None:
    model, cost = pairwise(9, seed)
    exact, searched = pareto_front(model, cost), pareto_front(model, cost, most=1)
    assert not searched.exact
    for limit, best in zip(exact.cost, exact.predicted, strict=True):
        reached = searched.predicted[searched.cost <= limit].min()
        assert reached <= best + 1e-9 * abs(best)


def test_front_of_many_tensors_is_better_than_that_without_pairs() -> None:
    model, cost = pairwise(20, 37)
    front = pareto_front(model, cost)
    alone = pareto_front(LossModel("single", model.tensors, model.widths, model.single), cost)
    assert not front.exact
    assert (np.diff(front.cost) < 0).all()
    assert (np.diff(front.predicted)[1:] > 0).all()
    limit = float(np.median(front.cost))
    blind = model.predict(alone.choices[alone.cost <= limit]).min()
    assert front.predicted[front.cost <= limit].min() < 0.7 * blind


@pytest.mark.parametrize(
    ("passing", "confirmed", "expected"),
    [
        (range(13), range(20), (12, 0)),
        (range(20), range(20), (19, 0)),
        ([*range(12), 14], range(20), (14, 0)),  # not monotonic: beyond the first that fails
        (range(12), range(8), (4, 7)),  # steps back of 1, 2 and 4
        ([0], range(20), (0, 0)),
        ([], range(20), (None, 0)),
        (range(12), [], (None, 11)),
    ],
)
def test_choice_on_a_front(
    passing: Sequence[int], confirmed: Sequence[int], expected: tuple[int | None, int]
) -> None:
    evaluated: list[int] = []

    def passes(number: int) -> bool:
        evaluated.append(number)
        return number in passing

    assert choose_on_front(20, passes, lambda number: number in confirmed) == expected
    assert expected[0] is None or expected[0] in evaluated
    assert len(set(evaluated)) <= 11


def trained(seed: int = 5) -> tuple[nn.Module, list[Tensor]]:
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Linear(6, 24), nn.Tanh(), nn.Linear(24, 24), nn.Tanh(), nn.Linear(24, 2))
    data = [torch.randn(64, 6) for _ in range(12)]
    optimiser = torch.optim.Adam(net.parameters(), 1e-2)
    for _ in range(8):
        for batch in data[:6]:
            optimiser.zero_grad()
            loss(net, batch).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
    return net, data


def unchanged(model: nn.Module, batches: Sequence[Tensor]) -> float:
    """Return 1 for a network whose weights have more bits than bfloat16, and 0.9 for any other."""
    weight = model.get_parameter("0.weight")
    return 0.9 if torch.equal(weight, weight.bfloat16().float()) else 1.0


def truth(batch: Tensor) -> Tensor:
    return torch.stack([torch.sin(batch[:, 0] + batch[:, 1]), batch[:, 2] * batch[:, 3]], 1)


def loss(model: nn.Module, batch: Tensor) -> Tensor:
    return (model(batch) - truth(batch)).square().mean()


def r2(model: nn.Module, batches: Sequence[Tensor]) -> dict[str, float]:
    x = torch.cat(list(batches))
    with torch.no_grad():
        error = (model(x) - truth(x)).square().mean(0) / truth(x).var(0)
    return {"sine": 1 - float(error[0]), "product": 1 - float(error[1])}


@pytest.fixture(scope="module")
def case() -> tuple[nn.Module, list[Tensor]]:
    return trained()


def test_allocation_meets_the_floor_of_each_output(case: tuple[nn.Module, list[Tensor]]) -> None:
    net, data = case
    costs = []
    for keep in (0.9995, 0.99, 0.9):
        made = allocate_bits(
            net, data[:6], loss, (4, 8, 16), keep, calibration=data[6:9], confirmation=data[9:], metric=r2
        )
        quantised = nn.Sequential(
            *(type(part)(6, 24) if isinstance(part, nn.Linear) else part for part in net)
        )
        assert len(quantised) == 5
        assert set(made.confirmed) == {"sine", "product"}
        assert min(made.confirmed.values()) >= keep
        assert min(made.calibrated.values()) >= keep
        assert made.cost == sum(
            byte_cost(name, tuple(net.get_parameter(name).shape), width)
            for name, width in made.widths.items()
        )
        costs.append(made.cost)
    assert costs[0] > costs[1] > costs[2]


def test_no_cheaper_assignment_of_the_front_was_passed_over(case: tuple[nn.Module, list[Tensor]]) -> None:
    net, data = case
    made = allocate_bits(
        net, data[:6], loss, keep=0.97, calibration=data[6:9], confirmation=data[9:], metric=r2
    )
    exhaustive = []
    for choice in itertools.product((4, 8, 16), repeat=3):
        widths = dict(zip(made.widths, choice, strict=True))
        shares = retained_shares(r2(net, data[6:9]), r2(rounded(net, widths), data[6:9]))
        if min(shares.values()) >= 0.97:
            shapes = {name: tuple(net.get_parameter(name).shape) for name in widths}
            exhaustive.append(sum(byte_cost(name, shapes[name], width) for name, width in widths.items()))
    assert made.cost == min(exhaustive)


def rounded(net: nn.Module, widths: Mapping[str, int]) -> nn.Module:
    import copy

    from sciml.compress.widths import round_to_width

    made = copy.deepcopy(net)
    for name, width in widths.items():
        made.get_parameter(name).data = round_to_width(name, net.get_parameter(name).detach(), width)
    return made


def test_steps_back_are_noted(case: tuple[nn.Module, list[Tensor]]) -> None:
    net, data = case

    def metric(model: nn.Module, batches: Sequence[Tensor]) -> float:
        change = (model(data[0]) - net(data[0])).abs().mean()  # what quantisation changes
        return 1.0 - (1e-4 if batches[0] is data[9] else 1e-6) * float(change > 1e-2)

    made = allocate_bits(
        net, data[:6], loss, keep=0.99999, calibration=data[6:9], confirmation=data[9:], metric=metric
    )
    assert made.confirmed["score"] >= 0.99999
    assert "steps back" in made.notes[-1]
    assert made.notes[-1] in repr(made)


def test_a_kernel_table_is_the_cost(case: tuple[nn.Module, list[Tensor]]) -> None:
    net, data = case
    table = {16: 9.0, 8: 2.0, 4: 5.0}  # a machine on which 4 bit is slower than 8 bit
    made = allocate_bits(net, data, loss, keep=0.5, cost=lambda name, shape, width: table[width] * shape[0])
    assert set(made.widths.values()) == {8}


def test_apply_gives_the_network_that_is_evaluated(case: tuple[nn.Module, list[Tensor]]) -> None:
    net, data = case
    given: list[dict[str, int]] = []

    def apply(model: nn.Module, widths: Mapping[str, int]) -> nn.Module:
        given.append(dict(widths))
        return model  # as if quantisation did nothing

    made = allocate_bits(net, data, loss, keep=0.99, apply=apply)
    assert set(made.widths.values()) == {4}
    assert all(set(widths) == {"0.weight", "2.weight", "4.weight"} for widths in given)
    assert made.evaluations == len(given)


@pytest.mark.parametrize("method", ["trace", "diagonal", "measured", "measured pairs"])
def test_baselines_meet_the_floor_too(method: Any, case: tuple[nn.Module, list[Tensor]]) -> None:
    net, data = case
    made = allocate_bits(net, data, loss, keep=0.9, method=method)
    assert made.method == method
    assert min(made.confirmed.values()) >= 0.9


def test_measured_losses_where_the_expansion_does_not_hold() -> None:
    torch.manual_seed(7)
    net = nn.Sequential(nn.Linear(6, 24), nn.Tanh(), nn.Linear(24, 24), nn.Tanh(), nn.Linear(24, 2))
    for layer in (net[0], net[2]):
        layer.weight.data *= 12.0  # saturated: errors of 2 bit are far outside of the quadratic range
    data = [torch.randn(64, 6) for _ in range(8)]
    targets = {id(batch): net(batch).detach() for batch in data}

    def distance(model: nn.Module, batch: Tensor) -> Tensor:
        return (model(batch) - targets[id(batch)]).square().mean()

    with pytest.warns(UserWarning, match="second-order expansion"):
        made = allocate_bits(net, data, distance, (2, 8, 16), 0.5, metric=lambda model, batches: 1.0)
    assert made.method == "measured pairs"
    assert "losses of pairs of tensors were measured" in made.notes[0]


def test_retained_shares_of_scores_that_are_not_positive_or_not_finite() -> None:
    nan = float("nan")
    before = {"negative": -2.0, "positive": 4.0, "constant": nan, "lost": 0.5}
    after = {"negative": -2.2, "positive": 3.0, "constant": nan, "lost": nan}
    made = retained_shares(before, after)
    assert made == {"negative": pytest.approx(0.9), "positive": 0.75, "lost": -np.inf}
    with pytest.raises(InputError, match="no score of the network is finite"):
        retained_shares({"constant": nan}, {})


@pytest.mark.parametrize("shape", [(128, 64), (7, 130), (5, 3, 3, 3), (40,)])
def test_bytes_are_those_of_the_file(shape: tuple[int, ...]) -> None:
    weight = np.random.default_rng(3).uniform(0.5, 1.0, shape).astype(np.float32)
    for width, name in ((4, "int4"), (8, "int8"), (16, "bfloat16")):
        assert byte_cost("w", shape, width) == pytest.approx(stored_bytes({"w": weight}, {"w": name}), abs=8)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"keep": 1.0}, r"keep=1\.0"),
        ({"metric": unchanged}, r"all tensors at 16 bit the network retains 0\.900000 of score"),
        ({"method": "hessian"}, "method='hessian'"),
        ({"calibration": [torch.zeros(2, 6)]}, "confirmation data are missing"),
        ({"data": [torch.zeros(2, 6)]}, "1 batches cannot be split"),
        ({"cost": lambda name, shape, width: float("nan")}, "give a finite number"),
        ({"metric": lambda model, batches: {}}, "the metric returns no scores"),
    ],
)
def test_bad_input(change: dict[str, Any], message: str, case: tuple[nn.Module, list[Tensor]]) -> None:
    given: dict[str, Any] = {"data": case[1], "loss": loss, **change}
    with warnings.catch_warnings(), pytest.raises(InputError, match=message):
        allocate_bits(case[0], **given)


def test_a_table_of_times_is_the_cost_and_bytes_decide_between_equal_times() -> None:
    from sciml.compress.costs import CostTable
    from sciml.nn import LSTM

    torch.manual_seed(31)
    lstm = LSTM(3, 4, batch_first=True)
    batches = [torch.randn(6, 5, 3) for _ in range(4)]

    def power(model: nn.Module, batch: Tensor) -> Tensor:
        return (model(batch)[0] - 0.1).square().mean()

    times = {("int4", 16, 3): 2.0, ("int8", 16, 3): 1.0, ("int4", 16, 4): 1.0, ("int8", 16, 4): 1.0}
    table = CostTable("avx2", 5, 64, times)
    made = allocate_bits(lstm, batches, power, (4, 8), 0.5, cost=table)
    assert dict(made.widths) == {"weight_ih_l0": 8, "weight_hh_l0": 4}
    assert made.cost == pytest.approx(2.0, abs=1e-6)
    linear = nn.Sequential(nn.Linear(3, 2))
    with pytest.raises(InputError, match="no matrix that the kernels multiply"):
        allocate_bits(linear, batches, lambda model, batch: model(batch).square().mean(), cost=table)
    with pytest.raises(InputError, match="cost='time'"):
        allocate_bits(lstm, batches, power, cost="time")  # type: ignore[arg-type]
