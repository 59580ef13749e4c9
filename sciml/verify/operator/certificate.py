"""One problem solved to a guaranteed error, beside the same from zero and, if asked, the exact solution."""

from __future__ import annotations

import dataclasses
import html
from typing import Any, final

import numpy as np

from sciml import plot
from sciml.errors import InputError
from sciml.pde.elliptic import discretize
from sciml.pde.solution import FieldSolution
from sciml.pde.system import System
from sciml.plot.fields import Panel
from sciml.verify.html_report import Chapter, Picture, drawn, table
from sciml.verify.operator.error_bounds import energy_density
from sciml.verify.operator.evaluation import Table, number

__all__ = ["Certificate", "certify"]

ROUNDING = 1e-12
"""The bound is of exact arithmetic: below this nothing is said of an answer in float64, as in `Corrected`."""


@final
@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Certificate:
    """A solution with its guaranteed bound, and what it is compared with.

    Attributes
    ----------
    name
        Of the problem.
    solution
        By `Corrected`.
    from_zero
        The same without a prediction, or None where there was none.
    true_error
        Relative, in the energy norm, against sparse LU; None where nobody asked.
    density
        Where that error lies, (y, x), or None.
    """

    name: str
    solution: FieldSolution
    from_zero: FieldSolution | None
    true_error: float | None
    density: np.ndarray[Any, Any] | None

    @property
    def bound(self) -> float:
        """The guaranteed error in energy, relative to the solution's."""
        return float(self.solution.stats["relative_bound"])

    def to_json(self) -> dict[str, Any]:
        """The numbers as a dict that `json.dump` takes."""
        told: dict[str, Any] = {
            "problem": self.name,
            "result": self.solution.result.name,
            "relative_bound": self.bound,
            "error_bound": self.solution.error_bound,
            "true_error": self.true_error,
            **{key: float(value) for key, value in self.solution.stats.items()},
        }
        if self.from_zero is not None:
            told["from_zero"] = {key: float(value) for key, value in self.from_zero.stats.items()}
        return told

    def table(self) -> Table:
        """Beside each other: from the prediction, and from zero."""
        both = {"from the prediction": self.solution, "from zero": self.from_zero}
        if self.from_zero is None:
            both = {"from zero": self.solution}
        rows = [
            [
                name,
                f"{one.stats['cycles']:.0f}",
                number(one.stats.get("prediction_error")),
                number(one.stats["relative_bound"]),
                f"{1e3 * one.stats['seconds']:.1f}",
                f"{1e3 * one.stats['seconds_setup']:.1f}",
            ]
            for name, one in both.items()
            if one is not None
        ]
        head = ["start", "cycles", "its error (energy)", "bound at the end", "ms", "ms of set-up"]
        return Table(f"{self.name}: certified", head, rows)

    def lines(self) -> list[str]:
        """What it says in words."""
        what = number(max(self.bound, ROUNDING)) + (" (rounding)" if self.bound < ROUNDING else "")
        said = [f"The energy error is guaranteed to be at most {what} of the solution's energy norm."]
        if self.true_error is not None:
            said.append(f"Against sparse LU it is {number(self.true_error)}.")
        return said

    def __str__(self) -> str:
        return "\n".join([str(self.solution), "", str(self.table()), "", *self.lines()])

    def chapter(self) -> Chapter:
        """For a page."""
        u = self.solution.u
        fields = [Panel("solution", u.values, label="u")]
        if self.density is not None:
            fields.append(Panel("true error", self.density, "log", "sqrt(energy per area)"))
        y, x = u["y"].values, u["x"].values
        figure = plot.panels(fields, x, y, columns=2, lengths=(float(y[-1] + y[0]), float(x[-1] + x[0])))
        told = "".join(f"<p>{html.escape(line)}</p>" for line in self.lines())
        found = self.table()
        caption = "The certified solution" + (
            ", and where what is still wrong lies." if len(fields) > 1 else "."
        )
        picture = drawn(Picture("certified", figure, caption, f"The solution of {self.name}"))
        return Chapter.of(
            "One problem, certified", told, table(found.caption, found.head, found.rows), picture
        )


def certify(
    problem: Any, neural: Any = None, *, rtol: float = 1e-6, check: bool = False, name: str = "problem"
) -> Certificate:
    """Solve a problem with `Corrected`, and again from zero to compare.

    Parameters
    ----------
    problem
        Symmetric definite.
    neural
        `Neural`, or None to begin from zero only.
    rtol
        Of the energy error, relative to the solution's energy norm.
    check
        Solve by sparse LU too.
    name
        Of the problem, in tables.

    Raises
    ------
    SolveFailed
        The bound did not become small enough.
    InputError
        A problem without an energy norm, or one that the operator cannot take.

    Examples
    --------
    >>> from sciml.pde.elliptic import Poisson
    >>> found = certify(Poisson(15), rtol=1e-8, check=True)
    >>> found.true_error <= found.bound <= 1e-8
    True
    """
    from sciml.operators import Corrected
    from sciml.solve import solve

    if not hasattr(problem, "terms"):
        raise InputError(f"a {type(problem).__name__} is stepped in time: there is no system to certify")
    # From zero first: the first solve of a process also loads libraries, which would be counted.
    zero = solve(problem, Corrected(None, rtol=rtol), throw=neural is None)
    solution = zero if neural is None else solve(problem, Corrected(neural, rtol=rtol))
    from_zero = None if neural is None else zero
    true_error = density = None
    if check:
        from sciml.pde.direct import Direct

        system: System = discretize(problem)
        exact = solve(problem, Direct()).u.values.ravel()
        e = solution.u.values.ravel() - exact
        size = system.energy(exact)
        true_error = system.energy(e) / (
            size or 1.0
        )  # a source of zero: of a solution of zero there is no share
        density = energy_density(system, e)
    return Certificate(name, solution, from_zero, true_error, density)
