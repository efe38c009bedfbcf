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

from gahr.names import pick, require_whole
from gahr.types import Array

_ROOTS = math.sqrt(2), math.sqrt(3)
FILTERS = {  # low-pass of the analysis: its number of vanishing moments is half its length
    "haar": (1 / _ROOTS[0],) * 2,
    "db2": tuple(value / (4 * _ROOTS[0]) for value in (1 - _ROOTS[1], 3 - _ROOTS[1], 3 + _ROOTS[1], 1 + _ROOTS[1])),
    "sym4": (
        -0.07576571478927333,
        -0.02963552764599851,
        0.49761866763201545,
        0.8037387518059161,
        0.29785779560527736,
        -0.09921954357684722,
        -0.012603967262037833,
        0.0322231006040427,
    ),
}


def analysis(images: Array, *, wavelet: str = "sym4", levels: int | None = None) -> Array:
    """Wavelet coefficients <x, psi_k> of images (..., H, W, C), of the same shape; their squares sum to |x|^2.

    Args:
      images: image units; channels are transformed each for itself.
      wavelet: one of `FILTERS`.
      levels: how often the low frequencies are split; where None, as long as both sides are even and above 4.

    Raises:
      ValueError: an unknown wavelet, or more levels than the sides can be halved.
    """
    for rows, columns in _matrices(images.shape, wavelet, levels):
        corner = images[..., : len(rows), : len(columns), :]
        images = images.at[..., : len(rows), : len(columns), :].set(_both(rows, columns, corner))
    return images


def synthesis(coefficients: Array, *, wavelet: str = "sym4", levels: int | None = None) -> Array:
    """Images (..., H, W, C) of wavelet coefficients: the inverse, and transpose, of `analysis`."""
    for rows, columns in reversed(_matrices(coefficients.shape, wavelet, levels)):
        corner = coefficients[..., : len(rows), : len(columns), :]
        coefficients = coefficients.at[..., : len(rows), : len(columns), :].set(_both(rows.T, columns.T, corner))
    return coefficients


def basis(shape: tuple[int, int, int], *, wavelet: str = "sym4", levels: int | None = None) -> Array:
    """Orthonormal wavelets psi_k on images (H, W, C), (d, H, W, C), from coarse to fine; arguments as `analysis`."""
    size, depth = math.prod(shape), len(_matrices(shape, wavelet, levels))
    vectors = synthesis(jnp.eye(size).reshape(size, *shape), wavelet=wavelet, levels=levels)
    level = np.zeros(shape, int)
    for j in range(1, depth + 1):
        level[: shape[0] >> j, : shape[1] >> j] = j
    return vectors[np.argsort(-level.ravel(), kind="stable")]


def _matrices(shape: tuple[int, ...], wavelet: str, levels: int | None) -> list[tuple[Array, Array]]:
    """A for the rows and for the columns of each level, the finest first."""
    low = np.array(pick("wavelet", FILTERS, wavelet))
    sides = np.array(shape[-3:-1])
    most = 0
    while not (sides % 2 ** (most + 1)).any() and (levels is not None or (sides >> most).min() > 4):
        most += 1
    if levels is not None:
        require_whole("levels", levels, least=0, most=most)
        most = levels
    return [tuple(jnp.asarray(_matrix(low, side), jnp.float32) for side in sides >> j) for j in range(most)]


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
