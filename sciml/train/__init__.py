"""Training: a resumable loop, checkpoints, and the history of a training.

It is independent of equations and models: it takes any ``torch.nn.Module``, a function that returns the named losses of
a batch, and a source of batches.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sciml.lazy import attach
from sciml.train.checkpoint import Checkpoint as Checkpoint
from sciml.train.history import Epoch as Epoch
from sciml.train.history import History as History

if TYPE_CHECKING:
    from sciml.train import minmax as minmax
    from sciml.train.batches import Batch as Batch
    from sciml.train.batches import BatchSource as BatchSource
    from sciml.train.batches import TensorSource as TensorSource
    from sciml.train.loop import fit as fit
    from sciml.train.losses import relative_l2 as relative_l2
    from sciml.train.progress import Lines as Lines
    from sciml.train.progress import Live as Live
    from sciml.train.progress import Progress as Progress
    from sciml.train.progress import Quiet as Quiet
    from sciml.train.settings import Fit as Fit
    from sciml.train.streaming import StoreSource as StoreSource

__getattr__, __dir__, __all__ = attach(__name__, __file__)
