"""Does Langevin dynamics find the modes as often as they weigh? Annealed, and at one noise level, in two dimensions.

Song and Ermon (2019), arXiv:1907.05600, section 3.2.2 and figure 3: where modes are far apart the score around each
does not tell their weights, so that samples stay in the mode they start in; large noise joins the modes, and annealing
sorts the samples while it does. Images are of two pixels, and everything is known: the denoiser, the samples it should
give, the density of noisy ones.
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gahr.classical.analytic import mixture
from gahr.names import require
from gahr.sampling import annealed_langevin, driver, langevin, schedules
from gahr.sampling.sampler import Sampler
from gahr.studies.shared.options import require_least
from gahr.studies.shared.study import Arrays, AtLeast, AtMost, Check, Limit, Runs, Study
from gahr.studies.shared.style import COLOURS, STYLE
from gahr.types import Key, Progress, Sharding

_SHAPE = (1, 2, 1)
_CENTRES = np.array([[0.2, 0.2], [0.8, 0.8]])  # theirs, (-5, -5) and (5, 5) of unit variance, in our range
_SPREAD = 0.06
_START = 0.6  # standard deviation of the start about (0.5, 0.5)
_FRAMES = 12  # times at which samples of one level are looked at
_NUM_SHOWN = 1500


def analyze(
    *,
    num_samples: int = 4_000,
    light: float = 0.2,
    sigma_max: float = 0.6,
    sigma_min: float = 0.006,
    sigma_between: float = 0.2,
    num_levels: int = 10,
    steps_per_level: Sequence[int] = (1, 3, 10, 30, 100),
    fraction: float = 0.1,
) -> Callable:
    """Samples of a mixture of two Gaussians, by Langevin dynamics with as many steps in all.

    Args:
      num_samples: of each dynamics.
      light: weight of the lighter mode, below 1/2.
      sigma_max, sigma_min, num_levels: levels of the annealed dynamics, geometric, image units.
      sigma_between: of a dynamics at one level that joins the modes; another one is at sigma_min.
      steps_per_level: T, of the annealed dynamics; each is a run of its own.
      fraction: step size a / sigma^2, at every level.

    Returns:
      Function (runs, key, *, progress, sharding=None), of no runs -> arrays: names (3,) of the dynamics; of each
      "NAME/steps" (K,), "NAME/weight" (K,): share of the samples nearer to the light mode, "NAME/distance" (K,): root
      mean square distance to the nearer mode, image units, "NAME/samples", and "NAME/sigma": noise that is
      left; the same, without steps, of exact samples; light and num_samples.

    Raises:
      ValueError: an option that cannot be used.
    """
    require_least(num_samples=(num_samples, 100), num_levels=(num_levels, 2))
    require(0 < light < 0.5, "light", light, "between 0 and 0.5")
    require(0 < fraction < 2, "fraction", fraction, "between 0 and 2")
    levels = schedules.geometric(sigma_max=sigma_max, sigma_min=sigma_min, num_levels=num_levels)
    longest = num_levels * max(steps_per_level)
    start = dict(mean=0.5, factor=_START * jnp.eye(2).reshape(2, *_SHAPE))
    annealed = {
        times * num_levels: annealed_langevin.sampler(
            sigmas=levels, steps_per_level=times, step_size=fraction * float(levels[-1]) ** 2, **start
        )
        for times in sorted(steps_per_level)
    }
    one_level = {
        name: langevin.sampler(sigma=sigma, num_steps=longest, step_size=fraction, **start)
        for name, sigma in ((f"one level, {sigma_min:g}", sigma_min), (f"one level, {sigma_between:g}", sigma_between))
    }

    def analysis(runs: Runs, key: Key, *, progress: Progress, sharding: Sharding | None = None) -> Arrays:
        del runs
        weights = jnp.array([light, 1 - light])
        prior = mixture(
            weights,
            jnp.asarray(_CENTRES, jnp.float32).reshape(2, *_SHAPE),
            jnp.full((2, 2), _SPREAD**2),
            jnp.broadcast_to(jnp.eye(2).reshape(1, 2, *_SHAPE), (2, 2, *_SHAPE)),
        )
        draw = functools.partial(_draw, denoiser=prior, number=num_samples, sharding=sharding, progress=progress)
        true = _exact(jax.random.fold_in(key, 0), num_samples, light, sigma_min)
        arrays: dict[str, Any] = {f"exact samples/{name}": value for name, value in _describe(true).items()}
        found = []
        for i, (steps, sampler) in enumerate(annealed.items()):
            found.append(_describe(draw(sampler, jax.random.fold_in(key, i + 1), note=f"annealed, {steps} steps")[0]))
        arrays |= _named("annealed", list(annealed), found)
        for i, (name, sampler) in enumerate(one_level.items()):
            every = max(1, longest // 100)
            samples, frames = draw(sampler, jax.random.fold_in(key, 100 + i), every=every, note=name)
            shown = np.unique(np.geomspace(1, len(frames) - 1, _FRAMES).astype(int))
            arrays |= _named(name, shown * every, [_describe(frames[k]) for k in shown[:-1]] + [_describe(samples)])
        ends = dict(zip(["exact samples", "annealed", *one_level], [sigma_min] * 3 + [sigma_between], strict=True))
        arrays |= {f"{name}/sigma": sigma for name, sigma in ends.items()}
        arrays |= dict(names=["annealed", *one_level], light=light, num_samples=num_samples)
        return {quantity: np.asarray(value) for quantity, value in arrays.items()}

    return analysis


def _draw(sampler: Sampler, key: Key, *, number: int, every: int = 0, **how: Any) -> tuple[np.ndarray, np.ndarray]:
    """Samples (N, 2), and frames (F, N, 2) where there are any."""
    shape = (number, *_SHAPE)
    images, trace = driver.sample(sampler, key=key, shape=shape, frame_every=every, chunk=number, **how)
    frames = np.zeros((0, *shape)) if trace.frames is None else np.asarray(trace.frames)
    return np.asarray(images).reshape(number, 2), frames.reshape(-1, number, 2)


def _exact(key: Key, number: int, light: float, sigma: float) -> np.ndarray:
    which, noise = jax.random.split(key)
    centres = _CENTRES[np.asarray(jax.random.bernoulli(which, 1 - light, (number,))).astype(int)]
    return centres + np.hypot(_SPREAD, sigma) * np.asarray(jax.random.normal(noise, (number, 2)))


def _describe(samples: np.ndarray) -> dict[str, Any]:
    distances = np.linalg.norm(samples[:, None] - _CENTRES[None], axis=-1)
    nearer = distances.min(1)
    return {
        "weight": np.mean(distances[:, 0] < distances[:, 1]),
        "distance": np.sqrt(np.mean(nearer**2)),
        "samples": samples[:_NUM_SHOWN],
    }


def _named(name: str, steps: Sequence[int], found: Sequence[dict[str, Any]]) -> dict[str, Any]:
    arrays = {f"{name}/{quantity}": [each[quantity] for each in found] for quantity in ("weight", "distance")}
    return arrays | {f"{name}/steps": steps, f"{name}/samples": found[-1]["samples"]}


class Exact(NamedTuple):
    """What is known of exact noisy samples of one level."""

    weight: float  # share of them nearer to the light mode
    error: float  # its standard error
    distance: float  # root mean square to the mode they are of, image units


def exact(arrays: Arrays, sigma: float) -> Exact:
    """Of as many samples as were drawn: some of each mode are nearer to the other one where sigma is large."""
    light, spread = float(arrays["light"]), float(np.hypot(_SPREAD, sigma))
    apart = np.linalg.norm(_CENTRES[1] - _CENTRES[0])
    astray = math.erfc(apart / 2 / spread / math.sqrt(2)) / 2
    weight = light * (1 - astray) + (1 - light) * astray
    return Exact(weight, math.sqrt(weight * (1 - weight) / int(arrays["num_samples"])), math.sqrt(2) * spread)


def errors(arrays: Arrays, name: str) -> np.ndarray:
    """|share of the light mode - that of exact noisy samples|, (K,), at the level where the dynamics ends."""
    return np.abs(np.atleast_1d(arrays[f"{name}/weight"]) - exact(arrays, float(arrays[f"{name}/sigma"])).weight)


def check(
    arrays: Arrays, *, weight_within: Limit = None, error_at_one_level: Limit = None, distance_within: Limit = None
) -> list[Check]:
    """Theory beside measurement, after the largest number of steps.

    Args:
      arrays: from `analyze`.
      weight_within: mark for |weight - truth| of the annealed dynamics.
      error_at_one_level: mark for the same of the dynamics at the smallest level, which it must exceed.
      distance_within: mark for |distance / truth - 1| of the annealed dynamics.

    Returns:
      List of Check; a mark of None makes the line a report without verdict.
    """
    small, between = (str(name) for name in arrays["names"][1:])
    truth = exact(arrays, float(arrays["annealed/sigma"]))
    error = {name: float(errors(arrays, name)[-1]) for name in ("exact samples", "annealed", small, between)}
    ratio = {name: float(np.atleast_1d(arrays[f"{name}/distance"])[-1]) / truth.distance for name in error}
    steps = [f"{int(k)} steps" for k in arrays["annealed/steps"]]
    text = "|weight of the light mode - truth|"
    expected = {"exact samples, standard error": truth.error}
    return [
        Check(
            f"annealed, {steps[-1]}: {text}",
            expected,
            error["annealed"],
            AtMost(weight_within),
            {name: error[name] for name in (small, between)},
        ),
        Check(
            f"{small}, as many: {text}",
            "that of the start",
            error[small],
            AtLeast(error_at_one_level),
            {"exact samples": error["exact samples"]},
        ),
        Check(f"{between}, as many: {text} of noisy samples", expected, error[between]),
        Check(f"annealed: {text} falls", "to 0", dict(zip(steps, errors(arrays, "annealed").tolist(), strict=True))),
        Check(
            "annealed: |distance to the mode / truth - 1|",
            0,
            abs(ratio["annealed"] - 1),
            AtMost(distance_within),
            {between: abs(ratio[between] - 1)},
        ),
        Check("distance to the mode / truth", 1, ratio),
    ]


def draw(arrays: Arrays, *, title: str = ""):
    """Figure: samples over the exact density above; errors of weight and spread against the steps below."""
    import matplotlib.pyplot as plt

    names = [str(name) for name in arrays["names"]]
    with plt.rc_context(STYLE):
        figure = plt.figure(figsize=(7.0, 5.0), layout="constrained")
        figure.suptitle(title)
        above, below = figure.subfigures(2, 1, height_ratios=(1, 1.15))
        panels = above.subplots(1, 4, sharex=True, sharey=True)
        for axes, name, colour in zip(panels, ["exact samples", *names], ("black", *COLOURS), strict=False):
            _draw_samples(axes, arrays, name, colour)
        panels[0].set_ylabel("second pixel")
        _draw_errors(*below.subplots(1, 2), arrays, names)
    return figure


def _draw_samples(axes, arrays: Arrays, name: str, colour: str) -> None:
    samples = arrays[f"{name}/samples"]
    axes.plot(samples[:, 0], samples[:, 1], ".", ms=1.2, alpha=0.5, color=colour, rasterized=True)
    share = float(np.atleast_1d(arrays[f"{name}/weight"])[-1])
    steps = f", {int(arrays[f'{name}/steps'][-1]):,} steps" if f"{name}/steps" in arrays else ""
    axes.set(xlim=(-0.4, 1.4), ylim=(-0.4, 1.4), aspect="equal", xlabel="first pixel", xticks=(0, 1), yticks=(0, 1))
    title = name.replace("one level, ", r"one level $\sigma$ = ")
    axes.set_title(f"{title}{steps}\n{share:.2f} of them in the left mode", fontsize=6.5)
    axes.plot([0, 1], [1, 0], ":", color="grey", lw=0.8)  # between the modes


def _draw_errors(weight, distance, arrays: Arrays, names: Sequence[str]) -> None:
    truth = exact(arrays, float(arrays["annealed/sigma"]))
    for name, colour, marker in zip(names, COLOURS, "os^", strict=False):
        label = name.replace("one level, ", r"one level $\sigma$ = ")
        look = dict(color=colour, marker=marker, ms=3, label=label)
        steps = arrays[f"{name}/steps"]
        weight.plot(steps, errors(arrays, name), **look)
        distance.plot(steps, arrays[f"{name}/distance"] / truth.distance, **look)
    weight.axhline(truth.error, ls="--", lw=1, color="black", label="standard error of exact samples")
    weight.axhline(0.5 - truth.weight, ls=":", lw=1, color="grey", label="modes met equally")
    weight.set(xscale="log", yscale="log", xlabel="steps in all", ylabel="|share of the light mode - weight|")
    weight.set_title("Weight of the modes")
    distance.axhline(1, ls="--", lw=1, color="black", label="exact samples")
    distance.set(xscale="log", yscale="log", xlabel="steps in all", ylabel="rms distance to the mode / truth")
    ticks = [1, 2, 4, 8]
    distance.set_yticks(ticks, ticks)
    distance.set_yticks([], minor=True)
    distance.set_title("Spread within the modes")
    for axes in (weight, distance):
        axes.legend()


STUDY = Study(analyze, check, draw)
