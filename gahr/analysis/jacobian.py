"""Local linear analysis of a denoiser: its whole Jacobian, the basis it shrinks in, its singular vectors."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from gahr.analysis.checks import check_image
from gahr.blocks import in_chunks
from gahr.types import Array, Denoiser, Sharding


class Eigenbasis(NamedTuple):
    shrinkage: Array  # (k,) eigenvalues, descending: near 1 is kept, near 0 removed; the last may be negative
    vectors: Array  # (k, H, W, C) orthonormal, vectors[i] belongs to shrinkage[i]
    asymmetry: Array  # () |J - J^T| / |J|, zero for an exact MMSE denoiser; where k < d an estimate
    residuals: Array  # (k,) |S e - s e| for the symmetric part S
    num_products: Array  # () Jacobian-vector products used, each J v and J^T v together; d for the whole matrix


class SingularBasis(NamedTuple):
    values: Array  # (k,) descending
    left: Array  # (k, *output shape) orthonormal: J = sum_i values_i left_i right_i^T
    right: Array  # (k, *input shape) orthonormal
    residuals: Array  # (k,) |J^T u - s v|
    num_products: Array  # () as in Eigenbasis


def jacobian(
    denoiser: Denoiser, noisy: Array, *, chunk: int = 64, sharding: Sharding | None = None, reach: int | None = None
) -> Array:
    """Jacobian J[i, j] = dD_i / dy_j at one noisy image.

    The network is linearized once and unit vectors are pushed through it, `chunk` at a time: one column costs
    one forward pass of a batch, and d = 6400 needs 164 MB for J beside the activations of a batch of `chunk`.

    Args:
      denoiser: noisy -> estimate of the clean image, or any function of an image that keeps its shape.
      noisy: one image y (H, W, C), any C and any sides that the denoiser takes.
      chunk: columns computed at a time; bounds the memory.
      sharding: how the columns of a chunk are spread over devices, as `gahr.blocks.in_chunks`.
      reach: pixels, along rows and columns, beyond which no intensity changes an estimate, such as the number of
        3 x 3 layers of a network that does not pool. Pixels too far apart to meet are then pushed together, which
        takes (2 reach + 1)^2 C passes whatever the size of the image; with too small a reach J is wrong.

    Returns:
      J (d, d) with d = H W C, in the order of noisy.ravel().

    Raises:
      ValueError: wrong rank or dtype, NaN or infinite intensities, a denoiser that changes the shape, chunk below
        1, or a negative reach.

    Reference: Curtis, Powell and Reid (1974), On the estimation of sparse Jacobian matrices, for `reach`.
    """
    if reach is None:
        return columns(denoiser, noisy, jnp.arange(noisy.size), chunk=chunk, sharding=sharding).T
    noisy = check_image(denoiser, noisy, chunk=chunk)
    if reach < 0:
        raise ValueError(f"reach must not be negative, got {reach}")
    height, width, channels = noisy.shape
    period = 2 * reach + 1
    row, column, channel = jnp.unravel_index(jnp.arange(noisy.size), noisy.shape)
    colours = ((row % period) * min(period, width) + column % period) * channels + channel
    number = min(period, height) * min(period, width) * channels
    sums = _push_colours(denoiser, noisy, colours, jnp.arange(number), chunk, sharding)
    near = (abs(row[:, None] - row[None]) <= reach) & (abs(column[:, None] - column[None]) <= reach)
    return jnp.where(near, sums[colours], 0).T


def columns(
    denoiser: Denoiser, noisy: Array, indices: Array, *, chunk: int = 64, sharding: Sharding | None = None
) -> Array:
    """Some columns of the Jacobian, (n, d): row i is the derivative by pixel indices[i] of noisy.ravel().

    Other arguments and errors as in `jacobian`; a caller that shows progress asks for a part at a time.
    """
    noisy = check_image(denoiser, noisy, chunk=chunk)
    return _push_colours(denoiser, noisy, jnp.arange(noisy.size), indices, chunk, sharding)


def _push_colours(
    denoiser: Denoiser, noisy: Array, colours: Array, numbers: Array, chunk: int, sharding: Sharding | None
) -> Array:
    """Sums (n, d) of columns: row i is that of the pixels j with colours[j] = numbers[i]."""
    _, push = jax.linearize(denoiser, noisy)

    def pushed(numbers: Array) -> Array:
        directions = (colours[None] == numbers[:, None]).astype(noisy.dtype).reshape(-1, *noisy.shape)
        return jax.vmap(push)(directions).reshape(-1, noisy.size)

    return in_chunks(pushed, numbers, chunk=chunk, sharding=sharding)


def eigenbasis(
    denoiser: Denoiser, noisy: Array, *, chunk: int = 64, sharding: Sharding | None = None, reach: int | None = None
) -> Eigenbasis:
    """Basis a denoiser shrinks in at one noisy image: all d eigenvectors of the symmetric part of J.

    A bias-free denoiser has D(y) = J(y) y, so where J = sum_k s_k e_k e_k^T is symmetric, as that of an exact
    MMSE denoiser is, it shrinks y in the basis e_k: D(y) = sum_k s_k <y, e_k> e_k.

    Args, errors: as `jacobian`.

    Returns:
      Eigenbasis; look at `asymmetry` before trusting it. Trained networks reach 0.4.

    Reference: Kadkhodaie et al. (2024), arXiv:2310.02557, equation 6.
    """
    return eigenbasis_of(jacobian(denoiser, noisy, chunk=chunk, sharding=sharding, reach=reach), noisy.shape)


def eigenbasis_of(matrix: Array, shape: tuple[int, ...]) -> Eigenbasis:
    """Eigenbasis of the symmetric part of a Jacobian (d, d) at an image of that shape."""
    with jax.default_matmul_precision("highest"):
        symmetric = (matrix + matrix.T) / 2
        ascending, columns = jnp.linalg.eigh(symmetric)
        residuals = jnp.linalg.norm(symmetric @ columns - columns * ascending[None], axis=0)
    vectors = columns.T[::-1].reshape(-1, *shape)
    return Eigenbasis(
        ascending[::-1], vectors, relative_asymmetry(matrix, matrix.T), residuals[::-1], jnp.asarray(len(matrix))
    )


def singular_basis_of(matrix: Array, shape: tuple[int, ...]) -> SingularBasis:
    """All singular values and vectors of a Jacobian (d, d) at an image of that shape."""
    with jax.default_matmul_precision("highest"):
        left, values, right = _decompose(matrix)
        residuals = jnp.linalg.norm(matrix.T @ left - right.T * values[None], axis=0)
    pair = (vectors.reshape(-1, *shape) for vectors in (left.T, right))
    return SingularBasis(values, *pair, residuals, jnp.asarray(len(matrix)))


def _decompose(matrix: Array) -> tuple[Array, Array, Array]:
    """U, s and V^T of U diag(s) V^T.

    LAPACK's divide and conquer may find none where nearly all values are one, as before training: then from the
    eigenvectors of J J^T, which are good there.
    """
    found = tuple(jnp.linalg.svd(matrix))

    def by_eigenvectors() -> tuple[Array, Array, Array]:
        squares, left = jnp.linalg.eigh(matrix @ matrix.T)
        values, left = jnp.sqrt(jnp.maximum(squares[::-1], 0)), left[:, ::-1]
        return left, values, (matrix.T @ left / jnp.where(values > 0, values, 1)[None]).T

    return jax.lax.cond(jnp.isfinite(found[1]).all(), lambda: found, by_eigenvectors)


def relative_asymmetry(forward: Array, backward: Array) -> Array:
    """|J X - J^T X| / |J X|, (), from the products with any X; 0 where J X is."""
    norm = jnp.linalg.norm(forward.ravel())
    return jnp.linalg.norm((forward - backward).ravel()) / jnp.where(norm > 0, norm, 1)
