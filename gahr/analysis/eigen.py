"""Leading eigenvectors and singular vectors of a Jacobian from products with it alone, without the matrix.

A product is one J v (`jax.jvp`) and one J^T v (`jax.vjp`). Everything is pure and can be `vmap`ped over images; `jit`
it for several, since every call outside of one compiles anew. Two methods, which stop on residual norms; measured on a
published BF-CNN of 20 layers at a noisy 32 x 32 crop, k = 10 of d = 1024, against the whole Jacobian:

    method, tolerance                                products      largest error of s_k / s_1
    krylov: a whole Krylov space, 1e-3 (1e-4)        124 (140)     2e-6 (3e-7)
    power: X <- S X on k + 10 vectors, the same      780 (1,140)   1e-5 (6e-7)
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from gahr.analysis import krylov, power
from gahr.analysis.checks import check_image, known_finite
from gahr.analysis.jacobian import Eigenbasis, SingularBasis, relative_asymmetry
from gahr.names import pick, require
from gahr.types import Array, Denoiser, Key

_METHODS = {"krylov": krylov, "power": power}


def top_eigenbasis(
    denoiser: Denoiser,
    noisy: Array,
    k: int,
    *,
    key: Key,
    method: str = "krylov",
    block: int = 4,
    tolerance: float = 1e-3,
    max_products: int | None = None,
) -> Eigenbasis:
    """The k leading eigenvectors of the symmetric part S = (J + J^T) / 2 of a denoiser's Jacobian.

    Args:
      denoiser: noisy -> estimate of the clean image.
      noisy: one image y (H, W, C); d = H W C. `vmap` for several.
      k: number of eigenvectors, at most d.
      key: random key of the first block.
      method: "krylov" or "power", which finds the eigenvalues of largest magnitude.
      block: vectors pushed through at a time by "krylov"; small ones need fewer products.
      tolerance: stop when every |S e - s e| <= tolerance s_1. Eigenvalues are then within that, usually within
        its square over the gap to the rest.
      max_products: stop at the latest after so many, but for the k that are needed; where None, 10 k + 100, which is
        enough for networks (many equal eigenvalues need more), and 100 steps of "power". "krylov" keeps 2 vectors of
        d numbers for each.

    Returns:
      Eigenbasis of k vectors, with residuals |S e - s e|, the number of products, and an estimate of the
      asymmetry from the first block. Where `max_products` was reached, residuals may exceed the tolerance, or
      copies of equal eigenvalues be missing.

    Raises:
      ValueError: k is not between 1 and d, unknown method, or an image or denoiser that `jacobian` refuses.
    """
    noisy = check_image(denoiser, noisy)
    step = _Step(_symmetric, pick("method", _METHODS, method), tolerance)
    found, asymmetry = _solve(step, denoiser, noisy, k, key, block, max_products)
    vectors = found.pairs.vectors.reshape(k, *noisy.shape)
    return Eigenbasis(found.pairs.values, vectors, asymmetry, found.pairs.residuals, found.num_products)


def top_singular_basis(
    function: Callable[[Array], Array],
    at: Array,
    k: int,
    *,
    key: Key,
    method: str = "krylov",
    block: int = 4,
    tolerance: float = 1e-3,
    max_products: int | None = None,
) -> SingularBasis:
    """The k leading singular values and vectors of the Jacobian of a function at a point.

    The eigenvectors of J^T J are found as in `top_eigenbasis`; then s = sqrt(eigenvalue) and u = J v / s. float32
    leaves singular values below about 3e-4 of the first undetermined.

    Args:
      function: any differentiable map between arrays, also of different shapes.
      at: point (...), of d numbers.
      k, key, method, block, max_products: as in `top_eigenbasis`.
      tolerance: stop when every |J^T u - s v| <= tolerance s_1.

    Returns:
      SingularBasis of k vectors; a product is one J v and one J^T u.

    Raises:
      ValueError: k is not between 1 and d, unknown method, or a point that is not floating-point or not finite.
    """
    if not jnp.issubdtype(at.dtype, jnp.floating):
        raise ValueError(f"expected a floating-point array, got dtype {at.dtype}")
    if not known_finite(at):
        raise ValueError("the point holds NaN or infinite values")
    at = jnp.asarray(at)
    step = _Step(_gram, pick("method", _METHODS, method), tolerance)
    found, _ = _solve(step, function, at, k, key, block, max_products)
    right = found.pairs.vectors.reshape(k, *at.shape)
    left = jax.vmap(lambda v: jax.jvp(function, (at,), (v,))[1])(right)
    values = jnp.linalg.norm(left.reshape(k, -1), axis=1)
    positive = jnp.where(values > 0, values, 1)
    left = left / positive.reshape(k, *(1,) * (left.ndim - 1))
    return SingularBasis(values, left, right, found.pairs.residuals / positive, found.num_products)


def _symmetric(push: Callable, pull: Callable, vectors: Array) -> tuple[Array, Array]:
    """(J v + J^T v) / 2, and the asymmetry they show."""
    forward, backward = push(vectors), pull(vectors)
    return (forward + backward) / 2, relative_asymmetry(forward, backward)


def _gram(push: Callable, pull: Callable, vectors: Array) -> tuple[Array, Array]:
    """J^T J v, which is symmetric."""
    return pull(push(vectors)), jnp.zeros(())


@dataclasses.dataclass(frozen=True)
class _Step:
    """One step of a method with a Jacobian."""

    operator: Callable
    method: Any
    tolerance: float

    def __call__(self, function: Callable, at: Array, state: tuple[Any, Array]) -> tuple[Any, Array]:
        search, asymmetry = state
        with jax.default_matmul_precision("highest"):
            _, push = jax.linearize(function, at)
            _, pull = jax.vjp(function, at)
            vectors = search.block.reshape(-1, *at.shape)
            images, measured = self.operator(jax.vmap(push), jax.vmap(lambda v: pull(v)[0]), vectors)
            asymmetry = jnp.where(search.num_products == 0, measured, asymmetry)
            return self.method.step(search, images.reshape(search.block.shape), self.allowed), asymmetry

    def allowed(self, values: Array) -> Array:
        scale = jnp.abs(values[0])
        if self.operator is _gram:  # errors of J are asked for, not of J^T J
            return self.tolerance * jnp.sqrt(scale * jnp.abs(values))
        return self.tolerance * jnp.broadcast_to(scale, values.shape)


def _solve(
    step: _Step, function: Callable, at: Array, k: int, key: Key, block: int, max_products: int | None
) -> tuple[krylov.State, Array]:
    """The finished search, and the asymmetry that its first block shows."""
    require(1 <= k <= at.size, "k", k, f"between 1 and the {at.size} dimensions of the image")
    require(block >= 1, "block", block, "at least 1")
    if step.method is power:
        block, capacity = min(k + 10, at.size), 0
        limit = 100 * block if max_products is None else max_products
    else:
        block, limit = min(block, at.size), 10 * k + 100 if max_products is None else max_products
        limit = capacity = -(-min(max(limit, k), at.size) // block) * block
    key, first = jax.random.split(key)
    rows = jnp.linalg.qr(jax.random.normal(first, (at.size, block), at.dtype))[0].T
    return lax.while_loop(
        lambda state: ~state[0].finished & (state[0].num_products + block <= limit),
        lambda state: step(function, at, state),
        (krylov.start(rows, k, key=key, capacity=capacity), jnp.zeros((), at.dtype)),
    )
