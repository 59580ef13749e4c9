"""Columns from WRF output: classes, formats, extraction, and the columnar store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sciml.lazy import attach

if TYPE_CHECKING:
    from sciml.columns.classes import DEEP as DEEP
    from sciml.columns.classes import HELD as HELD
    from sciml.columns.classes import KINDS as KINDS
    from sciml.columns.classes import NONE as NONE
    from sciml.columns.classes import SHALLOW as SHALLOW
    from sciml.columns.classes import UNKNOWN as UNKNOWN
    from sciml.columns.classes import Classes as Classes
    from sciml.columns.classes import count_classes as count_classes
    from sciml.columns.extract import check_finite as check_finite
    from sciml.columns.extract import convection_columns as convection_columns
    from sciml.columns.extract import only_pairs as only_pairs
    from sciml.columns.formats import form_of as form_of
    from sciml.columns.formats import run_number as run_number
    from sciml.columns.open import open_columns as open_columns
    from sciml.columns.regrid import columns_to_map as columns_to_map
    from sciml.columns.write import write_columns as write_columns

__getattr__, __dir__, __all__ = attach(__name__, __file__)
