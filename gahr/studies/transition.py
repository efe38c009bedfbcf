"""From memorization to generalization, seen in denoising performance: training and test PSNR against the set size.

Kadkhodaie et al. (2024), arXiv:2310.02557, figures 1, 9 and 15: with few images the training PSNR rises with slope 1
and the test PSNR is flat; with many both are the same. A network that memorizes perfectly is the posterior mean of
its N images, drawn beside it, and needs no samples to be told from one that agrees with its twin.
"""

import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gahr import metrics
from gahr.analysis import generalization, performance
from gahr.analysis.transition import Interval
from gahr.classical.analytic import points
from gahr.denoiser import at, blind
from gahr.types import Progress
from gahr.studies.common import COLOURS, STYLE, Check, Run, at_least, at_most, check_counts
from gahr.studies.shared.families import (
    draw_against_size,
    draw_legend,
    families,
    heading,
    label,
    over_values,
    repeats,
    without_interval,
    written,
)
from gahr.types import Array, Denoiser, Key

_CHUNK = 8  # images denoised at a time, each at all levels
_SHOWN_DB = 20.0  # input PSNR at which distances are drawn


def validate(analysis: Mapping[str, Any], marks: Mapping[str, Any]) -> None:
    """ValueError unless the options of `analyze` can be used."""
    del marks
    check_counts(analysis, num_images=2, num_levels=3)


def analyze(
    runs: Mapping[str, Run],
    key: Key,
    *,
    num_images: int = 64,
    lowest_db: float = 0.0,
    highest_db: float = 42.0,
    num_levels: int = 15,
    progress: Progress,
) -> dict[str, np.ndarray]:
    """PSNR curves of networks and of the exact denoisers of their training images, and distances between them.

    Args:
      runs: "VARIANT_nN_SUBSET" -> Run, both subsets of each N.
      key: random key of the noise.
      num_images: test images, and training images; fewer of these are repeated, each time with other noise.
      lowest_db, highest_db, num_levels: input PSNRs, dB, equally spaced.
      progress: shows the state and asks for stops.

    Returns:
      Arrays named "VARIANT/quantity": set_sizes (K,); train, test, empirical_train, empirical_test and unseen, that of
      the twin on the training images, which it has not seen (K, 2, n, S), in dB; to_empirical and to_twin (K, S, 2):
      mean squared distance per pixel on test images and its error.
    """
    levels = np.linspace(lowest_db, highest_db, num_levels)
    sigmas = metrics.sigma_of_input_psnr(levels)
    variants = families(runs)
    arrays: dict[str, Any] = {"input_psnr": levels, "variants": np.array(list(variants))}
    network = jax.jit(functools.partial(performance.psnr_curve, sigmas=sigmas, chunk=_CHUNK))
    done = 0
    for variant, pairs in variants.items():
        rows = []
        for pair in pairs.values():
            progress.check()
            rows.append(_measure(pair, network, key, sigmas, num_images))
            done += 2
            progress.update("PSNR curves", done, len(runs))
        arrays[f"{variant}/set_sizes"] = np.array(list(pairs))
        arrays |= {f"{variant}/{name}": jnp.stack([row[name] for row in rows]) for name in rows[0]}
    return {quantity: np.asarray(value) for quantity, value in arrays.items()}


def _measure(pair: tuple[Run, Run], network: Any, key: Key, sigmas: Array, num_images: int) -> dict[str, Array]:
    """One row of the arrays of `analyze`."""
    test = pair[0].images("test", num_images)
    exact = [_exact(run) for run in pair]
    curves = []
    for run, twin, empirical in zip(pair, pair[::-1], exact, strict=True):
        own = run.images(run.data["subset"], num_images)
        train = own[jnp.arange(num_images) % len(own)]
        curves.append(
            {
                "train": network(run.denoiser, key, train).psnr,
                "unseen": network(twin.denoiser, key, train).psnr,
                "test": network(run.denoiser, key, test).psnr,
                "empirical_train": _curve(empirical, key, train, sigmas),
                "empirical_test": _curve(empirical, key, test, sigmas),
            }
        )
    row = {name: jnp.stack([curve[name] for curve in curves]) for name in curves[0]}
    found = _distances(*(run.denoiser for run in pair), exact[0], key, test, sigmas)
    return row | {name: distance.mse for name, distance in found.items()}


def _exact(run: Run) -> Any:
    """What a network that memorizes perfectly computes."""
    return points(run.images(run.data["subset"], run.data["set_size"]))


@jax.jit
def _curve(noise_denoiser: Any, key: Key, images: Array, sigmas: Array) -> Array:
    return performance.psnr_curve(at(noise_denoiser, sigmas), key, images, sigmas=sigmas, chunk=len(images)).psnr


@jax.jit
def _distances(
    denoiser: Denoiser, twin: Denoiser, exact: Any, key: Key, clean: Array, sigmas: Array
) -> dict[str, generalization.Distance]:
    others = {"to_empirical": exact, "to_twin": blind(twin)}
    return generalization.distances(blind(denoiser), others, key, clean, sigmas=sigmas)


def gaps(arrays: Mapping[str, np.ndarray], variant: str) -> np.ndarray:
    """PSNR of the networks less that of their twins on the networks' training images (K, S), dB, mean over both.

    To the twin these are test images. That they are the same images for both cancels which images are harder; between
    training and other images that alone is some tenths of a dB.
    """
    return (arrays[f"{variant}/train"] - arrays[f"{variant}/unseen"]).mean((1, 2))


def mean_gap(arrays: Mapping[str, np.ndarray], variant: str) -> np.ndarray:
    """The gap averaged over sigma uniform between the levels' ends (K,), as the publication's figure 15."""
    sigma = np.asarray(metrics.sigma_of_input_psnr(arrays["input_psnr"]))
    return np.trapezoid(gaps(arrays, variant), sigma, axis=1) / (sigma[-1] - sigma[0])


def check(
    arrays: Mapping[str, np.ndarray],
    *,
    slope_at_one: tuple[float, float] | None = None,
    gap_at_largest: float | None = None,
    gain_at_largest: float | None = None,
) -> list[Check]:
    """Theory beside measurement; of repeats the mean, which is held to the marks, and the range.

    Args:
      arrays: from `analyze`.
      slope_at_one: marks for the slope of the training PSNR at N = 1, 5 to 30 dB of input.
      gap_at_largest: mark for the largest |training - test| PSNR at the largest N, dB.
      gain_at_largest: mark for the test PSNR there above that of the noisy image, 20 dB: what does nothing has no gap.

    Returns:
      List of Check; a mark of None makes the line a report without verdict.
    """
    levels, checks = arrays["input_psnr"], []
    inside = performance.levels_between(levels, (5, 30))
    for kind, variants in repeats(arrays).items():
        sizes, title = arrays[f"{variants[0]}/set_sizes"], heading(kind, variants)
        if sizes[0] == 1 and inside.sum() > 1:
            curves = [arrays[f"{variant}/train"][0].reshape(-1, len(levels)) for variant in variants]
            slopes = [performance.psnr_slope(levels, each, between=(5, 30)).slope for each in curves]
            slope = over_values(slopes)  # one image each: no error over images
            verdict: tuple = ()
            if slope_at_one is not None:
                low, high = slope_at_one
                verdict = (f"{low:g} to {high:g}", bool(low <= slope.value <= high))
            name = f"{title}: slope of training PSNR at N = 1, 5-30 dB"
            checks.append(Check(name, "1 or more", written(slope), *verdict))
        gap = np.stack([gaps(arrays, variant) for variant in variants])  # (R, K, S)
        mean = np.stack([mean_gap(arrays, variant) for variant in variants])
        for k, number in enumerate(sizes):
            largest = np.abs(gap[:, k]).max(-1)
            verdict = at_most(largest.mean(), gap_at_largest) if k == len(sizes) - 1 else ()
            text = _over(([np.interp(30, levels, row) for row in gap[:, k]], mean[:, k], largest), ".2f")
            name = f"{title}: own less twin's PSNR on training images, 30 dB, mean, largest, N = {number}, dB"
            checks.append(Check(name, "falls to 0", text, *verdict))
        apart = [
            np.abs((arrays[f"{variant}/train"][-1] - arrays[f"{variant}/test"][-1]).mean((0, 1))).max()
            for variant in variants
        ]
        name = f"{title}: training less test PSNR, largest, N = {sizes[-1]}, dB"
        checks.append(Check(name, "0 but for which images are harder", _over([apart], ".2f")))
        test = [arrays[f"{variant}/test"][-1].mean((0, 1)) for variant in variants]
        gain = [np.interp(_SHOWN_DB, levels, curve - levels) for curve in test]
        name = f"{title}: test PSNR above the noisy image, {_SHOWN_DB:g} dB, N = {sizes[-1]}, dB"
        checks.append(Check(name, "above 0", _over([gain], ".2f"), *at_least(np.mean(gain), gain_at_largest)))
        apart = [[_rms(arrays, variant, name) for variant in variants] for name in ("to_empirical", "to_twin")]
        for k, number in enumerate(sizes):
            text = _over([[row[k] for row in rows] for rows in apart], ".4f")
            name = f"{title}: rms distance to exact denoiser, to twin, {_SHOWN_DB:g} dB, N = {number}"
            checks.append(Check(name, "memorizing: 0, large; generalizing: large, 0", text))
    return checks


def _rms(arrays: Mapping[str, np.ndarray], variant: str, name: str) -> np.ndarray:
    """Distance per pixel on test images, image units, (K,)."""
    levels = arrays["input_psnr"]
    return np.sqrt([np.interp(_SHOWN_DB, levels, row[:, 0]) for row in arrays[f"{variant}/{name}"]])


def _over(quantities: Iterable[Sequence[float]], digits: str) -> str:
    """Each quantity over the repeats, in words."""
    return ", ".join(written(over_values(values), digits=digits) for values in quantities)


def draw(arrays: Mapping[str, np.ndarray], *, title: str = ""):
    """Figure: training and test PSNR for each N, gap and distances against N; of repeats the mean and range."""
    import matplotlib.pyplot as plt

    kinds = repeats(arrays)
    shown, variants = list(kinds.items())[-1]
    with plt.rc_context(STYLE):
        figure = plt.figure(figsize=(7.0, 6.2), layout="constrained")
        words = [title, f"curves: {label(shown)}" if len(kinds) > 1 else ""]
        words += [f"mean, range of {len(variants)}" if len(variants) > 1 else ""]
        figure.suptitle("; ".join(filter(None, words)))
        above, below = figure.subfigures(2, 1, height_ratios=(1, 1.1))
        _draw_curves(above, arrays, variants)
        _draw_against_size(below, arrays)
    return figure


def _draw_curves(figure, arrays: Mapping[str, np.ndarray], variants: Sequence[str]) -> None:
    import matplotlib.pyplot as plt

    levels, sizes = arrays["input_psnr"], arrays[f"{variants[0]}/set_sizes"]
    colours = plt.colormaps["viridis_r"](np.linspace(0.08, 1, len(sizes)))  # in order also in grey print
    panels = figure.subplots(1, 2)
    for axes, name in zip(panels, ("train", "test"), strict=True):
        found = over_values([arrays[f"{variant}/{name}"].mean((1, 2)) for variant in variants])
        exact = np.mean([arrays[f"{variant}/empirical_{name}"].mean((1, 2)) for variant in variants], 0)
        for k, (number, colour) in enumerate(zip(sizes, colours, strict=True)):
            axes.plot(levels, found.value[k], color=colour, label=f"N = {number:,}")
            axes.fill_between(levels, found.low[k], found.high[k], color=colour, alpha=0.2, lw=0)
            axes.plot(levels, exact[k], ":", color=colour, lw=1)
        axes.plot(levels, levels, color="grey", lw=0.8, label="noisy image")
        axes.plot([], [], ":", color="grey", lw=1, label="exact denoiser\nof the N images")
        # the exact denoiser knows few images without error
        axes.set_ylim(0, found.value.max() + (5 if name == "train" else 3))
        axes.set(xlabel="input PSNR (dB)", ylabel="output PSNR (dB)")
        axes.set_title("Training images" if name == "train" else "Test images")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside center right")


def _draw_against_size(figure, arrays: Mapping[str, np.ndarray]) -> None:
    gap, distance = figure.subplots(1, 2)
    ends = np.sort(np.asarray(metrics.sigma_of_input_psnr(arrays["input_psnr"])))[[0, -1]]
    gap.set_yscale("symlog", linthresh=0.1)
    draw_against_size(gap, arrays, lambda variant: without_interval(mean_gap(arrays, variant)), colour="black")
    gap.axhline(0, color="grey", lw=0.6)
    gap.set(
        ylabel="own - twin's PSNR, training images (dB)",
        title=rf"Gap, mean over $\sigma$ from {ends[0]:.2g} to {ends[1]:.2g}",
    )
    colours = {"distance to exact denoiser of the N images": COLOURS[1], "distance to twin": COLOURS[0]}
    for name, colour in zip(("to_empirical", "to_twin"), colours.values(), strict=True):

        def rms(variant: str, name: str = name) -> Interval:
            return without_interval(_rms(arrays, variant, name))

        draw_against_size(distance, arrays, rms, colour=colour)
    distance.set(yscale="log", ylabel="rms distance per pixel", title=f"Distance on test images, {_SHOWN_DB:g} dB")
    draw_legend(figure, arrays, colours)
