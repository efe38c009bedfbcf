"""C^alpha images: two smooth backgrounds that meet along a smooth contour.

Kadkhodaie et al. (2024), arXiv:2310.02557, appendix E and the generator published with it. A contour or field
of exponent alpha is white noise whose Fourier amplitude is multiplied by |k|^-alpha.
"""

import jax
import jax.numpy as jnp
import numpy as np

from gahr.names import is_number, require, require_whole
from gahr.types import Array, Key


def _amplitude(frequency: np.ndarray, exponent: float) -> np.ndarray:
    """|k|^-exponent, and 1 at k = 0."""
    return np.where(frequency > 0, frequency, 1.0) ** -float(exponent)


def _contour(key: Key, size: int, alpha: float) -> Array:
    """Height of the contour in every column, (size,) whole pixels between 0 and `size`."""
    white = jax.random.uniform(key, (size,), minval=-1, maxval=1)
    frequency = np.fft.rfftfreq(size, 1 / size)
    curve = jnp.fft.irfft(jnp.fft.rfft(white) * _amplitude(frequency, alpha), size)
    return jnp.clip(jnp.round(size * curve) + size // 2, 0, size)


def _background(key: Key, size: int, alpha: float) -> Array:
    """Smooth periodic field (size, size), scaled to the range [0, 1]."""
    white = jax.random.uniform(key, (size, size), minval=-1, maxval=1)
    rows, columns = np.fft.fftfreq(size, 1 / size), np.fft.rfftfreq(size, 1 / size)
    frequency = np.hypot(rows[:, None], columns)
    field = jnp.fft.irfft2(jnp.fft.rfft2(white) * _amplitude(frequency, alpha), (size, size))
    return (field - field.min()) / (field.max() - field.min())


def sample(
    key: Key, *, size: int = 80, alpha: float, background_alpha: float | None = None, blur: bool = True
) -> Array:
    """One C^alpha image.

    x = M B_1 + (1 - M) B_2: M is 1 on and below the contour h(column) = round(size c) + size // 2, clipped to
    the image; c and B_i are uniform [-1, 1] white noise filtered by |k|^-alpha (1 at k = 0). One background,
    by a fair coin, is mapped to the range [u, 1], the other to [0, v], with u and v uniform on [0, 1].

    Args:
      key: random key; an image set is one key per image.
      size: side in pixels.
      alpha: exponent of the contour, positive; larger is smoother.
      background_alpha: exponent of the backgrounds; that of the contour where None.
      blur: average the mask over 2 x 2 pixels, so that it takes the values 0, 1/4, ..., 1.

    Returns:
      Image (size, size, 1) in [0, 1].

    Raises:
      ValueError: an exponent is not positive, or the side not whole or below 2.

    Reference: arXiv:2310.02557, appendix E, algorithm 2, with the scalings of the published generator.
    """
    background_alpha = alpha if background_alpha is None else background_alpha
    for name, value in (("alpha", alpha), ("background_alpha", background_alpha)):
        require(is_number(value) and value > 0, name, value, "positive")
    require_whole("size", size, least=2)
    key_contour, key_one, key_other, key_range, key_coin = jax.random.split(key, 5)

    height = _contour(key_contour, size, alpha)
    mask = jnp.where(jnp.arange(size)[:, None] >= height[None], 1.0, 0.0)  # (row, column)
    if blur:
        padded = jnp.pad(mask, ((1, 0), (1, 0)), mode="reflect")
        rows = (padded[1:] + padded[:-1]) / 2
        mask = (rows[:, 1:] + rows[:, :-1]) / 2

    u, v = jax.random.uniform(key_range, (2,))
    bright = u + (1 - u) * _background(key_one, size, background_alpha)
    dark = v * _background(key_other, size, background_alpha)
    above = jnp.where(jax.random.bernoulli(key_coin), bright, dark)
    image = mask * (bright + dark - above) + (1 - mask) * above
    return image[..., None]
