"""From a trained emulator to the library that a Fortran host links: weights file, native sources, build.

Names are loaded when they are first used: building the library needs no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sciml.lazy import attach

if TYPE_CHECKING:
    from sciml.coupling.fortran_emulator import FortranEmulator as FortranEmulator

__getattr__, __dir__, __all__ = attach(__name__, __file__)
