"""Bundles in the library: streams against zlib, damaged files, and files of other versions."""

from __future__ import annotations

import ctypes
import random
import subprocess
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from sciml.compress import bundle
from sciml.coupling import weights_file
from sciml.coupling.build import c_compiler, sources
from sciml.coupling.library import Library
from sciml.coupling.weights_file import read_weights, write_weights
from sciml.errors import SchemaError, SciMLError
from tests.coupling.fuzzing import small_reduced

pytestmark = pytest.mark.native


def sealed(path: Path, content: bytes) -> Path:
    """Write a file with the checksum of its content."""
    match = weights_file._CHECKSUM.search(content)
    assert match is not None
    at = match.start(1)
    path.write_bytes(content[:at] + weights_file._sum(content, at) + content[at + 64 :])
    return path


@pytest.fixture(scope="module")
def inflate(tmp_path_factory: pytest.TempPathFactory) -> Callable[[bytes, int], bytes | None]:
    """The decoder of the library, compiled alone."""
    made = tmp_path_factory.mktemp("inflate") / "inflate.so"
    flags = ["-O2", "-fPIC", "-shared", "-I", str(sources()), str(sources() / "engine/inflate.c")]
    subprocess.run([*c_compiler().command, *flags, "-o", str(made)], check=True)
    function = ctypes.CDLL(str(made)).sciml_inflate
    function.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_size_t]

    def run(stream: bytes, size: int) -> bytes | None:
        content = ctypes.create_string_buffer(size + 1)
        return None if function(stream, len(stream), content, size) else content.raw[:size]

    return run


def of_zlib(stream: bytes, size: int) -> bytes | None:
    decoder = zlib.decompressobj(-15)
    try:
        content = decoder.decompress(stream, size + 1)
    except zlib.error:
        return None
    return content if decoder.eof and len(content) == size and not decoder.unused_data else None


def test_streams_are_decoded_as_by_zlib(inflate: Callable[[bytes, int], bytes | None]) -> None:
    """Blocks of all kinds, whole and damaged."""
    generator, draw = np.random.default_rng(9), random.Random(5)
    accepted = 0
    for _ in range(500):
        size, symbols = int(generator.integers(0, 3000)), draw.choice([1, 2, 5, 60, 256])
        content = generator.integers(0, symbols, size).astype(np.uint8).tobytes()
        content += content[: size // 3]
        encoder = zlib.compressobj(
            draw.randint(0, 9), zlib.DEFLATED, -draw.randint(9, 15), draw.randint(1, 9), draw.randint(0, 4)
        )
        stream = encoder.compress(content[: size // 2])
        stream += encoder.flush(draw.choice([zlib.Z_FULL_FLUSH, zlib.Z_BLOCK, zlib.Z_NO_FLUSH]))
        stream += encoder.compress(content[size // 2 :]) + encoder.flush()
        assert inflate(stream, len(content)) == content
        assert inflate(stream, len(content) + 1) is None
        assert inflate(stream + b"\0", len(content)) is None
        for _ in range(4):
            changed = bytearray(stream)
            changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
            cut = bytes(changed[: len(changed) if draw.random() < 0.8 else draw.randrange(len(changed))])
            assert inflate(cut, len(content)) == of_zlib(cut, len(content))
            accepted += of_zlib(cut, len(content)) is not None
    assert 200 < accepted < 1800


def test_a_bundle_and_variables_have_the_same_content(tmp_path: Path) -> None:
    write_weights(tmp_path / "b.nc", small_reduced())
    write_weights(tmp_path / "v.nc", small_reduced(), deflate=False)
    a, b = read_weights(tmp_path / "b.nc"), read_weights(tmp_path / "v.nc")
    assert (a.attributes, a.formats) == (b.attributes, b.formats)
    for name, array in b.arrays.items():
        assert a.arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(a.arrays[name], array)
    write_weights(tmp_path / "again.nc", a)
    assert (tmp_path / "again.nc").read_bytes() == (tmp_path / "b.nc").read_bytes()
    assert 4 * (tmp_path / "b.nc").stat().st_size < 3 * (tmp_path / "v.nc").stat().st_size


def test_a_bundle_of_a_later_schema_or_version(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights_file, "BUNDLE_SCHEMA", 3)
    write_weights(tmp_path / "schema.nc", small_reduced())
    monkeypatch.undo()
    monkeypatch.setattr(bundle, "VERSION", 5)
    write_weights(tmp_path / "version.nc", small_reduced())
    monkeypatch.undo()
    for read in (read_weights, library.open):
        with pytest.raises(SchemaError, match=r"schema\.nc has schema 3, this \w+ reads schema 2: "):
            read(tmp_path / "schema.nc")
        with pytest.raises(SchemaError, match=r"version\.nc.*\bversion 5"):
            read(tmp_path / "version.nc")


def test_a_damaged_bundle_with_the_right_checksum(library: Library, tmp_path: Path) -> None:
    write_weights(tmp_path / "b.nc", small_reduced())
    content = (tmp_path / "b.nc").read_bytes()
    begin, draw, refused = content.index(b"bundle"), random.Random(11), 0
    for _ in range(60):
        changed = bytearray(content)
        changed[draw.randrange(begin + 40, len(content))] ^= 1 << draw.randrange(8)
        path = sealed(tmp_path / "damaged.nc", bytes(changed))
        try:
            library.open(path).close()
        except SciMLError as error:
            refused += "\n" not in str(error)
    assert refused > 30
