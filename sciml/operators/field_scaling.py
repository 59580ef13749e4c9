"""Scaling of fields for a network, by the statistics of the training samples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from sciml.errors import InputError, SchemaError

__all__ = ["How", "FieldMoments", "FieldScaling", "Standard", "ValueMoments"]

How = Literal["scalar", "pointwise", "scale", "raw", "log"]
LEAST = 1e-6  # least scale relative to the size of the field, so that constants are not amplified
SKEWED = 1.0
"""Least skewness of the values from which their logarithms may be taken."""
Array = npt.NDArray[np.float64]


class ValueMoments:
    """Mean, variance and skewness of all values that are added in blocks, in float64.

    Blocks are merged by the updates of Pebay (2008, equations 2.1 and 2.9).

    Examples
    --------
    >>> moments = ValueMoments()
    >>> for block in ([1.0, 2.0], [6.0]):
    ...     moments.add(np.array(block))
    >>> moments.mean, round(moments.skewness, 4)
    (3.0, 0.5952)
    """

    def __init__(self) -> None:
        self.count, self.mean, self.squares, self.cubes = 0, 0.0, 0.0, 0.0

    def add(self, values: Array) -> None:
        """Add an array of values."""
        count, mean = values.size, float(values.mean())
        apart = values - mean
        squares, cubes = float(np.square(apart).sum()), float((apart * np.square(apart)).sum())
        total, step = self.count + count, mean - self.mean
        share = self.count * count / total
        self.cubes += cubes + step**3 * share * (self.count - count) / total
        self.cubes += 3 * step * (self.count * squares - count * self.squares) / total
        self.squares += squares + step**2 * share
        self.mean += step * count / total
        self.count = total

    @property
    def spread(self) -> float:
        """Standard deviation."""
        return float(np.sqrt(self.squares / max(self.count - 1, 1)))

    @property
    def skewness(self) -> float:
        """Third central moment over the cube of the standard deviation; 0 for equal values."""
        variance = self.squares / max(self.count, 1)
        return float(self.cubes / self.count / variance**1.5) if variance > 0 else 0.0


class FieldMoments:
    """Mean and variance at each point of fields that are added in blocks, in float64.

    Blocks are merged by the stable update of Chan, Golub and LeVeque (1983). Equal blocks in the same order give equal
    results.

    Parameters
    ----------
    shape
        Shape of one field, such as (y, x).

    Examples
    --------
    >>> moments = FieldMoments((1, 2))
    >>> for block in ([[[1.0, 2.0]]], [[[3.0, 2.0]], [[2.0, 2.0]]]):
    ...     moments.add(np.array(block))
    >>> moments.mean, (moments.squares / moments.count) ** 0.5
    (array([[2., 2.]]), array([[0.81649658, 0. ]]))
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.count = 0
        self.mean: Array = np.zeros(shape)
        self.squares: Array = np.zeros(shape)
        self.least, self.most = np.inf, -np.inf
        self.values, self.logs = ValueMoments(), ValueMoments()

    def add(self, block: npt.NDArray[Any]) -> None:
        """Add fields (sample, y, x)."""
        block = np.asarray(block, dtype=np.float64)
        count, mean = len(block), block.mean(0)
        squares = np.square(block - mean).sum(0)
        total = self.count + count
        step = mean - self.mean
        self.squares = self.squares + squares + step**2 * (self.count * count / total)
        self.mean = self.mean + step * (count / total)
        self.count = total
        self.least, self.most = min(self.least, float(block.min())), max(self.most, float(block.max()))
        self.values.add(block)
        if self.least > 0:
            self.logs.add(np.log(block))

    @property
    def skewed(self) -> bool:
        """Whether the values are positive and skewed, and their logarithms are at most half as skewed."""
        before, after = self.values.skewness, self.logs.skewness
        return self.least > 0 and before > SKEWED and abs(after) < before / 2

    def standard(self, how: How, lift: Array | None = None) -> Standard:
        """Return the scaling of these fields.

        With ``scale``, a lift (y, x) of the values on the sides is subtracted first, so that the scaled field is zero
        on the sides.

        Raises
        ------
        InputError
            The kind of scaling is unknown, or no fields were added.
        """
        if how not in get_args(How):
            raise InputError(f"normalisation {how!r}: give one of {', '.join(get_args(How))}")
        if not self.count:
            raise InputError("no samples to normalise by: give at least 1")
        if how == "raw":
            return Standard(how, torch.tensor(0.0), torch.tensor(1.0))
        if how == "log":
            if not self.least > 0:
                raise InputError(f"scaling 'log' of values from {self.least:g}: give positive values")
            of_logs = self.logs.spread if self.logs.spread > LEAST else 1.0
            return Standard(how, *(torch.tensor(x, dtype=torch.float32) for x in (self.logs.mean, of_logs)))
        size = float(np.sqrt((self.squares / self.count + self.mean**2).mean())) or 1.0
        if how == "scale" and lift is not None:
            left = float(np.sqrt((self.squares / self.count + (self.mean - lift) ** 2).mean()))
            scale = left if left > LEAST * size else size
            return Standard(how, *(torch.tensor(x, dtype=torch.float32) for x in (lift, scale)))
        if how == "scale":
            return Standard(how, torch.tensor(0.0), torch.tensor(size, dtype=torch.float32))
        mean, squares = self.mean, self.squares
        if how == "scalar":
            mean = self.mean.mean()
            squares = (self.squares + self.count * (self.mean - mean) ** 2).sum()
        number = self.count * (self.mean.size if how == "scalar" else 1)
        spread = np.sqrt(squares / max(number - 1, 1))
        # a field that does not vary is only shifted
        spread = np.where(spread > LEAST * size, spread, size)
        return Standard(how, *(torch.tensor(x, dtype=torch.float32) for x in (mean, spread)))


@dataclass(frozen=True, eq=False)
class Standard:
    """Shift and scale of one field.

    Parameters
    ----------
    how
        ``scalar``: mean 0 and standard deviation 1 over all points. ``pointwise``: the same at each point, for one
        grid. ``scale``: root mean square 1 without a shift, so that zero boundary values stay zero; if a Dirichlet side
        is not zero, a lift of its values is subtracted. ``raw``: no scaling. ``log``: the logarithm of positive values,
        then as ``scalar``.
    mean, scale
        Shift and scale, () or (y, x), float32.
    """

    how: How
    mean: Tensor
    scale: Tensor

    def encode(self, field: Tensor) -> Tensor:
        """Scale a field (..., y, x) from physical units to those of the network."""
        if self.how == "raw":
            return field
        return ((field.log() if self.how == "log" else field) - self.mean) / self.scale

    def decode(self, field: Tensor) -> Tensor:
        """Scale a field (..., y, x) from the units of the network to physical units."""
        if self.how == "raw":
            return field
        physical = field * self.scale + self.mean
        return physical.exp() if self.how == "log" else physical

    def check(self, shape: tuple[int, ...], name: str) -> None:
        """Check that the scaling applies to a grid.

        Raises
        ------
        InputError
            The scaling is pointwise, for a grid of another shape.
        """
        if self.mean.ndim and tuple(self.mean.shape) != shape:
            what = "has a lift of its side values" if self.how == "scale" else "is normalised point by point"
            raise InputError(
                f"{name} {what} on {tuple(self.mean.shape)}, the problem has {shape}: "
                "use that resolution, or train with scalar normalisation"
            )

    def to(self, device: torch.device | str) -> Standard:
        """Copy the scaling to a device."""
        return Standard(self.how, self.mean.to(device), self.scale.to(device))


@dataclass(frozen=True, eq=False)
class FieldScaling:
    """Scaling of each input, by name, and of the target."""

    inputs: Mapping[str, Standard]
    target: Standard

    @classmethod
    def raw(cls, inputs: tuple[str, ...]) -> FieldScaling:
        """Return the scaling that leaves all fields in physical units."""
        none = Standard("raw", torch.tensor(0.0), torch.tensor(1.0))
        return cls(dict.fromkeys(inputs, none), none)

    def to(self, device: torch.device | str) -> FieldScaling:
        """Copy the scaling to a device."""
        return FieldScaling({n: s.to(device) for n, s in self.inputs.items()}, self.target.to(device))

    def ways(self) -> dict[str, Any]:
        """Return the kind of each scaling by name, for the configuration of a checkpoint."""
        return {"inputs": {name: value.how for name, value in self.inputs.items()}, "target": self.target.how}

    def tensors(self) -> dict[str, Tensor]:
        """Return the shifts and scales by name, for a checkpoint."""
        every = {**{f"inputs.{name}": value for name, value in self.inputs.items()}, "target": self.target}
        return {
            f"normalisation.{name}.{part}": getattr(value, part)
            for name, value in every.items()
            for part in ("mean", "scale")
        }

    @classmethod
    def load(cls, ways: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> FieldScaling:
        """Make the scaling from the output of `ways` and `tensors`.

        Raises
        ------
        SchemaError
            An entry is missing.
        """

        def standard(name: str, how: Any) -> Standard:
            if how not in get_args(How):
                raise SchemaError(f"the checkpoint's normalisation of {name} is {how!r}: train it again")
            parts = [tensors.get(f"normalisation.{name}.{part}") for part in ("mean", "scale")]
            if parts[0] is None or parts[1] is None:
                raise SchemaError(f"the checkpoint has no normalisation.{name}: train it again")
            return Standard(how, parts[0], parts[1])

        try:
            inputs = {name: standard(f"inputs.{name}", how) for name, how in ways["inputs"].items()}
            return cls(inputs, standard("target", ways["target"]))
        except (KeyError, TypeError, AttributeError) as error:
            raise SchemaError(f"the checkpoint's normalisation is {ways!r}: train it again") from error
