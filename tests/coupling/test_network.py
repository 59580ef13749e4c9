"""The native network: parity with torch, and the same bits for all tiles and threads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sciml.coupling.library import Library
from sciml.coupling.onnx_oracle import onnx_session
from sciml.coupling.weights_file import read_weights, write_weights
from sciml.errors import BuildError, InputError
from tests.coupling.published import CASES, Case, Net, inputs, make

pytestmark = pytest.mark.native


def test_parity_with_torch_in_double_precision(
    library: Library, case: Case, isa: str, tmp_path: Path
) -> None:
    net = make(case)
    write_weights(tmp_path / "w.nc", net.weights())
    x = inputs(net, 61, case.levels)
    exact = net.exact(x)
    with library.open(tmp_path / "w.nc") as native:
        assert native.isa == isa
        for kind, close in ((np.float32, 1e-6), (np.float64, 2e-15)):
            for mine, truth in zip(native.network(x.astype(kind)), exact, strict=True):
                assert mine.dtype == kind
                assert mine.shape == truth.shape
                if truth.size:
                    assert np.abs(mine - truth).max() <= close * (1 + np.abs(truth).max())


def test_parity_quantiles(library: Library, published: tuple[Net, Path]) -> None:
    net, path = published
    x = inputs(net, 500, 44) * 2
    exact = net.exact(x)
    for mine, truth in zip(library.open(path).network(x), exact, strict=True):
        assert np.median(np.abs(mine - truth) / np.abs(truth)) <= 1e-6
        worst = np.abs(mine - truth).reshape(len(x), -1).max(1)
        assert np.mean(worst <= 1e-4 * np.ptp(truth)) >= 0.999


def test_parity_with_onnxruntime(library: Library, case: Case, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    net = make(case)
    write_weights(tmp_path / "w.nc", net.weights())
    x = inputs(net, 61, case.levels)
    answers = onnx_session(read_weights(tmp_path / "w.nc")).run(
        None, {"x": np.ascontiguousarray(x.swapaxes(0, 1))}
    )
    with library.open(tmp_path / "w.nc") as native:
        levels, pooled = native.network(x)
    np.testing.assert_allclose(levels, answers[0].swapaxes(0, 1), atol=2e-6)
    if pooled.size:
        np.testing.assert_allclose(pooled, answers[1], atol=2e-6)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_same_bits_for_every_tiling_and_thread(
    library: Library, published: tuple[Net, Path], isa: str, kind: type[np.floating]
) -> None:
    net, path = published
    x = inputs(net, 203, 44).astype(kind)
    native = library.open(path)
    whole = native.network(x)
    for tile in (1, 7, 8, 9, 17, 24, 25, 32, 100, 202):
        parts = [native.network(x[k : k + tile]) for k in range(0, len(x), tile)]
        for mine, truth in zip(map(np.concatenate, zip(*parts, strict=True)), whole, strict=True):
            np.testing.assert_array_equal(mine, truth)
    for threads in (2, 3):
        for mine, truth in zip(native.network(x, threads=threads), whole, strict=True):
            np.testing.assert_array_equal(mine, truth)
    order = np.random.default_rng(5).permutation(len(x))
    np.testing.assert_array_equal(native.network(x[order])[0], whole[0][order])


def test_strides_and_the_number_of_levels(library: Library, tmp_path: Path) -> None:
    net = make(CASES[1])
    write_weights(tmp_path / "w.nc", net.weights())
    native = library.open(tmp_path / "w.nc")
    x = inputs(net, 30, 12)
    truth = native.network(x)[0]
    np.testing.assert_array_equal(native.network(np.asfortranarray(x))[0], truth)
    np.testing.assert_array_equal(native.network(x[::-2, ::-1])[0], native.network(x[::-2, ::-1].copy())[0])
    record = np.zeros((30, 12, 5), dtype=[("skip", "i1"), ("x", "f4")])
    record["x"] = x
    np.testing.assert_array_equal(native.network(record["x"])[0], truth)
    for levels in (1, 2, 11):
        np.testing.assert_allclose(native.network(x[:, :levels])[0], net.exact(x[:, :levels])[0], atol=2e-6)


def test_large_inputs_saturate_and_nan_stays_in_its_column(
    library: Library, published: tuple[Net, Path]
) -> None:
    net, path = published
    native = library.open(path)
    x = inputs(net, 50, 44)
    before = native.network(x)
    huge = x * np.float32(1e30)
    exact = net.exact(huge)
    np.testing.assert_allclose(native.network(huge)[0], exact[0], atol=1e-5)
    x[7, 20, 3] = np.nan
    x[31, 0, 0] = np.inf
    after = native.network(x)
    assert np.isnan(after[0][7]).any()
    assert np.isnan(after[1][7]).all()
    others = np.delete(np.arange(50), [7, 31])
    np.testing.assert_array_equal(after[0][others], before[0][others])
    np.testing.assert_array_equal(after[1][others], before[1][others])


def test_no_columns(library: Library, published: tuple[Net, Path]) -> None:
    levels, pooled = library.open(published[1]).network(np.zeros((0, 44, 27), np.float32))
    assert levels.shape == (0, 44, 8)
    assert pooled.shape == (0, 1)


@pytest.mark.parametrize(
    ("shape", "kind", "threads", "match"),
    [
        ((3, 43, 27), "f4", 1, "43 levels"),
        ((3, 44, 26), "f4", 1, "44, 26"),
        ((3, 44, 27), "f2", 1, "float16"),
        ((44, 27), "f4", 1, "44, 27"),
        ((3, 44, 27), "f4", 0, "0 threads"),
        ((3, 44, 27), "f4", 100_000, "100000 threads"),
        ((3, 0, 27), "f4", 1, "0 levels"),
    ],
)
def test_bad_input(
    library: Library, published: tuple[Net, Path], shape: tuple[int, ...], kind: str, threads: int, match: str
) -> None:
    with pytest.raises(InputError, match=match):
        library.open(published[1]).network(np.zeros(shape, kind), threads=threads)


def test_closed_and_invalid_handles(library: Library, published: tuple[Net, Path], tmp_path: Path) -> None:
    native = library.open(published[1])
    native.close()
    native.close()
    with pytest.raises(InputError, match="handle"):
        native.network(np.zeros((1, 44, 27), np.float32))
    (tmp_path / "libfake.so").write_text("no library")
    with pytest.raises(BuildError, match="sciml coupling build"):
        Library(tmp_path / "libfake.so")
    with pytest.raises(BuildError):
        Library("libm.so.6")
