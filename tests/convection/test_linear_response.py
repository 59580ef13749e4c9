"""The linear response of the emulator: two methods for the same derivative, budgets, units, warnings of growth."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
import xarray as xr
from torch import Tensor

import sciml as sm
from sciml.analysis import differences, jacobians
from sciml.convection import thermodynamics as td
from sciml.convection.emulator import Emulator, Physics
from sciml.convection.linear_response import LinearResponse, blocks, linear_response
from sciml.convection.network import Closure
from sciml.convection.perturbation import Perturbed
from sciml.convection.perturbed_columns import PerturbedColumns
from sciml.convection.problem import Convection
from sciml.errors import InputError

LEVELS = 44


@pytest.fixture(scope="module")
def emulator() -> Emulator:
    return Emulator.load("mskf-convrad")


@pytest.fixture(scope="module")
def some(pairs: xr.Dataset) -> xr.Dataset:
    """48 columns, a third of which convects."""
    kind = pairs["KIND"].values
    chosen = [np.flatnonzero(kind == k)[:n] for k, n in ((0, 32), (1, 6), (2, 10))]
    return pairs.isel(column=np.sort(np.concatenate(chosen)))


@pytest.fixture(scope="module")
def response(emulator: Emulator, some: xr.Dataset) -> LinearResponse:
    return linear_response(emulator, some, smooth=True)


def test_the_function_is_the_emulator(emulator: Emulator, some: xr.Dataset) -> None:
    """Unperturbed, in days, kelvin and grams."""
    asked = Perturbed.of(emulator, some)
    answer = asked(asked.points.unsqueeze(0))[0].numpy()
    out = sm.solve(Convection(some), emulator).outputs
    heating = 86400 * out["RTHCUTEN"].values * some["PI_PHY"].values
    for mine, theirs in (
        (answer[:, :LEVELS], heating),
        (answer[:, LEVELS:-2], 8.64e7 * out["RQVCUTEN"].values),
        (answer[:, -2], 86400 * out["PRATEC"].values),
    ):
        np.testing.assert_allclose(mine, theirs, rtol=1e-3, atol=1e-4 * np.abs(theirs).max())


def test_columns_of_any_algorithm(emulator: Emulator, some: xr.Dataset) -> None:
    """The function of datasets is that of tensors, up to the precision of the outputs."""
    mine, theirs = Perturbed.of(emulator, some), PerturbedColumns.of(emulator, some)
    torch.testing.assert_close(theirs.points, mine.points)
    torch.testing.assert_close(theirs.mass, mine.mass)
    states = torch.stack([mine.points, mine.points, mine.points])
    states[1, :, 3] += 0.5
    states[2, :, LEVELS + 5] *= 1.02
    answer, exact = theirs(states), mine(states)
    assert answer.shape == exact.shape == (3, 48, 2 * LEVELS + 2)
    size = exact.abs().amax((0, 1))
    assert float(((answer - exact).abs() / size.clamp_min(1e-3)).max()) < 1e-3
    assert float((exact[1] - exact[0]).abs().max()) > 0.1


def test_sampling_noise(response: LinearResponse, emulator: Emulator, some: xr.Dataset) -> None:
    """The bootstrap gives the standard error of a mean, and that of equal soundings is 0."""
    asked = Perturbed.of(emulator, some)
    steps = torch.cat([torch.full((LEVELS,), 0.5), 0.02 * asked.points.mean(0)[LEVELS:].clamp_min(5e-3)])
    each = differences(asked, asked.points, steps.double(), block=88)[:, 6, 5].numpy()
    mass = asked.mass[:, 6].numpy()
    deviation = (mass * (each - response.matrix[6, 5])).std() / mass.mean() / np.sqrt(48)
    assert response.errors[6, 5] == pytest.approx(deviation, rel=0.2)
    parts = blocks(response.matrix)
    np.testing.assert_array_equal(parts["dT/dq"], response.matrix[:LEVELS, LEVELS:])
    np.testing.assert_array_equal(parts["dq/dT"], response.matrix[LEVELS:, :LEVELS])
    noise = np.linalg.norm(response.errors[:LEVELS, LEVELS:]) / np.linalg.norm(parts["dT/dq"])
    assert response.noise["dT/dq"] == pytest.approx(noise)
    assert f"dT/dq {noise:.0%}" in repr(response)
    deep = some.isel(column=[int(np.flatnonzero(some["KIND"].values == 2)[0])] * 9)
    assert max(linear_response(emulator, deep).noise.values()) < 1e-12


def test_pressure_and_mass_are_unchanged(emulator: Emulator, some: xr.Dataset) -> None:
    asked = Perturbed.of(emulator, some)
    before = asked.sounding
    moved = asked.points.clone()
    moved[:, 5] += 2.0
    moved[:, LEVELS + 9] += 1.0
    after = asked._moved(torch.stack([asked.points, moved]))
    n = len(before)
    for name in ("p", "pi", "dp", "u", "w", "hfx"):
        torch.testing.assert_close(getattr(after, name)[..., n:], getattr(before, name))
    torch.testing.assert_close(after.z[:, :n], before.z)
    thicker = (after.dz[:, n:] / before.dz - 1).mean(1)
    assert float(thicker[5]) == pytest.approx(2.0 / float(before.t[5].mean()), rel=1e-3)
    assert float(thicker[9]) == pytest.approx(0.608e-3, rel=0.05)  # lighter: vapour
    ideal = before.p[5] / (td.R_DRY * td.virtual(before.t[5], before.qv[5]))
    torch.testing.assert_close(
        before.rho[5], ideal, rtol=5e-3, atol=0
    )  # the full pressure, not the hydrostatic
    assert bool((after.z[5:, n:] > before.z[5:]).all())


def test_automatic_differentiation_equals_finite_differences_at_smooth_points(
    emulator: Emulator, some: xr.Dataset
) -> None:
    """Smooth is where two steps give one difference: nothing steps or bends between."""
    convecting = some.isel(column=np.flatnonzero(some["KIND"].values > 0))
    asked = Perturbed.of(emulator, convecting)
    exact = jacobians(asked, asked.points, block=45)
    mean = asked.points.mean(0)
    steps = torch.cat([torch.full((LEVELS,), 1e-4).double(), 1e-5 * mean[LEVELS:].clamp_min(5e-3)])
    fine, coarse = (differences(asked, asked.points, k * steps, block=88) for k in (1.0, 3.0))
    size = exact.abs().amax((1, 2))[:, None] * torch.cat([torch.ones(LEVELS), 1 / mean[LEVELS:]])
    error, bend = ((x - fine).abs().amax(1) / size for x in (exact, coarse))
    smooth = bend < 1e-6
    assert float(smooth.double().mean()) > 0.9
    assert float(error[smooth].max()) < 1e-5


def test_water_closes(response: LinearResponse) -> None:
    lost = -(response.mass @ response.matrix[LEVELS:]) / 1000
    scale = np.abs(response.rain).max()
    assert scale > 0.1
    np.testing.assert_allclose(response.rain + response.water, lost, atol=1e-8 * scale)


def test_it_is_the_mean_of_its_samples(response: LinearResponse) -> None:
    assert response.samples.shape == (8, 2 * LEVELS, 2 * LEVELS)
    size = np.abs(response.matrix).max()
    np.testing.assert_allclose(response.samples.mean(0), response.matrix, atol=0.01 * size)


def test_convection_damps(response: LinearResponse) -> None:
    """Warming a layer cools it, moistening it dries it; nothing happens in the stratosphere."""
    diagonal = np.diag(response.matrix)
    cloud = (response.pressure > 500) & (response.pressure < 800)
    assert (diagonal[:LEVELS][cloud] < 0).all()
    assert (diagonal[LEVELS:][cloud] < 0).all()
    assert not np.abs(response.matrix[:, :LEVELS][:, response.pressure < 60]).any()
    low = response.pressure > 930
    assert response.rain[LEVELS:][low].sum() > 0  # a moister boundary layer rains more
    assert response.spectrum.unstable(1.0) == ()
    assert "no mode of the column alone grows faster than 1 per day" in response.verdict()
    assert "warning" in response.verdict(-0.5) or not response.spectrum.growing


def test_numbers_and_texts(response: LinearResponse, some: xr.Dataset) -> None:
    assert (response.columns, response.convecting) == (48, int((some["KIND"] > 0).sum()))
    assert response.smooth is not None
    assert response.smooth_share is not None
    assert 0.2 < response.smooth_share < 1.2
    assert "48 soundings, 16 of which convect" in repr(response)
    content = json.loads(json.dumps(response.to_json(), allow_nan=False))
    np.testing.assert_array_equal(content["matrix"], response.matrix)
    assert len(content["rates"][0]) == 2 * LEVELS


@pytest.fixture
def backwards(monkeypatch: pytest.MonkeyPatch) -> None:
    """An emulator with the opposite sign of heating and moistening."""
    right = Emulator.answer

    def wrong(self: Emulator, known: Physics, network: Closure) -> tuple[Tensor, dict[str, Tensor]]:
        kind, out = right(self, known, network)
        return kind, out | {name: -out[name] for name in ("RTHCUTEN", "RQVCUTEN")}

    monkeypatch.setattr(Emulator, "answer", wrong)


@pytest.mark.usefixtures("backwards")
def test_growth_gives_a_warning(emulator: Emulator, some: xr.Dataset) -> None:
    unstable = linear_response(emulator, some)
    modes = unstable.spectrum.unstable(1.0)
    assert len(modes) > 3
    assert unstable.verdict().startswith(
        f"warning: {len(modes)} modes of the column alone grow faster than 1 per day"
    )
    assert "hPa" in unstable.spectrum.table()
    assert modes[0].growth == max(mode.growth for mode in modes)
    content = json.loads(json.dumps(unstable.to_json(), allow_nan=False))["growing"]
    assert content[0]["growth"] == modes[0].growth
    assert np.array(content[0]["vector"]).shape == (2, 2 * LEVELS)


def test_invalid_input(emulator: Emulator, pairs: xr.Dataset) -> None:
    quiet = pairs.isel(column=np.flatnonzero(pairs["KIND"].values == 0)[:12])
    calm = quiet.assign(QVAPOR=quiet["QVAPOR"] * 0.05, W0AVG=quiet["W0AVG"] * 0 - 1)
    with pytest.raises(InputError, match="none of 12 columns convects"):
        linear_response(emulator, calm)
    with pytest.raises(InputError, match="19 levels, and the network needs 20 or more"):
        linear_response(emulator, pairs.isel(level=slice(0, 19)))
    with pytest.raises(InputError, match="give one above 0"):
        linear_response(emulator, pairs.isel(column=slice(0, 40)), steps=(0.0, 0.02))


def test_an_emulator_with_nan(emulator: Emulator, some: xr.Dataset) -> None:
    broken = Emulator.load("mskf-convrad")
    with torch.no_grad():
        broken.network.pool.bias.fill_(float("nan"))
    with pytest.raises(InputError, match="not finite"):
        linear_response(broken, some)
