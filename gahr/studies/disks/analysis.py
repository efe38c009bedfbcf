"""The tangent space of the set of disks, found by a network's Jacobian, and the optimal curve beside its own.

Kadkhodaie et al. (2024), arXiv:2310.02557, figure 5: disks form a set of five dimensions, so an optimal denoiser
projects on the five tangent vectors where the noise is small, and its mse is 5 sigma^2 / d. The exact posterior mean,
which the paper does not compute, is known here at every noise level.
"""

import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gahr import metrics, noise
from gahr.analysis import geometry, identities, jacobian, performance
from gahr.data import disks
from gahr.types import Progress
from gahr.studies.common import Check, Run, at_least, check_counts, check_positive, counter, denoise, whole_jacobian
from gahr.studies.disks.figure import draw
from gahr.classical.disk_posterior import exact_jacobian, posterior_mean
from gahr.types import Array, Key

__all__ = ["analyze", "check", "draw", "validate"]

_DIMENSION = 5
_NUM_VECTORS = 10  # drawn
_CHUNK = 8  # images treated at a time
_GEOMETRIC_BELOW = 0.1  # sigma below which the noise is small: there the effective dimension is checked


def validate(analysis: Mapping[str, Any], marks: Mapping[str, Any]) -> None:
    """ValueError unless the options of `analyze` can be used."""
    del marks
    check_counts(analysis, num_disks=1, num_images=2, num_levels=2, num_sigmas=2, num_samples=16)
    check_positive(analysis, "sigma", "lowest_sigma", "highest_sigma")


def analyze(
    runs: Mapping[str, Run],
    key: Key,
    *,
    sigma: float = 0.04,
    num_disks: int = 16,
    num_images: int = 64,
    lowest_db: float = 0.0,
    highest_db: float = 34.0,
    num_levels: int = 18,
    num_samples: int = 2048,
    lowest_sigma: float = 0.01,
    highest_sigma: float = 10**-0.5,
    num_sigmas: int = 7,
    num_probes: int = 4,
    progress: Progress,
) -> dict[str, np.ndarray]:
    """Jacobians at some disks, effective dimension, and PSNR curves of the network and of the exact posterior mean.

    Args:
      runs: one network trained on disks.
      key: random key of the disks, which are no training images, and of the noise.
      sigma: noise level of the Jacobians, image units.
      num_disks: disks whose whole Jacobian is decomposed, the first of the `num_images`.
      num_images: disks of the curves.
      lowest_db, highest_db, num_levels: input PSNRs of the curves, dB, equally spaced.
      num_samples: proposals per exact posterior.
      lowest_sigma, highest_sigma, num_sigmas: noise levels of the effective dimension, in equal ratios.
      num_probes: random probes per image for the effective dimension.
      progress: shows the state and asks for stops.

    Returns:
      Arrays that `check` and `draw` need.

    Raises:
      ValueError: too few samples for an exact posterior.
    """
    (run,) = runs.values()
    size = run.data["size"]
    draws = jax.random.split(jax.random.fold_in(key, 1), num_images)
    parameters = jax.vmap(functools.partial(disks.draw, size=size))(draws)
    clean = jax.vmap(functools.partial(disks.render, size=size))(parameters)
    levels = np.linspace(lowest_db, highest_db, num_levels)
    sigmas = np.geomspace(lowest_sigma, highest_sigma, num_sigmas)
    num_disks = min(num_disks, num_images)
    advance = counter(progress, num_disks + num_sigmas * 2 + num_levels + 1)
    exact = _exact(key, clean, parameters, size, num_samples)
    curve = jax.jit(functools.partial(performance.psnr_curve, chunk=_CHUNK))
    moments = jax.jit(functools.partial(identities.jacobian_moments, num_probes=num_probes, chunk=_CHUNK))
    arrays: dict[str, Any] = {"sigma": sigma, "input_psnr": levels, "sigmas": sigmas, "size": size}
    arrays["network"] = curve(run.denoiser, key, clean, sigmas=metrics.sigma_of_input_psnr(levels)).psnr
    advance("network")
    found = []
    for decibel in levels:
        posterior = exact(metrics.sigma_of_input_psnr(decibel))
        found.append((metrics.psnr(clean, posterior.mean), posterior.effective))
        advance("exact posterior mean")
    arrays["exact"], arrays["effective"] = (jnp.stack(values, 1) for values in zip(*found, strict=True))
    found = []
    for level in sigmas:
        noisy = noise.add_noise(key, clean, level)
        estimates = moments(run.denoiser, jax.random.fold_in(key, 2), noisy)
        advance("Jacobian probes")
        found.append((*estimates, exact(level).trace))
        advance("exact posterior")
    names = ("trace", "energy", "exact_trace")
    arrays |= {name: jnp.stack(values, 1) for name, values in zip(names, zip(*found, strict=True), strict=True)}

    noisy = noise.add_noise(key, clean, sigma)
    found = []
    for i in range(num_disks):
        disk = jax.tree.map(lambda value, i=i: value[i], parameters)
        best = _exact_matrix(noisy[i], sigma, jax.random.fold_in(key, i), disk, size=size, num_samples=num_samples)
        _require_samples(jnp.trace(best), sigma, num_samples)
        found.append(_compare(whole_jacobian(run.denoiser, noisy[i], progress), best, disk, clean[i]))
        advance("Jacobians")
    arrays |= {name: jnp.stack([values[name] for values in found]) for name in found[0]}
    shown = int(np.argsort(arrays["overlap"])[(num_disks - 1) // 2])  # the disk of the median overlap
    disk = jax.tree.map(lambda value: value[shown], parameters)
    posterior = _exact_mean(
        noisy[shown], sigma, jax.random.fold_in(key, shown), disk, size=size, num_samples=num_samples
    )
    arrays |= {"shown": shown, "shown_clean": clean[shown], "shown_noisy": noisy[shown]}
    arrays["shown_network"] = denoise(run.denoiser, noisy[shown])
    arrays["shown_exact"] = posterior.mean
    return {quantity: np.asarray(value) for quantity, value in arrays.items()}


def _exact(key: Key, clean: Array, parameters: disks.Parameters, size: int, num_samples: int):
    """sigma -> Posterior of every disk, on the noise that `performance.psnr_curve` adds."""
    keys = jax.vmap(lambda i: jax.random.fold_in(jax.random.fold_in(key, 3), i))(jnp.arange(len(clean)))
    one = functools.partial(posterior_mean, size=size, num_samples=num_samples)

    @jax.jit
    def every(sigma: Array):
        noisy = noise.add_noise(key, clean, sigma)
        return jax.lax.map(lambda each: one(each[0], sigma, each[1], each[2]), (noisy, keys, parameters))

    def exact(sigma: Array):
        posterior = every(sigma)
        _require_samples(posterior.effective, sigma, num_samples)
        return posterior

    return exact


_exact_matrix = jax.jit(exact_jacobian, static_argnames=("size", "num_samples"))
_exact_mean = jax.jit(posterior_mean, static_argnames=("size", "num_samples"))


def _require_samples(weight: Array, sigma: Array, num_samples: int) -> None:
    """ValueError where some image's proposals were all rejected, which leaves its effective samples and trace zero."""
    if not bool(jnp.all(weight > 0)):
        raise ValueError(
            f"every proposal for a disk was rejected at sigma = {float(sigma):.3g}; "
            f"raise study.analysis.num_samples, {num_samples} now"
        )


def _compare(matrix: Array, exact_matrix: Array, disk: disks.Parameters, clean: Array) -> dict[str, Array]:
    """One disk: its tangent space beside the leading eigenvectors of the network and of the exact denoiser."""
    eigen, exact = (jacobian.eigenbasis_of(each, clean.shape) for each in (matrix, exact_matrix))
    singular = jacobian.singular_basis_of(matrix, clean.shape)
    tangents = disks.tangents(disk, size=len(clean))
    leading, signal = eigen.vectors[:_DIMENSION], geometry.coefficients(eigen.vectors, clean)
    single = jax.vmap(lambda vector: geometry.overlap(vector[None], leading))
    return {
        "overlap": geometry.overlap(leading, tangents),
        "exact_overlap": geometry.overlap(exact.vectors[:_DIMENSION], tangents),
        "left_overlap": geometry.overlap(singular.left[:_DIMENSION], tangents),
        "right_overlap": geometry.overlap(singular.right[:_DIMENSION], tangents),
        "captured": single(tangents),  # share of each tangent vector's energy in the leading eigenvectors
        "held": _held(eigen.vectors, tangents),
        "exact_held": _held(exact.vectors, tangents),
        "shrinkage": eigen.shrinkage,
        "exact_shrinkage": exact.shrinkage,
        "singular_values": singular.values,
        "asymmetry": eigen.asymmetry,
        "preserved": jnp.sum(signal[:_DIMENSION] ** 2) / jnp.sum(clean**2),
        "tangents": tangents,
        "vectors": eigen.vectors[:_NUM_VECTORS],
    }


def _held(vectors: Array, tangents: Array) -> Array:
    """Share of the tangent space in the first k vectors, (d,): their overlap where k = 5, and 1 where k = d."""
    basis = jnp.linalg.qr(tangents.reshape(len(tangents), -1).T)[0]
    return jnp.cumsum(jnp.mean((vectors.reshape(len(vectors), -1) @ basis) ** 2, 1))


def check(
    arrays: Mapping[str, np.ndarray],
    *,
    overlap: float | None = None,
    dimension_above: float | None = None,
) -> list[Check]:
    """Theory beside measurement.

    Args:
      arrays: from `analyze`.
      overlap: mark for the mean over disks of the overlap of the five leading eigenvectors with the tangent space.
      dimension_above: mark for tr J at every sigma up to 0.1, where it must also rise as sigma falls: a trained network
        keeps harmonics besides the tangents, more at less noise. The exact posterior, near 5 at all, need not meet it.

    Returns:
      List of Check; a mark of None makes the line a report without verdict.
    """
    get = arrays.__getitem__
    names = ("shrinkage", "exact_shrinkage", "singular_values", "network", "exact", "captured")
    means = {name: get(name).mean(0) for name in names}
    small = get("sigmas") <= _GEOMETRIC_BELOW * (1 + 1e-6)
    trace, exact_trace, sigmas = get("trace").mean(0)[small], get("exact_trace").mean(0)[small], get("sigmas")[small]
    at = f"sigma = {float(get('sigma')):g}"
    pixels = int(get("size")) ** 2
    inside = performance.levels_between(get("input_psnr"), (20, 34))
    verdicts: list[tuple] = [at_least(get("overlap").mean(), overlap), (), ()]
    if dimension_above is not None:
        verdicts[1] = (f"> {dimension_above:g}", bool(np.all(trace > dimension_above)))
        verdicts[2] = ("rises", bool(np.all(np.diff(trace) < 0)))
    checks = [
        Check(
            f"overlap of 5 leading eigenvectors and tangents, {at}",
            f"1; exact posterior {get('exact_overlap').mean():.3f}; chance {_DIMENSION / pixels:.3f}",
            f"{get('overlap').mean():.3f}, from {get('overlap').min():.3f} to {get('overlap').max():.3f}",
            *verdicts[0],
        ),
        Check("share of each tangent vector in them", "1", _list(means["captured"])),
        Check("eigenvalues above 1/2, and share of the tangents there", "5, 1", _kept(get("shrinkage"), get("held"))),
        Check("share of |x|^2 in the 5 leading", "1", f"{get('preserved').mean():.3f}"),
        Check("eigenvalues 1 to 5", f"exact {_list(means['exact_shrinkage'][:5])}", _list(means["shrinkage"][:5])),
        Check("eigenvalues 6 to 10", f"exact {_list(means['exact_shrinkage'][5:10])}", _list(means["shrinkage"][5:10])),
        Check("asymmetry |J - J^T| / |J|", "0, exact MMSE", f"{get('asymmetry').mean():.3f}"),
        Check("singular values 1 to 5", "the eigenvalues, where symmetric", _list(means["singular_values"][:5])),
        Check(
            "overlap of 5 leading left, right singular vectors and tangents",
            "that of the eigenvectors, where symmetric",
            f"{get('left_overlap').mean():.3f}, {get('right_overlap').mean():.3f}",
        ),
        Check(
            f"least tr J, sigma {sigmas[0]:.2g} to {sigmas[-1]:.2g}",
            f"5 at the optimum, trained above; exact posterior {exact_trace.min():.2f}",
            f"{trace.min():.1f}",
            *verdicts[1],
        ),
        Check(
            f"tr J as sigma falls, {sigmas[-1]:.2g} to {sigmas[0]:.2g}",
            f"constant at the optimum, trained rises; exact posterior {exact_trace[-1]:.2f} to {exact_trace[0]:.2f}",
            _list(trace[::-1], 1),
            *verdicts[2],
        ),
        Check("|J|^2 at these sigma", "tr J, a projection", _list(get("energy").mean(0)[small][::-1], 1)),
    ]
    for name in ("exact", "network"):
        slope = performance.psnr_slope(get("input_psnr"), get(name), between=(20, 34)) if inside.sum() > 1 else None
        if slope is not None and len(get(name)) > 1:
            text = f"{slope.slope:.3f} +- {slope.standard_error:.3f}"
            checks.append(Check(f"PSNR slope, {name}, 20-34 dB", "1", text))
    for decibel in (10, 20, 30):
        values = [np.interp(decibel, get("input_psnr"), means[name]) for name in ("exact", "network")]
        line = decibel + 10 * np.log10(pixels / _DIMENSION)
        theory = f"exact {values[0]:.2f}; five dimensions {line:.2f}"
        checks.append(Check(f"output PSNR at {decibel} dB, dB", theory, f"{values[1]:.2f}"))
    least = f"least {get('effective').min():.0f}, median {np.median(get('effective')):.0f}"
    return [*checks, Check("effective samples of the exact posterior", "> 100", least)]


def _kept(shrinkage: np.ndarray, held: np.ndarray) -> str:
    numbers = (shrinkage > 0.5).sum(1)
    shares = [row[number - 1] if number else 0.0 for row, number in zip(held, numbers, strict=True)]
    return f"{numbers.mean():.0f}, {np.mean(shares):.3f}"


def _list(values: np.ndarray, digits: int = 2) -> str:
    return " ".join(f"{value:.{digits}f}" for value in values)
