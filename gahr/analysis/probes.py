"""Numbers of the Jacobians of many images, from random probes and without the matrices."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp

from gahr.analysis.checks import check_images
from gahr.analysis.jacobian import relative_asymmetry
from gahr.blocks import in_chunks
from gahr.types import Array, Denoiser, Key, Sharding


class JacobianMoments(NamedTuple):
    trace: Array  # (N,) estimates of tr J: effective dimension, mse d / sigma^2 of an exact MMSE denoiser
    energy: Array  # (N,) estimates of |J|_F^2: effective dimension by the sum of squared singular values

    def slope(self) -> Array:
        """PSNR slope of the mean mse, E |J|_F^2 / E tr J, means over the images (see `jacobian_moments`)."""
        return self.energy.mean() / self.trace.mean()


def jacobian_moments(
    denoiser: Denoiser,
    key: Key,
    noisy: Array,
    *,
    num_probes: int | None = 4,
    chunk: int = 8,
    sharding: Sharding | None = None,
) -> JacobianMoments:
    """Trace and squared Frobenius norm of the Jacobian, from random probes or exactly, and without the matrix.

    With random signs v, E v.(J v) = tr J and E |J v|^2 = |J|_F^2 (Hutchinson); summed over all unit vectors, both
    are exact. An exact MMSE denoiser has E mse d = sigma^2 E tr J and d(E mse d)/d(sigma^2) = E |J|_F^2, so the PSNR
    of its mean mse has slope E |J|_F^2 / E tr J (`gahr.analysis.identities.mse_slope`).

    Args:
      denoiser: estimate of the clean image.
      key: random key; image i uses fold_in(key, i).
      noisy: images (N, H, W, C).
      num_probes: Jacobian-vector products per image; None takes all d unit vectors, and the result is exact.
      chunk, sharding: images treated at a time, or columns where exact, as `gahr.blocks.in_chunks`.

    Returns:
      JacobianMoments, one unbiased estimate per image.

    Raises:
      ValueError: wrong rank or dtype, NaN, a denoiser that changes the shape, or num_probes or chunk below 1.
    """
    noisy = check_images(denoiser, noisy, num_probes=num_probes, chunk=chunk)
    spread = functools.partial(in_chunks, chunk=chunk, sharding=sharding)

    def exact(image: Array) -> JacobianMoments:
        _, push = jax.linearize(denoiser, image)

        def column(i: Array) -> JacobianMoments:
            pushed = push(jax.nn.one_hot(i, image.size, dtype=image.dtype).reshape(image.shape)).ravel()
            return JacobianMoments(pushed[i], jnp.sum(pushed**2))

        return jax.tree.map(jnp.sum, spread(jax.vmap(column), jnp.arange(image.size)))

    def moments(pair: tuple[Array, Key]) -> JacobianMoments:
        probes, pushed = _pushed(denoiser, *pair, num_probes)
        return JacobianMoments(jnp.sum(probes * pushed) / num_probes, jnp.sum(pushed**2) / num_probes)

    return jax.lax.map(exact, noisy) if num_probes is None else spread(jax.vmap(moments), _with_keys(key, noisy))


def _with_keys(key: Key, noisy: Array) -> tuple[Array, Key]:
    return noisy, jax.vmap(lambda i: jax.random.fold_in(key, i))(jnp.arange(len(noisy)))


def _pushed(denoiser: Denoiser, image: Array, key: Key, num_probes: int) -> tuple[Array, Array]:
    """Random signs v (num_probes, H, W, C) and J v."""
    probes = jax.random.rademacher(key, (num_probes, *image.shape), image.dtype)
    return probes, jax.vmap(lambda v: jax.jvp(denoiser, (image,), (v,))[1])(probes)


def asymmetry(
    denoiser: Denoiser, key: Key, noisy: Array, *, num_probes: int = 4, chunk: int = 8, sharding: Sharding | None = None
) -> Array:
    """|J - J^T| / |J| per image (N,), from random probes: zero for an exact MMSE denoiser.

    Args, errors: as `jacobian_moments`.
    """
    noisy = check_images(denoiser, noisy, num_probes=num_probes, chunk=chunk)

    def estimate(pair: tuple[Array, Key]) -> Array:
        probes, forward = _pushed(denoiser, *pair, num_probes)
        _, pull = jax.vjp(denoiser, pair[0])
        return relative_asymmetry(forward, jax.vmap(lambda v: pull(v)[0])(probes))

    return in_chunks(jax.vmap(estimate), _with_keys(key, noisy), chunk=chunk, sharding=sharding)
