"""The spectrum of known matrices, the table of modes, and standard errors."""

from __future__ import annotations

import numpy as np
import pytest

from sciml.analysis import Part, spectrum
from sciml.errors import InputError


def spiral(growth: float, turn: float) -> np.ndarray:
    return np.array([[growth, -turn], [turn, growth]])


def test_a_known_matrix() -> None:
    rng = np.random.default_rng(31)
    basis = rng.normal(size=(5, 5))
    a = basis @ np.diag([2.0, 0.5, 0.0, -1.0, -7.0]) @ np.linalg.inv(basis)
    modes = spectrum(a)
    np.testing.assert_allclose(modes.rates, [2.0, 0.5, 0.0, -1.0, -7.0], atol=1e-12)
    assert [round(mode.growth, 9) for mode in modes.growing] == [2.0, 0.5]
    for mode, column in zip(modes.growing, (0, 1), strict=True):
        assert np.linalg.norm(mode.vector) == pytest.approx(1.0)
        v, w = basis[:, column], np.linalg.inv(basis)[column]
        assert abs(np.vdot(mode.vector, v)) == pytest.approx(np.linalg.norm(v))
        assert mode.condition == pytest.approx(np.linalg.norm(v) * np.linalg.norm(w))
    assert len(modes.unstable(1.0)) == 1
    assert modes.growing[0].efolding == pytest.approx(0.5)


def test_a_pair_is_one_mode() -> None:
    modes = spectrum(spiral(0.3, 2.0), time="day")
    (mode,) = modes.growing
    assert (mode.growth, mode.frequency) == pytest.approx((0.3, 2.0))
    assert "3.14" in repr(modes)  # the period
    assert "Spectrum of 2 modes: 0 decay, 1 grow" in repr(modes)


def test_decaying_modes_are_not_listed() -> None:
    modes = spectrum(np.diag([-1.0, 0.004, -2.0]), least=0.01, time="day")
    assert modes.growing == ()
    assert modes.table() == "no mode grows faster than 0.01 per day"
    assert not spectrum(np.zeros((3, 3))).growing
    assert not spectrum(
        np.ones((4, 4)) - 4 * np.eye(4)
    ).growing  # singular: a rate of nothing, but for rounding


def test_parts_and_their_peak() -> None:
    """The scale and the weights say which part leads; the peak is where it is largest."""
    a = np.diag([-1.0] * 6)
    v = np.array([1.0, 3.0, 2.0, 1.0, 1.0, 2.0])
    a += 2.5 * np.outer(v, v) / (v @ v)
    t = Part("T", np.array([900.0, 500.0, 200.0]), np.array([1.0, 1.0, 1.0]), unit="hPa")
    q = Part("q", np.array([900.0, 500.0, 200.0]), np.array([1.0, 1.0, 1.0]), 10.0, "hPa")
    (mode,) = spectrum(a, [t, q]).growing
    assert (mode.part, mode.peak, mode.growth) == ("q", 200.0, pytest.approx(1.5))
    assert mode.share == pytest.approx(600 / 614)
    (mode,) = spectrum(a, [t, Part("q", q.positions, q.weights, 0.1, "hPa")]).growing
    assert (mode.part, mode.peak, mode.vector[1].imag) == ("T", 500.0, 0.0)
    assert mode.vector[1].real > 0


def test_the_standard_error_equals_that_of_many_estimates() -> None:
    rng = np.random.default_rng(37)
    a = np.array([[0.5, 3.0, 0.0], [0.0, -1.0, 1.0], [0.2, 0.0, -2.0]])
    noise = 0.02
    tops = [spectrum(a + noise / 4 * rng.normal(size=(3, 3))).growing[0].growth for _ in range(400)]
    errors = []
    for _ in range(50):
        samples = a + noise * rng.normal(size=(16, 3, 3))
        errors.append(spectrum(samples.mean(0), samples=samples).growing[0].error)
    assert np.sqrt(np.mean(np.square(errors))) == pytest.approx(np.std(tops), rel=0.15)


def test_doubtful_modes() -> None:
    samples = np.array([[[3.0]], [[-1.0]]])
    (mode,) = spectrum(samples.mean(0), samples=samples).growing
    assert mode.error == pytest.approx(2.0)
    assert mode.doubtful
    assert not spectrum([[1.0]]).growing[0].doubtful


@pytest.mark.parametrize(
    ("matrix", "words", "message"),
    [
        ([[1.0, np.nan], [0.0, 1.0]], {}, "1 of 4 entries of the matrix are not finite"),
        ([[1.0, 2.0]], {}, "the matrix of shape"),
        (np.zeros((0, 0)), {}, "the matrix of shape"),
        (np.eye(2), {"samples": np.full((3, 2, 2), np.inf)}, "12 of 12 entries of the samples"),
        (np.eye(2), {"samples": np.zeros((3, 3, 3))}, "give estimates of this matrix"),
        (np.eye(2), {"parts": [Part("T", np.ones(3), np.ones(3))]}, "for a state of 2"),
    ],
)
def test_invalid_arguments_of_spectrum(matrix: object, words: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        spectrum(matrix, **words)  # type: ignore[arg-type]
