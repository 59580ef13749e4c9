"""The workflows and issue forms of GitHub: they parse, and what they call exists."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.paths import REPO

yaml = pytest.importorskip("yaml")

WORKFLOWS = sorted((REPO / ".github" / "workflows").glob("*.yml"))
FORMS = sorted(p for p in (REPO / ".github" / "ISSUE_TEMPLATE").glob("*.yml") if p.stem != "config")
INPUTS = {"checkboxes", "dropdown", "input", "textarea"}


def read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return content


def steps(path: Path) -> list[dict[str, Any]]:
    return [step for job in read(path)["jobs"].values() for step in job["steps"]]


def make_targets() -> set[str]:
    text = (REPO / "Makefile").read_text(encoding="utf-8")
    return set(re.findall(r"^([a-z][\w-]*):", text, flags=re.MULTILINE))


def test_the_four_workflows_exist() -> None:
    assert [path.stem for path in WORKFLOWS] == ["check", "docs", "test", "wheel"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_is_complete(path: Path) -> None:
    workflow = read(path)
    assert workflow["name"] == path.stem
    triggers = workflow[True]  # YAML 1.1 reads the key `on` as true
    assert set(triggers) == {"push", "pull_request"}
    assert workflow["permissions"] == {"contents": "read"}
    for job in workflow["jobs"].values():
        assert job["timeout-minutes"] > 0
        assert job["steps"][0]["uses"].startswith("actions/checkout@")
        for step in job["steps"]:
            assert ("uses" in step) != ("run" in step)
            assert re.fullmatch(r"actions/[\w-]+@v\d+", step.get("uses", "actions/none@v0"))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_the_targets_of_make_exist(path: Path) -> None:
    commands = [step["run"] for step in steps(path) if "run" in step]
    targets = {target for command in commands for target in re.findall(r"\bmake ([\w-]+)", command)}
    assert targets <= make_targets()
    assert targets or path.stem == "wheel"


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_contexts_refer_to_the_matrix(path: Path) -> None:
    for job in read(path)["jobs"].values():
        matrix = job.get("strategy", {}).get("matrix", {})
        assert set(re.findall(r"\$\{\{ matrix\.([\w-]+) \}\}", yaml.safe_dump(job))) == set(matrix)


def test_every_supported_python_is_tested() -> None:
    (job,) = read(REPO / ".github" / "workflows" / "test.yml")["jobs"].values()
    versions = job["strategy"]["matrix"]["python-version"]
    metadata = tomllib.loads((REPO / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    prefix = "Programming Language :: Python :: 3."
    assert versions == [
        name.rpartition(" ")[2] for name in metadata["classifiers"] if name.startswith(prefix)
    ]
    assert metadata["requires-python"] == f">={versions[0]}"


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_an_issue_form_is_complete(path: Path) -> None:
    form = read(path)
    assert set(form) <= {"name", "description", "title", "labels", "assignees", "body"}
    assert {"name", "description", "body"} <= set(form)
    assert all(item["type"] in INPUTS | {"markdown"} for item in form["body"])
    inputs = [item for item in form["body"] if item["type"] in INPUTS]
    assert inputs
    assert all(item["attributes"]["label"] for item in inputs)


def test_pre_commit_runs_installed_tools() -> None:
    (repository,) = read(REPO / ".pre-commit-config.yaml")["repos"]
    tools = {Path(hook["entry"].split()[0]).name for hook in repository["hooks"]}
    checks = (REPO / "Makefile").read_text(encoding="utf-8").partition("\ncheck:")[2].partition("\n\n")[0]
    assert {tool for tool in tools if f"$(BIN)/{tool}" not in checks} == set()


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "README.md", "docs/installation.md", "docs/results.md"])
def test_make_targets_in_texts_exist(page: str) -> None:
    text = (REPO / page).read_text(encoding="utf-8")
    named = re.findall(r"(?:`|^    )make ([a-z-]+)", text, flags=re.MULTILINE)
    assert set(named) <= make_targets()
