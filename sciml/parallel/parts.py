"""Parts of a lazy dataset for workers: the message of a part has only the tasks that compute it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, overload

from sciml.errors import InputError

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["Part", "Parts", "names_read"]


@dataclass(frozen=True, eq=False)
class Part:
    """Part of a dataset that a worker reads itself.

    Parameters
    ----------
    dataset
        The part; may be lazy.
    """

    dataset: xr.Dataset

    def load(self) -> xr.Dataset:
        """Read the values in this process, also in a task of Dask."""
        import dask

        with dask.config.set(scheduler="synchronous"):
            return self.dataset.load()

    def __reduce__(self) -> tuple[type[Part], tuple[xr.Dataset]]:
        """Leave out the tasks of the other parts, when a message to a worker is made."""
        from dask.base import optimize

        (alone,) = optimize(self.dataset)
        return Part, (alone,)


class Parts(Sequence[Part]):
    """Consecutive parts of a dataset along a dimension.

    A part is made when it is asked for.

    Parameters
    ----------
    dataset
        The dataset; may be lazy.
    dim
        Dimension that is divided.
    size
        Length of a part; the last one may be shorter.

    Raises
    ------
    InputError
        The size is below one.

    Examples
    --------
    >>> import xarray as xr
    >>> parts = Parts(xr.Dataset({"u": ("x", [1.0, 2.0, 3.0])}), "x", 2)
    >>> [part.load().sizes["x"] for part in parts]
    [2, 1]
    """

    def __init__(self, dataset: xr.Dataset, dim: str, size: int) -> None:
        if size < 1:
            raise InputError(f"parts of {size}: give at least 1")
        self._dataset, self._dim, self._size = dataset, dim, size

    def __len__(self) -> int:
        return -(-int(self._dataset.sizes.get(self._dim, 0)) // self._size)

    @overload
    def __getitem__(self, index: int) -> Part: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Part]: ...
    def __getitem__(self, index: int | slice) -> Part | Sequence[Part]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        if not 0 <= index < len(self):
            raise IndexError(index)
        start = index * self._size
        return Part(self._dataset.isel({self._dim: slice(start, start + self._size)}))


def names_read(dataset: xr.Dataset, results: Iterable[xr.DataArray]) -> list[str]:
    """Return the names of the variables that results are computed from, and of those that are in memory.

    Parameters
    ----------
    dataset
        The dataset; may be lazy.
    results
        Lazy arrays that were computed from its variables.

    Examples
    --------
    >>> import xarray as xr
    >>> ds = xr.Dataset({"u": ("x", [1.0, 2.0]), "v": ("x", [3.0, 5.0])}).chunk()
    >>> names_read(ds, [2 * ds["u"]])
    ['u']
    """
    layers: set[str] = set()
    for result in results:
        if result.chunks is not None:
            layers |= set(result.data.dask.layers)
    return [
        str(name)
        for name, array in dataset.data_vars.items()
        if array.chunks is None or array.data.name in layers
    ]
