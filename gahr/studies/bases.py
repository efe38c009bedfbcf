"""Bases of networks trained on contours of different regularity.

Kadkhodaie et al. (2024), arXiv:2310.02557, figures 4 (right) and 17: between smooth backgrounds, the smoother the
contour, the fewer coefficients an image has in the basis that the network shrinks in, the lower the error, and the
less the harmonics that follow the contour are localised.
"""

import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gahr.analysis import jacobian, performance
from gahr.types import Progress
from gahr.studies.common import COLOURS, Check, Run, at_least, at_most, check_counts, check_positive
from gahr.studies.shared.local_basis import basis_checks, draw_bases, local_bases, localisation, spread
from gahr.types import Array, Key


def validate(analysis: Mapping[str, Any], marks: Mapping[str, Any]) -> None:
    """ValueError unless the options of `analyze` can be used."""
    del marks
    check_counts(analysis, num_bases=1, num_images=2)
    check_positive(analysis, "sigma")


def analyze(
    runs: Mapping[str, Run],
    key: Key,
    *,
    sigma: float = 0.2,
    num_bases: int = 8,
    num_images: int = 256,
    progress: Progress,
) -> dict[str, np.ndarray]:
    """Bases and errors of each network on test images of its own set.

    Image i of every set comes from the same white noise, so that only the regularity differs.

    Args:
      runs: run name -> Run, on C^alpha images.
      key: random key of the noise.
      sigma: noise level, image units.
      num_bases: images whose whole Jacobian is decomposed, the first of the `num_images`.
      num_images: test images of the error.
      progress: shows the state and asks for stops.

    Returns:
      Arrays named "RUN/quantity" that `check` and `draw` need.
    """
    arrays: dict[str, Any] = {"runs": np.array(list(runs))}
    curve = jax.jit(functools.partial(performance.psnr_curve, sigmas=jnp.array([sigma]), chunk=32))
    for name, run in runs.items():
        clean = run.images("test", num_images)
        found = local_bases(
            run.denoiser,
            key,
            clean[:num_bases],
            sigma,
            progress,
            note=f"{name}: bases",
            measure=_localisation,
        )
        found["alpha"] = run.data["alpha"]
        found["psnr"] = curve(run.denoiser, key, clean).psnr[:, 0]
        arrays |= {f"{name}/{quantity}": value for quantity, value in found.items()}
    return {quantity: np.asarray(value) for quantity, value in arrays.items()}


def _localisation(eigen: jacobian.Eigenbasis, clean: Array) -> dict[str, Array]:
    """Where the vectors that are kept have their energy."""
    kept = eigen.vectors[: max(int(jnp.sum(eigen.shrinkage > 0.5)), 1)]
    return localisation(kept, clean, jax.random.key(0))


def check(
    arrays: Mapping[str, np.ndarray],
    *,
    preserved_energy: float | None = None,
    psnr_rise: float | None = None,
    dimension_ratio: float | None = None,
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
        get = {quantity: arrays[f"{name}/{quantity}"] for quantity in ("psnr", "oracle", "preserved", "trace")}
        sigma, pixels = float(arrays[f"{name}/sigma"]), arrays[f"{name}/clean"].size
        error = np.mean(10 ** (-get["psnr"] / 10)) * pixels / sigma**2
        above, below, verdicts = "-", "-", [(), ()]
        if before is not None:
            rise = (get["psnr"] - arrays[f"{before}/psnr"]).mean()
            ratio = get["oracle"].mean() / arrays[f"{before}/oracle"].mean()
            above, below = f"above {before}", f"below {before}"
            verdicts = [at_least(rise, psnr_rise, of=f" {above}"), at_most(ratio, dimension_ratio, of=f" of {before}")]
        checks += [
            Check(f"{name}: output PSNR, dB", above, spread(get["psnr"]), *verdicts[0]),
            Check(f"{name}: oracle dimension of x in the basis", below, spread(get["oracle"], digits=1), *verdicts[1]),
            Check(
                f"{name}: share of |x|^2 above 1/2",
                "1",
                spread(get["preserved"], digits=3),
                *at_least(get["preserved"].mean(), preserved_energy),
            ),
            Check(f"{name}: tr J", f"error / sigma^2 = {error:.1f}, exact MMSE", spread(get["trace"], digits=1)),
            Check(
                f"{name}: energy of the vectors above 1/2 on contours",
                f"{arrays[f'{name}/contour_control'].mean():.2f} shifted contours",
                spread(arrays[f"{name}/contour"]),
            ),
            Check(
                f"{name}: participation ratio of these vectors",
                "0.67 a wave, 0.33 noise",
                spread(arrays[f"{name}/participation"]),
            ),
            *basis_checks(arrays, name),
        ]
    return checks


def draw(arrays: Mapping[str, np.ndarray], *, title: str = ""):
    """Figure: image and leading eigenvectors of each network, decays, and output PSNR against the exponent."""
    names = [str(name) for name in arrays["runs"]]
    labels = {name: rf"$\alpha$ = {float(arrays[f'{name}/alpha']):g}" for name in names}

    def draw_third(axes) -> None:
        for name, colour in zip(names, COLOURS * len(names), strict=False):
            values = arrays[f"{name}/psnr"]
            error = values.std(ddof=1) / np.sqrt(len(values))
            axes.errorbar(float(arrays[f"{name}/alpha"]), values.mean(), error, fmt="o", ms=4, color=colour, capsize=2)
        axes.set(xlabel=r"contour exponent $\alpha$", ylabel="output PSNR (dB)", title="Denoising, test images")
        axes.margins(0.15)

    return draw_bases(arrays, labels, draw_third, title=title)
