"""The best linear denoiser that is not told the noise level, to stand in the place of a network."""

import jax.numpy as jnp
from jax.tree_util import Partial

from gahr.types import Array, Denoiser

_NUM_LEVELS = 60


def blind_linear(mean: Array, eigenvalues: Array, basis: Array, *, sigma_min: float, sigma_max: float) -> Denoiser:
    """Posterior mean for N(m, sum_k l_k u_k u_k^T) at the likeliest of sixty noise levels of each image.

    The arguments are those of `gahr.classical.analytic.gaussian`, with all d vectors; the levels geometric.
    """
    sigmas = jnp.geomspace(sigma_min, sigma_max, _NUM_LEVELS)
    return Partial(_denoise, mean, eigenvalues, basis.reshape(len(basis), -1), sigmas)


def _denoise(mean: Array, eigenvalues: Array, rows: Array, sigmas: Array, noisy: Array) -> Array:
    coordinates = (noisy - mean[None]).reshape(len(noisy), -1) @ rows.T  # (n, d)
    variances = eigenvalues[None] + sigmas[:, None] ** 2  # (S, d)
    minus_twice = coordinates**2 @ (1 / variances).T + jnp.log(variances).sum(1)[None]  # (n, S)
    gains = eigenvalues[None] / variances[jnp.argmin(minus_twice, 1)]
    return mean[None] + (coordinates * gains @ rows).reshape(noisy.shape)
