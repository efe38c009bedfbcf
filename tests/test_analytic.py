"""Posterior means in closed form against dense matrices."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

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
