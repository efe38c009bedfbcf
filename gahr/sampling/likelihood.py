"""Density that a denoiser gives to images, by the change of variables along the probability-flow ODE."""

import jax
import jax.numpy as jnp
from jax import lax

from gahr.names import require_whole
from gahr.sampling import start
from gahr.sampling.schedules import check_levels
from gahr.types import Array, Key, NoiseDenoiser


def log_likelihood(
    noise_denoiser: NoiseDenoiser,
    key: Key,
    images: Array,
    *,
    sigmas: Array,
    num_probes: int | None = None,
    mean: float | Array = 0.5,
    factor: Array | None = None,
    chunk: int = 64,
) -> Array:
    """ln p(y) of images with noise of the last level.

    Along the ODE d ln p / d ln sigma = tr D' - d. So ln p at the last level is that of N(m, C + sigma^2 I) at the
    first, plus the integral of d - tr D' over ln sigma, by Heun's method for the images and trapezoids for the
    integral. Song et al. (2021), arXiv:2011.13456, section 4.3.

    Args:
      noise_denoiser: (noisy, sigma) -> denoised.
      key: random key; the probes of image i are of fold_in(key, i), the same at all levels.
      images: y, (N, H, W, C), image units, as they are: no noise is added.
      sigmas: levels (L,) that fall, all positive, image units; where the first is far above the images' spread, or
        `factor` is their covariance, the start stands for the noisy images there.
      num_probes: random signs v for tr D' = E v . D' v; None takes all d unit vectors, and the trace is exact.
      mean, factor: of the density at the first level, as `gahr.sampling.start.log_density`.
      chunk: products D' v of one image computed at a time.

    Returns:
      ln p (N,), nats.

    Raises:
      ValueError: levels that do not fall, or are not positive, or num_probes or chunk below 1.
    """
    require_whole("chunk", chunk)
    levels = check_levels(sigmas, zero=False)
    size = images[0].size
    if num_probes is not None:
        require_whole("num_probes", num_probes)

    def denoise_and_trace(image: Array, probes: Array | None, sigma: Array) -> tuple[Array, Array]:
        denoised, push = jax.linearize(lambda y: noise_denoiser(y, sigma), image)

        def product(i: Array) -> Array:
            if probes is None:
                return push(jax.nn.one_hot(i, size, dtype=image.dtype).reshape(image.shape)).ravel()[i]
            return jnp.vdot(probes[i], push(probes[i])) / num_probes

        number = jnp.arange(size if probes is None else num_probes)
        return denoised, jnp.sum(lax.map(product, number, batch_size=min(chunk, len(number))))

    def one(image: Array, key: Key) -> tuple[Array, Array]:
        probes = None if num_probes is None else jax.random.rademacher(key, (num_probes, *image.shape), image.dtype)

        def step(carry: tuple, pair: tuple[Array, Array]) -> tuple[tuple, None]:
            image, total, denoised, trace = carry
            sigma, after = pair
            slope = (image - denoised) / sigma
            euler = image + (after - sigma) * slope
            guess, guessed = denoise_and_trace(euler, probes, after)
            image = image + (after - sigma) * (slope + (euler - guess) / after) / 2
            total = total + jnp.log(after / sigma) * (size - (trace + guessed) / 2)
            return (image, total, *denoise_and_trace(image, probes, after)), None

        rising = levels[::-1]
        carry = (image, jnp.zeros((), image.dtype), *denoise_and_trace(image, probes, rising[0]))
        (image, total, *_), _ = lax.scan(step, carry, (rising[:-1], rising[1:]))
        return image, total

    keys = jax.vmap(lambda i: jax.random.fold_in(key, i))(jnp.arange(len(images)))
    noise, totals = jax.vmap(one)(images, keys)
    return totals + start.log_density(noise, sigma=levels[0], mean=mean, factor=factor)
