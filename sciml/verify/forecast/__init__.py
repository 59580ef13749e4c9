"""Verification of WRF runs: rain, mean state, budgets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sciml.lazy import attach

if TYPE_CHECKING:
    from sciml.verify.forecast.compare import RunComparison as RunComparison
    from sciml.verify.forecast.compare import compare_runs as compare_runs
    from sciml.verify.forecast.compare import open_source as open_source
    from sciml.verify.forecast.rain_tables import RainComparison as RainComparison
    from sciml.verify.forecast.rainfall import accumulations as accumulations
    from sciml.verify.forecast.rainfall import compare_rain as compare_rain

__getattr__, __dir__, __all__ = attach(__name__, __file__)
