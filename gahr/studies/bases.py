"""Bases of networks trained on contours of different regularity.

Kadkhodaie et al. (2024), arXiv:2310.02557, figures 4 (right) and 17: between smooth backgrounds, the smoother the
contour, the fewer coefficients an image has in the basis that the network shrinks in, the lower the error, and the
less the harmonics that follow the contour are localised.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gahr.analysis import jacobian
from gahr.names import require_positive
from gahr.studies.shared.local_basis import basis_arrays, basis_checks, draw_bases, localisation, spread
from gahr.studies.shared.options import require_least
from gahr.studies.shared.study import Arrays, AtLeast, AtMost, Check, Limit, Runs, Study
from gahr.studies.shared.style import COLOURS
from gahr.types import Array, Key, Progress, Sharding


def analyze(*, sigma: float = 0.2, num_bases: int = 8, num_images: int = 256) -> Callable:
    """Bases and errors of each network on test images of its own set.

    Image i of every set comes from the same white noise, so that only the regularity differs.

    Args:
      sigma: noise level, image units.
      num_bases: images whose whole Jacobian is decomposed, the first of the `num_images`.
      num_images: test images of the error.

    Returns:
      Function (runs on C^alpha images, key, *, progress, sharding=None) -> arrays named "RUN/quantity" that `check`
      and `draw` need.

    Raises:
      ValueError: an option that cannot be used.
    """
    require_positive(sigma=sigma)
    require_least(num_bases=(num_bases, 1), num_images=(num_images, 2))

    def analysis(runs: Runs, key: Key, *, progress: Progress, sharding: Sharding | None = None) -> Arrays:
        arrays: dict[str, Any] = {"runs": np.array(list(runs))}
        options = dict(sigma=sigma, sigmas=jnp.array([sigma]), num_bases=num_bases, measure=_localisation)
        for name, run in runs.items():
            clean = run.images("test", num_images)
            found = basis_arrays(name, run.noise_denoiser, key, clean, progress=progress, sharding=sharding, **options)
            arrays |= found | {f"{name}/alpha": run.data["alpha"]}
        return {quantity: np.asarray(value) for quantity, value in arrays.items()}

    return analysis


def _localisation(eigen: jacobian.Eigenbasis, clean: Array) -> dict[str, Array]:
    """Where the vectors that are kept, the first at least, have their energy."""
    kept = (eigen.shrinkage > 0.5).at[0].set(True)
    return localisation(eigen.vectors, clean, jax.random.key(0), where=kept)


def check(
    arrays: Arrays, *, preserved_energy: Limit = None, psnr_rise: Limit = None, dimension_ratio: Limit = None
) -> list[Check]:
    """Theory beside measurement.

    Args:
      arrays: from `analyze`.
      preserved_energy: mark for the share of |x|^2 in the eigenvectors above 1/2, of every network.
      psnr_rise: mark for the rise of the output PSNR from one exponent to the next, dB.
      dimension_ratio: mark for the oracle dimension at one exponent over that at the next lower one.

    Returns:
      List of Check; a mark of None makes the line a report without verdict.
    """
    names = sorted((str(name) for name in arrays["runs"]), key=lambda name: float(arrays[f"{name}/alpha"]))
    checks = []
    for before, name in zip([None, *names], names, strict=False):
        get = {quantity: arrays[f"{name}/{quantity}"] for quantity in ("psnr", "oracle", "sigma", "clean")}
        error = np.mean(10 ** (-get["psnr"] / 10)) * get["clean"].size / get["sigma"] ** 2
        said = lambda quantity, name=name: spread(arrays[f"{name}/{quantity}"])
        checks += [
            Check(f"{name}: output PSNR, dB", None, said("psnr")),
            Check(f"{name}: oracle dimension of x in the basis", None, said("oracle")),
        ]
        if before is not None:
            rise = spread(get["psnr"] - arrays[f"{before}/psnr"])
            ratio = float(get["oracle"].mean() / arrays[f"{before}/oracle"].mean())
            checks += [
                Check(f"{name}: output PSNR less that of {before}, dB", "above 0", rise, AtLeast(psnr_rise)),
                Check(f"{name}: oracle dimension over that of {before}", "below 1", ratio, AtMost(dimension_ratio)),
            ]
        checks += [
            Check(f"{name}: share of |x|^2 above 1/2", 1, said("preserved"), AtLeast(preserved_energy)),
            Check(f"{name}: tr J", {"error / sigma^2, exact MMSE": float(error)}, said("trace")),
            Check(
                f"{name}: energy of the vectors above 1/2 on contours",
                {"shifted contours": float(arrays[f"{name}/contour_control"].mean())},
                said("contour"),
            ),
            Check(f"{name}: their participation ratio", {"a wave": 2 / 3, "noise": 1 / 3}, said("participation")),
            *basis_checks(arrays, name),
        ]
    return checks


def draw(arrays: Arrays, *, title: str = ""):
    """Figure: image and leading eigenvectors of each network, decays, and output PSNR against the exponent."""
    labels = {name: rf"$\alpha$ = {float(arrays[f'{name}/alpha']):g}" for name in map(str, arrays["runs"])}

    def draw_third(axes) -> None:
        for name, colour in zip(labels, COLOURS * len(labels), strict=False):
            psnr = spread(arrays[f"{name}/psnr"])
            alpha = float(arrays[f"{name}/alpha"])
            axes.errorbar(alpha, psnr.mean, psnr.error, fmt="o", ms=4, color=colour, capsize=2)
        axes.set(xlabel=r"contour exponent $\alpha$", ylabel="output PSNR (dB)", title="Denoising, test images")
        axes.margins(0.15)

    return draw_bases(arrays, labels, draw_third, title=title)


STUDY = Study(analyze, check, draw)
