"""Settings of a multigrid method: of its hierarchy and of the iteration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from sciml.checks import check_fraction, check_whole, is_whole
from sciml.errors import InputError
from sciml.multigrid.smoothing import SmootherName
from sciml.pde.elliptic import Scheme

__all__ = ["Accelerator", "CycleType", "Krylov", "Method", "Settings"]

Method = Literal["ruge_stuben", "smoothed_aggregation", "geometric"]
Accelerator = Literal["auto", "cg", "gmres", "bicgstab"]
Krylov = Literal["cg", "gmres", "bicgstab"]
CycleType = Literal["V", "W", "F"]


@dataclass(frozen=True)
class Settings:
    """Settings of `sciml.multigrid.AMG`, which documents each of them.

    Raises
    ------
    InputError
        A setting does not exist, or settings do not fit together.

    Examples
    --------
    >>> Settings().krylov(asymmetry=None), Settings(accelerate="auto").krylov("the matrix is nonsymmetric")
    ('cg', 'gmres')
    """

    method: Method = "ruge_stuben"
    rtol: float = 1e-8
    max_cycles: int = 100
    accelerate: Accelerator | None = "auto"
    smoother: SmootherName = "gauss_seidel"
    sweeps: tuple[int, int] = (1, 1)
    cycle: CycleType = "V"
    scheme: Scheme | None = None

    def __post_init__(self) -> None:
        for name, kinds in (("method", Method), ("smoother", SmootherName), ("cycle", CycleType)):
            if getattr(self, name) not in get_args(kinds):
                raise InputError(f"{name}={getattr(self, name)!r}: give one of {', '.join(get_args(kinds))}")
        if self.accelerate is not None and self.accelerate not in get_args(Accelerator):
            raise InputError(
                f"accelerate={self.accelerate!r}: give one of {', '.join(get_args(Accelerator))}, or None"
            )
        check_fraction("rtol", self.rtol)
        check_whole("max_cycles", self.max_cycles, 1)
        counts = tuple(self.sweeps) if isinstance(self.sweeps, Sequence) else ()
        if len(counts) != 2 or not all(is_whole(count, 0) for count in counts) or sum(counts) == 0:
            raise InputError(
                f"sweeps={self.sweeps!r}: give how often to smooth before and after, such as (1, 1)"
            )
        object.__setattr__(self, "sweeps", tuple(int(count) for count in counts))

    def krylov(self, asymmetry: str | None) -> Krylov | None:
        """Choose the Krylov method for a cycle; None means plain cycles.

        Parameters
        ----------
        asymmetry
            Reason why the cycle is not a symmetric operator, or None if it is symmetric.

        Raises
        ------
        InputError
            Conjugate gradients were chosen, and the cycle is not symmetric.
        """
        if self.accelerate == "auto":
            return "cg" if asymmetry is None else "gmres"
        if self.accelerate == "cg" and asymmetry is not None:
            raise InputError(
                f"accelerate='cg', but {asymmetry}; or use accelerate='gmres', 'bicgstab' or 'auto' (the default)"
            )
        return self.accelerate
