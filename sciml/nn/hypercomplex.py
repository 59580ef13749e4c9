"""Weights that are sums of Kronecker products: hypercomplex layers with a learned or a given algebra."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sciml.checks import check_int
from sciml.errors import InputError

__all__ = ["Hypercomplex", "hamilton"]

_SIGNED_PARTS = ((1, -2, -3, -4), (2, 1, -4, 3), (3, 4, 1, -2), (4, -3, 2, 1))


def hamilton() -> Tensor:
    """Return the algebra of quaternions, (4, 4, 4).

    Returns
    -------
    Tensor
        Matrices A_r, A_i, A_j, A_k of the product from the left with r + i + j + k.

    Examples
    --------
    >>> a = hamilton()
    >>> [[int(x) for x in row] for row in (a * torch.arange(1, 5)[:, None, None]).sum(0)]
    [[1, -2, -3, -4], [2, 1, -4, 3], [3, 4, 1, -2], [4, -3, 2, 1]]
    """
    signed = torch.tensor(_SIGNED_PARTS)
    parts = torch.arange(1, 5)[:, None, None]
    return torch.where(signed.abs() == parts, signed.sign(), 0).float()


class Hypercomplex(nn.Module):
    """Parametrisation of a weight as the sum of n Kronecker products, ``W = sum_i A_i (x) F_i``.

    ``W[p K + k, q L + l, ...] = sum_i A_i[p, q] F_i[k, l, ...]`` for a weight (M, C, ...), with K = M / n and
    L = C / n. It has n^3 + M C / n numbers per tap of a convolution in place of M C. The weight of an LSTM is a
    matrix (4 hidden, inputs), so a block of rows may hold rows of several gates.

    Parameters
    ----------
    n
        Number of products; it divides both sizes of the weight.
    algebra
        Fixed A, (n, n, n), such as that of `hamilton`; None learns A.
    transposed
        Whether the weight has the inputs in its first dimension, as those of `torch.nn.ConvTranspose2d`.
    inputs
        Number of inputs, if n need not divide it. The layer then has the weight of the next multiple of n without its
        last columns, as if inputs of zeros were added.

    Raises
    ------
    InputError
        n or the number of inputs is less than 1, the algebra has another shape, or, when it is registered, the weight
        has another number of inputs or n does not divide the sizes.

    Notes
    -----
    Grassucci, Zhang and Comminiello, IEEE Trans. Neural Netw. Learn. Syst., 2022. The transposed convolution and the
    LSTM are our form. The original tensors are A (n, n, n), unless it is fixed, and F (n, M/n, C/n, ...). Assigning a
    dense weight computes those of least squared error: by a singular value decomposition if A is learned. They give the
    weight up to rounding if it is a sum of n products.

    Examples
    --------
    >>> from torch.nn.utils import parametrize
    >>> layer = parametrize.register_parametrization(nn.Linear(8, 12), "weight", Hypercomplex(4))
    >>> [tuple(x.shape) for x in layer.parametrizations.weight.parameters()]
    [(4, 4, 4), (4, 3, 2)]
    """

    algebra: Tensor | None

    def __init__(
        self, n: int, algebra: Tensor | None = None, *, transposed: bool = False, inputs: int | None = None
    ) -> None:
        super().__init__()
        check_int("n", n, 1, owner="Hypercomplex")
        if inputs is not None:
            check_int("inputs", inputs, 1, owner="Hypercomplex")
        self.inputs = inputs
        self.n, self.transposed = int(n), transposed
        if algebra is not None and tuple(algebra.shape) != (n, n, n):
            raise InputError(
                f"Hypercomplex({n}) with an algebra of shape {tuple(algebra.shape)}: give {(n,) * 3}"
            )
        self.register_buffer("algebra", None if algebra is None else algebra.detach().clone())

    def forward(self, *originals: Tensor) -> Tensor:
        """Compute the dense weight from A and F, or from F alone if A is fixed."""
        algebra, factors = originals if self.algebra is None else (self.algebra, *originals)
        n = self.n
        _, rows, columns, *taps = factors.shape
        products = algebra.reshape(n, n * n).T @ factors.reshape(n, -1)
        dense = (
            products.reshape(n, n, rows, columns, *taps).transpose(1, 2).reshape(n * rows, n * columns, *taps)
        )
        if self.inputs is not None:
            dense = dense[:, : self.inputs]
        return dense.transpose(0, 1) if self.transposed else dense

    def right_inverse(self, weight: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Compute A and F of a dense weight, or F alone if A is fixed, with the least squared error.

        Raises
        ------
        InputError
            n does not divide the sizes of the weight, or it has another number of inputs.
        """
        self.check_sizes(tuple(weight.shape))
        n, dense = self.n, weight.transpose(0, 1) if self.transposed else weight
        inputs, missing = dense.shape[1], -dense.shape[1] % n
        if missing:
            dense = torch.cat([dense, dense.new_zeros(dense.shape[0], missing, *dense.shape[2:])], 1)
        rows, columns, *taps = dense.shape[0] // n, dense.shape[1] // n, *dense.shape[2:]
        blocks = dense.reshape(n, rows, n, columns, *taps).transpose(1, 2).double()
        known = None if self.algebra is None else self.algebra.reshape(n, n * n).T.double()
        if missing:
            blocks = _completed(blocks, known, inputs)
        blocks = blocks.reshape(n * n, -1)
        if known is not None:
            fitted: Tensor = torch.linalg.pinv(known) @ blocks
            return fitted.reshape(n, rows, columns, *taps).to(weight.dtype)
        left, sizes, right = torch.linalg.svd(blocks, full_matrices=False)
        # A has norms of 1, as in its random initialisation, so that a zero weight can still be learned.
        factors = blocks.new_zeros(n, blocks.shape[1])
        algebra = blocks.new_zeros(n, n * n)
        count = min(n, len(sizes))
        factors[:count] = sizes[:count, None] * right[:count]
        algebra[:count] = left.T[:count]
        made = algebra.reshape(n, n, n), factors.reshape(n, rows, columns, *taps)
        return made[0].to(weight.dtype), made[1].to(weight.dtype)

    def check_sizes(self, shape: tuple[int, ...]) -> None:
        """Check that n divides the sizes of a weight.

        Raises
        ------
        InputError
            It does not, or the weight has another number of inputs than was given.
        """
        outputs, inputs = shape[:2][:: -1 if self.transposed else 1] if len(shape) > 1 else (1, 1)
        wrong = inputs % self.n if self.inputs is None else inputs - self.inputs
        if len(shape) < 2 or outputs % self.n or wrong:
            raise InputError(
                f"Hypercomplex({self.n}) of a weight {shape}: {self.n} does not divide its first two sizes; "
                "give another n, or leave this weight real"
            )

    @torch.no_grad()
    def initialise(self, *originals: Tensor) -> None:
        """Draw the original tensors as the authors do: Glorot, uniform, from the sizes of these tensors."""
        for original in originals:
            nn.init.xavier_uniform_(original)

    def extra_repr(self) -> str:
        """Return the settings."""
        return f"{self.n}{'' if self.algebra is None else ', fixed algebra'}"


def _completed(blocks: Tensor, known: Tensor | None, inputs: int) -> Tensor:
    """Fill the columns of the inputs that a weight does not have, for a sum of n products.

    The columns with a value at all n x n positions give the algebra, unless it is known, and the values that a column
    has give its factors.
    """
    n, _, rows, columns, *taps = blocks.shape
    filled = blocks.reshape(n, n, rows, columns, -1).clone()
    seen = torch.arange(n * columns, device=blocks.device).reshape(n, columns) < inputs
    whole = filled[:, :, :, seen.all(0)].reshape(n * n, -1)
    basis = torch.linalg.svd(whole, full_matrices=False)[0][:, :n] if known is None else known
    for column in torch.nonzero(~seen.all(0)).flatten().tolist():
        has = seen[:, column].repeat(n)
        values = filled[:, :, :, column].reshape(n * n, -1)
        values[~has] = basis[~has] @ (torch.linalg.pinv(basis[has]) @ values[has])
        filled[:, :, :, column] = values.reshape(n, n, rows, -1)
    return filled.reshape(n, n, rows, columns, *taps)
