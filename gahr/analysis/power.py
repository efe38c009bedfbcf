"""Subspace iteration X <- S X: the leading eigenpairs as the literature finds them, those of largest magnitude."""

from collections.abc import Callable

import jax.numpy as jnp

from gahr.analysis.krylov import Space, State, ritz
from gahr.types import Array


def step(state: State, images: Array, allowed: Callable[[Array], Array]) -> State:
    """Ritz pairs in the span of the block, and a next one that spans the values of S on it; as `krylov.step`."""
    space = Space(state.block, images, state.block @ images.T, jnp.ones(len(images), bool))
    pairs = ritz(space, len(state.pairs.values), len(images))
    finished = jnp.all(pairs.residuals <= allowed(pairs.values))
    return State(jnp.linalg.qr(images.T)[0].T, pairs, state.memory, finished, state.num_products + len(images))
