"""Batches from a store: the same ones for any number of workers, from any batch on."""

from __future__ import annotations

import itertools
import os
import signal
from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from sciml.errors import InputError, MissingVariable
from sciml.train import BatchSource, Quiet, StoreSource, fit
from sciml.train.batches import Batch, epoch_generator
from tests.train.curve import SETTINGS, TRAINING, VALIDATION, Stopping, network, objective


def columns(count: int = 103) -> xr.Dataset:
    n = np.arange(count)
    return xr.Dataset(
        {
            "n": ("column", n.astype(np.int32)),
            "T_PHY": (("level", "column"), (n + 1000.0 * np.arange(3)[:, None]).astype(np.float32)),
            "HFX": ("column", n.astype(np.float64)),
            "eta": ("level", np.arange(3.0)),
            "Time": ("column", n.astype("datetime64[s]")),
        }
    )


def doubled(batch: Batch) -> Batch:
    return {"n": batch["n"], "x": batch["T_PHY"] * 2, "process": torch.full_like(batch["n"], os.getpid())}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    path = tmp_path_factory.mktemp("store") / "columns.zarr"
    columns().chunk(column=10).to_zarr(path, consolidated=False)
    return path


def numbers(batches) -> list[list[int]]:
    return [batch["n"].tolist() for batch in batches]


def flat(batches) -> list[int]:
    return list(itertools.chain(*numbers(batches)))


@settings(deadline=None)
@given(
    count=st.integers(1, 60),
    size=st.integers(1, 25),
    block=st.integers(1, 20),
    buffer=st.integers(1, 5),
    start=st.integers(0, 9),
    seed=st.integers(2, 2**31),
)
def test_every_sample_once_and_any_start(count, size, block, buffer, start, seed):
    source = StoreSource(columns(count), ["n", "HFX"], block=block, buffer=buffer)
    assert len(source) == count
    order = numbers(source.batches(size, epoch_generator(seed, 2)))
    assert [len(batch) for batch in order[:-1]] == [size] * (len(order) - 1)
    assert len(order) == -(-count // size)
    assert sorted(itertools.chain(*order)) == list(range(count))
    assert order[start:] == numbers(source.batches_from(size, epoch_generator(seed, 2), start))
    assert flat(source.batches(size)) == list(range(count))


@settings(deadline=None)
@given(
    count=st.integers(2, 60),
    size=st.integers(1, 25),
    block=st.integers(1, 20),
    buffer=st.integers(1, 5),
    start=st.integers(0, 9),
    seed=st.integers(2, 2**31),
)
def test_weighted_samples_and_any_start(count, size, block, buffer, start, seed):
    rows = np.arange(count) % 3 > 0
    weights = np.random.default_rng(seed).integers(0, 4, rows.sum()) + (np.arange(rows.sum()) == 0)
    source = StoreSource(columns(count), ["n", "HFX"], rows=rows, weights=weights, block=block, buffer=buffer)
    order = numbers(source.batches(size, epoch_generator(seed, 2)))
    assert [len(batch) for batch in order[:-1]] == [size] * (len(order) - 1)
    assert len(list(itertools.chain(*order))) == len(source) == rows.sum()
    assert set(itertools.chain(*order)) <= set(np.flatnonzero(rows)[weights > 0].tolist())
    assert order[start:] == numbers(source.batches_from(size, epoch_generator(seed, 2), start))
    assert flat(source.batches(size)) == np.flatnonzero(rows).tolist()


def test_weights_are_sampling_frequencies(store):
    weights = np.arange(103) % 4
    source = StoreSource(store, ["n"], weights=weights, buffer=3)
    seen = sum(
        np.bincount(flat(source.batches(50, epoch_generator(5, epoch))), minlength=103) for epoch in range(60)
    )
    share = [seen[weights == weight].sum() / seen.sum() for weight in range(4)]
    expected = np.bincount(weights, weights) / weights.sum()
    np.testing.assert_allclose(share, expected, atol=0.02)  # three standard deviations of 6180 draws
    again = flat(source.batches(50, epoch_generator(5, 3)))
    assert again == flat(source.batches(7, epoch_generator(5, 3)))
    assert flat(source.batches(50)) == list(range(103))
    for wrong in (np.ones(102), -weights, np.zeros(103), weights * np.nan):
        with pytest.raises(InputError, match="weights"):
            StoreSource(store, ["n"], weights=wrong)


def test_the_tensors(store):
    source = StoreSource(store, ["n", "T_PHY", "HFX"], buffer=3)
    assert isinstance(source, BatchSource)
    for batch in source.batches(17, epoch_generator(3, 5)):
        assert batch["T_PHY"].dtype == torch.float32
        assert torch.equal(batch["T_PHY"], batch["n"][:, None] + 1000.0 * torch.arange(3))
        assert torch.equal(batch["HFX"], batch["n"].double())
    assert "103 samples of n, T_PHY, HFX in 11 blocks, 3 at a time" in repr(source)
    whole = source.in_memory()
    assert len(whole) == 103
    assert torch.equal(whole.tensors["n"], torch.arange(103, dtype=torch.int32))


def test_blocks_and_buffers_are_shuffled(store):
    source = StoreSource(store, ["n"], buffer=4)
    first, second = (flat(source.batches(8, epoch_generator(13, e))) for e in (0, 1))
    assert first != second
    assert len({n // 10 for n in first[:8]}) > 2, "a batch mixes blocks"
    assert np.corrcoef(first, np.arange(103))[0, 1] < 0.7


def test_chosen_rows(store):
    mask = np.arange(103) % 7 == 3
    for rows in (mask, np.flatnonzero(mask)[::-1]):
        source = StoreSource(store, ["n"], rows=rows)
        assert len(source) == mask.sum()
        assert flat(source.batches(4)) == np.flatnonzero(mask).tolist()
    assert numbers(StoreSource(store, ["n"], rows=[55]).batches(4)) == [[55]]


@pytest.mark.slow
def test_the_same_for_any_number_of_workers(store):
    epochs = {}
    for workers in (0, 1, 2):
        source = StoreSource(store, ["n", "T_PHY"], transform=doubled, buffer=3, workers=workers)
        batches = [list(source.batches(9, epoch_generator(23, epoch))) for epoch in range(2)]
        batches.append(list(source.batches_from(9, epoch_generator(23, 2), 5)))
        processes = {int(n) for epoch in batches for batch in epoch for n in batch.pop("process")}
        assert len(processes - {os.getpid()}) == workers
        epochs[workers] = batches
    for workers in (1, 2):
        for first, second in zip(itertools.chain(*epochs[0]), itertools.chain(*epochs[workers]), strict=True):
            assert all(torch.equal(first[name], second[name]) for name in ("n", "x"))


@pytest.mark.slow
def test_training_from_a_store_resumes_to_the_same_bits(tmp_path):
    path = tmp_path / "curve.nc"
    xr.Dataset({n: (("column", n + "_dim"), t.numpy()) for n, t in TRAINING.tensors.items()}).to_netcdf(path)

    def train(workers: int, loss=objective, **options):
        source = StoreSource(path, ["x", "y"], block=20, buffer=2, workers=workers)
        model = network()
        fit(model, loss, source, VALIDATION, replace(SETTINGS, epochs=3), progress=Quiet(), **options)
        return model.state_dict()

    stopping = Stopping(10, lambda: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        train(0, stopping, output=tmp_path / "curve.sciml")
    resumed, straight = train(2, output=tmp_path / "curve.sciml"), train(0)
    assert all(torch.equal(resumed[name], tensor) for name, tensor in straight.items())


def test_bad_input(store, tmp_path):
    (tmp_path / "notes.txt").write_text("no store")
    (tmp_path / "folder").mkdir()
    for data in ("nowhere.zarr", tmp_path / "notes.txt", tmp_path / "folder"):
        with pytest.raises(InputError, match="zarr store"):
            StoreSource(data, ["n"])
    with pytest.raises(MissingVariable, match="has no variable 'QVAPOR': it has"):
        StoreSource(store, ["n", "QVAPOR"])
    for variables, options, match in [
        (["eta"], {}, "not 'column'"),
        (["Time"], {}, "torch cannot hold"),
        (["n"], {"dim": "sample"}, "give dim"),
        (["n"], {"rows": np.zeros(103, bool)}, "none of them chosen"),
        (["n"], {"rows": np.zeros(5, bool)}, r"mask of shape \(5,\)"),
        (["n"], {"rows": [103]}, r"in \[0, 103\)"),
        (["n"], {"buffer": 0}, "buffer=0"),
    ]:
        with pytest.raises(InputError, match=match):
            StoreSource(store, variables, **options)
    halving = StoreSource(store, ["n"], transform=lambda batch: {"n": batch["n"][::2]})
    with pytest.raises(InputError, match="must keep their number"):
        next(halving.batches(4))
