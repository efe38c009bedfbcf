"""The probability-flow ODE by Heun's method, order 2: Karras et al. (2022), arXiv:2206.00364, algorithm 1."""

import jax.numpy as jnp

from gahr.sampling import scheduled
from gahr.sampling.sampler import Sampler
from gahr.sampling.scheduled import Now
from gahr.sampling.schedules import check_levels
from gahr.types import Array, Key, NoiseDenoiser, PyTree


def sampler(*, sigmas: Array, mean: float | Array = 0.5, factor: Array | None = None) -> Sampler:
    """Sampler of the ODE by Heun's method, with two calls of the denoiser a step, and one in a step to 0.

    From slope r = (y - D(y; s)) / s and Euler's y_1 = y + (s' - s) r to y + (s' - s) (r + r') / 2, with r' the slope
    at y_1 and s'. Options and errors as in `gahr.sampling.euler.sampler`.
    """
    return scheduled.sampler(rule, check_levels(sigmas), mean=mean, factor=factor)


def rule(noise_denoiser: NoiseDenoiser, keys: Key, now: Now) -> tuple[Array, PyTree]:
    """The rule of `scheduled.Rule`; `keys` are not used."""
    del keys
    slope = (now.images - now.denoised) / now.sigma
    step = now.after - now.sigma
    euler = now.images + step * slope
    denoised = scheduled.denoise(noise_denoiser, euler, now.after)
    known = now.after > 0
    other = (euler - denoised) / jnp.where(known, now.after, 1)
    return now.images + step * jnp.where(known, (slope + other) / 2, slope), now.memory
