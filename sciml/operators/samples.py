"""Samples of a dataset as batches of inputs and target, with their grid."""

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
from sciml.pde.dataset import dims_of
from sciml.pde.grid import Boundary, Centring, Grid, Side
from sciml.pde.sides import Given, Jumps, check_sides, sides_of_dataset
from sciml.pde.terms import place_of
from sciml.train.batches import BatchSource, TensorSource
from sciml.train.streaming import StoreSource

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["TRUTH", "Samples", "Survey"]

MEMORY = 3 << 30  # bytes of samples above which each epoch reads them from the store
USUAL = ("sample", "y", "x")
BLOCK = 64 << 20  # bytes of a block
Rows = npt.NDArray[np.int64]
Names: TypeAlias = str | Sequence[str] | Mapping[str, str]
Place: TypeAlias = tuple[Boundary | Side | None, Centring | None, tuple[float, float] | None]


@dataclass(frozen=True, eq=False)
class Survey:
    """Results of one pass over all samples: moments, jumps of the target at its sides, and a digest."""

    moments: dict[str, FieldMoments]
    digest: str
    jumps: Jumps


@dataclass(frozen=True, eq=False)
class Samples:
    """Lazy pairs of inputs and target.

    Parameters
    ----------
    fields
        Dataset with dims (row, y, x), (row, x) or (row, z, y, x): each input under its name, and the target under the
        name `TRUTH`.
    inputs, target
        Names of the inputs and the target in the dataset.
    grid
        Grid of the values.
    family, parameters
        Family of the problems and its parameters; "" and empty where they are unknown.
    whole
        Sample of each row (row,). A time series has a row for each step.
    steps
        Whether a row is a step in time.
    spacing
        Length of the steps in the units of ``time``, or None.
    line
        Whether one-dimensional data are represented by `ROWS` equal rows, which are periodic along y.
    side_values
        Values of the target on Dirichlet sides, if the data contain them.
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
        rows: bool = True,
    ) -> Samples:
        """Make the samples of a dataset or a file, see `sciml.pde.open_dataset`.

        Parameters
        ----------
        data
            Dataset with dims (sample, y, x), (sample, x) or (sample, z, y, x); a time series has time after the sample,
            and its steps are the pairs.
        inputs, target
            Names, by default those of the family of the dataset, else ``coefficient`` and ``u``. A mapping such as
            ``{"coefficient": "k"}`` renames variables of the file. The first input of a time series is always the
            target one step earlier; ``inputs`` names the others.
        layout, dims, stride
            See `sciml.pde.open_dataset`.
        boundary, centring, lengths
            Properties of the grid, if they are missing or wrong in the dataset.
        side_values
            Values of the target on Dirichlet sides, if the dataset does not contain them, see `sciml.pde.sides`.
        rows
            Whether to represent one-dimensional data by equal rows, for networks on planes. Time series always are.

        Raises
        ------
        MissingVariable
            An input or the target is missing.
        InputError
            The dims are wrong, or the grid is unknown.
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
        line = is_line(data[target]) and (rows or steps)
        if line:
            data = broadened(data, (target, *names))
        _check_dims(data, names, target, steps)
        if steps:
            data = begun(data, target)
        shape = tuple(data.sizes[dim] for dim in dims_of(data[target]))
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
        """Number of whole samples."""
        return int(self.whole[-1]) + 1

    @property
    def nbytes(self) -> int:
        """Size in float32, in bytes."""
        return len(self) * 4 * self.grid.size * len(self.fields.data_vars)

    def rows(self, samples: npt.ArrayLike) -> Rows:
        """Return the rows of whole samples, selected by a mask or by their numbers."""
        chosen = np.zeros(self.samples, dtype=bool)
        chosen[np.asarray(samples)] = True
        return np.flatnonzero(chosen[self.whole])

    def blocks(self) -> Iterator[tuple[Rows, dict[str, npt.NDArray[np.float32]]]]:
        """Yield all rows in blocks, as float32."""
        from sciml.pde.attributes import readable

        size = max(1, BLOCK // (4 * self.grid.size * len(self.fields.data_vars)))
        for first in range(0, len(self), size):
            with readable("the dataset"):
                part = self.fields.isel(row=slice(first, first + size)).load()
            rows = np.arange(first, first + part.sizes["row"])
            yield rows, {str(name): _float(part[name].values) for name in part.data_vars}

    def survey(self, training: Rows) -> Survey:
        """Compute the moments of the training rows and a digest, and check all values, in one pass.

        Raises
        ------
        InputError
            A value is NaN or infinite, a coefficient is not positive, or a target is zero everywhere.
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
        """Return the source of batches of rows: memory if all of them fit, else the store."""
        if self.nbytes <= MEMORY:
            part = self.fields.isel(row=rows).load()
            return TensorSource({str(name): _float(part[name].values) for name in part.data_vars})
        names = tuple(map(str, self.fields.data_vars))
        return StoreSource(self.fields, names, dim="row", rows=rows, transform=_single)

    def _check(self, name: str, values: npt.NDArray[np.float32], rows: Rows) -> None:
        called = self.target if name == TRUTH else name
        places = tuple(range(1, values.ndim))
        if not np.isfinite(values).all():
            row, *at = (int(i) for i in np.argwhere(~np.isfinite(values))[0])
            raise InputError(
                f"{called} of sample {int(self.whole[rows[row]])} is {values[row, *at]} at {place_of(self.grid, at)}: "
                "give finite values"
            )
        if name == "coefficient" and not values.min() > 0:
            row, *at = (int(i) for i in np.argwhere(~(values > 0))[0])
            raise InputError(
                f"coefficient of sample {int(self.whole[rows[row]])} is {values[row, *at]:g} at "
                f"{place_of(self.grid, at)}: "
                "a coefficient is positive everywhere; another kind of input needs another name (--inputs)"
            )
        if name == TRUTH and not (values.any(places)).all():
            row = int(np.flatnonzero(~values.any(places))[0])
            raise InputError(
                f"{called} of sample {int(self.whole[rows[row]])} is zero everywhere: a relative error needs a truth"
            )


def _names(
    data: xr.Dataset, inputs: Names | None, target: str | Mapping[str, str] | None, *, renamed: bool
) -> tuple[tuple[str, ...] | None, str | None]:
    """Return the names of the inputs and the target in a dataset, after renaming by `open_dataset`."""
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
    """Open and subsample a dataset; returns it with the given properties of the grid that remain."""
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
    if "sample" not in opened.dims or "x" not in opened.dims:
        raise InputError(f"stride={stride} of data with the dims {tuple(opened.dims)}: give (sample, y, x)")
    whole = _grid(opened, tuple(opened.sizes[dim] for dim in dims_of(opened)), *place)
    return open_dataset(opened, grid=whole, stride=stride), (None, None, None)


def _parameters(data: xr.Dataset) -> dict[str, Any]:
    """Return the parameters that all problems of the data share, from their family."""
    from sciml.pde.attributes import parameters_of
    from sciml.pde.families import FAMILIES

    parameters = parameters_of(data)
    if parameters:
        return parameters
    family = FAMILIES.get(str(data.attrs.get("family", "")))
    return family.parameters() if family else {}


def _inputs(data: xr.Dataset, inputs: Sequence[str] | None, family: str, target: str) -> tuple[str, ...]:
    """Return the given inputs, else those that the dataset or its family names, else the coefficient."""
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

    places = dims_of(data[target])
    wanted = ("sample", "time", *places) if steps else ("sample", *places)
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
        if not places or not ({"sample", *places} <= dims <= set(wanted)):
            raise InputError(
                f"{name} has the dims {data[name].dims}: give ({', '.join(wanted if places else USUAL)}), renaming "
                "with xarray or a layout (--layout)"
            )
        check_real(data[name])
    if data.sizes["sample"] < 1:
        raise InputError(f"the data has the sizes {dict(data.sizes)}: give a sample")


def _plain(data: xr.Dataset, inputs: tuple[str, ...], target: str) -> tuple[xr.Dataset, Rows]:
    import xarray as xr

    named = {**{name: data[name] for name in inputs}, TRUTH: data[target]}
    fields = {
        name: bare(array).rename(sample="row").transpose("row", *dims_of(data[target]))
        for name, array in named.items()
    }
    return xr.Dataset(fields), np.arange(data.sizes["sample"])


def _grid(
    data: xr.Dataset,
    shape: tuple[int, ...],
    boundary: Boundary | Side | None,
    centring: Centring | None,
    lengths: tuple[float, float] | None,
) -> Grid:
    if data.attrs.get("grid"):
        from sciml.pde.attributes import grid_in_attributes

        known = grid_in_attributes(data)
        if known.shape != shape:
            raise InputError(
                f"the data's grid is {known}, its fields have {' x '.join(map(str, shape))} values: "
                "correct the attribute 'grid', or drop it and give boundary and centring"
            )
        return Grid(
            shape,
            centring or known.centring,
            known.boundary if boundary is None else Boundary.of(boundary),
            lengths or known.lengths,
        )
    if boundary is None or centring is None:
        raise InputError(
            "the data do not describe their grid: give boundary (dirichlet, neumann, periodic) and centring (vertex, "
            "cell), --boundary and --centring"
        )
    return Grid(shape, centring, Boundary.of(boundary), lengths or (1.0, 1.0))


def _float(values: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    return np.ascontiguousarray(values, dtype=np.float32)


def _single(batch: dict[str, Any]) -> dict[str, Any]:
    """Convert a batch to float32."""
    return {name: tensor.float() for name, tensor in batch.items()}
