"""How the error falls with the noise where coefficients are exact power laws: constants, slopes, and finite dimension.

An image with c_k^2 = A k^-(alpha + 1) in a basis, denoised by the best factors, by the best choice of vectors, which
both know the image, and by a threshold, which does not. The error goes as sigma^(2 alpha / (alpha + 1)), with a known
constant, as long as sigma^2 is between the largest and the least of the finitely many c_k^2.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gahr import metrics
from gahr.classical import cosines, rates, shrinkage, transforms
from gahr.names import require
from gahr.noise import standard_normal
from gahr.studies.shared.local_basis import spread
from gahr.studies.shared.options import require_least
from gahr.studies.shared.study import Arrays, AtMost, Check, Limit, Runs, Study
from gahr.studies.shared.style import COLOURS, STYLE
from gahr.types import Array, Key, NoiseDenoiser, Progress, Sharding

_NAMES = ("oracle", "projection", "threshold")


def analyze(
    *,
    alphas: Sequence[float] = (1.0, 2.0, 4.0),
    size: int = 40,
    lowest: float = 0.003,
    num_levels: int = 11,
    num_draws: int = 2000,
) -> Callable:
    """Errors of an image of each exponent, of mean square 1, whose coefficients are of the cosines by frequency.

    Args:
      alphas: exponents.
      size: side in pixels; d = size^2 coefficients.
      lowest, num_levels: noise levels, geometric from 1 down, in units of the image's root mean square.
      num_draws: draws of the noise, alike at all levels.

    Returns:
      Function (runs, key, *, progress, sharding=None), of no runs -> arrays: alphas, sigmas (S,), and for each exponent
      "alpha/NAME" (n, S), mean squared errors per pixel of "oracle", "projection" and "threshold" (hard, at
      (2 ln d)^0.5 sigma), and "alpha/energy" (d,).

    Raises:
      ValueError: an option that cannot be used.
    """
    require_least(size=(size, 4), num_levels=(num_levels, 3), num_draws=(num_draws, 2))
    require(0 < lowest < 1, "lowest", lowest, "between 0 and 1")
    require(all(alpha > 0 for alpha in alphas), "alphas", tuple(alphas), "positive")

    def analysis(runs: Runs, key: Key, *, progress: Progress, sharding: Sharding | None = None) -> Arrays:
        del runs, sharding
        basis = cosines.basis((size, size, 1))
        sigmas = np.geomspace(1, lowest, num_levels)
        signs = jax.random.rademacher(jax.random.fold_in(key, 0), (size**2,), jnp.float32)
        normal = standard_normal(jax.random.fold_in(key, 1), jnp.zeros((num_draws, size, size, 1)))
        factor = shrinkage.universal(size**2)
        arrays: dict[str, Any] = {"alphas": alphas, "sigmas": sigmas}
        for i, alpha in enumerate(alphas):
            progress.check()
            energy = jnp.asarray(rates.power_law(size**2, alpha=alpha), jnp.float32)
            clean = jnp.tensordot(signs * jnp.sqrt(energy), basis, 1, precision="highest")
            denoisers = (
                shrinkage.oracle(transforms.cosines(), clean),
                shrinkage.projection_oracle(transforms.cosines(), clean),
                shrinkage.hard(transforms.cosines(), factor=factor),
            )
            for name, denoiser in zip(_NAMES, denoisers, strict=True):
                arrays[f"{alpha:g}/{name}"] = _errors(denoiser, clean, normal, jnp.asarray(sigmas, jnp.float32)).T
            arrays[f"{alpha:g}/energy"] = energy
            progress.update("exponents", i + 1, len(alphas))
        return {quantity: np.asarray(value) for quantity, value in arrays.items()}

    return analysis


@jax.jit
def _errors(denoiser: NoiseDenoiser, clean: Array, normal: Array, sigmas: Array) -> Array:
    """Mean squared errors (S, n) at each level, with the same noise."""
    images = jnp.broadcast_to(clean, normal.shape)
    return jax.lax.map(lambda sigma: metrics.mse(images, denoiser(images + sigma * normal, sigma)), sigmas)


def slopes(errors: np.ndarray, sigmas: np.ndarray) -> np.ndarray:
    """d ln error / d ln sigma^2 between neighbours, (..., S - 1)."""
    return np.diff(np.log(errors)) / np.diff(2 * np.log(sigmas))


def check(arrays: Arrays, *, error_within: Limit = None, slope_within: Limit = None) -> list[Check]:
    """Theory beside measurement.

    Args:
      arrays: from `analyze`.
      error_within: mark for the largest |error of the oracle / its formula - 1|, over the levels.
      slope_within: mark for the largest |slope - that of d coefficients|, over the levels. The null is the limit of
        infinitely many, alpha / (alpha + 1), in its place.

    Returns:
      List of Check; a mark of None makes the line a report without verdict.
    """
    sigmas, checks = arrays["sigmas"], []
    middle = np.sqrt(sigmas[1:] * sigmas[:-1])
    for alpha in arrays["alphas"]:
        get = {name: arrays[f"{alpha:g}/{name}"] for name in (*_NAMES, "energy")}
        number, limit = len(get["energy"]), alpha / (alpha + 1)
        expected = np.asarray(rates.oracle_error(jnp.asarray(get["energy"]), jnp.asarray(sigmas))) / number
        chosen = np.asarray(rates.projection_error(jnp.asarray(get["energy"]), jnp.asarray(sigmas))) / number
        measured = slopes(get["oracle"].mean(0), sigmas)
        finite = np.asarray(rates.oracle_slope(jnp.asarray(get["energy"]), jnp.asarray(middle)))
        bound = get["threshold"].mean(0) / ((2 * np.log(number) + 1) * (sigmas**2 / number + chosen))
        head, nearest = f"alpha = {alpha:g}", int(np.argmin(abs(finite - limit)))
        formula = np.asarray(rates.power_law_error(sigmas, alpha=float(alpha), amplitude=float(get["energy"][0])))
        best, constant = int(np.argmin(abs(expected * number / formula - 1))), rates.oracle_constant(float(alpha))
        ratio = (get["oracle"][:, best] * number + sigmas[best] ** 2 / 2) / (formula[best] + sigmas[best] ** 2 / 2)
        checks += [
            Check(
                f"{head}: |error of the best factors / formula - 1|, largest",
                0,
                float(np.max(abs(get["oracle"].mean(0) / expected - 1))),
                AtMost(error_within),
            ),
            Check(
                f"{head}: C(alpha), from the error at sigma = {sigmas[best]:.2g}", constant, spread(ratio * constant)
            ),
            Check(
                f"{head}: |slope - that of {number} coefficients|, largest",
                0,
                float(np.max(abs(measured - finite))),
                AtMost(slope_within),
                {"alpha / (alpha + 1)": float(np.max(abs(limit - measured)))},
            ),
            Check(
                f"{head}: slope at sigma = {middle[nearest]:.2g}",
                {"alpha / (alpha + 1)": limit},
                float(measured[nearest]),
            ),
            Check(
                f"{head}: best choice of vectors over best factors, largest",
                "1 to 2",
                float(np.max(get["projection"].mean(0) / get["oracle"].mean(0))),
                AtMost(2.0),
            ),
            Check(f"{head}: threshold over its bound, largest", "at most 1", float(bound.max()), AtMost(1.0)),
        ]
    return checks


def draw(arrays: Arrays, *, title: str = ""):
    """Figure: errors against the noise, and their slopes, each beside its formula and its limit."""
    import matplotlib.pyplot as plt

    sigmas = arrays["sigmas"]
    fine = np.geomspace(sigmas[-1], 1, 200)
    with plt.rc_context(STYLE):
        figure, (errors, slope) = plt.subplots(1, 2, figsize=(7.0, 3.2), layout="constrained")
        figure.suptitle(title)
        for alpha, colour, marker in zip(arrays["alphas"], COLOURS * 9, "os^vD*" * 9, strict=False):
            energy = jnp.asarray(arrays[f"{alpha:g}/energy"])
            oracle = arrays[f"{alpha:g}/oracle"].mean(0)
            theory = np.asarray(rates.oracle_error(energy, jnp.asarray(fine))) / len(energy)
            limit = np.asarray(rates.power_law_error(fine, alpha=float(alpha), amplitude=float(energy[0])))
            look = dict(color=colour, marker=marker, ms=3, ls="")
            errors.plot(sigmas, oracle, **look, label=rf"$\alpha$ = {alpha:g}, best factors")
            errors.plot(sigmas, arrays[f"{alpha:g}/threshold"].mean(0), **look, mfc="none", label="threshold")
            errors.plot(fine, theory, color=colour, lw=1)
            errors.plot(fine, limit / len(energy), ":", color=colour, lw=1)
            slope.plot(np.sqrt(sigmas[1:] * sigmas[:-1]), slopes(oracle, sigmas), **look)
            slope.plot(fine, np.asarray(rates.oracle_slope(energy, jnp.asarray(fine))), color=colour, lw=1)
            slope.axhline(alpha / (alpha + 1), ls=":", color=colour, lw=1)
        for style, label in (("-", f"formula, d = {len(energy)}"), (":", "infinitely many coefficients")):
            errors.plot([], [], style, color="black", lw=1, label=label)
        errors.plot(fine, fine**2, color="0.7", lw=0.8, label="noisy image")
        label = r"noise level $\sigma$ / rms of the image"
        errors.set(xscale="log", yscale="log", xlabel=label, ylabel="mean squared error", title="Error")
        errors.set_ylim(top=30)
        slope.set(xscale="log", xlabel=label, ylabel="PSNR slope", title="Slope", ylim=(0.4, 1.02))
        errors.legend(fontsize=5.5)
    return figure


STUDY = Study(analyze, check, draw)
