"""The folders of the tests have the names of the packages that they test."""

from __future__ import annotations

from tests.paths import REPO

BESIDE = {"interface", "qa", "torture", "workflows"}
"""Folders of tests of several packages, of the repository, of faults, and of the workflows."""


def test_each_package_has_a_folder_of_tests() -> None:
    packages = {path.parent.name for path in (REPO / "sciml").glob("*/__init__.py")}
    folders = {path.parent.name for path in (REPO / "tests").glob("*/test_*.py")}
    nested = {path.parents[1].name for path in (REPO / "tests").glob("*/*/test_*.py")}
    assert folders | nested == packages | BESIDE
