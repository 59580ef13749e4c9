"""The native sources have layers (engine, mskf, column, wrf), and no circle of includes."""

from __future__ import annotations

import re
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from sciml.coupling.build import sources

LAYERS = ("engine", "mskf", "column", "wrf")
_INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.MULTILINE)


def included_by_pair(native: Path) -> dict[str, set[str]]:
    """Return the pairs that each pair of files includes; x.c and x.h are the pair "x"."""
    pairs: dict[str, set[str]] = {}
    for file in sorted(native.rglob("*.[ch]")):
        pair = file.relative_to(native).with_suffix("").as_posix()
        names = {name.removesuffix(".h") for name in _INCLUDE.findall(file.read_text(encoding="utf-8"))}
        pairs.setdefault(pair, set()).update(names - {pair})
    return pairs


@pytest.fixture(scope="module")
def pairs() -> dict[str, set[str]]:
    return included_by_pair(sources())


def test_each_include_names_a_file_of_the_sources(pairs: dict[str, set[str]]) -> None:
    assert len(pairs) > 30
    for pair, included in pairs.items():
        assert included <= set(pairs), pair


def test_each_layer_includes_only_the_layers_below(pairs: dict[str, set[str]]) -> None:
    for pair, included in pairs.items():
        if "/" not in pair:  # the interface of the library, which every layer may include
            assert not any("/" in name for name in included), pair
            continue
        below = LAYERS[: LAYERS.index(pair.split("/")[0]) + 1]
        layers = {name.split("/")[0] for name in included if "/" in name}
        assert layers <= set(below), (pair, included)


def test_no_circle_of_includes(pairs: dict[str, set[str]]) -> None:
    TopologicalSorter(pairs).prepare()


def test_a_circle_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "engine").mkdir()
    (tmp_path / "engine/a.h").write_text("#pragma once\n")
    (tmp_path / "engine/a.c").write_text('#include "engine/a.h"\n#  include "engine/b.h"\n')
    (tmp_path / "engine/b.c").write_text('#include "engine/b.h"\n#include "engine/a.h"\n')
    (tmp_path / "engine/b.h").write_text("#pragma once\n")
    pairs = included_by_pair(tmp_path)
    assert pairs == {"engine/a": {"engine/b"}, "engine/b": {"engine/a"}}
    with pytest.raises(CycleError):
        TopologicalSorter(pairs).prepare()
