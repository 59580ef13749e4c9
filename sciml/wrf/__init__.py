"""Reading of WRF output, and fields derived from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sciml.lazy import attach

if TYPE_CHECKING:
    from sciml.wrf.accessor import WRFFields as WRFFields
    from sciml.wrf.opening import open_wrfout as open_wrfout
    from sciml.wrf.precision import LossyInput as LossyInput
    from sciml.wrf.variables import TABLE as TABLE
    from sciml.wrf.variables import Variable as Variable

__getattr__, __dir__, __all__ = attach(__name__, __file__)
