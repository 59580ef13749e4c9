"""Generated datasets: lazy, solved up to rounding, with the same bits for any number of workers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse.linalg
import xarray as xr

from sciml.errors import InputError, SciMLError
from sciml.pde import FAMILIES, Direct, Helmholtz, discretize, generate, problem_of, write_dataset
from sciml.pde.generation import sample_seeds
from sciml.solve import solve


def test_generated_datasets_are_lazy(monkeypatch: pytest.MonkeyPatch) -> None:
    import sciml.pde.reference_solver

    asked: list[int] = []
    monkeypatch.setattr(sciml.pde.reference_solver, "solver", lambda system: asked.append(1))
    ds = generate("darcy-rough", 5, 15, seed=7, chunk=2)
    assert ds.u.chunks == ((2, 2, 1), (15,), (15,))
    assert float(ds.coefficient[3].max()) == 12.0
    assert not asked


def test_each_sample_is_solved_once(monkeypatch: pytest.MonkeyPatch) -> None:
    import sciml.pde.generation as module

    calls: list[int] = []

    def counted(problem: object) -> object:
        calls.append(1)
        return discretize(problem)

    monkeypatch.setattr(module, "discretize", counted)
    generate("darcy-rough", 5, 15, seed=7, chunk=2).compute(scheduler="synchronous")
    assert len(calls) == 5


@pytest.mark.parametrize("name", ["darcy-rough", "darcy-lognormal", "poisson", "advection-diffusion"])
@pytest.mark.parametrize("centring", ["vertex", "cell"])
def test_the_solution_is_that_of_a_direct_solver(name: str, centring: str) -> None:
    ds = generate(name, 3, (15, 21), seed=11, centring=centring, dtype="float64").compute()
    for i in range(3):
        problem = FAMILIES[name].problem((15, 21), int(ds.sample_seed[i]), centring)
        system = discretize(problem)
        exact = scipy.sparse.linalg.spsolve(system.matrix.tocsc(), system.rhs).reshape(15, 21)
        np.testing.assert_allclose(ds.u[i], exact, atol=1e-10 * np.abs(exact).max())
        field = FAMILIES[name].fields(problem)[FAMILIES[name].inputs[0]]
        np.testing.assert_array_equal(ds[FAMILIES[name].inputs[0]][i], field)


def test_helmholtz_is_solved_with_its_neumann_sides() -> None:
    family = replace(FAMILIES["helmholtz"], template=Helmholtz(omega=150.0))
    ds = generate(family, 2, 21, seed=11).compute()
    assert (float(ds.y[0]), float(ds.y[-1])) == (0.0, 1.0)
    exact = solve(family.problem(21, int(ds.sample_seed[1])), Direct()).u
    np.testing.assert_allclose(ds.u[1], exact, atol=1e-6 * float(abs(exact).max()))


@pytest.mark.parametrize("refined", [1, 2])
def test_time_series_begin_after_the_initial_state(refined: int) -> None:
    family = FAMILIES["navier-stokes"]
    template = replace(family.template, viscosity=1e-3, final_time=0.5, frames=2)
    family = replace(family, template=template, refined=refined)
    ds = generate(family, 2, 16, seed=11, chunk=1, dtype="float64").compute()
    assert ds.u.dims == ("sample", "time", "y", "x")
    np.testing.assert_allclose(ds.time, [0.25, 0.5])
    problem = family.problem(16, int(ds.sample_seed[1]))
    np.testing.assert_allclose(ds.vorticity[1], problem.vorticity_field(), atol=2e-2)
    again = problem_of(ds, 1)
    assert again.viscosity == 1e-3
    from sciml.pde import PseudoSpectral

    u = solve(again, PseudoSpectral()).u
    assert float(abs(ds.u[1] - u[1:].values).max()) < (1e-12 if refined == 1 else 0.3)


def test_burgers_data_are_one_dimensional() -> None:
    ds = generate("burgers", 3, 64, seed=11, chunk=2).compute()
    assert ds.u.dims == ("sample", "time", "x")
    assert "grid" not in ds.attrs
    np.testing.assert_allclose(ds.u.mean("x"), ds.initial.mean("x").expand_dims(time=10).T, atol=1e-5)
    assert problem_of(ds, 2).initial.shape == (64,)


@pytest.mark.parametrize("name", ["darcy-rough", "poisson", "burgers"])
def test_bits_do_not_depend_on_chunks_or_on_the_other_samples(name: str) -> None:
    threes = generate(name, 8, 32, seed=11, chunk=3).compute(scheduler="threads")
    eight = generate(name, 8, 32, seed=11, chunk=8).compute(scheduler="synchronous")
    xr.testing.assert_identical(threes, eight)
    alone = generate(name, 6, 32, seed=11, chunk=1).isel(sample=[5]).compute()
    xr.testing.assert_identical(alone, eight.isel(sample=[5]))
    other = generate(name, 8, 32, seed=12).compute()
    assert not np.array_equal(other.u, eight.u)


def test_seeds_have_63_bits_and_depend_on_the_sample() -> None:
    seeds = sample_seeds(7, 200)
    assert len(set(seeds.tolist())) == 200
    assert seeds.min() >= 0
    assert seeds.dtype == np.int64
    first = np.random.SeedSequence(7, spawn_key=(19,)).generate_state(1, np.uint64)[0]
    assert seeds[19] == int(first) >> 1


def test_one_thread_is_restored_by_the_last_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    import threadpoolctl

    from sciml.pde.reference_solver import one_thread

    calls: list[str] = []

    class Limits:
        def __init__(self, limits: int) -> None:
            calls.append(f"limit {limits}")

        def restore_original_limits(self) -> None:
            calls.append("restored")

    monkeypatch.setattr(threadpoolctl, "threadpool_limits", Limits)
    first, second = one_thread(), one_thread()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert calls == ["limit 1"]
    second.__exit__(None, None, None)
    assert calls == ["limit 1", "restored"]


@pytest.mark.dask
def test_bits_do_not_depend_on_the_workers(tmp_path: Path) -> None:
    alone, two = tmp_path / "alone.zarr", tmp_path / "two.zarr"
    write_dataset(generate("darcy-lognormal", 10, 127, seed=11, chunk=3), alone, workers=1)
    write_dataset(generate("darcy-lognormal", 10, 127, seed=11, chunk=5), two, workers=2)
    a, b = (xr.open_zarr(path, consolidated=False).load() for path in (alone, two))
    xr.testing.assert_identical(a, b)


@pytest.mark.parametrize("name", ["d.zarr", "d.nc"])
def test_written_data_equal_the_generated_data(tmp_path: Path, name: str) -> None:
    ds = generate("darcy-rough", 7, 15, seed=11, chunk=3)
    calls: list[tuple[int, int]] = []
    assert write_dataset(ds, tmp_path / name, progress=lambda *value: calls.append(value))
    assert calls == [(0, 7), (3, 7), (6, 7), (7, 7)]
    opened = xr.open_dataset(tmp_path / name) if name == "d.nc" else xr.open_zarr(tmp_path / name)
    with opened as read:
        xr.testing.assert_equal(read.load(), ds.compute())
        own = ("sciml_identity", "sciml_provenance")
        assert {k: v for k, v in read.attrs.items() if k not in own} == ds.attrs
    assert not write_dataset(generate("darcy-rough", 7, 15, seed=11, chunk=2), tmp_path / name)
    assert sorted(path.name for path in tmp_path.iterdir()) == [name]


def test_only_datasets_of_sciml_are_replaced(tmp_path: Path) -> None:
    target = tmp_path / "d.zarr"
    write_dataset(generate("poisson", 3, 7, seed=11), target)
    other = generate("poisson", 4, 7, seed=11)
    with pytest.raises(InputError, match="not what this would write"):
        write_dataset(other, target)
    assert xr.open_zarr(target).sizes["sample"] == 3
    assert write_dataset(other, target, overwrite=True)
    assert xr.open_zarr(target).sizes["sample"] == 4
    (tmp_path / "mine.zarr").mkdir()
    (tmp_path / "mine.zarr" / "thesis.tex").write_text("years")
    with pytest.raises(InputError, match="no dataset that sciml wrote"):
        write_dataset(other, tmp_path / "mine.zarr", overwrite=True)
    (tmp_path / "mine.nc").write_text("years")
    with pytest.raises(InputError, match="no dataset that sciml wrote"):
        write_dataset(other, tmp_path / "mine.nc", overwrite=True)
    assert (tmp_path / "mine.nc").read_text() == "years"


class _Stop(Exception):
    pass


def _stop_after(blocks: int) -> object:
    def progress(done: int, total: int) -> None:
        if done >= blocks * 2:
            raise _Stop

    return progress


def test_an_interrupted_dataset_is_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "d.zarr"
    ds = generate("darcy-rough", 8, 15, seed=11, chunk=2)
    with pytest.raises(_Stop):
        write_dataset(ds, target, progress=_stop_after(2))
    assert not target.exists()
    with pytest.raises(InputError, match=r"unfinished dataset.*seed 11 instead of 12"):
        write_dataset(generate("darcy-rough", 8, 15, seed=12, chunk=2), target)
    with pytest.raises(InputError, match="samples 8 instead of 9"):
        write_dataset(generate("darcy-rough", 9, 15, seed=11, chunk=2), target)
    calls: list[int] = []
    assert write_dataset(ds, target, progress=lambda done, total: calls.append(done))
    assert calls == [4, 6, 8]
    xr.testing.assert_equal(xr.open_zarr(target).load(), ds.compute())
    with pytest.raises(_Stop):
        write_dataset(
            generate("poisson", 8, 7, seed=11, chunk=2), tmp_path / "e.zarr", progress=_stop_after(2)
        )
    assert write_dataset(generate("poisson", 8, 7, seed=12, chunk=2), tmp_path / "e.zarr", overwrite=True)


def test_a_sample_that_cannot_be_solved_leaves_nothing(tmp_path: Path) -> None:
    family = replace(
        FAMILIES["navier-stokes"], template=replace(FAMILIES["navier-stokes"].template, viscosity=0.0)
    )
    wild = replace(
        family, template=replace(family.template, vorticity=replace(family.template.vorticity, sigma=1e5))
    )
    with pytest.raises(SciMLError, match="becomes infinite"):
        write_dataset(generate(wild, 2, 16, seed=11), tmp_path / "d.zarr")
    assert not list(tmp_path.iterdir())


SCRIPT = """
import sys
from sciml.pde import generate, write_dataset
def calls(done, total):
    print(done, flush=True)
if __name__ == "__main__":
    write_dataset(generate("darcy-rough", 400, 63, seed=11, chunk=4), sys.argv[1], workers=1, progress=calls)
"""


def test_control_c_keeps_what_is_done_and_a_second_writer_fails(tmp_path: Path) -> None:
    target = tmp_path / "d.zarr"
    ds = generate("darcy-rough", 400, 63, seed=11, chunk=4)
    script = tmp_path / "write.py"
    script.write_text(SCRIPT)
    child = subprocess.Popen(
        [sys.executable, str(script), str(target)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert child.stdout is not None
    while int(child.stdout.readline()) < 8:
        pass
    with pytest.raises(InputError, match=f"another process .{child.pid} on"):
        write_dataset(ds, target)
    os.kill(child.pid, signal.SIGINT)
    assert child.wait(30) != 0
    calls: list[int] = []

    def stop(done: int, total: int) -> None:
        calls.append(done)
        raise KeyboardInterrupt

    time.sleep(0.05)
    with pytest.raises(KeyboardInterrupt):
        write_dataset(ds, target, workers=1, progress=stop)
    assert calls[0] >= 8
    assert not target.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("darcy-rough", 0, 15, 7), "count=0"),
        (("darcy-rough", 3, 15, -7), "seed=-7"),
        (("darcy-rough", 3, 15, 7.5), "seed=7.5"),
        (("darcy-rough", 3, 2, 7), "at least 3"),
        (("helmholtz", 3, 15, 7), "do not resolve the wave"),
    ],
)
def test_refusals(arguments: tuple[str, int, int, int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        generate(*arguments).compute(scheduler="synchronous")


def test_refusals_of_the_writer(tmp_path: Path) -> None:
    ds = generate("poisson", 3, 7, seed=11)
    for path, message in (("d.h5", "NAME.zarr or NAME.nc"), ("nowhere/d.nc", "no folder")):
        with pytest.raises(InputError, match=message):
            write_dataset(ds, tmp_path / path)
    with pytest.raises(InputError, match="workers=0"):
        write_dataset(ds, tmp_path / "d.nc", workers=0)
    with pytest.raises(InputError, match="no samples"):
        write_dataset(ds.isel(sample=[]), tmp_path / "d.nc")
    (tmp_path / "d.nc.partial").mkdir()
    (tmp_path / "d.nc.partial" / "thesis.tex").touch()
    with pytest.raises(InputError, match=r"in the way.*thesis.tex"):
        write_dataset(ds, tmp_path / "d.nc")
    with pytest.raises(InputError, match="chunk=0"):
        generate("poisson", 3, 7, seed=11, chunk=0)
    with pytest.raises(InputError, match="float16"):
        generate("poisson", 3, 7, seed=11, dtype="float16")  # type: ignore[arg-type]
