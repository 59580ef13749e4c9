"""Large-scale saturation adjustment and Kessler's warm-rain microphysics: one step of columns.

Equations: Kessler (1969), Meteorol. Monogr. 32, in the form of Klemp and Wilhelmson (1978), J. Atmos. Sci. 35,
1070-1096, equations 2.14 to 2.16; accretion implicit in the cloud water as in Soong and Ogura (1973), J. Atmos. Sci.
30, 879-893; saturation vapour pressure of Bolton (1980), Mon. Weather Rev. 108, equation 10.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["CP", "GRAVITY", "LV", "State", "Step", "saturation", "step", "terminal_velocity"]

Array = npt.NDArray[np.float64]

CP, RD, LV, GRAVITY = 1004.5, 287.0, 2.5e6, 9.81  # J kg-1 K-1, J kg-1 K-1, J kg-1, m s-2
EPSILON = 0.622
AUTOCONVERSION, THRESHOLD = 1e-3, 1e-3  # s-1, kg kg-1
ACCRETION = 2.2  # s-1
NEWTON_STEPS = 4
COURANT = 0.9


class State(NamedTuple):
    """Columns, each array (column, level), the lowest level first.

    Potential temperature (K), mixing ratios of vapour, cloud water and rain (kg kg-1), pressure (Pa), Exner function,
    mass of dry air in the layers (kg m-2), and thickness of the layers (m).
    """

    theta: Array
    qv: Array
    qc: Array
    qr: Array
    pressure: Array
    exner: Array
    layer_mass: Array
    thickness: Array


class Step(NamedTuple):
    """Tendencies (column, level) in K s-1 and kg kg-1 s-1, and the rain at the surface (column,) in kg m-2 s-1."""

    theta_tendency: Array
    qv_tendency: Array
    qc_tendency: Array
    qr_tendency: Array
    rain: Array


def saturation(temperature: Array, pressure: Array) -> tuple[Array, Array]:
    """Return the saturation mixing ratio over water (kg kg-1), and its derivative by temperature (K-1)."""
    vapour = 611.2 * np.exp(17.67 * (temperature - 273.15) / (temperature - 29.65))
    dry = np.maximum(pressure - vapour, 0.5 * pressure)  # no pole where water would boil
    ratio = EPSILON * vapour / dry
    slope = 17.67 * 243.5 / (temperature - 29.65) ** 2
    return ratio, ratio * slope * np.where(pressure - vapour > 0.5 * pressure, pressure / dry, 1.0)


def terminal_velocity(qr: Array, density: Array, surface_density: Array) -> Array:
    """Return the fall speed of rain in m s-1; densities of dry air in kg m-3."""
    falls: Array = 36.34 * (1e-3 * density * np.maximum(qr, 0.0)) ** 0.1364
    return falls * np.sqrt(surface_density / density)


def step(state: State, dt: Array) -> Step:
    """Compute one step: rain production, fall of rain, saturation adjustment, evaporation of rain.

    Parameters
    ----------
    state
        Columns; vapour, cloud and rain are not negative.
    dt
        Time step (column,) in s.
    """
    dt = np.asarray(dt)[:, None]
    density = state.layer_mass / state.thickness
    produced = _production(state.qc, state.qr, dt)
    qc, qr = state.qc - produced, state.qr + produced
    qr, rain = _fall(qr, density, state.layer_mass, state.thickness, dt)
    temperature = state.theta * state.exner
    condensed = _condensation(temperature, state.qv, qc, state.pressure)
    temperature, qv, qc = temperature + LV / CP * condensed, state.qv - condensed, qc + condensed
    evaporated = _evaporation(temperature, qv, qc, qr, density, state.pressure, dt)
    qv, qr = qv + evaporated, qr - evaporated
    gained = (qv - state.qv) / dt
    # The heat follows from the vapour, so that both close to round-off.
    return Step(
        -LV / (CP * state.exner) * gained, gained, (qc - state.qc) / dt, (qr - state.qr) / dt, rain / dt[:, 0]
    )


def _production(qc: Array, qr: Array, dt: Array) -> Array:
    """Return the cloud water that becomes rain, by autoconversion and accretion."""
    converted = dt * AUTOCONVERSION * np.maximum(qc - THRESHOLD, 0.0)
    left = (qc - converted) / (1.0 + dt * ACCRETION * qr**0.875)
    return np.clip(qc - left, 0.0, qc)


def _fall(qr: Array, density: Array, mass: Array, thickness: Array, dt: Array) -> tuple[Array, Array]:
    """Return the rain after its fall, upstream in substeps of a Courant number below 1, and that of the surface."""
    speed = terminal_velocity(qr, density, density[:, :1])
    # The speed grows with the rain, which may gather in a layer: the mixing ratio of the column bounds it.
    most = terminal_velocity(np.broadcast_to(qr.max(1, keepdims=True), qr.shape), density, density[:, :1])
    count = np.maximum(np.ceil((np.maximum(speed, most) * dt / thickness).max(1) / COURANT), 1.0)[:, None]
    surface = np.zeros(len(qr))
    for n in range(int(count.max())):
        active = np.where(n < count, dt / count, 0.0)
        speed = terminal_velocity(qr, density, density[:, :1])
        flux = np.minimum(density * qr * speed * active, mass * qr)  # kg m-2 in the substep
        above = np.concatenate([flux[:, 1:], np.zeros_like(flux[:, :1])], 1)
        qr = np.maximum(qr + (above - flux) / mass, 0.0)
        surface = surface + flux[:, 0]
    return qr, surface


def _condensation(temperature: Array, qv: Array, qc: Array, pressure: Array) -> Array:
    """Return the condensation that removes supersaturation, or evaporates cloud until the air is saturated."""
    condensed = np.zeros_like(qv)
    for _ in range(NEWTON_STEPS):
        saturated, slope = saturation(temperature + LV / CP * condensed, pressure)
        condensed = condensed + (qv - condensed - saturated) / (1.0 + LV / CP * slope)
    clipped: Array = np.clip(condensed, -qc, qv)
    return clipped


def _evaporation(
    temperature: Array, qv: Array, qc: Array, qr: Array, density: Array, pressure: Array, dt: Array
) -> Array:
    """Return the rain that evaporates in air without cloud, at most until the air is saturated."""
    saturated, slope = saturation(temperature, pressure)
    content = 1e-3 * density * qr  # g cm-3
    ventilation = 1.6 + 124.9 * content**0.2046
    rate = (1.0 - qv / saturated) * ventilation * content**0.525
    rate = rate / ((5.4e5 + 2.55e6 / (1e-2 * pressure * saturated)) * 1e-3 * density)
    deficit = np.maximum(saturated - qv, 0.0) / (1.0 + LV / CP * slope)
    return np.where(qc > 0, 0.0, np.minimum(np.minimum(np.maximum(rate, 0.0) * dt, deficit), qr))
