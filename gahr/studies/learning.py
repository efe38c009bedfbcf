"""Learning curves: what training brings, from the checkpoints that runs kept.

A claim about networks needs networks that have learned enough for it. Against the number of training images drawn: the
gain over the best linear denoiser, how far the Jacobian is from the symmetric one of an exact denoiser, and how well
its bases fit the image at hand and another one.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gahr import noise
from gahr.analysis import adaptivity, geometry, jacobian
from gahr.denoiser import at
from gahr.names import require_positive
from gahr.studies.shared.local_basis import spread
from gahr.studies.shared.measures import counter, curve_of_told, whole_jacobian
from gahr.studies.shared.nulls import linear
from gahr.studies.shared.options import require_least
from gahr.studies.shared.study import Above, Arrays, Check, Limit, Runs, Study
from gahr.studies.shared.style import COLOURS, NULLS, STYLE, draw_ticks
from gahr.types import Array, Key, NoiseDenoiser, Progress, Sharding

_LEADING = 10  # vectors whose subspaces are compared
_MARKERS = "os^Dv<>"
_LOWEST_GAIN = -1.0  # dB, drawn


def analyze(
    *,
    sigmas: Sequence[float] = (0.03, 0.1),
    sigma: float = 0.1,
    num_images: int = 64,
    num_bases: int = 3,
    num_fit: int = 20_000,
) -> Callable:
    """Every stage of every run, the network before training, and the best linear denoiser.

    Args:
      sigmas: noise levels of the PSNR, image units.
      sigma: that of the Jacobians.
      num_images: test images of the PSNR.
      num_bases: images whose whole Jacobian is decomposed, the first of the `num_images`.
      num_fit: training images that the linear denoiser is fitted to, at most.

    Returns:
      Function (runs, key, *, progress, sharding=None) -> arrays named "RUN/quantity": images (K,), training images
      drawn at each stage, from 0, and of each stage psnr (K, S, N), asymmetry and overlap (K, n), eigen and left
      (K, n, n), dimension of image i in the basis of image j. Each once more as "RUN/linear/quantity", K = 1.

    Raises:
      ValueError: an option that cannot be used.
    """
    require_positive(sigma=sigma, **{f"sigmas[{i}]": level for i, level in enumerate(sigmas)})
    require_least(num_images=(num_images, 2), num_bases=(num_bases, 2), num_fit=(num_fit, 2))

    def analysis(runs: Runs, key: Key, *, progress: Progress, sharding: Sharding | None = None) -> Arrays:
        arrays: dict[str, Any] = {"runs": np.array(list(runs)), "sigmas": np.array(sigmas), "sigma": sigma}
        advance = counter(progress, sum(2 + len(run.stages) for run in runs.values()))
        for name, run in runs.items():
            clean = run.images("test", num_images)

            def found(denoiser: NoiseDenoiser, name: str = name, clean: Array = clean) -> dict[str, Array]:
                advance(name)
                curve = curve_of_told(denoiser, key, clean, jnp.array(sigmas), sharding=sharding)
                return {"psnr": curve.T} | _bases(denoiser, key, clean[:num_bases], sigma, progress, sharding)

            stages = dict(sorted(run.stages.items()))
            of_stages = [found(run.initial), *(found(read()) for read in stages.values())]
            of_linear = [found(linear(run.images(run.subset, num_fit)))]
            for prefix, values in ((name, of_stages), (f"{name}/linear", of_linear)):
                stacked = jax.tree.map(lambda *each: jnp.stack(each), *values)
                arrays |= {f"{prefix}/{quantity}": value for quantity, value in stacked.items()}
            arrays[f"{name}/images"] = np.array([0, *stages])
        return {quantity: np.asarray(value) for quantity, value in arrays.items()}

    return analysis


def _bases(
    denoiser: NoiseDenoiser, key: Key, clean: Array, sigma: float, progress: Progress, sharding: Sharding | None
) -> dict[str, Array]:
    """What is said of the Jacobians of one denoiser at n images."""
    noisy, columns = noise.add_noise(key, clean, sigma), []
    for each in noisy:
        matrix = whole_jacobian(at(denoiser, sigma), each, progress, sharding=sharding)
        columns.append(_column(matrix, clean, noisy, sigma))
    return jax.tree.map(lambda *each: jnp.stack(each, -1), *columns)  # the basis of image j is [..., j]


@jax.jit
def _column(matrix: Array, clean: Array, noisy: Array, sigma: Array) -> dict[str, Array]:
    """Of the Jacobian at one image, and of all images in its bases."""
    eigen, singular = (of(matrix, clean.shape[1:]) for of in (jacobian.eigenbasis_of, jacobian.singular_basis_of))
    found = adaptivity.in_bases(eigen, singular, clean, noisy, sigma=sigma, k=_LEADING)
    return {
        "asymmetry": eigen.asymmetry,
        "overlap": geometry.overlap(eigen.vectors[:_LEADING], singular.left[:_LEADING]),
        **{kind: found[kind].dimension for kind in ("eigen", "left")},
    }


def curves(arrays: Arrays, name: str) -> dict[str, np.ndarray]:
    """Curves of a run over its stages, (K,), in the mean over images.

    "gain SIGMA": over the linear denoiser, dB; asymmetry; overlap; left and eigen: dimension of images in their own
    bases; ratio: that in another image's left singular vectors over that in their own.
    """
    gains = (arrays[f"{name}/psnr"] - arrays[f"{name}/linear/psnr"]).mean(-1)
    found = {_gain(sigma): gains[:, s] for s, sigma in enumerate(arrays["sigmas"])}
    found |= {quantity: arrays[f"{name}/{quantity}"].mean(-1) for quantity in ("asymmetry", "overlap")}
    for kind in ("left", "eigen"):
        found[kind] = np.array([adaptivity.summary(matrix).own.mean for matrix in arrays[f"{name}/{kind}"]])
    found["ratio"] = np.array([adaptivity.summary(matrix).ratio.mean for matrix in arrays[f"{name}/left"]])
    return found


def images_needed(images: np.ndarray, curve: np.ndarray, *, near: float) -> float:
    """Training images drawn at the first stage from which on a curve (K,) stays within `near` of its last value."""
    away = np.flatnonzero(np.abs(curve - curve[-1]) > near)
    return float(images[away[-1] + 1 if len(away) else 0])


def check(arrays: Arrays, *, gain: Limit = None) -> list[Check]:
    """Theory beside measurement: of the finished network first, then of the stages before it, the last ones first.

    Args:
      arrays: from `analyze`.
      gain: mark for the gain over the linear denoiser at the largest of `sigmas`, dB, which must exceed it.

    Returns:
      List of Check; a mark of None makes the line a report without verdict.
    """
    return [check for name in map(str, arrays["runs"]) for check in _checks(arrays, name, gain)]


def _checks(arrays: Arrays, name: str, gain: Limit) -> list[Check]:
    images, found, fixed = arrays[f"{name}/images"], curves(arrays, name), _linear(arrays, name)
    gains = (arrays[f"{name}/psnr"] - arrays[f"{name}/linear/psnr"])[-1]
    last = {_gain(s): spread(values) for s, values in zip(arrays["sigmas"], gains, strict=True)}

    def row(text: str, theory: Any, quantity: str, mark: Above | None = None) -> Check:
        of_stages = dict(zip(images[1:], map(float, found[quantity][1:]), strict=True))
        of_stages[images[-1]] = last.get(quantity, of_stages[images[-1]])
        measured = {f"{number:,} images": of_stages[number] for number in images[:0:-1]}
        nulls = {"linear": fixed[quantity], "untrained": float(found[quantity][0])}
        return Check(f"{name}: {text}", theory, measured, mark, nulls)

    level = arrays["sigmas"].max()
    near = {_gain(level): 0.1, "asymmetry": 0.02, "left": 0.05 * found["left"][-1]}
    needed = {
        f"{quantity} within {margin:.3g}": images_needed(images, found[quantity], near=margin)
        for quantity, margin in near.items()
    }
    return [
        *(
            row(f"gain over linear, sigma = {s:g}, dB", "> 0", _gain(s), Above(gain) if s == level else None)
            for s in arrays["sigmas"]
        ),
        row("asymmetry |J - J^T| / |J|", {"exact MMSE": 0}, "asymmetry"),
        row(f"overlap of {_LEADING} leading eigen- and left singular vectors", {"symmetric": 1}, "overlap"),
        row("dimension in own left singular vectors", None, "left"),
        row("dimension in own eigenvectors", "that in left ones, symmetric", "eigen"),
        row("dimension in another image's left vectors over own", {"fixed basis": 1}, "ratio"),
        Check(f"{name}: training images from which on it stays near its last value", None, needed),
    ]


def _gain(sigma: float) -> str:
    return f"gain {sigma:g}"


def _linear(arrays: Arrays, name: str) -> dict[str, float]:
    """The quantities of `curves` of the linear denoiser."""
    return {quantity: float(values[0]) for quantity, values in curves(_as_run(arrays, name), name).items()}


def _as_run(arrays: Arrays, name: str) -> dict[str, np.ndarray]:
    """The arrays with the linear denoiser of a run in the place of the run."""
    start = f"{name}/linear/"
    own = {f"{name}/{key.removeprefix(start)}": value for key, value in arrays.items() if key.startswith(start)}
    return dict(arrays) | own


def draw(arrays: Arrays, *, title: str = ""):
    """Figure: a panel for each quantity and a line for each run; the linear denoiser grey, untrained points hollow."""
    import matplotlib.pyplot as plt

    panels = {_gain(s): f"gain over linear (dB), $\\sigma$ = {s:g}" for s in arrays["sigmas"]}
    panels |= {
        "asymmetry": "asymmetry $|J - J^T| / |J|$",
        "overlap": f"overlap of {_LEADING} leading\neigen- and left singular vectors",
        "left": "dimension in own left vectors\nover the linear denoiser's",
        "ratio": "dimension in another image's\nleft vectors over own",
    }
    with plt.rc_context(STYLE):
        figure = plt.figure(figsize=(7.0, 4.6), layout="constrained")
        figure.suptitle(title)
        all_axes = figure.subplots(2, -(-len(panels) // 2)).ravel()
        for axes, (quantity, label) in zip(all_axes, panels.items(), strict=False):
            _draw_panel(axes, arrays, quantity)
            axes.set(xscale="log", xlabel="training images drawn", title=label)
        for axes in all_axes[len(panels) :]:
            axes.set_axis_off()
        handles, labels = all_axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=5)
    return figure


def _draw_panel(axes, arrays: Arrays, quantity: str) -> None:
    """A quantity of all runs; dimensions in units of the linear denoiser's, whose own is 1."""
    nulls: Mapping[str, float] = {}
    for i, name in enumerate(map(str, arrays["runs"])):
        nulls, images = _linear(arrays, name), arrays[f"{name}/images"]
        values = curves(arrays, name)[quantity] / (nulls[quantity] if quantity == "left" else 1)
        look = dict(color=COLOURS[i % len(COLOURS)], marker=_MARKERS[i % len(_MARKERS)], ms=3.5)
        axes.plot(images[1:], values[1:], **look, label=name)
        start = dict(color=look["color"], ms=3.5, mfc="none", ls="")  # none drawn yet, which has no place on the axis
        below = quantity.startswith("gain") and values[0] < _LOWEST_GAIN
        axes.plot(images[1] / 3, _LOWEST_GAIN if below else values[0], marker="v" if below else "o", **start)
    axes.axhline(1 if quantity == "left" else nulls[quantity], **NULLS["linear"], label="linear denoiser")
    axes.plot([], [], "o", ms=3.5, mfc="none", color="grey", label="untrained, at the left")
    axes.plot([], [], "v", ms=3.5, mfc="none", color="grey", label="the same, below the axis")
    if quantity == "left":
        axes.set_yscale("log")
        draw_ticks(axes.yaxis)


STUDY = Study(analyze, check, draw)
