"""Posterior means that see only a part of the image: what locality alone makes of a set of images.

For each value q of an image there are point masses of its own, parts of images with a value x_i(q) that belongs to
them:

  D(y)_q = sum_i w_i x_i(q),  w = softmax_i(-sum_{p near q} (y_p - x_{i,p})^2 / (2 sigma^2)).

They are exact posterior means for no law of images, unlike `gahr.classical.analytic.points`, and their Jacobians need
not be symmetric. Sums over images are streamed with a running maximum of the exponents: the mean over blocks of images
of what each block's own softmax gives is another function, and changes with the size of the blocks.

Reference: Kamb and Ganguli (2024), arXiv:2412.20292; Lukoianov et al. (2025), arXiv:2509.09672, for `pca_local`. From
their formulas; both add noise as a x + b z, where our sigma is b / a.
"""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.tree_util import Partial

from gahr.blocks import Images, fold, image_shape, source
from gahr.names import require, require_whole
from gahr.types import Array, NoiseDenoiser

_BORDERS = ("circular", "matched")


def local(images: Images, *, window: int, num_images: int | None = None, chunk: int = 64) -> NoiseDenoiser:
    """Near q is a window about it, cut at the borders; parts are those of the images at the same place.

    Args:
      images, num_images: x_i, array or function of image numbers, as `gahr.blocks.source`.
      window: side k of the window, odd, pixels; from 2 max(H, W) - 1 on it is `gahr.classical.analytic.points`.
      chunk: images treated at a time; bounds the memory.

    Returns:
      NoiseDenoiser on images (..., H, W, C), sigma () or one per image (...,), positive; a pytree.

    Raises:
      ValueError: a window that is not odd.
    """
    _require_odd(window)
    take, number = source(images, num_images=num_images)
    return Partial(_Local(number, chunk, window), take)


def linear(eigenvalues: Array, basis: Array, *, window: int) -> NoiseDenoiser:
    """The best linear denoiser that sees windows alone: near q is a window about it, cut at the borders.

    D(y)_q = sum_{p near q} w_p y_p, w = (M_PP + sigma^2 I)^-1 M_Pq, with the second moment M of images and P near q;
    where the window is the whole image it is `gahr.classical.analytic.gaussian` of no mean.

    Args:
      eigenvalues, basis: (K,), (K, H, W, C) of M, by `gahr.classical.analytic.fit_gaussian` with centred=False.
      window: as `local`.
    """
    _require_odd(window)
    return Partial(_LinearLocal(window), eigenvalues, basis)


def pca_local(
    images: Images,
    eigenvalues: Array,
    basis: Array,
    *,
    share: float = 0.02,
    num_images: int | None = None,
    chunk: int = 64,
) -> NoiseDenoiser:
    """Near q is what the Wiener filter of the images looks at, `mask_of_gaussian`; else as `local`.

    Args:
      images, num_images, chunk: as `local`.
      eigenvalues, basis: of `gahr.classical.analytic.fit_gaussian`.
      share: of the largest weight in a row of the filter, from which on a value counts.
    """
    take, number = source(images, num_images=num_images)
    return Partial(_Masked(number, chunk, share), take, eigenvalues, basis)


def mask_of_gaussian(eigenvalues: Array, basis: Array, sigma: Array, *, share: float = 0.02) -> Array:
    """Values that the Wiener filter W = S (S + sigma^2 I)^-1 looks at, (d, d): row q is 1 where |W_qp| counts, else 0.

    That is where it is at least `share` of the largest of the row. Arguments as `pca_local`, sigma ().
    """
    rows = basis.reshape(len(basis), -1)
    with jax.default_matmul_precision("highest"):
        weights = jnp.abs((rows.T * (eigenvalues / (eigenvalues + sigma**2))[None]) @ rows)
    return (weights >= share * weights.max(1, keepdims=True)).astype(rows.dtype)


def equivariant(
    images: Images, *, window: int, borders: str = "circular", num_images: int | None = None, chunk: int = 4
) -> NoiseDenoiser:
    """Near q is a window about it; parts are all windows of all images, whatever their place.

    Args:
      images, num_images: as `local`; N H W windows, each held against all H W of the noisy image.
      window: side k of the window, odd, pixels.
      borders: "circular" for images that go on periodically, so that the denoiser commutes with shifts; "matched"
        where a window that crosses a border meets only those that cross it alike, and counts no values beyond.
      chunk: images treated at a time; bounds the memory.

    Returns:
      NoiseDenoiser, as `local`.

    Raises:
      ValueError: unknown borders, or a window that is not odd or larger than a side.
    """
    take, number = source(images, num_images=num_images)
    _require_odd(window)
    require(window <= min(image_shape(take)[:2]), "window", window, f"at most the sides {image_shape(take)[:2]}")
    require(borders in _BORDERS, "borders", borders, " or ".join(_BORDERS))
    return Partial(_Equivariant(number, chunk, window, borders), take)


def _require_odd(window: int) -> None:
    require_whole("window", window)
    require(window % 2 == 1, "window", window, "odd")


def _each(function: Callable[[Array, Array], Array], noisy: Array, sigma: Array) -> Array:
    """function(image (H, W, C), sigma ()) for one image after the other."""
    flat = noisy.reshape(-1, *noisy.shape[-3:])
    sigmas = jnp.broadcast_to(jnp.asarray(sigma, noisy.dtype), noisy.shape[:-3]).reshape(-1)
    return lax.map(lambda pair: function(*pair), (flat, sigmas)).reshape(noisy.shape)


def _mean(
    parts: Callable[[Array], tuple[Array, Callable[[Array], Array]]],
    take: Partial,
    number: int,
    chunk: int,
    sigma: Array,
) -> Array:
    """Posterior means over all images.

    `parts` makes of a block of images -distance^2 / 2, (..., n), and a function of weights (..., n) -> (..., 1 + c):
    their sum, and that of the values that belong to them.
    """

    def add(carry: tuple[Array, Array], block: Array, start: Array) -> tuple[Array, Array]:
        most, sums = carry
        closeness, summed = parts(block)
        new = jnp.maximum(most, lax.stop_gradient(closeness.max(-1)))
        # divided last: a compiled a * b - max(a * b) need not be zero, and sigma^2 may be very small
        weights = jnp.exp((closeness - new[..., None]) / sigma**2)
        return new, sums * jnp.exp((most - new) / sigma**2)[..., None] + summed(weights)

    def blank(block: Array) -> tuple[Array, Array]:
        closeness, summed = parts(block)
        return closeness[..., 0], summed(closeness)

    shapes = jax.eval_shape(lambda: blank(take(jnp.arange(1))))
    start = tuple(jnp.full(shape.shape, value, shape.dtype) for shape, value in zip(shapes, (-jnp.inf, 0), strict=True))
    with jax.default_matmul_precision("highest"):
        _, sums = fold(add, start, take, num_images=number, chunk=chunk)
    return sums[..., 1:] / sums[..., :1]


@dataclasses.dataclass(frozen=True)
class _Local:
    """Compares equal for equal numbers, so that jitted functions serve all sets of one size."""

    number: int
    chunk: int
    window: int

    def __call__(self, take: Partial, noisy: Array, sigma: Array) -> Array:
        rows, columns = (self._within(side) for side in noisy.shape[-3:-1])

        def one(image: Array, sigma: Array) -> Array:
            def parts(block: Array) -> tuple[Array, Callable[[Array], Array]]:
                square = jnp.sum((image[None] - block) ** 2, -1)
                values = jnp.concatenate([jnp.ones_like(block[..., :1]), block], -1)
                summed = lambda weights: jnp.einsum("hwn,nhwc->hwc", weights, values)
                return -jnp.einsum("ah,nhw,bw->abn", rows, square, columns) / 2, summed

            return _mean(parts, take, self.number, self.chunk, sigma)

        return _each(one, noisy, sigma)

    def _within(self, side: int) -> Array:
        place = np.arange(side)
        return jnp.asarray(abs(place[:, None] - place) <= self.window // 2, jnp.float32)


@dataclasses.dataclass(frozen=True)
class _LinearLocal:
    window: int

    def __call__(self, eigenvalues: Array, basis: Array, noisy: Array, sigma: Array) -> Array:
        near, counts = self._near(*noisy.shape[-3:])
        rows = basis.reshape(len(basis), -1)
        with jax.default_matmul_precision("highest"):
            moment = (rows.T * eigenvalues[None]) @ rows
        inside = moment[near[:, :, None], near[:, None]] * (counts[:, :, None] * counts[:, None])
        across = moment[near, np.arange(len(near))[:, None]] * counts

        def one(image: Array, sigma: Array) -> Array:
            noise = sigma**2 * jnp.eye(near.shape[1])
            weights = jnp.linalg.solve(inside + noise[None], across[..., None])[..., 0]
            return jnp.sum(weights * image.ravel()[near], 1).reshape(image.shape)

        return _each(one, noisy, sigma)

    def _near(self, height: int, width: int, channels: int) -> tuple[np.ndarray, np.ndarray]:
        """Numbers of the values in the window of each value, (d, k^2 C), and which are in the image, 1 or 0."""
        place = np.stack(np.unravel_index(np.arange(height * width * channels), (height, width, channels)), 1)
        reach = np.arange(self.window) - self.window // 2
        steps = np.stack(np.meshgrid(reach, reach, np.arange(channels), indexing="ij"), -1).reshape(-1, 3)
        at = place[:, None] * [1, 1, 0] + steps[None]
        counts = ((at >= 0) & (at < (height, width, channels))).all(-1)
        at = np.where(counts[..., None], at, 0)
        return (at[..., 0] * width + at[..., 1]) * channels + at[..., 2], counts.astype(np.float32)


@dataclasses.dataclass(frozen=True)
class _Masked:
    number: int
    chunk: int
    share: float

    def __call__(self, take: Partial, eigenvalues: Array, basis: Array, noisy: Array, sigma: Array) -> Array:
        def one(image: Array, sigma: Array) -> Array:
            mask = mask_of_gaussian(eigenvalues, basis, sigma, share=self.share)

            def parts(block: Array) -> tuple[Array, Callable[[Array], Array]]:
                flat = block.reshape(len(block), -1)
                square = (image.reshape(1, -1) - flat) ** 2
                values = jnp.stack([jnp.ones_like(flat), flat], -1)
                return -(mask @ square.T) / 2, lambda weights: jnp.einsum("qn,nqc->qc", weights, values)

            return _mean(parts, take, self.number, self.chunk, sigma).reshape(image.shape)

        return _each(one, noisy, sigma)


@dataclasses.dataclass(frozen=True)
class _Equivariant:
    number: int
    chunk: int
    window: int
    borders: str

    def __call__(self, take: Partial, noisy: Array, sigma: Array) -> Array:
        crossing = self._crossing(*noisy.shape[-3:-1])

        def one(image: Array, sigma: Array) -> Array:
            queries = self._windows(image[None])

            def parts(block: Array) -> tuple[Array, Callable[[Array], Array]]:
                windows = self._windows(block)
                closeness = queries @ windows.T - jnp.sum(windows**2, 1)[None] / 2  # less what all have in common
                if self.borders == "matched":
                    is_alike = crossing[:, None] == np.tile(crossing, len(block))
                    closeness = jnp.where(is_alike, closeness, -jnp.inf)
                centres = block.reshape(-1, block.shape[-1])
                values = jnp.concatenate([jnp.ones_like(centres[:, :1]), centres], 1)
                return closeness, lambda weights: weights @ values

            return _mean(parts, take, self.number, self.chunk, sigma).reshape(image.shape)

        return _each(one, noisy, sigma)

    def _windows(self, images: Array) -> Array:
        """Windows (n H W, k^2 C) about all pixels, less mid-grey, which leaves less to cancel."""
        reach, (number, height, width, _) = self.window // 2, images.shape
        pads = ((0, 0), (reach, reach), (reach, reach), (0, 0))
        padded = jnp.pad(images - 0.5, pads, mode="wrap" if self.borders == "circular" else "constant")
        rows, columns = (np.arange(side)[:, None] + np.arange(self.window) for side in (height, width))
        return padded[:, rows[:, None, :, None], columns[None, :, None]].reshape(number * height * width, -1)

    def _crossing(self, height: int, width: int) -> np.ndarray:
        """A number (H W,) for each pixel, by how far its window is across which borders."""
        reach = self.window // 2
        place = [np.arange(side) for side in (height, width)]
        rows, columns = (np.minimum(at - reach, 0) + np.maximum(at - at[-1] + reach, 0) for at in place)
        return (rows[:, None] * self.window + columns).ravel()
