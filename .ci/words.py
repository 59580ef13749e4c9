"""Check that names and texts avoid the words of a list, as CONTRIBUTING.md asks ("Plain English").

    python .ci/words.py                    # check the paths in CHECKED; exit code 1 if a word is used
    python .ci/words.py sciml/wrf tests    # check these paths instead
    python .ci/words.py --all              # check every file
    python .ci/words.py --count            # print the number of uses in each directory of the whole tree
    python .ci/words.py --root DIR         # use another checkout

Names are the functions, classes, arguments, attributes and variables that Python code binds, every identifier of C and
Fortran code, and the parts of file paths. Texts are comments, docstrings and other string literals, and the whole of
Markdown, TOML, YAML and similar files. `.ci/words-allowed.toml` lists the uses that are allowed, each with its reason.
"""

from __future__ import annotations

import argparse
import ast
import fnmatch
import io
import re
import subprocess
import sys
import tokenize
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

CHECKED = (
    *(".ci", ".github", ".pre-commit-config.yaml", "CHANGELOG.md", "CITATION.cff", "CODE_OF_CONDUCT.md"),
    *("CONTRIBUTING.md", "Makefile", "README.md", "bench", "data", "docs", "notebooks", "pyproject.toml"),
    *("sciml", "tests", "workflows"),
)
"""Directories and files without such words; `make check` checks these."""

ALLOWED = ".ci/words-allowed.toml"
SKIPPED = (ALLOWED, ".ci/words.py", "tests/qa/test_words.py", "LICENSE", "requirements.lock")
"""Files that list the words themselves, or that were not written by us."""

WORDS = {
    r"told": "reported, printed, given, stated",
    r"said": "stated, given",
    r"tells? of": "describes, names, gives",
    r"found": "computed, read, there is; for a value its noun: matches, scores, table",
    r"kept": "stored, retained, unchanged",
    r"lacks": "has no, does not contain; missing",
    r"mend(?:s|ed|ing)?": "repair, fix, correct",
    r"roads?": "pipeline, path, way",
    r"houses?": "package, project",
    r"rooms?": "package, command group, space",
    r"ladders?": "series, sequence, steps",
    r"climb(?:s|ed|ing)?": "run, repeat, increase",
    r"strangers?": "new user, fresh installation",
    r"the very": "the, the same, exactly the",
    r"held against": "compared with",
    r"what (?:it|they|this|that) costs?": "the cost of, time and memory of",
}
"""Each word or phrase, and what to write instead."""

NAMES = {"one": "a noun: row, sample, case, item"}
"""Words that are not allowed as a whole name, but are allowed in texts and as a part of a name."""

GAP = r"[\s#!*/_]+"
PATTERNS = {
    re.compile(rf"(?<![A-Za-z]){word.replace(' ', GAP)}(?![A-Za-z])", re.IGNORECASE): suggestion
    for word, suggestion in WORDS.items()
}
PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
C_TOKEN = re.compile(
    r"(?P<text>/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*')|(?P<name>[A-Za-z_]\w*)",
    re.DOTALL,
)
FORTRAN_TOKEN = re.compile(r"(?P<text>![^\n]*|\"[^\"\n]*\"|'[^'\n]*')|(?P<name>[A-Za-z]\w*)")
CODE = {".c": C_TOKEN, ".h": C_TOKEN, ".f90": FORTRAN_TOKEN, ".F90": FORTRAN_TOKEN}
TEXTS = {
    ".md",
    ".toml",
    ".yml",
    ".yaml",
    ".cff",
    ".txt",
    ".rst",
    ".css",
    ".js",
    ".html",
    ".sh",
    ".cfg",
    ".nml",
    "",
}
BINDINGS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


@dataclass(frozen=True)
class Use:
    """One use of a word: where it is, and what to write instead."""

    path: str
    line: int
    kind: str
    """Name or text."""
    word: str
    context: str
    suggestion: str

    def __str__(self) -> str:
        return (
            f"{self.path}:{self.line}: {self.word!r} in the {self.kind} {self.context!r}: {self.suggestion}"
        )


@dataclass(frozen=True)
class Permission:
    """An entry of the allow-list: a path pattern, a word, and optionally a string in the context."""

    path: str
    word: str
    reason: str
    context: str = ""

    def covers(self, use: Use) -> bool:
        """Whether the entry allows this use."""
        return (
            fnmatch.fnmatchcase(use.path, self.path)
            and use.word.lower() == self.word.lower()
            and self.context in use.context
        )


def uses_in_text(path: str, text: str, first_line: int = 1, last_line: int | None = None) -> Iterator[Use]:
    """Find the words of the list in a comment, a string or a whole file that begins at `first_line`."""
    for pattern, suggestion in PATTERNS.items():
        for match in pattern.finditer(text):
            line = first_line + text.count("\n", 0, match.start())
            begin = max(text.rfind("\n", 0, match.start()) + 1, match.start() - 40)
            context = " ".join(text[begin : match.end() + 30].split())
            word = " ".join(re.findall(r"[A-Za-z]+", match[0]))
            yield Use(path, min(line, last_line or line), "text", word, context, suggestion)


def uses_in_name(path: str, name: str, line: int) -> Iterator[Use]:
    """Find the words of the list among the parts of an identifier."""
    parts = " ".join(PART.findall(name)).lower()
    for pattern, suggestion in PATTERNS.items():
        for match in pattern.finditer(parts):
            yield Use(path, line, "name", match[0], name, suggestion)
    if name in NAMES:
        yield Use(path, line, "name", name, name, NAMES[name])


def bound_names(tree: ast.AST) -> set[tuple[int, str]]:
    """List the names that Python code binds, with their lines."""
    names: set[tuple[int, str | None]] = set()
    for node in ast.walk(tree):
        if isinstance(node, BINDINGS):
            names.add((node.lineno, node.name))
        elif isinstance(node, ast.arg):
            names.add((node.lineno, node.arg))
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add((node.lineno, node.id))
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            names.add((node.lineno, node.attr))
        elif isinstance(node, ast.alias):
            names.add((node.lineno, node.asname))
        elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar):
            names.add((node.lineno, node.name))
        elif isinstance(node, ast.MatchMapping):
            names.add((node.lineno, node.rest))
    return {(line, name) for line, name in names if name}


def comments(source: str) -> Iterator[tuple[int, str]]:
    """Give the comments of Python code with their first lines; those on adjacent lines are joined."""
    block: list[str] = []
    last = -1
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type != tokenize.COMMENT:
            continue
        if token.start[0] != last + 1 and block:
            yield last - len(block) + 1, "\n".join(block)
            block = []
        block.append(token.string)
        last = token.start[0]
    if block:
        yield last - len(block) + 1, "\n".join(block)


def uses_in_python(path: str, source: str) -> Iterator[Use]:
    """Find the words of the list in the bound names, comments and strings of Python code."""
    tree = ast.parse(source)
    for line, name in bound_names(tree):
        yield from uses_in_name(path, name, line)
    for line, comment in comments(source):
        yield from uses_in_text(path, comment, line)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from uses_in_text(path, node.value, node.lineno, node.end_lineno)


def uses_in_code(path: str, source: str, token: re.Pattern[str]) -> Iterator[Use]:
    """Find the words of the list in the identifiers, comments and strings of C or Fortran code."""
    seen = set()
    text: list[str] = []  # the code is blanked out, so that lines and phrases over lines stay
    end = 0
    for match in token.finditer(source):
        text.append(re.sub(r"[^\n]", " ", source[end : match.start()]))
        end = match.end()
        if match["text"]:
            text.append(match[0])
            continue
        text.append(" " * len(match[0]))
        line = source.count("\n", 0, match.start()) + 1
        if (line, match[0]) not in seen:
            seen.add((line, match[0]))
            yield from uses_in_name(path, match[0], line)
    yield from uses_in_text(path, "".join(text))


def uses_in_file(root: Path, path: str) -> list[Use]:
    """List the uses in one file and in its own path, by line."""
    suffix = Path(path).suffix
    uses = [use for part in Path(path).parts for use in uses_in_name(path, part, 1)]
    if suffix == ".py":
        uses += uses_in_python(path, (root / path).read_text(encoding="utf-8"))
    elif suffix in CODE:
        uses += uses_in_code(path, (root / path).read_text(encoding="utf-8"), CODE[suffix])
    elif suffix in TEXTS:
        uses += uses_in_text(path, (root / path).read_text(encoding="utf-8"))
    return sorted(uses, key=lambda use: use.line)


def project_files(root: Path, within: Iterable[str] = ()) -> list[str]:
    """List the files that git tracks or would track, below the given paths."""
    command = [
        "git",
        "ls-files",
        "--cached",
        "--others",
        "--exclude-standard",
        "--deduplicate",
        "--",
        *within,
    ]
    done = subprocess.run(command, cwd=root, check=True, capture_output=True, text=True)
    return [path for path in done.stdout.splitlines() if path not in SKIPPED and (root / path).is_file()]


def read_permissions(root: Path) -> list[Permission]:
    """Read the allow-list; every entry needs a reason."""
    path = root / ALLOWED
    if not path.exists():
        return []
    entries = tomllib.loads(path.read_text(encoding="utf-8")).get("allowed", [])
    for entry in entries:
        if not entry.get("reason", "").strip():
            raise SystemExit(f"error: {ALLOWED}: the entry {entry} needs a reason")
    return [Permission(**entry) for entry in entries]


def check(root: Path, paths: Iterable[str]) -> tuple[list[Use], list[Permission]]:
    """List the uses that are not allowed, and the entries of the allow-list that cover no use."""
    permissions = read_permissions(root)
    files = project_files(root, paths)
    used: set[Permission] = set()
    refused = []
    for path in files:
        for use in uses_in_file(root, path):
            covering = [permission for permission in permissions if permission.covers(use)]
            used.update(covering)
            if not covering:
                refused.append(use)
    applicable = [
        permission
        for permission in permissions
        if any(fnmatch.fnmatchcase(p, permission.path) for p in files)
    ]
    return refused, [permission for permission in applicable if permission not in used]


def directory(path: str) -> str:
    """Give the row of a file in the table of counts: the package for sciml/ and tests/, else the top directory."""
    parts = Path(path).parts
    deep = parts[0] in ("sciml", "tests") and len(parts) > 2
    return "/".join(parts[: 2 if deep else 1])


def print_counts(root: Path) -> None:
    """Print the number of names and texts with such words in each directory, the allowed ones included."""
    counts: Counter[tuple[str, str]] = Counter()
    for path in project_files(root):
        for use in uses_in_file(root, path):
            counts[directory(path), use.kind] += 1
    rows = sorted({row for row, _ in counts})
    print(f"{'directory':24}{'names':>8}{'texts':>8}")
    for row in rows:
        print(f"{row:24}{counts[row, 'name']:8}{counts[row, 'text']:8}")
    totals = [
        sum(count for (_, kind), count in counts.items() if kind == wanted) for wanted in ("name", "text")
    ]
    print(f"{'all':24}{totals[0]:8}{totals[1]:8}")


def main() -> None:
    """Check, or count."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("paths", nargs="*", help="paths to check (default: those in CHECKED)", metavar="PATH")
    parser.add_argument("--all", action="store_true", help="check every file")
    parser.add_argument("--count", action="store_true", help="print the number of uses in each directory")
    parser.add_argument("--root", type=Path, default=ROOT, help="checkout to use (default: this one)")
    options = parser.parse_args()
    root = options.root.resolve()
    if options.count:
        print_counts(root)
        return
    uses, unused = check(root, () if options.all else options.paths or CHECKED)
    for use in uses:
        print(use)
    for permission in unused:
        print(f"{ALLOWED}: no use of {permission.word!r} in {permission.path} needs this entry: remove it")
    if uses or unused:
        sys.exit(f"words: {len(uses)} uses of words that are not used here (CONTRIBUTING.md, Plain English)")


if __name__ == "__main__":
    main()
