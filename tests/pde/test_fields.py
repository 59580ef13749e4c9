import numpy as np
import pytest
from scipy.fft import idctn

from sciml.errors import InputError
from sciml.pde import Boundary, GaussianField, Grid, Lognormal, Multiscale, PeriodicField, TwoPhase, WaveSpeed
from sciml.pde.gaussian_fields import gaussian_field, periodic_field

EVERY = [
    TwoPhase(2, 12, tau=20**0.5),
    Lognormal(1.5),
    Multiscale(3),
    WaveSpeed(),
    GaussianField(2.0),
    PeriodicField(),
]
SEEDS = range(100, 500)


@pytest.mark.parametrize("coefficient", EVERY, ids=lambda c: type(c).__name__)
def test_a_seed_gives_one_field_at_every_resolution_and_centring(coefficient):
    coarse = coefficient.draw(Grid((7, 9)), np.random.default_rng(5))
    fine = coefficient.draw(Grid((15, 19)), np.random.default_rng(5))
    np.testing.assert_allclose(coarse, fine[1::2, 1::2], rtol=0, atol=1e-9)
    cells = coefficient.draw(Grid((5, 5), "cell"), np.random.default_rng(5))
    # The middle of 5 cells along each axis is the middle of 9 nodes.
    nodes = coefficient.draw(Grid((9, 9)), np.random.default_rng(5))
    np.testing.assert_allclose(cells[2, 2], nodes[4, 4], rtol=0, atol=1e-9)
    again = coefficient.draw(Grid((7, 9)), np.random.default_rng(5))
    np.testing.assert_array_equal(coarse, again)
    assert not np.array_equal(coarse, coefficient.draw(Grid((7, 9)), np.random.default_rng(6)))


@pytest.mark.parametrize(("tau", "alpha"), [(3.0, 2.0), (20**0.5, 2.0), (7.0, 2.5)])
def test_on_cells_the_field_is_the_cosine_transform_of_the_fno_generator(tau, alpha):
    n = 32
    xi = np.random.default_rng(5).standard_normal((n, n))
    k = np.arange(n)
    coefficients = (
        n * tau ** (alpha - 1) * (np.pi**2 * (k[:, None] ** 2 + k**2) + tau**2) ** (-alpha / 2) * xi
    )
    coefficients[0, 0] = 0.0
    exact = idctn(coefficients, norm="ortho")
    result = gaussian_field(Grid((n, n), "cell"), np.random.default_rng(5), tau=tau, alpha=alpha, modes=n)
    np.testing.assert_allclose(result, exact, rtol=0, atol=1e-13)


def test_the_covariance_of_the_neumann_field_is_the_stated_one():
    """The variance of each mode, from an orthonormal transform of many draws."""
    tau, alpha, n = 3.0, 2.0, 16
    grid = Grid((n, n), "cell")
    draws = np.stack(
        [gaussian_field(grid, np.random.default_rng(s), tau=tau, alpha=alpha, modes=n) for s in SEEDS]
    )
    # Covariance between points from a discretisation of the operator in space.
    k = np.arange(n)
    value = np.cos(np.pi * np.outer(grid.coordinates()[0], k)) * np.where(k == 0, 1, np.sqrt(2))
    power = tau ** (2 * alpha - 2) * (np.pi**2 * (k[:, None] ** 2 + k**2) + tau**2) ** -alpha
    power[0, 0] = 0
    for a, b in [((3, 3), (3, 3)), ((0, 0), (0, 0)), ((3, 3), (3, 8)), ((0, 0), (15, 15)), ((5, 2), (9, 4))]:
        exact = (np.outer(value[a[0]], value[a[1]]) * np.outer(value[b[0]], value[b[1]]) * power).sum()
        pair = (
            np.outer(value[a[0]], value[a[1]]) ** 2 * power,
            np.outer(value[b[0]], value[b[1]]) ** 2 * power,
        )
        spread = np.sqrt((exact**2 + pair[0].sum() * pair[1].sum()) / len(SEEDS))
        result = np.mean(draws[:, a[0], a[1]] * draws[:, b[0], b[1]])
        assert abs(result - exact) < 4 * spread
    np.testing.assert_allclose(draws.mean((1, 2)), 0, atol=1e-13)


def test_the_covariance_of_the_periodic_field_is_the_stated_one():
    sigma, tau, alpha, n = 25.0, 5.0, 2.0, 16
    x = np.arange(n) / n
    draws = np.stack(
        [
            periodic_field((x,), np.random.default_rng(s), sigma=sigma, tau=tau, alpha=alpha, modes=64)
            for s in SEEDS
        ]
    )
    k = np.arange(1, 65)
    for shift in (0, 2, 8):
        exact = (
            2 * sigma**2 * ((4 * np.pi**2 * k**2 + tau**2) ** -alpha * np.cos(2 * np.pi * k * x[shift])).sum()
        )
        at_zero = 2 * sigma**2 * ((4 * np.pi**2 * k**2 + tau**2) ** -alpha).sum()
        for start in (0, 5):
            result = np.mean(draws[:, start] * draws[:, (start + shift) % n])
            assert abs(result - exact) < 4 * np.sqrt((exact**2 + at_zero**2) / len(SEEDS))


def test_a_periodic_field_has_its_period():
    field = PeriodicField()
    inside = field.along(np.array([0.0, 0.3]), np.random.default_rng(5))
    np.testing.assert_allclose(
        field.along(np.array([1.0, 1.3]), np.random.default_rng(5)), inside, atol=1e-10
    )
    grid = Grid((8, 12), boundary=Boundary.all("periodic"), lengths=(2.0, 3.0))
    assert field.draw(grid, np.random.default_rng(5)).shape == (8, 12)


def test_the_logarithm_of_a_lognormal_has_its_mean_and_deviation():
    grid = Grid((16, 16), "cell")
    logs = np.log([Lognormal(1.5, mean=3.0).draw(grid, np.random.default_rng(s)) for s in SEEDS])
    assert abs(logs.mean() - np.log(3)) < 1e-3  # mean zero, field by field
    assert np.sqrt(((logs - np.log(3)) ** 2).mean()) == pytest.approx(1.5, rel=0.06)


def test_contrasts_of_the_media():
    grid = Grid((63, 63))
    rough = TwoPhase(2, 12, tau=20**0.5).draw(grid, np.random.default_rng(5))
    assert set(np.unique(rough)) == {2.0, 12.0}
    assert 0.2 < (rough == 2).mean() < 0.8
    scales = Multiscale().draw(grid, np.random.default_rng(5))
    assert scales.min() > 0.25**6
    assert scales.max() < 2.25**6
    assert scales.max() / scales.min() > 30
    speed = WaveSpeed().draw(grid, np.random.default_rng(5))
    assert 19 < speed.min() < 20 < speed.max() < 21


def test_a_rougher_field_changes_sign_more_often():
    def changes(tau):
        fields = [
            TwoPhase(1, 2, tau=tau).draw(Grid((63, 63)), np.random.default_rng(s)) for s in range(5, 15)
        ]
        return np.mean([np.abs(np.diff(f, axis=1)).sum() for f in fields])

    assert changes(20**0.5) > 1.1 * changes(3.0)


def test_wave_speeds_have_the_hundred_smallest_waves():
    """Variance at a corner, where every cosine is 1."""
    k = np.sort(np.add.outer(np.arange(40) ** 2, np.arange(40) ** 2), axis=None)[1:101]
    draws = [
        WaveSpeed(d=2.0).draw(Grid((3, 3), boundary=Boundary.all("neumann")), np.random.default_rng(s))
        for s in SEEDS
    ]
    corner = np.arctanh(np.array(draws)[:, 0, 0] - 20)
    both = np.add.outer(np.arange(40) ** 2, np.arange(40) ** 2)
    scale = np.multiply.outer(np.r_[1, [2] * 39], np.r_[1, [2] * 39])
    exact = (scale * (np.pi**2 * both + 9.0) ** -2)[(both > 0) & (both < k[-1])].sum()
    assert corner.var() == pytest.approx(exact, rel=4 * np.sqrt(2 / len(SEEDS)))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TwoPhase(-3, 12), r"TwoPhase\(low=-3\): give a positive number"),
        (lambda: TwoPhase(3, np.nan), "high=nan"),
        (lambda: Lognormal(sigma=0), "sigma=0"),
        (lambda: Multiscale(scales=0), "scales=0"),
        (lambda: WaveSpeed(amplitude=20.0), "the amplitude must be less"),
        (lambda: PeriodicField(tau=-1), "tau=-1"),
    ],
)
def test_refusals(make, message):
    with pytest.raises(InputError, match=message):
        make()
