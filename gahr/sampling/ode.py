"""The probability-flow ODE as a map between noise levels: samples, clean images to noise and back, between two samples.

dy/dsigma = (y - D(y; sigma)) / sigma, Song et al. (2021), arXiv:2011.13456. The maps are plain functions of images,
so `gahr.analysis.jacobian.jacobian(lambda y: solve(noise_denoiser, y, sigmas=...), noisy)` is the flow's Jacobian.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from gahr.names import pick
from gahr.sampling import driver, euler, multistep, scheduled
from gahr.sampling import heun as _heun
from gahr.sampling.schedules import check_levels
from gahr.types import Array, Key, NoiseDenoiser, with_options

SOLVERS = {  # name -> (rule, memory at its start)
    "euler": (euler.rule, scheduled.nothing),
    "heun": (_heun.rule, scheduled.nothing),
    "multistep": (multistep.rule, multistep.remember),
}


def solve(noise_denoiser: NoiseDenoiser, noisy: Array, *, sigmas: Array, solver: str = "heun") -> Array:
    """The image at the last level on the trajectory of the ODE through an image at the first.

    Args:
      noise_denoiser: (noisy, sigma) -> denoised.
      noisy: y at sigmas[0], (..., H, W, C), image units.
      sigmas: levels (L,) that fall, image units; the last may be 0.
      solver: "euler" (order 1, L - 1 calls), "heun" (order 2, twice as many) or "multistep" (order 3, L calls).

    Returns:
      y at sigmas[-1], shape of `noisy`; differentiable in both modes.

    Raises:
      ValueError: an unknown solver, levels that do not fall, or are not positive. Outside of `jax.jit` and other
        transformations also where the trajectory is not finite; the message says from which step on.
    """
    return _follow(noise_denoiser, noisy, check_levels(sigmas), solver)


def encode(noise_denoiser: NoiseDenoiser, clean: Array, *, sigmas: Array, solver: str = "heun") -> Array:
    """The noise that `solve` makes an image of: the ODE from the last level, where y is the image, up to the first.

    Arguments, result and errors as in `solve`, but all levels are positive; y at sigmas[0] is the result.
    """
    return _follow(noise_denoiser, clean, check_levels(sigmas, zero=False)[::-1], solver)


def heun(
    noise_denoiser: NoiseDenoiser,
    start: Key | Array,
    shape: tuple[int, int, int, int],
    *,
    sigmas: Array,
    mean: float | Array = 0.5,
    factor: Array | None = None,
    **how: Any,
) -> Array:
    """Samples by Heun's method, from a random key or from given noise.

    Args:
      noise_denoiser: (noisy, sigma) -> denoised.
      start: a key, or y at sigmas[0], (N, H, W, C).
      shape: (N, H, W, C) of the samples.
      sigmas, mean, factor: options of `gahr.sampling.heun.sampler`.
      how: options of `gahr.sampling.driver.sample`.

    Returns:
      Samples (N, H, W, C); NaN those that have diverged, of which `driver.sample` says at which step.

    Raises:
      ValueError: as `gahr.sampling.heun.sampler` and `driver.sample`; a start of another shape.
    """
    sampler, key = _heun.sampler(sigmas=sigmas, mean=mean, factor=factor), start
    if not jnp.issubdtype(start.dtype, jax.dtypes.prng_key):
        if start.shape != tuple(shape):
            raise ValueError(f"start must be a key or noise of shape {tuple(shape)}, got shape {start.shape}")
        sampler, key = sampler._replace(init=with_options(_given, start)), jax.random.key(0)  # which draws nothing
    samples, trace = driver.sample(sampler, noise_denoiser, key, shape, **how)
    return jnp.where(trace.diverged[:, None, None, None], jnp.nan, samples)


def slerp(one: Array, other: Array, fractions: Array, *, mean: float | Array = 0.5) -> Array:
    """Images between two noisy ones of one level, on the great circle about the mean, so that their noise is as large.

    m + [sin((1 - f) t) (y_1 - m) + sin(f t) (y_2 - m)] / sin t with t the angle between y_1 - m and y_2 - m.

    Args:
      one, other: y_1 and y_2, (H, W, C), not parallel.
      fractions: f, (F,), from 0 at y_1 to 1 at y_2.
      mean: m, image units: a number or an image.

    Returns:
      (F, H, W, C).
    """
    mean = jnp.broadcast_to(mean, one.shape)
    one, other = one - mean, other - mean
    cosine = jnp.vdot(one, other) / (jnp.linalg.norm(one.ravel()) * jnp.linalg.norm(other.ravel()))
    angle = jnp.arccos(jnp.clip(cosine, -1, 1))
    weights = jnp.sin(jnp.stack([1 - fractions, fractions]) * angle) / jnp.sin(angle)
    return mean[None] + jnp.einsum("pf,phwc->fhwc", weights, jnp.stack([one, other]))


def _follow(noise_denoiser: NoiseDenoiser, images: Array, levels: Array, solver: str) -> Array:
    rule, remember = pick("solver", SOLVERS, solver)
    flat = images.reshape(-1, *images.shape[-3:])
    state = scheduled.State(flat, jnp.zeros(len(flat), jnp.int32), remember(flat))

    def step(state: scheduled.State, _: None) -> tuple[scheduled.State, Array]:
        moved = scheduled.move(rule, levels, noise_denoiser, None, state)[0]
        return moved, jnp.isfinite(moved.images).all()

    end, is_finite = lax.scan(step, state, length=len(levels) - 1)
    if not isinstance(is_finite, jax.core.Tracer) and not is_finite.all():
        at = int(jnp.argmin(is_finite))
        raise ValueError(
            f"the trajectory is not finite from step {at + 1} on, sigma {float(levels[at]):.3g} to "
            f"{float(levels[at + 1]):.3g}: the denoiser diverges there"
        )
    return end.images.reshape(images.shape)


def _given(noise: Array, keys: Key, shape: tuple[int, int, int]) -> scheduled.State:
    del shape
    return scheduled.State(noise, jnp.zeros(len(keys), jnp.int32), ())
