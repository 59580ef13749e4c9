"""Hopfield layers whose states or stored patterns are parameters: pooling, and a learned memory."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sciml.checks import check_int
from sciml.nn.hopfield import SPREAD, Hopfield

__all__ = ["HopfieldLayer", "HopfieldPooling"]


class HopfieldPooling(nn.Module):
    """Pooling of any number of patterns by learned states, such as of the sub-columns of a grid cell.

    Parameters
    ----------
    hopfield
        The association.
    quantity
        Number of learned states.

    Raises
    ------
    InputError
        The quantity is below 1.

    Notes
    -----
    Ramsauer et al. (2021), ICLR. The association of the states does not depend on the order of the patterns.

    Examples
    --------
    >>> HopfieldPooling(Hopfield(8, heads=2), quantity=3)(torch.ones(5, 6, 8)).shape
    torch.Size([5, 24])
    """

    def __init__(self, hopfield: Hopfield, quantity: int = 1) -> None:
        super().__init__()
        check_int("quantity", quantity, 1, owner="HopfieldPooling")
        self.hopfield = hopfield
        self.states = nn.Parameter(torch.empty(quantity, hopfield.sizes["state"]).normal_(std=SPREAD))

    def forward(
        self, stored: Tensor, projection: Tensor | None = None, *, padding: Tensor | None = None
    ) -> Tensor:
        """Pool patterns.

        Parameters
        ----------
        stored, projection
            (sample, pattern, feature); the second by default the first.
        padding
            (sample, pattern), True for patterns to ignore.

        Returns
        -------
        Tensor
            (sample, quantity * output).

        Raises
        ------
        InputError
            The shapes do not fit, or all patterns of a sample are ignored.
        """
        states = self.states.expand(stored.shape[0], -1, -1)
        pooled: Tensor = self.hopfield(stored, states, projection, padding=padding)
        return pooled.flatten(1)


class HopfieldLayer(nn.Module):
    """A learned memory: the inputs are states, the stored patterns are parameters.

    Parameters
    ----------
    hopfield
        The association.
    quantity
        Number of stored patterns.
    separate
        Whether the projected patterns are other parameters than the stored ones.

    Raises
    ------
    InputError
        The quantity is below 1.

    Notes
    -----
    Ramsauer et al. (2021), ICLR.

    Examples
    --------
    >>> HopfieldLayer(Hopfield(8, heads=2), quantity=5)(torch.ones(3, 4, 8)).shape
    torch.Size([3, 4, 8])
    """

    def __init__(self, hopfield: Hopfield, quantity: int, *, separate: bool = False) -> None:
        super().__init__()
        check_int("quantity", quantity, 1, owner="HopfieldLayer")
        self.hopfield = hopfield
        self.stored = nn.Parameter(torch.empty(quantity, hopfield.sizes["stored"]).normal_(std=SPREAD))
        size = hopfield.sizes["projection"]
        self.projection = nn.Parameter(torch.empty(quantity, size).normal_(std=SPREAD)) if separate else None

    def forward(self, state: Tensor, *, mask: Tensor | None = None) -> Tensor:
        """Associate the inputs with the stored patterns.

        Parameters
        ----------
        state
            (sample, state, feature).
        mask
            (state, pattern): True for patterns that a state ignores, or numbers that are added to the similarities.

        Returns
        -------
        Tensor
            (sample, state, output).

        Raises
        ------
        InputError
            The shapes do not fit, or all patterns of a state are ignored.
        """
        stored = self.stored.expand(state.shape[0], -1, -1)
        projection = None if self.projection is None else self.projection.expand(state.shape[0], -1, -1)
        result: Tensor = self.hopfield(stored, state, projection, mask=mask)
        return result
