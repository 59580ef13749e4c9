"""Errors of binary scores with low-rank estimators, fitted to real attention and measured on other columns."""

from __future__ import annotations

from typing import Any

import torch
import xarray as xr

from sciml.convection.emulator import Emulator
from sciml.convection.feature_scaling import joined_inputs
from sciml.convection.physics import sounding_of
from sciml.convection.prepared_profiles import profiles
from sciml.convection.problem import Convection
from sciml.nn.binary_attention import ESTIMATORS, BinaryAttention
from sciml.nn.score_estimators import ScoreMoments

RANKS = (0, 1, 2, 8)
MOST = 1500  # columns of the fit and of the test


def hidden_states(emulator: Emulator[Any], columns: xr.Dataset) -> list[torch.Tensor]:
    """Return the inputs of the attention of each block."""
    network = emulator.network
    parts: list[list[torch.Tensor]] = [[] for _ in network.blocks]
    for _, some in Convection(columns).blocks(4096):  # of equal numbers of levels
        seen = profiles(sounding_of(some), network.shape.edges)
        if seen is None:
            continue
        x, y = emulator.normalisation.standardise(seen.channels, seen.scalars)
        with torch.no_grad():
            h = network.embed(joined_inputs(x.float(), y.float())) + network.place
            for own, block in zip(parts, network.blocks, strict=True):
                own.append(block.norm(h))
                h = block(h)
    return [torch.cat(own)[:MOST] for own in parts]


def score_errors(emulator: Emulator[Any], training: xr.Dataset, test: xr.Dataset) -> dict[str, Any]:
    """Fit the estimators of each rank in each block of a network with real attention.

    Returns
    -------
    dict
        ``relative_to_rank_0``: error by form and rank. Forms: estimators shared by the heads and of each head, fitted
        with the scale of the binary scores; ``any`` is a full bilinear form, the bound of the shared ones;
        ``heads, scale of rank 0`` keeps that scale; ``heads, without signs`` has estimators only.
    """
    before, after = hidden_states(emulator, training), hidden_states(emulator, test)
    errors: dict[str, dict[str, float]] = {}
    energy = 0.0

    def add(form: str, rank: str, value: float) -> None:
        own = errors.setdefault(form, {})
        own[rank] = own.get(rank, 0.0) + value

    for number, block in enumerate(emulator.network.blocks):
        real = block.attention
        for form in ESTIMATORS:
            binary = BinaryAttention(
                real.query.in_features, real.heads, binary_projections=False, estimators=form
            )
            binary.query, binary.key = real.query, real.key
            first = ScoreMoments.of(binary, before[number])
            second = ScoreMoments.of(binary, after[number], first.basis)
            size = real.query.in_features // real.heads
            energy += float(second.squares[0]) / second.pairs / size / len(ESTIMATORS)
            plain = first.fitted(0)[0]
            for rank in RANKS:
                add(form, str(rank), second.error(*first.fitted(2 * rank)))
            if form == "shared":
                add(form, "any", second.error(*first.fitted(first.second.shape[-1])))
            else:
                add("heads, scale of rank 0", "1", second.error(*first.fitted(2, plain)))
                add("heads, without signs", "1", second.error(*first.fitted(2, 0.0)))
    whole = errors["shared"]["0"]
    return {
        "mean_square_score": energy,
        "relative_to_rank_0": {
            form: {rank: value / whole for rank, value in own.items()} for form, own in errors.items()
        },
    }
