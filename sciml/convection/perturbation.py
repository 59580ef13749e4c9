"""Columns with perturbed temperature and vapour at fixed pressure: convection as a function of a sounding.

The perturbed state is that of a hydrostatic model in pressure coordinates: the pressures of each layer are unchanged,
and with them its mass and Exner function; its density follows from temperature and vapour, its thickness from mass and
density, and the heights of all layers above change with it. Wind, vertical velocity (W0AVG) and surface are unchanged.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import torch
from torch import Tensor

from sciml.constants import DAY
from sciml.convection.emulator import Emulator
from sciml.convection.physics import sounding_of
from sciml.convection.problem import Convection
from sciml.convection.sounding import Sounding
from sciml.wrf.diagnostics import RD, RV

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["FALLING", "GRAMS", "Perturbed", "SoundingState", "profiles_of", "state_of"]

GRAMS: Final = 1000.0
_FIXED: Final = {"U_PHY": "u", "V_PHY": "v", "P_HYD": "p", "PI_PHY": "pi", "W0AVG": "w"}
_SURFACE: Final = {"ZOL": "zol", "HFX": "hfx", "UST": "ust", "PBLH": "pblh"}
FALLING: Final = ("RQCCUTEN", "RQRCUTEN", "RQICUTEN", "RQSCUTEN")


def _specific_volume(t: Tensor, q: Tensor) -> Tensor:
    """Specific volume of moist air at a pressure, without the factor Rd / p: T (1 + Rv/Rd q) / (1 + q)."""
    return t * (1.0 + float(RV / RD) * q) / (1.0 + q)


@dataclass(frozen=True)
class SoundingState:
    """State of columns that a function perturbs.

    Attributes
    ----------
    sounding
        Unperturbed columns.
    """

    sounding: Sounding

    @property
    def points(self) -> Tensor:
        """Temperature (K) of all levels, then vapour (g/kg): (column, 2 level)."""
        return state_of(self.sounding)

    @property
    def mass(self) -> Tensor:
        """Mass of each layer, (column, level), kg/m2; no perturbation changes it."""
        return (self.sounding.rho * self.sounding.dz).T


@dataclass(frozen=True)
class Perturbed(SoundingState):
    """Outputs of an emulator as a function of the temperature and vapour of columns.

    Attributes
    ----------
    network
        Network of the emulator in float64, on its device.
    sounding
        Unperturbed columns.

    Notes
    -----
    ``points`` is the unperturbed state; a call evaluates any other state, as a `sciml.analysis.Function`.
    """

    emulator: Emulator[Any]
    network: Any

    @classmethod
    def of(cls, emulator: Emulator[Any], columns: xr.Dataset) -> Perturbed:
        """Make the function of an emulator, evaluated in float64, and of columns.

        Raises
        ------
        InputError
            The emulator does not accept the columns, or they are of different runs; see `sciml.convection.Convection`
            and `Emulator.init`.
        """
        emulator = replace(emulator, precision="float64")
        problem = Convection(columns).single()
        network = emulator.init(problem).requires_grad_(False)
        device = next(network.parameters()).device
        return cls(sounding_of(problem.columns, device), emulator, network)

    def take(self, index: Tensor) -> Perturbed:
        """Select columns."""
        return replace(self, sounding=self.sounding.take(index))

    def __call__(self, points: Tensor) -> Tensor:
        """Compute the tendencies of perturbed columns.

        Parameters
        ----------
        points
            (copy, column, 2 level): any number of copies of all columns, in the order of `points`.

        Returns
        -------
        Tensor
            (copy, column, 2 level + 2): dT/dt (K/day) and dq/dt (g/kg/day) by level, then rain and the
            water that becomes cloud and falling water in the column (mm/day).
        """
        s = self._moved(points)
        answer = points.new_zeros(len(s), points.shape[-1] + 2)
        known = self.network.observe(s)
        if known is not None:
            _, outputs = self.emulator.answer(known, self.network)
            mass = known.sounding.rho * known.sounding.dz
            water = sum((mass * outputs[name] for name in FALLING), torch.zeros_like(mass)).sum(0)
            heating = outputs["RTHCUTEN"] * known.sounding.pi
            rows = [heating, GRAMS * outputs["RQVCUTEN"], outputs["PRATEC"][None], water[None]]
            answer = answer.index_copy(0, known.index, DAY * torch.cat(rows).T)
        return answer.reshape(*points.shape[:-1], -1)

    def _moved(self, points: Tensor) -> Sounding:
        profiles, surface = profiles_of(self.sounding, points)
        run = {name: getattr(self.sounding, name).repeat(points.shape[0]) for name in ("dx", "dt", "cudt")}
        return Sounding.of(profiles, surface, **run)


def state_of(s: Sounding) -> Tensor:
    """Return temperature (K) of all levels, then vapour (g/kg): (column, 2 level)."""
    return torch.cat([s.t, GRAMS * s.qv]).T.contiguous()


def profiles_of(s: Sounding, points: Tensor) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Compute the inputs of columns with other temperature and vapour at the same pressures and masses.

    Parameters
    ----------
    s
        Unperturbed columns.
    points
        States (copy, column, 2 level), in the order of `state_of`.

    Returns
    -------
    tuple of dict
        Profiles (copy column, level) and surface values (copy column,), by their names in WRF.
    """
    copies = points.shape[0]
    t, q = points[..., : s.levels], points[..., s.levels :] / GRAMS
    larger = _specific_volume(t, q) / _specific_volume(s.t.T, s.qv.T)
    moved = {"T_PHY": t, "QVAPOR": q, "RHO": s.rho.T / larger, "DZ8W": s.dz.T * larger}
    fixed = {name: getattr(s, mine).T.expand(copies, -1, -1) for name, mine in _FIXED.items()}
    profiles = {name: x.reshape(-1, s.levels) for name, x in (fixed | moved).items()}
    return profiles, {name: getattr(s, mine).repeat(copies) for name, mine in _SURFACE.items()}
