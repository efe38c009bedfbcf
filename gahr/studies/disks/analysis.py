"""The tangent space of the set of disks, found by a network's Jacobian, and the optimal curve beside its own.

Kadkhodaie et al. (2024), arXiv:2310.02557, figure 5: disks form a set of five dimensions, so an optimal denoiser
projects on the five tangent vectors where the noise is small, and its mse is 5 sigma^2 / d. The exact posterior mean,
which the paper does not compute, is known here at every noise level.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gahr import metrics, noise
from gahr.analysis import geometry, jacobian
from gahr.classical.disk_posterior import Posterior, exact_jacobian
from gahr.data import disks
from gahr.denoiser import at
from gahr.names import require_positive
from gahr.studies.shared.disk_sets import DIMENSION, draw_disks, posteriors, require_samples
from gahr.studies.shared.measures import counter, curve_of_told, denoise, probed_moments, whole_jacobian
from gahr.studies.shared.nulls import null_denoisers
from gahr.studies.shared.options import input_levels, require_least
from gahr.studies.shared.study import Arrays, Runs
from gahr.types import Array, Key, NoiseDenoiser, Progress, Sharding

_GEOMETRIC_BELOW = 0.1  # sigma up to which the noise is small: there the effective dimension is checked
_NUM_VECTORS = 10  # drawn
_NUM_PROBED = 8  # images on which the trace of a null is estimated
FIXED = ("linear", "3x3 filter", "identity")  # nulls whose Jacobian is the same at every image


def analyze(
    *,
    sigma: float = 0.04,
    num_disks: int = 16,
    num_images: int = 64,
    lowest_db: float = 0.0,
    highest_db: float = 34.0,
    num_levels: int = 18,
    num_samples: int = 2048,
    num_fit: int = 20_000,
    lowest_sigma: float = 0.01,
    highest_sigma: float = 10**-0.5,
    num_sigmas: int = 7,
    num_probes: int = 4,
) -> Callable:
    """Jacobians at some disks, effective dimension, PSNR curves: of the network, the exact posterior mean and nulls.

    Args:
      sigma: noise level of the Jacobians, image units.
      num_disks: disks whose whole Jacobian is decomposed, the first of the `num_images`.
      num_images: disks of the curves; none is a training image.
      lowest_db, highest_db, num_levels: input PSNRs of the curves, dB, equally spaced.
      num_samples: proposals per exact posterior.
      num_fit: training images that the linear denoiser is fitted to, at most.
      lowest_sigma, highest_sigma, num_sigmas: noise levels of the effective dimension, in equal ratios, two at least
        of small noise, that is up to 0.1.
      num_probes: random probes per image for the effective dimension.

    Returns:
      Function (runs, key, *, progress, sharding=None) -> arrays, of one network trained on disks. It raises ValueError
      where the samples are too few for an exact posterior.

    Raises:
      ValueError: too few disks, images, levels, samples or probes, or a noise level that is not positive.
    """
    require_least(num_disks=(num_disks, 1), num_images=(num_images, 2), num_samples=(num_samples, 16))
    require_least(num_probes=(num_probes, 1), num_sigmas=(num_sigmas, 2))
    require_positive(sigma=sigma, lowest_sigma=lowest_sigma, highest_sigma=highest_sigma)
    levels = input_levels(lowest_db, highest_db, num_levels)
    sigmas = np.geomspace(lowest_sigma, highest_sigma, num_sigmas)
    if is_small(sigmas).sum() < 2:
        raise ValueError(f"lowest_sigma must leave two noise levels up to {_GEOMETRIC_BELOW}, got {lowest_sigma}")
    num_disks = min(num_disks, num_images)

    def analysis(runs: Runs, key: Key, *, progress: Progress, sharding: Sharding | None = None) -> Arrays:
        (run,) = runs.values()
        size = run.data["size"]
        disk_key, noise_key, probe_key, proposal_key = (jax.random.fold_in(key, part) for part in range(4))
        parameters, clean = draw_disks(jax.random.split(disk_key, num_images), size)
        keys = jax.random.split(proposal_key, num_images)
        sampling, probing = dict(size=size, num_samples=num_samples), dict(num_probes=num_probes, sharding=sharding)
        advance = counter(progress, num_disks + num_sigmas * 2 + num_levels + 3)

        def exact(sigma: Array) -> Posterior:
            noisy, sigma = noise.add_noise(noise_key, clean, sigma), jnp.float32(sigma)  # one type, compiled once
            found = posteriors(noisy, sigma, keys, parameters, sharding=sharding, **sampling)
            require_samples(found.effective, sigma, num_samples)
            advance("exact posterior mean")
            return found

        of_levels = metrics.sigma_of_input_psnr(levels)
        arrays: dict[str, Any] = {"sigma": sigma, "input_psnr": levels, "sigmas": sigmas, "size": size}
        arrays["network"] = curve_of_told(run.noise_denoiser, noise_key, clean, of_levels, sharding=sharding)
        advance("network")
        found = [exact(level) for level in of_levels]
        arrays["exact"] = jnp.stack([metrics.psnr(clean, posterior.mean) for posterior in found], 1)
        arrays["effective"] = jnp.stack([posterior.effective for posterior in found], 1)
        found = []
        for level in sigmas:
            noisy = noise.add_noise(noise_key, clean, level)
            moments = probed_moments(at(run.noise_denoiser, level), probe_key, noisy, **probing)
            advance("Jacobian probes")
            found.append(moments._asdict() | {"exact_trace": exact(level).trace})
        arrays |= jax.tree.map(lambda *each: jnp.stack(each, 1), *found)

        noisy, denoiser, found = noise.add_noise(noise_key, clean, sigma), at(run.noise_denoiser, sigma), []
        for i in range(num_disks):
            disk = jax.tree.map(lambda value, i=i: value[i], parameters)
            best = _exact_matrix(noisy[i], sigma, keys[i], disk, **sampling)
            matrix = whole_jacobian(denoiser, noisy[i], progress, sharding=sharding)
            found.append(_compare(matrix, best, disk, clean[i]))
            advance("Jacobians")
        arrays |= jax.tree.map(lambda *each: jnp.stack(each), *found)
        arrays |= _of_nulls(
            null_denoisers(run, num_fit=num_fit),
            (noise_key, probe_key),
            clean,
            jnp.stack([each["tangents"] for each in found]),
            levels=(sigma, of_levels, sigmas),
            probing=probing,
            progress=progress,
        )
        advance("null denoisers")
        shown = int(np.argsort(arrays["overlap"])[(num_disks - 1) // 2])  # the disk of the median overlap
        arrays |= {"shown": shown, "shown_clean": clean[shown], "shown_noisy": noisy[shown]}
        arrays["shown_network"] = denoise(run.noise_denoiser, noisy[shown], sigma)
        arrays["shown_exact"] = exact(sigma).mean[shown]
        return {quantity: np.asarray(value) for quantity, value in arrays.items()}

    return analysis


def is_small(sigmas: np.ndarray) -> np.ndarray:
    """Where the noise is so small that theory speaks of the tangent space, a mask (S,) of noise levels."""
    return sigmas <= _GEOMETRIC_BELOW * (1 + 1e-6)


_exact_matrix = jax.jit(exact_jacobian, static_argnames=("size", "num_samples"))


def _of_nulls(
    nulls: Mapping[str, NoiseDenoiser],
    keys: tuple[Key, Key],
    clean: Array,
    tangents: Array,
    *,
    levels: tuple[float, Array, np.ndarray],
    probing: dict,
    progress: Progress,
) -> dict[str, Array]:
    """Of each fixed null PSNR (N, S), tr J (S',), and overlap (n,) and `held` (n, d) of its leading eigenvectors.

    Its Jacobian is the same at every image, so that one image is enough.
    """
    sigma, of_levels, sigmas = levels
    arrays: dict[str, Array] = {}
    for who, null in nulls.items():
        if who not in FIXED:
            continue
        traces = []
        for level in sigmas:
            noisy = noise.add_noise(keys[0], clean[:_NUM_PROBED], level)
            traces.append(probed_moments(at(null, level), keys[1], noisy, **probing).trace.mean())
        arrays[f"trace/{who}"] = jnp.stack(traces)
        arrays[f"network/{who}"] = curve_of_told(null, keys[0], clean, of_levels, sharding=probing["sharding"])
        matrix = whole_jacobian(at(null, sigma), clean[0], progress, sharding=probing["sharding"])
        arrays |= {f"{name}/{who}": value for name, value in _overlaps(matrix, tangents).items()}
    return arrays


@jax.jit
def _overlaps(matrix: Array, tangents: Array) -> dict[str, Array]:
    """What the tangents (n, 5, H, W, C) of disks have in common with the leading eigenvectors of one matrix (d, d)."""
    vectors = jacobian.eigenbasis_of(matrix, tangents.shape[2:]).vectors
    overlap = jax.lax.map(lambda each: geometry.overlap(vectors[:DIMENSION], each), tangents)
    return {"overlap": overlap, "held": jax.lax.map(lambda each: _held(vectors, each), tangents)}


@jax.jit
def _compare(matrix: Array, exact_matrix: Array, disk: disks.Parameters, clean: Array) -> dict[str, Array]:
    """One disk: its tangent space beside the leading eigenvectors of the network and of the exact denoiser."""
    eigen, exact = (jacobian.eigenbasis_of(each, clean.shape) for each in (matrix, exact_matrix))
    singular = jacobian.singular_basis_of(matrix, clean.shape)
    tangents = disks.tangents(disk, size=len(clean))
    leading, signal = eigen.vectors[:DIMENSION], geometry.coefficients(eigen.vectors, clean)
    single = jax.vmap(lambda vector: geometry.overlap(vector[None], leading))
    return {
        "overlap": geometry.overlap(leading, tangents),
        "exact_overlap": geometry.overlap(exact.vectors[:DIMENSION], tangents),
        "left_overlap": geometry.overlap(singular.left[:DIMENSION], tangents),
        "right_overlap": geometry.overlap(singular.right[:DIMENSION], tangents),
        "captured": single(tangents),  # share of each tangent vector's energy in the leading eigenvectors
        "held": _held(eigen.vectors, tangents),
        "exact_held": _held(exact.vectors, tangents),
        "shrinkage": eigen.shrinkage,
        "exact_shrinkage": exact.shrinkage,
        "singular_values": singular.values,
        "asymmetry": eigen.asymmetry,
        "preserved": jnp.sum(signal[:DIMENSION] ** 2) / jnp.sum(clean**2),
        "tangents": tangents,
        "vectors": eigen.vectors[:_NUM_VECTORS],
    }


def _held(vectors: Array, tangents: Array) -> Array:
    """Share of the tangent space in the first k vectors, (d,): their overlap where k = 5, and 1 where k = d."""
    basis = jnp.linalg.qr(tangents.reshape(len(tangents), -1).T)[0]
    return jnp.cumsum(jnp.mean((vectors.reshape(len(vectors), -1) @ basis) ** 2, 1))
