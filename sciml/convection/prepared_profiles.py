"""Inputs of the pure network: profiles of a column in pressure layers, and scalars of its surface and its parcels.

Differences are taken in float64 before anything is rounded: the scheme decides by hundredths of a kelvin. The winds
are turned with the column's mean wind, because the scheme knows no direction. Layers are fixed in pressure over surface
pressure, and profiles are remapped conservatively (`sciml.convection.plume_coordinate`), so that the number of levels
of the model does not matter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sciml.constants import GRAVITY, KAPPA_BOLTON, P_ZERO
from sciml.convection import thermodynamics as td
from sciml.convection.parcels import MIXED, Parcel, SourceLayers, excess, source_layers
from sciml.convection.plume_coordinate import PlumeCoordinate
from sciml.convection.sounding import Sounding, at
from sciml.convection.source_layer import parcel_test, scale_factor

__all__ = ["CHANNELS", "SCALARS", "Profiles", "layers_of", "profiles"]

_OF_PARCEL = (*(f"excess_{rate:g}" for rate in MIXED), "above_lcl")
CHANNELS = (
    "temperature",  # K
    "humidity",  # relative
    "vapour",  # g/kg
    "theta_e",  # K
    "theta_e_saturated",  # K
    "stability",  # K/km, potential temperature
    "gradient",  # g/kg/km, vapour
    "lifting",  # cube root of W0AVG
    "along",  # m/s, wind along the column's mean wind
    "across",  # m/s
    "source_theta_e",  # K, of the source layer at or below
    "margin",  # K, of the parcel test of that source layer
    *(f"first_{name}" for name in _OF_PARCEL),
    *(f"warmest_{name}" for name in _OF_PARCEL),
)
_SCALARS_OF_PARCEL = (
    "base",  # hPa above the ground
    "theta_e",  # K
    "t_lcl",  # K
    "z_lcl",  # km
    "q",  # g/kg
    "warming",  # K
    "margin",  # K
    "passage",  # log s, the time in which the wind crosses the cell
    *(f"energy_{rate:g}" for rate in MIXED),  # log of the positive excess, K times scale heights
    *(f"reach_{rate:g}" for rate in MIXED),  # scale heights of positive excess
)
SCALARS = (
    *(f"first_{name}" for name in _SCALARS_OF_PARCEL),
    *(f"warmest_{name}" for name in _SCALARS_OF_PARCEL),
    "sources",  # number of source layers that pass
    "velocity",  # log m/s, of the layer below the cloud
    "friction",  # m/s
    "flux",  # W/m2, sensible heat
    "depth",  # km, boundary layer
    "pressure",  # hPa, surface
    "scale",  # scale factor of the grid spacing
)


@dataclass(frozen=True)
class Profiles:
    """What the network sees of the columns that pass the parcel test.

    Parameters
    ----------
    index
        Numbers of these columns in the batch.
    sounding, coordinate
        Their levels, and the layers of the network.
    channels, scalars
        (layer, channel, column) and (scalar, column), float64, not standardised.
    carried
        Means of each layer of u, v (m/s), potential temperature (K) and vapour (kg/kg), (column, layer, 4).
    direction
        Unit vector of the mean wind, (column, 2); zero without wind.
    mass
        Mass of each layer (kg/m2), (column, layer).
    passage
        Time in which the wind at the lowest parcel's cloud base crosses the cell (s), (column,).
    """

    index: Tensor
    sounding: Sounding
    coordinate: PlumeCoordinate
    channels: Tensor
    scalars: Tensor
    carried: Tensor
    direction: Tensor
    mass: Tensor
    passage: Tensor


def layers_of(s: Sounding, edges: Sequence[float]) -> PlumeCoordinate:
    """Layers between pressure depths from the ground, `edges` in units of the surface pressure, ascending from 0."""
    depth = torch.cumsum(s.dp.T, 1)
    faces = torch.cat([torch.zeros_like(depth[:, :1]), depth], 1).contiguous()
    surface = s.p[0] + 0.5 * s.dp[0]
    return PlumeCoordinate(faces, surface.unsqueeze(1) * torch.tensor(edges, dtype=faces.dtype).to(faces))


def _upper(profile: Tensor) -> Tensor:
    return torch.cat([profile[1:], profile[-1:]])


def profiles(everything: Sounding, edges: Sequence[float]) -> Profiles | None:
    """Select the columns that pass the parcel test, and compute their inputs; None if there are none."""
    index = torch.nonzero(parcel_test(everything)).squeeze(1)
    if not len(index):
        return None
    s = everything.take(index)
    sources = source_layers(s)
    coordinate = layers_of(s, edges)
    saturated = td.equivalent_temperature(s.p, s.t, td.saturation(s.p, s.t), s.t)
    theta = s.t * torch.exp(KAPPA_BOLTON * torch.log(P_ZERO / s.p))
    rise = (_upper(s.z) - s.z).clamp_min(1.0) / 1000.0
    carried = coordinate.means(torch.stack([s.u, s.v, theta, s.q]))
    mass = (coordinate.edges[:, 1:] - coordinate.edges[:, :-1]) / GRAVITY
    direction = _direction(carried[..., :2], mass)
    cos, sin = direction.T
    parcels = [_of_parcel(s, parcel, saturated) for parcel in (sources.first, sources.warmest)]
    levels = torch.stack(
        [
            s.t,
            s.rh,
            1e3 * s.q,
            s.theta_e,
            saturated,
            (_upper(theta) - theta) / rise,
            1e3 * (_upper(s.q) - s.q) / rise,
            torch.sign(s.w) * s.w.abs() ** (1.0 / 3.0),
            cos * s.u + sin * s.v,
            cos * s.v - sin * s.u,
            sources.theta_e,
            sources.margin,
            *(channel for own in parcels for channel in own),
        ]
    )
    passages = [_passage(s, parcel) for parcel in (sources.first, sources.warmest)]
    scalars = _scalars(s, sources, parcels, passages)
    return Profiles(
        index=index,
        sounding=s,
        coordinate=coordinate,
        channels=coordinate.means(levels).permute(1, 2, 0),
        scalars=scalars,
        carried=carried,
        direction=direction,
        mass=mass,
        passage=passages[0],
    )


def _direction(wind: Tensor, mass: Tensor) -> Tensor:
    """Unit vector of the mean wind of the layers, (column, 2); zero without wind."""
    mean = (mass.unsqueeze(-1) * wind).sum(1)
    size = td.root(mean.square().sum(1, keepdim=True))
    return torch.where(size > 0.0, mean / torch.where(size > 0.0, size, torch.ones_like(size)), mean)


def _of_parcel(s: Sounding, parcel: Parcel, saturated: Tensor) -> list[Tensor]:
    """Channels of a parcel by level: its excess at each rate of mixing, and the height above its LCL (km)."""
    own = [excess(s, parcel, saturated, rate) for rate in MIXED]
    return [*own, ((s.z - parcel.z_lcl) / 1000.0).clamp(-3.0, 15.0)]


def _passage(s: Sounding, parcel: Parcel) -> Tensor:
    """Time in which the mean of the winds at cloud base and at half the surface pressure crosses the cell (s)."""
    speed = td.root(s.u * s.u + s.v * s.v)
    level = torch.arange(s.levels, device=s.t.device).unsqueeze(1)
    base = (s.z >= parcel.z_lcl).to(torch.int64).argmax(0)
    middle = torch.where(s.p >= 0.5 * s.p[0], level, torch.zeros_like(level)).amax(0)
    return s.dx / (0.5 * (at(speed, base) + at(speed, middle))).clamp_min(1e-3)


def _scalars(
    s: Sounding, sources: SourceLayers, channels: list[list[Tensor]], passages: list[Tensor]
) -> Tensor:
    rows = []
    heights = torch.log(1.0 + s.dp / s.p)  # of each layer, in scale heights
    for parcel, own, passage in zip((sources.first, sources.warmest), channels, passages, strict=True):
        inside = s.z >= parcel.z_lcl
        positive = [torch.where(inside, x, torch.zeros_like(x)).clamp_min(0.0) for x in own[: len(MIXED)]]
        rows += [
            parcel.base / 100.0,
            parcel.theta_e,
            parcel.t_lcl,
            parcel.z_lcl / 1000.0,
            1e3 * parcel.q,
            parcel.warming,
            parcel.margin,
            torch.log(passage),
            *(torch.log(0.1 + (x * heights).sum(0)) for x in positive),
            *(torch.where(x > 0.0, heights, torch.zeros_like(x)).sum(0) for x in positive),
        ]
    rows += [
        sources.count,
        torch.log(_velocity(s, sources.first)),
        s.ust,
        s.hfx,
        s.pblh / 1000.0,
        s.p[0] / 100.0,
        scale_factor(s.dx),
    ]
    return torch.stack(rows)


def _velocity(s: Sounding, parcel: Parcel) -> Tensor:
    """Velocity scale of the layer below the cloud (m/s); see `sciml.convection.adjustment.timing`."""
    warmth = GRAVITY / s.t[0] * s.hfx.clamp_min(0.0) / (s.rho[0] * td.CP)
    heating = (warmth * parcel.z_lcl.clamp_min(1.0)).clamp_min(1e-30) ** 0.333
    friction = 3.8 * s.ust * s.ust
    unstable = 0.22 * heating * heating + 1.9 * s.ust * s.ust * s.zol.neg().clamp_min(0.0) ** (2.0 / 3.0)
    return torch.sqrt(friction + torch.where(s.zol <= 0.0, unstable, torch.zeros_like(unstable))).clamp_min(
        0.1
    )
