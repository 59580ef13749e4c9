"""Physical constants are written once, in `sciml.constants`."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from sciml import constants
from tests.paths import REPO

ROUND = frozenset({"P_ZERO", "THETA_BASE", "KAPPA_MOIST", "CP_MOIST"})
"""Constants of one or two digits, whose values also stand for other things, such as the bounds of an input."""

OTHER_SOURCES = frozenset(
    {9.80665, 287.04, 287.05, 287.058, 461.5, 1004.0, 1005.0, 2.501e6, 3.337e5, 6.371e6}
)
"""Values that other models use: a second value of a constant needs a second name in `sciml.constants`."""


def constant_values() -> frozenset[float]:
    values = {name: getattr(constants, name) for name in constants.__all__ if name not in ROUND}
    flat = [value if isinstance(value, tuple) else (value,) for value in values.values()]
    return frozenset(abs(float(number)) for numbers in flat for number in numbers) | OTHER_SOURCES


def repeated(source: str) -> list[str]:
    """The literals of a source text that are values of a constant, with their lines."""
    values = constant_values()
    return [
        f"line {node.lineno}: {node.value!r}"
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Constant) and type(node.value) in (int, float) and float(node.value) in values
    ]


def modules() -> list[Path]:
    paths = sorted((REPO / "sciml").rglob("*.py"))
    return [path for path in paths if path != REPO / "sciml" / "constants.py"]


def test_no_module_repeats_a_constant() -> None:
    again = {str(path.relative_to(REPO)): repeated(path.read_text(encoding="utf-8")) for path in modules()}
    assert {path: lines for path, lines in again.items() if lines} == {}


@pytest.mark.parametrize(
    "source",
    ["g = 9.81", "t - 273.15", "cp = 1004.5 * (1 + q)", "days = hours * 3600 / 86400", "rd = 287.04"],
)
def test_a_repeated_constant_is_reported(source: str) -> None:
    assert repeated(source)


def test_every_constant_is_used_by_a_module() -> None:
    used = {
        alias.name
        for path in modules()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and node.module == "sciml.constants"
        for alias in node.names
    } | {"GRAVITY"}
    assert set(constants.__all__) == used
