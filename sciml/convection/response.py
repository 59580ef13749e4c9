"""Outputs of one call of the scheme, from a plume and the predictions of the network.

For any prediction, water is conserved (rain is the loss of the column; a shallow cloud loses none), momentum is
conserved (fluxes between layers), vapour remains positive, and columns without convection have no tendencies. The
scheme conserves enthalpy only to a few per cent, so its imbalance is limited to the bounds of the training data.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sciml.convection import thermodynamics as td
from sciml.convection.adjustment import Timing, adjust
from sciml.convection.downdraft import Downdraft
from sciml.convection.momentum import momentum, turned
from sciml.convection.plume import DEEP, NONE, SHALLOW, Plume
from sciml.convection.pressure import pressure_push
from sciml.convection.sounding import Sounding
from sciml.convection.source_layer import LAPSE
from sciml.schemes.mskf import MSKF

__all__ = ["NCA_NONE", "PROFILES", "SCALARS", "Response", "enthalpy_imbalance", "lowered_base", "respond"]

PROFILES = MSKF.output_profiles
SCALARS = MSKF.output_scalars
NCA_NONE = -100.0


@dataclass(frozen=True)
class Response:
    """Profiles (level, column) and scalars (column,) under their WRF names, and the class."""

    fields: dict[str, Tensor]
    kind: Tensor


def lowered_base(s: Sounding, plume: Plume, t: Tensor, q: Tensor) -> Tensor:
    """Return the level above the LCL of the same source layer after the adjustment."""
    level = torch.arange(s.levels, device=s.t.device).unsqueeze(1)
    layer = (level >= plume.base) & (level <= plume.source_top)
    weight = torch.where(layer, s.dp, torch.zeros_like(s.dp)) / plume.source_depth
    t_mix, q_mix = (weight * t).sum(0), (weight * q).sum(0).clamp_min(1e-8)
    t_lcl = torch.minimum(td.lifted(plume.p_mix, t_mix, q_mix), t_mix)
    z_lcl = plume.z_mix + (t_lcl - t_mix) / LAPSE
    return ((s.z >= z_lcl) & (level >= plume.base)).to(torch.int64).argmax(0)


def _cover(flux: Tensor, slope: float, most: float) -> Tensor:
    """Cloud fraction from mass flux (kg/m2/s); Xu and Krueger (1991), as in Alapaty et al. (2012)."""
    return (slope * torch.log(1.0 + 500.0 * flux.clamp_min(0.0))).clamp(0.01, most)


def enthalpy_imbalance(s: Sounding, rth: Tensor, rqv: Tensor) -> Tensor:
    """Column integral of cp pi RTH + Lv(T) RQV over that of the absolute heating, (column,)."""
    heating = s.dp / td.GRAVITY * td.CP * s.pi * rth
    drying = s.dp / td.GRAVITY * td.latent_heat(s.t) * rqv
    return (heating + drying).sum(0) / heating.abs().sum(0).clamp_min(1e-30)


def respond(
    s: Sounding,
    plume: Plume,
    down: Downdraft,
    times: Timing,
    strength: Tensor,
    push: Tensor,
    active: Tensor,
    enthalpy: tuple[float, float],
) -> Response:
    """Compute all outputs of the scheme.

    Parameters
    ----------
    strength
        Cloud-base mass flux over the plume's own, (column,).
    push
        Change of the cloud's wind over each level (m/s) by the pressure of its own circulation, along the mean wind;
        (level, column).
    active
        Whether the column convects, bool (column,); the outputs of other columns are zero.
    enthalpy
        Bounds of the enthalpy imbalance over the absolute heating, as `enthalpy_imbalance` has it in the
        training data.
    """
    level = torch.arange(s.levels, device=s.t.device).unsqueeze(1)
    zero = torch.zeros_like(s.t)
    active = active & (plume.kind != NONE)
    strength = torch.where(active, strength, torch.full_like(strength, 0.1))
    carried = adjust(s, plume, down, times, strength)
    t, q = torch.where(active, carried["t"], s.t), torch.where(active, carried["q"], s.q)
    deep, shallow = active & (plume.kind == DEEP), active & (plume.kind == SHALLOW)
    base = torch.where(deep, lowered_base(s, plume, t, q), plume.cloud_base)
    shear_u, shear_v, own = pressure_push(s, plume, down, base)
    cos, sin = turned(s, plume)
    du, dv = momentum(
        s, plume, down, strength, base, (shear_u + (own + push) * cos, shear_v + (own + push) * sin)
    )
    mass = s.dp / td.GRAVITY
    rv, rc, ri, rr = (carried[name] for name in ("RQVCUTEN", "RQCCUTEN", "RQICUTEN", "RQRCUTEN"))
    # Vapour in WRF may be zero or negative at single points; it is not reduced there.
    rv = torch.maximum(rv, -s.qv.clamp_min(0.0) / s.dt)
    gain = (mass * (rv + rc + ri + rr)).sum(0)
    rain = torch.where(deep, (-gain).clamp_min(0.0), torch.zeros_like(gain))
    taken = (mass * rv.abs()).sum(0).clamp_min(1e-30)
    rv = rv - (gain + rain) * rv.abs() / taken
    heating = td.CP * s.pi * carried["RTHCUTEN"]
    imbalance = enthalpy_imbalance(s, carried["RTHCUTEN"], rv)
    correction = imbalance.clamp(*enthalpy) - imbalance
    rth = carried["RTHCUTEN"] + correction * heating.abs() / (td.CP * s.pi)
    # no layer may lose more vapour in a step than it has: all of the column's convection is weakened equally
    limit = torch.where(rv < 0.0, s.qv.clamp_min(0.0) / (s.dt * (-rv).clamp_min(1e-300)), torch.ones_like(rv))
    limit = limit.amin(0).clamp_max(1.0)
    limit = torch.where(active, limit, torch.zeros_like(limit))
    dilution = plume.flux * plume.flux_lcl * strength / (1.0 - strength / 100.0)
    cloud = (level >= base) & (level <= plume.top)
    inside = (level >= plume.cloud_base) & (level <= plume.top) & active
    tendencies = {
        "RTHCUTEN": rth,
        "RQVCUTEN": rv,
        "RQCCUTEN": rc,
        "RQRCUTEN": rr,
        "RQICUTEN": ri,
        "RQSCUTEN": zero,
        "RUCUTEN": du,
        "RVCUTEN": dv,
    }
    ones = torch.ones_like(rain)
    fields = {name: torch.where(active, value * limit, zero) for name, value in tendencies.items()}
    fields["CLDFRA_DP"] = torch.where(cloud & deep, _cover(dilution, 0.14, 0.6), zero)
    fields["CLDFRA_SH"] = torch.where(cloud & shallow, _cover(dilution, 0.07, 0.2), zero)
    fields["QC_CU"] = torch.where(inside, plume.liquid, zero)
    fields["QI_CU"] = torch.where(inside, plume.ice, zero)
    fields["PRATEC"] = rain * limit
    fields["NCA"] = torch.where(active, times.counter, NCA_NONE * ones)
    fields["CUTOP"] = torch.where(active, plume.top + 1.0, ones)
    fields["CUBOT"] = torch.where(active, plume.cloud_base + 1.0, (s.levels + 1.0) * ones)
    return Response(fields, torch.where(active, plume.kind, torch.zeros_like(plume.kind)))
