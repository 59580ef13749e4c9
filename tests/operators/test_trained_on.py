"""The training data of an operator: stored, printed, and compared with problems and datasets."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr

from sciml.errors import InputError
from sciml.operators import training
from sciml.operators.field_scaling import FieldScaling
from sciml.operators.fno import FNO
from sciml.operators.mgno import MgNO
from sciml.operators.neural import Neural
from sciml.operators.published.benchmarks import PublishedArchitecture
from sciml.operators.published.network import PublishedMgNO
from sciml.operators.rollout import Stepper
from sciml.operators.trained_operator import TrainedOperator
from sciml.pde import generate
from sciml.pde.burgers import Burgers
from sciml.pde.direct import Direct
from sciml.pde.elliptic import Darcy
from sciml.pde.families import FAMILIES
from sciml.pde.grid import Boundary, Grid
from sciml.pde.helmholtz import Helmholtz
from sciml.pde.navier_stokes import NavierStokes
from sciml.pde.random_fields import TwoPhase
from sciml.solve import Result, solve
from sciml.train.progress import Quiet

FIT = {"epochs": 1, "batch_size": 8, "learning_rate": 5e-3, "seed": 17, "threads": 1, "device": "cpu"}
KNOWN = {
    "family": "darcy-smooth",
    "problem": FAMILIES["darcy-smooth"].parameters(),
    "ranges": {"coefficient": [3.0, 12.0]},
}
FIELDS: dict[str, Any] = {
    "MgNO": lambda: MgNO(channels=2, layers=1, levels=2),
    "FNO": lambda: FNO(modes=2, width=2, layers=1, projection=2),
    "PublishedMgNO": lambda: PublishedMgNO(PublishedArchitecture(layers=1, channels=2)),
}


def operator(network: torch.nn.Module, grid: Grid, about: dict[str, Any] | None = None) -> TrainedOperator:
    inputs = ("coefficient",)
    return TrainedOperator(
        network, FieldScaling.raw(inputs), inputs, "u", grid, KNOWN if about is None else about
    )


def train(data: xr.Dataset, output: Path, **more: Any) -> TrainedOperator:
    return training.train(data, output, network={"class": "Small"}, fit={**FIT, **more}, progress=Quiet())


@pytest.mark.parametrize("name", FIELDS)
def test_networks_of_fields_need_the_trained_rectangle_and_sides(name: str) -> None:
    torch.manual_seed(3)
    mine = operator(FIELDS[name](), Grid((32, 32)))
    neural = Neural(mine)
    assert solve(Darcy(32, seed=9), neural).result is Result.SUCCESS
    for lengths, match in [
        ((0.2, 0.2), r"rectangle of 1 x 1 .*0\.2 x 0\.2.*multiply u by 0\.04"),
        ((1.0, 2.0), r"1 x 2 \(y, x\).*train it on such a rectangle"),
        ((1.0, 1.001), "train it on such a rectangle"),
    ]:
        with pytest.raises(InputError, match=match):
            solve(Darcy(32, lengths=lengths), neural)
        with pytest.raises(InputError, match=match):
            mine.predict({"coefficient": torch.full((1, 32, 32), 4.0)}, Grid((32, 32), lengths=lengths))
    for problem in (Darcy(32, centring="cell"), Darcy(32, boundary=Boundary(north="neumann"))):
        with pytest.raises(InputError, match="trained on a vertex-centred grid with dirichlet sides"):
            solve(problem, neural)


def test_the_remedy_for_another_square_is_exact() -> None:
    value, other = Darcy(31, seed=11), Darcy(31, lengths=(0.2, 0.2))
    same = replace(other, coefficient=value.coefficient_field())
    assert np.allclose(solve(same, Direct()).u, 0.04 * solve(value, Direct()).u, rtol=1e-10)


def test_the_record_is_saved_printed_and_read_again(darcy: xr.Dataset, tmp_path: Path) -> None:
    path = tmp_path / "m.sciml"
    train(darcy, path)
    again = TrainedOperator.load(path)
    low, high = again.about["target_range"]
    assert low == pytest.approx(float(darcy["u"].min()))
    assert high == pytest.approx(float(darcy["u"].max()))
    shown = str(again)
    for part in (
        "trained on",
        "15 x 15 vertex-centred, dirichlet, 1 x 1 (y, x)",
        "range of coefficient",
        "3 to 12",
        "source",
        "boundary value",
        "finer ones by averages and interpolation, measured up to 4 times",
    ):
        assert part in shown
        assert part.split(",")[0] in again._repr_html_()


def test_a_checkpoint_of_an_earlier_version_shows_unknown_entries() -> None:
    neural = Neural.load("darcy-any")
    assert "target_range" not in neural.operator.about
    assert "answered directly" in str(neural)
    old = operator(MgNO(channels=2, layers=1, levels=2), Grid((15, 15)), {"family": ""})
    assert "not recorded" in str(old)
    solution = solve(Darcy(15), Neural(old))
    assert solution.result is Result.NOVEL
    assert solution.notes == (
        "the checkpoint does not record the range of coefficient",
        "the equation, right-hand side and boundary data of the training are not recorded (own data): whether they "
        "are those of this Darcy is unknown",
    )


def test_settings_that_are_no_input_are_compared() -> None:
    neural = Neural(operator(MgNO(channels=2, layers=1, levels=2), Grid((15, 15))))
    assert solve(Darcy(15, source=np.ones((15, 15))), neural).result is Result.SUCCESS
    for problem, match in [
        (Darcy(15, source=3.0), r"source=1\.0, the problem has 3\.0.*solve it with source=1 and scale u"),
        (Darcy(15, source=lambda x, y: x), "source=1.0, the problem has"),
        (Darcy(15, source=2 * np.ones((15, 15))), "an array or object"),
        (Darcy(15, flux=1.0), "flux"),
    ]:
        with pytest.raises(InputError, match=match) as caught:
            solve(problem, neural)
        assert len(str(caught.value)) < 400
    waves = {
        "family": "helmholtz",
        "problem": FAMILIES["helmholtz"].parameters(),
        "ranges": {"wave_speed": [10.0, 40.0]},
    }
    mine = TrainedOperator(
        FIELDS["FNO"](),
        FieldScaling.raw(("wave_speed",)),
        ("wave_speed",),
        "u",
        Grid((41, 41), boundary=Boundary.all("neumann")),
        waves,
    )
    with pytest.raises(InputError, match=r"omega=1000\.0, the problem has 300\.0"):
        solve(Helmholtz(41, omega=300.0), Neural(mine))
    mine = replace(mine, about={**waves, "problem": {**waves["problem"], "omega": 300.0}})  # type: ignore[dict-item]
    solution = solve(Helmholtz(61, omega=300.0), Neural(mine))
    assert solution.result is Result.NOVEL
    assert any("Helmholtz at two resolutions differ" in note for note in solution.notes)


def test_a_scaled_coefficient_is_novel_by_how_far_it_is_outside(darcy: xr.Dataset) -> None:
    neural = Neural(operator(MgNO(channels=2, layers=1, levels=2), Grid((15, 15))))
    solution = solve(Darcy(15, TwoPhase(30, 120), seed=4), neural)
    assert solution.stats["novelty"] == pytest.approx(108 / 9)
    assert solution.notes == ("coefficient is 30 to 120, in the training 3 to 12",)
    assert "coefficient is 30 to 120" in str(solution)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert neural.predict(darcy).attrs["notes"] == ""
    with pytest.warns(UserWarning, match=r"coefficient is 30 to 120"):
        predicted = neural.predict(darcy.assign(coefficient=10 * darcy["coefficient"]))
    assert predicted.attrs["novelty"] == pytest.approx(108 / 9)
    with pytest.warns(UserWarning, match="inputs source, which the operator does not take"):
        neural.predict(
            darcy.assign(source=darcy["coefficient"]).assign_attrs(inputs="coefficient,source", family="")
        )


def test_values_that_are_not_finite_real_numbers_are_an_error(darcy: xr.Dataset) -> None:
    mine = operator(MgNO(channels=2, layers=1, levels=2), Grid((15, 15)))
    fields = torch.full((2, 15, 15), 4.0)
    for value, match in ((float("nan"), "nan"), (float("inf"), "inf")):
        broken = fields.clone()
        broken[1, 2, 3] = value
        with pytest.raises(InputError, match=rf"coefficient is {match} at index \(1, 2, 3\)"):
            mine.predict({"coefficient": broken})
        spoilt = darcy["coefficient"].values.copy()
        spoilt[1, 2, 3] = value
        with pytest.raises(InputError, match=f"coefficient is {match}"):
            Neural(mine).predict(darcy.assign(coefficient=(("sample", "y", "x"), spoilt)))
        with pytest.raises(InputError, match=match):
            solve(Darcy(15, spoilt[1]), Neural(mine))
    for kind in (torch.complex64, torch.int64):
        with pytest.raises(InputError, match=f"coefficient holds {kind}"):
            mine.predict({"coefficient": fields.to(kind)})
    with pytest.raises(InputError, match="give a real number, an array"):
        solve(Darcy(15, np.full((15, 15), 4.0 + 1j)), Neural(mine))
    with pytest.raises(InputError, match="'source' is no input of the operator"):
        mine.predict({"coefficient": fields, "source": fields})


def test_a_rollout_compares_its_start_its_resolution_and_its_line(tmp_path: Path) -> None:
    family = replace(FAMILIES["burgers"], template=Burgers(16, frames=5))
    stepper = Stepper(train(generate(family, 6, 16, seed=7).compute(), tmp_path / "b.sciml"))
    problem = Burgers(16, frames=5, seed=8, initial=np.sin)
    solution = solve(problem, stepper)
    assert (solution.result, solution.stats["novelty"]) == (Result.SUCCESS, 0)
    far = solve(replace(problem, initial=lambda x: 1e3 * np.sin(2 * np.pi * x)), stepper, throw=False)
    assert far.result is Result.NOVEL
    assert far.notes[0].startswith("u is -1000 to 1000, in the training")
    state = stepper.init(problem)
    for other in (Burgers(32, frames=5), Burgers(24, frames=5)):
        with pytest.raises(InputError, match="trained to step 16 points, the problem has"):
            solve(other, stepper, state=state)
    with pytest.raises(InputError, match="Small was trained to step 16 points, the problem has 32"):
        stepper.rollout(torch.zeros(1, 8, 32), 2)
    assert "refused" in str(stepper.operator)
    free = replace(stepper.operator, network=FNO(modes=4, width=2, layers=1, projection=2))
    wider = solve(Burgers(32, frames=5, initial=np.sin), Stepper(free))
    assert wider.result is Result.NOVEL
    assert wider.stats["refinement"] == 2

    class Longer(Burgers):
        def axes(self) -> Any:
            return {"x": 2 * super().axes()["x"]}

    longer = replace(free, about={**free.about, "problem": {}})
    with pytest.raises(InputError, match="length 1, the problem's is length 2"):
        solve(Longer(16, frames=5), Stepper(longer))


def test_a_rollout_in_the_plane_is_of_the_trained_resolution(tmp_path: Path) -> None:
    family = replace(FAMILIES["navier-stokes"], template=NavierStokes(8, frames=2, final_time=2.0), refined=1)
    stepper = Stepper(train(generate(family, 3, 8, seed=7).compute(), tmp_path / "n.sciml"))
    with pytest.raises(InputError, match="trained to step 8 x 8 points, the problem has 16 x 16"):
        solve(NavierStokes(16, frames=2, final_time=2.0), stepper)


@pytest.mark.parametrize("given", ["darcy.sciml", None, 3, MgNO])
def test_an_algorithm_needs_an_operator(given: Any) -> None:
    for kind in (Neural, Stepper):
        with pytest.raises(InputError, match="give a TrainedOperator"):
            kind(given)
