"""Pairs of images that are nearly the same."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from gahr.data.resizing import area_average


def signatures(images: np.ndarray, *, side: int = 20) -> np.ndarray:
    """What `similarity` compares: each image averaged down, its mean removed, of norm 1.

    Args:
      images: square images (N, H, H, C).
      side: side of the averages in pixels.

    Returns:
      float32 (N, side^2); zero for a constant image, which correlates with none.
    """
    small = area_average(images.mean(-1, keepdims=True, dtype=np.float32), size=side).reshape(len(images), -1)
    centred = small - small.mean(1, keepdims=True)
    norm = np.linalg.norm(centred, axis=1, keepdims=True)
    return centred / np.where(norm > 1e-3 * side, norm, np.inf)  # in 0 to 255: a deviation of 1e-3 is rounding


class Similarity(NamedTuple):
    """How near images are to each other."""

    closest: np.ndarray  # (N,) largest |correlation| of an image with those before it, 0 for the first
    pairs: dict[float, int]  # level -> number of pairs with |correlation| above it


def similarity(
    vectors: np.ndarray,
    *,
    levels: Sequence[float] = (0.95, 0.9),
    block: int = 1024,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> Similarity:
    """Correlations between all pairs of images, block^2 of them at a time.

    The images with `closest > t` are those to drop so that the first of every pair above t stays. As published, an
    image is held against all before it, those that are dropped themselves included.

    Args:
      vectors: `signatures` (N, d).
      levels: correlations above which pairs are counted.
      block: images per side of a block; bounds the memory.
      report: called after each block with (blocks done, blocks in all).

    Returns:
      Similarity.

    Reference: arXiv:2310.02557, figure 6.
    """
    closest = np.zeros(len(vectors), np.float32)
    pairs = dict.fromkeys(levels, 0)
    starts = range(0, len(vectors), block)
    done, total = 0, len(starts) * (len(starts) + 1) // 2
    for row in starts:
        rows = vectors[row : row + block]
        for column in range(0, row + 1, block):
            products = rows @ vectors[column : column + block].T
            np.abs(products, out=products)
            if column == row:
                products = np.tril(products, -1)
            peaks = products.max(1)
            np.maximum(closest[row : row + block], peaks, out=closest[row : row + block])
            for level in levels:
                if peaks.max() > level:
                    pairs[level] += int(np.count_nonzero(products > level))
            done += 1
            report(done, total)
    return Similarity(closest, pairs)
