"""Pairs of noise levels t > r on one trajectory, between which a consistency model is held equal.

A law is (key, shape, step, *, options) -> (t, r, weight), of the given shape each. sigma_min is where f is the
identity, sigma_max where samples start; both in image units. Constants of publications whose images are in [-1, 1], of
standard deviation 0.5, are halved here, for images in [0, 1].
"""

import math

import jax
import jax.numpy as jnp

from gahr.noise import lognormal
from gahr.types import Array, Key


def ect(
    key: Key,
    shape: tuple[int, ...],
    step: Array,
    *,
    sigma_min: float = 0.001,
    sigma_max: float = 40.0,
    log_mean: float = -1.1 - math.log(2),
    log_sd: float = 2.0,
    ratio: float = 2.0,
    stage_steps: int = 1_000,
    last_stage: int = 7,
    widening: float = 8.0,
    slope: float = 2.0,
) -> tuple[Array, Array, Array]:
    """Easy consistency tuning: from denoising, r = 0, to r near t by stages; weight 1 / (t - r).

    log t is normal, and r = max(0, t (1 - q^-(a + 1) (1 + k sigmoid(-b t)))) at stage a = step / stage_steps.

    Args:
      key: random key.
      shape: of the result, usually (N,).
      step: training steps done, ().
      sigma_min, sigma_max: t is kept between them.
      log_mean, log_sd: of log t.
      ratio: q; above 1.
      stage_steps, last_stage: training steps of a stage, and the stage that stays.
      widening, slope: k and b, the latter per image unit.

    Returns:
      t, r (r = 0 where f(y, t) is to be x itself), and weight.

    Reference: Geng et al. (2024), arXiv:2406.14548, section 4 and published code.
    """
    t = jnp.clip(lognormal(key, shape, log_mean=log_mean, log_sd=log_sd), sigma_min, sigma_max)
    stage = jnp.minimum(step // stage_steps, last_stage)
    share = ratio ** -(stage + 1.0) * (1 + widening * jax.nn.sigmoid(-slope * t))
    r = jnp.maximum(0.0, t * (1 - share))
    r = jnp.where(r < sigma_min, 0.0, r)
    return t, r, 1 / (t - r)


def ict(
    key: Key,
    shape: tuple[int, ...],
    step: Array,
    *,
    sigma_min: float = 0.001,
    sigma_max: float = 40.0,
    log_mean: float = -1.1 - math.log(2),
    log_sd: float = 2.0,
    first: int = 10,
    last: int = 1_280,
    doubling_steps: int = 1_000,
) -> tuple[Array, Array, Array]:
    """Improved consistency training: neighbours of a grid whose steps double in number; weight 1 / (t - r).

    Points of the grid as in `ct`. The pair above point i has probability proportional to that of a normal law of log
    sigma between its ends.

    Args:
      key, shape, step, sigma_min, sigma_max: as `ect`.
      log_mean, log_sd: of the normal law.
      first, last, doubling_steps: the grid has min(first 2^(step // doubling_steps), last) steps.

    Reference: Song and Dhariwal (2023), arXiv:2310.14189, sections 3.4 and 3.5.
    """
    doublings = jnp.minimum(step // doubling_steps, math.ceil(math.log2(last / first)))
    steps = jnp.minimum(first * 2**doublings, last)
    points = _point(jnp.arange(last + 1), steps, sigma_min, sigma_max)
    normal = jax.scipy.special.erf((jnp.log(points) - log_mean) / (math.sqrt(2) * log_sd))
    below = jnp.cumsum(jnp.where(jnp.arange(last) < steps, jnp.diff(normal), 0))
    index = jnp.searchsorted(below, below[-1] * jax.random.uniform(key, shape), side="right")
    index = jnp.minimum(index, steps - 1)
    t, r = points[index + 1], points[index]
    return t, r, 1 / (t - r)


def ct(
    key: Key,
    shape: tuple[int, ...],
    step: Array,
    *,
    sigma_min: float = 0.001,
    sigma_max: float = 40.0,
    first: int = 2,
    last: int = 150,
    num_steps: int = 10_000,
) -> tuple[Array, Array, Array]:
    """The first consistency training: neighbours of a growing grid, all alike; weight 1.

    Point i of n steps is (e^(1/7) + (i / n) (T^(1/7) - e^(1/7)))^7 from e = sigma_min to T = sigma_max.

    Args:
      key, shape, step, sigma_min, sigma_max: as `ect`.
      first, last, num_steps: the grid grows from `first` to `last` steps in `num_steps` training steps as the root of
        what is between their squares.

    Reference: Song et al. (2023), arXiv:2303.01469, algorithm 3 and appendix C; the target there is an average of the
    network's past, which arXiv:2310.14189 shows to be a mistake.
    """
    grown = jnp.minimum(step / num_steps, 1.0) * ((last + 1) ** 2 - first**2) + first**2
    steps = jnp.clip(jnp.ceil(jnp.sqrt(grown) - 1), 1, last)
    index = jnp.floor(jax.random.uniform(key, shape) * steps)
    t, r = (_point(index + 1, steps, sigma_min, sigma_max), _point(index, steps, sigma_min, sigma_max))
    return t, r, jnp.ones_like(t)


def _point(index: Array, steps: Array, sigma_min: float, sigma_max: float) -> Array:
    low, high = sigma_min ** (1 / 7), sigma_max ** (1 / 7)
    return (low + index / steps * (high - low)) ** 7


PAIRS = {"ect": ect, "ict": ict, "ct": ct}
