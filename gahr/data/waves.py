"""Sine waves of one frequency: a set of images that fills a disk in a plane.

Kadkhodaie et al. (2024), arXiv:2310.02557, appendix C.2, which leaves amplitudes, orientation and size open.
"""

import jax
import jax.numpy as jnp
import numpy as np

from gahr.types import Array, Key


def _angle(size: int, frequency: tuple[int, int]) -> np.ndarray:
    """2 pi u.p / size (size, size, 1) at pixel p, for u with a plane of its own.

    Raises:
      ValueError: u is not whole, or sine and cosine are dependent (2 u is a multiple of the side).
    """
    down, across = frequency
    if down != int(down) or across != int(across):
        raise ValueError(f"frequency must be whole periods per side, got {frequency}")
    if 2 * down % size == 0 and 2 * across % size == 0:
        raise ValueError(f"frequency {tuple(frequency)} has no phase on {size} pixels: all waves are one image")
    pixel = np.arange(size)
    return 2 * np.pi / size * ((down * pixel[:, None] + across * pixel) % size)[..., None]


def sample(key: Key, *, size: int = 40, frequency: tuple[int, int] = (0, 1)) -> Array:
    """One wave of random amplitude and phase.

    x = s sin(2 pi u.p / size + phi) at pixel p, with the amplitude s uniform on [0, 1] and the phase phi uniform
    on [0, 2 pi]. Its mean is zero: intensities are in [-1, 1], unlike those of other image sets, so that every
    multiple of an image is one too and the linear span is a plane.

    Args:
      key: random key; an image set is one key per image.
      size: side in pixels.
      frequency: u, periods per side along rows and along columns; (0, 1) varies from left to right.

    Returns:
      Image (size, size, 1) in [-1, 1].

    Raises:
      ValueError: the frequency is not whole, or is such that waves of all phases are multiples of one image.

    Reference: arXiv:2310.02557, appendix C.2.
    """
    amplitude, turn = jax.random.uniform(key, (2,))
    return amplitude * jnp.sin(jnp.asarray(_angle(size, frequency), jnp.float32) + 2 * jnp.pi * turn)


def plane(*, size: int = 40, frequency: tuple[int, int] = (0, 1)) -> Array:
    """Orthonormal basis e_1, e_2 of the plane that holds all waves.

    e_1 = sqrt(2) / size sin(2 pi u.p / size), e_2 the same with the cosine, and
    x = s size / sqrt(2) (cos(phi) e_1 + sin(phi) e_2). While the noise is small against the range of s, the optimal
    denoiser is the projection D(y) = <y, e_1> e_1 + <y, e_2> e_2, of mean squared error 2 sigma^2 / size^2 per pixel.

    Args:
      size: side in pixels.
      frequency: u, as for `sample`.

    Returns:
      Basis (2, size, size, 1).

    Raises:
      ValueError: as for `sample`.
    """
    angle = _angle(size, frequency)
    return jnp.asarray(np.sqrt(2) / size * np.stack([np.sin(angle), np.cos(angle)]), jnp.float32)
