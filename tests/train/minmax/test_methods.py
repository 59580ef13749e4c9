"""Iterates of the min-max methods equal those of the reference, in one process and in several."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sciml.errors import InputError
from sciml.solve import Result, init, solve
from sciml.train.minmax import (
    MASHA1,
    MASHA2,
    Draws,
    Extragradient,
    Identity,
    NaturalRounding,
    RandK,
    TopK,
    VariationalInequality,
    bilinear_game,
    box,
)
from sciml.train.minmax.draws import SERVER
from sciml.train.minmax.games import BilinearOperator

ORACLE = Path(__file__).parents[2] / "oracles" / "own_masha.npz"
STEPS = 60


@pytest.fixture(scope="module")
def oracle() -> dict[str, Any]:
    with np.load(ORACLE) as file:
        return {name: torch.from_numpy(np.array(file[name])) for name in file.files}


@dataclass(frozen=True)
class GivenDraws(Draws):
    """The random numbers of the reference."""

    given: dict[str, Any] = field(default_factory=dict)

    def indices(self, iteration: int, sender: int, size: int, count: int) -> torch.Tensor:
        rows = self.given["idx_srv"] if sender == SERVER else self.given["idx_dev"][:, sender]
        return rows[iteration].long()

    def coin(self, iteration: int) -> float:
        return float(self.given["uniforms"][iteration])


def game(oracle: dict[str, Any], **settings: Any) -> VariationalInequality:
    parts = zip(oracle["A"], oracle["a"], oracle["b"], strict=True)
    operators = [BilinearOperator(*each, float(oracle["lam"])) for each in parts]
    constants = [operator.lipschitz for operator in operators]
    return VariationalInequality(operators, oracle["z0"], lipschitz=constants, **settings)


K = RandK(0.25)
METHODS = {
    "masha1_bidirectional": (MASHA1, {"compressor": K, "server": K}),
    "masha1_uplink_only": (MASHA1, {"compressor": K}),
    "masha1_uplink_w_is_old_z": (MASHA1, {"compressor": K, "reference": "old"}),
    "masha1_box": (MASHA1, {"compressor": K}),
    "masha2_topk": (MASHA2, {"compressor": TopK(0.25), "server": TopK(0.25), "tau": 0.75}),
    "eg": (Extragradient, {}),
    "naive_randk": (Extragradient, {"compressor": K}),
}


@pytest.mark.parametrize("name", METHODS)
def test_the_iterates_are_those_of_the_reference(oracle: dict[str, Any], name: str) -> None:
    method, settings = METHODS[name]
    draws = GivenDraws(given=oracle)
    problem = game(oracle, proximal=box(-0.3, 0.3) if name == "masha1_box" else None)
    algorithm = method(**settings, step=float(oracle[f"{name}/gamma"]), max_iterations=1, draws=draws)
    state = init(problem, algorithm)
    for step in range(STEPS):
        state = solve(problem, algorithm, state=state, throw=False).state
        torch.testing.assert_close(state.z, oracle[f"{name}/z"][step + 1], rtol=0, atol=1e-10)
        if f"{name}/w" in oracle:
            torch.testing.assert_close(state.reference, oracle[f"{name}/w"][step + 1], rtol=0, atol=1e-10)
        if name == "masha2_topk":
            errors = torch.stack([state.errors[device] for device in range(4)])
            torch.testing.assert_close(errors, oracle[f"{name}/e_dev"][step + 1], rtol=0, atol=1e-10)
            torch.testing.assert_close(
                state.server_error, oracle[f"{name}/e_srv"][step + 1], rtol=0, atol=1e-10
            )


@pytest.mark.parametrize("name", ["masha1_uplink_only"])
def test_the_bytes_are_those_of_the_numbers_that_the_reference_sends(
    oracle: dict[str, Any], name: str
) -> None:
    method, settings = METHODS[name]
    problem, draws = game(oracle), GivenDraws(given=oracle)
    algorithm = method(
        **settings, step=float(oracle[f"{name}/gamma"]), max_iterations=3000, rtol=0.0, draws=draws
    )
    stats = solve(problem, algorithm, throw=False).stats
    assert stats["bytes_up"] == 8 * len(problem.operators) * int(
        oracle[f"{name}/floats_up_per_device_3000it"]
    )
    assert stats["bytes_down"] == 8 * int(oracle[f"{name}/floats_down_3000it"])


@pytest.mark.parametrize("name", ["masha1_bidirectional", "masha1_uplink_only"])
def test_the_default_step_is_twice_the_published_one(oracle: dict[str, Any], name: str) -> None:
    method, settings = METHODS[name]
    problem, algorithm = game(oracle), method(**settings)
    assert 1 - algorithm.refresh(problem.size) == float(oracle[f"{name}/tau"])
    step = algorithm._step(problem, algorithm._channels(problem)[0])
    assert step == pytest.approx(2 * float(oracle[f"{name}/gamma"]), rel=1e-12)


@pytest.mark.parametrize(
    "algorithm",
    [
        MASHA1(RandK(0.25), payload=torch.float32),
        MASHA1(NaturalRounding()),
        MASHA1(RandK(0.25), participants=2),
        MASHA2(step=0.1),
        MASHA2(step=0.1, participants=2),
        Extragradient(),
    ],
    ids=["float32", "natural", "participants", "topk", "topk-participants", "extragradient"],
)
def test_the_known_solution_is_reached(algorithm: Any) -> None:
    problem = bilinear_game(4, size=10, strength=0.2, seed=11)
    solution = solve(problem, algorithm)
    assert solution.result is Result.SUCCESS
    assert (solution.z - problem.answer).norm() <= 1e-6 * problem.answer.norm()


def test_compression_without_a_reference_point_stalls() -> None:
    problem = bilinear_game(4, size=10, strength=0.2, seed=11)
    solution = solve(problem, Extragradient(0.1, TopK(0.3), max_iterations=600), throw=False)
    assert solution.result is Result.MAX_ITERATIONS
    assert min(record.error for record in solution.history[-100:]) > 1e-2


def test_a_continued_run_equals_an_uninterrupted_one() -> None:
    problem = bilinear_game(3, size=10, seed=11)
    whole = solve(problem, MASHA1(K, max_iterations=40, rtol=0.0), throw=False)
    half = MASHA1(K, max_iterations=20, rtol=0.0)
    parts = solve(problem, half, state=solve(problem, half, throw=False).state, throw=False)
    assert torch.equal(whole.z, parts.z) and whole.stats["bytes_up"] == parts.stats["bytes_up"]


class Terms:
    """Mean of bilinear operators."""

    def __init__(self, operators: list[Any]) -> None:
        self.operators, self.terms = operators, len(operators)

    def __call__(self, z: torch.Tensor) -> torch.Tensor:
        return self.sample(z, torch.arange(self.terms))

    def sample(self, z: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
        return torch.stack([self.operators[int(number)](z) for number in chosen]).mean(0)


def test_a_stochastic_method_reaches_the_solution() -> None:
    single = bilinear_game(6, size=8, strength=0.3, seed=13)
    operators = [Terms(list(single.operators[:3])), Terms(list(single.operators[3:]))]
    largest = [max(single.lipschitz[:3]), max(single.lipschitz[3:])]
    problem = VariationalInequality(operators, single.start, lipschitz=largest, answer=single.answer)
    assert solve(problem, MASHA1(K, batch=1)).result is Result.SUCCESS


def test_a_divergent_step_is_reported() -> None:
    solution = solve(bilinear_game(2, size=5), MASHA2(step=1e6), throw=False)
    assert solution.result is Result.NOT_FINITE


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RandK(0.0), r"RandK\(share=0.0\): give a share above 0"),
        (lambda: TopK(1.5), "at most 1, such as 0.05"),
        (lambda: MASHA1(TopK(0.5)), "which is biased: give RandK or NaturalRounding, or use MASHA2"),
        (lambda: MASHA1(tau=1.0), r"MASHA1\(tau=1.0\): give a number from 0 to below 1"),
        (lambda: init(bilinear_game(2), MASHA2()), r"MASHA2\(\) needs a step"),
        (lambda: init(bilinear_game(2), MASHA1(participants=3)), "participants=3 of 2 devices"),
        (lambda: init(bilinear_game(2), MASHA1(batch=3)), "the operators are no sums of terms"),
        (
            lambda: init(
                VariationalInequality([lambda z: z], torch.ones(2), proximal=box(0, 1)), MASHA2(step=0.1)
            ),
            "MASHA2 has no proximal operator: use MASHA1",
        ),
        (
            lambda: init(VariationalInequality([lambda z: z], torch.ones(2)), MASHA1()),
            "0 Lipschitz constants for 1 devices",
        ),
        (
            lambda: init(VariationalInequality([lambda z: z[:1]], torch.ones(2), lipschitz=(1.0,)), MASHA1()),
            r"operator 0 returns \(1,\) for z of \(2,\)",
        ),
    ],
)
def test_bad_settings_are_clear_errors(make: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()


@pytest.mark.parametrize("compressor", [Identity(), RandK(0.3), NaturalRounding()])
def test_the_mean_of_the_messages_is_the_vector(compressor: Any) -> None:
    from sciml.train.minmax.compressors import pack, unpack
    from sciml.train.minmax.draws import Draw

    vector = torch.randn(20, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    layout = compressor.layout(20, torch.float64)
    made = []
    for number in range(2000):
        draw = Draw(Draws(5), number, 2)
        buffer = pack(compressor.compress(vector, draw))
        assert len(buffer) == sum(count * kind.itemsize for count, kind in layout)
        made.append(compressor.expand(unpack(buffer, layout), 20, draw).double())
    values = torch.stack(made)
    assert values.square().sum(1).mean() <= 1.05 * compressor.variance(20) * vector.square().sum()
    error = (values.mean(0) - vector).abs()
    assert (error <= 4.5 * values.std(0) / 2000**0.5 + 1e-12).all()


def test_the_largest_components_are_sent() -> None:
    from sciml.train.minmax.draws import Draw

    vector, draw = torch.tensor([0.1, -5.0, 2.0, 0.0]), Draw(Draws(), 0, 0)
    message = TopK(0.5).compress(vector, draw)
    assert TopK(0.5).expand(message, 4, draw).tolist() == [0.0, -5.0, 2.0, 0.0]
