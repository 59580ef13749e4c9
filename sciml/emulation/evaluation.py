"""Scores of an emulator of a declared scheme on pairs that it was not trained on."""

from __future__ import annotations

from dataclasses import dataclass

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


def evaluate(emulator: SchemeEmulator, pairs: xr.Dataset) -> Scores:
    """Compare an emulator with the scheme.

    Parameters
    ----------
    emulator
        The emulator.
    pairs
        Inputs and outputs of the scheme, of any number of levels.

    Raises
    ------
    InputError, MissingVariable
        As `sciml.emulation.open_pairs`.
    """
    scheme = emulator.scheme
    truth = check_pairs(pairs, scheme)
    made = emulator(truth)
    r2, bias = {}, {}
    for name in scheme.output_names:
        true, error = truth[name].values, made[name].values - truth[name].values
        variance = float(np.var(true))
        r2[name] = 1.0 - float(np.mean(error**2)) / variance if variance else float("nan")
        size = float(np.sqrt(np.mean(true**2)))
        bias[name] = float(np.mean(error)) / size if size else float("nan")
    whole = truth[list(scheme.input_names)].merge(made)
    closure = {
        name: float(np.max(np.abs(residual) / np.maximum(size, 1e-300)))
        for name, (residual, size) in residuals(scheme, whole).items()
    }
    least = {}
    for field in (f for f in scheme.outputs if f.nonnegative):
        after = whole[field.tendency_of] + whole[scheme.step] * whole[field.name]
        least[field.tendency_of] = float(after.min())
    return Scores(truth.sizes["column"], r2, bias, closure, least)
