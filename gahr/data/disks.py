"""Disks of grey on grey: a set of images that is five-dimensional and has tangent vectors in closed form.

Kadkhodaie et al. (2024), arXiv:2310.02557, section 3.2. Pixel i of a row or column covers [i, i + 1], so that its
centre lies at i + 1/2.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from gahr.names import require_positive, require_whole
from gahr.types import Array, Key


class Parameters(NamedTuple):
    """What a disk is made of."""

    foreground: Array  # (...) grey level of the disk
    background: Array  # (...) grey level around it
    radius: Array  # (...) pixels
    row: Array  # (...) centre, pixels from the upper border
    column: Array  # (...) centre, pixels from the left border


def radii(size: int) -> tuple[float, float]:
    """Smallest and largest radius at a side of `size` pixels; ValueError below 7, where some would be below 1."""
    require_whole("size", size, least=7)
    largest = (size - 3) // 2
    return min(3, largest / 2), largest


def draw(key: Key, *, size: int) -> Parameters:
    """Parameters of one disk, each of shape ().

    The radius is uniform on [r_min, r_max) with r_max = floor((size - 3) / 2) and r_min = min(3, r_max / 2), which is
    3 from 15 pixels on; both coordinates of the centre are uniform on [r, size - r], so that no disk is cut by the
    border; both grey levels are uniform on [0, 1].

    Args:
      key: random key.
      size: side in pixels.

    Returns:
      Parameters of the disk.

    Raises:
      ValueError: the side is below 7, so that radii would be below one pixel.

    Reference: arXiv:2310.02557, section 3.2; law of the published generator, with r_min lowered on small images.
    """
    smallest, largest = radii(size)
    foreground, background, *position = jax.random.uniform(key, (5,))
    radius = smallest + (largest - smallest) * position[0]
    row, column = (radius + (size - 2 * radius) * fraction for fraction in position[1:])
    return Parameters(foreground, background, radius, row, column)


def _polar(parameters: Parameters, size: int) -> tuple[Array, Array, Array]:
    """Distance of every pixel centre from the centre of the disk, and its unit vector (row, column), 0 where it is 0.

    The square root never sees 0, where its derivative is infinite.
    """
    centre = jnp.arange(size) + 0.5
    down, across = jnp.meshgrid(centre - parameters.row, centre - parameters.column, indexing="ij")
    squared = down**2 + across**2
    positive = jnp.sqrt(jnp.where(squared > 0, squared, 1.0))
    return jnp.where(squared > 0, positive, 0.0), down / positive, across / positive


def render(parameters: Parameters, *, size: int, ramp: float = 1.0) -> Array:
    """Image of one disk.

    x = b + (f - b) clip((r - rho) / w + 1/2, 0, 1): foreground f, background b, radius r, and rho the distance of the
    pixel centre from the centre of the disk. The edge is a ramp of width w.

    Args:
      parameters: those of one disk, each of shape (); `jax.vmap` for more.
      size: side in pixels.
      ramp: w, pixels; a wider one makes smoother images.

    Returns:
      Image (size, size, 1), in [0, 1] where the grey levels are.
    """
    distance, _, _ = _polar(parameters, size)
    mask = jnp.clip((parameters.radius - distance) / ramp + 0.5, 0, 1)
    return (mask * parameters.foreground + (1 - mask) * parameters.background)[..., None]


def sample(key: Key, *, size: int = 80, ramp: float = 1.0) -> Array:
    """One disk.

    Args:
      key: random key; an image set is one key per image.
      size: side in pixels.
      ramp: width of the edge in pixels.

    Returns:
      Image (size, size, 1) in [0, 1].

    Raises:
      ValueError: the side is below 7, or the ramp not positive.

    Reference: arXiv:2310.02557, section 3.2.
    """
    require_positive(ramp=ramp)
    return render(draw(key, size=size), size=size, ramp=ramp)


def tangents(parameters: Parameters, *, size: int, ramp: float = 1.0) -> Array:
    """Derivatives of the image of one disk by its five parameters.

    With m the mask and m' = 1 / w on its ramp and 0 elsewhere: dx/df = m, dx/db = 1 - m, dx/dr = (f - b) m', and by the
    centre dx/dc = (f - b) m' (p - c) / rho for the pixel centre p.

    Args:
      parameters: those of one disk, each of shape ().
      size: side in pixels.
      ramp: width w of the edge, pixels.

    Returns:
      Tangent vectors (5, size, size, 1) in the order of `Parameters`; grey levels have no unit, lengths are in
      pixels. They are not orthonormal: foreground and background overlap on the ramp.
    """
    distance, down, across = _polar(parameters, size)
    inside = (parameters.radius - distance) / ramp + 0.5
    mask = jnp.clip(inside, 0, 1)
    edge = jnp.where((inside > 0) & (inside < 1), (parameters.foreground - parameters.background) / ramp, 0.0)
    return jnp.stack([mask, 1 - mask, edge, edge * down, edge * across])[..., None]
