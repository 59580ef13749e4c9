"""The convection problem, and its emulator: features, networks, conservation laws, training.

Names are loaded when they are first used, so that reading and writing the store does not import torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sciml.lazy import attach

if TYPE_CHECKING:
    from sciml.convection.analog_features import PlumeFeatures as PlumeFeatures
    from sciml.convection.analogs import AnalogMemory as AnalogMemory
    from sciml.convection.emulator import Emulator as Emulator
    from sciml.convection.network import Architecture as Architecture
    from sciml.convection.network import BiLSTM as BiLSTM
    from sciml.convection.problem import Convection as Convection
    from sciml.convection.problem import ConvectionSolution as ConvectionSolution
    from sciml.convection.training import train as train

__getattr__, __dir__, __all__ = attach(__name__, __file__)
