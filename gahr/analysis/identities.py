"""Identities that an exact MMSE denoiser obeys, so that a trained one can be held against them."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gahr import metrics, noise
from gahr.analysis.checks import check_image, check_images, check_levels
from gahr.analysis.integrals import KLIntegral, kl_integral, log_likelihood  # noqa: F401, identities as well
from gahr.analysis.probes import asymmetry, jacobian_moments
from gahr.blocks import in_chunks
from gahr.types import Array, Denoiser, Key


def sure(denoiser: Denoiser, key: Key, noisy: Array, *, sigma: float, **probing: Any) -> Array:
    """Stein's unbiased risk estimate of the mean squared error, from noisy images alone.

    (|y - D(y)|^2 + 2 sigma^2 tr J) / d - sigma^2, whose mean over the noise is E |x - D(y)|^2 / d for any weakly
    differentiable D that does not depend on the noise otherwise.

    Args:
      denoiser: estimate of the clean image at this sigma.
      key: random key of the probes.
      noisy: images (N, H, W, C) with white Gaussian noise.
      sigma: its standard deviation, image units.
      probing: num_probes, chunk and sharding of `jacobian_moments` for tr J; num_probes=None is exact.

    Returns:
      Estimates (N,), squared image units per pixel; single ones may be negative.

    Reference: Stein (1981); Ramani, Blu and Unser (2008), IEEE Transactions on Image Processing 17, 1540-1554.
    """
    trace = jacobian_moments(denoiser, key, noisy, **probing).trace
    noisy = jnp.asarray(noisy)
    denoised = in_chunks(denoiser, noisy, chunk=len(noisy), sharding=probing.get("sharding"))
    return metrics.mse(noisy, denoised) + 2 * sigma**2 * trace / noisy[0].size - sigma**2


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
    psnr: Array  # this and all below but ratio and slopes as in CardValues
    mse: Array
    sure: Array
    sure_error: Array
    trace: Array
    excess: Array
    energy: Array
    ratio: Array  # E tr J / E mse: 1 for an exact one
    slope: Array  # E |J|_F^2 / E tr J: measured_slope of an exact one
    measured_slope: Array  # PSNR slope of the mean mse, not the slope of the mean psnr (`mse_slope`)
    asymmetry: Array
    homogeneity_error: Array
    linearity_error: Array


def card(denoiser: Denoiser, key: Key, clean: Array, *, sigmas: Array, **probing: Any) -> Card:
    """Every identity at once: how near a denoiser is to an exact MMSE denoiser.

    Args:
      denoiser: blind: it is not told sigma. For one that is told, or to show progress, `card_values` level by level
        and `card_of`.
      key: random key; image i meets the same noise sigma z_i at every level.
      clean: images (N, H, W, C), N >= 2.
      sigmas: noise levels (S,), S >= 2, image units, increasing or decreasing.
      probing: num_probes, chunk and sharding of `jacobian_moments` and `asymmetry`.

    Returns:
      Card; `card_lines` makes a table of it.

    Raises:
      ValueError: fewer than two images or levels, or images or a denoiser that `jacobian_moments` refuses.
    """
    clean = check_images(denoiser, clean, num_probes=probing.get("num_probes"), chunk=probing.get("chunk"))
    sigmas = check_levels(sigmas)
    values = jax.lax.map(lambda sigma: card_values(denoiser, key, clean, sigma=sigma, **probing), sigmas)
    return card_of(values, sigmas=sigmas)


def card_values(denoiser: Denoiser, key: Key, clean: Array, *, sigma: Array, **probing: Any) -> CardValues:
    """One level of `card`, (N,) each; of a denoiser told sigma, with `gahr.denoiser.at`. Args, errors: as `card`."""
    clean = check_images(denoiser, clean)
    key_probes = jax.random.fold_in(key, len(clean))
    spread = functools.partial(in_chunks, chunk=len(clean), sharding=probing.get("sharding"))
    noisy = clean + sigma * noise.standard_normal(key, clean)
    denoised = spread(denoiser, noisy)
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
        homogeneity_error=spread(functools.partial(homogeneity_error, denoiser), noisy),
        linearity_error=spread(functools.partial(linearity_error, denoiser), noisy),
    )


def card_of(values: CardValues, *, sigmas: Array) -> Card:
    """The card of values (S, N) at the noise levels (S,); ValueError where either is fewer than two."""
    sigmas = check_levels(sigmas)
    if values.psnr.ndim != 2 or len(values.psnr) != len(sigmas) or values.psnr.shape[1] < 2:
        raise ValueError(f"a card needs values ({len(sigmas)}, N) of two images at least, got {values.psnr.shape}")
    summary = {name: jnp.stack([per.mean(1), _standard_error(per.T)], -1) for name, per in values._asdict().items()}
    return Card(
        sigma=sigmas,
        ratio=_ratio_of_means(values.trace, values.mse),
        slope=_ratio_of_means(values.energy, values.trace),
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
    mse, steps = jnp.asarray(mse), jnp.gradient(2 * jnp.log(check_levels(sigmas)))
    means = mse.mean(1)
    parts = jnp.gradient(mse / means[:, None], axis=0) / steps[:, None]  # what each image adds, to first order
    return jnp.stack([jnp.gradient(jnp.log(means)) / steps, _standard_error(parts.T)], -1)


def card_lines(card: Card) -> list[str]:
    """The card as lines of text, one column per noise level, values with their standard errors."""
    lines = [f"{'sigma':20}" + "".join(f"{float(sigma):>18.4g}" for sigma in card.sigma)]
    for name, field in zip(card._fields[1:], card[1:], strict=True):
        cells = (f"{float(mean):.3g} +- {float(error):.1g}" for mean, error in field)
        lines.append(f"{name:20}" + "".join(f"{cell:>18}" for cell in cells))
    return lines


def _ratio_of_means(values: Array, others: Array) -> Array:
    """E a / E b over images and its standard error (delta method), (S, 2), of values (S, N)."""
    ratio = values.mean(1) / others.mean(1)
    parts = (values - ratio[:, None] * others) / others.mean(1)[:, None]
    return jnp.stack([ratio, _standard_error(parts.T)], -1)


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
