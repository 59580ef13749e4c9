"""The registration of the accessor ``ds.sciml``, without an import of xarray.

``import sciml`` must be fast, and ``ds.sciml`` must exist whichever of sciml and xarray is imported first. If xarray is
imported already, the accessor is registered at once; else a finder at the front of `sys.meta_path` waits for the import
of xarray, removes itself and registers the accessor then. The fields themselves
(`sciml.columns.accessor.WRFAccessor`) are imported when `ds.sciml` is first used.
"""

from __future__ import annotations

import importlib.abc
import importlib.util
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

__all__ = ["register_accessor"]


def _fields(ds: Any) -> Any:
    """Return fields derived from a wrfout: `sciml.columns.accessor.WRFAccessor`."""
    # Imported by name, like the lazy public names: the package itself imports neither wrf nor pde.
    return import_module("sciml.columns.accessor").WRFAccessor(ds)


def _register(xarray: Any) -> None:
    if "sciml" not in vars(xarray.Dataset):
        xarray.register_dataset_accessor("sciml")(_fields)


class _WhenImported(importlib.abc.MetaPathFinder):
    """Registers the accessor at the end of the first import of xarray; does not find modules itself."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != "xarray":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec("xarray")
        if spec is None or spec.loader is None:
            return spec
        execute = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            try:
                execute(module)
            except BaseException:
                register_accessor()  # for the next try
                raise
            _register(module)

        # Patched on the loader itself, so that its type and other methods are unchanged.
        setattr(spec.loader, "exec_module", exec_module)  # noqa: B010  # mypy refuses a plain assignment
        return spec


def register_accessor() -> None:
    """Register ``ds.sciml`` now, or as soon as xarray is imported."""
    xarray = sys.modules.get("xarray")
    if xarray is not None and hasattr(xarray, "register_dataset_accessor"):
        _register(xarray)
    elif not any(isinstance(finder, _WhenImported) for finder in sys.meta_path):
        sys.meta_path.insert(0, _WhenImported())
