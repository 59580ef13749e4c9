"""Scores and reports of emulators of the convection scheme."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sciml.lazy import attach

if TYPE_CHECKING:
    from sciml.verify.emulator.evaluate import assess as assess
    from sciml.verify.emulator.evaluation import Evaluation as Evaluation
    from sciml.verify.emulator.figures import portrait as portrait
    from sciml.verify.emulator.page import write_page as write_page

__getattr__, __dir__, __all__ = attach(__name__, __file__)
