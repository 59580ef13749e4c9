"""Tables in notebooks of problems, solutions, hierarchies, networks and checkpoints, compared with their print."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sciml as sm
from sciml.solve import Result
from sciml.tables import aligned, html_table
from tests.paths import REPO


def parsed(shown: str) -> ElementTree.Element:
    """The elements of a piece of HTML that must be as strict as XML."""
    return ElementTree.fromstring(f"<body>{shown.replace('<br>', '<br/>')}</body>")


def text_of(shown: str) -> str:
    return " ".join(" ".join(parsed(shown).itertext()).split())


def test_everything_is_escaped() -> None:
    evil = "<script>alert('&')</script>"
    shown = html_table(evil, [(evil, evil)], head=(evil, evil), note=evil)
    assert "<script" not in shown
    assert text_of(shown).count(evil) == 6


def test_numbers_are_aligned_right_and_words_left() -> None:
    rows = [
        ("a", "1.5e-3", "5 x 7", "a word"),
        ("b", "12,345", "", "63"),
        ("c", "-", "31 x 31", "a grid of 31"),
    ]
    cells = [cell.attrib["style"] for cell in parsed(html_table("t", rows)).iter("td")]
    sides = ["right" if "text-align:right" in cell else "left" for cell in cells]
    assert sides == ["right", "right", "left"] * 3


def test_a_table_sets_no_colour() -> None:
    shown = html_table("t", [("a", "1")], head=("name", "value"), note="n")
    assert re.findall(r"(?<![-\w])color:(?!inherit)", shown) == []
    assert set(re.findall(r"background:(\w+)", shown)) == {"transparent"}


def test_an_empty_table_is_a_table() -> None:
    assert text_of(html_table("nothing", [])) == "nothing"


def darcy() -> Any:
    return sm.Darcy(resolution=15, coefficient=sm.TwoPhase(3, 12), seed=9)


def checkpoint() -> Any:
    from sciml.train import checkpoint

    return checkpoint.load(REPO / "data" / "mskf-convrad.sciml")


def tensor_hierarchy() -> Any:
    from sciml.multigrid.torch import TorchHierarchy

    return TorchHierarchy.of(sm.init(darcy(), sm.AMG()))


def stencil_hierarchy() -> Any:
    from sciml.multigrid.torch import StencilHierarchy
    from sciml.multigrid.torch.stencils import stencil_of

    system = sm.discretize(darcy())
    return StencilHierarchy(stencil_of(system.matrix, system.grid)[None], system.grid)


def batch_solution() -> Any:
    import torch

    hierarchy = tensor_hierarchy()
    return hierarchy.solve(torch.ones(3, hierarchy.size, dtype=hierarchy.dtype))


def convection() -> Any:
    wrfout = sm.open_wrfout(REPO / "data" / "wrfout_d01_convrad_24x24_5min.nc")
    return sm.Convection(sm.convection_columns(wrfout).isel(column=slice(5)))


PRINTED: dict[str, Callable[[], Any]] = {
    "Poisson": lambda: sm.Poisson(7),
    "Darcy": lambda: sm.Darcy(7, np.ones((7, 7))),
    "Helmholtz": lambda: sm.Helmholtz(9),
    "AdvectionDiffusion": lambda: sm.AdvectionDiffusion(7),
    "NavierStokes": lambda: sm.NavierStokes(16),
    "Burgers": lambda: sm.Burgers(64),
    "System": lambda: sm.discretize(darcy()),
    "Factorisation": lambda: sm.init(darcy(), sm.Direct()),
    "FieldSolution": lambda: sm.solve(darcy(), sm.AMG()),
    "Hierarchy": lambda: sm.init(darcy(), sm.AMG()),
    "TorchHierarchy": tensor_hierarchy,
    "StencilHierarchy": stencil_hierarchy,
    "BatchSolution": batch_solution,
    "Neural": lambda: sm.Neural.load("darcy-any"),
    "TrainedOperator": lambda: sm.Neural.load("darcy-any").operator,
    "Convection": convection,
    "ConvectionSolution": lambda: sm.solve(convection(), sm.Emulator.load("mskf-convrad")),
    "Emulator": lambda: sm.Emulator.load("mskf-convrad"),
    "Checkpoint": checkpoint,
}


@pytest.mark.parametrize("kind", PRINTED)
def test_it_shows_what_print_shows(kind: str) -> None:
    made = PRINTED[kind]()
    assert type(made).__name__ == kind
    shown = text_of(made._repr_html_())
    # Numbers as whole words, which are the same in both.
    numbers = re.findall(r"(?<![\w.])[-+]?\d+(?:,\d{3})*(?:\.\d+)?(?:e[-+]?\d+)?%?(?![\w])", str(made))
    assert numbers
    assert [number for number in numbers if number not in shown] == []


def networks() -> dict[str, Any]:
    from sciml.convection.network import Closure

    return {
        "MgNO": sm.MgNO(channels=3, layers=2, levels=2),
        "FNO": sm.FNO(modes=3, width=5, layers=1),
        "HierarchyNet": sm.HierarchyNet(),
        "PublishedMgNO": sm.MgNO.published("darcy-smooth"),
        "Closure": Closure(),
    }


def test_a_network_shows_its_parameters_and_settings() -> None:
    for name, network in networks().items():
        shown = text_of(network._repr_html_())
        assert shown.startswith(name)
        assert f"parameters {sum(p.numel() for p in network.parameters()):,}" in shown
        assert repr(network).startswith(name)


def test_a_family_shows_its_settings() -> None:
    from sciml.pde import FAMILIES

    for family in FAMILIES.values():
        assert [
            line for line in str(family).split() if line.strip(":") not in text_of(family._repr_html_())
        ] == []


def test_a_solution_that_failed_shows_its_remedy() -> None:
    poor = sm.solve(darcy(), sm.AMG(rtol=1e-12, max_cycles=1), throw=False)
    assert poor.result is Result.MAX_ITERATIONS
    assert Result.MAX_ITERATIONS.value in text_of(poor._repr_html_())


def test_no_path_is_taken_for_markup(tmp_path: Path) -> None:
    from sciml.train import checkpoint

    path = checkpoint.save(tmp_path / "a<b>&.sciml", {"kind": "line"}, {"a": np.zeros(3)})
    shown = checkpoint.load(path)._repr_html_()
    assert "<b>" not in shown
    assert "a<b>&.sciml" in text_of(shown)


def test_columns_are_as_wide_as_their_longest_line() -> None:
    rows = [("name", "of", "last"), ("a", "12\n(3 of 4)", "x"), ("longer", "5")]
    assert aligned(rows, align="<><", gap=" | ", indent="- ") == [
        "- name   |       of | last",
        "- a      |       12 | x",
        "-        | (3 of 4) |",
        "- longer |        5",
    ]
    assert aligned([("a", 1)], widths=(3, 4), gap="") == ["a     1"]
    assert aligned([]) == []


OTHERS = ("tables.py", "progress.py", "c_header.py", "fortran_module.py")
"""Modules that align text by themselves: the tables, the columns of progress bars, and comments in generated code."""


def test_no_module_aligns_a_table_by_itself() -> None:
    by_width = re.compile(r"\.[lr]just\((?!\w+, b\")|\{[^{}]*:[<>]\{?\w+\}?[^{}]*\}")  # bytes may be padded
    others = {
        str(path.relative_to(REPO)): by_width.findall(path.read_text(encoding="utf-8"))
        for path in sorted((REPO / "sciml").rglob("*.py"))
        if path.name not in OTHERS
    }
    assert {path: widths for path, widths in others.items() if widths} == {}
