import subprocess
import sys

import numpy as np
import pytest

import sciml.pde
from sciml.errors import InputError
from sciml.pde import Burgers, Direct, Grid, PeriodicField, Poisson, PseudoSpectral, labelled
from sciml.solve import solve


def test_importing_the_package_is_light():
    code = "import sys, sciml.pde; print({'torch', 'xarray', 'scipy', 'dask', 'pyamg', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_solving_needs_no_torch():
    code = (
        "import sys; from sciml.pde import *; from sciml.solve import solve\n"
        "solve(Poisson(7), Direct()); solve(Burgers(16), PseudoSpectral(0.1))\n"
        "print({'torch', 'pyamg'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_every_public_name_is_there():
    for name in sciml.pde.__all__:
        assert getattr(sciml.pde, name) is not None
    assert set(sciml.pde.__all__) == set(dir(sciml.pde))
    for name in ("Darcy", "Helmholtz", "Burgers", "NavierStokes", "PseudoSpectral", "check_compatible"):
        assert getattr(sciml.pde, name) is not None
        assert name in dir(sciml.pde)
    with pytest.raises(AttributeError, match="no attribute 'Darci'"):
        _ = sciml.pde.Darci


def test_a_solution_prints_as_a_table():
    lines = str(solve(Poisson(7), Direct())).splitlines()
    assert lines[0] == "FieldSolution: SUCCESS"
    assert lines[1].split() == ["grid", "7", "x", "7"]


def test_the_repr_of_a_solution_has_no_arrays():
    solution = solve(Poisson(63), Direct())
    assert repr(solution) == str(solution)
    assert "array" not in repr(solution) and len(repr(solution).splitlines()) < 8


@pytest.mark.parametrize(
    ("problem", "algorithm"),
    [(Poisson(7), Direct()), (Burgers(16, frames=2), PseudoSpectral(0.1))],
    ids=["in space", "in time"],
)
def test_a_solution_has_the_labels_of_a_plot(problem, algorithm):
    u = solve(problem, algorithm).u
    assert u.attrs == {"long_name": "solution", "units": "1"}
    assert {dim: u[dim].attrs["long_name"] for dim in u.dims} == {
        dim: "time" if dim == "time" else f"position along {dim}" for dim in u.dims
    }


def test_counts_are_ints():
    stats = solve(Burgers(16, frames=2), PseudoSpectral(0.1)).stats
    assert type(stats["steps"]) is int
    assert type(stats["courant"]) is float


def test_fields_are_labelled_by_where_they_lie():
    field = labelled(np.arange(12.0), Grid((3, 4)), "p")
    assert field.name == "p"
    assert field.dims == ("y", "x")
    np.testing.assert_allclose(field.x, [0.2, 0.4, 0.6, 0.8])
    assert float(field.sel(x=0.4, y=0.5)) == 5
    with pytest.raises(InputError, match=r"shape \(5,\), the grid \(3, 4\)"):
        labelled(np.ones(5), Grid((3, 4)))


def test_a_periodic_source_for_a_periodic_problem():
    problem = Poisson(16, PeriodicField(), boundary="periodic", seed=5)
    with pytest.raises(InputError, match="balance"):
        solve(Poisson(16, lambda x, y: 1 + problem.source_field(), boundary="periodic"), Direct())
    assert solve(problem, Direct()).result.ok
