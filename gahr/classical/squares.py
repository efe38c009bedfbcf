"""What `gahr.classical.bandlets` does in a square: orders of its pixels along a direction, and transforms on a list."""

import functools
import math

import numpy as np


def orders(side: int, density: int) -> np.ndarray:
    """Pixels of a square of b^2 from one side of a direction to the other, (K, b^2), for each direction.

    By t = -sin(theta) column + cos(theta) row, theta = (i + 1/2) pi / (2 b density); those that differ.
    """
    return _directions(side, density)[1]


def angles(side: int, density: int) -> np.ndarray:
    """theta of each of `orders`, (K,), radians: neighbours in the order lie along (cos, sin) on columns and rows."""
    return _directions(side, density)[0]


@functools.cache
def _directions(side: int, density: int) -> tuple[np.ndarray, np.ndarray]:
    row, column = (axis.ravel() for axis in np.indices((side, side)))
    theta = (np.arange(2 * side * density) + 0.5) * np.pi / (2 * side * density)
    across = np.cos(theta)[:, None] * row - np.sin(theta)[:, None] * column
    found = np.argsort(np.round(across, 9), axis=1, kind="stable")
    first = np.sort(np.unique(found, axis=0, return_index=True)[1])
    return theta[first], found[first]


@functools.cache
def alpert(number: int, moments: int) -> np.ndarray:
    """Orthonormal rows (n, n) on n = 2^m points in a line; the last n - p have p vanishing moments each.

    Haar's for p = 1. From leaves of 2^ceil(log2 p) points up, the polynomials of two neighbours, of degree below p,
    are split into p of the whole and p details.

    Reference: Alpert (1993), SIAM Journal on Mathematical Analysis 24, 246-262.
    """
    powers = np.arange(moments)
    width = 2 ** math.ceil(math.log2(moments))
    full = lambda matrix: np.linalg.qr(matrix, mode="complete")[0].T
    rows = full(np.linspace(-1, 1, width)[:, None] ** powers if width > 1 else np.ones((1, 1)))
    smooth, details = rows[:moments], rows[moments:]
    while width < number:
        pair = np.kron(np.eye(2), smooth)
        width *= 2
        rows = full(pair @ (np.linspace(-1, 1, width)[:, None] ** powers)) @ pair
        smooth, details = rows[:moments], np.concatenate([rows[moments:], np.kron(np.eye(2), details)])
    return np.concatenate([smooth, details])
