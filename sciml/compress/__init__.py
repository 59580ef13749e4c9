"""Networks with fewer bits: block-shift integers, packed weights in files, and reduced LSTMs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sciml.compress.arithmetic import KINDS as KINDS
from sciml.compress.arithmetic import BlockIntegers as BlockIntegers
from sciml.compress.arithmetic import quantize_blocks as quantize_blocks
from sciml.compress.formats import FORMATS as FORMATS
from sciml.compress.formats import Format as Format
from sciml.compress.formats import format_named as format_named
from sciml.compress.formats import pack as pack
from sciml.compress.formats import stored_bytes as stored_bytes
from sciml.compress.formats import unpack as unpack
from sciml.lazy import attach

if TYPE_CHECKING:
    from sciml.compress.allocation import Allocation as Allocation
    from sciml.compress.allocation import allocate_bits as allocate_bits
    from sciml.compress.costs import CostTable as CostTable
    from sciml.compress.expansion import Sensitivity as Sensitivity
    from sciml.compress.expansion import measured_losses as measured_losses
    from sciml.compress.expansion import sensitivity as sensitivity
    from sciml.compress.integer_linear import ReducedLinear as ReducedLinear
    from sciml.compress.integer_lstm import ReducedLSTM as ReducedLSTM
    from sciml.compress.loss_model import LossModel as LossModel
    from sciml.compress.plan import Plan as Plan
    from sciml.compress.quantization import compression_of as compression_of
    from sciml.compress.quantization import quantize as quantize

__getattr__, __dir__, __all__ = attach(__name__, __file__)
