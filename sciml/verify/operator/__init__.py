"""Scores and reports of neural operators, with error bounds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sciml.lazy import attach

if TYPE_CHECKING:
    from sciml.verify.operator.certificate import Certificate as Certificate
    from sciml.verify.operator.certificate import certify as certify
    from sciml.verify.operator.evaluate import assess as assess
    from sciml.verify.operator.evaluation import PdeEvaluation as PdeEvaluation

__getattr__, __dir__, __all__ = attach(__name__, __file__)
