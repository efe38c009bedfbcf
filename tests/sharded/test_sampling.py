"""Samples on 1, 2 and 8 devices."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import over, with_unit_gains

from gahr.denoiser import bind
from gahr.denoiser import blind as blind_denoiser
from gahr.experiment.progress import Progress
from gahr.models.bfcnn import BFCNN
from gahr.models.layers import initialize
from gahr.sampling import SAMPLERS, blind, constraint, driver, measurements, schedules


def sample(denoiser, shape, devices=None, **options):
    sampler = blind.sampler(step_size=0.1, beta=0.5, sigma_stop=0.2)
    options |= dict(chunk=8, max_steps=200, sharding=devices and over(devices), progress=Progress())
    return driver.sample(sampler, denoiser, jax.random.key(0), shape, **options)


def flat(noisy):
    return 0.5 + 0.1 * jnp.tanh(noisy - 0.5)


@pytest.mark.parametrize("devices", [1, 2, 8])
def test_samples_do_not_depend_on_the_number_of_devices_and_are_on_all_of_them(devices):
    found = sample(flat, (12, 8, 8, 1), devices, frame_every=7)
    assert all(leaf.sharding.is_fully_replicated and len(leaf.devices()) == devices for leaf in jax.tree.leaves(found))
    jax.tree.map(np.testing.assert_array_equal, found, sample(flat, (12, 8, 8, 1), frame_every=7))


@pytest.mark.parametrize("constrained", [False, True])
def test_samplers_with_levels_constrained_or_not_do_not_depend_on_the_number_of_devices(constrained):
    sampler = SAMPLERS["multistep"](sigmas=schedules.karras(sigma_max=1.0, num_levels=4))
    if constrained:
        known = measurements.low_pass((8, 8, 1), fraction=0.3)
        observed = known.measure(jax.random.uniform(jax.random.key(1), (12, 8, 8, 1)))
        sampler = constraint.constrain(sampler, known, observed)
    one, many = (
        driver.sample(sampler, blind_denoiser(flat), jax.random.key(0), (12, 8, 8, 1), chunk=8, **where)
        for where in ({}, dict(sharding=over(8), progress=Progress()))
    )
    jax.tree.map(lambda found, expected: np.testing.assert_allclose(found, expected, atol=1e-6), many, one)


@pytest.mark.parametrize("devices", [2, 8])
def test_samples_of_a_network_agree_on_any_number_of_devices_which_share_the_work(devices):
    model, key, shapes = BFCNN(features=4, num_layers=3), jax.random.key(1), []
    network = bind(model, with_unit_gains(initialize(model, key, (16, 16, 1)), key))
    denoiser = lambda noisy: flat(network(noisy))

    def watched(noisy):
        jax.debug.inspect_array_sharding(noisy, callback=lambda found: shapes.append(found.shard_shape(noisy.shape)))
        return denoiser(noisy)

    found, expected = sample(watched, (8, 16, 16, 1), devices), sample(denoiser, (8, 16, 16, 1))
    assert shapes == [(8 // devices, 16, 16, 1)]
    np.testing.assert_array_equal(found[1].steps, expected[1].steps)
    np.testing.assert_allclose(found[0], expected[0], atol=1e-4)
