"""EDM's stochastic sampler: Heun's method with noise added before each step. Karras et al. (2022), algorithm 2."""

import jax.numpy as jnp

from gahr.names import require
from gahr.sampling import heun, scheduled
from gahr.sampling.sampler import Sampler, normal
from gahr.sampling.scheduled import Now
from gahr.sampling.schedules import check_levels
from gahr.types import Array, Key, NoiseDenoiser, PyTree, with_options


def sampler(
    *,
    sigmas: Array,
    churn: float = 40.0,
    churn_min: float = 0.025,
    churn_max: float = 25.0,
    inflation: float = 1.003,
    mean: float | Array = 0.5,
    factor: Array | None = None,
) -> Sampler:
    """Sampler that raises the noise from s to (1 + g) s, g = min(churn / steps, sqrt(2) - 1), before each step.

    The defaults are those for ImageNet, in our unit. Images of the state have the raised level, so that a step calls
    the denoiser twice, as Heun's does. arXiv:2206.00364.

    Args:
      sigmas, mean, factor: as in `gahr.sampling.euler.sampler`.
      churn: not negative; 0 is `gahr.sampling.heun`.
      churn_min, churn_max: levels between which noise is added, image units.
      inflation: of the noise added, above 0.

    Raises:
      ValueError: a number out of its range, levels that do not fall, or are not positive.
    """
    require(0 <= churn < float("inf"), "churn", churn, "a number from 0")
    require(0 <= churn_min <= churn_max, "churn_min", churn_min, f"from 0 to churn_max = {churn_max:g}")
    require(0 < inflation < float("inf"), "inflation", inflation, "a positive number")
    levels = check_levels(sigmas)
    steps = len(levels) - 1
    gains = jnp.where((levels >= churn_min) & (levels <= churn_max), min(churn / steps, 2**0.5 - 1), 0.0)
    raised = levels * (1 + gains.at[-1].set(0.0))  # no step leaves the last
    noise = inflation * jnp.sqrt(raised**2 - levels**2)
    begin = dict(mean=mean, factor=factor, sigma_start=jnp.hypot(levels[0], noise[0]))
    return scheduled.sampler(with_options(rule, levels, noise), raised, **begin)


def rule(levels: Array, noise: Array, noise_denoiser: NoiseDenoiser, keys: Key, now: Now) -> tuple[Array, PyTree]:
    """The rule of `scheduled.Rule`, for the levels before noise of those levels is added."""
    after, added = (jnp.append(values, 0.0)[now.index + 1][:, None, None, None] for values in (levels, noise))
    images, memory = heun.rule(noise_denoiser, keys, now._replace(after=after))
    return images + added * normal(keys, images.shape[1:]), memory
