"""Laws of sigma against their distribution functions, and noise that does not depend on the batch."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import assert_follows

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
    assert_follows(distribution, law(jax.random.key(0), (NUM,), **options))


@pytest.mark.parametrize("name", noise.LAWS)
def test_a_law_stays_above_its_floor_or_the_mean_of_one_over_sigma_squared_is_finite(name):
    """An infinite mean is one that a few of many draws make up."""
    sample, floor = noise.LAWS[name]
    sigma = np.float64(sample(jax.random.key(2), (NUM,), **({} if floor is None else {floor: 0.2})))
    if floor is None:
        assert np.max(sigma**-2) < 0.05 * np.sum(sigma**-2)
    else:
        assert sigma.min() == pytest.approx(0.2, abs=1e-4)
        assert sigma.min() >= 0.2 - 1e-6


def test_bounded_laws_fill_their_range_and_the_fixed_one_is_constant():
    for law in (noise.quadratic, noise.uniform, noise.log_uniform):
        sigma = law(jax.random.key(2), (NUM,), sigma_min=0.2, sigma_max=0.3)
        np.testing.assert_allclose([sigma.min(), sigma.max()], [0.2, 0.3], atol=1e-4)
        assert sigma.max() <= 0.3 + 1e-6
    np.testing.assert_array_equal(noise.fixed(jax.random.key(0), (3,), sigma=0.25), [0.25, 0.25, 0.25])


def test_noise_levels_that_cannot_be_are_refused_and_arrays_are_taken():
    for law, options, message in (
        ("log_uniform", dict(sigma_min=0.0), "sigma_min must be positive, got 0.0"),
        ("log_uniform", dict(sigma_min=-0.1), "sigma_min must be finite and not negative, got -0.1"),
        ("quadratic", dict(sigma_max=0.0), "sigma_max must be positive, got 0.0"),
        ("uniform", dict(sigma_max=math.inf), "sigma_max must be finite and not negative, got inf"),
        ("quadratic", dict(sigma_min=0.3, sigma_max=0.2), "sigma_min must be at most sigma_max = 0.2, got 0.3"),
        ("quadratic", dict(sigma_min=math.nan), "sigma_min must be finite and not negative, got nan"),
        ("uniform", dict(sigma_min="0"), "sigma_min must be finite and not negative, got '0'"),
        ("fixed", dict(sigma=-1.0), "sigma must be finite and not negative, got -1.0"),
        ("lognormal", dict(log_mean=math.nan), "log_mean must be finite, got nan"),
        ("lognormal", dict(log_sd=-1.0), "log_sd must be finite and not negative, got -1.0"),
    ):
        with pytest.raises(ValueError, match=message):
            noise.LAWS[law].sample(jax.random.key(0), (3,), **options)
    traced = jax.jit(lambda low: noise.log_uniform(jax.random.key(0), (3,), sigma_min=low))(0.1)
    np.testing.assert_allclose(traced, noise.log_uniform(jax.random.key(0), (3,), sigma_min=0.1), rtol=1e-6)


def test_noise_is_standard_normal():
    normal = noise.standard_normal(jax.random.key(3), jnp.zeros((10, 40, 50, 2)))
    assert_follows(np.vectorize(lambda z: (1 + math.erf(z / math.sqrt(2))) / 2), normal)


def test_images_of_a_batch_get_uncorrelated_noise():
    normal = np.reshape(noise.standard_normal(jax.random.key(4), jnp.zeros((8, 40, 40, 1))), (8, -1))
    correlation = np.corrcoef(normal) - np.eye(8)
    assert np.abs(correlation).max() < 5 / math.sqrt(1600)


def test_image_i_gets_the_noise_of_its_number_times_its_sigma_whatever_the_batch():
    key, clean = jax.random.key(5), jax.random.uniform(jax.random.key(6), (2, 3, 4, 6, 3))
    flat, sigma = clean.reshape(6, 4, 6, 3), np.array([0.0, 0.1, 2.0, 0.3, 0.4, 0.5])
    normal = np.stack([jax.random.normal(jax.random.fold_in(key, i), (4, 6, 3)) for i in range(6)])
    add = noise.add_noise
    noisy, some, one = jax.jit(
        lambda clean: (add(key, clean, sigma.reshape(2, 3)), add(key, clean[0, :2], 0.3), add(key, clean[0, 0], 0.3))
    )(clean)
    np.testing.assert_allclose(noisy.reshape(flat.shape), flat + sigma[:, None, None, None] * normal, atol=1e-6)
    np.testing.assert_array_equal(noisy[0, 0], clean[0, 0])
    assert noisy.dtype == jnp.float32
    np.testing.assert_allclose(some, flat[:2] + 0.3 * normal[:2], atol=1e-6)
    np.testing.assert_allclose(one, flat[0] + 0.3 * jax.random.normal(key, (4, 6, 3)), atol=1e-6)
