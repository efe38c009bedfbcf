"""Numbers of the Jacobians of many images, from random probes and without the matrices."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gahr.analysis.jacobian import check_image, known_finite, relative_asymmetry
from gahr.types import Array, Denoiser, Key


class JacobianMoments(NamedTuple):
    trace: Array  # (N,) estimates of tr J: effective dimension, mse d / sigma^2 of an exact MMSE denoiser
    energy: Array  # (N,) estimates of |J|_F^2: effective dimension by the sum of squared singular values

    def slope(self) -> Array:
        """PSNR slope of the mean mse, E |J|_F^2 / E tr J, means over the images (see `jacobian_moments`)."""
        return self.energy.mean() / self.trace.mean()


def jacobian_moments(
    denoiser: Denoiser, key: Key, noisy: Array, *, num_probes: int | None = 4, chunk: int = 8
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
      chunk: images treated at a time, or columns where exact; bounds the memory.

    Returns:
      JacobianMoments, one unbiased estimate per image.

    Raises:
      ValueError: wrong rank or dtype, NaN, a denoiser that changes the shape, or num_probes or chunk below 1.
    """
    noisy = check_images(denoiser, noisy, num_probes=num_probes, chunk=chunk)
    if num_probes is None:
        return JacobianMoments(*jax.lax.map(lambda image: _exact_moments(denoiser, image, chunk), noisy))

    def moments(pair: tuple[Array, Key]) -> tuple[Array, Array]:
        image, image_key = pair
        probes = jax.random.rademacher(image_key, (num_probes, *image.shape), image.dtype)
        pushed = jax.vmap(lambda v: jax.jvp(denoiser, (image,), (v,))[1])(probes)
        return jnp.sum(probes * pushed) / num_probes, jnp.sum(pushed**2) / num_probes

    return JacobianMoments(*jax.lax.map(moments, (noisy, _image_keys(key, len(noisy))), batch_size=chunk))


def _image_keys(key: Key, number: int) -> Key:
    return jax.vmap(lambda i: jax.random.fold_in(key, i))(jnp.arange(number))


def _exact_moments(denoiser: Denoiser, image: Array, chunk: int) -> tuple[Array, Array]:
    _, push = jax.linearize(denoiser, image)

    def column(i: Array) -> tuple[Array, Array]:
        pushed = push(jax.nn.one_hot(i, image.size, dtype=image.dtype).reshape(image.shape)).ravel()
        return pushed[i], jnp.sum(pushed**2)

    diagonal, squares = jax.lax.map(column, jnp.arange(image.size), batch_size=chunk)
    return diagonal.sum(), squares.sum()


def asymmetry(denoiser: Denoiser, key: Key, noisy: Array, *, num_probes: int = 4, chunk: int = 8) -> Array:
    """|J - J^T| / |J| per image (N,), from random probes: zero for an exact MMSE denoiser.

    Args, errors: as `jacobian_moments`.
    """
    noisy = check_images(denoiser, noisy, num_probes=num_probes, chunk=chunk)

    def estimate(pair: tuple[Array, Key]) -> Array:
        image, image_key = pair
        probes = jax.random.rademacher(image_key, (num_probes, *image.shape), image.dtype)
        _, pull = jax.vjp(denoiser, image)
        forward = jax.vmap(lambda v: jax.jvp(denoiser, (image,), (v,))[1])(probes)
        backward = jax.vmap(lambda v: pull(v)[0])(probes)
        return relative_asymmetry(forward, backward)

    return jax.lax.map(estimate, (noisy, _image_keys(key, len(noisy))), batch_size=chunk)


def check_images(denoiser: Denoiser, images: Array, **counts: int | None) -> Array:
    """The images as a JAX array; ValueError unless they are floating-point (N, H, W, C) and kept in shape.

    NaN, infinite intensities and `counts`: as `gahr.analysis.jacobian.check_image`, in all images.
    """
    if images.ndim != 4 or not len(images):
        raise ValueError(f"expected images (N, H, W, C), got shape {images.shape}; a single one needs image[None]")
    check_image(denoiser, images[0], **counts)
    if not known_finite(images):
        finite = np.isfinite(np.asarray(images)).all((1, 2, 3))
        raise ValueError(f"image {np.argmin(finite)} of {len(finite)} holds NaN or infinite intensities")
    return jnp.asarray(images)
