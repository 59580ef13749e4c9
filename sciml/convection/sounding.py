"""A batch of columns for the emulator: level-first float64 tensors, with derived quantities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sciml.convection import thermodynamics as td

__all__ = ["Sounding", "at"]


def at(profile: Tensor, index: Tensor) -> Tensor:
    """Select the value of a (level, column) profile at one level for each column, (column,)."""
    return profile.gather(0, index.unsqueeze(0)).squeeze(0)


@dataclass(frozen=True)
class Sounding:
    """Columns, all profiles of shape (level, column), level 0 the lowest; surface values (column,).

    `q` is the mixing ratio as the scheme uses it: no less than 1e-6 and no more than saturation.
    """

    u: Tensor  # m/s
    v: Tensor  # m/s
    t: Tensor  # K
    q: Tensor  # kg/kg
    p: Tensor  # Pa, hydrostatic
    dz: Tensor  # m
    rho: Tensor  # kg/m3, moist
    pi: Tensor  # Exner function of the full pressure
    w: Tensor  # m/s, W0AVG
    zol: Tensor
    hfx: Tensor  # W/m2
    ust: Tensor  # m/s
    pblh: Tensor  # m
    z: Tensor  # m, mid-level
    dp: Tensor  # Pa
    tv: Tensor  # K
    rh: Tensor
    theta_e: Tensor  # K
    qv: Tensor  # kg/kg, as given
    dx: Tensor  # m, (column,)
    dt: Tensor  # s, (column,)
    cudt: Tensor  # min, (column,)

    @classmethod
    def of(
        cls,
        profiles: dict[str, Tensor],
        surface: dict[str, Tensor],
        *,
        dx: float | Tensor,
        dt: float | Tensor,
        cudt: float | Tensor,
    ) -> Sounding:
        """Make from WRF-named tensors (column, level) and (column,); see `sciml.wrf` for the names.

        The settings of the run, `dx` (m), `dt` (s) and `cudt` (min), are one number or a tensor (column,).
        """
        a = {name: x.to(torch.float64).T.contiguous() for name, x in profiles.items()}
        s = {name: x.to(torch.float64) for name, x in surface.items()}
        t, p, dz, rho = a["T_PHY"], a["P_HYD"], a["DZ8W"], a["RHO"]
        saturated = td.saturation(p, t)
        q = torch.minimum(a["QVAPOR"], saturated).clamp_min(1e-6)
        z = torch.cumsum(dz, 0) - 0.5 * dz
        return cls(
            u=a["U_PHY"],
            v=a["V_PHY"],
            t=t,
            q=q,
            p=p,
            dz=dz,
            rho=rho,
            pi=a["PI_PHY"],
            w=a["W0AVG"],
            zol=s["ZOL"],
            hfx=s["HFX"],
            ust=s["UST"],
            pblh=s["PBLH"],
            z=z,
            dp=rho * td.GRAVITY * dz,
            tv=td.virtual(t, q),
            rh=q / saturated,
            theta_e=td.equivalent_temperature(p, t, q),
            qv=a["QVAPOR"],
            dx=_each(dx, p[0]),
            dt=_each(dt, p[0]),
            cudt=_each(cudt, p[0]),
        )

    def __len__(self) -> int:
        return int(self.t.shape[1])

    @property
    def levels(self) -> int:
        """Number of mass levels."""
        return int(self.t.shape[0])

    def take(self, index: Tensor) -> Sounding:
        """Select the columns at `index` (int64 or bool)."""
        chosen: dict[str, Any] = {
            name: (value[..., index] if isinstance(value, Tensor) else value)
            for name, value in vars(self).items()
        }
        return Sounding(**chosen)


def _each(setting: float | Tensor, like: Tensor) -> Tensor:
    """Return a setting of the run as a tensor (column,)."""
    value = torch.as_tensor(setting, dtype=like.dtype, device=like.device)
    return value.expand_as(like).contiguous()
