"""Paths of the tests' data: the committed files, and the WRF data outside the repository."""

from __future__ import annotations

import os
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent
DATA = REPO / "data"
SHARED = Path(os.environ.get("SCIML_SHARED") or REPO.parent / "shared").resolve()
"""The larger WRF data; a test that reads it carries ``@pytest.mark.shared`` and skips without it."""

SAMPLE_WRFOUT = DATA / "wrfout_d01_convrad_24x24_5min.nc"
SAMPLE_OFFLINE = DATA / "mskf_offline_convrad_24x24_5min.nc"

ORACLES = REPO / "tests" / "oracles"
"""Vectors of published programs and of reference formulas."""
