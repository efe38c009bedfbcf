"""Images of a matt object under distant lights: a subspace of nine dimensions holds nearly all of them.

The image of a point with unit normal n and albedo r under light l is r max(<n, l>, 0): lights convolved on the sphere
with a half-cosine, which passes low orders of spherical harmonics only. Attached shadows are in it, cast shadows not.

Reference: Basri and Jacobs (2003), IEEE Transactions on Pattern Analysis and Machine Intelligence 25, 218-233.
"""

import math

import jax.numpy as jnp
import numpy as np

from gahr.names import require_whole
from gahr.types import Array


def kernel(order: int) -> float:
    """Coefficient k_n = ((2n + 1) pi)^0.5 int_0^1 u P_n(u) du of the half-cosine, order n from 0.

    sum_n k_n^2 = 2 pi / 3, of which orders 0 to 2 hold 99.2 %; odd orders above 1 are zero.
    """
    require_whole("order", order, least=0)
    legendre = np.polynomial.legendre.Legendre.basis(order)
    integral = (np.polynomial.Polynomial([0, 1]) * legendre.convert(kind=np.polynomial.Polynomial)).integ()
    return math.sqrt((2 * order + 1) * math.pi) * (integral(1) - integral(0))


def gain(order: int) -> float:
    """A_n = (4 pi / (2n + 1))^0.5 k_n, by which shading multiplies lights of order n: pi, 2 pi / 3, pi / 4, 0, ..."""
    return math.sqrt(4 * math.pi / (2 * order + 1)) * kernel(order)


def energy(order: int) -> float:
    """Share of the energy of shading by one light, over all normals, in order n: k_n^2 / (2 pi / 3)."""
    return kernel(order) ** 2 / (2 * math.pi / 3)


def harmonics(normals: Array) -> Array:
    """Real spherical harmonics of orders 0, 1 and 2, orthonormal on the sphere: (..., 9) of unit vectors (..., 3)."""
    x, y, z = normals[..., 0], normals[..., 1], normals[..., 2]
    one = jnp.ones_like(x)
    first, second = math.sqrt(3 / (4 * math.pi)), math.sqrt(15 / (4 * math.pi))
    parts = [
        one / math.sqrt(4 * math.pi),
        first * z,
        first * x,
        first * y,
        second / math.sqrt(12) * (3 * z**2 - 1),
        second * x * z,
        second * y * z,
        second / 2 * (x**2 - y**2),
        second * x * y,
    ]
    return jnp.stack(parts, -1)


def harmonic_images(normals: Array, albedo: Array) -> Array:
    """The nine images that span those of an object: albedo times gain times harmonics, (9, H, W, 1).

    Images under a light l are `harmonics(l) @` these, up to orders above 2.

    Args:
      normals: unit normals (H, W, 3), with zeros where there is no object.
      albedo: (H, W), image units.
    """
    gains = np.repeat([gain(0), gain(1), gain(2)], [1, 3, 5])
    is_object = jnp.any(normals != 0, -1)
    images = jnp.moveaxis(harmonics(normals), -1, 0) * jnp.asarray(gains, normals.dtype)[:, None, None]
    return (images * jnp.where(is_object, albedo, 0)[None])[..., None]


def shade(normals: Array, albedo: Array, lights: Array) -> Array:
    """Images (N, H, W, 1) under lights (N, 3), whose lengths are their strengths: albedo max(<n, l>, 0)."""
    cosine = jnp.einsum("hwk,nk->nhw", normals, lights, precision="highest")
    return (albedo[None] * jnp.maximum(cosine, 0))[..., None]


def sphere(size: int) -> Array:
    """Normals (size, size, 3) of a ball that fills the image, seen from +z; zeros around it."""
    place = (np.arange(size) + 0.5) / size * 2 - 1
    x, y = np.meshgrid(place, -place)
    square = 1 - x**2 - y**2
    normals = np.stack([x, y, np.sqrt(np.maximum(square, 0))], -1) * (square > 0)[..., None]
    return jnp.asarray(normals, jnp.float32)


def held_energy(images: Array) -> Array:
    """Share of sum |x|^2 in the best subspace of 1, 2, ... dimensions, (min(N, d),), of images (N, H, W, C).

    By singular values of the images as they are: the mean is not taken out, as a subspace of lights contains 0.
    """
    values = jnp.linalg.svd(images.reshape(len(images), -1), compute_uv=False) ** 2
    return jnp.cumsum(values) / values.sum()


def share_in(images: Array, spanning: Array) -> Array:
    """Share of |x|^2 in the span of images (k, H, W, C), (N,) of images (N, H, W, C)."""
    columns = jnp.linalg.qr(spanning.reshape(len(spanning), -1).T)[0]
    flat = images.reshape(len(images), -1)
    return jnp.sum((flat @ columns) ** 2, 1) / jnp.sum(flat**2, 1)
