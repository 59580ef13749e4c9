"""Options for data without a description are the same in `sciml pde info`, `train`, `verify` and `solve`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from typer.testing import CliRunner, Result

from sciml.cli import app
from sciml.pde.grid import Boundary, Grid
from tests.operators.conftest import dataset

GRID = Grid((15, 15), "vertex", Boundary(west="neumann", east="neumann"))
NAMED = ("--inputs", "coefficient=k", "--target", "u=p")
PLACED = ("--boundary", "neumann,neumann,dirichlet,dirichlet", "--centring", "vertex")
SMALL = "[fit]\nthreads = 1\n[network]\nchannels = 4\n"


def sciml(*words: object) -> Result:
    return CliRunner().invoke(app, [*map(str, words), "-q"], prog_name="sciml")


def numbers(*words: object) -> dict[str, object]:
    shown = sciml(*words, "--json", "-")
    assert shown.exit_code == 0, shown.output
    result: dict[str, object] = json.loads(shown.stdout)
    return result


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Problems with their own names, in a file without the position of the values."""
    home = tmp_path_factory.mktemp("own")
    known = dataset(GRID, 5)
    known.to_netcdf(home / "known.nc")
    known.drop_attrs().drop_vars(["y", "x"]).rename(coefficient="k", u="p").to_netcdf(home / "own.nc")
    (home / "small.toml").write_text(SMALL)
    return home


def test_info_reports_the_given_grid(own: Path) -> None:
    assert numbers("pde", "info", own / "own.nc", *NAMED)["grid"] is None
    assert numbers("pde", "info", own / "own.nc", *NAMED, *PLACED)["grid"] == GRID.to_json()
    corrected = numbers("pde", "info", own / "known.nc", "--centring", "cell")["grid"]
    assert corrected == Grid(GRID.shape, "cell", GRID.boundary).to_json()
    coarse = numbers("pde", "info", own / "own.nc", *NAMED, *PLACED, "--stride", 2)
    assert coarse["sizes"] == {"y": 7, "x": 8}


def test_solve_poses_the_same_problem_as_a_described_file(own: Path, tmp_path: Path) -> None:
    mine, known = tmp_path / "mine.nc", tmp_path / "known.nc"
    result = numbers("pde", "solve", f"{own}/own.nc[3]", *NAMED, *PLACED, "--check", "-o", mine)
    assert numbers("pde", "solve", f"{own}/known.nc[3]", "--check", "-o", known)["cycles"] == result["cycles"]
    with (
        xr.open_dataarray(mine) as a,
        xr.open_dataarray(known) as b,
        xr.open_dataset(own / "known.nc") as truth,
    ):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_allclose(a, truth["u"][3], rtol=1e-3)


def test_verify_accepts_the_options_of_train(own: Path, tmp_path: Path) -> None:
    model, settings = tmp_path / "m.sciml", ("--config", own / "small.toml", "--epochs", 1, "--device", "cpu")
    assert (
        sciml("pde", "train", "mgno", own / "own.nc", "-o", model, *NAMED, *PLACED, *settings).exit_code == 0
    )
    few = ("--multigrid-samples", 1, "--preconditioned", 0)
    result = numbers("pde", "verify", model, own / "own.nc", *NAMED, *PLACED, *few)
    reference = numbers("pde", "verify", model, own / "known.nc", *few)
    assert result["relative_l2"] == reference["relative_l2"]
    other = sciml(
        "pde", "verify", model, own / "own.nc", *NAMED, "--boundary", "dirichlet", *PLACED[2:], *few
    )
    assert other.exit_code == 2 and len(other.stderr.splitlines()) == 1


def test_verify_subsamples_as_train_does(own: Path, tmp_path: Path) -> None:
    model, settings = tmp_path / "m.sciml", ("--config", own / "small.toml", "--epochs", 1, "--device", "cpu")
    data = (own / "own.nc", *NAMED, *PLACED, "--stride", 2)
    assert sciml("pde", "train", "mgno", *data[:1], "-o", model, *data[1:], *settings).exit_code == 0
    few = ("--multigrid-samples", 1, "--preconditioned", 0)
    result, reference = (
        numbers("pde", "verify", model, *words, *few) for words in (data, (own / "known.nc", "--stride", 2))
    )
    assert result["relative_l2"] == reference["relative_l2"]
    assert result["relative_l2"] != numbers("pde", "verify", model, own / "known.nc", *few)["relative_l2"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("info", "{own}/own.nc", *NAMED, "--centring", "cell"), "give both, --boundary and --centring"),
        (("info", "{own}/own.nc", *NAMED, "--boundary", "dirichlet,neumann"), "west,east,south,north"),
        (("info", "{own}/own.nc", *NAMED, *PLACED[:3], "corner"), "'corner'"),
        (
            ("solve", "darcy-rough", "--boundary", "neumann"),
            "--boundary with darcy-rough: these options apply to a sample",
        ),
        (("solve", "poisson", "--stride", "2", "--inputs", "k"), "--inputs, --stride with poisson"),
        (
            ("solve", "poisson", "--dirichlet", "west=1,east=0"),
            "--dirichlet with poisson: these options apply to a sample of a dataset, such as 'd.zarr[3]'",
        ),
        (("solve", "poisson", "--dirichlet", "0"), "--dirichlet with poisson"),
        (
            ("generate", "poisson", "-o", "p.zarr", "--centring", "corner"),
            "--centring corner: give vertex or cell",
        ),
        (("solve", "poisson", "--centring", "corner"), "--centring corner: give vertex or cell"),
    ],
)
def test_invalid_options_are_one_line(own: Path, words: tuple[str, ...], message: str) -> None:
    shown = sciml("pde", *(word.format(own=own) for word in words))
    assert (shown.exit_code, shown.stdout) == (2, "")
    assert message in shown.stderr
    assert len(shown.stderr.splitlines()) == 1


def test_channels_are_inputs_in_info_and_train(own: Path, tmp_path: Path) -> None:
    """An axis of the inputs that the target does not have cannot be time."""
    rng = np.random.default_rng(5)
    fields = {"coefficient": rng.uniform(1, 2, (6, 3, 15, 15)), "u": rng.random((6, 15, 15))}
    np.savez(tmp_path / "k.npz", **fields)
    named = ["coefficient_0", "coefficient_1", "coefficient_2"]
    assert numbers("pde", "info", tmp_path / "k.npz")["inputs"] == named
    settings = (
        "--config",
        own / "small.toml",
        "--epochs",
        1,
        "--device",
        "cpu",
        "--json",
        tmp_path / "m.json",
    )
    shown = sciml("pde", "train", "mgno", tmp_path / "k.npz", "-o", tmp_path / "m.sciml", *PLACED, *settings)
    assert shown.exit_code == 0, shown.output
    few = ("--multigrid-samples", 1, "--preconditioned", 0)
    assert numbers("pde", "verify", tmp_path / "m.sciml", tmp_path / "k.npz", *PLACED, *few)["samples"] == 6
    fields["u"] = rng.random((6, 3, 15, 15))
    np.savez(tmp_path / "k.npz", **fields)
    shown = sciml("pde", "info", tmp_path / "k.npz", "--dims", "sample,channel,y,x")
    assert shown.exit_code == 2 and "target u has 3 channels" in " ".join(shown.output.split())
