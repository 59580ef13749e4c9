"""Training data of the network: the features of each plume, and the true values of the network's outputs.

The strength of the scheme is computed from its output: detrained condensate is proportional to the strength and then
only advected, so the strength is the ratio of its column integral to that of the plume. The push is trained by the
tendency of the wind along the mean wind. The error is that of the computed heating.
"""

from __future__ import annotations

import numpy as np
import torch
import xarray as xr
from torch import Tensor, nn

from sciml.convection import thermodynamics as td
from sciml.convection.adjustment import adjust, shallow_strength
from sciml.convection.architecture import ERROR_SCALE, Architecture
from sciml.convection.energy_closure import LEAST_STRENGTH
from sciml.convection.momentum import carriage, turned
from sciml.convection.physics import physics, sounding_of
from sciml.convection.plume import DEEP, NONE
from sciml.convection.plume_coordinate import spread
from sciml.convection.pressure import pressure_push
from sciml.convection.response import enthalpy_imbalance, lowered_base
from sciml.train import Batch

__all__ = ["TARGETS", "losses", "padded", "prepare"]

TARGETS = (
    "RTHCUTEN",
    "RQVCUTEN",
    "RQCCUTEN",
    "RQICUTEN",
    "RUCUTEN",
    "RVCUTEN",
)
PROFILES = ("wind", "computed_push", "mixing", "rising", "flux", "per_mass", "momentum")
MOMENTUM_SCALE = 1e-4  # m/s2
LEAST_ERROR = 1e-4  # of the scale of the error
Prepared = dict[str, Tensor]


def prepare(columns: xr.Dataset, shape: Architecture) -> Prepared | None:
    """Compute features and true values of the columns whose plume rises, column first, float32; ``row`` numbers them.

    `enthalpy` is the imbalance in the scheme's own output (0 where it did not trigger). The result is None if no plume
    rises.
    """
    known = physics(sounding_of(columns), shape)
    if known is None:
        return None
    s, plume, down, times = known.sounding, known.plume, known.down, known.times
    rows = known.index.numpy()

    def true(name: str) -> Tensor:
        values = columns[name].transpose("column", "level").values[rows]
        return torch.from_numpy(np.ascontiguousarray(values.T, dtype=np.float64))

    truth = {name: true(name) for name in TARGETS}
    true_kind = torch.from_numpy(columns["KIND"].values[rows].astype(np.int64))
    mass = s.dp / td.GRAVITY
    condensate = (mass * (truth["RQCCUTEN"] + truth["RQICUTEN"])).sum(0)
    detrained = (plume.detrained_liquid + plume.detrained_ice).sum(0) * plume.flux_lcl
    measured = (condensate / detrained.clamp_min(1e-12)).clamp(LEAST_STRENGTH, 50.0)
    deep, agrees = plume.kind == DEEP, plume.kind == true_kind
    shallow = shallow_strength(s, plume, times)
    strength = torch.where(deep, measured, shallow)
    computed = torch.where(deep, known.closed.strength, shallow)
    after = adjust(s, plume, down, times, strength)
    base = torch.where(deep, lowered_base(s, plume, after["t"], after["q"]), plume.cloud_base)
    cos, sin = turned(s, plume)
    shear_u, shear_v, own = pressure_push(s, plume, down, base)
    moved = carriage(s, plume, down, strength, base)
    imbalance = enthalpy_imbalance(s, truth["RTHCUTEN"], truth["RQVCUTEN"])
    heating = adjust(s, plume, down, times, computed)["RTHCUTEN"]
    heating = torch.where(known.closed.convects, heating, torch.zeros_like(heating))
    error = ((mass * (heating - truth["RTHCUTEN"]) ** 2).sum(0) / mass.sum(0)).sqrt()
    profiles = {  # by the names of PROFILES
        "wind": cos * s.u + sin * s.v,
        "computed_push": cos * shear_u + sin * shear_v + own,
        "mixing": moved.mixing,
        "rising": moved.rising.double(),
        "flux": torch.where(moved.inside, moved.net, torch.zeros_like(moved.net)),
        "per_mass": td.GRAVITY / s.dp,
        "momentum": cos * truth["RUCUTEN"] + sin * truth["RVCUTEN"],
    }
    scalars = {
        "usable": agrees.double(),
        "triggered": (true_kind != NONE).double(),
        "log_error": torch.log(error / ERROR_SCALE + LEAST_ERROR),
        "enthalpy": torch.where(true_kind != NONE, imbalance, torch.zeros_like(imbalance)),
    }
    out = {name: x.T for name, x in profiles.items()} | scalars
    out["positions"] = known.coordinate.positions
    out["channels"] = known.channels.permute(2, 0, 1)
    out["scalars"] = known.scalars.T
    finished = {name: x.float().contiguous() for name, x in out.items()}
    finished["row"] = known.index
    return finished


def padded(part: Prepared, levels: int) -> Prepared:
    """Extend the profiles of shorter columns by levels in which nothing happens."""
    more = levels - part["wind"].shape[1]
    if not more:
        return part
    profiles = {name: nn.functional.pad(part[name], (0, more)) for name in PROFILES}
    positions = torch.cat([part["positions"], part["positions"][:, -1:].expand(-1, more)], 1)
    return {**part, **profiles, "positions": positions}


def losses(network: nn.Module, batch: Batch) -> dict[str, Tensor]:
    """Compute the named losses of a batch: momentum along the mean wind, trigger, error.

    The momentum is computed with the true strength.
    """
    pushed, logit, log_error = network(batch["x"], batch["y"])
    usable = batch["usable"]
    smooth = nn.functional.smooth_l1_loss
    wind = batch["wind"]
    face = torch.cat([0.5 * (wind[:, :-1] + wind[:, 1:]), wind[:, -1:]], 1)
    push = spread(pushed, batch["positions"]) + batch["computed_push"]
    rising, mixing = batch["rising"] > 0.5, batch["mixing"]
    cloud = [face[:, 0]]
    for k in range(1, wind.shape[1]):
        moved = cloud[-1] + mixing[:, k] * (wind[:, k] - cloud[-1]) + push[:, k]
        cloud.append(torch.where(rising[:, k], moved, face[:, k]))
    flux = batch["flux"] * (torch.stack(cloud, 1) - face)
    inflow = torch.cat([torch.zeros_like(flux[:, :1]), flux[:, :-1]], 1)
    tendency = (inflow - flux) * batch["per_mass"]
    error = smooth(tendency / MOMENTUM_SCALE, batch["momentum"] / MOMENTUM_SCALE, beta=1.0, reduction="none")
    momentum = (error.mean(1) * usable).mean()
    trigger = nn.functional.binary_cross_entropy_with_logits(logit, batch["triggered"])
    expected = smooth(log_error, batch["log_error"], beta=1.0)
    return {
        "loss": momentum + 0.1 * trigger + 0.01 * expected,
        "momentum": momentum,
        "trigger": trigger,
        "error": expected,
    }
