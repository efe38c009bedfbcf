"""Exact posterior of a disk in noise, by importance sampling over its five parameters.

Given radius and centre the image is linear in the two grey levels, so that these are drawn from their Gaussian
posterior and integrated exactly; what is sampled is three-dimensional. Proposals are a mixture of the prior and of two
Gaussians, fitted to pilot samples that start from a reference disk, and their weights contain no approximation.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp

from gahr.data import disks
from gahr.types import Array, Key

_SHARES = (0.2, 0.5, 0.3)  # of proposals: prior, near, wide
_SCALES = (1.5, 9.0)  # of the covariance of the near and the wide Gaussian
_FLOOR = 0.25  # of the covariance of the linear fit that is added to that of the pilot samples


class Posterior(NamedTuple):
    mean: Array  # (size, size, 1) E[x | y], the exact MMSE estimate
    trace: Array  # () tr Cov[x | y] / sigma^2: the trace of the exact denoiser's Jacobian
    effective: Array  # () effective sample size, 1 / sum w^2; 0 where every proposal was rejected and nothing is known
    standard_error: Array  # (size, size, 1) of the mean, by chance of the proposals: sqrt(sum w^2 (x - mean)^2)


class _Normal(NamedTuple):
    """A law of radius and centre."""

    centre: Array  # (3,)
    covariance: Array  # (3, 3)


def posterior_mean(
    noisy: Array, sigma: Array, key: Key, reference: disks.Parameters, *, size: int, num_samples: int
) -> Posterior:
    """E[x | y] and the trace of the posterior covariance.

    Args:
      noisy: image y = x + sigma z (size, size, 1), x a disk with the law of `gahr.data.disks.draw`.
      sigma: noise level, image units.
      key: random key of the proposals.
      reference: disk that proposals are made around, such as the true one. It changes how many samples are needed
        and not what they converge to.
      size: side in pixels.
      num_samples: proposals; look at `effective` before trusting the result.

    Returns:
      Posterior.
    """
    weights, deviations = _samples(noisy, sigma, key, reference, size, num_samples)
    shift = weights @ deviations
    squares = (deviations - shift[None]) ** 2
    trace = jnp.sum(weights @ squares) / sigma**2
    mean = disks.render(reference, size=size) + shift.reshape(noisy.shape)
    concentration = jnp.sum(weights**2)
    effective = jnp.where(concentration > 0, 1 / jnp.where(concentration > 0, concentration, 1), 0)
    return Posterior(mean, trace, effective, jnp.sqrt(weights**2 @ squares).reshape(noisy.shape))


def exact_jacobian(
    noisy: Array, sigma: Array, key: Key, reference: disks.Parameters, *, size: int, num_samples: int
) -> Array:
    """Jacobian Cov[x | y] / sigma^2 of the exact MMSE denoiser, (d, d); arguments as in `posterior_mean`.

    It is zero where every proposal was rejected.
    """
    weights, deviations = _samples(noisy, sigma, key, reference, size, num_samples)
    scaled = jnp.sqrt(weights)[:, None] * (deviations - (weights @ deviations)[None]) / sigma
    return scaled.T @ scaled


def _samples(
    noisy: Array, sigma: Array, key: Key, reference: disks.Parameters, size: int, num_samples: int
) -> tuple[Array, Array]:
    """Normalised weights (S,) and the sampled images less that of the reference (S, d).

    All is computed in deviations from the reference: at sigma = 0.01 the logarithm of the likelihood is a small
    difference of numbers near 10^6 otherwise.
    """
    keys = jax.random.split(key, 4)
    law = _fit(noisy, sigma, reference, size)
    pilot = _propose(keys[0], law, size, num_samples // 2)
    log_weights, _ = _weigh(noisy, sigma, keys[1], reference, pilot, law, size)
    # the root of the weights has the wider spread that a proposal needs; the floor is for few effective samples
    weights = _normalised(log_weights / 2)
    centre = law.centre + weights @ (pilot - law.centre[None])
    scaled = jnp.sqrt(weights)[:, None] * (pilot - centre[None])
    law = _Normal(centre, scaled.T @ scaled + _FLOOR * law.covariance)
    geometry = _propose(keys[2], law, size, num_samples)
    log_weights, deviations = _weigh(noisy, sigma, keys[3], reference, geometry, law, size)
    return _normalised(log_weights), deviations


def _normalised(log_weights: Array) -> Array:
    """exp(log_weights) over their sum (S,), and not NaN but zero where all are -infinity."""
    some = jnp.isfinite(log_weights.max())
    return jnp.where(some, jax.nn.softmax(jnp.where(some, log_weights, 0)), 0)


def _weigh(
    noisy: Array, sigma: Array, key: Key, reference: disks.Parameters, geometry: Array, law: _Normal, size: int
) -> tuple[Array, Array]:
    """Log weights (S,) and deviations (S, d) of proposed radii and centres (S, 3), with grey levels drawn for each."""
    keys = jax.random.split(key)

    def mask(position: Array) -> Array:
        return disks.render(disks.Parameters(1.0, 0.0, *position), size=size).ravel()

    old_contrast = reference.foreground - reference.background
    old_mask = mask(jnp.stack(reference[2:]))
    masks = jax.vmap(mask)(geometry)
    moved = old_contrast * (masks - old_mask[None])
    left = (noisy - disks.render(reference, size=size)).ravel()[None] - moved
    # left = rise * mask + lift + noise, where foreground - background rises by `rise` and background by `lift`
    means, left_means = masks.mean(1), left.mean(1)
    centred = masks - means[:, None]
    energy = jnp.maximum(jnp.sum(centred**2, 1), 1e-6)  # 0 for proposals without a pixel, which weigh nothing
    product = jnp.sum(centred * left, 1)
    squares = jnp.sum((left - left_means[:, None]) ** 2, 1) - product**2 / energy
    rise = product / energy + sigma / jnp.sqrt(energy) * jax.random.normal(keys[0], energy.shape)
    lift = left_means - rise * means + sigma / size * jax.random.normal(keys[1], energy.shape)
    background = reference.background + lift
    foreground = background + old_contrast + rise
    grey = (background >= 0) & (background <= 1) & (foreground >= 0) & (foreground <= 1)
    log_weights = (
        jax.vmap(lambda g: _log_prior(g, size))(geometry)
        - _log_proposal(geometry, law, size)
        - squares / (2 * sigma**2)
        - jnp.log(energy) / 2
    )
    deviations = rise[:, None] * masks + moved + lift[:, None]
    return jnp.where(grey, log_weights, -jnp.inf), deviations


def _fit(noisy: Array, sigma: Array, reference: disks.Parameters, size: int) -> _Normal:
    """One Gauss-Newton step from the reference."""
    tangents = disks.tangents(reference, size=size).reshape(5, -1)
    prior = 12 / jnp.array([1.0, 1.0, size, size, size]) ** 2  # the precision of uniform laws
    covariance = jnp.linalg.inv(tangents @ tangents.T / sigma**2 + jnp.diag(prior))
    residual = (noisy - disks.render(reference, size=size)).ravel()
    step = covariance @ (tangents @ residual) / sigma**2
    return _Normal(jnp.stack(reference[2:]) + step[2:], covariance[2:, 2:])


def _propose(key: Key, law: _Normal, size: int, num_samples: int) -> Array:
    """Radii and centres (S, 3) of the mixture; the kinds come in their shares without chance."""
    keys = jax.random.split(key, 2)
    draw = functools.partial(disks.draw, size=size)
    near, wide = (round(share * num_samples) for share in _SHARES[1:])
    prior = jnp.stack(jax.vmap(draw)(jax.random.split(keys[0], num_samples - near - wide))[2:], -1)
    scales = jnp.sqrt(jnp.repeat(jnp.array(_SCALES), jnp.array([near, wide]), total_repeat_length=near + wide))
    normal = jax.random.normal(keys[1], (near + wide, 3))
    spread = scales[:, None] * (normal @ jnp.linalg.cholesky(law.covariance).T)
    return jnp.concatenate([prior, law.centre[None] + spread])


def _log_prior(geometry: Array, size: int) -> Array:
    """Log density () of the law of `disks.draw` at one radius and centre (3,)."""
    smallest, largest = disks.radii(size)
    radius, position = geometry[0], geometry[1:]
    inside = (radius >= smallest) & (radius <= largest) & jnp.all((position >= radius) & (position <= size - radius))
    width = jnp.where(inside, size - 2 * radius, 1.0)
    return jnp.where(inside, -2 * jnp.log(width) - jnp.log(largest - smallest), -jnp.inf)


def _log_proposal(geometry: Array, law: _Normal, size: int) -> Array:
    """Log density (S,) of the mixture."""
    parts = [jax.vmap(lambda g: _log_prior(g, size))(geometry)]
    normal = jnp.linalg.solve(jnp.linalg.cholesky(law.covariance), (geometry - law.centre[None]).T)
    log_volume = (3 * jnp.log(2 * jnp.pi) + jnp.linalg.slogdet(law.covariance)[1]) / 2
    for scale in _SCALES:
        parts.append(-jnp.sum(normal**2, 0) / (2 * scale) - log_volume - 1.5 * jnp.log(scale))
    return jax.nn.logsumexp(jnp.stack(parts), axis=0, b=jnp.array(_SHARES)[:, None])
