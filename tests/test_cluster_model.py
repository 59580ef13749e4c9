"""The model of many workers (bench/cluster_model.py) where one resource alone determines the seconds."""

from __future__ import annotations

import importlib
from dataclasses import replace
from types import ModuleType

import pytest

from tests.paths import REPO


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(REPO / "bench"))
    return importlib.import_module("cluster_model")


def test_each_resource_is_a_limit(model: ModuleType) -> None:
    task = model.Stage("blocks", 240, read=4e6, write=1e6, read_s=0.25, compute_s=0.5, write_s=0.25)
    assert model.simulate([task], 1, 1e12).seconds == pytest.approx(240)
    assert model.simulate([task], 8, 1e12).seconds == pytest.approx(30)
    slow = model.simulate([task], 8, 1e7)
    bound = 240 * 5e6 / 1e7
    assert bound <= slow.seconds <= 1.15 * bound  # no transfer while all workers compute
    assert slow.limit == "file system"
    busy = model.simulate([replace(task, central_s=0.5)], 8, 1e12)
    assert busy.seconds == pytest.approx(240 * 0.5 + 1)
    assert busy.limit == "scheduler"
    serial = model.Stage("plan", 0, central_s=7.0)
    assert model.simulate([serial, task], 8, 1e12).seconds == pytest.approx(37)


def test_long_stages_are_extrapolated(model: ModuleType) -> None:
    task = model.Stage("blocks", 6400, read=4e6, read_s=0.25, compute_s=0.5, central_s=0.001)
    assert model.simulate([task], 2, 1e9).seconds == pytest.approx(2400, rel=0.01)
    assert [stage.tasks for stage in (task.times(0.5), task.times(2))] == [3200, 12800]


def test_a_fixed_stage_does_not_grow(model: ModuleType) -> None:
    stage = model.Stage("start", 0, central_s=3.0, grows=False)
    assert stage.times(100) == stage
    assert replace(stage, grows=True).times(100).central_s == 300
