"""Operators at other resolutions than that of the training, compared with sparse LU."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr

from sciml.errors import InputError
from sciml.multigrid.amg import AMG
from sciml.operators import training
from sciml.operators.corrected import Corrected
from sciml.operators.field_scaling import FieldScaling, Standard
from sciml.operators.neural import Neural
from sciml.operators.preconditioning import Preconditioned
from sciml.operators.published.benchmarks import PublishedArchitecture
from sciml.operators.published.network import PublishedMgNO
from sciml.operators.trained_operator import TrainedOperator
from sciml.pde.direct import Direct
from sciml.pde.elliptic import Darcy, Poisson, discretize
from sciml.pde.grid import Boundary, Grid
from sciml.pde.random_fields import TwoPhase
from sciml.solve import Result, solve
from sciml.train.progress import Quiet
from sciml.verify.operator.evaluate import assess
from tests.operators.conftest import dataset

FIT = {"epochs": 8, "batch_size": 8, "learning_rate": 8e-3, "seed": 17, "threads": 1, "device": "cpu"}
NETWORKS: dict[str, dict[str, Any]] = {
    "MgNO": {"class": "MgNO", "layers": 2, "channels": 6, "levels": 3, "grid": None},
    "FNO": {"class": "FNO", "modes": 6, "width": 10, "layers": 2, "projection": 16},
}


def trained(data: xr.Dataset, output: Path, network: str) -> Neural:
    operator = training.train(data, output, network=NETWORKS[network], fit=FIT, progress=Quiet())
    return Neural(operator)


@pytest.fixture(scope="module")
def mgno(darcy: xr.Dataset, tmp_path_factory: pytest.TempPathFactory) -> Neural:
    return trained(darcy, tmp_path_factory.mktemp("mgno") / "m.sciml", "MgNO")


def error(problem: Darcy, neural: Neural) -> float:
    truth = solve(problem, Direct()).u.values
    return float(np.linalg.norm(solve(problem, neural).u.values - truth) / np.linalg.norm(truth))


def test_finer_grids_are_averaged_to_the_trained_grid(mgno: Neural) -> None:
    here = error(Darcy(15, seed=90), mgno)
    assert here < 0.3
    for shape in (31, 63, 21, (31, 15)):  # nested or not, and along one axis alone
        problem = Darcy(shape, seed=90)
        assert error(problem, mgno) < 1.4 * here
        solution = solve(problem, mgno)
        assert solution.result is Result.SUCCESS
        assert "trained at 15 x 15: inputs averaged" in solution.notes[0]
    assert solution.stats["refinement"] == 2
    far = solve(Darcy(127, seed=90), mgno)
    assert far.result is Result.NOVEL
    assert "8 times finer" in far.notes[1]
    assert error(Darcy(127, seed=90), mgno) < 1.4 * here


def test_precision_and_a_state_of_another_problem_change_nothing(mgno: Neural) -> None:
    problem = Darcy(31, seed=91)
    exact = solve(problem, replace(mgno, precision="float64")).u.values
    for precision, within in (("float32", 1e-5), ("bfloat16", 5e-2)):
        other = solve(problem, replace(mgno, precision=precision)).u.values  # type: ignore[arg-type]
        assert np.linalg.norm(other - exact) < within * np.linalg.norm(exact)
    state = mgno.init(Darcy(15))
    assert np.array_equal(solve(problem, mgno, state=state).u, solve(problem, mgno).u)
    with pytest.raises(InputError, match="rectangle of 1 x 1"):
        solve(Darcy(15, lengths=(2.0, 2.0)), mgno, state=state)
    with pytest.raises(InputError, match="state=Hierarchy is not of this operator"):
        solve(problem, mgno, state=AMG().init(problem))  # type: ignore[arg-type]


def test_coarser_grids_are_an_error_and_subgrid_contrast_is_novel(mgno: Neural) -> None:
    for shape in (11, (31, 9)):
        with pytest.raises(InputError, match=r"trained at 15 x 15.*coarser"):
            solve(Darcy(shape), mgno)
    board = 3.0 + 9.0 * (np.add.outer(np.arange(31), np.arange(31)) % 2)
    solution = solve(Darcy(31, board), mgno)
    assert solution.result is Result.NOVEL
    assert "varies within the cells" in solution.notes[1]
    data = dataset(Grid((31, 31)), 2)
    with pytest.warns(UserWarning, match="coefficient varies within the cells of the trained grid"):
        mgno.predict(data.assign(coefficient=data["coefficient"] * 0 + board))


def test_a_correction_starts_from_the_prediction(mgno: Neural) -> None:
    problem = Darcy(63, TwoPhase(3, 12), seed=92)
    plain = solve(problem, Corrected(None, rtol=1e-2))
    solution = solve(problem, Corrected(mgno, rtol=1e-2))
    truth = solve(problem, Direct()).u.values.ravel()
    assert solution.stats["started_from_zero"] == 0
    assert solution.stats["smoothed_error"] < 0.5
    assert solution.stats["cycles"] <= plain.stats["cycles"]
    assert solution.notes[0].startswith("prediction: 63 x 63 where it was trained at 15 x 15")
    apart = solution.u.values.ravel() - truth
    assert solution.error_bound is not None
    assert discretize(problem).energy(apart) <= solution.error_bound


def test_data_of_another_resolution_are_predicted_and_verified_alike(mgno: Neural) -> None:
    finer = dataset(Grid((31, 31)), 3, seed=70)
    predicted = mgno.predict(finer)
    value = solve(Darcy(31, seed=71), mgno).u
    assert np.allclose(predicted[1], value, rtol=1e-4)
    assert "inputs averaged" in predicted.attrs["notes"]
    result = assess(mgno.operator, finer, multigrid_samples=2)
    apart = np.linalg.norm(predicted - finer["u"], axis=(1, 2)) / np.linalg.norm(finer["u"], axis=(1, 2))
    assert result.scores["relative_l2"] == pytest.approx(float(apart.mean()), rel=1e-4)
    assert result.scores["refinement"] == 2
    assert "31 x 31 where it was trained at 15 x 15" in str(result)
    with pytest.raises(InputError, match="coarser"):
        assess(mgno.operator, dataset(Grid((7, 7)), 2), multigrid_samples=2)


def test_networks_of_any_resolution_are_evaluated_directly(darcy: xr.Dataset, tmp_path: Path) -> None:
    fno = trained(darcy, tmp_path / "f.sciml", "FNO")
    here = error(Darcy(15, seed=90), fno)
    solution = solve(Darcy(31, seed=90), fno)
    assert (solution.result, solution.stats["refinement"]) == (Result.SUCCESS, 2)
    assert "answered directly" in solution.notes[0]
    assert error(Darcy(31, seed=90), fno) < 2 * here
    for shape, match in ((127, "8 times finer"), (9, "coarser")):
        other = solve(Darcy(shape, seed=90), fno)
        assert other.result is Result.NOVEL
        assert match in other.notes[1]


def test_the_learned_cycle_takes_any_resolution() -> None:
    neural = Neural.load("darcy-any")
    for shape in (15, 127):
        solution = solve(Darcy(shape, seed=5), neural)
        assert solution.result is Result.SUCCESS
        assert error(Darcy(shape, seed=5), neural) < 0.01
    for problem, match in [
        (Darcy(63, lengths=(1.0, 5.0)), "grid spacings"),
        (Darcy(63, boundary=Boundary(west="neumann")), "west neumann"),
        (Darcy(64, centring="cell"), "cell-centred"),
        (Darcy(63, TwoPhase(1, 1e10)), "contrast of the coefficient is 1e"),
    ]:
        solution = solve(problem, neural)
        assert solution.result is Result.NOVEL
        assert any(match in note for note in solution.notes)
    same = Darcy(63, seed=5)
    scaled = replace(same, lengths=(0.2, 0.2), coefficient=same.coefficient_field())
    assert np.allclose(solve(scaled, neural).u, 0.04 * solve(same, neural).u, rtol=1e-4)
    assert solve(scaled, neural).result is Result.SUCCESS


def test_networks_of_one_grid_predict_on_finer_grids() -> None:
    shape = PublishedArchitecture(layers=1, channels=3, norm="layer", size=32)
    value = torch.tensor(0.0), torch.tensor(1.0)
    point = Standard("pointwise", torch.ones(32, 32), 2 * torch.ones(32, 32))
    operator = TrainedOperator(
        PublishedMgNO(shape),
        FieldScaling({"coefficient": point}, Standard("raw", *value)),
        ("coefficient",),
        "u",
        Grid((32, 32), "cell"),
        {},
    )
    assert operator.predict({"coefficient": torch.ones(2, 64, 96)}).shape == (2, 64, 96)


def test_a_preconditioner_of_a_coarser_grid_converges() -> None:
    class Inverse(torch.nn.Module):
        """Solves Poisson's problem exactly on the trained grid, in the units of the right-hand side."""

        def __init__(self, grid: Grid) -> None:
            super().__init__()
            system = discretize(Poisson(grid.shape))
            dense = np.linalg.inv(system.matrix.toarray()) * grid.volumes().ravel()
            self.weight = torch.nn.Parameter(torch.from_numpy(dense))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return (x.flatten(2) @ self.weight.to(x).T).reshape(x.shape)

    grid = Grid((15, 15))
    about = {"family": "poisson", "problem": {"problem": "Poisson", "boundary_value": 0.0, "flux": 0.0}}
    operator = TrainedOperator(Inverse(grid), FieldScaling.raw(("source",)), ("source",), "u", grid, about)
    neural = Neural(operator, precision="float64")
    problem = Poisson(31, lambda x, y: np.sin(3 * np.pi * x) * y)
    solution = solve(problem, Preconditioned(neural, rtol=1e-9, max_iterations=60))
    assert solution.result is Result.SUCCESS
    assert solution.stats["iterations"] < 30
    truth = solve(problem, Direct()).u.values
    assert np.allclose(solution.u, truth, rtol=0, atol=1e-7 * np.abs(truth).max())
