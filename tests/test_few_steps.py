"""Few steps of a consistency model: their levels, found by a score, and images edited on the way."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gahr.analysis.statistics import energy_distance
from gahr.classical.flows import gaussian_flow
from gahr.sampling import consistency, driver, measurements
from gahr.sampling.inverse import constrain
from gahr.sampling.level_search import search_levels

KEY = jax.random.key(0)
SHAPE = (2, 2, 1)
MEAN, LEAST = 0.5, 0.01
LEVELS = jnp.array([10.0, 1.0, 0.3, LEAST])
VARIANCES = jnp.array([0.09, 0.04, 0.01, 0.0025])  # of independent values
FLOW = gaussian_flow(jnp.full(SHAPE, MEAN), VARIANCES, jnp.eye(4).reshape(4, *SHAPE), sigma_min=LEAST)


def test_the_search_finds_the_least_of_a_score_level_by_level():
    seen = []

    def score(levels):
        seen.append(len(levels))
        inner = np.log(np.asarray(levels[1:-1], np.float64))
        return 1 + sum((point - math.log(best)) ** 2 - 0.5 for point, best in zip(inner, (0.7, 0.1), strict=False))

    levels, scores = search_levels(score, sigma_max=10.0, sigma_min=LEAST, num_steps=3, num_scores=20)
    np.testing.assert_allclose(levels, [10.0, 0.7, 0.1, LEAST], rtol=2e-3)
    np.testing.assert_allclose(scores, [1, 0.5, 0], atol=1e-4)
    assert (seen.count(2), seen.count(3), seen.count(4)) == (1, 20, 20)
    one, scores = search_levels(score, sigma_max=10.0, sigma_min=LEAST, num_steps=1)
    assert (one.tolist(), scores) == (pytest.approx([10.0, LEAST]), (1.0,))
    for options in (dict(sigma_min=20.0), dict(num_steps=0), dict(num_scores=1)):
        with pytest.raises(ValueError, match=f"{next(iter(options))} must be"):
            search_levels(score, **(dict(sigma_max=10.0, sigma_min=LEAST) | options))


def test_the_energy_distance_of_shifted_gaussians_is_the_closed_form_and_of_one_law_none():
    one, same, other = (np.asarray(jax.random.normal(jax.random.key(i), (1_000, 1, 1, 1))) for i in range(3))
    shift = 1.5
    # E|X - Y| of N(0, 1) and N(shift, 1) is that of N(shift, 2)
    folded = 2 / math.sqrt(math.pi) * math.exp(-(shift**2) / 4) + shift * math.erf(shift / 2)
    assert energy_distance(one, other + shift) == pytest.approx(2 * folded - 4 / math.sqrt(math.pi), rel=0.15)
    assert abs(energy_distance(one, same)) < 0.01


def drawn(measurement=None, observed=None, number=4):
    sampler = consistency.sampler(sigmas=LEVELS, mean=MEAN)
    if measurement is not None:
        sampler = constrain(sampler, measurement, observed, mean=MEAN)
    sample = jax.jit(lambda key: driver.sample(sampler, FLOW, key, (number, *SHAPE), chunk=number)[0])
    return np.asarray(sample(KEY))


def test_editing_with_nothing_measured_is_the_sampler_itself_and_with_everything_the_image():
    nothing = measurements.nothing(SHAPE)
    np.testing.assert_array_equal(drawn(nothing, jnp.zeros((4, 0))), drawn())
    image = jax.random.uniform(KEY, (4, *SHAPE))
    everything = measurements.pixels(np.ones(SHAPE, bool))
    np.testing.assert_allclose(drawn(everything, everything.measure(image)), image, atol=1e-6)


def test_editing_keeps_what_is_measured_and_leaves_the_law_of_what_does_not_depend_on_it():
    number = 2_000
    measurement = measurements.pixels(np.array([True, False, False, True]).reshape(SHAPE))
    observed = jnp.broadcast_to(jnp.array([0.9, 0.1]), (number, 2))
    samples = drawn(measurement, observed, number).reshape(number, 4)
    np.testing.assert_allclose(samples[:, [0, 3]], observed, atol=1e-6)
    rest, variances = samples[:, 1:3], np.asarray(VARIANCES[1:3]) + LEAST**2
    np.testing.assert_allclose(rest.mean(0), MEAN, atol=4 * math.sqrt(variances.max() / number) + 0.01)
    # from N(m, T^2) in place of N(m, C + T^2): exact but for l / T^2
    np.testing.assert_allclose(rest.var(0), variances, rtol=4 * math.sqrt(2 / number))
