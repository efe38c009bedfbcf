"""Orthogonal wavelets on images, periodic at the borders, as small matrices.

One level is X -> A X A^T with the orthogonal matrix A of a low-pass filter h and the high-pass g[i] = (-1)^(i+1)
h[L-1-i] that belongs to it; the next acts on the quarter of low frequencies. Coefficients stand where Mallat's layout
has them, in an array of the image's shape whose upper left corner is the coarse image: that of PyWavelets with
mode="periodization".

Reference: Mallat (2009), A Wavelet Tour of Signal Processing, section 7.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np

from gahr.classical.filters import FILTERS
from gahr.names import pick, require_whole
from gahr.noise import per_image
from gahr.types import Array


def analysis(images: Array, *, wavelet: str = "sym4", levels: int | None = None) -> Array:
    """Wavelet coefficients <x, psi_k> of images (..., H, W, C), of the same shape; their squares sum to |x|^2.

    Args:
      images: image units, float32 or float64; channels are transformed each for itself.
      wavelet: one of `gahr.classical.filters.FILTERS`: haar, db2 to db10, sym4 to sym8, coif1 to coif3.
      levels: how often the low frequencies are split; where None, as long as both sides are even and above 4.

    Raises:
      ValueError: an unknown wavelet, or more levels than the sides can be halved.
    """
    images = jnp.asarray(images)
    for rows, columns in _matrices(images, wavelet, levels):
        corner = images[..., : len(rows), : len(columns), :]
        images = images.at[..., : len(rows), : len(columns), :].set(_both(rows, columns, corner))
    return images


def synthesis(coefficients: Array, *, wavelet: str = "sym4", levels: int | None = None) -> Array:
    """Images (..., H, W, C) of wavelet coefficients: the inverse, and transpose, of `analysis`."""
    coefficients = jnp.asarray(coefficients)
    for rows, columns in reversed(_matrices(coefficients, wavelet, levels)):
        corner = coefficients[..., : len(rows), : len(columns), :]
        coefficients = coefficients.at[..., : len(rows), : len(columns), :].set(_both(rows.T, columns.T, corner))
    return coefficients


def basis(shape: tuple[int, int, int], *, wavelet: str = "sym4", levels: int | None = None) -> Array:
    """Orthonormal wavelets psi_k on images (H, W, C), (d, H, W, C), from coarse to fine; arguments as `analysis`."""
    size = math.prod(shape)
    vectors = synthesis(jnp.eye(size).reshape(size, *shape), wavelet=wavelet, levels=levels)
    scale = (bands(shape, levels=levels) + 2) // 3 * np.ones(shape, int)
    return vectors[np.argsort(scale.ravel(), kind="stable")]


def bands(shape: tuple[int, ...], *, levels: int | None = None) -> np.ndarray:
    """Which coefficients belong together, (H, W, 1) whole numbers: those of one scale and orientation.

    0 for the coarse image, then for each scale, from coarse to fine, details across columns, across rows and diagonal.
    """
    height, width = shape[-3:-1]
    labels, depth = np.zeros((height, width, 1), int), _depth(shape, levels)
    for j in reversed(range(1, depth + 1)):
        rows, columns, first = height >> j, width >> j, 3 * (depth - j) + 1
        labels[:rows, columns : 2 * columns] = first
        labels[rows : 2 * rows, :columns] = first + 1
        labels[rows : 2 * rows, columns : 2 * columns] = first + 2
    return labels


def denoise(
    noisy: Array, sigma: Array, *, wavelet: str = "sym4", levels: int | None = None, factor: float = 3.0
) -> Array:
    """Details at most `factor` sigma in size set to zero, the coarse image kept: a NoiseDenoiser.

    It is an orthogonal projection for each image, which `gahr.classical.shrinkage.cycle_spin` averages over shifts.

    Args:
      noisy: images (..., H, W, C), image units.
      sigma: noise level, image units, () or one per image (...,).
      wavelet, levels: as `analysis`.
      factor: threshold in sigma; 3 and (2 ln d)^0.5 are usual.
    """
    coefficients = analysis(noisy, wavelet=wavelet, levels=levels)
    is_coarse = jnp.broadcast_to(bands(noisy.shape, levels=levels) == 0, noisy.shape)
    is_kept = is_coarse | (jnp.abs(coefficients) > factor * per_image(sigma, noisy))
    return synthesis(jnp.where(is_kept, coefficients, 0), wavelet=wavelet, levels=levels)


def _depth(shape: tuple[int, ...], levels: int | None) -> int:
    sides = np.array(shape[-3:-1])
    most = 0
    while not (sides % 2 ** (most + 1)).any() and (levels is not None or (sides >> most).min() > 4):
        most += 1
    if levels is not None:
        require_whole("levels", levels, least=0, most=most)
        most = levels
    return most


def _matrices(images: Array, wavelet: str, levels: int | None) -> list[tuple[Array, Array]]:
    """A for the rows and for the columns of each level, the finest first."""
    low, sides = pick("wavelet", FILTERS, wavelet), np.array(images.shape[-3:-1])
    depth = _depth(images.shape, levels)
    return [tuple(jnp.asarray(_matrix(low, side), images.dtype) for side in sides >> j) for j in range(depth)]


def _matrix(low: np.ndarray, side: int) -> np.ndarray:
    """A (side, side): low-pass rows above, high-pass rows below, each shifted by two from the one before."""
    length = len(low)
    high = (-1.0) ** (np.arange(length) + 1) * low[::-1]
    matrix = np.zeros((side, side))
    for k in range(side // 2):
        for i in range(length):
            place = (2 * k + length // 2 - i) % side  # a long filter meets a short side more than once
            matrix[k, place] += low[i]
            matrix[side // 2 + k, place] += high[i]
    return matrix


def _both(rows: Array, columns: Array, images: Array) -> Array:
    with jax.default_matmul_precision("highest"):
        return jnp.einsum("ah,...hwc,bw->...abc", rows, images, columns)
