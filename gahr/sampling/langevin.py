"""Unadjusted Langevin dynamics at one noise level."""

import jax.numpy as jnp

from gahr.names import require_positive, require_whole
from gahr.sampling import scheduled
from gahr.sampling.sampler import Sampler, normal
from gahr.sampling.scheduled import Now
from gahr.types import Array, Key, NoiseDenoiser, PyTree, with_options


def sampler(
    *,
    sigma: float,
    num_steps: int,
    step_size: float = 0.1,
    mean: float | Array = 0.5,
    factor: Array | None = None,
) -> Sampler:
    """Sampler of noisy images y of one level: y + a g + sqrt(2 a) z with the score g = (D(y) - y) / sigma^2.

    a = step_size sigma^2. Along a direction in which images have variance l, the variance tends to v / (1 - a / (2 v))
    with v = l + sigma^2, and a start is forgotten by 1 - a / v a step.

    Args:
      sigma: positive, image units.
      num_steps: steps.
      step_size: a / sigma^2, positive; below 2 where the dynamics is not to diverge.
      mean, factor: of the start, as in `gahr.sampling.euler.sampler`.

    Raises:
      ValueError: a number out of its range.

    Reference: Roberts and Tweedie (1996), Bernoulli 2, 341-363.
    """
    require_positive(sigma=sigma, step_size=step_size)
    require_whole("num_steps", num_steps)
    levels = jnp.full(num_steps + 1, sigma, jnp.float32)
    return scheduled.sampler(with_options(rule, step_size=step_size), levels, mean=mean, factor=factor)


def rule(noise_denoiser: NoiseDenoiser, keys: Key, now: Now, *, step_size: float) -> tuple[Array, PyTree]:
    """The rule of `scheduled.Rule`, with a = step_size sigma^2 at every level."""
    del noise_denoiser
    noise = (2 * step_size) ** 0.5 * now.sigma * normal(keys, now.images.shape[1:])
    return now.images + step_size * (now.denoised - now.images) + noise, now.memory
