"""A family of elliptic problems defined outside of the package, registered, generated, trained on and verified."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose
from typer.testing import CliRunner

import sciml as sm
from sciml.cli import app
from sciml.errors import InputError
from sciml.operators import train
from sciml.pde import (
    FAMILIES,
    Boundary,
    Family,
    Grid,
    Terms,
    families,
    generate,
    open_dataset,
    problem_of,
    register,
)
from sciml.train.progress import Quiet
from sciml.verify.operator.evaluate import assess


@dataclass(frozen=True)
class Stripes:
    """A random field: stripes of random width along x, between two values."""

    low: float = 1.0
    high: float = 9.0

    def draw(self, grid: Grid, generator: np.random.Generator) -> np.ndarray:
        width = int(generator.integers(2, 5))
        inside = np.arange(grid.shape[1]) // width % 2 == 0
        return np.where(inside, self.high, self.low) * np.ones(grid.shape)


@dataclass(frozen=True, eq=False)
class Absorption:
    """-div grad u + absorption u = 1 with u = 0 on the sides."""

    resolution: int | tuple[int, int]
    absorption: Stripes | np.ndarray = Stripes()
    seed: int = 7

    @property
    def grid(self) -> Grid:
        shape = (self.resolution,) * 2 if isinstance(self.resolution, int) else self.resolution
        return Grid(shape, boundary=Boundary.all("dirichlet"))

    def absorption_field(self) -> np.ndarray:
        if isinstance(self.absorption, Stripes):
            return self.absorption.draw(self.grid, np.random.default_rng(self.seed))
        return np.asarray(self.absorption, np.float64)

    def terms(self) -> Terms:
        ones = np.ones(self.grid.shape)
        return Terms(self.grid, ones, ones, reaction=self.absorption_field())


FAMILY = Family("absorption", Absorption(3, Stripes(2.0, 80.0)), ("absorption",), "absorbing stripes")


@pytest.fixture
def family() -> Iterator[Family]:
    known = dict(FAMILIES)
    yield register(FAMILY)
    families.BY_NAME.clear()
    families.BY_NAME.update(known)


@pytest.mark.usefixtures("family")
def test_samples_are_the_solutions_of_their_problems(tmp_path: Path) -> None:
    path = tmp_path / "d.zarr"
    sm.write_dataset(generate("absorption", 3, 15, seed=11, dtype="float64"), path, workers=1)
    data = open_dataset(path)
    assert data.attrs["family"] == "absorption"
    for index in range(3):
        problem = problem_of(data, index)
        assert isinstance(problem, Absorption)
        assert_allclose(problem.absorption_field(), data["absorption"][index])
        assert_allclose(sm.solve(problem, sm.Direct()).u, data["u"][index], rtol=1e-8)
    assert float(data["absorption"].max()) == 80.0
    drawn = Family.from_parameters("absorption", FAMILY.parameters(), ("absorption",))
    assert drawn.template.absorption == Stripes(2.0, 80.0)


@pytest.mark.usefixtures("family")
def test_an_operator_of_the_family_is_trained_and_verified(tmp_path: Path) -> None:
    data = generate("absorption", 12, 15, seed=11)
    fit = {"epochs": 2, "batch_size": 4, "seed": 17, "threads": 1, "device": "cpu"}
    output = tmp_path / "a.sciml"
    train(
        data, output, network={"class": "FNO", "modes": 3, "width": 4, "layers": 1}, fit=fit, progress=Quiet()
    )
    neural = sm.Neural.load(output)
    certified = sm.solve(Absorption(15, Stripes(2.0, 80.0), seed=23), sm.Corrected(neural, rtol=1e-6))
    assert certified.result is sm.Result.SUCCESS
    scores = assess(neural, data, samples=3, preconditioned=0).scores
    assert "certified" in scores


@pytest.mark.usefixtures("family")
def test_the_commands_list_the_family(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["pde", "families"])
    assert done.exit_code == 0 and "absorption: absorbing stripes" in done.output
    generated = ["pde", "generate", "absorption", "-o", str(tmp_path / "d.zarr"), "--count", "2"]
    done = CliRunner().invoke(app, [*generated, "--resolution", "9", "--workers", "1"])
    assert done.exit_code == 0, done.output


@pytest.mark.usefixtures("family")
def test_a_name_is_registered_once() -> None:
    assert register(FAMILY) is FAMILY
    with pytest.raises(InputError, match="there is another family 'absorption'"):
        register(replace(FAMILY, about="another"))
    with pytest.raises(InputError, match=r"inputs=.*a Absorption has absorption"):
        register(replace(FAMILY, name="other", inputs=("coefficient",)))


def test_a_dataset_of_a_family_that_is_not_registered_names_the_remedy() -> None:
    data = generate(FAMILY, 1, 7, seed=11)
    with pytest.raises(sm.SciMLError, match=r"register it \(sciml\.pde\.register\)"):
        problem_of(data, 0)
