from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sciml.cli import app
from sciml.cli.doctor import EXTRAS, compiler, disk

runner = CliRunner()


def test_json_tells_everything_looked_at() -> None:
    shown = runner.invoke(app, ["doctor", "--json", "-", "--quiet"])
    assert shown.exit_code == 0, shown.output
    told = json.loads(shown.stdout)
    findings = {finding["name"]: finding for finding in told["findings"]}
    looked_at = {
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
    assert looked_at | {"disk", "data"} | set(EXTRAS) == set(findings)
    for name, finding in findings.items():
        assert finding["found"]
        assert finding["ok"] or (finding["cost"] and finding["remedy"]), (
            f"{name}: a lack without cost or remedy"
        )
    assert told["lacking"] == [name for name, finding in findings.items() if not finding["ok"]]


def test_a_table_and_a_verdict() -> None:
    shown = runner.invoke(app, ["doctor"])
    assert shown.exit_code == 0, shown.output
    assert shown.stdout.splitlines()[-1].startswith(("nothing is lacking", "lacking: "))


def test_a_compiler_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FC", "no-such-fortran -O2")
    found = compiler("FC", "gfortran", "apt-get install gfortran", "the library cannot be built")
    assert not found.ok
    assert found.found == "$FC=no-such-fortran not found"
    assert (found.cost, found.remedy) == ("the library cannot be built", "apt-get install gfortran")


def test_the_disk(tmp_path: Path) -> None:
    assert str(tmp_path) in disk(tmp_path).found
