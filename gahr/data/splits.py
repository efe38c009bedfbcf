"""Disjoint subsets of an endless synthetic set: image i is `sample(fold_in(data_key, i))`."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from gahr.types import Array, Key

_CAPACITY = 2**30  # images per subset; fold_in takes an unsigned 32-bit number
_START = {"a": 0, "b": _CAPACITY, "test": 2 * _CAPACITY}


def images(sample: Callable[[Key], Array], key: Key, index: Array, *, subset: str, set_size: int) -> Array:
    """Images number `index` of a subset, made where they are asked for.

    Subsets `a` and `b` are disjoint training sets, `test` is disjoint from both. A set of N images is the first
    N of its subset, so smaller sets are nested in larger ones.

    Args:
      sample: function key -> image (H, W, C).
      key: key of the whole image set (the same for all its subsets).
      index: image numbers (N,), below `set_size`; larger numbers wrap around.
      subset: "a", "b" or "test".
      set_size: number of distinct images in the subset, at most 2^30.

    Returns:
      Images (N, H, W, C) in [0, 1].

    Raises:
      ValueError: unknown subset, or a set size that is not between 1 and 2^30.
    """
    if subset not in _START:
        raise ValueError(f"subset must be one of {', '.join(_START)}, got {subset!r}")
    if not 1 <= set_size <= _CAPACITY:
        raise ValueError(f"set_size must be between 1 and 2^30, got {set_size}")
    number = jnp.asarray(index, jnp.uint32) % jnp.uint32(set_size) + jnp.uint32(_START[subset])
    return jax.vmap(lambda i: sample(jax.random.fold_in(key, i)))(number)
