"""Small inputs in a folder, in which the commands of `recorded_files` write."""

from __future__ import annotations

from pathlib import Path

import pytest
import xarray as xr

from tests.cli.recorded_files import COMMANDS, FILES, MORE, inside, run, written
from tests.wrf.test_perturb import start
from workflows.kessler.soundings import pairs


@pytest.fixture(scope="session")
def inputs(tmp_path_factory: pytest.TempPathFactory, short_sample: tuple[Path, Path]) -> Path:
    """A folder with inputs: a part of the sample, pairs of another scheme, an initial state, settings."""
    folder = tmp_path_factory.mktemp("recorded")
    for source in short_sample:
        with xr.open_dataset(source, decode_times=False) as ds:
            sides = {
                dim: slice(0, 9 if "stag" in dim else 8)
                for dim in ds.dims
                if "_north" in dim or "_east" in dim
            }
            ds.isel({str(dim): part for dim, part in sides.items()}).to_netcdf(folder / source.name)
    pairs(40, 20, seed=5).to_netcdf(folder / "pairs.nc")
    start(folder / "wrfinput_d01")
    for name, text in FILES.items():
        (folder / name).write_text(text)
    return folder


@pytest.fixture(scope="session")
def files(inputs: Path) -> Path:
    """The folder of the inputs, with a file of each kind."""
    bilstm = "--config", "small.toml", "--network", "bilstm", "--output", "b.sciml", "-q"
    with inside(inputs):
        for name in COMMANDS:
            if name == "at.nc":  # of a network with heads of layers
                assert run("convection", "train", "c.zarr", *bilstm) == 0
            assert run(*written(name), *MORE.get(name, ()), "--json", f"{name}.json") == 0, name
    return inputs
