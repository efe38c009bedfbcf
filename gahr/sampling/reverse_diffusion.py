"""The reverse variance-exploding SDE by Euler and Maruyama's method, with Langevin corrections on request.

Song et al. (2021), arXiv:2011.13456: reverse diffusion sampler (equation 46), corrector of algorithm 4.
"""

import jax
import jax.numpy as jnp

from gahr.names import require_positive, require_whole
from gahr.sampling import scheduled
from gahr.sampling.sampler import Sampler, normal
from gahr.sampling.scheduled import Now
from gahr.sampling.schedules import check_levels
from gahr.types import Array, Key, NoiseDenoiser, PyTree, with_options


def sampler(
    *,
    sigmas: Array,
    corrections: int = 0,
    snr: float = 0.16,
    mean: float | Array = 0.5,
    factor: Array | None = None,
) -> Sampler:
    """Sampler with the steps y + (1 - s'^2 / s^2) (D(y; s) - y) + sqrt(s^2 - s'^2) z, without z in a step to 0.

    Before it come corrections y + e g + sqrt(2 e) z with the score g = (D(y) - y) / s^2 and e = 2 (snr |z| / |g|)^2,
    the norms of this sample, where the publication takes means over the batch. 1 + corrections calls of the denoiser
    a step.

    Args:
      sigmas, mean, factor: as in `gahr.sampling.euler.sampler`.
      corrections: at each level.
      snr: positive; 0.16 is theirs for CIFAR-10.

    Raises:
      ValueError: a number out of its range, levels that do not fall, or are not positive.
    """
    require_whole("corrections", corrections, least=0)
    require_positive(snr=snr)
    stepped = with_options(rule, corrections=corrections, snr=snr)
    return scheduled.sampler(stepped, check_levels(sigmas), mean=mean, factor=factor)


def rule(noise_denoiser: NoiseDenoiser, keys: Key, now: Now, *, corrections: int, snr: float) -> tuple[Array, PyTree]:
    """The rule of `scheduled.Rule`."""
    images, denoised, shape = now.images, now.denoised, now.images.shape[1:]
    for j in range(corrections):
        noise = normal(jax.vmap(jax.random.fold_in, (0, None))(keys, j), shape)
        push = denoised - images
        ratio = snr * now.sigma * _norm(noise) / _norm(push)  # e g = 2 ratio^2 (D(y) - y)
        images = images + 2 * ratio**2 * push + 2 * ratio * now.sigma * noise
        denoised = scheduled.denoise(noise_denoiser, images, now.sigma)
    left = (now.after / now.sigma) ** 2
    noise = now.sigma * jnp.sqrt(1 - left) * normal(keys, shape)
    return images + (1 - left) * (denoised - images) + jnp.where(now.after > 0, noise, 0), now.memory


def _norm(images: Array) -> Array:
    return jnp.sqrt(jnp.sum(images**2, axis=(1, 2, 3), keepdims=True))
