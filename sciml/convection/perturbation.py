"""Columns whose temperature and vapour are moved and whose pressure stays: convection as a function of a sounding.

Perturbed is the state that a hydrostatic model in pressure coordinates would have: each layer keeps its pressures,
so its mass and its Exner function; its density follows from temperature and vapour, its thickness from mass over
density, and the heights of all layers above move with it. Wind, vertical velocity (W0AVG) and surface stay.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import torch
from torch import Tensor

from sciml.convection.emulator import Emulator, physics, sounding_of
from sciml.convection.network import Closure
from sciml.convection.problem import Convection
from sciml.convection.sounding import Sounding
from sciml.wrf.diagnostics import RD, RV

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["DAY", "GRAMS", "Perturbed"]

DAY: Final = 86400.0
GRAMS: Final = 1000.0
_FIXED: Final = {"U_PHY": "u", "V_PHY": "v", "P_HYD": "p", "PI_PHY": "pi", "W0AVG": "w"}
_SURFACE: Final = {"ZOL": "zol", "HFX": "hfx", "UST": "ust", "PBLH": "pblh"}
_WATER: Final = ("RQCCUTEN", "RQRCUTEN", "RQICUTEN", "RQSCUTEN")


def _specific_volume(t: Tensor, q: Tensor) -> Tensor:
    """Of moist air at a pressure, but for Rd / p: T (1 + Rv/Rd q) / (1 + q)."""
    return t * (1.0 + float(RV / RD) * q) / (1.0 + q)


@dataclass(frozen=True)
class Perturbed:
    """What an emulator answers to columns as a function of their temperature and vapour.

    Attributes
    ----------
    network
        In float64, on the emulator's device.
    sounding
        The columns as they are.

    Notes
    -----
    ``points`` is the state of the columns and a call answers any state of them: a `sciml.analysis.Function`.
    """

    emulator: Emulator
    network: Closure
    sounding: Sounding

    @classmethod
    def of(cls, emulator: Emulator, columns: xr.Dataset) -> Perturbed:
        """An emulator, computing in float64, on columns.

        Raises
        ------
        InputError
            Columns that it cannot take; see `sciml.convection.Convection` and `Emulator.init`.
        """
        emulator = replace(emulator, precision="float64")
        network = emulator.init(Convection(columns)).requires_grad_(False)
        device = next(network.parameters()).device
        return cls(emulator, network, sounding_of(columns, device))

    @property
    def points(self) -> Tensor:
        """Temperature (K) of all levels, then vapour (g/kg): (column, 2 level)."""
        return torch.cat([self.sounding.t, GRAMS * self.sounding.qv]).T.contiguous()

    @property
    def mass(self) -> Tensor:
        """Of each layer, (column, level), kg/m2; no perturbation changes it."""
        return (self.sounding.rho * self.sounding.dz).T

    def take(self, index: Tensor) -> Perturbed:
        """Some of the columns."""
        return replace(self, sounding=self.sounding.take(index))

    def __call__(self, points: Tensor) -> Tensor:
        """Tendencies of perturbed columns.

        Parameters
        ----------
        points
            (copy, column, 2 level): as many copies of all columns as wanted, as `points` has them.

        Returns
        -------
        Tensor
            (copy, column, 2 level + 2): dT/dt (K/day) and dq/dt (g/kg/day) by level, then rain and what
            becomes cloud and falling water in the column (mm/day).
        """
        s = self._moved(points)
        answer = points.new_zeros(len(s), points.shape[-1] + 2)
        known = physics(s, self.network.shape.levels)
        if known is not None:
            _, found = self.emulator.answer(known, self.network)
            mass = known.sounding.rho * known.sounding.dz
            water = sum((mass * found[name] for name in _WATER), torch.zeros_like(mass)).sum(0)
            heating = found["RTHCUTEN"] * known.sounding.pi
            rows = [heating, GRAMS * found["RQVCUTEN"], found["PRATEC"][None], water[None]]
            answer = answer.index_copy(0, known.index, DAY * torch.cat(rows).T)
        return answer.reshape(*points.shape[:-1], -1)

    def _moved(self, points: Tensor) -> Sounding:
        copies, s = points.shape[0], self.sounding
        t, q = points[..., : s.levels], points[..., s.levels :] / GRAMS
        larger = _specific_volume(t, q) / _specific_volume(s.t.T, s.qv.T)
        moved = {"T_PHY": t, "QVAPOR": q, "RHO": s.rho.T / larger, "DZ8W": s.dz.T * larger}
        fixed = {name: getattr(s, mine).T.expand(copies, -1, -1) for name, mine in _FIXED.items()}
        profiles = {name: x.reshape(-1, s.levels) for name, x in (fixed | moved).items()}
        surface = {name: getattr(s, mine).repeat(copies) for name, mine in _SURFACE.items()}
        return Sounding.of(profiles, surface, dx=s.dx, dt=s.dt, cudt=s.cudt)
