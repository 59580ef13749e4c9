"""Errors of discrete Helmholtz solutions, and their reduction by `refined`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from sciml.cli import app
from sciml.errors import InputError
from sciml.pde import (
    FAMILIES,
    Boundary,
    Direct,
    Family,
    Grid,
    Helmholtz,
    WaveSpeed,
    generate,
    grid_of_dataset,
    problem_of,
)
from sciml.pde.caution import caution_of
from sciml.solve import solve
from sciml.verify.operator.evaluate import assess

WAVES = FAMILIES["helmholtz"]


def standing(k: float, m: int) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """A wave of number k driven by the flux cos(m pi x) through the top of the closed unit square: the flux and u."""
    across = np.sqrt(k**2 - (m * np.pi) ** 2)

    def flux(x: Any, y: Any) -> Any:
        return np.where(np.abs(y - 1) < 1e-9, np.cos(m * np.pi * x), 0.0)

    def exact(x: Any, y: Any) -> Any:
        return -np.cos(m * np.pi * x) * np.cos(across * y) / (across * np.sin(across))

    return flux, exact


def apart(u: np.ndarray, truth: np.ndarray) -> float:
    return float(np.linalg.norm(u - truth) / np.linalg.norm(truth))


@pytest.mark.parametrize("m", [0, 2, 4])
def test_blended_waves_converge_at_fourth_order(m: int) -> None:
    """12 nodes for each wavelength, as in the published data, and 24; half a wave from resonances."""
    k = 26.7
    flux, exact = standing(k, m)

    def error(n: int, mass: Any) -> float:
        problem = Helmholtz(n, 1.0, k, flux=flux, mass=mass)
        return apart(np.asarray(solve(problem, Direct()).u), exact(*problem.grid.mesh()))

    consistent = [error(n, "consistent") for n in (51, 101)]
    blended = [error(n, "blended") for n in (51, 101)]
    assert consistent[0] > 0.1 and consistent[1] > 0.03
    assert blended[0] < 0.01 and blended[1] < 0.0015
    assert blended[1] < blended[0] * (0.07 if m == 0 else 0.25)


def test_the_estimate_equals_the_phase_error() -> None:
    """The wave number of the discrete waves along an axis, from the eigenvalues of the stencil."""
    for mass, rest in (("consistent", 4 / 6), ("blended", 10 / 12)):
        problem = Helmholtz(101, 1.0, 50.0, mass=mass)  # type: ignore[arg-type]
        kh = 50.0 / 100
        theta = np.arccos((2 - kh**2 * rest) / (2 + kh**2 * (1 - rest)))
        assert problem.phase_error() == pytest.approx(abs(theta / kh - 1) * 50, rel=0.05)


def test_refined_data_are_close_to_the_equation() -> None:
    """A small dataset like the published one, with fewer waves; the flux jumps at nodes."""
    family = replace(WAVES, template=Helmholtz(omega=400.0, wave_speed=WaveSpeed()))
    plain, fine, finer, reference = (
        generate(replace(family, refined=r), 2, 21, 11, dtype="float64").compute() for r in (1, 2, 4, 8)
    )
    np.testing.assert_allclose(fine.wave_speed, plain.wave_speed, rtol=1e-12)
    np.testing.assert_array_equal(fine.x, plain.x)
    errors = [max(apart(a.u[i].values, reference.u[i].values) for i in (0, 1)) for a in (plain, fine, finer)]
    assert errors[0] > 0.3
    assert errors[2] < 0.01
    assert errors[2] < 0.3 * errors[1] < 0.1 * errors[0]
    assert problem_of(fine, 0).mass == "blended" and problem_of(plain, 0).mass == "consistent"
    again = Family.from_parameters("helmholtz", replace(family, refined=4).parameters(), ("wave_speed",))
    assert (again.refined, again.template.mass) == (4, "blended")


@pytest.mark.parametrize("sides", ["dirichlet", Boundary("dirichlet", "neumann", "neumann", "dirichlet")])
def test_the_stored_nodes_are_those_of_the_coarse_grid(sides: Any) -> None:
    template = Helmholtz(omega=30.0, boundary=sides, flux=1.0, boundary_value=0.5)
    family = replace(WAVES, template=template)
    plain, fine = (
        generate(replace(family, refined=r), 1, (13, 17), 11, dtype="float64").compute() for r in (1, 3)
    )
    np.testing.assert_allclose(fine.wave_speed, plain.wave_speed, rtol=1e-12)
    assert apart(plain.u.values, fine.u.values) < 0.05


def test_the_published_data_are_unchanged() -> None:
    ds = generate("helmholtz", 1, 101, 11, dtype="float64").compute()
    system = Helmholtz(101, seed=int(ds.sample_seed[0]))
    assert system.mass == "consistent"
    np.testing.assert_allclose(ds.u[0], solve(system, Direct()).u, rtol=1e-7)
    assert "59 to 790 %" in ds.attrs["caution"] == caution_of(ds)
    assert caution_of(
        ds.drop_attrs().assign_attrs({k: ds.attrs[k] for k in ("family", "grid")})
    ) == caution_of(ds)
    assert "59 to 790 %" in Helmholtz.__doc__  # type: ignore[operator]
    assert "--refined" in str(WAVES)
    fine = generate(replace(WAVES, refined=4), 1, 101, 11)
    assert "caution" not in fine.attrs and caution_of(fine) == ""
    assert caution_of(generate("darcy-rough", 2, 7, 11)) == ""
    assert Helmholtz(101, omega=100.0).pollution() == ""


class Still:
    """An operator that predicts a small constant."""

    inputs, target, steps = ("wave_speed",), "u", False

    def __init__(self, grid: Grid) -> None:
        self.grid = grid

    def check(self, grid: Grid) -> None:
        pass

    def predict(self, fields: Any, grid: Grid) -> Any:
        return fields["wave_speed"] * 1e-4


def test_an_evaluation_has_the_caution() -> None:
    ds = generate("helmholtz", 1, 65, 11)
    result = assess(Still(grid_of_dataset(ds)), ds, multigrid_samples=1, preconditioned=0)
    assert result.scores["caution"] == ds.attrs["caution"]
    assert "caution: the solutions are those of the discrete system on 65 x 65" in str(result)
    assert any("caution" in line for line in result.headline()[1:])  # which the page shows


def test_invalid_values_of_refined() -> None:
    with pytest.raises(InputError, match="only nodes of a finer grid are used"):
        generate(replace(WAVES, refined=2), 1, 101, 11, centring="cell")
    with pytest.raises(InputError, match="mass='lumped'"):
        Helmholtz(mass="lumped")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="at nodes"):
        Helmholtz(64, centring="cell", mass="blended")


def test_the_command_says_so(tmp_path: Path) -> None:
    words = ["pde", "generate", "helmholtz", "--count", "1", "--resolution", "65"]
    shown = CliRunner().invoke(app, [*words, "-o", str(tmp_path / "d.nc")], prog_name="sciml")
    assert shown.exit_code == 0 and "caution: the solutions are those of the discrete system" in shown.output
    shown = CliRunner().invoke(app, ["pde", "info", str(tmp_path / "d.nc")], prog_name="sciml")
    assert "caution: " in shown.output
    shown = CliRunner().invoke(
        app, [*words, "--refined", "2", "-o", str(tmp_path / "r.nc")], prog_name="sciml"
    )
    assert shown.exit_code == 0 and "caution" not in shown.output
