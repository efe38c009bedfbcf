"""Integrals over all noise levels: divergences and likelihoods from a denoiser that is told sigma."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from gahr import noise
from gahr.analysis.checks import check_images, check_levels
from gahr.denoiser import at
from gahr.types import Array, Key, NoiseDenoiser


class KLIntegral(NamedTuple):
    kl: Array  # () nats, the integral over the given sigmas
    standard_error: Array  # () over images
    integrand: Array  # (S,) E |D - D_reference|^2 / sigma^2 at each sigma: density in ln sigma
    below: Array  # () estimate of what lies below the smallest sigma, infinite where the integrand does not fall
    prior: Array  # () bound of KL(p_sigma_max | N(0, sigma_max^2 I)), E |x|^2 / (2 sigma_max^2): price of a start there


def kl_integral(
    noise_denoiser: NoiseDenoiser, reference: NoiseDenoiser, key: Key, clean: Array, *, sigmas: Array
) -> KLIntegral:
    """Divergence KL(p | q) of the images' law p from the law q that a denoiser stands for.

    KL(p | q) = int_0^inf E_p |D_q - D_p|^2 sigma^-3 d sigma, with D_p the exact posterior mean (`reference`), by
    the trapezoid rule in ln sigma. For D_q that is no posterior mean of any q it bounds the divergence of the law
    of its reverse diffusion from p_sigma_max, that is p noised; from N(0, sigma_max^2 I), `prior` is to be added.

    Args:
      noise_denoiser, reference: (noisy, sigma) -> denoised; `gahr.denoiser.blind` makes one of a blind denoiser.
      key: random key; image i meets the same noise sigma z_i at every level.
      clean: images (N, H, W, C) drawn from p.
      sigmas: increasing levels (S,), S >= 2.

    Returns:
      KLIntegral. The part below is extrapolated with the power law of the two smallest levels. The part above,
      KL(p_sigma_max | q_sigma_max), is not known from these levels; `prior` does not bound it.

    Raises:
      ValueError: fewer than two images or levels, levels that do not increase, or a wrong shape or dtype.

    Reference: Song et al. (2021), arXiv:2101.09258; Kadkhodaie et al. (2024), arXiv:2310.02557, equation 5.
    """
    sigmas = check_levels(sigmas, increasing=True)
    for function in (noise_denoiser, reference):
        clean = check_images(at(function, sigmas[0]), clean)
    if len(clean) < 2:
        raise ValueError("a standard error needs two images at least, got 1")
    normal = noise.standard_normal(key, clean)

    def difference(sigma: Array) -> Array:
        noisy = clean + sigma * normal
        return jnp.sum((noise_denoiser(noisy, sigma) - reference(noisy, sigma)) ** 2, (-3, -2, -1)) / sigma**2

    integrand = jax.lax.map(difference, sigmas)  # (S, N)
    per_image = jnp.trapezoid(integrand, jnp.log(sigmas)[:, None], axis=0)
    means = integrand.mean(1)
    power = jnp.log(means[1] / means[0]) / jnp.log(sigmas[1] / sigmas[0])
    below = jnp.where(power > 0, means[0] / jnp.where(power > 0, power, 1), jnp.inf)
    below = jnp.where(means[0] > 0, below, 0)
    prior = jnp.sum(clean**2, (-3, -2, -1)).mean() / (2 * sigmas[-1] ** 2)
    return KLIntegral(per_image.mean(), per_image.std(ddof=1) / jnp.sqrt(len(clean)), means, below, prior)


def log_likelihood(
    noise_denoiser: NoiseDenoiser, key: Key, clean: Array, *, sigmas: Array, num_draws: int = 1
) -> Array:
    """Log density of clean images by the I-MMSE relation, pointwise.

    -ln p(x) = d ln(2 pi e) / 2 - int_0^inf [d sigma^2 / (1 + sigma^2) - E_z |x - D(x + sigma z)|^2] sigma^-3 d sigma,
    exact for an exact posterior mean and a density with respect to all d pixels; each draw of z is the same at
    every level. What lies outside the given levels is added with the integrand's small- and large-sigma laws,
    sigma^2 and sigma^-2 in ln sigma.

    Args:
      noise_denoiser, key, clean: as in `kl_integral`.
      sigmas: increasing levels (S,), from below the finest detail to above the images' norm.
      num_draws: draws of the noise per image; the spread falls with its square root.

    Returns:
      ln p (N,), nats, intensities in image units.

    Raises:
      ValueError: as `kl_integral`, but one image will do; num_draws below 1.

    Reference: Kong, Brekelmans and Ver Steeg (2023), arXiv:2302.03792.
    """
    sigmas = check_levels(sigmas, increasing=True)
    clean = check_images(at(noise_denoiser, sigmas[0]), clean, num_draws=num_draws)
    size = clean[0].size

    def gain(sigma: Array, normal: Array) -> Array:
        error = jnp.sum((clean - noise_denoiser(clean + sigma * normal, sigma)) ** 2, (-3, -2, -1))
        # the same z in both terms cancels most of its spread: E |z|^2 = d
        return (jnp.sum(normal**2, (-3, -2, -1)) * sigma**2 / (1 + sigma**2) - error) / sigma**2

    def draw(i: Array) -> Array:
        normal = noise.standard_normal(jax.random.fold_in(key, i), clean)
        return jax.lax.map(lambda sigma: gain(sigma, normal), sigmas)

    integrand = jax.lax.map(draw, jnp.arange(num_draws)).mean(0)  # (S, N)
    integral = jnp.trapezoid(integrand, jnp.log(sigmas)[:, None], axis=0) + integrand[0] / 2 + integrand[-1] / 2
    return integral - size / 2 * jnp.log(2 * jnp.pi * jnp.e)
