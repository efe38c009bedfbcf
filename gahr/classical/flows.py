"""Consistency functions in closed form: ends of the probability-flow ODE dy/dsigma = (y - D(y, sigma)) / sigma."""

import jax.numpy as jnp
from jax.tree_util import Partial

from gahr.types import Array, NoiseDenoiser


def gaussian_flow(mean: Array, eigenvalues: Array, basis: Array, *, sigma_min: float) -> NoiseDenoiser:
    """End at sigma_min of the flow of Gaussian images: f(y, s) = m + sum_k c_k <y - m, u_k> u_k, linear in y - m.

    c_k = sqrt((l_k + e^2) / (l_k + s^2)) with e = sigma_min: the root of the denoiser's shrinkage factor where e is 0.
    f is no denoiser: noise along u_k is carried to images of variance l_k + e^2, not removed.

    Args:
      mean: m, (H, W, C), image units.
      eigenvalues: l_k, (K,), squared image units, not negative; those left out are zero.
      basis: orthonormal u_k, (K, H, W, C), as of `gahr.classical.analytic.fit_gaussian`.
      sigma_min: e, positive where eigenvalues are zero, image units.

    Returns:
      (noisy (..., H, W, C), sigma () or (...,), at least sigma_min) -> images; a pytree, as `gahr.denoiser.bind`.
    """
    return Partial(_flow, mean, eigenvalues, basis.reshape(len(basis), -1), jnp.float32(sigma_min))


def _flow(mean: Array, eigenvalues: Array, basis: Array, least: Array, noisy: Array, sigma: Array) -> Array:
    lead = noisy.shape[:-3]
    variance = jnp.broadcast_to(jnp.square(sigma), lead)[..., None]  # (..., 1)
    spectrum = jnp.broadcast_to(eigenvalues, (*lead, len(eigenvalues)))
    rest = jnp.sqrt(least**2 / variance)  # of what is outside of the basis
    mean = jnp.broadcast_to(mean, noisy.shape)
    flat = (noisy - mean).reshape(*lead, -1)
    inside = (jnp.sqrt((spectrum + least**2) / (spectrum + variance)) - rest) * (flat @ basis.T)
    return mean + (rest * flat + inside @ basis).reshape(noisy.shape)
