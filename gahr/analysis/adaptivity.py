"""Is the basis that a denoiser shrinks in adapted to the image at hand? Every image in the bases of all images.

A fixed linear denoiser has one basis for all images, so that it does as well in another image's basis as in an image's
own, whatever that basis is good for. What an adapted basis gains is seen by swapping images, and by fixed bases beside.

`vectors` are complete orthonormal bases (d, H, W, C), d = H W C; `clean` and `noisy` are images (n, H, W, C). Shapes
that do not fit are a ValueError.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gahr.analysis.jacobian import Eigenbasis, SingularBasis, eigenbasis_of, singular_basis_of
from gahr.names import require
from gahr.types import Array


class Adaptivity(NamedTuple):
    """Images in one basis, (n,), or in the bases of n images, (n, n): [i, j] is image i in the basis of image j."""

    dimension: Array  # sum_k min(<x_i, e_k>^2 / sigma^2, 1)
    beyond: Array  # share of |x_i|^2 beyond the first k vectors
    mse: Array  # per pixel, of the noisy image i shrunk with the factors of this basis


class Mean(NamedTuple):
    mean: Array  # () over images
    standard_error: Array  # () of it, by the jackknife that leaves an image and its basis out


class Summary(NamedTuple):
    own: Mean  # of images in their own bases
    swapped: Mean  # of images in the bases of the others
    ratio: Mean  # swapped / own; 1 for a fixed linear denoiser
    fixed: dict[str, Mean]  # of images in bases that are the same for all, the least first


def dimension(vectors: Array, clean: Array, *, sigma: float) -> Array:
    """Number of coefficients of each image above the noise, sum_k min(<x, e_k>^2 / sigma^2, 1), (n,).

    d / sigma^2 times the mse of the best projection in the basis, `gahr.analysis.geometry.threshold_mse`
    (arXiv:2310.02557, appendix D.4); 1 where |x| > sigma and the basis holds x / |x|.

    Args:
      vectors, clean: a basis and images in [0, 1].
      sigma: noise level, image units.
    """
    return jnp.sum(jnp.minimum(_energy(vectors, clean) / sigma**2, 1), 1)


def share_beyond(vectors: Array, clean: Array, *, k: int) -> Array:
    """Share of |x|^2 of each image beyond the first k vectors, (n,); 1 - k / d on average in a random basis."""
    energy = _energy(vectors, clean)
    return energy[:, k:].sum(1) / energy.sum(1)


def in_bases(
    eigen: Eigenbasis, singular: SingularBasis, clean: Array, noisy: Array, *, sigma: float, k: int
) -> dict[str, Adaptivity]:
    """Images (n, H, W, C) in the bases of one of them: a column of `adaptivity`, whose arguments these are."""
    with jax.default_matmul_precision("highest"):
        symmetric, left, right = (_rows(vectors, noisy) for vectors in (eigen.vectors, singular.left, singular.right))
        flat = noisy.reshape(len(noisy), -1)
        shrunk = (flat @ symmetric.T * eigen.shrinkage[None]) @ symmetric
        denoised = (flat @ right.T * singular.values[None]) @ left
    mse = lambda flat: jnp.mean((clean - flat.reshape(clean.shape)) ** 2, (1, 2, 3))
    return {
        kind: Adaptivity(dimension(vectors, clean, sigma=sigma), share_beyond(vectors, clean, k=k), mse(flat))
        for kind, vectors, flat in (
            ("eigen", eigen.vectors, shrunk),
            ("left", singular.left, denoised),
            ("right", singular.right, denoised),
        )
    }


def adaptivity(
    jacobians: Iterable[Array], clean: Array, noisy: Array, *, sigma: float, k: int
) -> dict[str, Adaptivity]:
    """Every image in the bases of all images, own and swapped.

    Args:
      jacobians: J_j (d, d) at each noisy image, such as an array (n, d, d), or made one at a time: one is held at a
        time, beside its bases.
      clean, noisy: images x_i in [0, 1] and y_i = x_i + noise.
      sigma: noise level, image units.
      k: vectors that `beyond` leaves out.

    Returns:
      Adaptivity, (n, n) each, in the bases "eigen" of the symmetric part S_j of J_j, where image i is shrunk to
      S_j y_i, "left" and "right" of the singular vectors, where it is J_j y_i. All are one where J_j is symmetric.

    Raises:
      ValueError: another number of Jacobians than of images, or fewer than two.
    """
    require(len(clean) >= 2, "the number of images", len(clean), "at least 2")
    columns = []
    for matrix in jacobians:
        bases = eigenbasis_of(matrix, clean.shape[1:]), singular_basis_of(matrix, clean.shape[1:])
        columns.append(in_bases(*bases, clean, noisy, sigma=sigma, k=k))
    require(len(columns) == len(clean), "the number of Jacobians", len(columns), f"that of the images, {len(clean)}")
    return jax.tree.map(lambda *column: jnp.stack(column, 1), *columns)


def summary(matrix: Array, *, fixed: Mapping[str, Array] | None = None) -> Summary:
    """Own, swapped and fixed in the mean over images.

    Args:
      matrix: (n, n), one of the fields of Adaptivity; n >= 2, and n >= 3 for errors of what is swapped.
      fixed: name of a basis that is the same for all images -> the same quantity in it, (n,).

    Raises:
      ValueError: a matrix that is not square, or of fewer than two images.
    """
    matrix = np.asarray(matrix, np.float64)
    if matrix.ndim != 2 or len(matrix) != matrix.shape[1] or len(matrix) < 2:
        raise ValueError(f"a matrix (n, n) of n >= 2 images is needed, got shape {matrix.shape}")
    of = lambda keep: matrix[np.ix_(keep, keep)]
    own = lambda keep: np.trace(of(keep)) / len(keep)
    swapped = lambda keep: (of(keep).sum() - np.trace(of(keep))) / (len(keep) ** 2 - len(keep))
    means = {
        name: _jackknife(lambda keep, values=values: np.asarray(values)[keep].mean(), len(matrix))
        for name, values in (fixed or {}).items()
    }
    return Summary(
        _jackknife(own, len(matrix)),
        _jackknife(swapped, len(matrix)),
        _jackknife(lambda keep: swapped(keep) / own(keep), len(matrix)),
        dict(sorted(means.items(), key=lambda item: item[1].mean)),
    )


def _jackknife(statistic: Callable[[np.ndarray], float], number: int) -> Mean:
    """A statistic of all image numbers, and its error from leaving out one at a time; NaN where two are too few."""
    numbers = np.arange(number)
    with np.errstate(divide="ignore", invalid="ignore"):  # also where a denoiser leaves nothing of any image
        left = [statistic(np.delete(numbers, i)) for i in numbers]
        return Mean(statistic(numbers), np.sqrt((number - 1) * np.var(left)))


def _energy(vectors: Array, clean: Array) -> Array:
    """<x_i, e_k>^2, (n, d)."""
    with jax.default_matmul_precision("highest"):
        return (clean.reshape(len(clean), -1) @ _rows(vectors, clean).T) ** 2


def _rows(vectors: Array, images: Array) -> Array:
    if images.ndim != 4 or vectors.shape[1:] != images.shape[1:] or len(vectors) != images[0].size:
        raise ValueError(
            f"images (n, H, W, C) and all H W C vectors of a basis are needed, got {images.shape} and {vectors.shape}"
        )
    return vectors.reshape(len(vectors), -1)
