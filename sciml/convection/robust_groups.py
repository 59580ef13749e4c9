"""Training of an emulator for its worst group of columns: runs, grid spacings, or seasons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from torch import nn

from sciml.errors import InputError
from sciml.train import BatchSource, Fit
from sciml.train.adaptive import Objective
from sciml.train.grouped import GroupedSource
from sciml.train.losses import scalars
from sciml.train.minmax.robust import By, Robust, RobustObjective

if TYPE_CHECKING:
    from sciml.convection.prepared_columns import PreparedColumns

__all__ = ["WorstGroup", "column_groups", "group_losses", "robust_settings"]

Array = NDArray[Any]

SEASONS = ("DJF", "MAM", "JJA", "SON")
MONITOR = "worst group"
BLOCK = 4096


def robust_settings(given: str | Mapping[str, Any] | None) -> tuple[str, Robust] | None:
    """Return the key of the groups and the settings; None if there is no robust training.

    Parameters
    ----------
    given
        ``run``, ``dx`` or ``season``; or a table with one of them as ``by``, and fields of `Robust`.

    Raises
    ------
    InputError
        The key or a setting is unknown, or out of range.

    Examples
    --------
    >>> robust_settings({"by": "run", "strength": 0.2})
    ('run', Robust(step=0.05, strength=0.2, ...))
    """
    if given is None or given == {}:
        return None
    table = {"by": given} if isinstance(given, str) else dict(given)
    by = table.pop("by", None)
    if by not in get_args(By):
        raise InputError(f"robust by {by!r}: give {', '.join(get_args(By))}")
    unknown = sorted(set(table) - set(Robust.__dataclass_fields__))
    if unknown:
        known = ", ".join(("by", *Robust.__dataclass_fields__))
        raise InputError(f"[robust] {', '.join(unknown)}: it may have {known}")
    return str(by), Robust(**table)


def column_groups(columns: xr.Dataset, by: str) -> tuple[list[str], Array]:
    """Return the groups of columns.

    Parameters
    ----------
    columns
        Columns.
    by
        ``run`` (RUN), ``dx`` (DX in m), or ``season`` of the northern hemisphere (the month of Time).

    Returns
    -------
    list of str
        Names of the groups, such as ``run 11``, ``dx 3000`` or ``season JJA``, in ascending order.
    numpy.ndarray
        Number of the group of each column, (column,).

    Raises
    ------
    InputError
        The columns do not have the variable, or a time is missing.
    """
    if by == "season":
        if "Time" not in columns.variables or bool((missing := columns["Time"].isnull()).any()):
            count = int(missing.sum()) if "Time" in columns.variables else columns.sizes["column"]
            raise InputError(
                f"groups by season: Time is missing in {count} of {columns.sizes['column']} columns; give columns of "
                "wrfout files, or groups by run or dx"
            )
        values = columns["Time"].dt.month.values % 12 // 3
        numbers, group = np.unique(values, return_inverse=True)
        return [f"season {SEASONS[int(number)]}" for number in numbers], group
    name = by.upper()
    if name in columns.variables:
        values = np.asarray(columns[name].values)
    elif columns.attrs.get(name) is not None:
        values = np.full(columns.sizes["column"], columns.attrs[name])
    else:
        raise InputError(
            f"groups by {by}: the columns do not have {name}; give columns with it, or another key"
        )
    distinct, group = np.unique(values, return_inverse=True)
    return [f"{by} {value:g}" for value in distinct.tolist()], group


def group_losses(objective: Objective, model: nn.Module, sources: Sequence[BatchSource]) -> list[float]:
    """Return the loss of each source of samples, without gradients; the model is in evaluation mode afterwards."""
    device = next(model.parameters()).device
    losses = []
    model.eval()
    with torch.no_grad():
        for source in sources:
            total = 0.0
            for batch in source.batches(BLOCK):
                moved = {name: tensor.to(device) for name, tensor in batch.items()}
                total += len(next(iter(batch.values()))) * scalars(objective(model, moved))["loss"]
            losses.append(total / len(source))
    return losses


@dataclass(frozen=True, eq=False)
class WorstGroup:
    """Parts of a training for the worst group.

    Parameters
    ----------
    by
        Key of the groups.
    objective
        Objective with the shares of the groups.
    training
        Batches with all groups.
    sources
        Samples of each group.
    held
        Names of the held-out groups, their samples, and the scales of their losses.
    """

    by: str
    objective: RobustObjective
    training: GroupedSource
    sources: Sequence[BatchSource]
    held: tuple[Sequence[str], Sequence[BatchSource], Sequence[float]]

    @classmethod
    def of(
        cls,
        given: tuple[str, Robust],
        columns: xr.Dataset,
        data: PreparedColumns,
        used: Array,
        held: Array,
        normalisation: Any,
        network: Any,
        objective: Objective,
        seed: int,
    ) -> WorstGroup:
        """Divide the columns of a training.

        Parameters
        ----------
        given
            Result of `robust_settings`.
        columns, data
            Columns, and what is prepared of them.
        used, held
            Masks of the prepared columns to train on and to validate with.
        normalisation
            Scaling of the inputs.
        network, objective
            Untrained network, and its objective.
        seed
            Seed of compressors and networks.

        Raises
        ------
        InputError
            All columns are of one group, or the columns do not have the key.
        """
        by, settings = given
        rows = columns.isel(column=data.row)
        names, number = column_groups(rows.isel(column=np.flatnonzero(used)), by)
        if len(names) < 2:
            raise InputError(
                f"--robust {by}: all training columns are of {names[0]}; give columns of two or more, or train "
                "without --robust"
            )

        def parts(mask: Array, number: Array, count: int) -> list[BatchSource]:
            place = np.flatnonzero(mask)
            masks = [np.zeros_like(mask) for _ in range(count)]
            for own, group in zip(masks, range(count), strict=True):
                own[place[number == group]] = True
            return [data.source(own, normalisation) for own in masks]

        sources = parts(used, number, len(names))

        def scales_of(some: Sequence[BatchSource]) -> list[float]:
            return group_losses(objective, network, some) if settings.relative else [1.0] * len(some)

        scales = scales_of(sources)
        robust = RobustObjective(objective, names, settings, scales=scales, seed=seed)
        held_names: list[str] = []
        held_sources: list[BatchSource] = []
        if held.any():
            held_names, own = column_groups(rows.isel(column=np.flatnonzero(held)), by)
            held_sources = parts(held, own, len(held_names))
        out = held_names, held_sources, scales_of(held_sources)
        return cls(by, robust, GroupedSource(sources), sources, out)

    def monitored(self, settings: Fit) -> Fit:
        """Return the settings with the worst held-out group as the monitored value, unless another one is given."""
        if not self.held[0] or settings.monitor != Fit.monitor:
            return settings
        return replace(settings, monitor=MONITOR)

    def metrics(self, model: nn.Module) -> dict[str, float]:
        """Return the greatest loss of a held-out group."""
        losses = group_losses(self.objective, model, self.held[1])
        return {MONITOR: max(loss / scale for loss, scale in zip(losses, self.held[2], strict=True))}

    @property
    def identity(self) -> dict[str, str]:
        """What a resumed training must share."""
        settings = self.objective.settings
        return {
            "the groups": ", ".join(self.objective.names),
            "the settings of the groups": ", ".join(
                f"{name} {getattr(settings, name)}" for name in Robust.__dataclass_fields__
            ),
        }

    def about(self, network: nn.Module) -> dict[str, Any]:
        """Describe the trained network for its checkpoint: shares and losses of the groups."""
        summary = self.objective.summary()
        losses = group_losses(self.objective, network, self.sources)
        return {"robust": {"by": self.by, **summary, "losses": losses}}

    @staticmethod
    def rows(about: Mapping[str, Any]) -> list[tuple[str, str]]:
        """Return the lines of a table about a trained model; empty without groups.

        Examples
        --------
        >>> made = {"groups": ["run 1", "run 2"], "shares": [0.25, 0.75], "losses": [1.0, 2.0]}
        >>> WorstGroup.rows({"robust": made})
        [('robust', 'run 1: loss 1, share 0.25'), ('', 'run 2: loss 2, share 0.75')]
        """
        made = about.get("robust")
        if not isinstance(made, Mapping) or not {"groups", "losses", "shares"} <= set(made):
            return []
        texts = [
            f"{name}: loss {loss:.4g}, share {share:.3g}"
            for name, loss, share in zip(made["groups"], made["losses"], made["shares"], strict=True)
        ]
        return [("robust" if place == 0 else "", text) for place, text in enumerate(texts)]
