"""Other answers to linear inverse problems, to set beside `gahr.sampling.inverse`: linear, plug-and-play, guided."""

import jax
import jax.numpy as jnp
from jax import lax
from jax.tree_util import Partial

from gahr.names import require, require_positive
from gahr.sampling import ancestral, scheduled
from gahr.sampling.measurements import Measurement
from gahr.sampling.sampler import Sampler
from gahr.sampling.scheduled import Now
from gahr.sampling.schedules import check_levels
from gahr.types import Array, Key, NoiseDenoiser, PyTree, with_options


def pseudo_inverse(measurement: Measurement, observed: Array) -> Array:
    """M c, (N, H, W, C): what was measured, and zero elsewhere."""
    return measurement.adjoint(measurement.check(observed))


def wiener(
    measurement: Measurement, observed: Array, *, mean: Array, factor: Array, sigma_observed: float = 0.0
) -> Array:
    """Posterior mean for a Gaussian prior N(m, C), C = sum_k f_k f_k^T: the best linear answer.

    m + F^T w, where w minimizes |A^T w - (c - M^T m)|^2 + sigma_observed^2 |w|^2 with A = F M.

    Args:
      measurement, observed, sigma_observed: as in `gahr.sampling.inverse.solve`.
      mean, factor: m (H, W, C) and f_k (K, H, W, C) as `gahr.sampling.start.draw`, of training images.

    Returns:
      (N, H, W, C).
    """
    with jax.default_matmul_precision("highest"):
        known = measurement.measure(factor).reshape(len(factor), -1)
        lacks = (measurement.check(observed) - measurement.measure(mean)[None]).reshape(len(observed), -1)
        rows = jnp.concatenate([known.T, sigma_observed * jnp.eye(len(factor))])
        values = jnp.concatenate([lacks.T, jnp.zeros((len(factor), len(observed)))])
        weights = jnp.linalg.lstsq(rows, values)[0]
        return mean[None] + jnp.einsum("kn,khwc->nhwc", weights, factor)


def plug_and_play(
    noise_denoiser: NoiseDenoiser,
    measurement: Measurement,
    observed: Array,
    *,
    sigmas: Array,
    sigma_observed: float = 0.0,
    strength: float = 0.23,
    mean: float | Array = 0.5,
    start: Array | None = None,
) -> Array:
    """Half-quadratic splitting with a denoiser: Zhang et al. (2021), arXiv:2008.13751, algorithm 1. Deterministic.

    In turns x <- D(z; s) and z <- the minimum of |c - M^T z|^2 / t^2 + strength |z - x|^2 / s^2, for s from large to
    small; without noise of level t in c that puts c in the place of M^T x.

    Args:
      noise_denoiser: (noisy, sigma) -> denoised; a blind one as `gahr.denoiser.blind`.
      measurement, observed, sigma_observed: as in `gahr.sampling.inverse.solve`.
      sigmas: levels (L,) that fall, all positive, image units.
      strength: positive; 0.23 is theirs.
      mean: m of the start M c + m - P m.
      start: images (N, H, W, C) in place of m, such as those of `wiener`: from a few single pixels in grey, a denoiser
        that is not told sigma takes the pixels for noise, and hardly moves.

    Returns:
      The last z, (N, H, W, C).
    """
    require_positive(strength=strength)
    known = measurement.adjoint(measurement.check(observed))

    def fit(images: Array, sigma: float | Array) -> Array:
        weight = sigma**2 / (sigma**2 + strength * sigma_observed**2)
        return images + weight * (known - measurement.project(images))

    def turn(images: Array, sigma: Array) -> tuple[Array, None]:
        return fit(noise_denoiser(images, jnp.full(len(images), sigma)), sigma), None

    levels = check_levels(sigmas, zero=False)
    begin = jnp.broadcast_to(mean, known.shape) if start is None else start
    return lax.scan(turn, fit(begin, levels[0]), levels)[0]


def guided(
    measurement: Measurement,
    observed: Array,
    *,
    sigmas: Array,
    strength: float = 1.0,
    eta: float = 1.0,
    mean: float | Array = 0.5,
    factor: Array | None = None,
) -> Sampler:
    """Sampler of diffusion posterior sampling: Chung et al. (2023), arXiv:2209.14687, algorithm 1.

    An ancestral step, less the gradient in y of |c - M^T D(y; s)| times (strength / 2) sqrt((1 + 4 s^2)(1 + 4 s'^2)),
    which is theirs in our unit and with y = x_t / sqrt(alpha-bar). The denoiser is differentiated.

    Args:
      measurement, observed: as in `gahr.sampling.inverse.solve`, one observation for each sample that is drawn.
      sigmas, mean, factor: as in `gahr.sampling.euler.sampler`; theirs are `schedules.ddpm()`.
      strength: positive; 1 is theirs for inpainting and super-resolution.
      eta: as in `gahr.sampling.ancestral.sampler`.
    """
    require_positive(strength=strength)
    require(0 <= eta <= 1, "eta", eta, "from 0 to 1")
    rule = with_options(_guided_step, measurement.as_argument(), strength=strength, eta=eta)
    sampler = scheduled.sampler(rule, check_levels(sigmas), mean=mean, factor=factor)
    return sampler._replace(init=with_options(_begin, sampler.init, measurement.check(observed)))


def _begin(init: Partial, observed: Array, keys: Key, shape: tuple[int, int, int]) -> scheduled.State:
    return init(keys, shape)._replace(memory=observed)


def _guided_step(
    measurement: Measurement, noise_denoiser: NoiseDenoiser, keys: Key, now: Now, *, strength: float, eta: float
) -> tuple[Array, PyTree]:
    sigma = jnp.where(now.sigma > 0, now.sigma, 1)  # 0 only where the step is not taken

    def distance(noisy: Array) -> Array:
        lack = now.memory - measurement.measure(noise_denoiser(noisy, sigma[:, 0, 0, 0]))
        square = jnp.sum(lack.reshape(len(lack), -1) ** 2, 1)
        return jnp.sum(jnp.sqrt(jnp.where(square > 0, square, 1)) * (square > 0))

    scale = strength / 2 * jnp.sqrt((1 + 4 * now.sigma**2) * (1 + 4 * now.after**2))
    moved, observed = ancestral.rule(noise_denoiser, keys, now, eta=eta)
    return moved - scale * jax.grad(distance)(now.images), observed
