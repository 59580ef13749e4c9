"""Perturbed columns as datasets, for algorithms that are not networks in torch, such as the native library."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import torch
import xarray as xr
from torch import Tensor

from sciml.constants import DAY
from sciml.convection.perturbation import FALLING, GRAMS, SoundingState, profiles_of
from sciml.convection.physics import sounding_of
from sciml.convection.problem import Convection, ConvectionSolution
from sciml.solve import Algorithm, init, solve

__all__ = ["PerturbedColumns"]


@dataclass(frozen=True)
class PerturbedColumns(SoundingState):
    """Outputs of an algorithm as a function of the temperature and vapour of columns, without derivatives.

    Attributes
    ----------
    algorithm
        Any algorithm for `sciml.convection.Convection`, such as `sciml.coupling.FortranEmulator`.
    state
        Its state, for columns of this number of levels.
    problem
        Unperturbed columns.
    sounding
        The same as tensors.

    Notes
    -----
    It is a `sciml.analysis.Function` like `sciml.convection.perturbation.Perturbed`, with the same outputs.
    """

    algorithm: Algorithm[Convection, Any, ConvectionSolution]
    state: Any
    problem: Convection

    @classmethod
    def of(
        cls, algorithm: Algorithm[Convection, Any, ConvectionSolution], columns: xr.Dataset
    ) -> PerturbedColumns:
        """Make the function of an algorithm and of columns.

        Raises
        ------
        InputError
            The algorithm does not accept the columns, or they are of different runs.
        """
        problem = Convection(columns).single()
        return cls(sounding_of(problem.columns), algorithm, init(problem, algorithm), problem)

    def __call__(self, points: Tensor) -> Tensor:
        """Compute the tendencies of perturbed columns, (copy, column, 2 level + 2), as `Perturbed` does."""
        profiles, surface = profiles_of(self.sounding, points)
        columns = xr.Dataset(
            {
                **{name: (("column", "level"), x.numpy()) for name, x in profiles.items()},
                **{name: ("column", x.numpy()) for name, x in surface.items()},
            },
            attrs=self.problem.columns.attrs,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about perturbed columns that are unlike those of the training
            solution = solve(Convection(columns), self.algorithm, state=self.state)
        out = {
            name: torch.from_numpy(solution.outputs[name].values.astype("float64"))
            for name in ("RTHCUTEN", "RQVCUTEN", "PRATEC", *FALLING)
        }
        mass = profiles["RHO"] * profiles["DZ8W"]
        water = sum((mass * out[name] for name in FALLING), torch.zeros_like(mass)).sum(1)
        heating = out["RTHCUTEN"] * profiles["PI_PHY"]
        rows = [heating, GRAMS * out["RQVCUTEN"], out["PRATEC"][:, None], water[:, None]]
        return DAY * torch.cat(rows, 1).reshape(*points.shape[:-1], -1)
