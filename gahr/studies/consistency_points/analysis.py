"""The analysis of `gahr.studies.consistency_points`: networks, nulls and the exact function at the same points."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial

from gahr.analysis import statistics
from gahr.analysis.jacobian import jacobian, singular_basis_of
from gahr.classical.analytic import fit_gaussian, mixture
from gahr.classical.flows import gaussian_flow, quantile_map
from gahr.data import modes
from gahr.denoiser import at
from gahr.names import options_of, require, require_positive
from gahr.noise import add_noise
from gahr.sampling import consistency, driver, ode, schedules
from gahr.sampling.level_search import search_levels
from gahr.studies.shared.measures import counter
from gahr.studies.shared.nulls import null_denoisers
from gahr.studies.shared.options import require_least
from gahr.studies.shared.study import Arrays, Run, Runs
from gahr.types import Array, Key, NoiseDenoiser, Progress, Sharding

METHODS = {
    "ect": "easy tuning",
    "ict": "improved training",
    "ct": "first training",
    "distil": "distillation",
    "continuous": "continuous time",
}
NULLS = ("linear", "identity", "untrained", "denoiser")
SETS = {"line": "five modes on a line", "plane": "five modes in the plane"}
AMPLITUDES = (0.03, 0.1, 0.3, 1.0)  # of moved noise, over sigma_max
_DIRECTIONS = 8
_FITTED = 10_000  # training points of the linear flow, at most


def analyze(
    *,
    sigma_max: float = 10.0,
    sigma_min: float = 0.001,
    sigma_jacobian: float = 0.3,
    num_points: int = 1_000,
    num_jacobians: int = 200,
    num_levels: int = 200,
    num_scored: int = 1_000,
) -> Callable:
    """Networks, nulls and the exact function at the same noisy points.

    Args:
      sigma_max, sigma_min: where trajectories start and end, image units.
      sigma_jacobian: noise level of the Jacobians, image units.
      num_points: noisy points at sigma_max.
      num_jacobians: noisy points at sigma_jacobian.
      num_levels: of the ODE of the exact denoiser, by Heun's method.
      num_scored: samples that the search of a second level scores by their energy distance to as many test images.

    Returns:
      Function (runs "SET_METHOD" of image sets "modes", key, *, progress, sharding=None) -> arrays. Of each set: noisy,
      ends (N, d), centres, quantile (the largest difference of the ODE and the quantile map). Of "SET/WHO", runs and
      nulls: found, error (N,), right (N,), jacobian (n,) relative error, values (n, d) singular values, cosine (n,) of
      the leading left vectors, answer (A,) median relative error of what moved noise changes, left (A,) and left_exact
      (A,) shares of moved points that leave their mode; of networks levels (3,) and scores (2,).

    Raises:
      ValueError: an option that cannot be used.
    """
    require_positive(sigma_jacobian=sigma_jacobian)
    require_least(num_points=(num_points, 2), num_jacobians=(num_jacobians, 2), num_scored=(num_scored, 2))
    levels = lambda start: schedules.karras(sigma_max=start, sigma_min=sigma_min, num_levels=num_levels, zero=False)
    starts = {sigma: levels(sigma) for sigma in (sigma_max, sigma_jacobian)}

    def analysis(runs: Runs, key: Key, *, progress: Progress, sharding: Sharding | None = None) -> Arrays:
        del sharding
        arrays: dict[str, Any] = {"amplitudes": AMPLITUDES}
        found = {which: _networks(runs, which) for which in SETS}
        advance = counter(progress, sum(map(len, found.values())) + len(SETS) * (len(NULLS) + 1))
        for which, networks in found.items():
            run = next(iter(networks.values()))
            law = law_of(run)
            posterior = mixture(*law)
            clean = run.images("test", max(num_points, num_jacobians))
            keys = jax.random.split(key, 4)
            noisy = add_noise(keys[0], clean[:num_points], sigma_max)
            near = add_noise(keys[1], clean[:num_jacobians], sigma_jacobian)
            moves = sigma_max * jnp.array(AMPLITUDES)[:, None, None, None, None, None] * _directions(noisy.shape)[None]
            exact = {sigma: Partial(_end, posterior, starts[sigma]) for sigma in starts}
            truth = _describe(exact[sigma_max], exact[sigma_jacobian], noisy, near, moves)
            ends = truth["ends"]
            advance(f"{which}: exact")
            arrays |= {f"{which}/{name}": values for name, values in dict(noisy=noisy, ends=ends).items()}
            arrays |= {f"{which}/centres": law[1], f"{which}/values": truth["singular"].values}
            if which == "line":
                order = quantile_map(law[0], law[1].ravel(), law[2][0, 0] ** 0.5, sigma_min=sigma_min)
                arrays["line/quantile"] = jnp.abs(order(noisy, jnp.float32(sigma_max)) - ends).max()
            subjects = {name: network.noise_denoiser for name, network in networks.items()}
            flow = gaussian_flow(*fit_gaussian(run.images(run.subset, _FITTED)), sigma_min=sigma_min)
            nulls = null_denoisers(run, num_fit=_FITTED) | {"linear": flow, "denoiser": posterior}
            subjects |= {who: nulls[who] for who in NULLS if who in nulls}
            for who, subject in subjects.items():
                described = _describe(at(subject, sigma_max), at(subject, sigma_jacobian), noisy, near, moves)
                arrays |= {f"{which}/{who}/{n}": v for n, v in _compare(described, truth, law[1]).items()}
                if who in networks:
                    test = clean[:num_scored]
                    distance = Partial(_score, subject, keys[2], test)
                    chosen, scores = search_levels(distance, sigma_max=sigma_max, sigma_min=sigma_min)
                    arrays |= {f"{which}/{who}/levels": chosen, f"{which}/{who}/scores": np.array(scores)}
                advance(f"{which}: {who}")
        return {quantity: np.asarray(value) for quantity, value in arrays.items()}

    return analysis


def _networks(runs: Runs, which: str) -> dict[str, Run]:
    """The consistency models of one set by their methods; ValueError where there is none."""
    found = {method: runs[f"{which}_{method}"] for method in METHODS if f"{which}_{method}" in runs}
    require(bool(found), "runs", ", ".join(runs), f"{which}_METHOD, of the methods {', '.join(METHODS)}")
    return found


def law_of(run: Run) -> tuple[Array, Array, Array, Array]:
    """Weights, means, eigenvalues and bases of the points of a run, as `gahr.classical.analytic.mixture` takes them."""
    options = options_of(modes.sample, {name: value for name, value in run.data.items() if name != "name"})
    deviation = options.pop("deviation")
    means = modes.centres(**options)
    number, size = len(means), means[0].size
    bases = jnp.broadcast_to(jnp.eye(size).reshape(size, *means.shape[1:]), (number, size, *means.shape[1:]))
    return jnp.full(number, 1 / number), means, jnp.full((number, size), deviation**2), bases


def _end(noise_denoiser: NoiseDenoiser, sigmas: Array, noisy: Array) -> Array:
    return ode.solve(noise_denoiser, noisy, sigmas=sigmas)


def _directions(shape: tuple[int, int, int, int]) -> Array:
    """Unit directions (K, 1, 1, d, 1) on the line or the circle."""
    turn = 2 * np.pi * np.arange(_DIRECTIONS) / _DIRECTIONS
    rows = np.array([[1.0], [-1.0]]) if shape[2] == 1 else np.stack([np.cos(turn), np.sin(turn)], 1)
    return jnp.asarray(rows.reshape(len(rows), 1, 1, -1, 1), jnp.float32)


@jax.jit
def _describe(far: Partial, close: Partial, noisy: Array, near: Array, moves: Array) -> dict[str, Any]:
    """Ends (N, ...) of noisy points, Jacobians (n, d, d) and their vectors at others, ends (A, K, N, ...) if moved."""
    matrices = jax.lax.map(lambda point: jacobian(close, point), near)
    return {
        "ends": far(noisy),
        "matrix": matrices,
        "singular": jax.lax.map(lambda matrix: singular_basis_of(matrix, near.shape[1:]), matrices),
        "moved": jax.lax.map(lambda one: jax.lax.map(lambda each: far(noisy + each), one), moves),
    }


def _nearest(points: Array, centres: Array) -> Array:
    """Number of the nearest centre (M, 1, d, 1) of each of points (..., 1, d, 1)."""
    wide = jnp.expand_dims(centres, tuple(range(points.ndim - 3)))
    return jnp.argmin(jnp.sum((points[..., None, :, :, :] - wide) ** 2, (-3, -2, -1)), -1)


@jax.jit
def _compare(found: dict[str, Any], truth: dict[str, Any], centres: Array) -> dict[str, Array]:
    norm = lambda points: jnp.sqrt(jnp.sum(points**2, (-3, -2, -1)))
    size = lambda matrices: jnp.sqrt(jnp.sum(matrices**2, (-2, -1)))
    mode, ends = _nearest(truth["ends"], centres), truth["ends"]
    answer, expected = found["moved"] - found["ends"][None, None], truth["moved"] - ends[None, None]
    leaves = lambda each: jnp.mean(
        _nearest(each["moved"], centres) != _nearest(each["ends"], centres)[None, None], (1, 2)
    )
    return {
        "found": found["ends"],
        "error": norm(found["ends"] - ends),
        "right": _nearest(found["ends"], centres) == mode,
        "jacobian": size(found["matrix"] - truth["matrix"]) / size(truth["matrix"]),
        "values": found["singular"].values,
        "cosine": jnp.abs(jnp.sum(found["singular"].left[:, 0] * truth["singular"].left[:, 0], (1, 2, 3))),
        "answer": jnp.median(norm(answer - expected), (1, 2)) / jnp.median(norm(expected), (1, 2)),
        "left": leaves(found),
        "left_exact": leaves(truth),
    }


def _score(noise_denoiser: NoiseDenoiser, key: Key, clean: Array, levels: Array) -> float:
    """Energy distance of samples of the consistency sampler to test images, image units."""
    return statistics.energy_distance(_samples(noise_denoiser, key, levels, clean.shape), clean)


@functools.partial(jax.jit, static_argnames="shape")
def _samples(noise_denoiser: NoiseDenoiser, key: Key, levels: Array, shape: tuple[int, ...]) -> Array:
    return driver.sample(consistency.sampler(sigmas=levels), noise_denoiser, key, shape, chunk=shape[0])[0]
