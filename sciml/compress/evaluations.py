"""Evaluations of quantised networks: the shares of their scores that assignments of widths retain."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from torch import nn

from sciml.compress.floor import Metric, retained_shares, scores_of

__all__ = ["Apply", "Evaluations"]

Floats: TypeAlias = npt.NDArray[np.float64]
Choices: TypeAlias = npt.NDArray[np.int64]
Apply: TypeAlias = Callable[[nn.Module, Mapping[str, int]], nn.Module]
"""A function of a network and the width of each tensor that returns the quantised network."""


class Evaluations:
    """Evaluations of assignments on calibration and confirmation data, each made once.

    Parameters
    ----------
    model
        Network.
    names, widths
        Names of the tensors, and widths in bits.
    keep
        Share of each score that must be retained.
    metric, apply
        Scores, and how a network is quantised.
    calibration, confirmation
        Batches.
    """

    def __init__(
        self,
        model: nn.Module,
        names: Sequence[str],
        widths: Sequence[int],
        keep: float,
        metric: Metric,
        apply: Apply,
        calibration: Sequence[Any],
        confirmation: Sequence[Any],
    ) -> None:
        self.model, self.names, self.widths, self.keep = model, names, widths, keep
        self.metric, self.apply = metric, apply
        self.batches = {"calibration": calibration, "confirmation": confirmation}
        self.before = {name: scores_of(metric, model, batches) for name, batches in self.batches.items()}
        self.known: dict[tuple[bytes, str], dict[str, float]] = {}
        self.network: tuple[bytes, nn.Module] | None = None

    def __len__(self) -> int:
        """Return the number of networks that were evaluated."""
        return len({choice for choice, _ in self.known})

    def shares(self, choice: Choices, name: str) -> dict[str, float]:
        """Return the retained shares of an assignment (tensor,) on the named data."""
        key = choice.tobytes()
        if (key, name) not in self.known:
            if self.network is None or self.network[0] != key:
                chosen = {n: self.widths[w] for n, w in zip(self.names, choice, strict=True)}
                self.network = (key, self.apply(self.model, chosen))
            after = scores_of(self.metric, self.network[1], self.batches[name])
            self.known[key, name] = retained_shares(self.before[name], after)
        return self.known[key, name]

    def passes(self, choice: Choices) -> bool:
        """Whether an assignment retains enough on the calibration data."""
        return min(self.shares(choice, "calibration").values()) >= self.keep

    def is_confirmed(self, choice: Choices) -> bool:
        """Whether an assignment retains enough on the confirmation data."""
        return min(self.shares(choice, "confirmation").values()) >= self.keep

    def excess(self, choice: Choices, *names: str) -> Floats:
        """Return by how much each score falls below what must be retained (score,).

        Parameters
        ----------
        choice
            Assignment (tensor,).
        *names
            Names of the data; by default the calibration data.
        """
        given = names or ("calibration",)
        return self.keep - np.array([s for name in given for s in self.shares(choice, name).values()])

    def known_excess(self, *names: str) -> dict[bytes, Floats]:
        """Return `excess` of the assignments that were evaluated on all of the named data, by their bytes."""
        given = names or ("calibration",)
        keys = {key for key, _ in self.known if all((key, name) in self.known for name in given)}
        return {key: self.excess(np.frombuffer(key, np.int64), *given) for key in keys}
