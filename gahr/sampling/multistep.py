"""The probability-flow ODE by a multistep method of order 3, from the slopes at the last three levels.

Adams and Bashforth's with steps of any size; the integral of the parabola in sigma is that of Zhang and Chen (2022),
arXiv:2204.13902 (rho-AB). Heun's method makes the first step, since one of order 1 would leave the whole at order 2.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jax import lax

from gahr.sampling import heun, scheduled
from gahr.sampling.sampler import Sampler
from gahr.sampling.scheduled import Now
from gahr.sampling.schedules import check_levels
from gahr.types import Array, Key, NoiseDenoiser


class Memory(NamedTuple):
    slopes: tuple[Array, Array]  # (n, H, W, C) each, at the last level and the one before
    sigmas: tuple[Array, Array]  # (n, 1, 1, 1) each


def sampler(*, sigmas: Array, mean: float | Array = 0.5, factor: Array | None = None) -> Sampler:
    """Sampler of the ODE with one call of the denoiser a step, and two in the first.

    Options and errors as in `gahr.sampling.euler.sampler`.
    """
    return scheduled.sampler(rule, check_levels(sigmas), mean=mean, factor=factor, remember=remember)


def remember(images: Array) -> Memory:
    """The memory at the start; its levels only have to differ."""
    none = jnp.zeros_like(images)
    return Memory((none, none), (none[:, :1, :1, :1] - 1, none[:, :1, :1, :1] - 2))


def rule(noise_denoiser: NoiseDenoiser, keys: Key, now: Now) -> tuple[Array, Memory]:
    """The rule of `scheduled.Rule`; `keys` are not used."""
    slopes, sigmas = now.memory
    slope, step = (now.images - now.denoised) / now.sigma, now.after - now.sigma
    one, two = (sigma - now.sigma for sigma in sigmas)
    # Newton's form of the parabola through the slopes, integrated from 0 to the step
    rise = (slopes[0] - slope) / one
    bend = ((slopes[1] - slopes[0]) / (two - one) - rise) / two
    bend = jnp.where((now.index > 1)[:, None, None, None], bend, 0)
    moved = now.images + step * slope + step**2 / 2 * rise + step**2 * (step / 3 - one / 2) * bend
    first = now.index == 0
    started = lax.cond(
        jnp.any(first), lambda: heun.rule(noise_denoiser, keys, now._replace(memory=()))[0], lambda: moved
    )
    images = jnp.where(first[:, None, None, None], started, moved)
    return images, Memory((slope, slopes[0]), (now.sigma, sigmas[0]))
