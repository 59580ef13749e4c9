"""Solution of a problem with a guaranteed error, compared with a start from zero and with the exact solution."""

from __future__ import annotations

import dataclasses
import html
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, final

import numpy as np
from matplotlib.figure import Figure

from sciml import plot
from sciml.errors import InputError
from sciml.pde.elliptic import discretize
from sciml.pde.solution import FieldSolution
from sciml.pde.system import System
from sciml.plot.fields import Panel
from sciml.tables import Table, number
from sciml.verify.html_report import Chapter, Picture, drawn, table
from sciml.verify.operator.error_bounds import energy_density
from sciml.verify.operator.planes import middle_plane

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["Certificate", "certify"]

ROUNDING = 1e-12
"""Smallest valid bound for float64, because the bound assumes exact arithmetic; as in `Corrected`."""


@final
@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Certificate:
    """A solution with its guaranteed bound, and the solutions for comparison.

    Attributes
    ----------
    name
        Name of the problem.
    solution
        Solution by `Corrected`.
    from_zero
        Solution by `Corrected` from zero; None if ``solution`` had no prediction.
    true_error
        Relative error in the energy norm, with sparse LU as the reference; None without a check.
    density
        Spatial density of that error, (y, x), or None.
    """

    name: str
    solution: FieldSolution
    from_zero: FieldSolution | None
    true_error: float | None
    density: np.ndarray[Any, Any] | None

    @property
    def bound(self) -> float:
        """Guaranteed error in the energy norm, relative to the norm of the solution."""
        return float(self.solution.stats["relative_bound"])

    def to_json(self) -> dict[str, Any]:
        """Return the numbers as a dict for `json.dump`."""
        content: dict[str, Any] = {
            "problem": self.name,
            "result": self.solution.result.name,
            "relative_bound": self.bound,
            "error_bound": self.solution.error_bound,
            "true_error": self.true_error,
            **{key: float(value) for key, value in self.solution.stats.items()},
        }
        if self.from_zero is not None:
            content["from_zero"] = {key: float(value) for key, value in self.from_zero.stats.items()}
        return content

    def table(self) -> Table:
        """Compare the solution from the prediction with the solution from zero."""
        both = {"from the prediction": self.solution, "from zero": self.from_zero}
        if self.from_zero is None:
            both = {"from zero": self.solution}
        rows = [
            [
                name,
                f"{solution.stats['cycles']:.0f}",
                number(solution.stats.get("prediction_error")),
                number(solution.stats["relative_bound"]),
                f"{1e3 * solution.stats['seconds']:.1f}",
                f"{1e3 * solution.stats['seconds_setup']:.1f}",
            ]
            for name, solution in both.items()
            if solution is not None
        ]
        head = ["start", "cycles", "error of the start (energy)", "final bound", "ms", "ms of set-up"]
        return Table(f"{self.name}: certified", head, rows)

    def lines(self) -> list[str]:
        """Describe the bound and the error in sentences."""
        what = number(max(self.bound, ROUNDING)) + (" (rounding)" if self.bound < ROUNDING else "")
        sentences = [f"The energy error is guaranteed to be at most {what} of the solution's energy norm."]
        if self.true_error is not None:
            sentences.append(f"With sparse LU as the reference it is {number(self.true_error)}.")
        return sentences

    def __str__(self) -> str:
        return "\n".join([str(self.solution), "", str(self.table()), "", *self.lines()])

    def chapter(self) -> Chapter:
        """Return the chapter of a report page."""
        u = self.solution.u
        shown = {"solution": middle_plane(u)}
        if self.density is not None:
            shown["true error"] = middle_plane(u.copy(data=np.reshape(self.density, u.shape)))
        figure = self._figure(shown)
        paragraphs = "".join(f"<p>{html.escape(line)}</p>" for line in self.lines())
        summary = self.table()
        caption = "The certified solution" + (", and the density of its error." if len(shown) > 1 else ".")
        picture = drawn(Picture("certified", figure, caption, f"The solution of {self.name}"))
        return Chapter.of(
            "One problem, certified", paragraphs, table(summary.caption, summary.head, summary.rows), picture
        )

    @staticmethod
    def _figure(shown: Mapping[str, xr.DataArray]) -> Figure:
        """Draw the solution and its error on a plane, or as curves on a line."""
        u = shown["solution"]
        x = u["x"].values
        if u.ndim == 1:
            lines = {name: values.values.tolist() for name, values in shown.items()}
            return plot.curves(x, lines, xlabel="x", ylabel="u")
        fields = [Panel("solution", u.values, label="u")]
        if "true error" in shown:
            fields.append(Panel("true error", shown["true error"].values, "log", "sqrt(energy per area)"))
        y = u["y"].values
        return plot.panels(fields, x, y, columns=2, lengths=(float(y[-1] + y[0]), float(x[-1] + x[0])))


def certify(
    problem: Any, neural: Any = None, *, rtol: float = 1e-6, check: bool = False, name: str = "problem"
) -> Certificate:
    """Solve a problem with `Corrected` from a prediction and from zero.

    Parameters
    ----------
    problem
        Problem with a symmetric definite system.
    neural
        `Neural`, or None to start from zero only.
    rtol
        Tolerance of the energy error, relative to the energy norm of the solution.
    check
        Whether to solve also with sparse LU and compute the true error.
    name
        Name of the problem in tables.

    Returns
    -------
    Certificate
        The solutions with their guaranteed bounds.

    Raises
    ------
    SolveFailed
        The bound did not become small enough.
    InputError
        The problem has no energy norm, or the operator does not accept it.

    Examples
    --------
    >>> from sciml.pde.elliptic import Poisson
    >>> certificate = certify(Poisson(15), rtol=1e-8, check=True)
    >>> certificate.true_error <= certificate.bound <= 1e-8
    True
    """
    from sciml.operators import Corrected
    from sciml.solve import solve

    if not hasattr(problem, "terms"):
        raise InputError(f"a {type(problem).__name__} is stepped in time: there is no system to certify")
    # The first solve of a process also loads libraries; the time of the second is compared.
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
        true_error = system.energy(e) / (size or 1.0)  # a zero solution has no relative error
        density = energy_density(system, e)
    return Certificate(name, solution, from_zero, true_error, density)
