"""The honest findings, reproduced: where a coefficient-blind or learned operator loses to plain multigrid.

Three tables: a coefficient-blind multigrid layer as a preconditioner of Darcy flow; a prediction as an initial guess; a
linear layer whose kernels were learned for speed, and what that does to its symmetry.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Final, final

import numpy as np
import scipy.sparse.linalg as spla
from numpy.typing import NDArray

from sciml.pde.elliptic import Darcy, Poisson, discretize
from sciml.pde.grid import Grid
from sciml.pde.random_fields import TwoPhase
from sciml.pde.system import System
from sciml.verify.html_report import Chapter, table
from sciml.verify.operator.evaluation import Table, number
from sciml.verify.operator.iterations import Apply, conjugate_gradients, from_starts, jacobi, mean
from sciml.verify.operator.learned_layer import learned_layer
from sciml.verify.operator.tables import iteration_table, start_table

__all__ = ["Findings", "blind", "chapters", "guesses", "reproduce"]

Array = NDArray[np.float64]
KINDS: Final[Mapping[str, TwoPhase]] = {
    "smooth, contrast 4": TwoPhase(3, 12),
    "rough, contrast 6": TwoPhase(2, 12, tau=20**0.5),
}
OFF: Final = 0.0245
"""Relative L2 error of the stand-ins: that of the official MgNO after ten epochs on 1024 problems."""
ENERGY: Final = 0.157
"""And the relative energy error of the rough one."""
SAID: Final = {
    "blind": "A linear multigrid layer with constant kernels cannot hold a variable coefficient. The Poisson cycle "
    "that it can be needs several times the iterations of multigrid built on the actual matrix, more the larger the "
    "contrast; scaling it by 1/sqrt(a) before and after, which looks like the remedy, is worse where a jumps. The "
    "coefficient must enter the layer.",
    "guesses": "A prediction that is right to some per cent saves about one iteration of multigrid-CG: a residual "
    "weighs the fine errors most, and those are what a network leaves. One multigrid cycle takes most of them away.",
    "learned": "Learning its kernels makes a linear layer contract several times faster, but it is no longer "
    "symmetric. GMRES and flexible conjugate gradients take that; the usual conjugate gradients rely on symmetry and "
    "need more iterations than those.",
}


@final
@dataclasses.dataclass(frozen=True, repr=False)
class Findings:
    """The three tables' numbers: ``blind``, ``guesses``, ``learned``; and the settings they were found with."""

    scores: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """The numbers as a dict that `json.dump` takes."""
        return dict(self.scores)

    def tables(self) -> dict[str, list[Table]]:
        """By finding."""
        return {
            "blind": [_blind_table(self.scores["blind"])],
            "guesses": [
                start_table(self.scores["guesses"], "Initial guesses"),
                iteration_table(
                    self.scores["guesses"], "residual", "Iterations until the residual is 1e-8 of b"
                ),
                iteration_table(self.scores["guesses"], "l2", "Iterations until the L2 error is 1e-4"),
            ],
            "learned": [_learned_table(self.scores["learned"])],
        }

    def __str__(self) -> str:
        parts = [text for name, found in self.tables().items() for text in [*map(str, found), SAID[name]]]
        return "\n\n".join(parts)

    __repr__ = __str__


def chapters(found: Findings) -> list[Chapter]:
    """For a page."""
    titles = {
        "blind": "Constant kernels and a variable coefficient",
        "guesses": "Predictions as initial guesses",
        "learned": "A learned layer and symmetry",
    }
    return [
        Chapter.of(
            titles[name],
            f"<p>{SAID[name]}</p>",
            *(table(one.caption, one.head, one.rows) for one in tables),
        )
        for name, tables in found.tables().items()
    ]


def reproduce(
    *, resolution: int = 63, samples: int = 4, seed: int = 7, operator: Any = None, steps: int = 250
) -> Findings:
    """Find them again.

    Parameters
    ----------
    resolution
        Unknowns along an axis of the Darcy problems; the first table has twice as many too.
    samples
        Problems of each kind.
    seed
        Of the problems, the stand-ins' errors and the training.
    operator
        A `sciml.operators.TrainedOperator` for Darcy flow, shown among the initial guesses.
    steps
        Of the training of the linear layer.
    """
    return Findings(
        {
            "resolution": resolution,
            "samples": samples,
            "seed": seed,
            "blind": blind(resolution, samples, seed),
            "guesses": guesses(resolution, samples, seed, operator),
            "learned": learned_layer(steps=steps, seed=seed),
        }
    )


def blind(resolution: int, samples: int, seed: int) -> dict[str, dict[str, Any]]:
    """Conjugate gradients to 1e-8 with a coefficient-blind cycle, against what knows the matrix (mgno, section 5c).

    Returns
    -------
    dict
        By problem and preconditioner, mean `Counts`.
    """
    found = {}
    cases = [(name, resolution) for name in KINDS] + [("smooth, contrast 4", 2 * resolution + 1)]
    for name, n in cases:
        poisson = _hierarchy(discretize(Poisson(n)))
        counted = []
        for number_ in range(samples):
            problem = Darcy(n, KINDS[name], seed=seed + number_)
            counted.append(_counted(discretize(problem), problem.coefficient_field().ravel(), poisson))
        found[f"{name}, {n} x {n}"] = mean(counted)
    return found


def _counted(system: System, coefficient: Array, poisson: Any) -> dict[str, dict[str, int | None]]:
    root = np.sqrt(coefficient)

    def scaled(r: Array) -> Array:
        return np.asarray(poisson.cycle(r / root) / root)

    tried: dict[str, Apply | None] = {
        "nothing": None,
        "the diagonal": jacobi(system),
        "a Poisson cycle": poisson.cycle,
        "Poisson between 1/sqrt(a)": scaled,
        "SA": _hierarchy(system, "smoothed_aggregation").cycle,
        "RS": _hierarchy(system).cycle,
    }
    return {name: conjugate_gradients(system, None, by, limit=5000).to_json() for name, by in tried.items()}


def _hierarchy(system: System, method: Any = "ruge_stuben") -> Any:
    from sciml.multigrid import AMG

    return AMG(method).init(system)


def guesses(resolution: int, samples: int, seed: int, operator: Any = None) -> dict[str, dict[str, Any]]:
    """What an initial guess saves (mgno, section 5e), for stand-ins of a known error and an operator if given.

    The stand-ins are the solution with errors added: one of every frequency, as rough as a convolutional network's, and
    one of low frequencies only.

    Returns
    -------
    dict
        By start, as `from_starts`, means over samples.
    """
    kept = []
    for number_ in range(samples):
        problem = Darcy(resolution, KINDS["smooth, contrast 4"], seed=seed + number_)
        system = discretize(problem)
        exact = np.asarray(spla.spsolve(system.matrix.tocsc(), system.rhs), np.float64)
        generator = np.random.default_rng([seed, number_])
        starts = {
            "zero": 0.0 * exact,
            f"rough stand-in, {OFF:.2%} off": exact + rough_error(system, exact, generator),
            f"smooth stand-in, {OFF:.2%} off": exact + smooth_error(system.grid, exact, generator),
        }
        if operator is not None:
            starts["the operator"] = _asked(operator, problem)
        hierarchy = _hierarchy(system)
        methods: dict[str, Apply | None] = {
            "none": None,
            "diagonal": jacobi(system),
            "SA": _hierarchy(system, "smoothed_aggregation").cycle,
            "RS": hierarchy.cycle,
        }
        kept.append(from_starts(system, exact, starts, methods, hierarchy.cycle))
    found: dict[str, dict[str, Any]] = mean(kept)
    return found


def _asked(operator: Any, problem: Darcy) -> Array:
    from sciml.operators import Neural
    from sciml.solve import solve

    values = solve(problem, Neural(operator)).u.values
    return np.asarray(values, np.float64).ravel()


def smooth_error(grid: Grid, exact: Array, generator: np.random.Generator) -> Array:
    """An error of the lowest four waves along each axis, `OFF` of the solution in L2."""
    x, y = grid.mesh()
    error = np.zeros(grid.shape)
    for k in range(1, 5):
        for j in range(1, 5):
            error += generator.normal() * np.sin(k * np.pi * x) * np.sin(j * np.pi * y)
    return np.asarray(error.ravel() * (OFF * np.linalg.norm(exact) / np.linalg.norm(error)))


def rough_error(system: System, exact: Array, generator: np.random.Generator) -> Array:
    """A smooth error with white noise in it, `OFF` of the solution in L2 and `ENERGY` in the energy norm."""
    low = smooth_error(system.grid, exact, generator)
    noise = generator.normal(size=exact.size)
    noise *= np.linalg.norm(low) / np.linalg.norm(noise)
    size, aim = np.linalg.norm(low), ENERGY * system.energy(exact)

    def mixed(share: float) -> Array:
        both = (1 - share) * low + share * noise
        return np.asarray(both * size / np.linalg.norm(both))

    under, over = 0.0, 1.0
    for _ in range(50):  # the energy grows with the share of noise
        middle = (under + over) / 2
        under, over = (middle, over) if system.energy(mixed(middle)) < aim else (under, middle)
    return mixed(over)


def _blind_table(found: Mapping[str, Any]) -> Table:
    names = list(next(iter(found.values())))
    rows = [[problem, *(_count(counts[by]) for by in names)] for problem, counts in found.items()]
    return Table("Iterations of conjugate gradients to 1e-8, preconditioned by", ["Darcy flow", *names], rows)


def _count(one: Mapping[str, Any]) -> str:
    return "> {:.0f}".format(one["limit"]) if one["residual"] is None else f"{one['residual']:.1f}"


def _learned_table(found: Mapping[str, Any]) -> Table:
    names: dict[str, tuple[str, Callable[[Any], str]]] = {
        "contraction": ("contraction of a cycle", number),
        "asymmetry": ("defect of symmetry", lambda x: number(x, ".1e")),
        "gmres": ("GMRES iterations", _whole),
        "cg": ("CG iterations", _whole),
        "flexible_cg": ("flexible CG", _whole),
    }
    rows = [
        [name, *(form(one[key]) for key, (_, form) in names.items())] for name, one in found["layers"].items()
    ]
    caption = f"One linear layer on Poisson, {found['resolution']} x {found['resolution']}, to 1e-8"
    return Table(caption, ["kernels", *(said for said, _ in names.values())], rows)


def _whole(count: float | None) -> str:
    return "no convergence" if count is None else f"{count:.0f}"
