"""Identities that an exact MMSE denoiser obeys, so that a trained one can be held against them."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from gahr.types import Array, Denoiser, Key


class JacobianMoments(NamedTuple):
    trace: Array  # (N,) unbiased estimates of tr J
    energy: Array  # (N,) unbiased estimates of |J|_F^2

    def slope(self) -> Array:
        """PSNR slope E |J|_F^2 / E tr J, means over the images (see `jacobian_moments`)."""
        return self.energy.mean() / self.trace.mean()


def jacobian_moments(
    denoiser: Denoiser, key: Key, noisy: Array, *, num_probes: int = 4, chunk: int = 8
) -> JacobianMoments:
    """Trace and squared Frobenius norm of the Jacobian, from random probes and no matrix.

    With random signs v, E v.(J v) = tr J and E |J v|^2 = |J|_F^2 (Hutchinson). An exact MMSE denoiser has
    mse d = sigma^2 E tr J and d(mse d)/d(sigma^2) = E |J|_F^2, so its PSNR slope is E |J|_F^2 / E tr J.

    Args:
      denoiser: estimate of the clean image.
      key: random key; image i uses fold_in(key, i).
      noisy: images (N, H, W, C).
      num_probes: Jacobian-vector products per image.
      chunk: images treated at a time; bounds the memory.

    Returns:
      JacobianMoments, one estimate per image.
    """

    def moments(pair: tuple[Array, Key]) -> tuple[Array, Array]:
        image, image_key = pair
        probes = jax.random.rademacher(image_key, (num_probes, *image.shape), image.dtype)
        pushed = jax.vmap(lambda v: jax.jvp(denoiser, (image,), (v,))[1])(probes)
        return jnp.sum(probes * pushed) / num_probes, jnp.sum(pushed**2) / num_probes

    keys = jax.vmap(lambda i: jax.random.fold_in(key, i))(jnp.arange(len(noisy)))
    return JacobianMoments(*jax.lax.map(moments, (noisy, keys), batch_size=chunk))


def homogeneity_error(denoiser: Denoiser, noisy: Array, *, factor: float = 0.3) -> Array:
    """|D(c y) - c D(y)| / |c D(y)| per image (N,): zero for a bias-free denoiser, c = `factor` > 0."""
    scaled = factor * denoiser(noisy)
    return _norm(denoiser(factor * noisy) - scaled) / _norm(scaled)


def linearity_error(denoiser: Denoiser, noisy: Array) -> Array:
    """|J(y) y - D(y)| / |D(y)| per image (N,): zero for a bias-free denoiser.

    Images are treated together, so the denoiser must act on each by itself (evaluation mode).
    """
    denoised, pushed = jax.jvp(denoiser, (noisy,), (noisy,))
    return _norm(pushed - denoised) / _norm(denoised)


def _norm(images: Array) -> Array:
    return jnp.sqrt(jnp.sum(images**2, axis=(-3, -2, -1)))
