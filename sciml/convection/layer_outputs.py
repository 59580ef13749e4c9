"""Outputs of the pure network in its layers: bounded heads, and fluxes that conserve momentum and water.

Heat and vapour are carried by a mass flux through the layers' tops, and momentum by a second one, with a wind of the
cloud that mixes with that around it; both are predicted. What the flux does not explain is predicted as such. A layer's
change of wind is the difference of two fluxes that vanish at the ground and at the top. The change of water is closed
by the rain.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import softplus

__all__ = ["COLUMN_HEADS", "CONDENSATE", "HEADS", "LayerOutputs", "closed", "decoded"]

CONDENSATE = ("RQCCUTEN", "RQICUTEN", "RQRCUTEN")
HEADS = (
    "RTHCUTEN",
    "RQVCUTEN",
    *CONDENSATE,
    "flux",  # of mass through the layer's top, which carries heat and vapour
    "momentum_flux",
    "mixing",  # share of the wind around it that the cloud takes up over the layer
    "shear",  # change of the cloud's wind relative to that of the wind around it
    "push",  # m/s, along the mean wind
    "CLDFRA",
    "QC_CU",
    "QI_CU",
    "top",  # logit of the cloud's top
    "base",  # logit of the cloud's base
)
COLUMN_HEADS = ("amplitude", "rain", "time")  # of each class
SCALED = 5  # the first heads, tendencies
BOUND = 12.0  # of a head before it is scaled
AMPLITUDE = 3.0  # bound of the logarithm
FLUX = 0.02  # kg/m2/s
PUSH = 8.0  # m/s
COVER = (0.2, 0.6)  # greatest cloud fraction: shallow, deep
CONDENSED = 1e-3  # kg/kg


@dataclass(frozen=True)
class LayerOutputs:
    """Outputs in the layers, (column, layer), and of the column, (column,)."""

    tendencies: Tensor  # (column, layer, 5): RTHCUTEN, RQVCUTEN and those of `CONDENSATE`
    wind: Tensor  # (column, layer, 2): RUCUTEN, RVCUTEN
    cover: Tensor
    liquid: Tensor
    ice: Tensor
    top: Tensor  # logits
    base: Tensor
    rain: Tensor  # kg/m2/s
    time: Tensor  # logarithm of the hold time over the passage of the wind


def _bounded(x: Tensor, bound: float) -> Tensor:
    return bound * torch.tanh(x / bound)


def _upper(x: Tensor) -> Tensor:
    return torch.cat([x[:, 1:], x[:, -1:]], 1)


def decoded(
    raw: Tensor, column: Tensor, deep: Tensor, scale: Tensor, carried: Tensor, direction: Tensor, mass: Tensor
) -> LayerOutputs:
    """Compute the outputs of heads of the columns' classes.

    Parameters
    ----------
    raw
        (column, layer, head), in the order of `HEADS`, of the class of each column.
    column
        (column, head), in the order of `COLUMN_HEADS`.
    deep
        Whether a column's convection is deep, bool (column,).
    scale
        Scales of the tendencies, of condensate and of rain for each column, (column, 6).
    carried, direction, mass
        As in `sciml.convection.prepared_profiles.Profiles`.
    """
    head = {name: raw[..., number] for number, name in enumerate(HEADS)}
    amplitude = torch.exp(_bounded(column[:, 0], AMPLITUDE)).unsqueeze(1)
    own = _bounded(raw[..., :SCALED], BOUND) * scale[:, None, :SCALED]
    flux = FLUX * _bounded(head["flux"], BOUND)
    jump = (_upper(carried[..., 2:]) - carried[..., 2:]) / mass.unsqueeze(-1)
    moved = torch.cat([flux.unsqueeze(-1) * jump, torch.zeros_like(own[..., 2:])], -1)
    tendencies = amplitude.unsqueeze(-1) * (own + moved)
    dry = torch.ones(SCALED, dtype=raw.dtype, device=raw.device)
    dry[-1] = 0.0  # the rain of deep convection falls to the ground
    tendencies = torch.where(deep[:, None, None], tendencies * dry, tendencies)
    rain = scale[:, 5] * amplitude.squeeze(1) * _bounded(softplus(column[:, 1]), 4 * BOUND)
    rain = torch.where(deep, rain, torch.zeros_like(rain))
    water = closed(tendencies[..., 1], tendencies[..., 2:].sum(-1), mass, rain)
    most = torch.tensor(COVER, dtype=raw.dtype, device=raw.device)[deep.to(torch.int64)].unsqueeze(1)
    return LayerOutputs(
        tendencies=torch.cat([tendencies[..., :1], water.unsqueeze(-1), tendencies[..., 2:]], -1),
        wind=_momentum(head, amplitude, carried[..., :2], direction, mass),
        cover=most * torch.sigmoid(head["CLDFRA"] - 3.0),
        liquid=CONDENSED * _bounded(softplus(head["QC_CU"] - 3.0), BOUND),
        ice=CONDENSED * _bounded(softplus(head["QI_CU"] - 5.0), BOUND),
        top=head["top"],
        base=head["base"],
        rain=rain,
        time=_bounded(column[:, 2], BOUND),
    )


def _momentum(
    head: dict[str, Tensor], amplitude: Tensor, wind: Tensor, direction: Tensor, mass: Tensor
) -> Tensor:
    """Tendencies of u and v, (column, layer, 2): convergence of the flux of the cloud's wind, zero at both ends."""
    flux = amplitude * FLUX * _bounded(head["momentum_flux"], BOUND)
    flux = torch.cat([flux[:, :-1], torch.zeros_like(flux[:, -1:])], 1)
    mixing, shear = torch.sigmoid(head["mixing"]).unsqueeze(-1), _bounded(head["shear"], 2.0).unsqueeze(-1)
    push = _bounded(head["push"], PUSH).unsqueeze(-1) * direction.unsqueeze(1)
    face = torch.cat([0.5 * (wind[:, :-1] + wind[:, 1:]), wind[:, -1:]], 1)
    change = torch.cat([torch.zeros_like(face[:, :1]), face[:, 1:] - face[:, :-1]], 1)
    given = mixing * face + shear * change + push
    cloud = [face[:, 0]]
    for k in range(1, face.shape[1]):
        cloud.append((1.0 - mixing[:, k]) * cloud[-1] + given[:, k])
    carried = flux.unsqueeze(-1) * (torch.stack(cloud, 1) - face)
    inflow = torch.cat([torch.zeros_like(carried[:, :1]), carried[:, :-1]], 1)
    return (inflow - carried) / mass.unsqueeze(-1)


def closed(x: Tensor, others: Tensor, mass: Tensor, loss: Tensor) -> Tensor:
    """Change profiles in proportion to their size, so that the column integral with others is minus a loss.

    Parameters
    ----------
    x, others, mass
        (column, layer).
    loss
        (column,).
    """
    surplus = (mass * (x + others)).sum(1) + loss
    size = x.abs()
    return x - (surplus / (mass * size).sum(1).clamp_min(1e-30)).unsqueeze(1) * size
