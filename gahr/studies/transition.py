"""From memorization to generalization, seen in denoising performance: training and test PSNR against the set size.

Kadkhodaie et al. (2024), arXiv:2310.02557, figures 1, 9 and 15: with few images the training PSNR rises with slope 1
and the test PSNR is flat; with many both are the same. A network that memorizes perfectly is the posterior mean of
its N images, drawn beside it, and needs no samples to be told from one that agrees with its twin.
"""

import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gahr import metrics
from gahr.analysis import generalization, performance
from gahr.classical.analytic import points
from gahr.denoiser import at, blind
from gahr.progress import Progress
from gahr.studies.common import COLOURS, STYLE, Check, Run, at_least, at_most, check_counts
from gahr.studies.families import draw_against_size, families, label
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
    """Training less test PSNR (K, S), dB, mean over images and subsets.

    The test PSNR is that of the twin on the same images: which images are harder cancels.
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
    """Theory beside measurement.

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
    for variant in arrays["variants"]:
        get = {name: arrays[f"{variant}/{name}"] for name in ("set_sizes", "train")}
        if get["set_sizes"][0] == 1 and inside.sum() > 1:
            curves = get["train"][0].reshape(-1, len(levels))
            slope = performance.psnr_slope(levels, curves, between=(5, 30))
            verdict: tuple = ()
            if slope_at_one is not None:
                low, high = slope_at_one
                verdict = (f"{low:g} to {high:g}", bool(low <= slope.slope <= high))
            text = f"{slope.slope:.3f} +- {slope.standard_error:.3f}"
            checks.append(Check(f"{variant}: slope of training PSNR at N = 1, 5-30 dB", "1 or more", text, *verdict))
        gap, mean = gaps(arrays, variant), mean_gap(arrays, variant)
        for k, number in enumerate(get["set_sizes"]):
            largest = np.abs(gap[k]).max()
            verdict = at_most(largest, gap_at_largest) if k == len(gap) - 1 else ()
            text = f"{np.interp(30, levels, gap[k]):.2f}, {mean[k]:.2f}, {largest:.2f}"
            name = f"{variant}: gap at 30 dB, mean, largest, N = {number}, dB"
            checks.append(Check(name, "falls to 0", text, *verdict))
        gain = np.interp(_SHOWN_DB, levels, arrays[f"{variant}/test"][-1].mean((0, 1)) - levels)
        name = f"{variant}: test PSNR above the noisy image, {_SHOWN_DB:g} dB, N = {get['set_sizes'][-1]}, dB"
        checks.append(Check(name, "above 0", f"{gain:.2f}", *at_least(gain, gain_at_largest)))
        for k, number in enumerate(get["set_sizes"]):
            apart = (arrays[f"{variant}/{name}"][k, :, 0] for name in ("to_empirical", "to_twin"))
            text = ", ".join(f"{np.sqrt(np.interp(_SHOWN_DB, levels, values)):.4f}" for values in apart)
            name = f"{variant}: rms distance to exact denoiser, to twin, {_SHOWN_DB:g} dB, N = {number}"
            checks.append(Check(name, "memorizing: 0, large; generalizing: large, 0", text))
    return checks


def draw(arrays: Mapping[str, np.ndarray], *, title: str = ""):
    """Figure: training and test PSNR for each N, the gap and the distances against N."""
    import matplotlib.pyplot as plt

    shown, levels = str(arrays["variants"][-1]), arrays["input_psnr"]
    sizes = arrays[f"{shown}/set_sizes"]
    with plt.rc_context(STYLE):
        figure, ((train, test), (gap, distance)) = plt.subplots(2, 2, figsize=(7.0, 5.8), layout="constrained")
        figure.suptitle(f"{title}; curves: {label(shown)}" if len(arrays["variants"]) > 1 else title)
        for axes, name in ((train, "train"), (test, "test")):
            colours = plt.colormaps["viridis_r"](np.linspace(0.08, 1, len(sizes)))  # in order also in grey print
            for k, (number, colour) in enumerate(zip(sizes, colours, strict=True)):
                axes.plot(levels, arrays[f"{shown}/{name}"][k].mean((0, 1)), color=colour, label=f"N = {number:,}")
                exact = arrays[f"{shown}/empirical_{name}"][k].mean((0, 1))
                axes.plot(levels, exact, ":", color=colour, lw=1)
            axes.plot(levels, levels, color="grey", lw=0.8, label="noisy image")
            axes.plot([], [], ":", color="grey", lw=1, label="exact denoiser\nof the N images")
            axes.set(xlabel="input PSNR (dB)", ylabel="output PSNR (dB)")
            axes.set_title("Training images" if name == "train" else "Test images")
        top = arrays[f"{shown}/train"].mean((1, 2)).max() + 5  # the exact denoiser knows few images without error
        train.set_ylim(0, top)
        test.set_ylim(0, np.max(arrays[f"{shown}/test"].mean((1, 2))) + 3)
        train.legend(fontsize=6)
        ends = np.sort(np.asarray(metrics.sigma_of_input_psnr(levels)))[[0, -1]]
        draw_against_size(gap, arrays, lambda variant: mean_gap(arrays, variant))
        gap.axhline(0, color="grey", lw=0.6)
        gap.set_yscale("symlog", linthresh=0.1)
        gap.set(
            ylabel="training - test PSNR (dB)", title=rf"Gap, mean over $\sigma$ from {ends[0]:.2g} to {ends[1]:.2g}"
        )
        for name, style, words, colour in (
            ("to_empirical", "s--", "to exact denoiser of the N images", COLOURS[1]),
            ("to_twin", "o-", "to twin", COLOURS[0]),
        ):

            def root(variant: str, name: str = name) -> np.ndarray:
                return np.sqrt([np.interp(_SHOWN_DB, levels, row[:, 0]) for row in arrays[f"{variant}/{name}"]])

            draw_against_size(distance, arrays, root, style=style, name=words, colour=colour)
        distance.set(yscale="log", ylabel="rms distance per pixel", title=f"Distance on test images, {_SHOWN_DB:g} dB")
    return figure
