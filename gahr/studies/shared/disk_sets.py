"""Disks that several studies look at, and their exact posteriors."""

import functools

import jax
import jax.numpy as jnp

from gahr.blocks import in_chunks
from gahr.classical.disk_posterior import Posterior, posterior_mean
from gahr.data import disks
from gahr.types import Array, Key, Sharding

DIMENSION = 5  # of the set of disks


@functools.partial(jax.jit, static_argnames="size")
def draw_disks(keys: Key, size: int, ramp: float = 1.0) -> tuple[disks.Parameters, Array]:
    """A disk for each key, and their images."""
    parameters = jax.vmap(functools.partial(disks.draw, size=size))(keys)
    return parameters, jax.vmap(functools.partial(disks.render, size=size, ramp=ramp))(parameters)


@functools.partial(jax.jit, static_argnames=("size", "num_samples", "sharding"))
def posteriors(
    noisy: Array,
    sigma: Array,
    keys: Key,
    references: disks.Parameters,
    *,
    size: int,
    num_samples: int,
    sharding: Sharding | None,
) -> Posterior:
    """The posterior of each of some disks (N, size, size, 1)."""

    def posterior(row: tuple[Array, Key, disks.Parameters]) -> Posterior:
        return posterior_mean(row[0], sigma, *row[1:], size=size, num_samples=num_samples)

    return in_chunks(jax.vmap(posterior), (noisy, keys, references), chunk=1, sharding=sharding)


def require_samples(weight: Array, sigma: Array, num_samples: int) -> None:
    """ValueError where some image's proposals were all rejected, which leaves its effective samples zero."""
    if not bool(jnp.all(weight > 0)):
        raise ValueError(
            f"every proposal for a disk was rejected at sigma = {float(sigma):.3g}; "
            f"raise study.analysis.num_samples, {num_samples} now"
        )
