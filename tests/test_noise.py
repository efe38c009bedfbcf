"""Laws of sigma against their distribution functions, and noise that does not depend on the batch."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gahr import noise

NUM = 100_000
DISTRIBUTIONS = {  # law, options, distribution function
    "quadratic": (noise.quadratic, {}, np.sqrt),
    "quadratic_range": (
        noise.quadratic,
        dict(sigma_min=0.04, sigma_max=0.49),
        lambda sigma: (np.sqrt(sigma) - 0.2) / 0.5,
    ),
    "uniform": (noise.uniform, dict(sigma_min=0.1, sigma_max=0.6), lambda sigma: (sigma - 0.1) / 0.5),
    "log_uniform": (noise.log_uniform, dict(sigma_min=0.01), lambda sigma: np.log10(sigma) / 2 + 1),
    "lognormal": (
        noise.lognormal,
        dict(log_mean=-2.0, log_sd=0.5),
        np.vectorize(lambda sigma: (1 + math.erf((math.log(sigma) + 2) / 0.5 / math.sqrt(2))) / 2),
    ),
}


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_sigma_follows_its_distribution_function(name):
    law, options, distribution = DISTRIBUTIONS[name]
    sigma = np.sort(law(jax.random.key(0), (NUM,), **options))
    ranks = (np.arange(NUM) + 0.5) / NUM
    assert np.abs(distribution(sigma) - ranks).max() < 1.95 / math.sqrt(NUM)  # Kolmogorov-Smirnov, 0.1 %


def test_quadratic_law_has_the_moments_of_a_squared_uniform():
    sigma = np.asarray(noise.quadratic(jax.random.key(1), (NUM,)), np.float64)
    assert sigma.min() >= 0
    assert sigma.max() <= 1
    for power in (1, 2):  # E u^2k = 1 / (2k + 1)
        mean, variance = 1 / (2 * power + 1), 1 / (4 * power + 1) - 1 / (2 * power + 1) ** 2
        assert abs((sigma**power).mean() - mean) < 4 * math.sqrt(variance / NUM)


@pytest.mark.parametrize("name", ["quadratic", "uniform", "log_uniform"])
def test_bounded_laws_fill_their_range_and_stay_inside(name):
    sigma = noise.LAWS[name](jax.random.key(2), (NUM,), sigma_min=0.2, sigma_max=0.3)
    np.testing.assert_allclose([sigma.min(), sigma.max()], [0.2, 0.3], atol=1e-4)
    assert sigma.min() >= 0.2 - 1e-6
    assert sigma.max() <= 0.3 + 1e-6


def test_fixed_law_gives_every_image_the_same_sigma():
    np.testing.assert_array_equal(noise.fixed(jax.random.key(0), (3,), sigma=0.25), [0.25, 0.25, 0.25])


@pytest.mark.parametrize("sigma_min", [0.0, -0.1])
def test_log_uniform_refuses_a_range_that_reaches_zero(sigma_min):
    with pytest.raises(ValueError, match="sigma_min > 0"):
        noise.log_uniform(jax.random.key(0), (3,), sigma_min=sigma_min)


def test_noise_is_standard_normal():
    normal = np.sort(np.ravel(noise.standard_normal(jax.random.key(3), jnp.zeros((10, 40, 50, 2)))))
    distribution = np.array([(1 + math.erf(z / math.sqrt(2))) / 2 for z in normal])
    ranks = (np.arange(normal.size) + 0.5) / normal.size
    assert np.abs(distribution - ranks).max() < 1.95 / math.sqrt(normal.size)


def test_images_of_a_batch_get_uncorrelated_noise():
    normal = np.reshape(noise.standard_normal(jax.random.key(4), jnp.zeros((8, 40, 40, 1))), (8, -1))
    correlation = np.corrcoef(normal) - np.eye(8)
    assert np.abs(correlation).max() < 5 / math.sqrt(1600)


def test_image_i_gets_the_same_noise_whatever_the_batch_size():
    key, sigma = jax.random.key(5), jnp.array(0.3)
    clean = jax.random.uniform(jax.random.key(6), (7, 4, 6, 3))
    whole = noise.add_noise(key, clean, sigma)
    np.testing.assert_allclose(noise.add_noise(key, clean[:2], sigma), whole[:2], rtol=1e-6)
    np.testing.assert_allclose(
        noise.add_noise(key, clean[0], sigma) - clean[0],
        0.3 * jax.random.normal(key, (4, 6, 3)),
        atol=1e-6,
    )


def test_leading_axes_are_flattened_in_row_order():
    key, clean = jax.random.key(7), jax.random.uniform(jax.random.key(8), (2, 3, 4, 4, 1))
    sigma = jnp.arange(1.0, 7.0).reshape(2, 3)
    nested = noise.add_noise(key, clean, sigma)
    flat = noise.add_noise(key, clean.reshape(6, 4, 4, 1), sigma.reshape(6))
    np.testing.assert_allclose(nested.reshape(flat.shape), flat, rtol=1e-6)


def test_sigma_scales_the_noise_of_its_own_image():
    key, clean = jax.random.key(9), jax.random.uniform(jax.random.key(10), (3, 8, 8, 1))
    sigma = np.array([0.0, 0.1, 2.0])
    noisy = noise.add_noise(key, clean, sigma)
    expected = sigma[:, None, None, None] * np.asarray(noise.standard_normal(key, clean))
    np.testing.assert_allclose(noisy - clean, expected, atol=1e-6)
    assert noisy.dtype == jnp.float32
    np.testing.assert_array_equal(noisy[0], clean[0])
