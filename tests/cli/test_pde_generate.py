"""`sciml pde generate` and `info`."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner, Result

from sciml.cli import app
from sciml.cli.data_options import parse_variables
from sciml.pde import generate, open_dataset


def sciml(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in arguments])


def test_generate_twice_and_describe(tmp_path: Path) -> None:
    target = tmp_path / "d.zarr"
    command = ("pde", "generate", "darcy-rough", "--resolution", 15, "--count", 5, "--seed", 11, "-o", target)
    first = sciml(*command)
    assert first.exit_code == 0, first.output
    assert "5 samples of darcy-rough, 15 x 15 (y, x)" in first.output
    expected = generate("darcy-rough", 5, 15, seed=11).compute()
    np.testing.assert_array_equal(open_dataset(target).u, expected.u)
    again = sciml(*command)
    assert again.exit_code == 0
    assert "nothing to do" in again.output
    shown = sciml("pde", "info", target, "--check").output
    assert "coefficient -> u" in shown
    assert "15 x 15 vertex-centred, dirichlet" in shown
    assert "all values can be used" in shown


def test_options(tmp_path: Path) -> None:
    target = tmp_path / "d.nc"
    done = sciml(
        *("pde", "generate", "poisson", "--resolution", 8, "--count", 4, "--seed", 11, "-o", target),
        *("--centring", "cell", "--chunk", 3, "--workers", 1, "--double", "--quiet"),
    )
    assert done.exit_code == 0, done.output
    ds = open_dataset(target)
    assert ds.u.dtype == np.float64
    assert '"cell"' in ds.attrs["grid"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("darcy-ruff",), "did you mean 'darcy-rough'"),
        (("poisson", "--centring", "corner"), "--centring corner: give vertex or cell"),
        (("poisson", "--refined", 2), "refined=2 of poisson"),
        (("navier-stokes", "--centring", "cell", "--resolution", 16), "needs a vertex-centred grid"),
        (("helmholtz", "--resolution", 15, "--count", 2), "do not resolve the wave"),
    ],
)
def test_errors_are_one_line_and_leave_no_files(
    tmp_path: Path, arguments: tuple[object, ...], message: str
) -> None:
    result = sciml("pde", "generate", *arguments, "-o", tmp_path / "d.zarr")
    assert result.exit_code == 2
    assert result.stderr.startswith("error: ")
    assert message in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_only_datasets_are_overwritten(tmp_path: Path) -> None:
    target = tmp_path / "d.nc"
    target.write_text("other data")
    command = ("pde", "generate", "poisson", "--resolution", 7, "--count", 2, "-o", target)
    for extra in ((), ("--overwrite",)):
        result = sciml(*command, *extra)
        assert result.exit_code == 2
        assert target.read_text() == "other data"


def test_info_of_a_file_with_other_names(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "d.h5", "w") as file:
        file["k"] = file["p"] = np.ones((3, 9, 9))
    path = tmp_path / "d.h5"
    missing = sciml("pde", "info", path)
    assert missing.exit_code == 2
    assert "k 3 x 9 x 9" in missing.stderr
    assert "--inputs coefficient=NAME" in missing.stderr
    shown = sciml("pde", "info", path, "--inputs", "coefficient=k", "--target", "u=p")
    assert "the file does not contain the grid" in shown.output
    assert "coefficient -> u" in shown.output


def test_families_are_listed() -> None:
    listed = sciml("pde", "families").output
    assert "darcy-multiscale" in listed
    assert "viscosity       1e-05" in listed
    assert "coefficient = nu (sample, y, x)" in sciml("pde", "layouts").output


def test_variables_are_parsed() -> None:
    assert parse_variables(None) is None
    assert parse_variables(["coefficient=k", "source"]) == {"coefficient": "k", "source": "source"}
