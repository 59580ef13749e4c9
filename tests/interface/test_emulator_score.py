"""A new score of the emulator is one formula and one column of the table."""

from __future__ import annotations

import numpy as np
import pytest

from sciml.columns.extract import convection_columns
from sciml.verify.emulator import evaluation, moments
from sciml.verify.emulator.evaluate import evaluate
from sciml.verify.emulator.page import chapters
from sciml.wrf.opening import open_wrfout
from tests.paths import SAMPLE_OFFLINE, SAMPLE_WRFOUT

pytestmark = pytest.mark.skipif(not SAMPLE_OFFLINE.exists(), reason="no sample in data/")


def test_a_score_is_a_formula_and_a_column(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mean absolute error, which the package does not have: registered in two modules, computed everywhere."""
    monkeypatch.setitem(moments.SCORES, "mae", lambda total, nil: total["abs_e"] / total["w"])
    monkeypatch.setitem(evaluation.COLUMNS, "MAE", (("deep", "mae"), ".2e"))
    monkeypatch.setattr("sciml.verify.emulator.page.pictures", lambda result: [])
    columns = (
        convection_columns(open_wrfout(SAMPLE_WRFOUT), SAMPLE_OFFLINE).isel(column=slice(0, None, 3)).load()
    )
    prediction = columns.assign(RTHCUTEN=columns["RTHCUTEN"] * 1.25)
    result = evaluate(columns, prediction)

    deep = columns["KIND"].values == 2
    expected = 0.25 * np.abs(columns["RTHCUTEN"].transpose("column", ...).values[deep].astype(float)).mean()
    assert result.scores["outputs"]["RTHCUTEN"]["deep"]["mae"] == pytest.approx(expected, rel=1e-5)
    assert result.scores["outputs"]["PRATEC"]["shallow"]["mae"] == 0
    head, row = result.rows()[:2]
    assert row[head.index("MAE")] == f"{expected:.2e}"
    assert "MAE" in str(result)
    assert any('<th scope="col">MAE</th>' in chapter.body for chapter in chapters([result]))
