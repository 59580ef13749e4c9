"""An emulator of a declared scheme is trained, saved, read and evaluated."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr

from sciml.emulation import SchemeEmulator, evaluate, train
from sciml.emulation.level_groups import LevelGroups
from sciml.errors import InputError
from sciml.schemes import ColumnScheme
from sciml.train import TensorSource
from sciml.train.progress import Quiet
from workflows.kessler.soundings import pairs

FIT = {"epochs": 12, "batch_size": 16, "learning_rate": 1e-2, "threads": 1}


@pytest.fixture(scope="module")
def trained(
    kessler: ColumnScheme, rainy: xr.Dataset, tmp_path_factory: pytest.TempPathFactory
) -> tuple[SchemeEmulator, Path]:
    path = tmp_path_factory.mktemp("trained") / "kessler.sciml"
    emulator = train(kessler, rainy, path, fit=FIT, network={"hidden": 8, "layers": 1}, progress=Quiet())
    return emulator, path


def test_the_training_learns_the_rain(trained: tuple[SchemeEmulator, Path], rainy: xr.Dataset) -> None:
    scores = evaluate(trained[0], rainy)
    assert scores.r2["rain"] > 0.4 and scores.columns == 160
    assert max(scores.closure.values()) < 1e-14
    assert min(scores.least.values()) > -1e-15
    assert "closure water" in repr(scores)


def test_a_checkpoint_gives_the_same_answer(trained: tuple[SchemeEmulator, Path], rainy: xr.Dataset) -> None:
    emulator, path = trained
    again = SchemeEmulator.load(path)
    assert again.scheme == emulator.scheme
    xr.testing.assert_identical(again(rainy), emulator(rainy))


def test_other_levels_are_evaluated(trained: tuple[SchemeEmulator, Path]) -> None:
    scores = evaluate(trained[0], pairs(30, 25, seed=4))
    assert max(scores.closure.values()) < 1e-14


def test_columns_do_not_depend_on_each_other(trained: tuple[SchemeEmulator, Path], rainy: xr.Dataset) -> None:
    emulator = trained[0]
    part = emulator(rainy.isel(column=slice(3, 9)))
    for name, value in emulator(rainy).isel(column=slice(3, 9)).items():
        np.testing.assert_allclose(part[name], value, rtol=1e-12, atol=1e-20)


def test_pairs_that_contradict_a_closure_are_an_error(
    kessler: ColumnScheme, rainy: xr.Dataset, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="do not satisfy the closure water of the scheme kessler"):
        train(kessler, rainy.assign(rain=0 * rainy["rain"]), tmp_path / "x.sciml", progress=Quiet())
    assert not list(tmp_path.iterdir())


def test_columns_of_several_levels_are_trained_and_scored_together(
    kessler: ColumnScheme, rainy: xr.Dataset, tmp_path: Path
) -> None:
    more = pairs(40, 26, seed=4)
    fit, network = {**FIT, "epochs": 1, "batch_size": 32}, {"hidden": 4, "layers": 1}
    emulator = train(kessler, [more, rainy], tmp_path / "x.sciml", fit=fit, network=network, progress=Quiet())
    assert emulator.about == {"columns": 200, "levels": [20, 26]}
    both, alone = evaluate(emulator, [rainy, more]), [evaluate(emulator, part) for part in (rainy, more)]
    assert both.columns == 200
    assert both.closure["water"] == max(scores.closure["water"] for scores in alone)
    # the residual and the total sums of squares are those of both, about the mean of both
    rain = np.concatenate([rainy["rain"], more["rain"]])
    squares = sum((1 - s.r2["rain"]) * part["rain"].size * float(np.var(part["rain"])) for s, part in
                  zip(alone, (rainy, more), strict=True))  # fmt: skip
    np.testing.assert_allclose(both.r2["rain"], 1 - squares / (rain.size * np.var(rain)), rtol=1e-12)


def test_a_batch_has_columns_of_one_number_of_levels() -> None:
    source = LevelGroups([TensorSource({"x": torch.arange(n).repeat(n, 1).T}) for n in (50, 7, 13)])
    batches = list(source.batches(16, torch.Generator().manual_seed(3)))
    assert len(source) == 70 and len(batches) == 5
    assert sorted(len(batch["x"]) for batch in batches) == [7, 13, 16, 17, 17]
    for width in (50, 7, 13):
        rows = torch.cat([batch["x"][:, 0] for batch in batches if batch["x"].shape[1] == width])
        assert sorted(rows.tolist()) == list(range(width))
    again = list(source.batches_from(16, torch.Generator().manual_seed(3), 3))
    assert all(torch.equal(a["x"], b["x"]) for a, b in zip(again, batches[3:], strict=True))


def test_a_batch_larger_than_the_columns_of_all_levels_is_an_error(
    kessler: ColumnScheme, rainy: xr.Dataset, tmp_path: Path
) -> None:
    groups = [rainy, pairs(9, 21, seed=4)]
    with pytest.raises(
        InputError, match="batch_size 200 makes 1 batches of 169 columns, which have 2 numbers"
    ):
        train(kessler, groups, tmp_path / "x.sciml", fit={"batch_size": 200}, progress=Quiet())
    with pytest.raises(InputError, match="no dataset of pairs"):
        train(kessler, [], tmp_path / "x.sciml", progress=Quiet())
    assert not list(tmp_path.iterdir())


def test_a_training_of_another_scheme_is_not_resumed(
    kessler: ColumnScheme, rainy: xr.Dataset, tmp_path: Path
) -> None:
    path, network = tmp_path / "x.sciml", {"hidden": 3, "layers": 1}
    train(kessler, rainy, path, fit={**FIT, "time_limit_s": 1e-9}, network=network, progress=Quiet())
    other = replace(kessler, name="warm_rain", prefix="")
    with pytest.raises(InputError, match="the scheme"):
        train(other, rainy.drop_attrs(deep=False), path, fit=FIT, network=network, progress=Quiet())
    with pytest.raises(
        InputError, match=r"pairs of the scheme kessler .*, and the declaration is of warm_rain"
    ):
        train(other, rainy, path, fit=FIT, network=network, progress=Quiet())


def test_an_unknown_setting_is_an_error(kessler: ColumnScheme, rainy: xr.Dataset, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"\[network\] .*it has hidden, layers"):
        train(kessler, rainy, tmp_path / "x.sciml", network={"width": 3})


def test_hypercomplex_weights(kessler: ColumnScheme, rainy: xr.Dataset, tmp_path: Path) -> None:
    path = tmp_path / "k.sciml"
    sizes = {"hidden": 8, "layers": 1, "hypercomplex": 4}
    emulator = train(kessler, rainy, path, fit={**FIT, "epochs": 1}, network=sizes, progress=Quiet())
    again = SchemeEmulator.load(path)
    xr.testing.assert_identical(again(rainy), emulator(rainy))
    assert again.about["hypercomplex"] == 4
    assert "hypercomplex (4 terms)" in repr(again)
