"""Leading eigenvectors and singular vectors of a Jacobian from products with it alone, without the matrix.

A product is one J v (`jax.jvp`) and one J^T v (`jax.vjp`). Everything is pure and can be jitted and `vmap`ped over
images. Two methods: "krylov", a block Krylov space that is kept whole and orthogonal, and "power", plain subspace
iteration. Both stop on residual norms.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.tree_util import Partial

from gahr.analysis.jacobian import Eigenbasis, SingularBasis, check_image, known_finite, relative_asymmetry
from gahr.denoiser import as_argument
from gahr.types import Array, Denoiser, Key

_STEPS = 6  # at least, after a fresh random block
_SHARE = 0.1  # of a Ritz vector in what a fresh block spans, from which it counts as found by it
_MARGIN = 2  # residuals by which an eigenvalue may still rise
METHODS = ("krylov", "power")


class _State(NamedTuple):
    basis: Array  # (m, d) orthonormal rows, zero where not filled
    images: Array  # (m, d) the operator's values on them
    projected: Array  # (m, m) their products with the basis
    filled: Array  # (m,) bool
    block: Array  # (b, d) orthonormal: what the operator is applied to next
    ritz_values: Array  # (k,)
    ritz_vectors: Array  # (k, d)
    residuals: Array  # (k,)
    asymmetry: Array  # ()
    fresh: Array  # () the row of the basis from which a fresh block was followed; its length where none was
    before: Array  # (k,) Ritz values when it was added
    finished: Array  # () bool
    num_products: Array  # ()
    key: Key


def host_loop(condition: Callable, body: Callable, state: Any) -> Any:
    """Python loop with the interface of `jax.lax.while_loop`, around a jitted body.

    XLA's CPU compiler brings convolutions into their fast form outside of loops only, so that on a CPU this is
    up to five times as fast. It cannot be used inside `jit` or `vmap`. The memory of `state` is used again, so
    the caller must not.
    """
    while condition(state):
        state = _call(body, state)
    return state


@functools.partial(jax.jit, donate_argnums=1)
def _call(body: Callable, state: Any) -> Any:
    return body(state)  # a Partial, hence an argument: equal bodies share one compilation


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
    loop: Callable = lax.while_loop,
) -> Eigenbasis:
    """The k leading eigenvectors of the symmetric part S = (J + J^T) / 2 of a denoiser's Jacobian.

    "krylov" builds span{X, S X, S^2 X, ...} from a random block X, orthogonal to all that came before, and takes
    the Ritz pairs of S in it. A block finds as many copies of an equal eigenvalue as it has vectors. Hence, once the
    pairs have converged, a fresh random block is followed until what it leads to is clearly below them, and again
    until that changes nothing. "power" repeats X <- S X on k + 10 vectors, and finds the eigenvalues of largest
    magnitude.

    Args:
      denoiser: noisy -> estimate of the clean image.
      noisy: one image y (H, W, C); d = H W C. `vmap` for several.
      k: number of eigenvectors, at most d.
      key: random key of the first block.
      method: "krylov" or "power".
      block: vectors pushed through at a time by "krylov"; small ones need fewer products.
      tolerance: stop when every |S e - s e| <= tolerance s_1. Eigenvalues are then within that, usually within
        its square over the gap to the rest.
      max_products: stop at the latest after so many, but for the k that are needed; where None, 10 k + 100, which is
        enough for networks (many equal eigenvalues need more), and 100 steps of "power". "krylov" keeps 2 vectors of
        d numbers for each.
      loop: `jax.lax.while_loop`, or `host_loop` on a CPU.

    Returns:
      Eigenbasis of k vectors, with residuals |S e - s e|, the number of products, and an estimate of the
      asymmetry from the first block. Where `max_products` was reached, residuals may exceed the tolerance, or
      copies of equal eigenvalues be missing.

    Raises:
      ValueError: k is not between 1 and d, unknown method, or an image or denoiser that `jacobian` refuses.
    """
    noisy = check_image(denoiser, noisy)
    _check(k, noisy.size, method, block)
    state = _solve(_Symmetric(), (denoiser, noisy), noisy, k, key, method, block, tolerance, max_products, loop)
    vectors = state.ritz_vectors.reshape(k, *noisy.shape)
    return Eigenbasis(state.ritz_values, vectors, state.asymmetry, state.residuals, state.num_products)


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
    loop: Callable = lax.while_loop,
) -> SingularBasis:
    """The k leading singular values and vectors of the Jacobian of a function at a point.

    The eigenvectors of J^T J are found as in `top_eigenbasis`; then s = sqrt(eigenvalue) and u = J v / s. float32
    leaves singular values below about 3e-4 of the first undetermined.

    Args:
      function: any differentiable map between arrays, also of different shapes.
      at: point (...), of d numbers.
      k, key, method, block, max_products, loop: as in `top_eigenbasis`.
      tolerance: stop when every |J^T u - s v| <= tolerance s_1.

    Returns:
      SingularBasis of k vectors; a product is one J v and one J^T u.

    Raises:
      ValueError: k is not between 1 and d, unknown method, or a point that is not floating-point or not finite.
    """
    _check(k, at.size, method, block)
    if not jnp.issubdtype(at.dtype, jnp.floating):
        raise ValueError(f"expected a floating-point array, got dtype {at.dtype}")
    if not known_finite(at):
        raise ValueError("the point holds NaN or infinite values")
    at = jnp.asarray(at)
    state = _solve(_Gram(), (function, at), at, k, key, method, block, tolerance, max_products, loop)
    right = state.ritz_vectors.reshape(k, *at.shape)
    left = jax.vmap(lambda v: jax.jvp(function, (at,), (v,))[1])(right)
    values = jnp.linalg.norm(left.reshape(k, -1), axis=1)
    positive = jnp.where(values > 0, values, 1)
    left = left / positive.reshape(k, *(1,) * (left.ndim - 1))
    return SingularBasis(values, left, right, state.residuals / positive, state.num_products)


def _check(k: int, size: int, method: str, block: int) -> None:
    if not 1 <= k <= size:
        raise ValueError(f"k must be between 1 and the {size} dimensions of the image, got {k}")
    if method not in METHODS:
        raise ValueError(f"unknown method {method!r} (allowed: {', '.join(METHODS)})")
    if block < 1:
        raise ValueError(f"block must be at least 1, got {block}")


@dataclasses.dataclass(frozen=True)
class _Symmetric:
    """v -> (J v + J^T v) / 2 on rows, and the share of what is not symmetric."""

    squared: bool = False

    def __call__(self, function: Callable, at: Array, rows: Array) -> tuple[Array, Array]:
        vectors = rows.reshape(-1, *at.shape)
        _, push = jax.linearize(function, at)
        _, pull = jax.vjp(function, at)
        forward, backward = jax.vmap(push)(vectors), jax.vmap(lambda v: pull(v)[0])(vectors)
        return ((forward + backward) / 2).reshape(rows.shape), relative_asymmetry(forward, backward)


@dataclasses.dataclass(frozen=True)
class _Gram:
    """v -> J^T J v on rows."""

    squared: bool = True

    def __call__(self, function: Callable, at: Array, rows: Array) -> tuple[Array, Array]:
        _, push = jax.linearize(function, at)
        _, pull = jax.vjp(function, at)
        pulled = jax.vmap(lambda v: pull(push(v))[0])(rows.reshape(-1, *at.shape))
        return pulled.reshape(rows.shape), jnp.zeros(())


def _solve(operator, arguments, at, k, key, method, block, tolerance, max_products, loop) -> _State:
    size, limit = at.size, max_products
    if method == "power":
        block = capacity = min(k + 10, size)
        limit = 100 * block if limit is None else limit
    else:
        block, limit = min(block, size), 10 * k + 100 if limit is None else limit
        limit = capacity = -(-min(max(limit, k), size) // block) * block
    key, first = jax.random.split(key)
    start = jnp.linalg.qr(jax.random.normal(first, (size, block), at.dtype))[0].T
    function, *others = arguments
    state = _State(
        basis=jnp.zeros((capacity, size), at.dtype),
        images=jnp.zeros((capacity, size), at.dtype),
        projected=jnp.zeros((capacity, capacity), at.dtype),
        filled=jnp.zeros((capacity,), bool),
        block=start,
        ritz_values=jnp.zeros((k,), at.dtype),
        ritz_vectors=jnp.zeros((k, size), at.dtype),
        residuals=jnp.full((k,), jnp.inf, at.dtype),
        asymmetry=jnp.zeros((), at.dtype),
        fresh=jnp.asarray(capacity, jnp.int32),
        before=jnp.full((k,), jnp.inf, at.dtype),
        finished=jnp.zeros((), bool),
        num_products=jnp.zeros((), jnp.int32),
        key=key,
    )
    options = _Body(operator, method, k, tolerance)
    return loop(
        lambda state: ~state.finished & (state.num_products + block <= limit),
        Partial(options, (as_argument(function), *others)),
        state,
    )


@dataclasses.dataclass(frozen=True)
class _Body:
    """One step: apply the operator to the block, find the Ritz pairs, choose the next block."""

    operator: Any
    method: str
    k: int
    tolerance: float

    def __call__(self, arguments: tuple, state: _State) -> _State:
        with jax.default_matmul_precision("highest"):
            return self._step(arguments, state)

    def _step(self, arguments: tuple, state: _State) -> _State:
        values, asymmetry = self.operator(*arguments, state.block)
        number = len(state.block)
        at = state.num_products if self.method == "krylov" else 0
        nonzero = jnp.sum(state.block**2, axis=1) > 0.5
        basis = lax.dynamic_update_slice(state.basis, state.block, (at, 0))
        images = lax.dynamic_update_slice(state.images, values, (at, 0))
        filled = lax.dynamic_update_slice(state.filled, nonzero, (at,))
        new = basis @ values.T
        projected = lax.dynamic_update_slice(state.projected, new, (0, at))
        projected = lax.dynamic_update_slice(projected, new.T, (at, 0))
        ritz = _ritz(basis, images, projected, filled, self.k, state.fresh)
        scale = jnp.abs(ritz.values[0])
        if self.operator.squared:  # of S = J^T J, errors of J are asked for
            limit = self.tolerance * jnp.sqrt(scale * jnp.append(jnp.abs(ritz.values), jnp.abs(ritz.next_value)))
        else:
            limit = self.tolerance * jnp.broadcast_to(scale, (self.k + 1,))
        converged = jnp.all(ritz.residuals <= limit[:-1]) & (filled.sum() >= self.k)
        fresh, before, finished = state.fresh, state.before, converged
        key, subkey = jax.random.split(state.key)
        random = jax.random.normal(subkey, state.block.shape, state.block.dtype)
        if self.method == "krylov":
            end = at + number
            below = ritz.next_value + _MARGIN * ritz.next_residual <= ritz.values[-1]
            as_long = end - fresh >= fresh  # as all before
            settled = below | (ritz.next_residual <= limit[-1]) | as_long
            followed = (end - fresh >= _STEPS * number) & settled
            ready = converged & (followed | (fresh == len(basis)))
            finished = ready & jnp.all(jnp.abs(ritz.values - before) <= limit[:-1])
            block = _orthonormal(jnp.where(ready, random, values), basis, random)
            fresh, before = jnp.where(ready, end, fresh), jnp.where(ready, ritz.values, before)
        else:
            block = jnp.linalg.qr(values.T)[0].T
        return _State(
            basis,
            images,
            projected,
            filled,
            block,
            ritz.values,
            ritz.vectors,
            ritz.residuals,
            jnp.where(state.num_products == 0, asymmetry, state.asymmetry),
            fresh,
            before,
            finished,
            state.num_products + number,
            key,
        )


class _Ritz(NamedTuple):
    values: Array  # (k,)
    vectors: Array  # (k, d)
    residuals: Array  # (k,)
    next_value: Array  # () of those after the first k that a fresh block found, the largest
    next_residual: Array  # ()


def _ritz(basis: Array, images: Array, projected: Array, filled: Array, k: int, fresh: Array) -> _Ritz:
    """Leading eigenpairs of the operator within the span of the basis, and their residual norms."""
    projected = (projected + projected.T) / 2
    least = -2 * jnp.abs(projected).sum(1).max() - 1  # puts empty rows last
    both = filled[:, None] & filled[None]
    projected = jnp.where(both, projected, jnp.diag(jnp.where(filled, 0, least)))
    ascending, columns = jnp.linalg.eigh(projected)
    values, rows = ascending[::-1], columns[:, ::-1].T
    number = jnp.arange(len(basis))
    found = jnp.sum(jnp.where(number[None] >= fresh, rows**2, 0), 1) > _SHARE
    chosen = jnp.append(number[:k], jnp.argmax(found & (number >= k)))
    vectors = rows[chosen] @ basis
    residuals = jnp.linalg.norm(rows[chosen] @ images - values[chosen][:, None] * vectors, axis=1)
    return _Ritz(values[:k], vectors[:k], residuals[:k], values[chosen[-1]], residuals[-1])


def _orthonormal(block: Array, basis: Array, random: Array) -> Array:
    """Orthonormal rows that span the block less its part in the basis.

    Rows of which too little is left are replaced by random ones; where no dimension is left, by zero.
    """
    least = 1e-4 * jnp.linalg.norm(block, axis=1)
    for attempt in range(3):
        block = block - (block @ basis.T) @ basis
        columns, triangle = jnp.linalg.qr(block.T)
        left = jnp.abs(jnp.diagonal(triangle))
        if attempt == 0:
            small = (left <= least) | (left == 0)
            filling = random / jnp.linalg.norm(random, axis=1, keepdims=True)
            block = jnp.where(small[:, None], filling, columns.T)
        else:
            block = columns.T
    return jnp.where((left > 0.5)[:, None], block, 0)
