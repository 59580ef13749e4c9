"""A trained model with its data in three parts, for the choice of widths."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from torch import nn

from sciml.compress.floor import Metric, loss_metric
from sciml.compress.second_order import BatchLoss
from sciml.errors import InputError

__all__ = ["BATCH", "MOST", "MetricName", "Subject", "known_scores", "split_rows"]

BATCH: Final = 128
MOST: Final = 4096
"""Largest number of samples of the calibration and of the confirmation data."""
LEAST_SCORE = 0.1
LEAST_SAMPLES = 12
MetricName: TypeAlias = Literal["r2", "loss"]


@dataclass(frozen=True, eq=False)
class Subject:
    """A trained model, and its data in three parts.

    Attributes
    ----------
    kind
        Kind of its checkpoint.
    model
        Emulator or operator, a dataclass with the field ``network``.
    terms
        Batches for the second-order terms.
    losses
        Batches for the calibration and for the confirmation, to compute losses.
    scored
        Data for the calibration and for the confirmation, to compute R2.
    loss
        Mean loss of a batch.
    r2
        R2 by output.
    samples
        Number of samples in each of the three parts.
    """

    kind: str
    model: Any
    terms: list[Any]
    losses: tuple[list[Any], list[Any]]
    scored: tuple[list[Any], list[Any]]
    loss: BatchLoss
    r2: Metric
    samples: tuple[int, int, int]

    @property
    def network(self) -> nn.Module:
        """The network of the model."""
        network: nn.Module = self.model.network
        return network

    def floor(self, name: MetricName) -> tuple[Metric, list[Any], list[Any]]:
        """Return the metric of a name, and the calibration and confirmation data that it takes."""
        if name == "loss":
            return (loss_metric(self.loss), *self.losses)
        return (self.r2, *self.scored)

    def save(self, path: str | Path, network: nn.Module) -> Path:
        """Write the checkpoint of the model with another network."""
        made: Path = replace(self.model, network=network).save(path)
        return made


def split_rows(
    count: int, seed: int, most_terms: int, what: str
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Split samples at random: a third for the second-order terms, and the others in halves.

    Parameters
    ----------
    count
        Number of samples.
    seed
        Seed of the order.
    most_terms
        Largest number of samples for the second-order terms.
    what
        Name of the samples, for the message.

    Raises
    ------
    InputError
        There are too few samples.
    """
    if count < LEAST_SAMPLES:
        raise InputError(
            f"{count} {what}: give {LEAST_SAMPLES} or more, because the data are split in three parts"
        )
    order = np.random.default_rng(seed).permutation(count)
    first = min(count // 3, most_terms)
    half = min((count - first) // 2, MOST)
    parts = order[:first], order[first : first + half], order[first + half : first + 2 * half]
    return np.sort(parts[0]), np.sort(parts[1]), np.sort(parts[2])


def known_scores(score: Callable[[nn.Module, Sequence[Any]], dict[str, float | None]]) -> Metric:
    """Return a metric without the scores that are missing, and without those that are low from the beginning.

    A share of R2 near zero has no meaning. The first network that is scored on some data decides which scores remain.
    """
    chosen: dict[int, set[str]] = {}

    def metric(network: nn.Module, data: Sequence[Any]) -> dict[str, float]:
        scores = {
            name: float("nan") if value is None else value for name, value in score(network, data).items()
        }
        names = chosen.setdefault(
            id(data[0]),
            {name for name, value in scores.items() if math.isfinite(value) and value >= LEAST_SCORE},
        )
        return {name: scores.get(name, float("nan")) for name in scores if name in names}

    return metric
