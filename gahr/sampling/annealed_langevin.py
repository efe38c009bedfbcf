"""Annealed Langevin dynamics: Song and Ermon (2019), arXiv:1907.05600, algorithm 1."""

import jax.numpy as jnp

from gahr.names import pick, require_positive, require_whole
from gahr.sampling import langevin, scheduled
from gahr.sampling.sampler import Sampler
from gahr.sampling.schedules import check_levels
from gahr.types import Array, with_options

FORMS = {"code": 1.0, "paper": 0.5}  # a of y + a g + sqrt(2 a) z, in units of step_size s^2 / s_L^2


def sampler(
    *,
    sigmas: Array,
    steps_per_level: int = 100,
    step_size: float = 2e-5,
    form: str = "code",
    mean: float | Array = 0.5,
    factor: Array | None = None,
) -> Sampler:
    """Sampler with several Langevin steps at each level, from large to small.

    At level s y + a g + sqrt(2 a) z with the score g = (D(y) - y) / s^2 and a = step_size s^2 / s_L^2. The defaults
    with `schedules.geometric()` are theirs. The step back from s_L is `driver.sample(..., final_denoise=True)`.

    Args:
      sigmas: levels (L,) that fall, image units, all positive; s_L is the last.
      steps_per_level: T.
      step_size: positive, squared image units; below 2 s_L^2 where the dynamics is not to diverge.
      form: "code", as above and as published code has it, or "paper", y + (b / 2) g + sqrt(b) z with
        b = step_size s^2 / s_L^2: steps half as large from the same number.
      mean, factor: of the start, N(mean, C + sigmas[0]^2 I), as `gahr.sampling.start.draw`.

    Raises:
      ValueError: a number out of its range, an unknown form, levels that do not fall, or are not positive.
    """
    require_whole("steps_per_level", steps_per_level)
    require_positive(step_size=step_size)
    levels = check_levels(sigmas, zero=False)
    fraction = pick("form", FORMS, form) * step_size / levels[-1] ** 2
    visited = jnp.append(jnp.repeat(levels, steps_per_level), levels[-1])
    return scheduled.sampler(with_options(langevin.rule, step_size=fraction), visited, mean=mean, factor=factor)
