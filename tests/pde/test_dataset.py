"""Checks of the form of datasets, and the problem of a sample."""

from __future__ import annotations

import json

import numpy as np
import pytest
import xarray as xr

from sciml.errors import InputError, MissingVariable, SchemaError
from sciml.pde import (
    FAMILIES,
    Boundary,
    Darcy,
    Direct,
    Grid,
    Poisson,
    generate,
    grid_of_dataset,
    inputs_of,
    open_dataset,
    problem_of,
    target_of,
)
from sciml.pde.dataset import check_dataset, check_values, family_of
from sciml.solve import solve


def own(n: int = 9, samples: int = 4, **others: float) -> xr.Dataset:
    """A dataset without attributes and coordinates."""
    generator = np.random.default_rng(23)
    fields = {name: generator.uniform(1, 2, (samples, n, n)) for name in ("coefficient", "u", *others)}
    return xr.Dataset({name: (("sample", "y", "x"), values) for name, values in fields.items()})


@pytest.mark.parametrize("name", ["darcy-smooth", "darcy-multiscale", "poisson", "advection-diffusion"])
@pytest.mark.parametrize("centring", ["vertex", "cell"])
def test_the_problem_of_a_sample_has_its_solution(name: str, centring: str) -> None:
    ds = generate(name, 3, 15, seed=13, centring=centring).compute()
    problem = problem_of(ds, 2)
    assert problem.grid == grid_of_dataset(ds) == Grid((15, 15), centring)
    np.testing.assert_allclose(solve(problem, Direct()).u, ds.u[2], atol=2e-6 * float(abs(ds.u[2]).max()))
    assert family_of(ds).parameters() == FAMILIES[name].parameters()


def test_problem_of_a_dataset_without_attributes() -> None:
    ds = own()
    with pytest.raises(InputError, match=r"does not describe its grid.*grid="):
        problem_of(ds, 1)
    grid = Grid((9, 9), "cell", Boundary(west="neumann"))
    problem = problem_of(ds, 1, grid)
    assert isinstance(problem, Darcy)
    assert problem.grid == grid
    assert problem.source == 1.0
    np.testing.assert_array_equal(problem.coefficient, ds.coefficient[1])
    sources = ds.rename(coefficient="source")
    assert isinstance(problem_of(sources, -1, grid), Poisson)
    with pytest.raises(InputError, match="sample 4: the dataset has 4"):
        problem_of(ds, 4, grid)
    with pytest.raises(InputError, match=r"8 x 8, the fields .y, x. are 9 x 9"):
        problem_of(ds, 0, Grid((8, 8)))


def test_a_source_variable_is_the_source_of_the_problem() -> None:
    ds = own(source=1.0)
    problem = problem_of(ds, 0, Grid((9, 9)))
    np.testing.assert_array_equal(problem.source, ds.source[0])
    np.testing.assert_array_equal(problem.coefficient, ds.coefficient[0])


def test_names_of_inputs_and_target() -> None:
    ds = own()
    assert (inputs_of(ds), target_of(ds)) == (("coefficient",), "u")
    named = open_dataset(ds.rename(coefficient="k", u="p"), inputs="k", target="p")
    assert (inputs_of(named), target_of(named)) == (("k",), "p")
    with pytest.raises(InputError, match="of which equation"):
        problem_of(named, 0, Grid((9, 9)))
    mapped = open_dataset(ds.rename(coefficient="k", u="p"), inputs={"coefficient": "k"}, target={"u": "p"})
    assert isinstance(problem_of(mapped, 0, Grid((9, 9))), Darcy)
    both = open_dataset(own(source=1.0), inputs=["coefficient", "source"])
    assert inputs_of(both) == ("coefficient", "source")


def test_missing_variables_are_named_with_the_existing_ones() -> None:
    ds = own()
    with pytest.raises(MissingVariable, match=r"input.*u \(sample, y, x\).*inputs="):
        open_dataset(ds.drop_vars("coefficient"))
    with pytest.raises(MissingVariable, match="target 'u': it holds coefficient"):
        open_dataset(ds.drop_vars("u"))
    with pytest.raises(MissingVariable, match=r"no 'k' for coefficient: the file holds coefficient, u"):
        open_dataset(ds, inputs={"coefficient": "k"})
    with pytest.raises(InputError, match="there is one"):
        open_dataset(ds, target=["u", "coefficient"])


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (lambda ds: ds.rename(sample="n", x="lon"), r"should have \(sample, y, x\).*n='sample', lon='x'\)"),
        (lambda ds: ds.isel(x=0), r"dims \(sample, y\).*rename\(y='x'\)"),
        (lambda ds: ds.isel(sample=0), r"dims \(y, x\).*expand_dims\('sample'\)"),
        (lambda ds: ds.assign_attrs(inputs="u"), "u is the target and an input, too"),
        (
            lambda ds: ds.assign_attrs(grid=json.dumps(Grid((7, 7)).to_json())),
            "grid is 7 x 7.*drop the attribute",
        ),
        (lambda ds: ds.isel(sample=slice(0, 0)), "no samples"),
        (lambda ds: ds.isel(y=slice(0, 0)), "empty along y"),
        (lambda ds: ds.assign(u=ds.u * 1j), "complex128: give real numbers"),
    ],
)
def test_datasets_of_invalid_form(broken: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        open_dataset(broken(own()))  # type: ignore[operator]


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("u", np.nan, r"u has NaN or infinite values in 1 of 4 samples \(2\).*drop_isel\(sample=\[2\]\)"),
        ("coefficient", np.inf, "coefficient has NaN or infinite"),
        ("coefficient", 0.0, "coefficient has values that are not positive"),
    ],
)
def test_invalid_values(name: str, value: float, message: str) -> None:
    ds = own()
    check_values(ds)
    ds[name][2, 3, 4] = value
    with pytest.raises(InputError, match=message):
        check_values(ds.chunk(sample=2))


def test_named_dims_may_be_in_any_order() -> None:
    ds = own()
    for turned in (ds.transpose("y", "x", "sample"), ds.transpose("sample", "x", "y")):
        xr.testing.assert_identical(open_dataset(turned), ds)


def test_values_that_cannot_be_read() -> None:
    def damaged(block: np.ndarray) -> np.ndarray:
        raise RuntimeError("Zstd decompression error")

    lazy = own().u.chunk(sample=2).data.map_blocks(damaged, dtype=float, meta=np.empty((0, 0, 0)))
    with pytest.raises(InputError, match=r"values of u cannot be read \(Zstd.*whole"):
        check_values(own().assign(u=(("sample", "y", "x"), lazy)))


def test_a_stride_without_a_grid_leaves_some_points() -> None:
    assert open_dataset(own(), stride=3).sizes["x"] == 3
    with pytest.raises(InputError, match="stride=5 leaves 2 of 9 points"):
        open_dataset(own(), stride=5)


def test_negative_solutions_and_sources_are_fine() -> None:
    check_values(own().map(lambda value: value if value.name == "coefficient" else -value))


def test_invalid_attributes() -> None:
    with pytest.raises(SchemaError, match=r"Grid\.to_json"):
        grid_of_dataset(own().assign_attrs(grid="square"))
    assert inputs_of(own().assign_attrs(inputs=["coefficient"])) == ("coefficient",)
    assert grid_of_dataset(own().assign_attrs(grid=Grid((9, 9)).to_json())) == Grid((9, 9))
    with pytest.raises(InputError, match=r"grid=\(9, 9\): give a Grid"):
        open_dataset(own(), grid=(9, 9))  # type: ignore[arg-type]
    with pytest.raises(SchemaError, match=r"family_parameters.*Family\.parameters"):
        problem_of(own().assign_attrs(family_parameters="{", grid=Grid((9, 9)).to_json()), 0)
    labelled = own().assign_attrs(grid=json.dumps(Grid((7, 7)).to_json()))
    with pytest.raises(InputError, match="7 x 7, the fields"):
        grid_of_dataset(labelled)
    named = own().assign_attrs(family="darcy-rough", grid=json.dumps(Grid((9, 9)).to_json()))
    assert isinstance(problem_of(named, 0), Darcy)


def test_an_input_has_the_axes_of_the_target() -> None:
    """Data that cannot be used for training fail when they are opened, so that `info` and `train` agree."""
    ds = own()
    channels = ds["coefficient"].expand_dims(time=3, axis=1)
    for name, dataset, match in [
        (
            "channels",
            ds.assign(coefficient=channels),
            r"3 values along its second axis .*if these are 3 channels",
        ),
        ("a line", ds.assign(coefficient=ds["coefficient"].isel(y=0)), r"\(sample, x\), u \(sample, y, x\)"),
        ("a plane", ds.assign(u=ds["u"].isel(y=0)), r"\(sample, y, x\), u \(sample, x\)"),
    ]:
        with pytest.raises(InputError, match=match) as caught:
            check_dataset(dataset)
        assert "\n" not in str(caught.value), name
    in_time = ds.assign(coefficient=channels, u=ds["u"].expand_dims(time=3, axis=1))
    assert check_dataset(in_time) is in_time
    still = ds.assign(u=ds["u"].expand_dims(time=3, axis=1))
    assert check_dataset(still) is still
