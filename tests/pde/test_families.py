"""Families: published parameters, fields at several resolutions, and storage as JSON."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from sciml.errors import InputError, SchemaError
from sciml.pde import FAMILIES, Burgers, Darcy, Family, Grid, NavierStokes, TwoPhase
from sciml.pde.families import family_named


@pytest.mark.parametrize(
    ("name", "low", "high", "tau"), [("darcy-smooth", 3, 12, 3.0), ("darcy-rough", 2, 12, 20**0.5)]
)
def test_parameters_of_the_published_two_phase_families(
    name: str, low: float, high: float, tau: float
) -> None:
    problem = FAMILIES[name].problem(63, seed=11)
    assert problem.coefficient == TwoPhase(low, high, tau=tau, alpha=2.0)
    assert set(np.unique(problem.coefficient_field())) == {low, high}


@pytest.mark.parametrize("name", FAMILIES)
def test_samples_are_equal_at_all_resolutions(name: str) -> None:
    family = FAMILIES[name]
    coarse_n, fine_n = (32, 64) if family.stepped else (101, 201) if name == "helmholtz" else (31, 63)
    coarse = family.fields(family.problem(coarse_n, seed=11))[family.inputs[0]]
    fine = family.fields(family.problem(fine_n, seed=11))[family.inputs[0]]
    every = slice(
        1 if name not in ("helmholtz", "burgers", "navier-stokes", "decaying-turbulence") else 0, None, 2
    )
    nested = fine[(every,) * fine.ndim]
    assert np.mean(np.abs(coarse - nested)) < 1e-3 * np.abs(coarse).max()
    other = family.fields(family.problem(coarse_n, seed=12))[family.inputs[0]]
    assert np.mean(np.abs(coarse - other)) > 1e-3 * np.abs(coarse).max()


@pytest.mark.parametrize("name", FAMILIES)
def test_parameters_survive_json(name: str) -> None:
    family = FAMILIES[name]
    again = Family.from_parameters(name, json.loads(json.dumps(family.parameters())), family.inputs)
    assert again.parameters() == family.parameters()
    n = 101 if name == "helmholtz" else 32
    value, other = (f.fields(f.problem(n, seed=9))[family.inputs[0]] for f in (family, again))
    np.testing.assert_array_equal(value, other)
    assert name in str(family)
    assert family.inputs[0] in str(family)


def test_a_family_with_another_template() -> None:
    family = replace(FAMILIES["darcy-rough"], template=Darcy(3, TwoPhase(1, 1000, tau=5), source=2.5))
    problem = family.problem((7, 9), seed=5, centring="cell")
    assert problem.grid == Grid((7, 9), "cell")
    assert problem.source == 2.5
    given = {"coefficient": np.full((7, 9), 4.0)}
    assert family.problem_with(problem.grid, given).terms().diffusion.max() == 4.0


def test_problems_of_another_version_are_an_error() -> None:
    with pytest.raises(SchemaError, match="generate the dataset again"):
        Family.from_parameters("darcy", {"problem": "Darcy", "porosity": 3}, ("coefficient",))
    with pytest.raises(SchemaError, match="Maxwell"):
        Family.from_parameters("maxwell", {"problem": "Maxwell"}, ("coefficient",))


def test_refusals() -> None:
    with pytest.raises(InputError, match="did you mean 'darcy-rough'"):
        family_named("darcy_rough")
    with pytest.raises(InputError, match=r"no family 'wave'.*navier-stokes"):
        family_named("wave")
    with pytest.raises(InputError, match="refined=2 of poisson"):
        replace(FAMILIES["poisson"], refined=2)
    with pytest.raises(InputError, match="refined=0"):
        replace(FAMILIES["burgers"], refined=0)
    with pytest.raises(InputError, match="centring='cell'"):
        FAMILIES["navier-stokes"].problem(16, 7, "cell")


def test_problems_in_time_have_an_initial_state() -> None:
    line, square = np.sin(2 * np.pi * np.arange(16) / 16), np.zeros((8, 8))
    burgers = FAMILIES["burgers"].problem_with(None, {"initial": line})
    assert isinstance(burgers, Burgers)
    np.testing.assert_array_equal(burgers.start(), line)
    flow = FAMILIES["navier-stokes"].problem_with(Grid((8, 8)), {"vorticity": square})
    assert isinstance(flow, NavierStokes)
    assert flow.grid.boundary.west == "periodic"
