"""Linear response of emulated convection to small changes of a mean sounding, and the growth of these changes.

The scheme has a trigger, so its derivative at a single sounding does not describe a field of clouds: the mean sounding
of the packaged sample does not convect, although 29 % of its columns do. Therefore the same perturbation is added to
all columns of an ensemble, and the response is the change of the mean tendency, as in Kuang (2010) with a
cloud-resolving model. It is a finite difference, which includes columns that start or stop convecting. Automatic
differentiation gives the part without changes of class, levels or adjustment time (in whole steps). That part is
exact, but does not include these steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sciml.analysis import Part, Spectrum, differences, jacobians, spectrum
from sciml.compress.quantization import compression_of
from sciml.convection import thermodynamics as td
from sciml.convection.emulator import Emulator
from sciml.convection.perturbation import Perturbed
from sciml.convection.perturbed_columns import PerturbedColumns
from sciml.convection.problem import Convection, ConvectionSolution
from sciml.errors import InputError
from sciml.solve import Algorithm

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["LinearResponse", "UNSTABLE", "blocks", "linear_response"]

Array = NDArray[Any]

UNSTABLE: Final = 1.0
"""Growth rate (per day) above which a warning is given. Convection alone should damp perturbations, because it removes
the instability that drives it. Slow growth can be realistic (moisture may accumulate over many days), and radiation
(about 0.1 per day), mixing and waves of a model oppose it. No process in a column opposes a growth by a factor of e per
day, which is a factor of a thousand in a week."""

LEAST: Final = 0.01
"""Smallest growth rate (per day) that is listed. A mean sounding changes faster than slower modes grow."""

STEPS: Final = (0.5, 0.02)
"""Perturbations (K, fraction of the mean vapour), as large as Kuang's, so that enough columns cross the trigger."""

DRY: Final = 5e-3
"""Lower limit of the vapour (g/kg) that scales the perturbation; with less, rounding would dominate the response."""

BATCHES: Final = 8
RESAMPLES: Final = 200
SEED: Final = 7
ROWS: Final = 16384
"""Number of columns computed together. The time of the emulator's small operations depends little on this number."""


@dataclass(frozen=True, eq=False)
class LinearResponse:
    """Response of convection to changes of temperature and vapour at fixed pressure. ``print`` shows a table.

    Attributes
    ----------
    matrix
        (2 level, 2 level): rows dT/dt (K/day) then dq/dt (g/kg/day), columns T (K) then q (g/kg), lowest level
        first; its eigenvalues are per day. Tendencies are means over the columns weighted by the layer's mass,
        so that integrals over `mass` are means of the columns' integrals.
    rain, water
        (2 level,): response of the rain, and of the water that becomes cloud and falling water in the column, mm/day
        per K or g/kg.
        Water closes: ``rain + water = -sum(mass * dq rows) / 1000``.
    samples
        (batch, 2 level, 2 level): `matrix` of an eighth of the columns each.
    errors
        Standard errors of `matrix`, from columns drawn again with replacement (bootstrap).
    smooth
        Part of `matrix` that automatic differentiation gives, or None if it was not computed.
    mass, pressure
        Mean mass (kg/m2) and pressure (hPa) of the layers, (level,).
    temperature, vapour
        Mean sounding, (level,), K and g/kg.
    columns, convecting
        Number of columns, and of those that convect without perturbation.
    mean_rain
        Mean rain without perturbation, mm/day.
    """

    matrix: Array
    rain: Array
    water: Array
    samples: Array
    errors: Array
    smooth: Array | None
    mass: Array
    pressure: Array
    temperature: Array
    vapour: Array
    columns: int
    convecting: int
    mean_rain: float

    @property
    def levels(self) -> int:
        """Number of levels of the sounding."""
        return len(self.pressure)

    @cached_property
    def spectrum(self) -> Spectrum:
        """Growth rates per day; a mode is led by T or q, whichever has more of cp |T| and Lv |q|, weighted by mass."""
        heat = (("T", td.CP / 1000.0), ("q", float(td.latent_heat(torch.tensor(280.0))) * 1e-6))
        parts = [Part(name, self.pressure, self.mass, scale, "hPa") for name, scale in heat]
        return spectrum(self.matrix, parts, samples=self.samples, least=LEAST, time="day")

    @property
    def noise(self) -> dict[str, float]:
        """Sampling noise of each block: the norm of its standard errors over that of the block (Frobenius)."""
        sizes = zip(blocks(self.errors).items(), blocks(self.matrix).values(), strict=True)
        return {
            name: _norm(error) / max(_norm(block), np.finfo(float).tiny) for (name, error), block in sizes
        }

    @property
    def smooth_share(self) -> float | None:
        """Fraction of the matrix, along its own direction, that the smooth part gives; 1 without steps."""
        if self.smooth is None:
            return None
        return float((self.smooth * self.matrix).sum() / (self.matrix**2).sum())

    def verdict(self, threshold: float = UNSTABLE) -> str:
        """Return one line: a warning if modes grow faster than `threshold` per day."""
        unstable = self.spectrum.unstable(threshold)
        if not unstable:
            return f"no mode of the column alone grows faster than {threshold:g} per day"
        worst, single = unstable[0], len(unstable) == 1
        return (
            f"warning: {len(unstable)} mode{'' if single else 's'} of the column alone grow{'s' if single else ''} "
            f"faster than {threshold:g} per day, the fastest by e in {24 * worst.efolding:.1f} h ({worst.part} at "
            f"{worst.peak:.0f} hPa): "
            + ("too few soundings to be sure; use more, or " if worst.doubtful else "")
            + "train it again, and run it in shadow mode before a model depends on it"
        )

    def to_json(self) -> dict[str, Any]:
        """Return the numbers as values of JSON."""
        names = ("matrix", "errors", "rain", "water", "smooth", "mass", "pressure", "temperature", "vapour")
        arrays = {name: None if (x := getattr(self, name)) is None else x.tolist() for name in names}
        modes = [
            {
                name: None if isinstance(x, float) and not np.isfinite(x) else x
                for name, x in vars(mode).items()
            }
            | {"vector": [mode.vector.real.tolist(), mode.vector.imag.tolist()]}
            for mode in self.spectrum.growing
        ]
        rates = self.spectrum.rates
        return {
            "units": "matrix: per day in K and g/kg, rows and columns T then q, lowest level first; rain: mm/day",
            "columns": self.columns,
            "convecting": self.convecting,
            "mean_rain": self.mean_rain,
            "smooth_share": self.smooth_share,
            "noise": self.noise,
            "rates": [rates.real.tolist(), rates.imag.tolist()],
            "growing": modes,
            **arrays,
        }

    def __repr__(self) -> str:
        lines = [
            f"Linear response of convection about the mean of {self.columns} soundings, {self.convecting} of "
            f"which convect (rain {self.mean_rain:.2f} mm/day)"
        ]
        noise = ", ".join(f"{name} {value:.0%}" for name, value in self.noise.items())
        lines.append(f"sampling noise of the blocks (bootstrap over the soundings): {noise}")
        if self.smooth_share is not None:
            lines.append(f"without change of class, level or time (automatic): {self.smooth_share:.0%} of it")
        return "\n".join([*lines, repr(self.spectrum)])


def linear_response(
    emulator: Algorithm[Convection, Any, ConvectionSolution],
    columns: xr.Dataset,
    *,
    smooth: bool = False,
    steps: tuple[float, float] = STEPS,
) -> LinearResponse:
    """Compute the linear response of an emulator about the mean sounding of columns.

    Parameters
    ----------
    emulator
        Emulator, which is evaluated in float64; or another algorithm, such as the native library
        (`sciml.coupling.FortranEmulator`).
    columns
        Ensemble of columns, as for `sciml.convection.Convection`. A few hundred, a third of which convects, give rates
        to about 0.1 per day.
    smooth
        Whether to compute also the smooth part by automatic differentiation, which takes about as long; of an emulator
        only.
    steps
        Perturbations of temperature (K) and of vapour (fraction of the mean of its level).

    Returns
    -------
    LinearResponse
        Central differences of the mean tendencies.

    Raises
    ------
    InputError
        The emulator does not accept the columns, no column convects, a step is not positive, weights or outputs of the
        emulator are not finite, or it computes with rounded numbers (`sciml.compress.quantize`).

    References
    ----------
    Kuang, Z. (2010), Linear response functions of a cumulus ensemble to temperature and moisture perturbations and
    implications for the dynamics of convectively coupled waves, J. Atmos. Sci. 67, 941.
    Brenowitz, N. D., T. Beucler, M. Pritchard and C. S. Bretherton (2020), Interpreting and stabilizing
    machine-learning parametrizations of convection, J. Atmos. Sci. 77, 4357.

    Examples
    --------
    >>> emulator = Emulator.load("mskf-convrad")  # doctest: +SKIP
    >>> linear_response(emulator, columns).verdict()  # doctest: +SKIP
    'no mode of the column alone grows faster than 1 per day'
    """
    everything = _function(emulator, columns)
    if smooth and not isinstance(everything, Perturbed):
        raise InputError(
            f"smooth with a {type(emulator).__name__}, which has no automatic differentiation: give an emulator"
        )
    levels, points, mass = everything.sounding.levels, everything.points, everything.mass
    with torch.no_grad():
        answer = everything(points.unsqueeze(0))[0]
    active = answer[:, :levels].abs().sum(1) > 0
    if not bool(active.any()):
        raise InputError(
            f"none of {len(points)} columns convects: there is nothing to linearise; give other columns"
        )
    mean = points.mean(0)
    moves = torch.cat([torch.full_like(mean[:levels], steps[0]), steps[1] * mean[levels:].clamp_min(DRY)])
    matrices = differences(everything, points, moves, block=max(1, ROWS // (2 * len(points))))
    exact = None
    if smooth and isinstance(everything, Perturbed):
        some = everything.take(torch.nonzero(active).squeeze(1))
        each = torch.zeros_like(matrices)
        each[active] = jacobians(some, some.points, block=max(1, ROWS // (2 * len(some.points))))
        exact = _mean(each, mass)[: 2 * levels].cpu().numpy()
    whole, count = _mean(matrices, mass).cpu().numpy(), min(BATCHES, len(points))
    samples = torch.stack([_mean(matrices[i::count], mass[i::count]) for i in range(count)])
    return LinearResponse(
        matrix=whole[: 2 * levels],
        rain=whole[-2],
        water=whole[-1],
        samples=samples[:, : 2 * levels].cpu().numpy(),
        errors=_standard_errors(matrices[:, : 2 * levels], mass),
        smooth=exact,
        mass=mass.mean(0).cpu().numpy(),
        pressure=everything.sounding.p.mean(1).cpu().numpy() / 100.0,
        temperature=mean[:levels].cpu().numpy(),
        vapour=mean[levels:].cpu().numpy(),
        columns=len(points),
        convecting=int(active.sum()),
        mean_rain=float(answer[:, -2].mean()),
    )


def blocks(matrix: Array) -> dict[str, Array]:
    """Return the four blocks of a response, as ``dT/dq`` for the response of dT/dt to q."""
    n = len(matrix) // 2
    parts = (("T", slice(0, n)), ("q", slice(n, None)))
    return {f"d{row}/d{column}": matrix[i, j] for row, i in parts for column, j in parts}


def _function(
    emulator: Algorithm[Convection, Any, ConvectionSolution], columns: xr.Dataset
) -> Perturbed | PerturbedColumns:
    """Return the outputs as a function of the state, after checks of the weights of an emulator."""
    if not isinstance(emulator, Emulator):
        return PerturbedColumns.of(emulator, columns)
    compression = compression_of(emulator)
    if compression is not None and compression.plan.kinds:
        raise InputError(
            "the network of the emulator rounds to integers and has no derivative: compute the linear response of the "
            "emulator before it was quantized"
        )
    everything = Perturbed.of(emulator, columns)
    for name, weight in everything.network.named_parameters():
        if not bool(torch.isfinite(weight).all()):  # otherwise the message would be that no column convects
            raise InputError(f"{name} of the emulator has values that are not finite: train it again")
    return everything


def _standard_errors(matrices: Tensor, mass: Tensor) -> Array:
    """Compute the standard deviation of the mean over columns that are drawn again with replacement."""
    count = len(matrices)
    draws = np.random.default_rng(SEED).multinomial(count, np.full(count, 1.0 / count), RESAMPLES)
    times = torch.from_numpy(draws).to(matrices)
    rows = []
    for row, weight in enumerate(torch.cat([mass, mass], 1).T):
        weighted = times * weight
        rows.append((weighted @ matrices[:, row] / weighted.sum(1, keepdim=True)).std(0))
    errors: Array = torch.stack(rows).cpu().numpy()
    return errors


def _norm(x: Array) -> float:
    return float(np.linalg.norm(x))


def _mean(matrices: Tensor, mass: Tensor) -> Tensor:
    """Average (column, output, input) over columns, with tendencies weighted by the mass of their layer."""
    weight = torch.cat([mass, mass, torch.ones_like(mass[:, :2])], 1)
    return (matrices * weight[..., None]).sum(0) / weight.sum(0)[:, None]
