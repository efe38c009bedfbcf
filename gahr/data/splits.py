"""Disjoint subsets of an endless set, whose image i is `sample(fold_in(data_key, i))`, and of a finite one."""

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import numpy as np

from gahr.names import pick, require_whole
from gahr.types import Array, Key

_CAPACITY = 2**30  # images per subset; fold_in takes an unsigned 32-bit number
_START = {"a": 0, "b": _CAPACITY, "test": 2 * _CAPACITY}
SIZES = dict.fromkeys(_START, _CAPACITY)


def images(sample: Callable[[Key], Array], key: Key, index: Array, *, subset: str, set_size: int | Array) -> Array:
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
    number = _number(index, SIZES, subset, set_size) + jnp.uint32(_START[subset])
    return jax.vmap(lambda i: sample(jax.random.fold_in(key, i)))(number)


def gather(pixels: Array, numbers: Mapping[str, Array], index: Array, *, subset: str, set_size: int | Array) -> Array:
    """Images number `index` of a subset of a finite set; `images` for sets that are held and not made.

    Args:
      pixels: all images, uint8 (M, H, W, C); these and the next are arrays of JAX or of numpy.
      numbers: subset -> which images of `pixels` it holds, as of `of_files`.
      index: image numbers (N,), below `set_size`; larger numbers wrap around.
      subset: "a", "b" or "test".
      set_size: number of images of the subset that are used, the first.

    Returns:
      Images (N, H, W, C) in [0, 1].

    Raises:
      ValueError: unknown subset, or a set size above what it holds.
    """
    sizes = {name: len(held) for name, held in numbers.items()}
    number = _number(index, sizes, subset, set_size)
    return jnp.asarray(pixels)[jnp.asarray(numbers[subset])[number]].astype(jnp.float32) / 255


def _number(index: Array, sizes: Mapping[str, int], subset: str, set_size: int | Array) -> Array:
    """Image numbers wrapped around at the set size, which must be one that the subset has; not checked where traced."""
    most = pick("subset", sizes, subset)
    if not isinstance(set_size, jax.Array):
        require_whole(f"set_size of subset {subset}", set_size, most=most)
    return jnp.asarray(index, jnp.uint32) % jnp.asarray(set_size, jnp.uint32)


def of_files(
    num_images: int, *, num_test: int, key: Key, groups: np.ndarray | None = None, shuffle: bool = True
) -> dict[str, np.ndarray]:
    """Subsets of a finite set of images.

    The images are put in random order, the test images taken out first, and `a` and `b` are the halves of the rest,
    each counted from its end inwards; of an odd rest the one in the middle is in neither. A set of N images is the
    first N of its subset.

    With groups none has images in two subsets. Random groups are put in the test set while they fit, the others, the
    largest first, in the smaller half.

    Args:
      num_images: images in all.
      num_test: images of the test set, at least 1; with groups, at most.
      key: random key, of the order.
      groups: labels (num_images,), such as who is shown.
      shuffle: False keeps the order of the images, and of the groups by their first image.

    Returns:
      {"a": numbers, "b": numbers, "test": numbers}, none of them empty.

    Raises:
      ValueError: a subset would be empty.
    """
    require_whole("num_test", num_test, most=num_images - 2)
    order = np.asarray(jax.random.permutation(key, num_images)) if shuffle else np.arange(num_images)
    if groups is None:
        rest = order[num_test:]
        half = len(rest) // 2
        return {"a": rest[:half], "b": rest[::-1][:half], "test": order[:num_test]}
    subset = _place_groups(np.asarray(groups)[order], num_test)
    split = {"a": order[subset == 0], "b": order[subset == 1][::-1], "test": order[subset == 2]}
    empty = [name for name, numbers in split.items() if not len(numbers)]
    if empty:
        raise ValueError(f"the groups are too few or too large for num_test = {num_test}: no image for {empty[0]}")
    return split


def _place_groups(labels: np.ndarray, num_test: int) -> np.ndarray:
    """Number of the subset, a, b or test, of each image of an ordered set."""
    _, first, group, sizes = np.unique(labels, return_index=True, return_inverse=True, return_counts=True)
    place, filled = np.full(len(sizes), -1), [0, 0, 0]
    for number in np.argsort(first):
        if filled[2] + sizes[number] <= num_test:
            place[number] = 2
            filled[2] += sizes[number]
    rest = [number for number in np.argsort(first) if place[number] < 0]
    for number in sorted(rest, key=lambda number: -sizes[number]):
        place[number] = int(filled[1] < filled[0])
        filled[place[number]] += sizes[number]
    return place[group]
