"""Docstrings of the public names: numpydoc sections that agree with the signatures."""

from __future__ import annotations

import enum
import importlib
import inspect
from collections.abc import Iterator
from typing import Any

import pytest

scrape = pytest.importorskip("numpydoc.docscrape")

PACKAGES = (
    *("sciml", "sciml.pde", "sciml.multigrid", "sciml.multigrid.torch", "sciml.operators", "sciml.nn"),
    *("sciml.compress", "sciml.train", "sciml.analysis", "sciml.schemes", "sciml.wrf", "sciml.columns"),
    *("sciml.convection", "sciml.coupling", "sciml.verify", "sciml.plot"),
)
VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def public_callables() -> dict[str, Any]:
    """Each public class and function by its first public name."""
    first: dict[int, tuple[str, Any]] = {}
    for package in PACKAGES:
        module = importlib.import_module(package)
        for name in module.__all__:
            value = getattr(module, name)
            if callable(value) and str(getattr(value, "__module__", "")).startswith("sciml"):
                first.setdefault(id(value), (f"{package}.{name}", value))
    return dict(first.values())


CALLABLES = public_callables()


def parameters_of(value: Any) -> set[str]:
    """Names of the parameters in the signature, without self and without *args and **kwargs."""
    parameters = inspect.signature(value).parameters.values()
    return {p.name for p in parameters if p.kind not in VARIADIC and p.name not in ("self", "cls")}


def documented(doc: Any, *sections: str) -> set[str]:
    """Names in the first of the sections that the docstring has."""
    for section in sections:
        if doc[section]:
            return {name.strip().lstrip("*") for entry in doc[section] for name in entry.name.split(",")}
    return set()


def has_own_signature(value: Any) -> bool:
    """Whether users call it with parameters of its own: no protocol, enumeration, error or subclass of torch's."""
    if not inspect.isclass(value):
        return True
    if issubclass(value, enum.Enum | BaseException) or getattr(value, "_is_protocol", False):
        return False
    return not any(p.kind in VARIADIC for p in inspect.signature(value).parameters.values())


def methods(value: Any) -> Iterator[tuple[str, Any]]:
    """Public methods and properties that a class defines itself."""
    for name, member in vars(value).items():
        function = getattr(member, "fget", None) or getattr(member, "func", None) or member
        function = getattr(function, "__func__", function)
        if not name.startswith("_") and inspect.isfunction(function):
            yield name, function


@pytest.mark.parametrize("name", CALLABLES)
def test_parameters_are_documented(name: str) -> None:
    value = CALLABLES[name]
    text = inspect.cleandoc(value.__doc__ or "")
    assert text, f"{name} has no docstring"
    if has_own_signature(value):
        doc = scrape.NumpyDocString(text)
        assert documented(doc, "Parameters", "Attributes") == parameters_of(value)


@pytest.mark.parametrize("name", [name for name, value in CALLABLES.items() if inspect.isfunction(value)])
def test_results_are_documented(name: str) -> None:
    value = CALLABLES[name]
    doc = scrape.NumpyDocString(inspect.cleandoc(value.__doc__ or ""))
    returns = inspect.signature(value).return_annotation
    assert bool(doc["Returns"] or doc["Yields"]) == (returns not in (None, "None"))


@pytest.mark.parametrize("name", [name for name, value in CALLABLES.items() if inspect.isclass(value)])
def test_methods_are_documented(name: str) -> None:
    for method, function in methods(CALLABLES[name]):
        text = inspect.cleandoc(function.__doc__ or "")
        assert text, f"{name}.{method} has no docstring"
        doc = scrape.NumpyDocString(text)
        if doc["Parameters"]:
            assert documented(doc, "Parameters") == parameters_of(function), f"{name}.{method}"
