"""From memorization to generalization, seen in denoising performance: training and test PSNR against the set size.

Kadkhodaie et al. (2024), arXiv:2310.02557, figures 1, 9 and 15: with few images the training PSNR rises with slope 1
and the test PSNR is flat; with many both are the same. A network that memorizes perfectly is the posterior mean of
its N images, drawn beside it, and needs no samples to be told from one that agrees with its twin. So does the linear
denoiser fitted to the same N images, which has a transition of its own, and other nulls have no gap at all.
"""

import functools
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from gahr import metrics
from gahr.analysis import generalization, performance
from gahr.studies.shared import families
from gahr.studies.shared.measures import counter, curve_of_told, trained_levels
from gahr.studies.shared.nulls import null_denoisers
from gahr.studies.shared.options import input_levels, require_least
from gahr.studies.shared.study import Arrays, AtLeast, AtMost, Between, Check, Limit, Number, Run, Runs, Study
from gahr.studies.shared.style import COLOURS, NULLS, STYLE
from gahr.types import Array, Key, Progress, Sharding

_SHOWN_DB = 20.0  # input PSNR at which distances are drawn
_LINEAR = "0.6"  # grey of the linear denoisers, against the number of images


def analyze(
    *, num_images: int = 64, lowest_db: float = 0.0, highest_db: float = 42.0, num_levels: int = 15
) -> Callable:
    """PSNR curves of networks and of the exact denoisers of their training images, and distances between them.

    Args:
      num_images: test images, and training images; fewer of these are repeated, each time with other noise.
      lowest_db, highest_db, num_levels: input PSNRs, dB, equally spaced; those of less noise than the networks were
        trained with are left out.

    Returns:
      Function (runs with both subsets of each N, key, *, progress, sharding=None) -> those of `families` and arrays
      named "FAMILY/quantity": set_sizes (K,); train/WHO, test/WHO and unseen/WHO, that of the twin on the training
      images, which it has not seen (K, 2, n, S), in dB, of "network" and of nulls, "memorizer" and "linear" of the same
      images; to_memorizer/WHO and to_twin/WHO (K, S, 2): mean squared distance per pixel on test images and its error.

    Raises:
      ValueError: an option that cannot be used.
    """
    require_least(num_images=(num_images, 2), num_levels=(num_levels, 3))
    asked = input_levels(lowest_db, highest_db, num_levels)

    def analysis(runs: Runs, key: Key, *, progress: Progress, sharding: Sharding | None = None) -> Arrays:
        found, arrays = families.families(runs)
        levels = arrays["input_psnr"] = trained_levels(runs, asked)
        advance = counter(progress, len(runs) // 2)
        for family, pairs in found.items():
            rows = []
            for number, pair in pairs.items():
                rows.append(_measure(pair, key, metrics.sigma_of_input_psnr(levels), num_images, sharding))
                advance(f"{family}, N = {number:,}")
            arrays |= families.family_arrays(family, list(pairs), rows)
        return {quantity: np.asarray(value) for quantity, value in arrays.items()}

    return analysis


def _measure(
    pair: tuple[Run, Run], key: Key, sigmas: Array, num_images: int, sharding: Sharding | None
) -> dict[str, Array]:
    """One row of the arrays of `analyze`."""
    curve = functools.partial(curve_of_told, key=key, sigmas=sigmas, sharding=sharding)
    test = pair[0].images("test", num_images)
    own = [run.images(run.subset, num_images) for run in pair]
    train = [images[jnp.arange(num_images) % len(images)] for images in own]
    nulls = [null_denoisers(run, memorized=run.set_size) for run in pair]
    found = {}
    for who in ("network", *nulls[0]):
        both = [run.noise_denoiser if who == "network" else null[who] for run, null in zip(pair, nulls, strict=True)]
        of_subsets = {"train": (both, train), "unseen": (both[::-1], train), "test": (both, [test] * 2)}
        for subset, (denoisers, images) in of_subsets.items():
            curves = [curve(one, clean=clean) for one, clean in zip(denoisers, images, strict=True)]
            found[f"{subset}/{who}"] = jnp.stack(curves)
        if who in ("network", "linear"):
            others = {"to_memorizer": nulls[0]["memorizer"], "to_twin": both[1]}
            apart = _distances(both[0], others, key, test, sigmas=sigmas)
            found |= {f"{name}/{who}": each.mse for name, each in apart.items()}
    return found


_distances = jax.jit(generalization.distances)


def gaps(arrays: Arrays, names: Sequence[str], *, who: str = "network") -> np.ndarray:
    """PSNR of networks less that of their twins on the networks' training images (R, K, S), dB, mean over both.

    To the twin these are test images. That they are the same images for both cancels which images are harder; between
    training and other images that alone is some tenths of a dB. Where both know an image exactly it is 0.
    """
    own, unseen = (families.of_all(arrays, names, f"{subset}/{who}").mean((2, 3)) for subset in ("train", "unseen"))
    return np.where(own == unseen, 0, own - np.where(own == unseen, 0, unseen))


def mean_gap(arrays: Arrays, names: Sequence[str], *, who: str = "network") -> np.ndarray:
    """The gap averaged over sigma uniform between the levels' ends (R, K), as the publication's figure 15."""
    sigma = np.asarray(metrics.sigma_of_input_psnr(arrays["input_psnr"]))
    return np.trapezoid(gaps(arrays, names, who=who), sigma, axis=-1) / (sigma[-1] - sigma[0])


def check(
    arrays: Arrays,
    *,
    slope_at_one: tuple[float, float] | None = None,
    gap_at_one: Limit = None,
    gap_at_largest: Limit = None,
    gain_at_largest: Limit = None,
) -> list[Check]:
    """Theory and nulls beside measurement; of repeats the mean, which is held to the marks, and the range.

    Args:
      arrays: from `analyze`.
      slope_at_one: marks for the slope of the training PSNR at N = 1, 5 to 30 dB of input.
      gap_at_one: mark for the training PSNR at N = 1 above the twin's on the same image, 20 dB: what does nothing has
        the slope, but no gap.
      gap_at_largest: mark for the largest such difference at the largest N, dB.
      gain_at_largest: mark for the test PSNR there above that of the linear denoiser of the same images, 20 dB: what
        has not learnt anything has no gap.

    Returns:
      List of Check; a mark of None makes the line a report without verdict.
    """
    levels, checks = arrays["input_psnr"], []
    for kind, names in families.repeats(arrays).items():
        sizes, title = arrays[f"{names[0]}/set_sizes"], families.heading(kind, names)
        every = ("network", *(who for who in NULLS if f"{names[0]}/test/{who}" in arrays))
        beside = lambda measure, every=every: {who: _over(measure(who)) for who in every}
        if sizes[0] == 1 and performance.levels_between(levels, (5, 30)).sum() > 1:
            slopes = beside(functools.partial(_slopes_at_one, arrays, names))
            name = f"{title}: slope of training PSNR at N = 1, 5-30 dB"
            checks.append(Check(name, "1 or more", slopes.pop("network"), Between(slope_at_one), slopes))
        for k, number in enumerate(sizes):
            gap = {who: gaps(arrays, names, who=who)[:, k] for who in every}
            largest = {who: _over(np.abs(each).max(-1)) for who, each in gap.items()}
            at_20, at_30 = ({who: _over(_at(levels, each, dB)) for who, each in gap.items()} for dB in (_SHOWN_DB, 30))
            if number == 1:
                name = f"{title}: own less twin's PSNR on training images, {_SHOWN_DB:g} dB, N = 1, dB"
                checks.append(Check(name, "above 0, memorizing", at_20.pop("network"), AtLeast(gap_at_one), at_20))
            mean = _over(mean_gap(arrays, names)[:, k])
            parts = {"largest": largest.pop("network"), "30 dB": at_30["network"], "mean": mean}
            name = f"{title}: own less twin's PSNR on training images, N = {number}, dB"
            mark = AtMost(gap_at_largest if number == sizes[-1] else None)
            checks.append(Check(name, "falls to 0", parts, mark, largest))
        test = {who: families.of_all(arrays, names, f"test/{who}")[:, -1].mean((1, 2)) for who in every}
        gain = {who: _over(_at(levels, each - test["linear"], _SHOWN_DB)) for who, each in test.items()}
        train = families.of_all(arrays, names, "train/network")[:, -1].mean((1, 2))
        checks += [
            Check(
                f"{title}: training less test PSNR, largest, N = {sizes[-1]}, dB",
                "0 but for which images are harder",
                _over(np.abs(train - test["network"]).max(-1)),
            ),
            Check(
                f"{title}: test PSNR above the linear denoiser, {_SHOWN_DB:g} dB, N = {sizes[-1]}, dB",
                "above 0",
                gain.pop("network"),
                AtLeast(gain_at_largest),
                gain,
            ),
        ]
        distances = {
            f"{which} to {whom}": _rms(arrays, names, f"to_{whom}/{who}")
            for which, who in (("network", "network"), ("linear", "linear"))
            for whom in ("memorizer", "twin")
        }
        checks += [
            Check(
                f"{title}: rms distance on test images, {_SHOWN_DB:g} dB, N = {number}",
                "memorizing: 0, large; generalizing: large, 0",
                {name: _over(values[:, k]) for name, values in distances.items()},
            )
            for k, number in enumerate(sizes)
        ]
    return checks


def _slopes_at_one(arrays: Arrays, names: Sequence[str], who: str) -> list[float]:
    """Of each repeat: one image each, so no error over images."""
    levels = arrays["input_psnr"]
    curves = families.of_all(arrays, names, f"train/{who}")[:, 0].reshape(len(names), -1, len(levels))
    finite = np.where(np.isfinite(curves), curves, np.nan)  # an image may be known without error
    return [performance.psnr_slope(levels, each, between=(5, 30)).slope for each in finite]


def _at(levels: np.ndarray, curves: np.ndarray, decibel: float) -> np.ndarray:
    """Curves (..., S) where the input PSNR is so many dB, (...)."""
    return np.apply_along_axis(lambda curve: np.interp(decibel, levels, curve), -1, curves)


def _over(values: Sequence[float]) -> Number:
    """What the repeats give."""
    return families.estimate(families.over_values(values))


def _rms(arrays: Arrays, names: Sequence[str], quantity: str) -> np.ndarray:
    """Distance per pixel on test images, image units, (R, K)."""
    return np.sqrt(_at(arrays["input_psnr"], families.of_all(arrays, names, quantity)[..., 0], _SHOWN_DB))


def draw(arrays: Arrays, *, title: str = ""):
    """Figure: training and test PSNR for each N, gap and distances against N; of repeats the mean and range."""
    import matplotlib.pyplot as plt

    kinds = families.repeats(arrays)
    shown, names = list(kinds.items())[-1]
    with plt.rc_context(STYLE):
        figure = plt.figure(figsize=(7.0, 6.2), layout="constrained")
        words = [title, f"curves: {shown}" if len(kinds) > 1 else ""]
        words += [f"mean, range of {len(names)}" if len(names) > 1 else ""]
        figure.suptitle("; ".join(filter(None, words)))
        above, below = figure.subfigures(2, 1, height_ratios=(1, 1.1))
        _draw_curves(above, arrays, names)
        _draw_against_size(below, arrays)
    return figure


def _draw_curves(figure, arrays: Arrays, names: Sequence[str]) -> None:
    import matplotlib.pyplot as plt

    levels, sizes = arrays["input_psnr"], arrays[f"{names[0]}/set_sizes"]
    colours = plt.colormaps["viridis_r"](np.linspace(0.08, 1, len(sizes)))  # in order also in grey print
    panels = figure.subplots(1, 2)
    for axes, name in zip(panels, ("train", "test"), strict=True):
        found = families.over_values(families.of_all(arrays, names, f"{name}/network").mean((2, 3)))
        exact, linear = (
            families.of_all(arrays, names, f"{name}/{who}").mean((0, 2, 3)) for who in ("memorizer", "linear")
        )
        for k, (number, colour) in enumerate(zip(sizes, colours, strict=True)):
            axes.plot(levels, found.value[k], color=colour, label=f"N = {number:,}")
            axes.fill_between(levels, found.low[k], found.high[k], color=colour, alpha=0.2, lw=0)
            axes.plot(levels, exact[k], ":", color=colour, lw=1)
        axes.plot(levels, linear[-1], **NULLS["linear"] | dict(ls="--"), label=f"linear, N = {sizes[-1]:,}")
        axes.plot(levels, levels, **NULLS["identity"], label="noisy image")
        axes.plot([], [], ":", color="grey", lw=1, label="exact denoiser\nof the N images")
        # the exact denoiser knows few images without error
        axes.set_ylim(0, found.value.max() + (5 if name == "train" else 3))
        axes.set(xlabel="input PSNR (dB)", ylabel="output PSNR (dB)")
        axes.set_title("Training images" if name == "train" else "Test images")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside center right")


def _draw_against_size(figure, arrays: Arrays) -> None:
    gap, distance = figure.subplots(1, 2)
    kinds = families.repeats(arrays)
    ends = np.sort(metrics.sigma_of_input_psnr(arrays["input_psnr"]))[[0, -1]]
    gap.set_yscale("symlog", linthresh=0.1)
    for who, colour in (("linear", _LINEAR), ("network", "black")):
        found = {kind: families.over_values(mean_gap(arrays, names, who=who)) for kind, names in kinds.items()}
        families.draw_against_size(gap, arrays, found, colour=colour)
    gap.axhline(0, color="grey", lw=0.6)
    gap.set(
        ylabel="own - twin's PSNR, training images (dB)",
        title=rf"Gap, mean over $\sigma$ from {ends[0]:.2g} to {ends[1]:.2g}",
    )
    shown = {
        "to_twin/linear": _LINEAR,
        "to_memorizer/network": COLOURS[1],
        "to_twin/network": COLOURS[0],
    }
    for quantity, colour in shown.items():
        found = {kind: families.over_values(_rms(arrays, names, quantity)) for kind, names in kinds.items()}
        families.draw_against_size(distance, arrays, found, colour=colour)
    distance.set(yscale="log", ylabel="rms distance per pixel", title=f"Distance on test images, {_SHOWN_DB:g} dB")
    colours = {
        "network: distance to exact denoiser of the N images": COLOURS[1],
        "network: distance to twin": COLOURS[0],
        "linear denoisers of the same images: gap, distance to twin": _LINEAR,
    }
    families.draw_legend(figure, kinds, colours)


STUDY = Study(analyze, check, draw)
