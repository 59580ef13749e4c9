"""Processors, systems and compilers without the instructions of the kernels: same bits, and one clear error."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from sciml.coupling.build import build, c_compiler, compilations
from sciml.coupling.instruction_sets import DEFINITIONS, FLAGS, known_sets
from sciml.coupling.library import Library
from sciml.coupling.weights_file import read_weights, write_weights
from sciml.errors import InputError
from sciml.verify.library.equality import KERNELS, reduced_outputs, usable_kernels
from tests.coupling.published import Net, inputs
from tests.coupling.reduced import reduced_weights

pytestmark = [
    pytest.mark.native,
    pytest.mark.skipif(platform.machine() != "x86_64", reason="instruction sets of x86-64"),
]
KINDS = ("int8", "sign", "bf16", "int4", "int8")


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The weights files of a network of floats, and of one of all kinds of arithmetic."""
    folder = tmp_path_factory.mktemp("networks")
    torch.manual_seed(67)
    weights = Net(21, 10, 1, 5, 6, 1).weights()
    write_weights(folder / "floats.nc", weights)
    write_weights(folder / "reduced.nc", reduced_weights(weights, KINDS, 16, 2))
    return folder / "floats.nc", folder / "reduced.nc"


def wrapper(folder: Path, refused: str) -> Path:
    """A compiler that does not know flags with a beginning, and takes less time than the usual one."""
    path = folder / "cc"
    path.write_text(
        f'#!/bin/sh\nfor word in "$@"; do case "$word" in {refused}*)\n'
        'echo "cc: error: unrecognized command-line option $word" >&2; exit 1;; esac; done\n'
        f'exec {" ".join(c_compiler().command)} "$@" -O1\n'
    )
    path.chmod(0o755)
    return path


def same_bits_as_torch(library: Library, reduced: Path) -> None:
    x = inputs(Net(21, 10, 1, 5, 6, 1), 37, 6)
    with library.open(reduced) as native:
        mine = native.network(x)
    for part, expected in zip(mine, reduced_outputs(read_weights(reduced), x), strict=True):
        np.testing.assert_array_equal(part, expected)


@pytest.mark.parametrize(
    ("refused", "known"),
    [
        ("-mamx", ("avx2", "avx512", "vnni")),
        ("-mavx512vnni", ("avx2", "avx512")),
        ("-mavx512", ("avx2",)),
        ("-mavx2", ()),
        ("-m", ()),
    ],
)
def test_kernels_of_an_older_compiler(
    refused: str, known: Sequence[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if known_sets(c_compiler().command)[: len(known)] != tuple(known):
        pytest.skip("the compiler here is older")
    monkeypatch.setenv("CC", str(wrapper(tmp_path, refused)))
    commands = compilations(c_compiler())
    assert known_sets(c_compiler().command) == tuple(known)
    kernels = {
        name.removesuffix(".o").split("_")[2] for name in commands if name.startswith("reduced_kernel")
    }
    best = {"avx2": "avx2", "vnni": "avx512", "amx": "amx"}
    assert kernels == {"baseline", *(best[name] for name in known if name in best)}
    definitions = {word for word in commands["kernel_table.o"] if word in DEFINITIONS.values()}
    assert definitions == {DEFINITIONS[name] for name in known}
    missing = {flag for name in FLAGS if name not in known for flag in FLAGS[name]}
    missing -= {flag for name in known for flag in FLAGS[name]}
    assert not [words for words in commands.values() if missing & set(words)]


@pytest.mark.slow
def test_a_library_of_an_older_compiler(
    networks: tuple[Path, Path], library: Library, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It has the portable kernels alone, with the same bits at another optimisation, and names them in an error."""
    floats, reduced = networks
    monkeypatch.setenv("CC", str(wrapper(tmp_path, "-m")))
    monkeypatch.setenv("SCIML_CACHE", str(tmp_path / "cache"))
    older = Library(build(fortran=False))
    assert usable_kernels(older, reduced) == ("baseline",)
    same_bits_as_torch(older, reduced)
    monkeypatch.setenv("SCIML_ISA", "baseline")
    x = inputs(Net(21, 10, 1, 5, 6, 1), 37, 6)
    with older.open(floats) as mine, library.open(floats) as usual:
        np.testing.assert_array_equal(mine.network(x)[0], usual.network(x)[0])
    monkeypatch.setenv("SCIML_ISA", "avx2")
    for path in networks:
        with pytest.raises(
            InputError, match=r"SCIML_ISA is `avx2`; .* this build have baseline alone: choose"
        ):
            older.open(path)


@pytest.mark.parametrize("chosen", KERNELS)
def test_a_processor_without_the_instructions(
    chosen: str, library: Library, networks: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """SCIML_ISA makes the library take the kernels of an older processor."""
    if chosen not in usable_kernels(library, networks[1]):
        pytest.skip("this processor or this build has fewer")
    monkeypatch.setenv("SCIML_ISA", chosen)
    with library.open(networks[1]) as native:
        assert native.isa == chosen
    same_bits_as_torch(library, networks[1])


REFUSED = """
import sys
import numpy as np
from sciml.coupling.library import Library
from sciml.errors import InputError
try:
    with Library(sys.argv[1]).open(sys.argv[2]) as native:
        np.savez(sys.argv[3], *native.network(np.load(sys.argv[4])))
        print(native.isa)
except InputError as error:
    print(error)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="a library is preloaded in glibc's way")
def test_a_system_that_refuses_the_tiles(
    library: Library, networks: tuple[Path, Path], tmp_path: Path
) -> None:
    """The next kernel runs, with the same bits; to ask for the refused one is an error with the others."""
    reduced = networks[1]
    shim = tmp_path / "refuse.so"
    words = [
        *c_compiler().command,
        "-O1",
        "-fPIC",
        "-shared",
        str(Path(__file__).with_name("refuse_tiles.c")),
    ]
    subprocess.run([*words, "-ldl", "-o", str(shim)], check=True)
    x = inputs(Net(21, 10, 1, 5, 6, 1), 37, 6)
    np.save(tmp_path / "x.npy", x)
    paths = [library.path, reduced, tmp_path / "y.npz", tmp_path / "x.npy"]

    def run(chosen: str) -> str:
        known = {**os.environ, "LD_PRELOAD": str(shim), "SCIML_ISA": chosen}
        words = [sys.executable, "-c", REFUSED, *map(str, paths)]
        return subprocess.run(words, env=known, capture_output=True, text=True, check=True).stdout.strip()

    others = [name for name in usable_kernels(library, reduced) if name != "amx"]
    assert run("") == others[-1]
    with np.load(tmp_path / "y.npz") as file:
        for name, expected in zip(file.files, reduced_outputs(read_weights(reduced), x), strict=True):
            np.testing.assert_array_equal(file[name], expected)
    listed = {1: "baseline alone", 2: "baseline and avx2", 3: "baseline, avx2 and avx512"}[len(others)]
    assert run("amx") == (
        f"{reduced}: the environment variable SCIML_ISA is `amx`; this processor and this build have {listed}: choose "
        "one of them, or unset it"
    )
