"""Which features of an emulator lie beyond its training, where a library counts only how many columns do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import torch
import xarray as xr

from sciml.convection.emulator import physics, sounding_of
from sciml.convection.features import CHANNELS, SCALARS

if TYPE_CHECKING:
    from sciml.convection.emulator import Emulator

__all__ = ["Strange", "novel_features"]

RD: Final = 287.0
RV: Final = 461.6
GRAVITY: Final = 9.81
TOLD: Final = 5


@dataclass(frozen=True)
class Strange:
    """One feature beyond the training.

    Attributes
    ----------
    name
        Of `sciml.convection.features`.
    low, high
        Pressures between which it is so somewhere, hPa; None for what a column has once.
    share
        Of the columns whose plume rises, those in which it is so at any of these.
    novelty
        The greatest; 1 at the edge of the training.
    """

    name: str
    low: float | None
    high: float | None
    share: float
    novelty: float

    def __str__(self) -> str:
        where = "" if self.low is None else f" at {self.low:.0f} to {self.high:.0f} hPa"
        return f"{self.name}{where}: in {self.share:.0%} of the rising columns, up to {self.novelty:.3g}"


def novel_features(emulator: Emulator, history: xr.Dataset, most: int = TOLD) -> list[Strange]:
    """The features beyond the training in the states of a run, the most frequent first.

    Parameters
    ----------
    emulator
        The one that ran.
    history
        T (K), QVAPOR (kg kg-1), U, V, W0AVG (m s-1): (time, member, level); PBLH (m): (time, member); PRESSURE (Pa),
        MASS (kg m-2) by level; DX, DT, CUDT as attributes.
    most
        So many at most.
    """
    known = physics(sounding_of(_columns(history), torch.device("cpu")), emulator.network.shape.levels)
    if known is None:
        return []
    with torch.no_grad():
        far, wide = emulator.normalisation.distances(known.channels, known.scalars)
    pressure = history["PRESSURE"].values / 100.0
    found = []
    for number, name in enumerate(CHANNELS):
        beyond = (far[:, number] > 1).numpy()
        at = np.flatnonzero(beyond.any(1))
        if at.size:
            share, worst = float(beyond.any(0).mean()), float(far[:, number].max())
            found.append(Strange(name, float(pressure[at].min()), float(pressure[at].max()), share, worst))
    for number, name in enumerate(SCALARS):
        share = float((wide[number] > 1).double().mean())
        if share:
            found.append(Strange(name, None, None, share, float(wide[number].max())))
    return sorted(found, key=lambda one: -one.share)[:most]


def _columns(history: xr.Dataset) -> xr.Dataset:
    """The states as columns; the surface, which sets only the adjustment time, is that of a calm sea."""
    stacked = history[["T", "QVAPOR", "U", "V", "W0AVG"]].stack(column=("time", "member"), create_index=False)
    stacked = stacked.transpose("column", "level")
    t, q = stacked["T"], stacked["QVAPOR"]
    p = history["PRESSURE"].values + 0.0 * t
    density = p / (RD * t * (1 + RV / RD * q)) * (1 + q)
    found = {
        "U_PHY": stacked["U"],
        "V_PHY": stacked["V"],
        "T_PHY": t,
        "QVAPOR": q,
        "P_HYD": p,
        "DZ8W": 1.0 / density * history["MASS"].values,
        "RHO": density,
        "PI_PHY": (p / 1e5) ** (2 / 7),
        "W0AVG": stacked["W0AVG"],
    }
    calm = {"ZOL": -0.3, "HFX": 5.0, "UST": 0.2, "PBLH": 800.0}
    surface = {name: ("column", np.full(t.sizes["column"], value)) for name, value in calm.items()}
    plain = {name: (("column", "level"), x.values) for name, x in found.items()}
    return xr.Dataset({**plain, **surface}, attrs=history.attrs).astype(np.float32)
