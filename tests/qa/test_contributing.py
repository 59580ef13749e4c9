"""The page for contributors names every package, and the commands that it gives exist."""

from __future__ import annotations

import re

from tests.paths import REPO


def test_the_organisation_names_every_package() -> None:
    text = (REPO / "CONTRIBUTING.md").read_text(encoding="utf-8")
    section = text.partition("## How the code is organised")[2].partition("\n## ")[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("|")]
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    packages = {path.parent.name for path in (REPO / "sciml").glob("*/__init__.py")}
    assert packages - named == set()


def test_files_named_in_the_page_exist() -> None:
    text = (REPO / "CONTRIBUTING.md").read_text(encoding="utf-8")
    paths = re.findall(r"`([.\w]+/[\w./-]*|\w+\.(?:md|toml|lock))`", text)
    assert paths
    assert [path for path in paths if path != "docs-output/" and not (REPO / path).exists()] == []
