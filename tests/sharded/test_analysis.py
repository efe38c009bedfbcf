"""Analyses spread over devices, against one device."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import over

from gahr import blocks
from gahr.analysis import identities, jacobian, performance

KEY = jax.random.key(0)
CLEAN = np.random.default_rng(0).uniform(size=(11, 4, 4, 1)).astype(np.float32)
ANALYSES = {
    "PSNR curve": lambda x, **how: performance.psnr_curve(filtered, KEY, x, sigmas=[0.1, 0.3], chunk=4, **how).psnr,
    "columns": lambda x, **how: jacobian.columns(filtered, x[0], jnp.arange(5, 15), chunk=10, **how),
    "exact moments": lambda x, **how: identities.jacobian_moments(filtered, KEY, x[:2], num_probes=None, **how),
    "card": lambda x, **how: identities.card_values(filtered, KEY, x, sigma=0.1, num_probes=1, **how),
}


def filtered(noisy):
    return jnp.tanh(noisy + jnp.roll(noisy, 1, -2)) + jnp.roll(noisy, 1, -3) / 2


@pytest.mark.parametrize("name", ANALYSES)
def test_analyses_are_equal_on_one_two_and_eight_devices(name):
    alone, *spread = (
        jax.jit(functools.partial(ANALYSES[name], **how))(CLEAN)
        for how in ({}, dict(sharding=over(2)), dict(sharding=over(8)))
    )
    for found in spread:
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), found, alone)


def test_the_rows_of_a_chunk_are_spread_and_the_results_are_everywhere():
    seen = []

    def function(rows):
        jax.debug.inspect_array_sharding(rows, callback=seen.append)
        return 2 * rows

    found = jax.jit(lambda rows: blocks.in_chunks(function, rows, chunk=3, sharding=over(8)))(CLEAN)
    np.testing.assert_array_equal(found, 2 * CLEAN)
    assert all(sharding.is_equivalent_to(over(8), CLEAN.ndim) for sharding in seen)
    assert seen
    assert found.sharding.is_fully_replicated
