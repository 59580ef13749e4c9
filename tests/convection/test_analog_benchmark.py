"""The benchmark of analogs: its scores of detection and coverage, and its tables."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType

import numpy as np
import pytest
import xarray as xr

from tests.paths import REPO


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(REPO / "bench"))
    sys.modules.pop("analogs", None)
    return importlib.import_module("analogs")


def test_detection_and_coverage(bench: ModuleType) -> None:
    rng = np.random.default_rng(89)
    old, new = rng.normal(size=200), np.append(rng.normal(1.0, size=99), 10.0)
    made = bench.detection(old, new)
    pairs = (new[:, None] > old).mean() + 0.5 * (new[:, None] == old).mean()
    assert made["auroc"] == pytest.approx(pairs)
    assert made["detected"] == (new > np.quantile(old, 0.95)).mean()
    truth = np.array([[0.0, 1.0, 2.0], [0.0, 0.0, 5.0]])
    columns = xr.Dataset({"RTHCUTEN": (("column", "level"), truth)})
    low, high = truth - 1, np.where(truth == 5.0, 4.0, truth + 1)
    covered = bench.covered(columns, low, high, "RTHCUTEN")
    assert covered["coverage"] == pytest.approx(2 / 3)
    assert covered["width"] == pytest.approx((2 + 2 + 0) / 3 / truth.std())


def test_the_tables(bench: ModuleType) -> None:
    table = importlib.import_module("analogs_table")

    def measured(add: float) -> dict[str, object]:
        score = {"r2": 0.5 + add, "crps": 0.2 + add}
        cover = {label: {"coverage": 0.9 + add} for label in ("held out", "same run", "not at all")}
        outputs = dict.fromkeys(table.OUTPUTS, score)
        kinds = {kind: {"new": outputs} for kind in ("by distance", "equal")}
        return {
            "novelty": {key: {"auroc": 0.6 + add, "detected": 0.1} for key in table.NOVELTY},
            "ensembles": dict.fromkeys(table.SPACES, kinds),
            "intervals": {space: {"new": dict.fromkeys(table.OUTPUTS, cover)} for space in table.SPACES},
        }

    record = {
        "runs": {"13": {"7": measured(0.0), "11": measured(0.02)}},
        "guard": {
            "all": {
                "wrong": 3,
                "columns": 4000,
                "novelty": {key: {"auroc": 0.7, "detected": 0.25} for key in table.GUARD},
            }
        },
    }
    lines = table.ensembles(record).splitlines()
    assert len(lines) == 2 + 4
    assert lines[2] == "| 13 | profiles | heating | 0.510 | 0.210 | 0.210 |" + " 0.90 to 0.92 |" * 3
    assert "| nearest plume | 0.610 | 0.100 |" in table.novelty(record)
    assert table.guard(record).splitlines()[-1] == "| all | 3 of 4,000 |" + " 0.700, 25% |" * 4
