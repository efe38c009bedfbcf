"""Measures of image difference, one value per image: (..., H, W, C) -> (...). Intensities in [0, 1]."""

import math

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


def ssim(clean: Array, denoised: Array, *, window_sigma: float = 1.5, reach: int = 5) -> Array:
    """Structural similarity for a range of 1, per image (...); 1 for equal images. Sides of 2 reach + 1 at least.

    Mean over windows w of (2 m m' + c1)(2 v' + c2) / ((m^2 + m'^2 + c1)(v + v'' + c2)), with means m, variances v, v''
    and covariance v' under a Gaussian window, c1 = 0.01^2, c2 = 0.03^2, over windows inside the image.

    Reference: Wang et al. (2004), IEEE Transactions on Image Processing 13, 600-612.
    """
    weights = jnp.exp(-(jnp.arange(-reach, reach + 1.0) ** 2) / (2 * window_sigma**2))
    weights = weights / weights.sum()

    def average(images: Array) -> Array:
        height, width = images.shape[-3] - 2 * reach, images.shape[-2] - 2 * reach
        down = sum(weight * images[..., i : i + height, :, :] for i, weight in enumerate(weights))
        return sum(weight * down[..., i : i + width, :] for i, weight in enumerate(weights))

    one, other = average(clean), average(denoised)
    variances = average(clean**2) - one**2 + average(denoised**2) - other**2
    covariance = average(clean * denoised) - one * other
    means = (2 * one * other + 1e-4) / (one**2 + other**2 + 1e-4)
    return jnp.mean(means * (2 * covariance + 9e-4) / (variances + 9e-4), axis=_IMAGE)


def input_psnr(sigma: Array) -> Array:
    """PSNR of the noisy image itself, -20 log10(sigma) in dB, sigma in image units."""
    return -20 * jnp.log10(sigma)


def sigma_of_input_psnr(decibel: Array) -> Array:
    """Noise level 10^(-dB / 20) in image units: the inverse of `input_psnr`."""
    return 10 ** (-jnp.asarray(decibel) / 20)


def unit(images: Array, *, centred: bool = True) -> Array:
    """Images scaled to Euclidean norm 1, each less its mean first where `centred`: (..., H, W, C), same shape.

    Their inner products are `cosine_similarity`. 0 where an image is constant (zero, if not centred), to float32
    rounding.
    """
    # the mean of a constant image is off by rounding, so what is left of it is noise
    least = 1e-10 * jnp.sum(images**2, _IMAGE, keepdims=True) if centred else 0
    if centred:
        images = images - images.mean(_IMAGE, keepdims=True)
    square = jnp.sum(images**2, _IMAGE, keepdims=True)
    return jnp.where(square > least, images / jnp.sqrt(jnp.where(square > least, square, 1)), 0)


def cosine_similarity(one: Array, other: Array, *, centred: bool = True) -> Array:
    """<a, b> / (|a| |b|) per image (...), each image less its mean where `centred`.

    Without centring, the mean grey level inflates the value. The result is 0 where an image is constant, to
    float32 rounding.
    """
    return jnp.sum(unit(one, centred=centred) * unit(other, centred=centred), _IMAGE)


def edge_kurtosis(images: Array) -> Array:
    """Kurtosis E v^4 / (E v^2)^2 of the differences v of neighbouring pixels, per image (...), without unit.

    3 for Gaussian fields of any spectrum; more where few places hold most of the change, as contours do. 0 where an
    image is constant.
    """
    down, right = jnp.diff(images, axis=-3), jnp.diff(images, axis=-2)
    number = math.prod(down.shape[-3:]) + math.prod(right.shape[-3:])
    square, fourth = (jnp.sum(down**k, _IMAGE) + jnp.sum(right**k, _IMAGE) for k in (2, 4))
    return number * fourth / jnp.where(square > 0, square, 1) ** 2
