"""The benchmarks refer to tests and files that exist."""

from __future__ import annotations

import ast
import re

from tests.paths import REPO


def test_the_faults_benchmark_names_tests_that_exist() -> None:
    text = (REPO / "bench" / "faults.py").read_text(encoding="utf-8")
    named = {
        node.value
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and "::" in node.value
    }
    named = {name for name in named if name.startswith("tests/")}
    assert named
    missing = []
    for name in sorted(named):
        path, test = name.split("::")
        definition = (REPO / path).exists() and re.search(
            rf"^def {test}\(", (REPO / path).read_text(encoding="utf-8"), flags=re.MULTILINE
        )
        if not definition:
            missing.append(name)
    assert missing == []
