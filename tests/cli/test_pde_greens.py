"""`sciml pde greens`: table, files, the problem it takes, refusals."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner, Result

from sciml.cli import app
from sciml.operators.field_scaling import FieldScaling
from sciml.operators.mgno import MgNO
from sciml.operators.trained_operator import TrainedOperator
from sciml.pde import generate, write_dataset
from sciml.pde.families import FAMILIES
from sciml.pde.grid import Grid

N = 8


@pytest.fixture(scope="module")
def operator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(23)
    network = MgNO(channels=3, layers=1, levels=2, activation="relu")
    about = {"family": "poisson", "problem": FAMILIES["poisson"].parameters()}
    path = tmp_path_factory.mktemp("operator") / "poisson.sciml"
    TrainedOperator(network, FieldScaling.raw(("source",)), ("source",), "u", Grid((N, N)), about).save(path)
    return path


def run(*words: object) -> Result:
    return CliRunner().invoke(app, ["pde", "greens", *map(str, words)])


def test_table_and_files(operator: Path, tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("g.json", "g.html")]
    words = [x for pair in zip(("--json", "--html"), files, strict=True) for x in pair]
    common = ("--modes", 2, "--seed", 9, "--point", "4,4", "--point", "2,6")
    shown = run(operator, *common, *words)
    assert shown.exit_code == 0, shown.output
    assert "Green's functions (frozen) of 2 points: error " in shown.output
    numbers = json.loads(files[0].read_text())
    assert numbers["points"] == [[4, 4], [2, 6]]
    assert len(numbers["errors"]) == 2
    assert len(numbers["singular_values"]) == 2
    page = files[1].read_text()
    assert page.count("<figure>") == 2
    assert "symmetry defect" in page
    # The frozen action of a network of ReLU is its derivative.
    tangent = run(operator, *common, "--mode", "tangent", "--json", "-", "-q")
    np.testing.assert_allclose(json.loads(tangent.stdout)["errors"], numbers["errors"], rtol=1e-9)


def test_problems(operator: Path, tmp_path: Path) -> None:
    write_dataset(generate("poisson", 3, N, seed=31), tmp_path / "d.zarr")
    sample = run(operator, f"{tmp_path / 'd.zarr'}[2]", "--point", "1,6", "--json", "-", "-q")
    assert sample.exit_code == 0, sample.output
    assert json.loads(sample.stdout)["points"] == [[1, 6]]
    finer = [
        json.loads(run(operator, "poisson", "--resolution", 17, "--mode", mode, "--json", "-", "-q").stdout)
        for mode in ("frozen", "tangent")
    ]
    np.testing.assert_allclose(finer[0]["errors"], finer[1]["errors"], rtol=1e-9)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--mode", "exact"], "--mode exact: give frozen or tangent"),
        (["--point", "3"], "--point 3: give a row and a column, such as 8,8"),
        (["--point", "3,8"], "the grid has 8 rows and 8 columns, from 0"),
        (["darcy-rough"], "the operator was trained on poisson"),
        (["laplace"], "'laplace' is neither a family"),
        (["--modes", "63"], "modes=63 on a grid of 64 points: give at most 62"),
    ],
)
def test_refusals(operator: Path, words: list[str], message: str) -> None:
    shown = run(operator, *words)
    assert shown.exit_code != 0
    assert message in shown.output + str(shown.exception)
