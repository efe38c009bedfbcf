"""Do two denoisers agree, or does each repeat its training images?

Similarities are cosine similarities, by default of images less their mean (`centred=True`); the raw ones are larger
by the mean grey level. That of twins, samples of two denoisers from the same key, is
`gahr.metrics.cosine_similarity(samples, twins)`. Training images are arrays or functions of image numbers, as
`gahr.blocks.source` takes them.
"""

import math
from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp

from gahr import metrics, noise
from gahr.blocks import Images, fold, image_shape, in_chunks, source
from gahr.names import require
from gahr.types import Array, Key, NoiseDenoiser


class Nearest(NamedTuple):
    index: Array  # (S,) number of the most similar training image, the first of equals
    similarity: Array  # (S,) their cosine similarity


class Collage(NamedTuple):
    images: Array  # (S, H, W, C) patches of training images, each the most similar one at its place
    index: Array  # (S, rows, columns) number of the training image each patch is from
    similarity: Array  # (S, rows, columns) cosine similarity of the patches


class Distance(NamedTuple):
    mse: Array  # (L, 2) E |D - D_other|^2 / d at each level and its standard error, squared image units
    psnr: Array  # (L, 2) mean over images of -10 log10 of the same and its standard error, dB; infinite where equal


def nearest(
    samples: Array, images: Images, *, num_images: int | None = None, centred: bool = True, chunk: int = 1024
) -> Nearest:
    """Most similar training image of each sample, by exhaustive search over blocks of images.

    Args:
      samples: (S, H, W, C). All are compared at once with each block, which takes S chunk numbers of memory.
      images, num_images: training images, as `gahr.blocks.source`.
      centred: compare images less their mean; a constant image has similarity 0 to all.
      chunk: training images in a block; the result does not depend on it.

    Returns:
      Nearest.

    Raises:
      ValueError: samples and images differ in shape, or as `gahr.blocks.source`.
    """
    take, number = _matching(samples, images, num_images)
    index, similarity = _search(samples, take, samples.shape[1:3], number, centred, chunk)
    return Nearest(index[:, 0], similarity[:, 0])


def closest_pairs(
    images_a: Images,
    images_b: Images,
    *,
    num_images: int | None = None,
    centred: bool = True,
    chunk: int = 1024,
) -> Array:
    """Largest similarity of each image of one set to the images of another, (N_a,).

    Between disjoint training sets this is the floor: what twins would reach if each repeated its own images.

    Args:
      images_a, images_b: sets, as `gahr.blocks.source`; a function b is called anew for every block of a.
      num_images: the first so many images of each; needed for functions.
      centred: as `nearest`.
      chunk: images of each set in a block.

    Raises:
      ValueError: as `nearest`.
    """
    take_a, number_a = source(images_a, num_images=num_images)
    take_b, number_b = source(images_b, num_images=num_images)

    def closest(numbers: Array) -> Array:
        return nearest(take_a(numbers), take_b, num_images=number_b, centred=centred, chunk=chunk).similarity

    return in_chunks(closest, jnp.arange(number_a), chunk=chunk)


def patch_collage(
    samples: Array,
    images: Images,
    *,
    patch: int,
    num_images: int | None = None,
    centred: bool = True,
    chunk: int = 256,
) -> Collage:
    """Each sample put together from the most similar training patches at the same places.

    A sample that is a patchwork of training images (N = 100 in the publication) has patch similarities near 1
    while its nearest whole image is far. Small patches are similar by chance: compare with a set of equal size
    that was not trained on.

    Args:
      samples: (S, H, W, C), cut into squares that do not overlap.
      patch: their side in pixels; divides H and W.
      images, num_images, centred, chunk: as `nearest`; with centring, contrast counts and brightness does not.

    Returns:
      Collage, rows = H / patch and columns = W / patch.

    Raises:
      ValueError: patch does not divide the sides, or as `nearest`.

    Reference: Kadkhodaie et al. (2024), arXiv:2310.02557, appendix B.2.2.
    """
    take, number = _matching(samples, images, num_images)
    height, width = samples.shape[1:3]
    if patch < 1 or height % patch or width % patch:
        sides = [side for side in range(1, min(height, width) + 1) if height % side == width % side == 0]
        near = min(sides, key=lambda side: abs(side - patch))
        raise ValueError(f"patch must be one of {', '.join(map(str, sides))}, got {patch}; the nearest is {near}")
    shape = patch, patch
    index, similarity = _search(samples, take, shape, number, centred, chunk)

    def assemble(numbers: Array) -> Array:
        patches = jnp.diagonal(_cut(take(numbers), shape), axis1=0, axis2=1)  # patch p of image p, last axis p
        grid = jnp.moveaxis(patches, -1, 0).reshape(height // patch, width // patch, patch, patch, -1)
        return grid.swapaxes(1, 2).reshape(samples.shape[1:])

    grid = len(samples), height // patch, width // patch
    return Collage(jax.lax.map(assemble, index), index.reshape(grid), similarity.reshape(grid))


def _matching(samples: Array, images: Images, num_images: int | None) -> tuple:
    take, number = source(images, num_images=num_images)
    fits = samples.ndim == 4 and samples.shape[1:] == image_shape(take)
    require(fits, "samples", samples.shape, f"(S, {', '.join(map(str, image_shape(take)))})")
    return take, number


def _search(
    samples: Array, images: Images, patch: tuple[int, int], number: int, centred: bool, chunk: int
) -> tuple[Array, Array]:
    """Number of the image with the most similar patch at each place, and that similarity, (S, P) each."""

    def rows(images: Array) -> Array:
        patches = metrics.unit(_cut(images, patch), centred=centred)
        return patches.reshape(*patches.shape[:2], -1)  # (n, P, patch size)

    wanted = rows(samples)

    def better(carry: tuple[Array, Array], block: Array, start: Array) -> tuple[Array, Array]:
        index, best = carry
        similarity = jnp.einsum("spd,npd->psn", wanted, rows(block))
        most = similarity.max(-1).T
        return jnp.where(most > best, start + similarity.argmax(-1).T, index), jnp.maximum(best, most)

    start = jnp.zeros(wanted.shape[:2], int), jnp.full_like(wanted[..., 0], -jnp.inf)
    with jax.default_matmul_precision("highest"):
        return fold(better, start, images, num_images=number, chunk=chunk)


def _cut(images: Array, patch: tuple[int, int]) -> Array:
    """(n, H, W, C) into (n, P, height, width, C), patches row by row."""
    number, height, width, channels = images.shape
    grid = images.reshape(number, height // patch[0], patch[0], width // patch[1], patch[1], channels)
    return grid.swapaxes(2, 3).reshape(number, -1, *patch, channels)


def distances(
    noise_denoiser: NoiseDenoiser, others: Mapping[str, NoiseDenoiser], key: Key, clean: Array, *, sigmas: Array
) -> dict[str, Distance]:
    """How far a denoiser is from others on the same noisy images, level by level.

    A network that memorizes is near the exact denoiser of its training images (`gahr.classical.analytic.points`)
    and far from a twin trained on others; one that generalizes the other way round. No sampling is needed.

    Args:
      noise_denoiser: (noisy, sigma) -> denoised; `gahr.denoiser.blind` makes one of a blind denoiser.
      others: names and denoisers it is compared with.
      key: random key; image i meets the same noise sigma z_i at every level.
      clean: images (N, H, W, C), N >= 2, training images or test images.
      sigmas: noise levels (L,), image units.

    Returns:
      Distance by name.

    Raises:
      ValueError: fewer than two images.
    """
    if len(clean) < 2:
        raise ValueError(f"a standard error needs two images at least, got {len(clean)}")
    normal = noise.standard_normal(key, clean)

    def level(sigma: Array) -> dict[str, Array]:
        noisy = clean + sigma * normal
        denoised = noise_denoiser(noisy, sigma)
        return {name: metrics.mse(denoised, other(noisy, sigma)) for name, other in others.items()}

    def summary(values: Array) -> Array:
        return jnp.stack([values.mean(1), values.std(1, ddof=1) / math.sqrt(len(clean))], -1)

    found = jax.lax.map(level, jnp.asarray(sigmas))  # each (L, N)
    return {name: Distance(summary(mse), summary(-10 * jnp.log10(mse))) for name, mse in found.items()}
