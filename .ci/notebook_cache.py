"""Run the notebooks that have not run with these sources.

`make docs` runs them too and stores the executed notebooks in `.jupyter_cache`, in a folder that is named by a hash of
the sources. A notebook that is there ran without an error, from the same cells, and does not run again.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

from jupyter_cache import get_cache

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".jupyter_cache"


def source_hash() -> str:
    """Hash the files that the outputs of the notebooks depend on; after a change the notebooks run again."""
    digest = hashlib.sha256()
    folders = ("sciml", "notebooks", "workflows/column_host", "workflows/fortran_host")
    files = [path for folder in folders for path in (ROOT / folder).rglob("*") if path.is_file()]
    files += [*(ROOT / "data").glob("*.sciml"), *(ROOT / "data").glob("*.nc"), ROOT / "requirements.lock"]
    for path in sorted(files):
        if path.suffix not in {".pyc", ".so", ".o", ".mod"}:
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def not_executed(notebooks: list[Path], cache: Path) -> list[Path]:
    """Return the notebooks without an executed copy in the cache."""
    if not (cache / "global.db").exists():
        return notebooks
    stored = get_cache(cache)
    left = []
    for path in notebooks:
        try:
            stored.match_cache_file(str(path))
        except KeyError:
            left.append(path)
    return left


def main(workers: str) -> int:
    """Run what is left in `workers` processes, and return the exit code."""
    notebooks = sorted((ROOT / "notebooks").glob("*.ipynb"))
    left = not_executed(notebooks, CACHE / source_hash())
    if len(left) < len(notebooks):
        print(f"notebooks: make docs ran {len(notebooks) - len(left)} of {len(notebooks)} with these sources")
    if not left:
        return 0
    command = [sys.executable, "-m", "pytest", "-q", "--nbmake", "--nbmake-timeout=300", "-n", workers]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run([*command, *map(str, left)], cwd=ROOT, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
