from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sciml.cli import app
from sciml.cli.doctor import EXTRAS, PACKAGES, check_compiler, check_disk
from tests.paths import REPO

runner = CliRunner()
FOLDERS = ("sciml", "tests", "bench", "notebooks", "workflows", "data", "docs", ".ci")
TEXTS = (".py", ".md", ".toml", ".ipynb", ".sh", ".nml", ".f90", ".c", ".h")


def test_json_contains_every_check() -> None:
    shown = runner.invoke(app, ["doctor", "--json", "-", "--quiet"])
    assert shown.exit_code == 0, shown.output
    content = json.loads(shown.stdout)
    findings = {finding["name"]: finding for finding in content["findings"]}
    names = {
        "sciml",
        "FC compiler",
        "CC compiler",
        "linker",
        "f2py",
        "CPU",
        "memory",
        "torch",
        "GPU",
        "Dask",
    }
    assert names | {"disk", "data"} | set(EXTRAS) == set(findings)
    for name, finding in findings.items():
        assert finding["found"]
        assert finding["ok"] or (finding["cost"] and finding["remedy"]), (
            f"{name}: a failed check without consequence or remedy"
        )
    assert content["lacking"] == [name for name, finding in findings.items() if not finding["ok"]]


def test_the_table_and_the_summary() -> None:
    shown = runner.invoke(app, ["doctor"])
    assert shown.exit_code == 0, shown.output
    assert shown.stdout.splitlines()[-1].startswith(("nothing is missing", "missing: "))


def test_a_missing_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FC", "no-such-fortran -O2")
    check = check_compiler("FC", "gfortran", "apt-get install gfortran", "the library cannot be built")
    assert not check.ok
    assert check.result == "$FC=no-such-fortran not found"
    assert (check.consequence, check.remedy) == ("the library cannot be built", "apt-get install gfortran")


def test_the_disk(tmp_path: Path) -> None:
    assert str(tmp_path) in check_disk(tmp_path).result


def test_the_packages_of_an_extra_are_those_of_the_project() -> None:
    project = tomllib.loads((REPO / "pyproject.toml").read_text())["project"]
    for extra, packages in PACKAGES.items():
        listed = {re.split("[><=]", line)[0] for line in project["optional-dependencies"][extra]}
        assert set(packages.split()) == listed
    assert {extra for extra, _ in EXTRAS.values()} == set(PACKAGES)


def test_no_text_names_the_package_of_another_project() -> None:
    """`sciml` on PyPI is not this package: a remedy that installs it would break the user's environment."""
    files = [
        REPO / "README.md",
        *(x for folder in FOLDERS for x in (REPO / folder).rglob("*") if x.suffix in TEXTS),
    ]
    pattern = re.compile(r"(pip|uv|pipx) (install|add) (-U )?['\"]?sciml(?![-_\w])")
    assert [str(path) for path in files if pattern.search(path.read_text(encoding="utf-8"))] == []
