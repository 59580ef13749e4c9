"""Perturbation of the initial state of a run by rounding-size errors, to measure the effect of chaos on scores.

A run from a perturbed wrfinput differs from its control only by the growth of rounding errors. Its scores against the
control are the floor of `sciml wrf compare --floor`.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import netCDF4
import numpy as np
import numpy.typing as npt

from sciml.checks import is_whole
from sciml.constants import THETA_BASE
from sciml.errors import InputError
from sciml.storage.atomic import check_apart, check_replaceable, replaced
from sciml.storage.provenance import attribute

__all__ = ["MARK", "NAMES", "Perturbed", "perturb"]

NAMES: Final = ("T", "THM", "T_1", "T_2", "THM_1", "THM_2")
"""Potential temperatures less 300 K in wrfinput (T dry, THM moist) and in wrfrst (two time levels)."""
MARK: Final = "SCIML_PERTURBATION"
"""Global attribute that records the perturbation."""
LARGEST: Final = 0.01


@dataclass(frozen=True)
class Perturbed:
    """Result of `perturb`.

    Parameters
    ----------
    output
        Path of the perturbed file.
    variables
        Names of the perturbed variables.
    size, seed
        Size of the perturbation and seed, as in the call.
    relative
        Standard deviation of the relative change of the full potential temperature, from the stored values.
    largest
        Largest absolute change (K).
    """

    output: str
    variables: tuple[str, ...]
    size: float
    seed: int
    relative: float
    largest: float

    def __str__(self) -> str:
        return (
            f"{self.output}: {', '.join(self.variables)} perturbed, theta times 1 + {self.size:g} N(0,1), "
            f"seed {self.seed}: standard deviation {self.relative:.3g} of theta, at most {self.largest:.3g} K; "
            "all other variables are copied"
        )


def perturb(source: str | Path, output: str | Path, *, size: float = 1e-6, seed: int = 7) -> Perturbed:
    """Copy a wrfinput or wrfrst file, and multiply its potential temperature by 1 + size N(0, 1).

    Parameters
    ----------
    source
        A wrfinput or wrfrst file (netCDF).
    output
        Path of the file to write.
    size
        Standard deviation of the relative perturbation; at most 0.01.
    seed
        Seed of the random numbers (numpy's `default_rng`). Other seeds give other floor runs.

    Returns
    -------
    Perturbed
        Includes the size of the change as stored in float32.

    Notes
    -----
    The file contains theta - 300 K: T becomes (T + 300) (1 + size N(0, 1)) - 300. Dry and moist potential temperature
    get the same random numbers, so that their ratio, the moisture, does not change. Every other variable is copied
    bit by bit. The attributes `history` and `SCIML_PERTURBATION` record the perturbation.

    Raises
    ------
    InputError
        The variables are missing, the size is out of range or below the precision of the file, or the output is the
        input or a file that is not a perturbed copy.
    """
    source, output = Path(source), Path(output)
    if not 0 < size <= LARGEST:
        raise InputError(
            f"a perturbation of size {size:g}: give a relative size above 0, at most {LARGEST:g}"
        )
    if not is_whole(seed, 0):
        raise InputError(f"seed {seed}: give a whole number of at least 0")
    if not source.is_file():
        raise InputError(f"no such file: {source}")
    check_apart(output, [source])
    check_replaceable(output)
    if output.exists() and not _is_perturbed(output):
        raise InputError(f"{output} exists and is not a perturbed copy: give another name, or remove it")
    _names_in(source)
    with replaced(output) as part:
        shutil.copyfile(source, part)
        return _perturb(part, str(source), str(output), size, seed)


def _perturb(path: Path, source: str, output: str, size: float, seed: int) -> Perturbed:
    """Perturb the variables of a file in place."""
    relative, largest, shape = 0.0, 0.0, None
    noise: Any = None
    with netCDF4.Dataset(path, "r+") as file:
        file.set_auto_maskandscale(False)
        names = _present(file)
        for name in names:
            variable = file.variables[name]
            before = np.asarray(variable[:])
            if noise is None or before.shape != shape:
                shape = before.shape
                noise = np.random.default_rng(seed).standard_normal(shape)
            after = _multiplied(before, size * noise)
            variable[:] = after
            known = np.isfinite(before)
            theta = before[known].astype(np.float64) + THETA_BASE
            change = after[known].astype(np.float64) - before[known]
            relative = max(relative, float(np.std(change / theta)))
            largest = max(largest, float(np.abs(change).max(initial=0.0)))
        if relative < 0.5 * size:
            raise InputError(
                f"a perturbation of size {size:g} is below the precision of {source} (standard deviation "
                f"{relative:.2g} as stored): give a larger --size, such as 1e-6"
            )
        done = f"{', '.join(names)}: full potential temperature times 1 + {size:g} N(0,1), seed {seed}"
        file.setncattr(MARK, done)
        file.setncatts(attribute())
        line = f"sciml wrf perturb: {done}"
        earlier = str(file.getncattr("history")) if "history" in file.ncattrs() else ""
        file.setncattr("history", f"{line}\n{earlier}" if earlier else line)
    return Perturbed(output, names, size, seed, relative, largest)


def _multiplied(before: npt.NDArray[Any], factor: npt.NDArray[np.float64]) -> npt.NDArray[Any]:
    theta = before.astype(np.float64) + THETA_BASE
    return np.asarray((theta + theta * factor - THETA_BASE).astype(before.dtype))


def _present(file: Any) -> tuple[str, ...]:
    names = tuple(name for name in NAMES if name in file.variables)
    bad = [name for name in names if file.variables[name].dtype.kind != "f"]
    if bad:
        raise InputError(f"{', '.join(bad)} is stored as integers: give the file as WRF or real.exe wrote it")
    return names


def _names_in(source: Path) -> tuple[str, ...]:
    """Names of the variables that are perturbed.

    Raises
    ------
    InputError
        The file has none of the variables, or is not netCDF.
    """
    try:
        with netCDF4.Dataset(source) as file:
            names = _present(file)
    except OSError as error:
        raise InputError(
            f"{source} cannot be opened as netCDF ({error}): give a wrfinput or wrfrst file"
        ) from error
    if not names:
        raise InputError(
            f"{source} has neither T nor THM (in a restart T_1, T_2, THM_1, THM_2): give a wrfinput or wrfrst file"
        )
    return names


def _is_perturbed(path: Path) -> bool:
    try:
        with netCDF4.Dataset(path) as file:
            return MARK in file.ncattrs()
    except OSError:
        return False
