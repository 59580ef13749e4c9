"""Importing the package and starting its command load neither torch nor xarray nor matplotlib."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import subprocess
import sys

import pytest

HEAVY = ("torch", "xarray", "matplotlib", "distributed", "scipy", "netCDF4", "zarr", "pyamg", "h5py")


def modules_after(code: str) -> set[str]:
    script = f"import sys\n{code}\nprint(' '.join(sorted({{name.split('.')[0] for name in sys.modules}})))"
    completed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(completed.stdout.splitlines()[-1].split())


@pytest.mark.parametrize(
    "code",
    [
        "import sciml",
        "import sciml; sciml.solve, sciml.init, sciml.Result, dir(sciml)",
        "import sciml.cli",
        "import sciml.parallel.cluster",
        "import sciml.storage.packaged",
        "from sciml.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass",
    ],
)
def test_no_heavy_package_is_imported(code: str) -> None:
    assert not modules_after(code) & set(HEAVY)


@pytest.mark.parametrize("group", ["wrf", "convection", "coupling", "pde"])
def test_help_of_a_group_imports_no_heavy_package(group: str) -> None:
    pytest.importorskip(f"sciml.cli.{group}")
    loaded = modules_after(
        f"from sciml.cli import main\ntry: main(['{group}', '--help'])\nexcept SystemExit: pass"
    )
    assert not loaded & {"torch", "xarray", "matplotlib"}


@pytest.mark.parametrize(
    "imports",
    [
        "import sciml, xarray as xr",
        "import xarray as xr, sciml",
        "import sciml; from xarray import Dataset; import xarray as xr",
        "import sciml.wrf, sciml.pde, xarray as xr",
        "import xarray as xr, importlib, sciml; importlib.reload(sciml)",
    ],
)
def test_accessor_is_registered_in_any_order_of_imports(imports: str) -> None:
    code = (
        f"import warnings; warnings.simplefilter('error')\n{imports}\n"
        "assert 'wind_east' in repr(xr.Dataset().sciml)\n"
        "assert type(xr.__spec__.loader) is type(sciml.__spec__.loader)\n"
        "assert not any(type(f).__module__.startswith('sciml') for f in __import__('sys').meta_path)"
    )
    assert "torch" not in modules_after(code)


def test_the_accessor_does_not_import_xarray() -> None:
    assert "xarray" not in modules_after("import sciml\ntry: import missing_module\nexcept ImportError: pass")


def test_every_public_name_exists() -> None:
    import sciml

    for name in sciml.__all__:
        assert getattr(sciml, name) is not None
        assert name in dir(sciml)


def test_submodules_that_users_need_are_there_after_one_import() -> None:
    code = (
        "import sciml as sm\n"
        "assert all(not name.startswith('_') or name == '__version__' for name in dir(sm))\n"
        "assert {'convection', 'operators', 'plot', 'train', 'verify'} <= set(dir(sm))\n"
        "assert sm.plot.panels and sm.train.Checkpoint and sm.convection.train and sm.operators.train\n"
        "for name in dir(sm.verify): assert getattr(sm.verify, name) is not None, name\n"
    )
    modules_after(code)


def test_an_unknown_name_is_an_attribute_error() -> None:
    import sciml

    with pytest.raises(AttributeError, match="no attribute 'solver'"):
        _ = sciml.solver  # type: ignore[attr-defined]  # the error is expected


@pytest.mark.parametrize(
    "name", ["pde", "multigrid", "operators", "train", "columns", "wrf", "convection", "coupling"]
)
def test_no_module_hides_a_public_name(name: str) -> None:
    """Importing a module sets an attribute of its package, which would replace a lazy name with the same spelling."""
    package = importlib.import_module(f"sciml.{name}")
    modules = {module.name for module in pkgutil.iter_modules(package.__path__)}
    hidden = [
        public for public in modules & set(package.__all__) if not inspect.ismodule(getattr(package, public))
    ]
    assert not hidden
    assert all(getattr(package, public) is not None for public in package.__all__)
