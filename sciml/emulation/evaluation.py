"""Scores of an emulator of a declared scheme on pairs that it was not trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from sciml.emulation.emulator import SchemeEmulator
from sciml.emulation.pairs import check_pairs
from sciml.emulation.training import residuals
from sciml.tables import aligned

__all__ = ["Scores", "evaluate"]


@dataclass(frozen=True)
class Scores:
    """Scores of an emulator; the repr is a table.

    Attributes
    ----------
    columns
        Number of columns.
    r2
        Coefficient of determination of each output.
    bias
        Mean error of each output over the root mean square of the truth.
    closure
        Largest residual of each closure over the size of its terms.
    least
        Least value of each quantity that must not become negative, after the step, in its units.
    """

    columns: int
    r2: dict[str, float]
    bias: dict[str, float]
    closure: dict[str, float]
    least: dict[str, float]

    def __repr__(self) -> str:
        rows = [(name, f"{self.r2[name]:.4f}", f"{self.bias[name]:+.4f}") for name in self.r2]
        lines = [
            f"Scores of {self.columns} columns",
            *aligned([("output", "R2", "bias"), *rows], indent="  "),
        ]
        lines += [f"  closure {name}: largest residual {value:.1e}" for name, value in self.closure.items()]
        lines += [f"  least {name} after the step: {value:.1e}" for name, value in self.least.items()]
        return "\n".join(lines)


def evaluate(emulator: SchemeEmulator, pairs: xr.Dataset | Sequence[xr.Dataset]) -> Scores:
    """Compare an emulator with the scheme.

    Parameters
    ----------
    emulator
        The emulator.
    pairs
        Inputs and outputs of the scheme, of any number of levels, or several such datasets, scored together.

    Raises
    ------
    InputError, MissingVariable
        As `sciml.emulation.open_pairs`.
    """
    scheme = emulator.scheme
    given = [pairs] if isinstance(pairs, xr.Dataset) else list(pairs)
    truths = [check_pairs(dataset, scheme) for dataset in given]
    wholes = [truth[list(scheme.input_names)].merge(emulator(truth)) for truth in truths]
    r2, bias = {}, {}
    for name in scheme.output_names:
        true = _values(truths, name)
        error = _values(wholes, name) - true
        variance = float(np.var(true))
        r2[name] = 1.0 - float(np.mean(error**2)) / variance if variance else float("nan")
        size = float(np.sqrt(np.mean(true**2)))
        bias[name] = float(np.mean(error)) / size if size else float("nan")
    closure: dict[str, float] = {}
    least: dict[str, float] = {}
    for whole in wholes:
        for name, (residual, terms) in residuals(scheme, whole).items():
            worst = float(np.max(np.abs(residual) / np.maximum(terms, 1e-300)))
            closure[name] = max(worst, closure.get(name, 0.0))
        for field in (f for f in scheme.outputs if f.nonnegative):
            after = float((whole[field.tendency_of] + whole[scheme.step] * whole[field.name]).min())
            least[field.tendency_of] = min(after, least.get(field.tendency_of, np.inf))
    return Scores(sum(truth.sizes["column"] for truth in truths), r2, bias, closure, least)


def _values(datasets: Sequence[xr.Dataset], name: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return the values of a variable of all datasets, in one dimension."""
    return np.concatenate([dataset[name].values.ravel() for dataset in datasets])
