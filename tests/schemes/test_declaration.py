"""A user declares a scheme in TOML or in Python; what cannot hold is an error that names the remedy."""

from __future__ import annotations

import json
import tomllib
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from sciml.errors import InputError
from sciml.schemes import ColumnClosure, ColumnScheme, Field, LevelClosure, Term, load_scheme
from sciml.schemes.declaration import scheme_from, scheme_table
from tests.paths import REPO

KESSLER = REPO / "workflows" / "kessler" / "kessler.toml"


@pytest.fixture
def table() -> dict[str, Any]:
    return tomllib.loads(KESSLER.read_text(encoding="utf-8"))


def test_a_file_declares_a_scheme() -> None:
    scheme = load_scheme(KESSLER)
    assert scheme.name == "kessler" and scheme.step == "dt"
    assert scheme.input_scalars == ("dt",) and scheme.output_scalars == ("rain",)
    assert scheme.output_profiles == ("theta_tendency", "qv_tendency", "qc_tendency", "qr_tendency")
    assert scheme.closures["water"] == ("qv_tendency", "qc_tendency", "qr_tendency", "rain")
    rain = scheme.outputs[-1]
    assert (rain.units, rain.bounds, rain.is_profile) == ("kg m-2 s-1", (0.0, 1.0), False)


def test_python_declares_the_same_scheme(table: dict[str, Any]) -> None:
    del table["closures"]["water"]
    table["outputs"] = {name: table["outputs"][name] for name in ("theta_tendency", "qv_tendency")}
    table["inputs"] = {name: table["inputs"][name] for name in ("theta", "qv", "exner", "dt")}
    theta, qv = "theta_tendency", "qv_tendency"
    declare = Field.declare
    scheme = ColumnScheme(
        name="kessler",
        inputs=(
            declare("theta", "K", bounds=(150.0, 1000.0), note="potential temperature"),
            declare("qv", "kg kg-1", bounds=(0.0, 0.1), note="water vapour, of dry air"),
            declare("exner", "1", bounds=(0.01, 1.1), note="Exner function of the pressure"),
            declare("dt", "s", is_profile=False, bounds=(1.0, 600.0)),
        ),
        outputs=(
            declare(theta, "K s-1", bounds=(-1.0, 1.0), tendency_of="theta"),
            declare(qv, "kg kg-1 s-1", bounds=(-1e-3, 1e-3), tendency_of="qv", nonnegative=True),
        ),
        laws=(
            LevelClosure(
                "heat", (Term(theta, 1004.5, "J kg-1 K-1", "exner"), Term(qv, 2.5e6, "J kg-1")), theta
            ),
        ),
        step="dt",
        least_levels=20,
    )
    assert scheme_from(table) == scheme


def test_the_data_of_a_scheme_survive_json() -> None:
    scheme = load_scheme(KESSLER)
    assert scheme_from(json.loads(json.dumps(scheme_table(scheme), allow_nan=False))) == scheme


def test_unlimited_bounds_survive_json() -> None:
    content = {"name": "s", "inputs": {"t": {"units": "K"}}, "outputs": {"h": {"units": "K s-1"}}}
    back = scheme_from(json.loads(json.dumps(scheme_table(scheme_from(content)), allow_nan=False)))
    assert back == scheme_from(content)


def test_scalars_come_after_profiles(table: dict[str, Any]) -> None:
    table["inputs"] = {"dt": table["inputs"].pop("dt"), **table["inputs"]}
    assert scheme_from(table).input_names[-1] == "dt"


@pytest.mark.parametrize(
    ("at", "value", "message"),
    [
        ("inputs.theta.units", "furlong", "theta has the unknown units 'furlong': give CF units"),
        ("inputs.theta.unit", "K", "the input theta has 'unit': it may have units, shape"),
        ("inputs.theta.bounds", [1.0], "the input theta has the bounds .*: give two numbers"),
        ("inputs.theta.bounds", [2.0, 1.0], "theta has the bounds 2.0 to 1.0: give the lower one first"),
        ("inputs.theta.bounds", [True, 2], "give two numbers"),
        ("inputs.theta.shape", "surface", "has the shape 'surface': give profile or scalar"),
        ("inputs.qv_tendency", {"units": "K"}, "names qv_tendency twice: name each field once"),
        ("inputs.THETA", {"units": "K"}, "uses the symbol theta twice"),
        ("inputs.1st", {"units": "K"}, "'1st' is no name of a variable in C and Fortran"),
        ("outputs.qv_tendency.units", "K s-1", "give the tendency in kg kg-1 s-1"),
        ("outputs.qv_tendency.tendency_of", "q", "is the tendency of 'q': give an input of its shape"),
        ("outputs.qv_tendency.nonnegative", "yes", "nonnegative = 'yes': give true or false"),
        ("outputs.rain.nonnegative", True, "rain is nonnegative but no tendency: set tendency_of"),
        ("outputs.rain.bounds", [-1.0, 1.0], "only leaves the column: give the lower bound 0"),
        ("step", "theta", "has the step 'theta': give the name of an input scalar in s"),
        ("step", "", "nonnegative, which depends on the time step: set step"),
        ("inputs.dt.units", "K", "the step dt of the scheme kessler is in K: give it in s"),
        ("closures.water.kind", "global", "the kind 'global': give column or level"),
        ("closures.water.terms", [], "give names of outputs"),
        ("closures.water.carried", "qi", "lets 'qi' be carried: choose among its terms"),
        ("closures.water.mass", "dt", "has the mass dt, which is no profile: give a profile"),
        ("closures.water.mass", "rho", "has the mass 'rho': give the name of a profile"),
        ("closures.water.mass", "thickness", r"cannot hold: .* is in m kg kg-1 s-1 and rain in kg m-2 s-1"),
        ("closures.water.surface", "runoff", "has runoff, which is no output: choose among theta_tendency"),
        ("closures.water.surface", "theta_tendency", "no scalar: give a scalar"),
        (
            "closures.heat.terms.qv_tendency.units",
            "J",
            "cannot hold: .* which cannot be added; give the terms",
        ),
        ("closures.heat.terms.qv_tendency.units", "kJ kg-1 x", "the units .* of qv_tendency are unknown"),
        ("closures.heat.terms.qv_tendency.factor", 0, "has the factor 0.0 for qv_tendency"),
        ("closures.heat.terms.qv_tendency.factor", "big", "has factor = 'big': give a number"),
        ("closures.heat.balanced", "rain", "computes 'rain': choose among its terms"),
        ("closures.heat.balanced", "qv_tendency", "cannot keep qv from becoming negative"),
        ("outputs.qc_tendency.nonnegative", False, "set nonnegative for qc_tendency too, or for none"),
        ("name", "my scheme", "is no name of a variable"),
        ("least_levels", 0, r"ColumnScheme\(least_levels=0\): give a whole number .* of 1 or more"),
        ("least_levels", 2.5, "has least_levels = 2.5: give a whole number"),
        ("least_levels", True, "has least_levels = True: give a whole number"),
    ],
)
def test_a_wrong_declaration_is_an_error(table: dict[str, Any], at: str, value: Any, message: str) -> None:
    *path, last = at.split(".")
    place = table
    for part in path:
        place = place[part]
    place[last] = value
    with pytest.raises(InputError, match=message):
        scheme_from(table)


def test_outputs_of_one_sign_cannot_close(table: dict[str, Any]) -> None:
    for name in table["closures"]["water"]["terms"]:
        table["outputs"][name]["bounds"] = [0.0, 1e-3]
    with pytest.raises(
        InputError, match=r"cannot hold: with their bounds the sum .* zero only if all are zero"
    ):
        scheme_from(table)


def test_two_closures_of_one_output_are_an_error(table: dict[str, Any]) -> None:
    table["closures"]["energy"] = deepcopy(table["closures"]["heat"])
    with pytest.raises(InputError, match=r"heat and energy .* both compute theta_tendency"):
        scheme_from(table)


def test_a_closure_that_reads_a_later_one_is_an_error() -> None:
    a, b, c = (Field.declare(name, "K s-1") for name in "abc")
    t = Field.declare("t", "K")
    laws = (
        LevelClosure("first", (Term("a"), Term("b")), "a"),
        LevelClosure("second", (Term("b"), Term("c")), "b"),
    )
    with pytest.raises(
        InputError, match="first of the scheme s needs b before the closure second computes it"
    ):
        ColumnScheme(name="s", inputs=(t,), outputs=(a, b, c), laws=laws)
    assert ColumnScheme(name="s", inputs=(t,), outputs=(a, b, c), laws=laws[::-1]).closures["first"] == (
        "a",
        "b",
    )


def test_two_closures_of_one_name_are_an_error() -> None:
    t, m = Field.declare("t", "K"), Field.declare("m", "kg m-2")
    outputs = tuple(Field.declare(name, "K s-1") for name in "ab")
    laws = tuple(ColumnClosure("x", (name,), name, "m") for name in "ab")
    with pytest.raises(InputError, match="two closures of one name"):
        ColumnScheme(name="s", inputs=(t, m), outputs=outputs, laws=laws)


def test_a_field_that_occurs_twice_in_a_file_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "twice.toml"
    path.write_text(KESSLER.read_text(encoding="utf-8") + '\n[inputs.theta]\nunits = "K"\n', encoding="utf-8")
    with pytest.raises(InputError, match=r"twice\.toml is not a TOML file: .*may occur once"):
        load_scheme(path)


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot read the scheme .*none\.toml"):
        load_scheme(tmp_path / "none.toml")


def test_the_message_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "empty.toml"
    path.write_text("", encoding="utf-8")
    with pytest.raises(
        InputError, match=r"empty\.toml: the declaration has no name, inputs, outputs: add it"
    ):
        load_scheme(path)
