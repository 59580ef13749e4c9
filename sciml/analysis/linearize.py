"""A network as a linear operator at a point: its frozen action, or its tangent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.sparse.linalg import LinearOperator, eigs, svds
from torch import Tensor

from sciml.analysis.frozen_action import FrozenAction, mark, tensors_in
from sciml.analysis.frozen_layers import LAYER_RULES
from sciml.analysis.frozen_rules import RULES
from sciml.checks import check_choice, check_whole
from sciml.errors import InputError

__all__ = ["Action", "LinearAction", "linearize"]

Array = NDArray[Any]
Action = Literal["frozen", "tangent"]

TOLERANCE = {torch.float64: 1e-10, torch.float32: 2e-3}
"""Largest error of the replay, relative to the output, above which a network is refused: it has a function whose action
is not linear although its name is known."""


class LinearAction(LinearOperator):  # type: ignore[misc]
    """The linear operator A of a network at x0, with ``net(x0) = A x0 + r``; made by `linearize`.

    It is a `scipy.sparse.linalg.LinearOperator` on the flattened inputs and outputs, in the order of C and joined if
    there are several. No matrix is formed unless `dense` is called: a product with a vector takes about the time of a
    backward pass, and so does one with the transpose.

    Parameters
    ----------
    mode
        ``frozen`` or ``tangent``.
    inputs, outputs
        Inputs at x0, which require gradients, and outputs computed from them.
    residual
        The effect of the biases, flattened, (output,); None computes ``net(x0) - A x0``.

    Attributes
    ----------
    output, residual
        ``net(x0)`` and ``r``, flattened, (output,). In mode ``frozen`` r is what the network returns for an input of
        zeros with the frozen action: the effect of its biases.
    point
        x0, flattened, (input,).
    input_shapes, output_shapes
        Shapes of the inputs and outputs of the network.
    """

    def __init__(
        self, mode: Action, inputs: Sequence[Tensor], outputs: Sequence[Tensor], residual: Tensor | None
    ) -> None:
        self.mode = mode
        self.input_shapes = tuple(tuple(x.shape) for x in inputs)
        self.output_shapes = tuple(tuple(y.shape) for y in outputs)
        self._inputs = tuple(inputs)
        self._flat = _joined(outputs)
        self._cotangent = torch.zeros_like(self._flat, requires_grad=True)
        self._gradients = self._derivative(self._flat, self._cotangent, create_graph=True)
        self.point: Array = _array(_joined(inputs))
        self.output: Array = _array(self._flat)
        super().__init__(self.point.dtype, (self._flat.numel(), self.point.size))
        self.residual: Array = self.output - self.matvec(self.point) if residual is None else _array(residual)

    def _derivative(
        self, of: Tensor, cotangent: Tensor, *, create_graph: bool = False
    ) -> list[Tensor | None]:
        if not of.requires_grad:
            return [None] * len(self._inputs)
        return list(
            torch.autograd.grad(
                of, self._inputs, cotangent, retain_graph=True, create_graph=create_graph, allow_unused=True
            )
        )

    def _matvec(self, x: Array) -> Array:
        # the adjoint is linear in its argument, so that its derivative is the operator itself
        pieces = torch.split(self._tensor(x), [int(np.prod(shape)) for shape in self.input_shapes])
        total = torch.zeros_like(self._flat)
        used = [
            (gradient, piece.reshape(shape))
            for gradient, piece, shape in zip(self._gradients, pieces, self.input_shapes, strict=True)
            if gradient is not None and gradient.requires_grad
        ]
        if used:
            gradients, directions = zip(*used, strict=True)
            (product,) = torch.autograd.grad(
                gradients, self._cotangent, directions, retain_graph=True, allow_unused=True
            )
            total = total if product is None else product
        return _array(total)

    def _rmatvec(self, y: Array) -> Array:
        gradients = self._derivative(self._flat, self._tensor(y))
        filled = [
            torch.zeros_like(x) if gradient is None else gradient
            for x, gradient in zip(self._inputs, gradients, strict=True)
        ]
        return _array(_joined(filled))

    def _tensor(self, x: ArrayLike) -> Tensor:
        return torch.from_numpy(np.array(x).reshape(-1)).to(self._flat)

    def columns(self, inputs: Sequence[int] | Array) -> Array:
        """Compute the effects of single inputs on all outputs, such as Green's functions of an operator.

        Parameters
        ----------
        inputs
            Numbers of the inputs, flattened, (column,).

        Returns
        -------
        numpy.ndarray
            (output, column).

        Raises
        ------
        InputError
            A number is out of range.
        """
        places = _places(inputs, self.shape[1], "inputs")
        made = np.empty((self.shape[0], len(places)), self.dtype)
        unit = np.zeros(self.shape[1], self.dtype)
        for number, where in enumerate(places):
            unit[where] = 1
            made[:, number] = self.matvec(unit)
            unit[where] = 0
        return made

    def rows(self, outputs: Sequence[int] | Array) -> Array:
        """Compute the attributions of single outputs to all inputs.

        Parameters
        ----------
        outputs
            Numbers of the outputs, flattened, (row,).

        Returns
        -------
        numpy.ndarray
            (row, input).

        Raises
        ------
        InputError
            A number is out of range.
        """
        places = _places(outputs, self.shape[0], "outputs")
        made = np.empty((len(places), self.shape[1]), self.dtype)
        unit = np.zeros(self.shape[0], self.dtype)
        for number, where in enumerate(places):
            unit[where] = 1
            made[number] = self.rmatvec(unit)
            unit[where] = 0
        return made

    def dense(self) -> Array:
        """Compute the whole matrix, (output, input)."""
        fewer = self.shape[0] <= self.shape[1]
        return self.rows(range(self.shape[0])) if fewer else self.columns(range(self.shape[1]))

    def replay(self) -> float:
        """Return the error of ``A x0 + r``, relative to the norm of the output of the network."""
        error = np.linalg.norm(self.matvec(self.point) + self.residual - self.output)
        return float(error / max(np.linalg.norm(self.output), np.finfo(self.dtype).tiny))

    def svds(self, k: int = 6, *, seed: int = 7) -> tuple[Array, Array, Array]:
        """Compute the k largest singular values and their vectors, without the matrix.

        Parameters
        ----------
        k
            Number of singular values.
        seed
            Seed of the first vector of the iteration.

        Returns
        -------
        tuple of numpy.ndarray
            Left vectors (output, k), values (k,) from the largest, right vectors (k, input).

        Raises
        ------
        InputError
            k is not between 1 and the smaller size of the operator.
        """
        least = min(self.shape)
        check_whole("k", k, 1)
        if k > least:
            raise InputError(f"k={k} singular values of an operator of {self.shape}: give at most {least}")
        if k > least - 1 or least < 4:
            u, s, v = np.linalg.svd(self.dense(), full_matrices=False)
            return u[:, :k], s[:k], v[:k]
        start = np.random.default_rng(seed).standard_normal(least).astype(self.dtype)
        u, s, v = svds(self, k, v0=start)
        order = np.argsort(-s)
        return u[:, order], s[order], v[order]

    def eigs(self, k: int = 6, *, seed: int = 7) -> tuple[Array, Array]:
        """Compute the k eigenvalues of largest size and their vectors, without the matrix.

        Parameters
        ----------
        k
            Number of eigenvalues.
        seed
            Seed of the first vector of the iteration.

        Returns
        -------
        tuple of numpy.ndarray
            Values (k,), complex, from the largest; vectors (input, k).

        Raises
        ------
        InputError
            The operator is not square, or k is not between 1 and its size.
        """
        size = self.shape[0]
        if size != self.shape[1]:
            raise InputError(f"eigenvalues of an operator of {self.shape}: it is not square; use svds")
        check_whole("k", k, 1)
        if k > size:
            raise InputError(f"k={k} eigenvalues of an operator of {self.shape}: give at most {size}")
        if k > size - 2:
            values, vectors = np.linalg.eig(self.dense())
        else:
            start = np.random.default_rng(seed).standard_normal(size).astype(self.dtype)
            values, vectors = eigs(self, k, v0=start)
        order = np.argsort(-np.abs(values))[:k]
        return values[order].astype(complex), vectors[:, order].astype(complex)

    def asymmetry(self) -> float:
        """Return ``|A - A^T| / |A|`` in the Frobenius norm, of the whole matrix.

        Raises
        ------
        InputError
            The operator is not square.
        """
        if self.shape[0] != self.shape[1]:
            raise InputError(f"an operator of {self.shape} has no symmetry defect: it is not square")
        matrix = self.dense()
        return float(
            np.linalg.norm(matrix - matrix.T) / max(np.linalg.norm(matrix), np.finfo(self.dtype).tiny)
        )


def linearize(
    net: Callable[..., Any], x0: Tensor | Sequence[Tensor], mode: Action = "frozen"
) -> LinearAction:
    """Make the linear operator that a network is at a point.

    The mode ``frozen`` is the action of the network whose nonlinear functions are frozen at x0: ReLU is a mask,
    attention has fixed weights, and so on (`sciml.analysis.frozen_rules` defines all). It replays the output exactly,
    ``net(x0) = A x0 + r``, with r the effect of the biases, and attributes the output to the inputs. The mode
    ``tangent`` is the Jacobian, the response to a small change. Both are equal for networks whose functions are
    piecewise linear; for GELU or an LSTM they differ by tens of per cent, and a linear response needs ``tangent``.

    Parameters
    ----------
    net
        A network, or another function of tensors. Call ``eval()`` first if it has dropout.
    x0
        Input, or a sequence of inputs with which the network is called.
    mode
        ``frozen`` or ``tangent``.

    Returns
    -------
    LinearAction
        The operator, with its residual.

    Raises
    ------
    InputError
        A function of the network has no frozen action (the message names it and the module), the path of the network
        depends on its input, x0 or the output is not of real floating-point numbers, or the mode is unknown.

    Notes
    -----
    Navarrete Michelini, Liu, Lu and Jiang (2019), A tour of convolutional networks guided by linear interpreters, ICCV,
    arXiv 1908.05168: the frozen action. The authors published no code, and the abstract states it for ReLU; the other
    definitions are ours.

    Examples
    --------
    >>> from torch import nn
    >>> net = nn.Sequential(nn.Linear(2, 3), nn.GELU(), nn.Linear(3, 1)).double()
    >>> a = linearize(net, torch.tensor([0.5, -1.0], dtype=torch.float64))
    >>> a.shape, bool(abs(a @ a.point + a.residual - a.output) < 1e-15)
    ((1, 2), True)
    """
    check_choice("mode", mode, get_args(Action))
    given = (x0,) if isinstance(x0, Tensor) else tuple(x0)
    _check_inputs(given)
    inputs = [x.detach().clone().requires_grad_() for x in given]
    with torch.enable_grad():
        if mode == "tangent":
            return LinearAction(mode, inputs, _outputs(net(*(x.clone() for x in inputs))), None)
        recorded = FrozenAction({**RULES, **LAYER_RULES}, inputs)
        outputs = _run(net, inputs, recorded)
        zeros = [torch.zeros_like(x).requires_grad_() for x in given]
        residual = _joined(_run(net, zeros, FrozenAction(recorded.rules, zeros, recorded.tape))).detach()
    action = LinearAction(mode, inputs, outputs, residual)
    with torch.no_grad():
        plain = _joined(_outputs(net(*(x.detach().clone() for x in given))))
    _check_replay(action, plain)
    return action


def _run(net: Callable[..., Any], inputs: Sequence[Tensor], action: FrozenAction) -> list[Tensor]:
    marked = [mark(x.clone()) for x in inputs]  # functions in place may change a copy, not a leaf
    with action:
        result = net(*marked)
    outputs = _outputs(result)
    action.check(outputs)
    return outputs


def _check_inputs(given: Sequence[Tensor]) -> None:
    if not given or not all(isinstance(x, Tensor) and x.is_floating_point() for x in given):
        kinds = ", ".join(str(getattr(x, "dtype", type(x).__name__)) for x in given) or "nothing"
        raise InputError(f"x0 of {kinds}: give tensors of real floating-point numbers")
    if len({(x.dtype, x.device) for x in given}) > 1:
        raise InputError("x0 of several dtypes or devices: convert them to one")
    bad = sum(int((~torch.isfinite(x)).sum()) for x in given)
    if bad:
        raise InputError(f"{bad} numbers of x0 are not finite: give another point")


def _outputs(result: Any) -> list[Tensor]:
    tensors = list(tensors_in((result,)))
    if not tensors or not all(y.is_floating_point() for y in tensors):
        raise InputError("the network returns no tensors of real floating-point numbers: select such outputs")
    return tensors


def _check_replay(action: LinearAction, plain: Tensor) -> None:
    exact = _array(plain)
    replayed = action.matvec(action.point) + action.residual
    scale = max(
        float(np.linalg.norm(exact)), float(np.linalg.norm(action.residual)), np.finfo(exact.dtype).tiny
    )
    error = float(np.linalg.norm(replayed - exact)) / scale
    if not error <= TOLERANCE.get(plain.dtype, 0.1):
        raise InputError(
            f"the replay of the network has the relative error {error:.2g}: it computes with tensors outside of "
            "torch's functions, or is random; use mode='tangent'"
        )


def _joined(tensors: Sequence[Tensor]) -> Tensor:
    return torch.cat([x.reshape(-1) for x in tensors])


def _array(x: Tensor) -> Array:
    array: Array = x.detach().cpu().numpy().copy()
    return array


def _places(numbers: Sequence[int] | Array, size: int, name: str) -> Array:
    places: Array = np.atleast_1d(np.asarray(numbers))
    if places.ndim != 1 or not np.issubdtype(places.dtype, np.integer):
        raise InputError(
            f"{name} of shape {places.shape} and {places.dtype}: give whole numbers in a sequence"
        )
    bad = places[(places < -size) | (places >= size)]
    if bad.size:
        raise InputError(f"number {int(bad[0])} of {size} {name}: give one from 0 to {size - 1}")
    return places
