"""Inputs of problems: invalid numbers, labelled and lazy arrays, other families."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dask.array as da
import numpy as np
import pytest
import xarray as xr

from sciml.errors import InputError
from sciml.pde import (
    AdvectionDiffusion,
    AnyMedium,
    Boundary,
    Burgers,
    Darcy,
    Direct,
    Family,
    GaussianField,
    Grid,
    Helmholtz,
    Lognormal,
    Multiscale,
    NavierStokes,
    PeriodicField,
    Poisson,
    PseudoSpectral,
    TwoPhase,
    WaveSpeed,
    generate,
    problem_of,
)
from sciml.solve import solve

SQUARE = np.arange(1.0, 50).reshape(7, 7)


@pytest.mark.parametrize("value", ["a", None, 1j, np.ones(2), np.nan])
@pytest.mark.parametrize(
    "make",
    [
        lambda value: TwoPhase(low=value),
        lambda value: GaussianField(scale=value),
        lambda value: Lognormal(sigma=value),
        lambda value: PeriodicField(tau=value),
        lambda value: WaveSpeed(amplitude=value),
        lambda value: AnyMedium(contrast=value),
        lambda value: Multiscale(scales=value),
        lambda value: WaveSpeed(modes=value),
        lambda value: Helmholtz(omega=value),
        lambda value: NavierStokes(8, viscosity=value),
        lambda value: Burgers(8, final_time=value),
    ],
)
def test_what_is_no_number_is_shown(make: Callable[[Any], object], value: Any) -> None:
    with pytest.raises(InputError, match=r"give a (positive|whole )?.*number|give more than 1"):
        make(value)


def test_counts_are_whole_numbers() -> None:
    for make in (lambda: Multiscale(scales=2.5), lambda: WaveSpeed(modes=2.5)):  # type: ignore[arg-type]
        with pytest.raises(InputError, match=r"=2\.5\): give a whole number"):
            make()
    with pytest.raises(InputError, match=r"shape=\(7\.9, 7\).*whole numbers"):
        Grid((7.9, 7))  # type: ignore[arg-type]
    with pytest.raises(InputError, match="dt='fast'"):
        PseudoSpectral(dt="fast")  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", [-1, 1.5, None, True, np.random.default_rng(5)])
def test_seeds_are_whole_numbers(seed: Any) -> None:
    for problem in (Burgers(8, seed=seed), Darcy(7, seed=seed), NavierStokes(8, seed=seed)):
        with pytest.raises(InputError, match=r"seed=.*give a whole number"):
            problem.start() if isinstance(problem, Burgers | NavierStokes) else problem.terms()


@pytest.mark.parametrize("problem", [Darcy(7, TwoPhase), Burgers(8, initial=PeriodicField)])  # type: ignore[arg-type]
def test_a_class_instead_of_a_medium_is_an_error(problem: Darcy | Burgers) -> None:
    with pytest.raises(InputError, match=r"the class: give one of it.*\(\)"):
        problem.terms() if isinstance(problem, Darcy) else problem.start()


def test_labelled_arrays_are_transposed_by_their_dims() -> None:
    turned = xr.DataArray(SQUARE.T, dims=("x", "y"))
    np.testing.assert_array_equal(Darcy(7, turned).coefficient_field(), SQUARE)
    np.testing.assert_array_equal(Darcy(7, turned.chunk(x=3)).coefficient_field(), SQUARE)


def test_masked_values_are_an_error() -> None:
    hidden = np.ma.masked_equal(SQUARE.astype(int), 9)
    with pytest.raises(InputError, match=r"coefficient is nan at \(y, x\) = \(1, 1\)"):
        Darcy(7, hidden).terms()
    np.testing.assert_array_equal(Darcy(7, np.ma.array(SQUARE)).coefficient_field(), SQUARE)


def test_printing_does_not_compute_lazy_arrays() -> None:
    def never(block: np.ndarray) -> np.ndarray:
        raise AssertionError("computed")

    lazy = da.zeros((7, 7), chunks=3).map_blocks(never, meta=np.empty((0, 0)))
    for array in (lazy, xr.DataArray(lazy, dims=("y", "x"))):
        assert "coefficient=lazy array 7 x 7 of float64" in repr(Darcy(7, array))
    assert "resolution=(64,)" in repr(Burgers(64))


SIDES = [
    Boundary.all("neumann"),
    Boundary.all("periodic"),
    Boundary("periodic", "periodic", "neumann", "neumann"),
    Boundary("neumann", "dirichlet", "periodic", "periodic"),
]


@pytest.mark.parametrize("boundary", SIDES, ids=str)
@pytest.mark.parametrize("centring", ["vertex", "cell"])
def test_datasets_of_any_sides(boundary: Boundary, centring: Any) -> None:
    """With Neumann and periodic sides only, sources are balanced as by `Direct`."""
    source = PeriodicField(sigma=10.0) if boundary == SIDES[1] or centring == "vertex" else GaussianField()
    if boundary == SIDES[0]:
        source = GaussianField()
    family = Family("mine", Darcy(3, TwoPhase(), source, boundary), ("coefficient", "source"))
    if boundary == SIDES[2] and centring == "vertex":
        family = Family(
            "mine", Darcy(3, TwoPhase(), lambda x, y: np.cos(np.pi * y), boundary), ("coefficient",)
        )
    ds = generate(family, 2, 16, seed=19, centring=centring, dtype="float64").compute()
    posed = family.problem(16, int(ds.sample_seed[1]), centring)
    exact = solve(posed, Direct()).u
    np.testing.assert_allclose(ds.u[1], exact, atol=1e-10 * float(abs(exact).max()))


def test_a_family_without_solutions_is_an_error() -> None:
    family = Family("mine", Darcy(3, TwoPhase(), boundary="neumann"), ("coefficient",))
    with pytest.raises(InputError, match=r"integrate to 1 over Neumann.*subtract 1 from the source"):
        generate(family, 2, 7, seed=19).compute()


@pytest.mark.parametrize("inputs", [("porosity",), (), ("source", "boundary")])
def test_inputs_are_fields_of_the_problem(inputs: tuple[str, ...]) -> None:
    family = Family("mine", Poisson(3, GaussianField()), inputs)
    with pytest.raises(InputError, match=r"inputs=.* of mine: a Poisson has source"):
        generate(family, 2, 7, seed=19)
    with pytest.raises(InputError, match=r"refined=1\.5 of mine"):
        Family("mine", Burgers(16), ("initial",), refined=1.5)  # type: ignore[arg-type]


def test_functions_are_not_replaced_by_defaults() -> None:
    """A file contains only the names of functions."""
    family = Family("mine", Darcy(3, TwoPhase(), source=lambda x, y: x), ("coefficient",))
    ds = generate(family, 2, 7, seed=19)
    with pytest.raises(InputError, match=r"source of the family 'mine' is the function .*pose the problem"):
        problem_of(ds, 0)
    usual = generate(Family("mine", Helmholtz(omega=30.0), ("wave_speed",)), 2, 9, seed=19)
    assert problem_of(usual, 0).flux is Helmholtz.flux


@pytest.mark.parametrize("maker", [np.asarray, lambda a: xr.DataArray(a.T, dims=("x", "y")), da.from_array])
def test_arrays_of_a_family_are_stored(maker: Callable[[np.ndarray], Any]) -> None:
    family = Family("mine", Darcy(7, TwoPhase(), source=maker(SQUARE)), ("coefficient",))
    ds = generate(family, 2, 7, seed=19)
    np.testing.assert_array_equal(problem_of(ds, 1).source, SQUARE)
    wind = AdvectionDiffusion(7, Lognormal(sigma=0.1), velocity=(np.float32(0.5), np.zeros((7, 7))))
    problem_of(generate(Family("mine", wind, ("diffusion",)), 2, 7, seed=19), 0).terms()
