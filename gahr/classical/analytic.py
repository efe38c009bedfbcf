"""Posterior means in closed form, as functions (noisy, sigma) -> denoised."""

import jax
import jax.numpy as jnp
from jax.tree_util import Partial

from gahr.types import Array, NoiseDenoiser


def gaussian(mean: Array, eigenvalues: Array, basis: Array) -> NoiseDenoiser:
    """Posterior mean for a Gaussian prior, which is the best linear (Wiener) denoiser for any prior.

    D(y) = m + sum_k l_k / (l_k + sigma^2) <y - m, u_k> u_k for the covariance sum_k l_k u_k u_k^T. Its Jacobian
    is constant and symmetric, with eigenvalues l_k / (l_k + sigma^2), and D(y) = J y only where m = 0.

    Args:
      mean: m, (H, W, C), image units.
      eigenvalues: l_k, (K,), squared image units, not negative; K <= H W C, those left out are zero.
      basis: orthonormal u_k, (K, H, W, C).

    Returns:
      NoiseDenoiser on images (..., H, W, C), sigma () or one per image (...,); a pytree, as `gahr.denoiser.bind`.
    """
    return Partial(_shrink, mean, eigenvalues, basis.reshape(len(basis), -1))


def _shrink(mean: Array, eigenvalues: Array, basis: Array, noisy: Array, sigma: Array) -> Array:
    lead = noisy.shape[:-3]
    variance = jnp.broadcast_to(jnp.square(sigma), lead)[..., None]  # (..., 1)
    spectrum = jnp.broadcast_to(eigenvalues, (*lead, len(eigenvalues)))
    mean = jnp.broadcast_to(mean, noisy.shape)
    gains = spectrum / jnp.where(spectrum > 0, spectrum + variance, 1)  # 0, not 0/0, where both are zero
    coefficients = (noisy - mean).reshape(*lead, -1) @ basis.T  # (..., K)
    return mean + (coefficients * gains @ basis).reshape(noisy.shape)


def fit_gaussian(images: Array) -> tuple[Array, Array, Array]:
    """Mean, eigenvalues (descending) and basis of the images' covariance: principal components.

    Args:
      images: (N, H, W, C). With N below H W C the covariance has rank N - 1.

    Returns:
      The arguments of `gaussian`: mean (H, W, C), eigenvalues (d,), basis (d, H, W, C) with d = H W C.
    """
    flat = images.reshape(len(images), -1)
    mean = flat.mean(0)
    centred = flat - mean[None]
    with jax.default_matmul_precision("highest"):
        ascending, columns = jnp.linalg.eigh(centred.T @ centred / len(images))
    basis = columns.T[::-1].reshape(-1, *images.shape[1:])
    return mean.reshape(images.shape[1:]), jnp.maximum(ascending[::-1], 0), basis
