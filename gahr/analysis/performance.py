"""How well a denoiser removes noise: PSNR curves and their slopes."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gahr import metrics, noise
from gahr.analysis.checks import check_images
from gahr.blocks import in_chunks
from gahr.types import Array, Denoiser, Key, Sharding


class PsnrCurve(NamedTuple):
    input_psnr: Array  # (S,) dB, -20 log10(sigma)
    psnr: Array  # (N, S) dB, per image and noise level


class Slope(NamedTuple):
    slope: Array  # () dB of output per dB of input, mean over images
    standard_error: Array  # () of that mean


def psnr_curve(
    denoiser: Denoiser, key: Key, clean: Array, *, sigmas: Array, chunk: int = 4, sharding: Sharding | None = None
) -> PsnrCurve:
    """PSNR of the denoised images at each noise level.

    Image i is given the noise sigma z_i with one z_i for all levels, drawn from fold_in(key, i): differences
    between levels, hence slopes, vary less than with separate draws.

    Args:
      denoiser: estimate of the clean image; it is not told sigma.
      key: random key.
      clean: images (N, H, W, C) in [0, 1].
      sigmas: noise levels (S,), image units.
      chunk, sharding: images denoised at a time, each at all S levels, as `gahr.blocks.in_chunks`.

    Returns:
      PsnrCurve; averages over images are taken over `psnr`, after the logarithm (arXiv:2310.02557).

    Raises:
      ValueError: wrong rank or dtype of images or levels, NaN, a denoiser that changes the shape, or chunk below 1.
    """
    sigmas = jnp.asarray(sigmas)
    if sigmas.ndim != 1:
        raise ValueError(f"the noise levels must be (S,), got shape {sigmas.shape}")
    levels = len(sigmas)
    check_images(lambda image: denoiser(jnp.stack([image] * levels))[0], clean)  # as `curve` calls it

    def curve(pair: tuple[Array, Array]) -> Array:
        image, normal = pair
        noisy = image[None] + sigmas[:, None, None, None] * normal[None]  # (S, H, W, C)
        return metrics.psnr(image[None], denoiser(noisy))

    pairs = clean, noise.standard_normal(key, clean)
    return PsnrCurve(metrics.input_psnr(sigmas), in_chunks(jax.vmap(curve), pairs, chunk=chunk, sharding=sharding))


def psnr_slope(input_psnr: Array, psnr: Array, *, between: tuple[float, float]) -> Slope:
    """Slope of output against input PSNR over a range, by least squares on each image.

    The mean of the images' slopes is the slope of the mean curve; their spread gives its error. For a class
    of images on which the optimal mse is proportional to sigma^(2 r), the slope is r: alpha / (alpha + 1) for
    C^alpha images (Korostelev and Tsybakov; arXiv:2310.02557, equation 8).

    Args:
      input_psnr: (S,) dB.
      psnr: (N, S) dB, one row per image, N >= 2.
      between: lowest and highest input PSNR used, dB; ends included.

    Returns:
      Slope.

    Raises:
      ValueError: fewer than two levels in the range, or fewer than two images.
    """
    input_psnr, psnr = np.asarray(input_psnr), np.asarray(psnr)
    inside = levels_between(input_psnr, between)
    if inside.sum() < 2:
        raise ValueError(
            f"the range {between[0]:g} to {between[1]:g} dB holds {inside.sum()} noise levels; a slope needs two"
        )
    if psnr.ndim != 2 or len(psnr) < 2:
        raise ValueError(f"psnr must be (N, S) with N >= 2 for a standard error, got shape {psnr.shape}")
    centred = input_psnr[inside] - input_psnr[inside].mean()
    slopes = psnr[:, inside] @ (centred / (centred**2).sum())  # (N,)
    return Slope(slopes.mean(), slopes.std(ddof=1) / np.sqrt(len(slopes)))


def levels_between(input_psnr: Array, between: tuple[float, float]) -> np.ndarray:
    """Mask (S,) of the levels from lowest to highest dB, ends included to rounding."""
    low, high = between
    return (input_psnr >= low - 1e-4) & (input_psnr <= high + 1e-4)


def local_slope(input_psnr: Array, psnr: Array) -> Array:
    """Derivative of the mean curve at each level, (S,), by differences of neighbours; psnr is (N, S)."""
    return np.gradient(np.asarray(psnr).mean(0), np.asarray(input_psnr))
