"""Budgets of a column that convection must conserve (water, enthalpy, momentum), and negative vapour.

The mass of a layer is m = RHO * DZ8W, the moist density times the thickness, as in MSKF. This module does not use the
code of the constraints of the emulator, so that the two implementations check each other.

========== ============================================================ ===========================
residual    definition                                                   residual of MSKF
========== ============================================================ ===========================
water       (PRATEC + S) / sum m |R|, with R = RQV + RQC + RQR + RQI     1e-6 (deep), 2e-5 (shallow)
            + RQS and S = sum m R
enthalpy    sum m (cp pi RTH + Lv(T) RQV) / sum m |cp pi RTH|            about 1 %, rarely 4 %
momentum    |sum m (RU, RV)| / sum m |(RU, RV)|                          1e-7
========== ============================================================ ===========================

Lv(T) = 3.15e6 - 2370 T (J/kg). Water and momentum are conserved exactly. The residual of enthalpy is only bounded,
because the scheme omits the latent heat of freezing there and rounds its budget.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sciml.constants import CP_DRY, LATENT_HEAT_AT_ZERO, LATENT_HEAT_SLOPE
from sciml.schemes.mskf import MSKF
from sciml.tables import plain
from sciml.verify.emulator.moments import CLASSES, DEEP, SHALLOW

__all__ = ["WATER", "budgets", "summary"]

Floats = NDArray[np.float64]

WATER: Final = tuple(name for name in MSKF.closures["water"] if name in MSKF.output_profiles)


def budgets(
    inputs: Mapping[str, ArrayLike], outputs: Mapping[str, ArrayLike], *, dt: ArrayLike = 0.0
) -> dict[str, Floats]:
    """Integrate the tendencies of each column.

    Parameters
    ----------
    inputs
        RHO (kg m-3), DZ8W (m), PI_PHY (1), T_PHY (K), QVAPOR (kg kg-1), each (column, level).
    outputs
        Tendencies by WRF name, (column, level), and PRATEC (mm s-1), (column,). Water species that are absent
        count as zero; a residual whose tendencies are absent is left out.
    dt
        Time step (s) of the host, a number or (column,): vapour is made negative where RQVCUTEN < 0
        and QVAPOR + dt RQVCUTEN < 0.

    Returns
    -------
    dict
        Each (column,): ``water``, ``enthalpy``, ``momentum`` (relative, see the table above; 0 in a column
        without tendencies), ``heating`` = sum m cp pi RTH (W m-2), ``moistening`` = sum m RQV (kg m-2 s-1),
        ``negative_vapour`` = the number of levels where a step makes it negative.

    Examples
    --------
    >>> one = np.ones((1, 2))
    >>> state = {"RHO": one, "DZ8W": one, "PI_PHY": one, "T_PHY": 300 * one, "QVAPOR": one}
    >>> budgets(state, {"RQVCUTEN": -one, "PRATEC": np.array([1.0])})["water"]
    array([-0.5])
    """
    take = {name: np.asarray(value, np.float64) for name, value in {**inputs, **outputs}.items()}
    mass = take["RHO"] * take["DZ8W"]
    result: dict[str, Floats] = {}
    species = [take[name] for name in WATER if name in take]
    if species:
        total = np.sum(species, axis=0)
        rain = take.get("PRATEC", np.zeros(len(mass)))
        result["water"] = _ratio(rain + (mass * total).sum(1), (mass * np.abs(total)).sum(1))
    if "RQVCUTEN" in take:
        result["moistening"] = (mass * take["RQVCUTEN"]).sum(1)
        drying = take["RQVCUTEN"] < 0  # Vapour of -1e-14 is an error of advection, not of the scheme.
        step = np.asarray(dt, np.float64).reshape(-1, 1)
        below = drying & (take["QVAPOR"] + step * take["RQVCUTEN"] < 0)
        result["negative_vapour"] = below.sum(1).astype(np.float64)
    if "RTHCUTEN" in take:
        warming = CP_DRY * take["PI_PHY"] * take["RTHCUTEN"]
        result["heating"] = (mass * warming).sum(1)
        if "RQVCUTEN" in take:
            latent = (LATENT_HEAT_AT_ZERO - LATENT_HEAT_SLOPE * take["T_PHY"]) * take["RQVCUTEN"]
            result["enthalpy"] = _ratio((mass * (warming + latent)).sum(1), (mass * np.abs(warming)).sum(1))
    if "RUCUTEN" in take and "RVCUTEN" in take:
        u, v = take["RUCUTEN"], take["RVCUTEN"]
        net = np.hypot((mass * u).sum(1), (mass * v).sum(1))
        result["momentum"] = _ratio(net, (mass * np.hypot(u, v)).sum(1))
    return result


def _ratio(part: Floats, whole: Floats) -> Floats:
    """Divide; 0 where both are 0, infinite where only ``whole`` is 0."""
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = part / whole
    return np.where((part == 0) & (whole == 0), 0.0, ratio)


def summary(residual: ArrayLike, kind: ArrayLike) -> dict[str, Any]:
    """Describe the residuals of the triggered columns by class.

    Returns
    -------
    dict
        ``shallow`` and ``deep``: ``n``, the 1st, 50th and 99th percentile (signed), and the median, 99th
        percentile and maximum of the magnitude; None where there is no column.
    """
    values, classes = np.asarray(residual, np.float64), np.asarray(kind)
    result: dict[str, Any] = {}
    for index in (SHALLOW, DEEP):
        x = values[classes == index]
        if not x.size:
            result[CLASSES[index]] = None
            continue
        low, median, high = np.quantile(x, (0.01, 0.5, 0.99))
        middle, most = np.quantile(np.abs(x), (0.5, 0.99))
        result[CLASSES[index]] = {
            "n": x.size,
            "p01": low,
            "median": median,
            "p99": high,
            "abs_median": middle,
            "abs_p99": most,
            "abs_max": np.abs(x).max(),
        }
    described: dict[str, Any] = plain(result)
    return described
