"""Identities that an exact MMSE denoiser obeys, so that a trained one can be held against them."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from gahr import metrics, noise
from gahr.analysis.jacobian import relative_asymmetry
from gahr.types import Array, Denoiser, Key, NoiseDenoiser


class JacobianMoments(NamedTuple):
    trace: Array  # (N,) estimates of tr J: effective dimension, mse d / sigma^2 of an exact MMSE denoiser
    energy: Array  # (N,) estimates of |J|_F^2: effective dimension by the sum of squared singular values

    def slope(self) -> Array:
        """PSNR slope E |J|_F^2 / E tr J, means over the images (see `jacobian_moments`)."""
        return self.energy.mean() / self.trace.mean()


def jacobian_moments(
    denoiser: Denoiser, key: Key, noisy: Array, *, num_probes: int | None = 4, chunk: int = 8
) -> JacobianMoments:
    """Trace and squared Frobenius norm of the Jacobian, from random probes or exactly, and without the matrix.

    With random signs v, E v.(J v) = tr J and E |J v|^2 = |J|_F^2 (Hutchinson); summed over all unit vectors, both
    are exact. An exact MMSE denoiser has
    mse d = sigma^2 E tr J and d(mse d)/d(sigma^2) = E |J|_F^2, so its PSNR slope is E |J|_F^2 / E tr J.

    Args:
      denoiser: estimate of the clean image.
      key: random key; image i uses fold_in(key, i).
      noisy: images (N, H, W, C).
      num_probes: Jacobian-vector products per image; None takes all d unit vectors, and the result is exact.
      chunk: images treated at a time, or columns where exact; bounds the memory.

    Returns:
      JacobianMoments, one unbiased estimate per image.
    """
    if num_probes is None:
        return JacobianMoments(*jax.lax.map(lambda image: _exact_moments(denoiser, image, chunk), noisy))

    def moments(pair: tuple[Array, Key]) -> tuple[Array, Array]:
        image, image_key = pair
        probes = jax.random.rademacher(image_key, (num_probes, *image.shape), image.dtype)
        pushed = jax.vmap(lambda v: jax.jvp(denoiser, (image,), (v,))[1])(probes)
        return jnp.sum(probes * pushed) / num_probes, jnp.sum(pushed**2) / num_probes

    return JacobianMoments(*jax.lax.map(moments, (noisy, _image_keys(key, len(noisy))), batch_size=chunk))


def _image_keys(key: Key, number: int) -> Key:
    return jax.vmap(lambda i: jax.random.fold_in(key, i))(jnp.arange(number))


def _exact_moments(denoiser: Denoiser, image: Array, chunk: int) -> tuple[Array, Array]:
    _, push = jax.linearize(denoiser, image)

    def column(i: Array) -> tuple[Array, Array]:
        pushed = push(jax.nn.one_hot(i, image.size, dtype=image.dtype).reshape(image.shape)).ravel()
        return pushed[i], jnp.sum(pushed**2)

    diagonal, squares = jax.lax.map(column, jnp.arange(image.size), batch_size=chunk)
    return diagonal.sum(), squares.sum()


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
    trace = jacobian_moments(denoiser, key, noisy, num_probes=num_probes, chunk=chunk).trace
    return metrics.mse(noisy, denoiser(noisy)) + 2 * sigma**2 * trace / noisy[0].size - sigma**2


def covariance_product(denoiser: Denoiser, noisy: Array, vector: Array, *, sigma: float) -> Array:
    """Posterior covariance times a vector, Cov[x | y] v = sigma^2 J v (Miyasawa 1961; Tweedie), same shape as v.

    Exact for an exact MMSE denoiser, whose Jacobian is symmetric and positive semi-definite.
    """
    return sigma**2 * jax.jvp(denoiser, (noisy,), (vector,))[1]


def asymmetry(denoiser: Denoiser, key: Key, noisy: Array, *, num_probes: int = 4, chunk: int = 8) -> Array:
    """|J - J^T| / |J| per image (N,), from random probes: zero for an exact MMSE denoiser. Args as `sure`."""

    def estimate(pair: tuple[Array, Key]) -> Array:
        image, image_key = pair
        probes = jax.random.rademacher(image_key, (num_probes, *image.shape), image.dtype)
        _, pull = jax.vjp(denoiser, image)
        forward = jax.vmap(lambda v: jax.jvp(denoiser, (image,), (v,))[1])(probes)
        backward = jax.vmap(lambda v: pull(v)[0])(probes)
        return relative_asymmetry(forward, backward)

    return jax.lax.map(estimate, (noisy, _image_keys(key, len(noisy))), batch_size=chunk)


class Card(NamedTuple):
    """One row per noise level, each field (S, 2): mean over images and its standard error."""

    sigma: Array  # (S,) image units
    psnr: Array  # dB
    mse: Array  # mse d / sigma^2
    sure: Array  # its estimate from noisy images: equal to mse for any denoiser
    trace: Array  # tr J, effective dimension: equal to mse for an exact one
    energy: Array  # |J|_F^2
    slope: Array  # (|J|_F^2 / tr J): the PSNR slope of an exact one; ratio of means
    measured_slope: Array  # slope of psnr between neighbouring levels
    asymmetry: Array  # |J - J^T| / |J|: 0 for an exact one
    homogeneity_error: Array  # |D(c y) - c D(y)| / |c D(y)|: 0 for a bias-free one
    linearity_error: Array  # |J y - D(y)| / |D(y)|: 0 for a bias-free one


def card(denoiser: Denoiser, key: Key, clean: Array, *, sigmas: Array, num_probes: int = 4, chunk: int = 8) -> Card:
    """Every identity at once: how near a denoiser is to an exact MMSE denoiser.

    Args:
      denoiser: blind: it is not told sigma.
      key: random key; image i meets the same noise sigma z_i at every level.
      clean: images (N, H, W, C), N >= 2.
      sigmas: noise levels (S,), S >= 2, image units, increasing or decreasing.
      num_probes, chunk: as in `jacobian_moments`.

    Returns:
      Card; `card_lines` makes a table of it.

    Raises:
      ValueError: fewer than two images or levels.
    """
    sigmas = jnp.asarray(sigmas)
    if len(clean) < 2 or len(sigmas) < 2:
        raise ValueError(f"a card needs two images and two levels at least, got {len(clean)} and {len(sigmas)}")
    normal, key_probes = noise.standard_normal(key, clean), jax.random.fold_in(key, len(clean))
    probing = dict(num_probes=num_probes, chunk=chunk)

    def level(sigma: Array) -> dict[str, Array]:
        noisy = clean + sigma * normal
        denoised = denoiser(noisy)
        units = clean[0].size / sigma**2
        moments = jacobian_moments(denoiser, key_probes, noisy, **probing)
        return {
            "psnr": metrics.psnr(clean, denoised),
            "mse": units * metrics.mse(clean, denoised),
            "sure": units * (metrics.mse(noisy, denoised) - sigma**2) + 2 * moments.trace,
            "trace": moments.trace,
            "energy": moments.energy,
            "asymmetry": asymmetry(denoiser, key_probes, noisy, **probing),
            "homogeneity_error": homogeneity_error(denoiser, noisy),
            "linearity_error": linearity_error(denoiser, noisy),
        }

    values = jax.lax.map(level, sigmas)  # each (S, N)
    ratio = values["energy"].mean(1) / values["trace"].mean(1)
    spread = (values["energy"] - ratio[:, None] * values["trace"]) / values["trace"].mean(1)[:, None]
    local = jnp.gradient(values["psnr"], axis=0) / jnp.gradient(metrics.input_psnr(sigmas))[:, None]
    summary = {name: jnp.stack([per.mean(1), _standard_error(per.T)], -1) for name, per in values.items()}
    return Card(
        sigma=sigmas,
        slope=jnp.stack([ratio, _standard_error(spread.T)], -1),
        measured_slope=jnp.stack([local.mean(1), _standard_error(local.T)], -1),
        **summary,
    )


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
    above: Array  # () upper bound of what lies above the largest sigma, E |x|^2 / (2 sigma_max^2)


def kl_integral(
    noise_denoiser: NoiseDenoiser, reference: NoiseDenoiser, key: Key, clean: Array, *, sigmas: Array
) -> KLIntegral:
    """Divergence KL(p | q) of the images' law p from the law q that a denoiser stands for.

    KL(p | q) = int_0^inf E_p |D_q - D_p|^2 sigma^-3 d sigma, with D_p the exact posterior mean (`reference`), by
    the trapezoid rule in ln sigma. For D_q that is no posterior mean of any q it bounds the divergence of the law
    of its reverse diffusion.

    Args:
      noise_denoiser, reference: (noisy, sigma) -> denoised; `gahr.denoiser.blind` makes one of a blind denoiser.
      key: random key; image i meets the same noise sigma z_i at every level.
      clean: images (N, H, W, C) drawn from p.
      sigmas: increasing levels (S,), S >= 2.

    Returns:
      KLIntegral. The part below is extrapolated with the power law of the two smallest levels.

    Reference: Song et al. (2021), arXiv:2101.09258; Kadkhodaie et al. (2024), arXiv:2310.02557, equation 5.
    """
    normal = noise.standard_normal(key, clean)

    def difference(sigma: Array) -> Array:
        noisy = clean + sigma * normal
        return jnp.sum((noise_denoiser(noisy, sigma) - reference(noisy, sigma)) ** 2, (-3, -2, -1)) / sigma**2

    sigmas = jnp.asarray(sigmas)
    integrand = jax.lax.map(difference, sigmas)  # (S, N)
    per_image = _integral(integrand, jnp.log(sigmas))
    means = integrand.mean(1)
    power = jnp.log(means[1] / means[0]) / jnp.log(sigmas[1] / sigmas[0])
    below = jnp.where(power > 0, means[0] / jnp.where(power > 0, power, 1), jnp.inf)
    below = jnp.where(means[0] > 0, below, 0)
    above = jnp.sum(clean**2, (-3, -2, -1)).mean() / (2 * sigmas[-1] ** 2)
    return KLIntegral(per_image.mean(), _standard_error(per_image), means, below, above)


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

    Reference: Kong, Brekelmans and Ver Steeg (2023), arXiv:2302.03792.
    """
    sigmas, size = jnp.asarray(sigmas), clean[0].size

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
    scaled = factor * denoiser(noisy)
    return _norm(denoiser(factor * noisy) - scaled) / _norm(scaled)


def linearity_error(denoiser: Denoiser, noisy: Array) -> Array:
    """|J(y) y - D(y)| / |D(y)| per image (N,): zero for a bias-free denoiser.

    Images are treated together, so the denoiser must act on each by itself (evaluation mode).
    """
    denoised, pushed = jax.jvp(denoiser, (noisy,), (noisy,))
    return _norm(pushed - denoised) / _norm(denoised)


def _norm(images: Array) -> Array:
    return jnp.sqrt(jnp.sum(images**2, axis=(-3, -2, -1)))
