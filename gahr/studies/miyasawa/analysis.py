"""What a posterior mean knows of a density, in two dimensions: score, covariance, divergence and its own error.

Images of two pixels, priors whose posterior means are known: one point, points, and mixtures of Gaussians. With noise
of standard deviation sigma, density p_sigma of noisy images y, and denoiser D(y) = E[x | y],

  D = y + sigma^2 grad ln p_sigma,  Cov[x | y] = sigma^2 J = sigma^2 (I + sigma^2 Hess ln p_sigma)

(Miyasawa, 1961). D has the least error of all functions of y; Stein's estimate knows the error of any function from y
alone; and KL(p | q) is the integral of what a denoiser for q loses on p, over sigma^3.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial

from gahr import metrics, noise
from gahr.analysis import identities
from gahr.classical import analytic
from gahr.denoiser import at, score
from gahr.names import require
from gahr.studies.shared.options import require_least
from gahr.studies.shared.study import Arrays, Runs
from gahr.types import Array, Key, NoiseDenoiser, Progress, Sharding

_SHAPE = (1, 2, 1)
CENTRES = np.array([[0.25, 0.3], [0.75, 0.35], [0.5, 0.8]])
_SPREADS = {  # standard deviations of the three Gaussians along their axes, image units; points have none
    "points": ((1e-6, 1e-6),) * 3,
    "mixture": ((0.14, 0.03), (0.05, 0.05), (0.1, 0.04)),
}
_TURNS = (0.5, 0.0, -0.9)  # of the axes, radians
_WEIGHTS = np.array([0.5, 0.2, 0.3])
_OTHER = "a Gaussian"  # that has the mixture's moments: its denoiser is the best linear one
_STRETCH = 2.0  # of the second Gaussian of the divergence, in closed form


def analyze(
    *,
    sigma: float = 0.12,
    sigmas: Sequence[float] = (0.02, 0.05, 0.12, 0.3, 0.8),
    num_draws: int = 20_000,
    num_levels: int = 60,
    side: int = 60,
) -> Callable:
    """Densities, scores and covariances on a grid, errors and their estimates, and a divergence.

    Args:
      sigma: noise level of the pictures, image units.
      sigmas: levels of the errors.
      num_draws: noisy images.
      num_levels: of the integral over sigma.
      side: of the grid on [-0.15, 1.15]^2.

    Returns:
      Function (runs, key, *, progress, sharding=None), of no runs -> arrays: sigma, sigmas (S,), grid (side^2, 2), and
      of "point", "points" and "mixture" "PRIOR/density" and, in 1 / image units, "PRIOR/score" (side^2, 2) of the
      denoiser; "PRIOR/score_error", root mean square of it less grad ln p over that of grad ln p,
      "PRIOR/hessian_error", that of an entry of Cov / sigma^2 - I - sigma^2 Hess ln p, both with derivatives of the
      written density, "PRIOR/unweighted_error" of the score of points that weigh alike, "PRIOR/as_covariance" of Cov
      in place of Cov / sigma^2; denoisers, on the mixture, of each "NAME/mse", "NAME/sure" and "NAME/residual" (S, n),
      SURE without the divergence, and "NAME/gap" (S,), E |D - D_exact|^2, all per pixel; of the divergence of two
      Gaussians "kl" (3,): integral, standard error and closed form, "kl_wrong" with sigma^-2, levels and integrand.

    Raises:
      ValueError: an option that cannot be used.
    """
    require_least(num_draws=(num_draws, 100), num_levels=(num_levels, 10), side=(side, 8))
    require(all(each > 0 for each in (sigma, *sigmas)), "sigma and sigmas", (sigma, *sigmas), "positive")

    def analysis(runs: Runs, key: Key, *, progress: Progress, sharding: Sharding | None = None) -> Arrays:
        del runs, sharding
        axis = np.linspace(-0.15, 1.15, side)
        grid = np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2)
        arrays: dict[str, Any] = {"sigma": sigma, "sigmas": sigmas, "grid": grid}
        for i, (name, prior) in enumerate(priors().items()):
            progress.check()
            found = _fields(prior, jnp.asarray(grid, jnp.float32), jnp.float32(sigma))
            arrays |= {f"{name}/{part}": value for part, value in found.items()}
            progress.update("pictures", i + 1, len(priors()))
        arrays |= _errors(jax.random.fold_in(key, 0), sigmas, num_draws)
        arrays |= _divergence(jax.random.fold_in(key, 1), num_draws, num_levels)
        return {quantity: np.asarray(value) for quantity, value in arrays.items()}

    return analysis


def priors() -> dict[str, tuple[Array, Array, Array, Array]]:
    """Weights (M,), means (M, 1, 2, 1), variances (M, 2) and axes (M, 2, 1, 2, 1) of each."""
    turns = [[[np.cos(t), np.sin(t)], [-np.sin(t), np.cos(t)]] for t in _TURNS]
    found = {}
    for name, number in (("point", 1), ("points", 3), ("mixture", 3)):
        spreads = _SPREADS.get(name, _SPREADS["points"])[:number]
        parts = _WEIGHTS[:number] / _WEIGHTS[:number].sum(), CENTRES[:number], np.square(spreads), turns[:number]
        shapes = (number,), (number, *_SHAPE), (number, 2), (number, 2, *_SHAPE)
        found[name] = tuple(jnp.asarray(part, jnp.float32).reshape(s) for part, s in zip(parts, shapes, strict=True))
    return found


def _log_density(prior: tuple[Array, ...], point: Array, sigma: Array) -> Array:
    """ln p_sigma () at a point (2,), written down apart from the denoiser."""
    weights, means, variances, axes = prior
    offset = jnp.einsum("jad,jd->ja", axes.reshape(-1, 2, 2), point[None] - means.reshape(-1, 2), precision="highest")
    total = variances + sigma**2
    parts = -jnp.sum(offset**2 / total + jnp.log(2 * jnp.pi * total), 1) / 2
    return jax.nn.logsumexp(jnp.log(weights) + parts)


@jax.jit
def _fields(prior: tuple[Array, ...], points: Array, sigma: Array) -> dict[str, Array]:
    images = points.reshape(-1, *_SHAPE)
    found = score(at(analytic.mixture(*prior), sigma), images, sigma).reshape(-1, 2)
    exact = jax.vmap(lambda point: jax.grad(_log_density, 1)(prior, point, sigma))(points)
    hessian = jax.vmap(lambda point: jax.hessian(_log_density, 1)(prior, point, sigma))(points)
    curved = jnp.eye(2)[None] + sigma**2 * hessian
    jacobian = jax.vmap(lambda image: analytic.mixture_jacobian(*prior, image, sigma))(images)  # Cov / sigma^2
    unweighted = (prior[1].reshape(-1, 2).mean(0)[None] - points) / sigma**2  # all points alike
    size = lambda values: jnp.sqrt(jnp.mean(values**2))
    return {
        "density": jnp.exp(jax.vmap(lambda point: _log_density(prior, point, sigma))(points)),
        "score": found,
        "score_error": size(found - exact) / size(exact),
        "hessian_error": size(jacobian - curved),
        "unweighted_error": size(unweighted - exact) / size(exact),
        "as_covariance": size(jacobian * sigma**2 - curved),
    }


def sample(key: Key, prior: tuple[Array, ...], number: int) -> Array:
    """Clean images (N, 1, 2, 1)."""
    weights, means, variances, axes = prior
    which = jax.random.choice(jax.random.fold_in(key, 0), len(weights), (number,), p=weights)
    normal = jax.random.normal(jax.random.fold_in(key, 1), (number, 2))
    return means[which] + jnp.einsum("na,nahwc->nhwc", jnp.sqrt(variances[which]) * normal, axes[which])


def denoisers() -> dict[str, NoiseDenoiser]:
    """On the mixture: its own, those of three points and of the Gaussian with its moments, and the identity."""
    found = priors()
    weights, means, variances, axes = found["mixture"]
    flat, turned = means.reshape(-1, 2), axes.reshape(-1, 2, 2)
    mean = weights @ flat
    within = jnp.einsum("j,jad,ja,jae->de", weights, turned, variances, turned)
    values, vectors = jnp.linalg.eigh(within + (flat - mean[None]).T @ (weights[:, None] * (flat - mean[None])))
    gaussian = analytic.gaussian(mean.reshape(_SHAPE), values, vectors.T.reshape(2, *_SHAPE))
    own, of_points = analytic.mixture(*found["mixture"]), analytic.mixture(*found["points"])
    return {"exact": own, "three points": of_points, _OTHER: gaussian, "identity": Partial(_same)}


def _same(noisy: Array, sigma: Array) -> Array:
    del sigma
    return noisy


def _errors(key: Key, sigmas: Sequence[float], number: int) -> dict[str, Any]:
    """Errors on noisy images of the mixture, with the same noise for all denoisers and levels."""
    clean = sample(jax.random.fold_in(key, 0), priors()["mixture"], number)
    normal = noise.standard_normal(jax.random.fold_in(key, 1), clean)
    arrays: dict[str, Any] = {"denoisers": list(denoisers())}
    for name, denoiser in denoisers().items():
        found = [_error(denoiser, denoisers()["exact"], clean, normal, jnp.float32(sigma)) for sigma in sigmas]
        arrays |= {f"{name}/{part}": jnp.stack([each[part] for each in found]) for part in found[0]}
    return arrays


@jax.jit
def _error(own: NoiseDenoiser, exact: NoiseDenoiser, clean: Array, normal: Array, sigma: Array) -> dict[str, Array]:
    noisy = clean + sigma * normal
    denoised = own(noisy, sigma)
    return {
        "mse": metrics.mse(clean, denoised),
        "sure": identities.sure(at(own, sigma), jax.random.key(0), noisy, sigma=sigma, num_probes=None, chunk=2),
        "residual": metrics.mse(noisy, denoised) - sigma**2,
        "gap": metrics.mse(exact(noisy, sigma), denoised).mean(),
    }


def _divergence(key: Key, number: int, num_levels: int) -> dict[str, Any]:
    """KL of a Gaussian from one that is wider along one axis and moved."""
    _, means, variances, axes = (part[:1] for part in priors()["mixture"])
    other = variances * jnp.array([[1.0, _STRETCH]]), means + 0.03
    p = analytic.gaussian(means[0], variances[0], axes[0])
    q = analytic.gaussian(other[1][0], other[0][0], axes[0])
    clean = sample(key, (jnp.ones(1), means, variances, axes), number)
    sigmas = jnp.geomspace(1e-3, 10, num_levels)
    found = jax.jit(lambda clean: identities.kl_integral(q, p, key, clean, sigmas=sigmas))(clean)
    moved = np.asarray(axes[0].reshape(2, 2) @ (other[1] - means).reshape(2))
    ratio = np.asarray(variances / other[0])[0]
    closed = np.sum(ratio - 1 - np.log(ratio) + moved**2 / np.asarray(other[0][0])) / 2
    wrong = jnp.trapezoid(found.integrand * sigmas, jnp.log(sigmas))  # with sigma^-2 in place of sigma^-3
    return {
        "kl": [found.kl + found.below, found.standard_error, closed],
        "kl_wrong": wrong,
        "levels": sigmas,
        "integrand": found.integrand,
    }
