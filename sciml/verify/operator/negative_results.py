"""Negative results: problems for which plain multigrid is better than a coefficient-blind or learned operator.

Three tables: a coefficient-blind multigrid layer as a preconditioner of Darcy flow; a prediction as an initial guess; a
linear layer with learned kernels and the loss of its symmetry.
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
from sciml.tables import Table, number
from sciml.verify.html_report import Chapter, table
from sciml.verify.operator.iterations import Apply, conjugate_gradients, from_starts, jacobi, mean
from sciml.verify.operator.learned_layer import learned_layer
from sciml.verify.operator.tables import iteration_table, start_table

__all__ = ["Findings", "blind", "chapters", "guesses", "reproduce"]

Array = NDArray[np.float64]
MEDIA: Final[Mapping[str, TwoPhase]] = {
    "smooth, contrast 4": TwoPhase(3, 12),
    "rough, contrast 6": TwoPhase(2, 12, tau=20**0.5),
}
OFF: Final = 0.0245
"""Relative L2 error of the synthetic predictions, that of the official MgNO after ten epochs on 1024 problems."""
ENERGY: Final = 0.157
"""Relative energy error of the rough synthetic prediction."""
CONCLUSIONS: Final = {
    "blind": "A linear multigrid layer with constant kernels cannot represent a variable coefficient. At best it is a "
    "Poisson cycle, which needs several times the iterations of multigrid for the actual matrix, increasing with the "
    "contrast. Scaling by 1/sqrt(a) before and after the cycle is worse where a is discontinuous. The coefficient must "
    "be an input of the layer.",
    "guesses": "A prediction with an error of some per cent saves about one iteration of multigrid-CG: the residual "
    "is most sensitive to fine errors, which dominate the error of a network. One multigrid cycle removes most of "
    "them.",
    "learned": "Learning its kernels makes a linear layer contract several times faster, but it is no longer "
    "symmetric. GMRES and flexible conjugate gradients accept this; standard conjugate gradients assume symmetry and "
    "need more iterations.",
}


@final
@dataclasses.dataclass(frozen=True, repr=False)
class Findings:
    """Numbers of the three tables, ``blind``, ``guesses`` and ``learned``, with their settings."""

    scores: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Return the numbers as a dict for `json.dump`."""
        return dict(self.scores)

    def tables(self) -> dict[str, list[Table]]:
        """Return the tables by result."""
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
        parts = [
            text for name, tables in self.tables().items() for text in [*map(str, tables), CONCLUSIONS[name]]
        ]
        return "\n\n".join(parts)

    __repr__ = __str__


def chapters(results: Findings) -> list[Chapter]:
    """Return the chapters of a report page."""
    titles = {
        "blind": "Constant kernels and a variable coefficient",
        "guesses": "Predictions as initial guesses",
        "learned": "A learned layer and symmetry",
    }
    return [
        Chapter.of(
            titles[name],
            f"<p>{CONCLUSIONS[name]}</p>",
            *(table(content.caption, content.head, content.rows) for content in tables),
        )
        for name, tables in results.tables().items()
    ]


def reproduce(
    *, resolution: int = 63, samples: int = 4, seed: int = 7, operator: Any = None, steps: int = 250
) -> Findings:
    """Reproduce the results.

    Parameters
    ----------
    resolution
        Unknowns along an axis of the Darcy problems; the first table also has twice as many.
    samples
        Number of problems of each medium.
    seed
        Seed of the problems, of the errors of the synthetic predictions and of the training.
    operator
        A `sciml.operators.TrainedOperator` for Darcy flow as an additional initial guess.
    steps
        Number of training steps of the linear layer.
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
    """Count conjugate gradients to 1e-8 with coefficient-blind and other preconditioners (mgno, section 5c).

    Returns
    -------
    dict
        Mean `Counts` by problem and preconditioner.
    """
    results = {}
    cases = [(name, resolution) for name in MEDIA] + [("smooth, contrast 4", 2 * resolution + 1)]
    for name, n in cases:
        poisson = _hierarchy(discretize(Poisson(n)))
        counted = []
        for number_ in range(samples):
            problem = Darcy(n, MEDIA[name], seed=seed + number_)
            counted.append(_counted(discretize(problem), problem.coefficient_field().ravel(), poisson))
        results[f"{name}, {n} x {n}"] = mean(counted)
    return results


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
    """Compute the iterations that initial guesses save (mgno, section 5e).

    The synthetic predictions are the solution with an error: of every frequency, as rough as that of a convolutional
    network, and of low frequencies only.

    Returns
    -------
    dict
        Means over samples by start, as `from_starts`.
    """
    counts = []
    for number_ in range(samples):
        problem = Darcy(resolution, MEDIA["smooth, contrast 4"], seed=seed + number_)
        system = discretize(problem)
        exact = np.asarray(spla.spsolve(system.matrix.tocsc(), system.rhs), np.float64)
        generator = np.random.default_rng([seed, number_])
        starts = {
            "zero": 0.0 * exact,
            f"rough error of {OFF:.2%}": exact + rough_error(system, exact, generator),
            f"smooth error of {OFF:.2%}": exact + smooth_error(system.on_grid, exact, generator),
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
        counts.append(from_starts(system, exact, starts, methods, hierarchy.cycle))
    means: dict[str, dict[str, Any]] = mean(counts)
    return means


def _asked(operator: Any, problem: Darcy) -> Array:
    from sciml.operators import Neural
    from sciml.solve import solve

    values = solve(problem, Neural(operator)).u.values
    return np.asarray(values, np.float64).ravel()


def smooth_error(grid: Grid, exact: Array, generator: np.random.Generator) -> Array:
    """Return an error of the lowest four waves along each axis, `OFF` of the solution in L2."""
    x, y = grid.mesh()
    error = np.zeros(grid.shape)
    for k in range(1, 5):
        for j in range(1, 5):
            error += generator.normal() * np.sin(k * np.pi * x) * np.sin(j * np.pi * y)
    return np.asarray(error.ravel() * (OFF * np.linalg.norm(exact) / np.linalg.norm(error)))


def rough_error(system: System, exact: Array, generator: np.random.Generator) -> Array:
    """Return a smooth error with white noise, `OFF` of the solution in L2 and `ENERGY` in the energy norm."""
    low = smooth_error(system.on_grid, exact, generator)
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


def _blind_table(results: Mapping[str, Any]) -> Table:
    names = list(next(iter(results.values())))
    rows = [[problem, *(_count(counts[by]) for by in names)] for problem, counts in results.items()]
    return Table("Iterations of conjugate gradients to 1e-8, preconditioned by", ["Darcy flow", *names], rows)


def _count(counts: Mapping[str, Any]) -> str:
    return "> {:.0f}".format(counts["limit"]) if counts["residual"] is None else f"{counts['residual']:.1f}"


def _learned_table(results: Mapping[str, Any]) -> Table:
    names: dict[str, tuple[str, Callable[[Any], str]]] = {
        "contraction": ("contraction of a cycle", number),
        "asymmetry": ("asymmetry", lambda x: number(x, ".1e")),
        "gmres": ("GMRES iterations", _whole),
        "cg": ("CG iterations", _whole),
        "flexible_cg": ("flexible CG", _whole),
    }
    rows = [
        [name, *(form(layer[key]) for key, (_, form) in names.items())]
        for name, layer in results["layers"].items()
    ]
    caption = f"One linear layer on Poisson, {results['resolution']} x {results['resolution']}, to 1e-8"
    return Table(caption, ["kernels", *(label for label, _ in names.values())], rows)


def _whole(count: float | None) -> str:
    return "no convergence" if count is None else f"{count:.0f}"
