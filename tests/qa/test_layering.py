"""The directions of imports, which pyproject.toml declares, and the lengths of files."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.paths import REPO

LINT = Path(sys.executable).with_name("lint-imports")


@pytest.mark.skipif(not LINT.exists(), reason="import-linter is not installed: pip install import-linter")
def test_imports_follow_the_layers() -> None:
    completed = subprocess.run([LINT, "--no-cache"], cwd=REPO, capture_output=True, text=True, check=False)
    assert completed.returncode == 0, completed.stdout + completed.stderr


def test_files_have_at_most_400_lines() -> None:
    lengths = {path: len(path.read_text().splitlines()) for path in (REPO / "sciml").rglob("*.py")}
    assert not {str(path.relative_to(REPO)): n for path, n in lengths.items() if n > 400}
