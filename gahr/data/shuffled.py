"""C^alpha images with their pixels in another order, the same for all: as easy to denoise, but without geometry.

Kadkhodaie et al. (2024), arXiv:2310.02557, appendix C.3, where the images are faces. White noise stays white noise
in any order, so the optimal denoiser is that of the images as they were, between `unshuffle` and `shuffle`.
"""

import jax
import jax.numpy as jnp

from gahr.data import calpha
from gahr.types import Array, Key


def _order(num_pixels: int, seed: int) -> Array:
    return jax.random.permutation(jax.random.key(seed), num_pixels)


def permutation(size: int, seed: int) -> Array:
    """Where the pixels of a shuffled image come from.

    Args:
      size: side of the images in pixels.
      seed: chooses the permutation.

    Returns:
      Permutation (d,) of 0, ..., d - 1 with d = size^2: pixel i, row by row, is pixel permutation[i] of the image.
    """
    return _order(size * size, seed)


def _take(images: Array, order: Array) -> Array:
    *batch, height, width, channels = images.shape
    flat = images.reshape(*batch, height * width, channels)
    return jnp.take(flat, order, axis=-2).reshape(images.shape)


def shuffle(images: Array, *, permutation_seed: int = 0) -> Array:
    """Images with their pixels permuted; the channels of a pixel stay together.

    Args:
      images: images (..., H, W, C).
      permutation_seed: chooses the permutation of the H W pixels.

    Returns:
      Shuffled images (..., H, W, C).
    """
    return _take(images, _order(images.shape[-3] * images.shape[-2], permutation_seed))


def unshuffle(images: Array, *, permutation_seed: int = 0) -> Array:
    """Inverse of `shuffle`, to show what is on shuffled images.

    Args:
      images: shuffled images (..., H, W, C).
      permutation_seed: that of the shuffle.

    Returns:
      Images (..., H, W, C).
    """
    return _take(images, jnp.argsort(_order(images.shape[-3] * images.shape[-2], permutation_seed)))


def sample(
    key: Key, *, size: int = 80, alpha: float, background_alpha: float | None = None, permutation_seed: int = 0
) -> Array:
    """One shuffled C^alpha image.

    Args:
      key: random key; an image set is one key per image.
      size: side in pixels.
      alpha: exponent of the contour, before the shuffle.
      background_alpha: exponent of the backgrounds; that of the contour where None.
      permutation_seed: chooses the permutation.

    Returns:
      Image (size, size, 1) in [0, 1]: `shuffle` of the C^alpha image of the same key.

    Raises:
      ValueError: as for `calpha.sample`.

    Reference: arXiv:2310.02557, appendix C.3.
    """
    image = calpha.sample(key, size=size, alpha=alpha, background_alpha=background_alpha)
    return shuffle(image, permutation_seed=permutation_seed)
