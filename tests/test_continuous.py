"""The objective in continuous time on Gaussian images, f(y, s) = m + c(s) (y - m)."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gahr.objectives import continuous

KEY = jax.random.key(0)
MEAN, VARIANCE, LEAST = 0.4, 0.09, 0.01
SHARES = {  # c of the exact function, of the posterior mean and of the identity
    "exact": lambda sigma: jnp.sqrt((VARIANCE + LEAST**2) / (VARIANCE + sigma**2)),
    "denoising": lambda sigma: VARIANCE / (VARIANCE + sigma**2),
    "identity": jnp.ones_like,
}


def teacher(noisy, sigma):
    return MEAN + SHARES["denoising"](sigma)[:, None, None, None] * (noisy - MEAN)


@functools.cache
def measured(name, **options):
    """Loss and its derivative by a factor of c, at 1."""

    def network(factor, noisy, sigma, *, train, key):
        share = factor * SHARES[name](sigma)[:, None, None, None]
        return noisy - (MEAN + share * (noisy - MEAN)), {}

    clean = MEAN + math.sqrt(VARIANCE) * jax.random.normal(jax.random.key(3), (256, 32, 32, 1))
    options = dict(sigma_min=LEAST, sigma_max=10.0, step=10**6) | options
    loss = lambda factor: continuous.loss(network, factor, KEY, clean, **options)[0]
    value, slope = jax.jit(jax.value_and_grad(loss))(1.0)
    return float(value), float(slope)


def test_along_the_flow_of_its_teacher_the_exact_function_does_not_change():
    assert measured("exact", teacher=teacher)[0] < 1e-8  # a sum of squares
    assert measured("denoising", teacher=teacher)[0] > 0.1


def test_training_without_a_teacher_is_at_rest_at_the_exact_function_and_draws_others_towards_it():
    at = {name: measured(name)[1] for name in SHARES}
    assert at["identity"] > 0 > at["denoising"]  # too large a factor, and too small a one
    assert abs(at["exact"]) < 0.06 * min(at["identity"], -at["denoising"])


def test_the_warm_up_begins_with_denoising():
    at = {name: measured(name, step=0)[1] for name in SHARES}
    assert min(at["identity"], at["exact"]) > 0
    assert abs(at["denoising"]) < 0.06 * at["exact"]
    half = measured("exact", step=50, warmup=100)[1]
    assert half == pytest.approx(at["exact"] / 2, rel=0.5)  # less than half, as a smaller tangent is normalised less


def test_the_size_of_a_tangent_is_in_units_of_what_the_network_learns():
    sigma, data, offset = 0.5, 0.25, 0.1
    scale, at = sigma * data / math.hypot(sigma, data), dict(log_mean=math.log(sigma), log_sd=1e-6)
    sizes = {
        measured("identity", teacher=teacher, **at)[0]: sigma**2 / math.sqrt(VARIANCE + sigma**2),  # of y - D(y)
        measured("identity", step=0, **at)[0]: data**2 / (data**2 + sigma**2) * sigma,  # of c_skip (y - x)
    }
    for found, size in sizes.items():
        assert found == pytest.approx((size / scale / (size / scale + offset)) ** 2, rel=0.02)


def test_nothing_changes_at_no_tangent_and_gradients_are_finite():
    for name in SHARES:
        assert np.isfinite(measured(name, teacher=teacher)).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(sigma_min=0.0), "sigma_min must be above 0"),
        (dict(sigma_data=0.0), "sigma_data must be a positive number"),
        (dict(offset=0.0), "offset must be a positive number"),
        (dict(warmup=-1), "warmup must be at least 0"),
    ],
)
def test_options_that_cannot_be_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        continuous.loss(None, {}, KEY, jnp.ones((2, 2, 2, 1)), **options)
