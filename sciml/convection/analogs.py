"""Analogs of a column: the tendencies of the most similar stored columns, their spread, and how new a column is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from sciml.checks import check_fraction, check_positive, check_whole
from sciml.convection import weighted_members
from sciml.convection.analog_features import STEP, Features, ProfileFeatures, check_columns
from sciml.convection.column_digests import digests
from sciml.convection.held_out_groups import held_out_groups
from sciml.convection.member_levels import to_levels
from sciml.convection.nearest_columns import Search, merge
from sciml.errors import InputError
from sciml.parallel.bounded import TaskRunner, open_task_runner
from sciml.progress import StageProgress, Update

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["INPUTS", "TENDENCIES", "AnalogMemory"]

Array = NDArray[Any]
R = TypeVar("R")

INPUTS = ("T_PHY", "QVAPOR", "W0AVG")
TENDENCIES = ("RTHCUTEN", "RQVCUTEN")
PRESSURE = "P_HYD"
BLOCK = 8192  # stored columns that are read at a time
VALUES = 2**23  # values of members that are in memory at a time
USUAL = 0.99  # fraction of the stored columns that are not novel
SCALED = 4096  # stored columns that determine the scales of the profiles
DRAWN = 1024  # stored columns whose neighbours determine the scale of distances and the intervals


class AnalogMemory:
    """Stored columns with their observed tendencies, as an ensemble for other columns.

    The memory is a Hopfield network whose stored patterns are columns and whose projections are tendencies: the weights
    of the members are ``softmax(-beta / 2 |q - k|^2)``, which is ``softmax(beta q k)`` with the mask
    ``-beta / 2 |k|^2`` (`sciml.nn.association.associate`), so that a long pattern is not preferred. Only the nearest
    stored columns are members. Distances are root mean square differences of standardised features. The search is
    exact. Equal bits result for any division into blocks, number of workers and order of the stored columns.

    Parameters
    ----------
    columns
        Stored columns with inputs and tendencies, as of `sciml.open_columns`; all with equally many levels. Lazy
        columns are read in blocks and not stored, so that they may be larger than memory.
    inputs
        Profiles whose distances count, without ``features``.
    tendencies
        Outputs of the scheme to predict, profiles or numbers of a column.
    features
        What the distance is computed from instead of the profiles, such as ``PlumeFeatures(emulator)``.
    members
        Number of stored columns in an ensemble.
    beta
        Inverse squared scale of distances; None takes that of the median distance of a stored column's last member.
    workers
        Processes that search the blocks, by Dask; 1 searches in this process, unless a scheduler is there.
    seed
        Seed of the draw of stored columns that give the scales and the intervals.
    progress
        Progress of the calibration; None shows nothing.

    Attributes
    ----------
    beta
        Inverse squared scale of distances.
    usual
        Distance to the nearest other stored column that 1 % of the stored columns exceed.
    held_out
        Groups that the calibration of the intervals held out as a whole: ``run``, ``time``, ``strip`` or ``column``.

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
        features: Features | None = None,
        members: int = 32,
        beta: float | None = None,
        workers: int | None = 1,
        seed: int = 7,
        progress: StageProgress | None = None,
    ) -> None:
        check_whole("members", members, 1, owner="AnalogMemory")
        check_whole("seed", seed, 0, owner="AnalogMemory")
        if beta is not None:
            check_positive("beta", beta, owner="AnalogMemory")
        if not inputs or not tendencies:
            raise InputError("AnalogMemory needs at least one of inputs and of tendencies: name some")
        self.inputs, self.tendencies, self.members = tuple(inputs), tuple(tendencies), members
        self.workers = workers
        self._columns = check_columns(columns, (*self.inputs, *self.tendencies))
        count = len(self)
        if count <= members:
            raise InputError(
                f"{count} stored columns for {members} members: give more columns, or fewer members"
            )
        stages = progress or StageProgress()
        with self._runner() as run:
            self._order = self._shuffled(run, seed, stages.stage("reading"))
            self._rank = np.argsort(self._order)
            self.features: Features = (
                ProfileFeatures.of(self._columns.isel(column=self._order[:SCALED]), self.inputs)
                if features is None
                else features
            )
            drawn = self._order[:DRAWN]
            queries = self.features(self._columns.isel(column=drawn))
            groups = np.arange(count)  # each column itself
            distance, _ = self._nearest(run, queries, stages.stage("scaling"), (groups[drawn], groups))
            self.held_out, groups = held_out_groups(self._columns, members)
            nearest = self._nearest(run, queries, stages.stage("calibrating"), (groups[drawn], groups))
        self.usual = _positive(distance[:, 0], USUAL)
        self.beta = _positive(distance[:, -1], 0.5) ** -2 if beta is None else float(beta)
        self._ranks = self._calibrated(drawn, nearest, seed)

    def __len__(self) -> int:
        return int(self._columns.sizes["column"])

    def __repr__(self) -> str:
        what = (
            ", ".join(self.inputs)
            if isinstance(self.features, ProfileFeatures)
            else f"{self.features.count} features"
        )
        return (
            f"AnalogMemory of {len(self):,} columns with {self._columns.sizes['level']} levels: {what} -> "
            f"{', '.join(self.tendencies)}, {self.members} members, beta {self.beta:.3g}"
        )

    def ensemble(self, columns: xr.Dataset) -> xr.Dataset:
        """Return the members for each column.

        Parameters
        ----------
        columns
            Columns with the inputs; on as many levels as the stored ones, unless the features do not depend on levels.

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
        columns = self._same_levels(columns)
        with self._runner() as run:
            nearest = self._nearest(run, self.features(columns))
        return self._ensemble(*nearest, columns)

    def _ensemble(self, distance: Array, rank: Array, columns: xr.Dataset) -> xr.Dataset:
        """Read the members; on the levels of the columns, if these have other numbers of levels."""
        import xarray as xr

        stored = self._order[rank]
        rows, place = np.unique(stored, return_inverse=True)
        place = place.reshape(stored.shape)
        moved = columns.sizes["level"] != self._columns.sizes["level"]
        names = [*self.tendencies, *([PRESSURE] * moved)]
        chosen = self._columns[names].isel(column=rows).transpose("column", ...).load()
        made: dict[str, Any] = {
            "WEIGHT": (("column", "member"), self._weights(distance), {"long_name": "weight of a member"}),
            "DISTANCE": (
                ("column", "member"),
                distance,
                {"long_name": "root mean square difference in standard deviations", "units": "1"},
            ),
            "STORED": (("column", "member"), stored, {"long_name": "number of the stored column"}),
        }
        for name in self.tendencies:
            x, dims = chosen[name].values[place], ("column", "member", *chosen[name].dims[1:])
            if moved and "level" in dims:
                levels = columns[PRESSURE].transpose("column", "level").values
                x = to_levels(x, chosen[PRESSURE].values[place], levels)
            made[name] = dims, x, dict(chosen[name].attrs)
        return xr.Dataset(made)

    def predict(
        self, columns: xr.Dataset, *, coverage: float = 0.9, progress: StageProgress | None = None
    ) -> xr.Dataset:
        """Predict tendencies with an interval, and how new each column is.

        Parameters
        ----------
        columns
            Columns with the inputs; on as many levels as the stored ones, unless the features do not depend on levels.
        coverage
            Fraction of the true values that are not zero inside the interval between two weighted quantiles of the
            members. Which ones these are is calibrated: those between which the stored columns have this fraction of
            their own values when their whole group (`held_out`) is no member.
        progress
            Progress of the search; None shows nothing.

        Returns
        -------
        xr.Dataset
            Mean, lower and upper limit of each tendency (``NAME``, ``NAME_LOW``, ``NAME_HIGH``), and if the columns
            have it, the continuous ranked probability score of its members (``NAME_CRPS``); ``NOVELTY`` (column,),
            above 1 for a column that is farther from all stored ones than 99 % of these are from each other;
            ``ANALOGS`` (column,), the effective number of members. The coordinates are those of the columns.

        Raises
        ------
        MissingVariable, InputError
            As in the constructor, or the coverage is not between 0 and 1.
        """
        import xarray as xr

        check_fraction("coverage", coverage, example="0.9")
        columns = self._same_levels(columns)
        update = (progress or StageProgress()).stage("searching")
        queries = np.concatenate([self.features(columns.isel(column=part)) for part in _blocks(columns)])
        with self._runner() as run:
            distance, rank = self._nearest(run, queries, update)
        parts = []
        for rows in self._parts(len(queries)):
            some = columns.isel(column=rows)
            members = self._ensemble(distance[rows], rank[rows], some)
            parts.append(self.summary(members, some, coverage=coverage))
        answer = xr.concat(parts, "column")
        novelty, label = distance[:, 0] / self.usual, "distance to the nearest stored column"
        answer["NOVELTY"] = "column", novelty, {"long_name": label, "units": "1"}
        # xarray stores the names of coordinates as a set, whose order differs between processes.
        names = sorted(str(name) for name in columns.coords)
        coords = {name: columns[name].variable for name in names if columns[name].dims == ("column",)}
        return answer.reset_coords(drop=True).assign_coords(coords)

    def summary(self, members: xr.Dataset, columns: xr.Dataset, *, coverage: float = 0.9) -> xr.Dataset:
        """Summarise members as `predict` does, without the novelty.

        Parameters
        ----------
        members
            Result of `ensemble` for the columns.
        columns
            The columns; their tendencies, if there, are the truth of the scores.
        coverage
            As of `predict`.
        """
        import xarray as xr

        weights = members["WEIGHT"].values
        made: dict[str, Any] = {}
        for name in self.tendencies:
            values, attrs = members[name].values, members[name].attrs
            dims = ("column", *members[name].dims[2:])
            shares = np.quantile(self._ranks[name], (0.5 - coverage / 2, 0.5 + coverage / 2))
            low, high = (weighted_members.quantile(values, weights, float(share)) for share in shares)
            made[name] = dims, weighted_members.mean(values, weights), attrs
            made[f"{name}_LOW"], made[f"{name}_HIGH"] = (dims, low, attrs), (dims, high, attrs)
            if name in columns:
                truth = columns[name].transpose("column", ...).values
                made[f"{name}_CRPS"] = dims, weighted_members.crps(values, weights, truth), attrs
        analogs = 1.0 / np.square(weights).sum(1)
        made["ANALOGS"] = "column", analogs, {"long_name": "effective number of members", "units": "1"}
        return xr.Dataset(made)

    def novelty(self, columns: xr.Dataset) -> Array:
        """Return how new each column is, (column,); above 1 is farther than 99 % of the stored columns are.

        Parameters
        ----------
        columns
            Columns with the inputs; on as many levels as the stored ones, unless the features do not depend on levels.

        Returns
        -------
        numpy.ndarray
            Distance to the nearest stored column in units of `usual`.

        Raises
        ------
        MissingVariable, InputError
            As in the constructor.
        """
        columns = self._same_levels(columns)
        with self._runner() as run:
            distance, _ = self._nearest(run, self.features(columns), members=1)
        novelty: Array = distance[:, 0] / self.usual
        return novelty

    def _calibrated(self, drawn: Array, nearest: tuple[Array, Array], seed: int) -> dict[str, Array]:
        """Return the ranks of the drawn columns' own tendencies among their members, ascending, between 0 and 1."""
        own = self._columns[list(self.tendencies)].isel(column=drawn).load()
        ranks: dict[str, list[Array]] = {name: [] for name in self.tendencies}
        draws = {name: np.random.default_rng([seed, place]) for place, name in enumerate(self.tendencies)}
        for rows in self._parts(len(drawn)):
            members = self._ensemble(nearest[0][rows], nearest[1][rows], own)
            for name in self.tendencies:
                values, truth = members[name].values, own[name].transpose("column", ...).values[rows]
                below, up_to = weighted_members.rank_range(values, members["WEIGHT"].values, truth)
                # uniform where the members are equally likely
                rank = below + (up_to - below) * draws[name].random(below.shape)
                ranks[name].append(rank[(values.max(1) > values.min(1)) & (truth != 0)])
        joined = {name: np.sort(np.concatenate(some)) for name, some in ranks.items()}
        return {name: some if len(some) else np.array([0.0, 1.0]) for name, some in joined.items()}

    def _parts(self, count: int) -> Iterator[slice]:
        """Divide columns so that the members of a part fit into the memory."""
        size = max(1, VALUES // (self.members * int(self._columns.sizes["level"])))
        return (slice(start, start + size) for start in range(0, count, size))

    def _weights(self, distance: Array) -> Array:
        scores = -0.5 * self.beta * np.square(distance)
        weights: Array = np.exp(scores - scores.max(1, keepdims=True))
        weights /= weights.sum(1, keepdims=True)
        return weights

    def _same_levels(self, columns: xr.Dataset) -> xr.Dataset:
        checked = check_columns(columns, self.inputs)
        own, given = self._columns.sizes["level"], checked.sizes["level"]
        if own != given and not self.features.any_levels:
            raise InputError(
                f"columns of {given} levels, the stored ones have {own}: give columns of one grid, or use features of "
                "the plume (PlumeFeatures, --features mskf-convrad)"
            )
        return checked

    def _runner(self) -> AbstractContextManager[TaskRunner]:
        return open_task_runner(self.workers, len(_blocks(self._columns)), _nothing)

    def _shuffled(self, run: TaskRunner, seed: int, update: Update) -> Array:
        """Return the numbers of the stored columns in an order that depends on their values and the seed only."""
        digest, blocks = np.zeros(len(self), np.uint64), _blocks(self._columns)
        look = partial(digests, self._columns, (*self.inputs, *self.tendencies), seed)
        for number, values in run(partial(_read_here, look), blocks, update):
            digest[blocks[number]] = values
        return np.argsort(digest, kind="stable")

    def _nearest(
        self,
        run: TaskRunner,
        queries: Array,
        update: Update = lambda done, count: None,
        apart: tuple[Array, Array] | None = None,
        members: int | None = None,
    ) -> tuple[Array, Array]:
        """Search all blocks; return distances and ranks of the nearest, (query, member)."""
        wanted, count = members or self.members, len(self)
        look = Search(self._columns, self.features, self._rank, queries, wanted, apart)
        best = np.full((len(queries), wanted), np.inf), np.full((len(queries), wanted), count)
        for _, nearest in run(partial(_read_here, look), _blocks(self._columns), update):
            best = merge(best, nearest, wanted)
        return STEP * np.sqrt(best[0] / self.features.count), best[1]


def _positive(distance: Array, share: float) -> float:
    """Return the quantile of the distances between different columns, or 1 if all are equal."""
    some = distance[distance > 0]
    return float(np.quantile(some, share)) if len(some) else 1.0


def _nothing() -> None:
    """Do nothing at the end of a search."""


def _read_here(function: Callable[[slice], R], part: slice) -> R:
    """Call a function that reads lazy columns without asking the scheduler that called it."""
    import dask

    with dask.config.set(scheduler="synchronous"):
        return function(part)


def _blocks(columns: xr.Dataset) -> list[slice]:
    return [slice(start, start + BLOCK) for start in range(0, columns.sizes["column"], BLOCK)]
