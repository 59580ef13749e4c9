"""Convert a trained emulator into the library that a Fortran host links: weights file, native sources, build.

Names are loaded at first use: building the library does not import torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sciml.lazy import attach

if TYPE_CHECKING:
    from sciml.coupling.fortran_emulator import FortranEmulator as FortranEmulator

__getattr__, __dir__, __all__ = attach(__name__, __file__)
