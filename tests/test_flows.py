"""Flows in closed form against the ODE that they solve."""

import jax
import jax.numpy as jnp
import numpy as np

from gahr.classical import analytic, flows
from gahr.sampling import ode, schedules


def test_gaussian_flow_is_the_end_of_the_ode_also_outside_of_its_basis():
    basis = jnp.linalg.qr(jax.random.normal(jax.random.key(0), (6, 4)))[0].T.reshape(4, 2, 3, 1)
    law = (jax.random.uniform(jax.random.key(1), (2, 3, 1)), jnp.array([2.0, 0.3, 0.05, 0.0]), basis)
    noisy = 3 * jax.random.normal(jax.random.key(2), (5, 2, 3, 1))
    sigmas = schedules.karras(sigma_max=3.0, sigma_min=0.05, num_levels=400, zero=False)
    end = jax.jit(lambda y: ode.solve(analytic.gaussian(*law), y, sigmas=sigmas))(noisy)
    flow = flows.gaussian_flow(*law, sigma_min=0.05)
    np.testing.assert_allclose(flow(noisy, 3.0), end, atol=2e-4)
    np.testing.assert_allclose(flow(noisy, jnp.full(5, 0.05)), noisy, atol=1e-6)
    np.testing.assert_allclose(flow(noisy[0], 3.0), flow(noisy, 3.0)[0], atol=1e-6)
