"""Noise levels and noise: sigma laws and `add_noise`. sigma is in image units, per pixel."""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from gahr.names import is_number, require
from gahr.types import Array, Key


def quadratic(key: Key, shape: tuple[int, ...], *, sigma_min: float = 0.0, sigma_max: float = 1.0) -> Array:
    """sqrt(sigma) uniform between sqrt(sigma_min) and sqrt(sigma_max).

    On [0, 1] sigma = u^2: density 1 / (2 sqrt(sigma)), E sigma = 1/3, E sigma^2 = 1/5. The law of the
    published code of Kadkhodaie et al. (2024), arXiv:2310.02557.

    Args:
      key: random key.
      shape: shape of the result, usually (N,).
      sigma_min, sigma_max: ends of the range, image units.

    Returns:
      sigma of the given shape, image units.

    Raises:
      ValueError: a number is negative or not finite, or the range is empty or 0 alone; arrays are not looked at.
    """
    _check_range(sigma_min, sigma_max)
    return jax.random.uniform(key, shape, minval=sigma_min**0.5, maxval=sigma_max**0.5) ** 2


def uniform(key: Key, shape: tuple[int, ...], *, sigma_min: float = 0.0, sigma_max: float = 1.0) -> Array:
    """sigma uniform on [sigma_min, sigma_max]. Arguments, result and errors as in `quadratic`."""
    _check_range(sigma_min, sigma_max)
    return jax.random.uniform(key, shape, minval=sigma_min, maxval=sigma_max)


def log_uniform(key: Key, shape: tuple[int, ...], *, sigma_min: float = 0.01, sigma_max: float = 1.0) -> Array:
    """log(sigma) uniform: every input-PSNR level equally often. As `quadratic`, but sigma_min must be positive."""
    _check_range(sigma_min, sigma_max)
    require(isinstance(sigma_min, jax.Array) or sigma_min > 0, "sigma_min", sigma_min, "positive")
    return jnp.exp(jax.random.uniform(key, shape, minval=jnp.log(sigma_min), maxval=jnp.log(sigma_max)))


def lognormal(key: Key, shape: tuple[int, ...], *, log_mean: float = -1.2, log_sd: float = 1.2) -> Array:
    """log(sigma) normal with the given mean and standard deviation.

    The training law of Karras et al. (2022), arXiv:2206.00364, Table 1, in their units; for images in [0, 1]
    halve sigma, that is lower `log_mean` by log 2. ValueError for numbers that are not finite, or log_sd negative.
    """
    _check(log_mean=log_mean, least=-math.inf)
    _check(log_sd=log_sd)
    return jnp.exp(log_mean + log_sd * jax.random.normal(key, shape))


def fixed(key: Key, shape: tuple[int, ...], *, sigma: float) -> Array:
    """The same sigma for every image, not negative; `key` is not used."""
    del key
    _check(sigma=sigma)
    return jnp.full(shape, sigma)


def _check(*, least: float = 0.0, **options: float) -> None:
    """ValueError for an option that is not finite or below `least`; arrays, which may be traced, are not looked at."""
    for name, value in options.items():
        fits = isinstance(value, jax.Array) or (is_number(value) and math.isfinite(value) and value >= least)
        require(fits, name, value, "finite and not negative" if least == 0 else "finite")


def _check_range(sigma_min: float, sigma_max: float) -> None:
    _check(sigma_min=sigma_min, sigma_max=sigma_max)
    if not isinstance(sigma_min, jax.Array) and not isinstance(sigma_max, jax.Array):
        require(sigma_max > 0, "sigma_max", sigma_max, "positive")
        require(sigma_min <= sigma_max, "sigma_min", sigma_min, f"at most sigma_max = {sigma_max}")


class Law(NamedTuple):
    """A law of sigma, and what keeps the mean of 1 / sigma^2 finite under it, so that weights can be."""

    sample: Callable[..., Array]  # (key, shape, *, options) -> sigma of the given shape
    floor: str | None  # the option that sigma is never below; None where E 1 / sigma^2 is finite for all options


LAWS = {
    "quadratic": Law(quadratic, floor="sigma_min"),
    "uniform": Law(uniform, floor="sigma_min"),
    "log_uniform": Law(log_uniform, floor="sigma_min"),
    "lognormal": Law(lognormal, floor=None),
    "fixed": Law(fixed, floor="sigma"),
}


def standard_normal(key: Key, like: Array) -> Array:
    """Standard normal noise (..., H, W, C): image i of a batch draws from fold_in(key, i).

    Hence image i meets the same noise whatever the batch size or the number of devices.

    Args:
      key: random key.
      like: array (..., H, W, C) whose shape is wanted.

    Returns:
      Noise of the shape of `like`, float32. A single image (H, W, C) draws from `key` itself.
    """
    image = like.shape[-3:]
    if like.ndim == 3:
        return jax.random.normal(key, image)
    num_images = like.size // max(1, image[0] * image[1] * image[2])
    draw = jax.vmap(lambda i: jax.random.normal(jax.random.fold_in(key, i), image))
    return draw(jnp.arange(num_images)).reshape(like.shape)


def add_noise(key: Key, clean: Array, sigma: Array) -> Array:
    """noisy = clean + sigma z with z standard normal; not clipped.

    Args:
      key: random key; image i uses fold_in(key, i) (`standard_normal`).
      clean: images (..., H, W, C) in [0, 1].
      sigma: noise level in image units, () or one per image (...,).

    Returns:
      noisy, shape of `clean`.
    """
    return clean + per_image(sigma, clean) * standard_normal(key, clean)


def per_image(sigma: Array, images: Array) -> Array:
    """sigma, () or one per image (...,), as (..., 1, 1, 1), to multiply images (..., H, W, C)."""
    return jnp.broadcast_to(jnp.asarray(sigma, images.dtype), images.shape[:-3])[..., None, None, None]
