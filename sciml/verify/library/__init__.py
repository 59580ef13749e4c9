"""Checks of the native library: parity, replay, statistics of its modes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sciml.lazy import attach

if TYPE_CHECKING:
    from sciml.verify.library.mode_statistics import ModeStatistics as ModeStatistics
    from sciml.verify.library.mode_statistics import read_statistics as read_statistics
    from sciml.verify.library.parity import Parity as Parity
    from sciml.verify.library.parity import compare_outputs as compare_outputs

__getattr__, __dir__, __all__ = attach(__name__, __file__)
