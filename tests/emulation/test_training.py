"""An emulator of a declared scheme is trained, saved, read and evaluated."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from sciml.emulation import SchemeEmulator, evaluate, train
from sciml.errors import InputError
from sciml.schemes import ColumnScheme
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


def test_an_unknown_setting_is_an_error(kessler: ColumnScheme, rainy: xr.Dataset, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"\[network\] .*it has hidden, layers"):
        train(kessler, rainy, tmp_path / "x.sciml", network={"width": 3})
