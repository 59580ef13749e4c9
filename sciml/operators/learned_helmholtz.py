"""A trained network as preconditioner for waves: ``solve(problem, LearnedHelmholtz.load(PATH))``."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from sciml.checks import check_fraction, check_whole
from sciml.errors import InputError, SchemaError
from sciml.multigrid.shifted_laplacian import complex_system, flexible_solution
from sciml.multigrid.torch.flexible import flexible_gmres
from sciml.multigrid.torch.krylov import BatchSolution
from sciml.nn.state_dict import load_weights
from sciml.operators.helmholtz_net import Gates, HelmholtzNet, apply_helmholtz
from sciml.pde.complex_system import ComplexField, ComplexSystem
from sciml.pde.open_helmholtz import OpenHelmholtz
from sciml.pde.solution import FieldSolution
from sciml.train import checkpoint

__all__ = ["LearnedHelmholtz", "PreparedMedia"]

HELMHOLTZ_KIND = "helmholtz"
"""Kind of the checkpoint."""


@dataclass(frozen=True, eq=False)
class PreparedMedia:
    """A network with the gates of one or more media on one grid; the state of `LearnedHelmholtz`.

    Parameters
    ----------
    network
        The network.
    squared, absorbed
        (k h)^2 and its product with the absorption, (medium, y, x) of float64.
    gates
        Gates of the media.
    padding
        Rows and columns by which the grid is extended to a size that the network accepts.
    seconds
        Time to prepare them, in seconds.
    """

    network: HelmholtzNet = field(repr=False)
    squared: Tensor = field(repr=False)
    absorbed: Tensor = field(repr=False)
    gates: Gates = field(repr=False)
    padding: tuple[int, int]
    seconds: float

    @classmethod
    @torch.no_grad()
    def of(cls, network: HelmholtzNet, systems: Sequence[ComplexSystem], device: str) -> PreparedMedia:
        """Compute the gates of systems on one grid."""
        start = time.perf_counter()
        fields = [_medium(system) for system in systems]
        squared, absorbed = (
            torch.from_numpy(np.stack(part)).to(device) for part in zip(*fields, strict=True)
        )
        ny, nx = (-(n + 1) % network.multiple for n in squared.shape[1:])
        network = network.to(device).eval()
        padded = [_padded(part, (ny, nx), "replicate").float() for part in (squared, absorbed)]
        gates = network.prepare(*padded)
        return cls(network, squared, absorbed, gates, (ny, nx), time.perf_counter() - start)

    @torch.no_grad()
    def precondition(self, r: Tensor) -> Tensor:
        """Apply the network to complex residuals (batch, n); batch is the number of media, or there is one medium."""
        shape = self.squared.shape[1:]
        size = r.norm(dim=1, keepdim=True) / shape.numel() ** 0.5
        scaled = (r / torch.where(size > 0, size, 1.0)).to(torch.complex64).reshape(len(r), *shape)
        (ny, nx), (rows, columns) = self.padding, shape
        pair = functional.pad(torch.stack([scaled.real, scaled.imag], 1), (0, nx, 0, ny))
        squared, absorbed = (
            _padded(part, self.padding, "replicate").float() for part in (self.squared, self.absorbed)
        )
        made = self.network(pair, squared, absorbed, self.gates)[:, :, :rows, :columns]
        joined: Tensor = torch.complex(made[:, 0], made[:, 1]).reshape(len(r), -1).to(r.dtype) * size
        return joined

    def apply(self, u: Tensor) -> Tensor:
        """Apply the matrices to complex fields (batch, n), in float64."""
        shape = self.squared.shape[1:]
        pair = torch.stack([u.real, u.imag], 1).reshape(len(u), 2, *shape)
        made = apply_helmholtz(pair, self.squared, self.absorbed)
        return torch.complex(made[:, 0], made[:, 1]).reshape(len(u), -1)


@dataclass(frozen=True)
class LearnedHelmholtz:
    """Algorithm: a `HelmholtzNet` as preconditioner of flexible GMRES.

    The network decides how many iterations are needed, and not the accuracy: the result is SUCCESS only if the true
    residual is below the tolerance.

    Parameters
    ----------
    network
        Trained network.
    rtol
        Tolerance of the true residual relative to the right-hand side, in the 2-norm.
    max_iterations
        Largest number of iterations.
    restart
        Iterations after which flexible GMRES starts again.
    device
        Device of `solve_batch`: ``cpu``, ``cuda``, ...
    about
        Description of the training.

    Raises
    ------
    InputError
        A setting is out of range. Raised by `init`: the problem is not an `OpenHelmholtz` or such a system.

    Examples
    --------
    >>> algorithm = LearnedHelmholtz.load("helmholtz-layers.sciml")  # doctest: +SKIP
    >>> sm.solve(sm.OpenHelmholtz(255), algorithm).stats["iterations"]  # doctest: +SKIP
    """

    network: HelmholtzNet = field(repr=False)
    rtol: float = 1e-6
    max_iterations: int = 300
    restart: int = 100
    device: str = "cpu"
    about: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.network, HelmholtzNet):
            raise InputError(
                f"LearnedHelmholtz({type(self.network).__name__}): give a HelmholtzNet, or LearnedHelmholtz.load(PATH)"
            )
        check_fraction("rtol", self.rtol)
        check_whole("max_iterations", self.max_iterations, 1)
        check_whole("restart", self.restart, 1)

    def init(self, problem: OpenHelmholtz | ComplexSystem) -> PreparedMedia:
        """Compute the gates of the medium of a problem; they serve all right-hand sides."""
        return PreparedMedia.of(self.network, [complex_system(problem, self)], "cpu")

    def run(self, problem: OpenHelmholtz | ComplexSystem, state: PreparedMedia) -> FieldSolution:
        """Solve a problem with the gates of its medium."""
        system = complex_system(problem, self)
        if system.grid.shape != tuple(state.squared.shape[1:]):
            raise InputError(f"the gates are of another grid than {system.grid}: call init for this problem")

        def precondition(r: ComplexField) -> ComplexField:
            made: ComplexField = state.precondition(torch.from_numpy(r)[None])[0].numpy()
            return made

        return flexible_solution(system, precondition, self, state.seconds)

    def solve_batch(
        self, problems: Sequence[OpenHelmholtz | ComplexSystem], rhs: npt.ArrayLike | None = None
    ) -> BatchSolution:
        """Solve several problems on one grid, or one problem for several right-hand sides, at the same time.

        Parameters
        ----------
        problems
            Problems with media and right-hand sides of their own; or one problem if ``rhs`` is given.
        rhs
            Right-hand sides (batch, y, x) or (batch, n), integrated over the control volumes; by default those of the
            problems.

        Returns
        -------
        BatchSolution
            ``u`` is (batch, y, x) of complex128 on the device.

        Raises
        ------
        InputError
            The grids differ, or there are right-hand sides and several problems.
        """
        systems = [complex_system(problem, self) for problem in problems]
        shapes = {system.grid.shape for system in systems}
        if len(shapes) != 1 or (rhs is not None and len(systems) != 1):
            raise InputError(
                f"{len(systems)} problems on {len(shapes)} grids: give problems on one grid, and one problem with rhs"
            )
        rows = [systems[0].with_rhs(b).rhs for b in np.asarray(rhs)] if rhs is not None else None
        b = torch.from_numpy(np.stack(rows or [system.rhs for system in systems])).to(self.device)
        state = PreparedMedia.of(self.network, systems, self.device)
        solution = flexible_gmres(
            state.apply,
            state.precondition,
            b,
            rtol=self.rtol,
            max_cycles=self.max_iterations,
            restart=min(self.restart, 60),
        )
        u = solution.u.reshape(len(b), *systems[0].grid.shape)
        return BatchSolution(u, solution.relative_residual, solution.cycles, solution.converged)

    def save(self, path: str | Path) -> Path:
        """Write a checkpoint of kind ``helmholtz``."""
        config = {"kind": HELMHOLTZ_KIND, "network": self.network.config(), "about": dict(self.about)}
        weights = {name: value.detach().cpu() for name, value in self.network.state_dict().items()}
        return checkpoint.save(path, config, weights)

    @classmethod
    def load(cls, path: str | Path) -> LearnedHelmholtz:
        """Load a checkpoint, on the CPU.

        Raises
        ------
        InputError
            There is no such file, or the checkpoint is of another kind.
        SchemaError, ChecksumError
            The checkpoint is incomplete or damaged.
        """
        saved = checkpoint.load(path, kind=HELMHOLTZ_KIND)
        try:
            settings = dict(saved.config["network"])
            settings.pop("class")
            network = HelmholtzNet(**settings)
        except (KeyError, TypeError, ValueError) as error:
            raise SchemaError(
                f"{saved.path} does not contain what a HelmholtzNet needs ({error!r}): train it again"
            ) from error
        load_weights(network, saved.state_dict(), saved.path)
        return cls(network.eval(), about=dict(saved.config.get("about", {})))


def _medium(system: ComplexSystem) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return (k h)^2 and its product with the absorption (y, x) from the diagonal of a system of five points."""
    diagonal, neighbours = system.matrix.diagonal(), system.matrix.diagonal(1)
    squared, absorbed = (part.reshape(system.grid.shape) for part in (4 - diagonal.real, -diagonal.imag))
    rows = np.arange(1, system.size) % system.grid.shape[1] != 0
    if not np.allclose(neighbours[rows], -1, atol=1e-9) or squared.min() < -1e-9:
        raise InputError(
            f"{system}: the network needs the five-point stencil of OpenHelmholtz with equal spacings, -1 beside the "
            "diagonal; use ShiftedLaplacian() or Direct()"
        )
    return np.maximum(squared, 0.0), absorbed


def _padded(part: Tensor, extra: tuple[int, int], mode: str) -> Tensor:
    if not any(extra):
        return part
    return functional.pad(part[:, None], (0, extra[1], 0, extra[0]), mode=mode)[:, 0]
