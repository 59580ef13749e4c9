"""Writing of datasets in blocks and in parallel; the same call continues an interrupted one."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from sciml.checks import check_whole
from sciml.errors import ClusterError, InputError, SciMLError
from sciml.pde.block_writing import written_blocks
from sciml.storage.atomic import check_replaceable, replaced
from sciml.storage.partial import PartialStore, partial_store
from sciml.storage.provenance import PROVENANCE, attribute, seal_store

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["write_dataset"]

SMALL: Final = 2_000_000
"""Number of values of a variable below which starting worker processes takes more time than it saves."""
IDENTITY: Final = "sciml_identity"
OWN: Final = (IDENTITY, PROVENANCE)
"""Attributes that do not belong to the content."""
Tell = Callable[[int, int], None]


def write_dataset(
    dataset: xr.Dataset,
    path: str | Path,
    *,
    workers: int | None = None,
    overwrite: bool = False,
    progress: Tell | None = None,
) -> bool:
    """Compute and write a dataset in blocks; each variable is computed once.

    Parameters
    ----------
    dataset
        Dataset with the dimension ``sample``, from `generate`, `open_dataset` or elsewhere. Lazy variables along
        ``sample`` are written in blocks, with that dimension first; other variables are computed at once.
    path
        Path ``*.zarr`` (a folder) or ``*.nc`` (netCDF-4). It exists only when it is complete; until then
        ``<path>.partial`` contains the finished blocks, and the same call continues with them.
    workers
        Number of Dask worker processes; 1 computes in this process. The default is a running scheduler (see
        `sciml.parallel.cluster.client`), else one worker for each core if there is enough work.
    overwrite
        Whether to replace a dataset of sciml at ``path``, and to drop an unfinished one with other content. Other files
        are never replaced.
    progress
        Function that is called with the number of samples written and their total.

    Returns
    -------
    bool
        False if the same call has written the dataset before, which is then not changed.

    Raises
    ------
    InputError
        The path cannot be written; it is something else than this dataset, or the unfinished dataset is another one
        (with another number of samples, seed or version of sciml); another process writes it; there are no samples; or
        the file cannot store a name, an attribute or a value.
    ClusterError
        The workers or the scheduler of a cluster stopped; the finished blocks remain.
    OSError
        The disk is full; the finished blocks remain.
    KeyboardInterrupt
        The call was interrupted; the finished blocks remain.
    """
    path = Path(path).resolve()
    if path.suffix not in (".zarr", ".nc"):
        raise InputError(f"{path.name}: a dataset is written as NAME.zarr or NAME.nc")
    if workers is not None:
        check_whole("workers", workers, 1, remedy="or leave it out")
    if not path.parent.is_dir():
        raise InputError(f"there is no folder {path.parent} to write {path.name} into")
    dataset = _writable(dataset)
    plan = _plan(dataset)
    with partial_store(path) as partial:
        placed = partial.finish_placing(path) and _attributes(path).get(IDENTITY) == plan["identity"]
        if placed or _finished(path, plan, overwrite):
            partial.discard()
            return placed
        _take_up(partial, path, plan, dataset, overwrite)
        try:
            _compute(partial, plan, dataset, workers, progress or _silent)
        except ClusterError:
            raise
        except SciMLError:
            partial.discard()  # the input is invalid, so the finished blocks are useless
            raise
        except MemoryError as error:
            if not partial.done(0):
                partial.discard()
            raise SciMLError(
                f"{plan['block']} samples of {dict(dataset.sizes)} do not fit in memory ({error}): take smaller blocks "
                "(chunk, --chunk) or a lower resolution"
            ) from error
        _finish(partial, path)
    return True


def _silent(done: int, total: int) -> None:
    """Report no progress."""


def _writable(dataset: xr.Dataset) -> xr.Dataset:
    """Return the dataset with the samples first, and load the variables that are not written in blocks.

    Raises
    ------
    InputError
        The argument is not a dataset, there are no samples, or a name has a slash.
    """
    import xarray as xr

    if not isinstance(dataset, xr.Dataset):
        raise InputError(
            f"a {type(dataset).__name__}: give an xarray Dataset, such as array.to_dataset(name='u')"
        )
    if dataset.sizes.get("sample", 0) == 0:
        raise InputError(f"a dataset of dims {dict(dataset.sizes)} has no samples: nothing to write")
    for name in dataset.variables:
        if "/" in str(name):  # zarr and netCDF use it for groups
            raise InputError(
                f"{name}: a variable's name has no slash: rename it, such as ds.rename({{{name!r}: 'u'}})"
            )
    dataset = dataset.transpose("sample", ...)
    if not _rows(dataset):
        raise InputError(
            f"a dataset of {', '.join(map(str, dataset.variables))} has no variables along sample"
        )
    whole = {
        name: value
        for name, value in dataset.variables.items()
        if name in dataset.coords or name not in _rows(dataset)
    }
    return dataset.assign(
        {name: value.compute() for name, value in whole.items() if value.chunks is not None}
    )


def _plan(dataset: xr.Dataset) -> dict[str, Any]:
    """Return the identity of a dataset, and the size of its blocks."""
    arrays = {
        str(name): [list(map(str, item.dims)), list(item.shape), str(item.dtype)]
        for name, item in dataset.data_vars.items()
    }
    coords = {
        str(name): hashlib.sha256(np.ascontiguousarray(item.values).tobytes()).hexdigest()
        for name, item in dataset.coords.items()
    }
    attrs = {str(name): str(value) for name, value in dataset.attrs.items() if name not in OWN}
    made_here = "family_parameters" in attrs and "seed" in attrs
    names = {} if made_here else {str(name): _token(item) for name, item in dataset.data_vars.items()}
    content = json.dumps([arrays, coords, attrs, names], sort_keys=True)
    origin: dict[str, Any] = {
        name: attrs[name] for name in ("family", "seed", "sciml_version") if name in attrs
    }
    return {
        "identity": hashlib.sha256(content.encode()).hexdigest(),
        "block": _block(dataset),
        "samples": dataset.sizes["sample"],
        **origin,
    }


def _token(value: xr.DataArray) -> str:
    if value.chunks is not None:
        return str(value.data.name)
    return hashlib.sha256(np.ascontiguousarray(value.values).tobytes()).hexdigest()


def _block(dataset: xr.Dataset) -> int:
    """Return the samples in a block: the first chunk of the first lazy variable by name, else about 2 MB."""
    for name in sorted(map(str, dataset.data_vars)):  # a zarr store has them in any order
        array = dataset[name]
        if array.chunks is not None and "sample" in array.dims:
            return int(array.chunks[array.dims.index("sample")][0])
    size = max(array.nbytes for array in dataset.data_vars.values()) // dataset.sizes["sample"]
    return int(max(1, min(32, (2 << 20) // max(size, 1))))


def _finished(path: Path, plan: Mapping[str, Any], overwrite: bool) -> bool:
    """Return whether the dataset exists already; raise an error for a file that may not be replaced."""
    check_replaceable(path, folder=True)
    if not path.exists():
        return False
    attrs = _attributes(path)
    if attrs.get(IDENTITY) == plan["identity"]:
        return not overwrite
    if not overwrite:
        raise InputError(
            f"{path} exists and is not what this would write: remove it, choose another name, or pass overwrite=True "
            "(--overwrite)"
        )
    if IDENTITY not in attrs:
        raise InputError(f"{path} is no dataset that sciml wrote, and is not replaced: choose another name")
    return False


def _attributes(path: Path) -> Mapping[str, Any]:
    """Return the attributes of a dataset; empty for any other file."""
    try:
        if path.is_dir():
            import zarr

            return dict(zarr.open_group(path, mode="r").attrs)
        import netCDF4

        with netCDF4.Dataset(path) as file:
            return {name: file.getncattr(name) for name in file.ncattrs()}
    except (OSError, ValueError, KeyError):
        return {}


def _take_up(
    partial: PartialStore, path: Path, plan: Mapping[str, Any], dataset: xr.Dataset, overwrite: bool
) -> None:
    """Continue the store of an interrupted call with the same plan, or make an empty one."""
    there = partial.plan()
    if there == plan:
        return
    if there is not None and there != plan and not overwrite:
        keys = [key for key in plan if key != "identity" and plan[key] != there.get(key)]
        why = ", ".join(f"{key} {there.get(key)} instead of {plan[key]}" for key in keys) or "other content"
        raise InputError(
            f"{partial.folder} is an unfinished dataset of another command ({why}): finish that one, remove it, or "
            "pass overwrite=True (--overwrite)"
        )
    partial.discard()
    block = int(plan["block"])
    out = dataset.drop_encoding().assign_attrs({IDENTITY: plan["identity"], **attribute()})
    lazy = _rows(out)
    chunks = {
        str(name): {"chunks": (min(block, plan["samples"]), *value.shape[1:])} for name, value in lazy.items()
    }
    with _convertible("zarr", path, partial):
        empty = out.assign(
            {
                name: value.chunk(dict.fromkeys(value.dims, -1) | {"sample": block})
                for name, value in lazy.items()
            }
        )
        empty.to_zarr(
            partial.store, mode="w", compute=False, zarr_format=3, consolidated=False, encoding=chunks
        )
    if path.suffix == ".nc":
        with _convertible("netCDF", path, partial):
            _try_netcdf(out, partial.folder / "trial.nc")
    partial.begin(plan)


@contextlib.contextmanager
def _convertible(form: str, path: Path, partial: PartialStore) -> Iterator[None]:
    """Remove the unfinished store if a file of this format cannot store the dataset."""
    try:
        yield
    except (TypeError, ValueError) as error:
        partial.discard()
        raise InputError(
            f"{path.name}: {form} cannot hold the dataset ({error}): drop or convert that"
            + (", or write NAME.zarr" if form == "netCDF" else "")
        ) from error


def _try_netcdf(dataset: xr.Dataset, path: Path) -> None:
    """Write one zero of each variable, so that an error of netCDF is raised before the computation."""
    rows = _rows(dataset)
    first = dataset.drop_vars(list(rows)).isel(
        dict.fromkeys(dataset.dims, slice(0, 1)), missing_dims="ignore"
    )
    zeros = {name: (row.dims, np.zeros((1,) * row.ndim, row.dtype), row.attrs) for name, row in rows.items()}
    with _netcdf_on_disk(path):
        first.assign(zeros).to_netcdf(path, engine="netcdf4", format="NETCDF4")
    path.unlink()


@contextlib.contextmanager
def _netcdf_on_disk(path: Path) -> Iterator[None]:
    """Explain the bare RuntimeError that netCDF4 raises on a full disk."""
    try:
        yield
    except RuntimeError as error:
        raise SciMLError(
            f"cannot write {path}: {error}, as on a full disk: free space, and repeat the call to continue"
        ) from error


def _rows(dataset: xr.Dataset) -> dict[Any, xr.DataArray]:
    """Return the variables that are written in blocks."""
    return {name: array for name, array in dataset.data_vars.items() if array.dims[:1] == ("sample",)}


def _compute(
    partial: PartialStore, plan: Mapping[str, Any], dataset: xr.Dataset, workers: int | None, progress: Tell
) -> None:
    block, total = int(plan["block"]), int(plan["samples"])
    numbers = range(-(-total // block))
    left = [number for number in numbers if not partial.done(number)]
    done = total - sum(min(block, total - number * block) for number in left)
    progress(done, total)
    if not left:
        return
    rows = _rows(dataset)
    size = max(row.size for row in rows.values()) * len(left) // len(numbers)
    alone = workers == 1 or (workers is None and (size < SMALL or len(left) < 2))

    def lazy(number: int) -> dict[str, Any]:
        here = slice(number * block, min(total, (number + 1) * block))
        return {str(name): row.isel(sample=here).data for name, row in rows.items()}

    for number in written_blocks(partial.store, block, lazy, left, alone, workers):
        partial.mark(number)
        done += min(block, total - number * block)
        progress(done, total)


def _first_chunk(value: xr.DataArray) -> tuple[int, ...] | None:
    return tuple(sizes[0] for sizes in value.chunks) if value.chunks else None


def _finish(partial: PartialStore, path: Path) -> None:
    """Rename the complete dataset to its target."""
    import warnings

    import zarr

    seal_store(partial.store)
    with (
        warnings.catch_warnings()
    ):  # xarray asks for one file of all metadata, though zarr 3 does not yet define it
        warnings.simplefilter("ignore")
        zarr.consolidate_metadata(partial.store)
    if path.suffix == ".nc":
        import xarray as xr

        with xr.open_zarr(partial.store, consolidated=False) as whole, replaced(path) as part:
            out = whole.drop_encoding()[sorted(map(str, whole.variables))]  # a store lists them in any order
            packed = {
                name: {"zlib": True, "complevel": 1, "shuffle": True, "chunksizes": _first_chunk(array)}
                for name, array in out.data_vars.items()
            }
            with _netcdf_on_disk(path):
                out.to_netcdf(part, engine="netcdf4", format="NETCDF4", encoding=packed)
        partial.discard()
    else:
        partial.place(path)
