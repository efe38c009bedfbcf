"""Consistency functions in closed form: ends of the probability-flow ODE dy/dsigma = (y - D(y, sigma)) / sigma."""

import jax.numpy as jnp
from jax import lax
from jax.scipy.stats import norm
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


def quantile_map(weights: Array, means: Array, deviation: float, *, sigma_min: float) -> NoiseDenoiser:
    """End at sigma_min of the flow of one number of a mixture sum_j p_j N(m_j, d^2): f(y, s) = F_e^-1(F_s(y)).

    In one dimension the flow keeps order, hence quantiles: F_s is the distribution function of the number in noise of
    level s, e = sigma_min. It is inverted by bisection, so that f has no derivative for `jax`.

    Args:
      weights: p_j, (M,), of sum 1.
      means: m_j, (M,), image units.
      deviation: d, image units, not negative; positive where e is 0.
      sigma_min: e, image units.

    Returns:
      (noisy (..., H, W, C), sigma () or (...,), at least sigma_min) -> images, each of their numbers on its own.
    """
    return Partial(_quantile_map, weights, means, jnp.float32(deviation), jnp.float32(sigma_min))


def _quantile_map(weights: Array, means: Array, deviation: Array, least: Array, noisy: Array, sigma: Array) -> Array:
    wide = jnp.broadcast_to(sigma, noisy.shape[:-3])[..., None, None, None]
    last = lambda values: jnp.expand_dims(values, tuple(range(noisy.ndim)))  # (1, ..., 1, M)

    def below(numbers: Array, level: Array) -> Array:
        apart = (numbers[..., None] - last(means)) / jnp.sqrt(deviation**2 + level**2)[..., None]
        return jnp.sum(last(weights) * norm.cdf(apart), -1)

    def halved(ends: tuple[Array, Array], _: None) -> tuple[tuple[Array, Array], None]:
        low, high = ends
        middle = (low + high) / 2
        right = below(middle, at_end) < share
        return (jnp.where(right, middle, low), jnp.where(right, high, middle)), None

    at_end = jnp.broadcast_to(least, noisy.shape)
    share = below(noisy, jnp.broadcast_to(wide, noisy.shape))
    reach = 7 * jnp.sqrt(deviation**2 + least**2)  # float32 knows no quantile beyond
    ends = tuple(jnp.broadcast_to(end, noisy.shape) for end in (means.min() - reach, means.max() + reach))
    low, high = lax.scan(halved, ends, None, length=40)[0]
    return (low + high) / 2
