"""Consistency: one and the same end point from two noise levels of a trajectory."""

import math
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from gahr.names import options_of, pick, require
from gahr.noise import per_image, standard_normal
from gahr.objectives.pairs import PAIRS
from gahr.types import Array, Key, NoiseDenoiser, PyTree


def loss(
    network: Any,
    variables: PyTree,
    key: Key,
    clean: Array,
    *,
    teacher: NoiseDenoiser | None = None,
    step: Array | int = 0,
    pairs: str = "ect",
    solver: str = "heun",
    huber: float = 0.00027,
    **pair_options: float,
) -> tuple[Array, PyTree]:
    """Mean over images of w(t, r) rho(f(y_t, t) - f(y_r, r)), y_t = x + t z and f(y, sigma) = y - network(y, sigma).

    Without a teacher y_r = x + r z (consistency training); with one, which may be blind, y_r is a step of the
    probability-flow ODE from y_t (distillation), for which only the ratio of the levels is needed:
    y_r = y_t + (1 - r / t) (D(y_t, t) - y_t) by Euler. f(y_r, r) is a target, through which no gradient goes, with the
    dropout of f(y_t, t); at r = 0 it is y_r itself, so that the loss is one of denoising.
    rho(u) = sqrt(|u|^2 + c^2) - c with the norm over the image.

    Args:
      network: told sigma, `network(variables, noisy, sigma, train=True, key=key)`, as of `denoiser.network_of`.
      variables: {"params": ..., "batch_stats": ...}.
      key: random key, for noise levels, noise and dropout.
      clean: images x (N, H, W, C) in [0, 1].
      teacher: None, or (noisy, sigma) -> denoised.
      step: training steps done, (), which the pairs draw together with.
      pairs: law of (t, r), a key of `gahr.objectives.pairs.PAIRS`.
      solver: "heun" or "euler" of the teacher's step.
      huber: c / sqrt(d), image units; 0 for the norm itself.
      **pair_options: options of the law.

    Returns:
      The loss (), and what changes in the variables besides the parameters.

    Raises:
      ValueError: an unknown name or option, or a number that cannot be.

    Reference: Song et al. (2023), arXiv:2303.01469; Song and Dhariwal (2023), arXiv:2310.14189, for rho.
    """
    law, solve = pick("pairs", PAIRS, pairs), pick("solver", SOLVERS, solver)
    require(huber >= 0, "huber", huber, "at least 0")
    options = options_of(law, pair_options)
    low, high = options["sigma_min"], options["sigma_max"]
    require(0 < low < high, "sigma_min", low, f"above 0 and below sigma_max = {high}")
    key_pairs, key_noise, key_dropout = jax.random.split(key, 3)
    t, r, weight = law(key_pairs, clean.shape[:1], step, **options)
    wide = lambda values: per_image(values, clean)
    normal = standard_normal(key_noise, clean)
    start = clean + wide(t) * normal
    end = clean + wide(r) * normal if teacher is None else solve(teacher, start, t, r)

    def endpoint(noisy: Array, sigma: Array) -> tuple[Array, PyTree]:
        residual, updates = network(variables, noisy, sigma, train=True, key=key_dropout)
        return noisy - residual, updates

    found, updates = endpoint(start, t)
    target = jnp.where(wide(r) > 0, endpoint(end, jnp.maximum(r, low))[0], end)
    squares = jnp.sum((found - lax.stop_gradient(target)) ** 2, (1, 2, 3))
    offset = huber * math.sqrt(math.prod(clean.shape[1:]))
    return jnp.mean(weight * _root(squares, offset)), updates


def _root(squares: Array, offset: float) -> Array:
    """sqrt(squares + offset^2) - offset, whose gradient at 0 is 0 also where the offset is."""
    if offset:
        return jnp.sqrt(squares + offset**2) - offset
    positive = squares > 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, squares, 1.0)), 0.0)


def euler(teacher: NoiseDenoiser, noisy: Array, t: Array, r: Array) -> Array:
    """Step of dy/dsigma = (y - D(y, sigma)) / sigma from images at t to r, (N,) each."""
    return noisy + per_image(1 - r / t, noisy) * (teacher(noisy, t) - noisy)


def heun(teacher: NoiseDenoiser, noisy: Array, t: Array, r: Array) -> Array:
    """The same with the mean of the slopes at both ends; Euler's where r = 0, at which there is no slope."""
    wide = lambda values: per_image(values, noisy)
    first = euler(teacher, noisy, t, r)
    slope, inner = (noisy - teacher(noisy, t)) / wide(t), jnp.where(r > 0, r, t)
    other = (first - teacher(first, inner)) / wide(inner)
    return jnp.where(wide(r) > 0, noisy + wide(r - t) * (slope + other) / 2, first)


SOLVERS = {"euler": euler, "heun": heun}
