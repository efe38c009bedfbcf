"""Samples of known priors and of a network, by several samplers with as many calls of the denoiser.

On a Gaussian the end of the probability-flow ODE is known for every start, so that the error of its solvers is exact;
on two Gaussians moments and weights are. Samples of a network are held against images by their moments along principal
components, their spectrum, and their kurtosis, which Gaussian images of the same moments have not.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gahr.analysis import statistics
from gahr.classical.analytic import fit_gaussian, gaussian
from gahr.sampling import driver
from gahr.sampling.start import factor_of
from gahr.studies.samplers import plans, priors
from gahr.studies.shared.options import require_least
from gahr.studies.shared.sample_sets import describe_sets, nearest, reference
from gahr.studies.shared.study import Arrays, Run, Runs
from gahr.types import Array, Key, Progress, Sharding

GAUSSIAN, MIXTURE = "Gaussian", "mixture"
HELD_OUT, SAME_LAW, LINEAR, NEAREST = "held-out images", "Gaussian samples", "linear denoiser", "nearest images"
_BEST = "heun"  # whose samples are looked at closely
_NUM_SHOWN = 6
_COMPONENTS = 30


def analyze(
    *,
    samplers: Sequence[str] = ("euler", "heun", "multistep", "ancestral", "edm", "annealed_langevin", "blind"),
    evaluations: Sequence[int] = (8, 16, 32, 64),
    network_evaluations: Sequence[int] = (8, 16, 32),
    size: int = 16,
    num_samples: int = 400,
    network_samples: int = 256,
    num_fit: int = 2_000,
    sigma_max: float = 1.0,
    sigma_min: float = 0.01,
) -> Callable:
    """Samples of known priors and of a network.

    Args:
      samplers: heun and others of `plans`; the blind one draws from networks that are not told sigma alone.
      evaluations, network_evaluations: calls of the denoiser, for the priors and for the network.
      size: side of the priors' images.
      num_samples, network_samples: per sampler and number of calls.
      num_fit: training images whose moments the samples are to have, and which start and linear denoiser are fitted to.
      sigma_max, sigma_min: first and last noise level, image units. All start from the moments of the images.

    Returns:
      Function (one run, key, *, progress, sharding=None) -> arrays: samplers, evaluations, network_evaluations; of the
      priors "PRIOR/SAMPLER/frechet" (E,), "PRIOR/floor": that of exact samples, "mixture/SAMPLER/light" and
      "mixture/weight", "Gaussian/SOLVER/error" (E,): root mean square to the exact end of the ODE, image units; of the
      network "network/SAMPLER/frechet" and "spectral" (E',) and, for each set of images, "sets/NAME/frechet",
      "spectral", "power" (F,), "kurtosis", "nearest" (similarity to the nearest training image, median) and "shown".

    Raises:
      ValueError: an option that cannot be used.
    """
    require_least(num_samples=(num_samples, 50), network_samples=(network_samples, 40), num_fit=(num_fit, 50))
    require_least(size=(size, 8))
    ends = dict(sigma_max=sigma_max, sigma_min=sigma_min)
    for name in samplers:
        for calls in (*evaluations, *network_evaluations):
            plans.sampler(name, calls, **ends)
    if _BEST not in samplers:
        raise ValueError(f"samplers must hold {_BEST}, got {', '.join(samplers)}")

    def analysis(runs: Runs, key: Key, *, progress: Progress, sharding: Sharding | None = None) -> Arrays:
        arrays: dict[str, Any] = dict(samplers=list(samplers), evaluations=evaluations)
        arrays["network_evaluations"] = network_evaluations
        known = {GAUSSIAN: priors.power_law(size), MIXTURE: priors.two_modes(size)}
        how = dict(progress=progress, sharding=sharding)
        for name, prior in known.items():
            shape = (num_samples, size, size, 1)
            arrays |= _of_prior(name, prior, samplers, evaluations, ends, key, shape, **how)
        (run,) = runs.values()
        counts = dict(number=network_samples, num_fit=num_fit)
        arrays |= _of_network(run, samplers, network_evaluations, ends, key, **counts, **how)
        return {quantity: np.asarray(value) for quantity, value in arrays.items()}

    return analysis


def _of_prior(
    name: str,
    prior: priors.Prior,
    samplers: Sequence[str],
    evaluations: Sequence[int],
    ends: dict[str, float],
    key: Key,
    shape: tuple[int, ...],
    *,
    progress: Progress,
    sharding: Sharding | None,
) -> dict[str, Any]:
    sigma, vectors = ends["sigma_min"], prior.vectors[:_COMPONENTS]
    truth = prior.moments(sigma, _COMPONENTS)
    frechet = lambda images: statistics.frechet_distance(statistics.moments(images, vectors), truth)
    exact = prior.draw(jax.random.fold_in(key, 2**31), shape[0], sigma)
    arrays: dict[str, Any] = {f"{name}/floor": frechet(exact), f"{name}/weight": prior.shares[0]}
    arrays[f"{name}/exact/light"] = prior.light_share(exact)
    for each in samplers:
        if each == plans.BLIND:  # the exact denoisers are told sigma
            continue
        found: dict[str, list] = {"frechet": [], "light": [], "error": []}
        for calls in evaluations:
            plan = plans.sampler(each, calls, **ends, **prior.start())
            options = dict(frame_every=10_000, chunk=shape[0], sharding=sharding, progress=progress)
            images, trace = driver.sample(
                plan, prior.noise_denoiser, key, shape, note=f"{name}: {each}, {calls} calls", **options
            )
            found["frechet"].append(frechet(images))
            found["light"].append(prior.light_share(images))
            if name == GAUSSIAN and each in plans.ORDERS:
                end = _end_of_ode(prior, trace.frames[0], **ends)
                found["error"].append(float(jnp.sqrt(jnp.mean((images - end) ** 2))))
        arrays |= {f"{name}/{each}/{quantity}": values for quantity, values in found.items() if values}
    return arrays


def _end_of_ode(prior: priors.Prior, images: Array, *, sigma_max: float, sigma_min: float) -> Array:
    """m + sum_k sqrt((l_k + sigma_min^2) / (l_k + sigma_max^2)) <y - m, u_k> u_k."""
    values, rows = prior.eigenvalues, prior.vectors.reshape(len(prior.vectors), -1)
    gains = jnp.sqrt((values + sigma_min**2) / (values + sigma_max**2))
    with jax.default_matmul_precision("highest"):
        coordinates = (images - prior.mean[None]).reshape(len(images), -1) @ rows.T
        return prior.mean[None] + ((coordinates * gains[None]) @ rows).reshape(images.shape)


def _of_network(
    run: Run,
    samplers: Sequence[str],
    evaluations: Sequence[int],
    ends: dict[str, float],
    key: Key,
    *,
    number: int,
    num_fit: int,
    progress: Progress,
    sharding: Sharding | None,
) -> dict[str, Any]:
    images, test = run.images(run.subset, num_fit), run.images("test", number)
    law = jax.jit(fit_gaussian)(images)
    mean, eigenvalues, basis = law
    factor, known = factor_of(eigenvalues, basis), reference(images, basis)
    shape, arrays = (number, *images.shape[1:]), {}

    def draw(name: str, calls: int, denoiser: Any, note: str) -> Array:
        plan = plans.sampler(name, calls - 1, **ends, mean=mean, factor=factor)
        options = dict(final_denoise=True, chunk=min(number, 64), sharding=sharding, progress=progress)
        return driver.sample(plan, denoiser, key, shape, note=f"{note}: {name}, {calls} calls", **options)[0]

    best = None
    for name in samplers:
        if name == plans.BLIND and run.denoiser is None:  # it is for networks that are not told sigma
            continue
        denoiser = run.denoiser if name == plans.BLIND else run.noise_denoiser
        sets = [draw(name, calls, denoiser, "network") for calls in evaluations]
        best = sets[-1] if name == _BEST else best
        arrays[f"network/{name}/frechet"] = [known.frechet(samples) for samples in sets]
        arrays[f"network/{name}/spectral"] = [known.spectral(samples) for samples in sets]
    keys = jax.random.split(jax.random.fold_in(key, 2**31), number)
    same_law = mean[None] + jnp.einsum(
        "nk,khwc->nhwc", jax.vmap(lambda key: jax.random.normal(key, (len(factor),)))(keys), factor
    )
    sets = {
        HELD_OUT: test,
        "network": best,
        SAME_LAW: same_law,
        LINEAR: draw(_BEST, max(evaluations), gaussian(*law), LINEAR),
        NEAREST: images[nearest(best, images).index],
    }
    return arrays | describe_sets(sets, known, num_shown=_NUM_SHOWN)
