"""The computed strength of deep convection against that of the true scheme, and the energy against a parcel model."""

from __future__ import annotations

import numpy as np
import torch
import xarray as xr

from sciml.convection import thermodynamics as td
from sciml.convection.adjustment import adjust, greatest_strength
from sciml.convection.emulator import Physics
from sciml.convection.energy_closure import LEAST_STRENGTH, close, remaining_energy
from sciml.convection.plume import DEEP
from sciml.convection.wet_table import TABLE_BOTTOM, TABLE_P, TABLE_TOP, wet_table


def test_the_strength_is_that_of_the_scheme(pairs: xr.Dataset, known: Physics) -> None:
    """The condensate that the true scheme detrains, over that of the plume, is its strength."""
    rows, s, plume = known.index.numpy(), known.sounding, known.plume
    deep = (plume.kind == DEEP).numpy() & (pairs["KIND"].values[rows] == DEEP)
    cloud = sum(pairs[name].transpose("column", "level").values[rows].T for name in ("RQCCUTEN", "RQICUTEN"))
    condensate = (s.dp / td.GRAVITY).numpy() * cloud.astype(np.float64)
    plume_condensate = (plume.detrained_liquid + plume.detrained_ice).sum(0) * plume.flux_lcl
    true = condensate.sum(0) / plume_condensate.numpy()
    off = np.abs(np.log(known.closed.strength.numpy()[deep] / true[deep]))
    assert deep.sum() > 40
    assert np.median(off) < 3e-4 and np.quantile(off, 0.9) < 0.01
    assert known.closed.convects.numpy()[deep].all()


def test_no_more_energy_is_left_than_the_scheme_allows(known: Physics) -> None:
    s, plume, down, times, closed = known.sounding, known.plume, known.down, known.times, known.closed
    after = adjust(s, plume, down, times, closed.strength)
    left = (remaining_energy(s, plume, after["t"], after["q"]) / plume.cape)[plume.kind == DEEP]
    most = greatest_strength(s, plume, down, times)[plume.kind == DEEP]
    settled = closed.rounds[plume.kind == DEEP] < 10
    bounded = (closed.strength[plume.kind == DEEP] / most) > 0.999
    assert float((left[settled & ~bounded] <= 0.1 + 1e-9).double().mean()) > 0.95
    assert bool((closed.strength >= LEAST_STRENGTH).all())
    assert bool((closed.rounds[plume.kind != DEEP] == 0).all())


def test_the_energy_of_the_undisturbed_sounding_is_about_that_of_the_plume(known: Physics) -> None:
    """Without adjustment only the fallout of the level and the bound at zero differ from the plume's own energy."""
    s, plume = known.sounding, known.plume
    deep = (plume.kind == DEEP) & (plume.cape > 50.0)
    ratio = (remaining_energy(s, plume, s.t, s.q) / plume.cape)[deep]
    assert 0.9 < float(ratio.median()) < 1.2


def test_each_column_is_closed_alone(known: Physics) -> None:
    index = torch.arange(len(known.index)).flip(0)[::2]
    some = close(
        known.sounding.take(index),
        known.plume.take(index),
        *(type(x)(**{n: v[..., index] for n, v in vars(x).items()}) for x in (known.down, known.times)),
    )
    torch.testing.assert_close(some.strength, known.closed.strength[index], rtol=1e-9, atol=0)
    assert torch.equal(some.rounds, known.closed.rounds[index])


def test_the_strength_is_differentiable(known: Physics) -> None:
    """The gradient of the strength with respect to vapour against a central difference, where no branch changes."""
    deep = torch.nonzero((known.plume.kind == DEEP) & (known.closed.rounds == 3)).squeeze(1)[:4]
    s, plume = known.sounding.take(deep), known.plume.take(deep)
    down, times = (
        type(x)(**{n: v[..., deep] for n, v in vars(x).items()}) for x in (known.down, known.times)
    )
    cape = plume.cape.clone().requires_grad_(True)
    from dataclasses import replace

    strength = close(s, replace(plume, cape=cape), down, times).strength
    (slope,) = torch.autograd.grad(strength.sum(), cape)
    step = 1e-4 * plume.cape
    high, low = (close(s, replace(plume, cape=plume.cape + d), down, times).strength for d in (step, -step))
    np.testing.assert_allclose(slope, (high - low) / (2 * step), rtol=1e-5)


def test_the_table_solves_its_equation_to_the_tolerance_of_the_scheme() -> None:
    """Bolton's equivalent temperature of saturated air at the table's temperatures; one row is 1 K."""
    t, q, first = wet_table()
    assert {x.dtype for x in (t, q, first)} == {np.dtype(np.float32)}
    p = np.linspace(TABLE_TOP, TABLE_BOTTOM, TABLE_P)
    air = torch.from_numpy(t.astype(np.float64)), torch.from_numpy(np.broadcast_to(p, t.shape).copy())
    saturated = td.saturation(air[1], air[0])
    theta = td.equivalent_temperature(air[1], air[0], saturated, air[0]).numpy()
    rows = first.astype(np.float64) + np.arange(len(t))[:, None]
    warm = (t > 200.0) & (t < 310.0)
    assert np.abs(theta - rows)[warm].max() < 5e-3
    assert np.abs(q / saturated.numpy() - 1.0)[warm].max() < 1e-3
    # the iteration stops early, always on the same side: on average the table is too warm
    assert 2e-5 < float(np.mean((theta - rows)[warm])) < 1e-3
