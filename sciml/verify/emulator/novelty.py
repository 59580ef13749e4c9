"""Features of an emulator that lie outside its training range. The library itself counts only the columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
import xarray as xr

from sciml.constants import P_ZERO, R_DRY, R_VAPOUR
from sciml.convection.physics import sounding_of

if TYPE_CHECKING:
    from sciml.convection.emulator import Emulator
    from sciml.convection.physics import Physics
    from sciml.convection.prepared_profiles import Profiles

__all__ = ["NovelFeature", "novel_features"]

MOST: Final = 5


@dataclass(frozen=True)
class NovelFeature:
    """A feature outside the training range.

    Attributes
    ----------
    name
        Name of the feature in `sciml.convection.features` or, of the pure network, `prepared_profiles`.
    low, high
        Pressures between which the feature is novel, hPa; None for a feature without levels.
    share
        Share of the columns that the network looks at in which the feature is novel at any level.
    novelty
        Largest novelty; 1 is the edge of the training range.
    """

    name: str
    low: float | None
    high: float | None
    share: float
    novelty: float

    def __str__(self) -> str:
        where = "" if self.low is None else f" at {self.low:.0f} to {self.high:.0f} hPa"
        return f"{self.name}{where}: in {self.share:.0%} of the rising columns, up to {self.novelty:.3g}"


def novel_features(emulator: Emulator[Any], history: xr.Dataset, most: int = MOST) -> list[NovelFeature]:
    """Return the features outside the training range in the states of a run, the most frequent first.

    Parameters
    ----------
    emulator
        Emulator of the run.
    history
        T (K), QVAPOR (kg kg-1), U, V, W0AVG (m s-1): (time, member, level); PBLH (m): (time, member); PRESSURE (Pa),
        MASS (kg m-2) by level; DX, DT, CUDT as attributes.
    most
        Maximum number of features.
    """
    if not hasattr(emulator.normalisation, "distances"):  # the published network has no training range
        return []
    known = emulator.network.observe(sounding_of(_columns(history), torch.device("cpu")))
    if known is None:
        return []
    with torch.no_grad():
        far, wide = emulator.normalisation.distances(known.channels, known.scalars)
    pressure = _pressure(known)
    features = []
    for number, name in enumerate(emulator.network.shape.channels):
        beyond = (far[:, number] > 1).numpy()
        if beyond.any():
            share, worst, where = float(beyond.any(0).mean()), float(far[:, number].max()), pressure[beyond]
            features.append(NovelFeature(name, float(where.min()), float(where.max()), share, worst))
    for number, name in enumerate(emulator.network.shape.scalars):
        share = float((wide[number] > 1).double().mean())
        if share:
            features.append(NovelFeature(name, None, None, share, float(wide[number].max())))
    return sorted(features, key=lambda feature: -feature.share)[:most]


def _pressure(known: Physics | Profiles) -> np.ndarray[Any, Any]:
    """Return the pressure (hPa) in the middle of the layers of each column, (layer, column)."""
    s, edges = known.sounding, known.coordinate.edges
    middle = s.p[0] + 0.5 * s.dp[0] - 0.5 * (edges[:, :-1] + edges[:, 1:]).T
    return middle.numpy() / 100.0


def _columns(history: xr.Dataset) -> xr.Dataset:
    """Return the states as columns. The surface, which affects only the adjustment time, is a calm sea."""
    stacked = history[["T", "QVAPOR", "U", "V", "W0AVG"]].stack(column=("time", "member"), create_index=False)
    stacked = stacked.transpose("column", "level")
    t, q = stacked["T"], stacked["QVAPOR"]
    p = history["PRESSURE"].values + 0.0 * t
    density = p / (R_DRY * t * (1 + R_VAPOUR / R_DRY * q)) * (1 + q)
    profiles = {
        "U_PHY": stacked["U"],
        "V_PHY": stacked["V"],
        "T_PHY": t,
        "QVAPOR": q,
        "P_HYD": p,
        "DZ8W": 1.0 / density * history["MASS"].values,
        "RHO": density,
        "PI_PHY": (p / P_ZERO) ** (2 / 7),
        "W0AVG": stacked["W0AVG"],
    }
    calm = {"ZOL": -0.3, "HFX": 5.0, "UST": 0.2, "PBLH": 800.0}
    surface = {name: ("column", np.full(t.sizes["column"], value)) for name, value in calm.items()}
    plain = {name: (("column", "level"), x.values) for name, x in profiles.items()}
    return xr.Dataset({**plain, **surface}, attrs=history.attrs).astype(np.float32)
