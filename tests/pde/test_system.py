"""Systems of other origin: they work in all solvers, or raise a clear error."""

import warnings

import numpy as np
import pytest
import scipy.sparse as sp

from sciml.errors import InputError
from sciml.multigrid import AMG
from sciml.operators import Corrected
from sciml.pde.direct import Direct
from sciml.pde.elliptic import Poisson, discretize
from sciml.pde.grid import Grid
from sciml.pde.solvability import check_compatible
from sciml.pde.system import System
from sciml.solve import SolveFailed, solve

GIVEN = discretize(Poisson(7))
N = 49
KINDS = ("definite", "semidefinite", "indefinite", "nonsymmetric")


def changed(change, matrix=GIVEN.matrix):
    full = matrix.toarray()
    change(full)
    return sp.csr_matrix(full)


def halves(matrix):
    """Split every entry into the sum of two."""
    coo = matrix.tocoo()
    twice = [np.r_[value, value] for value in (coo.data / 2, coo.row, coo.col)]
    return sp.coo_matrix((twice[0], (twice[1], twice[2])), shape=matrix.shape)


def with_zeros(matrix):
    coo = matrix.tocoo()
    result = (np.r_[coo.data, 0.0, 0.0], (np.r_[coo.row, 0, N - 1], np.r_[coo.col, N - 1, 0]))
    return sp.coo_matrix(result, shape=matrix.shape).tocsr()


FORMS = {
    "csr_array": sp.csr_array,
    "csc": sp.csc_matrix,
    "lil": sp.lil_matrix,
    "dia": sp.dia_matrix,
    "dense": lambda matrix: matrix.toarray(),
    "lists": lambda matrix: matrix.toarray().tolist(),
    "float32": lambda matrix: matrix.astype(np.float32),
    "integers": lambda matrix: matrix.astype(np.int64),  # the entries of this one are whole numbers
    "long indices": lambda matrix: sp.csr_matrix(
        (matrix.data, matrix.indices.astype(np.int64), matrix.indptr.astype(np.int64)), shape=matrix.shape
    ),
    "duplicates": halves,
    "stored zeros": with_zeros,
}


@pytest.mark.parametrize("form", sorted(FORMS))
def test_all_matrix_formats_give_the_same_system(form):
    given = FORMS[form](GIVEN.matrix)
    before = given.copy() if sp.issparse(given) else np.array(given)
    system = System(given, GIVEN.rhs, GIVEN.grid, "definite")
    assert abs(system.matrix - GIVEN.matrix).max() < 1e-12
    assert isinstance(system.matrix, sp.csr_matrix)
    truth = np.linalg.solve(GIVEN.matrix.toarray(), GIVEN.rhs)
    for algorithm in (AMG(rtol=1e-10), AMG("smoothed_aggregation", rtol=1e-10), Direct(), Corrected(None)):
        assert solve(system, algorithm).u.values.ravel() == pytest.approx(truth, rel=1e-5)
    after = given if sp.issparse(given) else np.array(given)
    assert after.shape == before.shape
    assert abs(after - before).sum() == 0
    if sp.issparse(given):
        assert given.nnz == before.nnz


def test_a_matrix_in_the_right_form_is_not_copied():
    assert System(GIVEN.matrix, GIVEN.rhs, GIVEN.grid, "definite").matrix is GIVEN.matrix
    other = GIVEN.with_rhs(2 * GIVEN.rhs)
    assert other.matrix is GIVEN.matrix
    assert np.array_equal(other.rhs, 2 * GIVEN.rhs)
    assert not np.array_equal(GIVEN.rhs, other.rhs)


@pytest.mark.parametrize(
    "rhs",
    [GIVEN.rhs.reshape(7, 7), GIVEN.rhs[:, None], list(GIVEN.rhs), GIVEN.rhs.astype(np.float32)],
)
def test_forms_of_a_right_hand_side(rhs):
    system = System(GIVEN.matrix, rhs, GIVEN.grid, "definite")
    assert system.rhs == pytest.approx(GIVEN.rhs, rel=1e-6)
    assert system.rhs.shape == (N,)
    assert system.rhs.dtype == np.float64


def zero_row(full):
    full[5] = full[:, 5] = 0.0


def zero_diagonal(full):
    full[5, 5] = 0.0


def lopsided(full):
    full[3, 4] = 5.0


def not_a_number(full):
    full[3, 4] = np.nan


def infinite(full):
    full[6, 6] = np.inf


REFUSED = {
    "zero row": (changed(zero_row), "row 5 of the matrix is zero.*leave that unknown out"),
    "zero diagonal": (changed(zero_diagonal), "diagonal entry 5 is 0.*indefinite"),
    "not symmetric": (changed(lopsided), r"5 at \(3, 4\), -1 at \(4, 3\).*nonsymmetric"),
    "nan": (changed(not_a_number), "nan at row 3, column 4"),
    "infinite": (changed(infinite), "inf at row 6, column 6"),
    "negative": (-GIVEN.matrix, r"System\(-matrix, -rhs"),
    "complex": (GIVEN.matrix + 1j * sp.eye(N), r"complex128.*\[\[Re, -Im\], \[Im, Re\]\]"),
    "complex with no imaginary part": (GIVEN.matrix.astype(complex), r"give matrix.real"),
    "not square": (GIVEN.matrix[:, :9], r"\(49, 9\).*\(49, 49\)"),
    "of another grid": (GIVEN.matrix[:9, :9], r"\(9, 9\).*49 unknowns"),
    "empty": (sp.csr_matrix((N, N)), "row 0 of the matrix is zero .49 such"),
    "of no unknowns": (sp.csr_matrix((0, 0)), r"\(0, 0\)"),
    "of strings": (GIVEN.matrix.toarray().astype(str), "real numbers"),
    "none": (None, "49 unknowns"),
    "ragged": ([[1.0], [2.0, 3.0]], "real numbers"),
    "huge": (GIVEN.matrix * 1e300, "4e.300"),
    "tiny": (GIVEN.matrix * 1e-300, "4e-300"),
}


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_matrices_that_are_not_definite_are_an_error(name):
    matrix, words = REFUSED[name]
    with pytest.raises(InputError, match=words):
        System(matrix, GIVEN.rhs, GIVEN.grid, "definite")


@pytest.mark.parametrize(
    ("rhs", "words"),
    [
        (GIVEN.rhs[:7], r"\(7,\).*\(49,\) or \(7, 7\)"),
        (np.where(np.arange(N) == 3, np.nan, 1.0), "nan at unknown 3"),
        (GIVEN.rhs + 0j, "complex128"),
        (1.0, "49 unknowns"),
        (None, "49 unknowns"),
        (["a"] * N, "real numbers"),
        (1e300 * GIVEN.rhs, "1e.140"),
        (1e-300 * GIVEN.rhs, "1e-140"),
    ],
)
def test_invalid_right_hand_sides_are_an_error(rhs, words):
    with pytest.raises(InputError, match=words):
        System(GIVEN.matrix, rhs, GIVEN.grid, "definite")
    with pytest.raises(InputError, match=words):
        GIVEN.with_rhs(rhs)


def test_the_grid_and_the_kind_are_checked():
    with pytest.raises(InputError, match="Grid"):
        System(GIVEN.matrix, GIVEN.rhs, (7, 7), "definite")
    with pytest.raises(InputError, match=r"'spd'.*semidefinite"):
        System(GIVEN.matrix, GIVEN.rhs, GIVEN.grid, "spd")


def chains(*free):
    """Unconnected columns of a grid; the free ones have no Dirichlet side."""
    along = sp.diags_array([-1.0, 2.0, -1.0], offsets=[-1, 0, 1], shape=(7, 7)).toarray()
    loose = along.copy()
    loose[0, 0] = loose[-1, -1] = 1.0
    return sp.csr_matrix(sp.block_diag([loose if k in free else along for k in range(7)]))


def test_kernels_fit_the_kind():
    neumann = discretize(Poisson(7, 0.0, "neumann"))
    with pytest.raises(InputError, match=r"every row of the matrix sums to zero.*semidefinite"):
        System(neumann.matrix, neumann.rhs, neumann.grid, "definite")
    with pytest.raises(InputError, match=r"row 0 of the matrix sums to 0.333.*definite"):
        System(GIVEN.matrix, GIVEN.rhs, GIVEN.grid, "semidefinite")
    apart = System(chains(), np.ones(N), Grid((7, 7)), "definite")
    truth = np.linalg.solve(apart.matrix.toarray(), apart.rhs)
    for method in ("ruge_stuben", "smoothed_aggregation", "geometric"):
        assert solve(apart, AMG(method)).u.values.ravel() == pytest.approx(truth, rel=1e-6)
    with pytest.raises(InputError, match=r"the 7 unknowns connected with unknown 14 .* fix one of them"):
        System(chains(2, 4), np.ones(N), Grid((7, 7)), "definite")
    with pytest.raises(InputError, match="7 parts"):
        System(chains(*range(7)), np.zeros(N), Grid((7, 7)), "semidefinite")


def test_a_nonsymmetric_matrix_without_an_equation_or_a_pivot():
    for empty, words in ((np.s_[5, :], "row 5"), (np.s_[:, 5], "column 5")):
        full = GIVEN.matrix.toarray()
        full[empty] = 0.0
        with pytest.raises(InputError, match=words):
            System(full, GIVEN.rhs, GIVEN.grid, "nonsymmetric")
    turned = System(GIVEN.matrix[::-1], GIVEN.rhs, GIVEN.grid, "nonsymmetric")
    for method in ("ruge_stuben", "smoothed_aggregation", "geometric"):
        with pytest.raises(InputError, match=r"diagonal entry \d+ .*Direct\(\)"):
            solve(turned, AMG(method))
    truth = np.linalg.solve(turned.matrix.toarray(), turned.rhs)
    assert solve(turned, Direct()).u.values.ravel() == pytest.approx(truth, rel=1e-9)


def test_a_matrix_with_two_equal_rows_is_reported_as_singular():
    """Two equal rows and columns."""
    full = GIVEN.matrix.toarray()
    full[1], full[:, 1] = full[0], full[:, 0]
    full[1, 1] = full[0, 1] = full[1, 0] = full[0, 0]
    assert np.linalg.matrix_rank(full) == N - 1
    system = System(full, GIVEN.rhs + np.arange(N), GIVEN.grid, "definite")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for algorithm in (AMG(), AMG("smoothed_aggregation"), AMG("geometric"), Direct()):
            with pytest.raises((InputError, SolveFailed)):
                solve(system, algorithm)


def test_systems_and_factors_of_other_grids():
    system = check_compatible(discretize(Poisson(7, lambda x, y: x - 0.5, "neumann")))
    solution = solve(system, Direct())
    assert system.residual(solution.u.values) == pytest.approx(np.zeros(N), abs=1e-15)
    with pytest.raises(InputError, match="another matrix"):
        solve(GIVEN, Direct(), state=Direct().init(system))
