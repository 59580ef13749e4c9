"""The emulator through its public interface: training, saving, loading, solving, and invalid input."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr

import sciml as sm
from sciml.convection import prepared_columns, training
from sciml.convection.emulator import Emulator
from sciml.convection.problem import Convection
from sciml.errors import InputError, MissingVariable
from sciml.solve import Result, SolveFailed
from sciml.train.progress import Quiet

FAST = {"epochs": 2, "batch_size": 64, "seed": 17, "threads": 1, "device": "cpu"}
SMALL = {"hidden": 6, "pooled": 8}


@pytest.fixture(scope="module")
def path(pairs: xr.Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("emulator") / "small.sciml"
    training.train(pairs, target, fit=FAST, network=SMALL, progress=Quiet())
    return target


def test_solve_returns_all_outputs_of_the_scheme(pairs: xr.Dataset, path: Path) -> None:
    some = pairs.isel(column=slice(0, 400))
    solution = sm.solve(Convection(some), Emulator.load(path))
    out = solution.outputs
    assert solution.result.ok and solution.stats["columns"] == 400
    for name in ("RTHCUTEN", "RQVCUTEN", "RUCUTEN", "CLDFRA_DP", "QC_CU"):
        assert out[name].dims == ("column", "level") and out[name].dtype == np.float32
    assert out["RTHCUTEN"].attrs["units"] == "K s-1"
    off = out["KIND"].values == 0
    assert (out["NCA"].values[off] == -100).all() and (out["CUTOP"].values[off] == 1).all()
    for name in ("RTHCUTEN", "RUCUTEN", "QC_CU", "PRATEC", "NOVELTY"):
        assert not out[name].values[off].any(), name
    assert sm.columns_to_map(out).sizes["south_north"] == 24
    assert "shallow" in repr(solution) and "Bi-LSTM 1 x 6" in repr(Emulator.load(path))


def test_training_reduces_the_error(pairs: xr.Dataset, path: Path) -> None:
    """Two epochs on the evaluated columns themselves: this tests the training, not the quality of an emulator."""
    out = sm.solve(Convection(pairs), Emulator.load(path)).outputs
    true = pairs["RTHCUTEN"].values
    assert 1 - ((out["RTHCUTEN"].values - true) ** 2).sum() / (true**2).sum() > 0.5
    assert (out["KIND"].values == pairs["KIND"].values).mean() > 0.99


def test_the_solution_does_not_depend_on_the_blocks(pairs: xr.Dataset, path: Path) -> None:
    some = pairs.isel(column=slice(0, 150))
    loaded = Emulator.load(path, precision="float64")
    whole = loaded.run(Convection(some), loaded.init(Convection(some))).outputs
    import dataclasses

    small = dataclasses.replace(loaded, block=37)
    parts = sm.solve(Convection(some), small).outputs
    for name in whole.data_vars:
        np.testing.assert_allclose(parts[name], whole[name], rtol=1e-9, atol=1e-15, err_msg=str(name))


def test_the_same_seed_gives_the_same_file(pairs: xr.Dataset, path: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.sciml"
    training.train(pairs, again, fit=FAST, network=SMALL, progress=Quiet())
    first, second = (Emulator.load(p).network.state_dict() for p in (path, again))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not list(tmp_path.glob("*.resume*")) and len(list(tmp_path.iterdir())) == 1


def test_columns_beyond_memory_train_from_disk(
    pairs: xr.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prepared_columns, "MEMORY", 1)
    emulator = training.train(pairs, tmp_path / "a.sciml", fit=FAST, network=SMALL, progress=Quiet())
    assert emulator.about["columns"] > 200
    assert [p.name for p in tmp_path.iterdir()] == ["a.sciml"]


def test_whole_runs_are_held_out(pairs: xr.Dataset, tmp_path: Path) -> None:
    half = (np.arange(pairs.sizes["column"]) % 2).astype(np.int32)
    two = pairs.assign_coords(RUN=("column", half))
    emulator = training.train(
        two, tmp_path / "a.sciml", hold_out=[1], fit=FAST, network=SMALL, progress=Quiet()
    )
    assert emulator.about["runs"] == [0] and emulator.about["held_out"] == [1]
    with pytest.raises(InputError, match=r"RUN \[5\].*RUN 0, 1"):
        training.train(two, tmp_path / "b.sciml", hold_out=[5], progress=Quiet())
    with pytest.raises(InputError, match="left to train on"):
        training.train(two, tmp_path / "b.sciml", hold_out=[0, 1], progress=Quiet())
    assert not (tmp_path / "b.sciml").exists()


def test_training_needs_the_targets(pairs: xr.Dataset, tmp_path: Path) -> None:
    with pytest.raises(MissingVariable, match=r"RQCCUTEN.*\+:h:0:RQCCUTEN"):
        training.train(pairs.drop_vars("RQCCUTEN"), tmp_path / "a.sciml", progress=Quiet())
    with pytest.raises(InputError, match=r"\[network\] width"):
        training.train(pairs, tmp_path / "a.sciml", network={"width": 3}, progress=Quiet())
    with pytest.raises(InputError, match=r"\[fit\]"):
        training.train(pairs, tmp_path / "a.sciml", fit={"epoch": 3}, progress=Quiet())


def test_invalid_problems(pairs: xr.Dataset) -> None:
    with pytest.raises(MissingVariable, match="W0AVG"):
        Convection(pairs.drop_vars("W0AVG"))
    with pytest.raises(InputError, match="zero columns"):
        Convection(pairs.isel(column=slice(0, 0)))
    with pytest.raises(InputError, match="convection_columns"):
        Convection(pairs.rename(column="x"))
    bare = pairs.copy()
    bare.attrs = {}
    with pytest.raises(InputError, match="DX"):
        Convection(bare)


def test_too_few_levels_are_an_error(pairs: xr.Dataset, path: Path) -> None:
    with pytest.raises(InputError, match="have 19 levels, and the network needs 20 or more"):
        sm.solve(Convection(pairs.isel(level=slice(0, 19))), Emulator.load(path))


def test_levels_above_the_clouds_do_not_matter(pairs: xr.Dataset, path: Path) -> None:
    """The lid enters only through the pressure solution of the momentum, far above the cloud."""
    some = pairs.isel(column=slice(0, 400))
    whole = sm.solve(Convection(some), Emulator.load(path)).outputs
    fewer = sm.solve(Convection(some.isel(level=slice(0, 42))), Emulator.load(path)).outputs
    assert int(whole["CUTOP"].max()) < 40
    for name in ("RTHCUTEN", "RQVCUTEN", "RQCCUTEN", "CLDFRA_DP"):
        np.testing.assert_array_equal(fewer[name], whole[name].isel(level=slice(0, 42)), err_msg=name)
    size = float(abs(whole["RUCUTEN"]).max())
    np.testing.assert_allclose(fewer["RUCUTEN"], whole["RUCUTEN"].isel(level=slice(0, 42)), atol=5e-3 * size)


def test_columns_of_different_runs_in_one_problem(pairs: xr.Dataset, path: Path) -> None:
    """Grid spacings, time steps and numbers of levels by column give what each group gives alone."""
    loaded = Emulator.load(path)
    first = pairs.isel(column=slice(0, 300))
    second = pairs.isel(column=slice(300, 600), level=slice(0, 42)).assign_attrs(DX=4000.0, DT=20.0)
    padded = second.pad(level=(0, 2), constant_values=np.nan)
    mixed = xr.concat([first, padded], "column", combine_attrs="drop_conflicts")
    values = {"DX": (1e4, 4e3), "DT": (50.0, 20.0), "CUDT": (5.0, 5.0), "LEVELS": (44, 42)}
    mixed = mixed.assign_coords({name: ("column", np.repeat(pair, 300)) for name, pair in values.items()})
    with pytest.warns(UserWarning, match="DX is 4000 to 10000"):
        together = sm.solve(Convection(mixed), loaded).outputs
    with pytest.warns(UserWarning, match="DX is 4000"):
        apart = [sm.solve(Convection(part), loaded).outputs for part in (first, second)]
    for name in ("KIND", "PRATEC", "NCA", "NOVELTY"):
        both = np.concatenate([part[name].values for part in apart])
        np.testing.assert_allclose(together[name], both, rtol=1e-6, err_msg=name)
    np.testing.assert_allclose(together["RTHCUTEN"][300:, :42], apart[1]["RTHCUTEN"], rtol=1e-6, atol=1e-12)
    assert np.isnan(together["RTHCUTEN"][300:, 42:]).all() and np.isfinite(together["RTHCUTEN"][:300]).all()
    assert "10000" in repr(Convection(mixed)) and "42 to 44" in repr(Convection(mixed))


def test_another_grid_spacing_gives_a_warning(pairs: xr.Dataset, path: Path) -> None:
    wide = pairs.isel(column=slice(0, 20)).assign_attrs(DX=30000.0)
    with pytest.warns(UserWarning, match="DX is 30000.*10000"):
        sm.solve(Convection(wide), Emulator.load(path))


def test_nan_is_an_error_that_names_the_variable(pairs: xr.Dataset, path: Path) -> None:
    broken = pairs.isel(column=slice(0, 30)).copy(deep=True)
    broken["T_PHY"][3, 7] = np.nan
    with pytest.raises(InputError, match="T_PHY has 1 values that are not finite"):
        sm.solve(Convection(broken), Emulator.load(path))


def test_columns_outside_the_training_range_are_novel(pairs: xr.Dataset, path: Path) -> None:
    deep = pairs.isel(column=np.flatnonzero(pairs["KIND"].values == 2)[:20])
    strange = deep.assign(HFX=deep["HFX"] + 5000.0, PBLH=deep["PBLH"] * 20)
    solution = sm.solve(Convection(strange), Emulator.load(path))
    assert solution.result is Result.NOVEL and solution.stats["greatest novelty"] > 1


def test_columns_without_convection(pairs: xr.Dataset, path: Path, tmp_path: Path) -> None:
    quiet = pairs.isel(column=np.flatnonzero(pairs["KIND"].values == 0)[:40])
    warmer_aloft = (quiet["T_PHY"] + 1.5 * np.arange(44)).astype("f4")
    stable = quiet.assign(T_PHY=warmer_aloft, QVAPOR=quiet["QVAPOR"] * 0.05, W0AVG=quiet["W0AVG"] * 0 - 1)
    out = sm.solve(Convection(stable), Emulator.load(path)).outputs
    assert not out["KIND"].values.any() and not out["RTHCUTEN"].values.any()
    with pytest.raises(InputError, match="no plume rises in any of 40"):
        training.train(stable, tmp_path / "a.sciml", progress=Quiet())


def test_a_result_that_is_not_finite_fails(pairs: xr.Dataset, path: Path) -> None:
    loaded = Emulator.load(path)
    with torch.no_grad():
        loaded.network.pool.weight.fill_(float("nan"))
    some = Convection(pairs.isel(column=slice(0, 200)))
    with pytest.raises(SolveFailed, match="NOT_FINITE"):
        sm.solve(some, loaded)
    assert sm.solve(some, loaded, throw=False).result is Result.NOT_FINITE
