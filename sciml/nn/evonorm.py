"""EvoNorm: normalisations that are also activations (Liu, Brock, Simonyan and Le, NeurIPS 2020)."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor, nn

from sciml.checks import check_int, is_number
from sciml.errors import InputError

__all__ = ["EvoNorm", "EvoNormKind"]

EvoNormKind = Literal["B0", "B1", "B2", "S0", "S0a", "S1", "S1a", "S2", "S2a"]
Rules = Literal["authors", "timm"]
GROUPS = 32
_TIMM_EPS = {"B0": 1e-3, "S0a": 1e-3, "S1a": 1e-3, "S2a": 1e-3}
EPS = 1e-5


class EvoNorm(nn.Module):
    """Normalisation and activation in one, ``gamma a(x) + beta`` for fields (sample, channel, ...) of 1 to 3 axes.

    With the variances s2 of the batch (over samples and points), of the instance (over points) and of a group of
    channels (over its channels and points), and the root mean squares r in their place, a(x) is

    - B0: ``x / max(sqrt(s2_batch + eps), v x + sqrt(s2_instance + eps))``
    - B1: ``x / max(sqrt(s2_batch + eps), (x + 1) r_instance)``
    - B2: ``x / max(sqrt(s2_batch + eps), r_instance - x)``
    - S0: ``x sigmoid(v x) / sqrt(s2_group + eps)``
    - S1: ``x sigmoid(x) / sqrt(s2_group + eps)``
    - S2: ``x sigmoid(x) / r_group``

    No mean is subtracted, and all variances are divided by the number of values. In evaluation, B0 to B2 use a running
    mean of s2_batch in place of it. S0a, S1a and S2a have the same a(x), and differ without activation.

    Parameters
    ----------
    channels
        Number of channels.
    kind
        One of the names above.
    groups
        Number of groups of the S series, contiguous channels. By the rules of the authors it is lowered until it
        divides the channels.
    ndim
        Number of axes after the channels; None accepts 1, 2 and 3.
    activation
        False leaves ``gamma x + beta``, and of S0a, S1a and S2a ``gamma x / sqrt(s2_group + eps) + beta`` (S2a:
        r_group).
    rules
        ``authors``: the official code for TensorFlow, with eps 1e-5 and a running mean of the variance itself.
        ``timm``: eps 1e-3 in B0, S0a, S1a and S2a, a running mean of n / (n - 1) times the variance, and groups that
        have to divide the channels.
    eps
        Added to variances, in place of that of the rules.
    momentum
        Weight of a batch in the running mean.

    Raises
    ------
    InputError
        A setting is out of range, or by the rules of timm the groups do not divide the channels. Raised by ``forward``:
        the field has another number of channels or axes.

    Notes
    -----
    The authors published B0 and S0 (tensorflow/tpu, models/official/resnet); the others are as in timm 1.0.31. All
    depend little on the resolution, since variances are means over points. The S series and, in evaluation, the result
    for a sample do not depend on the batch. Kinds of the S series remove the amplitude of a field: leave another path
    from input to output where the amplitude matters, as the networks of this package do.

    Examples
    --------
    >>> EvoNorm(6, "S0")(torch.ones(2, 6, 4, 5)).shape, EvoNorm(6, "S0").groups
    (torch.Size([2, 6, 4, 5]), 6)
    """

    running_var: Tensor

    def __init__(
        self,
        channels: int,
        kind: EvoNormKind = "S0",
        *,
        groups: int = GROUPS,
        ndim: int | None = None,
        activation: bool = True,
        rules: Rules = "authors",
        eps: float | None = None,
        momentum: float = 0.1,
    ) -> None:
        super().__init__()
        check_int("channels", channels, 1, owner="EvoNorm")
        check_int("groups", groups, 1, owner="EvoNorm")
        for name, value, known in (("kind", kind, EvoNormKind), ("rules", rules, Rules)):
            if value not in get_args(known):
                raise InputError(f"EvoNorm({name}={value!r}): give one of {', '.join(get_args(known))}")
        if ndim is not None and ndim not in (1, 2, 3):
            raise InputError(f"EvoNorm(ndim={ndim!r}): give 1, 2, 3 or None")
        self.eps = (_TIMM_EPS.get(kind, EPS) if rules == "timm" else EPS) if eps is None else eps
        for name, number, most in (("eps", self.eps, None), ("momentum", momentum, 1.0)):
            if not (is_number(number) and number >= 0 and (most is None or number <= most)):
                least = "a number of 0 or more" if most is None else "a number from 0 to 1"
                raise InputError(f"EvoNorm({name}={number!r}): give {least}")
        if rules == "timm" and kind[0] == "S" and channels % groups:
            raise InputError(
                f"EvoNorm(groups={groups}) does not divide {channels} channels: give a number that does, or "
                "rules='authors', which lower it"
            )
        self.channels, self.kind, self.ndim, self.rules = channels, kind, ndim, rules
        self.groups = next(n for n in range(min(groups, channels), 0, -1) if channels % n == 0)
        self.activation, self.momentum = bool(activation), float(momentum)
        self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))
        gated = kind in ("B0", "S0", "S0a") and activation
        self.v = nn.Parameter(torch.ones(channels)) if gated else None
        if kind[0] == "B":
            self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise a field (sample, channel, ...)."""
        if x.ndim < 3 or x.ndim > 5 or x.shape[1] != self.channels or self.ndim not in (None, x.ndim - 2):
            axes = "1 to 3" if self.ndim is None else str(self.ndim)
            raise InputError(
                f"EvoNorm of a field {tuple(x.shape)}: give (sample, {self.channels}, ...) with {axes} more axes"
            )
        made = self._by_batch(x) if self.kind[0] == "B" else self._by_group(x)
        return made * self._along(self.weight, x) + self._along(self.bias, x)

    def _by_batch(self, x: Tensor) -> Tensor:
        if not self.activation:
            return x
        axes = tuple(range(2, x.ndim))
        size = self._along(torch.sqrt(self._batch_variance(x, (0, *axes)) + self.eps), x)
        if self.kind == "B0":
            assert self.v is not None
            other = self._along(self.v, x) * x + torch.sqrt(_variance(x, axes) + self.eps).to(x.dtype)
        else:
            root = torch.sqrt(_precise(x).square().mean(axes, keepdim=True) + self.eps).to(x.dtype)
            other = (x + 1) * root if self.kind == "B1" else root - x
        return x / torch.maximum(size, other)

    def _batch_variance(self, x: Tensor, axes: tuple[int, ...]) -> Tensor:
        if not self.training:
            return self.running_var
        variance = _variance(x, axes).flatten()
        with torch.no_grad():
            count = x.numel() // self.channels
            factor = count / max(count - 1, 1) if self.rules == "timm" else 1.0
            self.running_var.lerp_((factor * variance).to(self.running_var.dtype), self.momentum)
        return variance

    def _by_group(self, x: Tensor) -> Tensor:
        if not self.activation and not self.kind.endswith("a"):
            return x
        grouped = _precise(x).reshape(x.shape[0], self.groups, -1)  # not len(x), which an export fixes
        about_zero = self.kind.startswith("S2")
        square = grouped.square().mean(-1) if about_zero else grouped.var(-1, correction=0)
        size = torch.sqrt(square + self.eps).repeat_interleave(self.channels // self.groups, 1)
        size = size.to(x.dtype)[(..., *[None] * (x.ndim - 2))]
        if not self.activation:
            return x / size
        gate = x if self.v is None else self._along(self.v, x) * x
        return x * torch.sigmoid(gate) / size

    def _along(self, values: Tensor, x: Tensor) -> Tensor:
        """Return numbers for each channel in a shape that multiplies a field."""
        return values.to(x.dtype).reshape(-1, *[1] * (x.ndim - 2))

    def extra_repr(self) -> str:
        """Return the settings."""
        groups = f", groups={self.groups}" if self.kind[0] == "S" else ""
        return f"{self.channels}, {self.kind}{groups}, eps={self.eps:g}"


def _precise(x: Tensor) -> Tensor:
    """Return a field in float32 at least, for its variances."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _variance(x: Tensor, axes: tuple[int, ...]) -> Tensor:
    return _precise(x).var(axes, correction=0, keepdim=True)
