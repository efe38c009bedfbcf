"""PSNR curves and slopes against closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gahr.analysis import performance
from gahr.classical.analytic import gaussian
from gahr.denoiser import at

KEY = jax.random.key(0)
SIGMAS = np.array([1.0, 0.1, 0.02], np.float32)


def curve_of(denoiser, clean, *, sigmas=SIGMAS, **options):
    return jax.jit(lambda clean: performance.psnr_curve(denoiser, KEY, clean, sigmas=sigmas, **options))(clean)


def test_psnr_curve_of_the_identity_is_the_input_psnr():
    clean, dimension = jax.random.uniform(jax.random.key(1), (200, 16, 16, 1)), 256
    curve = curve_of(lambda noisy: noisy, clean)
    np.testing.assert_allclose(curve.input_psnr, [0, 20, -20 * np.log10(0.02)], atol=1e-4)
    assert curve.psnr.shape == (200, 3)
    gain = np.asarray(curve.psnr) - np.asarray(curve.input_psnr)
    decibel = 10 / np.log(10)  # E ln(|z|^2 / d) = -1 / d, variance 2 / d
    error = 4 * decibel * np.sqrt(2 / dimension / len(clean))
    np.testing.assert_allclose(gain.mean(0), decibel / dimension, atol=error)
    np.testing.assert_allclose(gain[:, 1:] - gain[:, :1], 0, atol=2e-3)  # one z for all levels


def test_psnr_curve_of_zero_is_the_power_of_each_image():
    clean = jnp.array([0.1, 0.5, 1.0]).reshape(3, 1, 1, 1) * jnp.ones((1, 4, 4, 2))
    curve = curve_of(jnp.zeros_like, clean)
    np.testing.assert_allclose(curve.psnr, np.repeat([[20], [6.0206], [0]], 3, axis=1), atol=1e-3)


def test_psnr_of_an_image_depends_neither_on_its_batch_nor_on_the_chunk():
    clean = jax.random.uniform(jax.random.key(1), (7, 8, 8, 1))
    whole = curve_of(jnp.tanh, clean)
    for chunk in (3, 100):
        part = curve_of(jnp.tanh, clean[:4], sigmas=SIGMAS[1:], chunk=chunk)
        np.testing.assert_allclose(part.psnr, whole.psnr[:4, 1:], atol=1e-3)


def test_wiener_denoiser_of_gaussian_images_has_the_error_of_its_gains():
    rng, sigma, eigenvalues = np.random.default_rng(2), 0.1, np.geomspace(1, 1e-4, 64)
    basis = np.linalg.qr(rng.normal(size=(64, 64)))[0]
    weights = rng.normal(size=(2000, 64)) * np.sqrt(eigenvalues)
    clean = (0.5 + weights @ basis).reshape(2000, 8, 8, 1).astype(np.float32)
    prior = (jnp.full((8, 8, 1), 0.5), jnp.asarray(eigenvalues), jnp.asarray(basis).reshape(64, 8, 8, 1))
    mse = 10 ** (-np.asarray(curve_of(at(gaussian(*prior), sigma), clean, sigmas=[sigma], chunk=500).psnr) / 10)
    expected = np.mean(sigma**2 * eigenvalues / (eigenvalues + sigma**2))
    assert mse.mean() == pytest.approx(expected, abs=4 * mse.std() / np.sqrt(2000))


def test_slope_of_lines_is_their_mean_and_its_error_their_spread():
    levels, slopes = np.linspace(0, 40, 21), np.array([0.2, 0.5, 0.8, 1.1])
    psnr = 3 + slopes[:, None] * levels
    psnr[:, (levels < 10) | (levels > 30)] = 1e3  # outside the range, not to be used
    found = performance.psnr_slope(levels, psnr, between=(10.0, 30.0))
    assert found.slope == pytest.approx(0.65)
    assert found.standard_error == pytest.approx(np.sqrt(np.sum((slopes - 0.65) ** 2) / 3 / 4))


def test_slope_is_that_of_the_least_squares_line():
    levels = np.linspace(0, 10, 6)
    psnr = np.random.default_rng(0).normal(size=(3, 6))
    expected = np.polyfit(levels, psnr.T, 1)[0]
    found = performance.psnr_slope(levels, psnr, between=(0.0, 10.0))
    assert found.slope == pytest.approx(expected.mean())


@pytest.mark.parametrize(
    ("psnr", "between", "message"),
    [
        (np.zeros((3, 4)), (25.0, 35.0), "holds 1 noise levels"),
        (np.zeros((3, 4)), (41.0, 50.0), "holds 0 noise levels"),
        (np.zeros((1, 4)), (0.0, 30.0), "N >= 2"),
        (np.zeros(4), (0.0, 30.0), "N >= 2"),
    ],
)
def test_slope_refuses_too_few_levels_or_images(psnr, between, message):
    with pytest.raises(ValueError, match=message):
        performance.psnr_slope(np.array([0.0, 10.0, 20.0, 30.0]), psnr, between=between)


def test_local_slope_is_the_derivative_of_the_mean_curve():
    levels = np.array([0.0, 2.0, 6.0, 8.0, 14.0])
    psnr = np.stack([levels**2, 3 * levels])  # mean: levels^2 / 2 + 1.5 levels, differentiated exactly inside
    np.testing.assert_allclose(performance.local_slope(levels, psnr)[1:-1], levels[1:-1] + 1.5)
