"""The weights file: round trips, and errors on any damage, in Python and in the library."""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import netCDF4
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from sciml.coupling import weights_file as module
from sciml.coupling.bilstm_export import bilstm_weights
from sciml.coupling.build import c_compiler
from sciml.coupling.library import Library
from sciml.coupling.weights_file import Weights, read_weights, write_weights
from sciml.errors import ChecksumError, InputError, SchemaError, SciMLError
from tests.coupling.fuzzing import NoSanitizers, blind, link_targets, write_seeds
from tests.coupling.published import Net
from tests.coupling.reduced import reduced_weights


def test_the_published_network_has_its_parameters(published: tuple[Net, Path]) -> None:
    net, path = published
    assert sum(p.numel() for p in net.parameters()) == 66_422
    assert sum(a.size for a in read_weights(path).arrays.values()) == 66_422


@settings(max_examples=30, deadline=None)
@given(
    array=hnp.arrays(
        st.sampled_from([np.float32, np.float64, np.int32]),
        hnp.array_shapes(min_dims=0, max_dims=4, max_side=5),
    ),
    text=st.text(st.characters(codec="ascii", exclude_categories=["C"]), min_size=1, max_size=30),
    number=st.integers(-(2**31), 2**31 - 1),
)
def test_round_trip(
    tmp_path_factory: pytest.TempPathFactory, array: np.ndarray, text: str, number: int
) -> None:
    path = tmp_path_factory.mktemp("w") / "w.nc"
    given_ = Weights(
        {"a": array, "b": np.float32([1, 2])}, {"text": text, "number": number, "real": 0.1}, {"a": text}
    )
    write_weights(path, given_)
    back = read_weights(path)
    np.testing.assert_array_equal(back.arrays["a"], array)
    assert back.arrays["a"].dtype == array.dtype
    assert back.attributes == {"text": text, "number": number, "real": 0.1}
    assert back.descriptions == {"a": text}


def test_equal_weights_give_equal_bytes_that_scipy_can_read(
    published: tuple[Net, Path], tmp_path: Path
) -> None:
    net, path = published
    write_weights(tmp_path / "again.nc", net.weights())
    assert (tmp_path / "again.nc").read_bytes() == path.read_bytes()
    with netCDF4.Dataset(path) as file:
        assert file.data_model == "NETCDF3_64BIT_OFFSET"
        assert file.hidden == 32
        np.testing.assert_array_equal(file["lstm.weight_hh_l1"][:], net.weights().arrays["lstm.weight_hh_l1"])


def fill_free_memory(byte: int) -> None:
    """Write a byte into blocks of memory and free them, so that the next allocations contain it."""
    libc = ctypes.CDLL(None)
    libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, (ctypes.c_size_t,)
    libc.free.argtypes = (ctypes.c_void_p,)
    for size in (1, 64, 256, 1024, 2048, 4096, 8192, 16384):
        blocks = [libc.malloc(size) for _ in range(40)]
        for block in blocks:
            ctypes.memset(block, byte, size)
        for block in blocks:
            libc.free(block)


@pytest.mark.parametrize("size", [1, 3, 700, 2001])
def test_bytes_do_not_depend_on_free_memory(size: int, tmp_path: Path) -> None:
    """Files smaller than a page of memory, and arrays of int16 that do not end at a multiple of 4 bytes."""
    arrays: dict[str, np.ndarray] = {name: np.arange(size, dtype=np.int16) for name in "ab"}
    arrays |= {
        "c": np.full((size, 1), 0.5, np.float32),
        "d": np.arange(3, dtype=np.int16),
        "e": np.float64(2),
    }
    contents = set()
    for byte in (0x00, 0xAB, 0x11, 0xFF):
        fill_free_memory(byte)
        write_weights(tmp_path / "w.nc", Weights(arrays, {"hidden": 3}, {"b": "padded"}))
        contents.add((tmp_path / "w.nc").read_bytes())
    assert len(contents) == 1
    for name, array in read_weights(tmp_path / "w.nc").arrays.items():
        np.testing.assert_array_equal(array, arrays[name])


def test_a_small_file_ends_with_zeros(tmp_path: Path) -> None:
    weights = Weights({"w": np.full(7, 1.5, np.float32), "z": np.arange(1, 4, dtype=np.int16)})
    write_weights(tmp_path / "w.nc", weights)
    content = (tmp_path / "w.nc").read_bytes()
    arrays = np.full(7, 1.5, ">f4").tobytes() + np.arange(1, 4, dtype=">i2").tobytes()
    assert len(content) == 4096
    assert content.rstrip(b"\0").endswith(arrays)


@pytest.fixture(scope="module", params=["floats", "reduced"])
def sealed(
    request: pytest.FixtureRequest, published: tuple[Net, Path], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Weights, Path]:
    """The published network as trained, and with packed weights of 8 bits and integer arithmetic."""
    weights = published[0].weights()
    if request.param == "reduced":
        weights = reduced_weights(weights, ("int8",) * 13)
        weights = replace(weights, formats={name: "int8" for name in weights.arrays if "weight" in name})
    path = tmp_path_factory.mktemp("sealed") / f"{request.param}.nc"
    write_weights(path, weights)
    return weights, path


def check_error(library: Library, path: Path) -> None:
    with pytest.raises(SciMLError):
        read_weights(path)
    with pytest.raises(SciMLError):
        library.open(path)


@pytest.mark.native
def test_one_flipped_bit_anywhere_is_detected(
    library: Library, sealed: tuple[Weights, Path], tmp_path: Path
) -> None:
    good = sealed[1].read_bytes()
    # All bits of the header, and samples of the data with its end.
    header = max(good.rfind(b"pool.bias"), 400) + 200  # a bundle has no names outside
    draw = np.random.default_rng(31)
    bits = np.concatenate(
        [draw.integers(0, header * 8, 400), draw.integers(0, len(good) * 8, 100), [len(good) * 8 - 1]]
    )
    path = tmp_path / "flipped.nc"
    for bit in bits:
        bad = bytearray(good)
        bad[bit // 8] ^= 1 << (bit % 8)
        path.write_bytes(bad)
        check_error(library, path)


@pytest.mark.native
@pytest.mark.parametrize("keep", [0, 1, 3, 4, 50, 0.001, 0.5, 0.999])
def test_a_truncated_file(
    library: Library, sealed: tuple[Weights, Path], tmp_path: Path, keep: float
) -> None:
    good = sealed[1].read_bytes()
    path = tmp_path / "short.nc"
    path.write_bytes(good[: int(keep if keep in (0, 1, 3, 4, 50) else keep * len(good))])
    check_error(library, path)
    path.write_bytes(good + b"\0")
    check_error(library, path)


@pytest.mark.native
def test_files_that_are_not_weights_files(library: Library, tmp_path: Path) -> None:
    for path in (tmp_path / "absent.nc", tmp_path):
        check_error(library, path)
        with pytest.raises(InputError, match=path.name):
            read_weights(path)
    text = tmp_path / "text.nc"
    text.write_text("not a netCDF file at all\n")
    hdf = tmp_path / "hdf.nc"
    netCDF4.Dataset(hdf, "w").close()
    classic = tmp_path / "classic.nc"
    with netCDF4.Dataset(classic, "w", format="NETCDF3_CLASSIC") as file:
        file.createDimension("x", 3)
        file.createVariable("x", "f4", ("x",))[:] = 1
    for path in (text, hdf, classic):
        check_error(library, path)
    with pytest.raises(ChecksumError, match="no checksum"):
        read_weights(classic)


@pytest.mark.native
@pytest.mark.parametrize("schema", [0, 9, None])
def test_another_schema(
    library: Library,
    sealed: tuple[Weights, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    schema: int | None,
) -> None:
    path = tmp_path / "other.nc"
    own = module.BUNDLE_SCHEMA if sealed[0].formats else module.WEIGHTS_SCHEMA
    for name in ("WEIGHTS_SCHEMA", "BUNDLE_SCHEMA"):
        monkeypatch.setattr(module, name, schema or 0)
    write_weights(path, sealed[0])
    monkeypatch.undo()
    if schema is None:  # the attribute gets another name, and the file its new checksum
        content = path.read_bytes().replace(b"sciml_schema", b"other_schema")
        match = module._CHECKSUM.search(content)
        assert match is not None
        at = match.start(1)
        path.write_bytes(content[:at] + module._sum(content, at) + content[at + 64 :])
    number = "no schema number" if schema is None else f"schema {schema}"
    for read in (read_weights, library.open):
        with pytest.raises(
            SchemaError, match=rf"other\.nc has {number}, this \w+ reads schema {own}: .*export the weights"
        ):
            read(path)


@pytest.mark.native
@pytest.mark.parametrize(
    ("change", "kind", "match"),
    [
        (lambda w: w.arrays.pop("lstm.weight_hh_l2"), SchemaError, "lstm.weight_hh_l2"),
        (lambda w: w.attributes.pop("hidden"), SchemaError, "hidden"),
        (lambda w: w.attributes.update(hidden=0), InputError, "hidden"),
        (lambda w: w.attributes.update(hidden=31), InputError, "lstm.weight_ih_l0"),
        (lambda w: w.attributes.update(layers=9), InputError, "layers"),
        (lambda w: w.attributes.update(pooled=0), InputError, "pooled"),
        (lambda w: w.arrays.update({"head.bias": np.zeros(9, np.int32)}), InputError, "head.bias"),
        (lambda w: w.arrays.update({"head.bias": np.full(9, np.nan, np.float32)}), InputError, "finite"),
    ],
)
def test_invalid_content_with_a_correct_checksum(
    library: Library,
    published: tuple[Net, Path],
    tmp_path: Path,
    change: Callable[[Weights], object],
    kind: type[SciMLError],
    match: str,
) -> None:
    weights = published[0].weights()
    bad = Weights(dict(weights.arrays), dict(weights.attributes))
    change(bad)
    write_weights(tmp_path / "bad.nc", bad)
    with pytest.raises(kind, match=match) as caught:
        library.open(tmp_path / "bad.nc")
    assert str(tmp_path / "bad.nc") in str(caught.value)


def test_paths_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="int64"):
        write_weights(tmp_path / "w.nc", Weights({"a": np.arange(3)}))
    with pytest.raises(InputError, match="none empty"):
        write_weights(tmp_path / "w.nc", Weights({"a": np.zeros((0, 3), np.float32)}))
    with pytest.raises(InputError, match="checksum"):
        write_weights(tmp_path / "w.nc", Weights({}, {"checksum": "mine"}))
    with pytest.raises(InputError, match="directory"):
        write_weights(tmp_path / "nowhere" / "w.nc", Weights({"a": np.zeros(3, np.float32)}))
    write_weights(tmp_path / "w.nc", Weights({"a": np.zeros(3, np.float32)}))
    before = (tmp_path / "w.nc").read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match="No space left"):
        write_weights(tmp_path / "w.nc", Weights({"a": np.ones(3, np.float32)}))
    assert [p.name for p in tmp_path.iterdir()] == ["w.nc"]
    assert (tmp_path / "w.nc").read_bytes() == before


def test_shapes_that_do_not_fit() -> None:
    state = {name: p.detach().numpy() for name, p in Net().lstm.named_parameters()}
    with pytest.raises(InputError, match="bidirectional"):
        bilstm_weights({"weight_ih_l0": np.zeros((4, 1))}, (np.zeros((1, 2)), np.zeros(1)))
    with pytest.raises(InputError, match="head"):
        bilstm_weights(state, (np.zeros((8, 63)), np.zeros(8)))
    with pytest.raises(InputError, match="pooled"):
        bilstm_weights(state, (np.zeros((8, 64)), np.zeros(8)), (np.zeros((1, 9, 44)), np.zeros(1)))


def test_only_a_file_is_replaced(tmp_path: Path) -> None:
    """A device, for example, is not replaced by a file."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "pipe")
    for name in ("pipe", "folder", "link"):
        before = (tmp_path / name).lstat().st_mode
        with pytest.raises(InputError, match=f"{name} is not a regular file"):
            write_weights(tmp_path / name, Weights({"w": np.ones(3, np.float32)}))
        assert (tmp_path / name).lstat().st_mode == before
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.native
@pytest.mark.slow
@pytest.mark.xdist_group("sanitized")
def test_readers_do_not_crash_on_damaged_files(
    published: tuple[Net, Path], sanitized: list[Path], tmp_path: Path
) -> None:
    """Random damage, half of it sealed again, under the address and undefined-behaviour sanitizers."""
    try:
        made = link_targets(tmp_path, c_compiler(), sanitized)
    except NoSanitizers:
        pytest.skip("this compiler has no sanitizers")
    for done in blind(made, write_seeds(tmp_path), 700):
        assert done.returncode == 0, (done.args, done.stderr[-3000:])
        rounds, _, opened = done.stdout.split()[:3]
        assert done.args[2] == rounds
        assert 0 < int(opened) < int(rounds)
    words = [str(made["fuzz.c"]), str(published[1]), "60"]
    assert subprocess.run(words, capture_output=True, check=False).returncode == 0
