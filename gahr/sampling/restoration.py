"""Linear answers to linear inverse problems, to set beside `gahr.sampling.inverse`.

With a denoiser: `gahr.sampling.splitting`, `gahr.sampling.guidance`.
"""

import jax
import jax.numpy as jnp

from gahr.sampling.measurements import Measurement
from gahr.types import Array


def pseudo_inverse(measurement: Measurement, observed: Array) -> Array:
    """M c, (N, H, W, C): what was measured, and zero elsewhere."""
    return measurement.adjoint(measurement.check(observed))


def wiener(
    measurement: Measurement, observed: Array, *, mean: Array, factor: Array, sigma_observed: float = 0.0
) -> Array:
    """Posterior mean for a Gaussian prior N(m, C), C = sum_k f_k f_k^T: the best linear answer.

    m + F^T w, where w minimizes |A^T w - (c - M^T m)|^2 + sigma_observed^2 |w|^2 with A = F M.

    Args:
      measurement, observed, sigma_observed: as in `gahr.sampling.inverse.solve`.
      mean, factor: m (H, W, C) and f_k (K, H, W, C) as `gahr.sampling.start.draw`, of training images.

    Returns:
      (N, H, W, C).
    """
    with jax.default_matmul_precision("highest"):
        known = measurement.measure(factor).reshape(len(factor), -1)
        lacks = (measurement.check(observed) - measurement.measure(mean)[None]).reshape(len(observed), -1)
        rows = jnp.concatenate([known.T, sigma_observed * jnp.eye(len(factor))])
        values = jnp.concatenate([lacks.T, jnp.zeros((len(factor), len(observed)))])
        weights = jnp.linalg.lstsq(rows, values)[0]
        return mean[None] + jnp.einsum("kn,khwc->nhwc", weights, factor)
