"""Columns as tensors, and the physics of the scheme that is computed before the plume-closure network runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from torch import Tensor

from sciml.convection.adjustment import Timing, timing
from sciml.convection.downdraft import Downdraft, descend
from sciml.convection.energy_closure import Closed, close
from sciml.convection.features import features
from sciml.convection.plume import NONE, Plume
from sciml.convection.plume_coordinate import PlumeCoordinate
from sciml.convection.problem import INPUT_PROFILES, INPUT_SURFACE, SETTINGS, check_inputs
from sciml.convection.sounding import Sounding
from sciml.convection.source_layer import parcel_test
from sciml.convection.updraft import ascend

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["Physics", "physics", "sounding_of"]


class Layers(Protocol):
    """Numbers of layers of the plume's coordinate, as `sciml.convection.architecture.Architecture` has them."""

    @property
    def below(self) -> int:
        """Number of layers below the cloud's base."""
        ...

    @property
    def cloud(self) -> int:
        """Number of layers in the cloud."""
        ...


@dataclass(frozen=True)
class Physics:
    """Physics of the columns whose plume rises, computed before the network runs."""

    index: Tensor  # of those columns in the batch
    sounding: Sounding
    plume: Plume
    down: Downdraft
    times: Timing
    closed: Closed
    coordinate: PlumeCoordinate
    channels: Tensor
    scalars: Tensor


def sounding_of(columns: xr.Dataset, device: str | torch.device = "cpu") -> Sounding:
    """Convert columns to tensors, float64, level first.

    Raises
    ------
    InputError
        NaN or infinity in the inputs, or profiles in other units or upside down; the message names the variable.
    """
    arrays = {}
    for name in (*INPUT_PROFILES, *INPUT_SURFACE):
        array = columns[name]
        if array.ndim == 2:
            array = array.transpose("column", "level")
        arrays[name] = np.ascontiguousarray(array.values)
    check_inputs(arrays)

    return Sounding.of(
        {name: torch.from_numpy(arrays[name]).to(device) for name in INPUT_PROFILES},
        {name: torch.from_numpy(arrays[name]).to(device) for name in INPUT_SURFACE},
        **{name.lower(): _setting(columns, name, device) for name in SETTINGS},
    )


def _setting(columns: xr.Dataset, name: str, device: str | torch.device) -> float | Tensor:
    """Return a setting of the run: a variable (column,) where runs with different ones are mixed, else an attribute."""
    if name in columns:
        return torch.from_numpy(columns[name].values.astype(np.float64)).to(device)
    return float(columns.attrs[name])


def physics(everything: Sounding, shape: Layers) -> Physics | None:
    """Compute parcel test, plume, downdraft, strength and features; None if no plume rises in any column."""
    index = torch.nonzero(parcel_test(everything)).squeeze(1)
    if not len(index):
        return None
    s = everything.take(index)
    plume = ascend(s)
    rises = torch.nonzero(plume.kind != NONE).squeeze(1)
    if not len(rises):
        return None
    index, s, plume = index[rises], s.take(rises), plume.take(rises)
    down = descend(s, plume)
    times = timing(s, plume)
    closed = close(s, plume, down, times)
    coordinate = PlumeCoordinate.of(s, plume, shape.below, shape.cloud)
    channels, scalars = features(s, plume, down, times, closed, coordinate)
    return Physics(index, s, plume, down, times, closed, coordinate, channels, scalars)
