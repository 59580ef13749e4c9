"""Pairs of inputs and outputs of a declared scheme, from files with the dimensions (column, level)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import xarray as xr

from sciml.errors import InputError, MissingVariable, SciMLError
from sciml.schemes.field import Field
from sciml.schemes.scheme import ColumnScheme
from sciml.storage.containment import check_hdf5
from sciml.storage.damage import DAMAGE, reason_of
from sciml.wrf.units import parsed

__all__ = ["check_pairs", "group_by_levels", "open_groups", "open_pairs"]

COLUMN, LEVEL = "column", "level"
SCHEME = "scheme"
"""Attribute of a file: name of the scheme; a file without it may be of any."""


def open_pairs(
    paths: str | Path | Sequence[str | Path],
    scheme: ColumnScheme,
    *,
    rename: Mapping[str, str] | None = None,
    targets: bool = True,
) -> xr.Dataset:
    """Open netCDF files with columns of a scheme.

    Parameters
    ----------
    paths
        One file or several, whose columns are joined. Profiles have the dimensions (column, level), the lowest level
        first, and scalars (column,), in any order of the dimensions.
    scheme
        Declaration of the scheme.
    rename
        New name by the old one, of variables and dimensions of the files.
    targets
        Whether the outputs of the scheme are needed.

    Returns
    -------
    xarray.Dataset
        The fields of the scheme in its units, float64, (column, level) and (column,), in memory.

    Raises
    ------
    InputError
        A file cannot be read, is one of another scheme, has other dimensions or units, or other levels than the
        first one; or `check_pairs` rejects the values.
    MissingVariable
        A field of the scheme is absent.
    """
    files, parts = _listed(paths), []
    for path in files:
        parts.append(_open(path, scheme, rename or {}, targets))
        if parts[-1].sizes[LEVEL] != parts[0].sizes[LEVEL]:
            raise InputError(
                f"{path} has {parts[-1].sizes[LEVEL]} levels and {files[0]} has {parts[0].sizes[LEVEL]}: open them "
                "with open_groups"
            )
    return _joined(parts)


def open_groups(
    paths: str | Path | Sequence[str | Path],
    scheme: ColumnScheme,
    *,
    rename: Mapping[str, str] | None = None,
    targets: bool = True,
) -> tuple[xr.Dataset, ...]:
    """Open netCDF files of several numbers of levels: a dataset as by `open_pairs` for each number, fewest first.

    Raises
    ------
    InputError, MissingVariable
        As `open_pairs`.
    """
    return group_by_levels([_open(path, scheme, rename or {}, targets) for path in _listed(paths)])


def group_by_levels(datasets: Sequence[xr.Dataset]) -> tuple[xr.Dataset, ...]:
    """Join the datasets of equal numbers of levels; the one of the fewest levels comes first."""
    numbers = sorted({dataset.sizes[LEVEL] for dataset in datasets})
    return tuple(_joined([part for part in datasets if part.sizes[LEVEL] == number]) for number in numbers)


def _joined(parts: Sequence[xr.Dataset]) -> xr.Dataset:
    return parts[0] if len(parts) == 1 else xr.concat(parts, COLUMN)


def _listed(paths: str | Path | Sequence[str | Path]) -> list[str | Path]:
    files = [paths] if isinstance(paths, str | Path) else list(paths)
    if not files:
        raise InputError("no file of pairs: give one at least")
    return files


def _open(path: str | Path, scheme: ColumnScheme, rename: Mapping[str, str], targets: bool) -> xr.Dataset:
    try:
        check_hdf5(Path(path))
        with xr.open_dataset(path) as opened:
            return _fields(_renamed(opened, rename, path), scheme, targets, str(path)).load()
    except SciMLError:
        raise
    except DAMAGE as error:
        raise InputError(f"cannot read {path}: {reason_of(error)}; give a netCDF file") from error


def check_pairs(dataset: xr.Dataset, scheme: ColumnScheme, *, targets: bool = True) -> xr.Dataset:
    """Return the fields of a scheme from a dataset in memory, checked as by `open_pairs`."""
    return _fields(dataset, scheme, targets, "the dataset")


def _renamed(dataset: xr.Dataset, rename: Mapping[str, str], path: str | Path) -> xr.Dataset:
    absent = [name for name in rename if name not in dataset.variables and name not in dataset.dims]
    if absent:
        raise InputError(
            f"{path} has no {', '.join(absent)} to rename: it has {', '.join(map(str, dataset))}"
        )
    return dataset.rename(rename)


def _fields(dataset: xr.Dataset, scheme: ColumnScheme, targets: bool, source: str) -> xr.Dataset:
    other = dataset.attrs.get(SCHEME, scheme.name)
    if other != scheme.name:
        raise InputError(
            f"{source} has pairs of the scheme {other} by its attribute `{SCHEME}`, and the declaration is of "
            f"{scheme.name}: give pairs of one scheme, or correct the attribute"
        )
    fields = (*scheme.inputs, *(scheme.outputs if targets else ()))
    absent = [field.name for field in fields if field.name not in dataset.variables]
    if absent:
        raise MissingVariable(
            f"{source} has no {', '.join(absent)}, which the scheme {scheme.name} has: add them, or rename variables"
        )
    dims = {name: dataset.sizes[name] for name in (COLUMN, LEVEL) if name in dataset.sizes}
    if len(dims) < 2:
        raise InputError(
            f"{source} has the dimensions {', '.join(map(str, dataset.sizes))}: name them column and level, and stack "
            "others into column"
        )
    if not all(dims.values()):
        raise InputError(
            f"{source} has {dims[COLUMN]} columns of {dims[LEVEL]} levels: give 1 or more of each"
        )
    if dims[LEVEL] < scheme.least_levels:
        raise InputError(
            f"{source} has {dims[LEVEL]} levels, and the scheme {scheme.name} is declared for {scheme.least_levels} or "
            "more: give columns of more levels, or set another least_levels"
        )
    return xr.Dataset({field.name: _field(dataset[field.name], field, source) for field in fields})


def _field(values: xr.DataArray, field: Field, source: str) -> xr.DataArray:
    wanted = (COLUMN, LEVEL) if field.is_profile else (COLUMN,)
    if set(values.dims) != set(wanted):
        raise InputError(
            f"{field.name} of {source} has the dimensions ({', '.join(map(str, values.dims))}), and is a "
            f"{'profile' if field.is_profile else 'scalar'}: give ({', '.join(wanted)})"
        )
    numbers = values.transpose(*wanted).to_numpy().astype(np.float64)
    numbers = _converted(numbers, field, values.attrs.get("units"), source)
    if not np.isfinite(numbers).all():
        raise InputError(
            f"{field.name} of {source} has {int((~np.isfinite(numbers)).sum())} values that are not finite: remove "
            "those columns"
        )
    low, high = field.bounds
    slack = 1e-12 * max(abs(x) for x in (low, high, 0.0) if np.isfinite(x))
    outside = (numbers < low - slack) | (numbers > high + slack)
    if outside.any():
        raise InputError(
            f"{field.name} of {source} has {int(outside.sum())} values outside its bounds {low:g} to {high:g}, such as "
            f"{numbers[outside].flat[0]:g}: remove those columns, or declare other bounds"
        )
    return xr.DataArray(numbers, dims=wanted, attrs={"units": field.units})


def _converted(
    numbers: np.ndarray[tuple[int, ...], np.dtype[np.float64]], field: Field, units: object, source: str
) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Convert values to the units of the declaration; a variable without units has those."""
    if not isinstance(units, str) or units == field.units:
        return numbers
    have, want = parsed(units), parsed(field.units)
    if have is None or want is None or have.powers != want.powers:
        raise InputError(
            f"{field.name} of {source} is in {units!r}, and the scheme declares {field.units!r}: convert it, or "
            "declare other units"
        )
    return (numbers * have.factor + have.offset - want.offset) / want.factor
