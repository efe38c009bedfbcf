"""The cosine transform (DCT-II) on images: Fourier's basis for images that are mirrored at their borders."""

import math

import jax.numpy as jnp
import numpy as np

from gahr.types import Array


def basis(shape: tuple[int, int, int]) -> Array:
    """Orthonormal cosines on images (H, W, C), (d, H, W, C), by rising frequency, each on one channel.

    The product of sqrt(2 / N) cos(pi (n + 1/2) k / N) along rows and columns, less sqrt(2) where k = 0.
    """
    height, width, channels = shape
    rows, columns = _matrix(height), _matrix(width)
    vectors = np.einsum("ah,bw,cd->abchwd", rows, columns, np.eye(channels)).reshape(math.prod(shape), *shape)
    frequency = np.hypot(np.arange(height)[:, None] / height, np.arange(width) / width)
    order = np.argsort(np.repeat(frequency.ravel(), channels), kind="stable")
    return jnp.asarray(vectors[order], jnp.float32)


def _matrix(side: int) -> np.ndarray:
    number, place = np.arange(side)[:, None], np.arange(side) + 0.5
    return np.sqrt(np.where(number == 0, 1, 2) / side) * np.cos(np.pi * place * number / side)
