"""The benchmarks of normalisations and of Hopfield networks: choice of the rate, bounds, tables, bags."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from sciml.nn.association import associate
from tests.paths import REPO


@pytest.fixture(params=["hopfield", "normalization"])
def bench(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(str(REPO / "bench"))
    before = set(sys.modules)
    yield importlib.import_module(request.param)
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(REPO / "bench")):
            del sys.modules[name]


of_hopfield = pytest.mark.parametrize("bench", ["hopfield"], indirect=True)
of_norms = pytest.mark.parametrize("bench", ["normalization"], indirect=True)


@of_norms
def test_a_rate_is_chosen_inside_of_those_tried(bench: ModuleType) -> None:
    trained = []

    def row(form: str, batch: int, rate: float, seed: int) -> dict[str, Any]:
        trained.append((rate, seed))
        if rate > 0.2:
            return {"learning_rate": rate, "failed": True}  # not finite
        return {"validation": abs(np.log(rate / 0.08)), "error": rate, "learning_rate": rate, "failed": False}

    task: Any = SimpleNamespace(size=bench.Size(), row=row)
    cell = bench.tuned(task, "GELU", 2)
    assert cell["rate"] == pytest.approx(0.081)
    assert [own["learning_rate"] for own in cell["rates"]] == [0.003, 0.009, 0.027, 0.081, 0.243]
    assert [seed for rate, seed in trained if rate == 0.081] == [7, 7, 11, 23]
    assert [own["failed"] for own in cell["thrice"]] == [True] * 3
    record = {"darcy": {"GELU": {"32": cell, "2": cell}}, "columns": {}, "constant": 0.3}
    lines = [line.split() for line in bench.table(record).splitlines()]
    assert lines[1] == "GELU 2 0.081 0.081 (0.081 to 0.081) not finite 3 of 3".split()
    assert lines[2][1] == "32"


@of_hopfield
def test_the_bounds_of_retrieval(bench: ModuleType) -> None:
    rows = [bench.retrieval(256, dimension, 67) for dimension in (8, 16, 24)]
    assert all(row["holds"] for row in rows)
    assert rows[0]["error"] > 20 * rows[1]["error"] > 400 * rows[2]["error"]
    assert rows[2]["bound"] > rows[2]["error"] > 0
    count, c = bench.capacity(20)
    assert c == pytest.approx(3.1546, abs=1e-4)  # 3.15 in the paper
    assert count == pytest.approx(0.001**0.5 * c**4.75)
    assert bench.guaranteed(20, 512, 67)["retrieved"] == 1.0


@of_hopfield
def test_the_fixed_points_of_clusters(bench: ModuleType) -> None:
    rows = [bench.fixed_points(beta, 71) for beta in (0.02, 0.7, 20.0)]
    assert [round(row["effective"]) for row in rows] == [32, 8, 1]
    assert [row["distinct"] for row in rows] == [1, 4, 32]
    stored = bench.clusters(71)
    end = associate(stored, stored, beta=0.7, steps=None, eps=1e-9)
    means = stored.reshape(4, 8, 16).mean(1).repeat_interleave(8, 0)
    assert float((end.weights @ stored - means).norm(dim=1).max()) < 0.2


@of_hopfield
def test_bags_have_the_answers_that_they_name(bench: ModuleType) -> None:
    pattern = np.random.default_rng(97).normal(size=12) * (np.arange(12) > 0)
    for task, least in (("needle", 0.75), ("share", 0.9), ("address", 0.8)):
        batch = next(bench.bags(task, 400, 73).batches(400))
        assert float(batch["answer"].float().mean()) == 0.5
        near = batch["x"].numpy() @ pattern
        if task == "address":
            which = np.arange(400), near.argmax(1)
            guess = batch["x"].numpy()[(*which, 0)] > 0
        else:
            value = near.max(1) if task == "needle" else near.mean(1)
            guess = value > np.median(value)
        assert float((guess == batch["answer"].numpy()).mean()) > least


@of_hopfield
def test_the_table_and_the_figure_of_hopfield_networks(bench: ModuleType) -> None:
    row = {"right": 0.75}
    pooling = {
        task: {name: {"seeds": [row, {"right": 0.5}]} for name in bench.POOLINGS} for task in bench.TASKS
    }
    record = {
        "retrieval": [bench.retrieval(16, d, seed) for d in (4, 6) for seed in (67, 71)],
        "capacity": [bench.guaranteed(8, 32, 67)],
        "fixed_points": [bench.fixed_points(beta, 67) for beta in (0.01, 10.0)],
        "pooling": pooling,
    }
    text = bench.table(record)
    assert "the bound holds for all states: True" in text
    assert text.splitlines()[-1].split() == ["address", *["0.625", "(0.500", "to", "0.750)"] * 3]
    left, right = bench.figure(record).axes
    assert len(left.lines) == 2
    assert right.lines[0].get_ydata()[0] == pytest.approx(32, rel=1e-2)
