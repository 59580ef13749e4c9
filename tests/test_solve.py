"""The verb itself: what it refuses, and what it then names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import xarray as xr

import sciml as sm
from sciml.errors import InputError
from sciml.solve import Result, init, solve


@dataclass(frozen=True)
class Columns:
    """Looks like a problem of convection."""

    columns: Any = None
    levels: int = 35


@dataclass(frozen=True)
class Scheme:
    """An algorithm that takes columns, as its annotation says."""

    def init(self, problem: sm.Convection) -> int:
        raise AssertionError("asked for what it does not take")

    run = init


SCHEME: Any = Scheme()
DARCY, BURGERS = sm.Darcy(7), sm.Burgers(16)


@pytest.mark.parametrize("verb", [solve, init])
@pytest.mark.parametrize(
    ("problem", "algorithm", "match"),
    [
        (
            DARCY,
            SCHEME,
            r"Scheme takes a Convection problem: solve this one with AMG\(\), Direct\(\), Neural",
        ),
        (BURGERS, SCHEME, r"Scheme takes a Convection problem: solve this one with .*Stepper"),
        (xr.Dataset(), SCHEME, r"Dataset\(\.\.\.\), Scheme.*give Convection\(columns\)"),
        (np.ones((7, 7)), SCHEME, r"give Convection\(columns\)"),
        (
            Columns(),
            sm.AMG(),
            r"AMG takes a PDE problem: solve this one with Emulator\.load\(PATH\) or Fortran",
        ),
        (Columns(), sm.Direct(), r"Direct takes a PDE problem: .*Emulator"),
        (Columns(), sm.Corrected(None), r"Corrected takes a PDE problem: .*Emulator"),
        (Columns(), sm.PseudoSpectral(), r"PseudoSpectral takes a PDE problem: .*Emulator"),
        (DARCY, "amg", r"'amg' is no algorithm: give AMG\(\)"),
        (DARCY, None, r"None is no algorithm: give AMG\(\)"),
        (DARCY, DARCY, r"Darcy\(\.\.\.\) is no algorithm"),
        (Columns(), "mskf", r"'mskf' is no algorithm: give Emulator"),
        (
            DARCY,
            sm.AMG,
            r"solve\(Darcy\(\.\.\.\), AMG\): AMG is a class: give an object of it, such as AMG\(\)",
        ),
        (DARCY, sm.Neural, r"Neural is a class: .*Neural\.load\(PATH\)"),
        (DARCY, sm.Emulator, r"Emulator is a class"),
        ("darcy", sm.AMG(), r"'darcy' is no problem: give Darcy\(\.\.\.\)"),
        ("columns", SCHEME, r"'columns' is no problem: give Convection\(columns\)"),
        (None, sm.AMG(), "None is no problem"),
        (sm.Darcy, sm.AMG(), r"Darcy is a class: give an object"),
        (sm.AMG(), DARCY, r"arguments are swapped, give \w+\(problem, algorithm\)"),
        (sm.AMG, DARCY, "arguments are swapped"),
        ("amg", DARCY, "arguments are swapped"),
        (sm.AMG(), sm.AMG(), r"AMG\(\.\.\.\) is no problem"),
        (np.ones((7, 7)), sm.AMG(), "no sparse system: give Poisson, Darcy"),
        (BURGERS, sm.AMG(), "Burgers has no sparse system"),
        (BURGERS, sm.Neural.load("darcy-any"), r"no linear system: .*Stepper\.load"),
        (DARCY, sm.PseudoSpectral(), "Darcy is not stepped in time"),
    ],
)
def test_an_invalid_pair_gives_one_line_that_names_a_valid_one(
    verb: Any, problem: Any, algorithm: Any, match: str
) -> None:
    with pytest.raises(InputError, match=match.replace("solve\\(", f"{verb.__name__}\\(")) as caught:
        verb(problem, algorithm)
    assert "\n" not in str(caught.value)


def test_the_real_emulator_names_what_solves_a_pde() -> None:
    emulator: Any = sm.Emulator.load("mskf-convrad")
    with pytest.raises(InputError, match=r"Emulator takes a Convection problem: solve this one with AMG\(\)"):
        solve(DARCY, emulator)


def test_corrected_names_what_it_takes_in_one_line() -> None:
    given: list[Any] = [sm.Neural, sm.Neural.load("darcy-any").operator, "darcy-any"]
    for value in given:
        with pytest.raises(InputError, match=r"give Neural\.load\(PATH\), or None") as caught:
            sm.Corrected(value)
        assert "\n" not in str(caught.value)


def test_algorithms_without_annotations_run() -> None:
    @dataclass(frozen=True)
    class Free:
        def init(self, problem):  # type: ignore[no-untyped-def]
            return problem

        def run(self, problem, state):  # type: ignore[no-untyped-def]
            return self

        result = Result.SUCCESS
        stats: Any = None

    for problem in (3.0, np.ones(3), DARCY, Columns()):
        assert solve(problem, Free()).result.ok
