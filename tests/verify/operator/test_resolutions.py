"""Errors at other resolutions, on the same random fields."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from sciml.errors import InputError
from sciml.operators.field_scaling import FieldScaling
from sciml.operators.mgno import MgNO
from sciml.operators.trained_operator import TrainedOperator
from sciml.pde.direct import Direct
from sciml.pde.elliptic import Darcy
from sciml.pde.generation import generate
from sciml.pde.grid import Grid
from sciml.pde.random_fields import TwoPhase
from sciml.solve import solve
from sciml.verify.operator.evaluate import assess
from sciml.verify.operator.resolutions import at_resolutions


class Scaled(TrainedOperator):
    """The solution of sparse LU, times 1.1."""

    def predict(self, fields: dict[str, Tensor], grid: Grid | None = None) -> Tensor:
        solved = [solve(Darcy(a.shape, a.double().numpy()), Direct()).u.values for a in fields["coefficient"]]
        return 1.1 * torch.from_numpy(np.stack(solved))


def operator(kind: type[TrainedOperator], **about: object) -> TrainedOperator:
    torch.manual_seed(3)
    network = MgNO(channels=2, layers=1, levels=2, grid=(7, 7)).eval()
    return kind(network, FieldScaling.raw(("coefficient",)), ("coefficient",), "u", Grid((15, 15)), about)


def test_errors_and_ratios_of_a_known_operator() -> None:
    rows = at_resolutions(operator(Scaled), generate("darcy-smooth", 4, 15, 9), (31, 7), samples=3)
    assert [row["shape"] for row in rows] == [[15, 15], [31, 31], [7, 7]]
    for row in rows:
        assert row["samples"] == 3
        assert row["relative_l2"] == pytest.approx(0.1, abs=1e-6)
        assert row["relative_h1"] == pytest.approx(0.1, abs=1e-6)
        assert 0 < row["smoothed_h1"] < 0.1
    assert [row["ratio_l2"] for row in rows[1:]] == pytest.approx([1, 1], abs=1e-5)


def test_truths_are_those_of_the_seeds_and_interpolated_linearly() -> None:
    data = generate("darcy-smooth", 2, 15, 9).load()
    fine = at_resolutions(operator(Scaled), data, (31,), samples=2)[1]
    truths = [solve(Darcy(31, TwoPhase(3, 12), seed=int(s)), Direct()).u.values for s in data["sample_seed"]]
    apart = []
    for truth, coarse in zip(truths, data["u"].values, strict=True):
        rows = np.pad(coarse, 1)
        rows = np.insert(rows, range(1, 17), (rows[1:] + rows[:-1]) / 2, 0)
        whole = np.insert(rows, range(1, 17), (rows[:, 1:] + rows[:, :-1]) / 2, 1)[1:-1, 1:-1]
        apart.append(np.linalg.norm(whole - truth) / np.linalg.norm(truth))
    assert fine["interpolated_l2"] == pytest.approx(np.mean(apart), rel=1e-5)


def test_an_evaluation_has_a_table_of_the_resolutions() -> None:
    data = generate("darcy-smooth", 2, 15, 9).load()
    result = assess(operator(TrainedOperator), data, multigrid_samples=1, preconditioned=0, resolutions=(31,))
    assert result.to_json()["resolutions"][1]["shape"] == [31, 31]
    assert "Other resolutions (1 samples" in str(result)
    assert "31 x 31" in str(result)


def test_data_without_seeds_are_an_error() -> None:
    data = generate("darcy-smooth", 2, 15, 9)
    with pytest.raises(InputError, match="the data have no sample_seed"):
        at_resolutions(operator(Scaled), data.drop_vars("sample_seed"), (31,))
    with pytest.raises(InputError, match="a time series has no other resolution"):
        at_resolutions(operator(Scaled, steps=True), data, (31,))
    with pytest.raises(InputError, match="resolution=5"):
        at_resolutions(operator(Scaled), data, (5,))
