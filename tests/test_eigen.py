"""Leading eigenvectors without the matrix, against the matrix, closed forms and scipy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse.linalg

from gahr.analysis import eigen, geometry
from gahr.analysis.jacobian import eigenbasis
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


def linear(matrix):
    matrix = jnp.asarray(matrix, jnp.float32)
    return lambda y: (matrix @ y.reshape(-1)).reshape(y.shape)


@pytest.mark.parametrize("name", SPECTRA)
def test_leading_eigenvalues_of_any_spectrum(name):
    values = SPECTRA[name]
    found = eigen.top_eigenbasis(linear((BASIS * values) @ BASIS.T), NOISY, 10, key=KEY)
    np.testing.assert_allclose(found.shrinkage, np.sort(values)[::-1][:10], atol=1e-5)
    rows = found.vectors.reshape(10, -1)
    np.testing.assert_allclose(rows @ rows.T, np.eye(10), atol=1e-5)
    assert found.residuals.max() <= 1e-3 * max(abs(values)) + 1e-6
    assert found.num_products <= SIZE + 4


@pytest.mark.parametrize("block", [1, 4, 100])
def test_all_eigenvalues(block):
    found = eigen.top_eigenbasis(linear((BASIS * SPECTRA["decaying"]) @ BASIS.T), NOISY, SIZE, key=KEY, block=block)
    np.testing.assert_allclose(found.shrinkage, SPECTRA["decaying"], atol=1e-5)


@pytest.mark.parametrize(("sigma", "k"), [(0.3, 10), (0.05, 12)])
def test_all_copies_of_equal_eigenvalues_are_found_in_many_dimensions(sigma, k):
    """A stationary Gaussian prior, equal in three channels: eigenvalues come twelve at a time, blocks are of four."""
    frequency = np.hypot(np.fft.fftfreq(32)[:, None], np.fft.fftfreq(32)[None]) * 32
    power = (1 + frequency) ** -2.0
    gain = jnp.asarray((power / (power + sigma**2))[..., None], jnp.float32)

    def denoiser(noisy):
        return jnp.fft.ifft2(jnp.fft.fft2(noisy, axes=(0, 1)) * gain, axes=(0, 1)).real

    noisy = jax.random.normal(jax.random.key(1), (32, 32, 3))
    found = eigen.top_eigenbasis(denoiser, noisy, k, key=KEY, max_products=700, loop=eigen.host_loop)
    np.testing.assert_allclose(found.shrinkage, np.sort(np.repeat(gain.ravel(), 3))[::-1][:k], atol=1e-5)


def test_power_iteration_agrees_and_needs_more_products():
    denoiser = linear((BASIS * SPECTRA["decaying"]) @ BASIS.T)
    krylov = eigen.top_eigenbasis(denoiser, NOISY, 5, key=KEY)
    power = eigen.top_eigenbasis(denoiser, NOISY, 5, key=KEY, method="power")
    np.testing.assert_allclose(power.shrinkage, krylov.shrinkage, atol=1e-5)
    np.testing.assert_allclose(geometry.principal_cosines(power.vectors, krylov.vectors), 1, atol=1e-4)
    assert power.num_products > krylov.num_products


def test_the_tangent_space_of_a_sphere_has_one_eigenvalue():
    denoiser = analytic.sphere(jnp.float32(12.0))
    found = eigen.top_eigenbasis(lambda y: denoiser(y, 0.3), NOISY, 20, key=KEY)
    matrix = analytic.sphere_jacobian(12.0, NOISY, 0.3)
    np.testing.assert_allclose(found.shrinkage, np.linalg.eigvalsh(matrix)[::-1][:20], rtol=1e-4)
    radial = NOISY.ravel() / jnp.linalg.norm(NOISY)
    assert jnp.abs(found.vectors.reshape(20, -1) @ radial).max() < 1e-2


def test_point_masses_span_their_differences():
    images = jax.random.normal(jax.random.key(2), (6, *SHAPE))
    denoiser = analytic.points(images)
    clean = images.mean(0)
    found = eigen.top_eigenbasis(lambda y: denoiser(y, 6.0), clean, 6, key=KEY)
    exact = np.linalg.eigvalsh(np.asarray(analytic.points_jacobian(images, clean, 6.0), np.float64))[::-1]
    np.testing.assert_allclose(found.shrinkage, exact[:6], atol=1e-4 * exact[0])
    assert found.shrinkage[5] < 1e-4 * found.shrinkage[0]


def asymmetric():
    return (BASIS * SPECTRA["decaying"]) @ BASIS.T + 0.02 * np.random.default_rng(1).normal(size=(SIZE, SIZE))


def test_singular_vectors_against_scipy():
    matrix = asymmetric()
    left, values, right = scipy.sparse.linalg.svds(matrix, k=8, random_state=0)
    found = eigen.top_singular_basis(linear(matrix), NOISY, 8, key=KEY, tolerance=1e-4)
    np.testing.assert_allclose(found.values, values[::-1], rtol=1e-4)
    np.testing.assert_allclose(jnp.abs(jnp.sum(found.left.reshape(8, -1) * left.T[::-1], 1)), 1, atol=1e-3)
    np.testing.assert_allclose(jnp.abs(jnp.sum(found.right.reshape(8, -1) * right[::-1], 1)), 1, atol=1e-3)
    back = jnp.einsum("kd,de->ke", found.left.reshape(8, -1), jnp.asarray(matrix, jnp.float32))
    assert jnp.abs(back - found.values[:, None] * found.right.reshape(8, -1)).max() < 1e-3


def test_singular_vectors_of_a_map_between_different_shapes():
    matrix = np.random.default_rng(2).normal(size=(9, SIZE))
    found = eigen.top_singular_basis(lambda y: jnp.asarray(matrix, jnp.float32) @ y.ravel(), NOISY, 9, key=KEY)
    np.testing.assert_allclose(found.values, np.linalg.svd(matrix, compute_uv=False), rtol=1e-3)
    assert found.left.shape == (9, 9)
    assert found.right.shape == (9, *SHAPE)


def test_asymmetry_is_estimated():
    matrix = asymmetric()
    found = eigen.top_eigenbasis(linear(matrix), NOISY, 10, key=KEY)
    exact = np.linalg.norm(matrix - matrix.T) / np.linalg.norm(matrix)
    assert abs(found.asymmetry - exact) < 0.2 * exact
    values = np.linalg.eigvalsh((matrix + matrix.T) / 2)[::-1][:10]
    np.testing.assert_allclose(found.shrinkage, values, atol=1e-5)


def smooth(y):
    """A caller's own denoiser: a nonlinear, not symmetric filter without any network."""
    near = (y + jnp.roll(y, 1, 0) + jnp.roll(y, -1, 0) + jnp.roll(y, 1, 1) + jnp.roll(y, -1, 1)) / 5
    return near + 0.1 * jnp.tanh(y) * jnp.roll(near, 1, 1)


def test_jit_vmap_and_host_loop_give_the_same():
    images = jax.random.normal(jax.random.key(3), (3, *SHAPE))
    keys = jax.random.split(KEY, 3)
    batch = jax.jit(jax.vmap(lambda y, key: eigen.top_eigenbasis(smooth, y, 6, key=key)))(images, keys)
    for i in range(3):
        alone = eigen.top_eigenbasis(smooth, images[i], 6, key=keys[i], loop=eigen.host_loop)
        full = eigenbasis(smooth, images[i])
        np.testing.assert_allclose(alone.shrinkage, batch.shrinkage[i], atol=1e-5)
        np.testing.assert_allclose(alone.shrinkage, full.shrinkage[:6], atol=1e-4)
        assert alone.num_products == batch.num_products[i]


def test_the_limit_of_products_is_kept_and_told_by_the_residuals():
    found = eigen.top_eigenbasis(
        linear((BASIS * SPECTRA["cluster"]) @ BASIS.T), NOISY, 10, key=KEY, max_products=16, tolerance=1e-6
    )
    assert found.num_products == 16
    assert found.residuals.max() > 1e-6


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
    with pytest.raises(ValueError, match=message):
        eigen.top_eigenbasis(smooth, NOISY, key=KEY, **options)
    with pytest.raises(ValueError, match=message):
        eigen.top_singular_basis(smooth, NOISY, key=KEY, **options)


def test_arrays_of_numpy_are_points_too_and_nan_is_named():
    point = np.asarray(NOISY, np.float64)
    for solve in (eigen.top_eigenbasis, eigen.top_singular_basis):
        for found, expected in zip(solve(smooth, point, 3, key=KEY), solve(smooth, NOISY, 3, key=KEY), strict=True):
            np.testing.assert_array_equal(found, expected)
        with pytest.raises(ValueError, match="NaN"):
            solve(smooth, np.full_like(point, np.nan), 3, key=KEY)
