"""Invalid trainings, and the resumption of an interrupted training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from sciml.convection import prepared_columns, training
from sciml.convection.emulator import Emulator
from sciml.errors import InputError
from sciml.train import checkpoint
from sciml.train.progress import Quiet
from sciml.train.state import resume_path

FAST = {"epochs": 2, "batch_size": 64, "seed": 17, "threads": 1, "device": "cpu"}
SMALL = {"hidden": 6, "pooled": 8}


@pytest.fixture(scope="module")
def runs(pairs: xr.Dataset) -> xr.Dataset:
    """Three runs of 200 columns."""
    some = pairs.isel(column=slice(0, 600))
    return some.assign_coords(RUN=("column", (np.arange(600) % 3 + 1).astype(np.int32)))


def train(columns: Any, output: Path, **options: Any) -> Any:
    asked = {"fit": FAST, "network": SMALL, "progress": Quiet(), **options}
    return training.train(columns, output, **asked)


def damaged(columns: xr.Dataset, name: str, value: float) -> xr.Dataset:
    out = columns.copy(deep=True)
    here = int(np.flatnonzero(columns["KIND"].values == 2)[0])
    out[name].values[here] = value
    return out


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("RTHCUTEN", np.nan),
        ("RTHCUTEN", 1000.0),
        ("RQICUTEN", np.inf),
        ("RUCUTEN", np.nan),
        ("T_PHY", 9.96921e36),
        ("NCA", np.nan),
        ("PRATEC", np.nan),
        ("HFX", 1e6),
    ],
)
def test_damaged_values_are_an_error(runs: xr.Dataset, tmp_path: Path, name: str, value: float) -> None:
    """Opened lazily, as from files, before any check of the values."""
    lazy = damaged(runs, name, value).chunk(column=100)
    with pytest.raises(InputError, match=f"^{name} of wrfout_d01_convrad") as caught:
        train(lazy, tmp_path / "m.sciml")
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())
    with pytest.raises(InputError, match=name):
        train(lazy, tmp_path / "p.sciml", network={"kind": "published"})


def test_the_output_is_checked_first(
    runs: xr.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "open_columns", lambda paths: pytest.fail("opened"))
    monkeypatch.setattr(training, "PreparedColumns", lambda *_: pytest.fail("prepared"))
    results = tmp_path / "results"
    results.mkdir()
    (results / "thesis.txt").write_text("precious")
    store = tmp_path / "in.zarr"
    store.mkdir()
    (store / "zarr.json").write_text("{}")
    (tmp_path / "pairs.nc").write_text("columns")
    (tmp_path / "diary.resume.sciml").write_text("dear diary")
    for output, match in [
        (tmp_path / "diary.sciml", "no checkpoint"),
        (results, "no checkpoint"),
        (store, "one of the inputs"),
        (store / "m.sciml", "lies in"),
        (tmp_path / "pairs.nc", "one of the inputs"),
        (tmp_path, "contains the input"),
        (Path("/dev/null"), "device"),
    ]:
        with pytest.raises(InputError, match=match):
            train([store, tmp_path / "pairs.nc"], output)
    for columns in (runs, runs.chunk(column=100)):
        with pytest.raises(InputError, match="no checkpoint"):
            train(columns, results)
        with pytest.raises(InputError, match="is a file"):
            train(columns, tmp_path / "pairs.nc")
        with pytest.raises(InputError, match="no checkpoint"):
            train(columns, results, network={"kind": "published"})
    assert (results / "thesis.txt").read_text() == "precious"
    assert (tmp_path / "pairs.nc").read_text() == "columns"


def test_the_folders_above_the_output_are_made(runs: xr.Dataset, tmp_path: Path) -> None:
    train(runs, tmp_path / "no" / "such" / "m.sciml")
    assert [entry.name for entry in (tmp_path / "no" / "such").iterdir()] == ["m.sciml"]


def cut_off(runs: xr.Dataset, output: Path, **options: Any) -> None:
    train(runs, output, fit={**FAST, "time_limit_s": 1e-6}, **options)
    assert resume_path(output).exists()


def test_only_the_same_training_is_resumed(runs: xr.Dataset, tmp_path: Path) -> None:
    output = tmp_path / "m.sciml"
    cut_off(runs, output, hold_out=[2], exclude=[3])

    warmer = runs.assign(T_PHY=runs["T_PHY"] + 1e-3)
    count = runs["RUN"].values
    swapped = runs.assign_coords(RUN=("column", np.where(count == 2, 2, np.where(count == 1, 4, 3))))
    with pytest.raises(InputError, match=r"columns of digest \w+, now it is \w+.*--restart"):
        train(warmer, output, hold_out=[2], exclude=[3])
    with pytest.raises(InputError, match="the training runs 1, now it is 4"):
        train(swapped, output, hold_out=[2], exclude=[3])
    with pytest.raises(InputError, match="resume=False"):
        train(runs, output, hold_out=[3], exclude=[2])
    with pytest.raises(InputError, match="validated with"):
        train(runs, output, exclude=[2, 3])
    with pytest.raises(InputError, match=r"the network hidden 6, .*, now it is hidden 8"):
        train(runs, output, hold_out=[2], exclude=[3], network={"hidden": 8})
    with pytest.raises(InputError, match=r"the run's settings DX 10000, .*, now it is DX 3000,"):
        train(runs.assign_attrs(DX=3000.0), output, hold_out=[2], exclude=[3])
    done = train(runs, output, hold_out=[2], exclude=[3])
    straight = train(runs, tmp_path / "n.sciml", hold_out=[2], exclude=[3])
    for name, value in straight.network.state_dict().items():
        assert bool((done.network.state_dict()[name] == value).all()), name
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["m.sciml", "n.sciml"]


def test_a_single_column_is_too_few(pairs: xr.Dataset, tmp_path: Path) -> None:
    single = pairs.isel(column=[int(np.flatnonzero(pairs["KIND"].values == 2)[0])])
    with pytest.raises(InputError, match="1 column rises: too few to train on"):
        train(single, tmp_path / "m.sciml")


@pytest.mark.parametrize("kind", ["plume-closure", "bilstm"])
def test_too_few_levels_for_the_network(runs: xr.Dataset, tmp_path: Path, kind: str) -> None:
    with pytest.raises(
        InputError, match="the columns have 19 levels, and the network needs 20 or more: give a"
    ):
        train(runs.isel(level=slice(0, 19)), tmp_path / "m.sciml", network={"kind": kind})
    assert not list(tmp_path.iterdir())


def test_invalid_runs_for_validation(runs: xr.Dataset, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"RUN \[3\] is held out for validation and excluded"):
        train(runs, tmp_path / "m.sciml", hold_out=[3, 2], exclude=[3])
    stable = runs["RUN"] == 3
    still = runs.assign(
        T_PHY=(runs["T_PHY"] + 1.5 * stable * xr.DataArray(np.arange(44), dims="level")).astype("f4"),
        QVAPOR=runs["QVAPOR"].where(~stable, 1e-5),
        W0AVG=runs["W0AVG"].where(~stable, -1.0),
    ).transpose("column", "level")
    with pytest.raises(InputError, match=r"no plume rises in any column of RUN \[3\]"):
        train(still, tmp_path / "m.sciml", hold_out=[3])
    assert not list(tmp_path.iterdir())


def test_files_of_a_killed_training_are_removed(
    runs: xr.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = tmp_path / ".m.sciml.scratch"
    (left / "prepared.zarr").mkdir(parents=True)
    train(runs, tmp_path / "m.sciml")
    assert [entry.name for entry in tmp_path.iterdir()] == ["m.sciml"]
    left.mkdir()
    (left / "thesis.txt").write_text("precious")
    with pytest.raises(InputError, match="contains other files than those of a training"):
        train(runs, tmp_path / "m.sciml")
    assert (left / "thesis.txt").exists()
    (left / "thesis.txt").unlink()
    monkeypatch.setattr(prepared_columns, "MEMORY", 1)
    monkeypatch.setattr(training, "run", lambda *_, **__: pytest.fail("stopped") if left.is_dir() else None)
    with pytest.raises(pytest.fail.Exception, match="stopped"):
        train(runs, tmp_path / "m.sciml")
    assert [entry.name for entry in tmp_path.iterdir()] == ["m.sciml"]


def test_invalid_settings(runs: xr.Dataset, tmp_path: Path) -> None:
    for network in ({"hidden": True}, {"layers": 0}):
        with pytest.raises(InputError, match=r"Architecture\((hidden=True|layers=0)\)"):
            train(runs, tmp_path / "m.sciml", network=network)
    with pytest.raises(InputError, match=r"Fit\(monitor='foo'\): give validation"):
        train(runs, tmp_path / "m.sciml", fit={**FAST, "monitor": "foo"})
    with pytest.raises(InputError, match="device 'meta'"):
        train(runs, tmp_path / "m.sciml", fit={**FAST, "device": "meta"})
    with pytest.raises(InputError, match=r"betas=\[0\.9\]"):
        train(runs, tmp_path / "m.sciml", fit={"betas": [0.9]})
    assert not list(tmp_path.iterdir())


def test_a_network_of_more_layers_than_the_default_loads(runs: xr.Dataset, tmp_path: Path) -> None:
    train(runs, tmp_path / "m.sciml", network={**SMALL, "cloud": 30})
    assert Emulator.load(tmp_path / "m.sciml").network.shape.cloud == 30


def test_a_checkpoint_of_this_package_is_replaced(runs: xr.Dataset, tmp_path: Path) -> None:
    folder = checkpoint.save(tmp_path / "model", {"kind": "line"}, {})
    train(runs, folder)
    assert checkpoint.load(folder).kind == "convection-emulator"


@pytest.mark.parametrize(
    ("form", "about"),
    [
        ({"hypercomplex": 2}, {"hypercomplex": 2}),
        ({"binary": "periodic"}, {"binary": {"kind": "periodic", "frequency": 20.0}}),
    ],
)
def test_hypercomplex_and_binary_weights_are_saved_dense(
    runs: xr.Dataset, tmp_path: Path, form: dict[str, Any], about: dict[str, Any]
) -> None:
    output = tmp_path / "m.sciml"
    made = train(runs, output, network={**SMALL, **form}, hold_out=[2])
    again = Emulator.load(output)
    stored = checkpoint.load(output)
    assert about.items() <= stored.config["about"].items()
    assert sorted(made.network.state_dict()) == sorted(again.network.state_dict())
    weight = again.network.state_dict()["lstm.weight_hh_l0"]
    assert np.array_equal(weight, made.network.state_dict()["lstm.weight_hh_l0"])
    if "binary" in form:
        assert np.unique(weight.abs().numpy(), axis=1).shape == (24, 1)
    else:  # four blocks of the rank of two products
        blocks = weight.reshape(2, 12, 2, 3).transpose(1, 2).reshape(4, 36)
        assert np.linalg.matrix_rank(blocks.numpy(), tol=1e-5) == 2
    assert "hypercomplex (2 terms)" in repr(again) or "3 binary (periodic)" in repr(again)
    with pytest.raises(InputError, match="divides both sizes of no weight"):
        train(runs, tmp_path / "n.sciml", network={**SMALL, "hypercomplex": 7})
