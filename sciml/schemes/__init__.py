"""Column schemes: the inputs, outputs, units, bounds and classes of a physics scheme of WRF, each declared once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sciml.lazy import attach

if TYPE_CHECKING:
    from sciml.schemes.mskf import MSKF as MSKF
    from sciml.schemes.scheme import ColumnScheme as ColumnScheme
    from sciml.schemes.scheme import Field as Field

__getattr__, __dir__, __all__ = attach(__name__, __file__)
