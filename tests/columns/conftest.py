"""The small wrfout of the tests of `sciml.wrf`."""

from __future__ import annotations

from tests.wrf.conftest import answers, frames, sample, write, written

__all__ = ["answers", "frames", "sample", "write", "written"]
