"""Polygon-like C^alpha images: a smooth region with corners on a smooth background.

The family made by earlier versions of the generator published with arXiv:2310.02557. Here edges are ramps one pixel
wide instead of filtered with wavelets, and intensities are clipped to [0, 1].
"""

import jax
import jax.numpy as jnp
import numpy as np

from gahr.names import is_number, require, require_whole
from gahr.types import Array, Key


def _gaussian(key: Key, shape: tuple[int, ...], alpha: float) -> Array:
    """Periodic Gaussian process on a grid: power 1 / (0.05 + |k|^(2 alpha)), none at k = 0, variance 1."""
    frequency = np.meshgrid(*(np.fft.fftfreq(n, 1 / n) for n in shape), indexing="ij")
    power = 1 / (0.05 + np.sum(np.square(frequency), axis=0) ** float(alpha))
    power.flat[0] = 0
    amplitude = np.sqrt(power / power.mean())
    return jnp.fft.ifftn(jnp.fft.fftn(jax.random.normal(key, shape)) * amplitude).real


def _region(key: Key, size: int, alpha: float, degree: int) -> Array:
    """Mask (size, size): 1 inside all displaced half-planes, 0 outside, in coordinates -1 to 1."""
    key_angle, key_offset, key_edge = jax.random.split(key, 3)
    pixel = (2 * jnp.arange(size) + 1) / size - 1
    row, column = jnp.meshgrid(pixel, pixel, indexing="ij")
    period = 2 * size  # knots of an edge, over the diagonal of the image

    def half_plane(angle, offset, key):
        across = column * jnp.cos(angle) + row * jnp.sin(angle)
        along = row * jnp.cos(angle) - column * jnp.sin(angle)
        edge = _gaussian(key, (period,), alpha) / 3
        position = (along / np.sqrt(2) + 1) * size
        knot = jnp.floor(position).astype(int)
        after = position - knot
        height = offset + (1 - after) * edge[knot % period] + after * edge[(knot + 1) % period]
        return jnp.clip((height - across) * size / 2 + 0.5, 0, 1)

    turn = jnp.arange(degree) + (1 + jax.random.uniform(key_angle, (degree,))) / 3
    offset = jax.random.uniform(key_offset, (degree,), minval=0.25, maxval=0.5)
    keys = jax.random.split(key_edge, degree)
    return jnp.prod(jax.vmap(half_plane)(2 * jnp.pi / degree * turn, offset, keys), axis=0)


def sample(key: Key, *, size: int = 80, alpha: float, background_alpha: float | None = None, degree: int = 3) -> Array:
    """One polygon-like C^alpha image.

    x = clip(M F + (1 - M) B, 0, 1) in coordinates p from -1 to 1. M is the intersection of the half-planes
    n_i.p <= o_i + g_i(t_i.p) / 3, i < degree, with edges one pixel wide: the angle of the normal n_i is uniform on
    the middle third of the sector [i, i + 1] 2 pi / degree, t_i is n_i after a quarter turn, and o_i is uniform on
    [1/4, 1/2]. F and B are u + f / 6 and v + b / 6 with u and v uniform on [0, 1/2] and [1/2, 1], in either order by
    a fair coin. The edges g_i and the fields f, b are periodic Gaussian processes of mean 0 and variance 1, of power
    1 / (0.05 + |k|^(2 alpha)) at k periods per period.

    Args:
      key: random key; an image set is one key per image.
      size: side in pixels.
      alpha: exponent of the edges, positive; larger is smoother.
      background_alpha: exponent of the fields f and b; that of the edges where None.
      degree: number of edges.

    Returns:
      Image (size, size, 1) in [0, 1].

    Raises:
      ValueError: an exponent is not positive, there is no edge, or the side is below 2.
    """
    background_alpha = alpha if background_alpha is None else background_alpha
    for name, value in (("alpha", alpha), ("background_alpha", background_alpha)):
        require(is_number(value) and value > 0, name, value, "positive")
    require_whole("size", size, least=2)
    require_whole("degree", degree)
    key_region, key_inside, key_outside, key_level, key_coin = jax.random.split(key, 5)
    low, high = (jax.random.uniform(key_level, (2,)) + jnp.arange(2)) / 2
    coin = jax.random.bernoulli(key_coin)
    inside = jnp.where(coin, low, high) + _gaussian(key_inside, (size, size), background_alpha) / 6
    outside = jnp.where(coin, high, low) + _gaussian(key_outside, (size, size), background_alpha) / 6
    mask = _region(key_region, size, alpha, degree)
    return jnp.clip(mask * inside + (1 - mask) * outside, 0, 1)[..., None]
