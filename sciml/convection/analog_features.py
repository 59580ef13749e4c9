"""What the distance of two columns is computed from: standardised profiles, or an emulator's features of the plume.

All values are rounded to multiples of 1/4096 standard deviations and limited, so that the sums of a squared distance
are exact in double precision. Its bits then depend neither on the blocks nor on the library that multiplies matrices.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from sciml.errors import InputError, MissingVariable

if TYPE_CHECKING:
    import xarray as xr

    from sciml.convection.emulator import Emulator

__all__ = ["STEP", "Features", "PlumeFeatures", "ProfileFeatures", "check_columns", "profiles"]

Array = NDArray[Any]

STEP = 2.0**-12  # of a rounded feature, in standard deviations
PROFILE_REACH = 128.0  # limit of a standardised profile
PLUME_REACH = 8.0  # limit of a standardised feature of the plume
APART = 1024.0  # of columns with and without a rising plume
LEAST_SHARE = 0.05  # of a variable's spread over all levels, as least scale of a level


class Features(Protocol):
    """Features of columns; the distance is the root mean square difference of `count` of them.

    Attributes
    ----------
    any_levels
        Whether columns with different numbers of levels can be compared.
    """

    any_levels: ClassVar[bool]

    @property
    def count(self) -> int:
        """Number that the sum of the squared differences is divided by."""
        ...

    def __call__(self, columns: xr.Dataset) -> Array:
        """Return the features in units of `STEP`, whole numbers, (column, feature), float64."""
        ...


@dataclass(frozen=True)
class ProfileFeatures:
    """Standardised profiles.

    Attributes
    ----------
    inputs
        Names of the profiles.
    mean, scale
        Of each input and level, (input, level).
    """

    any_levels: ClassVar[bool] = False

    inputs: tuple[str, ...]
    mean: Array
    scale: Array

    @classmethod
    def of(cls, columns: xr.Dataset, inputs: Sequence[str]) -> ProfileFeatures:
        """Determine the means and scales of columns."""
        x = profiles(columns, inputs)
        mean, spread = x.mean(0), x.std(0, ddof=1)
        overall = np.sqrt(np.square(spread).mean(1) + mean.var(1))
        scale = np.maximum(spread, LEAST_SHARE * overall[:, None])
        return cls(tuple(inputs), mean, np.where(scale > 0, scale, 1.0))

    @property
    def count(self) -> int:
        """Number of profiles times levels."""
        return int(self.mean.size)

    def __call__(self, columns: xr.Dataset) -> Array:
        """See `Features`."""
        x = (profiles(columns, self.inputs) - self.mean) / self.scale
        return _whole(x.reshape(len(x), -1), PROFILE_REACH)


@dataclass(frozen=True)
class PlumeFeatures:
    """Standardised features of the plume that an emulator sees; columns whose plume does not rise are far from others.

    Attributes
    ----------
    emulator
        An emulator whose features have a training range, such as ``mskf-convrad``. Its predictions are not used.

    Raises
    ------
    InputError
        The emulator has no features of a plume.
    """

    any_levels: ClassVar[bool] = True

    emulator: Emulator[Any]

    def __post_init__(self) -> None:
        if not hasattr(self.emulator.normalisation, "rescale"):
            raise InputError(
                f"{self.emulator.name} has no features of a plume: give an emulator of another network, such as "
                "mskf-convrad"
            )

    @property
    def count(self) -> int:
        """Number of layers times channels, and of scalars."""
        scaling = self.emulator.normalisation
        return int(scaling.mean.numel() + scaling.scalar_mean.numel())

    def __call__(self, columns: xr.Dataset) -> Array:
        """See `Features`."""
        import torch

        from sciml.convection.physics import sounding_of
        from sciml.convection.problem import INPUT_PROFILES, INPUT_SURFACE, SETTINGS

        inputs = [x for x in (*INPUT_PROFILES, *INPUT_SURFACE, *SETTINGS) if x in columns.variables]
        columns = columns[inputs].compute()  # all at once, because each reading of lazy columns is slow
        features = np.zeros((columns.sizes["column"], self.count + 1))
        with torch.no_grad():
            seen = self.emulator.network.observe(sounding_of(columns))
            if seen is None:
                return features
            z, y = self.emulator.normalisation.rescale(seen.channels, seen.scalars)
        flat = np.concatenate([z.permute(2, 0, 1).flatten(1).numpy(), y.T.numpy()], 1)
        rows = seen.index.numpy()
        features[rows, :-1] = _whole(flat, PLUME_REACH)
        features[rows, -1] = APART / STEP
        return features


def profiles(columns: xr.Dataset, inputs: Sequence[str]) -> Array:
    """Read profiles, (column, input, level), float64; the grid-scale ascent enters by its cube root."""
    parts = []
    for name in inputs:
        x = np.asarray(columns[name].transpose("column", "level").values, np.float64)
        bad = int((~np.isfinite(x)).sum())
        if bad:
            raise InputError(f"{bad} values of {name} are not finite: drop these columns")
        parts.append(np.cbrt(x) if name == "W0AVG" else x)
    return np.stack(parts, 1)


def _whole(x: Array, reach: float) -> Array:
    whole: Array = np.rint(np.clip(x, -reach, reach) / STEP)
    return whole


def check_columns(columns: xr.Dataset, names: Sequence[str]) -> xr.Dataset:
    """Return the columns without levels that none of them has, after a check of their variables and levels."""
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
