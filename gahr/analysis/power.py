"""Subspace iteration X <- S X on k + 10 vectors: the leading eigenpairs as the literature finds them.

It finds the eigenvalues of largest magnitude. `start` and `step` as in `gahr.analysis.krylov`.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from gahr.analysis import krylov
from gahr.types import Array, Key


class Search(NamedTuple):
    block: Array  # (b, d) orthonormal: what S is applied to next
    pairs: krylov.Pairs
    finished: Array  # () bool
    num_products: Array  # () so far


def start(
    key: Key, k: int, size: int, *, block: int, max_products: int | None, dtype: jnp.dtype = jnp.float32
) -> tuple[Search, int]:
    """As `krylov.start`; the block is always one of k + 10 vectors."""
    del block
    number = min(k + 10, size)
    rows = krylov.random_block(jax.random.split(key)[1], number, size, dtype)
    search = Search(rows, krylov.no_pairs(k, size, dtype), jnp.array(False), jnp.zeros((), jnp.int32))
    return search, 100 * number if max_products is None else max_products


def step(search: Search, images: Array, allowed: Callable[[Array], Array]) -> Search:
    """Ritz pairs in the span of the block; the next one spans the values of S on it. Arguments as `krylov.step`."""
    number = len(images)
    space = krylov.Space(search.block, images, search.block @ images.T, jnp.ones(number, bool))
    pairs = krylov.ritz(space, len(search.pairs.values), number)
    finished = jnp.all(pairs.residuals <= allowed(pairs.values))
    return Search(jnp.linalg.qr(images.T)[0].T, pairs, finished, search.num_products + number)
