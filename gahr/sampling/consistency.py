"""Samples of a consistency model in one step or a few: Song et al. (2023), arXiv:2303.01469, algorithm 1."""

import jax.numpy as jnp

from gahr.sampling import scheduled
from gahr.sampling.sampler import Sampler, normal
from gahr.sampling.scheduled import Now
from gahr.sampling.schedules import check_levels
from gahr.types import Array, Key, NoiseDenoiser, PyTree, with_options


def sampler(*, sigmas: Array, mean: float | Array = 0.5, factor: Array | None = None) -> Sampler:
    """Sampler that goes to the end of the trajectory and back to the next noise level with fresh noise.

    y <- f(y, s) + sqrt(s'^2 - e^2) z from each level s to the next s', with e the last level, at which f is the
    identity. Levels (T, e) are one call of f. Options and errors as in `gahr.sampling.euler.sampler`; the denoiser is
    f, as of `gahr.consistency.consistency_fn`. `gahr.sampling.level_search` finds levels. Zero-shot editing
    (algorithm 4 there) is `gahr.sampling.constraint.constrain` of this sampler: what is measured is put back into f.
    """
    levels = check_levels(sigmas)
    return scheduled.sampler(with_options(rule, least=levels[-1]), levels, mean=mean, factor=factor)


def rule(noise_denoiser: NoiseDenoiser, keys: Key, now: Now, *, least: Array) -> tuple[Array, PyTree]:
    """The rule of `scheduled.Rule`."""
    del noise_denoiser
    fresh = jnp.sqrt(jnp.maximum(now.after**2 - least**2, 0.0))
    return now.denoised + fresh * normal(keys, now.images.shape[1:]), now.memory
