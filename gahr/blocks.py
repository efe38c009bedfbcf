"""Work in blocks, for bounded memory: over sets of images, held or made, and over chunks spread over devices."""

import math
from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import NamedSharding, PartitionSpec
from jax.tree_util import Partial

from gahr.denoiser import as_argument
from gahr.types import Array, PyTree, Sharding

Images = Array | np.ndarray | Callable[[Array], Array]  # (N, H, W, C), or numbers (n,) -> (n, H, W, C)
Carry = TypeVar("Carry")


def source(images: Images, *, num_images: int | None = None) -> tuple[Partial, int]:
    """One form for all sets of images: a function of image numbers, and how many images there are.

    Args:
      images: array (N, H, W, C), float in [0, 1] or uint8 in 0 to 255, which goes to the device as it is; or a
        function numbers (n,) -> images (n, H, W, C) that JAX can trace, and which makes them when they are needed.
      num_images: N of a function; of an array its first so many images, all where None.

    Returns:
      (take, N): take(numbers (n,)) -> float images (n, H, W, C) in [0, 1]; a pytree whose leaves are the images.

    Raises:
      ValueError: no images, more than there are, no number given for a function, or another shape or dtype.
    """
    if callable(images):
        if num_images is None:
            raise ValueError("a function that makes images needs num_images=")
        take, number = Partial(_made, as_argument(images)), num_images
    else:
        number = len(images) if num_images is None else num_images
        if number > len(images):
            raise ValueError(f"num_images must be at most the {len(images)} images there are, got {number}")
        take = Partial(_taken, jnp.asarray(images))
    if number < 1:
        raise ValueError(f"a set must hold one image at least, got {number}")
    shape = image_shape(take)
    if len(shape) != 3:
        raise ValueError(f"images must be (N, H, W, C), got (N, {', '.join(map(str, shape))})")
    return take, int(number)


def image_shape(take: Partial) -> tuple[int, ...]:
    """(H, W, C) of the images that a function of image numbers makes."""
    return jax.eval_shape(take, jnp.arange(1)).shape[1:]


def _made(function: Callable, numbers: Array) -> Array:
    return _intensities(function(numbers))


def _taken(images: Array, numbers: Array) -> Array:
    return _intensities(images[numbers])


def _intensities(images: Array) -> Array:
    if jnp.issubdtype(images.dtype, jnp.floating):
        return images
    if images.dtype != jnp.uint8:
        raise ValueError(f"images must be floating-point or uint8, got dtype {images.dtype}")
    return images.astype(jnp.float32) / 255


def fold(
    function: Callable[[Carry, Array, Array], Carry],
    carry: Carry,
    images: Images,
    *,
    num_images: int | None = None,
    chunk: int = 1024,
) -> Carry:
    """Result of carry -> function(carry, block, start) over a whole set, one block after another.

    Derivatives make the blocks again instead of keeping them, so their memory is bounded as well.

    Args:
      function: block (n, H, W, C) holds the images number start to start + n - 1.
      carry: pytree of arrays at the start; its shapes stay.
      images, num_images: as `source`.
      chunk: images in a block; the last holds what remains.

    Returns:
      The last carry.

    Raises:
      ValueError: chunk below 1, or as `source`.
    """
    take, number = source(images, num_images=num_images)
    if chunk < 1:
        raise ValueError(f"chunk must be at least 1, got {chunk}")
    chunk = min(int(chunk), number)

    def step(carry: Carry, start: Array) -> tuple[Carry, None]:
        return function(carry, take(start + jnp.arange(chunk)), start), None

    starts = chunk * jnp.arange(number // chunk)
    carry, _ = jax.lax.scan(jax.checkpoint(step, prevent_cse=False), carry, starts)
    rest = number % chunk
    return function(carry, take(number - rest + jnp.arange(rest)), jnp.asarray(number - rest)) if rest else carry


def in_chunks(
    function: Callable[[PyTree], PyTree], arguments: PyTree, *, chunk: int, sharding: Sharding | None = None
) -> PyTree:
    """function(arguments), computed for some rows at a time, which bounds the memory.

    Args:
      function: of arrays with n rows, to arrays with n rows that depend on no other row; any n.
      arguments: arrays with N rows, also of keys.
      chunk: rows at a time at most, but with `sharding` one for each device at least. XLA's CPU compiler makes
        products J^T v of convolutions fast outside of loops only, that is where one chunk holds all rows.
      sharding: how the rows of a chunk are spread over devices, for instance
        NamedSharding(mesh, PartitionSpec("data")); the results are on all of them.

    Returns:
      What function(arguments) is, N rows.

    Raises:
      ValueError: chunk below 1.
    """
    if chunk < 1:
        raise ValueError(f"chunk must be at least 1, got {chunk}")
    number = len(jax.tree.leaves(arguments)[0])
    devices = 1 if sharding is None else sharding.num_devices
    chunks = math.ceil(number / (math.ceil(chunk / devices) * devices))
    chunk = math.ceil(number / (chunks * devices)) * devices  # even ones, so that little is filled up
    rows = np.minimum(np.arange(chunks * chunk), number - 1)

    def split(leaf: Array) -> Array:
        whole = leaf if len(rows) == number else leaf[rows]
        return whole.reshape(-1, chunk, *leaf.shape[1:])

    def run(part: PyTree) -> PyTree:
        if sharding is None:
            return function(part)
        everywhere = NamedSharding(sharding.mesh, PartitionSpec())
        return lax.with_sharding_constraint(function(lax.with_sharding_constraint(part, sharding)), everywhere)

    results = lax.map(run, jax.tree.map(split, arguments))
    return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:])[:number], results)
