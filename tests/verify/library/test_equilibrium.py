"""Constructed columns in equilibrium: budgets that do not close and failures are reported."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from sciml import plot
from sciml.cli.coupling_rce import _draw
from sciml.errors import InputError
from sciml.verify.library.cape import cape, saturation
from sciml.verify.library.equilibrium import equilibrium

TIMES, MEMBERS, LEVELS = 7, 3, 12
LV = 2.5e6
SUMS = (
    *("EVAPORATION", "RAIN_CU", "RAIN_LS", "RAIN_LATE", "SENSIBLE", "RADIATION", "ENTHALPY_CU", "SCHEME_CU"),
    *("ABSOLUTE_CU", "EVALUATED", "SHALLOW", "DEEP", "NOVEL", "NOVELTY", "UNSOUND", "LIMITED"),
)


def closed() -> xr.Dataset:
    """A run of a day and a half whose budgets close."""
    rng = np.random.default_rng(11)
    pressure = np.linspace(1e5, 1.5e4, LEVELS)
    shape = (TIMES, MEMBERS)
    fields = {name: rng.uniform(1.0, 2.0, shape) for name in SUMS}
    fields |= {
        "EVALUATED": np.full(shape, 70.0),
        "SHALLOW": np.full(shape, 20.0),
        "DEEP": np.full(shape, 5.0),
    }
    fields |= {"NOVEL": np.full(shape, 10.0), "UNSOUND": np.zeros(shape), "LIMITED": np.zeros(shape)}
    fields["WATER_CU"] = -fields["RAIN_CU"]
    fields["LEAST_VAPOUR"] = np.full(shape, 1e-9)
    gained = fields["EVAPORATION"] - fields["RAIN_CU"] - fields["RAIN_LS"]
    heated = fields["SENSIBLE"] + LV * fields["EVAPORATION"] + fields["RADIATION"] + fields["ENTHALPY_CU"]
    for name, change in (("WATER", gained), ("ENTHALPY", heated)):
        change[0] = 50.0
        fields[name] = np.cumsum(change, 0)
    t = np.broadcast_to(np.linspace(300.0, 210.0, LEVELS), (*shape, LEVELS)).copy()
    t += 0.1 * np.arange(TIMES)[:, None, None]
    profiles = {"T": t, "QVAPOR": 0.5 * saturation(pressure, t), "QCLOUD": np.zeros_like(t)}
    profiles |= {name: np.full_like(t, 1e-5) for name in ("HEATING_CU", "HEATING_LS")}
    return xr.Dataset(
        {name: (("time", "member"), values) for name, values in fields.items()}
        | {name: (("time", "member", "level"), values) for name, values in profiles.items()},
        {
            "time": np.arange(TIMES) * 0.25,
            "PRESSURE": ("level", pressure),
            "MASS": ("level", np.full(LEVELS, 700.0)),
        },
    )


def test_a_closed_run_is_ok() -> None:
    result = equilibrium(closed())
    assert result.ok
    assert result.numbers["residual of water"] < 1e-14
    assert result.numbers["novel of those in which convection rose (%), last third"] == pytest.approx(40.0)
    assert result.numbers["drift of T (K): mean below 100 hPa"] == pytest.approx(0.55)  # from the start
    assert result.numbers["trend of T (K/day), root mean square, last third"] == pytest.approx(0.4)
    assert result.profiles["T last"].mean.shape == (LEVELS,)
    assert str(result).splitlines()[-1].startswith("verdict: ok")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("WATER", 1.001),  # a leak of 0.1 %
        ("WATER_CU", 1.0 + 1e-9),
        ("ENTHALPY", 1.0 + 1e-6),
        ("LEAST_VAPOUR", -1.0),
        ("QCLOUD", float("nan")),
    ],
)
def test_failures_are_reported(name: str, value: float) -> None:
    history = closed()
    values = history[name].values
    values[4, 1] = values[4, 1] * value
    result = equilibrium(history)
    assert not result.ok
    assert str(result).splitlines()[-1].startswith("verdict: FAILED")


def test_invalid_columns_fail() -> None:
    history = closed()
    history["UNSOUND"].values[3, 0] = 1.0
    assert not equilibrium(history).ok


def test_a_run_with_too_few_records_is_an_error() -> None:
    with pytest.raises(InputError, match="2 records after the start: run for at least three"):
        equilibrium(closed().isel(time=slice(3)))


def test_the_figure_is_drawn() -> None:
    assert plot.png(_draw(equilibrium(closed())), dots=40).startswith(b"\x89PNG")


def test_cape_is_zero_along_the_ascent_of_the_parcel_and_positive_in_colder_air() -> None:
    p = np.geomspace(1e5, 2e4, 400)
    t = np.empty_like(p)
    t[0], q0 = 300.0, 0.016
    # the ascent by independent finite steps: dry to saturation, then with the heat of condensation
    for k in range(1, len(p)):
        dry = t[k - 1] * (p[k] / p[k - 1]) ** (2 / 7)
        if saturation(p[k], np.asarray(dry)) > q0:
            t[k] = dry
            continue
        low, high = dry, t[k - 1]
        for _ in range(50):
            middle = (low + high) / 2
            condensed = min(q0, float(saturation(p[k - 1], t[k - 1]))) - saturation(p[k], np.asarray(middle))
            low, high = (middle, high) if middle - dry < 2.45e6 / 1004.5 * condensed else (low, middle)
        t[k] = (low + high) / 2
    q = np.minimum(q0, saturation(p, t))
    assert cape(p, t, q) < 400.0  # Bolton's fit and the steps differ by some tenths of a kelvin
    colder = t - np.where(p < 7e4, 3.0, 0.0)
    gained = cape(p, colder, np.minimum(q, saturation(p, colder))) - cape(p, t, q)
    assert gained == pytest.approx(287.0 * 3.0 * np.log(7e4 / 2e4), rel=0.2)
