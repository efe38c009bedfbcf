"""Measures of image difference, one value per image: (..., H, W, C) -> (...). Intensities in [0, 1]."""

import jax.numpy as jnp

from gahr.types import Array

_IMAGE = (-3, -2, -1)


def mse(clean: Array, denoised: Array) -> Array:
    """Mean over pixels and channels of (clean - denoised)^2, per image (...)."""
    return jnp.mean(jnp.square(clean - denoised), axis=_IMAGE)


def psnr(clean: Array, denoised: Array) -> Array:
    """Peak signal-to-noise ratio -10 log10(mse) in dB for peak 1, per image (...).

    Averages over images are taken after the logarithm, as in Kadkhodaie et al. (2024), arXiv:2310.02557.
    """
    return -10 * jnp.log10(mse(clean, denoised))


def input_psnr(sigma: Array) -> Array:
    """PSNR of the noisy image itself, -20 log10(sigma) in dB, sigma in image units."""
    return -20 * jnp.log10(sigma)


def sigma_of_input_psnr(decibel: Array) -> Array:
    """Noise level 10^(-dB / 20) in image units: the inverse of `input_psnr`."""
    return 10 ** (-jnp.asarray(decibel) / 20)


def cosine_similarity(one: Array, other: Array, *, centred: bool = True) -> Array:
    """<a, b> / (|a| |b|) per image (...), each image less its mean where `centred`.

    Without centring, the mean grey level inflates the value. The result is 0 where an image is constant, to
    float32 rounding.
    """
    if not centred:
        return _cosine(one, other, 0.0)
    # the mean of a constant image is off by rounding, so what is left of it is noise
    rounding = 1e-12 * jnp.sum(one**2, _IMAGE) * jnp.sum(other**2, _IMAGE)
    return _cosine(*(image - image.mean(_IMAGE, keepdims=True) for image in (one, other)), rounding)


def _cosine(one: Array, other: Array, least: Array) -> Array:
    squares = jnp.sum(one**2, _IMAGE) * jnp.sum(other**2, _IMAGE)
    defined = squares > least
    return jnp.where(defined, jnp.sum(one * other, _IMAGE) / jnp.sqrt(jnp.where(defined, squares, 1)), 0)
