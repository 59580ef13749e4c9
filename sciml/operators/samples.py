"""Samples of a dataset as batches: inputs and target, their grid, and how they are read."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from sciml.errors import InputError, MissingVariable
from sciml.operators.field_scaling import FieldMoments
from sciml.operators.time_series import TRUTH, bare, begun, broadened, is_line, line_grid, spacing, stepped
from sciml.pde.axes import Dims, check_planes
from sciml.pde.grid import Boundary, Centring, Grid, Side
from sciml.pde.sides import Given, Jumps, check_sides, sides_of_dataset
from sciml.train.batches import BatchSource, TensorSource
from sciml.train.streaming import StoreSource

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["TRUTH", "Samples", "Survey"]

MEMORY = 3 << 30  # bytes of samples beyond which they are read from the store again in each epoch
BLOCK = 64 << 20  # bytes looked at together
Rows = npt.NDArray[np.int64]
Names: TypeAlias = str | Sequence[str] | Mapping[str, str]
Place: TypeAlias = tuple[Boundary | Side | None, Centring | None, tuple[float, float] | None]


@dataclass(frozen=True, eq=False)
class Survey:
    """What one look at every sample showed: moments, how the target comes to its sides, and a digest of all."""

    moments: dict[str, FieldMoments]
    digest: str
    jumps: Jumps


@dataclass(frozen=True, eq=False)
class Samples:
    """Pairs of inputs and target, lazily.

    Parameters
    ----------
    fields
        Dataset with dims (row, y, x): each input by its name, the target as `TRUTH`.
    inputs, target
        Their names in the dataset given.
    grid
        Grid of the values.
    family, parameters
        Family of the problems and its parameters; "" and empty where they are unknown.
    whole
        (row,): the sample each row is of. A time series gives a row for each step.
    steps
        Whether a row is a step in time.
    spacing
        Length of the steps, in the units of ``time``, or None.
    line
        Whether the data is one-dimensional: the fields are then `ROWS` equal rows, periodic along y.
    side_values
        Values of the target on Dirichlet sides, where the data have them.
    """

    fields: xr.Dataset
    inputs: tuple[str, ...]
    target: str
    grid: Grid
    family: str
    whole: Rows
    steps: bool = False
    spacing: float | None = None
    parameters: Mapping[str, Any] = dataclass_field(default_factory=dict)
    line: bool = False
    side_values: Given | None = None

    @classmethod
    def of(
        cls,
        data: xr.Dataset | str | Path,
        *,
        inputs: Names | None = None,
        target: str | Mapping[str, str] | None = None,
        layout: Any = None,
        dims: Dims | None = None,
        boundary: Boundary | Side | None = None,
        centring: Centring | None = None,
        lengths: tuple[float, float] | None = None,
        stride: int = 1,
        side_values: Given | None = None,
    ) -> Samples:
        """Of a dataset or file as `sciml.pde.open_dataset` opens it.

        Parameters
        ----------
        data
            Dims (sample, y, x), or (sample, time, y, x) for a time series, of which every step is learned.
        inputs, target
            Names, by default those of the dataset's family, else ``coefficient`` and ``u``; or ours and the file's,
            ``{"coefficient": "k"}``. Of a time series the target one step earlier is always the first input;
            ``inputs`` names what else there is.
        layout, dims, stride
            See `sciml.pde.open_dataset`.
        boundary, centring, lengths
            Properties of the grid, where the dataset has none or wrong ones.
        side_values
            Values of the target on Dirichlet sides, where the dataset has none: see `sciml.pde.sides`.

        Raises
        ------
        MissingVariable
            An input or the target is not there.
        InputError
            Wrong dims, or no information on the grid.
        """
        place = (boundary, centring, lengths)
        opened, place = _opened(data, inputs, target, layout, dims, place, stride)
        inputs, target = _names(opened, inputs, target, renamed=opened is not data)
        data = opened
        family = str(data.attrs.get("family", ""))
        target = target or str(data.attrs.get("target") or "u")
        for name in (target, *(inputs or ())):
            if name not in data:
                raise MissingVariable(
                    f"the data have no {name!r}: they have {', '.join(map(str, data.data_vars)) or 'nothing'}; "
                    "name the variables with inputs and target (--inputs, --target)"
                )
        steps = "time" in data[target].dims
        names = tuple(inputs or ()) if steps else _inputs(data, inputs, family, target)
        names = (target, *(name for name in names if name != target)) if steps else names
        line = is_line(data[target])
        if line:
            data = broadened(data, (target, *names))
        _check_dims(data, names, target, steps)
        if steps:
            data = begun(data, target)
        shape = (data.sizes["y"], data.sizes["x"])
        grid = line_grid(shape[1], place[0], place[1], family) if line else _grid(data, shape, *place)
        fields, whole = (stepped if steps else _plain)(data, names, target)
        step = spacing(data) if steps else None
        values = sides_of_dataset(data) if side_values is None else side_values
        if values is not None:
            check_sides(values, grid)
        return cls(fields, names, target, grid, family, whole, steps, step, _parameters(data), line, values)

    def __len__(self) -> int:
        return len(self.whole)

    @property
    def samples(self) -> int:
        """Whole samples."""
        return int(self.whole[-1]) + 1

    @property
    def nbytes(self) -> int:
        """In float32."""
        return len(self) * 4 * self.grid.size * len(self.fields.data_vars)

    def rows(self, samples: npt.ArrayLike) -> Rows:
        """The rows of whole samples, given by a mask or their numbers."""
        chosen = np.zeros(self.samples, dtype=bool)
        chosen[np.asarray(samples)] = True
        return np.flatnonzero(chosen[self.whole])

    def blocks(self) -> Iterator[tuple[Rows, dict[str, npt.NDArray[np.float32]]]]:
        """All rows, block by block, as float32."""
        from sciml.pde.attributes import readable

        size = max(1, BLOCK // (4 * self.grid.size * len(self.fields.data_vars)))
        for first in range(0, len(self), size):
            with readable("the dataset"):
                part = self.fields.isel(row=slice(first, first + size)).load()
            rows = np.arange(first, first + part.sizes["row"])
            yield rows, {str(name): _float(part[name].values) for name in part.data_vars}

    def survey(self, training: Rows) -> Survey:
        """Look at every value once: moments of the training rows, a digest, and what must not be.

        Raises
        ------
        InputError
            NaN or infinity, a coefficient that is not positive, a target that is zero everywhere.
        """
        moments = {str(name): FieldMoments(self.grid.shape) for name in self.fields.data_vars}
        digest, jumps = hashlib.blake2b(digest_size=8), Jumps(self.grid)
        chosen = np.zeros(len(self), dtype=bool)
        chosen[training] = True
        for rows, block in self.blocks():
            for name, values in block.items():
                self._check(name, values, rows)
                digest.update(values.tobytes())
                if chosen[rows].any():
                    moments[name].add(values[chosen[rows]])
                    if name == TRUTH:
                        jumps.add(values[chosen[rows]])
        return Survey(moments, digest.hexdigest(), jumps)

    def source(self, rows: Rows) -> BatchSource:
        """Batches of rows: from memory where all of them fit, else from the store."""
        if self.nbytes <= MEMORY:
            part = self.fields.isel(row=rows).load()
            return TensorSource({str(name): _float(part[name].values) for name in part.data_vars})
        names = tuple(map(str, self.fields.data_vars))
        return StoreSource(self.fields, names, dim="row", rows=rows, transform=_single)

    def _check(self, name: str, values: npt.NDArray[np.float32], rows: Rows) -> None:
        called = self.target if name == TRUTH else name
        if not np.isfinite(values).all():
            row, y, x = (int(i) for i in np.argwhere(~np.isfinite(values))[0])
            raise InputError(
                f"{called} of sample {int(self.whole[rows[row]])} is {values[row, y, x]} at (y, x) = ({y}, {x}): "
                "give finite values"
            )
        if name == "coefficient" and not values.min() > 0:
            row, y, x = (int(i) for i in np.argwhere(~(values > 0))[0])
            raise InputError(
                f"coefficient of sample {int(self.whole[rows[row]])} is {values[row, y, x]:g} at (y, x) = ({y}, {x}): "
                "a coefficient is positive everywhere; another kind of input needs another name (--inputs)"
            )
        if name == TRUTH and not (values.any((1, 2))).all():
            row = int(np.flatnonzero(~values.any((1, 2)))[0])
            raise InputError(
                f"{called} of sample {int(self.whole[rows[row]])} is zero everywhere: a relative error needs a truth"
            )


def _names(
    data: xr.Dataset, inputs: Names | None, target: str | Mapping[str, str] | None, *, renamed: bool
) -> tuple[tuple[str, ...] | None, str | None]:
    """The names of the inputs and the target in a dataset, which may have got others when it was opened."""
    if renamed and inputs:
        from sciml.pde.dataset import inputs_of

        inputs = inputs_of(data)
    elif inputs:
        inputs = (inputs,) if isinstance(inputs, str) else tuple(inputs)
    else:
        inputs = None
    if target and renamed:
        return inputs, str(data.attrs["target"])
    return inputs, next(iter(target)) if isinstance(target, Mapping) else target


def _opened(
    data: xr.Dataset | str | Path,
    inputs: Names | None,
    target: str | Mapping[str, str] | None,
    layout: Any,
    dims: Dims | None,
    place: Place,
    stride: int,
) -> tuple[xr.Dataset, Place]:
    """The dataset with our names, thinned out, and the rest of what is given of its grid."""
    import xarray as xr

    from sciml.pde import open_dataset

    renamed = isinstance(inputs, Mapping) or isinstance(target, Mapping)
    if not isinstance(data, xr.Dataset) or renamed or dims is not None:
        given: Any = inputs if isinstance(inputs, Mapping | str) or inputs is None else list(inputs)
        opened: xr.Dataset = open_dataset(data, inputs=given, target=target, layout=layout, dims=dims)
    else:
        opened = data
    if stride == 1:
        return opened, place
    for dim in ("sample", "y", "x"):
        if dim not in opened.dims:
            raise InputError(
                f"stride={stride} of data with the dims {tuple(opened.dims)}: give (sample, y, x)"
            )
    whole = _grid(opened, (opened.sizes["y"], opened.sizes["x"]), *place)
    return open_dataset(opened, grid=whole, stride=stride), (None, None, None)


def _parameters(data: xr.Dataset) -> dict[str, Any]:
    """What is the same in all problems of the data, from their family."""
    from sciml.pde.attributes import parameters_of
    from sciml.pde.families import FAMILIES

    parameters = parameters_of(data)
    if parameters:
        return parameters
    family = FAMILIES.get(str(data.attrs.get("family", "")))
    return family.parameters() if family else {}


def _inputs(data: xr.Dataset, inputs: Sequence[str] | None, family: str, target: str) -> tuple[str, ...]:
    """The inputs asked for, those the dataset or its family names, else the coefficient."""
    if inputs:
        return tuple(inputs)
    if "inputs" in data.attrs or family:
        from sciml.pde.dataset import inputs_of

        return inputs_of(data)
    if "coefficient" in data:
        return ("coefficient",)
    others = ", ".join(str(name) for name in data.data_vars if name != target) or "nothing else"
    raise MissingVariable(
        f"the data have no 'coefficient', the default input; besides {target} they have {others}: "
        "name the inputs (--inputs)"
    )


def _check_dims(data: xr.Dataset, inputs: tuple[str, ...], target: str, steps: bool) -> None:
    from sciml.pde.dataset import check_real

    wanted = ("sample", "time", "y", "x") if steps else ("sample", "y", "x")
    for name in (target, *inputs):
        if name not in data:
            raise MissingVariable(
                f"the data have no {name!r}: they have {', '.join(map(str, data.data_vars))}; "
                "name the variables with inputs and target (--inputs, --target)"
            )
        check_planes(name, [str(dim) for dim in data[name].dims])
        dims = set(data[name].dims)
        if name == TRUTH:
            raise InputError(f"an input or target named {TRUTH!r}: rename it, that name is taken")
        if not ({"sample", "y", "x"} <= dims <= set(wanted)):
            raise InputError(
                f"{name} has the dims {data[name].dims}: give ({', '.join(wanted)}), renaming with xarray or a "
                "layout (--layout)"
            )
        check_real(data[name])
    if data.sizes["sample"] < 1:
        raise InputError(f"the data has the sizes {dict(data.sizes)}: give a sample")


def _plain(data: xr.Dataset, inputs: tuple[str, ...], target: str) -> tuple[xr.Dataset, Rows]:
    import xarray as xr

    named = {**{name: data[name] for name in inputs}, TRUTH: data[target]}
    fields = {
        name: bare(array).rename(sample="row").transpose("row", "y", "x") for name, array in named.items()
    }
    return xr.Dataset(fields), np.arange(data.sizes["sample"])


def _grid(
    data: xr.Dataset,
    shape: tuple[int, int],
    boundary: Boundary | Side | None,
    centring: Centring | None,
    lengths: tuple[float, float] | None,
) -> Grid:
    if data.attrs.get("grid"):
        from sciml.pde.attributes import grid_in_attributes

        known = grid_in_attributes(data)
        if known.shape != shape:
            raise InputError(
                f"the data's grid is {known}, its fields have {shape[0]} x {shape[1]} values: "
                "correct the attribute 'grid', or drop it and tell boundary and centring"
            )
        return Grid(
            shape,
            centring or known.centring,
            known.boundary if boundary is None else Boundary.of(boundary),
            lengths or known.lengths,
        )
    if boundary is None or centring is None:
        raise InputError(
            "the data does not tell its grid: give boundary (dirichlet, neumann, periodic) and centring (vertex, "
            "cell), --boundary and --centring"
        )
    return Grid(shape, centring, Boundary.of(boundary), lengths or (1.0, 1.0))


def _float(values: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    return np.ascontiguousarray(values, dtype=np.float32)


def _single(batch: dict[str, Any]) -> dict[str, Any]:
    """Float32, whatever the store has."""
    return {name: tensor.float() for name, tensor in batch.items()}
