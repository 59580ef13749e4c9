"""The coordinate of the plume: conservative in both directions, and the same for other levels."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from sciml.convection.emulator import Physics
from sciml.convection.plume_coordinate import PlumeCoordinate, spread


def _random(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(12))


def test_means_conserve_the_integral(known: Physics) -> None:
    s, plume = known.sounding, known.plume
    on = PlumeCoordinate.of(s, plume, 3, 11)
    width = on.edges[:, 1:] - on.edges[:, :-1]
    integral = (on.means(torch.stack([s.t, s.q])) * width.unsqueeze(-1)).sum(1)
    level = torch.arange(s.levels).unsqueeze(1)
    inside = level <= plume.top
    for i, profile in enumerate((s.t, s.q)):
        exact = torch.where(inside, profile * s.dp, torch.zeros_like(profile)).sum(0)
        np.testing.assert_allclose(integral[:, i], exact, rtol=1e-12)
    base = torch.where(level < plume.cloud_base, s.dp, torch.zeros_like(s.dp)).sum(0)
    np.testing.assert_allclose(on.edges[:, 3], base, rtol=1e-14)


def test_means_of_one_profile_against_numpy(known: Physics) -> None:
    s, plume = known.sounding, known.plume
    on = PlumeCoordinate.of(s, plume, 4, 20)
    means = on.means(s.q)
    for column in (0, 5, 17):
        faces = np.concatenate([[0.0], np.cumsum(s.dp[:, column].numpy())])
        total = np.concatenate([[0.0], np.cumsum((s.q * s.dp)[:, column].numpy())])
        edges = on.edges[column].numpy()
        np.testing.assert_allclose(
            means[column], np.diff(np.interp(edges, faces, total)) / np.diff(edges), rtol=1e-9
        )


def test_spreading_keeps_the_sum_and_stays_in_the_cloud(known: Physics) -> None:
    s, plume = known.sounding, known.plume
    on = PlumeCoordinate.of(s, plume, 4, 20)
    amounts = _random(len(s), 24)
    levels = spread(amounts, on.positions)
    np.testing.assert_allclose(levels.sum(1), amounts.sum(1), atol=1e-12)
    above = torch.arange(s.levels) > plume.top.unsqueeze(1)
    assert float(levels[above].abs().max()) < 1e-13
    below = levels.cumsum(1).gather(1, (plume.cloud_base - 1).unsqueeze(1)).squeeze(1)
    np.testing.assert_allclose(below, amounts[:, :4].sum(1), atol=1e-12)


def test_the_layers_do_not_depend_on_the_levels(known: Physics) -> None:
    """Each level cut into three, with equal values: the same means, and a third of each amount."""
    s, plume = known.sounding, known.plume
    from dataclasses import replace

    fine_s = replace(s, dp=s.dp.repeat_interleave(3, 0) / 3, t=s.t.repeat_interleave(3, 0))
    fine = PlumeCoordinate.of(
        fine_s, replace(plume, cloud_base=3 * plume.cloud_base, top=3 * plume.top + 2), 4, 20
    )
    coarse = PlumeCoordinate.of(s, plume, 4, 20)
    np.testing.assert_allclose(fine.edges, coarse.edges, rtol=1e-12)
    np.testing.assert_allclose(fine.means(fine_s.t), coarse.means(s.t), rtol=1e-9)
    amounts = _random(len(s), 24)
    thirds = spread(amounts, fine.positions)
    np.testing.assert_allclose(
        thirds.reshape(len(s), -1, 3).sum(2), spread(amounts, coarse.positions), atol=1e-11
    )
