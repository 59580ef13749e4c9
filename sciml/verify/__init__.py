"""Verification of emulators, operators, forecasts and libraries: scores, budgets, parity, reports."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sciml.lazy import attach

if TYPE_CHECKING:
    from sciml.verify import emulator as emulator
    from sciml.verify import forecast as forecast
    from sciml.verify import library as library
    from sciml.verify import operator as operator
    from sciml.verify.emulator.evaluate import assess as assess
    from sciml.verify.emulator.evaluation import Evaluation as Evaluation
    from sciml.verify.emulator.figures import portrait as portrait
    from sciml.verify.emulator.page import write_page as write_page
    from sciml.verify.forecast.compare import RunComparison as RunComparison
    from sciml.verify.forecast.compare import compare_runs as compare_runs
    from sciml.verify.forecast.rain_tables import RainComparison as RainComparison
    from sciml.verify.forecast.rainfall import accumulations as accumulations
    from sciml.verify.forecast.rainfall import compare_rain as compare_rain
    from sciml.verify.library.parity import Parity as Parity
    from sciml.verify.library.parity import compare_outputs as compare_outputs
    from sciml.verify.operator.certificate import Certificate as Certificate
    from sciml.verify.operator.certificate import certify as certify
    from sciml.verify.operator.evaluation import PdeEvaluation as PdeEvaluation

__getattr__, __dir__, __all__ = attach(__name__, __file__)
