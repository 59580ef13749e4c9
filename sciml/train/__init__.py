"""The workshop's training room: a resumable loop, checkpoints, and the history of a training.

It knows no equation and no model: it takes any ``torch.nn.Module``, a function that gives named losses for a
batch, and a source of batches.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from sciml.train.checkpoint import Checkpoint
from sciml.train.history import Epoch, History

if TYPE_CHECKING:
    from sciml.train.loop import fit
    from sciml.train.losses import relative_l2
    from sciml.train.progress import Lines, Live, Progress, Quiet
    from sciml.train.settings import Fit
    from sciml.train.source import Batch, BatchSource, TensorSource
    from sciml.train.store import StoreSource

__all__ = [
    "Batch",
    "BatchSource",
    "Checkpoint",
    "Epoch",
    "Fit",
    "History",
    "Lines",
    "Live",
    "Progress",
    "Quiet",
    "StoreSource",
    "TensorSource",
    "fit",
    "relative_l2",
]

_ROOMS = {
    "Batch": "source",
    "BatchSource": "source",
    "Fit": "settings",
    "Lines": "progress",
    "Live": "progress",
    "Progress": "progress",
    "Quiet": "progress",
    "StoreSource": "store",
    "TensorSource": "source",
    "fit": "loop",
    "relative_l2": "losses",
}


def __getattr__(name: str) -> Any:
    """Import what needs torch only when it is asked for."""
    if name in _ROOMS:
        return getattr(importlib.import_module(f"sciml.train.{_ROOMS[name]}"), name)
    raise AttributeError(f"module 'sciml.train' has no attribute {name!r}")
