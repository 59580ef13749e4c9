"""The published benchmarks of MgNO: architectures and training settings of the official code.

Source: He, Liu and Xu, "MgNO: Efficient Parameterization of Linear Operators via Multigrid", ICLR 2024, and its code.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from sciml.checks import check_int
from sciml.errors import InputError
from sciml.operators.published.layer import Norm, Padding, Restricted
from sciml.train.settings import Fit

__all__ = ["RECIPES", "PublishedArchitecture", "Recipe"]


@dataclass(frozen=True)
class PublishedArchitecture:
    """Architecture of a published network.

    Parameters
    ----------
    layers
        Number of linear operators, each followed by a GELU.
    channels
        Number of channels of the hidden fields on the finest level.
    in_channels
        Number of input fields; there is one output field.
    smoothing
        Numbers of smoothing steps before and after the coarse levels, for each level, finest first.
    prolongations
        Width of the transposed convolution to each level from the next.
    transfer_padding
        Number of zeros around a field before restriction, and of points removed after prolongation: 1 or 0.
    padding
        Padding of all other convolutions.
    bias
        Whether smoothing convolutions have a bias.
    growing
        Whether level l has l + 1 times the channels.
    norm
        A LayerNorm over channels and grid, after every ``level`` of every layer, after every ``layer``, or none.
    skip
        Whether a 1x1 convolution with bias is added to each linear operator.
    head
        Last layer: a 1x1 ``convolution``, or another linear ``operator``.
    increment
        Whether the network adds its output to its input.
    spare_operator
        Whether the first step of a layer has an unused A, as in the published Helmholtz model.
    restricted
        ``source``, as in all published configurations, or ``residual``, as in multigrid.
    size
        Number of points along a side, if a LayerNorm fixes it.
    """

    layers: int = 4
    channels: int = 24
    in_channels: int = 1
    smoothing: tuple[tuple[int, int], ...] = ((1, 0),) * 5 + ((2, 0),)
    prolongations: tuple[int, ...] = (4,) * 5
    transfer_padding: int = 1
    padding: Padding = "zeros"
    bias: bool = False
    growing: bool = False
    norm: Norm = "none"
    skip: bool = True
    head: str = "convolution"
    increment: bool = False
    spare_operator: bool = False
    restricted: Restricted = "source"
    size: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "smoothing", tuple((int(a), int(b)) for a, b in self.smoothing))
        object.__setattr__(self, "prolongations", tuple(int(k) for k in self.prolongations))
        for name in ("layers", "channels", "in_channels"):
            check_int(name, getattr(self, name), 1, owner="PublishedArchitecture")
        if self.head not in ("convolution", "operator"):
            raise InputError(f"PublishedArchitecture(head={self.head!r}): give 'convolution' or 'operator'")
        if self.norm != "none" and self.size is None:
            raise InputError(
                f"PublishedArchitecture(norm={self.norm!r}) needs size: its scales belong to grid points"
            )

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> PublishedArchitecture:
        """Make the architecture from the output of `PublishedMgNO.config`."""
        known = {field.name for field in fields(cls)}
        unknown = sorted(set(plain) - known)
        if unknown:
            raise InputError(f"{', '.join(unknown)}: PublishedArchitecture has {', '.join(sorted(known))}")
        return cls(**plain)


@dataclass(frozen=True)
class Recipe:
    """Training settings of a published benchmark.

    Parameters
    ----------
    architecture
        Shape of the network.
    family, resolution
        Name of the data in `sciml.pde.FAMILIES`, or None if this package cannot generate them, and number of points
        along a side.
    counts
        Numbers of training, validation and test samples.
    learning_rate, batch_size, epochs, weight_decay, warmup, final_div_factor
        As in `sciml.train.Fit`; the first rate is half of ``learning_rate``.
    loss
        ``relative_l2``, ``relative_h1_truncated`` or, for Helmholtz, ``absolute_h1``.
    input_scaling, target_scaling
        Mean and standard deviation for each ``point`` of the grid, as ``scalar`` numbers, or ``none``.
    dead
        Number of parameters without effect on the output, which the published counts include.
    """

    architecture: PublishedArchitecture
    family: str | None
    resolution: int
    counts: tuple[int, int, int]
    learning_rate: float
    batch_size: int
    loss: str
    input_scaling: str
    target_scaling: str
    epochs: int = 500
    weight_decay: float = 1e-4
    warmup: float = 0.2
    final_div_factor: float = 100.0
    dead: int = 0

    def fit(self, *, epochs: int | None = None, batch_size: int | None = None, seed: int = 7) -> Fit:
        """Return the settings for `sciml.train.fit`.

        Two settings differ from the official code: the weight decay is decoupled (AdamW) instead of coupled, and the
        rate changes at each step instead of once in an epoch.

        Examples
        --------
        >>> RECIPES["darcy-rough"].fit(epochs=10).learning_rate
        0.0005
        """
        return Fit(
            epochs=epochs or self.epochs,
            batch_size=batch_size or self.batch_size,
            learning_rate=self.learning_rate,
            weight_decay=self.weight_decay,
            schedule="onecycle",
            warmup=self.warmup,
            div_factor=2.0,
            final_div_factor=self.final_div_factor,
            cycle_momentum=True,
            gradient_clip=None,
            seed=seed,
        )


_DARCY = PublishedArchitecture()
_SIX = ((1, 0),) * 4

RECIPES: Mapping[str, Recipe] = {
    "darcy-smooth": Recipe(
        replace(_DARCY, layers=5, prolongations=(3, 4, 3, 3, 4)),
        "darcy-smooth",
        211,
        (1000, 100, 100),
        learning_rate=5e-4,
        batch_size=8,
        loss="relative_h1_truncated",
        input_scaling="point",
        target_scaling="point",
    ),
    "darcy-rough": Recipe(
        _DARCY,
        "darcy-rough",
        256,
        (1280, 112, 112),
        learning_rate=5e-4,
        batch_size=8,
        loss="relative_h1_truncated",
        input_scaling="none",
        target_scaling="scalar",
    ),
    "darcy-multiscale": Recipe(
        _DARCY,
        "darcy-multiscale",
        256,
        (1000, 100, 100),
        learning_rate=5e-4,
        batch_size=8,
        loss="relative_h1_truncated",
        input_scaling="scalar",
        target_scaling="scalar",
    ),
    "pipe": Recipe(
        replace(_DARCY, layers=5, in_channels=2, smoothing=(*_SIX, (1, 1), (2, 0))),
        None,
        128,
        (1000, 200, 200),
        learning_rate=3e-4,
        batch_size=4,
        loss="relative_l2",
        input_scaling="none",
        target_scaling="none",
    ),
    "navier-stokes": Recipe(
        PublishedArchitecture(
            layers=5,
            channels=32,
            smoothing=((1, 0),) * 3 + ((2, 0),) * 2,
            prolongations=(4,) * 4,
            padding="circular",
            bias=True,
            norm="level",
            skip=False,
            increment=True,
            size=64,
        ),
        "navier-stokes",
        64,
        (1000, 0, 100),
        learning_rate=1e-3,
        batch_size=500,
        loss="relative_l2",
        input_scaling="none",
        target_scaling="none",
        weight_decay=1e-5,
        warmup=0.1,
        final_div_factor=50.0,
    ),
    "helmholtz": Recipe(
        PublishedArchitecture(
            layers=4,
            channels=20,
            smoothing=(*_SIX, (2, 0)),
            prolongations=(3, 4, 4, 3),
            transfer_padding=0,
            padding="reflect",
            bias=True,
            growing=True,
            norm="layer",
            skip=False,
            head="operator",
            spare_operator=True,
            size=101,
        ),
        "helmholtz",
        101,
        (4000, 200, 200),
        learning_rate=3e-4,
        batch_size=10,
        loss="absolute_h1",
        input_scaling="point",
        target_scaling="point",
        epochs=100,
        weight_decay=1e-5,
        dead=11_241,
    ),
}
"""Configurations of the authors' commands, by benchmark."""
