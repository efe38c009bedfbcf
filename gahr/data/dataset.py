"""One form of all image sets, made and held."""

import functools
from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
from jax.tree_util import Partial

from gahr.data import splits
from gahr.types import Array, Key, with_options


class Dataset(NamedTuple):
    """A set of images in disjoint subsets."""

    shape: tuple[int, int, int]  # (H, W, C)
    sizes: Mapping[str, int]  # subset -> largest set_size
    take: Partial  # (index (N,), *, subset, set_size) -> images (N, H, W, C); a pytree whose leaves are what is held
    digest: str | None  # name and hash of the file; None for sets that are made


def synthetic(sample: Callable[..., Array]) -> Callable[..., Dataset]:
    """Factory (key, *, options) -> Dataset of the images that sample(key, *, options) makes, see `splits.images`.

    The options, and the ValueErrors for those that cannot be, are those of `sample`.
    """

    @functools.wraps(sample)
    def factory(key: Key, **options: object) -> Dataset:
        one = with_options(sample, **options)
        return Dataset(jax.eval_shape(one, key).shape, splits.SIZES, Partial(splits.images, one, key), None)

    return factory
