"""Block Krylov spaces: the leading eigenpairs of a symmetric operator S from products with it alone.

span{X, S X, S^2 X, ...} from a random block X is kept whole and orthogonal: `step` with the values of S on `block`
until `finished`. Rows are vectors of d numbers.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from gahr.types import Array, Key

_STEPS = 6  # at least, after a fresh random block
_SHARE = 0.1  # of a Ritz vector in what a fresh block spans, from which it counts as found by it
_MARGIN = 2  # residuals by which an eigenvalue may still rise


class Space(NamedTuple):
    basis: Array  # (m, d) orthonormal rows, zero where not filled
    images: Array  # (m, d) the values of S on them
    projected: Array  # (m, m) their products with the basis
    filled: Array  # (m,) bool


class Pairs(NamedTuple):
    values: Array  # (k,) Ritz values, descending
    vectors: Array  # (k, d)
    residuals: Array  # (k,) |S e - s e|
    next_value: Array  # () of those after the first k that a fresh block found, the largest
    next_residual: Array  # ()


class Memory(NamedTuple):
    space: Space  # spanned so far
    fresh: Array  # () the row of the basis from which a fresh block was followed; their number m where none was
    before: Array  # (k,) Ritz values when it was added
    key: Key  # of fresh blocks


class State(NamedTuple):
    block: Array  # (b, d) orthonormal: what S is applied to next
    pairs: Pairs  # found so far
    memory: Memory  # of no rows where a method needs none
    finished: Array  # () bool
    num_products: Array  # () so far; with the memory also the first row that is not filled


def start(block: Array, k: int, *, key: Key, capacity: int) -> State:
    """The search for k pairs from a block (b, d), with memory for a basis of m = `capacity` rows."""
    m, d, zeros = capacity, block.shape[1], functools.partial(jnp.zeros, dtype=block.dtype)
    none = functools.partial(jnp.full, k, jnp.inf, block.dtype)  # never one buffer twice: they are donated
    space = Space(zeros((m, d)), zeros((m, d)), zeros((m, m)), zeros(m, dtype=bool))
    memory = Memory(space, jnp.asarray(m, jnp.int32), none(), key)
    pairs = Pairs(zeros(k), zeros((k, d)), none(), zeros(()), zeros(()))
    return State(block, pairs, memory, jnp.array(False), jnp.zeros((), jnp.int32))


def step(state: State, images: Array, allowed: Callable[[Array], Array]) -> State:
    """Add the block and the values of S on it, find the Ritz pairs, choose the next block.

    A block finds as many copies of an equal eigenvalue as it has vectors. Hence, once the pairs have converged, a
    fresh random block is followed until what it leads to is clearly below them, and again until that changes nothing.

    Args:
      state: where the search stands.
      images: the values of S on its block, (b, d).
      allowed: Ritz values, the largest first -> residuals with which they count as converged.
    """
    (k, number), (space, fresh, before, key) = (len(state.pairs.values), len(images)), state.memory
    space = expand(space, state.block, images, state.num_products)
    end = state.num_products + number
    pairs = ritz(space, k, fresh)
    limit = allowed(jnp.append(pairs.values, pairs.next_value))
    converged = jnp.all(pairs.residuals <= limit[:-1]) & (space.filled.sum() >= k)
    below = pairs.next_value + _MARGIN * pairs.next_residual <= pairs.values[-1]
    as_long = end - fresh >= fresh  # as all before
    settled = below | (pairs.next_residual <= limit[-1]) | as_long
    followed = (end - fresh >= _STEPS * number) & settled
    ready = converged & (followed | (fresh == len(space.basis)))
    key, subkey = jax.random.split(key)
    random = jax.random.normal(subkey, images.shape, images.dtype)
    block = next_block(space, jnp.where(ready, random, images), random)
    memory = Memory(space, jnp.where(ready, end, fresh), jnp.where(ready, pairs.values, before), key)
    return State(block, pairs, memory, ready & jnp.all(jnp.abs(pairs.values - before) <= limit[:-1]), end)


def expand(space: Space, block: Array, images: Array, at: Array) -> Space:
    """The space with a block of basis vectors (b, d), and the values of S on them, in the rows from `at`."""
    basis = lax.dynamic_update_slice(space.basis, block, (at, 0))
    new = basis @ images.T
    projected = lax.dynamic_update_slice(space.projected, new, (0, at))
    return Space(
        basis,
        lax.dynamic_update_slice(space.images, images, (at, 0)),
        lax.dynamic_update_slice(projected, new.T, (at, 0)),
        lax.dynamic_update_slice(space.filled, jnp.sum(block**2, axis=1) > 0.5, (at,)),
    )


def ritz(space: Space, k: int, fresh: Array) -> Pairs:
    """The k leading eigenpairs of S within the span of the basis, and the next that rows from `fresh` on found."""
    projected = (space.projected + space.projected.T) / 2
    least = -2 * jnp.abs(projected).sum(1).max() - 1  # puts empty rows last
    both = space.filled[:, None] & space.filled[None]
    projected = jnp.where(both, projected, jnp.diag(jnp.where(space.filled, 0, least)))
    ascending, columns = jnp.linalg.eigh(projected)
    values, rows = ascending[::-1], columns[:, ::-1].T
    number = jnp.arange(len(values))
    found = jnp.sum(jnp.where(number[None] >= fresh, rows**2, 0), 1) > _SHARE
    chosen = jnp.append(number[:k], jnp.argmax(found & (number >= k)))
    vectors = rows[chosen] @ space.basis
    residuals = jnp.linalg.norm(rows[chosen] @ space.images - values[chosen][:, None] * vectors, axis=1)
    return Pairs(values[:k], vectors[:k], residuals[:k], values[chosen[-1]], residuals[-1])


def next_block(space: Space, block: Array, random: Array) -> Array:
    """Orthonormal rows (b, d) that span the block less its part in the basis.

    Rows of which too little is left are replaced by random ones; where no dimension is left, by zero.
    """
    least = 1e-4 * jnp.linalg.norm(block, axis=1)
    for attempt in range(3):
        block = block - (block @ space.basis.T) @ space.basis
        columns, triangle = jnp.linalg.qr(block.T)
        left = jnp.abs(jnp.diagonal(triangle))
        block = columns.T
        if attempt == 0:
            filling = random / jnp.linalg.norm(random, axis=1, keepdims=True)
            block = jnp.where(((left <= least) | (left == 0))[:, None], filling, block)
    return jnp.where((left > 0.5)[:, None], block, 0)
