"""Targets that are not zero on their Dirichlet sides: in the H1 norm, the loss, the scaling and the reports."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from typer.testing import CliRunner

from sciml.cli import app
from sciml.errors import InputError, SchemaError
from sciml.operators import losses
from sciml.operators.field_scaling import FieldMoments
from sciml.operators.samples import Samples
from sciml.operators.training import train
from sciml.pde import Boundary, Direct, Grid, Poisson, generate, open_dataset, problem_of
from sciml.pde.sides import Jumps, Sides, described, extrapolated, lift, mean_sides, sides_of_dataset
from sciml.solve import solve
from sciml.verify.operator.fields import evaluate
from sciml.verify.operator.norms import field_errors

FLOW = Boundary("dirichlet", "dirichlet", "neumann", "neumann")
LENGTHS = (0.7, 1.5)  # along y and x


def across(x: Any, y: Any) -> tuple[Any, float]:
    """Flow from 1 to 0: exact integrals of u^2 and |grad u|^2 over the rectangle."""
    ly, lx = LENGTHS
    return 1 - x / lx, ly * lx / 3 + ly / lx


def rising(x: Any, y: Any) -> tuple[Any, float]:
    """2 + x y: no side is constant."""
    ly, lx = LENGTHS
    square = 4 * lx * ly + lx**2 * ly**2 + lx**3 * ly**3 / 9
    return 2 + x * y, square + (lx * ly**3 + lx**3 * ly) / 3


def waving(x: Any, y: Any) -> tuple[Any, float]:
    """cos(pi x / lx) on west and east, cos(2 pi y / ly) across: 1 + the product."""
    ly, lx = LENGTHS
    u = 1 + np.cos(np.pi * x / lx) * np.cos(2 * np.pi * y / ly)
    return u, lx * ly * (1 + 0.25) + lx * ly / 4 * ((np.pi / lx) ** 2 + (2 * np.pi / ly) ** 2)


@pytest.mark.parametrize("centring", ["vertex", "cell"])
@pytest.mark.parametrize(
    ("truth", "boundary", "within"),
    [
        (across, FLOW, 0.002),
        (across, Boundary("dirichlet", "neumann", "neumann", "neumann"), 0.004),  # a slope at the last cell
        (rising, Boundary.all("dirichlet"), 0.002),
        (rising, Boundary("dirichlet", "neumann", "dirichlet", "neumann"), 0.002),
        (waving, Boundary.all("dirichlet"), 0.02),
        (waving, FLOW, 0.02),
    ],
)
def test_the_norm_of_the_truth_is_that_of_the_function(
    centring: Any, truth: Any, boundary: Boundary, within: float
) -> None:
    grid = Grid((48, 96), centring, boundary, LENGTHS)
    x, y = grid.mesh()
    u, exact = truth(x, y)
    values = {name: None for name, kind in boundary.sides.items() if kind == "dirichlet"}
    result = losses.square_h1(torch.from_numpy(u)[None], grid, boundary_value=values)
    assert float(result) == pytest.approx(exact, rel=within)
    # a small error of known norm, zero on the Dirichlet sides
    e = 1e-3 * np.sin(3 * np.pi * x / LENGTHS[1]) * np.sin(2 * np.pi * y / LENGTHS[0])
    pair = torch.from_numpy(u + e)[None], torch.from_numpy(u)[None]
    error = float(losses.square_h1(torch.from_numpy(e)[None], grid))
    loss = float(losses.relative_h1(*pair, grid))
    assert loss == pytest.approx((error / exact) ** 0.5, rel=0.5 * within + 1e-3)
    assert field_errors(*(value.numpy() for value in pair), grid)["relative_h1"][0] == pytest.approx(loss)


def test_given_values_by_side_and_by_sample() -> None:
    """Samples a + b x with their own values on the sides: numbers, (sample,) and (sample, n) agree."""
    grid = Grid((6, 9), "cell", FLOW, LENGTHS)
    x, _ = grid.mesh()
    a, b = np.array([1.0, 2.0, 0.5]), np.array([-0.3, 0.2, 1.0])
    u = torch.from_numpy(a[:, None, None] + b[:, None, None] * x)
    west, east = a, a + b * LENGTHS[1]
    exact = LENGTHS[0] * LENGTHS[1] * b**2
    by_sample = {"west": torch.from_numpy(west), "east": torch.from_numpy(east)}
    along = {
        name: torch.from_numpy(np.repeat(v[:, None], 6, 1)) for name, v in (("west", west), ("east", east))
    }
    for values in (by_sample, along, {"west": None, "east": None}):
        assert losses.energy(u, grid, boundary_value=values).numpy() == pytest.approx(exact, rel=1e-12)
        assert losses.energy(u[:, None], grid, boundary_value=values).numpy() == pytest.approx(
            exact, rel=1e-12
        )
    value = losses.energy(u[:1], grid, boundary_value={"west": west[0], "east": east[0]})
    assert float(value) == pytest.approx(exact[0], rel=1e-12)
    errors = field_errors(u.numpy() * 1.1, u.numpy(), grid, side_values={"west": west, "east": east})
    seen = field_errors(u.numpy() * 1.1, u.numpy(), grid)
    assert errors["relative_h1"] == pytest.approx(seen["relative_h1"], rel=1e-12)
    with pytest.raises(InputError, match=r"'south' on a grid with sides .*given on Dirichlet sides"):
        losses.energy(u, grid, boundary_value={"south": 1.0})
    with pytest.raises(InputError, match=r"west of shape \(2,\)"):
        losses.energy(u, grid, boundary_value={"west": torch.zeros(2)})


@pytest.mark.parametrize("centring", ["vertex", "cell"])
@pytest.mark.parametrize("name", ["darcy-rough", "darcy-lognormal", "darcy-any", "poisson"])
def test_solutions_of_families_have_zero_side_values(name: str, centring: Any) -> None:
    ds = generate(name, 16, 16 if centring == "cell" else 15, seed=31, centring=centring).compute()
    grid = Samples.of(ds).grid
    u = torch.from_numpy(ds.u.values)
    q = u * (1 + 0.1 * torch.rand(u.shape, generator=torch.Generator().manual_seed(5)))
    assert torch.equal(losses.relative_h1(q, u, grid), losses.relative_h1(q, u, grid, boundary_value=0.0))
    jumps = Jumps(grid)
    jumps.add(ds.u.values)
    assert jumps.clear() == []
    assert Sides.of(sides_of_dataset(ds), jumps).zero


def test_a_lift_is_harmonic_with_the_side_values() -> None:
    grid = Grid((15, 31), "vertex", Boundary(north="neumann"), LENGTHS)
    x, y = grid.mesh()
    harmonic = 1 + x - 2 * y
    sides = Sides({"west": None, "east": None, "south": None})
    flux = Poisson(grid.shape, 0.0, grid.boundary, lambda a, b: 1 + a - 2 * b, flux=-2.0, lengths=LENGTHS)
    np.testing.assert_allclose(solve(flux, Direct()).u, harmonic, atol=1e-10)
    values = mean_sides(harmonic, grid, sides)
    np.testing.assert_allclose(values["south"], 1 + grid.coordinates()[1], atol=1e-12)
    lifted = lift(values, grid)
    for name in ("west", "east", "south"):
        np.testing.assert_allclose(extrapolated(lifted, grid, name), values[name], atol=0.25)
    assert lifted.min() >= harmonic.min() - 1 and lifted.max() <= 1 + LENGTHS[1] + 1e-9
    assert not lift({"west": np.zeros(15)}, grid).any()
    moments = FieldMoments(grid.shape)
    moments.add(np.stack([lifted + 0.1, lifted - 0.1]))
    scaled = moments.standard("scale", lifted)
    np.testing.assert_allclose(scaled.mean, lifted, rtol=1e-6)
    assert float(scaled.scale) == pytest.approx(0.1)


def own(count: int = 12) -> xr.Dataset:
    """Flow from a value of 1 to 0 through layers, all samples another medium."""
    grid = Grid((8, 12), "cell", FLOW)
    x, _ = grid.mesh()
    random = np.random.default_rng(37)
    bend = random.uniform(0.05, 0.3, (count, 1, 1))
    p = 1 - x + bend * x * (1 - x)
    dims = ("sample", "y", "x")
    return xr.Dataset({"k": (dims, bend + 0 * x + 1), "p": (dims, p)})


PLACE: dict[str, Any] = {"inputs": "k", "target": "p", "boundary": FLOW, "centring": "cell"}
SMALL: dict[str, Any] = {
    "network": {"class": "MgNO", "channels": 3, "levels": 2, "layers": 1},
    "fit": {"epochs": 1, "batch_size": 4, "threads": 1, "device": "cpu"},
}


def test_training_records_the_side_values(tmp_path: Path) -> None:
    with pytest.warns(
        UserWarning, match=r"p is not zero on its Dirichlet sides: west 1 .*--dirichlet west=1"
    ):
        operator = train(own(), tmp_path / "m.sciml", validation=3, **PLACE, **SMALL)
    assert operator.about["sides"].startswith("west 1 (estimated")
    standard = operator.normalisation.target
    np.testing.assert_allclose(standard.mean[:, 0], 1 - 1 / 24, atol=0.01)  # harmonic: 1 - x
    np.testing.assert_allclose(standard.mean[:, -1], 1 / 24, atol=0.01)
    x, _ = operator.grid.mesh()
    left = own().p.values - (1 - x)
    assert float(standard.scale) == pytest.approx(np.sqrt((left**2).mean()), rel=0.1)
    fine = torch.full((1, 16, 24), 1.2)
    result = operator.predict({"k": fine})[0].double().numpy()
    coarse = operator.predict({"k": fine[:, ::2, ::2]})[0].double().numpy()
    assert np.abs(result[:, 0] - extrapolated(coarse, operator.grid, "west").mean()).max() < 0.05
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        given = train(own(), tmp_path / "g.sciml", side_values={"west": 1.0}, validation=3, **PLACE, **SMALL)
        zero = train(own(), tmp_path / "z.sciml", side_values=0.0, validation=3, **PLACE, **SMALL)
    assert given.about["sides"] == "west 1 (given)"
    assert "sides" not in zero.about and zero.normalisation.target.mean.ndim == 0
    with pytest.raises(InputError, match=r"'north'.*Dirichlet sides"):
        train(own(), tmp_path / "n.sciml", side_values={"north": 1.0}, **PLACE, **SMALL)


def test_an_evaluation_records_the_side_values() -> None:
    grid = Grid((8, 12), "cell", FLOW)
    p = own().p.values
    evaluation = evaluate(p * 1.01, p, grid, multigrid_samples=1)
    assert evaluation.scores["sides"].startswith("west 1 (estimated")
    assert "the truths on Dirichlet sides: west 1" in str(evaluation)
    plain = evaluate(p * 1.01, p, grid, multigrid_samples=1, side_values=0.0)
    assert plain.scores["sides"] == "" and "Dirichlet sides" not in str(plain)
    assert plain.scores["relative_h1"] < 0.5 * evaluation.scores["relative_h1"]
    given = evaluate(p * 1.01, p, grid, multigrid_samples=1, side_values={"west": 1.0})
    assert given.scores["relative_h1"] == pytest.approx(evaluation.scores["relative_h1"], rel=0.02)
    flat = np.ones((2, 8, 12)) * np.linspace(1, 2, 8)[:, None]
    assert "varying along west and east" in described(Sides({"west": None, "east": None}), flat.mean(0), grid)


def test_a_problem_of_own_data_has_the_values_that_are_given() -> None:
    grid = Grid((9, 12), "cell", FLOW)
    ds = own().rename(k="coefficient", p="u").isel(y=slice(0, 8)).assign_attrs(family="poisson")
    ds = open_dataset(ds, grid=Grid((8, 12), "cell", FLOW), side_values={"west": 1.0})
    ds = ds.assign(source=ds.coefficient * 0).assign_attrs(inputs="source")
    u = solve(problem_of(ds, 0), Direct()).u
    x, _ = Grid((8, 12), "cell", FLOW).mesh()
    np.testing.assert_allclose(u, 1 - x, atol=1e-10)
    whole = open_dataset(
        ds.drop_attrs().assign_attrs(inputs="source"), grid=Grid((8, 12), "cell"), side_values=2.0
    )
    assert problem_of(whole, 0).boundary_value == 2.0
    assert sides_of_dataset(whole) == 2.0
    with pytest.raises(SchemaError, match="side_values"):
        sides_of_dataset(ds.assign_attrs(side_values="west"))
    with pytest.raises(InputError, match="'north' on a grid"):
        open_dataset(ds, side_values={"north": 1.0})
    assert grid.sides(1) == ("dirichlet", "dirichlet")


def test_commands_print_and_accept_side_values(tmp_path: Path) -> None:
    ds = own()
    np.savez(tmp_path / "d.npz", k=ds.k, p=ds.p)
    words = ["pde", "info", str(tmp_path / "d.npz"), "--inputs", "k", "--target", "p", "--centring", "cell"]
    words += ["--boundary", "dirichlet,dirichlet,neumann,neumann", "--dims", "sample,y,x"]
    shown = CliRunner().invoke(app, words, prog_name="sciml")
    assert "p on Dirichlet sides: west 1 (estimated" in shown.output
    shown = CliRunner().invoke(app, [*words, "--dirichlet", "west=1,east=0.5", "--json", "-", "-q"])
    assert json.loads(shown.stdout)["sides"] == "west 1, east 0.5 (given)"
    shown = CliRunner().invoke(app, [*words, "--dirichlet", "0"])
    assert shown.exit_code == 0 and "Dirichlet sides" not in shown.output
    for value, why in (("west=", "give numbers"), ("west=1,west=2", "each side once"), ("up=1", "up")):
        shown = CliRunner().invoke(app, [*words, "--dirichlet", value], prog_name="sciml")
        assert shown.exit_code == 2 and why in shown.stderr and len(shown.stderr.splitlines()) == 1
