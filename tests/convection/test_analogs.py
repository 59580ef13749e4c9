"""Analog ensembles: exact neighbours, the weights of a Hopfield network, intervals, novelty, Dask, refusals."""

from __future__ import annotations

import weakref

import dask
import dask.array as da
import numpy as np
import pytest
import torch
import xarray as xr
from scipy.spatial import cKDTree

from sciml.convection import AnalogMemory, analog_features, nearest_columns, weighted_members
from sciml.convection import analogs as module
from sciml.convection.held_out_groups import held_out_groups
from sciml.errors import InputError, MissingVariable
from sciml.nn import associate
from sciml.parallel import cluster


def columns(count: int, seed: int, *, levels: int = 5, shift: float = 0.0) -> xr.Dataset:
    """Smooth profiles and tendencies that depend on them, with noise."""
    rng = np.random.default_rng(seed)
    z = np.linspace(0.0, 1.0, levels)
    a = rng.normal(size=(count, 3, 1)) + shift
    t = 290.0 - 60.0 * z + 2.0 * a[:, 0] + a[:, 1] * np.sin(3.0 * z)
    q = 0.012 * np.exp(-3.0 * z) * (1.0 + 0.2 * a[:, 2])
    w = (0.02 * a[:, 1] * np.sin(np.pi * z)) ** 3
    heating = 1e-4 * (a[:, 0] * a[:, 1]) * np.sin(np.pi * z) + 1e-5 * rng.normal(size=(count, levels))
    fields = {"T_PHY": t, "QVAPOR": q, "W0AVG": w, "RTHCUTEN": heating, "RQVCUTEN": -0.3 * heating}
    made = {name: (("column", "level"), value.astype(np.float32)) for name, value in fields.items()}
    made["PRATEC"] = (("column",), (a[:, 0, 0] > 1).astype(np.float32))  # type: ignore[assignment]
    return xr.Dataset(made)


@pytest.fixture(scope="module")
def stored() -> xr.Dataset:
    return columns(700, 11)


def standardised(columns_of: xr.Dataset, stored: xr.Dataset) -> np.ndarray:
    """Profiles in whole numbers of 1/4096 standard deviations."""
    profiles = []
    for ds in (columns_of, stored):
        ascent = np.cbrt(ds["W0AVG"].values.astype(float))
        profiles.append([*(ds[name].values.astype(float) for name in ("T_PHY", "QVAPOR")), ascent])
    scaled = []
    for x, y in zip(*profiles, strict=True):
        spread = y.std(0, ddof=1)
        overall = np.sqrt((spread**2).mean() + y.mean(0).var())
        scaled.append((x - y.mean(0)) / np.maximum(spread, 0.05 * overall))
    return np.rint(4096 * np.concatenate(scaled, 1))


def test_members_are_the_nearest_columns(stored: xr.Dataset) -> None:
    memory, some = AnalogMemory(stored, members=9), columns(40, 13)
    members_of = memory.ensemble(some)
    exact, index = cKDTree(standardised(stored, stored)).query(standardised(some, stored), 9)
    np.testing.assert_allclose(members_of["DISTANCE"], exact / 4096 / np.sqrt(15), rtol=1e-14)
    np.testing.assert_array_equal(members_of["STORED"], index)
    np.testing.assert_array_equal(members_of["RTHCUTEN"], stored["RTHCUTEN"].values[index])
    assert members_of["RTHCUTEN"].dims == ("column", "member", "level")
    assert members_of["DISTANCE"].values[:, 0].min() > 0


def test_weights_are_those_of_a_hopfield_network(stored: xr.Dataset) -> None:
    few, some = stored.isel(column=slice(0, 60)), columns(7, 17)
    memory = AnalogMemory(few, members=59, beta=30.0)
    members_of = memory.ensemble(some)
    keys, q = (torch.from_numpy(memory.features(ds)) / 4096 / np.sqrt(15) for ds in (few, some))
    mask = (-15.0 * keys.square().sum(-1)).expand(7, -1)
    weights = associate(q, keys, beta=30.0, mask=mask).weights.gather(
        1, torch.from_numpy(members_of["STORED"].values)
    )
    weights = weights / weights.sum(1, keepdim=True)  # without the farthest column
    np.testing.assert_allclose(members_of["WEIGHT"], weights, rtol=1e-8)
    mean = memory.predict(some)["RTHCUTEN"]
    np.testing.assert_allclose(mean, np.einsum("cm,cml->cl", weights, members_of["RTHCUTEN"]), rtol=1e-6)


def test_same_bits_for_all_blocks_and_orders(stored: xr.Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of stored and of other columns, their parts, their order and Dask arrays do not change a bit."""
    twice = xr.concat([stored.isel(column=slice(0, 250))] * 2, "column")
    twice["RTHCUTEN"][250:] += 1e-5  # equal distances
    memory, some = AnalogMemory(twice, members=7), columns(33, 19)
    whole, members_of = memory.predict(some), memory.ensemble(some)
    monkeypatch.setattr(module, "BLOCK", 97)
    monkeypatch.setattr(module, "VALUES", 2000)
    monkeypatch.setattr(nearest_columns, "QUERIES", 5)
    xr.testing.assert_identical(memory.predict(some), whole)
    xr.testing.assert_identical(AnalogMemory(twice.chunk(column=50), members=7).predict(some), whole)
    order = np.random.default_rng(47).permutation(500)
    other = AnalogMemory(twice.isel(column=order), members=7)
    assert (other.beta, other.usual) == (memory.beta, memory.usual)
    xr.testing.assert_identical(other.predict(some), whole)
    np.testing.assert_array_equal(order[other.ensemble(some)["STORED"]], members_of["STORED"])
    parts = [memory.predict(some.isel(column=slice(i, i + 8))) for i in range(0, 33, 8)]
    xr.testing.assert_identical(xr.concat(parts, "column"), whole)


@pytest.mark.dask
@pytest.mark.slow
def test_same_bits_for_all_numbers_of_workers(stored: xr.Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    some = columns(20, 53)
    whole = AnalogMemory(stored).predict(some)
    monkeypatch.setattr(module, "BLOCK", 150)
    with cluster.client(n_workers=2) as client:
        answer = AnalogMemory(stored.chunk(column=100), workers=2).predict(some)
        assert len(client.nthreads()) == 2
    xr.testing.assert_identical(answer, whole)


def test_lazy_columns_are_read_in_blocks(stored: xr.Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BLOCK", 100)
    read: list[int] = []
    inner = analog_features.profiles

    def watched(ds: xr.Dataset, inputs: tuple[str, ...]) -> np.ndarray:
        read.append(ds.sizes["column"])
        return inner(ds, inputs)

    monkeypatch.setattr(analog_features, "profiles", watched)
    monkeypatch.setattr(module, "DRAWN", 64)
    monkeypatch.setattr(module, "SCALED", 64)
    lazy = AnalogMemory(stored.chunk(column=100), members=4)
    lazy.predict(columns(3, 23))
    assert max(read) == 100
    assert lazy._columns["T_PHY"].chunks is not None


def test_few_chunks_are_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of lazy columns that are computed chunk by chunk, few chunks exist at a time, so that memory is bounded."""
    monkeypatch.setattr(module, "BLOCK", 50)
    monkeypatch.setattr(module, "DRAWN", 60)
    monkeypatch.setattr(module, "SCALED", 60)
    first, chunks, alive, most = columns(50, 79), 16, [0], [0]

    def forget() -> None:
        alive[0] -= 1

    def chunk(name: str, number: int) -> np.ndarray:
        made = first[name].values * np.float32(1.0 + 1e-3 * number)
        weakref.finalize(made, forget)
        alive[0] += 1
        most[0] = max(most[0], alive[0])
        return made

    def lazy(name: str) -> da.Array:
        parts = [da.from_delayed(dask.delayed(chunk)(name, n), (50, 5), np.float32) for n in range(chunks)]
        return da.concatenate(parts)

    names = ("T_PHY", "QVAPOR", "W0AVG", "RTHCUTEN", "RQVCUTEN")
    stored = xr.Dataset({name: (("column", "level"), lazy(name)) for name in names})
    with dask.config.set(scheduler="synchronous"):
        answer = AnalogMemory(stored, members=4).predict(columns(20, 83))
    assert np.isfinite(answer["RTHCUTEN"]).all()
    assert 1 <= most[0] <= chunks * len(names) / 8
    assert alive[0] == 0


def test_a_stored_column_is_its_own_analog(stored: xr.Dataset) -> None:
    memory = AnalogMemory(stored, members=5, tendencies=("RTHCUTEN", "PRATEC"), beta=1e12)
    answer = memory.predict(stored.isel(column=slice(0, 20)))
    np.testing.assert_allclose(answer["RTHCUTEN"], stored["RTHCUTEN"][:20], rtol=1e-12)
    np.testing.assert_array_equal(answer["PRATEC"], stored["PRATEC"][:20])
    np.testing.assert_allclose(answer["ANALOGS"], 1.0)
    assert not answer["NOVELTY"].values.any()
    assert answer["PRATEC_LOW"].dims == ("column",)


def test_novelty(stored: xr.Dataset) -> None:
    """About 1 % of columns of the same kind are novel, and most of another kind."""
    memory = AnalogMemory(stored)
    same, other = memory.novelty(columns(300, 29)), memory.novelty(columns(300, 29, shift=3.0))
    assert (same > 1).mean() < 0.04
    assert (other > 1).mean() > 0.8
    np.testing.assert_array_equal(same, memory.predict(columns(300, 29))["NOVELTY"])


@pytest.mark.parametrize("coverage", [0.5, 0.9])
def test_intervals_cover(coverage: float) -> None:
    memory, some = AnalogMemory(columns(4000, 31), members=60), columns(400, 37)
    answer = memory.predict(some, coverage=coverage)
    truth = some["RTHCUTEN"].values
    inside = (truth >= answer["RTHCUTEN_LOW"].values) & (truth <= answer["RTHCUTEN_HIGH"].values)
    assert inside.mean() == pytest.approx(coverage, abs=0.04)
    error = np.sqrt(np.square(answer["RTHCUTEN"].values - truth).mean())
    assert error < 0.5 * truth.std()


def test_quantiles_of_equal_weights_are_those_of_numpy() -> None:
    values = np.random.default_rng(41).normal(size=(3, 11, 4))
    weights = np.full((3, 11), 1 / 11)
    for share in (0.02, 0.05, 0.4, 0.5, 0.99):
        exact = np.quantile(values, share, axis=1, method="hazen")
        np.testing.assert_allclose(weighted_members.quantile(values, weights, share), exact, rtol=1e-12)
    heavy = np.where(np.arange(11) == 4, 1.0, 0.0) * np.ones((3, 1))
    np.testing.assert_allclose(weighted_members.quantile(values, heavy, 0.5), values[:, 4], rtol=1e-14)


def test_refusals(stored: xr.Dataset) -> None:
    with pytest.raises(InputError, match="700 stored columns for 700 members"):
        AnalogMemory(stored, members=700)
    with pytest.raises(InputError, match=r"beta=0\.0"):
        AnalogMemory(stored, beta=0.0)
    with pytest.raises(InputError, match="members=0"):
        AnalogMemory(stored, members=0)
    with pytest.raises(MissingVariable, match="do not have RQSCUTEN"):
        AnalogMemory(stored, tendencies=("RQSCUTEN",))
    with pytest.raises(InputError, match="at least one"):
        AnalogMemory(stored, inputs=())
    with pytest.raises(InputError, match="1 values of T_PHY are not finite"):
        AnalogMemory(stored.assign(T_PHY=stored["T_PHY"].where(stored["T_PHY"] != stored["T_PHY"][3, 2])))
    levels = xr.DataArray(np.where(np.arange(700) < 3, 4, 5), dims="column")
    with pytest.raises(InputError, match="the columns have 4 to 5 levels: select"):
        AnalogMemory(stored.assign_coords(LEVELS=levels))
    memory = AnalogMemory(stored)
    assert "700 columns with 5 levels" in repr(memory)
    with pytest.raises(InputError, match="columns of 6 levels, the stored ones have 5"):
        memory.predict(columns(3, 43, levels=6))
    with pytest.raises(InputError, match="coverage=1"):
        memory.predict(columns(3, 43), coverage=1)
    with pytest.raises(InputError, match="give columns, with dimensions column and level"):
        AnalogMemory(xr.Dataset())


def test_intervals_are_calibrated_on_held_out_runs() -> None:
    """Neighbours of the same run are too similar: intervals calibrated on them cover less of another run."""
    rng = np.random.default_rng(59)
    parts = []
    for run in range(8):
        part = columns(400, 61 + run)
        part["RTHCUTEN"] = part["RTHCUTEN"] + np.float32(1e-4 * rng.normal())  # differs between runs only
        parts.append(part.assign_coords(RUN=("column", np.full(400, run))))
    runs, new = xr.concat(parts[:7], "column"), parts[7]
    coverage = {}
    for what, stored in (("run", runs), ("column", runs.drop_vars("RUN"))):
        memory = AnalogMemory(stored, members=20)
        assert memory.held_out == what
        answer, truth = memory.predict(new), new["RTHCUTEN"]
        inside = (truth >= answer["RTHCUTEN_LOW"]) & (truth <= answer["RTHCUTEN_HIGH"])
        coverage[what] = float(inside.mean())
    assert coverage["run"] > coverage["column"] + 0.02


def test_held_out_groups() -> None:
    plain = columns(60, 67)
    assert held_out_groups(plain, 5)[0] == "column"
    strips = plain.assign_coords(west_east=("column", np.arange(60) % 10))
    what, number = held_out_groups(strips, 5)
    assert what == "strip"
    np.testing.assert_array_equal(number, np.arange(60) % 10 // 2)
    short = strips.assign_coords(XTIME=("column", 10.0 * (np.arange(60) // 6)))
    assert held_out_groups(short, 5)[0] == "strip"
    long = strips.assign_coords(XTIME=("column", 60.0 * (np.arange(60) // 6)))
    assert held_out_groups(long, 5)[0] == "time"
    two = long.assign_coords(RUN=("column", np.arange(60) // 30))
    assert held_out_groups(two, 30)[0] == "run"
    assert held_out_groups(two, 31)[0] == "time"


def test_scores(stored: xr.Dataset) -> None:
    """The score of equal weights is that of the empirical distribution, and grows with the error."""
    rng = np.random.default_rng(71)
    values, truth = rng.normal(size=(5, 9, 3)), rng.normal(size=(5, 3))
    score = weighted_members.crps(values, np.full((5, 9), 1 / 9), truth)
    grid = np.linspace(-6, 6, 120_001)
    for row in range(5):
        steps = (values[row, :, :1] <= grid).mean(0) - (truth[row, 0] <= grid)
        assert score[row, 0] == pytest.approx(np.trapezoid(steps**2, grid), abs=2e-4)
    single = np.where(np.arange(9) == 2, 1.0, 0.0) * np.ones((5, 1))
    np.testing.assert_allclose(weighted_members.crps(values, single, truth), abs(values[:, 2] - truth))
    answer = AnalogMemory(stored).predict(columns(20, 73))
    assert answer["RTHCUTEN_CRPS"].dims == ("column", "level")
    assert "RTHCUTEN_CRPS" not in AnalogMemory(stored).predict(columns(20, 73).drop_vars("RTHCUTEN"))
