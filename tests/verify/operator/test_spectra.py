"""Spectra: waves satisfy the boundary conditions, amplitudes add up, and a single wave is in its shell."""

import itertools

import numpy as np
import pytest
import scipy.fft

from sciml.errors import InputError
from sciml.pde import finite_volume
from sciml.pde.grid import Boundary, Grid
from sciml.pde.terms import Terms
from sciml.verify.operator.spectra import amplitudes, error_by_frequency, waves

SIDES = [
    ("dirichlet", "dirichlet"),
    ("neumann", "neumann"),
    ("dirichlet", "neumann"),
    ("neumann", "dirichlet"),
]
SIDES.append(("periodic", "periodic"))
CASES = list(itertools.product(SIDES, ("vertex", "cell"), (8, 9)))


@pytest.mark.parametrize(("sides", "centring", "n"), CASES)
def test_waves_are_orthonormal(sides, centring, n):
    grid = Grid((3, n), centring, Boundary(west=sides[0], east=sides[1]))
    number, basis = waves(n, sides, centring)
    np.testing.assert_allclose(basis.T @ (grid.weights(1)[:, None] * basis), np.eye(n), atol=1e-12)
    assert (np.diff(number) >= 0).all()


@pytest.mark.parametrize(("sides", "centring", "n"), CASES)
def test_waves_are_eigenvectors_of_the_discrete_laplacian(sides, centring, n):
    # Constant along y, so that only the x axis acts.
    grid = Grid((3, n), centring, Boundary(sides[0], sides[1], "neumann", "neumann"))
    ones = np.ones(grid.shape)
    matrix, _ = finite_volume.finite_volumes(Terms(grid, ones, 0 * ones))
    number, basis = waves(n, sides, centring)
    h = grid.spacing[1]
    for k, wave in zip(number, basis.T, strict=True):
        field = np.broadcast_to(wave, grid.shape)
        applied = (matrix @ field.ravel()).reshape(grid.shape) / grid.volumes()
        exact = 4 / h**2 * np.sin(k * np.pi * h / 2) ** 2
        np.testing.assert_allclose(applied, exact * field, atol=1e-9 * 4 / h**2)


@pytest.mark.parametrize(
    ("sides", "centring", "transform", "kind"),
    [
        (SIDES[0], "vertex", scipy.fft.dst, 1),
        (SIDES[0], "cell", scipy.fft.dst, 2),
        (SIDES[1], "vertex", scipy.fft.dct, 1),
        (SIDES[1], "cell", scipy.fft.dct, 2),
        (SIDES[2], "vertex", scipy.fft.dst, 3),
        (SIDES[2], "cell", scipy.fft.dst, 4),
        (SIDES[3], "vertex", scipy.fft.dct, 3),
        (SIDES[3], "cell", scipy.fft.dct, 4),
    ],
)
def test_waves_equal_the_transforms_of_scipy(sides, centring, transform, kind):
    rng = np.random.default_rng(17)
    grid = Grid((3, 12), centring, Boundary(west=sides[0], east=sides[1]))
    field = rng.normal(size=12)
    _, basis = waves(12, sides, centring)
    mine = np.abs(basis.T @ (grid.weights(1) * field))
    theirs = np.abs(transform(field, type=kind))
    scale = mine / theirs
    # One scale for all but the first and the last, whose waves are normalised by themselves.
    np.testing.assert_allclose(scale[1:-1], scale[1], rtol=1e-10)


@pytest.mark.parametrize(("sides", "centring", "n"), CASES)
def test_amplitudes_preserve_the_mean_square(sides, centring, n):
    grid = Grid((7, n), centring, Boundary(sides[0], sides[1]), (2.0, 0.5))
    field = np.random.default_rng(23).normal(size=(2, *grid.shape))
    amplitude, _, _ = amplitudes(field, grid)
    mean = (field**2 * grid.volumes()).sum((1, 2)) / np.prod(grid.lengths)
    np.testing.assert_allclose((amplitude**2).sum((1, 2)), mean, rtol=1e-12)


def test_a_wave_is_in_its_octave():
    grid = Grid((33, 40), "cell", Boundary.all("neumann"))
    x, y = grid.mesh()
    truth = 1 + np.cos(np.pi * x)
    wrong = truth + 0.01 * np.cos(12 * np.pi * x) * np.cos(16 * np.pi * y)
    spectrum = error_by_frequency(wrong[None], truth[None], grid)
    shares = {(band["from"], band["to"]): band["share_of_error"] for band in spectrum.bands()}
    assert shares[16.0, 32.0] == pytest.approx(1)
    assert spectrum.error[20] == pytest.approx(0.01**2 / 4)
    assert spectrum.truth[:2] == pytest.approx([1, 0.5])
    assert sum(shares.values()) == pytest.approx(1)


def test_a_sine_has_one_wave_unlike_its_fourier_transform():
    grid = Grid((31, 31))
    x, y = grid.mesh()
    bump = np.sin(np.pi * x) * np.sin(np.pi * y)
    spectrum = error_by_frequency(bump[None], 0 * bump[None], grid)
    assert spectrum.error[spectrum.wavenumber >= 2].sum() < 1e-25
    tail = np.abs(np.fft.fft2(bump)) ** 2
    assert tail[4:-4, :].sum() > 1e-6 * tail.sum()
    assert all(band["relative_error"] is None for band in spectrum.bands())


def test_fields_of_another_shape_are_an_error():
    with pytest.raises(InputError, match="one shape"):
        error_by_frequency(np.zeros((1, 7, 7)), np.zeros((2, 7, 7)), Grid((7, 7)))
    with pytest.raises(InputError, match="on a grid"):
        error_by_frequency(np.zeros((1, 7, 8)), np.zeros((1, 7, 8)), Grid((7, 7)))
