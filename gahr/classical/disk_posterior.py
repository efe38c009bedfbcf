"""Exact posterior of a disk in noise, by importance sampling over its five parameters.

Given radius and centre the image is linear in the two grey levels, so that these are drawn from their Gaussian
posterior and integrated exactly; what is sampled is three-dimensional. Proposals are a mixture of the prior and of two
Gaussians, fitted to pilot samples that start from a reference disk, and their weights contain no approximation. Rounds
of proposals follow one another until enough of them count.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from gahr.data import disks
from gahr.types import Array, Key, PyTree

_SHARES = (0.2, 0.5, 0.3)  # of proposals: prior, near, wide
_SCALES = (1.5, 9.0)  # of the covariance of the near and the wide Gaussian
_FLOOR = 0.25  # of the covariance before that is added to that of the pilot samples
_POWERS = (0.5, 1.0)  # of the weights that the proposals are fitted with in turn: first the wider spread of their root


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
    noisy: Array,
    sigma: Array,
    key: Key,
    reference: disks.Parameters,
    *,
    size: int,
    num_samples: int,
    least_effective: float = 100.0,
    max_rounds: int = 64,
) -> Posterior:
    """E[x | y] and the trace of the posterior covariance.

    Args:
      noisy: image y = x + sigma z (size, size, 1), x a disk with the law of `gahr.data.disks.draw`.
      sigma: noise level, image units.
      key: random key of the proposals.
      reference: disk that proposals are made around, such as the true one. It changes how many samples are needed
        and not what they converge to.
      size: side in pixels.
      num_samples: proposals of a round.
      least_effective: effective sample size that ends the rounds; a faint disk in much noise needs many.
      max_rounds: most rounds; look at `effective` before trusting the result.

    Returns:
      Posterior.
    """
    statistics = lambda weights, deviations: (weights @ deviations, weights @ deviations**2)
    options = dict(size=size, num_samples=num_samples, least_effective=least_effective, max_rounds=max_rounds)
    first, second = _integrate(statistics, noisy, sigma, key, reference, **options)
    shift, squares = first[1:]
    trace = jnp.sum(squares - first[0] * shift**2) / sigma**2
    mean = disks.render(reference, size=size) + shift.reshape(noisy.shape)
    effective = jnp.where(second[0] > 0, 1 / jnp.where(second[0] > 0, second[0], 1), 0)
    variance = second[2] - 2 * second[1] * shift + second[0] * shift**2  # sum w^2 (x - mean)^2
    return Posterior(mean, trace, effective, jnp.sqrt(jnp.maximum(variance, 0)).reshape(noisy.shape))


def exact_jacobian(
    noisy: Array,
    sigma: Array,
    key: Key,
    reference: disks.Parameters,
    *,
    size: int,
    num_samples: int,
    least_effective: float = 100.0,
    max_rounds: int = 64,
) -> Array:
    """Jacobian Cov[x | y] / sigma^2 of the exact MMSE denoiser, (d, d); arguments as in `posterior_mean`.

    It is zero where every proposal was rejected.
    """
    statistics = lambda weights, deviations: (weights @ deviations, (weights[:, None] * deviations).T @ deviations)
    options = dict(size=size, num_samples=num_samples, least_effective=least_effective, max_rounds=max_rounds)
    (total, shift, moment), _ = _integrate(statistics, noisy, sigma, key, reference, **options)
    return (moment - total * jnp.outer(shift, shift)) / sigma**2


def _integrate(
    statistics: Callable[[Array, Array], tuple[Array, ...]],
    noisy: Array,
    sigma: Array,
    key: Key,
    reference: disks.Parameters,
    *,
    size: int,
    num_samples: int,
    least_effective: float,
    max_rounds: int,
) -> tuple[PyTree, PyTree]:
    """Two tuples of sums over all samples, by normalised weights w and by w^2: of 1 and of the statistics.

    `statistics` (weights (S,), deviations (S, d)) sums what is linear in the weights; all is zero where every proposal
    was rejected. Images are taken as deviations from the reference: at sigma = 0.01 the logarithm of the likelihood
    is a small difference of numbers near 10^6 otherwise.
    """
    key_law, key = jax.random.split(key)
    law = _fit(noisy, sigma, reference, size)
    for step, power in enumerate(_POWERS):
        law = _fit_again(law, noisy, sigma, jax.random.fold_in(key_law, step), reference, size, num_samples // 2, power)

    def summed(weights: Array, deviations: Array) -> tuple[Array, ...]:
        return weights.sum(), *statistics(weights, deviations)

    def add(carry: tuple) -> tuple:
        number, most, first, second = carry
        keys = jax.random.split(jax.random.fold_in(key, number))
        geometry = _propose(keys[0], law, size, num_samples)
        log_weights, deviations = _weigh(noisy, sigma, keys[1], reference, geometry, law, size)
        new = jnp.maximum(most, log_weights.max())
        common = jnp.where(jnp.isfinite(new), new, 0)
        shrink, weights = jnp.exp(most - common), jnp.exp(log_weights - common)
        first = jax.tree.map(lambda old, more: shrink * old + more, first, summed(weights, deviations))
        second = jax.tree.map(lambda old, more: shrink**2 * old + more, second, summed(weights**2, deviations))
        return number + 1, new, first, second

    def is_wanting(carry: tuple) -> Array:
        number, _, first, second = carry
        return (number < max_rounds) & ((second[0] == 0) | (first[0] ** 2 < least_effective * second[0]))

    blank = jax.eval_shape(
        summed, jax.ShapeDtypeStruct((1,), noisy.dtype), jax.ShapeDtypeStruct((1, noisy.size), noisy.dtype)
    )
    zeros = jax.tree.map(lambda like: jnp.zeros_like(noisy, shape=like.shape), blank)
    start = 0, jnp.asarray(-jnp.inf, noisy.dtype), zeros, zeros
    _, _, first, second = jax.lax.while_loop(is_wanting, add, start)
    total = jnp.where(first[0] > 0, first[0], 1)
    return jax.tree.map(lambda value: value / total, first), jax.tree.map(lambda value: value / total**2, second)


def _fit_again(
    law: _Normal,
    noisy: Array,
    sigma: Array,
    key: Key,
    reference: disks.Parameters,
    size: int,
    num_samples: int,
    power: float,
) -> _Normal:
    """Mean and covariance of pilot samples by a power of their weights; the floor is for few effective samples."""
    keys = jax.random.split(key)
    pilot = _propose(keys[0], law, size, num_samples)
    weights = _normalised(power * _weigh(noisy, sigma, keys[1], reference, pilot, law, size)[0])
    centre = law.centre + weights @ (pilot - law.centre[None])
    scaled = jnp.sqrt(weights)[:, None] * (pilot - centre[None])
    return _Normal(centre, scaled.T @ scaled + _FLOOR * law.covariance)


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
