"""Traces, norms and slopes from random probes against closed forms, and departures from D(y) = J(y) y."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gahr import metrics, noise
from gahr.analysis import identities
from gahr.classical.analytic import gaussian
from gahr.denoiser import at

KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def prior():
    """Gaussian prior of 64 dimensions: eigenvalues, basis (64, 64), and its posterior mean."""
    basis = jnp.linalg.qr(jax.random.normal(KEY, (64, 64)))[0]
    eigenvalues = jnp.geomspace(1.0, 1e-4, 64)
    return eigenvalues, basis, gaussian(jnp.zeros((8, 8, 1)), eigenvalues, basis.reshape(64, 8, 8, 1))


def assert_moments(denoiser, matrix, *, num_images=64, num_probes=16):
    """Means over images within four standard errors of tr J and |J|_F^2."""
    noisy = jax.random.normal(jax.random.key(1), (num_images, 8, 8, 1))
    found = identities.jacobian_moments(denoiser, KEY, noisy, num_probes=num_probes)
    for estimate, form in ((found.trace, matrix), (found.energy, matrix.T @ matrix)):
        symmetric = (form + form.T) / 2
        variance = 2 * (np.sum(symmetric**2) - np.sum(np.diag(symmetric) ** 2))  # of v.(form v), v random signs
        assert estimate.shape == (num_images,)
        assert abs(np.mean(estimate) - np.trace(form)) < 4 * np.sqrt(variance / num_images / num_probes)
        assert np.std(estimate) == pytest.approx(np.sqrt(variance / num_probes), rel=0.4)


def test_moments_of_the_wiener_denoiser_are_sums_of_its_gains(prior):
    eigenvalues, basis, posterior_mean = prior
    gains = np.asarray(eigenvalues / (eigenvalues + 0.1**2), np.float64)
    matrix = np.asarray(basis, np.float64).T * gains @ np.asarray(basis, np.float64)
    assert np.trace(matrix) == pytest.approx(gains.sum(), rel=1e-5)
    assert_moments(at(posterior_mean, 0.1), matrix)


@pytest.mark.parametrize("num_probes", [1, 16])
def test_moments_of_a_matrix_are_unbiased_for_any_number_of_probes(num_probes):
    matrix = jax.random.normal(jax.random.key(2), (64, 64)) / 8 + jnp.eye(64)

    def denoiser(noisy):
        return (noisy.reshape(*noisy.shape[:-3], 64) @ matrix.T).reshape(noisy.shape)

    assert_moments(denoiser, np.asarray(matrix, np.float64), num_images=200, num_probes=num_probes)


@pytest.mark.parametrize("chunk", [1, 4, 100])
def test_moments_of_a_pixelwise_square_are_exact_at_each_image(chunk):
    noisy = jax.random.normal(jax.random.key(3), (7, 4, 4, 2))
    found = identities.jacobian_moments(jnp.square, KEY, noisy, num_probes=2, chunk=chunk)
    np.testing.assert_allclose(found.trace, 2 * jnp.sum(noisy, (1, 2, 3)), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found.energy, 4 * jnp.sum(noisy**2, (1, 2, 3)), rtol=1e-4)


def test_slope_is_the_ratio_of_means_over_the_images():
    moments = identities.JacobianMoments(trace=jnp.array([1.0, 3.0]), energy=jnp.array([2.0, 4.0]))
    assert float(moments.slope()) == pytest.approx(1.5)


@pytest.mark.parametrize("sigma", [0.05, 0.3])
def test_slope_of_an_exact_denoiser_is_that_of_its_measured_psnr(prior, sigma):
    eigenvalues, basis, posterior_mean = prior
    gains = np.asarray(eigenvalues / (eigenvalues + sigma**2), np.float64)
    theory = np.sum(gains**2) / np.sum(gains)
    weights = jax.random.normal(jax.random.key(4), (4000, 64)) * jnp.sqrt(eigenvalues)[None]
    clean = (weights @ basis).reshape(4000, 8, 8, 1)

    def mean_psnr(level):
        denoised = posterior_mean(noise.add_noise(KEY, clean, level), level)
        return -10 * np.log10(np.mean(np.asarray(metrics.mse(clean, denoised), np.float64)))

    near = np.array([sigma * 0.95, sigma * 1.05])
    measured = (mean_psnr(near[0]) - mean_psnr(near[1])) / np.subtract(*(-20 * np.log10(near)))
    assert measured == pytest.approx(theory, abs=0.02)
    noisy = noise.add_noise(KEY, clean[:256], sigma)
    found = identities.jacobian_moments(at(posterior_mean, sigma), KEY, noisy, num_probes=8, chunk=64).slope()
    assert float(found) == pytest.approx(theory, abs=0.01)


def test_trained_network_is_homogeneous_and_its_own_linear_part(denoiser, noisy):
    for factor in (1e-2, 0.3, 5.0):
        assert jnp.all(identities.homogeneity_error(denoiser, noisy, factor=factor) < 1e-5)
    assert jnp.all(identities.linearity_error(denoiser, noisy) < 1e-5)


def test_an_affine_denoiser_departs_by_its_constant():
    noisy = jax.random.normal(jax.random.key(5), (3, 4, 4, 2))
    constant = jax.random.normal(jax.random.key(6), (4, 4, 2))

    def affine(noisy):
        return 0.5 * noisy + constant.reshape((1,) * (noisy.ndim - 3) + constant.shape)

    size = np.sqrt(np.sum(np.square(affine(noisy)), axis=(1, 2, 3)))
    expected = np.linalg.norm(np.ravel(constant)) / size
    np.testing.assert_allclose(identities.linearity_error(affine, noisy), expected, rtol=1e-5)
    for factor in (0.25, 3.0):  # |(1 - c) b| / |c D(y)|
        found = identities.homogeneity_error(affine, noisy, factor=factor)
        np.testing.assert_allclose(found, abs(1 - factor) / factor * expected, rtol=1e-5)
