"""Column schemes: the inputs, outputs, units, bounds and closures of a physics scheme, each declared once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sciml.lazy import attach

if TYPE_CHECKING:
    from sciml.schemes.closures import ColumnClosure as ColumnClosure
    from sciml.schemes.closures import LevelClosure as LevelClosure
    from sciml.schemes.closures import Term as Term
    from sciml.schemes.declaration import load_scheme as load_scheme
    from sciml.schemes.field import Field as Field
    from sciml.schemes.mskf import MSKF as MSKF
    from sciml.schemes.scheme import ColumnScheme as ColumnScheme

__getattr__, __dir__, __all__ = attach(__name__, __file__)
