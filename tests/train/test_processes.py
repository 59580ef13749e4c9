"""Trainings that two processes share: the curve of one process, restarts to the same bits, and signals."""

from __future__ import annotations

import itertools
import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from sciml.train import History
from sciml.train.batches import Share, TensorSource, epoch_generator
from sciml.train.processes import Processes
from sciml.train.streaming import _Blocks
from tests.paths import REPO
from tests.train.shared_curve import CASES, curve, in_store, load, train

ROUNDING = 1e-11
"""Relative difference of losses in double precision after all steps of a case."""


def started(folder: Path, *cases: str, size: int = 2) -> list[subprocess.Popen[str]]:
    """Start processes of one group, as torchrun does."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {
        **os.environ,
        "PYTHONPATH": str(REPO),
        "OMP_NUM_THREADS": "1",
        "WORLD_SIZE": str(size),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }
    return [
        subprocess.Popen(
            [sys.executable, "-m", "tests.train.shared_curve", str(folder), *cases],
            cwd=REPO,
            env={**environment, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            text=True,
            stderr=subprocess.PIPE,
        )
        for rank in range(size)
    ]


def ended(processes: list[subprocess.Popen[str]]) -> list[tuple[int, str]]:
    """Wait, and return exit code and standard error of each process."""
    messages = [process.communicate(timeout=500)[1] for process in processes]
    return [(process.returncode, message) for process, message in zip(processes, messages, strict=True)]


def numbers(history: History) -> list:
    """A history without its times."""
    return [replace(epoch, seconds=0.0) for epoch in history.epochs]


def same(first: dict, second: dict) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """All cases, trained by two processes."""
    folder = tmp_path_factory.mktemp("two")
    for code, message in ended(started(folder, *CASES)):
        assert code == 0, message
    return folder


@pytest.mark.parametrize("case", CASES)
def test_all_processes_end_with_the_same_weights(two, case):
    (first, history), (second, other) = load(two, case, 0), load(two, case, 1)
    assert same(first, second)
    assert numbers(history) == numbers(other)


@pytest.mark.parametrize("case", ["plain", "stored", "parts", "patience"])
def test_two_processes_have_the_curve_of_one(two, tmp_path, case):
    weights, history = train(tmp_path, case)
    shared, curve = load(two, case)
    for name, tensor in weights.items():
        torch.testing.assert_close(shared[name], tensor, rtol=ROUNDING, atol=ROUNDING)
    assert (curve.stopped, curve.best, len(curve.epochs)) == (
        history.stopped,
        history.best,
        len(history.epochs),
    )
    for validation in (False, True):
        for name in ("loss", "sine", "product"):
            np.testing.assert_allclose(
                curve.losses(name, validation=validation),
                history.losses(name, validation=validation),
                ROUNDING,
            )


@pytest.mark.parametrize("case", ["bfloat16", "powersgd"])
def test_compressed_gradients_train_as_whole_ones_do(two, tmp_path, case, monkeypatch):
    monkeypatch.setitem(CASES, "whole", {"epochs": CASES[case]["epochs"]})
    _, whole = train(tmp_path, "whole")
    _, history = load(two, case)
    losses = history.losses(validation=True)
    assert losses[-1] < 0.7 * losses[0]
    np.testing.assert_allclose(losses[-1], whole.losses(validation=True)[-1], rtol=0.05)
    assert not np.allclose(losses, whole.losses(validation=True), rtol=1e-6), "nothing was compressed"


@pytest.mark.slow
def test_restarts_after_a_kill_give_the_same_bits(two, tmp_path):
    """Each case is killed in its 16th step, the first one in the first life of the processes."""
    folder = tmp_path / "killed"
    folder.mkdir()
    cases = ("noisy@0", "powersgd@1")
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--max-restarts=2"]
    command += ["--master-port=0", "--rdzv-backend=c10d", "--rdzv-endpoint=localhost:0"]
    command += ["--monitor-interval=0.1", "-m", "tests.train.shared_curve", str(folder), *cases]
    environment = {**os.environ, "PYTHONPATH": str(REPO), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=REPO, env=environment, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("resumed from") == 2
    for case in ("noisy", "powersgd"):
        for rank in range(2):
            weights, history = load(folder, case, rank)
            assert same(weights, load(two, case)[0])
            assert numbers(history) == numbers(load(two, case)[1])


def test_one_process_finishes_what_two_began(two, tmp_path):
    """SIGTERM reaches the second process only, and both leave after the same step."""
    for code, message in ended(started(tmp_path, "plain!")):
        assert code == 143, message
    _, history = train(tmp_path, "plain")
    for validation in (False, True):
        expected = load(two, "plain")[1].losses(validation=validation)
        np.testing.assert_allclose(history.losses(validation=validation), expected, ROUNDING)


@pytest.mark.parametrize(("total", "size"), [(12, 3), (13, 4), (2, 3)])
def test_the_rows_of_a_batch_are_divided(total, size):
    batch = {"x": torch.arange(total)}
    shares = [Share.of(batch, rank, size) for rank in range(size)]
    own = [share.batch["x"].tolist()[: share.count] for share in shares]
    assert sorted(itertools.chain(*own)) == list(range(total))
    assert {share.total for share in shares} == {total}
    assert all(len(share.batch["x"]) >= 1 for share in shares)
    weights = [share.part(number, 2)[1] for share in shares for number in range(2)]
    assert sum(weights) == pytest.approx(1.0)


@pytest.mark.parametrize("size", [2, 3, 7])
@pytest.mark.parametrize("weighted", [False, True])
def test_processes_divide_the_batches_of_a_store(tmp_path, size, weighted, monkeypatch):
    """Each batch is the one of a process alone, and each process reads its own blocks if there are enough."""
    tensors = curve(117, 21)
    weights = np.linspace(0, 1, 117) if weighted else None
    read: list[set[int]] = []
    load_block = _Blocks.__getitem__

    def counted(blocks: _Blocks, index: int):
        read[-1].add(index)
        return load_block(blocks, index)

    monkeypatch.setattr(_Blocks, "__getitem__", counted)

    def rows(rank: int, size: int, start: int) -> list[list]:
        read.append(set())
        source = in_store(tensors, tmp_path / "s.zarr", weights=weights)
        shares = source.shares(24, epoch_generator(11, 2), start, rank, size)
        return [share.batch["x"].tolist()[: share.count] for share in shares]

    alone = rows(0, 1, 0)
    read.clear()
    several = [rows(rank, size, 2) for rank in range(size)]
    assert [len(batches) for batches in several] == [len(alone) - 2] * size
    for whole, *parts in zip(alone[2:], *several, strict=True):
        assert sorted(itertools.chain(*parts)) == sorted(whole)
    if size <= 4:  # blocks in a buffer
        assert sum(map(len, read)) == len(set.union(*read))


def test_a_source_without_shares_is_divided_too():
    class Plain:
        def __len__(self) -> int:
            return 5

        def batches(self, batch_size, generator=None):
            return TensorSource({"x": torch.arange(5)}).batches(batch_size, generator)

    shares = list(Processes(1, 2).shares(Plain(), 3, None))
    assert [(share.batch["x"].tolist(), share.count, share.total) for share in shares] == [
        ([1], 1, 3),
        ([4], 1, 2),
    ]
