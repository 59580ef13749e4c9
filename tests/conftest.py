"""Shared by all tests: the marks that depend on the machine, and the number of threads of each worker."""

from __future__ import annotations

import functools
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import netCDF4
import pytest

from tests.paths import SAMPLE_OFFLINE, SAMPLE_WRFOUT, SHARED

# Two workers on two cores: with all threads each would slow down the other.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache of the test run's own, unless one is asked for."""
    home = os.environ.get("SCIML_CACHE")
    # The parent is shared by the workers of pytest-xdist.
    path = Path(home) if home else tmp_path_factory.getbasetemp().parent / "sciml-cache"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SCIML_CACHE", str(path))
        yield path


def _copy_frames(source: Path, target: Path, frames: slice) -> Path:
    """Copy a NetCDF file with some of its frames."""
    with netCDF4.Dataset(source) as old, netCDF4.Dataset(target, "w") as new:
        old.set_auto_maskandscale(False)
        old.set_auto_chartostring(False)
        new.setncatts({name: old.getncattr(name) for name in old.ncattrs()})
        for name, dimension in old.dimensions.items():
            new.createDimension(name, None if dimension.isunlimited() else len(dimension))
        for name, variable in old.variables.items():
            attributes = {key: variable.getncattr(key) for key in variable.ncattrs()}
            fill = attributes.pop("_FillValue", None)
            made = new.createVariable(name, variable.dtype, variable.dimensions, fill_value=fill)
            made.set_auto_maskandscale(False)
            made.setncatts(attributes)
            made[:] = variable[frames] if "Time" in variable.dimensions else variable[:]
    return target


@pytest.fixture(scope="session")
def short_sample(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two of the seven frames of the sample and of its true outputs, under the same names, for whole workflows."""
    folder = tmp_path_factory.mktemp("short")
    wrfout, truth = (
        _copy_frames(path, folder / path.name, slice(2, 4)) for path in (SAMPLE_WRFOUT, SAMPLE_OFFLINE)
    )
    return wrfout, truth


@pytest.fixture
def plain_layout(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw figures without arranging their parts, which takes most of the time, in tests of what else a command does.

    The tests of the pages and of `sciml.plot` arrange them.
    """
    from importlib import import_module

    settings = import_module("sciml.plot.style")._SETTINGS
    monkeypatch.setitem(settings, "figure.constrained_layout.use", False)


@pytest.fixture(scope="session")
def onnx_registry() -> Iterator[None]:
    """Read torch's table of ONNX functions once, and not in each export."""
    from torch.onnx._internal.exporter._registration import ONNXRegistry

    read = staticmethod(functools.lru_cache(ONNXRegistry.from_torchlib))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ONNXRegistry, "from_torchlib", read)
        yield


# A shell starts background processes that ignore Ctrl-C, and so do their children: this handler makes the processes
# that the tests of Ctrl-C start react to it.
signal.signal(signal.SIGINT, signal.default_int_handler)


def _gpu() -> bool:
    import torch

    return torch.cuda.is_available()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    missing: dict[str, str] = {}
    if not (SHARED / "wrf").is_dir():
        missing["shared"] = f"the WRF data is absent: no {SHARED / 'wrf'} (set SCIML_SHARED to its folder)"
    if not shutil.which(os.environ.get("FC", "gfortran")) or not shutil.which(os.environ.get("CC", "gcc")):
        missing["native"] = "no Fortran or C compiler: apt-get install gfortran gcc, or set FC and CC"
    if any(item.get_closest_marker("gpu") for item in items) and not _gpu():
        missing["gpu"] = "no GPU"
    for item in items:
        for name, reason in missing.items():
            if item.get_closest_marker(name):
                item.add_marker(pytest.mark.skip(reason=reason))
