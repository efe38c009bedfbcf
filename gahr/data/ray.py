"""Multiples of a single image: a set that is one-dimensional.

Kadkhodaie et al. (2024), arXiv:2310.02557, appendix C.2, where the image is a face; here it is a C^alpha image.
"""

import jax
import jax.numpy as jnp

from gahr.data import calpha
from gahr.types import Array, Key


def sample(key: Key, *, size: int = 40, image_seed: int = 0, alpha: float = 3.0) -> Array:
    """One multiple of the image.

    x = s x_0, with s uniform on [0, 1] and x_0 the C^alpha image of the key `jax.random.key(image_seed)`.

    Args:
      key: random key; an image set is one key per image.
      size: side in pixels.
      image_seed: chooses x_0.
      alpha: exponent of x_0.

    Returns:
      Image (size, size, 1) in [0, 1].

    Raises:
      ValueError: as for `calpha.sample`.

    Reference: arXiv:2310.02557, appendix C.2.
    """
    return jax.random.uniform(key) * calpha.sample(jax.random.key(image_seed), size=size, alpha=alpha)


def direction(*, size: int = 40, image_seed: int = 0, alpha: float = 3.0) -> Array:
    """Unit vector x_0 / |x_0| of the ray.

    While the noise is small against the range of s, the optimal denoiser is the projection on it, of mean squared
    error sigma^2 / size^2 per pixel.

    Args:
      size: side in pixels.
      image_seed: chooses x_0.
      alpha: exponent of x_0.

    Returns:
      Image (size, size, 1) of norm 1.

    Raises:
      ValueError: as for `calpha.sample`.
    """
    image = calpha.sample(jax.random.key(image_seed), size=size, alpha=alpha)
    return image / jnp.linalg.norm(image)
