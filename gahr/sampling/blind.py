"""Samples from the prior that a blind denoiser embodies, by stochastic ascent of its log density.

Kadkhodaie and Simoncelli (2020), arXiv:2007.13640; as algorithm 1 in Kadkhodaie et al. (2024), arXiv:2310.02557.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gahr.names import require
from gahr.sampling import driver, start
from gahr.sampling.sampler import Info, Sampler, normal
from gahr.types import Array, Denoiser, Key, with_options


class State(NamedTuple):
    images: Array  # (n, H, W, C) y, image units
    steps: Array  # (n, 1, 1, 1) taken so far


def sampler(
    *,
    step_size: float = 0.01,
    beta: float = 0.1,
    sigma_start: float = 1.0,
    sigma_stop: float = 0.05,
    mean: float | Array = 0.5,
    factor: Array | None = None,
    growing: bool = False,
    sigma_limit: float = 2.0,
) -> Sampler:
    """Sampler of the prior of a denoiser that is not told sigma.

    From y_0 = m + sigma_start z repeat y <- y - h r + gamma z with r = y - D(y), sigma = |r| / sqrt(d),
    gamma^2 = [(1 - beta h)^2 - (1 - h)^2] sigma^2 and fresh z, until sigma <= sigma_stop. Where D removes exactly
    the noise, sigma falls by 1 - beta h a step: 2995 steps with the defaults, which are the paper's, and 97 with
    `growing`. The paper's listing looks at the sigma before its last step and thus takes one step more.

    Args:
      step_size: h, above 0 and at most 1: fraction of the residual removed in a step.
      beta: above 0 and at most 1; 1 adds no noise, small values much.
      sigma_start, sigma_stop: first and last noise level, image units.
      mean, factor: m of the start, and that of its covariance beyond the noise, as `gahr.sampling.start.draw`.
      growing: h_t = h t / (1 + h (t - 1)) as in the code of 2020 in place of h.
      sigma_limit: a sample whose sigma exceeds it, or is NaN, has diverged.

    Raises:
      ValueError: an option out of its range; a mean or factor of another shape than the images, once these are known.
    """
    _between("step_size", step_size, 0, 1)
    _between("beta", beta, 0, 1)
    _between("sigma_start", sigma_start, 0, sigma_limit)
    _between("sigma_stop", sigma_stop, 0, sigma_start)
    step = dict(step_size=step_size, beta=beta, sigma_stop=sigma_stop, growing=growing, sigma_limit=sigma_limit)
    return Sampler(with_options(_init, sigma_start=sigma_start, mean=mean, factor=factor), with_options(_step, **step))


def expected_steps(
    sigma_start: float, sigma_stop: float, step_size: float, beta: float, *, growing: bool = False
) -> int:
    """Steps of `sampler` where the denoiser removes exactly the noise, so that sigma falls by 1 - beta h_t."""
    sigma, t = sigma_start, 0
    while sigma > sigma_stop:
        sigma *= 1 - beta * (step_size * (t + 1) / (1 + step_size * t) if growing else step_size)
        t += 1
    return t


def ascend(
    denoiser: Denoiser,
    key: Key,
    shape: tuple[int, int, int, int],
    *,
    step_size: float = 0.01,
    beta: float = 0.1,
    sigma_start: float = 1.0,
    sigma_stop: float = 0.05,
    mean: float | Array = 0.5,
    factor: Array | None = None,
    growing: bool = False,
    sigma_limit: float = 2.0,
    **how: Any,
) -> tuple[Array, driver.Trace]:
    """Samples (N, H, W, C) and Trace of `sampler`, whose options these are; **how: those of `driver.sample`.

    The published code returns D(y), as final_denoise=True does; the paper's listing does not. Not jitted; a jitted
    caller takes a denoiser of `gahr.denoiser.bind` as an argument.
    """
    levels = dict(sigma_start=sigma_start, sigma_stop=sigma_stop, sigma_limit=sigma_limit)
    ascent = sampler(step_size=step_size, beta=beta, mean=mean, factor=factor, growing=growing, **levels)
    return driver.sample(ascent, denoiser, key, shape, **how)


def _init(
    keys: Key, shape: tuple[int, int, int], *, sigma_start: float, mean: float | Array, factor: Array | None
) -> State:
    images = start.draw(keys, shape, sigma=sigma_start, mean=mean, factor=factor)
    return State(images, jnp.zeros((len(keys), 1, 1, 1), jnp.int32))


def _step(
    denoiser: Denoiser,
    keys: Key,
    state: State,
    *,
    step_size: float,
    beta: float,
    sigma_stop: float,
    growing: bool,
    sigma_limit: float,
) -> tuple[State, Info]:
    images, t = state
    denoised = denoiser(images)
    residual = images - denoised
    sigma = jnp.sqrt(jnp.mean(residual**2, axis=(1, 2, 3), keepdims=True))
    h = step_size * (t + 1) / (1 + step_size * t) if growing else step_size
    gamma = sigma * jnp.sqrt(h * (1 - beta) * (2 - h * (1 + beta)))  # factored: 0 at beta = 1
    moved = images - h * residual + gamma * normal(keys, images.shape[1:])
    sigma = sigma[:, 0, 0, 0]
    return State(moved, t + 1), Info(denoised, sigma, stop=sigma <= sigma_stop, diverged=~(sigma <= sigma_limit))


def _between(name: str, value: float, low: float, high: float) -> None:
    """ValueError unless low < value <= high, as far as the values are known."""
    if not any(isinstance(number, jax.core.Tracer) for number in (value, low, high)):
        require(low < value <= high, name, value, f"above {low:g} and at most {high:g}")
