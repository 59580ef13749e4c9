"""The spectrum of a linear operator: its modes, their growth rates, and the errors of these rates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sciml.errors import InputError
from sciml.tables import aligned

__all__ = ["Mode", "Part", "Spectrum", "spectrum"]

Array = NDArray[Any]

ROUNDING = 1e-9
"""Rates below this fraction of the matrix's norm count as zero, because those of a singular matrix are rounded."""


@dataclass(frozen=True)
class Part:
    """A named part of the state vector.

    Parameters
    ----------
    name
        Name of the part, such as ``"T"``.
    positions
        Positions of its components, (component,), in `unit`.
    weights
        Weights of its components, (component,), such as the masses of the layers.
    scale
        Factor from the part's unit to one that all parts share, so that parts can be compared.
    unit
        Unit of the positions.
    """

    name: str
    positions: Array
    weights: Array
    scale: float = 1.0
    unit: str = ""


@dataclass(frozen=True)
class Mode:
    """One mode, or a pair of complex conjugate modes.

    Attributes
    ----------
    growth
        Real part of the eigenvalue, per unit of time; negative if the mode decays.
    error
        Standard error of the growth, from samples of the matrix; NaN without samples.
    frequency
        Imaginary part, 0 or more, radians per unit of time.
    condition
        Condition number of the eigenvalue; 1 for a normal matrix.
    part, share
        Part with the largest share of the weighted norm, and that share, between 0 and 1.
    peak, unit
        Position where that part is largest, and its unit.
    vector
        Complex, (state,); of weighted norm 1, real and positive at its peak.
    """

    growth: float
    error: float
    frequency: float
    condition: float
    part: str
    share: float
    peak: float
    unit: str
    vector: Array

    @property
    def efolding(self) -> float:
        """Time in which the mode grows or decays by a factor of e."""
        return 1.0 / abs(self.growth) if self.growth else np.inf

    @property
    def doubtful(self) -> bool:
        """Whether the growth is less than twice its standard error, so that more samples are needed."""
        return self.growth < 2.0 * self.error


@dataclass(frozen=True, eq=False)
class Spectrum:
    """The eigenvalues of a matrix, the fastest growing first; the repr is a table of the growing modes.

    Attributes
    ----------
    rates
        Complex, (mode,), per `time`.
    growing
        The modes that grow faster than `least`, each conjugate pair once.
    least
        Modes with slower growth are not listed.
    time
        Unit of time.
    """

    rates: Array
    growing: tuple[Mode, ...]
    least: float
    time: str

    def unstable(self, threshold: float) -> tuple[Mode, ...]:
        """Return the modes that grow faster than `threshold`, including doubtful ones."""
        return tuple(mode for mode in self.growing if mode.growth > threshold)

    def table(self) -> str:
        """Return a table of the growing modes."""
        if not self.growing:
            return f"no mode grows faster than {self.least:g} per {self.time}"
        head = ("growth/" + self.time, "+-", "e-folding", "period", " led by", "peak")
        rows = [head, *(_row(mode) for mode in self.growing)]
        return "\n".join(aligned(rows, align=">>>><>", widths=(12, 8, 10, 8, 11, 9), gap=" "))

    def __repr__(self) -> str:
        real = self.rates.real
        head = (
            f"Spectrum of {len(real)} modes: {int((real < -self.least).sum())} decay, {len(self.growing)} grow "
            f"(faster than {self.least:g} per {self.time}); rates from {real.min():.3g} to {real.max():.3g}"
        )
        return f"{head}\n{self.table()}" if self.growing else head


def _row(mode: Mode) -> tuple[str, ...]:
    error = "-" if np.isnan(mode.error) else f"{mode.error:.3f}"
    period = f"{2 * np.pi / mode.frequency:.2f}" if mode.frequency else "-"
    led = f"{mode.part} {mode.share:.0%}"
    peak = f"{mode.peak:.0f} {mode.unit}".strip()
    return f"{mode.growth:.3f}", error, f"{mode.efolding:.3g}", period, f" {led}", peak


def spectrum(
    matrix: ArrayLike,
    parts: Sequence[Part] = (),
    *,
    samples: ArrayLike | None = None,
    least: float = 0.0,
    time: str = "time",
) -> Spectrum:
    """Compute eigenvalues and growing modes of a matrix of rates.

    Parameters
    ----------
    matrix
        (state, state), of dx/dt = A x, per `time`.
    parts
        Parts of the state, in order; by default one part of equal weights.
    samples
        (sample, state, state): independent estimates whose mean the matrix is. They give each growth's standard
        error, to first order: the change of an eigenvalue is w^H dA v / w^H v with w its left vector.
    least
        Growth at or below this is not listed.
    time
        The unit of time, for the table.

    Returns
    -------
    Spectrum
        Eigenvalues, and the modes that grow faster than `least`.

    Raises
    ------
    InputError
        The matrix is not square or not finite, or parts or samples do not fit it.

    References
    ----------
    Golub, G. H., and C. F. Van Loan (2013), Matrix Computations, 4th ed., section 7.2.2 (first-order changes and
    condition of an eigenvalue).

    Examples
    --------
    >>> spectrum([[0.5, 2.0], [0.0, -1.0]], time="day")
    Spectrum of 2 modes: 1 decay, 1 grow (faster than 0 per day); rates from -1 to 0.5
      growth/day       +-  e-folding   period  led by          peak
           0.500        -          2        -  x 100%             0
    """
    a = _checked(matrix, "the matrix", 2)
    known = None if samples is None else _checked(samples, "the samples", 3)
    if known is not None and known.shape[1:] != a.shape:
        raise InputError(
            f"samples of {known.shape[1:]} for a matrix of {a.shape}: give estimates of this matrix"
        )
    size = len(a)
    listed = tuple(parts) or (Part("x", np.arange(size), np.ones(size)),)
    if sum(len(part.positions) for part in listed) != size:
        raise InputError(
            f"parts of {[len(part.positions) for part in listed]} components for a state of {size}"
        )
    rates, vectors = np.linalg.eig(a)
    order = np.lexsort((-rates.imag, -rates.real))
    floor = max(least, ROUNDING * float(np.abs(a).max(initial=0.0)))
    chosen = [i for i in order if rates[i].real > floor and rates[i].imag >= 0]
    growing = tuple(_mode(a, known, complex(rates[i]), vectors[:, i], listed) for i in chosen)
    return Spectrum(rates[order], growing, least, time)


def _checked(given: ArrayLike, what: str, dimensions: int) -> Array:
    a = np.asarray(given, np.float64)
    if a.ndim != dimensions or a.shape[-1] != a.shape[-2] or not a.size:
        raise InputError(
            f"{what} of shape {a.shape}: give {'square ones' if dimensions > 2 else 'a square one'}"
        )
    bad = int((~np.isfinite(a)).sum())
    if bad:
        raise InputError(f"{bad} of {a.size} entries of {what} are not finite: check how they were computed")
    return a


def _mode(a: Array, samples: Array | None, rate: complex, vector: Array, parts: Sequence[Part]) -> Mode:
    # the left eigenvector is a singular vector of A - rate, which is stable for a defective matrix
    left = np.linalg.svd(a - rate * np.eye(len(a)))[0][:, -1].conj()
    overlap = left @ vector
    condition = float(1.0 / abs(overlap)) if abs(overlap) > 1e-12 else np.inf
    error = np.nan
    if samples is not None and len(samples) > 1 and np.isfinite(condition):
        moved = (np.einsum("i,sij,j->s", left, samples, vector) / overlap).real
        error = float(moved.std(ddof=1) / np.sqrt(len(moved)))
    ends = np.cumsum([len(part.positions) for part in parts])[:-1]
    norms, peaks = [], []
    for part, piece in zip(parts, np.split(vector, ends), strict=True):
        norms.append(float((part.weights * np.abs(part.scale * piece) ** 2).sum()))
        peaks.append(int(np.abs(piece).argmax()))
    lead = int(np.argmax(norms))
    part, total = parts[lead], sum(norms)
    at = vector[(0, *ends)[lead] + peaks[lead]]
    return Mode(
        growth=rate.real,
        error=error,
        frequency=rate.imag,
        condition=condition,
        part=part.name,
        share=norms[lead] / total,
        peak=float(part.positions[peaks[lead]]),
        unit=part.unit,
        vector=vector * (np.conj(at) / abs(at)) / np.sqrt(total),
    )
