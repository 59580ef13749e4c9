"""Evaluations of operators: exact scores, approximate scores, and reasons for missing scores."""

import dataclasses
import json

import numpy as np
import pytest
import torch
import xarray as xr

from sciml.errors import InputError
from sciml.operators import losses
from sciml.pde import generate
from sciml.pde.elliptic import Darcy, discretize
from sciml.pde.grid import Boundary, Grid
from sciml.verify.operator.evaluate import assess, problems_of
from sciml.verify.operator.fields import evaluate
from sciml.verify.operator.figures import pictures
from sciml.verify.operator.norms import field_errors, system_errors

N = 15


@dataclasses.dataclass
class Cycles:
    """An "operator" that returns the result of a few multigrid cycles from zero."""

    count: int
    grid: Grid = dataclasses.field(default_factory=lambda: Grid((N, N)))
    inputs: tuple[str, ...] = ("coefficient",)
    target: str = "u"
    steps: bool = False

    def check(self, grid):
        assert grid.centring == "vertex"

    def predict(self, fields, grid):
        from sciml.multigrid import AMG

        solutions = []
        for coefficient in fields["coefficient"].double().numpy():
            system = discretize(Darcy(grid.shape, coefficient))
            hierarchy, u = AMG().init(system), np.zeros(grid.size)
            for _ in range(self.count):
                u += hierarchy.cycle(system.residual(u))
            solutions.append(u.reshape(grid.shape))
        return torch.from_numpy(np.stack(solutions))


@pytest.fixture(scope="module")
def data():
    return generate("darcy-smooth", 5, N, seed=11).compute()


@pytest.fixture(scope="module")
def evaluation(data):
    return assess(Cycles(1), data, model="a cycle", data="flows", multigrid_samples=3, preconditioned=1)


def test_all_scores_are_present_and_json_has_no_nan(evaluation):
    content = json.loads(json.dumps(evaluation.to_json(), allow_nan=False))
    for name in ("relative_l2", "relative_h1", "relative_h1_truncated", "residual"):
        assert 0 < content[name] < 1
        assert content[name] == content["norms"][name]["mean"]
    assert content["model"] == "a cycle"
    assert {"bands", "wavenumber", "error"} <= content["frequency"].keys()
    assert sum(level["share_of_error"] for level in content["levels"]) == pytest.approx(1)
    assert content["time"]["ratio"] > 0
    assert content["definitions"].keys() >= content["norms"].keys()


def test_a_prediction_of_one_cycle_is_the_baseline_of_one_cycle(evaluation):
    computed, same = evaluation.scores["baselines"]["the operator"], evaluation.scores["baselines"]["1 cycle"]
    for name in computed:
        assert computed[name] == pytest.approx(same[name], rel=1e-6), name
    assert set(evaluation.scores["baselines"]["zero"].values()) == {1.0}
    counts = evaluation.scores["iterations"]
    zero, near = (counts[name]["iterations"]["cycles"]["residual"] for name in ("zero", "prediction"))
    assert near == pytest.approx(zero - 1)  # it has done one of them
    assert counts["zero"]["after_cycle"]["relative_energy"] == pytest.approx(
        counts["prediction"]["relative_energy"]
    )


@pytest.mark.parametrize("multigrid_samples", [2, 3, 4])
def test_the_sample_shown_has_the_median_error_of_all_samples(data, multigrid_samples):
    truth = data["u"].values
    prediction = truth * (1 + np.array([0.5, 0.1, 0.4, 0.2, 0.3]))[:, None, None]
    grid = Grid((N, N))
    evaluation = evaluate(
        prediction,
        truth,
        grid,
        systems=problems_of(data, grid, truth, 5),
        multigrid_samples=multigrid_samples,
    )
    assert evaluation.fields.attrs["sample"] == 4
    assert evaluation.fields.attrs["relative_l2"] == pytest.approx(0.3)
    assert (
        evaluation.fields.attrs["lower"]
        <= evaluation.fields.attrs["error"]
        <= evaluation.fields.attrs["upper"]
    )
    assert "0.3, is the median of 5 samples" in next(pictures(evaluation)).caption


def test_bounds_hold(evaluation):
    sharp = evaluation.scores["certified"]["effectivity"]
    assert sharp["violated"] == 0
    assert 1 <= sharp["upper"]["least"] <= sharp["upper"]["greatest"] <= 1.3
    assert 0.8 < sharp["lower"]["least"] <= sharp["lower"]["greatest"] <= 1
    cycles = evaluation.scores["certified"]["cycles"]
    assert cycles["prediction"] == pytest.approx(cycles["zero"] - 1)
    fields = evaluation.fields
    assert fields.attrs["lower"] <= fields.attrs["error"] <= fields.attrs["upper"]


def test_the_two_energies_agree(evaluation):
    norms = evaluation.scores["norms"]
    assert norms["relative_energy"]["mean"] == pytest.approx(evaluation.scores["residual_energy"], rel=0.25)
    assert evaluation.scores["truth_from_discrete_solution"] < 1e-6


def test_an_evaluation_prints(evaluation):
    text = str(evaluation)
    for word in ("a cycle on flows", "by frequency", "multigrid level", "As an initial guess", "Wall-clock"):
        assert word in text
    assert max(map(len, text.splitlines())) < 220
    assert "<table" in evaluation._repr_html_()


def test_norms_are_those_of_the_losses():
    rng = np.random.default_rng(13)
    grid = Grid((9, 12), "cell", Boundary(north="neumann"), (1.0, 2.0))
    true, predicted = rng.normal(size=(2, 3, 9, 12))
    errors = field_errors(predicted, true, grid)
    pair = torch.from_numpy(predicted), torch.from_numpy(true)
    assert errors["relative_h1"].mean() == pytest.approx(float(losses.relative_h1(*pair, grid)))
    assert errors["relative_h1_truncated"].mean() == pytest.approx(float(losses.relative_h1_truncated(*pair)))
    first = np.linalg.norm(predicted[0] - true[0]) / np.linalg.norm(true[0])
    assert errors["relative_l2"][0] == pytest.approx(first)


def test_errors_of_a_system():
    problem = Darcy(N, 2.0)
    system = discretize(problem)
    exact = np.linalg.solve(system.matrix.toarray(), system.rhs)
    evaluation = system_errors(system, 1.5 * exact, exact)
    assert evaluation == pytest.approx({"residual": 0.5, "relative_energy": 0.5})


def test_own_data_have_only_the_defined_scores(data):
    own = data.drop_attrs().assign(u=data["u"] * 3 + 1e-3)
    evaluation = assess(Cycles(1), own, multigrid_samples=2)
    assert evaluation.scores["residual"] is None
    assert "not the solutions" in next(iter(evaluation.scores["absent"].values()))
    assert evaluation.scores["relative_l2"] > 0.5
    assert "iterations" not in evaluation.scores
    assert {"zero", "mean of the truths"} < evaluation.scores["baselines"].keys()
    assert "missing: " in str(evaluation)


def test_without_attributes_the_grid_is_that_of_the_operator(data):
    plain = xr.Dataset({name: (variable.dims, variable.values) for name, variable in data.data_vars.items()})
    evaluation = assess(Cycles(2), plain, samples=2, multigrid_samples=1)
    assert evaluation.scores["samples"] == 2
    assert evaluation.scores["grid"] == Grid((N, N)).to_json()
    assert evaluation.scores["residual"] < 0.1  # the data are of Darcy flow with a source of 1


def test_another_number_of_dims_or_a_step_is_an_error(data):
    with pytest.raises(InputError, match="steps in time, the data is not"):
        assess(dataclasses.replace(Cycles(1), steps=True), data)


@dataclasses.dataclass
class Halving:
    """Halves a field in each step."""

    grid: Grid = dataclasses.field(default_factory=lambda: Grid((N, N), boundary=Boundary.all("periodic")))
    inputs: tuple[str, ...] = ("vorticity",)
    target: str = "vorticity"
    steps: bool = True

    def check(self, grid):
        pass

    def predict(self, fields, grid):
        return fields["vorticity"] / 2


def test_rollouts():
    first = np.random.default_rng(19).normal(size=(3, 1, N, N))
    truth = first * 0.4 ** np.arange(4)[:, None, None]
    grid = json.dumps(Halving().grid.to_json())
    data = xr.Dataset(
        {"vorticity": (("sample", "time", "y", "x"), truth)}, attrs={"target": "vorticity", "grid": grid}
    )
    evaluation = assess(Halving(), data)
    expected = [(0.5**k - 0.4**k) / 0.4**k for k in (1, 2, 3)]
    assert evaluation.scores["rollout"]["relative_l2"] == pytest.approx(expected, rel=1e-5)
    assert evaluation.scores["relative_l2"] == pytest.approx(expected[0])
    assert evaluation.scores["samples"] == 9
    assert "step in time" in next(iter(evaluation.scores["absent"].values()))
    assert "Rollout" in str(evaluation)


def test_problems_without_an_energy_norm_have_a_reason():
    from sciml.pde.helmholtz import Helmholtz

    systems = [discretize(Helmholtz(17, omega=200, seed=s)) for s in (3, 5)]
    truth = np.stack([np.linalg.solve(s.matrix.toarray(), s.rhs).reshape(s.grid.shape) for s in systems])
    evaluation = evaluate(1.1 * truth, truth, systems[0].grid, systems=systems)
    assert evaluation.scores["residual"] == pytest.approx(0.1)
    assert "indefinite" in next(iter(evaluation.scores["absent"].values()))
    assert "relative_energy" not in evaluation.scores["norms"]


def test_problems_are_checked_against_the_truth(data):
    truth = data["u"].values.astype(float)
    grid = Grid((N, N))
    assert len(problems_of(data, grid, truth, 2)) == 2
    assert "apart" in problems_of(data, grid, 2 * truth, 2)
    unknown = data.rename(coefficient="weather").assign_attrs(inputs="weather", family="weather")
    del unknown.attrs["family_parameters"]
    assert "cannot be inferred" in problems_of(unknown, grid, truth, 2)


def test_fields_that_cannot_be_compared():
    grid, u = Grid((7, 7)), np.ones((2, 7, 7))
    with pytest.raises(InputError, match="give both"):
        evaluate(u[:1], u, grid)
    with pytest.raises(InputError, match="zero everywhere"):
        evaluate(u, 0 * u, grid)
    with pytest.raises(InputError, match="prediction of 1 samples is not finite"):
        evaluate(np.where(np.arange(2)[:, None, None] == 1, np.nan, u), u, grid)
