"""The warm-rain scheme of the workflow: analytic cases, closed budgets, and values that stay positive."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import brentq

from sciml.schemes import load_scheme
from workflows.kessler import warm_rain
from workflows.kessler.soundings import SCHEME, pairs, soundings
from workflows.kessler.warm_rain import CP, LV, Array, State, saturation, step, terminal_velocity

DT = np.array([20.0])


def column(qc: float = 0.0, qr: float = 0.0, humidity: float = 1.0, levels: int = 6) -> State:
    """A column of equal layers of 100 m at 285 K and 900 hPa, with dry air of 1.1 kg m-3."""
    ones = np.ones((1, levels))
    exner = 0.9 ** (287.0 / CP)
    saturated, _ = saturation(285.0 * ones, 9e4 * ones)
    return State(
        theta=285.0 / exner * ones,
        qv=humidity * saturated,
        qc=qc * ones,
        qr=qr * ones,
        pressure=9e4 * ones,
        exner=exner * ones,
        layer_mass=110.0 * ones,
        thickness=100.0 * ones,
    )


@pytest.fixture(scope="module")
def drawn() -> tuple[State, Array]:
    return soundings(300, 40, seed=11)


def test_saturation_agrees_with_published_values() -> None:
    # Bolton (1980), table 1: 6.112, 12.272 and 42.430 hPa at 0, 10 and 30 degrees Celsius
    for celsius, vapour in ((0.0, 611.2), (10.0, 1227.2), (30.0, 4243.0)):
        ratio, _ = saturation(np.array(273.15 + celsius), np.array(1e5))
        assert ratio == pytest.approx(0.622 * vapour / (1e5 - vapour), rel=1e-3)


@pytest.mark.parametrize("temperature", [230.0, 285.0, 310.0])
def test_the_slope_of_saturation_is_its_derivative(temperature: float) -> None:
    p = np.array(8e4)
    ends = [saturation(np.array(temperature + d), p)[0] for d in (-1e-3, 1e-3)]
    assert saturation(np.array(temperature), p)[1] == pytest.approx((ends[1] - ends[0]) / 2e-3, rel=1e-6)


@pytest.mark.parametrize(("humidity", "qc"), [(1.05, 0.0), (0.98, 5e-4), (0.9, 1e-4), (0.5, 0.0)])
def test_the_adjustment_solves_the_isobaric_balance(humidity: float, qc: float) -> None:
    state = column(qc, 0.0, humidity)
    made = step(state, DT)
    qv, temperature = state.qv[0, 0], 285.0

    def excess(condensed: float) -> float:
        warmed = np.array(temperature + LV / CP * condensed)
        return float(qv - condensed - saturation(warmed, np.array(9e4))[0])

    exact = max(brentq(excess, -0.01, 0.01, xtol=1e-16), -qc)
    np.testing.assert_allclose(-made.qv_tendency * DT, exact, rtol=1e-9, atol=1e-17)
    np.testing.assert_allclose(made.qc_tendency * DT, exact, rtol=1e-9, atol=1e-17)


def test_the_adjustment_conserves_moist_static_energy(drawn: tuple[State, Array]) -> None:
    state, dt = drawn
    made = step(state, dt)
    np.testing.assert_allclose(
        CP * state.exner * made.theta_tendency + LV * made.qv_tendency, 0.0, atol=1e-15 * LV
    )


def test_no_rain_below_the_threshold() -> None:
    made = step(column(qc=0.99e-3), DT)
    assert not made.qr_tendency.any() and not made.rain.any()
    above = step(column(qc=1.5e-3), DT)
    # k1 (qc - a) in all layers; what falls out of them reaches the layer below or the surface
    produced = (above.qr_tendency * 110.0).sum() + above.rain[0]
    assert produced == pytest.approx(6 * 110.0 * 1e-3 * 0.5e-3, rel=1e-12)


def test_accretion_follows_the_exponential_for_a_short_step() -> None:
    state, dt = column(qc=0.5e-3, qr=1e-3), np.array([1e-3])
    rate = step(state, dt).qc_tendency[0]
    np.testing.assert_allclose(rate, -2.2 * 0.5e-3 * (1e-3) ** 0.875, rtol=1e-4)


def test_the_terminal_velocity_is_that_of_the_formula() -> None:
    unit = np.array(1.0)
    # 1 g m-3 at the density of the surface: 36.34 (1e-6)^0.1364 = 5.52 m/s
    assert terminal_velocity(np.array(1e-3), unit, unit) == pytest.approx(5.52, abs=0.005)
    assert terminal_velocity(np.array(1e-3), np.array(0.25), unit) == pytest.approx(
        2.0 * 5.52 * 0.25**0.1364, rel=1e-3
    )
    assert terminal_velocity(np.array(0.0), unit, unit) == 0.0


def test_the_rain_of_a_uniform_column_is_its_flux() -> None:
    state = column(qr=2e-3)
    made = step(state, np.array([5.0]))
    speed = terminal_velocity(np.array(2e-3), np.array(1.1), np.array(1.1))
    assert made.rain[0] == pytest.approx(1.1 * 2e-3 * speed, rel=1e-12)
    np.testing.assert_allclose(made.qr_tendency[0, :-1], 0.0, atol=1e-18)  # saturated: no evaporation
    assert made.qr_tendency[0, -1] == pytest.approx(-2e-3 * speed / 100.0, rel=1e-12)


def test_rain_evaporates_at_the_published_rate() -> None:
    state = column(qr=1e-3, humidity=0.8)
    made = step(state, np.array([1e-3]))
    saturated = float(saturation(np.array(285.0), np.array(9e4))[0])
    content = 1.1e-6  # g cm-3
    rate = (1 - 0.8) * (1.6 + 124.9 * content**0.2046) * content**0.525
    rate /= (5.4e5 + 2.55e6 / (900.0 * saturated)) * 1.1e-3
    np.testing.assert_allclose(made.qv_tendency[0, :-1], rate, rtol=1e-4)


def test_rain_evaporates_until_saturation_at_most(drawn: tuple[State, Array]) -> None:
    state, dt = drawn
    made = step(state, dt)
    temperature = state.exner * (state.theta + dt[:, None] * made.theta_tendency)
    saturated, _ = saturation(temperature, state.pressure)
    assert (state.qv + dt[:, None] * made.qv_tendency <= saturated * (1 + 1e-4)).all()


def test_water_closes_and_stays_positive(drawn: tuple[State, Array]) -> None:
    state, dt = drawn
    made = step(state, dt)
    lost = (state.layer_mass * (made.qv_tendency + made.qc_tendency + made.qr_tendency)).sum(1)
    water = (state.layer_mass * (state.qv + state.qc + state.qr)).sum(1)
    assert (np.abs(lost + made.rain) * dt <= 1e-14 * water).all()
    for q, tendency in zip(state[1:4], made[1:4], strict=True):
        assert (q + dt[:, None] * tendency >= -1e-15 * q.max()).all()
    assert (made.rain >= 0).all() and (made.rain > 0).mean() > 0.2


def test_columns_do_not_depend_on_each_other(drawn: tuple[State, Array]) -> None:
    state, dt = drawn
    whole = step(state, dt)
    part = step(State(*(a[40:60] for a in state)), dt[40:60])
    for a, b in zip(whole, part, strict=True):
        np.testing.assert_array_equal(a[40:60], b)


def test_the_declaration_has_the_constants_of_the_scheme() -> None:
    (heat,) = (law for law in load_scheme(SCHEME).laws if law.name == "heat")
    assert [term.factor for term in heat.terms] == [warm_rain.CP, warm_rain.LV]  # type: ignore[union-attr]


def test_pairs_have_the_fields_of_the_declaration() -> None:
    scheme, made = load_scheme(SCHEME), pairs(5, 30, seed=3)
    assert sorted(map(str, made)) == sorted((*scheme.input_names, *scheme.output_names))
    assert all(made[f.name].units == f.units for f in (*scheme.inputs, *scheme.outputs))
    assert made.sizes == {"column": 5, "level": 30}
