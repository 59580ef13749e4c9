"""The metadata of the project: pyproject.toml, requirements.lock, CITATION.cff and the source distribution."""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.paths import REPO

NOT_DISTRIBUTED = (".github", ".gitignore", ".clang-format", ".pre-commit-config.yaml")
"""Files that only a clone needs."""
CITATION_KEYS = {
    "abstract", "authors", "cff-version", "commit", "contact", "date-released", "doi", "identifiers", "keywords",
    "license", "license-url", "message", "preferred-citation", "references", "repository", "repository-artifact",
    "repository-code", "title", "type", "url", "version",
}  # fmt: skip
"""The keys of the Citation File Format 1.2.0."""
REQUIRED_CITATION_KEYS = {"authors", "cff-version", "message", "title"}
ENTITY_KEYS = {
    "address", "alias", "city", "country", "date-end", "date-start", "email", "fax", "location", "name", "orcid",
    "post-code", "region", "tel", "website",
}  # fmt: skip
PERSON_KEYS = {
    "address", "affiliation", "alias", "city", "country", "email", "family-names", "fax", "given-names",
    "name-particle", "name-suffix", "orcid", "post-code", "region", "tel", "website",
}  # fmt: skip


def project() -> dict[str, Any]:
    content: dict[str, Any] = tomllib.loads((REPO / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return content


def normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def locked() -> dict[str, str]:
    lines = (REPO / "requirements.lock").read_text(encoding="utf-8").splitlines()
    pairs = [line.split("==") for line in lines if not line.startswith("#")]
    return {normalised(name): version for name, version in pairs}


def test_the_project_names_its_authors_and_its_licence() -> None:
    metadata = project()
    assert metadata["name"] == "sciml-weather"
    assert metadata["authors"] == [{"name": "The sciml developers"}]
    assert metadata["license"] == "Apache-2.0"
    assert (REPO / metadata["readme"]).exists()
    assert [name for name in metadata["license-files"] if not (REPO / name).exists()] == []


def test_classifiers_exist() -> None:
    trove = pytest.importorskip("trove_classifiers")
    classifiers = project()["classifiers"]
    assert [name for name in classifiers if name not in trove.classifiers] == []
    assert classifiers == sorted(set(classifiers))


def test_every_requirement_has_a_locked_version() -> None:
    requirements = pytest.importorskip("packaging.requirements")
    metadata = project()
    extras = metadata["optional-dependencies"]
    for text in [*metadata["dependencies"], *(text for group in extras.values() for text in group)]:
        requirement = requirements.Requirement(text)
        name = normalised(requirement.name)
        if name in (
            metadata["name"],
            "cartopy",
            "dask-mpi",
        ):  # the extras `maps` and `mpi` are not part of `dev`
            continue
        assert requirement.specifier.contains(locked()[name]), text


@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="requirements.lock is for Python 3.11")
def test_the_lock_contains_what_the_project_needs_and_no_more() -> None:
    requirements = pytest.importorskip("packaging.requirements")
    metadata = project()
    extras = metadata["optional-dependencies"]
    texts = [
        *metadata["dependencies"],
        *(text for name, group in extras.items() if name not in ("maps", "mpi") for text in group),
    ]
    pending = [requirements.Requirement(text) for text in texts]
    needed: set[str] = set()
    visited: set[tuple[str, frozenset[str]]] = set()
    while pending:
        requirement = pending.pop()
        name, wanted = normalised(requirement.name), frozenset(requirement.extras)
        if name == metadata["name"] or (name, wanted) in visited:
            continue
        visited.add((name, wanted))
        needed.add(name)
        try:
            below = importlib.metadata.requires(requirement.name) or []
        except importlib.metadata.PackageNotFoundError:
            pytest.skip(f"{requirement.name} is not installed: make check installs it")
        for text in below:
            further = requirements.Requirement(text)
            environments = [{"extra": extra} for extra in ("", *wanted)]
            if further.marker is None or any(further.marker.evaluate(known) for known in environments):
                pending.append(further)
    assert needed - {"setuptools"} == set(locked())  # pip freeze omits setuptools


def test_the_source_distribution_has_every_file() -> None:
    sdist = pytest.importorskip("hatchling.builders.sdist")
    included = {
        Path(file.distribution_path) for file in sdist.SdistBuilder(str(REPO)).recurse_included_files()
    }
    listing = subprocess.run(["git", "ls-files"], cwd=REPO, capture_output=True, text=True, check=False)
    if listing.returncode:
        pytest.skip("not a git checkout")
    tracked = {Path(line) for line in listing.stdout.splitlines() if (REPO / line).exists()}
    assert {path for path in tracked - included if path.parts[0] not in NOT_DISTRIBUTED} == set()
    assert {path.parts[0] for path in included} <= {path.parts[0] for path in tracked}
    assert not [path for path in included if path.parts[0] in (".github", ".venv", "runs", "docs-output")]


def test_the_citation_is_valid() -> None:
    yaml = pytest.importorskip("yaml")
    citation = yaml.safe_load((REPO / "CITATION.cff").read_text(encoding="utf-8"))
    assert set(citation) <= CITATION_KEYS
    assert set(citation) >= REQUIRED_CITATION_KEYS
    assert citation["cff-version"] == "1.2.0"
    assert citation["type"] in ("software", "dataset")
    assert citation["authors"]
    for author in citation["authors"]:
        assert set(author) <= (ENTITY_KEYS if "name" in author else PERSON_KEYS)
    assert len(set(citation["keywords"])) == len(citation["keywords"])
    assert all(
        isinstance(citation[key], str) for key in ("message", "title", "abstract", "version", "license")
    )


def test_the_citation_agrees_with_the_project() -> None:
    yaml = pytest.importorskip("yaml")
    citation = yaml.safe_load((REPO / "CITATION.cff").read_text(encoding="utf-8"))
    metadata = project()
    assert citation["version"] == metadata["version"]
    assert citation["license"] == metadata["license"]
    assert citation["authors"] == metadata["authors"]
    assert set(citation["keywords"]) <= {*metadata["keywords"], "partial differential equations"}
    assert citation.get("repository-code") == metadata.get("urls", {}).get("Repository")
