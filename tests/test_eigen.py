"""Leading eigenvectors without the matrix, against the matrix, closed forms and scipy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse.linalg
from jax.tree_util import Partial

from gahr.analysis import eigen, geometry, krylov
from gahr.classical import analytic

SHAPE = (4, 6, 2)
SIZE = 48
KEY = jax.random.key(0)
NOISY = jax.random.normal(jax.random.key(1), SHAPE)
BASIS = np.linalg.qr(np.random.default_rng(0).normal(size=(SIZE, SIZE)))[0]
SPECTRA = {
    "decaying": np.geomspace(1, 1e-3, SIZE),
    "projection": np.r_[np.ones(7), np.zeros(SIZE - 7)],
    "multiplicity 20": np.r_[np.ones(20), np.full(SIZE - 20, 0.3)],
    "cluster": np.r_[1 + 1e-4 * np.arange(12), np.linspace(0.9, 0, SIZE - 12)],
    "mostly negative": np.linspace(1, -3, SIZE),
    "zero": np.zeros(SIZE),
}
POINTS = np.random.default_rng(2).normal(size=(6, *SHAPE)).astype(np.float32)
MATRICES = {name: (BASIS * values) @ BASIS.T for name, values in SPECTRA.items()} | {
    "tangents of a sphere": analytic.sphere_jacobian(12.0, NOISY, 0.3),
    "differences of points": analytic.points_jacobian(POINTS, jnp.asarray(POINTS.mean(0)), 6.0),
}
ASYMMETRIC = MATRICES["decaying"] + 0.02 * np.random.default_rng(1).normal(size=(SIZE, SIZE))
solve = jax.jit(eigen.top_eigenbasis, static_argnames=("k", "method", "block", "tolerance", "max_products"))


def linear(matrix):
    return Partial(_multiply, jnp.asarray(matrix, jnp.float32))


def _multiply(matrix, y):
    out = matrix @ y.ravel()
    return out.reshape(y.shape) if out.size == y.size else out


def smooth(y):
    """A caller's own denoiser: a nonlinear, not symmetric filter without any network."""
    near = (y + jnp.roll(y, 1, 0) + jnp.roll(y, -1, 0) + jnp.roll(y, 1, 1) + jnp.roll(y, -1, 1)) / 5
    return near + 0.1 * jnp.tanh(y) * jnp.roll(near, 1, 1)


@pytest.mark.parametrize("name", MATRICES)
def test_leading_eigenvalues_of_any_spectrum(name):
    matrix = np.asarray(MATRICES[name], np.float64)
    values = np.linalg.eigvalsh(matrix)[::-1]
    found = solve(linear(matrix), NOISY, k=10, key=KEY)
    np.testing.assert_allclose(found.shrinkage, values[:10], atol=1e-5)
    rows = found.vectors.reshape(10, -1)
    np.testing.assert_allclose(rows @ rows.T, np.eye(10), atol=1e-5)
    assert found.residuals.max() <= 1e-3 * max(abs(values)) + 1e-6
    assert found.num_products <= SIZE + 4


@pytest.mark.parametrize("block", [1, 100])
def test_all_eigenvalues(block):
    found = solve(linear(MATRICES["decaying"]), NOISY, k=SIZE, key=KEY, block=block)
    np.testing.assert_allclose(found.shrinkage, SPECTRA["decaying"], atol=1e-5)


def filtered(gain, noisy):
    return jnp.fft.ifft2(jnp.fft.fft2(noisy, axes=(0, 1)) * gain, axes=(0, 1)).real


@pytest.mark.parametrize("sigma", [0.3, 0.05])
def test_all_copies_of_equal_eigenvalues_are_found_in_many_dimensions(sigma):
    """A stationary Gaussian prior, equal in three channels: eigenvalues come twelve at a time, blocks are of four."""
    frequency = np.hypot(np.fft.fftfreq(16)[:, None], np.fft.fftfreq(16)[None]) * 16
    power = (1 + frequency) ** -2.0
    gain = jnp.asarray((power / (power + sigma**2))[..., None], jnp.float32)
    noisy = jax.random.normal(jax.random.key(1), (16, 16, 3))
    found = solve(Partial(filtered, gain), noisy, k=12, key=KEY, max_products=400, tolerance=5e-4)
    np.testing.assert_allclose(found.shrinkage, np.sort(np.repeat(gain.ravel(), 3))[::-1][:12], atol=1e-5)


def test_power_iteration_agrees_and_needs_more_products():
    found, power = (solve(linear(MATRICES["decaying"]), NOISY, k=10, key=KEY, method=m) for m in ("krylov", "power"))
    np.testing.assert_allclose(power.shrinkage, found.shrinkage, atol=1e-5)
    np.testing.assert_allclose(geometry.principal_cosines(power.vectors, found.vectors), 1, atol=1e-4)
    assert power.num_products > found.num_products


def test_singular_vectors_of_a_map_between_different_shapes_against_scipy():
    matrix = ASYMMETRIC[:30]
    left, values, right = scipy.sparse.linalg.svds(matrix, k=8, random_state=0)
    found = eigen.top_singular_basis(linear(matrix), NOISY, 8, key=KEY, tolerance=1e-4)
    np.testing.assert_allclose(found.values, values[::-1], rtol=1e-4)
    assert (found.left.shape, found.right.shape) == ((8, 30), (8, *SHAPE))
    assert found.residuals.max() <= 1e-4 * values.max()
    rows = found.right.reshape(8, -1)
    np.testing.assert_allclose(jnp.abs(jnp.sum(found.left * left.T[::-1], 1)), 1, atol=1e-3)
    np.testing.assert_allclose(jnp.abs(jnp.sum(rows * right[::-1], 1)), 1, atol=1e-3)
    np.testing.assert_allclose(found.left @ jnp.asarray(matrix, jnp.float32), found.values[:, None] * rows, atol=1e-3)


def test_asymmetry_is_estimated():
    found = solve(linear(ASYMMETRIC), NOISY, k=10, key=KEY)
    exact = np.linalg.norm(ASYMMETRIC - ASYMMETRIC.T) / np.linalg.norm(ASYMMETRIC)
    assert abs(found.asymmetry - exact) < 0.2 * exact
    values = np.linalg.eigvalsh((ASYMMETRIC + ASYMMETRIC.T) / 2)[::-1][:10]
    np.testing.assert_allclose(found.shrinkage, values, atol=1e-5)


def test_jit_and_vmap_give_the_same():
    images, keys = jax.random.normal(jax.random.key(3), (3, *SHAPE)), jax.random.split(KEY, 3)
    batch = jax.jit(jax.vmap(lambda y, key: eigen.top_eigenbasis(smooth, y, 6, key=key)))(images, keys)
    whole = np.asarray(jax.jit(jax.vmap(jax.jacfwd(smooth)))(images)).reshape(3, SIZE, SIZE)
    values = np.linalg.eigvalsh((whole + whole.swapaxes(1, 2)) / 2)[:, ::-1]
    np.testing.assert_allclose(batch.shrinkage, values[:, :6], atol=1e-4)
    for i in range(3):
        alone = eigen.top_eigenbasis(smooth, np.asarray(images[i]), 6, key=keys[i])
        np.testing.assert_allclose(alone.shrinkage, batch.shrinkage[i], atol=1e-5)
        assert alone.num_products == batch.num_products[i]


def test_the_limit_of_products_is_kept_and_told_by_the_residuals():
    found = solve(linear(MATRICES["cluster"]), NOISY, k=10, key=KEY, max_products=16, tolerance=1e-6)
    assert found.num_products == 16
    assert found.residuals.max() > 1e-6


def test_the_next_block_is_orthonormal_to_the_basis_whatever_is_left():
    rows = jnp.asarray(BASIS[:46], jnp.float32)
    space = krylov.Space(rows, rows, rows @ rows.T, jnp.ones(46, bool))
    block = jnp.asarray(np.stack([BASIS[0], BASIS[1] + 1e-3 * BASIS[46], 0 * BASIS[0]]), jnp.float32)
    found = jax.jit(krylov.next_block)(space, block, jax.random.normal(KEY, block.shape))
    np.testing.assert_allclose(found @ rows.T, 0, atol=1e-5)
    np.testing.assert_allclose(jnp.sort(jnp.linalg.norm(found, axis=1)), [0, 1, 1], atol=1e-5)  # two are left


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(k=0), "between 1 and the 48"),
        (dict(k=49), "between 1 and the 48"),
        (dict(k=3, method="lanczos"), "allowed: krylov, power"),
        (dict(k=3, block=0), "block"),
    ],
)
def test_bad_options_are_named(options, message):
    for search in (eigen.top_eigenbasis, eigen.top_singular_basis):
        with pytest.raises(ValueError, match=message):
            search(smooth, NOISY, key=KEY, **options)
