"""Scores of rain amounts with intervals: sums by block, and formulas of the package `scores`.

=============== ==================================================================================================
continuous      bias, ratio of means, mae, rmse, Pearson correlation, ratio of standard deviations (Taylor 2001)
by threshold    the contingency family: csi (threat score), ets (Gilbert), pod, far, frequency bias, hss, pss, sedi
by scale        fss, the fractions skill score (Roberts and Lean 2008), of squares of so many cells inside the grid
ensembles       crps (fair), Brier score by threshold, spread over the error of the mean
=============== ==================================================================================================
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sciml.parallel.bounded import ALONE, TaskRunner, in_order
from sciml.verify.forecast.block_bootstrap import Blocks, library

__all__ = ["CATEGORICAL", "CONTINUOUS", "categorical", "continuous", "ensemble", "fractions"]

Array = NDArray[Any]

CATEGORICAL: Final[Mapping[str, str]] = {
    "csi": "critical_success_index",
    "ets": "equitable_threat_score",
    "pod": "probability_of_detection",
    "far": "false_alarm_ratio",
    "frequency_bias": "frequency_bias",
    "hss": "heidke_skill_score",
    "pss": "peirce_skill_score",
    "sedi": "symmetric_extremal_dependence_index",
}
"""Names of the scores, and their methods of `scores.categorical.BasicContingencyManager`."""

CONTINUOUS: Final = ("bias", "ratio", "mae", "rmse", "correlation", "spread_ratio")
COUNTS: Final = ("tp_count", "fn_count", "fp_count", "tn_count")
ENDS: Final = ("lower", "upper")
MESSAGE: Final = 4 << 20
"""Bytes of rain in the message of a task."""


def _scored(score: Callable[..., Mapping[str, Array]], sums: Array, blocks: Blocks) -> dict[str, Array]:
    """Compute every score of the sample and its interval, (3, ...): value, lower, upper."""
    whole, drawn = score(*sums.sum(-1)[..., None]), score(*blocks.resampled(sums))
    return {
        name: np.concatenate([value, blocks.interval(np.asarray(drawn[name]))], -1)
        for name, value in whole.items()
    }


def _table(scores: Mapping[str, Array], dims: tuple[str, ...], coords: Mapping[str, Any]) -> xr.Dataset:
    ends = {"estimate": ["value", *ENDS]}
    return xr.Dataset(
        {name: ((*dims, "estimate"), value) for name, value in scores.items()}, {**coords, **ends}
    )


def continuous(reference: Array, candidate: Array, blocks: Blocks) -> xr.Dataset:
    """Compute scores of the amounts, (estimate,), without cells that are NaN on either side.

    Parameters
    ----------
    reference, candidate
        (window, y, x), mm.
    """
    known = np.isfinite(reference) & np.isfinite(candidate)
    r, c = np.where(known, reference, 0.0), np.where(known, candidate, 0.0)
    parts = (known, r, c, c - r, r * r, c * c, r * c, np.abs(c - r), (c - r) ** 2)
    sums = np.stack([blocks.sums(np.asarray(part, np.float64)) for part in parts])
    return _table(_scored(_moments, sums, blocks), (), {})


def _moments(
    n: Array, r: Array, c: Array, gap: Array, rr: Array, cc: Array, rc: Array, far: Array, sq: Array
) -> dict[str, Array]:
    with np.errstate(all="ignore"):
        mean_r, mean_c = r / n, c / n
        # The variance of equal values is a rounding error.
        var_r, var_c = (
            np.where(x < 1e-12 * xx / n, 0.0, x)
            for x, xx in ((rr / n - mean_r**2, rr), (cc / n - mean_c**2, cc))
        )
        together = rc / n - mean_r * mean_c
        return {
            "mean_reference": mean_r,
            "mean_candidate": mean_c,
            "bias": gap / n,
            "ratio": np.where(r > 0, c / r, np.nan),
            "mae": far / n,
            "rmse": np.sqrt(sq / n),
            "correlation": np.where(var_r * var_c > 0, together / np.sqrt(var_r * var_c), np.nan),
            "spread_ratio": np.where(var_r > 0, np.sqrt(var_c / var_r), np.nan),
        }


def categorical(
    reference: Array, candidate: Array, thresholds: Sequence[float], blocks: Blocks
) -> xr.Dataset:
    """Compute contingency scores, (threshold, estimate), and counts, (threshold,); an event reaches its threshold.

    Parameters
    ----------
    reference, candidate
        (window, y, x), mm.
    thresholds
        Thresholds, mm.
    """
    known = np.isfinite(reference) & np.isfinite(candidate)
    sums = []
    for threshold in thresholds:
        r, c = reference >= threshold, candidate >= threshold
        four = (r & c, r & ~c, ~r & c, ~r & ~c)
        sums.append([blocks.sums((event & known).astype(np.float64)) for event in four])
    by_count: Array = np.moveaxis(np.asarray(sums), 1, 0)
    scores = _scored(_contingency, by_count, blocks)
    table = _table(scores, ("threshold",), {"threshold": list(thresholds)})
    for name, count in zip(
        ("hits", "misses", "false_alarms", "correct_negatives"), by_count.sum(-1), strict=True
    ):
        table[name] = "threshold", count.astype(np.int64)
    return table


def _contingency(*counts: Array) -> dict[str, Array]:
    """Compute each score with the package, for counts of any shape."""
    dims = [f"d{k}" for k in range(counts[0].ndim)]
    given = {name: xr.DataArray(count, dims=dims) for name, count in zip(COUNTS, counts, strict=True)}
    given["total_count"] = sum(given.values(), xr.zeros_like(given["tp_count"]))
    manager = library("categorical").BasicContingencyManager(given)
    with np.errstate(all="ignore"):
        scores = {name: getattr(manager, theirs)().values for name, theirs in CATEGORICAL.items()}
    hits, misses, alarms, _ = counts
    # With events on both sides and no error the score is a limit that its formula does not have.
    perfect = (hits > 0) & (misses == 0) & (alarms == 0)
    scores["sedi"] = np.where(perfect, 1.0, scores["sedi"])
    return {name: np.where(np.isfinite(value), value, np.nan) for name, value in scores.items()}


def fractions(
    reference: Array,
    candidate: Array,
    thresholds: Sequence[float],
    scales: Sequence[int],
    blocks: Blocks,
    run: TaskRunner = ALONE,
) -> xr.Dataset:
    """Compute the fractions skill score of all windows together, (threshold, scale, estimate).

    Parameters
    ----------
    reference, candidate
        (window, y, x), mm, without NaN.
    scales
        Sides of the squares, cells; the squares are inside the grid.
    run
        Carries out the tasks, a few windows each; the bits do not depend on it.

    Notes
    -----
    ``value`` is computed from sums of the squares of the fractions by window, and equals `scores.spatial.fss_2d` up to
    rounding; the interval is that of sums by block. NaN where neither side has an event.
    """
    size = max(1, MESSAGE // (2 * reference[:1].nbytes))
    pieces = [
        (reference[start : start + size], candidate[start : start + size])
        for start in range(0, len(reference), size)
    ]
    of_a_piece = partial(_squares, tuple(thresholds), tuple(scales), blocks)
    parts = list(in_order(run(of_a_piece, pieces, lambda done, count: None)))
    out = np.full((len(thresholds), len(scales), 3), np.nan)
    for i, j in np.ndindex(len(thresholds), len(scales)):
        sums = np.concatenate([part[i, j] for part in parts], -1)
        whole, drawn = sums.sum(-1), blocks.resampled(sums)
        if not whole[:2].any():
            continue
        out[i, j, 0] = 1 - whole[2] / (whole[0] + whole[1])
        with np.errstate(all="ignore"):
            out[i, j, 1:] = blocks.interval(1 - drawn[2] / (drawn[0] + drawn[1]))
    return _table(
        {"fss": out}, ("threshold", "scale"), {"threshold": list(thresholds), "scale": list(scales)}
    )


def _squares(
    thresholds: tuple[float, ...], scales: tuple[int, ...], blocks: Blocks, piece: tuple[Array, Array]
) -> Array:
    """Sum squares of fractions of some windows, (threshold, scale, 3, window * subdomain_y * subdomain_x).

    The three are the squares of the reference, of the candidate and of their difference.
    """
    shape = piece[0].shape
    out = []
    for threshold in thresholds:
        events = [(values >= threshold).astype(np.float64) for values in piece]
        for scale in scales:
            of_r, of_c = (_fraction(event, scale) for event in events)
            squares = (of_r**2, of_c**2, (of_r - of_c) ** 2)
            out.append([blocks.sums(_spread(values, shape, scale)) for values in squares])
    sums: Array = np.asarray(out)
    return sums.reshape(len(thresholds), len(scales), *sums.shape[1:])


def _fraction(events: Array, scale: int) -> Array:
    """Compute the share of events in every square inside the grid, (window, y - scale + 1, x - scale + 1)."""
    total = np.pad(events, ((0, 0), (1, 0), (1, 0))).cumsum(1).cumsum(2)
    inner = (
        total[:, scale:, scale:]
        - total[:, :-scale, scale:]
        - total[:, scale:, :-scale]
        + total[:, :-scale, :-scale]
    )
    return np.asarray(inner / scale**2)


def _spread(values: Array, shape: tuple[int, ...], scale: int) -> Array:
    """Place the squares at their middles, with zeros at the sides, so that they have the shape of the fields."""
    low = scale // 2
    rows, columns = (size - n - low for size, n in zip(shape[1:], values.shape[1:], strict=True))
    return np.pad(values, ((0, 0), (low, rows), (low, columns)))


def ensemble(reference: Array, members: Array, thresholds: Sequence[float], blocks: Blocks) -> xr.Dataset:
    """Compute scores of an ensemble: ``crps`` (fair), ``brier`` by threshold, ``spread_skill``, rank histogram.

    Parameters
    ----------
    reference
        (window, y, x), mm.
    members
        (member, window, y, x), mm; at least two.

    Notes
    -----
    spread_skill: the root of the mean variance of the members over the RMSE of their mean, times sqrt((m + 1)/m), so
    that 1 is reliable (Fortin et al. 2014, doi 10.1175/JHM-D-14-0008.1).
    """
    probability = library("probability")
    dims = ("window", "y", "x")
    known = np.isfinite(reference) & np.isfinite(members).all(0)
    truth = xr.DataArray(np.where(known, reference, np.nan), dims=dims)
    cast = xr.DataArray(members, dims=("member", *dims))
    crps = probability.crps_for_ensemble(
        cast, truth, ensemble_member_dim="member", method="fair", preserve_dims=dims
    )
    brier = probability.brier_score_for_ensemble(
        cast, truth, ensemble_member_dim="member", event_thresholds=list(thresholds), preserve_dims=dims
    ).transpose("threshold", *dims)  # fmt: skip
    count = blocks.sums(known.astype(np.float64))
    mean, size = members.mean(0), len(members)

    def sums(values: Array) -> Array:
        return blocks.sums(np.where(known, values, 0.0))

    def average(total: Array, n: Array) -> dict[str, Array]:
        with np.errstate(all="ignore"):
            return {"score": total / n}

    def reliable(variance: Array, error: Array) -> dict[str, Array]:
        with np.errstate(all="ignore"):
            return {"score": np.sqrt((size + 1) / size * variance / error)}

    errors = np.stack([sums(members.var(0, ddof=1)), sums((mean - reference) ** 2)])
    table = _table(
        {
            "crps": _scored(average, np.stack([sums(crps.values), count]), blocks)["score"],
            "spread_skill": _scored(reliable, errors, blocks)["score"],
        },
        (),
        {},
    )
    by_threshold = [
        _scored(average, np.stack([sums(scores), count]), blocks)["score"] for scores in brier.values
    ]
    table["brier"] = ("threshold", "estimate"), np.stack(by_threshold)
    ranks = probability.rank_histogram(cast, truth, "member")
    table["rank_histogram"] = "rank", np.asarray(ranks.values)
    return table.assign_coords(threshold=list(thresholds))
