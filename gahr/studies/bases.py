"""Bases of networks trained on contours of different regularity.

Kadkhodaie et al. (2024), arXiv:2310.02557, figures 4 (right) and 17: between smooth backgrounds, the smoother the
contour, the fewer coefficients an image has in the basis that the network shrinks in, the lower the error, and the
less the harmonics that follow the contour are localised. A fixed linear filter has all of this too: what it has not is
a basis that is the better for being an image's own.
"""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np

from gahr.names import require_positive
from gahr.studies.shared.basis_figure import draw_bases
from gahr.studies.shared.local_basis import basis_arrays, basis_checks, fixed_bases, null_psnr, spread, swap_checks
from gahr.studies.shared.nulls import null_denoisers
from gahr.studies.shared.options import require_least
from gahr.studies.shared.study import Arrays, Check, Limit, Runs, Study
from gahr.studies.shared.style import COLOURS, NULLS
from gahr.types import Key, Progress, Sharding


def analyze(
    *, sigma: float = 0.2, num_bases: int = 6, num_images: int = 256, num_fit: int = 20_000, num_memorized: int = 1_000
) -> Callable:
    """Bases and errors of each network, and of its nulls, on test images of its own set.

    Image i of every set comes from the same white noise, so that only the regularity differs.

    Args:
      sigma: noise level, image units.
      num_bases: images whose whole Jacobian is decomposed, the first of the `num_images`.
      num_images: test images of the error.
      num_fit, num_memorized: training images of the linear null and of the memorizer, at most.

    Returns:
      Function (runs on C^alpha images, key, *, progress, sharding=None) -> arrays named "RUN/quantity" that `check`
      and `draw` need.

    Raises:
      ValueError: an option that cannot be used.
    """
    require_positive(sigma=sigma)
    require_least(num_bases=(num_bases, 2), num_images=(num_images, 2), num_fit=(num_fit, 1))
    require_least(num_memorized=(num_memorized, 1))

    def analysis(runs: Runs, key: Key, *, progress: Progress, sharding: Sharding | None = None) -> Arrays:
        arrays: dict[str, Any] = {"runs": np.array(list(runs))}
        options = dict(sigma=sigma, sigmas=jnp.array([sigma]), num_bases=num_bases)
        for name, run in runs.items():
            clean, fitted = run.images("test", num_images), run.images(run.subset, num_fit)
            options |= dict(nulls=null_denoisers(run, num_fit=num_fit, memorized=num_memorized))
            options |= dict(fixed=fixed_bases(clean.shape[1:], images=fitted), progress=progress, sharding=sharding)
            arrays |= basis_arrays(name, run.noise_denoiser, key, clean, **options)
            arrays[f"{name}/alpha"] = run.data["alpha"]
        return {quantity: np.asarray(value) for quantity, value in arrays.items()}

    return analysis


def check(arrays: Arrays, *, swapped: Limit = None, contours: Limit = None) -> list[Check]:
    """Theory beside measurement.

    Args:
      arrays: from `analyze`.
      swapped, contours: marks of every network, as `gahr.studies.shared.local_basis.swap_checks`.

    Returns:
      List of Check; a mark of None makes the line a report without verdict.
    """
    names = sorted((str(name) for name in arrays["runs"]), key=lambda name: float(arrays[f"{name}/alpha"]))
    checks = []
    for before, name in zip([None, *names], names, strict=False):
        get = {quantity: arrays[f"{name}/{quantity}"] for quantity in ("psnr", "oracle", "sigma", "clean")}
        error = np.mean(10 ** (-get["psnr"] / 10)) * get["clean"].size / get["sigma"] ** 2
        said = lambda quantity, name=name: spread(arrays[f"{name}/{quantity}"])
        nulls = null_psnr(arrays, name)
        checks += [
            Check(f"{name}: output PSNR, dB", None, said("psnr"), nulls={who: spread(nulls[who]) for who in nulls}),
            Check(f"{name}: oracle dimension of x in the eigenbasis", None, said("oracle")),
        ]
        if before is not None:
            rise = spread(get["psnr"] - arrays[f"{before}/psnr"])
            ratio = float(get["oracle"].mean() / arrays[f"{before}/oracle"].mean())
            rises = {who: spread(values - null_psnr(arrays, before)[who]) for who, values in nulls.items()}
            checks += [
                Check(f"{name}: output PSNR less that of {before}, dB", "above 0", rise, nulls=rises),
                Check(f"{name}: oracle dimension over that of {before}", "below 1", ratio),
            ]
        checks += [
            Check(f"{name}: share of |x|^2 above 1/2", 1, said("preserved")),
            Check(f"{name}: tr J", {"error / sigma^2, exact MMSE": float(error)}, said("trace")),
            Check(
                f"{name}: participation ratio of the left singular vectors above 1/2",
                {"a wave": 2 / 3, "noise": 1 / 3},
                said("participation"),
            ),
            *swap_checks(arrays, name, swapped=swapped, contours=contours),
            *basis_checks(arrays, name),
        ]
    return checks


def draw(arrays: Arrays, *, title: str = ""):
    """Figure: image and leading vectors of each network, decays, dimensions, and output PSNR against the exponent."""
    labels = {name: rf"$\alpha$ = {float(arrays[f'{name}/alpha']):g}" for name in map(str, arrays["runs"])}

    def draw_last(axes) -> None:
        alphas = [float(arrays[f"{name}/alpha"]) for name in labels]
        for name, alpha, colour in zip(labels, alphas, COLOURS * len(labels), strict=False):
            psnr = spread(arrays[f"{name}/psnr"])
            axes.errorbar(alpha, psnr.mean, psnr.error, fmt="o", ms=4, color=colour, capsize=2)
        nulls = [null_psnr(arrays, name) for name in labels]
        for who in ("linear", "3x3 filter"):
            if who in nulls[0]:
                axes.plot(alphas, [each[who].mean() for each in nulls], label=who, marker=".", **NULLS[who])
        axes.set(xlabel=r"contour exponent $\alpha$", ylabel="output PSNR (dB)", title="Denoising, test images")
        axes.margins(0.15)
        axes.legend()

    return draw_bases(arrays, labels, draw_last, title=title)


STUDY = Study(analyze, check, draw)
