"""Emulators of any declared column scheme: pairs of its inputs and outputs, a Bi-LSTM, training and evaluation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sciml.lazy import attach

if TYPE_CHECKING:
    from sciml.emulation.emulator import SchemeEmulator as SchemeEmulator
    from sciml.emulation.evaluation import evaluate as evaluate
    from sciml.emulation.pairs import open_groups as open_groups
    from sciml.emulation.pairs import open_pairs as open_pairs
    from sciml.emulation.training import train as train

__getattr__, __dir__, __all__ = attach(__name__, __file__)
