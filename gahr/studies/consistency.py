"""A consistency model beside the flow that it replaces: does one step go where the probability-flow ODE ends?

Song et al. (2023), arXiv:2303.01469. The network "student" is compared, from one and the same noise, with the solution
of the ODE of the denoiser "teacher", and with what needs no learning of the flow: one step of denoising, and the exact
consistency function of Gaussian images, which is linear.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gahr import metrics
from gahr.classical.analytic import fit_gaussian
from gahr.classical.flows import gaussian_flow
from gahr.names import require
from gahr.sampling import driver, heun, schedules
from gahr.sampling.sampler import normal
from gahr.studies.shared.images import draw_image
from gahr.studies.shared.measures import counter, denoise
from gahr.studies.shared.options import require_least, runs_named
from gahr.studies.shared.study import Arrays, AtLeast, AtMost, Check, Limit, Runs, Study
from gahr.studies.shared.style import COLOURS, STYLE
from gahr.types import Key, Progress, Sharding

_SHOWN = 8  # samples drawn
_LABELS = {
    "student": "consistency model",
    "teacher": "one step of denoising",
    "linear": "linear flow of Gaussian images",
    "untrained": "consistency model, untrained",
}


def analyze(
    *,
    num_samples: int = 64,
    sigma_max: float = 20.0,
    sigma_min: float = 0.002,
    middle: float = 0.4,
    num_levels: int = 40,
    num_fit: int = 10_000,
) -> Callable:
    """Where the trajectories of the teacher end, and where one step from each of their points leads.

    Args:
      num_samples: trajectories, each from N(m, C + sigma_max^2 I) with the mean and covariance of training images.
      sigma_max, sigma_min: first and last noise level, image units; sigma_min as in the network's section.
      middle: level from which the second of two steps goes.
      num_levels: points of a trajectory, by Heun's method.
      num_fit: training images of mean and covariance, at most.

    Returns:
      Function (runs "teacher" and "student", key, *, progress, sharding=None) -> arrays: sigmas (L,); of each of
      student, teacher, linear and untrained "WHO/cosine" and "WHO/psnr" (L, N), the agreement of its step from the
      trajectory's points with its end; "two/..." (N,) of two steps; shuffled (N,); images to draw.

    Raises:
      ValueError: an option that cannot be used.
    """
    require_least(num_samples=(num_samples, 2), num_levels=(num_levels, 3), num_fit=(num_fit, 2))
    levels = schedules.karras(sigma_max=sigma_max, sigma_min=sigma_min, num_levels=num_levels, zero=False)
    require(sigma_min < middle < sigma_max, "middle", middle, f"between {sigma_min:g} and {sigma_max:g}")

    def analysis(runs: Runs, key: Key, *, progress: Progress, sharding: Sharding | None = None) -> Arrays:
        student, teacher = runs_named(runs, "student", "teacher")
        law = fit_gaussian(teacher.images(teacher.subset, num_fit))
        mean, eigenvalues, basis = law
        start = dict(mean=mean, factor=jnp.sqrt(eigenvalues)[:, None, None, None] * basis)
        shape, how = (num_samples, *mean.shape), dict(sharding=sharding, progress=progress)
        solver = heun.sampler(sigmas=levels, **start)
        end, trace = driver.sample(solver, teacher.noise_denoiser, key, shape, frame_every=1, note="ODE", **how)
        points = trace.frames  # (L, N, H, W, C)
        steps = {
            "student": student.noise_denoiser,
            "teacher": teacher.noise_denoiser,
            "linear": gaussian_flow(*law, sigma_min=sigma_min),
            "untrained": student.initial,
        }
        arrays: dict[str, Any] = {"sigmas": levels, "end": end[:_SHOWN], "diverged": trace.diverged}
        advance = counter(progress, len(steps) * num_levels)
        for who, step in steps.items():
            if step is None:
                continue
            found = []
            for level, images in zip(levels, points, strict=True):
                found.append(denoise(step, images, level))
                advance(_LABELS[who])
            arrays[f"{who}/images"] = found[0][:_SHOWN]
            for quantity, measure in (("cosine", metrics.cosine_similarity), ("psnr", metrics.psnr)):
                arrays[f"{who}/{quantity}"] = jnp.stack([measure(end, images) for images in found])
        one, draws = denoise(student.noise_denoiser, points[0], levels[0]), jax.random.fold_in(key, 2**32 - 1)
        fresh = normal(jax.random.split(draws, num_samples), shape[1:])
        two = denoise(student.noise_denoiser, one + jnp.sqrt(middle**2 - sigma_min**2) * fresh, jnp.float32(middle))
        arrays |= {"two/images": two[:_SHOWN], "two/cosine": metrics.cosine_similarity(one, two)}
        arrays["shuffled"] = metrics.cosine_similarity(end, jnp.roll(one, 1, 0))
        arrays["boundary"] = jnp.abs(denoise(student.noise_denoiser, points[-1], levels[-1]) - points[-1]).max()
        return {quantity: np.asarray(value) for quantity, value in arrays.items()}

    return analysis


def check(arrays: Arrays, *, agreement: Limit = None, agreement_db: Limit = None) -> list[Check]:
    """Theory beside measurement.

    Args:
      arrays: from `analyze`.
      agreement: mark for the median cosine similarity, less the means, of one step and the end of the ODE.
      agreement_db: mark for the median PSNR of one step against that end, dB.

    Returns:
      List of Check; a mark of None makes the line a report without verdict.
    """
    nulls = [who for who in ("teacher", "linear", "untrained") if f"{who}/cosine" in arrays]
    of = lambda who, quantity, level=0: float(np.median(arrays[f"{who}/{quantity}"][level]))
    shuffled = float(np.median(arrays["shuffled"]))
    checks = [
        Check(
            f"one step from sigma = {arrays['sigmas'][0]:g} and the end of the ODE: {words}",
            theory,
            of("student", quantity),
            AtLeast(mark),
            nulls={who: of(who, quantity) for who in nulls},
        )
        for quantity, words, theory, mark in (
            ("cosine", "cosine similarity", {"exact": 1, "other samples": shuffled}, agreement),
            ("psnr", "PSNR, dB", None, agreement_db),
        )
    ]
    worst = int(np.argmin(np.median(arrays["student/cosine"], 1)))
    sigma, diverged = float(arrays["sigmas"][worst]), int(arrays["diverged"].sum())
    return [
        *checks,
        Check(f"least agreement along trajectories, at sigma = {sigma:.3g}", 1, of("student", "cosine", worst)),
        Check("similarity of one step and two", "1 where the first is right", float(np.median(arrays["two/cosine"]))),
        Check("largest |f(y, sigma_min) - y|", 0, float(arrays["boundary"]), AtMost(1e-6)),
        Check("trajectories that diverged", 0, diverged, AtMost(0)),
    ]


def draw(arrays: Arrays, *, title: str = ""):
    """Figure: samples from the same noise, and agreement with the end of the trajectory against the noise level."""
    import matplotlib.pyplot as plt

    rows = {"ODE, Heun": arrays["end"], "one step": arrays["student/images"], "two steps": arrays["two/images"]}
    rows |= {"denoised": arrays["teacher/images"], "linear flow": arrays["linear/images"]}
    with plt.rc_context(STYLE):
        figure = plt.figure(figsize=(7.0, 6.4), layout="constrained")
        figure.suptitle(title)
        above, below = figure.subfigures(2, 1, height_ratios=(1.25, 1))
        panels = above.subplots(len(rows), len(arrays["end"]), squeeze=False)
        for row, (label, images) in zip(panels, rows.items(), strict=True):
            for axes, image in zip(row, images, strict=True):
                draw_image(axes, image, "")
            row[0].set_ylabel(label, rotation=0, ha="right", va="center")
        for axes, (quantity, words) in zip(
            below.subplots(1, 2), {"cosine": "cosine similarity", "psnr": "PSNR (dB)"}.items(), strict=True
        ):
            for (who, label), colour in zip(_LABELS.items(), (*COLOURS[:2], "0.5", "0.5"), strict=True):
                if f"{who}/{quantity}" in arrays:
                    low, middle, high = np.nanquantile(arrays[f"{who}/{quantity}"][:-1], (0.25, 0.5, 0.75), axis=1)
                    look = {"linear": ":", "untrained": "--"}.get(who, "-")
                    axes.plot(arrays["sigmas"][:-1], middle, look, color=colour, label=label)
                    axes.fill_between(arrays["sigmas"][:-1], low, high, color=colour, alpha=0.15, lw=0)
            axes.set(xscale="log", xlabel=r"noise level $\sigma$ of the point", ylabel=f"{words} to the end of the ODE")
        axes.legend()
    return figure


STUDY = Study(analyze, check, draw)
