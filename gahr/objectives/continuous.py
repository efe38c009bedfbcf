"""Consistency in continuous time: an end point that does not change along a trajectory."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from gahr.names import require, require_positive
from gahr.noise import lognormal, per_image, standard_normal
from gahr.preconditioning import scales
from gahr.types import Array, Key, NoiseDenoiser, PyTree


def loss(
    network: Any,
    variables: PyTree,
    key: Key,
    clean: Array,
    *,
    teacher: NoiseDenoiser | None = None,
    step: Array | int = 0,
    sigma_min: float = 0.001,
    sigma_max: float = 40.0,
    sigma_data: float = 0.25,
    log_mean: float = -1.7,
    log_sd: float = 1.4,
    warmup: int = 1_000,
    offset: float = 0.1,
) -> tuple[Array, PyTree]:
    """Mean over images and pixels of (f / c - stop(f / c - n(g / c)))^2, f = y_t - network(y_t, t).

    g = p df/dln(t) + (1 - p) c_skip (f - x) is how f changes along the trajectory, dy/dln(t) = t z without a teacher
    and y - D(y, t) with one, where D(y, t) stands for x as well; p rises from 0, where the loss is one of denoising, to
    1 in the warm-up. c = t s / sqrt(t^2 + s^2) and c_skip = s^2 / (t^2 + s^2) are the scales of `gahr.preconditioning`,
    and n(g) = g / (|g| / sqrt(d) + offset). The gradient is that of `gahr.objectives.consistency` for neighbours at no
    distance, so that no grid of levels is chosen. In an angle for t, t = s tan(angle), it is that of the reference.

    Args:
      network, variables, key, clean, teacher, step: as `gahr.objectives.consistency.loss`.
      sigma_min, sigma_max: t is kept between them, image units.
      sigma_data: s, standard deviation of the images' pixels, image units.
      log_mean, log_sd: of log t, which is normal.
      warmup: training steps in which p rises.
      offset: by which small tangents stay small, in units of c.

    Returns:
      The loss (), of which only the gradient tells anything, and what changes in the variables besides the parameters.

    Raises:
      ValueError: a number that cannot be.

    Reference: Lu and Song (2024), arXiv:2410.11081, without its trained weights of t.
    """
    require_positive(sigma_data=sigma_data, log_sd=log_sd, offset=offset)
    require(0 < sigma_min < sigma_max, "sigma_min", sigma_min, f"above 0 and below sigma_max = {sigma_max}")
    require(warmup >= 0, "warmup", warmup, "at least 0")
    key_level, key_noise, key_dropout = jax.random.split(key, 3)
    t = jnp.clip(lognormal(key_level, clean.shape[:1], log_mean=log_mean, log_sd=log_sd), sigma_min, sigma_max)
    noisy = clean + per_image(t, clean) * standard_normal(key_noise, clean)
    ends = clean if teacher is None else teacher(noisy, t)

    def endpoint(variables: PyTree, noisy: Array, sigma: Array) -> tuple[Array, PyTree]:
        residual, updates = network(variables, noisy, sigma, train=True, key=key_dropout)
        return noisy - residual, updates

    found, updates = endpoint(variables, noisy, t)
    still = lax.stop_gradient(variables)  # the tangent is part of a target, and need not be differentiated
    frozen, along = jax.jvp(lambda *point: endpoint(still, *point)[0], (noisy, t), (noisy - ends, t))
    share = jnp.minimum(1.0, step / max(1, warmup))
    c = scales(t, sigma_data=sigma_data, sigma_min=0.0)
    tangent = (share * along + (1 - share) * c.skip * (frozen - ends)) / c.out
    size = jnp.sqrt(jnp.mean(tangent**2, (1, 2, 3), keepdims=True))
    target = lax.stop_gradient(frozen / c.out - tangent / (size + offset))
    return jnp.mean((found / c.out - target) ** 2), updates
