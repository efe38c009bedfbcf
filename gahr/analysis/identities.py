"""Identities that an exact MMSE denoiser obeys, so that a trained one can be held against them."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gahr import metrics, noise
from gahr.analysis.jacobian import check_image
from gahr.analysis.probes import asymmetry, check_images, jacobian_moments
from gahr.denoiser import at
from gahr.types import Array, Denoiser, Key, NoiseDenoiser


def sure(
    denoiser: Denoiser, key: Key, noisy: Array, *, sigma: float, num_probes: int | None = 4, chunk: int = 8
) -> Array:
    """Stein's unbiased risk estimate of the mean squared error, from noisy images alone.

    (|y - D(y)|^2 + 2 sigma^2 tr J) / d - sigma^2, whose mean over the noise is E |x - D(y)|^2 / d for any weakly
    differentiable D that does not depend on the noise otherwise.

    Args:
      denoiser: estimate of the clean image at this sigma.
      key: random key of the probes.
      noisy: images (N, H, W, C) with white Gaussian noise.
      sigma: its standard deviation, image units.
      num_probes, chunk: for tr J, as in `jacobian_moments`; None is exact.

    Returns:
      Estimates (N,), squared image units per pixel; single ones may be negative.

    Reference: Stein (1981); Ramani, Blu and Unser (2008), IEEE Transactions on Image Processing 17, 1540-1554.
    """
    noisy = jnp.asarray(noisy)
    trace = jacobian_moments(denoiser, key, noisy, num_probes=num_probes, chunk=chunk).trace
    return metrics.mse(noisy, denoiser(noisy)) + 2 * sigma**2 * trace / noisy[0].size - sigma**2


def covariance_product(denoiser: Denoiser, noisy: Array, vector: Array, *, sigma: float) -> Array:
    """Posterior covariance times a vector, Cov[x | y] v = sigma^2 J v (Miyasawa 1961; Tweedie), same shape as v.

    Exact for an exact MMSE denoiser, whose Jacobian is symmetric and positive semi-definite. ValueError where vector
    and image (H, W, C) differ in shape, or `gahr.analysis.jacobian.jacobian` refuses the image.
    """
    noisy = check_image(denoiser, noisy)
    if vector.shape != noisy.shape:
        raise ValueError(f"the vector must have the shape {noisy.shape} of the image, got {vector.shape}")
    return sigma**2 * jax.jvp(denoiser, (noisy,), (jnp.asarray(vector),))[1]


class CardValues(NamedTuple):
    """What a card is made of, at one noise level or stacked over them: each field (N,) or (S, N)."""

    psnr: Array  # dB
    mse: Array  # mse d / sigma^2
    sure: Array  # its estimate from noisy images: equal to mse on average for any denoiser
    sure_error: Array  # sure - mse: 0 on average for any denoiser
    trace: Array  # tr J, effective dimension: equal to mse on average for an exact one
    excess: Array  # mse - trace: 0 on average for an exact one
    energy: Array  # |J|_F^2
    asymmetry: Array  # |J - J^T| / |J|: 0 for an exact one
    homogeneity_error: Array  # |D(c y) - c D(y)| / |c D(y)|: 0 for a bias-free one
    linearity_error: Array  # |J y - D(y)| / |D(y)|: 0 for a bias-free one


class Card(NamedTuple):
    """One row per noise level, each field (S, 2): mean over images and its standard error."""

    sigma: Array  # (S,) image units
    psnr: Array  # this and all below but the slopes as in CardValues
    mse: Array
    sure: Array
    sure_error: Array
    trace: Array
    excess: Array
    energy: Array
    slope: Array  # E |J|_F^2 / E tr J: measured_slope of an exact one
    measured_slope: Array  # PSNR slope of the mean mse, not the slope of the mean psnr (`mse_slope`)
    asymmetry: Array
    homogeneity_error: Array
    linearity_error: Array


def card(denoiser: Denoiser, key: Key, clean: Array, *, sigmas: Array, num_probes: int = 4, chunk: int = 8) -> Card:
    """Every identity at once: how near a denoiser is to an exact MMSE denoiser.

    Args:
      denoiser: blind: it is not told sigma. For one that is told, or to show progress, `card_values` level by level
        and `card_of`.
      key: random key; image i meets the same noise sigma z_i at every level.
      clean: images (N, H, W, C), N >= 2.
      sigmas: noise levels (S,), S >= 2, image units, increasing or decreasing.
      num_probes, chunk: as in `jacobian_moments`.

    Returns:
      Card; `card_lines` makes a table of it.

    Raises:
      ValueError: fewer than two images or levels, or images or a denoiser that `jacobian_moments` refuses.
    """
    clean = check_images(denoiser, clean, num_probes=num_probes, chunk=chunk)
    sigmas = _levels(sigmas)
    at_level = functools.partial(card_values, denoiser, key, clean, num_probes=num_probes, chunk=chunk)
    return card_of(jax.lax.map(lambda sigma: at_level(sigma=sigma), sigmas), sigmas=sigmas)


def card_values(
    denoiser: Denoiser, key: Key, clean: Array, *, sigma: Array, num_probes: int = 4, chunk: int = 8
) -> CardValues:
    """One level of `card`, (N,) each; of a denoiser told sigma, with `gahr.denoiser.at`. Args, errors: as `card`."""
    clean = check_images(denoiser, clean)
    key_probes, probing = jax.random.fold_in(key, len(clean)), dict(num_probes=num_probes, chunk=chunk)
    noisy = clean + sigma * noise.standard_normal(key, clean)
    denoised = denoiser(noisy)
    units = clean[0].size / sigma**2
    moments = jacobian_moments(denoiser, key_probes, noisy, **probing)
    mse = units * metrics.mse(clean, denoised)
    estimate = units * (metrics.mse(noisy, denoised) - sigma**2) + 2 * moments.trace
    return CardValues(
        psnr=metrics.psnr(clean, denoised),
        mse=mse,
        sure=estimate,
        sure_error=estimate - mse,
        trace=moments.trace,
        excess=mse - moments.trace,
        energy=moments.energy,
        asymmetry=asymmetry(denoiser, key_probes, noisy, **probing),
        homogeneity_error=homogeneity_error(denoiser, noisy),
        linearity_error=linearity_error(denoiser, noisy),
    )


def card_of(values: CardValues, *, sigmas: Array) -> Card:
    """The card of values (S, N) at the noise levels (S,); ValueError where either is fewer than two."""
    sigmas = _levels(sigmas)
    if values.psnr.ndim != 2 or len(values.psnr) != len(sigmas) or values.psnr.shape[1] < 2:
        raise ValueError(f"a card needs values ({len(sigmas)}, N) of two images at least, got {values.psnr.shape}")
    ratio = values.energy.mean(1) / values.trace.mean(1)
    spread = (values.energy - ratio[:, None] * values.trace) / values.trace.mean(1)[:, None]
    summary = {name: jnp.stack([per.mean(1), _standard_error(per.T)], -1) for name, per in values._asdict().items()}
    return Card(
        sigma=sigmas,
        slope=jnp.stack([ratio, _standard_error(spread.T)], -1),
        measured_slope=mse_slope(values.mse * sigmas[:, None] ** 2, sigmas=sigmas),
        **summary,
    )


def mse_slope(mse: Array, *, sigmas: Array) -> Array:
    """PSNR slope of the mean mse, d ln E mse / d ln sigma^2, which an exact MMSE denoiser has as E |J|_F^2 / E tr J.

    The slope of the mean PSNR is another where images differ in their mse.

    Args:
      mse: (S, N), one column per image, in any unit that is the same for all.
      sigmas: noise levels (S,), image units, increasing or decreasing.

    Returns:
      Slope by differences of neighbours and its standard error over the images (delta method), (S, 2).

    Raises:
      ValueError: fewer than two levels.
    """
    mse, steps = jnp.asarray(mse), jnp.gradient(2 * jnp.log(_levels(sigmas)))
    means = mse.mean(1)
    parts = jnp.gradient(mse / means[:, None], axis=0) / steps[:, None]  # what each image adds, to first order
    return jnp.stack([jnp.gradient(jnp.log(means)) / steps, _standard_error(parts.T)], -1)


def _levels(sigmas: Array, *, increasing: bool = False) -> Array:
    sigmas = jnp.asarray(sigmas)
    if sigmas.ndim != 1 or len(sigmas) < 2:
        raise ValueError(f"two noise levels (S,) are needed at least, got shape {sigmas.shape}")
    if increasing and not isinstance(sigmas, jax.core.Tracer) and not np.all(np.diff(np.asarray(sigmas)) > 0):
        raise ValueError("the noise levels must increase")
    return sigmas


def card_lines(card: Card) -> list[str]:
    """The card as lines of text, one column per noise level, values with their standard errors."""
    lines = [f"{'sigma':20}" + "".join(f"{float(sigma):>18.4g}" for sigma in card.sigma)]
    for name, field in zip(card._fields[1:], card[1:], strict=True):
        cells = (f"{float(mean):.3g} +- {float(error):.1g}" for mean, error in field)
        lines.append(f"{name:20}" + "".join(f"{cell:>18}" for cell in cells))
    return lines


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
    sigmas = _levels(sigmas, increasing=True)
    for function in (noise_denoiser, reference):
        clean = check_images(at(function, sigmas[0]), clean)
    if len(clean) < 2:
        raise ValueError("a standard error needs two images at least, got 1")
    normal = noise.standard_normal(key, clean)

    def difference(sigma: Array) -> Array:
        noisy = clean + sigma * normal
        return jnp.sum((noise_denoiser(noisy, sigma) - reference(noisy, sigma)) ** 2, (-3, -2, -1)) / sigma**2

    integrand = jax.lax.map(difference, sigmas)  # (S, N)
    per_image = _integral(integrand, jnp.log(sigmas))
    means = integrand.mean(1)
    power = jnp.log(means[1] / means[0]) / jnp.log(sigmas[1] / sigmas[0])
    below = jnp.where(power > 0, means[0] / jnp.where(power > 0, power, 1), jnp.inf)
    below = jnp.where(means[0] > 0, below, 0)
    prior = jnp.sum(clean**2, (-3, -2, -1)).mean() / (2 * sigmas[-1] ** 2)
    return KLIntegral(per_image.mean(), _standard_error(per_image), means, below, prior)


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
    sigmas = _levels(sigmas, increasing=True)
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
    integral = _integral(integrand, jnp.log(sigmas)) + integrand[0] / 2 + integrand[-1] / 2
    return integral - size / 2 * jnp.log(2 * jnp.pi * jnp.e)


def _integral(values: Array, at: Array) -> Array:
    """Trapezoid rule over the first axis of (S, N), (N,)."""
    halves = jnp.diff(at) / 2
    return jnp.tensordot(halves, values[1:] + values[:-1], 1)


def _standard_error(values: Array) -> Array:
    return values.std(axis=0, ddof=1) / jnp.sqrt(len(values))


def homogeneity_error(denoiser: Denoiser, noisy: Array, *, factor: float = 0.3) -> Array:
    """|D(c y) - c D(y)| / |c D(y)| per image (N,): zero for a bias-free denoiser, c = `factor` > 0."""
    noisy = jnp.asarray(noisy)
    scaled = factor * denoiser(noisy)
    return _norm(denoiser(factor * noisy) - scaled) / _norm(scaled)


def linearity_error(denoiser: Denoiser, noisy: Array) -> Array:
    """|J(y) y - D(y)| / |D(y)| per image (N,): zero for a bias-free denoiser.

    Images are treated together, so the denoiser must act on each by itself (evaluation mode).
    """
    noisy = jnp.asarray(noisy)
    denoised, pushed = jax.jvp(denoiser, (noisy,), (noisy,))
    return _norm(pushed - denoised) / _norm(denoised)


def _norm(images: Array) -> Array:
    return jnp.sqrt(jnp.sum(images**2, axis=(-3, -2, -1)))
