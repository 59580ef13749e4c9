"""Training data of the pure network: what it sees of each column, and the scheme's outputs in its layers."""

from __future__ import annotations

import itertools

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from sciml.convection.budgets import budget_coefficients
from sciml.convection.column_shape import ColumnShape
from sciml.convection.layer_outputs import CONDENSATE
from sciml.convection.physics import sounding_of
from sciml.convection.plume_coordinate import PlumeCoordinate
from sciml.convection.prepared_profiles import Profiles, layers_of, profiles
from sciml.errors import InputError

__all__ = ["TARGETS", "TRUTH", "fitted_edges", "level_of", "prepare"]

TRUTH = ("RTHCUTEN", "RQVCUTEN", *CONDENSATE, "RUCUTEN", "RVCUTEN", "CLDFRA", "QC_CU", "QI_CU")
_CLOUD = ("CLDFRA_DP", "CLDFRA_SH", "QC_CU", "QI_CU")
_SCALARS = ("PRATEC", "NCA", "CUTOP", "CUBOT")
TARGETS = (*TRUTH[:7], *_CLOUD, *_SCALARS)
MOST_COLUMNS = 2000  # from which the edges of the layers are computed
ABOVE = 2  # number of levels above the highest cloud
HIGHEST = 0.93  # pressure depth of the topmost edge where no cloud tells


def fitted_edges(columns: xr.Dataset) -> tuple[float, ...]:
    """Edges of layers: the levels' faces in the columns, averaged, from the ground to above the highest cloud.

    The columns with the most frequent number of levels count.

    Raises
    ------
    InputError
        The means do not ascend.
    """
    size = columns.sizes["level"]
    numbers = columns["LEVELS"].values if "LEVELS" in columns else np.full(columns.sizes["column"], size)
    values, counts = np.unique(numbers, return_counts=True)
    levels = int(values[counts.argmax()])
    rows = np.flatnonzero(numbers == levels)
    some = columns.isel(column=rows[:: -(-len(rows) // MOST_COLUMNS)], level=slice(0, levels)).load()
    s = sounding_of(some)
    coordinate = layers_of(s, (0.0, 1.0))
    faces = (coordinate.faces / coordinate.edges[:, 1:]).mean(0)
    convects = columns["KIND"].values[rows] > 0
    tops = columns["CUTOP"].values[rows][convects]
    last = min(int(tops.max()) + ABOVE, levels) if len(tops) else int((faces < HIGHEST).sum())
    edges = [0.0, *(round(float(x), 6) for x in faces[1 : last + 1])]
    if any(not low < high for low, high in itertools.pairwise(edges)):
        raise InputError(f"the levels of the columns have the mean pressure depths {edges}: they must ascend")
    return tuple(edges)


def level_of(number: Tensor, edges: Tensor, others: Tensor) -> Tensor:
    """Return in which interval of others (column, edge) the middle of an interval of edges lies, int64 (column,)."""
    number = number.clamp(0, edges.shape[1] - 2).unsqueeze(1)
    middle = 0.5 * (edges.gather(1, number) + edges.gather(1, number + 1))
    place = torch.searchsorted(others, middle, right=True).squeeze(1) - 1
    return place.clamp(0, others.shape[1] - 2)


def prepare(columns: xr.Dataset, shape: ColumnShape) -> dict[str, Tensor] | None:
    """Compute inputs and true outputs of the columns that pass the parcel test, column first, float32.

    ``row`` numbers the columns. The result is None if none passes.
    """
    seen = profiles(sounding_of(columns), shape.edges)
    if seen is None:
        return None
    rows = seen.index.numpy()

    def true(name: str) -> Tensor:
        values = columns[name].transpose("column", ...).values[rows]
        return torch.from_numpy(np.ascontiguousarray(values.T, dtype=np.float64))

    truth = {name: true(name) for name in TARGETS}
    truth["CLDFRA"] = truth["CLDFRA_DP"] + truth["CLDFRA_SH"]
    kind = torch.from_numpy(columns["KIND"].values[rows].astype(np.float64))
    out = {
        "channels": seen.channels.permute(2, 0, 1),
        "scalars": seen.scalars.T,
        "carried": seen.carried,
        "direction": seen.direction,
        "mass": seen.mass,
        "passage": seen.passage,
        "budget": _coefficients(seen),
        "truth": seen.coordinate.means(torch.stack([truth[name] for name in TRUTH])),
        "kind": kind,
        "rain": truth["PRATEC"],
        "time": truth["NCA"],
        "top": _layer(truth["CUTOP"], kind, seen.coordinate),
        "base": _layer(truth["CUBOT"], kind, seen.coordinate),
    }
    finished = {name: x.float().contiguous() for name, x in out.items()}
    finished["row"] = seen.index
    return finished


def _coefficients(seen: Profiles) -> Tensor:
    """Mass of the layers, and means of the others of `budget_coefficients`, (column, layer, 3)."""
    means = seen.coordinate.means(budget_coefficients(seen.sounding).movedim(1, 0))
    return torch.cat([seen.mass.unsqueeze(-1), means[..., 1:]], -1)


def _layer(level: Tensor, kind: Tensor, coordinate: PlumeCoordinate) -> Tensor:
    """Layer that holds the middle of a level (from 1); 0 where nothing convects."""
    number = torch.where(kind > 0, level - 1.0, torch.zeros_like(level)).to(torch.int64)
    return level_of(number, coordinate.faces, coordinate.edges).double()
