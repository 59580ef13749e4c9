"""How much the loss of a network increases if its tensors are quantised: second-order terms of all pairs of tensors."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from sciml.compress.loss_model import LossModel
from sciml.compress.second_order import (
    BatchLoss,
    batch_list,
    expand_loss,
    frozen_copy,
    mean_loss,
    mean_traces,
    replaced_weights,
)
from sciml.compress.widths import Quantiser, check_widths, round_to_width
from sciml.errors import InputError
from sciml.progress import Update
from sciml.tables import aligned

__all__ = ["Sensitivity", "measured_losses", "quantisation_errors", "sensitivity", "weight_names"]

Floats: TypeAlias = npt.NDArray[np.float64]
Method: TypeAlias = Literal["inter-layer", "cross", "semidefinite", "diagonal", "trace"]
LARGEST_ERROR = 1.0
"""Relative error of the predicted loss of the lowest widths above which the expansion does not hold."""
NEGLIGIBLE = 5e-3
"""Increase of the loss, relative to the loss, below which an error of the prediction does not matter."""


@dataclass(frozen=True, eq=False)
class Sensitivity:
    """Terms of the second-order expansion of a loss for tensors and widths.

    Attributes
    ----------
    tensors
        Names of the tensors.
    widths
        Widths in bits, increasing.
    sizes
        Number of weights of each tensor (tensor,).
    loss
        Loss of the network itself.
    slope
        ``g . D`` (tensor, width), where ``g`` is the gradient and ``D`` the quantised minus the given weights.
    curvature
        ``D_i^T H D_j`` (tensor, width, tensor, width).
    squares
        ``|D|^2`` (tensor, width).
    measured
        Measured increase of the loss with all tensors at the lowest width.
    mean_trace
        Mean of the Hessian's diagonal of each tensor (tensor,), or None if it was not computed.
    """

    tensors: tuple[str, ...]
    widths: tuple[int, ...]
    sizes: npt.NDArray[np.int64]
    loss: float
    slope: Floats
    curvature: Floats
    squares: Floats
    measured: float
    mean_trace: Floats | None = None

    @property
    def predicted(self) -> float:
        """Predicted increase of the loss with all tensors at the lowest width."""
        return float(self.model().predict(np.zeros(len(self.tensors), np.int64))[0])

    @property
    def holds(self) -> bool:
        """Whether the expansion predicts the loss of the lowest widths, and with it that of all others."""
        error = abs(self.predicted - self.measured)
        return error <= max(LARGEST_ERROR * abs(self.measured), NEGLIGIBLE * abs(self.loss))

    def model(self, method: Method = "inter-layer") -> LossModel:
        """Return the predicted loss of assignments.

        Parameters
        ----------
        method
            ``inter-layer``: ``g . D + 1/2 sum_ij D_i^T H D_j``; ``cross``: the same without the gradient;
            ``semidefinite``: ``cross`` without the negative eigenvalues of the matrix of the ``D_i^T H D_j``;
            ``diagonal``: ``1/2 sum_i D_i^T H D_i``; ``trace``: ``1/2 sum_i mean_trace_i |D_i|^2``, as HAWQ-V2.

        Raises
        ------
        InputError
            The method is unknown, or the trace was not computed.
        """
        tensors, widths = range(len(self.tensors)), range(len(self.widths))
        curvature = _positive_part(self.curvature) if method == "semidefinite" else self.curvature
        own = np.array([[curvature[t, w, t, w] for w in widths] for t in tensors])
        if method == "trace":
            if self.mean_trace is None:
                raise InputError("method 'trace' without a trace: call sensitivity with probes")
            return LossModel(method, self.tensors, self.widths, 0.5 * self.mean_trace[:, None] * self.squares)
        if method == "diagonal":
            return LossModel(method, self.tensors, self.widths, 0.5 * own)
        if method in ("cross", "inter-layer", "semidefinite"):
            single = 0.5 * own + (self.slope if method == "inter-layer" else 0.0)
            return LossModel(method, self.tensors, self.widths, single, curvature)
        raise InputError(f"method={method!r}: give inter-layer, cross, semidefinite, diagonal or trace")

    def front_model(self) -> LossModel:
        """Return the model for a front: ``inter-layer``, or ``semidefinite`` if that predicts a decrease of the loss.

        A loss on data of which the network has not seen enough has a gradient, and sums of many tensors with negative
        terms predict decreases that do not occur. They would dominate all assignments that are more expensive.
        """
        made = self.model()
        falls = np.minimum(made.single, 0.0).min(1).sum()
        return self.model("semidefinite") if falls < -NEGLIGIBLE * abs(self.loss) else made

    def layer_scores(self, method: Literal["trace", "diagonal", "row-sum"]) -> Floats:
        """Return one number for each tensor at the lowest width, to order the tensors by (tensor,).

        ``row-sum`` adds to each tensor's own term half of its terms with all others.
        """
        if method == "row-sum":
            return np.asarray(0.5 * self.curvature[:, 0, :, 0].sum(1), np.float64)
        return self.model(method).single[:, 0]

    def __repr__(self) -> str:
        model = self.model()
        head = ("tensor", "weights", *(f"{width} bit" for width in self.widths))
        rows = [
            (name, str(size), *(f"{value:.2e}" for value in values))
            for name, size, values in zip(self.tensors, self.sizes, model.single, strict=True)
        ]
        return "\n".join(
            [
                f"Sensitivity of {len(self.tensors)} tensors, loss {self.loss:.4g}",
                *aligned([head, *rows], indent="  "),
                f"  all at {self.widths[0]} bit: predicted {self.predicted:+.3g}, measured {self.measured:+.3g}",
            ]
        )


def sensitivity(
    model: nn.Module,
    data: object,
    loss: BatchLoss,
    widths: Sequence[int] = (4, 8, 16),
    *,
    tensors: Sequence[str] | None = None,
    quantiser: Quantiser = round_to_width,
    probes: int | None = 0,
    seed: int = 7,
    progress: Callable[[str], Update] | None = None,
) -> Sensitivity:
    """Expand the loss of a network to second order in the quantisation errors of its tensors, with all pair terms.

    Parameters
    ----------
    model
        Network of any layers whose backward pass can be differentiated; `torch.nn.LSTM` and `sciml.nn.LSTM` are
        computed by kernels for which that is so. It is not changed. Parametrised weights are replaced by dense ones.
    data
        Batches: a list of tensors, of tuples, or of mappings of tensors, whose first dimension is the sample.
    loss
        Function ``loss(model, batch)`` that returns the mean loss of the batch, or a mapping with the key ``loss``.
    widths
        Widths in bits.
    tensors
        Names of the weights; by default all with two dimensions or more.
    quantiser
        Function ``quantiser(name, weight, width)`` that returns the values of a tensor after quantisation; by default
        `sciml.compress.widths.round_to_width`.
    probes
        Number of random vectors for the trace of the Hessian, which is a baseline; 0 leaves it out, and None computes
        it with one vector for each weight.
    seed
        Seed of the random vectors.
    progress
        Function that starts the display of a stage by its name, such as `sciml.progress.StageProgress.stage`.

    Returns
    -------
    Sensitivity
        Terms of the expansion. One Hessian-vector product is computed for each tensor, width and batch.

    Raises
    ------
    InputError
        Bad widths, no data, a tensor that the network does not have, or a loss that is not finite.

    Warns
    -----
    UserWarning
        The expansion does not predict the measured loss of the lowest widths, because the errors are too large: measure
        the losses of single tensors instead (`measured_losses`).

    Notes
    -----
    The increase of the loss is ``g . D + 1/2 sum_ij D_i^T H D_j``. The sum over pairs is our form of the inter-layer
    dependencies of arXiv 2306.04879, whose own augmentation formula could not be read. The gradient is not zero,
    because trainings stop before it is.

    Examples
    --------
    >>> net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1)).double()
    >>> x = torch.linspace(-1, 1, 30, dtype=torch.float64).reshape(10, 3)
    >>> terms = sensitivity(net, [x], lambda model, batch: (model(batch) - batch.sum(1, keepdim=True)).square().mean())
    >>> terms.tensors, terms.curvature.shape
    (('0.weight', '2.weight'), (2, 3, 2, 3))
    """
    chosen = check_widths(widths)
    batches = batch_list(data)
    fixed = frozen_copy(model)
    names = weight_names(fixed, tensors)
    errors = quantisation_errors(fixed, names, chosen, quantiser)
    directions = [{name: errors[name, width]} for name in names for width in chosen]
    stage = progress or _silent
    gradient, products = expand_loss(fixed, batches, loss, names, directions, stage("curvature"))
    shape = (len(names), len(chosen))
    slope = np.array([[_dot(gradient[name], errors[name, width]) for width in chosen] for name in names])
    squares = np.array([[_dot(errors[name, w], errors[name, w]) for w in chosen] for name in names])
    base = mean_loss(fixed, batches, loss)
    lowest = {name: fixed.get_parameter(name).detach() + errors[name, chosen[0]] for name in names}
    with replaced_weights(fixed, lowest):
        measured = mean_loss(fixed, batches, loss) - base
    trace = None
    if probes is None or probes > 0:
        means = mean_traces(fixed, batches, loss, names, probes=probes, seed=seed, update=stage("trace"))
        trace = np.array([means[name] for name in names])
    sizes = np.array([fixed.get_parameter(name).numel() for name in names])
    made = Sensitivity(
        names, chosen, sizes, base, slope, products.reshape(*shape, *shape), squares, measured, trace
    )
    if not made.holds:
        warnings.warn(
            f"with all tensors at {chosen[0]} bit the loss increases by {measured:.3g}, and the second-order expansion "
            f"predicts {made.predicted:.3g}: use larger widths, or measured losses",
            stacklevel=2,
        )
    return made


def measured_losses(
    model: nn.Module,
    data: object,
    loss: BatchLoss,
    widths: Sequence[int] = (4, 8, 16),
    *,
    tensors: Sequence[str] | None = None,
    quantiser: Quantiser = round_to_width,
    pairs: bool = False,
    progress: Callable[[str], Update] | None = None,
) -> LossModel:
    """Measure the increase of the loss for each tensor and width alone, and for all pairs on request.

    Parameters
    ----------
    model, data, loss, widths, tensors, quantiser, progress
        See `sensitivity`.
    pairs
        Whether to measure pairs too: ``L(i, j) - L(i) - L(j) + L``, as CLADO does. The number of evaluations is then
        quadratic in that of the tensors times widths.

    Returns
    -------
    LossModel
        Measured terms.

    Raises
    ------
    InputError
        As `sensitivity`.

    References
    ----------
    CLADO: Deng et al., Mixed-precision quantization with cross-layer dependencies, DAC 2025.
    """
    chosen = check_widths(widths)
    batches = batch_list(data)
    fixed = frozen_copy(model)
    names = weight_names(fixed, tensors)
    errors = quantisation_errors(fixed, names, chosen, quantiser)
    count, number = len(names), len(chosen)
    update = (progress or _silent)("measuring")
    total = count * number + (number**2 * count * (count - 1) // 2 if pairs else 0)
    done = 0

    def increase(*given: tuple[int, int]) -> float:
        nonlocal done
        weights = {
            names[t]: fixed.get_parameter(names[t]).detach() + errors[names[t], chosen[w]] for t, w in given
        }
        with replaced_weights(fixed, weights):
            made = mean_loss(fixed, batches, loss) - base
        done += 1
        update(done, total)
        return made

    base = mean_loss(fixed, batches, loss)
    single = np.array([[increase((t, w)) for w in range(number)] for t in range(count)])
    if not pairs:
        return LossModel("measured", names, chosen, single)
    table = np.zeros((count, number, count, number))
    for t in range(count):
        for u in range(t + 1, count):
            for w in range(number):
                for v in range(number):
                    table[t, w, u, v] = increase((t, w), (u, v)) - single[t, w] - single[u, v]
                    table[u, v, t, w] = table[t, w, u, v]
    return LossModel("measured pairs", names, chosen, single, table)


def weight_names(model: nn.Module, given: Sequence[str] | None = None) -> tuple[str, ...]:
    """Return the names of the weights to quantise: those given, or all of floats with two dimensions or more.

    Raises
    ------
    InputError
        A name is no weight of the network, or there is none.
    """
    own = {name: weight for name, weight in model.named_parameters() if weight.is_floating_point()}
    names = tuple(given) if given is not None else tuple(name for name, w in own.items() if w.ndim > 1)
    unknown = [name for name in names if name not in own]
    if unknown:
        raise InputError(f"tensor {unknown[0]!r} is not in the network: give names of {', '.join(own)}")
    if not names:
        raise InputError(
            f"{type(model).__name__} has no weights of two dimensions or more: there is nothing to choose"
        )
    return names


def quantisation_errors(
    model: nn.Module, names: Sequence[str], widths: Sequence[int], quantiser: Quantiser = round_to_width
) -> dict[tuple[str, int], Tensor]:
    """Compute quantised minus given weights, by name and width."""
    made: dict[tuple[str, int], Tensor] = {}
    with torch.no_grad():
        for name in names:
            weight = model.get_parameter(name).detach()
            for width in widths:
                rounded = torch.as_tensor(quantiser(name, weight.clone(), width)).to(weight)
                if rounded.shape != weight.shape:
                    raise InputError(
                        f"the quantiser returns {tuple(rounded.shape)} for {name} of {tuple(weight.shape)}: return the "
                        "same shape"
                    )
                made[name, width] = rounded - weight
    return made


def _positive_part(curvature: Floats) -> Floats:
    """Set the negative eigenvalues of the matrix (tensor x width, tensor x width) to zero."""
    tensors, widths = curvature.shape[:2]
    values, vectors = np.linalg.eigh(curvature.reshape(tensors * widths, -1))
    made = (vectors * values.clip(0.0)) @ vectors.T
    return np.asarray(made.reshape(curvature.shape), np.float64)


def _dot(first: Tensor, second: Tensor) -> float:
    return float((first.double() * second.double()).sum())


def _silent(name: str) -> Update:
    return lambda done, total: None
