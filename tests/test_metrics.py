"""Measures of image difference against closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gahr import metrics


def test_psnr_of_a_constant_error_is_minus_twenty_log_of_it():
    clean = jax.random.uniform(jax.random.key(0), (2, 3, 4, 5, 2))
    error = jnp.array([[1.0, 0.1, 0.01], [0.5, 0.2, 2.0]])[..., None, None, None]
    expected = -20 * np.log10(error[..., 0, 0, 0])
    np.testing.assert_allclose(metrics.psnr(clean, clean + error), expected, atol=1e-3)
    assert np.all(metrics.psnr(clean, clean) == np.inf)


def test_mse_is_a_mean_over_pixels_and_channels_of_each_image():
    clean = jnp.zeros((2, 2, 2, 2)).at[1, 0, 0, 1].set(4.0)
    np.testing.assert_allclose(metrics.mse(clean, jnp.zeros_like(clean)), [0, 2])


def test_input_psnr_and_sigma_of_input_psnr_are_inverse():
    decibel = jnp.linspace(-5, 45, 11)
    np.testing.assert_allclose(metrics.input_psnr(metrics.sigma_of_input_psnr(decibel)), decibel, atol=1e-4)
    np.testing.assert_allclose(metrics.sigma_of_input_psnr(jnp.array([0.0, 20.0, 34.0])), [1, 0.1, 0.019953], rtol=1e-4)


@pytest.mark.parametrize("centred", [True, False])
def test_cosine_similarity_ignores_scale_but_not_sign(centred):
    image = jax.random.uniform(jax.random.key(1), (3, 8, 8, 1))
    factor = jnp.array([2.0, 0.1, -3.0])[:, None, None, None]
    similarity = metrics.cosine_similarity(image, factor * image, centred=centred)
    np.testing.assert_allclose(similarity, [1, 1, -1], atol=1e-5)


def test_cosine_similarity_of_orthogonal_images_is_raised_by_their_means():
    rows, columns = np.meshgrid([1.0, -1.0], [1.0, -1.0], indexing="ij")
    one, other = rows[..., None] + 2, columns[..., None] + 1  # of norms^2 4 (1 + 4), 4 (1 + 1); inner product 4 * 2
    np.testing.assert_allclose(metrics.cosine_similarity(one, other), 0, atol=1e-6)
    np.testing.assert_allclose(metrics.cosine_similarity(one, other, centred=False), 2 / np.sqrt(10), rtol=1e-6)


def test_cosine_similarity_with_a_constant_image_is_zero():
    similarity = jax.jit(metrics.cosine_similarity)
    for size in (4, 15, 80):
        image = np.random.default_rng(size).uniform(size=(4, size, size, 1)).astype(np.float32)
        constant = np.zeros_like(image) + np.array([0, 0.3, 0.7, 1], np.float32)[:, None, None, None]
        np.testing.assert_allclose(similarity(constant, image), 0, atol=1e-6)
        np.testing.assert_allclose(similarity(constant, constant), 0, atol=1e-6)


def test_edges_have_kurtosis_and_gaussian_fields_of_any_spectrum_have_none():
    white = np.random.default_rng(0).normal(size=(300, 24, 24, 1))
    blurred = (white + np.roll(white, 1, 1) + np.roll(white, 1, 2)) / 3
    np.testing.assert_allclose([metrics.edge_kurtosis(fields).mean() for fields in (white, blurred)], 3, atol=0.1)
    step = np.zeros((2, 8, 10, 1))
    step[1, 3:] = 0.7  # ten of 7 * 10 + 8 * 9 differences
    np.testing.assert_allclose(metrics.edge_kurtosis(jnp.asarray(step)), [0, 14.2], rtol=1e-5)
    turned = jnp.asarray(step).swapaxes(1, 2)
    np.testing.assert_allclose(metrics.edge_kurtosis(turned), [0, 14.2], rtol=1e-5)


def test_ssim_is_one_for_equal_images_and_the_closed_forms_of_constants_and_of_contrast():
    clean = jax.random.uniform(jax.random.key(0), (2, 20, 24, 3))
    np.testing.assert_allclose(metrics.ssim(clean, clean), [1, 1], atol=1e-6)
    flat = jnp.full((16, 16, 1), 0.6)
    expected = (2 * 0.6 * 0.3 + 1e-4) / (0.36 + 0.09 + 1e-4)
    assert metrics.ssim(flat, flat / 2) == pytest.approx(expected, rel=1e-4)
    noise = 10 * jax.random.normal(jax.random.key(1), (40, 40, 1))  # so large that the constants do not count
    assert metrics.ssim(1e3 + noise, 1e3 - noise) == pytest.approx(-1, abs=0.01)
    half = metrics.ssim(1e3 + noise, 1e3 + 0.5 * noise)
    assert half == pytest.approx(2 * 0.5 / (1 + 0.25), rel=0.02)
