"""Posterior means in closed form against dense matrices."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

from gahr.classical import analytic
from gahr.classical.analytic import fit_gaussian, gaussian

SHAPE, DIMENSION = (3, 4, 2), 24


def orthonormal(number):
    return np.linalg.qr(np.random.default_rng(0).normal(size=(DIMENSION, DIMENSION)))[0].T[:number]


@pytest.fixture(scope="module", params=[DIMENSION, 5])
def prior(request):
    """Arguments of `gaussian` with all or five eigenvalues, and mean and covariance as a vector and a matrix."""
    number = request.param
    basis, eigenvalues = orthonormal(number), np.geomspace(1, 1e-3, number)
    mean = np.random.default_rng(1).uniform(size=DIMENSION)
    shaped = (mean.reshape(SHAPE), eigenvalues, basis.reshape(number, *SHAPE))
    return tuple(jnp.asarray(array, jnp.float32) for array in shaped), mean, basis.T * eigenvalues @ basis


def dense(mean, covariance, noisy, sigma):
    """m + S (S + sigma^2 I)^-1 (y - m)."""
    gain = np.linalg.solve(covariance + sigma**2 * np.eye(DIMENSION), covariance)
    return (mean + (np.ravel(noisy) - mean) @ gain).reshape(SHAPE)


@pytest.mark.parametrize("sigma", [0.02, 0.3, 5.0])
def test_gaussian_is_the_matrix_formula(prior, sigma):
    arguments, mean, covariance = prior
    noisy = jax.random.normal(jax.random.key(0), (4, *SHAPE))
    expected = [dense(mean, covariance, y, sigma) for y in noisy]
    np.testing.assert_allclose(gaussian(*arguments)(noisy, sigma), expected, atol=1e-4)
    np.testing.assert_allclose(gaussian(*arguments)(noisy[0], sigma), expected[0], atol=1e-4)


def test_gaussian_takes_a_sigma_for_each_image_on_any_leading_axes(prior):
    arguments, mean, covariance = prior
    noisy, sigma = jax.random.normal(jax.random.key(1), (2, 3, *SHAPE)), np.geomspace(0.02, 2, 6).reshape(2, 3)
    found = jax.jit(lambda denoiser, noisy, sigma: denoiser(noisy, sigma))(gaussian(*arguments), noisy, sigma)
    for index in np.ndindex(2, 3):
        np.testing.assert_allclose(found[index], dense(mean, covariance, noisy[index], sigma[index]), atol=1e-4)


def test_gaussian_jacobian_is_symmetric_with_the_wiener_gains(prior):
    arguments, _, covariance = prior
    jacobian = jax.jacfwd(lambda noisy: gaussian(*arguments)(noisy, 0.1))(jnp.zeros(SHAPE))
    matrix = np.reshape(jacobian, (DIMENSION, DIMENSION))
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-5)
    eigenvalues = np.linalg.eigvalsh(covariance)
    np.testing.assert_allclose(np.linalg.eigvalsh(matrix), eigenvalues / (eigenvalues + 0.01), atol=1e-5)


@pytest.mark.parametrize("number", [4, DIMENSION])
def test_fit_finds_the_covariance_that_was_planted(number):
    basis, eigenvalues = orthonormal(number), np.geomspace(2, 0.1, number)
    mean = np.random.default_rng(1).uniform(size=DIMENSION)
    steps = np.sqrt(number * eigenvalues)[:, None] * basis  # the images m +- step have covariance sum l_k u_k u_k^T
    images = np.concatenate([mean + steps, mean - steps]).reshape(2 * number, *SHAPE)
    found_mean, found, vectors = fit_gaussian(jnp.asarray(images, jnp.float32))
    np.testing.assert_allclose(found_mean, mean.reshape(SHAPE), atol=1e-5)
    np.testing.assert_allclose(found, np.pad(eigenvalues, (0, DIMENSION - number)), atol=1e-5)
    assert vectors.shape == (DIMENSION, *SHAPE)
    flat = np.reshape(vectors, (DIMENSION, DIMENSION))
    np.testing.assert_allclose(flat @ flat.T, np.eye(DIMENSION), atol=1e-5)
    np.testing.assert_allclose(np.abs(np.sum(flat[:number] * basis, axis=1)), 1, atol=1e-4)


def test_fit_of_few_images_has_their_rank_less_one():
    images = jax.random.normal(jax.random.key(2), (6, *SHAPE))
    _, eigenvalues, _ = fit_gaussian(images)
    assert np.all(eigenvalues[:5] > 0.05)
    np.testing.assert_allclose(eigenvalues[5:], 0, atol=1e-5)
    assert np.all(np.diff(eigenvalues) <= 0)
    assert np.all(eigenvalues >= 0)
    centred = images - images.mean(0, keepdims=True)
    assert float(eigenvalues.sum()) == pytest.approx(float(jnp.sum(centred**2)) / 6, rel=1e-4)


def test_fitted_denoiser_takes_noise_away_from_the_span_of_the_images():
    images = jax.random.normal(jax.random.key(3), (6, *SHAPE))
    denoiser = gaussian(*fit_gaussian(images))
    np.testing.assert_allclose(denoiser(images, 1e-2), images, atol=0.01)
    flat = np.reshape(images - images.mean(0, keepdims=True), (6, DIMENSION))
    outside = np.linalg.svd(flat)[2][5:].reshape(-1, *SHAPE)
    mean = images.mean(0, keepdims=True)
    np.testing.assert_allclose(denoiser(mean + outside, 1e-2), np.repeat(mean, len(outside), axis=0), atol=0.01)


SMALL = (3, 2, 2)
NOISY = jax.random.normal(jax.random.key(20), SMALL)


@pytest.mark.parametrize("chunk", [1, 7, 1000])
@pytest.mark.parametrize("sigma", [0.2, 1.0, 5.0])
def test_the_mean_of_point_masses(sigma, chunk):
    images = np.random.default_rng(0).normal(size=(50, *SMALL))
    exponents = -np.sum((np.asarray(NOISY, np.float64) - images) ** 2, (1, 2, 3)) / (2 * sigma**2)
    weights = np.exp(exponents - exponents.max())
    weights /= weights.sum()
    denoiser = analytic.points(jnp.asarray(images, jnp.float32), chunk=chunk)
    expected = np.tensordot(weights, images, 1)
    np.testing.assert_allclose(denoiser(NOISY, sigma), expected, atol=2e-4)
    per_image = denoiser(jnp.stack([NOISY, 2 * NOISY]), jnp.array([sigma, 0.5]))
    np.testing.assert_allclose(per_image[0], expected, atol=2e-4)
    centred = (images - expected).reshape(50, -1)
    jacobian = (centred.T * weights) @ centred / sigma**2
    found = analytic.points_jacobian(jnp.asarray(images, jnp.float32), NOISY, sigma)
    np.testing.assert_allclose(found, jacobian, atol=2e-3 * max(1, abs(jacobian).max()))


def mixture_parameters(rank):
    bases = jnp.linalg.qr(jax.random.normal(jax.random.key(21), (3, 12, rank)))[0].swapaxes(1, 2)
    eigenvalues = jax.random.uniform(jax.random.key(22), (3, rank), minval=0.1, maxval=2)
    means = jax.random.normal(jax.random.key(23), (3, *SMALL))
    return jnp.array([0.2, 0.3, 0.5]), means, eigenvalues, bases.reshape(3, rank, *SMALL)


@pytest.mark.parametrize("rank", [4, 12])
@pytest.mark.parametrize("sigma", [0.3, 1.0])
def test_a_mixture_is_tweedies_step_on_its_density(rank, sigma):
    """D(y) = y + sigma^2 grad ln p_sigma(y), from full covariances and determinants."""
    weights, means, eigenvalues, bases = mixture_parameters(rank)
    rows = bases.reshape(3, rank, 12)
    covariances = jnp.einsum("jkd,jk,jke->jde", rows, eigenvalues, rows) + sigma**2 * jnp.eye(12)[None]

    def log_density(flat):
        differences = flat[None] - means.reshape(3, 12)
        quadratic = jnp.einsum("jd,jd->j", differences, jnp.linalg.solve(covariances, differences[..., None])[..., 0])
        return jax.nn.logsumexp(jnp.log(weights) - quadratic / 2 - jnp.linalg.slogdet(covariances)[1] / 2)

    expected = NOISY.ravel() + sigma**2 * jax.grad(log_density)(NOISY.ravel())
    denoiser = analytic.mixture(weights, means, eigenvalues, bases)
    np.testing.assert_allclose(denoiser(NOISY, sigma).ravel(), expected, atol=1e-4)
    jacobian = jnp.eye(12) + sigma**2 * jax.hessian(log_density)(NOISY.ravel())
    found = analytic.mixture_jacobian(weights, means, eigenvalues, bases, NOISY, sigma)
    np.testing.assert_allclose(found, jacobian, atol=2e-4)


def test_a_mixture_of_subspaces_projects_on_the_nearest_as_sigma_falls():
    weights, means, eigenvalues, bases = mixture_parameters(4)
    clean = means[1] + 2 * bases[1, 0] - bases[1, 3]
    denoiser = analytic.mixture(weights, means, eigenvalues, bases)
    noisy = clean + 0.01 * NOISY
    rows = bases[1].reshape(4, 12)
    projected = means[1].ravel() + rows.T @ (rows @ (noisy - means[1]).ravel())
    np.testing.assert_allclose(denoiser(noisy, 1e-3).ravel(), projected, atol=1e-4)


@pytest.mark.parametrize(("dimension", "argument"), [(2, 0.1), (2, 1e3), (16, 1.0), (16, 100.0), (256, 1e5)])
def test_the_sphere_is_a_ratio_of_bessel_functions(dimension, argument):
    noisy = jax.random.normal(jax.random.key(24), (1, dimension, 1))
    noisy *= 2 / jnp.linalg.norm(noisy.ravel())
    radius = 3.0
    sigma = (radius * 2 / argument) ** 0.5
    expected = radius * scipy.special.ive(dimension / 2, argument) / scipy.special.ive(dimension / 2 - 1, argument)
    found = analytic.sphere(jnp.float32(radius))(noisy, sigma)
    np.testing.assert_allclose(jnp.linalg.norm(found.ravel()), expected, rtol=2e-5)
    np.testing.assert_allclose(found, expected * noisy / 2, rtol=2e-5)


@pytest.mark.parametrize("sigma", [0.3, 3.0])
def test_the_jacobian_of_the_sphere(sigma):
    denoiser = analytic.sphere(jnp.float32(4.0))
    matrix = jax.jacfwd(lambda flat: denoiser(flat.reshape(SMALL), sigma).ravel())(NOISY.ravel())
    np.testing.assert_allclose(analytic.sphere_jacobian(4.0, NOISY, sigma), matrix, atol=1e-4)


def test_the_jacobian_of_a_gaussian():
    basis = jnp.linalg.qr(jax.random.normal(jax.random.key(25), (12, 5)))[0].T.reshape(5, *SMALL)
    denoiser = analytic.gaussian(NOISY, jnp.arange(5.0), basis)
    matrix = jax.jacfwd(lambda flat: denoiser(flat.reshape(SMALL), 0.7).ravel())(jnp.ones(12))
    np.testing.assert_allclose(analytic.gaussian_jacobian(jnp.arange(5.0), basis, 0.7), matrix, atol=1e-5)
