"""Epochs without replacement: which image comes when, as a function of the step alone."""

import jax
import jax.numpy as jnp
from jax import lax

from gahr.types import Array, Key

_ROUNDS = 12
_LEAST = 250_000  # images of an epoch, where a set has fewer (published)


def numbers(key: Key, step: Array, *, batch_size: int, set_size: Array, least: int = _LEAST) -> Array:
    """Numbers (batch_size,) of the images of a training step, each below `set_size`.

    As published, an epoch goes through floor(least / N) copies of the N images, or one where N is larger, in random
    order; every epoch in another. Batches go on across its end, where the published ones end with a smaller one.

    Args:
      key: random key of the run.
      step: () steps done.
      batch_size: images of a step.
      set_size: N, a number or traced.
      least: least number of images in an epoch, up to rounding down to whole copies.

    Reference: arXiv:2310.02557, appendix A.1, and the training published with it.
    """
    number = jnp.asarray(set_size, jnp.uint32)
    total = number * jnp.maximum(1, least // number)
    place = jnp.asarray(step, jnp.uint32) * jnp.uint32(batch_size) + jnp.arange(batch_size, dtype=jnp.uint32)
    keys = jax.vmap(lambda epoch: jax.random.bits(jax.random.fold_in(key, epoch), (_ROUNDS,)))(place // total)
    return _permuted(keys, place % total, total) % number


def _permuted(keys: Array, place: Array, total: Array) -> Array:
    """Where random permutations of 0 to total - 1, one for each row of keys (B, rounds), send the places (B,).

    A Feistel network permutes the numbers of 2 h bits; applied again while it leaves the range, it permutes the range.
    """
    half = (33 - lax.clz(total - 1)) // 2
    mask = (jnp.uint32(1) << half) - 1

    def permute(value: Array) -> Array:
        left, right = value >> half, value & mask
        for i in range(_ROUNDS):
            left, right = right, left ^ (_mixed(right ^ keys[:, i]) & mask)
        return (left << half) | right

    def again(state: tuple[Array, Array]) -> tuple[Array, Array]:
        value, outside = state
        value = jnp.where(outside, permute(value), value)
        return value, value >= total

    return lax.while_loop(lambda state: state[1].any(), again, (place, place >= 0))[0]


def _mixed(value: Array) -> Array:
    """The bits mixed well (MurmurHash3's last step)."""
    value = (value ^ (value >> 16)) * jnp.uint32(0x85EBCA6B)
    value = (value ^ (value >> 13)) * jnp.uint32(0xC2B2AE35)
    return value ^ (value >> 16)
