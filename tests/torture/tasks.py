"""The long commands, with inputs so small that one takes about a second."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.paths import SAMPLE_OFFLINE, SAMPLE_WRFOUT
from tests.torture.children import command, forked
from workflows.kessler.soundings import SCHEME

__all__ = ["TASKS", "Task", "make_inputs"]

FIT: Final = """[fit]
epochs = 3
batch_size = 64
threads = 1
checkpoint_every = 0.0
"""
SETTINGS: Final = {
    "closure.toml": f"{FIT}[network]\nhidden = 4\npooled = 4\n",
    "transformer.toml": f"{FIT}[network]\nhidden = 8\nlayers = 1\nheads = 2\n",
    "fno.toml": f"{FIT.replace('64', '8')}[network]\nmodes = 3\nwidth = 4\nlayers = 1\nprojection = 4\n",
    "scheme.toml": f"{FIT.replace('64', '20')}[network]\nhidden = 4\nlayers = 1\n",
    "longer.toml": "[fit]\nepochs = 12\nbatch_size = 24\nthreads = 1\n[network]\nhidden = 8\nlayers = 1\n",
}


@dataclass(frozen=True)
class Task:
    """A command, as words after `sciml`; {in} is the folder of the inputs.

    Parameters
    ----------
    words
        The command. Its outputs lie in the current folder.
    old
        The command that wrote an earlier output of the same name; by default there is none.
    share
        How often it is chosen; below 1 never in a test of less than two minutes, because it takes long.
    """

    words: str
    old: str = ""
    share: float = 1.0

    def command(self, inputs: Path, *, old: bool = False) -> list[str]:
        """Return the words of the command."""
        return (self.old if old else self.words).format(**{"in": inputs}).split()


COLUMNS: Final = "wrf columns {in}/wrfout_d01_s.nc --reference {in}/mskf_offline_s.nc -o c.zarr"
TASKS: Final = {
    "wrf columns": Task(f"{COLUMNS} --workers 1", share=3),
    "wrf columns over an old store": Task(
        f"{COLUMNS} --workers 1 --overwrite --json c.json",
        f"{COLUMNS} --workers 1 --all --json c.json",
        share=3,
    ),
    "wrf columns on Dask workers": Task(f"{COLUMNS} --workers 2", share=0.3),
    "wrf perturb": Task(
        "wrf perturb {in}/wrfinput_d01 -o p.nc --json p.json",
        "wrf perturb {in}/wrfinput_d01 -o p.nc --seed 11",
    ),
    "wrf compare": Task(
        "wrf compare {in}/run_a {in}/run_b --figure c.png --json c.json --resamples 5", share=0.3
    ),
    "pde generate zarr": Task(
        "pde generate darcy-rough --resolution 15 --count 24 --chunk 4 -o d.zarr --workers 1", share=3
    ),
    "pde generate netCDF": Task(
        "pde generate poisson --resolution 15 --count 12 --chunk 4 -o d.nc --workers 1 --overwrite",
        "pde generate poisson --resolution 15 --count 12 --seed 9 -o d.nc --workers 1",
        share=2,
    ),
    "pde generate over an old store": Task(
        "pde generate poisson --resolution 15 --count 12 --chunk 4 -o d.zarr --workers 1 --overwrite --json d.json",
        "pde generate poisson --resolution 15 --count 12 --seed 9 -o d.zarr --workers 1 --json d.json",
        share=2,
    ),
    "pde train": Task(
        "pde train fno {in}/d.zarr -o f.sciml --config {in}/fno.toml --hold-out 8 --device cpu --json f.json",
        "pde train fno {in}/d.zarr -o f.sciml --config {in}/fno.toml --device cpu --epochs 1",
        share=2,
    ),
    "pde verify": Task(
        "pde verify {in}/f.sciml {in}/d.zarr --samples 4 --multigrid-samples 1 --preconditioned 0 --figure v.png",
        share=0.3,
    ),
    "pde solve": Task("pde solve darcy-rough --resolution 31 -o u.nc --json u.json", share=0.5),
    "convection train": Task(
        "convection train {in}/c.zarr -o m.sciml --config {in}/closure.toml --device cpu --json m.json",
        share=2,
    ),
    "convection pretrain": Task(
        "convection pretrain {in}/c.zarr -o p.sciml --config {in}/transformer.toml --device cpu", share=2
    ),
    "convection augment": Task("convection augment {in}/c.zarr -o a.zarr --factor 0.2", share=2),
    "convection augment over an old store": Task(
        "convection augment {in}/c.zarr -o a.zarr --factor 0.2 --overwrite",
        "convection augment {in}/c.zarr -o a.zarr --factor 0.1",
    ),
    "convection evaluate": Task(
        "convection evaluate mskf-convrad {in}/c.zarr --json e.json --html e.html --figure e.png", share=0.2
    ),
    "convection analogs": Task(
        "convection analogs {in}/c.zarr {in}/c.zarr -o a.nc --json a.json --members 4 --features profiles",
        share=1,
    ),
    "scheme train": Task(
        "scheme train {in}/kessler.toml {in}/pairs.nc -o k.sciml --config {in}/scheme.toml", share=2
    ),
    "scheme export": Task("scheme export {in}/k.sciml -o k.nc", "scheme export {in}/k.sciml -o k.nc"),
    "compress": Task("compress {in}/k.sciml {in}/more.nc --bits 8 -o small.sciml --json s.json"),
    "coupling export": Task(
        "coupling export mskf-convrad -o mskf.nc --no-response --json mskf.json",
        "scheme export {in}/k.sciml -o mskf.nc",
    ),
    "coupling build": Task("coupling build -o lib mskf-convrad", share=0.5),
    "coupling response": Task(
        "coupling response mskf-convrad --columns 100 --figure r.png --json r.json", share=0.3
    ),
    "coupling rce": Task(
        "coupling rce {in}/lib --days 1 --members 2 --threads 1 -o h.nc --figure h.png --json h.json",
        share=0.3,
    ),
}


def _run(words: Sequence[str], where: Path) -> None:
    done = forked(command(list(words)), where, limit=600)
    if done.status:
        raise RuntimeError(f"sciml {' '.join(words)}: status {done.status}\n{done.printed}")


def _files(folder: Path) -> None:
    """Write the files that the commands read, and those made by commands that are not tested here."""
    import shutil

    import numpy as np
    import xarray as xr

    from workflows.kessler.soundings import pairs

    for source, name in ((SAMPLE_WRFOUT, "wrfout_d01_s.nc"), (SAMPLE_OFFLINE, "mskf_offline_s.nc")):
        with xr.open_dataset(source, decode_times=False) as ds:
            ds.isel(Time=slice(2, 4)).to_netcdf(folder / name, format="NETCDF4")
    for run, factor in (("run_a", 1.0), ("run_b", 1.1)):
        (folder / run).mkdir()
        with xr.open_dataset(SAMPLE_WRFOUT, decode_times=False) as ds:
            some = ds.load()
            for name in ("RAINC", "RAINNC"):
                if name in some:
                    some[name] = (some[name] * np.float32(factor)).astype("f4")
            some.to_netcdf(folder / run / "wrfout_d01_x.nc")
    rng = np.random.default_rng(19)
    theta = np.linspace(285.0, 480.0, 10)[:, None, None] + rng.normal(0, 0.5, (1, 10, 8, 9)) - 300
    dims = ("Time", "bottom_top", "south_north", "west_east")
    xr.Dataset({"T": (dims, theta.astype("f4"))}, attrs={"TITLE": "OUTPUT FROM REAL_EM V4.3.3"}).to_netcdf(
        folder / "wrfinput_d01"
    )
    pairs(60, 20, seed=3).to_netcdf(folder / "pairs.nc")
    pairs(120, 20, seed=5).to_netcdf(folder / "more.nc")
    shutil.copyfile(SCHEME, folder / "kessler.toml")
    for name, text in SETTINGS.items():
        (folder / name).write_text(text)


def make_inputs(folder: Path) -> None:
    """Make the inputs of all commands in a folder."""
    folder.mkdir()
    done = forked(lambda: _files(folder), folder)
    if done.status:
        raise RuntimeError(done.printed)
    _run(TASKS["wrf columns"].command(folder), folder)
    _run(f"scheme train {SCHEME} more.nc -o k.sciml --config longer.toml".split(), folder)
    _run("pde generate poisson --resolution 15 --count 24 --chunk 8 -o d.zarr --workers 1".split(), folder)
    _run("pde train fno d.zarr -o f.sciml --config fno.toml --device cpu --epochs 1".split(), folder)
    _run("coupling build -o lib --no-fortran mskf-convrad".split(), folder)
