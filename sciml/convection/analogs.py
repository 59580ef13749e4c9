"""Analogs of a column: the tendencies of the most similar stored columns, their spread, and how new a column is."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sciml.checks import check_fraction, check_positive, check_whole
from sciml.convection.nearest_columns import features, merge, profiles, search
from sciml.errors import InputError, MissingVariable
from sciml.parallel.bounded import open_task_runner

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["AnalogMemory"]

Array = NDArray[Any]

INPUTS = ("T_PHY", "QVAPOR", "W0AVG")
TENDENCIES = ("RTHCUTEN", "RQVCUTEN")
BLOCK = 8192  # stored columns that are read at a time
USUAL = 0.99  # fraction of the stored columns that are not novel
DRAWN = 256  # stored columns whose neighbours determine the scales
LEAST_SHARE = 0.05  # of a variable's spread over all levels, as least scale of a level


class AnalogMemory:
    """Stored columns with their observed tendencies, as an ensemble for other columns.

    The memory is a Hopfield network whose stored patterns are columns and whose projections are tendencies: the weights
    of the members are ``softmax(-beta / 2 |q - k|^2)``, which is ``softmax(beta q k)`` with the mask
    ``-beta / 2 |k|^2`` (`sciml.nn.association.associate`), so that a long pattern is not preferred. Only the nearest
    stored columns are members. Distances are root mean square differences of profiles, each level standardised over the
    stored columns. They are exact, and have the same bits for any division into blocks.

    Parameters
    ----------
    columns
        Stored columns with inputs and tendencies, as of `sciml.open_columns`; all with equally many levels. Lazy
        columns are read in blocks and not stored, so that they may be larger than memory.
    inputs
        Profiles whose distances count.
    tendencies
        Outputs of the scheme to predict, profiles or numbers of a column.
    members
        Number of stored columns in an ensemble.
    beta
        Inverse squared scale of distances; None takes that of the median distance of a stored column's last member.
    workers
        Processes that search the blocks, by Dask; 1 searches in this process, unless a scheduler is there.
    seed
        Seed of the draw of stored columns whose neighbours give the scales.

    Attributes
    ----------
    beta
        Inverse squared scale of distances.
    usual
        Distance to the nearest stored column that 1 % of the stored columns exceed.

    Raises
    ------
    MissingVariable
        A variable is missing.
    InputError
        The columns have different numbers of levels or are not more than the members, values are not finite, or a
        setting is invalid.

    Notes
    -----
    Analog ensembles: Delle Monache et al. (2013), Mon. Wea. Rev. 141, 3498. The Hopfield form is ours.
    """

    def __init__(
        self,
        columns: xr.Dataset,
        *,
        inputs: Sequence[str] = INPUTS,
        tendencies: Sequence[str] = TENDENCIES,
        members: int = 32,
        beta: float | None = None,
        workers: int | None = 1,
        seed: int = 7,
    ) -> None:
        check_whole("members", members, 1, owner="AnalogMemory")
        if beta is not None:
            check_positive("beta", beta, owner="AnalogMemory")
        if not inputs or not tendencies:
            raise InputError("AnalogMemory needs at least one of inputs and of tendencies: name some")
        self.inputs, self.tendencies, self.members = tuple(inputs), tuple(tendencies), members
        self.workers = workers
        self._columns = _checked(columns, (*self.inputs, *self.tendencies))
        count = len(self)
        if count <= members:
            raise InputError(
                f"{count} stored columns for {members} members: give more columns, or fewer members"
            )
        self.mean, self.scale = self._moments()
        drawn = np.sort(np.random.default_rng(seed).choice(count, min(DRAWN, count), replace=False))
        distance, index = self._nearest(self._features(self._columns.isel(column=drawn)), own=drawn)
        self.usual = max(float(np.quantile(distance[:, 0], USUAL)), np.finfo(float).tiny)
        typical = max(float(np.median(distance[:, -1])), np.finfo(float).tiny)
        self.beta = typical**-2 if beta is None else float(beta)
        self._ranks = self._calibrated(drawn, distance, index, seed)

    def __len__(self) -> int:
        return int(self._columns.sizes["column"])

    def __repr__(self) -> str:
        return (
            f"AnalogMemory of {len(self):,} columns with {self._columns.sizes['level']} levels: "
            f"{', '.join(self.inputs)} -> {', '.join(self.tendencies)}, {self.members} members, beta {self.beta:.3g}"
        )

    def ensemble(self, columns: xr.Dataset) -> xr.Dataset:
        """Return the members for each column.

        Parameters
        ----------
        columns
            Columns with the inputs, on equally many levels.

        Returns
        -------
        xr.Dataset
            The tendencies (column, member, ...), the nearest member first; ``WEIGHT``, ``DISTANCE`` and ``STORED``, the
            number of the stored column, (column, member).

        Raises
        ------
        MissingVariable, InputError
            As in the constructor.
        """
        return self._ensemble(*self._nearest(self._features(self._same_levels(columns))))

    def _ensemble(self, distance: Array, index: Array) -> xr.Dataset:
        import xarray as xr

        rows, place = np.unique(index, return_inverse=True)
        chosen = self._columns[list(self.tendencies)].isel(column=rows).load()
        made: dict[str, Any] = {
            "WEIGHT": (("column", "member"), self._weights(distance), {"long_name": "weight of a member"}),
            "DISTANCE": (
                ("column", "member"),
                distance,
                {"long_name": "root mean square difference in standard deviations", "units": "1"},
            ),
            "STORED": (("column", "member"), index, {"long_name": "number of the stored column"}),
        }
        for name in self.tendencies:
            values = chosen[name].transpose("column", ...)
            dims = ("column", "member", *values.dims[1:])
            made[name] = (dims, values.values[place.reshape(index.shape)], dict(values.attrs))
        return xr.Dataset(made)

    def predict(self, columns: xr.Dataset, *, coverage: float = 0.9) -> xr.Dataset:
        """Predict tendencies with an interval, and how new each column is.

        Parameters
        ----------
        columns
            Columns with the inputs, on equally many levels.
        coverage
            Probability of the interval between two weighted quantiles of the members. Which ones these are is
            calibrated: those between which the stored columns have this fraction of their own values when they are
            no members themselves.

        Returns
        -------
        xr.Dataset
            Mean, lower and upper limit of each tendency (``NAME``, ``NAME_LOW``, ``NAME_HIGH``); ``NOVELTY`` (column,),
            above 1 for a column that is farther from all stored ones than 99 % of these are from each other;
            ``ANALOGS`` (column,), the effective number of members.

        Raises
        ------
        MissingVariable, InputError
            As in the constructor, or the coverage is not between 0 and 1.
        """
        import xarray as xr

        check_fraction("coverage", coverage, example="0.9")
        members = self.ensemble(columns)
        weights = members["WEIGHT"].values
        made: dict[str, Any] = {}
        for name in self.tendencies:
            values, attrs = members[name], members[name].attrs
            dims = ("column", *values.dims[2:])
            wide = weights.reshape(*weights.shape, *[1] * (values.ndim - 2))
            shares = np.quantile(self._ranks[name], (0.5 - coverage / 2, 0.5 + coverage / 2))
            low, high = (_quantile(values.values, weights, float(share)) for share in shares)
            made[name] = (dims, (values.values * wide).sum(1), attrs)
            made[f"{name}_LOW"], made[f"{name}_HIGH"] = (dims, low, attrs), (dims, high, attrs)
        novelty = members["DISTANCE"].values[:, 0] / self.usual
        made["NOVELTY"] = (
            "column",
            novelty,
            {"long_name": "distance to the nearest stored column", "units": "1"},
        )
        analogs = 1.0 / np.square(weights).sum(1)
        made["ANALOGS"] = ("column", analogs, {"long_name": "effective number of members", "units": "1"})
        return xr.Dataset(made)

    def novelty(self, columns: xr.Dataset) -> Array:
        """Return how new each column is, (column,); above 1 is farther than 99 % of the stored columns are.

        Parameters
        ----------
        columns
            Columns with the inputs, on equally many levels.

        Returns
        -------
        numpy.ndarray
            Distance to the nearest stored column in units of `usual`.

        Raises
        ------
        MissingVariable, InputError
            As in the constructor.
        """
        distance, _ = self._nearest(self._features(self._same_levels(columns)), members=1)
        novelty: Array = distance[:, 0] / self.usual
        return novelty

    def _calibrated(self, drawn: Array, distance: Array, index: Array, seed: int) -> dict[str, Array]:
        """Return the ranks of the drawn columns' own tendencies among their members, ascending, between 0 and 1."""
        members = self._ensemble(distance, index)
        weights, rng = members["WEIGHT"].values, np.random.default_rng(seed)
        own = self._columns[list(self.tendencies)].isel(column=drawn).load()
        ranks = {}
        for name in self.tendencies:
            values, truth = members[name].values, own[name].transpose("column", ...).values[:, None]
            wide = weights.reshape(*weights.shape, *[1] * (values.ndim - 2))
            below, equal = (wide * (values < truth)).sum(1), (wide * (values == truth)).sum(1)
            rank = below + equal * rng.random(below.shape)  # uniform where the members are equally likely
            differ = values.max(1) > values.min(1)
            ranks[name] = np.sort(rank[differ]) if differ.any() else np.array([0.0, 1.0])
        return ranks

    def _weights(self, distance: Array) -> Array:
        scores = -0.5 * self.beta * np.square(distance)
        weights: Array = np.exp(scores - scores.max(1, keepdims=True))
        weights /= weights.sum(1, keepdims=True)
        return weights

    def _same_levels(self, columns: xr.Dataset) -> xr.Dataset:
        checked = _checked(columns, self.inputs)
        own, given = self._columns.sizes["level"], checked.sizes["level"]
        if own != given:
            raise InputError(
                f"columns of {given} levels, the stored ones have {own}: give columns of one grid"
            )
        return checked

    def _blocks(self) -> list[slice]:
        return [slice(start, start + BLOCK) for start in range(0, len(self), BLOCK)]

    def _moments(self) -> tuple[Array, Array]:
        """Compute mean and scale of each input and level, (input, level), in one pass over the blocks."""
        count, mean, squares = 0, np.zeros(()), np.zeros(())
        for part in self._blocks():
            x = profiles(self._columns.isel(column=part), self.inputs)
            own, total = x.mean(0), count + len(x)
            shift = own - mean
            squares = squares + np.square(x - own).sum(0) + np.square(shift) * (count * len(x) / total)
            mean, count = mean + shift * (len(x) / total), total
        spread = np.sqrt(squares / max(count - 1, 1))
        overall = np.sqrt(np.square(spread).mean(1) + mean.var(1))
        scale = np.maximum(spread, LEAST_SHARE * overall[:, None])
        return mean, np.where(scale > 0, scale, 1.0)

    def _features(self, columns: xr.Dataset) -> Array:
        return features(columns, self.inputs, self.mean, self.scale)

    def _nearest(
        self, queries: Array, own: Array | None = None, members: int | None = None
    ) -> tuple[Array, Array]:
        """Search all blocks; ``own`` are the numbers of stored columns that are the queries themselves."""
        wanted = members or self.members
        blocks = self._blocks()
        stored = self._columns[list(self.inputs)]
        look = partial(search, stored, self.inputs, (self.mean, self.scale), queries, wanted, own)
        best = np.full((len(queries), wanted), np.inf), np.full((len(queries), wanted), len(self))
        with open_task_runner(self.workers, len(blocks), _nothing) as run:
            for _, nearest in run(look, blocks, lambda done, count: None):
                best = merge(best, nearest, wanted)
        return np.sqrt(best[0]), best[1]


def _nothing() -> None:
    """Do nothing at the end of a search."""


def _checked(columns: xr.Dataset, names: Sequence[str]) -> xr.Dataset:
    if "column" not in columns.sizes or "level" not in columns.sizes:
        raise InputError(
            f"a dataset of {dict(columns.sizes)}: give columns, with dimensions column and level"
        )
    absent = [name for name in names if name not in columns]
    if absent:
        raise MissingVariable(f"the columns do not have {', '.join(absent)}: read files that have them")
    if "LEVELS" in columns.variables:
        least, most = int(columns["LEVELS"].min()), int(columns["LEVELS"].max())
        if least != most:
            raise InputError(
                f"the columns have {least} to {most} levels: select those of one number, such as "
                f"columns.isel(column=columns['LEVELS'].values == {most})"
            )
        return columns.isel(level=slice(0, most))
    return columns


def _quantile(values: Array, weights: Array, share: float) -> Array:
    """Return the weighted quantile of the members (column, member, ...), interpolated between their centres."""
    weights = np.broadcast_to(weights.reshape(*weights.shape, *[1] * (values.ndim - 2)), values.shape)
    order = np.argsort(values, 1, kind="stable")
    values, weights = np.take_along_axis(values, order, 1), np.take_along_axis(weights, order, 1)
    centre = np.cumsum(weights, 1) - 0.5 * weights
    above = (centre < share).sum(1, keepdims=True)
    high = np.minimum(above, values.shape[1] - 1)
    low = np.maximum(above - 1, 0)
    ends = [np.take_along_axis(x, i, 1)[:, 0] for x in (centre, values) for i in (low, high)]
    gap = ends[1] - ends[0]
    part = np.where(gap > 0, (share - ends[0]) / np.where(gap > 0, gap, 1.0), 0.0).clip(0.0, 1.0)
    quantile: Array = ends[2] + part * (ends[3] - ends[2])
    return quantile
