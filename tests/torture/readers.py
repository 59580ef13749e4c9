"""The kinds of files that sciml reads: an example of each, and its reader."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import xarray as xr

from tests.columns.mixed_runs import write_pairs
from tests.paths import SAMPLE_OFFLINE, SAMPLE_WRFOUT
from workflows.kessler.soundings import SCHEME, pairs

__all__ = ["READERS", "Reader", "make_examples"]


@dataclass(frozen=True)
class Reader:
    """A kind of file.

    Parameters
    ----------
    name
        Name of the example, a file or a store.
    read
        Reads all of it, as the commands do. It returns what was read if a checksum protects the file, else None.
    share
        How often it is chosen.
    """

    name: str
    read: Callable[[Path], Any]
    share: float = 1.0


def _wrfout(path: Path) -> None:
    from sciml.wrf.opening import open_wrfout

    open_wrfout(path).load()


def _columns(path: Path) -> None:
    from sciml.columns.open import open_columns

    open_columns(path, keep="all").load()


def _written(path: Path) -> None:
    from sciml.columns.write import write_columns
    from sciml.progress import StageProgress

    write_columns(
        path, path.parent / "out.zarr", workers=1, keep="all", overwrite=True, progress=StageProgress()
    )


def _checkpoint(path: Path) -> Any:
    from sciml.train import checkpoint

    made = checkpoint.load(path)
    return {name: array.tobytes() for name, array in made.tensors.items()}, json.dumps(
        made.config, sort_keys=True
    )


def _emulator(path: Path) -> Any:
    from sciml.convection.emulator import Emulator

    network: Any = Emulator.load(path).network
    return [value.numpy().tobytes() for value in network.state_dict().values()]


def _state(path: Path) -> Any:
    from sciml.train import checkpoint

    made = checkpoint.load(path, kind="training state")
    return {name: array.tobytes() for name, array in made.tensors.items()}


def _weights(path: Path) -> Any:
    from sciml.coupling.weights_file import read_weights

    made = read_weights(path)
    return {name: array.tobytes() for name, array in made.arrays.items()}


def _dataset(path: Path) -> None:
    from sciml.pde.dataset import check_values
    from sciml.pde.reading import open_dataset

    own = {} if path.suffix in (".zarr", ".nc") else {"inputs": "source", "target": "u"}
    check_values(open_dataset(path, **own).load())


def _scheme(path: Path) -> None:
    from sciml.schemes import load_scheme

    load_scheme(path)


def _settings(path: Path) -> None:
    from sciml.cli.training_options import read_settings

    read_settings(path)


def _cluster(path: Path) -> None:
    from sciml.parallel.cluster_file import read_cluster

    read_cluster(path)


def _pairs(path: Path) -> None:
    from sciml.emulation import open_groups
    from sciml.schemes import load_scheme

    for group in open_groups([path], load_scheme(SCHEME)):
        group.load()


def _statistics(path: Path) -> None:
    from sciml.verify.library.mode_statistics import read_statistics

    read_statistics([path])


READERS: Final = {
    "wrfout, netCDF-4": Reader("wrfout_d01_4.nc", _wrfout, 3),
    "wrfout, classic": Reader("wrfout_d01_3.nc", _wrfout, 2),
    "wrfout, 64-bit offsets": Reader("wrfout_d01_6.nc", _wrfout, 2),
    "wrfout to a store": Reader("wrfout_d01_4.nc", _written, 1),
    "classic wrfout to a store": Reader("wrfout_d01_6.nc", _written, 1),
    "drawn pairs": Reader("mskf_pairs_x.nc", _columns, 1.5),
    "checkpoint": Reader("m.sciml", _checkpoint, 2),
    "emulator": Reader("m.sciml", _emulator, 1),
    "training state": Reader("m.resume.sciml", _state, 2),
    "checkpoint, folder": Reader("folder", _checkpoint, 1),
    "weights file": Reader("w.nc", _weights, 2),
    "store of columns": Reader("c.zarr", _columns, 3),
    "store of fields": Reader("d.zarr", _dataset, 3),
    "fields, netCDF-4": Reader("d.nc", _dataset, 1.5),
    "fields, HDF5": Reader("d.h5", _dataset, 1.5),
    "fields, npz": Reader("d.npz", _dataset, 1),
    "fields, MATLAB": Reader("d.mat", _dataset, 1),
    "fields, torch": Reader("d.pt", _dataset, 1),
    "declaration, TOML": Reader("kessler.toml", _scheme, 1),
    "settings, TOML": Reader("fit.toml", _settings, 0.5),
    "cluster, TOML": Reader("cluster.toml", _cluster, 0.5),
    "pairs of a scheme": Reader("pairs.nc", _pairs, 1),
}


def make_examples(folder: Path) -> None:
    """Write an example of each kind into a folder."""
    import shutil

    import h5py
    import scipy.io
    import torch

    from sciml.columns.extract import convection_columns
    from sciml.columns.write import write_columns
    from sciml.convection.emulator import Emulator
    from sciml.coupling.export import emulator_weights
    from sciml.coupling.weights_file import write_weights
    from sciml.pde.generation import generate
    from sciml.pde.writing import write_dataset
    from sciml.train import checkpoint
    from sciml.wrf.opening import open_wrfout

    with xr.open_dataset(SAMPLE_WRFOUT, decode_times=False) as ds:
        small = {
            d: slice(0, 5 if d.endswith("stag") else 4)
            for d in ds.dims
            if str(d).startswith(("south", "west"))
        }
        some = ds.isel(Time=slice(2, 4), **small).load()
    with xr.open_dataset(SAMPLE_OFFLINE, decode_times=False) as ds:
        small = {d: slice(0, 4) for d in ds.dims if str(d).startswith(("south", "west"))}
        truth = ds.isel(Time=slice(2, 4), **small).load()
    for name, form in (("4", "NETCDF4"), ("3", "NETCDF3_CLASSIC"), ("6", "NETCDF3_64BIT")):
        some.to_netcdf(folder / f"wrfout_d01_{name}.nc", format=form)
    truth.to_netcdf(folder / "mskf_offline_4.nc")
    columns = convection_columns(
        open_wrfout(folder / "wrfout_d01_4.nc"), folder / "mskf_offline_4.nc", keep="all"
    )
    write_pairs(folder / "mskf_pairs_x.nc", columns, run=3)
    with xr.open_dataset(folder / "mskf_pairs_x.nc") as ds:
        drawn = ds.load()
    drawn.drop_encoding().to_netcdf(folder / "mskf_pairs_x.nc", format="NETCDF3_64BIT")
    write_columns(
        folder / "wrfout_d01_4.nc",
        folder / "c.zarr",
        truth=folder / "mskf_offline_4.nc",
        workers=1,
        keep="all",
    )
    shutil.copyfile(SAMPLE_WRFOUT.parent / "mskf-convrad.sciml", folder / "m.sciml")
    rng = np.random.default_rng(19)
    tensors = {"model/w": rng.normal(size=(20, 30)), "random/cpu": rng.integers(0, 255, 64).astype(np.uint8)}
    checkpoint.save(folder / "m.resume.sciml", {"kind": "training state", "position": {"epoch": 3}}, tensors)
    checkpoint.save(folder / "folder", {"kind": "line", "note": "y = a x"}, tensors)
    write_weights(folder / "w.nc", emulator_weights(Emulator.load("mskf-convrad")))
    fields = generate("poisson", 6, 15, seed=11, chunk=3)
    write_dataset(fields, folder / "d.zarr", workers=1)
    write_dataset(fields, folder / "d.nc", workers=1)
    arrays = {"source": fields["source"].values, "u": fields["u"].values}
    np.savez(folder / "d.npz", **arrays)
    scipy.io.savemat(folder / "d.mat", arrays)
    torch.save({name: torch.from_numpy(value) for name, value in arrays.items()}, folder / "d.pt")
    with h5py.File(folder / "d.h5", "w") as file:
        for name, value in arrays.items():
            file[name] = value
    shutil.copyfile(SCHEME, folder / "kessler.toml")
    (folder / "fit.toml").write_text('[fit]\nepochs = 3\nprecision = "float32"\n[network]\nhidden = 4\n')
    (folder / "cluster.toml").write_text(
        'kind = "slurm"\njobs = 4\ncores = 2\nmemory = "2GiB"\nprologue = ["module load x"]\n'
    )
    pairs(30, 20, seed=3).to_netcdf(folder / "pairs.nc")
