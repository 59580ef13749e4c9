"""From a trained emulator to the library that a Fortran host links: weights file, native sources, build.

Names are loaded when they are first used: building the library needs no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sciml.coupling.emulator import FortranEmulator

__all__ = ["FortranEmulator"]


def __getattr__(name: str) -> Any:
    if name != "FortranEmulator":
        raise AttributeError(f"module 'sciml.coupling' has no attribute {name!r}")
    from sciml.coupling.emulator import FortranEmulator

    return FortranEmulator
