"""The mean squared error of denoising."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from gahr import noise
from gahr.names import options_of, pick, require
from gahr.types import Array, Key, NoiseDenoiser, PyTree

WEIGHTINGS = {
    "none": jnp.ones_like,
    "inverse_sigma": jnp.reciprocal,
    "inverse_variance": lambda sigma: sigma**-2,
    "edm": lambda sigma: sigma**-2 + 0.25**-2,
}


def loss(
    network: Callable,
    variables: PyTree,
    key: Key,
    clean: Array,
    *,
    teacher: NoiseDenoiser | None = None,
    law: str = "quadratic",
    weighting: str = "none",
    **law_options: float,
) -> tuple[Array, PyTree]:
    """Mean over images of w(sigma) |x - D(y)|^2, a sum over pixels, with y = x + sigma z and D(y) = y - network(y).

    Args:
      network: `network(variables, noisy, sigma, train=True)` gives (residual, updates), as of `denoiser.network_of`.
      variables: {"params": ..., "batch_stats": ...}.
      key: random key, for noise levels and noise.
      clean: images (N, H, W, C) in [0, 1].
      teacher: none, since the images are what is learned.
      law: name of the law of sigma, a key of `gahr.noise.LAWS`; sigma is drawn per image.
      weighting: "none", w = 1 (published); "inverse_sigma", w = 1 / sigma; "inverse_variance", w = 1 / sigma^2, under
        which every input PSNR weighs alike; or "edm", w = 1 / sigma^2 + 1 / s^2 with s = 1/4, the standard deviation
        of the pixels of images in [0, 1], under which F of `gahr.preconditioning` learns alike at all sigma
        (arXiv:2206.00364, table 1).
      **law_options: options of the law, such as sigma_min and sigma_max in image units.

    Returns:
      The loss (), and what changes in the variables besides the parameters.

    Raises:
      ValueError: an unknown name or option, noise levels that cannot be, weights that can be infinite, or a teacher.

    Reference: arXiv:2310.02557, section 2 and appendix A.1.
    """
    if teacher is not None:
        raise ValueError("denoising learns from images alone and takes no teacher")
    sample, floor = pick("law", noise.LAWS, law)
    weight = pick("weighting", WEIGHTINGS, weighting)
    options = options_of(sample, law_options)
    key_sigma, key_noise = jax.random.split(key)
    sigma = sample(key_sigma, clean.shape[:1], **options)  # (N,)
    if floor is not None and not isinstance(options[floor], jax.Array):
        with jax.ensure_compile_time_eval():
            finite = bool(jnp.isfinite(weight(jnp.float32(options[floor]))))
        require(finite, floor, options[floor], f"positive with weighting {weighting}, and its weight finite")
    noisy = noise.add_noise(key_noise, clean, sigma)
    residual, updates = network(variables, noisy, sigma, train=True)
    error = jnp.sum(jnp.square(noisy - residual - clean), axis=(1, 2, 3))  # (N,)
    return jnp.mean(weight(sigma) * error), updates
