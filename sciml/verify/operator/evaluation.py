"""Results of an evaluation of an operator: numbers and tables."""

from __future__ import annotations

import dataclasses
import html
from collections.abc import Mapping
from typing import Any, Final, final

import xarray as xr

from sciml.tables import Table, html_table, number
from sciml.verify.operator.norms import NORMS

__all__ = ["DEFINITIONS", "PdeEvaluation"]

DEFINITIONS: Final[Mapping[str, str]] = {
    **NORMS,
    "frequency": "the error expanded in the sines and cosines of the boundary conditions, in "
    "octaves of wave number (half-"
    "waves across the longer side); relative error within each octave, and its share of the whole "
    "squared error",
    "levels": "the error split by energy-orthogonal projections onto the levels of the algebraic "
    "multigrid hierarchy of the "
    "problem; level 0 is the part that only the finest level can remove",
    "resolutions": "the same random fields, drawn and solved at other resolutions; ratios to the errors "
    "at the resolution of the data; smoothed: after 3 steps of conjugate gradients with the known matrix; the truths "
    "of the data, interpolated, are the answer of an operator without error that sees no finer inputs",
    "baselines": "the same errors of predictions that need no training: zero, the mean of the truths, "
    "multigrid cycles from "
    "zero, and as many cycles as take the time of one prediction",
    "iterations": "from zero and from the prediction, until the residual is 1e-8 of b, or the error "
    "in L2 or energy 1e-4; "
    "conjugate gradients (CG) without preconditioner, with the diagonal, with smoothed aggregation "
    "and with Ruge-Stüben "
    "cycles, and plain Ruge-Stüben cycles",
    "as preconditioner": "flexible conjugate gradients from zero with the operator applied to each residual",
    "certified": "cycles until the guaranteed bound of the energy error is under rtol of the "
    "solution's energy",
    "effectivity": "the guaranteed bound over the true error in the energy norm: an upper bound "
    "below 1 would be false; the "
    "bound is of the algebraic error, not of the discretisation",
    "time": "wall-clock seconds on this machine, the smallest of a few: one prediction alone, one "
    "within a batch, and "
    "multigrid-preconditioned conjugate gradients to 1e-8 for the same problem, set-up included",
    "rollout": "the operator applied to its own predictions from the first field on; relative L2 error of "
    "each step",
}
"""Definitions of the names in the tables and in the JSON file."""


@final
@dataclasses.dataclass(frozen=True, repr=False)
class PdeEvaluation:
    """Errors of one operator on one dataset, and their effect on a multigrid solver. ``print`` shows tables.

    Attributes
    ----------
    model, data
        Names of the operator and of the dataset.
    scores
        Every number, nested as in the JSON file: ``relative_l2``, ``relative_h1``, ``relative_h1_truncated`` and
        ``residual`` are means over samples; ``norms`` has their spread; ``resolutions``, ``frequency``, ``levels``,
        ``baselines``, ``iterations``, ``preconditioner``, ``certified``, ``time``, ``rollout`` where they are defined,
        and ``absent``, the reasons for missing scores.
    samples
        Each norm by ``sample``.
    fields
        The sample of median relative L2 error, dims (y, x): its inputs, ``truth``, ``prediction``; of a known problem
        ``error_density`` and ``bound_density``; attrs ``sample``, ``error``, ``lower`` and ``upper`` (energy norm).
    """

    model: str
    data: str
    scores: Mapping[str, Any]
    samples: xr.Dataset
    fields: xr.Dataset

    def to_json(self) -> dict[str, Any]:
        """Return the numbers as a dict for `json.dump`."""
        return {"model": self.model, "data": self.data, **self.scores}

    def headline(self) -> list[str]:
        """Return the lines above the tables."""
        scores = self.scores
        parts = [f"relative L2 {number(scores['relative_l2'])}, H1 {number(scores['relative_h1'])}"]
        parts.append(f"(official truncated “H1” {number(scores['relative_h1_truncated'])})")
        if scores["residual"] is not None:
            parts.append(f", residual {number(scores['residual'])}")
        return [
            f"{self.model} on {self.data}",
            f"{scores['samples']:,} {'steps' if scores.get('rollout') else 'samples'} on "
            f"{scores['grid_text']}; means: " + " ".join(parts).replace(" ,", ","),
            *scores.get("trained_on", ()),
            *([f"the truths on Dirichlet sides: {scores['sides']}"] if scores.get("sides") else []),
            *([f"caution: {scores['caution']}"] if scores.get("caution") else []),
        ]

    def tables(self) -> list[Table]:
        """Return the tables of the available scores."""
        from sciml.verify.operator import tables as pde_tables

        return pde_tables.tables(self.scores)

    def __str__(self) -> str:
        absent = [f"missing: {what}: {why}" for what, why in self.scores["absent"].items()]
        return "\n".join(
            [*self.headline(), *(f"\n{table}" for table in self.tables()), *([""] if absent else []), *absent]
        )

    __repr__ = __str__

    def _repr_html_(self) -> str:
        tables = "".join(html_table(table.caption, table.rows, head=table.head) for table in self.tables())
        return f"<p>{'<br>'.join(html.escape(line) for line in self.headline())}</p>{tables}"
