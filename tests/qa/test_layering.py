"""The floors of the house: imports go down only. The contracts are in pyproject.toml."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.paths import REPO

LINT = Path(sys.executable).with_name("lint-imports")


@pytest.mark.skipif(not LINT.exists(), reason="import-linter is not installed: pip install import-linter")
def test_imports_go_down_only() -> None:
    done = subprocess.run([LINT, "--no-cache"], cwd=REPO, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_file_stays_readable() -> None:
    lengths = {path: len(path.read_text().splitlines()) for path in (REPO / "sciml").rglob("*.py")}
    assert not {str(path.relative_to(REPO)): n for path, n in lengths.items() if n > 400}
