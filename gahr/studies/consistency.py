"""A consistency model beside the flow that it replaces: does one step go where the probability-flow ODE ends?

Song et al. (2023), arXiv:2303.01469. The network "student" is compared, from one and the same noise, with the solution
of the ODE of the denoiser "teacher", and with what needs no learning of the flow: one step of denoising, and the exact
consistency function of Gaussian images, which is linear and makes Gaussian samples of the images' moments.
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
from gahr.sampling import blind, driver, heun, schedules
from gahr.sampling.sampler import normal
from gahr.sampling.start import factor_of
from gahr.studies.shared.images import draw_image
from gahr.studies.shared.measures import counter, denoise
from gahr.studies.shared.options import require_least, runs_named
from gahr.studies.shared.sample_sets import describe_sets, nearest, reference
from gahr.studies.shared.study import Arrays, AtLeast, AtMost, Check, Limit, Runs, Study
from gahr.studies.shared.style import COLOURS, STYLE, draw_ticks
from gahr.types import Key, Progress, Sharding

_SHOWN = 8  # samples drawn
_STOP = 0.01  # noise level at which the blind ascent ends
HELD_OUT, GAUSSIAN, ONE, TWO = "held-out images", "linear flow", "one step", "two steps"
HEUN, DENOISED, BLIND, NEAREST = "ODE, Heun", "denoised", "blind ascent", "nearest images"
_LABELS = {
    "student": "consistency model",
    "teacher": "one step of denoising",
    "linear": "linear flow of Gaussian images",
    "untrained": "consistency model, untrained",
}


def analyze(
    *,
    num_samples: int = 256,
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
      num_fit: training images of mean and covariance, which samples are compared with, at most.

    Returns:
      Function (runs "teacher" and "student", key, *, progress, sharding=None) -> arrays: sigmas (L,); of each of
      student, teacher, linear and untrained "WHO/cosine" and "WHO/psnr" (L, N), the agreement of its step from the
      trajectory's points with its end, and "WHO/spread" (N,), the root mean square departure of where they lead from
      its mean over the trajectory, image units; two (N,), the similarity of one step and two; shuffled (N,); of sets of
      samples, also those of the blind ascent where the teacher is blind, `sample_sets.describe_sets`.

    Raises:
      ValueError: an option that cannot be used.
    """
    require_least(num_samples=(num_samples, 2), num_levels=(num_levels, 3), num_fit=(num_fit, 2))
    levels = schedules.karras(sigma_max=sigma_max, sigma_min=sigma_min, num_levels=num_levels, zero=False)
    require(sigma_min < middle < sigma_max, "middle", middle, f"between {sigma_min:g} and {sigma_max:g}")

    def analysis(runs: Runs, key: Key, *, progress: Progress, sharding: Sharding | None = None) -> Arrays:
        student, teacher = runs_named(runs, "student", "teacher")
        training = teacher.images(teacher.subset, num_fit)
        law = fit_gaussian(training)
        mean, eigenvalues, basis = law
        start = dict(mean=mean, factor=factor_of(eigenvalues, basis))
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
        arrays: dict[str, Any] = {"sigmas": levels, "diverged": trace.diverged}
        advance, first = counter(progress, len(steps) * num_levels), {}
        for who, step in steps.items():
            if step is None:
                continue
            found = []
            for level, images in zip(levels, points, strict=True):
                found.append(denoise(step, images, level))
                advance(_LABELS[who])
            first[who] = found[0]
            for quantity, measure in (("cosine", metrics.cosine_similarity), ("psnr", metrics.psnr)):
                arrays[f"{who}/{quantity}"] = jnp.stack([measure(end, images) for images in found])
            arrays[f"{who}/spread"] = jnp.sqrt(jnp.var(jnp.stack(found), 0).mean((1, 2, 3)))
        one, draws = first["student"], jax.random.fold_in(key, 2**32 - 1)
        fresh = normal(jax.random.split(draws, num_samples), shape[1:])
        two = denoise(student.noise_denoiser, one + jnp.sqrt(middle**2 - sigma_min**2) * fresh, jnp.float32(middle))
        arrays["two"] = metrics.cosine_similarity(one, two)
        sets = {HEUN: end, ONE: one, TWO: two, DENOISED: first["teacher"], GAUSSIAN: first["linear"]}
        if teacher.denoiser is not None:
            ascent = blind.sampler(sigma_start=sigma_max, sigma_stop=_STOP, beta=0.5, growing=True, **start)
            sets[BLIND], trace = driver.sample(
                ascent, teacher.denoiser, key, shape, final_denoise=True, note=BLIND, **how
            )
            arrays["diverged"] |= trace.diverged
        sets[NEAREST] = training[nearest(one, training).index]
        sets[HELD_OUT] = teacher.images("test", num_samples)
        arrays |= describe_sets(sets, reference(training, basis), num_shown=_SHOWN)
        arrays["shuffled"] = metrics.cosine_similarity(end, jnp.roll(one, 1, 0))
        arrays["boundary"] = jnp.abs(denoise(student.noise_denoiser, points[-1], levels[-1]) - points[-1]).max()
        return {quantity: np.asarray(value) for quantity, value in arrays.items()}

    return analysis


def check(
    arrays: Arrays,
    *,
    agreement: Limit = None,
    agreement_db: Limit = None,
    lead_db: Limit = None,
    kurtosis_share: Limit = None,
    similarity_excess: Limit = None,
) -> list[Check]:
    """Theory beside measurement.

    Args:
      arrays: from `analyze`.
      agreement: mark for the median cosine similarity, less the means, of one step and the end of the ODE.
      agreement_db: mark for the median PSNR of one step against that end, dB.
      lead_db: mark for that PSNR above that of the linear flow of Gaussian images, dB.
      kurtosis_share: mark for the excess kurtosis of the differences of one-step samples over that of images that were
        not trained on; Gaussian samples have none.
      similarity_excess: mark for the median similarity of one-step samples to the nearest training image, above that of
        images that were not trained on.

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
    lead = lambda who: of(who, "psnr") - of("linear", "psnr")
    words = "the same above the linear flow of Gaussian images, dB"
    checks.append(Check(words, None, lead("student"), AtLeast(lead_db), {who: lead(who) for who in nulls}))
    worst = int(np.argmin(np.median(arrays["student/cosine"], 1)))
    sigma, diverged = float(arrays["sigmas"][worst]), int(arrays["diverged"].sum())
    sets = [str(name) for name in arrays["sets"]]
    others = [name for name in sets if name not in (ONE, NEAREST)]
    known = lambda name, quantity: float(arrays[f"sets/{name}/{quantity}"])
    share = lambda name: known(name, "kurtosis") / known(HELD_OUT, "kurtosis")
    excess = lambda name: known(name, "nearest") - known(HELD_OUT, "nearest")
    for quantity, words in (
        ("frechet", "Frechet distance of samples to training images, squared image units"),
        ("spectral", "error of their spectrum, dB"),
    ):
        values = {name: known(name, quantity) for name in (ONE, *others)}
        checks.append(Check(words, None, values))
    better = known(TWO, "frechet") / known(ONE, "frechet")
    return [
        *checks,
        Check("Frechet distance of two steps over that of one", "below 1 where the second mends", better),
        Check(
            "excess kurtosis of differences of one-step samples, over that of held-out images",
            {name: share(name) for name in (HEUN, TWO, BLIND) if name in sets},
            share(ONE),
            AtLeast(kurtosis_share),
            {GAUSSIAN: share(GAUSSIAN), DENOISED: share(DENOISED)},
        ),
        Check(
            "similarity of one-step samples to the nearest training image, above that of held-out images",
            {name: excess(name) for name in (HEUN, TWO, BLIND) if name in sets},
            excess(ONE),
            AtMost(similarity_excess),
            {NEAREST: excess(NEAREST)},
        ),
        Check(
            "spread of where the points of a trajectory lead, image units",
            {"exact": 0},
            float(np.median(arrays["student/spread"])),
            nulls={who: float(np.median(arrays[f"{who}/spread"])) for who in nulls},
        ),
        Check(f"least agreement along trajectories, at sigma = {sigma:.3g}", 1, of("student", "cosine", worst)),
        Check("similarity of one step and two", "1 where the first is right", float(np.median(arrays["two"]))),
        Check("largest |f(y, sigma_min) - y|", 0, float(arrays["boundary"]), AtMost(1e-6)),
        Check("trajectories that diverged", 0, diverged, AtMost(0)),
    ]


def draw(arrays: Arrays, *, title: str = ""):
    """Figure: samples from the same noise, and agreement with the end of the trajectory against the noise level."""
    import matplotlib.pyplot as plt

    rows = {str(name): arrays[f"sets/{name}/shown"] for name in arrays["sets"]}
    with plt.rc_context(STYLE):
        figure = plt.figure(figsize=(7.0, 8.6), layout="constrained")
        figure.suptitle(title)
        above, below = figure.subfigures(2, 1, height_ratios=(1.9, 1))
        panels = above.subplots(len(rows), len(rows[ONE]), squeeze=False)
        for row, (label, images) in zip(panels, rows.items(), strict=True):
            for axes, image in zip(row, images, strict=True):
                draw_image(axes, image, "")
            row[0].set_ylabel(label, rotation=0, ha="right", va="center")
        *agreements, power = below.subplots(1, 3)
        quantities = {"cosine": "cosine similarity", "psnr": "PSNR (dB)"}
        for axes, (quantity, words) in zip(agreements, quantities.items(), strict=True):
            for (who, label), colour in zip(_LABELS.items(), (*COLOURS[:2], "0.5", "0.5"), strict=True):
                if f"{who}/{quantity}" in arrays:
                    low, middle, high = np.nanquantile(arrays[f"{who}/{quantity}"][:-1], (0.25, 0.5, 0.75), axis=1)
                    look = {"linear": ":", "untrained": "--"}.get(who, "-")
                    axes.plot(arrays["sigmas"][:-1], middle, look, color=colour, label=label)
                    axes.fill_between(arrays["sigmas"][:-1], low, high, color=colour, alpha=0.15, lw=0)
            axes.set(xscale="log", xlabel=r"noise level $\sigma$ of the point", ylabel=f"{words} to the end of the ODE")
        known = agreements[0].get_legend_handles_labels()
        below.legend(*known, loc="outside lower center", ncols=len(known[1]), fontsize=6)
        looks = {HELD_OUT: "k-", HEUN: "-", ONE: "-", TWO: "--", GAUSSIAN: ":", BLIND: "-."}
        colours = {HEUN: COLOURS[1], ONE: COLOURS[0], TWO: COLOURS[0], GAUSSIAN: "0.5", BLIND: COLOURS[2]}
        for name, look in looks.items():
            if f"sets/{name}/power" in arrays:
                options = dict(label=name) | (dict(color=colours[name]) if name in colours else {})
                power.plot(arrays["frequency"], arrays[f"sets/{name}/power"], look, **options)
        power.set(xscale="log", yscale="log", xlabel="cycles per image", ylabel="power")
        draw_ticks(power.xaxis)
        power.legend(fontsize=5.5)
    return figure


STUDY = Study(analyze, check, draw)
